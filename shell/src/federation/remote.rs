//! A remote while it lives: its thread, its stages, its surfaces.
//!
//! Every call into a remote happens on the one thread that belongs to it, so plugin code is single-threaded by
//! construction, a hang never blocks the shell, and unloading is real.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use plugin_api::{
    abi::{Font, FrameInput, RemoteEntryRef},
    manifest::RemoteManifest,
};

use super::{
    keeping::Kept,
    loader,
    module::{Bound, Module},
    retire::Ended,
};
use crate::{
    compositor::{Mailbox, Source, frame::Held},
    failure::{Failure, SharedFailure, Stage},
};

mod inbox;
mod link;
mod notes;
mod panels;
mod running;
mod services;

use inbox::Inbox;
use link::Link;
use notes::Notes;
use running::{Thread, copied};
use services::Rates;

/// How long a remote has to close its surfaces and end its threads.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Where a remote's code comes from.
#[derive(Clone)]
pub enum Code {
    /// A library, and the private copy of it that is loaded.
    Library {
        /// What was configured.
        path: PathBuf,
        /// A name that no library was loaded under before.
        copy: PathBuf,
    },
    /// Linked into this executable.
    Linked(RemoteEntryRef),
}

/// Makes one interface of a share scope; run on the thread of the remote that it is for.
pub type Bind = Box<dyn FnOnce() -> Result<Bound, Failure> + Send>;

/// How far a remote is.
#[derive(Clone)]
pub enum State {
    /// Its library is being loaded.
    Loading,
    /// Loaded; waits for the providers of what it shares.
    Loaded(Arc<[Module]>),
    /// Its `init` runs.
    Initialising,
    /// Ready for surfaces.
    Active,
    /// It does not run.
    Failed(SharedFailure),
    /// It has ended in good order.
    Ended,
}

/// Duration of each stage, in the order in which they happened.
pub type Times = Vec<(&'static str, Duration)>;

/// The shell's end of a remote. `[window's thread]`
pub struct Remote {
    calls: mpsc::Sender<Call>,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<Option<Ended>>>,
    offers: Option<Arc<[Module]>>,
    ending: Option<Ending>,
}

/// Ends a remote that was dropped.
pub type Ending = Box<dyn FnOnce(Remote) + Send>;

struct Shared {
    name: String,
    /// Path of the library, as it was found; empty for a linked remote.
    library: String,
    state: Mutex<State>,
    times: Mutex<Times>,
    /// The state has changed.
    moved: Condvar,
    /// The thread is at its end, with a panic or without.
    at_end: Mutex<bool>,
    end: Condvar,
    /// The call that the remote is in, and since when.
    busy: Mutex<Option<(Stage, Instant)>>,
    /// What has failed, or was coped with, and was not asked for yet.
    notes: Mutex<Notes>,
    rates: Rates,
    mailboxes: Mutex<HashMap<u64, Weak<Mailbox>>>,
    changed: AtomicBool,
    /// A surface has coped with an error by itself since this was cleared.
    coped: AtomicBool,
    wake: Wake,
}

/// Something that a remote did wrong.
#[derive(Clone)]
pub struct Note {
    /// What it was.
    pub failure: SharedFailure,
    /// The remote, or a surface of it, does not go on; otherwise it coped with it by itself.
    pub fatal: bool,
    /// The surface that failed alone: its expose, and where its failure is shown.
    pub surface: Option<(String, Arc<Mailbox>)>,
}

/// Opens a surface, with the state that it starts from and what its first frame is asked for with.
pub type Begin = Box<dyn FnOnce(Option<Vec<u8>>, Option<FrameInput>) + Send>;

/// What a surface saves, or why it does not.
pub type Saved = Result<Option<Vec<u8>>, Failure>;

/// Makes the window draw again after a while. `[thread-safe]`
pub type Wake = Arc<dyn Fn(Duration) + Send + Sync>;

/// What the remote's thread is asked to do; `Ready` comes shortly before a frame, so that the thread is awake.
enum Call {
    Init { scope: Vec<Bind>, data_dir: PathBuf, fonts: Vec<Font> },
    Open { expose: String, surface: u64, state: Option<Vec<u8>>, kept: Option<Kept>, mailbox: Arc<Mailbox> },
    Ready,
    Frame { surface: u64, input: FrameInput },
    Save { surface: u64, then: Box<dyn FnOnce(Saved) + Send> },
    Changed,
    Close { surface: u64 },
    Shutdown,
}

impl Remote {
    /// Starts the remote's thread, which begins to load `code`.
    pub fn start(manifest: Arc<RemoteManifest>, code: Code, wake: Wake) -> Self {
        let (calls, inbox) = Inbox::new();
        let shared = Arc::new(Shared {
            name: manifest.name.clone(),
            library: match &code {
                Code::Library { path, .. } => path.to_string_lossy().into_owned(),
                Code::Linked(_) => String::new(),
            },
            state: Mutex::new(State::Loading),
            times: Mutex::default(),
            moved: Condvar::new(),
            at_end: Mutex::new(false),
            end: Condvar::new(),
            busy: Mutex::new(Some((Stage::Load, Instant::now()))),
            notes: Mutex::default(),
            rates: Rates::of(&manifest.name),
            mailboxes: Mutex::default(),
            changed: AtomicBool::new(false),
            coped: AtomicBool::new(false),
            wake,
        });
        let run = {
            let shared = Arc::clone(&shared);
            move || {
                let _at_end = AtEnd(Arc::clone(&shared));
                let thread = Thread {
                    shared,
                    inbox,
                    surfaces: BTreeMap::new(),
                    held: Held::default(),
                    providers: Vec::new(),
                };
                thread.run(&code, &manifest)
            }
        };
        let thread = thread::Builder::new().name(format!("remote:{}", shared.name));
        let thread = thread.stack_size(loader::stack_size()).spawn(run);
        let thread = thread
            .map_err(|e| {
                let text = format!(
                    "the system gives no thread for `{}` ({e}); close something or raise the limit, then retry",
                    shared.name
                );
                shared.fail(Failure::new(Stage::Load, "no-thread", text));
            })
            .ok();
        Self { calls, shared, thread, offers: None, ending: None }
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.shared.state.lock().clone()
    }

    /// How long its stages took.
    pub fn times(&self) -> Times {
        self.shared.times.lock().clone()
    }

    /// Waits until its library is loaded, or has failed to load, for up to `limit`.
    pub fn await_loaded(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        while matches!(*state, State::Loading)
            && !self.shared.moved.wait_until(&mut state, deadline).timed_out()
        {}
    }

    /// The shared crates that its library offers; `None` until it is loaded.
    pub fn offers(&mut self) -> Option<&Arc<[Module]>> {
        if self.offers.is_none()
            && let State::Loaded(modules) = &*self.shared.state.lock()
        {
            self.offers = Some(Arc::clone(modules));
        }
        self.offers.as_ref()
    }

    /// Runs `init` with one interface for each shared crate.
    pub fn init(&self, scope: Vec<Bind>, data_dir: PathBuf, fonts: Vec<Font>) {
        self.shared.set(State::Initialising);
        // A thread that is gone has left its reason in the state.
        let _ = self.calls.send(Call::Init { scope, data_dir, fonts });
    }

    /// Tells the remote that shared state has changed; calls that come faster than it runs are one.
    pub fn notifier(&self) -> impl Fn() + Send + Sync + Clone + 'static {
        let (calls, shared) = (self.calls.clone(), Arc::downgrade(&self.shared));
        move || {
            if let Some(shared) = shared.upgrade()
                && !shared.changed.swap(true, Ordering::AcqRel)
            {
                let _ = calls.send(Call::Changed);
            }
        }
    }

    /// The call that the remote is in, and for how long.
    pub fn busy(&self) -> Option<(Stage, Duration)> {
        self.shared.busy.lock().map(|(stage, since)| (stage, since.elapsed()))
    }

    /// What it did wrong since this was asked the last time.
    pub fn notes(&self) -> Vec<Note> {
        self.shared.notes.lock().take()
    }

    /// Sets what ends the remote when it is dropped; without it, its library stays mapped.
    pub fn on_drop(&mut self, ending: Option<Ending>) {
        self.ending = ending;
    }

    /// Asks the remote to end, without waiting.
    pub fn begin_shutdown(&self) {
        let _ = self.calls.send(Call::Shutdown);
    }

    /// Waits until the remote's thread is at its end. Returns false where it is not by the `deadline`.
    ///
    /// Its state does not tell: a remote that has failed may still hang in what is dropped after that.
    pub(super) fn await_ended(&self, deadline: Instant) -> bool {
        let mut at_end = self.shared.at_end.lock();
        while !*at_end {
            if self.shared.end.wait_until(&mut at_end, deadline).timed_out() && !*at_end {
                return false;
            }
        }
        true
    }

    /// Ends the remote; what is to be unloaded, if it was loaded.
    ///
    /// A remote that does not end by `deadline` keeps its thread and its library: unmapping code that may
    /// still run would end the process.
    ///
    /// # Errors
    /// Fails if its thread does not end in time, or has panicked.
    pub fn end(mut self, deadline: Instant) -> Result<Option<Ended>, Failure> {
        self.begin_shutdown();
        let Some(thread) = self.thread.take() else { return Ok(None) };
        if !self.await_ended(deadline) {
            return Err(Failure::new(
                Stage::Retire,
                "retire-hung",
                format!(
                    "`{}` did not end within {SHUTDOWN_LIMIT:?}; its thread and library are kept until the shell \
                     ends; a new one can run alongside; report this to its author",
                    self.shared.name
                ),
            ));
        }
        thread.join().map_err(|_| {
            Failure::new(
                Stage::Retire,
                "retire-panicked",
                format!(
                    "the thread of `{}` panicked; its library is kept until the shell ends; report this to its author",
                    self.shared.name
                ),
            )
        })
    }
}

/// Notes that a remote's thread is at its end, however it gets there.
struct AtEnd(Arc<Shared>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        *self.0.at_end.lock() = true;
        self.0.end.notify_all();
        self.0.moved.notify_all();
    }
}

impl Shared {
    fn set(&self, state: State) {
        *self.state.lock() = state;
        self.moved.notify_all();
        (self.wake)(Duration::ZERO);
    }

    fn fail(&self, failure: Failure) -> SharedFailure {
        tracing::error!(remote = self.name, stage = %failure.stage, code = failure.code, "{}", failure.message);
        let failure = Arc::new(failure);
        self.notes.lock().push(Note { failure: Arc::clone(&failure), fatal: true, surface: None });
        self.set(State::Failed(Arc::clone(&failure)));
        failure
    }

    /// Runs one call into the remote, so that others can see how long it takes.
    fn during<T>(&self, stage: Stage, f: impl FnOnce() -> T) -> T {
        *self.busy.lock() = Some((stage, Instant::now()));
        let result = f();
        *self.busy.lock() = None;
        result
    }

    /// Runs one stage and notes how long it took.
    fn timed<T>(&self, stage: Stage, name: &'static str, f: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = self.during(stage, f);
        self.times.lock().push((name, start.elapsed()));
        result
    }
}
