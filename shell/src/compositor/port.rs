//! The way between a place on the screen and the generation of a remote that is behind it.
//!
//! A [`Source`] is one surface of one generation; a [`Port`] stays while generations come and go.

use std::{
    collections::VecDeque,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use abi_stable::std_types::RVec;
use parking_lot::{Condvar, Mutex};
use plugin_api::abi::{EventKind, FrameInput};

use super::frame::Frame;
use crate::failure::SharedFailure;

/// Does nothing until `done`, for at most a millisecond; false when that has passed.
///
/// Between a window and its remotes almost every answer comes sooner, and to be woken from sleep takes about as long
/// as a frame. Not where the other thread has no processor of its own meanwhile.
pub(crate) fn wait_awake(mut done: impl FnMut() -> bool) -> bool {
    static SEVERAL: LazyLock<bool> =
        LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1));
    let until = Instant::now() + Duration::from_millis(1);
    loop {
        if done() {
            return true;
        }
        if !*SEVERAL || Instant::now() >= until {
            return false;
        }
        // Between two looks: the other thread may share its processor's units with this one.
        (0..16).for_each(|_| std::hint::spin_loop());
        // Or all of it: after a rest both tend to be woken on one.
        std::thread::yield_now();
    }
}

/// What a remote answers to a [`Request`].
pub type Reply = Result<Frame, SharedFailure>;

/// Asks a remote for a frame, or says that it will be asked for one in a moment (`None`), so that its thread is awake
/// by then; false when there is nobody to ask any more.
pub type Request = Box<dyn Fn(Option<FrameInput>) -> bool + Send + Sync>;

/// Where a remote's thread leaves frames for the window's thread. `[thread-safe]`
pub struct Mailbox {
    inner: Mutex<Inbox>,
    arrived: Condvar,
    /// There are replies.
    ready: AtomicBool,
    dirty: AtomicBool,
    wake: Arc<dyn Fn(Duration) + Send + Sync>,
}

#[derive(Default)]
struct Inbox {
    replies: VecDeque<Reply>,
    waiting: bool,
    /// When the surface asked to be run.
    due: Option<Instant>,
}

impl Mailbox {
    /// A mailbox; `wake` makes the window draw again after a while.
    pub fn new(wake: Arc<dyn Fn(Duration) + Send + Sync>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            arrived: Condvar::new(),
            ready: AtomicBool::new(false),
            dirty: AtomicBool::new(true),
            wake,
        })
    }

    /// Leaves a reply. `[remote's thread]`
    pub fn put(&self, reply: Reply) {
        let mut inner = self.inner.lock();
        inner.replies.push_back(reply);
        self.ready.store(true, Ordering::Release);
        let awaited = inner.waiting;
        drop(inner);
        self.arrived.notify_all();
        if !awaited {
            (self.wake)(Duration::ZERO);
        }
    }

    /// Asks for a frame after `delay`.
    pub fn request(&self, delay: Duration) {
        if delay.is_zero() {
            self.dirty.store(true, Ordering::Release);
        } else {
            let due = Instant::now() + delay;
            let mut inner = self.inner.lock();
            inner.due = Some(inner.due.map_or(due, |d| d.min(due)));
        }
        (self.wake)(delay);
    }

    /// What has arrived.
    pub(crate) fn take(&self) -> VecDeque<Reply> {
        let mut inner = self.inner.lock();
        self.ready.store(false, Ordering::Release);
        std::mem::take(&mut inner.replies)
    }

    /// What has arrived by `deadline`.
    pub(super) fn take_until(&self, deadline: Instant) -> VecDeque<Reply> {
        wait_awake(|| self.ready.load(Ordering::Acquire) || Instant::now() >= deadline);
        let mut inner = self.inner.lock();
        inner.waiting = true;
        while inner.replies.is_empty() && !self.arrived.wait_until(&mut inner, deadline).timed_out() {}
        inner.waiting = false;
        self.ready.store(false, Ordering::Release);
        std::mem::take(&mut inner.replies)
    }

    /// Whether a frame was asked for whose time has come; asked once, it is no longer.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut inner = self.inner.lock();
        let due = inner.due.is_some_and(|d| d <= now);
        if due {
            inner.due = None;
        }
        drop(inner);
        self.dirty.swap(false, Ordering::AcqRel) || due
    }

    /// Puts back what [`is_due`](Self::is_due) has taken.
    pub(super) fn remain_due(&self) {
        self.dirty.store(true, Ordering::Release);
    }
}

/// One surface of one generation of a remote; the remote closes it when this goes.
pub struct Source {
    /// What the remote knows the surface by.
    pub id: u64,
    /// Where its frames arrive.
    pub mailbox: Arc<Mailbox>,
    /// Asks for one.
    pub request: Request,
}

/// What a surface on the screen gets its frames from, whichever generation that is. `[thread-safe]`
pub struct Port(Mutex<Behind>);

struct Behind {
    source: Arc<Source>,
    /// How often another source has taken over.
    turn: u64,
    /// The frames that the newest source brought along, in order.
    first: Vec<Frame>,
    /// What the last frame was asked for with, without its events.
    last: Option<FrameInput>,
    /// Grows with everything that was sent and may have changed what the surface would save.
    touched: u64,
    /// A button of the pointer is held down in the surface.
    held: bool,
}

impl Port {
    /// A port with `source` behind it.
    pub fn new(source: Source) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Behind {
            source: Arc::new(source),
            turn: 0,
            first: Vec::new(),
            last: None,
            touched: 0,
            held: false,
        })))
    }

    /// What is behind it now.
    pub fn source(&self) -> Arc<Source> {
        Arc::clone(&self.0.lock().source)
    }

    /// What the last frame was asked for with, without its events; none before the first.
    pub fn last_input(&self) -> Option<FrameInput> {
        self.0.lock().last.clone()
    }

    /// A number that grows with everything that may have changed what the surface would save.
    pub fn touched(&self) -> u64 {
        self.0.lock().touched
    }

    /// Whether a button of the pointer is held down in the surface: no good time for another generation.
    pub fn is_held(&self) -> bool {
        self.0.lock().held
    }

    /// Puts `source` behind the port, with all of its frames so far: the last of them is shown from the next frame
    /// of the window on.
    pub fn take_over(&self, source: Arc<Source>, first: Vec<Frame>) {
        let mut behind = self.0.lock();
        behind.source = source;
        behind.turn += 1;
        behind.first = first;
    }

    /// How often another source has taken over.
    pub(super) fn turn(&self) -> u64 {
        self.0.lock().turn
    }

    /// What took over since `turn`, if anything did.
    pub(super) fn newer_than(&self, turn: u64) -> Option<(u64, Arc<Source>, Vec<Frame>)> {
        let mut behind = self.0.lock();
        (behind.turn != turn)
            .then(|| (behind.turn, Arc::clone(&behind.source), std::mem::take(&mut behind.first)))
    }

    /// Notes what is about to be sent. `[window's thread]`
    pub(super) fn note(&self, input: &FrameInput, held: bool) {
        let moves =
            [EventKind::POINTER_MOVED, EventKind::POINTER_GONE, EventKind::MOTION, EventKind::MODIFIERS];
        let idle = |kind| moves.contains(&kind) && !held;
        let touched = input.events.iter().filter(|event| !idle(event.kind)).count();
        let mut behind = self.0.lock();
        behind.touched += touched as u64;
        behind.held = held;
        behind.last = Some(FrameInput { events: RVec::new(), tokens: input.tokens, ..*input });
    }
}
