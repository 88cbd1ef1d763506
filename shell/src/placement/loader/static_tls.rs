//! Room for thread-local storage of a fixed size, which libraries with another allocator take.
//!
//! glibc reserves it when a process starts, 512 bytes by default for all libraries that are loaded later, and mostly
//! does not get it back when they go. mimalloc as a remote's allocator is loaded twice then, jemalloc never. The
//! reserve is set by an environment variable that only a starting process reads, so the shell starts itself anew.

use std::{env, os::unix::process::CommandExt, process::Command};

const VARIABLE: &str = "GLIBC_TUNABLES";
const TUNABLE: &str = "glibc.rtld.optional_static_tls";

/// Bytes of the reserve. Each thread has it within its stack, so it must be small against the smallest.
const RESERVE: u32 = 64 << 10;

/// Names the process that has started itself anew, in case the C library drops the other variable.
const STARTED: &str = "PULSE_SHELL_STARTED";

/// Replaces this process by itself with the reserve, unless it has one; returns if it has, or cannot.
pub(crate) fn reserve() {
    let own = env::var(VARIABLE).unwrap_or_default();
    let pid = std::process::id().to_string();
    if own.contains(TUNABLE) || env::var(STARTED).is_ok_and(|started| started == pid) {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let tunables = if own.is_empty() { String::new() } else { format!("{own}:") };
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again.args(arguments).env(STARTED, pid).env(VARIABLE, format!("{tunables}{TUNABLE}={RESERVE}"));
    // Comes back only when it has failed, and then the shell runs without.
    let _ = again.exec();
}
