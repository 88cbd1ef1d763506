//! The builds of development servers in the cache: `dev/SHA256/library` and `dev/SHA256/manifest.json`.
//!
//! A file appears under its name only once it is complete, so a process may end at any time. Several processes may use
//! the folder at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use negotiation::manifest::{MAX_MANIFEST_BYTES, RemoteManifest};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::address::DevAddress;
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
};

/// Builds of a remote that stay in the cache.
const KEPT: usize = 2;

/// Age at which a build that no longer counts is removed: another process may be copying it.
const SAFE_AGE: Duration = Duration::from_mins(1);

/// Beginning of the names of files that are being written.
const STAGED: &str = ".new-";

const LIBRARY: &str = "library";
const MANIFEST: &str = "manifest.json";

/// A library as a server states it.
#[derive(Clone, Copy)]
pub(super) struct Stated {
    pub(super) sha256: Digest,
    pub(super) length: u64,
}

/// The folder of builds.
pub(super) struct DevStore(PathBuf);

impl DevStore {
    /// Opens the store in a repository's folder of the cache, and removes what ended processes have left unfinished.
    pub(super) fn open(cache: &Path) -> Result<Self, DeliveryError> {
        let folder = cache.join("dev");
        make_folder(&folder)?;
        for entry in folder.read_dir().map_err(|error| failed(&error, &folder))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(STAGED) {
                remove_abandoned(&entry.path());
            }
        }
        Ok(Self(folder))
    }

    /// Returns `true` if this library is in the cache, undamaged.
    pub(super) fn has(&self, stated: Stated) -> Result<bool, DeliveryError> {
        let path = self.folder(stated.sha256).join(LIBRARY);
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_file() => {
                let file = File::open(&path).map_err(|error| failed(&error, &path))?;
                let copied = copy(&mut file.take(stated.length + 1), &mut io::sink());
                Ok(copied.map_err(|error| error.of_file(&path))? == stated)
            }
            Ok(_) => Err(in_the_way(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(&error, &path)),
        }
    }

    /// Stores a library, which must be as stated.
    pub(super) fn put(
        &self,
        stated: Stated,
        from: &mut impl Read,
        server: &DevAddress,
    ) -> Result<(), DeliveryError> {
        let mut new = self.stage()?;
        let copied = copy(&mut from.take(stated.length + 1), new.as_file_mut());
        let found = copied.map_err(|error| match error {
            Side::Read(error) => server.interrupted(error),
            Side::Write(error) => failed(&error, &self.0),
        })?;
        if found != stated {
            return Err(
                server.invalid(&format!("library {} is not the one that it lists", stated.sha256.short()))
            );
        }
        self.place(new, stated.sha256, LIBRARY)
    }

    /// Stores the manifest of a library, and returns the paths of both.
    pub(super) fn describe(
        &self,
        library: Digest,
        manifest: &str,
    ) -> Result<(PathBuf, PathBuf), DeliveryError> {
        // Written each time, so that its time shows the newest build.
        let mut staged = self.stage()?;
        staged.write_all(manifest.as_bytes()).map_err(|error| failed(&error, &self.0))?;
        self.place(staged, library, MANIFEST)?;
        let folder = self.folder(library);
        Ok((folder.join(LIBRARY), folder.join(MANIFEST)))
    }

    /// Removes old builds: all but the newest of each remote, those in use, and those of the last minute.
    pub(super) fn tidy(&self, in_use: &BTreeSet<Digest>) {
        let mut remotes = BTreeMap::<String, Vec<(SystemTime, PathBuf)>>::new();
        for entry in self.0.read_dir().into_iter().flatten().flatten() {
            let digest = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
            if digest.is_none_or(|digest| in_use.contains(&digest)) {
                continue;
            }
            let path = entry.path();
            let about = fs::symlink_metadata(path.join(MANIFEST)).or_else(|_| entry.metadata());
            let Ok(time) = about.and_then(|about| about.modified()) else { continue };
            // Those without a manifest, which a process has not finished, have an empty name.
            remotes.entry(name_in(&path).unwrap_or_default()).or_default().push((time, path));
        }
        for (name, mut builds) in remotes {
            builds.sort();
            // The newest one is in use.
            let kept = if name.is_empty() { 0 } else { KEPT - 1 };
            for (time, path) in builds.into_iter().rev().skip(kept) {
                if time.elapsed().is_ok_and(|age| age > SAFE_AGE) {
                    // What cannot be removed now is removed later.
                    let _ = fs::remove_dir_all(path);
                }
            }
        }
    }

    fn folder(&self, library: Digest) -> PathBuf {
        self.0.join(library.to_string())
    }

    /// Makes a file that a later process removes if this one ends before it is placed.
    fn stage(&self) -> Result<NamedTempFile, DeliveryError> {
        let staged = tempfile::Builder::new().prefix(STAGED).tempfile_in(&self.0);
        let staged = staged.map_err(|error| failed(&error, &self.0))?;
        // Without locks on this file system, the file is usable.
        let _ = staged.as_file().try_lock();
        Ok(staged)
    }

    fn place(&self, staged: NamedTempFile, library: Digest, name: &str) -> Result<(), DeliveryError> {
        let folder = self.folder(library);
        make_folder(&folder)?;
        let place = folder.join(name);
        if fs::symlink_metadata(&place).is_ok_and(|about| !about.is_file()) {
            return Err(in_the_way(&place));
        }
        staged.persist(&place).map(drop).map_err(|error| failed(&error.error, &place))
    }
}

impl PartialEq for Stated {
    fn eq(&self, other: &Self) -> bool {
        (self.sha256, self.length) == (other.sha256, other.length)
    }
}

/// The side of a copy that failed.
enum Side {
    Read(io::Error),
    Write(io::Error),
}

impl Side {
    fn of_file(self, path: &Path) -> DeliveryError {
        let (Self::Read(error) | Self::Write(error)) = self;
        failed(&error, path)
    }
}

/// Copies, and returns digest and length.
fn copy(from: &mut impl Read, to: &mut impl io::Write) -> Result<Stated, Side> {
    let (mut digest, mut length, mut piece) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(Stated { sha256: <[u8; 32]>::from(digest.finalize()).into(), length }),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Side::Read(error)),
        };
        digest.update(&piece[..read]);
        length += read as u64;
        to.write_all(&piece[..read]).map_err(Side::Write)?;
    }
}

/// Makes a folder for this user, or accepts the one that is there; refuses a link.
fn make_folder(path: &Path) -> Result<(), DeliveryError> {
    let builder = &mut fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(builder, 0o700);
    match builder.create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let about = fs::symlink_metadata(path).map_err(|error| failed(&error, path))?;
            if about.is_dir() { Ok(()) } else { Err(in_the_way(path)) }
        }
        Err(error) => Err(failed(&error, path)),
    }
}

/// Removes an unfinished file whose process has ended, and so holds no lock.
fn remove_abandoned(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|about| about.is_file())
        && File::open(path).is_ok_and(|file| file.try_lock().is_ok())
    {
        let _ = fs::remove_file(path);
    }
}

/// Returns the name in the manifest of a build.
fn name_in(folder: &Path) -> Option<String> {
    let path = folder.join(MANIFEST);
    fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_MANIFEST_BYTES as u64).read_to_string(&mut text).ok()?;
    RemoteManifest::from_json(&text).ok().map(|manifest| manifest.name)
}

fn failed(error: &io::Error, path: &Path) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::DeliveryCacheFailed,
        format!("the cache cannot be used ({error}): {}", path.display()),
        "make room there, and let this user write it",
    )
}

fn in_the_way(path: &Path) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::DeliveryCacheUnsafe,
        format!("a link or another file is in the way in the cache: {}", path.display()),
        "remove it",
    )
}
