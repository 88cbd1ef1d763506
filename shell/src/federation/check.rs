//! What is looked at before a library enters the process, on a thread of its own, so that the window never waits.

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
    library::{self, Bundle, Digest, LibraryError},
    placement::{Binary, Ending, OnThread, Placement, Times, Wake},
    preflight::Subject,
    spawn::spawn,
    trust,
};

/// How long a library is waited for here until it is loaded; its deadline is another one.
const LOADED_LIMIT: Duration = Duration::from_millis(500);

/// What to look at.
pub(super) struct Job {
    pub(super) config: Arc<Config>,
    pub(super) alias: String,
    pub(super) reference: RemoteRef,
    /// The folders for its private copy.
    pub(super) copies: copies::Shared,
    /// The plan that must admit it.
    pub(super) context: PlanContext,
    /// The manifest that has been planned with; none for a generation that is to replace another.
    pub(super) planned: Option<Arc<RemoteManifest>>,
    /// The content that it must have.
    pub(super) expected: Option<Digest>,
    /// The content that runs already, and need not be taken again.
    pub(super) current: Option<Digest>,
    /// Libraries whose copies of shared crates it may be given.
    ///
    /// Of each the private copy, and the file that stands in for it if its place was cleaned.
    pub(super) with: Vec<[Option<PathBuf>; 2]>,
    /// Ends the remote when the check is given up.
    pub(super) ending: Ending,
    pub(super) wake: Wake,
}

/// A remote that may start, and has begun to load.
pub(super) struct Checked {
    pub(super) found: Found,
    /// Where anybody wants to know.
    pub(super) digest: Option<Digest>,
    pub(super) copy: PathBuf,
    pub(super) placement: Box<dyn Placement>,
    pub(super) times: Times,
    pub(super) wakes: Arc<WakeRouter>,
}

/// Routes a remote's repaint requests: to the window once it is visible, to a hook while it is staged.
///
/// The window is not drawn for every step of a generation that is not shown yet: on a slow screen each drawing would
/// hold up the next step.
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

/// A look that is being taken; dropping it gives it up, with the remote that it may have loaded.
pub(super) struct Check {
    result: mpsc::Receiver<Result<Option<Checked>, Failure>>,
    cancel: Arc<AtomicBool>,
}

impl Check {
    /// Begins to look.
    pub(super) fn start(job: Job) -> Self {
        let (sender, result) = mpsc::channel();
        let cancel = Arc::new(AtomicBool::new(false));
        let (stop, failed) = (Arc::clone(&cancel), sender.clone());
        let alias = job.alias.clone();
        let run = move || {
            let wake = Arc::clone(&job.wake);
            // What comes too late to be of use is dropped, and ends.
            let _ = sender.send(job.run(&stop));
            wake(Duration::ZERO);
        };
        if let Err(error) = spawn(format!("check:{alias}"), format!("check `{alias}`"), run) {
            // The receiver is right here.
            let _ = failed.send(Err(error.failure(Stage::Check)));
        }
        Self { result, cancel }
    }

    /// What came of it, if anything new is there; none while it goes on.
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
            .map_err(|error| Failure::of(Stage::Check, &error))?;
        if let (Some(expected), Some(digest)) = (expected, digest)
            && expected != digest
        {
            let text = format!(
                "the kept generation of `{alias}` is damaged: its SHA-256 is {digest}: {}",
                library.display()
            );
            let advice = "roll back to another one, or unpin the remote";
            return Err(Failure::new(Stage::Check, Code::GenerationDamaged, text, advice));
        }
        // They run with it.
        let bundle = Bundle::of(library);
        bundle.parts().try_for_each(is_trusted)?;
        bundle.bring_to(copy).map_err(|error| Failure::of(Stage::Check, &error))?;
        note(&mut stages, "copy");
        if current.is_some() && current == digest {
            return Ok(None);
        }
        if planned.is_none_or(|planned| planned != found.manifest) {
            let plan = context.plan(&found.manifest);
            let change = |said: &Diagnostic| {
                let edit = said.fix()?;
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

/// Returns what adds the time since the last call to a list, under the name of a stage.
fn note() -> impl FnMut(&mut Times, &'static str) {
    let mut last = Instant::now();
    move |stages, stage| {
        let now = Instant::now();
        stages.push((stage, now - std::mem::replace(&mut last, now)));
    }
}

/// Checks that no other user can change what is about to run, or what states how.
fn is_trusted(path: &Path) -> Result<(), Failure> {
    match trust::check(path) {
        // What is missing or out of reach is reported where it is read.
        Ok(()) | Err(trust::Unsafe::Unreadable(..)) => Ok(()),
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

/// Checks that `copy`, of `library`, is complete and is what `planned` speaks of; returns its digest if that is
/// `wanted` or stated.
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
    let found = Digest::of(copy).map_err(|error| LibraryError::io(error, library))?;
    if let Some(stated) = stated.filter(|stated| *stated != found) {
        return Err(LibraryError::Digest { stated, found, path: library.to_owned() });
    }
    Ok(Some(found))
}
