//! One configured remote, from where it was found to how it is.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use plugin_api::{
    abi::RemoteEntryRef,
    manifest::{Expose, RemoteManifest, RemoteRef},
};

use super::remote::{Remote, State, Times};
use crate::{
    config::{Config, Origin},
    failure::{Failure, SharedFailure, Stage},
};

/// One configured remote.
pub struct Entry {
    pub(super) reference: RemoteRef,
    pub(super) found: Result<Found, SharedFailure>,
    pub(super) refused: Option<SharedFailure>,
    /// Why it cannot be pointed at what the plan gave it; it takes no part in plans until it is retried.
    pub(super) unbound: Option<SharedFailure>,
    pub(super) running: Option<Remote>,
    pub(super) initialised: bool,
    /// When it began to load.
    pub(super) since: Option<Instant>,
    /// The library's file as it was when it was loaded.
    pub(super) stamp: Option<(SystemTime, u64)>,
    /// Somebody wants to see one of its exposes.
    pub(super) wanted: bool,
}

pub(super) struct Found {
    pub(super) manifest: Arc<RemoteManifest>,
    /// How the manifest is written; none for one that is linked in.
    pub(super) origin: Option<Origin>,
    pub(super) code: Source,
    pub(super) looked: Vec<PathBuf>,
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
    /// Does not run.
    Failed(SharedFailure),
}

impl Status {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ready => "not loaded yet",
            Self::Starting => "starting",
            Self::Active => "running",
            Self::Failed(_) => "not available",
        }
    }
}

impl Entry {
    pub(super) fn empty(reference: &RemoteRef) -> Self {
        let missing = Failure::new(Stage::Discover, "manifest-missing", "not looked for yet");
        Self {
            reference: reference.clone(),
            found: Err(Arc::new(missing)),
            refused: None,
            unbound: None,
            running: None,
            initialised: false,
            since: None,
            stamp: None,
            wanted: false,
        }
    }

    pub(super) fn new(config: &Config, alias: &str, reference: &RemoteRef) -> Self {
        let found = config.locate(alias, reference).map(|located| Found {
            manifest: Arc::new(located.manifest),
            origin: Some(located.origin),
            code: Source::Library(located.library),
            looked: located.looked,
        });
        let found = found.map_err(|failure| {
            tracing::error!(remote = alias, stage = %failure.stage, code = failure.code, "{}", failure.message);
            Arc::new(failure)
        });
        Self { found, ..Self::empty(reference) }
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

    /// How it is.
    pub fn status(&self) -> Status {
        let found = match &self.found {
            Ok(found) => found,
            Err(failure) => return Status::Failed(Arc::clone(failure)),
        };
        if let Some(failure) = self.unbound.as_ref().or(self.refused.as_ref()) {
            return Status::Failed(Arc::clone(failure));
        }
        match self.running.as_ref().map(Remote::state) {
            // An entry lets go of its remote before that ends.
            None | Some(State::Ended) => Status::Ready,
            Some(State::Active) => Status::Active,
            Some(State::Failed(failure)) if failure.code == "library-missing" && !found.looked.is_empty() => {
                let looked: Vec<_> = found.looked.iter().map(|p| format!("  {}", p.display())).collect();
                let details = format!("Looked for the library here, in this order:\n{}", looked.join("\n"));
                Status::Failed(Arc::new(Failure::clone(&failure).with_details(details)))
            }
            Some(State::Failed(failure)) => Status::Failed(failure),
            Some(_) => Status::Starting,
        }
    }

    /// Whether another library stands where this one was loaded from.
    pub fn is_outdated(&self) -> bool {
        self.running.is_some() && self.library().is_some_and(|path| stamp(path) != self.stamp)
    }

    /// How long each stage took.
    pub fn times(&self) -> Times {
        self.running.as_ref().map(Remote::times).unwrap_or_default()
    }
}

/// When and how long a file was last written.
pub(super) fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = path.metadata().ok()?;
    Some((about.modified().ok()?, about.len()))
}
