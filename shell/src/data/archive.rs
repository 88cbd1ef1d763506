//! The last good generations of each remote, kept by the digest of their libraries.
//!
//! ```text
//! DATA/generations/index.json              what is kept of whom, newest first, and what is pinned
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
    library::Digest,
};

/// How many generations of a remote are kept, beside a pinned one.
pub const GENERATIONS: usize = 5;

/// The size that the libraries of a remote may have together, in bytes, beyond the newest two and a pinned one.
pub const GENERATION_BYTES: u64 = 1 << 30;

/// The longest note of a pin, in characters; a longer one is cut.
pub const MAX_NOTE: usize = 500;

/// Why a generation is not kept, or cannot be gone back to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file system refuses.
    #[error("the kept generations are out of reach ({0}): {1}")]
    Unavailable(io::Error, PathBuf),
    /// What was read has another digest than it should have.
    #[error("the library has the SHA-256 digest {found} and should have {expected}: {path}")]
    Mismatch {
        /// What it should have.
        expected: Digest,
        /// What it has.
        found: Digest,
        /// The library.
        path: PathBuf,
    },
    /// The manifest to keep beside a library is none.
    #[error("the generation of `{1}` is not kept, because its manifest is wrong: {manifest}", manifest = .0.summary())]
    Manifest(ManifestError, String),
    /// Nothing is kept of this remote.
    #[error("no generation of `{name}` is kept")]
    UnknownName {
        /// The remote.
        name: String,
        /// What there is instead.
        hint: String,
    },
    /// No kept generation has this version or digest.
    #[error("no kept generation of `{name}` is {to}")]
    Unknown {
        /// The remote.
        name: String,
        /// What was asked for.
        to: String,
        /// Versions and digests that are there.
        kept: String,
    },
    /// There is nothing to go back to.
    #[error("no generation of `{0}` older than the one in use is kept: it has run well in one version only")]
    NoneOlder(String),
    /// What is stored is gone or is not what was stored.
    #[error("the kept library is damaged ({problem}) and is not used: {path}")]
    Damaged {
        /// What is wrong.
        problem: String,
        /// The library in the store.
        path: PathBuf,
    },
}

crate::failure::advise!(ArchiveError);

impl ArchiveError {
    /// The stable code.
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

    /// What to do; may be empty.
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Unavailable(error, _) => remedy(error).into(),
            Self::Mismatch { .. } => "it is being written or is another one: copy or build it again".into(),
            Self::Manifest(error, _) => error.advice().into(),
            Self::Unknown { kept, .. } => format!("name one of those that are kept: {kept}").into(),
            Self::UnknownName { hint, .. } => hint.clone().into(),
            Self::NoneOlder(_) => "".into(),
            Self::Damaged { .. } => "roll back to another generation, or install this one again".into(),
        }
    }

    /// Returns `true` if the index is one that a later version wrote.
    pub(crate) fn is_later_format(&self) -> bool {
        matches!(self, Self::Unavailable(error, _) if error.kind() == io::ErrorKind::Unsupported)
    }
}

/// A generation that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The digest of its library, under which it is stored.
    pub digest: Digest,
    /// The version of the remote.
    pub version: Version,
    /// Its library in the store. Load a copy, never this file.
    pub library: PathBuf,
    /// Its manifest in the store.
    pub manifest: PathBuf,
    /// When it was taken, in seconds since 1970.
    pub taken: u64,
}

/// A decision to stay with one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The generation.
    pub digest: Digest,
    /// Why, in the words of whoever decided it; may be empty.
    #[serde(default)]
    pub note: String,
}

/// The store of one data folder. Cheap to make; everything is read when it is asked for.
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

/// The generations that are kept, as they were when the index was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listing {
    folder: PathBuf,
    index: Index,
}

impl Listing {
    /// The generations of a remote, newest first; they may be damaged.
    pub(crate) fn kept(&self, name: &str) -> Vec<Kept> {
        let line = self.index.remotes.get(name).map(|line| line.kept.as_slice()).unwrap_or_default();
        line.iter().map(|record| entry(&self.folder, record)).collect()
    }

    /// The generation that the remote is pinned to; it may be damaged.
    ///
    /// # Errors
    /// `generation-damaged` if it is not kept.
    pub(crate) fn pinned(&self, name: &str) -> Result<Option<(Pin, Kept)>, ArchiveError> {
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

fn entry(folder: &Path, record: &Record) -> Kept {
    let Record { digest, version, taken, .. } = record.clone();
    let (library, manifest) = (library(folder, &digest), object(folder, &digest).join("manifest.json"));
    Kept { digest, version, library, manifest, taken }
}

/// What is kept of one remote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    /// Newest first.
    kept: Vec<Record>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    digest: Digest,
    version: Version,
    taken: u64,
    /// Of its library, in bytes; 0 if that is not known.
    #[serde(default)]
    size: u64,
}

/// What goes wrong while the index is locked; with the path it becomes an [`ArchiveError`].
enum Fault {
    Io(io::Error),
    Known(ArchiveError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ArchiveError> for Fault {
    fn from(error: ArchiveError) -> Self {
        Self::Known(error)
    }
}

impl Archive {
    /// The store in the data folder of the shell.
    pub fn new(data_dir: &Path) -> Self {
        let folder = data_dir.join("generations");
        let path = folder.join("index.json");
        Self { index: SharedFile::new(path, "the list of kept generations", Code::ArchiveIndexDamaged), folder }
    }

    /// The file that changes when anything of this does, whoever changes it.
    pub fn index_file(&self) -> PathBuf {
        self.index.path().to_owned()
    }

    /// Keeps a generation that runs well as the newest of the remote called `name`.
    ///
    /// Of each remote the newest [`GENERATIONS`] are kept as far as [`GENERATION_BYTES`] go, and the pinned one.
    ///
    /// # Errors
    /// `digest-mismatch` if the library is not the one of this digest any more; nothing is kept then.
    pub fn keep(
        &self,
        name: &str,
        library: &Path,
        digest: &Digest,
        manifest_text: &str,
    ) -> Result<(), ArchiveError> {
        let manifest = RemoteManifest::from_json(manifest_text)
            .map_err(|error| ArchiveError::Manifest(error, name.to_owned()))?;
        let mut dropped = Vec::new();
        self.change(|index| {
            if self.verify(digest).is_err() {
                self.store(library, digest, manifest_text)?;
            }
            let line = index.remotes.entry(name.to_owned()).or_default();
            line.kept.retain(|kept| kept.digest != *digest);
            let taken = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let size = self.library(digest).metadata().map_or(0, |about| about.len());
            line.kept.insert(0, Record { digest: *digest, version: manifest.version, taken, size });
            dropped = line.prune();
            dropped.retain(|digest| !index.holds(digest));
            Ok(())
        })?;
        // After the index: an object that nobody names costs room, a name without an object costs trust.
        for digest in dropped {
            self.remove(&digest);
        }
        Ok(())
    }

    /// The generations of a remote, newest first; whether they are whole is looked at when they are used.
    pub fn kept(&self, name: &str) -> Result<Vec<Kept>, ArchiveError> {
        Ok(self.listing()?.kept(name))
    }

    /// The remotes of which generations are kept.
    pub fn names(&self) -> Result<Vec<String>, ArchiveError> {
        Ok(self.read()?.remotes.into_keys().collect())
    }

    /// That generations of this remote are kept.
    ///
    /// # Errors
    /// `generation-unknown`, with the name that was probably meant.
    pub fn expect(&self, name: &str) -> Result<(), ArchiveError> {
        self.read()?.expect(name)
    }

    /// Whether a library of this digest has run well before, of whatever remote.
    pub fn knows(&self, digest: &Digest) -> bool {
        self.read().is_ok_and(|index| index.holds(digest))
    }

    /// Pins a generation of the remote called `name`: of this version, or whose digest begins so; without either
    /// the one before the pinned, or before the newest.
    ///
    /// # Errors
    /// Nothing is pinned if the generation is not kept, or is damaged.
    pub fn roll_back(&self, name: &str, to: Option<&str>, note: &str) -> Result<Kept, ArchiveError> {
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

    /// Takes newer generations of the remote again.
    ///
    /// # Errors
    /// `generation-unknown` if nothing is kept of the remote.
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

    /// The generation that the remote is pinned to.
    ///
    /// # Errors
    /// `generation-damaged` if it is not what was stored.
    pub fn pinned(&self, name: &str) -> Result<Option<(Pin, Kept)>, ArchiveError> {
        let pinned = self.listing()?.pinned(name)?;
        if let Some((pin, _)) = &pinned {
            self.verify(&pin.digest)?;
        }
        Ok(pinned)
    }

    /// What the remote is pinned to as the index has it, without a look at the library.
    pub fn pin(&self, name: &str) -> Result<Option<Pin>, ArchiveError> {
        Ok(self.read()?.remotes.remove(name).and_then(|line| line.pin))
    }

    /// Everything that is kept.
    pub(crate) fn listing(&self) -> Result<Listing, ArchiveError> {
        Ok(Listing { folder: self.folder.clone(), index: self.read()? })
    }

    fn read(&self) -> Result<Index, ArchiveError> {
        self.index.read().map_err(|error| ArchiveError::Unavailable(error, self.index_file()))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Index) -> Result<R, Fault>) -> Result<R, ArchiveError> {
        self.index.change(change).map_err(|fault| match fault {
            Fault::Io(error) => ArchiveError::Unavailable(error, self.index_file()),
            Fault::Known(error) => error,
        })
    }

    fn object(&self, digest: &Digest) -> PathBuf {
        object(&self.folder, digest)
    }

    fn library(&self, digest: &Digest) -> PathBuf {
        library(&self.folder, digest)
    }

    fn verified(&self, record: &Record) -> Result<Kept, ArchiveError> {
        self.verify(&record.digest)?;
        Ok(entry(&self.folder, record))
    }

    /// An object is what its name says.
    fn verify(&self, digest: &Digest) -> Result<(), ArchiveError> {
        let object = self.object(digest);
        let path = object.join("library");
        let damaged = |problem: String| ArchiveError::Damaged { problem, path: path.clone() };
        let found = Digest::of(&path).map_err(|error| damaged(error.to_string()))?;
        if found != *digest {
            return Err(damaged(format!("its SHA-256 digest is {found}")));
        }
        let manifest = file::read(&object.join("manifest.json"), MAX_MANIFEST_BYTES as u64);
        let manifest = manifest.map_err(|error| error.to_string());
        let manifest = manifest.and_then(|text| RemoteManifest::from_slice(&text).map_err(|e| e.to_string()));
        manifest.map(drop).map_err(|problem| damaged(format!("its manifest: {problem}")))
    }

    /// Writes an object; it is there whole or not at all. The index is locked.
    fn store(&self, library: &Path, digest: &Digest, manifest_text: &str) -> Result<(), Fault> {
        let objects = self.folder.join("sha256");
        fs::create_dir_all(&objects)?;
        sweep(&objects);
        let new = tempfile::Builder::new().prefix(NEW).tempdir_in(&objects)?;
        let mut copy = File::create_new(new.path().join("library"))?;
        let from = file::open_within(library, file::MAX_LIBRARY);
        let mut from = from.map_err(|e| ArchiveError::Unavailable(e, library.to_owned()))?;
        let found = Digest::copying(&mut from, &mut copy)?;
        if found != *digest {
            return Err(ArchiveError::Mismatch { expected: *digest, found, path: library.to_owned() }.into());
        }
        copy.sync_all()?;
        let mut manifest = File::create_new(new.path().join("manifest.json"))?;
        manifest.write_all(manifest_text.as_bytes())?;
        manifest.sync_all()?;
        drop((copy, manifest));
        // One that is there is damaged.
        self.remove(digest);
        fs::rename(new.path(), self.object(digest))?;
        // Nothing has this name any more.
        let _ = new.keep();
        sync_folder(&objects);
        Ok(())
    }

    /// Removes an object that nobody names; what cannot be removed is in nobody's way.
    fn remove(&self, digest: &Digest) {
        let _ = fs::remove_dir_all(self.object(digest));
    }
}

/// How the folders are called that are not finished.
const NEW: &str = ".new-";

/// Removes what processes that were killed have left unfinished. The index is locked.
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
        if self.remotes.contains_key(name) {
            return Ok(());
        }
        let names: Vec<&str> = self.remotes.keys().map(String::as_str).collect();
        let hint = match (near_miss(name, &names), names.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "a generation is kept once it has run well".to_owned(),
            (None, names) => format!("there are some of {}", names.join(", ")),
        };
        Err(ArchiveError::UnknownName { name: name.to_owned(), hint })
    }

    fn holds(&self, digest: &Digest) -> bool {
        self.remotes.values().any(|line| line.kept.iter().any(|kept| kept.digest == *digest))
    }
}

impl Line {
    /// Drops what is too old, but for what is pinned; returns what was dropped.
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

    /// The generation to go back to; see [`Archive::roll_back`].
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
        // Of one version the newest; digits are to mean one.
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

/// The generations that are kept whatever their size: the one in use, and one to go back to.
const ALWAYS: usize = 2;

/// So few digits of a digest are no name for it.
const MIN_DIGITS: usize = 4;

#[cfg(test)]
mod tests;
