//! Faults of a remote: of its surfaces, calls that take too long, and the last failure.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    catalogue::Code,
    compositor::Mailbox,
    data::choices::{FAILURES, WINDOW},
    failure::{Failure, FailureCode, SharedFailure},
    federation::events::Topic,
    placement::{GenerationState, Placement, hung},
};

/// Time that a call into a running remote may take before the remote counts as not responding.
const CALL_LIMIT: Duration = Duration::from_secs(2);

/// Time that a call into a remote may take while it starts.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Age of a call from which a check is scheduled at its limit; most calls are over before.
const LATE: Duration = Duration::from_millis(40);

/// Faults of one remote.
#[derive(Default)]
pub(super) struct Faults {
    /// The last failure, with its time and subject.
    pub(super) last: Option<(SharedFailure, SystemTime, Option<Topic>)>,
    /// A call that takes too long was reported.
    pub(super) hung: bool,
    /// Failures of each expose since the start, with their codes.
    of_surfaces: BTreeMap<String, Vec<(FailureCode, Instant)>>,
}

impl Faults {
    /// Returns the faults for a new start: only the last failure stays.
    pub(super) fn renewed(self) -> Self {
        Self { last: self.last, ..Self::default() }
    }

    /// Forgets the faults of a replaced generation; the last failure stays.
    pub(super) fn forget(&mut self) {
        self.hung = false;
        self.of_surfaces.clear();
    }

    /// Counts a failure of a surface, independently of the others: the third within ten minutes closes the surface
    /// until the user opens it again. Returns the failure to report.
    pub(super) fn count_of_surface(
        &mut self,
        alias: &str,
        expose: &str,
        failure: SharedFailure,
        mailbox: &Mailbox,
    ) -> SharedFailure {
        let failures = self.of_surfaces.entry(expose.to_owned()).or_default();
        failures.retain(|(_, at)| at.elapsed() <= WINDOW);
        failures.push((failure.code.clone(), Instant::now()));
        if failures.len() < FAILURES {
            return failure;
        }
        let codes: Vec<_> = failures.drain(..).map(|(code, _)| code).collect();
        let text = format!(
            "`{expose}` of `{alias}` failed three times within ten minutes ({}) and was closed; the last time: {}",
            FailureCode::list(&codes),
            failure.summary
        );
        let failing = Failure::new(failure.stage, Code::SurfaceFailing, text, failure.advice.clone())
            .with_details(failure.details.clone());
        tracing::error!(remote = alias, expose, code = failing.code.as_str(), "{}", failing.line());
        let failing = Arc::new(failing);
        mailbox.put(Err(Arc::clone(&failing)));
        failing
    }

    /// Checks for a call that takes too long; returns the failure once. Calls `wake` with the time until the next
    /// check.
    pub(super) fn look_for_hang(
        &mut self,
        placement: &dyn Placement,
        wake: impl FnOnce(Duration),
    ) -> Option<Failure> {
        let active = matches!(placement.state(), GenerationState::Active);
        let limit = if active { CALL_LIMIT } else { START_LIMIT };
        let busy = placement.busy();
        if let Some((_, waited)) = busy
            && (LATE..limit).contains(&waited)
        {
            // The window may have no other reason to be drawn.
            wake(limit.saturating_sub(waited));
        }
        let long = busy.filter(|(_, waited)| *waited >= limit);
        let known = std::mem::replace(&mut self.hung, long.is_some());
        let (stage, waited) = long.filter(|_| !known)?;
        if !active {
            return Some(hung(stage, waited));
        }
        let text = format!("the remote has not answered for {} s; the last picture stays", waited.as_secs());
        let advice = "wait, or restart it, which abandons its current work; report this to the plugin's author";
        Some(Failure::new(stage, Code::NotResponding, text, advice))
    }
}
