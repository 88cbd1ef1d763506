//! Another generation of a remote takes over from the one that runs: all of it at once, or not at all.
//!
//! The new generation is looked at, tried, loaded, planned, started, given the state of every open surface and asked
//! for their first frames beside the old one, which goes on meanwhile. Only then do the surfaces change hands, from
//! one frame of the window to the next. Whatever fails before leaves the old generation as it is.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use plugin_api::{abi::FrameInput, shared::Consumer};

use super::{
    Bind, Change, Federation, LOOK_AGAIN, Module, Refused, Replaces,
    binding::Unusable,
    check::{Check, Checked, refusal},
    events::{Event, Topic},
    remote::{Remote, Saved, State},
    resolver::{Plan, Slot},
};
use crate::{
    compositor::{Port, Source, frame::Frame},
    failure::{Failure, Stage},
};

/// How long each step of a new generation may take.
const STEP_LIMIT: Duration = Duration::from_secs(3);

/// How long the one frame of the window in which a new generation starts waits for its pictures: most are there by
/// then, and each further frame is a delay; and no frame may take 16 ms because of it.
const WAIT: Duration = Duration::from_millis(10);

/// How long the state of a surface is waited for.
const SAVE_LIMIT: Duration = Duration::from_secs(1);

/// How long a picture is waited for that stands in for no other.
const PLACEHOLDER_LIMIT: Duration = Duration::from_secs(1);

/// How long a screen shows a frame.
const FRAME: Duration = Duration::from_millis(16);

/// How often a first frame is asked for again that wants to be followed at once.
const FOLLOW_UPS: usize = 3;

/// For how long state is taken anew because somebody goes on using the surface.
const QUIET_LIMIT: Duration = Duration::from_secs(5);

/// A generation on its way.
pub(super) struct Replacement {
    step: Step,
    /// When the complete file was seen.
    begun: Instant,
    /// When its step began.
    since: Instant,
    /// Somebody has asked for it, whatever the content.
    again: bool,
}

enum Step {
    Checking(Check),
    /// Loads, or waits for the providers of what it is to be given.
    Binding(Box<Checked>),
    Drawing(Box<(Checked, Bound)>),
}

/// What a started generation was given, and its surfaces.
struct Bound {
    plan: Plan,
    used: Vec<(Slot, Module)>,
    staged: Arc<Stages>,
}

/// The surfaces of a new generation, and the news about them.
struct Stages {
    surfaces: Mutex<Vec<Staged>>,
    moved: Condvar,
}

impl Stages {
    /// Looks at what is new; whether there is nothing more to wait for. `[any thread]`
    fn look(&self) -> bool {
        let mut surfaces = self.surfaces.lock();
        surfaces.iter_mut().for_each(Staged::look);
        let settled = surfaces.iter().all(Staged::is_settled);
        drop(surfaces);
        self.moved.notify_all();
        settled
    }

    /// Waits until there is nothing more to wait for, for a part of one frame of the window.
    fn await_settled(&self) {
        let deadline = Instant::now() + WAIT;
        let mut surfaces = self.surfaces.lock();
        while !surfaces.iter().all(Staged::is_settled)
            && !self.moved.wait_until(&mut surfaces, deadline).timed_out()
        {}
    }
}

/// A surface of the new generation, off the screen.
struct Staged {
    port: Weak<Port>,
    source: Arc<Source>,
    /// What its frames are asked for with; none for one that was never drawn.
    input: Option<FrameInput>,
    /// What the old surface had been sent when its state was taken.
    touched: u64,
    frames: Vec<Frame>,
    since: Instant,
    /// A frame is on its way.
    asked: bool,
    asked_at: Instant,
    saving: mpsc::Receiver<Failure>,
    saved: Arc<AtomicBool>,
    ready: bool,
    failed: Option<Failure>,
}

/// What one look at a replacement comes to.
enum Outcome {
    Goes(Step),
    /// Complete, and the user holds a button in one of its surfaces.
    Held(Step),
    /// What is on the disk runs already.
    Nothing,
    Done(Box<(Checked, Bound)>),
}

impl Replacement {
    fn new(check: Check, begun: Instant, again: bool) -> Self {
        Self { step: Step::Checking(check), begun, since: Instant::now(), again }
    }

    /// What it is about.
    pub(super) fn stage(&self) -> Stage {
        match &self.step {
            Step::Checking(_) => Stage::Check,
            Step::Binding(_) => Stage::Load,
            Step::Drawing(..) => Stage::Frame,
        }
    }
}

impl Federation {
    /// Lets the library that is on the disk now take over from the generation that runs; one that does not run is
    /// started.
    pub fn reload(&mut self, alias: &str) {
        self.replace(alias, true, Instant::now());
    }

    /// [`reload`](Self::reload), seen to be possible at `seen`; unless `again`, the content that runs already is not
    /// taken once more.
    pub(super) fn replace(&mut self, alias: &str, again: bool, seen: Instant) {
        let Some(entry) = self.entries.get(alias) else { return };
        if entry.off.is_some() {
            return;
        }
        let runs = entry.running.as_ref().is_some_and(|remote| matches!(remote.state(), State::Active));
        if !runs || entry.library().is_none() {
            return self.retry(alias);
        }
        // A file that changes meanwhile does not take back what was asked for.
        let again = again || entry.next.as_ref().is_some_and(|next| next.again);
        let current = entry.digest().copied().filter(|_| !again);
        self.give_up_replacement(alias);
        match self.check(alias, Some(Replaces { current })) {
            Ok(check) => {
                if let Some(entry) = self.entries.get_mut(alias) {
                    entry.postponed = false;
                    entry.next = Some(Replacement::new(check, seen, again));
                }
                (self.wake)(LOOK_AGAIN);
            }
            Err(failure) => self.note_failure(alias, Arc::new(failure), Event::NotReplaced),
        }
    }

    /// Forgets the generation that is on its way, which ends it.
    pub(super) fn give_up_replacement(&mut self, alias: &str) {
        if let Some(entry) = self.entries.get_mut(alias) {
            entry.next = None;
        }
    }

    /// Goes on with the generation that is on its way. Never waits.
    pub(super) fn step_replacement(&mut self, alias: &str) {
        let Some(Replacement { step, begun, since, again }) =
            self.entries.get_mut(alias).and_then(|entry| entry.next.take())
        else {
            return;
        };
        let before = step_number(&step);
        let mut failure = match self.step(alias, step, since) {
            Ok(Outcome::Held(step)) => {
                // No limit runs while the user holds a button.
                if let Some(entry) = self.entries.get_mut(alias) {
                    entry.next = Some(Replacement { step, begun, since: Instant::now(), again });
                }
                return;
            }
            Ok(Outcome::Goes(step)) => {
                let moved = step_number(&step) != before;
                if moved {
                    let after = begun.elapsed().as_millis() as u64;
                    tracing::debug!(
                        remote = alias,
                        step = step_number(&step),
                        after,
                        "a generation is on its way"
                    );
                }
                let since = if moved { Instant::now() } else { since };
                if let Some(entry) = self.entries.get_mut(alias) {
                    entry.next = Some(Replacement { step, begun, since, again });
                }
                return;
            }
            Ok(Outcome::Nothing) => return self.withdraw(alias, Topic::Update),
            Ok(Outcome::Done(done)) => return self.take_over(alias, *done, begun),
            Err(failed) => failed,
        };
        if matches!(failure.stage, Stage::Init | Stage::Open) {
            failure.message += "; the running generation may hold what the new one needs, such as a port or a file: \
                                Restart ends it first";
        }
        if let Some(entry) = self.entries.get_mut(alias) {
            entry.postponed = failure.stage == Stage::Plan;
        }
        self.note_failure(alias, Arc::new(*failure), Event::NotReplaced);
    }

    fn step(&mut self, alias: &str, step: Step, since: Instant) -> Result<Outcome, Box<Failure>> {
        match step {
            Step::Checking(check) => match check.poll() {
                None => Ok(Outcome::Goes(Step::Checking(check))),
                Some(Ok(Some(checked))) => self.bind(alias, checked, Instant::now()),
                Some(Ok(None)) => Ok(Outcome::Nothing),
                Some(Err(failure)) => Err(Box::new(failure)),
            },
            Step::Binding(checked) => self.bind(alias, *checked, since),
            Step::Drawing(drawing) => {
                let (checked, bound) = *drawing;
                self.draw(alias, checked, bound, since)
            }
        }
    }

    /// Starts a generation that has loaded, once what it is to be given is there.
    fn bind(&mut self, alias: &str, mut checked: Checked, since: Instant) -> Result<Outcome, Box<Failure>> {
        if let Some(failure) = failed(&checked.remote, since) {
            return Err(Box::new(failure));
        }
        if checked.remote.offers().is_none() {
            return Ok(Outcome::Goes(Step::Binding(Box::new(checked))));
        }
        let manifest = Arc::clone(&checked.found.manifest);
        let plan = self.trial(alias).plan(&manifest);
        let refused = refusal(&plan, &manifest.name, |said| {
            let edit = said.fix()?;
            let own = *edit.participant == *manifest.name;
            let origin = if own { checked.found.origin.as_ref()? } else { return self.change(said) };
            Some(Change::new(edit, origin))
        });
        if let Some(failure) = refused {
            return Err(Box::new(failure));
        }
        let (consumer, refused) = self.consumer(alias, &manifest, checked.remote.notifier());
        match self.scope_beside(alias, &plan, &mut checked, &consumer) {
            Ok(None) => Ok(Outcome::Goes(Step::Binding(Box::new(checked)))),
            Err(unusable) => Err(Box::new(unusable.into_failure())),
            Ok(Some((scope, used))) => {
                refused.iter().for_each(Refused::log);
                checked.remote.init(scope, self.data_dir(&manifest.name), self.fonts.clone());
                let surfaces = Mutex::new(self.stage_all(alias, &checked));
                let staged = Arc::new(Stages { surfaces, moved: Condvar::new() });
                let (known, wake) = (Arc::downgrade(&staged), Arc::clone(&self.wake));
                checked.calls.go_to(move || {
                    if known.upgrade().is_some_and(|staged| staged.look()) {
                        wake(Duration::ZERO);
                    }
                });
                // What came before the calls went there.
                staged.look();
                // Most are ready at once, and can be seen in this very frame of the window.
                staged.await_settled();
                self.draw(alias, checked, Bound { plan, used, staged }, Instant::now())
            }
        }
    }

    /// The scope of a generation that is not in force, under a plan that is not in force.
    #[expect(clippy::type_complexity, reason = "it is that of `scope_for`")]
    fn scope_beside(
        &mut self,
        alias: &str,
        plan: &Plan,
        checked: &mut Checked,
        consumer: &Consumer,
    ) -> Result<Option<(Vec<Bind>, Vec<(Slot, Module)>)>, Unusable> {
        for name in plan.bootstrap() {
            if let Some(provider) = self.alias_of(&name).filter(|provider| provider != alias) {
                self.want(&provider);
            }
        }
        let Some(offers) = checked.remote.offers().cloned() else { return Ok(None) };
        self.scope_for(plan, consumer, &offers)
    }

    /// Takes the state of every open surface to the new generation, and asks it for their first frames.
    fn stage_all(&mut self, alias: &str, checked: &Checked) -> Vec<Staged> {
        let Some(entry) = self.entries.get_mut(alias) else { return Vec::new() };
        entry.ports.retain(|(_, port)| port.strong_count() > 0);
        let ports = entry.ports.clone();
        let kept = |(expose, _): &&(String, _)| checked.found.manifest.exposes.contains_key(expose);
        let kept: Vec<_> = ports.iter().filter(kept).collect();
        kept.into_iter().filter_map(|(expose, port)| self.stage(alias, &checked.remote, expose, port)).collect()
    }

    fn stage(&mut self, alias: &str, new: &Remote, expose: &str, port: &Weak<Port>) -> Option<Staged> {
        self.next += 1;
        let open = port.upgrade()?;
        let (source, begin) = new.opening(self.next, expose);
        // That it is new is known.
        source.mailbox.is_due(Instant::now());
        let input = open.last_input();
        let (touched, first) = (open.touched(), input.clone());
        let (trouble, saving) = mpsc::channel();
        let saved = Arc::new(AtomicBool::new(false));
        let then = {
            let saved = Arc::clone(&saved);
            move |state: Saved| {
                // Who has waited too long has begun without it.
                if saved.swap(true, Ordering::AcqRel) {
                    return;
                }
                let state = state.unwrap_or_else(|failure| {
                    // Nobody listens once the replacement is given up.
                    let _ = trouble.send(failure);
                    None
                });
                begin(state, first);
            }
        };
        match self.entries.get(alias).and_then(|entry| entry.running.as_ref()) {
            Some(old) => old.save(open.source().id, then),
            None => then(Ok(None)),
        }
        let asked = input.is_some();
        Some(Staged {
            port: Weak::clone(port),
            source: Arc::new(source),
            input,
            touched,
            frames: Vec::new(),
            since: Instant::now(),
            asked,
            asked_at: Instant::now(),
            saving,
            saved,
            ready: !asked,
            failed: None,
        })
    }

    /// Waits for the first frames of all surfaces, and for a moment in which they can change hands.
    fn draw(
        &mut self,
        alias: &str,
        checked: Checked,
        bound: Bound,
        since: Instant,
    ) -> Result<Outcome, Box<Failure>> {
        let known = Arc::clone(&bound.staged);
        let mut staged = known.surfaces.lock();
        staged.retain(|staged| staged.port.strong_count() > 0);
        let complete =
            staged.iter().all(|staged| staged.ready) && matches!(checked.remote.state(), State::Active);
        // What is complete waits for the user and not for the remote.
        let (quiet, since) = (since, if complete { Instant::now() } else { since });
        if let Some(failure) = failed(&checked.remote, since) {
            return Err(Box::new(failure));
        }
        for one in staged.iter_mut() {
            one.look();
            if let Some(failure) = one.failed.take() {
                return Err(Box::new(failure));
            }
            if let Ok(lost) = one.saving.try_recv() {
                self.note_failure(alias, Arc::new(lost), Event::StateLost);
            }
            if one.save_takes_too_long() {
                let text = format!(
                    "`{alias}` did not give its state within {SAVE_LIMIT:?}, so its next generation starts without; \
                     tell its author"
                );
                let lost = Failure::new(Stage::Save, "save-hung", text);
                self.note_failure(alias, Arc::new(lost), Event::StateLost);
                let port = Weak::clone(&one.port);
                let expose = self.expose_of(alias, &port);
                if let Some(fresh) = self.stage_without_state(&checked.remote, &expose, &port) {
                    *one = fresh;
                }
            }
        }
        let active = matches!(checked.remote.state(), State::Active);
        if !active || staged.iter().any(|staged| !staged.ready) {
            return Ok(Outcome::Goes(Step::Drawing(Box::new((checked, bound)))));
        }
        for one in staged.iter_mut() {
            let Some(port) = one.port.upgrade() else { continue };
            if port.is_held() {
                // A press that one generation has seen cannot be released in another.
                return Ok(Outcome::Held(Step::Drawing(Box::new((checked, bound)))));
            }
            if port.touched() != one.touched && quiet.elapsed() < QUIET_LIMIT {
                // Somebody has gone on using it: with the state as it is now, once more.
                let weak = Weak::clone(&one.port);
                let expose = self.expose_of(alias, &weak);
                if let Some(again) = self.stage(alias, &checked.remote, &expose, &weak) {
                    *one = again;
                }
                return Ok(Outcome::Goes(Step::Drawing(Box::new((checked, bound)))));
            }
        }
        Ok(Outcome::Done(Box::new((checked, bound))))
    }

    fn expose_of(&self, alias: &str, port: &Weak<Port>) -> String {
        let ports = self.entries.get(alias).map(|entry| entry.ports.as_slice()).unwrap_or_default();
        let found = ports.iter().find(|(_, known)| known.ptr_eq(port));
        found.map(|(expose, _)| expose.clone()).unwrap_or_default()
    }

    fn stage_without_state(&mut self, new: &Remote, expose: &str, port: &Weak<Port>) -> Option<Staged> {
        let mut staged = self.stage("", new, expose, port)?;
        // Nothing better will come of asking again.
        staged.touched = port.upgrade()?.touched();
        Some(staged)
    }

    /// The one moment in which the old generation is let go.
    fn take_over(&mut self, alias: &str, (checked, bound): (Checked, Bound), begun: Instant) {
        let Checked { found, digest, copy, mut remote, times, calls } = checked;
        let bound_staged = std::mem::take(&mut *bound.staged.surfaces.lock());
        let name = found.manifest.name.clone();
        let mut fresh = Vec::new();
        let Some(entry) = self.entries.get_mut(alias) else { return };
        for (expose, port) in &entry.ports {
            let Some(port) = port.upgrade() else { continue };
            let staged = bound_staged.iter().position(|staged| staged.port.as_ptr() == Arc::as_ptr(&port));
            fresh.push((expose.clone(), port, staged));
        }
        let mut staged: Vec<_> = bound_staged.into_iter().map(Some).collect();
        for (expose, port, at) in fresh {
            // One that was opened meanwhile, or is no longer exposed, starts from nothing.
            if let Some(Staged { source, frames, .. }) = at.and_then(|at| staged[at].take()) {
                port.take_over(source, frames);
            } else {
                self.next += 1;
                port.take_over(Arc::new(remote.open(self.next, &expose)), Vec::new());
            }
        }
        let Some(entry) = self.entries.get_mut(alias) else { return };
        let (version, generation) = (found.manifest.version.clone(), entry.generation);
        entry.found = Ok(found);
        entry.copy = Some((copy, digest));
        entry.archived = false;
        entry.before = times;
        entry.hung = false;
        entry.surface_failures.clear();
        entry.initialised = true;
        entry.refused = None;
        entry.unbound = None;
        entry.generation = generation + 1;
        entry.served = entry.generation;
        remote.on_drop(Some(self.retiring.ending(alias, generation + 1)));
        let old = entry.running.replace(remote);
        calls.go_to_window();
        if let Some(old) = old {
            self.release(alias, &name, generation, old);
        }
        self.live.release(&name);
        self.in_use.extend(bound.used);
        for known in bound.plan.assignments_of(&name) {
            self.remember_from(&bound.plan, known);
        }
        self.live.bind_assigned(&bound.plan, &name);
        self.replan();
        // Who was refused beside the old one may agree with the new one.
        let others = self.entries.iter().filter(|(other, entry)| *other != alias && entry.postponed);
        for other in others.map(|(other, _)| other.clone()).collect::<Vec<_>>() {
            self.replace(&other, false, Instant::now());
        }
        self.withdraw(alias, Topic::Update);
        self.withdraw(alias, Topic::Running);
        self.tell(alias, Event::Replaced { version, generation: generation + 1, took: begun.elapsed() });
    }
}

/// The steps in their order.
fn step_number(step: &Step) -> u8 {
    match step {
        Step::Checking(_) => 0,
        Step::Binding(_) => 1,
        Step::Drawing(..) => 2,
    }
}

/// Why a generation that is being started cannot be, if so.
fn failed(remote: &Remote, since: Instant) -> Option<Failure> {
    match remote.state() {
        State::Failed(failure) => return Some(Failure::clone(&failure)),
        State::Ended => return Some(hung(Stage::Init, since.elapsed())),
        _ => {}
    }
    let busy = remote.busy().filter(|(_, waited)| *waited >= STEP_LIMIT);
    busy.map(|(stage, waited)| hung(stage, waited)).or_else(|| {
        // Nothing has failed, and nothing comes: a provider that does not load, a picture that is never ready.
        (since.elapsed() >= STEP_LIMIT * 3).then(|| hung(Stage::Frame, since.elapsed()))
    })
}

/// What is said of a generation that does not come back from a call while it is started.
pub(super) fn hung(stage: Stage, waited: Duration) -> Failure {
    let (code, what) = match stage {
        Stage::Load => ("load-hung", "is loaded"),
        Stage::Init => ("init-hung", "starts"),
        Stage::Open => ("new-hung", "opens a panel"),
        _ => ("frame-hung", "draws its first picture"),
    };
    let text = format!(
        "the remote has not answered for {} s while it {what}; its thread and its library are kept until the shell \
         ends; tell its author",
        waited.as_secs()
    );
    Failure::new(stage, code, text)
}

impl Staged {
    /// Takes what has arrived, and asks for what is still to come. `[any thread]`
    fn look(&mut self) {
        for reply in self.source.mailbox.take() {
            self.asked = false;
            match reply {
                Ok(frame) => self.frames.push(frame),
                Err(failure) => self.failed = Some(Failure::clone(&failure)),
            }
        }
        let (Some(input), Some(last)) = (&self.input, self.frames.last()) else { return };
        if self.ready || self.asked || self.failed.is_some() {
            return;
        }
        let waited = self.since.elapsed() >= PLACEHOLDER_LIMIT;
        let at_once = last.repaint_after.is_some_and(|delay| delay.is_zero());
        let due = self.source.mailbox.is_due(Instant::now());
        if last.placeholder && !waited {
            // What is being loaded has news of its own; what moves meanwhile needs no more than a screen would ask for.
            self.asked = due || (at_once && self.asked_at.elapsed() >= FRAME);
        } else if at_once && self.frames.len() <= FOLLOW_UPS {
            self.asked = true;
        } else {
            self.ready = true;
        }
        if self.asked {
            self.asked_at = Instant::now();
            (self.source.request)(Some(input.clone()));
        }
    }

    fn is_settled(&self) -> bool {
        self.ready || self.failed.is_some()
    }

    fn save_takes_too_long(&self) -> bool {
        self.since.elapsed() >= SAVE_LIMIT && !self.saved.swap(true, Ordering::AcqRel)
    }
}
