//! The rate limit of a remote's log, which keeps one remote from flooding the log of the others.

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
    /// `true` if the bucket was empty and has not been full since.
    overflowing: bool,
    /// Number of suppressed events that were not reported yet.
    suppressed: u64,
    reported: Instant,
}

/// The decision on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateDecision {
    /// The event passes.
    Pass,
    /// The event passes; report first this number of suppressed events.
    PassAfter(u64),
    /// The event is the first that is suppressed; report that.
    Overflow,
    /// The event is suppressed.
    Suppress,
}

impl Bucket {
    /// Creates a full bucket.
    pub fn new(burst: u32, per_second: f64) -> Self {
        Self::since(burst, per_second, Instant::now())
    }

    fn since(burst: u32, per_second: f64, at: Instant) -> Self {
        let burst = f64::from(burst);
        let state = State { tokens: burst, at, overflowing: false, suppressed: 0, reported: at };
        Self { burst, per_second, state: Mutex::new(state) }
    }

    /// Returns the bucket of the remote with this name: the same bucket at each connection.
    pub fn of(remote: &str) -> Arc<Self> {
        static BUCKETS: Mutex<BTreeMap<String, Arc<Bucket>>> = Mutex::new(BTreeMap::new());
        let mut buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = buckets.contains_key(remote) || buckets.len() < MAX_REMOTES;
        // A provider chooses the names that it binds; names beyond the limit share one bucket.
        let name = if known { remote } else { "" };
        let make = || Arc::new(Self::new(EVENTS, EVENTS_PER_SECOND));
        Arc::clone(buckets.entry(name.to_owned()).or_insert_with(make))
    }

    /// Decides on an event of this size.
    pub fn take(&self, bytes: usize) -> RateDecision {
        self.take_at(bytes, Instant::now())
    }

    fn take_at(&self, bytes: usize, now: Instant) -> RateDecision {
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
                return RateDecision::Suppress;
            }
            state.reported = now;
            return RateDecision::Overflow;
        }
        // A large event may take more tokens than the bucket has; later events wait until they are refilled.
        state.tokens -= 1.0 + (bytes / COST) as f64;
        let due = now.saturating_duration_since(state.reported) >= Duration::from_secs(1);
        if state.suppressed == 0 || !due {
            return RateDecision::Pass;
        }
        state.reported = now;
        RateDecision::PassAfter(std::mem::take(&mut state.suppressed))
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
        assert_eq!(verdicts[..10], [RateDecision::Pass; 10]);
        assert_eq!(verdicts[10..], [&[RateDecision::Overflow][..], &[RateDecision::Suppress; 4]].concat());
        // The number is reported once a second at most.
        assert_eq!(bucket.take_at(0, at(600)), RateDecision::Pass);
        assert_eq!(bucket.take_at(0, at(700)), RateDecision::Suppress);
        assert_eq!(bucket.take_at(0, at(1_200)), RateDecision::PassAfter(6));
        // After a pause the next flood is reported again.
        let later: Vec<_> = (0..11).map(|_| bucket.take_at(0, at(60_000))).collect();
        assert_eq!(later[10], RateDecision::Overflow);
    }

    #[test]
    fn large_events_cost_more() {
        let start = Instant::now();
        let bucket = Bucket::since(10, 1.0, start);
        assert_eq!(bucket.take_at(40 * COST, start), RateDecision::Pass);
        assert_eq!(bucket.take_at(0, start + Duration::from_secs(30)), RateDecision::Overflow);
        assert_eq!(bucket.take_at(0, start + Duration::from_secs(33)), RateDecision::PassAfter(1));
    }

    #[test]
    fn one_name_has_one_bucket() {
        assert!(Arc::ptr_eq(&Bucket::of("remoteOne"), &Bucket::of("remoteOne")));
        assert!(!Arc::ptr_eq(&Bucket::of("remoteOne"), &Bucket::of("remoteTwo")));
    }
}
