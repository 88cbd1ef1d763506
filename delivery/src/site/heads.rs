//! The state of a repository: the metadata that clients see, and newer files that wait for the online key.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use tough::schema::{
    DelegatedRole, Delegations, Hashes, Metafile, Role, Root, Signed, Snapshot, Targets, Timestamp,
};

use super::{
    files::{MAX_LIST, MAX_ROOT, SiteFolder, damaged},
    rules::{self, RemoteNames},
};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    release::FileContent,
};

/// Maximum number of roots that clients follow from one that they trust.
const MAX_ROOTS: usize = 1_024;

/// A list of targets in a file.
#[derive(Clone, Debug)]
pub(super) struct StoredList {
    pub(super) signed: Signed<Targets>,
    pub(super) content: FileContent,
    /// `true` if the snapshot does not list this version yet.
    pub(super) pending: bool,
}

impl StoredList {
    fn new(signed: Signed<Targets>, bytes: &[u8], pending: bool) -> Self {
        Self { signed, content: content(bytes), pending }
    }

    pub(super) fn targets(&self) -> &Targets {
        &self.signed.signed
    }

    pub(super) fn version(&self) -> u64 {
        self.targets().version.get()
    }

    /// Returns its entry in a snapshot.
    pub(super) fn metafile(&self) -> Metafile {
        metafile(&self.content, self.targets().version)
    }
}

/// The newest usable metadata of a repository, verified.
#[derive(Debug)]
pub(super) struct Heads {
    /// Every root, oldest first, with its fingerprint; never empty.
    pub(super) roots: Vec<(Signed<Root>, Digest)>,
    pub(super) timestamp: Signed<Timestamp>,
    pub(super) snapshot: Signed<Snapshot>,
    pub(super) targets: StoredList,
    /// The lists of publishers, by role.
    pub(super) publishers: BTreeMap<String, StoredList>,
    /// Newer files that cannot be used, with the reason.
    pub(super) unusable: Vec<DeliveryError>,
}

impl Heads {
    /// Reads and verifies the state.
    ///
    /// # Errors
    /// Fails with `site-missing` for a folder without a repository, and with `site-damaged` if what clients see does
    /// not verify.
    pub(super) fn load(folder: &SiteFolder) -> Result<Self, DeliveryError> {
        let roots = roots(folder)?;
        let Some((root, _)) = roots.last() else { return Err(missing(folder)) };
        let root = &root.signed;
        let path = |name: &str| folder.metadata().join(name);
        let (timestamp, _) = verified::<Timestamp>(folder, root, "timestamp.json", MAX_ROOT)?;
        let meta = timestamp.signed.meta.get("snapshot.json");
        let meta = meta.ok_or_else(|| damaged("it names no snapshot", &path("timestamp.json")))?;
        let name = format!("{}.snapshot.json", meta.version);
        let (snapshot, bytes) = verified::<Snapshot>(folder, root, &name, MAX_LIST)?;
        if !is_described(meta, &bytes) || snapshot.signed.version != meta.version {
            return Err(damaged("this is not the snapshot that the timestamp names", &path(&name)));
        }
        let listed = |role: &str| snapshot.signed.meta.get(&format!("{role}.json"));
        let meta = listed("targets").ok_or_else(|| damaged("it lists no `targets.json`", &path(&name)))?;
        let name = format!("{}.targets.json", meta.version);
        let (signed, bytes) = verified::<Targets>(folder, root, &name, MAX_LIST)?;
        if !is_described(meta, &bytes) || signed.signed.version != meta.version {
            return Err(damaged("this is not the file that the snapshot lists", &path(&name)));
        }
        let targets = StoredList::new(signed, &bytes, false);
        let delegations = delegations(targets.targets());
        let mut publishers = BTreeMap::new();
        for role in &delegations.roles {
            if !rules::is_publisher(&role.name) {
                return Err(damaged("it has a publisher whose name is not allowed", &path(&name)));
            }
            let missing = || damaged("the snapshot does not list this publisher", &path(&role.name));
            let meta = listed(&role.name).ok_or_else(missing)?;
            let name = format!("{}.{}.json", meta.version, role.name);
            let (signed, bytes) = read::<Targets>(folder, &name, MAX_LIST)?;
            if !is_described(meta, &bytes) || signed.signed.version != meta.version {
                return Err(damaged("this is not the file that the snapshot lists", &path(&name)));
            }
            delegations.verify_role(&signed, &role.name).map_err(|_| unsigned(folder, &name))?;
            publishers.insert(role.name.clone(), StoredList::new(signed, &bytes, false));
        }
        let mut heads = Self { roots, timestamp, snapshot, targets, publishers, unusable: Vec::new() };
        heads.overlay(folder)?;
        Ok(heads)
    }

    /// Returns the newest root.
    pub(super) fn root(&self) -> &Root {
        &self.roots[self.roots.len() - 1].0.signed
    }

    /// Returns the delegations of the newest list of publishers.
    pub(super) fn delegations(&self) -> Delegations {
        delegations(self.targets.targets())
    }

    /// Returns the names of all published remotes.
    pub(super) fn names(&self) -> RemoteNames {
        let mut names = RemoteNames::default();
        self.publishers.values().for_each(|list| names.add(list.targets()));
        names
    }

    /// Returns the delegation of a publisher.
    pub(super) fn delegation(&self, name: &str) -> Option<DelegatedRole> {
        self.delegations().roles.into_iter().find(|role| role.name == name)
    }

    /// Returns `true` if a file waits for the online key.
    pub(super) fn has_pending(&self) -> bool {
        self.targets.pending || self.publishers.values().any(|list| list.pending)
    }

    /// Returns the version of a role that the snapshot lists; 0 for a new one.
    pub(super) fn listed(&self, role: &str) -> u64 {
        self.snapshot.signed.meta.get(&format!("{role}.json")).map_or(0, |meta| meta.version.get())
    }

    /// Replaces lists by newer files that are signed as required and keep the rules: together, or not at all.
    fn overlay(&mut self, folder: &SiteFolder) -> Result<(), DeliveryError> {
        let versions = folder.versions()?;
        let newer = |role: &str, listed: u64| -> Vec<u64> {
            let all = versions.get(role).into_iter().flatten().rev();
            all.copied().take_while(|version| *version > listed).collect()
        };
        let mut candidates = Vec::new();
        for version in newer("targets", self.targets.version()) {
            let name = format!("{version}.targets.json");
            match verified::<Targets>(folder, self.root(), &name, MAX_LIST) {
                Ok((signed, bytes)) if signed.signed.version.get() == version => {
                    candidates.push(StoredList::new(signed, &bytes, true));
                }
                Ok(_) => self.reject(&damaged("its name has another version", &folder.metadata().join(name))),
                Err(error) => self.reject(&error),
            }
        }
        candidates.push(self.targets.clone());
        for targets in candidates {
            let delegations = delegations(targets.targets());
            let mut names = self.names();
            let mut publishers = BTreeMap::new();
            let mut missing = None;
            for role in &delegations.roles {
                let listed = self.listed(&role.name);
                let usable = newer(&role.name, listed).into_iter().find_map(|version| {
                    let list = self.pending_list(folder, &delegations, role, &names, version);
                    list.map_err(|error| self.reject(&error)).ok()
                });
                let current = || {
                    let list = self.publishers.get(&role.name)?;
                    delegations.verify_role(&list.signed, &role.name).is_ok().then(|| list.clone())
                };
                match usable.or_else(current) {
                    Some(list) if !targets.pending || rules::owns_all(&delegations, role, list.targets()) => {
                        names.add(list.targets());
                        publishers.insert(role.name.clone(), list);
                    }
                    _ => missing = Some(role.name.clone()),
                }
            }
            match missing {
                None => {
                    (self.targets, self.publishers) = (targets, publishers);
                    return Ok(());
                }
                Some(role) => {
                    let name = format!("{}.targets.json", targets.version());
                    let text = format!("the list of the publisher `{role}` does not fit to this file yet");
                    self.reject(&damaged(&text, &folder.metadata().join(name)));
                }
            }
        }
        // The last candidate is what clients see.
        Ok(())
    }

    /// Notes the reason why a newer file is not used.
    fn reject(&mut self, error: &DeliveryError) {
        let advice = "do what was interrupted again, with the same keys; clients do not see this file";
        let error = DeliveryError::new(error.code, format!("a newer file is not used: {error}"), advice);
        if !self.unusable.contains(&error) {
            self.unusable.push(error);
        }
    }

    /// Reads a publisher's newer list, and checks all that a client would.
    fn pending_list(
        &self,
        folder: &SiteFolder,
        delegations: &Delegations,
        role: &DelegatedRole,
        names: &RemoteNames,
        version: u64,
    ) -> Result<StoredList, DeliveryError> {
        let name = &format!("{version}.{}.json", role.name);
        let (signed, bytes) = read::<Targets>(folder, name, MAX_LIST)?;
        if signed.signed.version.get() != version {
            return Err(damaged("its name has another version", &folder.metadata().join(name)));
        }
        delegations.verify_role(&signed, &role.name).map_err(|_| unsigned(folder, name))?;
        let current = self.publishers.get(&role.name).map(StoredList::targets);
        rules::check_list(folder, delegations, role, names, current, &signed.signed)?;
        Ok(StoredList::new(signed, &bytes, true))
    }
}

/// Returns the error for a folder without a repository.
pub(super) fn missing(folder: &SiteFolder) -> DeliveryError {
    let text = format!("the folder holds no repository: {}", folder.dir().display());
    let advice = "name the repository's folder, or make one with `pulse repo init`";
    DeliveryError::new(ErrorCode::SiteMissing, text, advice)
}

/// Reads every root, and checks the chain of signatures.
fn roots(folder: &SiteFolder) -> Result<Vec<(Signed<Root>, Digest)>, DeliveryError> {
    let mut roots: Vec<(Signed<Root>, Digest)> = Vec::new();
    while roots.len() < MAX_ROOTS {
        let name = format!("{}.root.json", roots.len() + 1);
        let Some(bytes) = folder.read(&name, MAX_ROOT)? else { break };
        let signed: Signed<Root> = parse(folder, &name, &bytes)?;
        let signers = roots.last().map_or(&signed, |(root, _)| root);
        let verifies = signers.signed.verify_role(&signed).and_then(|()| signed.signed.verify_role(&signed));
        if verifies.is_err() {
            return Err(unsigned(folder, &name));
        }
        if signed.signed.version.get() != roots.len() as u64 + 1 || !signed.signed.consistent_snapshot {
            return Err(damaged("this root is not one of Pulse's", &folder.metadata().join(name)));
        }
        roots.push((signed, Digest::of_bytes(&bytes)));
    }
    Ok(roots)
}

/// Returns the delegations of a list; without any, an empty set.
pub(super) fn delegations(targets: &Targets) -> Delegations {
    targets.delegations.clone().unwrap_or_default()
}

/// Returns the entry of a file in a snapshot or timestamp.
pub(super) fn metafile(content: &FileContent, version: std::num::NonZeroU64) -> Metafile {
    let hex = content.sha256.to_string();
    let sha256 = (0..hex.len()).step_by(2).filter_map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok());
    let hashes = Hashes { sha256: sha256.collect::<Vec<u8>>().into(), _extra: [].into() };
    Metafile { length: Some(content.length), hashes: Some(hashes), version, _extra: [].into() }
}

/// Computes digest and length.
pub(super) fn content(bytes: &[u8]) -> FileContent {
    FileContent { sha256: Digest::of_bytes(bytes), length: bytes.len() as u64 }
}

fn is_described(meta: &Metafile, bytes: &[u8]) -> bool {
    let digest = |hashes: &Hashes| Digest::of_bytes(bytes).to_string() == crate::keys::hex(&hashes.sha256);
    meta.length == Some(bytes.len() as u64) && meta.hashes.as_ref().is_some_and(digest)
}

fn verified<T: Role + Serialize + DeserializeOwned>(
    folder: &SiteFolder,
    root: &Root,
    name: &str,
    limit: u64,
) -> Result<(Signed<T>, Vec<u8>), DeliveryError> {
    let (signed, bytes) = read(folder, name, limit)?;
    root.verify_role(&signed).map_err(|_| unsigned(folder, name))?;
    Ok((signed, bytes))
}

fn read<T: DeserializeOwned>(
    folder: &SiteFolder,
    name: &str,
    limit: u64,
) -> Result<(Signed<T>, Vec<u8>), DeliveryError> {
    let bytes = folder.read(name, limit)?;
    let bytes = bytes.ok_or_else(|| damaged("a file is missing", &folder.metadata().join(name)))?;
    Ok((parse(folder, name, &bytes)?, bytes))
}

fn parse<T: DeserializeOwned>(
    folder: &SiteFolder,
    name: &str,
    bytes: &[u8],
) -> Result<Signed<T>, DeliveryError> {
    let wrong = |error| damaged(&format!("a file is not metadata ({error})"), &folder.metadata().join(name));
    serde_json::from_slice(bytes).map_err(wrong)
}

fn unsigned(folder: &SiteFolder, name: &str) -> DeliveryError {
    damaged("a file is not signed as required", &folder.metadata().join(name))
}
