//! Archive of the last good generations of each remote, and of the libraries fetched for it, stored by their digests.
//!
//! ```text
//! DATA/generations/index.json              generations of each remote, newest first, and its pin
//! DATA/generations/sha256/HEX/library      the library
//! DATA/generations/sha256/HEX/manifest.json
//! ```
//! Several shells may share the folder: the index is changed under a lock, and objects never change.
//! Names of remotes are keys in the index and never part of a path.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use negotiation::manifest::{MAX_MANIFEST_BYTES, ManifestError, RemoteManifest, near_miss};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::shared_file::{Content, SharedFile, remedy};
use crate::{
    catalogue::Code,
    file::{self, sync_folder},
    library::{Digest, copy_digested, digest_of},
};

/// Number of generations of a remote that are kept, in addition to a pinned one.
pub const GENERATIONS: usize = 5;

/// Total size of the libraries of a remote, in bytes. The newest two and a pinned one are kept even beyond it.
pub const GENERATION_BYTES: u64 = 1 << 30;

/// Number of fetched libraries of a remote that are kept, whether they have run or not.
const FETCHED: usize = 3;

/// Maximum length of a pin's note, in characters; a longer one is cut.
pub const MAX_NOTE: usize = 500;

/// Reason why a generation cannot be archived or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file system refuses.
    #[error("the archived generations cannot be accessed ({0}): {1}")]
    Unavailable(io::Error, PathBuf),
    /// The library has another digest than expected.
    #[error("the library has the SHA-256 digest {found} and should have {expected}: {path}")]
    Mismatch {
        /// The expected digest.
        expected: Digest,
        /// The digest of the content.
        found: Digest,
        /// The library.
        path: PathBuf,
    },
    /// The manifest to store with a library is invalid.
    #[error("the generation of `{1}` is not archived, because its manifest is invalid: {manifest}", manifest = .0.summary())]
    Manifest(ManifestError, String),
    /// The archive has no generation of this remote.
    #[error("`{name}` has no archived generation")]
    UnknownName {
        /// The remote.
        name: String,
        /// The remotes that have some, or the name that was probably meant.
        hint: String,
    },
    /// No archived generation has this version or digest.
    #[error("`{name}` has no archived generation {to}")]
    Unknown {
        /// The remote.
        name: String,
        /// The requested version or digest.
        to: String,
        /// The versions and digests that are kept.
        kept: String,
    },
    /// No older generation is archived.
    #[error("`{0}` has no archived generation older than the one in use")]
    NoneOlder(String),
    /// The stored library or its manifest is missing or was changed.
    #[error("the archived library is damaged ({problem}) and is not used: {path}")]
    Damaged {
        /// The fault.
        problem: String,
        /// The library in the store.
        path: PathBuf,
    },
}

crate::failure::advise!(ArchiveError);

impl ArchiveError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Unavailable(..) => Code::ArchiveUnavailable,
            Self::Mismatch { .. } => Code::DigestMismatch,
            Self::Manifest(error, _) => error.into(),
            Self::UnknownName { .. } | Self::Unknown { .. } => Code::GenerationUnknown,
            Self::NoneOlder(_) => Code::GenerationNoneOlder,
            Self::Damaged { .. } => Code::GenerationDamaged,
        }
    }

    /// Returns what to do; may be empty.
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Unavailable(error, _) => remedy(error).into(),
            Self::Mismatch { .. } => {
                "it is being written, or is another library: copy or build it again".into()
            }
            Self::Manifest(error, _) => error.advice().into(),
            Self::Unknown { kept, .. } => format!("choose one of: {kept}").into(),
            Self::UnknownName { hint, .. } => hint.clone().into(),
            Self::NoneOlder(_) => "`pulse rollback --list` lists the archived generations".into(),
            Self::Damaged { .. } => "roll back to another generation, or install this one again".into(),
        }
    }

    /// Returns `true` if a later version has written the index.
    pub(crate) fn is_later_format(&self) -> bool {
        matches!(self, Self::Unavailable(error, _) if error.kind() == io::ErrorKind::Unsupported)
    }
}

/// A generation that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedGeneration {
    /// Digest of its library, under which it is stored.
    pub digest: Digest,
    /// Version of the remote.
    pub version: Version,
    /// Path of its library in the archive. Load a copy, never this file.
    pub library: PathBuf,
    /// Path of its manifest in the archive.
    pub manifest: PathBuf,
    /// Time at which it was archived, in seconds since 1970.
    pub taken: u64,
}

/// A decision to stay with one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The generation.
    pub digest: Digest,
    /// The user's reason; may be empty.
    #[serde(default)]
    pub note: String,
}

/// The archive of one data folder. Cheap to make; files are read on demand.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
    index: SharedFile,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    #[serde(default)]
    remotes: BTreeMap<String, Line>,
}

impl Content for Index {}

/// The kept generations at the time when the index was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ArchiveListing {
    folder: PathBuf,
    index: Index,
}

impl ArchiveListing {
    /// Returns the generations of a remote, newest first. They may be damaged.
    pub(crate) fn kept(&self, name: &str) -> Vec<ArchivedGeneration> {
        let line = self.index.remotes.get(name).map(|line| line.kept.as_slice()).unwrap_or_default();
        line.iter().map(|record| entry(&self.folder, record)).collect()
    }

    /// Returns the library with this digest that was fetched for a remote, or ran well. It may be damaged.
    pub(crate) fn object(&self, name: &str, digest: &Digest) -> Option<ArchivedGeneration> {
        let line = self.index.remotes.get(name)?;
        let mut all = line.fetched.iter().chain(&line.kept);
        all.find(|record| record.digest == *digest).map(|record| entry(&self.folder, record))
    }

    /// Returns the pinned generation of a remote. It may be damaged.
    ///
    /// # Errors
    /// Fails with `generation-damaged` if it is not kept.
    pub(crate) fn pinned(&self, name: &str) -> Result<Option<(Pin, ArchivedGeneration)>, ArchiveError> {
        let Some(line) = self.index.remotes.get(name) else { return Ok(None) };
        let Some(pin) = &line.pin else { return Ok(None) };
        let Some(record) = line.kept.iter().find(|kept| kept.digest == pin.digest) else {
            let problem = "the index does not list it".to_owned();
            return Err(ArchiveError::Damaged { problem, path: library(&self.folder, &pin.digest) });
        };
        Ok(Some((pin.clone(), entry(&self.folder, record))))
    }
}

fn object(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("sha256").join(digest.to_string())
}

fn library(folder: &Path, digest: &Digest) -> PathBuf {
    object(folder, digest).join("library")
}

fn entry(folder: &Path, record: &Record) -> ArchivedGeneration {
    let Record { digest, version, taken, .. } = record.clone();
    let (library, manifest) = (library(folder, &digest), object(folder, &digest).join("manifest.json"));
    ArchivedGeneration { digest, version, library, manifest, taken }
}

/// The kept generations of one remote, and its pin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    /// Its generations that ran well, newest first.
    #[serde(default)]
    kept: Vec<Record>,
    /// Libraries that were fetched for it, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fetched: Vec<Record>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    digest: Digest,
    version: Version,
    taken: u64,
    /// Size of its library in bytes; 0 if unknown.
    #[serde(default)]
    size: u64,
}

/// Error while the index is locked; with the path it becomes an [`ArchiveError`].
enum ArchiveFault {
    Io(io::Error),
    Known(ArchiveError),
}

impl From<io::Error> for ArchiveFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ArchiveError> for ArchiveFault {
    fn from(error: ArchiveError) -> Self {
        Self::Known(error)
    }
}

impl Archive {
    /// Returns the archive in this data folder.
    pub fn new(data_dir: &Path) -> Self {
        let folder = data_dir.join("generations");
        let path = folder.join("index.json");
        Self { index: SharedFile::new(path, "the list of kept generations", Code::ArchiveIndexDamaged), folder }
    }

    /// Returns the file that every change of the archive writes, by any process.
    pub fn index_file(&self) -> PathBuf {
        self.index.path().to_owned()
    }

    /// Archives a generation that runs well as the newest of the remote called `name`.
    ///
    /// Each remote keeps its newest [`GENERATIONS`] within [`GENERATION_BYTES`], and the pinned one.
    ///
    /// # Errors
    /// Fails with `digest-mismatch` if the library no longer has this digest; nothing is archived then.
    pub fn keep(
        &self,
        name: &str,
        library: &Path,
        digest: &Digest,
        manifest_text: &str,
    ) -> Result<(), ArchiveError> {
        self.add(name, library, digest, manifest_text, |line, record| {
            line.kept.retain(|kept| kept.digest != record.digest);
            line.kept.insert(0, record);
            line.prune()
        })
        .map(drop)
    }

    /// Adds a library that was fetched for the remote called `name`, and has not run yet.
    ///
    /// # Errors
    /// Fails with `digest-mismatch` if the library does not have this digest; nothing is added then.
    pub(crate) fn admit(
        &self,
        name: &str,
        library: &Path,
        digest: &Digest,
        manifest_text: &str,
    ) -> Result<ArchivedGeneration, ArchiveError> {
        self.add(name, library, digest, manifest_text, |line, record| {
            line.fetched.retain(|fetched| fetched.digest != record.digest);
            line.fetched.insert(0, record);
            line.fetched.split_off(FETCHED.min(line.fetched.len())).into_iter().map(|old| old.digest).collect()
        })
    }

    /// Stores a library, and enters it into the remote's line with `enter`, which returns the digests that it drops.
    fn add(
        &self,
        name: &str,
        library: &Path,
        digest: &Digest,
        manifest_text: &str,
        enter: impl FnOnce(&mut Line, Record) -> Vec<Digest>,
    ) -> Result<ArchivedGeneration, ArchiveError> {
        let manifest = RemoteManifest::from_json(manifest_text)
            .map_err(|error| ArchiveError::Manifest(error, name.to_owned()))?;
        let mut dropped = Vec::new();
        let added = self.change(|index| {
            if self.verify(digest).is_err() {
                self.store(library, digest, manifest_text)?;
            }
            let taken = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let size = self.library(digest).metadata().map_or(0, |about| about.len());
            let record = Record { digest: *digest, version: manifest.version, taken, size };
            let added = entry(&self.folder, &record);
            dropped = enter(index.remotes.entry(name.to_owned()).or_default(), record);
            dropped.retain(|digest| !index.holds(digest));
            Ok(added)
        })?;
        // After the index is written: an unused object only costs space, but an entry without an object is an error.
        for digest in dropped {
            self.remove(&digest);
        }
        Ok(added)
    }

    /// Returns the generations of a remote, newest first. Damage is found only when one is used.
    pub fn kept(&self, name: &str) -> Result<Vec<ArchivedGeneration>, ArchiveError> {
        Ok(self.listing()?.kept(name))
    }

    /// Returns the names of the remotes of which generations are kept.
    pub fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let lines = self.read()?.remotes.into_iter();
        Ok(lines.filter(|(_, line)| !line.kept.is_empty()).map(|(name, _)| name).collect())
    }

    /// Checks that generations of this remote are kept.
    ///
    /// # Errors
    /// Fails with `generation-unknown` and the name that was probably meant.
    pub fn expect(&self, name: &str) -> Result<(), ArchiveError> {
        self.read()?.expect(name)
    }

    /// Returns `true` if a library with this digest has run well before, for any remote.
    pub fn knows(&self, digest: &Digest) -> bool {
        let ran = |line: &Line| line.kept.iter().any(|kept| kept.digest == *digest);
        self.read().is_ok_and(|index| index.remotes.values().any(ran))
    }

    /// Pins a generation of the remote called `name`. `to` is its version or the beginning of its digest; `None`
    /// selects the generation before the pinned one, or before the newest.
    ///
    /// # Errors
    /// Fails, and pins nothing, if the generation is not kept or is damaged.
    pub fn roll_back(
        &self,
        name: &str,
        to: Option<&str>,
        note: &str,
    ) -> Result<ArchivedGeneration, ArchiveError> {
        let note: String =
            note.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_NOTE).collect();
        self.change(|index| {
            let line = index.line(name)?;
            let record = line.choose(name, to)?.clone();
            let kept = self.verified(&record)?;
            line.pin = Some(Pin { digest: record.digest, note });
            Ok(kept)
        })
    }

    /// Unpins the remote, which then uses newer generations again.
    ///
    /// # Errors
    /// Fails with `generation-unknown` if no generation of the remote is kept.
    pub fn unpin(&self, name: &str) -> Result<(), ArchiveError> {
        let mut dropped = Vec::new();
        self.change(|index| {
            let line = index.line(name)?;
            line.pin = None;
            dropped = line.prune();
            dropped.retain(|digest| !index.holds(digest));
            Ok(())
        })?;
        for digest in dropped {
            self.remove(&digest);
        }
        Ok(())
    }

    /// Returns the pinned generation of a remote, and verifies it.
    ///
    /// # Errors
    /// Fails with `generation-damaged` if it was changed or is missing.
    pub fn pinned(&self, name: &str) -> Result<Option<(Pin, ArchivedGeneration)>, ArchiveError> {
        let pinned = self.listing()?.pinned(name)?;
        if let Some((pin, _)) = &pinned {
            self.verify(&pin.digest)?;
        }
        Ok(pinned)
    }

    /// Returns the pin of a remote from the index, without verifying the library.
    pub fn pin(&self, name: &str) -> Result<Option<Pin>, ArchiveError> {
        Ok(self.read()?.remotes.remove(name).and_then(|line| line.pin))
    }

    /// Reads the list of all kept generations.
    pub(crate) fn listing(&self) -> Result<ArchiveListing, ArchiveError> {
        Ok(ArchiveListing { folder: self.folder.clone(), index: self.read()? })
    }

    fn read(&self) -> Result<Index, ArchiveError> {
        self.index.read().map_err(|error| ArchiveError::Unavailable(error, self.index_file()))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Index) -> Result<R, ArchiveFault>) -> Result<R, ArchiveError> {
        self.index.change(change).map_err(|fault| match fault {
            ArchiveFault::Io(error) => ArchiveError::Unavailable(error, self.index_file()),
            ArchiveFault::Known(error) => error,
        })
    }

    fn object(&self, digest: &Digest) -> PathBuf {
        object(&self.folder, digest)
    }

    fn library(&self, digest: &Digest) -> PathBuf {
        library(&self.folder, digest)
    }

    fn verified(&self, record: &Record) -> Result<ArchivedGeneration, ArchiveError> {
        self.verify(&record.digest)?;
        Ok(entry(&self.folder, record))
    }

    /// Checks that an object has the content that its name states.
    fn verify(&self, digest: &Digest) -> Result<(), ArchiveError> {
        let object = self.object(digest);
        let path = object.join("library");
        let damaged = |problem: String| ArchiveError::Damaged { problem, path: path.clone() };
        let found = digest_of(&path).map_err(|error| damaged(error.to_string()))?;
        if found != *digest {
            return Err(damaged(format!("its SHA-256 digest is {found}")));
        }
        let manifest = file::read(&object.join("manifest.json"), MAX_MANIFEST_BYTES as u64);
        let manifest = manifest.map_err(|error| error.to_string());
        let manifest = manifest.and_then(|text| RemoteManifest::from_slice(&text).map_err(|e| e.to_string()));
        manifest.map(drop).map_err(|problem| damaged(format!("its manifest: {problem}")))
    }

    /// Writes an object, completely or not at all. The index must be locked.
    fn store(&self, library: &Path, digest: &Digest, manifest_text: &str) -> Result<(), ArchiveFault> {
        let objects = self.folder.join("sha256");
        fs::create_dir_all(&objects)?;
        sweep(&objects);
        let new = tempfile::Builder::new().prefix(NEW).tempdir_in(&objects)?;
        let mut copy = File::create_new(new.path().join("library"))?;
        let from = file::open_within(library, file::MAX_LIBRARY);
        let mut from = from.map_err(|e| ArchiveError::Unavailable(e, library.to_owned()))?;
        let found = copy_digested(&mut from, &mut copy)?;
        if found != *digest {
            return Err(ArchiveError::Mismatch { expected: *digest, found, path: library.to_owned() }.into());
        }
        copy.sync_all()?;
        let mut manifest = File::create_new(new.path().join("manifest.json"))?;
        manifest.write_all(manifest_text.as_bytes())?;
        manifest.sync_all()?;
        drop((copy, manifest));
        // An existing object is damaged.
        self.remove(digest);
        fs::rename(new.path(), self.object(digest))?;
        // The folder was renamed, so there is nothing to remove under this name.
        let _ = new.keep();
        sync_folder(&objects);
        Ok(())
    }

    /// Removes an object that is not in the index. A failure is ignored, because a leftover does no harm.
    fn remove(&self, digest: &Digest) {
        let _ = fs::remove_dir_all(self.object(digest));
    }
}

/// Beginning of the names of unfinished folders.
const NEW: &str = ".new-";

/// Removes unfinished folders of processes that were killed. The index must be locked.
fn sweep(objects: &Path) {
    let unfinished = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(NEW);
    for entry in objects.read_dir().into_iter().flatten().flatten().filter(unfinished) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

impl Index {
    fn line(&mut self, name: &str) -> Result<&mut Line, ArchiveError> {
        self.expect(name)?;
        Ok(self.remotes.entry(name.to_owned()).or_default())
    }

    fn expect(&self, name: &str) -> Result<(), ArchiveError> {
        let lines = self.remotes.iter().filter(|(_, line)| !line.kept.is_empty());
        let names: Vec<&str> = lines.map(|(name, _)| name.as_str()).collect();
        if names.contains(&name) {
            return Ok(());
        }
        let hint = match (near_miss(name, &names), names.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "a generation is archived once it has run well".to_owned(),
            (None, names) => format!("the archive has generations of: {}", names.join(", ")),
        };
        Err(ArchiveError::UnknownName { name: name.to_owned(), hint })
    }

    fn holds(&self, digest: &Digest) -> bool {
        let has = |line: &Line| line.kept.iter().chain(&line.fetched).any(|record| record.digest == *digest);
        self.remotes.values().any(has)
    }
}

impl Line {
    /// Drops generations that are too old, except the pinned one; returns the digests of the dropped ones.
    fn prune(&mut self) -> Vec<Digest> {
        let pinned = self.pin.as_ref().map(|pin| pin.digest);
        let (mut at, mut bytes, mut dropped) = (0, 0_u64, Vec::new());
        self.kept.retain(|kept| {
            at += 1;
            bytes = bytes.saturating_add(kept.size);
            let fits = at <= GENERATIONS && (at <= ALWAYS || bytes <= GENERATION_BYTES);
            let stays = fits || Some(kept.digest) == pinned;
            if !stays {
                dropped.push(kept.digest);
            }
            stays
        });
        dropped
    }

    /// Selects the generation to restore; see [`Archive::roll_back`].
    fn choose(&self, name: &str, to: Option<&str>) -> Result<&Record, ArchiveError> {
        let Some(to) = to else {
            let pinned = self.pin.as_ref().map(|pin| pin.digest);
            let now = self.kept.iter().position(|kept| Some(kept.digest) == pinned).unwrap_or(0);
            return self.kept.get(now + 1).ok_or_else(|| ArchiveError::NoneOlder(name.to_owned()));
        };
        let version = to.parse::<Version>().ok();
        let digits = to.strip_prefix("sha256:").unwrap_or(to).to_ascii_lowercase();
        let meant = |kept: &&Record| match &version {
            Some(version) => kept.version == *version,
            None => digits.len() >= MIN_DIGITS && kept.digest.to_string().starts_with(&digits),
        };
        let mut found = self.kept.iter().filter(meant);
        let first = found.next();
        // A version means its newest generation; digits must be unambiguous.
        match first {
            Some(first) if version.is_some() || found.next().is_none() => Ok(first),
            _ => {
                let kept = self.kept.iter().map(|kept| format!("{} ({})", kept.version, kept.digest.short()));
                let kept = kept.collect::<Vec<_>>().join(", ");
                Err(ArchiveError::Unknown { name: name.to_owned(), to: format!("`{to}`"), kept })
            }
        }
    }
}

/// Number of generations that are kept at any size: the one in use, and one to roll back to.
const ALWAYS: usize = 2;

/// Minimum number of digits that identify a digest.
const MIN_DIGITS: usize = 4;

#[cfg(test)]
mod tests;
