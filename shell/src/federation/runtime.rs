//! The remotes at run time, the generations that end, and the notifications about both.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use negotiation::manifest::RemoteManifest;
use plugin_api::abi::Font;

use super::{
    ManagedRemote,
    binding::{Binder, Scope},
    check::{Check, Job},
    events::{Events, RemoteEvent, Topic},
    host::Refused,
    inventory::Order,
    negotiator::{Negotiator, Remotes, Unusable},
    replacement::{Complete, Context, Progress, Replacement},
    retiring::Retiring,
    surroundings::Surroundings,
};
use crate::{
    catalogue::Code,
    compositor::{HostedSurface, Port},
    config::Config,
    data::{archive::Archive, panels::SavedPanel},
    failure::{Failure, FailureCode, SharedFailure, Stage},
    library::Digest,
    placement::{Binary, GenerationState, OnThread, Placement, Wake},
};

/// Time for which other remotes wait for the copies of a remote that is being loaded.
const LOAD_LIMIT: Duration = Duration::from_secs(3);

/// Interval of checks while there are deadlines.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Remotes, and their generations that end. `[window's thread]`
pub(super) struct Runtime {
    pub(super) remotes: Remotes,
    pub(super) retiring: Retiring,
    pub(super) events: Events,
    /// Remotes whose new generation was refused since the last call of [`take_not_replaced`](Self::take_not_replaced).
    not_replaced: Vec<(String, FailureCode)>,
    surroundings: Surroundings,
}

impl Runtime {
    pub(super) fn new(config: Arc<Config>, remotes: Remotes, fonts: Vec<Font>, wake: Wake) -> Self {
        let retiring = Retiring::new(Arc::clone(&wake));
        let events = Events::new(Arc::clone(&wake));
        let surroundings = Surroundings::new(config, fonts, wake);
        Self { remotes, retiring, events, not_replaced: Vec::new(), surroundings }
    }

    /// Returns the alias of the remote with the manifest name `name`.
    pub(super) fn alias_of(&self, name: &str) -> Option<String> {
        let is = |remote: &&ManagedRemote| remote.manifest().is_some_and(|manifest| manifest.name == name);
        self.remotes.values().find(is).map(|remote| remote.alias().to_owned())
    }

    /// Makes plans until one holds, and binds the host to the copies that it is assigned.
    pub(super) fn settle(&mut self, negotiator: &mut Negotiator) {
        loop {
            if negotiator.is_stale() {
                negotiator.replan(&self.remotes);
                self.adopt_plan(negotiator);
            }
            match negotiator.bind_host(&self.remotes) {
                Err(unusable) => self.exclude(unusable, negotiator),
                Ok(()) if negotiator.is_stale() => {}
                Ok(()) => break,
            }
        }
    }

    /// Applies a new plan: stops refused remotes that have not started yet, and starts the providers that it needs
    /// and every wanted remote.
    fn adopt_plan(&mut self, negotiator: &mut Negotiator) {
        let refusals: Vec<_> = self
            .remotes
            .values()
            .map(|remote| negotiator.refusal_of(&remote.manifest()?.name, &self.remotes).map(Arc::new))
            .collect();
        let mut stopped = Vec::new();
        for (remote, refusal) in self.remotes.values_mut().zip(refusals) {
            // The plan may change between the check of a library and its start.
            if refusal.is_some() && remote.is_before_init() {
                stopped.push(remote.alias().to_owned());
            }
            remote.set_refused(refusal);
        }
        for alias in stopped {
            self.stop(&alias, true, negotiator);
        }
        let needed: BTreeSet<_> = negotiator.plan().bootstrap().iter().map(ToString::to_string).collect();
        let is_needed =
            |remote: &ManagedRemote| remote.manifest().is_some_and(|manifest| needed.contains(&manifest.name));
        let wanted = self.remotes.values().filter(|remote| remote.is_wanted() || is_needed(remote));
        for alias in wanted.map(|remote| remote.alias().to_owned()).collect::<Vec<_>>() {
            self.want(&alias, negotiator);
        }
    }

    /// Requests that a remote is loaded and started.
    pub(super) fn want(&mut self, alias: &str, negotiator: &Negotiator) {
        let ending = self.retiring.is_ending(alias);
        let Some(remote) = self.remotes.get_mut(alias) else { return };
        if !remote.want(ending) {
            return;
        }
        (self.surroundings.wake)(LOOK_AGAIN);
        let ending = self.retiring.ending(alias, remote.generation());
        if let Some((entry, manifest)) = remote.linked() {
            let wake = Arc::clone(&self.surroundings.wake);
            let mut placement: Box<dyn Placement> =
                Box::new(OnThread::start(manifest, Binary::Linked(entry), wake));
            placement.on_drop(Some(ending));
            return remote.place_linked(placement);
        }
        let (planned, generation) = (remote.shared_manifest(), remote.generation());
        let check = self.examine(&self.remotes[alias], generation, planned, None, negotiator);
        self.remotes.entry(alias.to_owned()).and_modify(|remote| remote.check(check));
    }

    /// Starts the check of `remote`'s library. `planned` is the manifest in the current plan, `None` for a
    /// replacement; `current` is the content that runs already.
    fn examine(
        &self,
        remote: &ManagedRemote,
        generation: u64,
        planned: Option<Arc<RemoteManifest>>,
        current: Option<Digest>,
        negotiator: &Negotiator,
    ) -> Check {
        let alias = remote.alias();
        let provides = |other: &ManagedRemote| {
            let mut known = negotiator.plan().assignments().iter();
            known.any(|known| *known.provider == *other.name() && !known.is_own_copy())
        };
        let with = self.remotes.values().filter(|other| other.alias() != alias && provides(other));
        // A provider without a copy is tried from its original: the copy may be made later than the trial.
        let places =
            |other: &ManagedRemote| [other.copy(), other.library()].map(|path| path.map(PathBuf::from));
        Check::start(Job {
            config: Arc::clone(&self.surroundings.config),
            alias: alias.to_owned(),
            reference: remote.source(),
            copies: self.surroundings.copies.share(),
            context: negotiator.context_for(remote, &self.remotes),
            planned,
            expected: remote.place().digest(),
            current,
            with: with.map(places).collect(),
            ending: self.retiring.ending(alias, generation),
            wake: Arc::clone(&self.surroundings.wake),
        })
    }

    /// Excludes the offers that could not be bound. Returns the consumers to retry, which are not at fault.
    pub(super) fn take_bad_offers(&self, negotiator: &mut Negotiator) -> Vec<String> {
        // An active consumer keeps running: the failure was its replacement's.
        let starts = |alias: &String| {
            self.remotes
                .get(alias)
                .is_some_and(|remote| remote.placement().is_some() && remote.active().is_none())
        };
        let consumers = negotiator.take_bad_offers();
        consumers.iter().filter_map(|name| self.alias_of(name)).filter(starts).collect()
    }

    /// Polls remotes for state changes since the last call. Returns the faults that count towards disabling them.
    pub(super) fn poll(&mut self, negotiator: &mut Negotiator) -> Vec<(String, SharedFailure)> {
        for leaked in self.retiring.poll() {
            self.report(&leaked.remote, leaked.failure, RemoteEvent::StillLoaded);
        }
        let mut counted = Vec::new();
        let (retiring, events, wake) = (&self.retiring, &mut self.events, &self.surroundings.wake);
        for (alias, remote) in &mut self.remotes {
            match remote.take_checked(|generation| retiring.ending(alias, generation)) {
                Ok(false) => {}
                Ok(true) => negotiator.invalidate(),
                Err(failure) => {
                    remote.report(failure, RemoteEvent::Failed, events);
                    negotiator.invalidate();
                }
            }
            let mut faults = remote.take_notes(events);
            if let Some(failure) = remote.look_for_hang(events, |after| wake(after)) {
                faults.push(failure);
                if remote.unusable().is_some() {
                    negotiator.invalidate();
                }
            }
            counted.extend(faults.into_iter().map(|failure| (alias.clone(), failure)));
        }
        self.give_up_providers(negotiator);
        counted
    }

    /// Excludes the copies of remotes that have failed to load, or take too long.
    fn give_up_providers(&self, negotiator: &mut Negotiator) {
        for remote in self.remotes.values() {
            let (Some(manifest), Some(state)) = (remote.manifest(), remote.loading()) else { continue };
            let slow = match state {
                GenerationState::Failed(_) => false,
                GenerationState::Loading if remote.is_slow_to_load(LOAD_LIMIT) => true,
                _ => continue,
            };
            let awaited = negotiator.awaited_of(&manifest.name);
            if awaited.is_empty() {
                continue;
            }
            let text = format!(
                "`{}` has been loading for {LOAD_LIMIT:?}, and other remotes wait for its copies of shared crates, so \
                 they are planned without it",
                manifest.name
            );
            let advice = "press Retry, and report this to the plugin's author";
            let slow = slow.then(|| Failure::new(Stage::Load, Code::ProviderSlow, text, advice));
            negotiator.give_up(&manifest.name, awaited, slow);
        }
    }

    /// Advances a remote by a step. Returns `true` if a new generation was promoted.
    pub(super) fn advance(
        &mut self,
        alias: &str,
        archive: Option<&Archive>,
        negotiator: &mut Negotiator,
    ) -> bool {
        self.initialise(alias, negotiator);
        self.reopen(alias);
        let promoted = self.step_replacement(alias, negotiator);
        if let (Some(archive), Some(remote)) = (archive, self.remotes.get_mut(alias)) {
            remote.archive(archive);
        }
        promoted
    }

    /// Starts remotes that waited for an earlier generation to end, and schedules the next poll while there are
    /// deadlines.
    pub(super) fn wake_up(&mut self, negotiator: &Negotiator) {
        let waiting = self.remotes.values().filter(|remote| remote.is_waiting());
        for alias in waiting.map(|remote| remote.alias().to_owned()).collect::<Vec<_>>() {
            self.want(&alias, negotiator);
        }
        if self.remotes.values().any(ManagedRemote::is_moving) {
            (self.surroundings.wake)(LOOK_AGAIN);
        }
    }

    /// Calls `init` of a loaded remote, once all copies that the plan assigns to it are loaded.
    fn initialise(&mut self, alias: &str, negotiator: &mut Negotiator) {
        let Some((manifest, placement, offers)) =
            self.remotes.get(alias).and_then(ManagedRemote::to_initialise)
        else {
            return;
        };
        let (consumer, refused) = negotiator.consumer(alias, &manifest, placement.notifier());
        let plan = negotiator.shared_plan();
        let binder = Binder { negotiator, plan: &plan, remotes: &self.remotes };
        match binder.scope_for(&consumer, &offers) {
            Ok(Some(Scope { binds, used })) => {
                // Logged here, because a generation is started only once.
                refused.iter().for_each(Refused::log);
                // Before it runs, because its copies are in use from here on.
                negotiator.commit(&plan, &manifest.name, used);
                let Surroundings { fonts, .. } = &self.surroundings;
                placement.init(binds, self.surroundings.data_dir(&manifest.name), fonts.clone());
                self.remotes.entry(alias.to_owned()).and_modify(ManagedRemote::initialised);
            }
            Ok(None) => {}
            Err(unusable) => self.exclude(unusable, negotiator),
        }
    }

    /// Excludes an unusable copy, or a remote that cannot use its copy, from the next plan.
    fn exclude(&mut self, unusable: Unusable, negotiator: &mut Negotiator) {
        if let Some((name, failure)) = negotiator.exclude(unusable)
            && let Some(alias) = self.alias_of(&name)
            && let Some(remote) = self.remotes.get_mut(&alias)
        {
            remote.set_unusable(failure);
        }
    }

    /// Opens an expose of a remote that is active; `None` for any other.
    pub(super) fn open(&mut self, alias: &str, expose: &str) -> Option<Result<HostedSurface, SharedFailure>> {
        // First all surfaces of an earlier generation, at once.
        self.reopen(alias);
        let remote = self.remotes.get_mut(alias)?;
        let (placement, manifest) = (remote.active()?, remote.manifest()?);
        let Some(known) = manifest.exposes.get(expose) else {
            let names: Vec<_> = manifest.exposes.keys().map(String::as_str).collect();
            let text = format!("`{alias}` has no expose `{expose}`");
            let advice = format!("use one that its manifest lists: {}", names.join(", "));
            return Some(Err(Arc::new(Failure::new(Stage::Open, Code::ExposeUnknown, text, advice))));
        };
        let id = self.surroundings.next_surface();
        let data_dir = &self.surroundings.config.data_dir;
        // A panel that was open in this run starts without state: the state may be the reason why it was closed.
        let saved = (!remote.was_opened(expose)).then(|| SavedPanel::new(data_dir, remote.name(), expose));
        let port = Port::new(placement.open(id, expose, saved));
        let surface = HostedSurface::new(id, known.title.clone(), manifest.name.clone(), Arc::clone(&port));
        remote.add_port(expose, &port);
        Some(Ok(surface))
    }

    fn reopen(&mut self, alias: &str) {
        let Self { remotes, events, surroundings, .. } = self;
        if let Some(remote) = remotes.get_mut(alias)
            && remote.reopen(|| surroundings.next_surface())
        {
            remote.withdraw(Topic::Running, events);
        }
    }

    /// Starts a remote again, as found again (`fresh`).
    pub(super) fn retry(&mut self, alias: &str, fresh: ManagedRemote, negotiator: &mut Negotiator) {
        let Some(mut remote) = self.remotes.remove(alias) else { return };
        let (name, generation) = (remote.name().to_owned(), remote.generation());
        if let Some(placement) = remote.take_placement() {
            self.release(alias, &name, generation, placement, negotiator);
        }
        negotiator.release(&name);
        negotiator.release_if_unused(&name);
        negotiator.readmit(&name);
        self.remotes.insert(alias.to_owned(), remote.renew(fresh));
        negotiator.invalidate();
    }

    /// Carries out an order of the inventory. Returns the remote to reload, if its origin has changed.
    pub(super) fn carry_out(&mut self, order: Order, negotiator: &mut Negotiator) -> Option<String> {
        match order {
            Order::Add(remote) => {
                let alias = remote.alias().to_owned();
                if remote.disabled().is_some() {
                    self.events.notify(&alias, remote.title(), RemoteEvent::Installed, None);
                }
                self.remotes.insert(alias, *remote);
                negotiator.invalidate();
            }
            Order::Remove(alias) => {
                self.stop(&alias, true, negotiator);
                self.remotes.remove(&alias);
                for topic in Topic::ALL {
                    self.withdraw(&alias, topic);
                }
                negotiator.invalidate();
            }
            Order::Disable { alias, reason, place, save, settled } => {
                self.stop(&alias, save, negotiator);
                let remote = self.remotes.get_mut(&alias)?;
                if remote.disabled().is_none() {
                    negotiator.invalidate();
                }
                remote.set_disabled(Some(reason));
                remote.set_place(place);
                if settled {
                    remote.withdraw(Topic::Enabling, &mut self.events);
                }
            }
            Order::Move(alias, place) => {
                self.remotes.get_mut(&alias)?.set_place(place);
                return Some(alias);
            }
            Order::Renew(remote) => {
                self.remotes.insert(remote.alias().to_owned(), *remote);
                negotiator.invalidate();
            }
            Order::Block(alias, failure) => {
                let remote = self.remotes.get_mut(&alias)?;
                remote.set_unusable(Arc::clone(&failure));
                remote.report(failure, RemoteEvent::Failed, &mut self.events);
                negotiator.invalidate();
            }
            Order::Notify(alias, event, failure) => {
                let title = self.remotes.get(&alias).map_or(alias.as_str(), ManagedRemote::title);
                self.events.notify(&alias, title, event, failure);
            }
            Order::Report(alias, failure, event) => self.report(&alias, failure, event),
            Order::Withdraw(alias, topic) => self.withdraw(&alias, topic),
            Order::Retry(_) | Order::Replace(..) | Order::Follow => {}
        }
        None
    }

    /// Reports that a remote was disabled because it failed too often.
    pub(super) fn report_disabled(&mut self, alias: &str) {
        let disabled = self.remotes.get(alias).and_then(ManagedRemote::disabled).map(Arc::clone);
        if let Some(failure) = disabled {
            self.report(alias, failure, RemoteEvent::Disabled);
        }
    }

    /// Ends a remote that must not run, which stays listed; `save` its open panels first.
    pub(super) fn stop(&mut self, alias: &str, save: bool, negotiator: &mut Negotiator) {
        let Some(remote) = self.remotes.get_mut(alias) else { return };
        if save {
            remote.save_panels(&self.surroundings.config.data_dir);
        }
        let (name, generation) = (remote.name().to_owned(), remote.generation());
        if let Some(placement) = remote.stop() {
            self.release(alias, &name, generation, placement, negotiator);
        }
        negotiator.release(&name);
    }

    /// Releases a generation that no longer runs; its library stays loaded if its copies have users.
    fn release(
        &mut self,
        alias: &str,
        name: &str,
        generation: u64,
        placement: Box<dyn Placement>,
        negotiator: &mut Negotiator,
    ) {
        let users = negotiator.release_if_unused(name);
        if users.is_empty() {
            // Its drop hook ends it.
            drop(placement);
        } else {
            let failure = self.retiring.pin(alias, generation, placement, &users);
            self.report(alias, failure, RemoteEvent::StillLoaded);
        }
    }

    /// Starts to replace the running generation by the library on the disk, detected as complete at `seen`; with
    /// `again`, even if that content runs already. Returns `false` if the remote does not run and must be retried.
    pub(super) fn replace(&mut self, alias: &str, again: bool, seen: Instant, negotiator: &Negotiator) -> bool {
        let Some(remote) = self.remotes.get_mut(alias).filter(|remote| remote.disabled().is_none()) else {
            return true;
        };
        if remote.active().is_none() || remote.library().is_none() {
            return false;
        }
        // A change of the file must not cancel the user's request.
        let again = again | remote.take_replacement().is_some_and(|next| next.is_again());
        let current = remote.digest().copied().filter(|_| !again);
        let check = self.examine(&self.remotes[alias], 0, None, current, negotiator);
        let next = Replacement::new(check, seen, again);
        self.remotes.entry(alias.to_owned()).and_modify(|remote| remote.replace(next));
        (self.surroundings.wake)(LOOK_AGAIN);
        true
    }

    /// Advances the replacement of a remote by a step. Returns `true` if the new generation was promoted.
    fn step_replacement(&mut self, alias: &str, negotiator: &mut Negotiator) -> bool {
        let Some(next) = self.remotes.get_mut(alias).and_then(ManagedRemote::take_replacement) else {
            return false;
        };
        let (mut wanted, mut lost) = (Vec::new(), Vec::new());
        let progress = next.poll(&mut Context {
            remote: &self.remotes[alias],
            remotes: &self.remotes,
            negotiator,
            surroundings: &mut self.surroundings,
            wanted: &mut wanted,
            lost: &mut lost,
        });
        for failure in lost {
            self.report(alias, Arc::new(failure), RemoteEvent::StateLost);
        }
        for provider in wanted {
            if let Some(provider) = self.alias_of(&provider) {
                self.want(&provider, negotiator);
            }
        }
        if let Progress::Complete(complete) = progress {
            self.promote(alias, *complete, negotiator);
            return true;
        }
        let Self { remotes, events, not_replaced, .. } = self;
        remotes.entry(alias.to_owned()).and_modify(|remote| match progress {
            Progress::Pending(next) => remote.put_replacement(Some(next)),
            Progress::Failed(failure) => {
                remote.not_replaced(failure.stage == Stage::Plan);
                not_replaced.push((alias.to_owned(), failure.code.clone()));
                remote.report(Arc::new(*failure), RemoteEvent::NotReplaced, events);
            }
            Progress::Nothing | Progress::Complete(_) => remote.withdraw(Topic::Update, events),
        });
        false
    }

    /// Promotes a new generation, and releases the old one.
    fn promote(&mut self, alias: &str, complete: Complete, negotiator: &mut Negotiator) {
        let Some(remote) = self.remotes.get_mut(alias) else { return };
        complete.switch_surfaces(remote, &mut self.surroundings);
        let Complete { checked, plan, used, begun, .. } = complete;
        let (wakes, manifest) = (Arc::clone(&checked.wakes), Arc::clone(&checked.found.manifest));
        let (before, old) = remote.promote(checked, |generation| self.retiring.ending(alias, generation));
        wakes.show();
        if let Some(old) = old {
            self.release(alias, &manifest.name, before, old, negotiator);
        }
        negotiator.release(&manifest.name);
        negotiator.commit(&plan, &manifest.name, used);
        negotiator.invalidate();
        for topic in [Topic::Update, Topic::Running] {
            self.withdraw(alias, topic);
        }
        let (version, took) = (manifest.version.clone(), begun.elapsed());
        let event = RemoteEvent::Replaced { version, generation: before + 1, took };
        self.events.notify(alias, manifest.display_name(), event, None);
    }

    /// Takes the remotes whose new generation was refused, with the code of the reason.
    pub(super) fn take_not_replaced(&mut self) -> Vec<(String, FailureCode)> {
        std::mem::take(&mut self.not_replaced)
    }

    /// Returns the remotes whose last new generation was refused by an earlier plan.
    pub(super) fn postponed(&self) -> Vec<String> {
        let postponed = self.remotes.values().filter(|remote| remote.is_postponed());
        postponed.map(|remote| remote.alias().to_owned()).collect()
    }

    /// Reports a failure of the remote called `alias`, or of a file with that name.
    pub(super) fn report(&mut self, alias: &str, failure: SharedFailure, event: RemoteEvent) {
        match self.remotes.get_mut(alias) {
            Some(remote) => remote.report(failure, event, &mut self.events),
            None => self.events.notify(alias, alias, event, Some(failure)),
        }
    }

    /// Withdraws the messages about `topic` of the remote called `alias`, or of a file with that name.
    pub(super) fn withdraw(&mut self, alias: &str, topic: Topic) {
        match self.remotes.get_mut(alias) {
            Some(remote) => remote.withdraw(topic, &mut self.events),
            None => self.events.withdraw(alias, topic),
        }
    }

    /// Requests the state of all open panels, which is written before the remotes end.
    pub(super) fn save_panels(&self) {
        self.remotes.values().for_each(|remote| remote.save_panels(&self.surroundings.config.data_dir));
    }

    /// Ends every remote, consumers before providers, and waits for up to `limit`. Libraries stay loaded.
    pub(super) fn close(&self, limit: Duration, negotiator: &mut Negotiator) {
        let deadline = Instant::now() + limit;
        negotiator.uninstall();
        for providing in [false, true] {
            let is_in_group =
                |remote: &&ManagedRemote| negotiator.users_of(remote.name()).next().is_some() == providing;
            let group: Vec<_> =
                self.remotes.values().filter(is_in_group).filter_map(ManagedRemote::placement).collect();
            for placement in &group {
                placement.begin_shutdown();
            }
            for placement in group {
                placement.await_ended(deadline);
            }
        }
    }

    /// Ends every remote and unloads its library.
    pub(super) fn shutdown(&mut self, negotiator: &mut Negotiator) {
        negotiator.uninstall();
        self.save_panels();
        let providers = negotiator.providers_in_use();
        let (mut users, mut last) = (Vec::new(), Vec::new());
        for (_, mut remote) in std::mem::take(&mut self.remotes) {
            let (name, generation) = (remote.name().to_owned(), remote.generation());
            if let Some(placement) = remote.take_placement() {
                let group = if providers.contains(&name) { &mut last } else { &mut users };
                group.push((name, generation, placement));
            }
        }
        self.retiring.shutdown([users, last]);
    }
}
