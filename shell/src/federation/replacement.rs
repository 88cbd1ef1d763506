//! Replacement of a running generation by another one: completely, or not at all.
//!
//! The new generation is checked, tried, loaded, planned and started, restores the state of every open surface and
//! draws their first frames, while the old one keeps running. Only then are the surfaces switched, between two frames
//! of the window. A failure at any step leaves the old generation unchanged.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    ManagedRemote,
    admission::refusal,
    binding::{Binder, Scope},
    check::{Check, Checked},
    host::Refused,
    negotiator::{Negotiator, Remotes},
    surroundings::Surroundings,
};
use crate::{
    compositor::Port,
    failure::{Failure, Stage},
    placement::{GenerationState, Module, Placement, hung},
};

mod staging;

use negotiation::rehearsal::Change;
use negotiation::resolver::{Plan, ShareKey};
use staging::{Stages, StagingState};

/// Time that each step of a new generation may take.
const STEP_LIMIT: Duration = Duration::from_secs(3);

/// A generation that will replace the running one; dropping it ends it.
pub(super) struct Replacement {
    step: Step,
    /// Time at which the complete file was detected.
    begun: Instant,
    /// Start of the step.
    since: Instant,
    /// The user has requested it, even if the content runs already.
    again: bool,
}

enum Step {
    Checking(Check),
    /// Loads, or waits for the providers of its shared crates.
    Binding(Box<Checked>),
    /// Draws its first pictures.
    Drawing(Box<Started>),
}

/// A generation that was started alongside the running one.
struct Started {
    checked: Checked,
    plan: Plan,
    used: Vec<(ShareKey, Module)>,
    stages: Arc<Stages>,
}

/// A new generation that can be promoted.
pub(super) struct Complete {
    pub(super) checked: Checked,
    /// The plan that admits it.
    pub(super) plan: Plan,
    /// The copies that it uses.
    pub(super) used: Vec<(ShareKey, Module)>,
    stages: Arc<Stages>,
    /// Time at which the complete file was detected.
    pub(super) begun: Instant,
}

/// Parts of the federation that a step needs.
pub(super) struct Context<'a> {
    /// The remote whose generation is replaced.
    pub(super) remote: &'a ManagedRemote,
    pub(super) remotes: &'a Remotes,
    pub(super) negotiator: &'a Negotiator,
    pub(super) surroundings: &'a mut Surroundings,
    /// Receives the names of participants whose copies the new generation waits for.
    pub(super) wanted: &'a mut Vec<String>,
    /// Receives the failures of surfaces that could not save their state.
    pub(super) lost: &'a mut Vec<Failure>,
}

/// Result of a step.
pub(super) enum Progress {
    /// The replacement is not complete yet.
    Pending(Box<Replacement>),
    /// The library on the disk runs already.
    Nothing,
    /// The new generation is refused.
    Failed(Box<Failure>),
    /// The new generation can be promoted.
    Complete(Box<Complete>),
}

/// Result of a step within the machine.
enum Outcome {
    /// The same step continues, or the next one begins.
    Next(Step),
    /// Complete, but the user holds a button in one of its surfaces.
    Held(Step),
    Nothing,
    Done(Box<Started>),
}

impl Replacement {
    /// Creates a replacement that begins with `check`; the complete file was detected at `begun`.
    pub(super) fn new(check: Check, begun: Instant, again: bool) -> Self {
        Self { step: Step::Checking(check), begun, since: Instant::now(), again }
    }

    /// Returns the stage of the current step.
    pub(super) fn stage(&self) -> Stage {
        match &self.step {
            Step::Checking(_) => Stage::Check,
            Step::Binding(_) => Stage::Load,
            Step::Drawing(_) => Stage::Frame,
        }
    }

    /// Returns `true` if the user has requested it, even if the content runs already.
    pub(super) fn is_again(&self) -> bool {
        self.again
    }

    /// Takes the next step if that is possible. Waits for at most a part of a frame of the window.
    pub(super) fn poll(self, cx: &mut Context<'_>) -> Progress {
        let before = self.stage();
        let Self { step, begun, since, again } = self;
        let next = |step, since| Box::new(Self { step, begun, since, again });
        match step.poll(cx, since) {
            // Limits are suspended while the user holds a button.
            Ok(Outcome::Held(step)) => Progress::Pending(next(step, Instant::now())),
            Ok(Outcome::Next(step)) => {
                let mut next = next(step, since);
                let stage = next.stage();
                if stage != before {
                    let (remote, after) = (cx.remote.alias(), begun.elapsed().as_millis() as u64);
                    tracing::debug!(remote, %stage, after, "a new generation is being prepared");
                    next.since = Instant::now();
                }
                Progress::Pending(next)
            }
            Ok(Outcome::Nothing) => Progress::Nothing,
            Ok(Outcome::Done(started)) => {
                let Started { checked, plan, used, stages } = *started;
                Progress::Complete(Box::new(Complete { checked, plan, used, stages, begun }))
            }
            Err(mut failure) => {
                if matches!(failure.stage, Stage::Init | Stage::Open) {
                    failure.advise(
                        "the running generation may hold a resource that the new one needs, such as a port or a \
                         file: Restart ends it first",
                    );
                }
                Progress::Failed(failure)
            }
        }
    }
}

impl Step {
    fn poll(self, cx: &mut Context<'_>, since: Instant) -> Result<Outcome, Box<Failure>> {
        match self {
            Self::Checking(check) => match check.poll() {
                None => Ok(Outcome::Next(Self::Checking(check))),
                Some(Ok(Some(checked))) => bind(Box::new(checked), cx, Instant::now()),
                Some(Ok(None)) => Ok(Outcome::Nothing),
                Some(Err(failure)) => Err(Box::new(failure)),
            },
            Self::Binding(checked) => bind(checked, cx, since),
            Self::Drawing(started) => draw(started, cx, since),
        }
    }
}

/// Starts a loaded generation, once its share scope is complete.
fn bind(checked: Box<Checked>, cx: &mut Context<'_>, since: Instant) -> Result<Outcome, Box<Failure>> {
    if let Some(failure) = failure_of(&*checked.placement, since) {
        return Err(Box::new(failure));
    }
    let Some(offers) = checked.placement.offers() else { return Ok(Outcome::Next(Step::Binding(checked))) };
    let Context { remote, remotes, negotiator, .. } = *cx;
    let manifest = Arc::clone(&checked.found.manifest);
    let plan = negotiator.context_for(remote, remotes).plan(&manifest);
    let refused = refusal(&plan, &manifest.name, |reported| {
        let edit = reported.fix()?;
        if *edit.participant != *manifest.name {
            return negotiator.change(reported, remotes);
        }
        Some(Change::new(edit, checked.found.origin.as_ref()?))
    });
    if let Some(failure) = refused {
        return Err(Box::new(failure));
    }
    cx.wanted.extend(plan.bootstrap().iter().filter(|name| ***name != *manifest.name).map(ToString::to_string));
    let (consumer, refused) = negotiator.consumer(remote.alias(), &manifest, checked.placement.notifier());
    let binder = Binder { negotiator, plan: &plan, remotes };
    let Scope { binds, used } = match binder.scope_for(&consumer, &offers) {
        Ok(None) => return Ok(Outcome::Next(Step::Binding(checked))),
        Err(unusable) => return Err(Box::new(unusable.failure)),
        Ok(Some(scope)) => scope,
    };
    refused.iter().for_each(Refused::log);
    checked.placement.init(binds, cx.surroundings.data_dir(&manifest.name), cx.surroundings.fonts.clone());
    let stages = Stages::begin(remote, &checked, cx.surroundings);
    draw(Box::new(Started { checked: *checked, plan, used, stages }), cx, Instant::now())
}

/// Waits for the first frames of all surfaces, and for a moment in which they can be switched.
fn draw(started: Box<Started>, cx: &mut Context<'_>, since: Instant) -> Result<Outcome, Box<Failure>> {
    let Started { checked, stages, .. } = &*started;
    let active = matches!(checked.placement.state(), GenerationState::Active);
    // A complete generation waits for the user, not for the remote.
    let since_failure = if active && stages.are_ready() { Instant::now() } else { since };
    if let Some(failure) = failure_of(&*checked.placement, since_failure) {
        return Err(Box::new(failure));
    }
    match stages.poll(cx, checked, active, since)? {
        StagingState::Pending => Ok(Outcome::Next(Step::Drawing(started))),
        StagingState::Held => Ok(Outcome::Held(Step::Drawing(started))),
        StagingState::Complete => Ok(Outcome::Done(started)),
    }
}

impl Complete {
    /// Switches every open surface of `remote` to the new generation and its first frames.
    pub(super) fn switch_surfaces(&self, remote: &ManagedRemote, surroundings: &mut Surroundings) {
        let mut staged = self.stages.take();
        for (expose, port) in remote.ports() {
            let of = |staged: &staging::StagedSurface| std::ptr::eq(staged.port.as_ptr(), Arc::as_ptr(&port));
            if let Some(at) = staged.iter().position(of) {
                let staged = staged.swap_remove(at);
                port.replace_source(staged.source, staged.frames);
            } else {
                // A surface that was opened meanwhile, or is no longer exposed, starts without state.
                open_empty(&*self.checked.placement, expose, &port, surroundings);
            }
        }
    }
}

fn open_empty(placement: &dyn Placement, expose: &str, port: &Port, surroundings: &mut Surroundings) {
    port.replace_source(Arc::new(placement.open(surroundings.next_surface(), expose, None)), Vec::new());
}

/// Returns the reason why a generation cannot be started, if there is one.
fn failure_of(placement: &dyn Placement, since: Instant) -> Option<Failure> {
    match placement.state() {
        GenerationState::Failed(failure) => return Some(Failure::clone(&failure)),
        GenerationState::Ended => return Some(hung(Stage::Init, since.elapsed())),
        _ => {}
    }
    let busy = placement.busy().filter(|(_, waited)| *waited >= STEP_LIMIT);
    busy.map(|(stage, waited)| hung(stage, waited)).or_else(|| {
        // Nothing failed, but nothing arrives: a provider does not load, or a picture is never ready.
        (since.elapsed() >= STEP_LIMIT * 3).then(|| hung(Stage::Frame, since.elapsed()))
    })
}
