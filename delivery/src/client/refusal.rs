//! Explains why metadata is refused.

use std::{collections::BTreeSet, error::Error as _};

use tough::{
    TransportErrorKind,
    error::Error,
    schema::{self, Role, RoleType, Root, Signed, Snapshot, Targets, Timestamp},
};

use super::{
    load::{Start, ending, parse_root},
    signatures,
    source::{MetadataFiles, MetadataSource},
};
use crate::error::{DeliveryError, ErrorCode};

/// Returns the error of a check that tough has refused.
pub(super) fn explain(
    error: &Error,
    start: &Start,
    source: &MetadataSource,
    repository: &str,
) -> DeliveryError {
    let refused = |code, what: String, advice: &'static str| {
        DeliveryError::new(code, format!("{what}: {repository}"), advice)
    };
    match error {
        Error::ExpiredMetadata { role, .. } => {
            let since = expiry(*role, start, source).map(|time| format!(" since {time}")).unwrap_or_default();
            expired(&format!("the {role} file"), &since, repository)
        }
        Error::OlderMetadata { role, current_version, new_version, .. } => refused(
            ErrorCode::RepoRollback,
            format!("the server offers the {role} file {new_version}, but {current_version} was seen before"),
            OLDER,
        ),
        Error::OlderSnapshotInTimestamp { .. }
        | Error::SnapshotRoleMissing { .. }
        | Error::SnapshotRoleRollback { .. } => {
            refused(ErrorCode::RepoRollback, format!("the server offers older metadata ({error})"), OLDER)
        }
        Error::VersionMismatch { role, .. } => mixed(&format!("the {role} file"), repository),
        Error::Transport { url, source: transport, .. } => {
            let file = url.path().trim_start_matches('/');
            match transport.source().and_then(|cause| cause.downcast_ref::<Error>()) {
                Some(Error::HashMismatch { .. } | Error::MaxSizeExceeded { .. }) => mixed(file, repository),
                _ if transport.kind() == TransportErrorKind::FileNotFound => missing(file, repository),
                _ => not_metadata(error, repository),
            }
        }
        Error::MaxUpdatesExceeded { max_root_updates, .. } => refused(
            ErrorCode::RepoTooLarge,
            format!("the server offers more than {max_root_updates} new roots"),
            "ask the repository's owner to check the server",
        ),
        Error::VerifyMetadata { role, source: schema::Error::SignatureThreshold { threshold, .. }, .. } => {
            signature(*role, *threshold, start, source, repository)
        }
        Error::VerifyTrustedMetadata { .. } => {
            signature(RoleType::Root, threshold(&start.root), start, source, repository)
        }
        Error::VerifyMetadata { role, .. } => {
            let none = BTreeSet::new();
            signatures::insufficient(&format!("the {role} file"), &none, &none, 1, repository)
        }
        Error::SystemTimeSteppedBackward { latest_known_time, .. } => refused(
            ErrorCode::RepoClock,
            format!("this machine's clock shows a time before the last check ({latest_known_time})"),
            "set the clock, then try again",
        ),
        Error::DatastoreInit { .. }
        | Error::DatastoreCreate { .. }
        | Error::DatastoreOpen { .. }
        | Error::DatastoreRemove { .. } => DeliveryError::new(
            ErrorCode::DeliveryCacheFailed,
            format!("cannot use the cache ({error})"),
            "check the disk, then try again",
        ),
        _ => not_metadata(error, repository),
    }
}

const OLDER: &str = "an attacker or an old mirror may be the cause; what is installed stays";

/// Makes the error of an expired file; `since` starts with a blank, or is empty.
pub(super) fn expired(what: &str, since: &str, repository: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::RepoExpired,
        format!("{what} of the repository has expired{since}: {repository}"),
        "the repository's owner must renew it; what is installed stays",
    )
}

/// Makes the error of a file that another one describes differently.
pub(super) fn mixed(what: &str, repository: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::RepoMixed,
        format!("{what} does not belong to the state that the repository states: {repository}"),
        "try again later; a mirror may be copying",
    )
}

/// Makes the error of a file that another one names.
pub(super) fn missing(file: &str, repository: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::RepoNotFound,
        format!("the server has no file metadata/{file}: {repository}"),
        "check the address of the repository",
    )
}

fn not_metadata(error: &Error, repository: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::RepoNotMetadata,
        format!("the metadata cannot be read ({error}): {repository}"),
        "check the address of the repository",
    )
}

fn expiry(role: RoleType, start: &Start, source: &MetadataSource) -> Option<jiff::Timestamp> {
    fn of<T: Role + serde::de::DeserializeOwned>(text: &str) -> Option<jiff::Timestamp> {
        Some(serde_json::from_str::<Signed<T>>(text).ok()?.signed.expires())
    }
    let served = source.served();
    match role {
        RoleType::Root => roots(start, &served).last().map(|root| root.signed.expires),
        RoleType::Timestamp => of::<Timestamp>(ending(&served, "timestamp.json")?),
        RoleType::Snapshot => of::<Snapshot>(ending(&served, ".snapshot.json")?),
        RoleType::Targets | RoleType::DelegatedTargets => of::<Targets>(ending(&served, ".targets.json")?),
    }
}

/// Returns every root that was read, by version.
fn roots(start: &Start, served: &MetadataFiles) -> Vec<Signed<Root>> {
    let known = start.known.files.values().chain(served.values());
    let known = known.filter_map(|text| serde_json::from_str::<Signed<Root>>(text).ok());
    let mut roots: Vec<_> = known.chain(parse_root(&start.root)).collect();
    roots.sort_by_key(|root| root.signed.version);
    roots.dedup();
    roots
}

fn threshold(root: &[u8]) -> u64 {
    let root = parse_root(root).ok();
    let keys = root.and_then(|mut root| root.signed.roles.remove(&RoleType::Root));
    keys.map_or(1, |keys| keys.threshold.get())
}

fn signature(
    role: RoleType,
    threshold: u64,
    start: &Start,
    source: &MetadataSource,
    repository: &str,
) -> DeliveryError {
    fn keys<T: Role + Clone + serde::de::DeserializeOwned>(
        text: Option<&str>,
        roots: &[Signed<Root>],
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let role = text.and_then(|text| serde_json::from_str::<Signed<T>>(text).ok());
        let (Some(role), Some((present, before))) = (role, roots.split_last()) else {
            return Default::default();
        };
        let before = before.iter().flat_map(|root| signatures::of_root(&root.signed, &role)).collect();
        (signatures::of_root(&present.signed, &role), before)
    }
    let served = source.served();
    let mut roots = roots(start, &served);
    let (valid, before) = match role {
        RoleType::Root => {
            // The refused root is the last one, unless it is the trusted one.
            let refused = roots.pop().and_then(|root| serde_json::to_string(&root).ok());
            keys::<Root>(refused.as_deref(), &roots)
        }
        RoleType::Timestamp => keys::<Timestamp>(ending(&served, "timestamp.json"), &roots),
        RoleType::Snapshot => keys::<Snapshot>(ending(&served, ".snapshot.json"), &roots),
        RoleType::Targets | RoleType::DelegatedTargets => {
            keys::<Targets>(ending(&served, ".targets.json"), &roots)
        }
    };
    signatures::insufficient(&format!("the {role} file"), &valid, &before, threshold, repository)
}
