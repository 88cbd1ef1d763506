//! Obtains the manifests of releases.

use std::{collections::BTreeSet, time::Instant};

use negotiation::manifest::RemoteManifest;
use semver::Version;

use super::Client;
use crate::{
    Digest, cache,
    error::{DeliveryError, ErrorCode},
    listing::{Listing, Problem, Release},
    release::Wanted,
};

/// The largest number of versions to return to, for each remote.
const MAX_RETURNS: usize = 8;

/// Obtains the manifest of each release that `wanted` chooses, and of each that a withdrawn one names.
///
/// A release without a usable manifest is left out of the list, and another one is chosen. Afterwards the manifest of
/// every chosen release is in the cache.
pub(super) fn obtain(
    client: &Client,
    list: &mut Listing,
    wanted: &[Wanted],
    until: Instant,
) -> Result<(), DeliveryError> {
    for wanted in wanted {
        while let Ok(release) = list.choose(wanted).cloned() {
            if is_obtained(client, list, &release, until)? {
                break;
            }
        }
        for version in returns(list, wanted) {
            if let Some(release) = list.find(wanted, &version).cloned() {
                is_obtained(client, list, &release, until)?;
            }
        }
    }
    Ok(())
}

/// Returns the versions that withdrawn releases of a remote name, the newest first.
fn returns(list: &Listing, wanted: &Wanted) -> Vec<Version> {
    let of = list.releases.iter().map(|release| &release.about);
    let of = of.filter(|about| about.name == wanted.name && about.platform == wanted.platform);
    let versions: BTreeSet<&Version> =
        of.filter_map(|about| about.withdrawn.as_ref()?.return_to.as_ref()).collect();
    versions.into_iter().rev().take(MAX_RETURNS).cloned().collect()
}

/// Obtains the manifest of a release, or leaves the release out of the list.
fn is_obtained(
    client: &Client,
    list: &mut Listing,
    release: &Release,
    until: Instant,
) -> Result<bool, DeliveryError> {
    use ErrorCode as Code;
    let Err(error) = read(client, release, until) else { return Ok(true) };
    // Anything else is a fault of the network or the cache.
    if !matches!(
        error.code,
        Code::RepoNotFound
            | Code::RepoDenied
            | Code::ReleaseLength
            | Code::ReleaseDigest
            | Code::ReleaseInvalid
    ) {
        return Err(error);
    }
    let manifest = |release: &Release| (release.about.name.clone(), release.about.manifest.sha256);
    list.releases.retain(|other| manifest(other) != manifest(release));
    let names = vec![release.about.name.clone()];
    list.problems.push(Problem { role: release.signer.role.clone(), names, error });
    Ok(false)
}

/// Returns the manifest of a release, from the cache or the repository.
pub(super) fn read(client: &Client, release: &Release, until: Instant) -> Result<Vec<u8>, DeliveryError> {
    let about = &release.about;
    let path = client.cache.manifest(about.manifest.sha256);
    if let Some(bytes) = cache::read(&path, about.manifest.length)?
        && Digest::of_bytes(&bytes) == about.manifest.sha256
    {
        return Ok(bytes);
    }
    let refused = |code, reason: &str| {
        let (name, version) = (&about.name, &about.version);
        let summary = format!("the manifest of `{name}` {version} {reason}: {}", client.repository);
        DeliveryError::new(code, summary, "ask the publisher to publish again")
    };
    let longer = || refused(ErrorCode::ReleaseLength, "is longer or shorter than signed");
    let file = format!("{}.manifest.json", about.manifest.sha256);
    let parts = ["targets", &about.name, &about.version.to_string(), &file];
    let body = match client.link.fetch(&parts, about.manifest.length, until) {
        Ok(Some(body)) => body.bytes,
        Ok(None) => return Err(refused(ErrorCode::RepoNotFound, "is missing on the server")),
        Err(error) if error.code == ErrorCode::RepoTooLarge => return Err(longer()),
        Err(error) => return Err(error),
    };
    if body.len() as u64 != about.manifest.length {
        return Err(longer());
    }
    if Digest::of_bytes(&body) != about.manifest.sha256 {
        return Err(refused(ErrorCode::ReleaseDigest, "has another digest than signed"));
    }
    let manifest = RemoteManifest::from_slice(&body)
        .map_err(|error| refused(ErrorCode::ReleaseInvalid, &format!("cannot be read ({error})")))?;
    if (&manifest.name, &manifest.version) != (&about.name, &about.version) {
        return Err(refused(ErrorCode::ReleaseInvalid, "is that of another remote or version"));
    }
    cache::replace(&path, &body, false)?;
    Ok(body)
}
