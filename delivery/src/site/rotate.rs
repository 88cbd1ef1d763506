//! Replaces keys of every role, so that clients that trust the first root follow.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use tough::schema::{RoleType, Root};

use super::{
    RepoSite,
    publishers::drop_unused_keys,
    writer::{SiteWriter, signers, top_keys, unknown_publisher},
};
use crate::{
    error::{DeliveryError, ErrorCode},
    keys::{KeyId, KeyRing, PublicKey, hex, short},
};

/// A role whose keys can be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteRole {
    /// The root, with a threshold.
    Root,
    /// The list of publishers.
    Targets,
    /// Snapshot and timestamp.
    Online,
    /// A publisher, by name.
    Publisher(String),
}

impl SiteRole {
    /// Returns the role with this name; any other name is a publisher's.
    pub fn named(name: &str) -> Self {
        match name {
            "root" => Self::Root,
            "targets" => Self::Targets,
            "online" => Self::Online,
            name => Self::Publisher(name.to_owned()),
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Online => "online",
            Self::Publisher(name) => name,
        }
    }
}

/// A replacement of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// Name of the role.
    pub role: String,
    /// Identifiers of its keys now.
    pub keys: Vec<String>,
    /// Identifiers of the keys that it no longer has.
    pub retired: Vec<String>,
    /// `false` if the change waits for the online key.
    pub visible: bool,
}

impl RepoSite {
    /// Adds the keys in `new` to a role, and removes those whose identifiers begin with an entry of `retire`; by
    /// default, all former keys of a role other than root.
    ///
    /// `keys` sign: root keys for the root, targets and online role, the targets key for a publisher, and the online
    /// key for anything but the root. The former keys of the role are not needed: a lost key can be replaced.
    /// Clients accept the repository at every moment in between: a role of the root has both keys in one root, is
    /// signed by the new key, and loses the former key in the next root.
    ///
    /// # Errors
    /// Fails with `key-missing` if nothing would change, with `delivery-setting-invalid` for an entry of `retire` that
    /// does not fit one key and for fewer keys than the threshold, and with `key-unauthorized` without the keys that
    /// must sign.
    pub fn rotate(
        &self,
        role: &SiteRole,
        retire: &[String],
        new: KeyRing,
        keys: KeyRing,
    ) -> Result<Rotated, DeliveryError> {
        let mut writer = SiteWriter::open(self)?;
        let added: Vec<PublicKey> = new.keys().cloned().collect();
        let is_signed = !new.private.is_empty();
        let keys = keys.with(new);
        let types: &[RoleType] = match role {
            SiteRole::Root => &[RoleType::Root],
            SiteRole::Targets => &[RoleType::Targets],
            SiteRole::Online => &[RoleType::Snapshot, RoleType::Timestamp],
            SiteRole::Publisher(name) => {
                return rotate_publisher(&mut writer, name, retire, &added, is_signed, &keys);
            }
        };
        let old = top_keys(writer.heads.root(), types[0])?;
        let change = Change::new(role, &old.keyids, old.threshold.get(), retire, &added)?;
        // Every signature is possible before the first file is written.
        let of_root = top_keys(writer.heads.root(), RoleType::Root)?;
        signers(&keys, "root", &of_root.keyids, of_root.threshold)?;
        signers(&keys, role.name(), &change.now, old.threshold)?;
        if *role == SiteRole::Targets {
            let online = top_keys(writer.heads.root(), RoleType::Snapshot)?;
            signers(&keys, "online", &online.keyids, online.threshold)?;
        }
        if *role != SiteRole::Root {
            let both: Vec<KeyId> = old.keyids.iter().chain(&change.added).cloned().collect();
            if !change.added.is_empty() {
                let root = with_keys(writer.heads.root(), types, &both, &added);
                writer.put_root(root, &keys)?;
            }
            if *role == SiteRole::Targets {
                let targets = writer.heads.targets.targets().clone();
                writer.put_targets(targets, &keys)?;
            }
            writer.commit(&keys, None)?;
        }
        let root = with_keys(writer.heads.root(), types, &change.now, &added);
        if root.roles != writer.heads.root().roles {
            writer.put_root(root, &keys)?;
        }
        Ok(change.report(role, true))
    }
}

fn rotate_publisher(
    writer: &mut SiteWriter<'_>,
    name: &str,
    retire: &[String],
    added: &[PublicKey],
    is_signed: bool,
    keys: &KeyRing,
) -> Result<Rotated, DeliveryError> {
    let role = SiteRole::Publisher(name.to_owned());
    let old = writer.heads.delegation(name).ok_or_else(|| unknown_publisher(&writer.heads, name))?;
    let mut change = Change::new(&role, &old.keyids, old.threshold.get(), retire, added)?;
    let of_targets = top_keys(writer.heads.root(), RoleType::Targets)?;
    let of_targets = signers(keys, "targets", &of_targets.keyids, of_targets.threshold)?;
    let mut public: Vec<&PublicKey> = added.iter().collect();
    if !is_signed && keys.signers(&change.now).len() < old.threshold.get() as usize {
        // The publisher's own machine has the new key, so the targets key signs its list this time.
        public.extend(of_targets.iter().map(|key| &key.public));
        change.now.extend(of_targets.iter().map(|key| key.public.id.clone()));
    }
    signers(keys, name, &change.now, old.threshold)?;
    let mut targets = writer.heads.targets.targets().clone();
    let list = targets.delegations.get_or_insert_default();
    list.keys.extend(public.iter().map(|key| (key.id.clone(), key.key.clone())));
    for role in list.roles.iter_mut().filter(|role| role.name == name) {
        role.keyids.clone_from(&change.now);
    }
    drop_unused_keys(&mut targets);
    let releases = writer.heads.publishers.get(name).map(|list| list.targets().clone());
    writer.put_targets(targets, keys)?;
    if let Some(releases) = releases {
        writer.put_publisher(name, releases, keys)?;
    }
    let visible = writer.commit(keys, None)?;
    Ok(change.report(&role, visible))
}

/// The keys of a role before and after.
struct Change {
    /// Keys that are new.
    added: Vec<KeyId>,
    retired: Vec<KeyId>,
    now: Vec<KeyId>,
}

impl Change {
    fn new(
        role: &SiteRole,
        old: &[KeyId],
        threshold: u64,
        retire: &[String],
        new: &[PublicKey],
    ) -> Result<Self, DeliveryError> {
        let invalid = |text: String, advice: String| {
            Err(DeliveryError::new(ErrorCode::DeliverySettingInvalid, text, advice))
        };
        let known = || old.iter().map(|id| short(id)).collect::<Vec<_>>().join(", ");
        let new: Vec<KeyId> = new.iter().map(|key| key.id.clone()).collect();
        let mut retired: Vec<KeyId> = Vec::new();
        for digits in retire {
            let fits = |id: &&KeyId| hex(id).starts_with(&digits.to_ascii_lowercase());
            match old.iter().filter(fits).collect::<Vec<_>>()[..] {
                [id] if digits.len() >= 6 => retired.push(id.clone()),
                _ => {
                    let text = format!("`{digits}` does not name one key of `{}`", role.name());
                    return invalid(text, format!("give six or more digits of one of: {}", known()));
                }
            }
        }
        if retire.is_empty() && *role == SiteRole::Root {
            let text = "the root has several keys, and none is named to be removed".to_owned();
            return invalid(text, format!("name it with `--retire`: {}", known()));
        }
        if retire.is_empty() && new.is_empty() {
            let text = format!("no new key is given for `{}`", role.name());
            return Err(DeliveryError::new(ErrorCode::KeyMissing, text, "give it with `--new`"));
        }
        if retire.is_empty() {
            retired.extend(old.iter().filter(|id| !new.contains(id)).cloned());
        }
        let mut seen = BTreeSet::new();
        let left = old.iter().filter(|id| !retired.contains(id)).chain(&new);
        let now: Vec<KeyId> = left.filter(|id| seen.insert(hex(id))).cloned().collect();
        if (now.len() as u64) < threshold {
            let text =
                format!("{} keys would remain for `{}`, and {threshold} must sign", now.len(), role.name());
            return invalid(text, "give more new keys with `--new`".to_owned());
        }
        let added = new.into_iter().filter(|id| !old.contains(id)).collect();
        Ok(Self { added, retired, now })
    }

    fn report(self, role: &SiteRole, visible: bool) -> Rotated {
        let hexes = |ids: &[KeyId]| ids.iter().map(|id| hex(id)).collect();
        Rotated { role: role.name().to_owned(), keys: hexes(&self.now), retired: hexes(&self.retired), visible }
    }
}

/// Returns the root with other keys for some roles, and without keys that no role has.
fn with_keys(root: &Root, types: &[RoleType], ids: &[KeyId], new: &[PublicKey]) -> Root {
    let mut root = root.clone();
    root.keys.extend(new.iter().map(|key| (key.id.clone(), key.key.clone())));
    for role in types {
        if let Some(keys) = root.roles.get_mut(role) {
            keys.keyids = ids.to_vec();
        }
    }
    let used = |id: &KeyId| root.roles.values().any(|keys| keys.keyids.contains(id));
    let keys: HashMap<_, _> =
        root.keys.iter().filter(|(id, _)| used(id)).map(|(id, key)| (id.clone(), key.clone())).collect();
    root.keys = keys;
    root
}
