//! Rules for lists of releases, which hold for this command and for lists that others have signed.

use std::collections::BTreeMap;

use tough::{
    TargetName,
    schema::{DelegatedRole, Delegations, Target, Targets},
};

use super::files::{SiteFolder, failed};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    release::{CUSTOM, Description, FileContent, ReleasePath, library_path, manifest_path},
};

/// The pattern of every remote's paths.
pub(super) const EVERY_REMOTE: &str = "*/*/*";

/// Names that publishers cannot have: those of the other roles, some of which become file names.
const RESERVED: [&str; 5] = ["online", "root", "snapshot", "targets", "timestamp"];

/// Returns `true` for a name that a publisher may have: it becomes part of a file name on any system.
pub(super) fn is_publisher(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let reserved = RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
    (1..=64).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(allowed) && !reserved
}

/// Returns the name of the remote in a target path.
pub(super) fn remote_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// The names of remotes, which must differ in more than upper and lower case: files of some systems do not.
#[derive(Clone, Debug, Default)]
pub(super) struct RemoteNames(BTreeMap<String, String>);

impl RemoteNames {
    /// Adds the remotes of a list.
    pub(super) fn add(&mut self, list: &Targets) {
        for name in list.targets.keys().map(|path| remote_of(path.raw())) {
            self.0.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
        }
    }

    /// Returns every name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// Checks that `name` is new, or spelt as before.
    ///
    /// # Errors
    /// Fails with `release-path`.
    pub(super) fn check(&self, name: &str) -> Result<(), DeliveryError> {
        match self.0.get(&name.to_lowercase()) {
            Some(known) if known != name => Err(DeliveryError::new(
                ErrorCode::ReleasePath,
                format!("the name `{name}` differs only in case from the published `{known}`"),
                "choose another name for the remote",
            )),
            _ => Ok(()),
        }
    }
}

/// Returns the publisher of a target path: the first whose patterns cover it.
pub(super) fn owner<'a>(delegations: &'a Delegations, path: &str) -> Option<&'a DelegatedRole> {
    let path = TargetName::new(path).ok()?;
    // The library compares a path with all roles of a set only.
    let covers = |role: &&DelegatedRole| {
        Delegations { keys: [].into(), roles: vec![(*role).clone()] }.target_is_delegated(&path)
    };
    delegations.roles.iter().find(covers)
}

/// Returns `true` if all targets of a list belong to its publisher.
pub(super) fn owns_all(delegations: &Delegations, role: &DelegatedRole, list: &Targets) -> bool {
    list.targets.keys().all(|path| owner(delegations, path.raw()).is_some_and(|owner| owner.name == role.name))
}

/// Returns the targets of a list in the order of their paths, so that the first fault is always the same.
pub(super) fn sorted(list: &Targets) -> BTreeMap<&str, &Target> {
    list.targets.iter().map(|(path, target)| (path.raw(), target)).collect()
}

/// Returns digest and length of a target.
pub(super) fn content_of(target: &Target) -> Option<FileContent> {
    let digest = <[u8; 32]>::try_from(&*target.hashes.sha256.clone().into_vec()).ok()?;
    Some(FileContent { sha256: Digest::from(digest), length: target.length })
}

/// Returns the descriptions of all libraries in a list, by path.
///
/// # Errors
/// Fails with `release-path` for a path that is not allowed, and with `release-invalid` for a library without a
/// matching description or manifest.
pub(super) fn descriptions(list: &Targets) -> Result<BTreeMap<String, Description>, DeliveryError> {
    let mut found = BTreeMap::new();
    let all = sorted(list);
    for (path, target) in &all {
        let invalid = |text: &str| {
            let advice = "publish it again with `pulse publish`";
            DeliveryError::new(
                ErrorCode::ReleaseInvalid,
                format!("the list of releases is wrong: {text}: {path}"),
                advice,
            )
        };
        let ReleasePath::Library { name, version, platform } = ReleasePath::parse(path)? else { continue };
        let described = target.custom.get(CUSTOM).cloned().map(serde_json::from_value::<Description>);
        let Some(Ok(about)) = described else { return Err(invalid("a library has no valid description")) };
        if (&about.name, &about.version, &about.platform) != (&name, &version, &platform) {
            return Err(invalid("a description is of another release"));
        }
        let manifest = all.get(&*manifest_path(&name, &version)).and_then(|target| content_of(target));
        if manifest != Some(about.manifest) {
            return Err(invalid("a manifest is missing or another one"));
        }
        found.insert((*path).to_owned(), about);
    }
    Ok(found)
}

/// Checks a publisher's newer list against the one that clients see.
pub(super) fn check_list(
    folder: &SiteFolder,
    delegations: &Delegations,
    role: &DelegatedRole,
    names: &RemoteNames,
    current: Option<&Targets>,
    list: &Targets,
) -> Result<(), DeliveryError> {
    if list.delegations.as_ref().is_some_and(|inner| !inner.roles.is_empty())
        || !owns_all(delegations, role, list)
    {
        let text = format!("the publisher `{}` lists releases of remotes that are not its own", role.name);
        let advice = "remove them, or give it those remotes with `pulse repo publisher add`";
        return Err(DeliveryError::new(ErrorCode::ReleasePublisher, text, advice));
    }
    descriptions(list)?;
    let current = current.map(sorted).unwrap_or_default();
    for (path, target) in sorted(list) {
        names.check(remote_of(path))?;
        let known = current.get(path).copied();
        match (known.map(content_of), content_of(target)) {
            (_, None) => {
                let text = format!("the list of releases has a wrong digest: {path}");
                return Err(DeliveryError::new(ErrorCode::ReleaseInvalid, text, "publish it again"));
            }
            (Some(known), new) if known != new => return Err(exists(path)),
            (Some(_), _) => {}
            (None, Some(content)) => {
                let place = folder.target(path, &content.sha256);
                let about = std::fs::metadata(&place).map_err(|error| failed(&place, &error))?;
                if !about.is_file() || about.len() != content.length {
                    let text = format!("a file has another length than signed: {}", place.display());
                    return Err(DeliveryError::new(ErrorCode::ReleaseLength, text, "publish it again"));
                }
            }
        }
    }
    Ok(())
}

/// Returns the error for other content under a path that is published.
pub(super) fn exists(path: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::ReleaseExists,
        format!("this version is published with other content, and shells may have it: {path}"),
        "publish the change as a new version",
    )
}

/// Returns the descriptions of a version of a remote, by target path.
pub(super) fn of_version<'a>(
    all: &'a BTreeMap<String, Description>,
    name: &str,
    version: &semver::Version,
) -> impl Iterator<Item = &'a Description> {
    all.values().filter(move |about| about.name == *name && about.version == *version)
}

/// Returns the target path of a description.
pub(super) fn path_of(about: &Description) -> String {
    library_path(&about.name, &about.version, &about.platform)
}
