//! A configured remote: its origin, the reasons that block it, and its phase.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use negotiation::manifest::{Origin, RemoteManifest, RemoteRef};
use negotiation::resolver::Participant;
use plugin_api::abi::RemoteEntryRef;

use super::{
    check::{Check, Checked},
    events::{Events, RemoteEvent, Topic},
    found::{CodeOrigin, Found, RemoteOrigin, source},
    replacement::Replacement,
};
use crate::config::Config;
use crate::{
    catalogue::Code,
    compositor::Port,
    data::{archive::Archive, panels::SavedPanel},
    failure::{Advise, Failure, SharedFailure, Stage},
    library::{Digest, LibraryError},
    placement::{DropHook, GenerationState, Module, Note, Placement, Times},
    spawn::spawn,
};

mod faults;
mod view;

use faults::Faults;
pub use view::Status;

/// A configured remote. `[window's thread]`
pub struct ManagedRemote {
    alias: String,
    /// Entry of the host's manifest, or of the drop folder.
    reference: RemoteRef,
    place: RemoteOrigin,
    found: Result<Found, SharedFailure>,
    blocked: Blocked,
    phase: Phase,
    /// The user has opened an expose, or the plan needs its copies.
    wanted: bool,
    /// Number of starts.
    generation: u64,
    /// Start of the current generation.
    started_at: Option<Instant>,
    /// Digest of the library that runs, or ran last.
    digest: Option<Digest>,
    /// Durations of the stages before the library was loaded.
    check_times: Times,
    /// Its surfaces, with their exposes.
    ports: Vec<(String, Weak<Port>)>,
    /// Number of the generation that draws these surfaces.
    served: u64,
    /// Exposes that were opened since the start, or before a restart by the user.
    opened: BTreeSet<String>,
    faults: Faults,
    /// The plan refused the last new generation: another plan may admit it.
    postponed: bool,
    /// Its library comes from the network and was not fetched yet.
    unfetched: bool,
}

/// Reasons why a remote must not run; each is sufficient.
#[derive(Default)]
struct Blocked {
    /// A decision disables it.
    disabled: Option<SharedFailure>,
    /// It cannot be started, or bound to its copies; it takes no part in plans until it is retried.
    unusable: Option<SharedFailure>,
    /// The plan in force refuses it.
    refused: Option<SharedFailure>,
}

/// Manifest and placement of a loaded remote, and the shared crates in its image.
type ToInitialise<'a> = (Arc<RemoteManifest>, &'a dyn Placement, Arc<[Module]>);

/// State of a remote that may run.
enum Phase {
    /// Not started.
    Idle,
    /// Starts once the previous generation has ended, which may hold a resource that both need.
    Ending,
    /// Its library is being checked.
    Checking(Check),
    /// Its library is loaded or loading; `init` waits for the providers of its shared crates.
    Loading(Generation),
    /// `init` was called.
    Running(Generation, Option<Box<Replacement>>),
}

/// The running generation.
struct Generation {
    placement: Box<dyn Placement>,
    /// The private copy of its library; `None` for a linked remote.
    copy: Option<PathBuf>,
    /// It was archived, or the attempt failed.
    archived: bool,
}

impl ManagedRemote {
    /// Creates a remote from its manifest, or from the reason why that was not found.
    pub(super) fn new(
        alias: &str,
        reference: RemoteRef,
        place: RemoteOrigin,
        found: Result<Found, SharedFailure>,
    ) -> Self {
        Self {
            alias: alias.to_owned(),
            reference,
            place,
            found,
            blocked: Blocked::default(),
            phase: Phase::Idle,
            wanted: false,
            generation: 0,
            started_at: None,
            digest: None,
            check_times: Times::new(),
            ports: Vec::new(),
            served: 0,
            opened: BTreeSet::new(),
            faults: Faults::default(),
            postponed: false,
            unfetched: false,
        }
    }

    /// Creates a remote that is linked into this executable.
    pub(super) fn linked_in(entry: RemoteEntryRef) -> Result<Self, Failure> {
        let manifest = RemoteManifest::from_json(entry.descriptor()().as_str())
            .map_err(|e| Failure::new(Stage::Discover, Code::from(&e), e.summary(), e.advice()))?;
        let reference = RemoteRef { name: manifest.name.clone(), location: "linked".to_owned() };
        let (alias, code) = (manifest.name.clone(), CodeOrigin::Linked(entry));
        let found = Found { manifest: Arc::new(manifest), origin: None, code, looked: Vec::new() };
        Ok(Self::new(&alias, reference, RemoteOrigin::Configured, Ok(found)))
    }

    /// Finds the manifest of a remote, and checks that its library exists.
    pub(super) fn locate(config: &Config, alias: &str, reference: RemoteRef, place: RemoteOrigin) -> Self {
        let located = config.locate(alias, &source(&reference, &place)).map(Found::from).map_err(|failure| {
            tracing::error!(remote = alias, stage = %failure.stage, code = failure.code.as_str(), "{}", failure.line());
            Arc::new(failure)
        });
        let mut remote = Self::new(alias, reference, place, located);
        if let Ok(found) = &remote.found
            && let CodeOrigin::Library(path) = &found.code
            && path.metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            // Blocked at once: it takes no part in plans, and no participant waits for its copies.
            let missing = LibraryError::Missing(path.clone());
            let failure = Failure::from_error(Stage::Check, &missing);
            remote.blocked.unusable = Some(Arc::new(found.looked_for(failure)));
        }
        remote
    }

    /// Returns the remote as found again (`fresh`), with its surfaces and its history.
    ///
    /// It is wanted, and starts once the previous generation has ended, or at once if that hangs.
    pub(super) fn renew(self, fresh: Self) -> Self {
        Self {
            wanted: true,
            phase: if self.faults.hung { Phase::Idle } else { Phase::Ending },
            generation: self.generation,
            faults: self.faults.renewed(),
            ports: self.ports,
            ..fresh
        }
    }

    pub(super) fn reference(&self) -> &RemoteRef {
        &self.reference
    }

    /// Returns the reference to locate: the host's, or the file that its origin puts in its place.
    pub(super) fn source(&self) -> RemoteRef {
        source(&self.reference, &self.place)
    }

    pub(super) fn found(&self) -> Result<&Found, &SharedFailure> {
        self.found.as_ref()
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.found.as_ref().ok()?.origin.as_ref()
    }

    pub(super) fn shared_manifest(&self) -> Option<Arc<RemoteManifest>> {
        self.found.as_ref().ok().map(|found| Arc::clone(&found.manifest))
    }

    /// Returns the entry and manifest of a linked remote.
    pub(super) fn linked(&self) -> Option<(RemoteEntryRef, Arc<RemoteManifest>)> {
        let found = self.found.as_ref().ok()?;
        match found.code {
            CodeOrigin::Linked(entry) => Some((entry, Arc::clone(&found.manifest))),
            CodeOrigin::Library(_) => None,
        }
    }

    /// Returns the same linked remote, not started; `None` for one with a library.
    pub(super) fn linked_again(&self) -> Option<Self> {
        let (entry, manifest) = self.linked()?;
        let found = Found { manifest, origin: None, code: CodeOrigin::Linked(entry), looked: Vec::new() };
        Some(Self::new(&self.alias, self.reference.clone(), RemoteOrigin::Configured, Ok(found)))
    }

    /// Returns the decision that disables it.
    pub(super) fn disabled(&self) -> Option<&SharedFailure> {
        self.blocked.disabled.as_ref()
    }

    /// Returns the reason why its library cannot be used.
    pub(super) fn unusable(&self) -> Option<&SharedFailure> {
        self.blocked.unusable.as_ref()
    }

    /// Returns `true` if it was requested by the user or the plan.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Returns `true` if the plan refused its last new generation.
    pub(super) fn is_postponed(&self) -> bool {
        self.postponed
    }

    /// Returns `true` if it starts once the previous generation has ended.
    pub(super) fn is_waiting(&self) -> bool {
        self.wanted && matches!(self.phase, Phase::Ending)
    }

    /// Returns `true` if it is being started, and its `init` was not called yet.
    pub(super) fn is_before_init(&self) -> bool {
        matches!(self.phase, Phase::Checking(_) | Phase::Loading(_))
    }

    /// Returns `true` while it is being started or replaced.
    pub(super) fn is_moving(&self) -> bool {
        matches!(self.status(), Status::Starting) || self.replacing().is_some()
    }

    /// Returns `true` if it has several files, a manifest next to a library, that a build may write.
    pub(super) fn has_several_files(&self) -> bool {
        match &self.found {
            Ok(Found { origin: Some(origin), code: CodeOrigin::Library(path), .. }) => origin.path() != path,
            Ok(_) => false,
            Err(_) => true,
        }
    }

    /// Returns the remote's entry for plans; `None` if it takes no part in them.
    pub(super) fn participant(&self) -> Option<Participant> {
        if self.unfetched || self.blocked.unusable.is_some() || self.blocked.disabled.is_some() {
            return None;
        }
        let initialised = matches!(self.phase, Phase::Running(..));
        Some(Participant::remote(self.manifest()?).loaded(initialised))
    }

    fn running(&self) -> Option<&Generation> {
        match &self.phase {
            Phase::Loading(generation) | Phase::Running(generation, _) => Some(generation),
            Phase::Idle | Phase::Ending | Phase::Checking(_) => None,
        }
    }

    /// Returns the current generation.
    pub(super) fn placement(&self) -> Option<&dyn Placement> {
        self.running().map(|generation| &*generation.placement)
    }

    /// Returns the current generation, once it is ready for surfaces.
    pub(super) fn active(&self) -> Option<&dyn Placement> {
        self.placement().filter(|placement| matches!(placement.state(), GenerationState::Active))
    }

    /// Returns the private copy of the running library.
    pub(super) fn copy(&self) -> Option<&Path> {
        self.running()?.copy.as_deref()
    }

    /// Returns the shared crates of the running image, once it is loaded.
    pub(super) fn offers(&self) -> Option<Arc<[Module]>> {
        self.placement()?.offers()
    }

    /// Returns its open surfaces, with their exposes.
    pub(super) fn ports(&self) -> impl Iterator<Item = (&str, Arc<Port>)> {
        self.ports.iter().filter_map(|(expose, port)| Some((expose.as_str(), port.upgrade()?)))
    }

    /// Sets the decision that disables it; `None` lets it run.
    pub(super) fn set_disabled(&mut self, reason: Option<SharedFailure>) {
        self.blocked.disabled = reason;
    }

    /// Sets the reason why the plan in force refuses it, if it does.
    pub(super) fn set_refused(&mut self, reason: Option<SharedFailure>) {
        self.blocked.refused = reason;
    }

    /// Blocks it until it is retried; a running generation ends.
    pub(super) fn set_unusable(&mut self, reason: SharedFailure) {
        self.blocked.unusable = Some(reason);
        self.phase = Phase::Idle;
    }

    pub(super) fn set_place(&mut self, place: RemoteOrigin) {
        self.place = place;
    }

    /// Marks it as wanted. Returns `true` if it must be started now; `ending` if an earlier generation still ends.
    pub(super) fn want(&mut self, ending: bool) -> bool {
        self.wanted = true;
        let free = match self.phase {
            Phase::Idle => true,
            Phase::Ending => !ending,
            Phase::Checking(_) | Phase::Loading(_) | Phase::Running(..) => false,
        };
        let Blocked { disabled, unusable, refused } = &self.blocked;
        let blocked = disabled.is_some() || unusable.is_some() || refused.is_some();
        if !free || blocked || self.unfetched || self.found.is_err() {
            return false;
        }
        self.faults.hung = false;
        self.started_at = Some(Instant::now());
        self.generation += 1;
        self.phase = Phase::Idle;
        true
    }

    /// Enters the checking phase.
    pub(super) fn check(&mut self, check: Check) {
        self.phase = Phase::Checking(check);
    }

    /// Installs the started generation of a linked remote.
    pub(super) fn place_linked(&mut self, placement: Box<dyn Placement>) {
        self.phase = Phase::Loading(Generation { placement, copy: None, archived: false });
    }

    /// Adopts the result of a finished check. Returns `true` if its manifest differs from the planned one.
    ///
    /// # Errors
    /// Fails if the library cannot be used.
    pub(super) fn take_checked(
        &mut self,
        on_drop: impl FnOnce(u64) -> DropHook,
    ) -> Result<bool, SharedFailure> {
        let Phase::Checking(check) = &self.phase else { return Ok(false) };
        match check.poll() {
            None => Ok(false),
            Some(Ok(None)) => {
                self.phase = Phase::Idle;
                Ok(false)
            }
            Some(Ok(Some(checked))) => {
                let differs = self.manifest() != Some(&*checked.found.manifest);
                self.phase = Phase::Loading(self.adopt(checked, on_drop));
                Ok(differs)
            }
            Some(Err(failure)) => {
                let (stage, code) = (failure.stage, failure.code.as_str());
                tracing::error!(remote = self.alias, %stage, code, "{}", failure.line());
                let failure = Arc::new(failure);
                self.set_unusable(Arc::clone(&failure));
                Err(failure)
            }
        }
    }

    /// Returns manifest, placement and shared crates if it is loaded and only its share scope is missing for `init`.
    pub(super) fn to_initialise(&self) -> Option<ToInitialise<'_>> {
        let Blocked { disabled, unusable, refused } = &self.blocked;
        let Phase::Loading(generation) = &self.phase else { return None };
        if disabled.is_some() || unusable.is_some() || refused.is_some() {
            return None;
        }
        let offers = generation.placement.offers()?;
        Some((Arc::clone(&self.found.as_ref().ok()?.manifest), &*generation.placement, offers))
    }

    /// Records that `init` was called.
    pub(super) fn initialised(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Loading(generation) => Phase::Running(generation, None),
            other => other,
        };
    }

    /// Returns `true` if it takes longer than `limit` to load.
    pub(super) fn is_slow_to_load(&self, limit: Duration) -> bool {
        self.started_at.is_some_and(|since| since.elapsed() >= limit)
    }

    /// Returns the state of the generation, if its `init` was not called yet.
    pub(super) fn loading(&self) -> Option<GenerationState> {
        match &self.phase {
            Phase::Loading(generation) => Some(generation.placement.state()),
            _ => None,
        }
    }

    /// Takes the faults since the last call, and reports them. Returns those that count towards disabling it.
    pub(super) fn take_notes(&mut self, events: &mut Events) -> Vec<SharedFailure> {
        let mut counted = Vec::new();
        for Note { failure, fatal, surface } in self.placement().map(Placement::notes).unwrap_or_default() {
            if let Some((expose, mailbox)) = surface {
                let failure = self.faults.count_of_surface(&self.alias, &expose, failure, &mailbox);
                self.report(failure, RemoteEvent::Failed, events);
                continue;
            }
            let event = if fatal { RemoteEvent::Failed } else { RemoteEvent::StateLost };
            self.report(Arc::clone(&failure), event, events);
            counted.extend(fatal.then_some(failure));
        }
        counted
    }

    /// Checks for a call that takes too long, and reports it once; a start that takes too long is abandoned, which
    /// needs another plan. Returns the failure, which counts towards disabling the remote.
    pub(super) fn look_for_hang(
        &mut self,
        events: &mut Events,
        wake: impl FnOnce(Duration),
    ) -> Option<SharedFailure> {
        let (Phase::Loading(generation) | Phase::Running(generation, _)) = &self.phase else { return None };
        let failure = Arc::new(self.faults.look_for_hang(&*generation.placement, wake)?);
        let (alias, stage, code) = (&self.alias, failure.stage, failure.code.as_str());
        tracing::error!(remote = alias, %stage, code, "{}", failure.line());
        if !matches!(generation.placement.state(), GenerationState::Active) {
            // This thread is lost; a retry uses another one.
            self.set_unusable(Arc::clone(&failure));
        }
        self.report(Arc::clone(&failure), RemoteEvent::Failed, events);
        Some(failure)
    }

    /// Reports a failure: at the remote, in the log, and to the user.
    pub(super) fn report(&mut self, failure: SharedFailure, event: RemoteEvent, events: &mut Events) {
        self.faults.last = Some((Arc::clone(&failure), SystemTime::now(), event.topic()));
        events.notify(&self.alias, self.title(), event, Some(failure));
    }

    /// Withdraws the messages about `topic`.
    pub(super) fn withdraw(&mut self, topic: Topic, events: &mut Events) {
        self.faults.last.take_if(|(.., of)| *of == Some(topic));
        events.withdraw(&self.alias, topic);
    }

    /// Archives a generation that runs well, once, on a separate thread.
    pub(super) fn archive(&mut self, archive: &Archive) {
        let (alias, digest) = (&self.alias, self.digest);
        let (Phase::Loading(generation) | Phase::Running(generation, _)) = &mut self.phase else { return };
        let drawn = || generation.placement.times().iter().any(|(stage, _)| *stage == "first frame");
        if generation.archived || !drawn() {
            return;
        }
        generation.archived = true;
        let (Ok(found), Some(copy), Some(digest)) = (&self.found, generation.copy.clone(), digest) else {
            return;
        };
        let Some(origin) = &found.origin else { return };
        let (archive, name, text) = (archive.clone(), found.manifest.name.clone(), origin.text().to_owned());
        let keep = move || {
            if let Err(error) = archive.keep(&name, &copy, &digest, &text) {
                tracing::warn!(remote = name, code = error.code().as_str(), "{}", error.line());
            }
        };
        let what = format!("archive this generation of `{alias}`, so it cannot be rolled back to");
        if let Err(error) = spawn(format!("keep:{alias}"), what, keep) {
            tracing::warn!(remote = alias, code = error.code().as_str(), "{}", error.line());
        }
    }

    /// Records that `port` shows `expose`.
    pub(super) fn add_port(&mut self, expose: &str, port: &Arc<Port>) {
        self.opened.insert(expose.to_owned());
        self.ports.retain(|(_, port)| port.strong_count() > 0);
        self.ports.push((expose.to_owned(), Arc::downgrade(port)));
    }

    /// Returns `true` if the expose was open before in this run.
    pub(super) fn was_opened(&self, expose: &str) -> bool {
        self.opened.contains(expose)
    }

    /// Takes the exposes that were open before in this run, for a restart without the panels' state.
    pub(super) fn take_opened(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.opened)
    }

    /// Restores the exposes of [`take_opened`](Self::take_opened).
    pub(super) fn set_opened(&mut self, opened: BTreeSet<String>) {
        self.opened = opened;
    }

    /// Opens the surfaces of an earlier generation in the running one, without state. Returns `true` if it did.
    pub(super) fn reopen(&mut self, mut next_surface: impl FnMut() -> u64) -> bool {
        if self.served == self.generation || self.active().is_none() {
            return false;
        }
        self.served = self.generation;
        if let Some(placement) = self.active() {
            for (expose, port) in self.ports() {
                port.replace_source(Arc::new(placement.open(next_surface(), expose, None)), Vec::new());
            }
        }
        true
    }

    /// Requests the state of its open panels, which is written before the remote ends.
    pub(super) fn save_panels(&self, data_dir: &Path) {
        let Some(placement) = self.placement() else { return };
        for (expose, port) in self.ports() {
            placement.save_to(port.source().id, SavedPanel::new(data_dir, self.name(), expose));
        }
    }

    /// Abandons its start or replacement, and forgets its opened exposes; returns the generation that ran.
    pub(super) fn stop(&mut self) -> Option<Box<dyn Placement>> {
        self.opened.clear();
        self.take_placement()
    }

    /// Takes the running generation; a replacement is abandoned.
    pub(super) fn take_placement(&mut self) -> Option<Box<dyn Placement>> {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Loading(generation) | Phase::Running(generation, _) => Some(generation.placement),
            Phase::Idle | Phase::Ending | Phase::Checking(_) => None,
        }
    }

    /// Starts to replace the running generation; an earlier attempt is abandoned.
    pub(super) fn replace(&mut self, next: Replacement) {
        self.postponed = false;
        self.put_replacement(Some(Box::new(next)));
    }

    /// Takes the replacement of the running generation.
    pub(super) fn take_replacement(&mut self) -> Option<Box<Replacement>> {
        match &mut self.phase {
            Phase::Running(_, next) => next.take(),
            _ => None,
        }
    }

    /// Restores the replacement of [`take_replacement`](Self::take_replacement).
    pub(super) fn put_replacement(&mut self, next: Option<Box<Replacement>>) {
        if let Phase::Running(_, place) = &mut self.phase {
            *place = next;
        }
    }

    /// Records that a new generation was refused; `postponed` if another plan may admit it.
    pub(super) fn not_replaced(&mut self, postponed: bool) {
        self.postponed = postponed;
    }

    /// Promotes a new generation; returns the old one and its number.
    pub(super) fn promote(
        &mut self,
        checked: Checked,
        on_drop: impl FnOnce(u64) -> DropHook,
    ) -> (u64, Option<Box<dyn Placement>>) {
        let before = self.generation;
        let old = self.take_placement();
        self.generation += 1;
        self.served = self.generation;
        self.faults.forget();
        self.blocked.refused = None;
        self.blocked.unusable = None;
        let generation = self.adopt(checked, on_drop);
        self.phase = Phase::Running(generation, None);
        (before, old)
    }

    fn adopt(&mut self, checked: Checked, on_drop: impl FnOnce(u64) -> DropHook) -> Generation {
        let Checked { found, digest, copy, mut placement, times, .. } = checked;
        placement.on_drop(Some(on_drop(self.generation)));
        self.found = Ok(found);
        self.digest = digest;
        self.check_times = times;
        Generation { placement, copy: Some(copy), archived: false }
    }
}
