//! Checks a repository: signatures, digests, expiry, and what waits for the online key.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

use serde::Serialize;
use tough::{
    TargetName,
    schema::{RoleType, Root, Targets},
};

use super::{
    RepoSite,
    files::{self, failed},
    heads::Heads,
    publish::{Measured, now},
    publishers::remotes_of,
    rules,
    writer::top_keys,
};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    keys::{KeyId, hex},
    listing::{Release, Signer},
    release::{Description, FileContent},
};

/// The state of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteReport {
    /// Its roots, oldest first; the fingerprint of any of them can be trusted.
    pub roots: Vec<RootFile>,
    /// Its roles.
    pub roles: Vec<RoleState>,
    /// Its releases, and those that wait for the online key.
    pub releases: Vec<Release>,
    /// Files that wait for the online key.
    pub pending: Vec<PendingFile>,
    /// Faults; empty for a repository that clients accept.
    pub problems: Vec<DeliveryError>,
}

/// A root of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RootFile {
    /// Version.
    pub version: u64,
    /// Fingerprint.
    pub sha256: Digest,
}

/// A role, with its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleState {
    /// Name: `root`, `targets`, `snapshot`, `timestamp` or a publisher.
    pub name: String,
    /// Version of its metadata.
    pub version: u64,
    /// Time at which its metadata expires, in seconds since 1970.
    pub expires: i64,
    /// Identifiers of its keys.
    pub keys: Vec<String>,
    /// Number of keys that must sign.
    pub threshold: u64,
    /// Remotes of a publisher; `*` means every remote without another publisher.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<String>,
}

/// A file that waits for the online key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingFile {
    /// Name of its role.
    pub role: String,
    /// Version.
    pub version: u64,
}

impl RepoSite {
    /// Verifies all signatures and reads every target.
    ///
    /// # Errors
    /// Fails with `site-damaged` if the metadata that clients see does not verify; everything else is a problem in the
    /// report.
    pub fn check(&self) -> Result<SiteReport, DeliveryError> {
        self.expect_repository()?;
        let heads = {
            let _lock = self.folder.lock_shared(self.patience)?;
            Heads::load(&self.folder)?
        };
        let mut problems = heads.unusable.clone();
        let roles = roles(&heads)?;
        let now = i64::try_from(now()).unwrap_or(i64::MAX);
        for role in roles.iter().filter(|role| role.expires < now) {
            let text = format!("the metadata of `{}` has expired: {}", role.name, self.dir().display());
            let advice =
                "renew it with `pulse repo refresh` and the role's keys; clients take no updates until then";
            problems.push(DeliveryError::new(ErrorCode::RepoExpired, text, advice));
        }
        if !heads.targets.targets().targets.is_empty() {
            let text = "the list of publishers has releases of its own, which clients do not use";
            problems.push(files::damaged(text, &self.folder.metadata()));
        }
        let (mut releases, mut pending) = (Vec::new(), Vec::new());
        let delegations = heads.delegations();
        for (name, list) in &heads.publishers {
            if list.pending {
                pending.push(PendingFile { role: name.clone(), version: list.version() });
            }
            let Some(role) = delegations.roles.iter().find(|role| role.name == *name) else { continue };
            if !rules::owns_all(&delegations, role, list.targets()) {
                let text = format!("the publisher `{name}` lists releases of remotes that are not its own");
                let advice = "publish them with the key of their publisher";
                problems.push(DeliveryError::new(ErrorCode::ReleasePublisher, text, advice));
            }
            let keys: Vec<String> =
                list.signed.signatures.iter().map(|signature| hex(&signature.keyid)).collect();
            match rules::descriptions(list.targets()) {
                Err(error) => problems.push(error),
                Ok(all) => {
                    for (path, about) in all {
                        let target =
                            TargetName::new(path).ok().and_then(|path| list.targets().targets.get(&path));
                        let Some(download) = target.and_then(rules::content_of) else { continue };
                        let signer = Signer { role: name.clone(), keys: keys.clone() };
                        releases.push(Release { about, download, signer });
                    }
                }
            }
            problems.extend(self.check_targets(list.targets()));
        }
        if heads.targets.pending {
            pending.push(PendingFile { role: "targets".to_owned(), version: heads.targets.version() });
        }
        let order = |release: &Release| {
            let Description { name, version, platform, .. } = &release.about;
            (name.clone(), version.clone(), platform.clone())
        };
        releases.sort_by_cached_key(order);
        let roots = heads
            .roots
            .iter()
            .map(|(root, sha256)| RootFile { version: root.signed.version.get(), sha256: *sha256 });
        Ok(SiteReport { roots: roots.collect(), roles, releases, pending, problems })
    }

    /// Reads every target of a list.
    fn check_targets(&self, list: &Targets) -> Vec<DeliveryError> {
        // A wrong description is reported once.
        let all = rules::descriptions(list).unwrap_or_default();
        let mut problems = Vec::new();
        for (path, target) in rules::sorted(list) {
            let Some(signed) = rules::content_of(target) else { continue };
            let place = self.folder.target(path, &signed.sha256);
            let library = all.get(path).map(|about| &about.library);
            let checked = match files::open(&place) {
                Ok(Some(file)) => check_file(&file, &signed, library).map_err(|error| failed(&place, &error)),
                Ok(None) => Ok(Some((ErrorCode::ReleaseLength, "a file of a release is missing"))),
                Err(error) => Err(error),
            };
            match checked {
                Ok(None) => {}
                Ok(Some((code, text))) => {
                    let advice = "restore the file from a copy of the repository";
                    problems.push(DeliveryError::new(code, format!("{text}: {}", place.display()), advice));
                }
                Err(error) => problems.push(error),
            }
        }
        problems
    }
}

/// Reads a target, and unpacks it if it is a library. Returns the fault.
fn check_file(
    file: &File,
    signed: &FileContent,
    library: Option<&FileContent>,
) -> io::Result<Option<(ErrorCode, &'static str)>> {
    let mut all = Measured::new(io::sink());
    let mut raw = BufReader::new(file).take(signed.length + 1);
    io::copy(&mut raw, &mut all)?;
    let (_, found) = all.finish();
    if found.length != signed.length {
        return Ok(Some((ErrorCode::ReleaseLength, "a file has another length than signed")));
    }
    if found.sha256 != signed.sha256 {
        return Ok(Some((ErrorCode::ReleaseDigest, "a file has another digest than signed")));
    }
    let Some(library) = library else { return Ok(None) };
    io::Seek::rewind(&mut &*file)?;
    let mut unpacked = Measured::new(io::sink());
    let unpacking = zstd::stream::read::Decoder::new(file)
        .and_then(|decoder| io::copy(&mut decoder.take(library.length + 1), &mut unpacked));
    let (_, found) = unpacked.finish();
    Ok((unpacking.is_err() || found != *library)
        .then_some((ErrorCode::ReleaseUnpacked, "a library unpacks to other content than signed")))
}

/// Describes every role.
pub(super) fn roles(heads: &Heads) -> Result<Vec<RoleState>, DeliveryError> {
    let root = heads.root();
    let hexes = |ids: &[KeyId]| ids.iter().map(|id| hex(id)).collect();
    let top = |name: &str, role: RoleType, version: u64, expires: jiff::Timestamp| {
        let keys = top_keys(root, role)?;
        Ok::<_, DeliveryError>(RoleState {
            name: name.to_owned(),
            version,
            expires: expires.as_second(),
            keys: hexes(&keys.keyids),
            threshold: keys.threshold.get(),
            remotes: Vec::new(),
        })
    };
    let Root { version, expires, .. } = root;
    let (targets, snapshot, timestamp) =
        (heads.targets.targets(), &heads.snapshot.signed, &heads.timestamp.signed);
    let mut roles = vec![
        top("root", RoleType::Root, version.get(), *expires)?,
        top("targets", RoleType::Targets, targets.version.get(), targets.expires)?,
        top("snapshot", RoleType::Snapshot, snapshot.version.get(), snapshot.expires)?,
        top("timestamp", RoleType::Timestamp, timestamp.version.get(), timestamp.expires)?,
    ];
    for role in &heads.delegations().roles {
        let Some(list) = heads.publishers.get(&role.name) else { continue };
        roles.push(RoleState {
            name: role.name.clone(),
            version: list.version(),
            expires: list.targets().expires.as_second(),
            keys: hexes(&role.keyids),
            threshold: role.threshold.get(),
            remotes: remotes_of(&role.paths),
        });
    }
    Ok(roles)
}
