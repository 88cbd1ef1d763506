//! Metadata for the verification: from the repository, or from the files of the last check.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures_util::stream;
use tough::{
    Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait,
    schema::{Metafile, Signed, Snapshot, Timestamp},
};
use url::Url;

use super::load::{Known, ending};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    link::HttpLink,
};

/// The largest files of metadata, in bytes.
const MAX_ROOT: u64 = 512 << 10;
const MAX_TIMESTAMP: u64 = 64 << 10;
const MAX_OTHERS: u64 = 8 << 20;

/// Files of metadata by their names on the server.
pub(super) type SourceFiles = BTreeMap<String, String>;

/// Serves files to the verification.
///
/// A file whose version and digest are known is taken from the last check, so that a repository without news costs two
/// requests. tough regards every failure to fetch a root as the end of the roots; the first failure that is none is
/// kept here, and fails the check.
#[derive(Clone)]
pub(super) struct RepoSource(Arc<Inner>);

struct Inner {
    /// `None` to use nothing but the last check.
    link: Option<Arc<HttpLink>>,
    until: Instant,
    known: Known,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    served: SourceFiles,
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

impl RepoSource {
    pub(super) fn new(link: Option<Arc<HttpLink>>, until: Instant, known: Known) -> Self {
        Self(Arc::new(Inner { link, until, known, state: Mutex::default() }))
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
    pub(super) fn served(&self) -> SourceFiles {
        self.state().served.clone()
    }

    /// Returns the state of the last check.
    pub(super) fn known(&self) -> &Known {
        &self.0.known
    }

    /// Returns a file that a verified one describes; `None` if it is missing.
    pub(super) fn described(
        &self,
        file: &str,
        described: Option<&Metafile>,
    ) -> Result<Option<Vec<u8>>, DeliveryError> {
        let digest = described.and_then(|meta| digest(meta));
        if let Some(known) = self.0.known.files.get(file)
            && digest.is_some_and(|digest| Digest::of_bytes(known) == digest)
        {
            return Ok(Some(known.clone().into_bytes()));
        }
        self.fetch_file(file, MAX_OTHERS)
    }

    fn fetch_file(&self, file: &str, limit: u64) -> Result<Option<Vec<u8>>, DeliveryError> {
        let Some(link) = &self.0.link else { return Ok(None) };
        let body = link.fetch(&["metadata", file], limit, self.0.until)?;
        body.map(crate::link::Body::metadata).transpose()
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
                self.described(file, described.as_ref())
            }
            Kind::Targets => {
                let described = self.parsed::<Snapshot>(".snapshot.json");
                let described = described.and_then(|mut role| role.signed.meta.remove("targets.json"));
                self.described(file, described.as_ref())
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

impl fmt::Debug for RepoSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RepoSource")
    }
}

#[async_trait]
impl Transport for RepoSource {
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
