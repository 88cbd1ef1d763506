//! Checks of a library before it enters the process, on a separate thread, so that the window never waits.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use negotiation::manifest::{Origin, RemoteManifest, RemoteRef};
use negotiation::rehearsal::Change;
use negotiation::resolver::Diagnostic;
use parking_lot::Mutex;

use super::{
    admission::{PlanContext, refusal},
    copies,
    found::Found,
};
use crate::config::Config;
use crate::{
    catalogue::Code,
    data::archive::Archive,
    failure::{Failure, Stage},
    library::{self, Bundle, Digest, LibraryError, digest_of},
    placement::{Binary, DropHook, OnThread, Placement, Times, Wake},
    preflight::Subject,
    spawn::spawn,
    trust,
};

/// Time for which the check waits for the library to load; the load has a deadline of its own.
const LOADED_LIMIT: Duration = Duration::from_millis(500);

/// Inputs of a check.
pub(super) struct Job {
    pub(super) config: Arc<Config>,
    pub(super) alias: String,
    pub(super) reference: RemoteRef,
    /// Folders for the private copy.
    pub(super) copies: copies::SharedFolders,
    /// The plan that must admit it.
    pub(super) context: PlanContext,
    /// The manifest in the current plan; `None` for a generation that replaces another.
    pub(super) planned: Option<Arc<RemoteManifest>>,
    /// The required digest of the library.
    pub(super) expected: Option<Digest>,
    /// Digest of the running library, which is not loaded again.
    pub(super) current: Option<Digest>,
    /// Libraries whose copies of shared crates it may use: the private copy of each, and the original as a fallback.
    pub(super) with: Vec<[Option<PathBuf>; 2]>,
    /// Ends the remote if the check is abandoned.
    pub(super) ending: DropHook,
    pub(super) wake: Wake,
}

/// A remote that may start, and has begun to load.
pub(super) struct Checked {
    pub(super) found: Found,
    /// Digest of the library, if it was needed.
    pub(super) digest: Option<Digest>,
    pub(super) copy: PathBuf,
    pub(super) placement: Box<dyn Placement>,
    pub(super) times: Times,
    pub(super) wakes: Arc<WakeRouter>,
}

/// Routes a remote's repaint requests: to the window once it is visible, to a hook while it is staged.
///
/// The window is not drawn for each step of a staged generation: on a slow screen, drawing would delay the next step.
pub(super) struct WakeRouter {
    wake: Wake,
    visible: AtomicBool,
    hook: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl WakeRouter {
    fn new(wake: Wake, visible: bool) -> Arc<Self> {
        Arc::new(Self { wake, visible: AtomicBool::new(visible), hook: Mutex::default() })
    }

    /// Redirects wake-ups to `hook` (called on the remote's threads).
    pub(super) fn redirect(&self, hook: impl Fn() + Send + 'static) {
        *self.hook.lock() = Some(Box::new(hook));
    }

    /// Sends wake-ups to the window from now on, and wakes it.
    pub(super) fn show(&self) {
        self.visible.store(true, Ordering::Release);
        *self.hook.lock() = None;
        (self.wake)(Duration::ZERO);
    }

    fn on_wake(&self, delay: Duration) {
        if self.visible.load(Ordering::Acquire) {
            (self.wake)(delay);
        } else if let Some(hook) = &*self.hook.lock() {
            hook();
        }
    }
}

/// A running check; dropping it abandons the check, with the remote that it may have loaded.
pub(super) struct Check {
    result: mpsc::Receiver<Result<Option<Checked>, Failure>>,
    cancel: Arc<AtomicBool>,
}

impl Check {
    /// Starts the check.
    pub(super) fn start(job: Job) -> Self {
        let (sender, result) = mpsc::channel();
        let cancel = Arc::new(AtomicBool::new(false));
        let (stop, failed) = (Arc::clone(&cancel), sender.clone());
        let alias = job.alias.clone();
        let run = move || {
            let wake = Arc::clone(&job.wake);
            // A result that comes too late is dropped, which ends its remote.
            let _ = sender.send(job.run(&stop));
            wake(Duration::ZERO);
        };
        if let Err(error) = spawn(format!("check:{alias}"), format!("check `{alias}`"), run) {
            // The receiver is still in scope.
            let _ = failed.send(Err(error.failure(Stage::Check)));
        }
        Self { result, cancel }
    }

    /// Returns the result once the check is complete; `Ok(None)` if this library runs already.
    pub(super) fn poll(&self) -> Option<Result<Option<Checked>, Failure>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => {
                let text = "the check of the library ended without a result, which is a fault of the shell";
                let advice = "retry, and report it with the log";
                Some(Err(Failure::new(Stage::Check, Code::CheckLost, text, advice)))
            }
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Release);
    }
}

impl Job {
    fn run(self, cancel: &AtomicBool) -> Result<Option<Checked>, Failure> {
        let mut stages = Times::new();
        let mut note = note();
        let located = self.config.locate(&self.alias, &self.reference)?;
        let library = located.library.clone();
        let found = Found::from(located);
        note(&mut stages, "manifest");
        for path in found.origin.iter().map(Origin::path).chain([&*library]) {
            is_trusted(path)?;
        }
        let copy = copies::take(&self.copies, &library, &self.alias).map_err(|failure| {
            if failure.code == Code::LibraryMissing { found.looked_for(failure) } else { failure }
        })?;
        let result = self.look(&library, &copy, found, (stages, note), cancel);
        if !matches!(result, Ok(Some(_))) {
            library::remove(&copy);
        }
        result
    }

    fn look(
        self,
        library: &Path,
        copy: &Path,
        found: Found,
        (mut stages, mut note): (Times, impl FnMut(&mut Times, &'static str)),
        cancel: &AtomicBool,
    ) -> Result<Option<Checked>, Failure> {
        let Self { config, alias, context, planned, expected, current, with, ending, wake, .. } = self;
        let replaces = planned.is_none();
        let wanted = config.watch || config.preflight.is_some() || expected.is_some();
        let digest = examine(library, copy, &found.manifest, wanted)
            .map_err(|error| Failure::from_error(Stage::Check, &error))?;
        if let (Some(expected), Some(digest)) = (expected, digest)
            && expected != digest
        {
            let text = format!(
                "the archived generation of `{alias}` is damaged: its SHA-256 is {digest}: {}",
                library.display()
            );
            let advice = "roll back to another generation, or unpin the remote";
            return Err(Failure::new(Stage::Check, Code::GenerationDamaged, text, advice));
        }
        // The files of the bundle are loaded with the library.
        let bundle = Bundle::of(library);
        bundle.parts().try_for_each(is_trusted)?;
        bundle.copy_to(copy).map_err(|error| Failure::from_error(Stage::Check, &error))?;
        note(&mut stages, "copy");
        if current.is_some() && current == digest {
            return Ok(None);
        }
        if planned.is_none_or(|planned| planned != found.manifest) {
            let plan = context.plan(&found.manifest);
            let change = |reported: &Diagnostic| {
                let edit = reported.fix()?;
                let own = *edit.participant == *found.manifest.name;
                let origin = if own { found.origin.as_ref()? } else { &config.origin };
                (own || *edit.participant == *plan.host()).then(|| Change::new(edit, origin))
            };
            if let Some(failure) = refusal(&plan, &found.manifest.name, change) {
                return Err(failure);
            }
            note(&mut stages, "plan");
        }
        if let Some(preflight) = &config.preflight
            && !digest.is_some_and(|digest| Archive::new(&config.data_dir).knows(&digest))
        {
            let with =
                with.into_iter().filter_map(|files| files.into_iter().flatten().find(|file| file.exists()));
            let subject = Subject {
                library: copy.to_owned(),
                name: library.to_owned(),
                with: with.collect(),
                host: config.file.clone(),
                plugin_dirs: config.plugin_dirs.clone(),
            };
            preflight.check(&subject, cancel, &mut |_| ())?;
            note(&mut stages, "preflight");
        }
        if cancel.load(Ordering::Acquire) {
            return Err(Failure::new(Stage::Check, Code::CheckLost, "the check was cancelled", "retry"));
        }
        let code = Binary::Library { path: library.to_owned(), copy: copy.to_owned() };
        let wakes = WakeRouter::new(wake, !replaces);
        let router = Arc::clone(&wakes);
        let wake = Arc::new(move |delay| router.on_wake(delay));
        let mut placement: Box<dyn Placement> =
            Box::new(OnThread::start(Arc::clone(&found.manifest), code, wake));
        placement.on_drop(Some(ending));
        if replaces {
            placement.await_loaded(LOADED_LIMIT);
        }
        Ok(Some(Checked { found, digest, copy: copy.to_owned(), placement, times: stages, wakes }))
    }
}

/// Returns a function that appends a stage and the time since its last call to a list.
fn note() -> impl FnMut(&mut Times, &'static str) {
    let mut last = Instant::now();
    move |stages, stage| {
        let now = Instant::now();
        stages.push((stage, now - std::mem::replace(&mut last, now)));
    }
}

/// Checks that no other user can change a library or manifest.
fn is_trusted(path: &Path) -> Result<(), Failure> {
    match trust::check(path) {
        // A missing or unreadable file is reported when it is read.
        Ok(()) | Err(trust::UnsafePath::Unreadable(..)) => Ok(()),
        Err(reason) => {
            let text = format!(
                "the remote does not run, because other users can change its code: {reason}: {}",
                path.display()
            );
            let advice = format!("{}, or keep a copy in a folder that only you can write to", reason.advice());
            Err(Failure::new(Stage::Check, Code::RemoteUntrusted, text, advice))
        }
    }
}

/// Checks that `copy`, of `library`, is complete and agrees with `planned`; returns its digest if that is `wanted` or
/// stated in the manifest.
fn examine(
    library: &Path,
    copy: &Path,
    planned: &RemoteManifest,
    wanted: bool,
) -> Result<Option<Digest>, LibraryError> {
    let embedded = library::complete(copy).map_err(|error| error.of_original(library))?;
    library::same_manifest(planned, &embedded, library)?;
    let stated: Option<Digest> = planned.sha256.as_ref().and_then(|digits| digits.parse().ok());
    if !wanted && stated.is_none() {
        return Ok(None);
    }
    let found = digest_of(copy).map_err(|error| LibraryError::io(error, library))?;
    if let Some(stated) = stated.filter(|stated| *stated != found) {
        return Err(LibraryError::Digest { stated, found, path: library.to_owned() });
    }
    Ok(Some(found))
}
