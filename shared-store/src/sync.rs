//! Locks and atomics of the store: those of `parking_lot` and std, or, where tests choose the schedules of threads,
//! those of `shuttle`:
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle" cargo test --release -p shared-store --lib --target-dir target/shuttle schedules
//! ```

#[cfg(not(all(test, shuttle)))]
mod chosen {
    pub(crate) use std::sync::atomic;

    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
    pub(super) use std::thread_local;
}

#[cfg(all(test, shuttle))]
mod chosen {
    use std::{ops::DerefMut, time::Instant};

    use shuttle::sync as inner;
    pub(crate) use shuttle::sync::atomic;
    pub(super) use shuttle::thread_local;

    /// A lock with the methods of `parking_lot`, whose poison is ignored.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(inner::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(inner::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> inner::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// As [`Mutex`].
    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(inner::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> inner::RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        pub(crate) fn write(&self) -> inner::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// A condition that no test of schedules waits for.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar;

    /// The result of a wait.
    pub(crate) struct Waited;

    impl Waited {
        pub(crate) fn timed_out(&self) -> bool {
            true
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn notify_all(&self) {}

        pub(crate) fn wait_until(&self, _guard: &mut impl DerefMut, _until: Instant) -> Waited {
            Waited
        }
    }
}

use std::{cell::Cell, sync::atomic as counters};

pub(crate) use chosen::{Condvar, Mutex, RwLock, atomic};

/// Returns this thread's number. `ThreadId` would give the thread a destructor, which keeps the library loaded.
pub(crate) fn thread() -> u64 {
    static LAST: counters::AtomicU64 = counters::AtomicU64::new(0);
    chosen::thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(LAST.fetch_add(1, counters::Ordering::Relaxed) + 1);
        }
        number.get()
    })
}
