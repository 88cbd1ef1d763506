//! Running generations of remotes.
//!
//! A [`Placement`] is one generation of a remote that was started somewhere. The federation drives every remote
//! through this trait alone, so that the place is a policy: today a thread of this process ([`OnThread`]).

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use plugin_api::abi::{Font, FrameInput};

use crate::{
    catalogue::Code,
    compositor::{Mailbox, SurfaceHandle},
    data::panels::SavedPanel,
    failure::{Failure, SharedFailure, Stage},
};

mod ended;
pub mod loader;
mod module;
mod notes;
mod thread;

pub(crate) use ended::Provider;
pub use ended::{Retired, Waiting};
pub use module::{Bound, Module};
pub use thread::{Binary, OnThread};

/// Time that a remote has to close its surfaces and end its threads.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// A started generation of a remote. `[window's thread]`
///
/// No method waits unless it names a limit or a deadline. A dropped generation ends: see
/// [`on_drop`](Self::on_drop).
pub trait Placement: Send {
    /// Returns the state that the generation has reached.
    fn state(&self) -> GenerationState;

    /// Returns the duration of each stage so far.
    fn times(&self) -> Times;

    /// Returns the call that the remote is in, and for how long.
    fn busy(&self) -> Option<(Stage, Duration)>;

    /// Takes the faults since the last call.
    fn notes(&self) -> Vec<Note>;

    /// Returns the shared crates that its library offers; `None` until it is loaded.
    fn offers(&self) -> Option<Arc<[Module]>>;

    /// Starts `init` with one interface for each shared crate.
    fn init(&self, scope: Vec<Bind>, data_dir: PathBuf, fonts: Vec<Font>);

    /// Returns a function that notifies the remote of changed atoms; calls that come faster than it runs are merged.
    fn notifier(&self) -> Notifier;

    /// Prepares surface `id` of `expose`, which opens when the second value is called. `saved` is its state from an
    /// earlier run.
    fn opening(&self, id: u64, expose: &str, saved: Option<SavedPanel>) -> (SurfaceHandle, Begin);

    /// Asks a surface for its state after everything that was sent to it. `then` runs on the remote's thread.
    fn save(&self, surface: u64, then: Box<dyn FnOnce(SavedState) + Send>);

    /// Writes the state of a surface after everything that was sent to it to `panel`, on the remote's thread.
    fn save_to(&self, surface: u64, panel: SavedPanel);

    /// Waits until the library is loaded, or has failed to load, for up to `limit`.
    fn await_loaded(&self, limit: Duration);

    /// Sets the function that ends the generation when it is dropped; without one, its library stays mapped.
    fn on_drop(&mut self, ending: Option<DropHook>);

    /// Asks the remote to end.
    fn begin_shutdown(&self);

    /// Waits until no code of the remote runs. Returns `false` if some still runs at the `deadline`.
    ///
    /// [`state`](Self::state) does not show this: a remote that has failed may still hang in a destructor.
    fn await_ended(&self, deadline: Instant) -> bool;

    /// Ends the remote and unloads its code; messages call it generation `generation` of `name`.
    ///
    /// The thread and the library of a remote that does not end by the `deadline` stay: unmapping code that may still
    /// run would crash the process.
    fn retire(self: Box<Self>, name: &str, generation: u64, deadline: Instant) -> Retired;
}

impl dyn Placement + '_ {
    /// Opens `expose` as surface `id`. A failure arrives as its first reply, like a frame.
    pub fn open(&self, id: u64, expose: &str, saved: Option<SavedPanel>) -> SurfaceHandle {
        let (source, begin) = self.opening(id, expose, saved);
        begin(None, None);
        source
    }
}

/// Returns the failure of a generation that hangs in a call while it starts.
pub(crate) fn hung(stage: Stage, waited: Duration) -> Failure {
    let (code, what) = match stage {
        Stage::Load => (Code::LoadHung, "is loaded"),
        Stage::Init => (Code::InitHung, "starts"),
        Stage::Open => (Code::NewHung, "opens a panel"),
        _ => (Code::FrameHung, "draws its first picture"),
    };
    let text = format!(
        "the remote has not answered for {} s while it {what}; its thread and its library stay loaded until Pulse \
         exits",
        waited.as_secs()
    );
    Failure::new(stage, code, text, "report this to the plugin's author")
}

/// State that a generation of a remote has reached.
#[derive(Clone)]
pub enum GenerationState {
    /// Its library is being loaded.
    Loading,
    /// Loaded; waits for the providers of its shared crates.
    Loaded,
    /// Its `init` runs.
    Initialising,
    /// Ready for surfaces.
    Active,
    /// It does not run.
    Failed(SharedFailure),
    /// It has ended properly.
    Ended,
}

/// Duration of each stage, in the order in which they happened.
pub type Times = Vec<(&'static str, Duration)>;

/// Makes one interface of a share scope; runs on the remote's thread.
pub type Bind = Box<dyn FnOnce() -> Result<Bound, Failure> + Send>;

/// Ends a generation that was dropped.
pub type DropHook = Box<dyn FnOnce(Box<dyn Placement>) + Send>;

/// Opens a surface, with the state that it starts from and the input of its first frame.
pub type Begin = Box<dyn FnOnce(Option<Vec<u8>>, Option<FrameInput>) + Send>;

/// State that a surface saves, or the reason why it cannot.
pub type SavedState = Result<Option<Vec<u8>>, Failure>;

/// Notifies a remote of changed atoms. `[thread-safe]`
pub type Notifier = Arc<dyn Fn() + Send + Sync>;

/// Makes the window draw again after a delay. `[thread-safe]`
pub type Wake = Arc<dyn Fn(Duration) + Send + Sync>;

/// A fault of a remote.
#[derive(Clone)]
pub struct Note {
    /// The fault.
    pub failure: SharedFailure,
    /// The remote, or a surface of it, has ended with it; otherwise the remote has recovered.
    pub fatal: bool,
    /// The surface that failed alone: its expose, and the mailbox that shows its failure.
    pub surface: Option<(String, Arc<Mailbox>)>,
}
