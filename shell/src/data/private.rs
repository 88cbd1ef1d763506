//! Private folders of a process: for its copies of libraries, and for the files of a trial.
//!
//! A folder is in the first of several [`Places`] that allows code and has space. It has a random name, belongs to
//! the user alone, and contains a marker that the process keeps locked while it runs. An unlocked marker means that
//! the process has ended, in any container.
//! The marker lists the files of the folder. Only these are ever removed, and the folder only once it is empty.
//! `[any thread but the window's]`

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Component, Path, PathBuf},
};

use etcetera::{BaseStrategy, choose_base_strategy};

use crate::{file, library, trust};

/// Variable with the folder to try first.
pub(crate) const VARIABLE: &str = "PULSE_SHELL_CACHE_DIR";

/// Name of the folder below the user's folders.
pub(crate) const NAME: &str = "pulse-shell";

/// Beginning of the folders' names.
const PREFIX: &str = "pulse-shell-";

/// Name of the locked file that lists the content of a folder.
const MARKER: &str = ".pulse-shell";

/// First line of a marker.
const MARK: &str = "files of one run of pulse 1\n";

/// Maximum size of a marker in bytes. A larger one is not read, and its folder is not touched.
const LONGEST_MARKER: u64 = 1 << 24;

/// Places for private folders, best first.
///
/// The cache comes before the runtime folder, which is memory and often too small for libraries with debug
/// information. The folder for temporary files comes last, because other programs clean it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(Vec<Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// Set for a folder that is shared with other users, whose permissions Pulse does not change.
    shared: bool,
}

impl Places {
    /// Lists the places of this user: that of `PULSE_SHELL_CACHE_DIR`, the user's folders for caches, for runtime
    /// files and for data, `data_dir`, and the folder for temporary files.
    pub fn of_user(data_dir: Option<&Path>) -> Self {
        let base = choose_base_strategy().ok();
        let named = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let named = named.map(|path| std::path::absolute(&path).unwrap_or(path));
        let own = base.map(|base| [Some(base.cache_dir()), base.runtime_dir(), Some(base.data_dir())]);
        let own = own.into_iter().flatten().flatten().map(|folder| folder.join(NAME));
        let all = named.into_iter().chain(own).chain(data_dir.map(Path::to_owned));
        #[expect(clippy::disallowed_methods, reason = "the last resort, in which only an own folder is used")]
        let temporary = env::temp_dir();
        Self::of_folders(all, &temporary)
    }

    /// Lists places below these folders, and at last in `temporary`, which may be shared with other users.
    pub fn of_folders(folders: impl IntoIterator<Item = PathBuf>, temporary: &Path) -> Self {
        // A relative path would depend on the working folder.
        let folders = folders.into_iter().filter(|folder| folder.is_absolute());
        let own = folders.map(|folder| Place { path: folder.join("libraries"), shared: false });
        Self(own.chain([Place { path: temporary.to_owned(), shared: true }]).collect())
    }

    /// Returns the number of places.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes a folder in the place of this number.
    ///
    /// # Errors
    /// Returns the place and the reason why it cannot be used.
    pub(crate) fn make(&self, number: usize) -> Result<Folder, String> {
        let place = &self.0[number];
        let made = place.prepare().and_then(|()| Folder::make(&place.path));
        made.map_err(|why| self.refusal(number, &why))
    }

    /// Makes a folder in the first place that can be used.
    ///
    /// # Errors
    /// Returns the reason for each place.
    pub(crate) fn first(&self) -> Result<Folder, String> {
        let mut refused = Vec::new();
        for number in 0..self.len() {
            match self.make(number) {
                Ok(folder) => return Ok(folder),
                Err(why) => refused.push(why),
            }
        }
        Err(format!("{}: {}", remedy(), refused.join("; ")))
    }

    /// Adds the name of the place of this number to the reason why it cannot be used.
    pub(crate) fn refusal(&self, number: usize, why: &str) -> String {
        let Place { path, shared } = &self.0[number];
        let setting = if *shared { " (the folder for temporary files, TMPDIR)" } else { "" };
        format!("{}{setting}: {why}", path.display())
    }
}

/// Returns what to do when no place can be used.
pub(crate) fn remedy() -> String {
    format!("make room in one of these folders, or name another one that allows code in {VARIABLE}")
}

impl Place {
    /// Makes it if it is missing, and checks that other users cannot change it.
    fn prepare(&self) -> Result<(), String> {
        if !self.shared {
            file::create_private(&self.path).map_err(|error| error.to_string())?;
        }
        trust::check(&self.path).map_err(|reason| match reason {
            trust::UnsafePath::Unreadable(error, path) if path == self.path => error.to_string(),
            reason => reason.to_string(),
        })
    }
}

/// A folder of this process. Dropping it removes the folder with its listed files.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    marker: File,
    /// Lock on the folder, because programs that clean temporary files respect it.
    _held: Option<File>,
}

impl Folder {
    fn make(place: &Path) -> Result<Self, String> {
        sweep(place);
        let mut new = tempfile::Builder::new();
        new.prefix(PREFIX);
        #[cfg(unix)]
        new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = new.tempdir_in(place).map_err(|e| e.to_string())?;
        let marker = folder.path().join(MARKER);
        let mark = || -> io::Result<File> {
            let mut file = File::options().read(true).write(true).create_new(true).open(&marker)?;
            // Another process may hold the lock for a moment.
            file.lock()?;
            file.write_all(MARK.as_bytes())?;
            Ok(file)
        };
        let marker = mark().map_err(|e| e.to_string())?;
        library::may_execute(&marker).map_err(|error| not_executable(&error, place))?;
        let held = File::open(folder.path()).ok().filter(|held| held.try_lock_shared().is_ok());
        // From here on it is removed according to its marker.
        Ok(Self { path: folder.keep(), marker, _held: held })
    }

    /// Returns `true` if it still exists: other programs may have cleaned its place.
    pub(crate) fn exists(&self) -> bool {
        let there = fs::symlink_metadata(self.path.join(MARKER));
        let same = |there: &fs::Metadata| self.marker.metadata().is_ok_and(|held| is_same(there, &held));
        there.is_ok_and(|there| same(&there))
    }

    /// Returns the path for a file of this name, and lists it for removal with the folder. A folder with its name and
    /// `.d`, for the parts of the file, is listed too.
    pub(crate) fn file(&mut self, name: &str) -> io::Result<PathBuf> {
        self.list(&format!("{name}.d/"))?;
        self.list(name)
    }

    /// Makes a folder of this name, and lists it for removal with its content.
    pub(crate) fn tree(&mut self, name: &str) -> io::Result<PathBuf> {
        let path = self.list(&format!("{name}/"))?;
        file::create_private(&path)?;
        Ok(path)
    }

    fn list(&mut self, name: &str) -> io::Result<PathBuf> {
        self.marker.seek(SeekFrom::End(0))?;
        self.marker.write_all(format!("{name}\n").as_bytes())?;
        Ok(self.path.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.exists() {
            remove(&self.path, &self.marker);
        }
    }
}

#[cfg(unix)]
fn is_same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Returns `true`, because a locked file cannot be exchanged.
#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

fn not_executable(error: &io::Error, place: &Path) -> String {
    #[cfg(target_os = "linux")]
    {
        let flags = rustix::fs::statvfs(place).map(|about| about.f_flag);
        if flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC)) {
            return "it is mounted with `noexec`, so no code in it may run".to_owned();
        }
    }
    let _ = place;
    format!("the system runs no code from it ({error})")
}

/// Removes the folders of processes that have ended: marked, owned by the user, and not locked.
fn sweep(place: &Path) {
    for entry in place.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if named && entry.metadata().is_ok_and(|about| about.is_dir() && is_own(&about)) {
            remove_abandoned(&path);
        }
    }
}

#[cfg(unix)]
fn is_own(about: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(about) == rustix::process::geteuid().as_raw()
}

/// Returns `true`, because the places are below the user's own folders.
#[cfg(not(unix))]
fn is_own(_: &fs::Metadata) -> bool {
    true
}

fn remove_abandoned(folder: &Path) {
    let marker = folder.join(MARKER);
    if !marker.symlink_metadata().is_ok_and(|about| about.is_file()) {
        return;
    }
    // Locks of some network file systems need write access.
    let Ok(held) = File::options().read(true).write(true).open(&marker) else { return };
    match held.try_lock() {
        Ok(()) => remove(folder, &held),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
    }
}

/// Removes the listed files, then the marker and the folder. Anything that stays is left to a later process.
fn remove(folder: &Path, mut marker: &File) {
    // Read through the locked handle, because some systems let no other handle read the file.
    let mut text = Vec::new();
    let read = marker.rewind().and_then(|()| marker.take(LONGEST_MARKER + 1).read_to_end(&mut text));
    if !read.is_ok_and(|read| read as u64 <= LONGEST_MARKER) {
        return;
    }
    let text = String::from_utf8_lossy(&text);
    // A marker without the first line is incomplete, or of another program.
    let Some(list) = text.strip_prefix(MARK) else { return };
    let gone = |name: &str| {
        let (name, is_tree) = name.strip_suffix('/').map_or((name, false), |name| (name, true));
        let mut parts = Path::new(name).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else { return true };
        let path = folder.join(name);
        let done = if is_tree { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        done.is_ok() || !folder.join(name).exists()
    };
    // All of them, even after a failure.
    if list.lines().map(gone).filter(|gone| !gone).count() == 0 && fs::remove_file(folder.join(MARKER)).is_ok()
    {
        // The folder stays if another process has put something into it.
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests;
