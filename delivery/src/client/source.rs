//! Metadata for the verification: from the repository, or from the files of the last check.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::stream;
use tough::{
    Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait,
    schema::{Metafile, Signed, Snapshot, Timestamp},
};
use url::Url;

use super::load::{KnownState, ending};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    link::{Body, RepoLink},
};

/// The largest files of metadata, in bytes.
pub(super) const MAX_ROOT: u64 = 1 << 20;
const MAX_TIMESTAMP: u64 = 64 << 10;
pub(super) const MAX_OTHERS: u64 = 10 << 20;

/// The rate at which the time for a publisher's file grows with its length, in bytes a second; each has its own time,
/// so that a long one does not use up the others'.
const SLOW_RATE: u64 = 32 << 10;

/// Files of metadata by their names on the server.
pub(super) type MetadataFiles = BTreeMap<String, String>;

/// Serves files to the verification.
///
/// A file whose version and digest are known is taken from the last check, so that a repository without news costs two
/// requests. tough regards every failure to fetch a root as the end of the roots; the first failure that is none is
/// kept here, and fails the check.
#[derive(Clone)]
pub(super) struct MetadataSource(Arc<Inner>);

struct Inner {
    /// `None` to use nothing but the last check.
    link: Option<Arc<RepoLink>>,
    until: Instant,
    time: Duration,
    known: KnownState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    served: MetadataFiles,
    failure: Option<DeliveryError>,
    has_reached_roles: bool,
}

/// A file of metadata, by its name.
enum Kind {
    Root,
    Timestamp,
    Snapshot,
    Targets,
    Role,
    /// A name without a version, which only a repository without consistent snapshots has.
    Unversioned,
}

impl MetadataSource {
    /// Makes a source with a time limit for root, timestamp, snapshot and targets, and for each publisher's file.
    pub(super) fn new(link: Option<Arc<RepoLink>>, time: Duration, known: KnownState) -> Self {
        let until = Instant::now() + time;
        Self(Arc::new(Inner { link, until, time, known, state: Mutex::default() }))
    }

    /// Returns `true` if nothing but the last check is used.
    pub(super) fn is_stored(&self) -> bool {
        self.0.link.is_none()
    }

    /// Returns the first failure to fetch a file.
    pub(super) fn failure(&self) -> Option<DeliveryError> {
        self.state().failure.clone()
    }

    /// Returns `true` once a publisher's role was requested, which [`Self`] does not serve to tough.
    pub(super) fn has_reached_roles(&self) -> bool {
        self.state().has_reached_roles
    }

    /// Returns the files that were served.
    pub(super) fn served(&self) -> MetadataFiles {
        self.state().served.clone()
    }

    /// Returns the state of the last check.
    pub(super) fn known(&self) -> &KnownState {
        &self.0.known
    }

    /// Returns the file of a publisher, which the snapshot describes; `None` if it is missing.
    pub(super) fn role(&self, file: &str, described: &Metafile) -> Result<Option<Vec<u8>>, DeliveryError> {
        let length = described.length.unwrap_or(0).min(MAX_OTHERS);
        let until = Instant::now() + self.0.time + Duration::from_secs(length / SLOW_RATE);
        self.described(file, Some(described), until)
    }

    /// Returns a file that a verified one describes; `None` if it is missing.
    fn described(
        &self,
        file: &str,
        described: Option<&Metafile>,
        until: Instant,
    ) -> Result<Option<Vec<u8>>, DeliveryError> {
        let digest = described.and_then(digest);
        if let Some(known) = self.0.known.files.get(file)
            && digest.is_some_and(|digest| Digest::of_bytes(known) == digest)
        {
            return Ok(Some(known.clone().into_bytes()));
        }
        match self.fetch_body(file, MAX_OTHERS, until)? {
            // The content that is described, whatever it is, does not come from a network that wants a login.
            Some(body) if digest == Some(Digest::of_bytes(&body.bytes)) => Ok(Some(body.bytes)),
            body => body.map(Body::metadata).transpose(),
        }
    }

    fn fetch_body(&self, file: &str, limit: u64, until: Instant) -> Result<Option<Body>, DeliveryError> {
        let Some(link) = &self.0.link else { return Ok(None) };
        link.fetch(&["metadata", file], limit, until)
    }

    fn fetch_file(&self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, DeliveryError> {
        self.fetch_body(file, limit, self.0.until)?.map(Body::metadata).transpose()
    }

    fn serve(&self, file: &str) -> Result<Option<Vec<u8>>, DeliveryError> {
        match kind(file) {
            Kind::Root => match self.fetch_file(file, MAX_ROOT) {
                // Object stores answer this for a missing file; a real refusal meets the timestamp too.
                Err(error) if error.code == ErrorCode::RepoDenied => Ok(None),
                fetched => fetched,
            },
            Kind::Timestamp if self.0.link.is_some() => self.fetch_file(file, MAX_TIMESTAMP),
            Kind::Timestamp => Ok(self.0.known.files.get(file).map(|text| text.clone().into_bytes())),
            Kind::Snapshot => {
                let described = self.parsed::<Timestamp>("timestamp.json");
                let described = described.and_then(|mut role| role.signed.meta.remove("snapshot.json"));
                self.described(file, described.as_ref(), self.0.until)
            }
            Kind::Targets => {
                let described = self.parsed::<Snapshot>(".snapshot.json");
                let described = described.and_then(|mut role| role.signed.meta.remove("targets.json"));
                self.described(file, described.as_ref(), self.0.until)
            }
            Kind::Role => {
                let mut state = self.state();
                state.has_reached_roles = ending(&state.served, ".targets.json").is_some();
                Ok(None)
            }
            Kind::Unversioned => Err(DeliveryError::new(
                ErrorCode::RepoNotMetadata,
                "the repository has no consistent snapshots, which this client requires",
                "ask the repository's owner to publish them",
            )),
        }
    }

    /// Parses a file that was served, by the end of its name; tough requests the next one after it has verified this.
    fn parsed<T: serde::de::DeserializeOwned>(&self, end: &str) -> Option<Signed<T>> {
        let state = self.state();
        serde_json::from_str(ending(&state.served, end)?).ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the digest that a verified file states of another.
pub(super) fn digest(described: &Metafile) -> Option<Digest> {
    let bytes: &[u8] = &described.hashes.as_ref()?.sha256;
    Some(Digest::from(<[u8; 32]>::try_from(bytes).ok()?))
}

fn kind(file: &str) -> Kind {
    let numbered =
        file.split_once('.').filter(|(version, _)| version.bytes().all(|byte| byte.is_ascii_digit()));
    match (file, numbered.map(|(_, role)| role)) {
        ("timestamp.json", _) => Kind::Timestamp,
        ("root.json" | "snapshot.json" | "targets.json", _) => Kind::Unversioned,
        (_, Some("root.json")) => Kind::Root,
        (_, Some("snapshot.json")) => Kind::Snapshot,
        (_, Some("targets.json")) => Kind::Targets,
        _ => Kind::Role,
    }
}

impl fmt::Debug for MetadataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetadataSource")
    }
}

#[async_trait]
impl Transport for MetadataSource {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let failed = |kind| Err(TransportError::new(kind, &url));
        if self.failure().is_some() {
            return failed(TransportErrorKind::Other);
        }
        let file = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        match self.serve(file) {
            Ok(Some(bytes)) => {
                // Bytes that are no text cannot be verified either.
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.state().served.insert(file.to_owned(), text);
                Ok(Box::pin(stream::iter([Ok(Bytes::from(bytes))])))
            }
            Ok(None) => failed(TransportErrorKind::FileNotFound),
            Err(error) => {
                self.state().failure = Some(error);
                failed(TransportErrorKind::Other)
            }
        }
    }
}
