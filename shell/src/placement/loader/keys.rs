//! Keys of thread-local storage that a library has made and does not give back.
//!
//! A process has 1,024 of them. The standard library inside of every remote takes one, to tidy up when its threads
//! end, and nothing gives it back when the remote's code goes: after a thousand replacements the next remote would
//! find none, and its standard library ends the process then. And a thread that ended later would call what is no
//! longer there.
//!
//! The system does not say whose a key is. So this executable stands in for the functions of the C library that make
//! and delete them, which the system's loader takes for all libraries, and notes where the destructor of each key lies.

use std::{
    ffi::{c_int, c_void},
    mem,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// So many keys there are, numbered from 0.
const KEYS: usize = 1024;

/// By key: the address of its destructor, 0 for none.
static DESTRUCTORS: [AtomicUsize; KEYS] = [const { AtomicUsize::new(0) }; KEYS];

type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;
type Delete = unsafe extern "C" fn(libc::pthread_key_t) -> c_int;
type Create = unsafe extern "C" fn(*mut libc::pthread_key_t, Destructor) -> c_int;

/// The C library's function of this name, with a note. Needs neither memory nor a key of its own: it is called
/// before there is any.
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
    // SAFETY: it is the function of this name, which POSIX declares so.
    let real: Create = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    // SAFETY: with what the caller gave, who knows the function's contract.
    let result = unsafe { real(key, destructor) };
    if result == 0 {
        // SAFETY: it was just written to.
        let key = unsafe { *key } as usize;
        if let Some(noted) = DESTRUCTORS.get(key) {
            noted.store(destructor.map_or(0, |destructor| destructor as usize), Ordering::Release);
        }
    }
    result
}

/// Stands in for the C library's function of this name, and takes the note back: the number may be the next one's.
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
    // Before the key is free for others.
    let noted = DESTRUCTORS.get(key as usize).map(|noted| (noted, noted.swap(0, Ordering::AcqRel)));
    // SAFETY: it is the function of this name, which POSIX declares so.
    let real: Delete = unsafe { mem::transmute(std::ptr::with_exposed_provenance::<c_void>(real)) };
    // SAFETY: with what the caller gave, who knows the function's contract.
    let result = unsafe { real(key) };
    if result != 0
        && let Some((noted, destructor)) = noted
    {
        noted.store(destructor, Ordering::Release);
    }
    result
}

/// Keys whose destructors lie in a library.
pub(super) struct Keys(Vec<usize>);

impl Keys {
    /// Those of the library whose code lies in these places, while it is there.
    pub(super) fn within(code: &[Range<usize>]) -> Self {
        let is_own = |noted: &AtomicUsize| {
            let destructor = noted.load(Ordering::Acquire);
            code.iter().any(|place| place.contains(&destructor))
        };
        Self((0..KEYS).filter(|key| is_own(&DESTRUCTORS[*key])).collect())
    }

    /// Gives them back, once the library has gone: no code that knows them is left.
    pub(super) fn give_back(self) {
        for key in self.0 {
            // SAFETY: only the library had it, and nothing can use or delete it any more: it was noted until now.
            unsafe { libc::pthread_key_delete(key as libc::pthread_key_t) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn destructor(_: *mut c_void) {}

    #[test]
    fn keys_are_noted_and_given_back() {
        let code = destructor as *const () as usize;
        let mine = || Keys::within(std::slice::from_ref(&(code..code + 1)));
        let mut key = 0;
        // SAFETY: a number is written to a variable; no thread gives the key a value.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) }, 0);
        assert_eq!(mine().0, [key as usize], "the function that stands in was called");
        mine().give_back();
        assert_eq!(mine().0, [0; 0]);
        // SAFETY: as before.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) }, 0);
        // SAFETY: the key was just made.
        assert_eq!(unsafe { libc::pthread_key_delete(key) }, 0);
        assert_eq!(mine().0, [0; 0], "the library has deleted it itself");
    }
}
