//! Connection between a slot on the screen and the current generation of its remote.
//!
//! A [`SurfaceHandle`] is one surface of one generation; a [`Port`] stays while generations come and go.

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

use super::frame::CheckedFrame;
use crate::failure::SharedFailure;

/// Spins until `done`, for at most a millisecond; returns `false` when that has passed.
///
/// Almost every answer between a window and its remotes comes sooner, and waking from sleep takes about as long as a
/// frame. Returns at once with a single processor, which the other thread needs.
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
        // The other thread may share the units of this processor.
        (0..16).for_each(|_| std::hint::spin_loop());
        // Or the processor itself: after an idle time both threads tend to be woken on the same one.
        std::thread::yield_now();
    }
}

/// A remote's answer to a [`FrameRequest`].
pub type Reply = Result<CheckedFrame, SharedFailure>;

/// Requests a frame; `None` only wakes the remote's thread ahead of a request. Returns `false` if the remote ended.
pub type FrameRequest = Box<dyn Fn(Option<FrameInput>) -> bool + Send + Sync>;

/// Queue of replies from a remote's thread to the window's thread. `[thread-safe]`
pub struct Mailbox {
    inner: Mutex<Inbox>,
    arrived: Condvar,
    /// There are replies.
    ready: AtomicBool,
    /// A frame is requested without delay.
    dirty: AtomicBool,
    wake: Arc<dyn Fn(Duration) + Send + Sync>,
}

#[derive(Default)]
struct Inbox {
    replies: VecDeque<Reply>,
    waiting: bool,
    /// Time at which the surface wants to run.
    due: Option<Instant>,
}

impl Mailbox {
    /// Creates a mailbox that is due; `wake` makes the window draw again after the given delay.
    pub fn new(wake: Arc<dyn Fn(Duration) + Send + Sync>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            arrived: Condvar::new(),
            ready: AtomicBool::new(false),
            dirty: AtomicBool::new(true),
            wake,
        })
    }

    /// Adds a reply, and wakes the window. `[remote's thread]`
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

    /// Requests a frame after `delay`, and wakes the window for it.
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

    /// Takes the replies that have arrived.
    pub(crate) fn take(&self) -> VecDeque<Reply> {
        let mut inner = self.inner.lock();
        self.ready.store(false, Ordering::Release);
        std::mem::take(&mut inner.replies)
    }

    /// Waits for a reply until `deadline`, and takes all that have arrived.
    pub(super) fn take_until(&self, deadline: Instant) -> VecDeque<Reply> {
        wait_awake(|| self.ready.load(Ordering::Acquire) || Instant::now() >= deadline);
        let mut inner = self.inner.lock();
        inner.waiting = true;
        while inner.replies.is_empty() && !self.arrived.wait_until(&mut inner, deadline).timed_out() {}
        inner.waiting = false;
        self.ready.store(false, Ordering::Release);
        std::mem::take(&mut inner.replies)
    }

    /// Returns `true` if a requested frame is due, and forgets the request.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut inner = self.inner.lock();
        let due = inner.due.is_some_and(|d| d <= now);
        if due {
            inner.due = None;
        }
        drop(inner);
        self.dirty.swap(false, Ordering::AcqRel) || due
    }

    /// Restores the request that [`is_due`](Self::is_due) has forgotten.
    pub(super) fn remain_due(&self) {
        self.dirty.store(true, Ordering::Release);
    }
}

/// A surface of one generation of a remote; the remote closes it when this is dropped.
pub struct SurfaceHandle {
    /// Id by which the remote knows the surface.
    pub id: u64,
    /// Queue of its replies.
    pub mailbox: Arc<Mailbox>,
    /// Requests a frame.
    pub request: FrameRequest,
}

/// Source of frames for a surface on the screen, across generations. `[thread-safe]`
pub struct Port(Mutex<Behind>);

struct Behind {
    source: Arc<SurfaceHandle>,
    /// Number of replacements of the source.
    turn: u64,
    /// Frames that the newest source drew while it was staged, in order.
    first: Vec<CheckedFrame>,
    /// Input of the last request, without its events.
    last: Option<FrameInput>,
    /// Number of events sent that may have changed the state that the surface would save.
    touched: u64,
    /// A button of the pointer is held down in the surface.
    held: bool,
}

impl Port {
    /// Creates a port with `source` behind it.
    pub fn new(source: SurfaceHandle) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Behind {
            source: Arc::new(source),
            turn: 0,
            first: Vec::new(),
            last: None,
            touched: 0,
            held: false,
        })))
    }

    /// Returns the current source.
    pub fn source(&self) -> Arc<SurfaceHandle> {
        Arc::clone(&self.0.lock().source)
    }

    /// Returns the input of the last request, without its events; `None` before the first.
    pub fn last_input(&self) -> Option<FrameInput> {
        self.0.lock().last.clone()
    }

    /// Returns a number that grows with each event that may have changed the state that the surface would save.
    pub fn touched(&self) -> u64 {
        self.0.lock().touched
    }

    /// Returns `true` while a pointer button is held down in the surface, which defers a replacement.
    pub fn is_held(&self) -> bool {
        self.0.lock().held
    }

    /// Puts `source` behind the port, with all of its frames so far; the next frame of the window shows the last one.
    pub fn replace_source(&self, source: Arc<SurfaceHandle>, first: Vec<CheckedFrame>) {
        let mut behind = self.0.lock();
        behind.source = source;
        behind.turn += 1;
        behind.first = first;
    }

    /// Returns the number of replacements of the source.
    pub(super) fn turn(&self) -> u64 {
        self.0.lock().turn
    }

    /// Returns number, source and first frames of a replacement since `turn`; `None` if there is none.
    pub(super) fn newer_than(&self, turn: u64) -> Option<(u64, Arc<SurfaceHandle>, Vec<CheckedFrame>)> {
        let mut behind = self.0.lock();
        (behind.turn != turn)
            .then(|| (behind.turn, Arc::clone(&behind.source), std::mem::take(&mut behind.first)))
    }

    /// Records an input that is about to be sent. `[window's thread]`
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
