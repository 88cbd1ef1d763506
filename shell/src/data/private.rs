//! Folders of one process alone: for the copies of libraries that it loads, and for what a trial leaves behind.
//!
//! A folder lies in the first of several [`Places`] that may hold code and has room. It has a random name, belongs to
//! the user alone, and holds a marker that the process keeps locked while it lives: an unlocked one means that the
//! process has ended, whichever container it was in.
//! The marker lists what was put into the folder. Only that is ever removed, and the folder only once it is empty.
//! `[any thread but the window's]`

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Component, Path, PathBuf},
};

use etcetera::{BaseStrategy, choose_base_strategy};

use crate::{file, library, trust};

/// The variable that names the folder to be tried first.
pub(crate) const VARIABLE: &str = "PULSE_SHELL_CACHE_DIR";

/// The name of the folder below the user's folders.
pub(crate) const NAME: &str = "pulse-shell";

/// The beginning of the folders' names.
const PREFIX: &str = "pulse-shell-";

/// The file in a folder that is held, and lists what is in it.
const MARKER: &str = ".pulse-shell";

/// The first line of a marker.
const MARK: &str = "files of one run of pulse 1\n";

/// A longer marker is not read, and its folder left alone.
const LONGEST_MARKER: u64 = 1 << 24;

/// The places where a folder can be made, best first.
///
/// The cache comes before the runtime folder, which is memory, often too little of it for libraries with debug
/// information; the folder for temporary files comes last, as it is others' to clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(Vec<Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// It is shared with others, and there is nothing to be set right about it.
    shared: bool,
}

impl Places {
    /// Lists the places of this user: that of `PULSE_SHELL_CACHE_DIR`, then the user's folders for caches, for runtime files
    /// and for data, else `data_dir`, and the folder for temporary files.
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
        // A relative one would be another with each working folder.
        let folders = folders.into_iter().filter(|folder| folder.is_absolute());
        let own = folders.map(|folder| Place { path: folder.join("libraries"), shared: false });
        Self(own.chain([Place { path: temporary.to_owned(), shared: true }]).collect())
    }

    /// Returns their number.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes a folder in the place of this number.
    ///
    /// # Errors
    /// Why it cannot be used, with the place.
    pub(crate) fn make(&self, number: usize) -> Result<Folder, String> {
        let place = &self.0[number];
        let made = place.prepare().and_then(|()| Folder::make(&place.path));
        made.map_err(|why| self.refusal(number, &why))
    }

    /// Makes a folder in the first place that can be used.
    ///
    /// # Errors
    /// Why none can be.
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

/// Returns what to do where no place can be used.
pub(crate) fn remedy() -> String {
    format!("make room in one of these folders, or name another one, which may hold code, in {VARIABLE}")
}

impl Place {
    /// Makes it, if it is not there, and looks whether other users are kept out.
    fn prepare(&self) -> Result<(), String> {
        if !self.shared {
            file::create_private(&self.path).map_err(|error| error.to_string())?;
        }
        trust::check(&self.path).map_err(|reason| match reason {
            trust::Unsafe::Unreadable(error, path) if path == self.path => error.to_string(),
            reason => reason.to_string(),
        })
    }
}

/// A folder of this process. Dropped, it is removed with what was put into it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    marker: File,
    /// Held as well, because programs that clean folders for temporary files respect it.
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
            // Another process may look at it meanwhile, for a moment.
            file.lock()?;
            file.write_all(MARK.as_bytes())?;
            Ok(file)
        };
        let marker = mark().map_err(|e| e.to_string())?;
        library::may_execute(&marker).map_err(|error| not_executable(&error, place))?;
        let held = File::open(folder.path()).ok().filter(|held| held.try_lock_shared().is_ok());
        // From here on it is removed by what the marker lists.
        Ok(Self { path: folder.keep(), marker, _held: held })
    }

    /// Returns whether it is still there: others may have cleaned its place.
    pub(crate) fn exists(&self) -> bool {
        let there = fs::symlink_metadata(self.path.join(MARKER));
        let same = |there: &fs::Metadata| self.marker.metadata().is_ok_and(|held| is_same(there, &held));
        there.is_ok_and(|there| same(&there))
    }

    /// Returns the path for a file of this name, which is from now on removed with the folder; so is a folder of its
    /// name and `.d`, for what belongs to the file.
    pub(crate) fn file(&mut self, name: &str) -> io::Result<PathBuf> {
        self.list(&format!("{name}.d/"))?;
        self.list(name)
    }

    /// Makes a folder of this name, which is removed with all that is in it by then.
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

/// A file that is held cannot be exchanged.
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

/// Removes the folders of processes that have ended: marked as such, the user's own, and not held.
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

/// The places are below the user's own folders.
#[cfg(not(unix))]
fn is_own(_: &fs::Metadata) -> bool {
    true
}

fn remove_abandoned(folder: &Path) {
    let marker = folder.join(MARKER);
    if !marker.symlink_metadata().is_ok_and(|about| about.is_file()) {
        return;
    }
    // Locks of some network file systems need the right to write.
    let Ok(held) = File::options().read(true).write(true).open(&marker) else { return };
    match held.try_lock() {
        Ok(()) => remove(folder, &held),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
    }
}

/// Removes what the marker lists, then the marker and the folder; what is not removed is left for a later process.
fn remove(folder: &Path, mut marker: &File) {
    // Through the file that holds the lock: some systems let no other one read it.
    let mut text = Vec::new();
    let read = marker.rewind().and_then(|()| marker.take(LONGEST_MARKER + 1).read_to_end(&mut text));
    if !read.is_ok_and(|read| read as u64 <= LONGEST_MARKER) {
        return;
    }
    let text = String::from_utf8_lossy(&text);
    // One without the first line is not complete, or not of this program.
    let Some(list) = text.strip_prefix(MARK) else { return };
    let gone = |name: &str| {
        let (name, is_tree) = name.strip_suffix('/').map_or((name, false), |name| (name, true));
        let mut parts = Path::new(name).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else { return true };
        let path = folder.join(name);
        let done = if is_tree { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        done.is_ok() || !folder.join(name).exists()
    };
    // All of them, also after one that stays.
    if list.lines().map(gone).filter(|gone| !gone).count() == 0 && fs::remove_file(folder.join(MARKER)).is_ok()
    {
        // It stays if another process has put something into it.
        let _ = fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests;
