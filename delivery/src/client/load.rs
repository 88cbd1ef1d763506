//! Loads and verifies the metadata of a repository.
//!
//! tough verifies root, timestamp, snapshot and targets, in a folder that is removed afterwards: it writes its files one
//! by one, and a refused attack must leave nothing. It would refuse the whole repository for the fault of one
//! publisher, so each publisher's role is verified here (`client/roles`), with tough's own functions. The result is
//! stored as one file.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp as Time;
use serde::{Deserialize, Serialize};
use tough::{
    Limits, RepositoryLoader,
    schema::{Delegations, Role, Root, Signed, Snapshot, Targets, Timestamp},
};
use url::Url;

use super::{
    refusal,
    roles::{self, Publisher},
    source::{MetadataFiles, MetadataSource},
};
use crate::{
    Digest,
    cache::{self, Cache},
    error::{DeliveryError, ErrorCode},
    listing::Problem,
};

/// The largest file of metadata that tough reads; the source's limits are lower.
const LARGEST: u64 = 16 << 20;
/// The largest number of roots that may follow the one of the last check.
const MAX_ROOTS: u64 = 1_024;

/// The verified files of a check, which the next one starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownState {
    /// The files by their names on the server: every root from the trusted one on, and the newest of the others.
    pub(super) files: MetadataFiles,
    /// Every key that a publisher ever had, to recognise revoked ones.
    #[serde(default)]
    pub(super) delegations: Delegations,
}

/// The start of a check.
pub(super) struct Start {
    /// The newest root that is trusted.
    pub(super) root: Vec<u8>,
    /// The root that the user trusts, with its name on the server.
    pub(super) trusted: (Digest, u64),
    pub(super) known: KnownState,
    /// Time of the last check, in seconds since 1970.
    pub(super) checked: Option<u64>,
}

/// Verified metadata.
pub(super) struct Verified {
    pub(super) known: KnownState,
    /// Fingerprint of the root that the user trusts.
    pub(super) trusted: Digest,
    pub(super) root_version: u64,
    pub(super) expires: Time,
    pub(super) publishers: Vec<Publisher>,
    pub(super) problems: Vec<Problem>,
}

impl KnownState {
    /// Reads the files of the last check; nothing if there was none.
    ///
    /// # Errors
    /// Fails if they cannot be read: to start without them would give up the protection against older metadata.
    pub(super) fn read(cache: &Cache) -> Result<Self, DeliveryError> {
        let Some(bytes) = cache.read("metadata.json")? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(|_| damaged())
    }

    /// Stores the files of a check.
    pub(super) fn write(&self, cache: &Cache) -> Result<(), DeliveryError> {
        cache.replace_json("metadata.json", self, true)
    }
}

/// Returns the file whose name ends so; of several, the last.
pub(super) fn ending<'a>(files: &'a MetadataFiles, end: &str) -> Option<&'a str> {
    files.iter().rfind(|(name, _)| name.ends_with(end)).map(|(_, text)| &**text)
}

impl Start {
    /// Returns the start of a check of a trusted repository.
    ///
    /// # Errors
    /// Fails with `repo-untrusted` if no root is trusted.
    pub(super) fn of(cache: &Cache) -> Result<Self, DeliveryError> {
        let Some(root) = cache.read("root.json")? else {
            return Err(DeliveryError::new(
                ErrorCode::RepoUntrusted,
                format!("no root of the repository is trusted: {}", cache.path("root.json").display()),
                "add the repository with the fingerprint of its root",
            ));
        };
        Self::from_root(root, KnownState::read(cache)?, cache)
    }

    /// Returns the start of a check with a root that the user trusts.
    pub(super) fn from_root(root: Vec<u8>, known: KnownState, cache: &Cache) -> Result<Self, DeliveryError> {
        let parsed = parse_root(&root)?;
        let trusted = (Digest::of_bytes(&root), parsed.signed.version.get());
        let mut start = Self { root, trusted, known, checked: cache.list().map(|list| list.checked) };
        // Roots with another origin than the trusted one are not continued.
        let known = start.known.files.get(&root_name(trusted.1));
        if known.is_some_and(|text| Digest::of_bytes(text) == trusted.0) {
            start.root = newest_root(parsed, &start.known)?.unwrap_or(start.root);
        }
        Ok(start)
    }
}

/// Loads and verifies the metadata that `source` offers; the caller holds the lock `check`.
pub(super) fn load(
    cache: &Cache,
    start: &Start,
    source: &MetadataSource,
    repository: &str,
) -> Result<Verified, DeliveryError> {
    let workspace = cache.workspace()?;
    let put = |name: &str, text: &str| {
        let path = workspace.path().join(name);
        std::fs::write(&path, text).map_err(|error| cache::failed("write", &path, &error))
    };
    if let Some(text) = start.known.files.get("timestamp.json") {
        put("timestamp.json", text)?;
    }
    if let Some(text) = ending(&start.known.files, ".snapshot.json") {
        put("snapshot.json", text)?;
    }
    if let Some(time) = start.checked.and_then(|seconds| Time::from_second(seconds.cast_signed()).ok()) {
        put("latest_known_time.json", &format!("\"{time}\""))?;
    }
    let failed = |error: std::io::Error| cache::failed("use", workspace.path(), &error);
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(failed)?;
    // The source looks at the names of the files alone.
    let base =
        Url::parse("http://repository.invalid/").map_err(|_| failed(std::io::ErrorKind::Other.into()))?;
    let loaded = runtime.block_on(
        RepositoryLoader::new(&start.root, base.clone(), base)
            .transport(source.clone())
            .limits(Limits {
                max_root_size: LARGEST,
                max_targets_size: LARGEST,
                max_timestamp_size: LARGEST,
                max_snapshot_size: LARGEST,
                max_root_updates: MAX_ROOTS,
            })
            .datastore(workspace.path())
            .load(),
    );
    if let Some(failure) = source.failure() {
        return Err(failure);
    }
    if let Err(error) = loaded
        // The four roles are verified once a publisher's is requested.
        && !source.has_reached_roles()
    {
        return Err(refusal::explain(&error, start, source, repository));
    }
    let stored = |name: &str| std::fs::read(workspace.path().join(name)).map_err(failed);
    verified(start, source, repository, stored)
}

/// Continues with the files that tough has stored because they are verified.
fn verified(
    start: &Start,
    source: &MetadataSource,
    repository: &str,
    stored: impl Fn(&str) -> Result<Vec<u8>, DeliveryError>,
) -> Result<Verified, DeliveryError> {
    let root = parse_root(&stored("root.json")?)?.signed;
    let timestamp: Timestamp = parse("timestamp", &stored("timestamp.json")?)?.signed;
    let snapshot: Snapshot = parse("snapshot", &stored("snapshot.json")?)?.signed;
    let targets: Targets = parse("targets", &stored("targets.json")?)?.signed;
    let mut found = roles::verify(&snapshot, &targets, source, repository)?;
    let delegations = targets.delegations.as_ref();
    let mut known = KnownState {
        files: roots(start, source),
        delegations: roles::with_former(delegations, start.known.delegations.clone()),
    };
    known.files.extend(source.served().into_iter().filter(|(name, _)| !name.ends_with(".root.json")));
    known.files.append(&mut found.files);
    let expires = [root.expires(), timestamp.expires(), snapshot.expires(), targets.expires()];
    let publishers = found.accepted.iter().map(|publisher| publisher.targets.expires);
    Ok(Verified {
        known,
        trusted: start.trusted.0,
        root_version: root.version.get(),
        expires: expires.into_iter().chain(publishers).min().unwrap_or(root.expires),
        publishers: found.accepted,
        problems: found.problems,
    })
}

/// Returns every root from the trusted one on.
fn roots(start: &Start, source: &MetadataSource) -> MetadataFiles {
    let known = start.known.files.iter().filter(|(name, _)| name.ends_with(".root.json"));
    let continued = known.map(|(name, text)| (name.clone(), text.clone()));
    let mut roots: MetadataFiles = continued.collect();
    let trusted = root_name(start.trusted.1);
    if roots.get(&trusted).is_none_or(|text| Digest::of_bytes(text) != start.trusted.0) {
        roots.clear();
        roots.insert(trusted, String::from_utf8_lossy(&start.root).into_owned());
    }
    roots.extend(source.served().into_iter().filter(|(name, _)| name.ends_with(".root.json")));
    roots
}

/// Follows the stored roots from the trusted one on, and returns the last; `None` if there are no others.
fn newest_root(mut root: Signed<Root>, known: &KnownState) -> Result<Option<Vec<u8>>, DeliveryError> {
    let mut newest = None;
    while let Some(text) = known.files.get(&root_name(root.signed.version.get() + 1)) {
        let next = parse_root(text.as_bytes())?;
        if next.signed.version.get() != root.signed.version.get() + 1 || root.signed.verify_role(&next).is_err()
        {
            return Err(damaged());
        }
        (root, newest) = (next, Some(text.clone().into_bytes()));
    }
    Ok(newest)
}

fn root_name(version: u64) -> String {
    format!("{version}.root.json")
}

/// Makes the error of stored metadata that is not the one of a check.
fn damaged() -> DeliveryError {
    DeliveryError::new(
        ErrorCode::DeliveryCacheFailed,
        "the stored metadata of the repository is damaged: metadata.json",
        "remove the repository and add it again",
    )
}

/// Parses a root file.
pub(super) fn parse_root(bytes: &[u8]) -> Result<Signed<Root>, DeliveryError> {
    parse("root", bytes)
}

fn parse<T: serde::de::DeserializeOwned>(role: &str, bytes: &[u8]) -> Result<Signed<T>, DeliveryError> {
    serde_json::from_slice(bytes)
        .map_err(|error| not_metadata(format!("the {role} file of the repository cannot be read ({error})")))
}

fn not_metadata(summary: impl AsRef<str>) -> DeliveryError {
    DeliveryError::new(ErrorCode::RepoNotMetadata, summary, "check the address of the repository")
}

/// Returns the seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
