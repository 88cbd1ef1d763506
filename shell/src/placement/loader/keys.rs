//! Keys of thread-local storage that a library has made and does not delete.
//!
//! A process has 1,024 of them. The standard library inside of every remote makes one, for cleaning up when its
//! threads end, and nothing deletes it when the remote's code is unloaded. After a thousand replacements the next
//! remote would find none left, and its standard library would then abort the process. A thread that ended later
//! would call unmapped code.
//!
//! The system does not record the owner of a key. So this executable overrides the functions of the C library that
//! make and delete keys, which the system's loader then uses for all libraries, and records the address of each key's
//! destructor.

use std::{
    ffi::{c_int, c_void},
    mem,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// `PTHREAD_KEYS_MAX` on glibc.
const KEYS: usize = 1024;

/// Address of each key's destructor, by key; 0 for none.
static DESTRUCTORS: [AtomicUsize; KEYS] = [const { AtomicUsize::new(0) }; KEYS];

type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;
type Delete = unsafe extern "C" fn(libc::pthread_key_t) -> c_int;
type Create = unsafe extern "C" fn(*mut libc::pthread_key_t, Destructor) -> c_int;

/// Overrides the C library's function and records the destructor. Needs neither memory nor a key of its own: it is
/// called before there is any.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_key_create(key: *mut libc::pthread_key_t, destructor: Destructor) -> c_int {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    let mut real = REAL.load(Ordering::Relaxed);
    if real == 0 {
        // SAFETY: the name ends with a zero.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_key_create".as_ptr()) }.expose_provenance();
        REAL.store(real, Ordering::Relaxed);
    }
    if real == 0 {
        return libc::EAGAIN;
    }
    // SAFETY: it is the function of this name, which POSIX declares with this type.
    let real: Create = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    // SAFETY: the arguments are the caller's, who upholds the function's contract.
    let result = unsafe { real(key, destructor) };
    if result == 0 {
        // SAFETY: the call has just written it.
        let key = unsafe { *key } as usize;
        if let Some(recorded) = DESTRUCTORS.get(key) {
            recorded.store(destructor.map_or(0, |destructor| destructor as usize), Ordering::Release);
        }
    }
    result
}

/// Overrides the C library's function and clears the record, because the number may be reused.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_key_delete(key: libc::pthread_key_t) -> c_int {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    let mut real = REAL.load(Ordering::Relaxed);
    if real == 0 {
        // SAFETY: the name ends with a zero.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_key_delete".as_ptr()) }.expose_provenance();
        REAL.store(real, Ordering::Relaxed);
    }
    if real == 0 {
        return libc::EINVAL;
    }
    // Cleared before the key is free for others.
    let recorded = DESTRUCTORS.get(key as usize).map(|recorded| (recorded, recorded.swap(0, Ordering::AcqRel)));
    // SAFETY: it is the function of this name, which POSIX declares with this type.
    let real: Delete = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    // SAFETY: the argument is the caller's, who upholds the function's contract.
    let result = unsafe { real(key) };
    if result != 0
        && let Some((recorded, destructor)) = recorded
    {
        recorded.store(destructor, Ordering::Release);
    }
    result
}

/// Keys whose destructors lie in a library.
pub(super) struct Keys(Vec<usize>);

impl Keys {
    /// Returns the keys of the library whose code lies in these ranges, while it is mapped.
    pub(super) fn within(code: &[Range<usize>]) -> Self {
        let is_own = |recorded: &AtomicUsize| {
            let destructor = recorded.load(Ordering::Acquire);
            code.iter().any(|place| place.contains(&destructor))
        };
        Self((0..KEYS).filter(|key| is_own(&DESTRUCTORS[*key])).collect())
    }

    /// Deletes them, once the library is unmapped: no code that knows them is left.
    pub(super) fn release(self) {
        for key in self.0 {
            // SAFETY: only the library had it, and nothing can use or delete it any more: it was still recorded.
            unsafe { libc::pthread_key_delete(key as libc::pthread_key_t) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn destructor(_: *mut c_void) {}

    #[test]
    fn keys_are_recorded_and_released() {
        let code = destructor as *const () as usize;
        let mine = || Keys::within(std::slice::from_ref(&(code..code + 1)));
        let mut key = 0;
        // SAFETY: a number is written to a variable; no thread gives the key a value.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) }, 0);
        assert_eq!(mine().0, [key as usize], "the override was called");
        mine().release();
        assert_eq!(mine().0, [0; 0]);
        // SAFETY: as before.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) }, 0);
        // SAFETY: the key was just made.
        assert_eq!(unsafe { libc::pthread_key_delete(key) }, 0);
        assert_eq!(mine().0, [0; 0], "the library has deleted it itself");
    }
}
