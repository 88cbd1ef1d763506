//! Placement of a remote on a thread of this process.
//!
//! Every call into the remote happens on the one thread that belongs to it, so plugin code is single-threaded by
//! construction, a hang never blocks the shell, and unloading is real.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use negotiation::manifest::RemoteManifest;
use parking_lot::{Condvar, Mutex};
use plugin_api::abi::{Font, FrameInput, RemoteEntryRef};

use super::{
    Begin, Bind, DropHook, GenerationState, Module, Note, Notifier, Placement, Retired, SHUTDOWN_LIMIT,
    SavedPanel, SavedState, Times, Wake, ended::Ended, notes::Notes,
};
use crate::{
    catalogue::Code,
    compositor::{Mailbox, SurfaceHandle, frame::Held},
    failure::{Failure, SharedFailure, Stage},
    spawn::spawn_with,
};

mod inbox;
mod link;
mod panels;
mod running;
mod services;

use inbox::Inbox;
use link::SurfaceLink;
use running::{Thread, copied};
use services::Rates;

/// Origin of a remote's code.
#[derive(Clone)]
pub enum Binary {
    /// A library.
    Library {
        /// The library as it was found.
        path: PathBuf,
        /// Its private copy, under a name that no library was loaded from before.
        copy: PathBuf,
    },
    /// Linked into this executable.
    Linked(RemoteEntryRef),
}

/// A remote on a thread of its own. `[window's thread]`
pub struct OnThread {
    calls: mpsc::Sender<Call>,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<Option<Ended>>>,
    ending: Option<DropHook>,
}

struct Shared {
    name: String,
    /// Path of the library, as it was found; empty for a linked remote.
    library: String,
    state: Mutex<GenerationState>,
    /// Signals a change of `state`.
    moved: Condvar,
    offers: OnceLock<Arc<[Module]>>,
    times: Mutex<Times>,
    /// Set once the thread has ended, with a panic or without.
    at_end: Mutex<bool>,
    end: Condvar,
    /// The call that the remote is in, and since when.
    busy: Mutex<Option<(Stage, Instant)>>,
    notes: Mutex<Notes>,
    rates: Rates,
    mailboxes: Mutex<HashMap<u64, Weak<Mailbox>>>,
    changed: AtomicBool,
    /// Set when a surface recovers from an error by itself.
    recovered: AtomicBool,
    wake: Wake,
}

/// Calls to the remote's thread; `Ready` comes shortly before a frame, so that the thread is awake.
enum Call {
    Init {
        scope: Vec<Bind>,
        data_dir: PathBuf,
        fonts: Vec<Font>,
    },
    Open {
        expose: String,
        surface: u64,
        state: Option<Vec<u8>>,
        saved: Option<SavedPanel>,
        mailbox: Arc<Mailbox>,
    },
    Ready,
    Frame {
        surface: u64,
        input: FrameInput,
    },
    Save {
        surface: u64,
        then: Box<dyn FnOnce(SavedState) + Send>,
    },
    Changed,
    Close {
        surface: u64,
    },
    Shutdown,
}

impl OnThread {
    /// Starts the remote's thread, which begins to load `binary`.
    pub fn start(manifest: Arc<RemoteManifest>, binary: Binary, wake: Wake) -> Self {
        let (calls, inbox) = Inbox::new();
        let shared = Arc::new(Shared {
            name: manifest.name.clone(),
            library: match &binary {
                Binary::Library { path, .. } => path.to_string_lossy().into_owned(),
                Binary::Linked(_) => String::new(),
            },
            state: Mutex::new(GenerationState::Loading),
            moved: Condvar::new(),
            offers: OnceLock::new(),
            times: Mutex::default(),
            at_end: Mutex::new(false),
            end: Condvar::new(),
            busy: Mutex::new(Some((Stage::Load, Instant::now()))),
            notes: Mutex::default(),
            rates: Rates::of(&manifest.name),
            mailboxes: Mutex::default(),
            changed: AtomicBool::new(false),
            recovered: AtomicBool::new(false),
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
                thread.run(&binary, &manifest)
            }
        };
        let name = &shared.name;
        let builder = thread::Builder::new().stack_size(stack_size());
        let thread = spawn_with(builder, format!("remote:{name}"), format!("run `{name}`"), run);
        let thread = thread.map_err(|error| shared.fail(error.failure(Stage::Load))).ok();
        Self { calls, shared, thread, ending: None }
    }

    /// Ends the thread; returns the library to unload, if it was loaded.
    ///
    /// # Errors
    /// Fails if the thread does not end by the `deadline`, or has panicked.
    fn end(mut self, deadline: Instant) -> Result<Option<Ended>, Failure> {
        self.begin_shutdown();
        let Some(thread) = self.thread.take() else { return Ok(None) };
        if !self.await_ended(deadline) {
            return Err(Failure::new(
                Stage::Retire,
                Code::RetireHung,
                format!(
                    "`{}` did not end within {SHUTDOWN_LIMIT:?}; its thread and library stay loaded until Pulse exits, \
                     and a new generation can run alongside",
                    self.shared.name
                ),
                "report this to the plugin's author",
            ));
        }
        thread.join().map_err(|_| {
            Failure::new(
                Stage::Retire,
                Code::RetirePanicked,
                format!(
                    "the thread of `{}` panicked; its library stays loaded until Pulse exits",
                    self.shared.name
                ),
                "report this to the plugin's author",
            )
        })
    }
}

impl Placement for OnThread {
    fn state(&self) -> GenerationState {
        self.shared.state.lock().clone()
    }

    fn times(&self) -> Times {
        self.shared.times.lock().clone()
    }

    fn busy(&self) -> Option<(Stage, Duration)> {
        self.shared.busy.lock().map(|(stage, since)| (stage, since.elapsed()))
    }

    fn notes(&self) -> Vec<Note> {
        self.shared.notes.lock().take()
    }

    fn offers(&self) -> Option<Arc<[Module]>> {
        self.shared.offers.get().cloned()
    }

    fn init(&self, scope: Vec<Bind>, data_dir: PathBuf, fonts: Vec<Font>) {
        self.shared.set(GenerationState::Initialising);
        // The state holds the reason of a thread that has ended.
        let _ = self.calls.send(Call::Init { scope, data_dir, fonts });
    }

    fn notifier(&self) -> Notifier {
        let (calls, shared) = (self.calls.clone(), Arc::downgrade(&self.shared));
        Arc::new(move || {
            if let Some(shared) = shared.upgrade()
                && !shared.changed.swap(true, Ordering::AcqRel)
            {
                let _ = calls.send(Call::Changed);
            }
        })
    }

    fn opening(&self, id: u64, expose: &str, saved: Option<SavedPanel>) -> (SurfaceHandle, Begin) {
        self.open_later(id, expose, saved)
    }

    fn save(&self, surface: u64, then: Box<dyn FnOnce(SavedState) + Send>) {
        let sent = self.calls.send(Call::Save { surface, then });
        if let Err(mpsc::SendError(Call::Save { then, .. })) = sent {
            then(Ok(None));
        }
    }

    fn save_to(&self, surface: u64, panel: SavedPanel) {
        let name = self.shared.name.clone();
        self.save(
            surface,
            Box::new(move |saved| {
                let written = saved.and_then(|state| state.map_or(Ok(()), |state| panel.write(&state)));
                if let Err(failure) = written {
                    tracing::warn!(remote = name, stage = %failure.stage, code = failure.code.as_str(), "{}", failure.line());
                }
            }),
        );
    }

    fn await_loaded(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        while matches!(*state, GenerationState::Loading)
            && !self.shared.moved.wait_until(&mut state, deadline).timed_out()
        {}
    }

    fn on_drop(&mut self, ending: Option<DropHook>) {
        self.ending = ending;
    }

    fn begin_shutdown(&self) {
        let _ = self.calls.send(Call::Shutdown);
    }

    fn await_ended(&self, deadline: Instant) -> bool {
        let mut at_end = self.shared.at_end.lock();
        while !*at_end {
            if self.shared.end.wait_until(&mut at_end, deadline).timed_out() && !*at_end {
                return false;
            }
        }
        true
    }

    fn retire(self: Box<Self>, name: &str, generation: u64, deadline: Instant) -> Retired {
        match self.end(deadline) {
            Ok(Some(ended)) => ended.unload(name, generation),
            Ok(None) => Retired::Gone,
            Err(failure) => Retired::Leaked(failure),
        }
    }
}

/// Guard that records the end of a remote's thread, also by a panic.
struct AtEnd(Arc<Shared>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        *self.0.at_end.lock() = true;
        self.0.end.notify_all();
        self.0.moved.notify_all();
    }
}

impl Shared {
    fn set(&self, state: GenerationState) {
        *self.state.lock() = state;
        self.moved.notify_all();
        (self.wake)(Duration::ZERO);
    }

    fn fail(&self, failure: Failure) -> SharedFailure {
        tracing::error!(remote = self.name, stage = %failure.stage, code = failure.code.as_str(), "{}", failure.line());
        let failure = Arc::new(failure);
        self.notes.lock().push(Note { failure: Arc::clone(&failure), fatal: true, surface: None });
        self.set(GenerationState::Failed(Arc::clone(&failure)));
        failure
    }

    /// Runs one call into the remote, and shows others meanwhile how long it takes.
    fn during<T>(&self, stage: Stage, f: impl FnOnce() -> T) -> T {
        *self.busy.lock() = Some((stage, Instant::now()));
        let result = f();
        *self.busy.lock() = None;
        result
    }

    /// Runs one stage and records its duration.
    fn timed<T>(&self, stage: Stage, name: &'static str, f: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = self.during(stage, f);
        self.times.lock().push((name, start.elapsed()));
        result
    }
}

/// Returns the size of a remote's stack in bytes: that of a main thread, as if the panel had its own window.
///
/// Only addresses are reserved; memory is used as far as the stack grows. `RUST_MIN_STACK` may request more.
fn stack_size() -> usize {
    const LEAST: usize = 8 << 20;
    const MOST: usize = 64 << 20;
    let requested = std::env::var("RUST_MIN_STACK").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    main_stack().map_or(LEAST, |limit| limit.clamp(LEAST, MOST)).max(requested)
}

/// Returns the limit of the main thread's stack, in bytes.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no such limit")]
fn main_stack() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    Some(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn main_stack() -> Option<usize> {
    None
}
