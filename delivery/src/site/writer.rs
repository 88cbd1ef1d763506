//! Changes of a repository: signs new metadata and writes it, the timestamp last.

use std::num::NonZeroU64;

use jiff::{SignedDuration, Timestamp as Time};
use serde::Serialize;
use tough::schema::{Role, RoleKeys, RoleType, Root, Signature, Signed, Snapshot, Targets, Timestamp};

use super::{
    RepoSite,
    files::{MAX_LIST, MAX_ROOT, SiteFolder, SiteLock, sync_folder},
    heads::{Heads, StoredList, content, metafile},
};
use crate::{
    error::{DeliveryError, ErrorCode},
    keys::{KeyId, KeyRing, SigningKey, short},
};

/// The version of The Update Framework.
pub(super) const SPEC: &str = "1.0.0";

/// A change of a repository. Others wait for its end.
#[derive(Debug)]
pub(super) struct SiteWriter<'a> {
    pub(super) site: &'a RepoSite,
    pub(super) heads: Heads,
    _lock: SiteLock,
}

impl<'a> SiteWriter<'a> {
    /// Locks the repository and reads its state.
    pub(super) fn open(site: &'a RepoSite) -> Result<Self, DeliveryError> {
        site.expect_repository()?;
        let lock = site.folder.lock(site.patience)?;
        Ok(Self { site, heads: Heads::load(&site.folder)?, _lock: lock })
    }

    pub(super) fn folder(&self) -> &'a SiteFolder {
        &self.site.folder
    }

    /// Writes the next root, signed as the previous and the new one require; clients follow it immediately.
    pub(super) fn put_root(&mut self, mut root: Root, keys: &KeyRing) -> Result<(), DeliveryError> {
        let previous = self.heads.root();
        root.version = next(previous.version.get())?;
        root.expires = expiry(self.site.validity.root)?;
        let (old, new) = (top_keys(previous, RoleType::Root)?, top_keys(&root, RoleType::Root)?);
        signers(keys, "root", &old.keyids, old.threshold)?;
        signers(keys, "root", &new.keyids, new.threshold)?;
        let both: Vec<KeyId> = old.keyids.iter().chain(&new.keyids).cloned().collect();
        let signed = sign(root, &keys.signers(&both))?;
        let bytes = encode(&signed, MAX_ROOT)?;
        self.folder().write(&format!("{}.root.json", signed.signed.version), &bytes)?;
        self.heads.roots.push((signed, content(&bytes).sha256));
        Ok(())
    }

    /// Writes the next list of publishers; clients see it after [`Self::commit`].
    pub(super) fn put_targets(&mut self, mut list: Targets, keys: &KeyRing) -> Result<(), DeliveryError> {
        let role = top_keys(self.heads.root(), RoleType::Targets)?;
        list.version = self.next_version("targets", self.heads.targets.version())?;
        list.expires = expiry(self.site.validity.targets)?;
        let signed = sign(list, &signers(keys, "targets", &role.keyids, role.threshold)?)?;
        self.heads.targets = self.put_list("targets", signed)?;
        Ok(())
    }

    /// Writes a publisher's next list, signed as the newest delegation requires; clients see it after
    /// [`Self::commit`].
    pub(super) fn put_publisher(
        &mut self,
        name: &str,
        mut list: Targets,
        keys: &KeyRing,
    ) -> Result<(), DeliveryError> {
        let role = self.heads.delegation(name).ok_or_else(|| unknown_publisher(&self.heads, name))?;
        let newest = self.heads.publishers.get(name).map_or(0, StoredList::version);
        list.version = self.next_version(name, newest.max(self.heads.listed(name)))?;
        list.expires = expiry(self.site.validity.publisher)?;
        let signed = sign(list, &signers(keys, name, &role.keyids, role.threshold)?)?;
        let stored = self.put_list(name, signed)?;
        self.heads.publishers.insert(name.to_owned(), stored);
        Ok(())
    }

    fn put_list(&self, role: &str, signed: Signed<Targets>) -> Result<StoredList, DeliveryError> {
        let bytes = encode(&signed, MAX_LIST)?;
        self.folder().write(&format!("{}.{role}.json", signed.signed.version), &bytes)?;
        Ok(StoredList { content: content(&bytes), signed, pending: true })
    }

    /// Makes all lists visible with a new snapshot and timestamp. Returns `false`, and writes nothing, without the
    /// online key.
    ///
    /// They expire after `validity`; by default, not earlier than the previous ones.
    pub(super) fn commit(
        &mut self,
        keys: &KeyRing,
        validity: Option<SignedDuration>,
    ) -> Result<bool, DeliveryError> {
        let role = top_keys(self.heads.root(), RoleType::Snapshot)?;
        let online = keys.signers(&role.keyids);
        if (online.len() as u64) < role.threshold.get() {
            return Ok(false);
        }
        let role = top_keys(self.heads.root(), RoleType::Timestamp)?;
        let of_timestamp = signers(keys, "online", &role.keyids, role.threshold)?;
        let previous = &self.heads.snapshot.signed;
        let expires = match validity {
            Some(validity) => expiry(validity)?,
            None => expiry(self.site.validity.online)?.max(self.heads.timestamp.signed.expires),
        };
        let version = self.next_version("snapshot", previous.version.get())?;
        let mut snapshot = Snapshot::new(SPEC.to_owned(), version, expires);
        // A name that was listed once must stay.
        snapshot.meta.clone_from(&previous.meta);
        let lists = self.heads.publishers.iter().map(|(name, list)| (name.as_str(), list));
        for (name, list) in lists.chain([("targets", &self.heads.targets)]) {
            snapshot.meta.insert(format!("{name}.json"), list.metafile());
        }
        let snapshot = sign(snapshot, &online)?;
        let bytes = encode(&snapshot, MAX_LIST)?;
        self.folder().write(&format!("{version}.snapshot.json"), &bytes)?;
        let after = next(self.heads.timestamp.signed.version.get())?;
        let mut timestamp = Timestamp::new(SPEC.to_owned(), after, expires);
        timestamp.meta.insert("snapshot.json".to_owned(), metafile(&content(&bytes), version));
        let timestamp = sign(timestamp, &of_timestamp)?;
        self.folder().write("timestamp.json", &encode(&timestamp, MAX_ROOT)?)?;
        (self.heads.snapshot, self.heads.timestamp) = (snapshot, timestamp);
        self.heads.targets.pending = false;
        self.folder().prune("targets", self.heads.targets.version());
        self.folder().prune("snapshot", version.get());
        for (name, list) in &mut self.heads.publishers {
            list.pending = false;
            self.site.folder.prune(name, list.version());
        }
        sync_folder(&self.folder().metadata());
        Ok(true)
    }

    /// Returns the first free version after `newest`, because an interrupted command may have left a file.
    fn next_version(&self, role: &str, newest: u64) -> Result<NonZeroU64, DeliveryError> {
        let versions = self.folder().versions()?;
        let mut version = next(newest)?;
        while versions.get(role).is_some_and(|versions| versions.contains(&version.get())) {
            version = next(version.get())?;
        }
        Ok(version)
    }
}

/// Returns the keys of a role of the root.
pub(super) fn top_keys(root: &Root, role: RoleType) -> Result<RoleKeys, DeliveryError> {
    root.roles.get(&role).cloned().ok_or_else(|| {
        let text = format!("the root {} names no keys for `{role}`", root.version);
        DeliveryError::new(ErrorCode::SiteDamaged, text, "restore the repository's folder from a copy")
    })
}

/// Returns the private keys that sign for a role.
///
/// # Errors
/// Fails with `key-unauthorized` if there are fewer than its threshold.
pub(super) fn signers<'k>(
    keys: &'k KeyRing,
    role: &str,
    ids: &[KeyId],
    threshold: NonZeroU64,
) -> Result<Vec<&'k SigningKey>, DeliveryError> {
    let found = keys.signers(ids);
    if found.len() as u64 >= threshold.get() {
        return Ok(found);
    }
    let ids: Vec<String> = ids.iter().map(|id| short(id)).collect();
    Err(DeliveryError::new(
        ErrorCode::KeyUnauthorized,
        format!("the keys given may not sign for `{role}`: {} of {threshold} needed", found.len()),
        format!("give {threshold} of the private keys {}, each with `--key`", ids.join(", ")),
    ))
}

/// Returns the error for a publisher that is not delegated.
pub(super) fn unknown_publisher(heads: &Heads, name: &str) -> DeliveryError {
    let known: Vec<String> = heads.delegations().roles.into_iter().map(|role| role.name).collect();
    DeliveryError::new(
        ErrorCode::ReleaseUnknown,
        format!("the repository has no publisher `{name}`"),
        format!("name one of these: {}", known.join(", ")),
    )
}

/// Signs a role with all `signers`.
pub(super) fn sign<T: Role + Serialize>(role: T, signers: &[&SigningKey]) -> Result<Signed<T>, DeliveryError> {
    let failed = || {
        DeliveryError::new(
            ErrorCode::KeyInvalid,
            format!("a key cannot sign `{}`", T::TYPE),
            "generate a new key",
        )
    };
    let message = role.canonical_form().map_err(|_| failed())?;
    let mut signatures = Vec::new();
    for key in signers {
        let sig = key.sign(&message).ok_or_else(failed)?.into();
        signatures.push(Signature { keyid: key.public.id.clone(), sig });
    }
    Ok(Signed { signed: role, signatures })
}

/// Encodes a file of the metadata.
pub(super) fn encode(signed: &impl Serialize, limit: u64) -> Result<Vec<u8>, DeliveryError> {
    let failed = |text: String| DeliveryError::new(ErrorCode::RepoTooLarge, text, "start another repository");
    let mut bytes =
        serde_json::to_vec(signed).map_err(|error| failed(format!("metadata cannot be written ({error})")))?;
    bytes.push(b'\n');
    match bytes.len() as u64 {
        length if length > limit => {
            Err(failed(format!("metadata has {length} bytes, and clients read {limit}")))
        }
        _ => Ok(bytes),
    }
}

/// Returns the time after `validity`, in whole seconds.
pub(super) fn expiry(validity: SignedDuration) -> Result<Time, DeliveryError> {
    let now = Time::now().as_second();
    now.checked_add(validity.as_secs()).and_then(|second| Time::from_second(second).ok()).ok_or_else(|| {
        DeliveryError::new(
            ErrorCode::DeliverySettingInvalid,
            "metadata cannot be valid that long",
            "shorten the time",
        )
    })
}

fn next(version: u64) -> Result<NonZeroU64, DeliveryError> {
    version.checked_add(1).and_then(NonZeroU64::new).ok_or_else(|| {
        let text = "a version of the metadata is the largest possible";
        DeliveryError::new(ErrorCode::SiteDamaged, text, "restore the repository's folder from a copy")
    })
}
