//! Staged surfaces of a new generation, off the screen: their state, and their first frames.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use plugin_api::abi::FrameInput;

use super::{Checked, Context, ManagedRemote, Surroundings};
use crate::{
    catalogue::Code,
    compositor::{Port, SurfaceHandle, frame::CheckedFrame},
    failure::{Failure, Stage},
    placement::{Placement, SavedState},
};

/// Time for which the frame of the window that starts a new generation waits for its pictures: most are ready by
/// then, each further frame is a delay, and no frame may take 16 ms because of it.
const WAIT: Duration = Duration::from_millis(10);

/// Time that a surface has to save its state.
const SAVE_LIMIT: Duration = Duration::from_secs(1);

/// Time for which a placeholder does not count as a first picture.
const PLACEHOLDER_LIMIT: Duration = Duration::from_secs(1);

/// Time for which a screen shows a frame.
const FRAME: Duration = Duration::from_millis(16);

/// Maximum number of frames that follow a first frame at once on its request.
const FOLLOW_UPS: usize = 3;

/// Time for which state is saved again while the user keeps using the surface.
const QUIET_LIMIT: Duration = Duration::from_secs(5);

/// All surfaces of a new generation.
pub(super) struct Stages {
    surfaces: Mutex<Vec<StagedSurface>>,
    moved: Condvar,
}

/// State of all staged surfaces.
pub(super) enum StagingState {
    /// A state or a picture is missing.
    Pending,
    /// Complete, but the user holds a button in one of them.
    Held,
    /// The surfaces can be switched now.
    Complete,
}

/// A surface of a new generation.
pub(super) struct StagedSurface {
    pub(super) port: Weak<Port>,
    pub(super) source: Arc<SurfaceHandle>,
    pub(super) frames: Vec<CheckedFrame>,
    expose: String,
    /// Input of its frames; `None` for a surface that was never drawn.
    input: Option<FrameInput>,
    /// Value of [`Port::touched`] when the state was saved.
    touched: u64,
    since: Instant,
    /// A requested frame has not arrived yet.
    asked: bool,
    asked_at: Instant,
    saving: mpsc::Receiver<Failure>,
    saved: Arc<AtomicBool>,
    ready: bool,
    failed: Option<Failure>,
}

impl Stages {
    /// Stages every open surface of `remote` in a new generation, with its state, and requests the first frames.
    pub(super) fn begin(
        remote: &ManagedRemote,
        checked: &Checked,
        surroundings: &mut Surroundings,
    ) -> Arc<Self> {
        let exposes = &checked.found.manifest.exposes;
        let open: Vec<_> = remote.ports().filter(|(expose, _)| exposes.contains_key(*expose)).collect();
        let stage = |(expose, port): &(&str, Arc<Port>)| {
            StagedSurface::begin(
                &*checked.placement,
                expose,
                port,
                remote.placement(),
                surroundings.next_surface(),
            )
        };
        let surfaces = Mutex::new(open.iter().map(stage).collect());
        let stages = Arc::new(Self { surfaces, moved: Condvar::new() });
        let (known, wake) = (Arc::downgrade(&stages), Arc::clone(&surroundings.wake));
        checked.wakes.redirect(move || {
            if known.upgrade().is_some_and(|stages| stages.look()) {
                wake(Duration::ZERO);
            }
        });
        // Pick up replies that arrived before the hook was installed.
        stages.look();
        // Most are ready at once, and can be shown in this frame of the window.
        stages.await_settled();
        stages
    }

    /// Receives new replies. Returns `true` if all surfaces are settled. `[any thread]`
    fn look(&self) -> bool {
        let mut surfaces = self.surfaces.lock();
        surfaces.iter_mut().for_each(StagedSurface::look);
        let settled = surfaces.iter().all(StagedSurface::is_settled);
        drop(surfaces);
        self.moved.notify_all();
        settled
    }

    /// Waits until all surfaces are settled, for at most a part of a frame of the window.
    fn await_settled(&self) {
        let deadline = Instant::now() + WAIT;
        let mut surfaces = self.surfaces.lock();
        while !surfaces.iter().all(StagedSurface::is_settled)
            && !self.moved.wait_until(&mut surfaces, deadline).timed_out()
        {}
    }

    /// Returns `true` if every surface that is still open has its first picture.
    pub(super) fn are_ready(&self) -> bool {
        let mut surfaces = self.surfaces.lock();
        surfaces.retain(|staged| staged.port.strong_count() > 0);
        surfaces.iter().all(|staged| staged.ready)
    }

    /// Takes the surfaces.
    pub(super) fn take(&self) -> Vec<StagedSurface> {
        std::mem::take(&mut self.surfaces.lock())
    }

    /// Checks if the surfaces can be switched; `active` if the new generation has started, `since` when it began to
    /// draw.
    ///
    /// # Errors
    /// Fails if a surface of the new generation has failed.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        checked: &Checked,
        active: bool,
        since: Instant,
    ) -> Result<StagingState, Box<Failure>> {
        let placement = &*checked.placement;
        let mut surfaces = self.surfaces.lock();
        for staged in surfaces.iter_mut() {
            staged.look();
            if let Some(failure) = staged.failed.take() {
                return Err(Box::new(failure));
            }
            cx.lost.extend(staged.saving.try_recv());
            if staged.save_takes_too_long() {
                let text = format!(
                    "`{}` did not save its state within {SAVE_LIMIT:?}, so its next generation starts without it",
                    cx.remote.alias()
                );
                let advice = "report this to the plugin's author";
                cx.lost.push(Failure::new(Stage::Save, Code::SaveHung, text, advice));
                staged.begin_again(placement, None, cx.surroundings.next_surface());
            }
        }
        if !active || !surfaces.iter().all(|staged| staged.ready) {
            return Ok(StagingState::Pending);
        }
        for staged in surfaces.iter_mut() {
            let Some(port) = staged.port.upgrade() else { continue };
            if port.is_held() {
                // A press in one generation cannot be released in another.
                return Ok(StagingState::Held);
            }
            if port.touched() != staged.touched && since.elapsed() < QUIET_LIMIT {
                // The user has kept using the surface: its current state is saved again.
                staged.begin_again(placement, cx.remote.placement(), cx.surroundings.next_surface());
                return Ok(StagingState::Pending);
            }
        }
        Ok(StagingState::Complete)
    }
}

impl StagedSurface {
    /// Opens `expose` as surface `id` of a new generation with the state that `old` saves; requests a first frame.
    fn begin(
        new: &dyn Placement,
        expose: &str,
        port: &Arc<Port>,
        old: Option<&dyn Placement>,
        id: u64,
    ) -> Self {
        let (source, begin) = new.opening(id, expose, None);
        // A new mailbox starts dirty; clear it.
        source.mailbox.is_due(Instant::now());
        let input = port.last_input();
        let (touched, first) = (port.touched(), input.clone());
        let (trouble, saving) = mpsc::channel();
        let saved = Arc::new(AtomicBool::new(false));
        let then = {
            let saved = Arc::clone(&saved);
            move |state: SavedState| {
                // After the limit the surface has begun without the state.
                if saved.swap(true, Ordering::AcqRel) {
                    return;
                }
                let state = state.unwrap_or_else(|failure| {
                    // The receiver is dropped when the replacement is abandoned.
                    let _ = trouble.send(failure);
                    None
                });
                begin(state, first);
            }
        };
        match old {
            Some(old) => old.save(port.source().id, Box::new(then)),
            None => then(Ok(None)),
        }
        let asked = input.is_some();
        Self {
            port: Arc::downgrade(port),
            source: Arc::new(source),
            frames: Vec::new(),
            expose: expose.to_owned(),
            input,
            touched,
            since: Instant::now(),
            asked,
            asked_at: Instant::now(),
            saving,
            saved,
            ready: !asked,
            failed: None,
        }
    }

    /// Opens it again as surface `id`, with the current state of `old`.
    fn begin_again(&mut self, new: &dyn Placement, old: Option<&dyn Placement>, id: u64) {
        if let Some(port) = self.port.upgrade() {
            *self = Self::begin(new, &self.expose, &port, old, id);
        }
    }

    /// Receives frames, and requests missing ones. `[any thread]`
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
            // A loading panel requests frames itself; its animations need no more frames than a screen would show.
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
