//! Limits how much a remote may log, so that the log of one remote does not bury that of the others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::limits::{COST, EVENTS, EVENTS_PER_SECOND, MAX_REMOTES};

/// A token bucket: `burst` events at once, and `per_second` in the long run. `[thread-safe]`
#[derive(Debug)]
pub struct Bucket {
    burst: f64,
    per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Instant,
    /// The bucket was empty and has not been full since.
    overflowing: bool,
    /// Suppressed events that were not reported yet.
    suppressed: u64,
    reported: Instant,
}

/// The fate of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Pass,
    /// It passes, and the number of events that were suppressed before it is to be reported.
    PassAfter(u64),
    /// It is suppressed, which is to be reported.
    Overflow,
    /// It is suppressed.
    Suppress,
}

impl Bucket {
    /// Makes a full bucket.
    pub fn new(burst: u32, per_second: f64) -> Self {
        Self::since(burst, per_second, Instant::now())
    }

    fn since(burst: u32, per_second: f64, at: Instant) -> Self {
        let burst = f64::from(burst);
        let state = State { tokens: burst, at, overflowing: false, suppressed: 0, reported: at };
        Self { burst, per_second, state: Mutex::new(state) }
    }

    /// Returns the bucket for the log of the remote of this name: the same one for the same name, however often it
    /// connects.
    pub fn of(remote: &str) -> Arc<Self> {
        static BUCKETS: Mutex<BTreeMap<String, Arc<Bucket>>> = Mutex::new(BTreeMap::new());
        let mut buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = buckets.contains_key(remote) || buckets.len() < MAX_REMOTES;
        // A provider chooses the names that it binds; those beyond the limit share one bucket.
        let name = if known { remote } else { "" };
        let make = || Arc::new(Self::new(EVENTS, EVENTS_PER_SECOND));
        Arc::clone(buckets.entry(name.to_owned()).or_insert_with(make))
    }

    /// Decides on an event of so many bytes.
    pub fn take(&self, bytes: usize) -> Verdict {
        self.take_at(bytes, Instant::now())
    }

    fn take_at(&self, bytes: usize, now: Instant) -> Verdict {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.at);
        state.at = now;
        state.tokens = passed.as_secs_f64().mul_add(self.per_second, state.tokens).min(self.burst);
        if state.tokens >= self.burst {
            state.overflowing = false;
        }
        if state.tokens < 1.0 {
            state.suppressed += 1;
            if std::mem::replace(&mut state.overflowing, true) {
                return Verdict::Suppress;
            }
            state.reported = now;
            return Verdict::Overflow;
        }
        // A large event may take more than there is, and is paid for later.
        state.tokens -= 1.0 + (bytes / COST) as f64;
        let due = now.saturating_duration_since(state.reported) >= Duration::from_secs(1);
        if state.suppressed == 0 || !due {
            return Verdict::Pass;
        }
        state.reported = now;
        Verdict::PassAfter(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_is_suppressed_and_counted() {
        let start = Instant::now();
        let bucket = Bucket::since(10, 2.0, start);
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let verdicts: Vec<_> = (0..15).map(|_| bucket.take_at(0, at(0))).collect();
        assert_eq!(verdicts[..10], [Verdict::Pass; 10]);
        assert_eq!(verdicts[10..], [&[Verdict::Overflow][..], &[Verdict::Suppress; 4]].concat());
        // The number is reported once a second at most.
        assert_eq!(bucket.take_at(0, at(600)), Verdict::Pass);
        assert_eq!(bucket.take_at(0, at(700)), Verdict::Suppress);
        assert_eq!(bucket.take_at(0, at(1_200)), Verdict::PassAfter(6));
        // After a rest the next flood is reported again.
        let later: Vec<_> = (0..11).map(|_| bucket.take_at(0, at(60_000))).collect();
        assert_eq!(later[10], Verdict::Overflow);
    }

    #[test]
    fn large_events_cost_more() {
        let start = Instant::now();
        let bucket = Bucket::since(10, 1.0, start);
        assert_eq!(bucket.take_at(40 * COST, start), Verdict::Pass);
        assert_eq!(bucket.take_at(0, start + Duration::from_secs(30)), Verdict::Overflow);
        assert_eq!(bucket.take_at(0, start + Duration::from_secs(33)), Verdict::PassAfter(1));
    }

    #[test]
    fn one_name_has_one_bucket() {
        assert!(Arc::ptr_eq(&Bucket::of("remoteOne"), &Bucket::of("remoteOne")));
        assert!(!Arc::ptr_eq(&Bucket::of("remoteOne"), &Bucket::of("remoteTwo")));
    }
}
