//! The cache folder of a repository.
//!
//! ```text
//! root.json           the root file that the user trusts
//! metadata.json       all verified metadata, in one file, so that it is replaced as a whole
//! list.json           the verified list
//! manifests/SHA256.json
//! libraries/SHA256/   library, manifest.json
//! part/               unfinished downloads, lock files, and the working folder of a check
//! ```
//! Files outside of `part` and `libraries` change under the lock `check` only; those of a library under a lock of its
//! digest. A file is complete once it has its name. Links and other special files in the folder are refused: another
//! program has put them there.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    listing::Listing,
};

/// The largest `list.json` and `metadata.json`, in bytes; far beyond those of any repository.
const MAX_STATE: u64 = 1 << 30;

/// The prefix of the names of files that are being written.
const STAGED: &str = ".new-";

/// The cache folder of a repository.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// A lock between processes; released with the value or the process.
#[derive(Debug)]
pub(crate) struct CacheLock {
    /// `None` if the file system has no locks.
    _file: Option<File>,
}

impl Cache {
    /// Opens the cache folder, which exists, and creates its folders.
    pub(crate) fn open(folder: &Path) -> Result<Self, DeliveryError> {
        let cache = Self { folder: folder.to_owned() };
        for name in ["manifests", "libraries", "part"] {
            create_folder(&cache.path(name))?;
        }
        Ok(cache)
    }

    /// Returns the path of an entry.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the path of a manifest.
    pub(crate) fn manifest(&self, digest: Digest) -> PathBuf {
        self.path("manifests").join(format!("{digest}.json"))
    }

    /// Returns the path of an unfinished download.
    pub(crate) fn part(&self, digest: Digest) -> PathBuf {
        self.path("part").join(format!("{digest}.part"))
    }

    /// Returns the stored list; `None` if there is none that can be read.
    pub(crate) fn list(&self) -> Option<Listing> {
        let bytes = read(&self.path("list.json"), MAX_STATE).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Reads a file of the folder; `None` if it is missing.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DeliveryError> {
        read(&self.path(name), MAX_STATE)
    }

    /// Replaces a file; a `durable` one is complete after a power failure, too.
    pub(crate) fn replace(&self, name: &str, content: &[u8], durable: bool) -> Result<(), DeliveryError> {
        replace(&self.path(name), content, durable)
    }

    /// Replaces a file by a value as JSON.
    pub(crate) fn replace_json(
        &self,
        name: &str,
        value: &impl serde::Serialize,
        durable: bool,
    ) -> Result<(), DeliveryError> {
        let content =
            serde_json::to_vec(value).map_err(|error| failed("write", &self.path(name), &error.into()))?;
        self.replace(name, &content, durable)
    }

    /// Locks `name`, and calls `wait` once if another process holds the lock.
    ///
    /// Returns `true` if it had to wait.
    pub(crate) fn lock(&self, name: &str, wait: impl FnOnce()) -> Result<(CacheLock, bool), DeliveryError> {
        let path = self.path("part").join(format!("{name}.lock"));
        let file = open_for_writing(&path)?;
        let failed = |error: io::Error| failed("lock", &path, &error);
        match file.try_lock() {
            Ok(()) => return Ok((CacheLock { _file: Some(file) }, false)),
            Err(TryLockError::WouldBlock) => wait(),
            // Without locks, two processes may fetch the same; every file is complete anyway.
            Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                return Ok((CacheLock { _file: None }, false));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        loop {
            match file.lock() {
                Ok(()) => return Ok((CacheLock { _file: Some(file) }, true)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Locks the files of a library's digest.
    ///
    /// A lock file serves all digests with the same first two digits, so that their number is limited.
    pub(crate) fn lock_content(&self, digest: Digest, wait: impl FnOnce()) -> Result<CacheLock, DeliveryError> {
        Ok(self.lock(&digest.to_string()[..2], wait)?.0)
    }

    /// Returns an empty folder to verify metadata in; the caller holds the lock `check`.
    pub(crate) fn workspace(&self) -> Result<Workspace, DeliveryError> {
        let path = self.path("part").join("check");
        remove(&path)?;
        create_folder(&path)?;
        Ok(Workspace(path))
    }

    /// Removes everything that killed processes have left and that the list no longer has; the caller holds the lock
    /// `check`.
    pub(crate) fn sweep(&self, list: &Listing) {
        for folder in [self.folder.clone(), self.path("manifests")] {
            for (name, path) in entries(&folder) {
                if name.starts_with(STAGED) {
                    let _ = fs::remove_file(path);
                }
            }
        }
        let keeps = |digest: &str, of: fn(&crate::listing::Release) -> Digest| {
            list.releases.iter().any(|release| of(release).to_string() == digest)
        };
        for (name, path) in entries(&self.path("manifests")) {
            if !keeps(name.trim_end_matches(".json"), |release| release.about.manifest.sha256) {
                let _ = fs::remove_file(path);
            }
        }
        for (name, path) in entries(&self.path("part")) {
            let digest = name.trim_end_matches(".part");
            let of = |release: &crate::listing::Release| release.download.sha256;
            if digest != name
                && !keeps(digest, of)
                && let Some(_lock) = self.try_lock_content(digest)
            {
                let _ = fs::remove_file(path);
            }
        }
        for (name, path) in entries(&self.path("libraries")) {
            let digest = name.trim_start_matches(STAGED);
            let stale = digest != name || !keeps(digest, |release| release.about.library.sha256);
            if stale && let Some(_lock) = self.try_lock_content(digest) {
                let _ = remove(&path);
            }
        }
    }

    /// Locks the files of a digest, unless another process works on them.
    fn try_lock_content(&self, digest: &str) -> Option<File> {
        let first = digest.get(..2)?;
        let file = open_for_writing(&self.path("part").join(format!("{first}.lock"))).ok()?;
        file.try_lock().is_ok().then_some(file)
    }
}

/// A folder that is removed with the value.
#[derive(Debug)]
pub(crate) struct Workspace(PathBuf);

impl Workspace {
    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // The next check removes a folder that cannot be removed now.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads a regular file of at most `limit` bytes; `None` if it is missing.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DeliveryError> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed("read", path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(unsafe_entry(path, "is too large"));
    }
    Ok(Some(bytes))
}

/// Opens a regular file for reading; `None` if it is missing.
pub(crate) fn open(path: &Path) -> Result<Option<File>, DeliveryError> {
    if !is_present(path)? {
        return Ok(None);
    }
    match no_link(File::options().read(true)).open(path) {
        Ok(file) => regular(path, file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

/// Opens a regular file for reading and writing, and creates it if it is missing.
pub(crate) fn open_for_writing(path: &Path) -> Result<File, DeliveryError> {
    is_present(path)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = no_link(&mut options).open(path).map_err(|error| failed("write", path, &error))?;
    regular(path, file)
}

/// Creates a file that must not exist.
pub(crate) fn create(path: &Path) -> Result<File, DeliveryError> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    no_link(&mut options).open(path).map_err(|error| failed("write", path, &error))
}

/// Creates a folder if it is missing.
pub(crate) fn create_folder(path: &Path) -> Result<(), DeliveryError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let about = fs::symlink_metadata(path).map_err(|error| failed("read", path, &error))?;
            if about.is_dir() { Ok(()) } else { Err(unsafe_entry(path, "is not a folder")) }
        }
        Err(error) => Err(failed("create", path, &error)),
    }
}

/// Replaces a file by a complete one.
pub(crate) fn replace(path: &Path, content: &[u8], durable: bool) -> Result<(), DeliveryError> {
    is_present(path)?;
    let folder = path.parent().unwrap_or(path);
    let write = || -> io::Result<()> {
        let mut staged = tempfile::Builder::new().prefix(STAGED).tempfile_in(folder)?;
        staged.write_all(content)?;
        if durable {
            staged.as_file().sync_all()?;
        }
        staged.persist(path)?;
        if durable {
            sync_folder(folder);
        }
        Ok(())
    };
    write().map_err(|error| failed("write", path, &error))
}

/// Makes a rename durable over a power failure, if the system supports it.
pub(crate) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        // The content is durable already, and not every file system supports this for folders.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Removes a file, a link, or a folder with its content; a link is not followed.
pub(crate) fn remove(path: &Path) -> Result<(), DeliveryError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Returns the path of a file that is being written before it is renamed to `name`.
pub(crate) fn staged(name: impl std::fmt::Display) -> String {
    format!("{STAGED}{name}")
}

/// Makes the error of a file that cannot be read or written.
pub(crate) fn failed(what: &str, path: &Path, error: &io::Error) -> DeliveryError {
    let advice = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space on the disk, then try again",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "check the permissions of the folder",
        _ => "check the disk, then try again",
    };
    let summary = format!("cannot {what} a file of the cache ({error}): {}", path.display());
    DeliveryError::new(ErrorCode::DeliveryCacheFailed, summary, advice)
}

fn unsafe_entry(path: &Path, what: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::DeliveryCacheUnsafe,
        format!("an entry of the cache {what}: {}", path.display()),
        "another program has changed the cache; remove this entry",
    )
}

/// Returns `true` for a regular file, `false` for a missing one; fails for anything else.
fn is_present(path: &Path) -> Result<bool, DeliveryError> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_symlink() => Err(unsafe_entry(path, "is a link")),
        Ok(about) if about.is_file() => Ok(true),
        Ok(_) => Err(unsafe_entry(path, "is not a file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(unsafe_entry(path, "is not in a folder")),
        Err(error) => Err(failed("read", path, &error)),
    }
}

/// Fails if something else has replaced the file since [`is_present`].
fn regular(path: &Path, file: File) -> Result<File, DeliveryError> {
    let about = file.metadata().map_err(|error| failed("read", path, &error))?;
    if about.is_file() { Ok(file) } else { Err(unsafe_entry(path, "is not a file")) }
}

/// Opens no link, and does not wait for the other end of a pipe; new files are the user's alone.
fn no_link(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options
}

fn entries(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

/// Returns `true` if the file system has no locks, as network file systems without a lock service.
fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}
