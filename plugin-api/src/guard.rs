//! Turns panics into errors before they reach the boundary: another image cannot catch a panic of this image's std,
//! and a panic that reaches an object of `abi_stable` ends the process.
//!
//! [`entry`](crate::entry) and the SDK do it for remotes. A shared crate does it itself: the methods of its
//! interface's objects call [`guard`] or [`catch`].

use std::{
    any::Any,
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use crate::abi::error::RemoteError;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PANIC: RefCell<Option<(String, Backtrace)>> = const { RefCell::new(None) };
}

/// Runs `f`; a panic becomes [`RemoteError::PANICKED`] with message, place and backtrace.
///
/// # Errors
/// Returns the error of `f`, or its panic as an error.
pub fn guard<T>(f: impl FnOnce() -> Result<T, RemoteError>) -> Result<T, RemoteError> {
    catch(f)?
}

/// Runs `f`, which returns no error, as [`guard`] does.
///
/// # Errors
/// Returns the panic of `f`.
pub fn catch<T>(f: impl FnOnce() -> T) -> Result<T, RemoteError> {
    install_hook();
    DEPTH.set(DEPTH.get() + 1);
    // The values that `f` touched are not used again: the caller drops the surface or remote.
    let result = catch_unwind(AssertUnwindSafe(f));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(describe)
}

fn describe(payload: Box<dyn Any + Send>) -> RemoteError {
    let message = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is not text".to_owned());
    // A payload's destructor is the author's code, too, and may panic again.
    #[expect(clippy::mem_forget, reason = "see above")]
    std::mem::forget(payload);
    let mut error = RemoteError::new(RemoteError::PANICKED, message);
    if let Some((location, backtrace)) = PANIC.take() {
        error.location = location.into();
        error.backtrace = backtrace.to_string().into();
    }
    error
}

/// Records place and backtrace of panics inside of [`guard`]; passes others to the previous hook.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return previous(info);
            }
            let location = info.location().map_or_else(String::new, |l| format!("{}:{}", l.file(), l.line()));
            PANIC.set(Some((location, Backtrace::force_capture())));
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error_with_its_place() {
        let error = guard::<()>(|| panic!("no {}", "luck")).expect_err("it panicked");
        assert_eq!(error.code, RemoteError::PANICKED);
        assert_eq!(error.message, "no luck");
        assert!(error.location.contains("guard.rs:"), "{}", error.location);
        assert!(!error.backtrace.is_empty());
    }

    #[test]
    fn panicking_payload_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let error = guard::<()>(|| std::panic::panic_any(Bomb)).expect_err("it panicked");
        assert_eq!(error.code, RemoteError::PANICKED);
    }

    #[test]
    fn second_panic_has_its_own_place() {
        let first = guard::<()>(|| panic!("one")).expect_err("it panicked");
        let second = guard::<()>(|| panic!("two")).expect_err("it panicked");
        assert_ne!(first.location, second.location);
    }
}
