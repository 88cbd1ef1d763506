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

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption, RStr},
};
use parking_lot::{Condvar, Mutex};
use plugin_api::{
    abi::{
        Font, FrameInput, HostServices_TO, InitContext, RemoteBox, RemoteEntryRef, RemoteError, Services,
        SurfaceBox, SurfaceContext,
    },
    manifest::RemoteManifest,
};

use super::{
    keeping::Kept,
    loader::{self, Library},
    module::{Bound, Module},
    retire::{Ended, Provider},
};
use crate::{
    compositor::{
        self, Mailbox, Source,
        frame::{Held, Quota, Validator},
    },
    failure::{Failure, SharedFailure, Stage},
};

mod inbox;
mod link;
mod notes;
mod panels;
mod services;

use inbox::Inbox;
use link::Link;
use notes::Notes;
use services::{Rates, ServicesOf};

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
    state: Mutex<State>,
    times: Mutex<Times>,
    /// The state has changed.
    moved: Condvar,
    /// Whether the thread is at its end, with a panic or without.
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
    /// When its thread does not end in time, or has panicked.
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

/// The remote's thread.
struct Thread {
    shared: Arc<Shared>,
    inbox: Inbox,
    surfaces: BTreeMap<u64, Open>,
    /// What all of its surfaces have in the shell's memory.
    held: Held,
    /// Whose copies of shared crates the remote uses.
    providers: Vec<Provider>,
}

struct Open {
    remote: Arc<Shared>,
    expose: String,
    surface: SurfaceBox,
    validator: Validator,
    mailbox: Arc<Mailbox>,
    drawn: bool,
    /// What it was opened from, and accepted.
    kept: Option<Kept>,
}

impl Thread {
    /// Lives the remote's life; returns what is to be unloaded once this thread is gone.
    fn run(mut self, code: &Code, manifest: &RemoteManifest) -> Option<Ended> {
        let shared = Arc::clone(&self.shared);
        let library = match code {
            Code::Linked(entry) => Library::linked(*entry),
            // The one place where a remote is trusted with this process: its library was named by the host's
            // manifest or by the user, and its manifest has been planned with.
            Code::Library { path, copy } => {
                match shared.timed(Stage::Load, "load", || Library::open(path, copy, manifest)) {
                    Ok(library) => library,
                    Err(error) => {
                        shared.fail(Failure::new(Stage::Load, error.code(), error));
                        return None;
                    }
                }
            }
        };
        let modules = library.entry().shared()();
        let modules: Vec<Module> =
            modules.iter().map(|module| Module::of_remote(module, library.image())).collect();
        shared.set(State::Loaded(modules.into()));
        if let Some(mut remote) = self.init(&library) {
            let failure = self.serve(&mut remote);
            let ended = shared.during(Stage::Retire, || {
                self.surfaces.clear();
                let ended = remote.shutdown().into_result();
                drop(remote);
                ended
            });
            match ended {
                Err(error) => drop(shared.fail(copied(Stage::Retire, error))),
                Ok(()) if failure.is_none() => shared.set(State::Ended),
                Ok(()) => {}
            }
        }
        Some(Ended { library, providers: self.providers })
    }

    fn init(&mut self, library: &Library) -> Option<RemoteBox> {
        let (scope, data_dir, fonts) = loop {
            match self.inbox.next() {
                Some(Call::Init { scope, data_dir, fonts }) => break (scope, data_dir, fonts),
                Some(Call::Shutdown) | None => {
                    self.shared.set(State::Ended);
                    return None;
                }
                Some(_) => {}
            }
        };
        let shared = &self.shared;
        let scope: Vec<Bound> = match scope.into_iter().map(|bind| bind()).collect() {
            Ok(scope) => scope,
            Err(failure) => {
                shared.fail(failure);
                return None;
            }
        };
        let of = |bound: &Bound| {
            let image = Arc::clone(bound.image.as_ref()?);
            // Its own copy keeps what it likes.
            let other = !Arc::ptr_eq(&image, library.image());
            other.then(|| Provider::new(&bound.interface, image))
        };
        self.providers = scope.iter().filter_map(of).collect();
        let scope: Vec<_> = scope.into_iter().map(|bound| bound.interface).collect();
        if let Err(error) = std::fs::create_dir_all(&data_dir) {
            let text = format!(
                "the folder of `{}` cannot be made ({error}); remove what is in the way, let this user write there, \
                 or name another folder with --data-dir, then retry: {}",
                shared.name,
                data_dir.display()
            );
            shared.fail(Failure::new(Stage::Init, "data-dir", text));
            return None;
        }
        let services: Services =
            HostServices_TO::from_ptr(RArc::new(ServicesOf(Arc::downgrade(shared))), TD_Opaque);
        let context = InitContext {
            services,
            scope: scope.into(),
            data_dir: data_dir.to_string_lossy().into_owned().into(),
            fonts: fonts.into(),
        };
        match shared.timed(Stage::Init, "init", || library.entry().init()(context)).into_result() {
            Ok(remote) => {
                shared.set(State::Active);
                Some(remote)
            }
            Err(error) => {
                shared.fail(copied(Stage::Init, error));
                None
            }
        }
    }

    /// Answers calls until the remote is to end, or fails as a whole.
    fn serve(&mut self, remote: &mut RemoteBox) -> Option<SharedFailure> {
        while let Some(call) = self.inbox.next() {
            match call {
                Call::Open { expose, surface, state, kept, mailbox } => {
                    let kept = kept.and_then(|kept| self.take_kept(kept));
                    let (kept, state) = kept.map_or((None, state), |(kept, state)| (Some(kept), Some(state)));
                    self.open(remote, &expose, (surface, state, kept), mailbox);
                }
                Call::Frame { surface, input } => self.frame(surface, input),
                Call::Save { surface, then } => self.save(surface, then),
                Call::Close { surface } => {
                    let closed = self.surfaces.remove(&surface);
                    self.shared.during(Stage::Retire, || drop(closed));
                }
                Call::Changed => {
                    self.shared.changed.store(false, Ordering::Release);
                    let changed = self.shared.during(Stage::Frame, || remote.changed().into_result());
                    if let Err(error) = changed {
                        return Some(self.shared.fail(copied(Stage::Frame, error)));
                    }
                }
                Call::Init { .. } | Call::Ready => {}
                Call::Shutdown => break,
            }
        }
        None
    }

    fn open(
        &mut self,
        remote: &mut RemoteBox,
        expose: &str,
        (surface, state, mut kept): (u64, Option<Vec<u8>>, Option<Kept>),
        mailbox: Arc<Mailbox>,
    ) {
        self.shared.coped.store(false, Ordering::Release);
        let context =
            SurfaceContext { id: surface, state: state.map_or(ROption::RNone, |s| ROption::RSome(s.into())) };
        let opened = self.shared.timed(Stage::Open, "open", || remote.get(RStr::from_str(expose), context));
        let opened = opened.into_result();
        if opened.is_err() || self.shared.coped.load(Ordering::Acquire) {
            kept.take().iter().for_each(Kept::forget);
        }
        match opened {
            Ok(opened) => {
                let validator =
                    Validator::new(Quota::default(), compositor::texture_side()).sharing(&self.held);
                let remote = Arc::clone(&self.shared);
                let expose = expose.to_owned();
                let open = Open { remote, expose, surface: opened, validator, mailbox, drawn: false, kept };
                self.surfaces.insert(surface, open);
            }
            Err(error) => self.report(expose, &mailbox, copied(Stage::Open, error)),
        }
    }

    fn frame(&mut self, id: u64, input: FrameInput) {
        let Some(open) = self.surfaces.get_mut(&id) else { return };
        let start = Instant::now();
        let result = self.shared.during(Stage::Frame, || open.surface.frame(input).into_result());
        let result = match result {
            Ok(frame) => {
                open.validator.accept(frame).map_err(|error| Failure::new(Stage::Frame, error.code(), error))
            }
            Err(error) => Err(copied(Stage::Frame, error)),
        };
        let took = start.elapsed();
        let first = !std::mem::replace(&mut open.drawn, true);
        if first {
            self.shared.times.lock().push(("first frame", took));
        }
        match (&result, &open.kept) {
            (Ok(_), Some(kept)) if first => kept.confirm(),
            (Err(_), Some(kept)) => kept.forget(),
            _ => {}
        }
        match result {
            Ok(mut frame) => {
                frame.took = took;
                open.mailbox.put(Ok(frame));
            }
            Err(failure) => {
                let (mailbox, expose) = (Arc::clone(&open.mailbox), open.expose.clone());
                self.surfaces.remove(&id);
                self.report(&expose, &mailbox, failure);
            }
        }
    }

    /// Logs a failure of one surface, shows it in its slot, and notes it.
    fn report(&self, expose: &str, mailbox: &Arc<Mailbox>, failure: Failure) {
        tracing::error!(
            remote = self.shared.name,
            stage = %failure.stage,
            code = failure.code,
            "{}", failure.message
        );
        let failure = Arc::new(failure);
        // First: who takes the note may show something else in its place.
        mailbox.put(Err(Arc::clone(&failure)));
        let surface = Some((expose.to_owned(), Arc::clone(mailbox)));
        self.shared.notes.lock().push(Note { failure, fatal: true, surface });
        (self.shared.wake)(Duration::ZERO);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "its strings are the remote's memory, which is freed here")]
fn copied(stage: Stage, error: RemoteError) -> Failure {
    Failure::from_remote(stage, &error)
}
