//! Reserve of thread-local storage of a fixed size, which libraries with another allocator use.
//!
//! glibc reserves it when a process starts: 512 bytes by default for all libraries that are loaded later. It rarely
//! gets them back when a library is unloaded. A remote with mimalloc can then be loaded twice, one with jemalloc
//! never. The reserve is set by an environment variable that only a starting process reads, so the shell restarts
//! itself.

use std::{env, os::unix::process::CommandExt, process::Command};

const VARIABLE: &str = "GLIBC_TUNABLES";
const TUNABLE: &str = "glibc.rtld.optional_static_tls";

/// Size of the reserve in bytes. Each thread has it in its stack, so it must be small against the smallest stack.
const RESERVE: u32 = 64 << 10;

/// Variable with the id of the process that has restarted itself, in case the C library drops the other variable.
const STARTED: &str = "PULSE_SHELL_STARTED";

/// Restarts this process with the reserve; returns if it has one already, or cannot restart.
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
    // Returns only on failure; the shell then runs without the reserve.
    let _ = again.exec();
}
