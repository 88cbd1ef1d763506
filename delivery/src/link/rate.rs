//! The rate of a transfer.

use std::time::{Duration, Instant};

/// The rate below which a transfer is too slow, in bytes a second.
const SLOWEST: u128 = 1 << 10;

/// The rate of a transfer over a window of time.
pub(super) struct TransferRate {
    window: Duration,
    since: Instant,
    bytes: u128,
}

impl TransferRate {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, since: Instant::now(), bytes: 0 }
    }

    /// Counts bytes, and returns `true` if those of a whole window were too few.
    pub(super) fn is_too_slow(&mut self, read: usize) -> bool {
        self.bytes += read as u128;
        let elapsed = self.since.elapsed();
        if elapsed < self.window {
            return false;
        }
        let is_slow = self.bytes * 1_000 < SLOWEST * elapsed.as_millis();
        (self.since, self.bytes) = (Instant::now(), 0);
        is_slow
    }
}
