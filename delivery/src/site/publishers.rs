//! Publishers: delegations of remotes to keys.

use std::collections::BTreeSet;

use serde::Serialize;
use tough::schema::{PathPattern, PathSet, RoleType, Targets};

use super::{
    RepoSite, delegate, empty_list,
    heads::delegations,
    rules::{self, EVERY_REMOTE},
    writer::{SiteWriter, expiry, signers, top_keys, unknown_publisher},
};
use crate::{
    error::{DeliveryError, ErrorCode},
    keys::{KeyRing, PublicKey},
    release::{ReleasePath, manifest_path, path_pattern},
};

/// The end of a library's target path.
const LIBRARY: &str = ".zst";

/// A change of the publishers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherChange {
    /// Name of the publisher.
    pub publisher: String,
    /// Its remotes; `*` means every remote without another publisher.
    pub remotes: Vec<String>,
    /// Identifiers of its keys.
    pub keys: Vec<String>,
    /// Number of releases that moved to it, or that vanish with it.
    pub releases: usize,
    /// `false` if the change waits for the online key.
    pub visible: bool,
}

impl RepoSite {
    /// Adds a publisher, or adds remotes to one. Without remotes, a new publisher gets every remote without another
    /// publisher.
    ///
    /// A remote of another publisher moves with its releases, which needs that publisher's key too. `new` holds the
    /// keys of a new publisher; for a public one, the targets key signs the first, empty list, and stays listed.
    ///
    /// # Errors
    /// Fails with `key-missing` for a new publisher without a key; with `delivery-setting-invalid` for a name that is
    /// not allowed, and for keys of an existing publisher, which [`Self::rotate`] replaces; with `release-publisher`
    /// if another publisher has every remote; with `key-unauthorized` without the keys that must sign.
    pub fn add_publisher(
        &self,
        name: &str,
        remotes: &[String],
        new: KeyRing,
        keys: KeyRing,
    ) -> Result<PublisherChange, DeliveryError> {
        let mut writer = SiteWriter::open(self)?;
        let added: Vec<PublicKey> = new.keys().cloned().collect();
        let is_signed = !new.private.is_empty();
        let keys = keys.with(new);
        let mut targets = writer.heads.targets.targets().clone();
        let exists = writer.heads.delegation(name).is_some();
        match (exists, added.is_empty(), remotes.is_empty()) {
            (true, false, _) => {
                let advice =
                    format!("replace its keys with `pulse repo rotate {} {name}`", self.dir().display());
                return Err(invalid(format!("the publisher `{name}` exists already"), advice));
            }
            (true, _, true) => return Err(invalid(format!("no remote is named for `{name}`"), "name one")),
            (false, true, _) => {
                let text = format!("no key is given for the new publisher `{name}`");
                return Err(DeliveryError::new(ErrorCode::KeyMissing, text, "give one with `--new`"));
            }
            _ => {}
        }
        let (_, patterns) = checked(&[(name.to_owned(), remotes.to_vec())])?.remove(0);
        let of_targets = {
            let role = top_keys(writer.heads.root(), RoleType::Targets)?;
            let signers = signers(&keys, "targets", &role.keyids, role.threshold)?;
            signers.into_iter().map(|key| key.public.clone()).collect::<Vec<_>>()
        };
        let list = targets.delegations.get_or_insert_default();
        for role in list.roles.iter_mut().filter(|role| role.name != name) {
            let PathSet::Paths(paths) = &mut role.paths else { continue };
            if patterns.iter().any(|pattern| pattern.value() == EVERY_REMOTE && paths.contains(pattern)) {
                let text = format!("the publisher `{}` has every remote without another publisher", role.name);
                return Err(DeliveryError::new(
                    ErrorCode::ReleasePublisher,
                    text,
                    "name the remotes of the new one",
                ));
            }
            paths.retain(|path| !patterns.contains(path));
        }
        if exists {
            for role in list.roles.iter_mut().filter(|role| role.name == name) {
                let PathSet::Paths(paths) = &mut role.paths else { continue };
                paths.extend(
                    patterns.iter().filter(|pattern| !paths.contains(pattern)).cloned().collect::<Vec<_>>(),
                );
            }
            list.roles.sort_by_key(|role| has_every_remote(&role.paths));
        } else {
            let also = of_targets.iter().filter(|_| !is_signed);
            delegate(&mut targets, name, &patterns, &added.iter().chain(also).collect::<Vec<_>>());
        }
        drop_unused_keys(&mut targets);

        // Releases follow their remotes.
        let mut own = match writer.heads.publishers.get(name) {
            Some(list) => list.targets().clone(),
            None => empty_list(expiry(self.validity.publisher)?),
        };
        let (mut others, mut moved) = (Vec::new(), BTreeSet::new());
        for (other, list) in writer.heads.publishers.iter().filter(|(other, _)| *other != name) {
            let mut left = list.targets().clone();
            let is_moved =
                |path: &str| rules::owner(&delegations(&targets), path).is_some_and(|owner| owner.name == name);
            let paths: Vec<_> = left.targets.keys().filter(|path| is_moved(path.raw())).cloned().collect();
            for path in paths {
                moved.insert(path.raw().to_owned());
                own.targets.extend(left.targets.remove(&path).map(|target| (path, target)));
            }
            if left.targets.len() < list.targets().targets.len() {
                let delegation =
                    writer.heads.delegation(other).ok_or_else(|| unknown_publisher(&writer.heads, other))?;
                signers(&keys, other, &delegation.keyids, delegation.threshold)?;
                others.push((other.clone(), left));
            }
        }
        let delegation = delegations(&targets).roles.into_iter().find(|role| role.name == name);
        let delegation = delegation.ok_or_else(|| unknown_publisher(&writer.heads, name))?;
        if !moved.is_empty() || !exists {
            signers(&keys, name, &delegation.keyids, delegation.threshold)?;
        }
        writer.put_targets(targets, &keys)?;
        if !moved.is_empty() || !exists {
            writer.put_publisher(name, own, &keys)?;
        }
        for (other, left) in others {
            writer.put_publisher(&other, left, &keys)?;
        }
        Ok(PublisherChange {
            publisher: name.to_owned(),
            remotes: remotes_of(&delegation.paths),
            keys: delegation.keyids.iter().map(|id| crate::keys::hex(id)).collect(),
            releases: moved.iter().filter(|path| path.ends_with(LIBRARY)).count(),
            visible: writer.commit(&keys, None)?,
        })
    }

    /// Removes a publisher; its releases vanish with it.
    ///
    /// # Errors
    /// Fails with `release-unknown` if there is none, and with `key-unauthorized` without the targets key.
    pub fn remove_publisher(&self, name: &str, keys: &KeyRing) -> Result<PublisherChange, DeliveryError> {
        let mut writer = SiteWriter::open(self)?;
        let delegation = writer.heads.delegation(name).ok_or_else(|| unknown_publisher(&writer.heads, name))?;
        let mut targets = writer.heads.targets.targets().clone();
        targets.delegations.get_or_insert_default().roles.retain(|role| role.name != name);
        drop_unused_keys(&mut targets);
        writer.put_targets(targets, keys)?;
        let list = writer.heads.publishers.remove(name);
        Ok(PublisherChange {
            publisher: name.to_owned(),
            remotes: remotes_of(&delegation.paths),
            keys: delegation.keyids.iter().map(|id| crate::keys::hex(id)).collect(),
            releases: list.map_or(0, |list| {
                list.targets().targets.keys().filter(|path| path.raw().ends_with(LIBRARY)).count()
            }),
            visible: writer.commit(keys, None)?,
        })
    }
}

/// Removes keys that no publisher has any more.
pub(super) fn drop_unused_keys(targets: &mut Targets) {
    let list = targets.delegations.get_or_insert_default();
    let roles = &list.roles;
    list.keys.retain(|id, _| roles.iter().any(|role| role.keyids.contains(id)));
}

/// Returns `true` if a publisher has every remote without another publisher.
pub(super) fn has_every_remote(paths: &PathSet) -> bool {
    matches!(paths, PathSet::Paths(paths) if paths.iter().any(|path| path.value() == EVERY_REMOTE))
}

/// Returns the remotes of a publisher; `*` means every remote without another publisher.
pub(super) fn remotes_of(paths: &PathSet) -> Vec<String> {
    let PathSet::Paths(paths) = paths else { return Vec::new() };
    let remote = |pattern: &PathPattern| match pattern.value() {
        EVERY_REMOTE => "*".to_owned(),
        value => {
            let name = value.strip_suffix("/*/*").unwrap_or(value);
            ['[', '{', '}']
                .iter()
                .fold(name.to_owned(), |name, c| name.replace(&format!("[{c}]"), &c.to_string()))
        }
    };
    paths.iter().map(remote).collect()
}

/// Checks publishers and their remotes; none means one publisher of every remote.
pub(super) fn checked(
    publishers: &[(String, Vec<String>)],
) -> Result<Vec<(String, Vec<PathPattern>)>, DeliveryError> {
    let main = [(super::MAIN_PUBLISHER.to_owned(), Vec::new())];
    let publishers = if publishers.is_empty() { &main } else { publishers };
    let (mut names, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    for (name, remotes) in publishers {
        if !rules::is_publisher(name) || !names.insert(name.to_ascii_lowercase()) {
            let text = format!("`{name}` cannot be the name of a publisher");
            return Err(invalid(
                text,
                "use letters, digits, `-` and `_`, each name once, and no name of a role",
            ));
        }
        let every = ["*".to_owned()];
        let mut patterns = Vec::new();
        for remote in if remotes.is_empty() { &every } else { remotes.as_slice() } {
            let example = manifest_path(remote, &semver::Version::new(1, 0, 0));
            let pattern = match remote.as_str() {
                "*" => EVERY_REMOTE.to_owned(),
                name if ReleasePath::parse(&example).is_ok() => path_pattern(name),
                _ => return Err(invalid(format!("`{remote}` cannot be the name of a remote"), "correct it")),
            };
            if !taken.insert(remote.to_lowercase()) {
                return Err(invalid(format!("the remote `{remote}` is named twice"), "name it once"));
            }
            let wrong = |_| invalid(format!("`{remote}` cannot be the name of a remote"), "correct it");
            patterns.push(PathPattern::new(pattern).map_err(wrong)?);
        }
        found.push((name.clone(), patterns));
    }
    Ok(found)
}

fn invalid(text: String, advice: impl Into<std::borrow::Cow<'static, str>>) -> DeliveryError {
    DeliveryError::new(ErrorCode::DeliverySettingInvalid, text, advice)
}
