//! The one way to open a file whose path or content comes from outside.
//!
//! A path may name a pipe, a device, a folder, a link into nowhere, or a file of any size. Opening a pipe waits for
//! its other end and reading a device never ends, so the kind is checked before anything is opened, checked again on
//! what was opened, and no more than the caller's limit is read.
//! A file system that has stopped answering blocks even these checks: `[any thread but the window's]`.

use std::{
    fs::{self, File, FileType, Metadata},
    io::{self, Read},
    path::Path,
};

/// Opens a regular file for reading, without waiting for anything but the disk.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidInput`], with a sentence that names the kind, for anything but a
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

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// Those of [`open`]; [`io::ErrorKind::FileTooLarge`] when there is more, whatever size the system states.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes"));
    if file.metadata()?.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // A file can grow while it is read, and those of `/proc` have no size.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Creates a folder, with those above it, for this user alone; one that is there is left to this user alone.
///
/// # Errors
/// Those of the system; rights that cannot be changed are no error.
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
