//! Functions of a library that the process would still call after unloading: handlers of signals, functions of
//! timers, and functions that run at the end of the process.
//!
//! A library that left one is not unloaded. Its handler is not removed either: the system does not record what
//! depends on it, and a default disposition may end the process.
//!
//! - *Handlers.* The current one of each signal is queried. Former ones count as well: code that installs a handler
//!   gets the former one, and often calls it in turn, as the crate `signal-hook` does. So this executable overrides
//!   `sigaction` and `signal`, as it does the functions for thread-local keys (`keys`), and records each handler that
//!   was handed to a successor.
//! - *Timers* of POSIX with `SIGEV_THREAD`: the kernel lists those of a process with the address of the C library's
//!   record, which contains the function.
//! - *`on_exit`* functions, which unlike those of `atexit` belong to no library and run when the process ends:
//!   recorded by an override as well.
//!
//! `atexit` and `pthread_atfork` need nothing: the C library calls or forgets their functions when the library goes.

use std::{
    ffi::{CStr, c_int, c_void},
    fs, mem,
    ops::Range,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Highest number of a signal.
const SIGNALS: c_int = 64;

/// Bytes that are read of the C library's record of a timer.
const TIMER_RECORD: usize = 128;

/// Addresses that were handed out and may be called at any time.
struct Addresses {
    known: [AtomicUsize; 256],
    /// Set when there were more, whose owners are not known.
    full: AtomicBool,
}

impl Addresses {
    const fn new() -> Self {
        Self { known: [const { AtomicUsize::new(0) }; 256], full: AtomicBool::new(false) }
    }

    /// Adds an address. Needs neither memory nor a lock, because a handler of a signal may call it.
    fn add(&self, address: usize) {
        for place in &self.known {
            match place.compare_exchange(0, address, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(known) if known == address => return,
                Err(_) => {}
            }
        }
        self.full.store(true, Ordering::Release);
    }

    fn any(&self, is_own: impl Fn(usize) -> bool) -> bool {
        let mut known = self.known.iter().map(|known| known.load(Ordering::Acquire));
        self.full.load(Ordering::Acquire) || known.any(|address| address != 0 && is_own(address))
    }
}

/// Former handlers, which were handed to a successor.
static FORMER: Addresses = Addresses::new();

/// Functions that run at the end of the process.
static AT_EXIT: Addresses = Addresses::new();

type Sigaction = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
type Signal = unsafe extern "C" fn(c_int, libc::sighandler_t) -> libc::sighandler_t;
type OnExit = unsafe extern "C" fn(ExitFunction, *mut c_void) -> c_int;
type ExitFunction = Option<unsafe extern "C" fn(c_int, *mut c_void)>;

/// Returns the address of the C library's function of this name, or 0 if it has none.
fn real(cache: &AtomicUsize, name: &CStr) -> usize {
    let mut real = cache.load(Ordering::Relaxed);
    if real == 0 {
        // SAFETY: the name ends with a zero.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }.expose_provenance();
        cache.store(real, Ordering::Relaxed);
    }
    real
}

/// Returns `true` for a disposition that is a function.
fn is_handler(disposition: usize) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN, libc::SIG_ERR].contains(&disposition)
}

/// Overrides the C library's function, and records the former handler.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    let real = real(&REAL, c"sigaction");
    if real == 0 {
        return -1;
    }
    // SAFETY: it is the function of this name, which POSIX declares with this type.
    let real: Sigaction = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    // Read before the call, because both may be one variable.
    // SAFETY: the caller passes null or a disposition.
    let follows = new.is_null() || is_handler(unsafe { (*new).sa_sigaction });
    // SAFETY: the arguments are the caller's, who upholds the function's contract.
    let result = unsafe { real(signal, new, old) };
    if result == 0 && follows && !old.is_null() {
        // SAFETY: the call has just written it.
        let former = unsafe { (*old).sa_sigaction };
        if is_handler(former) {
            FORMER.add(former);
        }
    }
    result
}

/// Overrides the C library's function, and records the former handler.
#[unsafe(no_mangle)]
unsafe extern "C" fn signal(signal: c_int, handler: libc::sighandler_t) -> libc::sighandler_t {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    let real = real(&REAL, c"signal");
    if real == 0 {
        return libc::SIG_ERR;
    }
    // SAFETY: it is the function of this name, which POSIX declares with this type.
    let real: Signal = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    // SAFETY: the arguments are the caller's, who upholds the function's contract.
    let former = unsafe { real(signal, handler) };
    if is_handler(handler) && is_handler(former) {
        FORMER.add(former);
    }
    former
}

/// Overrides the C library's function, and records the function for the end of the process.
#[unsafe(no_mangle)]
unsafe extern "C" fn on_exit(function: ExitFunction, argument: *mut c_void) -> c_int {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    let real = real(&REAL, c"on_exit");
    if real == 0 {
        return -1;
    }
    // SAFETY: it is the function of this name, which the C library declares with this type.
    let real: OnExit = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    if let Some(function) = function {
        AT_EXIT.add(function as usize);
    }
    // SAFETY: the arguments are the caller's, who upholds the function's contract.
    unsafe { real(function, argument) }
}

/// Names the functions that the process may still call of the library whose code lies in these ranges.
pub(super) fn left_in(code: &[Range<usize>]) -> Vec<String> {
    let is_own = |address: usize| code.iter().any(|place| place.contains(&address));
    let mut left: Vec<String> = (1..=SIGNALS)
        .filter(|signal| handler(*signal).is_some_and(is_own))
        .map(|signal| format!("the handler of {}", name(signal)))
        .collect();
    if left.is_empty() && FORMER.any(is_own) {
        left.push("a former handler of a signal, which its successor may call".to_owned());
    }
    if timers().into_iter().any(|record| words(record, TIMER_RECORD).into_iter().any(is_own)) {
        left.push("the function of a timer".to_owned());
    }
    if AT_EXIT.any(is_own) {
        left.push("a function for the end of the process".to_owned());
    }
    left
}

/// Returns the function that handles a signal now.
fn handler(signal: c_int) -> Option<usize> {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: all zeros are a disposition.
    let mut now: libc::sigaction = unsafe { mem::zeroed() };
    let real = real(&REAL, c"sigaction");
    if real == 0 {
        return None;
    }
    // Not through the override: a query hands no handler to a successor.
    // SAFETY: it is the function of this name, which POSIX declares with this type.
    let real: Sigaction = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    // SAFETY: a disposition is written to a variable, and none is changed.
    let result = unsafe { real(signal, std::ptr::null(), &raw mut now) };
    (result == 0 && is_handler(now.sa_sigaction)).then_some(now.sa_sigaction)
}

/// Lists the addresses of the C library's records of timers of this process that call functions.
fn timers() -> Vec<usize> {
    let text = fs::read_to_string("/proc/self/timers").unwrap_or_default();
    // `signal: 32/00007f0a1c000b70`, the second the value that comes with the signal.
    let values = text.lines().filter_map(|line| line.strip_prefix("signal: ")?.split_once('/'));
    values
        .filter_map(|(_, value)| usize::from_str_radix(value.trim(), 16).ok())
        .filter(|record| *record != 0)
        .collect()
}

/// Reads words of this process's memory from `start` on, as far as they can be read.
fn words(start: usize, length: usize) -> Vec<usize> {
    let mut bytes = vec![0; length];
    let read = fs::File::open("/proc/self/mem").and_then(|memory| memory.read_at(&mut bytes, start as u64));
    let (words, _) = bytes[..read.unwrap_or(0)].as_chunks::<{ size_of::<usize>() }>();
    words.iter().map(|word| usize::from_ne_bytes(*word)).collect()
}

fn name(signal: c_int) -> String {
    let known = match signal {
        libc::SIGALRM => "SIGALRM",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGIO => "SIGIO",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGTERM => "SIGTERM",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGWINCH => "SIGWINCH",
        _ => return format!("signal {signal}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn first(_: c_int) {}
    extern "C" fn second(_: c_int) {
        std::hint::black_box(2);
    }
    unsafe extern "C" fn at_exit(_: c_int, _: *mut c_void) {}

    #[expect(clippy::single_range_in_vec_init, reason = "the mapped ranges of a library, of which it has one")]
    fn place(function: usize) -> [Range<usize>; 1] {
        [function..function + 1]
    }

    #[test]
    fn former_handlers_are_found() {
        let (one, two) = (first as *const () as usize, second as *const () as usize);
        // SAFETY: the handlers do nothing; no other test sends or handles this signal.
        unsafe {
            libc::signal(libc::SIGRTMAX() - 3, one);
            assert_eq!(left_in(&place(one)).len(), 1, "the current one");
            libc::signal(libc::SIGRTMAX() - 3, two);
            assert_eq!(left_in(&place(one)).len(), 1, "the former one, which its successor may call");
            assert_eq!(left_in(&place(two)).len(), 1);
            libc::signal(libc::SIGRTMAX() - 3, libc::SIG_DFL);
            assert_eq!(left_in(&place(two)), [""; 0], "it was removed, and no successor got it");
        }
    }

    #[test]
    fn timer_functions_are_found() {
        extern "C" fn tick(_: libc::sigval) {}
        let own = tick as *const () as usize;
        // SAFETY: the timer is never armed, and deleted; the C library's `sigevent` has the function in the place of
        // the thread's number.
        unsafe {
            let mut event: libc::sigevent = mem::zeroed();
            event.sigev_notify = 2;
            (&raw mut event).cast::<u8>().add(16).cast::<usize>().write_unaligned(own);
            let mut timer: libc::timer_t = mem::zeroed();
            assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer), 0);
            assert_eq!(left_in(&place(own)), ["the function of a timer"]);
            libc::timer_delete(timer);
        }
        assert_eq!(left_in(&place(own)), [""; 0]);
    }

    #[test]
    fn on_exit_functions_are_found() {
        unsafe extern "C" {
            #[link_name = "on_exit"]
            fn register(function: ExitFunction, argument: *mut c_void) -> c_int;
        }
        // SAFETY: the function does nothing.
        assert_eq!(unsafe { register(Some(at_exit), std::ptr::null_mut()) }, 0);
        assert_eq!(left_in(&place(at_exit as *const () as usize)), ["a function for the end of the process"]);
    }
}
