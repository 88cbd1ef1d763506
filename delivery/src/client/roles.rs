//! Verifies the role of each publisher.
//!
//! A file that contradicts the snapshot fails the check: the server is at fault. A file that the snapshot describes but
//! whose content is invalid is its publisher's fault: this publisher is left out, and the others remain.

use std::collections::BTreeSet;

use jiff::Timestamp as Time;
use tough::{
    TargetName,
    schema::{DelegatedRole, Delegations, Metafile, PathSet, Signed, Snapshot, Targets},
};

use super::{
    refusal, signatures,
    source::{MAX_OTHERS, MetadataFiles, MetadataSource, digest},
};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    listing::Problem,
    release::ReleasePath,
};

/// The verified role of a publisher.
pub(super) struct Publisher {
    /// The delegation to this role alone.
    delegation: Delegations,
    pub(super) targets: Targets,
    /// Identifiers of the keys whose signatures are valid.
    pub(super) keys: Vec<String>,
}

/// The publishers of a repository.
#[derive(Default)]
pub(super) struct Publishers {
    pub(super) accepted: Vec<Publisher>,
    pub(super) problems: Vec<Problem>,
    pub(super) files: MetadataFiles,
}

impl Publisher {
    /// Returns the delegation.
    pub(super) fn role(&self) -> &DelegatedRole {
        &self.delegation.roles[0]
    }

    /// Returns `true` if the publisher may list a path.
    pub(super) fn covers(&self, path: &TargetName) -> bool {
        self.delegation.target_is_delegated(path)
    }
}

/// Fetches and verifies the roles that `targets` delegates to.
pub(super) fn verify(
    snapshot: &Snapshot,
    targets: &Targets,
    source: &MetadataSource,
    repository: &str,
) -> Result<Publishers, DeliveryError> {
    let mut found = Publishers::default();
    let Some(delegations) = &targets.delegations else { return Ok(found) };
    for role in &delegations.roles {
        // A role that the snapshot lacks has published nothing yet; tough has refused a snapshot that drops one.
        let Some(described) = snapshot.meta.get(&format!("{}.json", role.name)) else { continue };
        if !is_name(&role.name) {
            let error = invalid(&role.name, "its name is not allowed", repository);
            found.problems.push(problem(role, error));
            continue;
        }
        let file = format!("{}.{}.json", described.version, role.name);
        // A publisher decides about the length of its file; without a stated one, only the transfer shows it.
        let is_too_large =
            |error: &DeliveryError| described.length.is_none() && error.code == ErrorCode::RepoTooLarge;
        let fetched = match described.length {
            Some(length) if length > MAX_OTHERS => Err(too_large(&role.name, repository)),
            _ => source.role(&file, described),
        };
        let bytes = match fetched {
            Ok(Some(bytes)) => bytes,
            // The last check has left it out.
            Ok(None) if source.is_stored() => {
                found.problems.push(problem(role, too_large(&role.name, repository)));
                continue;
            }
            Ok(None) => return Err(refusal::missing(&file, repository)),
            Err(error) if is_too_large(&error) || described.length > Some(MAX_OTHERS) => {
                found.problems.push(problem(role, error));
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_described = digest(described).is_none_or(|digest| digest == Digest::of_bytes(&bytes));
        if !is_described || described.length.is_some_and(|length| length != bytes.len() as u64) {
            return Err(refusal::mixed(&format!("metadata/{file}"), repository));
        }
        match check(role, delegations, described, &bytes, source, repository) {
            Ok(publisher) => found.accepted.push(publisher),
            Err(error) => found.problems.push(problem(role, error)),
        }
        found.files.insert(file, String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(found)
}

fn check(
    role: &DelegatedRole,
    delegations: &Delegations,
    described: &Metafile,
    bytes: &[u8],
    source: &MetadataSource,
    repository: &str,
) -> Result<Publisher, DeliveryError> {
    let name = &role.name;
    let signed: Signed<Targets> = match serde_json::from_slice(bytes) {
        Ok(signed) => signed,
        Err(error) => {
            refused_path(bytes)?;
            return Err(invalid(name, &format!("its file cannot be read ({error})"), repository));
        }
    };
    if delegations.verify_role(&signed, name).is_err() {
        let valid = signatures::of_delegation(delegations, name, &signed);
        let before = signatures::of_delegation(&source.known().delegations, name, &signed);
        let (what, threshold) = (format!("the file of the publisher `{name}`"), role.threshold.get());
        return Err(signatures::insufficient(&what, &valid, &before, threshold, repository));
    }
    if signed.signed.version != described.version {
        return Err(refusal::mixed(&format!("the file of the publisher `{name}`"), repository));
    }
    if signed.signed.expires < Time::now() {
        let since = format!(" since {}", signed.signed.expires);
        return Err(refusal::expired(&format!("the file of the publisher `{name}`"), &since, repository));
    }
    let keys = signatures::of_delegation(delegations, name, &signed);
    let delegation = Delegations { roles: vec![role.clone()], ..Delegations::default() };
    Ok(Publisher { delegation, targets: signed.signed, keys: keys.into_iter().collect() })
}

/// Returns the present delegations with all former keys.
pub(super) fn with_former(present: Option<&Delegations>, mut former: Delegations) -> Delegations {
    for role in present.into_iter().flat_map(|present| &present.roles) {
        match former.roles.iter_mut().find(|known| known.name == role.name) {
            Some(known) => {
                let added: Vec<_> =
                    role.keyids.iter().filter(|key| !known.keyids.contains(key)).cloned().collect();
                known.keyids.extend(added);
            }
            None => former.roles.push(DelegatedRole { targets: None, ..role.clone() }),
        }
    }
    former.keys.extend(present.into_iter().flat_map(|present| present.keys.clone()));
    former
}

/// Fails for a file that lists a path which tough does not even read.
fn refused_path(bytes: &[u8]) -> Result<(), DeliveryError> {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return Ok(()) };
    let paths = value.pointer("/signed/targets").and_then(|targets| targets.as_object());
    paths.into_iter().flatten().try_for_each(|(path, _)| ReleasePath::parse(path).map(drop))
}

/// Returns `true` for a name that may be part of a file's name.
fn is_name(name: &str) -> bool {
    // A dot separates the parts of a file's name.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && !["root", "snapshot", "targets", "timestamp"].contains(&name)
}

fn invalid(name: &str, reason: &str, repository: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::ReleaseInvalid,
        format!("the publisher `{name}` is left out, because {reason}: {repository}"),
        "ask the publisher to publish again",
    )
}

fn too_large(name: &str, repository: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::RepoTooLarge,
        format!("the publisher `{name}` is left out, because its file is too large: {repository}"),
        "ask the publisher to remove old releases",
    )
}

/// Makes the problem of a whole publisher.
pub(super) fn problem(role: &DelegatedRole, error: DeliveryError) -> Problem {
    let patterns = match &role.paths {
        PathSet::Paths(patterns) => patterns.as_slice(),
        PathSet::PathHashPrefixes(_) => &[],
    };
    let name = |pattern: &str| {
        let name = pattern.split_once('/')?.0;
        // The characters that `path_pattern` escapes.
        Some(name.replace("[[]", "[").replace("[{]", "{").replace("[}]", "}"))
    };
    let names: BTreeSet<String> = patterns.iter().filter_map(|pattern| name(pattern.value())).collect();
    Problem { role: role.name.clone(), names: names.into_iter().collect(), error }
}
