//! The files of a repository: bounded reads, atomic and durable writes, and the lock of the process that changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
};

/// Maximum length of a root and of a timestamp, in bytes: the limit of clients.
pub(super) const MAX_ROOT: u64 = 1 << 20;

/// Maximum length of a snapshot and of a publisher's list, in bytes: the limit of clients.
pub(super) const MAX_LIST: u64 = 10 << 20;

/// Maximum length of an unpacked library, in bytes: the limit of the shell.
pub(super) const MAX_LIBRARY: u64 = 2 << 30;

/// The time between two attempts to lock.
const PAUSE: Duration = Duration::from_millis(10);

/// The folder of a repository.
#[derive(Clone, Debug)]
pub(super) struct SiteFolder {
    dir: PathBuf,
}

/// The right to change a repository, which ends with the value or with its process.
#[derive(Debug)]
pub(super) struct SiteLock {
    _file: File,
}

impl SiteFolder {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn metadata(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    /// Returns the folder of unfinished files, on the same file system.
    pub(super) fn temporary(&self) -> PathBuf {
        self.dir.join(".temporary")
    }

    /// Returns the place of a target; its digest is a prefix of the last part.
    pub(super) fn target(&self, path: &str, digest: &Digest) -> PathBuf {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.dir.join("targets").join(folder).join(format!("{digest}.{name}"))
    }

    /// Acquires the lock, and removes what an interrupted command has left.
    ///
    /// # Errors
    /// Fails with `site-busy` if another process holds the lock for longer than `patience`.
    pub(super) fn lock(&self, patience: Duration) -> Result<SiteLock, DeliveryError> {
        let path = self.dir.join(".lock");
        let file =
            File::options().create(true).append(true).open(&path).map_err(|error| failed(&path, &error))?;
        let lock = acquire(file, &path, patience, File::try_lock)?;
        self.sweep()?;
        Ok(lock)
    }

    /// Acquires the lock for reading; `None` for a copy of a repository, which has no lock.
    ///
    /// # Errors
    /// Fails as [`Self::lock`] does.
    pub(super) fn lock_shared(&self, patience: Duration) -> Result<Option<SiteLock>, DeliveryError> {
        let path = self.dir.join(".lock");
        match File::open(&path) {
            Ok(file) => acquire(file, &path, patience, File::try_lock_shared).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn sweep(&self) -> Result<(), DeliveryError> {
        let folder = self.temporary();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&folder, &error)),
            _ => fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error)),
        }
    }

    /// Reads a file of the metadata; `None` if it is missing.
    ///
    /// # Errors
    /// Fails with `site-damaged` for anything but a regular file of at most `limit` bytes.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, DeliveryError> {
        let path = self.metadata().join(name);
        let Some(file) = open(&path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed(&path, &error))?;
        if bytes.len() as u64 > limit {
            return Err(damaged(&format!("a file has more than {limit} bytes"), &path));
        }
        Ok(Some(bytes))
    }

    /// Writes a file of the metadata.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DeliveryError> {
        self.put(&self.metadata().join(name), &mut &*bytes)
    }

    /// Writes a complete and durable file, or nothing.
    pub(super) fn put(&self, path: &Path, content: &mut impl Read) -> Result<(), DeliveryError> {
        let failed = |error: &io::Error| failed(path, error);
        let folder = path.parent().unwrap_or(&self.dir);
        self.make_folder(folder).map_err(|error| failed(&error))?;
        step();
        let mut file = temporary_in(&self.temporary()).map_err(|error| failed(&error))?;
        io::copy(content, &mut file).map_err(|error| failed(&error))?;
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        step();
        file.persist(path).map_err(|error| failed(&error.error))?;
        sync_folder(folder);
        step();
        Ok(())
    }

    /// Writes all metadata of a new repository at once.
    pub(super) fn put_metadata(&self, files: &[(String, Vec<u8>)]) -> Result<(), DeliveryError> {
        let folder = self.temporary().join("metadata");
        let write = || {
            fs::create_dir(&folder)?;
            for (name, bytes) in files {
                let mut file = File::create_new(folder.join(name))?;
                file.write_all(bytes)?;
                file.sync_all()?;
            }
            sync_folder(&folder);
            step();
            fs::rename(&folder, self.metadata())
        };
        write().map_err(|error| failed(&self.dir, &error))?;
        sync_folder(&self.dir);
        step();
        Ok(())
    }

    /// Creates a folder of the repository with its parents, which survive a power failure from then on.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|folder| *folder != self.dir && !folder.is_dir()).collect();
        fs::create_dir_all(folder)?;
        missing.iter().filter_map(|folder| folder.parent()).for_each(sync_folder);
        Ok(())
    }

    /// Returns the versions of each file of the metadata, by role.
    pub(super) fn versions(&self) -> Result<BTreeMap<String, BTreeSet<u64>>, DeliveryError> {
        let folder = self.metadata();
        let mut versions = BTreeMap::<String, BTreeSet<u64>>::new();
        for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, &error))? {
            let name = entry.map_err(|error| failed(&folder, &error))?.file_name();
            if let Some((role, version)) = name.to_str().and_then(role_and_version) {
                versions.entry(role.to_owned()).or_default().insert(version);
            }
        }
        Ok(versions)
    }

    /// Removes superseded metadata, best-effort; clients that are reading it have the newest few.
    pub(super) fn prune(&self, role: &str, current: u64) {
        const RETAINED: u64 = 10;
        let Ok(versions) = self.versions() else { return };
        for version in versions.get(role).into_iter().flatten() {
            if *version < current.saturating_sub(RETAINED) {
                let _ = fs::remove_file(self.metadata().join(format!("{version}.{role}.json")));
            }
        }
    }
}

/// Takes a name such as `7.targets.json` apart.
fn role_and_version(name: &str) -> Option<(&str, u64)> {
    let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
    let number = version.parse().ok()?;
    // No other spelling of the same version.
    (version == u64::to_string(&number)).then_some((role, number))
}

fn acquire(
    file: File,
    path: &Path,
    patience: Duration,
    attempt: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<SiteLock, DeliveryError> {
    let until = Instant::now() + patience;
    loop {
        match attempt(&file) {
            Ok(()) => return Ok(SiteLock { _file: file }),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                let text = format!("another process is changing the repository: {}", path.display());
                return Err(DeliveryError::new(ErrorCode::SiteBusy, text, "try again once it has ended"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(path, &error)),
        }
    }
}

/// Opens a regular file; `None` if it is missing.
pub(super) fn open(path: &Path) -> Result<Option<File>, DeliveryError> {
    // Before it is opened, because a pipe would wait for its writer.
    match fs::metadata(path) {
        Ok(about) if about.is_file() => File::open(path).map(Some).map_err(|error| failed(path, &error)),
        Ok(_) => Err(damaged("this is not a regular file", path)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(failed(path, &error)),
    }
}

/// Creates a temporary file that a web server can read once it is in its place.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Makes the names in a folder survive a power failure, best-effort; Windows does so by itself.
pub(super) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Returns the error of a file that cannot be read or written.
pub(super) fn failed(path: &Path, error: &io::Error) -> DeliveryError {
    let text = format!("the repository cannot be read or written ({error}): {}", path.display());
    let advice = "let this user read and write the folder, on a local disk with free space";
    DeliveryError::new(ErrorCode::SiteFailed, text, advice)
}

/// Returns the error of a file that contradicts the others.
pub(super) fn damaged(text: &str, path: &Path) -> DeliveryError {
    let advice = "restore the repository's folder from a copy; clients keep what they have until then";
    DeliveryError::new(
        ErrorCode::SiteDamaged,
        format!("the repository is damaged: {text}: {}", path.display()),
        advice,
    )
}

/// Marks a moment at which a command may be interrupted.
fn step() {
    #[cfg(test)]
    super::tests::interrupted::step();
}
