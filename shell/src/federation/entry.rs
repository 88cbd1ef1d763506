//! One configured remote, from where it was found to how it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Instant, SystemTime},
};

use plugin_api::{
    abi::RemoteEntryRef,
    manifest::{Expose, RemoteManifest, RemoteRef},
};

use super::{
    check::Check,
    events::Topic,
    loader::LibraryError,
    remote::{Remote, State, Times},
    replacement::Replacement,
};
use crate::{
    archive::Digest,
    compositor::Port,
    config::{Config, Located, Origin, looked_for},
    failure::{Failure, SharedFailure, Stage},
};

/// One configured remote.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Entry {
    /// What the host's manifest, or the drop folder, says.
    pub(super) reference: RemoteRef,
    /// Where it comes from, and whether that is so.
    pub(super) place: Place,
    pub(super) found: Result<Found, SharedFailure>,
    /// Why it is not to run, although it could.
    pub(super) off: Option<SharedFailure>,
    pub(super) refused: Option<SharedFailure>,
    /// Why it cannot be started, or pointed at what the plan gave it; it takes no part in plans until it is retried.
    pub(super) unbound: Option<SharedFailure>,
    /// Its library is being looked at, before it is loaded.
    pub(super) check: Option<Check>,
    pub(super) running: Option<Remote>,
    /// The private copy that runs, and its content.
    pub(super) copy: Option<(PathBuf, Option<Digest>)>,
    pub(super) initialised: bool,
    /// Its generation is among those that ran well.
    pub(super) archived: bool,
    /// When it began to load.
    pub(super) since: Option<Instant>,
    /// Somebody wants to see one of its exposes.
    pub(super) wanted: bool,
    /// Its surfaces, by expose.
    pub(super) ports: Vec<(String, Weak<Port>)>,
    /// Exposes that were opened since the remote was started, or before a restart that was asked for.
    pub(super) opened: BTreeSet<String>,
    /// The generation that these get their frames from.
    pub(super) served: u64,
    /// What is to take its place.
    pub(super) next: Option<Replacement>,
    /// The last that was to was refused by the plan: with another plan it may be admitted.
    pub(super) postponed: bool,
    /// How often it was started.
    pub(super) generation: u64,
    /// How long it took until it was loaded.
    pub(super) before: Times,
    /// The last that went wrong, whatever became of it.
    pub(super) last: Option<(SharedFailure, SystemTime, Option<Topic>)>,
    /// The failures of each expose since it was started, with their codes.
    pub(super) surface_failures: BTreeMap<String, Vec<(String, Instant)>>,
    /// It was noted that it does not respond.
    pub(super) hung: bool,
    /// Its next generation starts once the one before has ended, which may hold what both need.
    pub(super) waits: bool,
}

/// Where a remote comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The host's manifest says so.
    Configured,
    /// The drop folder, and somebody has enabled it.
    Installed(PathBuf),
    /// A generation that ran well before, and why it is kept to.
    Pinned {
        /// The library in the archive.
        library: PathBuf,
        /// Its content.
        digest: Digest,
        /// Why.
        note: String,
    },
}

pub(super) struct Found {
    pub(super) manifest: Arc<RemoteManifest>,
    /// How the manifest is written; none for one that is linked in.
    pub(super) origin: Option<Origin>,
    pub(super) code: Source,
    pub(super) looked: Vec<PathBuf>,
}

impl From<Located> for Found {
    fn from(located: Located) -> Self {
        Self {
            manifest: Arc::new(located.manifest),
            origin: Some(located.origin),
            code: Source::Library(located.library),
            looked: located.looked,
        }
    }
}

impl Found {
    /// `failure` with where the library was looked for.
    pub(super) fn looked_for(&self, failure: Failure) -> Failure {
        looked_for(failure, &self.looked)
    }
}

pub(super) enum Source {
    Library(PathBuf),
    Linked(RemoteEntryRef),
}

/// How a remote is, in one word and, where it does not run, with the reason.
#[derive(Clone)]
pub enum Status {
    /// Found and planned; loads when it is first shown.
    Ready,
    /// On its way.
    Starting,
    /// Runs.
    Active,
    /// Runs, and has not answered for a while.
    Hung,
    /// Could run, and is not to.
    Off(SharedFailure),
    /// Does not run.
    Failed(SharedFailure),
}

impl Status {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ready => "not loaded",
            Self::Starting => "starting",
            Self::Active => "running",
            Self::Hung => "not responding",
            Self::Off(_) => "disabled",
            Self::Failed(_) => "not available",
        }
    }
}

/// Logs which libraries are missing: each with its place, and of many the rest in one line.
pub(super) fn log_missing(entries: &BTreeMap<String, Entry>) {
    const NAMED: usize = 5;
    let missing: Vec<_> = entries
        .iter()
        .filter_map(|(alias, entry)| Some((alias, entry.unbound.as_ref()?)))
        .filter(|(_, failure)| failure.code == "library-missing")
        .collect();
    for (alias, failure) in missing.iter().take(NAMED) {
        tracing::error!(remote = *alias, code = failure.code, "{}", failure.message);
    }
    if let more @ 1.. = missing.len().saturating_sub(NAMED) {
        tracing::error!(
            code = "library-missing",
            "the libraries of {more} more remotes are missing; build or install them"
        );
    }
}

impl Entry {
    pub(super) fn empty(reference: &RemoteRef) -> Self {
        let missing = Failure::new(Stage::Discover, "manifest-missing", "not looked for yet");
        Self {
            reference: reference.clone(),
            place: Place::Configured,
            found: Err(Arc::new(missing)),
            off: None,
            refused: None,
            unbound: None,
            check: None,
            running: None,
            copy: None,
            initialised: false,
            archived: false,
            since: None,
            wanted: false,
            ports: Vec::new(),
            opened: BTreeSet::new(),
            served: 0,
            next: None,
            postponed: false,
            generation: 0,
            before: Times::new(),
            last: None,
            surface_failures: BTreeMap::new(),
            hung: false,
            waits: false,
        }
    }

    pub(super) fn new(config: &Config, alias: &str, reference: &RemoteRef, place: Place) -> Self {
        let mut entry = Self { place, ..Self::empty(reference) };
        entry.found = config.locate(alias, &entry.source()).map(Found::from).map_err(|failure| {
            tracing::error!(remote = alias, stage = %failure.stage, code = failure.code, "{}", failure.message);
            Arc::new(failure)
        });
        if let Ok(found) = &entry.found
            && let Source::Library(path) = &found.code
            && path.metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            // Known without trying: it takes no part in plans, and nothing waits for its copies.
            let missing = LibraryError::Missing(path.clone());
            let failure = Failure::new(Stage::Check, missing.code(), missing);
            entry.unbound = Some(Arc::new(found.looked_for(failure)));
        }
        entry
    }

    /// What is to be located: the host's word, or what goes before it.
    pub(super) fn source(&self) -> RemoteRef {
        let instead = match &self.place {
            Place::Configured => return self.reference.clone(),
            Place::Installed(path) => path,
            Place::Pinned { library, .. } => library,
        };
        RemoteRef { name: self.reference.name.clone(), location: instead.to_string_lossy().into_owned() }
    }

    /// Returns true if a build may write more than one file of it: a manifest beside a library.
    pub(super) fn has_several_files(&self) -> bool {
        match &self.found {
            Ok(Found { origin: Some(origin), code: Source::Library(path), .. }) => origin.path() != path,
            Ok(_) => false,
            Err(_) => true,
        }
    }

    /// What the remote says about itself.
    pub fn manifest(&self) -> Option<&RemoteManifest> {
        self.found.as_ref().ok().map(|f| &*f.manifest)
    }

    /// The name to show.
    pub fn title(&self) -> &str {
        self.manifest().map_or(&self.reference.name, RemoteManifest::display_name)
    }

    /// What it exposes.
    pub fn exposes(&self) -> impl Iterator<Item = (&str, &Expose)> {
        self.manifest().into_iter().flat_map(|m| m.exposes.iter().map(|(name, e)| (name.as_str(), e)))
    }

    /// Its library.
    pub fn library(&self) -> Option<&Path> {
        match &self.found.as_ref().ok()?.code {
            Source::Library(path) => Some(path),
            Source::Linked(_) => None,
        }
    }

    /// Returns true if it must not start.
    pub(super) fn is_prevented(&self) -> bool {
        self.refused.is_some() || self.unbound.is_some() || self.off.is_some()
    }

    /// How it is.
    pub fn status(&self) -> Status {
        if let Some(failure) = &self.off {
            return Status::Off(Arc::clone(failure));
        }
        if let Some(failure) = self.found.as_ref().err().or(self.unbound.as_ref()).or(self.refused.as_ref()) {
            return Status::Failed(Arc::clone(failure));
        }
        match self.running.as_ref().map(Remote::state) {
            None if self.check.is_some() => Status::Starting,
            // An entry lets go of its remote before that ends.
            None | Some(State::Ended) => Status::Ready,
            Some(State::Active) if self.hung => Status::Hung,
            Some(State::Active) => Status::Active,
            Some(State::Failed(failure)) => Status::Failed(failure),
            Some(_) => Status::Starting,
        }
    }

    /// Where it comes from.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How often it was started; 0 before the first time.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The content of the library that runs.
    pub fn digest(&self) -> Option<&Digest> {
        self.copy.as_ref()?.1.as_ref()
    }

    /// What another generation that is to take over is about, while there is one.
    pub fn replacing(&self) -> Option<Stage> {
        self.next.as_ref().map(Replacement::stage)
    }

    /// What is being done to start it, and since when it is being started; none for one that is not.
    pub fn starting(&self) -> Option<(Stage, Instant)> {
        let since = self.since.filter(|_| matches!(self.status(), Status::Starting))?;
        let stage = match (&self.check, &self.running) {
            (None, Some(running)) => running.busy().map_or(Stage::Plan, |(stage, _)| stage),
            _ => Stage::Check,
        };
        Some((stage, since))
    }

    /// The last that went wrong, and when: also with a generation that was to take over.
    pub fn last_failure(&self) -> Option<(&SharedFailure, SystemTime)> {
        self.last.as_ref().map(|(failure, at, _)| (failure, *at))
    }

    /// How long each stage took.
    pub fn times(&self) -> Times {
        let mut times = self.before.clone();
        times.extend(self.running.as_ref().map(Remote::times).unwrap_or_default());
        times
    }
}
