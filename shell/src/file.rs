//! The one way to open a file whose path or content comes from outside.
//!
//! A path may name a pipe, a device, a folder, a link into nowhere, or a file of any size. Opening a pipe waits for
//! its other end and reading a device never ends, so the kind is checked before anything is opened, checked again on
//! what was opened, and no more than the caller's limit is read.
//! A file system that has stopped answering blocks even these checks: `[any thread but the window's]`.

use std::{
    fs::{self, File, FileType, Metadata},
    io::{self, Read, Write},
    path::Path,
};

use tempfile::NamedTempFile;

/// The largest library, in bytes; debug builds of large programs have some hundred megabytes.
pub(crate) const MAX_LIBRARY: u64 = 2 << 30;

/// Opens a regular file for reading, without waiting for anything but the disk.
///
/// # Errors
/// Returns the system's errors; [`io::ErrorKind::InvalidInput`], with a sentence that names the kind, for all but a
/// regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Even opening a device can have an effect, so its kind is asked by name first.
    regular(&fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe that has taken the file's place in between does not block.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a file to be locked, and makes it if it is missing; its content does not matter.
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
    // Both, because opening a pipe for writing alone waits for its reader.
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = match options.open(path) {
        // Another user's file, which may be locked all the same.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return open(path),
        file => file?,
    };
    regular(&file.metadata()?)?;
    Ok(file)
}

/// A regular file whose reader gets an error instead of more bytes than its limit.
pub(crate) struct Bounded {
    file: File,
    left: u64,
    limit: u64,
}

/// Opens a regular file of at most `limit` bytes.
///
/// # Errors
/// Fails as [`open`] does; [`io::ErrorKind::FileTooLarge`], also from the reader, for a longer file, whatever size the
/// system states.
pub(crate) fn open_within(path: &Path, limit: u64) -> io::Result<Bounded> {
    let file = open(path)?;
    if file.metadata()?.len() > limit {
        Err(too_large(limit))
    } else {
        Ok(Bounded { file, left: limit, limit })
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        // A file can grow while it is read, and those of `/proc` have no size.
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

/// Copies a library to a new file that only this user can read; a copy that fails is removed.
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

/// Copies everything from one to the other in pieces, and shows each piece to `see`.
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

/// The beginning of the names of files that are being written.
const STAGED: &str = ".pulse-new-";

/// A new file that gets its name when it is complete.
///
/// It is locked while its process lives, so that [`sweep`] distinguishes it from one that a killed process has left.
pub(crate) struct Staged(NamedTempFile);

impl Staged {
    /// Makes an empty file in `folder`, which only this user can read.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        loop {
            let file = tempfile::Builder::new().prefix(STAGED).tempfile_in(folder)?;
            // Without locks it works as well, and is never swept.
            let _ = file.as_file().try_lock();
            // A sweep may have come in before the lock.
            if file.path().exists() {
                return Ok(Self(file));
            }
        }
    }

    /// Makes a file with this content in `folder`.
    pub(crate) fn with(folder: &Path, content: &[u8]) -> io::Result<Self> {
        let mut staged = Self::new(folder)?;
        staged.write_all(content)?;
        Ok(staged)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Gives the file its name, in place of what has it; after a power failure either is there completely.
    pub(crate) fn put(self, place: &Path) -> io::Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist(place)?;
        sync_folder(place.parent().unwrap_or(Path::new(".")));
        Ok(())
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a file, in place of what is there, and the folder that it is to be in: complete, or not at all.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    Staged::with(folder, content)?.put(path)
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
            // What cannot be removed is looked at again the next time.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a rename in this folder outlive a power failure, where the system can.
pub(crate) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        // The content is safe already, and not every file system can do this for folders.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Creates a folder, with those above it, for this user alone; one that is there is left to this user alone.
///
/// # Errors
/// Returns the system's errors; permissions that cannot be changed are none.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    tighten(folder);
    Ok(())
}

/// Takes the rights of other users to a folder away, if it is one and this user may do that.
pub(crate) fn tighten(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Not through a link: what it leads to is another folder.
        if let Ok(about) = fs::symlink_metadata(folder)
            && about.is_dir()
            && about.permissions().mode() & 0o077 != 0
        {
            // Of another user it stays as it is.
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
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.json");
        fs::write(&path, "12345").expect("files can be written");
        assert_eq!(read(&path, 5).expect("it is small enough"), b"12345");
        assert_eq!(read(&path, 4).expect_err("it is too large").kind(), io::ErrorKind::FileTooLarge);
        // Terabytes without a block on the disk.
        fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("files can be sparse");
        assert_eq!(read(&path, 1 << 20).expect_err("it is too large").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&folder.path().join("b"), 1).expect_err("missing").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn library_is_copied_privately_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "12345").expect("files can be written");
        copy_library(&path("a"), &path("b")).expect("it can be copied");
        assert_eq!(fs::read(path("b")).expect("it is there"), b"12345");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = path("b").metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
        assert!(
            matches!(copy_library(&path("a"), &path("b")), Err(CopyError::Write(_))),
            "it is there already"
        );
        assert!(matches!(copy_library(&path("a"), &path("none/b")), Err(CopyError::Write(_))));
        assert!(matches!(copy_library(&path("none"), &path("c")), Err(CopyError::Read(_))));
        File::create(path("a")).and_then(|file| file.set_len(MAX_LIBRARY + 1)).expect("files can be sparse");
        let Err(CopyError::Read(error)) = copy_library(&path("a"), &path("c")) else {
            panic!("it is too large")
        };
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(!path("c").exists());
    }

    #[test]
    fn sweep_removes_only_what_ended_processes_left() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        for name in [".pulse-new-killed", "pulse-new-a", ".new-things", "a.so"] {
            fs::write(path(name), "1").expect("files can be written");
        }
        fs::create_dir(path(".pulse-new-folder")).expect("folders can be made");
        let mut staged = Staged::new(folder.path()).expect("files can be made");
        sweep(folder.path());
        assert!(!path(".pulse-new-killed").exists());
        for name in ["pulse-new-a", ".new-things", "a.so", ".pulse-new-folder"] {
            assert!(path(name).exists(), "{name}");
        }
        staged.write_all(b"2").expect("it is still there");
        staged.put(&path("a.so")).expect("it gets its name");
        assert_eq!(fs::read(path("a.so")).expect("it is there"), b"2");
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().expect("mkfifo starts");
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("sockets can be made");
        for (name, target) in [("to-pipe", path("pipe")), ("to-zero", "/dev/zero".into())] {
            std::os::unix::fs::symlink(target, path(name)).expect("links can be made");
        }
        let refused = |name: &str, what: &str| {
            let error = read(&path(name), 10).expect_err("it is no file");
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
    fn a_file_without_a_stated_size_is_bounded() {
        let status = Path::new("/proc/self/status");
        assert!(read(status, 1 << 20).is_ok_and(|bytes| !bytes.is_empty()));
        assert_eq!(read(status, 3).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    }
}
