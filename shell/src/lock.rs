//! Locks between processes, on dedicated files that are never removed.
//!
//! Acquiring a lock may wait: `[any thread but the window's]`.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use crate::{catalogue::Code, file};

/// A lock that is released with the value, or with its process.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `None` if the file system does not support locks.
    _file: Option<File>,
}

impl Lock {
    /// Acquires the lock of the file at `path`, which is created if it is missing.
    ///
    /// # Errors
    /// Returns [`io::ErrorKind::TimedOut`], with a message that names the file, if another process holds the lock for
    /// longer than `patience`; fails as [`file::open_lock`] does.
    pub(crate) fn acquire(path: &Path, patience: Duration) -> io::Result<Self> {
        let file = file::open_lock(path)?;
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let text = format!(
                        "another process has held the lock {} for {} s",
                        path.display(),
                        patience.as_secs()
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(TryLockError::Error(error)) if is_unsupported(&error) => {
                    report_unsupported(&error, path);
                    return Ok(Self { _file: None });
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(2);

/// Returns `true` if the file system does not support locks, as network file systems without a lock service.
fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOLCK) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

fn report_unsupported(error: &io::Error, path: &Path) {
    static REPORTED: Once = Once::new();
    REPORTED.call_once(|| {
        tracing::warn!(
            code = Code::LockUnsupported.as_str(),
            "the file system of the data folder does not support locks ({error}), so simultaneous changes by several \
             shells and commands may be lost; name a local folder with --data-dir: {}",
            path.display()
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_lock_times_out_with_its_path() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.lock");
        let held = Lock::acquire(&path, Duration::ZERO).expect("lock is free");
        let error = Lock::acquire(&path, Duration::from_millis(20)).expect_err("lock is held");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        drop(held);
        assert!(path.exists(), "the lock file is not removed");
        Lock::acquire(&path, Duration::ZERO).expect("lock is free again");
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_locked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|made| made.success()));
        for path in [&pipe, folder.path()] {
            let error = Lock::acquire(path, Duration::from_mins(1)).expect_err("not a regular file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        assert!(is_unsupported(&io::Error::from_raw_os_error(libc::ENOLCK)));
        assert!(!is_unsupported(&io::Error::from_raw_os_error(libc::EACCES)));
    }
}
