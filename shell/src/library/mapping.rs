//! Checks that the system permits code to run from a file, as loading a library does.
// The check maps the file, and no safe function maps a file for execution.
#![allow(unsafe_code)]

use std::{fs::File, io};

/// Maps the beginning of a file for execution, and unmaps it; no code of it runs.
///
/// # Errors
/// Returns the system's error: `EPERM` if the file system is mounted with `noexec`.
#[cfg(all(unix, not(target_os = "macos")))]
pub(crate) fn may_execute(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    const LENGTH: usize = 1;
    let rights = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: the system chooses an unmapped place, and the mapping is neither read nor run.
    let place =
        unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, rights, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    if place == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: this is the mapping made above, and nothing refers to it.
    unsafe { libc::munmap(place, LENGTH) };
    Ok(())
}

/// Permits every file: macOS maps signed code only, and Windows has no such file systems, so loading reports it.
///
/// # Errors
/// Never, on this system.
#[cfg(not(all(unix, not(target_os = "macos"))))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
pub(crate) fn may_execute(_: &File) -> io::Result<()> {
    Ok(())
}
