//! The folder with the sockets, and what the systems have in common about them.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use interprocess::{
    ConnectWaitMode,
    local_socket::{ConnectOptions, Listener, ListenerOptions, Name, Stream, prelude::*},
};

use crate::{JoinError, PeerId};

/// Time for which a process waits for another one that joins.
const JOINING: Duration = Duration::from_secs(1);

/// Time for a connection, which a process that hangs may not accept.
const CONNECTING: Duration = Duration::from_millis(500);

/// The end of a socket's name.
const ENDING: &str = "sock";

/// Creates the folder, or refuses one that others could use.
pub(crate) fn prepare(folder: &Path) -> Result<(), JoinError> {
    let failed = |what, error| JoinError::Failed { what, path: folder.to_owned(), error };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| failed("make the folder of the shells' sockets", error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let found = fs::symlink_metadata(folder).map_err(|error| failed("examine a folder", error))?;
        let unsafe_because = |problem| Err(JoinError::Unsafe { path: folder.to_owned(), problem });
        if !found.is_dir() {
            return unsafe_because("is no folder");
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return unsafe_because("belongs to another user");
        }
        if found.mode() & 0o077 != 0 {
            return unsafe_because("can be used by other users");
        }
    }
    Ok(())
}

/// Locks the folder for joining; `None` if that takes too long, which a second connection to one peer is the worst of.
pub(crate) fn lock(folder: &Path) -> Option<File> {
    let file = File::options().create(true).append(true).open(folder.join("join.lock")).ok()?;
    let until = Instant::now() + JOINING;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(_) => return None,
        }
    }
}

pub(crate) fn path(folder: &Path, peer: PeerId) -> PathBuf {
    folder.join(format!("{peer}.{ENDING}"))
}

#[cfg(unix)]
fn name(path: &Path) -> io::Result<Name<'_>> {
    path.to_fs_name::<interprocess::local_socket::GenericFilePath>()
}

/// Pipes have a namespace of their own; the random number of the file is the name.
#[cfg(not(unix))]
fn name(path: &Path) -> io::Result<Name<'_>> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    format!("pulse-shell-{stem}").to_ns_name::<interprocess::local_socket::GenericNamespaced>()
}

/// Listens on the socket of this process.
pub(crate) fn listen(folder: &Path, own: PeerId) -> io::Result<Listener> {
    let path = path(folder, own);
    let listener = ListenerOptions::new().name(name(&path)?).create_sync()?;
    #[cfg(not(unix))]
    File::create(&path)?;
    Ok(listener)
}

/// Connects to the socket of a process.
pub(crate) fn connect(folder: &Path, peer: PeerId) -> io::Result<Stream> {
    let path = path(folder, peer);
    ConnectOptions::new().name(name(&path)?).wait_mode(ConnectWaitMode::Timeout(CONNECTING)).connect_sync()
}

/// Returns `true` if the process of a socket has ended.
pub(crate) fn is_stale(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Removes the socket of a process that has ended or ends.
pub(crate) fn remove(folder: &Path, peer: PeerId) {
    // Another process may have removed it.
    let _ = fs::remove_file(path(folder, peer));
}

/// Returns the processes whose sockets lie in the folder, without this one.
pub(crate) fn others(folder: &Path, own: PeerId) -> Vec<PeerId> {
    let entries = folder.read_dir().into_iter().flatten().filter_map(Result::ok);
    let sockets = entries.filter_map(|entry| {
        let path = entry.path();
        let stem = path.file_stem()?.to_str()?;
        let is_socket = path.extension().is_some_and(|ending| ending == ENDING) && stem.len() == 16;
        let peer = PeerId(u64::from_str_radix(stem, 16).ok().filter(|_| is_socket)?);
        (peer != own).then_some(peer)
    });
    let mut sockets: Vec<_> = sockets.collect();
    sockets.sort();
    sockets.truncate(crate::MAX_PEERS);
    sockets
}

/// Returns the number of the process at the other end.
///
/// # Errors
/// Fails if the system says that it belongs to another user.
pub(crate) fn identify(stream: &Stream) -> Result<Option<u32>, String> {
    let known = stream.peer_creds().map_err(|error| format!("its user is not known: {error}"))?;
    #[cfg(unix)]
    {
        let own = rustix::process::geteuid().as_raw();
        if known.euid() != Some(own) {
            return Err("it belongs to another user".to_owned());
        }
    }
    Ok(known.pid().and_then(|pid| u32::try_from(pid).ok()))
}

/// Ends reading and writing of both sides.
pub(crate) fn close(stream: &Stream) {
    #[cfg(unix)]
    {
        let Stream::UdSocket(socket) = stream;
        let _ = socket.inner().shutdown(std::net::Shutdown::Both);
    }
    // A pipe ends when the last packet was read, or with the process.
    #[cfg(not(unix))]
    let _ = stream;
}
