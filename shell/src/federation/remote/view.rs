//! Public view of a remote, for the window and for tests.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use negotiation::manifest::{ExposeDecl, RemoteManifest, RemoteRef};

use super::{Blocked, CodeOrigin, Found, ManagedRemote, Phase, RemoteOrigin};
use crate::{
    failure::{SharedFailure, Stage},
    library::Digest,
    placement::{GenerationState, Placement},
};

/// State of a remote, with the reason where it does not run.
#[derive(Clone)]
pub enum Status {
    /// Its library comes from the network and was not fetched yet; that starts when it is first shown.
    NotFetched,
    /// Found and planned; loads when it is first shown.
    Ready,
    /// Starting.
    Starting,
    /// Running.
    Active,
    /// Running, and not responding.
    Hung,
    /// Disabled by a decision.
    Disabled(SharedFailure),
    /// Cannot run.
    Failed(SharedFailure),
}

impl Status {
    /// Returns the word for it in the window.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotFetched => "not downloaded",
            Self::Ready => "not loaded",
            Self::Starting => "starting",
            Self::Active => "running",
            Self::Hung => "not responding",
            Self::Disabled(_) => "disabled",
            Self::Failed(_) => "not available",
        }
    }
}

impl ManagedRemote {
    /// Creates a remote whose library comes from the network and was not fetched yet; its manifest may be known.
    pub(in crate::federation) fn unfetched(
        alias: &str,
        reference: RemoteRef,
        found: Result<Found, SharedFailure>,
    ) -> Self {
        Self { unfetched: true, ..Self::new(alias, reference, RemoteOrigin::Configured, found) }
    }

    /// Returns `true` if its library comes from the network and was not fetched yet.
    pub(in crate::federation) fn is_unfetched(&self) -> bool {
        self.unfetched
    }

    /// Returns the alias in the host's manifest.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// Returns the name in the host's reference.
    pub fn name(&self) -> &str {
        &self.reference.name
    }

    /// Returns its manifest, if that was found.
    pub fn manifest(&self) -> Option<&RemoteManifest> {
        self.found.as_ref().ok().map(|found| &*found.manifest)
    }

    /// Returns the name to show.
    pub fn title(&self) -> &str {
        self.manifest().map_or(&self.reference.name, RemoteManifest::display_name)
    }

    /// Returns its exposes by name.
    pub fn exposes(&self) -> impl Iterator<Item = (&str, &ExposeDecl)> {
        self.manifest().into_iter().flat_map(|m| m.exposes.iter().map(|(name, e)| (name.as_str(), e)))
    }

    /// Returns its library; `None` for a linked remote.
    pub fn library(&self) -> Option<&Path> {
        match &self.found.as_ref().ok()?.code {
            CodeOrigin::Library(path) => Some(path),
            CodeOrigin::Linked(_) => None,
        }
    }

    /// Returns the origin of the remote.
    pub fn place(&self) -> &RemoteOrigin {
        &self.place
    }

    /// Returns the number of starts; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the digest of the library that runs, or ran last.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns its state.
    pub fn status(&self) -> Status {
        let Blocked { disabled, unusable, refused } = &self.blocked;
        if let Some(failure) = disabled {
            return Status::Disabled(Arc::clone(failure));
        }
        if self.unfetched {
            return unusable.as_ref().map_or(Status::NotFetched, |failure| Status::Failed(Arc::clone(failure)));
        }
        if let Some(failure) = self.found.as_ref().err().or(unusable.as_ref()).or(refused.as_ref()) {
            return Status::Failed(Arc::clone(failure));
        }
        match self.placement().map(Placement::state) {
            None if matches!(self.phase, Phase::Checking(_)) => Status::Starting,
            // A remote releases its placement before that ends.
            None | Some(GenerationState::Ended) => Status::Ready,
            Some(GenerationState::Active) if self.faults.hung => Status::Hung,
            Some(GenerationState::Active) => Status::Active,
            Some(GenerationState::Failed(failure)) => Status::Failed(failure),
            Some(_) => Status::Starting,
        }
    }

    /// Returns the stage of the replacement, if there is one.
    pub fn replacing(&self) -> Option<Stage> {
        match &self.phase {
            Phase::Running(_, Some(next)) => Some(next.stage()),
            _ => None,
        }
    }

    /// Returns stage and time of the start; `None` unless the remote is starting.
    pub fn starting(&self) -> Option<(Stage, Instant)> {
        let since = self.started_at.filter(|_| matches!(self.status(), Status::Starting))?;
        let busy = self.placement().map(|placement| placement.busy().map_or(Stage::Plan, |(stage, _)| stage));
        Some((busy.unwrap_or(Stage::Check), since))
    }

    /// Returns the last failure and its time, including failures of replacements.
    pub fn last_failure(&self) -> Option<(&SharedFailure, SystemTime)> {
        self.faults.last.as_ref().map(|(failure, at, _)| (failure, *at))
    }

    /// Returns the duration of each stage.
    pub fn times(&self) -> Vec<(&'static str, Duration)> {
        let mut times = self.check_times.clone();
        times.extend(self.placement().map(Placement::times).unwrap_or_default());
        times
    }
}
