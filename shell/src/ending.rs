//! The end of the shell at the system's request: signals on Unix, console events on Windows.
//!
//! A desktop ends its programs with SIGTERM or SIGHUP at log-out, a terminal with SIGINT.
//! The first request closes the window as its close button does: state is saved, remotes are shut down properly.
//! A second request, or a window that needs longer than [`LIMIT`], ends the process immediately.

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{catalogue::Code, spawn::spawn};

/// The time limit of an orderly shutdown; desktops kill after five seconds or more.
const LIMIT: Duration = Duration::from_secs(10);

/// The time within which further requests count as the first one: a closing terminal sends SIGHUP by its shell and by
/// the kernel.
const SAME: Duration = Duration::from_millis(250);

/// The system's request to end the shell, if one has arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndSignal(Arc<AtomicI32>);

impl EndSignal {
    /// Listens to the system from now on, and calls `wake` on another thread at the first request.
    pub(crate) fn watch(wake: impl Fn() + Send + 'static) -> Self {
        let ending = Self::default();
        let (requested, mut first) = (ending.clone(), None::<Instant>);
        let on_request = move |signal| match first {
            None => {
                first = Some(Instant::now());
                requested.0.store(signal, Ordering::Release);
                wake();
                // Without this thread, a second request ends the process.
                let _ = spawn("ending", "end the shell", move || {
                    thread::sleep(LIMIT);
                    end(signal);
                });
            }
            Some(at) if at.elapsed() < SAME => {}
            Some(_) => end(signal),
        };
        if let Err(error) = listen(on_request) {
            tracing::warn!(
                code = Code::SignalsUnavailable.as_str(),
                "the shell cannot listen to signals ({error}), so a log-out ends it like a crash; close other \
                 programs, or raise the limit of threads and open files"
            );
        }
        ending
    }

    /// Returns `true` once the system has requested the end.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Ends the process as the request by itself would have; does nothing without a request. Must be the last call.
    pub(crate) fn conclude(&self) {
        match self.0.load(Ordering::Acquire) {
            0 => {}
            signal => end(signal),
        }
    }
}

/// Makes the status of child processes available if the parent ignores SIGCHLD: the system would discard it.
pub(crate) fn await_children() {
    #[cfg(unix)]
    if is_ignored(signal_hook::consts::SIGCHLD)
        && let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGCHLD, Arc::default())
    {
        tracing::debug!("SIGCHLD stays ignored: {error}");
    }
}

#[cfg(unix)]
fn listen(mut on_request: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        // `nohup` ignores it, so that the shell outlives the terminal.
        signals.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    spawn("signals", "listen to signals", move || signals.forever().for_each(&mut on_request))?;
    Ok(())
}

/// Returns `true` for a signal that this process ignores; on Linux only, because elsewhere asking needs `unsafe`.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "the window has ended, or takes too long to")]
fn end(signal: i32) -> ! {
    // A waiting shell or service manager sees the signal.
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    process::exit(128 + signal)
}

/// Listens to the console: Ctrl+C, Ctrl+Break and its closing; tokio blocks in the handler of the closing, because
/// Windows ends the process after it.
#[cfg(windows)]
fn listen(on_request: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    use std::sync::Mutex;

    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let on_request = Arc::new(Mutex::new(on_request));
    let context = runtime.enter();
    macro_rules! forward {
        ($($events:ident),*) => {$({
            let (mut events, on_request) = ($events()?, Arc::clone(&on_request));
            runtime.spawn(async move {
                while events.recv().await.is_some() {
                    if let Ok(mut on_request) = on_request.lock() {
                        on_request(CONTROL_C_EXIT);
                    }
                }
            });
        })*};
    }
    forward!(ctrl_c, ctrl_break, ctrl_close, ctrl_logoff, ctrl_shutdown);
    drop(context);
    let run = move || runtime.block_on(std::future::pending::<()>());
    spawn("signals", "listen to signals", run)?;
    Ok(())
}

/// `STATUS_CONTROL_C_EXIT`, the exit status of a program that Ctrl+C has ended.
#[cfg(windows)]
const CONTROL_C_EXIT: i32 = 0xC000_013A_u32.cast_signed();

#[cfg(windows)]
#[expect(clippy::disallowed_methods, reason = "the window has ended, or takes too long to")]
fn end(status: i32) -> ! {
    process::exit(status)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_recognised() {
        // Rust's runtime ignores SIGPIPE.
        assert!(is_ignored(signal_hook::consts::SIGPIPE));
        assert!(!is_ignored(signal_hook::consts::SIGUSR1));
    }

    #[test]
    fn nothing_is_requested_at_first() {
        let ending = EndSignal::default();
        assert!(!ending.is_requested());
        ending.conclude();
    }
}
