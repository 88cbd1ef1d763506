//! The only place that opens files whose path or content comes from outside.
//!
//! A path may name a pipe, a device, a folder, a dangling link, or a file of any size. Opening a pipe waits for its
//! other end and reading a device never ends. The kind is therefore checked before the file is opened and again on
//! the open file, and no more than the caller's limit is read.
//! A file system that does not respond blocks even these checks: `[any thread but the window's]`.

use std::{
    fs::{self, File, FileType, Metadata},
    io::{self, Read, Write},
    path::Path,
};

use tempfile::NamedTempFile;

/// The largest library, in bytes; debug builds of large programs have several hundred megabytes.
pub(crate) const MAX_LIBRARY: u64 = 2 << 30;

/// Opens a regular file for reading; waits only for the disk.
///
/// # Errors
/// Returns the system's errors; [`io::ErrorKind::InvalidInput`], with a message that names the kind, for anything but
/// a regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Opening a device can have side effects, so the kind is first checked by path.
    regular(&fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // If a pipe has replaced the file in between, opening it does not block.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a lock file, and creates it if it is missing; its content is irrelevant.
///
/// # Errors
/// Fails as [`open`] does.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    match fs::metadata(path) {
        Ok(about) => regular(&about)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = File::options();
    // Read and write, because opening a pipe only for writing waits for its reader.
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = match options.open(path) {
        // Another user's file can be locked anyway.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return open(path),
        file => file?,
    };
    regular(&file.metadata()?)?;
    Ok(file)
}

/// A regular file whose reader returns an error instead of bytes beyond its limit.
pub(crate) struct BoundedFile {
    file: File,
    left: u64,
    limit: u64,
}

/// Opens a regular file of at most `limit` bytes.
///
/// # Errors
/// Fails as [`open`] does; returns [`io::ErrorKind::FileTooLarge`], also from the reader, for a longer file, whatever
/// size the system reports.
pub(crate) fn open_within(path: &Path, limit: u64) -> io::Result<BoundedFile> {
    let file = open(path)?;
    if file.metadata()?.len() > limit {
        Err(too_large(limit))
    } else {
        Ok(BoundedFile { file, left: limit, limit })
    }
}

impl Read for BoundedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        // A file can grow while it is read, and files in `/proc` report no size.
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| too_large(self.limit))?;
        Ok(read)
    }
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes"))
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// Fails as [`open_within`] does.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_within(path, limit)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The side of a copy that failed.
#[derive(Debug)]
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies a library to a new file that only this user can read; removes a partial copy.
///
/// # Errors
/// Fails as [`open_within`] does for the library; with the system's errors, and `AlreadyExists`, for the copy.
pub(crate) fn copy_library(from: &Path, to: &Path) -> Result<(), CopyError> {
    let mut from = open_within(from, MAX_LIBRARY).map_err(CopyError::Read)?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(to).map_err(CopyError::Write)?;
    let copied = transfer(&mut from, &mut copy, |_| ());
    if copied.is_err() {
        drop(copy);
        let _ = fs::remove_file(to);
    }
    copied
}

/// Copies `from` to `to` in pieces, and passes each piece to `see`.
pub(crate) fn transfer(
    from: &mut impl Read,
    to: &mut impl Write,
    mut see: impl FnMut(&[u8]),
) -> Result<(), CopyError> {
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        see(&piece[..read]);
        to.write_all(&piece[..read]).map_err(CopyError::Write)?;
    }
}

/// The prefix of the names of files that are being written.
const STAGED: &str = ".pulse-new-";

/// A new file that is renamed to its final name when it is complete.
///
/// Its process keeps it locked, so that [`sweep`] distinguishes it from a file that a killed process has left.
pub(crate) struct StagedFile(NamedTempFile);

impl StagedFile {
    /// Creates an empty file in `folder`, which only this user can read.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        loop {
            let file = tempfile::Builder::new().prefix(STAGED).tempfile_in(folder)?;
            // If the file system has no locks, the file is usable but never swept.
            let _ = file.as_file().try_lock();
            // A concurrent sweep may have removed it before the lock.
            if file.path().exists() {
                return Ok(Self(file));
            }
        }
    }

    /// Creates a file with this content in `folder`.
    pub(crate) fn with(folder: &Path, content: &[u8]) -> io::Result<Self> {
        let mut staged = Self::new(folder)?;
        staged.write_all(content)?;
        Ok(staged)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Renames the file to `place` and replaces an existing file; a power failure leaves one of the two, complete.
    pub(crate) fn put(self, place: &Path) -> io::Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist(place)?;
        sync_folder(place.parent().unwrap_or(Path::new(".")));
        Ok(())
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a file atomically, replaces an existing file, and creates its folder.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    StagedFile::with(folder, content)?.put(path)
}

/// Removes the staged files in `folder` whose processes have ended.
pub(crate) fn sweep(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let staged = entry.file_name().to_str().is_some_and(|name| name.starts_with(STAGED));
        if !staged || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = open(&path)
            && file.try_lock().is_ok()
        {
            // The next sweep retries a file that cannot be removed.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a rename in this folder durable over a power failure, if the system supports it.
pub(crate) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        // The content is durable already, and not every file system supports this for folders.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Creates a folder and its parents for this user alone; makes an existing folder private too.
///
/// # Errors
/// Returns the system's errors; permissions that cannot be changed are not an error.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    make_private(folder);
    Ok(())
}

/// Removes other users' permissions from a folder, if it is a folder and this user may change them.
pub(crate) fn make_private(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Not through a link: its target is another folder.
        if let Ok(about) = fs::symlink_metadata(folder)
            && about.is_dir()
            && about.permissions().mode() & 0o077 != 0
        {
            // Another user's folder stays unchanged.
            let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
        }
    }
    #[cfg(not(unix))]
    let _ = folder;
}

fn regular(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
    }
    let text = format!("it is {}, not a file", kind(about.file_type()));
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.json");
        fs::write(&path, "12345").expect("file is written");
        assert_eq!(read(&path, 5).expect("file is within the limit"), b"12345");
        assert_eq!(read(&path, 4).expect_err("file is too large").kind(), io::ErrorKind::FileTooLarge);
        // A sparse file of a terabyte.
        fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("file is sparse");
        assert_eq!(read(&path, 1 << 20).expect_err("file is too large").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&folder.path().join("b"), 1).expect_err("missing").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn library_is_copied_privately_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "12345").expect("file is written");
        copy_library(&path("a"), &path("b")).expect("library is copied");
        assert_eq!(fs::read(path("b")).expect("file exists"), b"12345");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = path("b").metadata().expect("file exists").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
        assert!(
            matches!(copy_library(&path("a"), &path("b")), Err(CopyError::Write(_))),
            "the copy exists already"
        );
        assert!(matches!(copy_library(&path("a"), &path("none/b")), Err(CopyError::Write(_))));
        assert!(matches!(copy_library(&path("none"), &path("c")), Err(CopyError::Read(_))));
        File::create(path("a")).and_then(|file| file.set_len(MAX_LIBRARY + 1)).expect("file is sparse");
        let Err(CopyError::Read(error)) = copy_library(&path("a"), &path("c")) else {
            panic!("the library is within the limit")
        };
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(!path("c").exists());
    }

    #[test]
    fn sweep_removes_only_files_of_ended_processes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        for name in [".pulse-new-killed", "pulse-new-a", ".new-things", "a.so"] {
            fs::write(path(name), "1").expect("file is written");
        }
        fs::create_dir(path(".pulse-new-folder")).expect("folder is created");
        let mut staged = StagedFile::new(folder.path()).expect("file is created");
        sweep(folder.path());
        assert!(!path(".pulse-new-killed").exists());
        for name in ["pulse-new-a", ".new-things", "a.so", ".pulse-new-folder"] {
            assert!(path(name).exists(), "{name}");
        }
        staged.write_all(b"2").expect("file is not swept");
        staged.put(&path("a.so")).expect("file is renamed");
        assert_eq!(fs::read(path("a.so")).expect("file exists"), b"2");
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().expect("mkfifo starts");
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("socket is created");
        for (name, target) in [("to-pipe", path("pipe")), ("to-zero", "/dev/zero".into())] {
            std::os::unix::fs::symlink(target, path(name)).expect("link is created");
        }
        let refused = |name: &str, what: &str| {
            let error = read(&path(name), 10).expect_err("not a regular file");
            assert_eq!(
                (error.kind(), error.to_string()),
                (io::ErrorKind::InvalidInput, what.to_owned()),
                "{name}"
            );
        };
        refused("pipe", "it is a named pipe, not a file");
        refused("to-pipe", "it is a named pipe, not a file");
        refused("to-zero", "it is a device, not a file");
        refused("socket", "it is a socket, not a file");
        refused("", "it is a folder, not a file");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_without_stated_size_is_bounded() {
        let status = Path::new("/proc/self/status");
        assert!(read(status, 1 << 20).is_ok_and(|bytes| !bytes.is_empty()));
        assert_eq!(read(status, 3).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    }
}
