//! The publisher's side of a repository: a folder of signed metadata and libraries.
//!
//! Offline keys sign what they are responsible for; the online key makes it visible:
//! ```text
//! root keys ──▶ N.root.json        the keys of every role; visible at once
//! targets key ─▶ N.targets.json     the publishers, and the remotes of each  ┐ visible once a snapshot
//! publisher ──▶ N.PUBLISHER.json    the releases of its remotes              ┘ lists them
//! online key ──▶ N.snapshot.json, timestamp.json
//! ```
//! A change without the online key writes its files and waits; the next command with that key picks up every newer
//! file that is signed as required and keeps the rules. Because each file is complete before it is named by another,
//! a command may end at any moment: clients see the state before it or after it.

use std::{
    collections::HashMap,
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use serde::Serialize;
use tough::schema::{
    DelegatedRole, Delegations, PathPattern, PathSet, RoleKeys, RoleType, Root, Snapshot, Targets, Timestamp,
};

use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    keys::{self, PublicKey, SigningKey},
};

mod check;
mod files;
mod heads;
mod publish;
mod publishers;
mod refresh;
mod rotate;
mod rules;
mod withdraw;
mod writer;

pub use check::{PendingFile, RoleState, RootFile, SiteReport};
pub use publish::{Artifact, Published};
pub use publishers::PublisherChange;
pub use refresh::Refreshed;
pub use rotate::{Rotated, SiteRole};
pub use withdraw::Withdrawn;

use files::{MAX_LIST, MAX_ROOT, SiteFolder, failed, sync_folder};
use heads::{content, metafile};
use writer::{SPEC, encode, expiry, sign};

/// The publisher of all remotes, unless [`InitOptions::publishers`] names others.
pub const MAIN_PUBLISHER: &str = "main";

/// A repository in a folder.
#[derive(Clone, Debug)]
pub struct RepoSite {
    folder: SiteFolder,
    /// Validity of new metadata.
    pub validity: Validity,
    /// Time limit for other processes that change the repository.
    pub patience: Duration,
}

/// The times for which new metadata is valid.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// Of a root.
    pub root: SignedDuration,
    /// Of the list of publishers.
    pub targets: SignedDuration,
    /// Of a publisher's list of releases.
    pub publisher: SignedDuration,
    /// Of snapshot and timestamp, which a machine renews.
    pub online: SignedDuration,
}

impl Default for Validity {
    fn default() -> Self {
        const DAY: i64 = 24 * 60 * 60;
        let days = |days| SignedDuration::from_secs(days * DAY);
        Self { root: days(365), targets: days(365), publisher: days(365), online: days(14) }
    }
}

/// Settings of a new repository.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Number of keys that sign a root; one more is made, so that one may be lost.
    pub threshold: u8,
    /// Names of publishers with their remotes; empty for one that publishes all remotes.
    pub publishers: Vec<(String, Vec<String>)>,
    /// Validity of the metadata.
    pub validity: Validity,
}

/// A new repository.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSite {
    /// Fingerprint of its root, which users state to trust it.
    pub root: Digest,
    /// Its keys.
    pub keys: Vec<NewKey>,
}

/// A key that was generated.
#[derive(Clone, Debug, Serialize)]
pub struct NewKey {
    /// Name of its role.
    pub role: String,
    /// Identifier.
    pub id: String,
    /// Its file.
    pub file: PathBuf,
}

impl RepoSite {
    /// Opens the repository in `dir`.
    ///
    /// # Errors
    /// Fails with `site-missing` if there is none.
    pub fn open(dir: &Path) -> Result<Self, DeliveryError> {
        let site = Self {
            folder: SiteFolder::new(dir),
            validity: Validity::default(),
            patience: Duration::from_secs(30),
        };
        site.expect_repository()?;
        Ok(site)
    }

    /// Makes a repository in `dir`, and its keys in `keys`. Both folders are created.
    ///
    /// The root has `threshold` + 1 keys. Snapshot and timestamp share the online key.
    ///
    /// # Errors
    /// Fails with `site-occupied` if `dir` is not empty or `keys` has keys already; with `key-exposed` if `keys` is
    /// within `dir`, which is public; with `delivery-setting-invalid` for an impossible threshold or publisher.
    pub fn init(dir: &Path, keys: &Path, options: &InitOptions) -> Result<NewSite, DeliveryError> {
        let publishers = publishers::checked(&options.publishers)?;
        if !(1..=16).contains(&options.threshold) {
            let text = format!("{} signatures cannot be required of a root", options.threshold);
            return Err(DeliveryError::new(ErrorCode::DeliverySettingInvalid, text, "require 1 to 16"));
        }
        let folder = SiteFolder::new(dir);
        expect_empty(dir)?;
        // As written before anything is made, and again without links.
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| failed(path, &error));
        expect_outside(&absolute(keys)?, &absolute(dir)?)?;
        make_private(keys)?;
        fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
        let real = |path: &Path| path.canonicalize().map_err(|error| failed(path, &error));
        expect_outside(&real(keys)?, &real(dir)?)?;
        let _lock = folder.lock(Duration::from_secs(30))?;
        expect_empty(dir)?;
        let mut made: Vec<NewKey> = Vec::new();
        let created = create(&folder, keys, &publishers, options, &mut made);
        if created.is_err() {
            // They belong to no repository, and would be in the way of the next attempt.
            for key in &made {
                let _ = fs::remove_file(&key.file);
            }
        }
        Ok(NewSite { root: created?, keys: made })
    }

    /// Returns the folder.
    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }

    fn expect_repository(&self) -> Result<(), DeliveryError> {
        match self.folder.read("1.root.json", MAX_ROOT)? {
            Some(_) => Ok(()),
            None => Err(heads::missing(&self.folder)),
        }
    }
}

/// Fails with `site-occupied` for a folder with files that no interrupted `init` has left.
fn expect_empty(dir: &Path) -> Result<(), DeliveryError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed(dir, &error))?,
    };
    for entry in entries {
        let name = entry.map_err(|error| failed(dir, &error))?.file_name();
        if name != ".lock" && name != ".temporary" {
            let text = format!("the folder is not empty: {}", dir.display());
            return Err(DeliveryError::new(ErrorCode::SiteOccupied, text, "name a new or empty folder"));
        }
    }
    Ok(())
}

/// Fails with `key-exposed` if the folder of keys is within the repository.
fn expect_outside(keys: &Path, dir: &Path) -> Result<(), DeliveryError> {
    if keys.starts_with(dir) {
        let text = format!("the folder of keys is inside of the repository: {}", keys.display());
        let advice = "everything in the repository is public; name a folder elsewhere";
        return Err(DeliveryError::new(ErrorCode::KeyExposed, text, advice));
    }
    Ok(())
}

/// Creates a folder that only this user can read.
fn make_private(folder: &Path) -> Result<(), DeliveryError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| failed(folder, &error))
}

/// Makes the keys, and then the metadata, which appears all at once. Returns the fingerprint of the root.
fn create(
    folder: &SiteFolder,
    keys: &Path,
    publishers: &[(String, Vec<PathPattern>)],
    options: &InitOptions,
    made: &mut Vec<NewKey>,
) -> Result<Digest, DeliveryError> {
    let mut generate = |role: &str, file: String| -> Result<SigningKey, DeliveryError> {
        let file = keys.join(file);
        let key = keys::generate(&file)?;
        made.push(NewKey { role: role.to_owned(), id: key.public.id(), file });
        Ok(key)
    };
    let roots = (1..=options.threshold + 1).map(|number| generate("root", format!("root-{number}.pem")));
    let roots = roots.collect::<Result<Vec<_>, _>>()?;
    let of_targets = generate("targets", "targets.pem".to_owned())?;
    let online = generate("online", "online.pem".to_owned())?;
    let mut lists = Vec::new();
    for (name, patterns) in publishers {
        let file =
            if name == MAIN_PUBLISHER { "publisher.pem".to_owned() } else { format!("publisher-{name}.pem") };
        lists.push((name, patterns, generate(name, file)?));
    }
    sync_folder(keys);

    let (validity, first) = (options.validity, NonZeroU64::MIN);
    let mut root = Root {
        spec_version: SPEC.to_owned(),
        consistent_snapshot: true,
        version: first,
        expires: expiry(validity.root)?,
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    };
    let threshold =
        NonZeroU64::from(std::num::NonZeroU8::new(options.threshold).unwrap_or(std::num::NonZeroU8::MIN));
    let roles: [(RoleType, Vec<&SigningKey>, NonZeroU64); 4] = [
        (RoleType::Root, roots.iter().collect(), threshold),
        (RoleType::Targets, vec![&of_targets], first),
        (RoleType::Snapshot, vec![&online], first),
        (RoleType::Timestamp, vec![&online], first),
    ];
    for (role, keys, threshold) in roles {
        let public = || keys.iter().map(|key| &key.public);
        root.keys.extend(public().map(|key| (key.id.clone(), key.key.clone())));
        let keyids = public().map(|key| key.id.clone()).collect();
        root.roles.insert(role, RoleKeys { keyids, threshold, _extra: HashMap::new() });
    }
    let root = encode(&sign(root, &roots.iter().collect::<Vec<_>>())?, MAX_ROOT)?;

    let mut files = vec![("1.root.json".to_owned(), root.clone())];
    let expires = expiry(validity.online)?;
    let mut snapshot = Snapshot::new(SPEC.to_owned(), first, expires);
    let mut add = |snapshot: &mut Snapshot, role: &str, bytes: Vec<u8>| {
        snapshot.meta.insert(format!("{role}.json"), metafile(&content(&bytes), first));
        files.push((format!("1.{role}.json"), bytes));
    };
    let mut targets = Targets::new(SPEC.to_owned(), first, expiry(validity.targets)?);
    for (name, patterns, key) in &lists {
        delegate(&mut targets, name, patterns, &[&key.public]);
        let list = empty_list(expiry(validity.publisher)?);
        add(&mut snapshot, name, encode(&sign(list, &[key])?, MAX_LIST)?);
    }
    add(&mut snapshot, "targets", encode(&sign(targets, &[&of_targets])?, MAX_LIST)?);
    let snapshot = encode(&sign(snapshot, &[&online])?, MAX_LIST)?;
    let mut timestamp = Timestamp::new(SPEC.to_owned(), first, expires);
    timestamp.meta.insert("snapshot.json".to_owned(), metafile(&content(&snapshot), first));
    files.push(("1.snapshot.json".to_owned(), snapshot));
    files.push(("timestamp.json".to_owned(), encode(&sign(timestamp, &[&online])?, MAX_ROOT)?));
    folder.put_metadata(&files)?;
    Ok(Digest::of_bytes(&root))
}

/// Makes a publisher's list without releases.
fn empty_list(expires: jiff::Timestamp) -> Targets {
    // A publisher delegates to no other role.
    Targets { delegations: None, ..Targets::new(SPEC.to_owned(), NonZeroU64::MIN, expires) }
}

/// Delegates patterns to a new publisher. Publishers of all remotes stay the last, so that the paths of others are
/// not theirs.
fn delegate(targets: &mut Targets, name: &str, patterns: &[PathPattern], keys: &[&PublicKey]) {
    let delegations = targets.delegations.get_or_insert_with(Delegations::new);
    delegations.keys.extend(keys.iter().map(|key| (key.id.clone(), key.key.clone())));
    let role = DelegatedRole {
        name: name.to_owned(),
        keyids: keys.iter().map(|key| key.id.clone()).collect(),
        threshold: NonZeroU64::MIN,
        paths: PathSet::Paths(patterns.to_vec()),
        terminating: true,
        targets: None,
    };
    delegations.roles.push(role);
    delegations.roles.sort_by_key(|role| publishers::has_every_remote(&role.paths));
}

#[cfg(test)]
mod tests;
