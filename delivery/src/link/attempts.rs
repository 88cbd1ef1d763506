//! Attempts with growing waits between them.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    thread,
    time::{Duration, Instant},
};

use super::{Again, AttemptError, RepoLink};
use crate::{error::DeliveryError, fetch::FetchEvent};

/// The longest wait between two attempts, also if the server asks for more.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Counts the attempts of a request.
pub(crate) struct Attempts<'a> {
    link: &'a RepoLink,
    until: Option<Instant>,
    failed: u32,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(link: &'a RepoLink, until: Option<Instant>) -> Self {
        Self { link, until, failed: 0 }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// Returns the fault's error if another attempt would not help, or comes too late.
    pub(crate) fn failed(&mut self, fault: AttemptError) -> Result<(), DeliveryError> {
        let limits = self.link.limits;
        // Shells that a failing server has stopped at the same moment return at different ones.
        let doubled = limits.pause.saturating_mul(1 << self.failed.min(10)).mul_f64(0.5 + random());
        let wait = match fault.again {
            Again::Never => return Err(fault.error),
            Again::Soon => doubled,
            Again::After(wait) => doubled.max(wait),
        };
        let wait = wait.min(MAX_WAIT);
        self.failed += 1;
        let is_late = self.until.is_some_and(|until| Instant::now() + wait >= until);
        if self.failed >= limits.attempts || is_late {
            return Err(fault.error);
        }
        self.link.report(FetchEvent::Retrying { error: fault.error, after: wait.as_millis() as u64 });
        thread::sleep(wait);
        Ok(())
    }

    /// Starts counting again, because a part of the file has arrived.
    pub(crate) fn progressed(&mut self) {
        self.failed = 0;
    }
}

/// Returns a number between 0 and 1, from the random keys of the standard library's hash tables.
fn random() -> f64 {
    let number = RandomState::new().build_hasher().finish();
    f64::from((number >> 32) as u32) / f64::from(u32::MAX)
}
