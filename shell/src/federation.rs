//! The federation: every remote that the host's manifest names, the plan that they agreed on, and the store.
//!
//! Headless and driven by [`Federation::poll`], once for each frame of the window: nothing in here waits.
//! A remote that cannot be found, read, planned, loaded or started is a value beside the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use plugin_api::{
    abi::Font,
    manifest::{RemoteManifest, RemoteRef},
    shared::{Consumer, notify_fn},
};
use shared_store::Store;

use crate::{
    archive,
    compositor::{Port, Surface},
    config::Config,
    failure::{Failure, SharedFailure, Stage},
};

mod binding;
mod check;
mod copies;
mod decisions;
mod entry;
mod events;
mod host;
mod keeping;
pub mod loader;
mod module;
mod notices;
pub mod plan_text;
mod progress;
pub mod rehearsal;
pub mod remote;
mod replacement;
pub mod resolver;
mod retire;
mod scan;
mod sources;
pub mod why;

use binding::BadOffer;
use check::{Check, Job, Trial, refusal};
use copies::Copies;
pub use entry::{Entry, Place, Status};
use entry::{Found, Source};
use events::Events;
pub use events::{Event, Told, Topic};
use host::{Host, Refused, grants};
pub use module::Module;
use notices::Notices;
pub use notices::Warning;
use rehearsal::Change;
use remote::{Bind, Code, Note, Remote, State, Wake};
use resolver::{Diagnostic, Live, Participant, Plan, Request, Slot};
pub use retire::Kept;
use retire::{Retiring, retire};
use sources::Sources;

/// How long others wait for the copies of a remote that is being loaded.
const LOAD_LIMIT: Duration = Duration::from_secs(3);

/// How long a call into a remote that runs may take before it counts as one that does not respond.
const CALL_LIMIT: Duration = Duration::from_secs(2);

/// How long one into a remote that is being started may.
const START_LIMIT: Duration = Duration::from_secs(5);

/// How soon deadlines are looked at again while there are any.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// All remotes, their plan and their store. `[window's thread]`
pub struct Federation {
    config: Config,
    entries: BTreeMap<String, Entry>,
    plan: Arc<Plan>,
    live: Live,
    /// Offers of libraries that turned out not to be usable.
    excluded: BTreeSet<Slot>,
    /// The copies that `live` speaks of, by provider; the provider may be an earlier generation of the remote
    /// that now has its name.
    in_use: BTreeMap<Slot, Module>,
    /// Why each of them was chosen at the time: later plans say only that it is in use.
    reasons: BTreeMap<Slot, String>,
    host: Host,
    notices: Notices,
    warnings: Vec<Warning>,
    copies: Copies,
    fonts: Vec<Font>,
    wake: Wake,
    next: u64,
    retiring: Retiring,
    events: Events,
    sources: Sources,
    /// From the threads of remotes.
    reports: (mpsc::Sender<BadOffer>, mpsc::Receiver<BadOffer>),
    /// What to say about the host itself.
    problems: Vec<SharedFailure>,
}

impl Federation {
    /// Finds, reads and plans all remotes of `config`, and starts those that provide for others.
    pub fn start(config: Config, fonts: Vec<Font>, wake: Wake) -> Self {
        let sources = Sources::new(&config, &wake);
        let entries = sources.entries(&config);
        Self::with_entries(config, entries, sources, fonts, wake)
    }

    /// A federation of one remote that is linked into this executable.
    ///
    /// # Errors
    /// When its own manifest is wrong.
    pub fn linked(
        config: Config,
        entry: plugin_api::abi::RemoteEntryRef,
        fonts: Vec<Font>,
        wake: Wake,
    ) -> Result<Self, Failure> {
        let text = entry.descriptor()();
        let manifest =
            RemoteManifest::from_json(text.as_str()).map_err(|e| Failure::new(Stage::Discover, e.code(), e))?;
        let reference = RemoteRef { name: manifest.name.clone(), location: "linked".to_owned() };
        let alias = manifest.name.clone();
        let (manifest, code) = (Arc::new(manifest), Source::Linked(entry));
        let found = Found { manifest, origin: None, code, looked: Vec::new() };
        let entry = Entry { found: Ok(found), ..Entry::empty(&reference) };
        let config = Config { watch: false, ..config };
        let sources = Sources::new(&config, &wake);
        Ok(Self::with_entries(config, BTreeMap::from([(alias, entry)]), sources, fonts, wake))
    }

    fn with_entries(
        config: Config,
        entries: BTreeMap<String, Entry>,
        sources: Sources,
        fonts: Vec<Font>,
        wake: Wake,
    ) -> Self {
        entry::log_missing(&entries);
        let host = Host::new();
        let (config, problems) = host.with_true_manifest(config);
        let copies = Copies::new(config.private.clone());
        let live = Live::new();
        let excluded = BTreeSet::new();
        let plan = Arc::new(make_plan(&config, &entries, &live, &excluded));
        let mut federation = Self {
            config,
            entries,
            plan,
            live,
            excluded,
            in_use: BTreeMap::new(),
            reasons: BTreeMap::new(),
            host,
            notices: Notices::default(),
            warnings: Vec::new(),
            copies,
            fonts,
            next: 0,
            retiring: Retiring::new(Arc::clone(&wake)),
            events: Events::default(),
            sources,
            reports: mpsc::channel(),
            problems,
            wake,
        };
        federation.follow();
        federation.adopt_plan();
        federation
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The plan that is in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is wrong with the host's own manifest.
    pub fn problems(&self) -> &[SharedFailure] {
        &self.problems
    }

    /// The host's view of the store, once its provider is known and loaded.
    pub fn store(&self) -> Option<&Store> {
        self.host.store()
    }

    /// What the plan warns of about `alias`.
    pub fn warnings(&self, alias: &str) -> impl Iterator<Item = &Warning> {
        let name = self.entries.get(alias).and_then(Entry::manifest).map(|manifest| manifest.name.as_str());
        self.warnings.iter().filter(move |warning| Some(&*warning.participant) == name)
    }

    /// Why the copy of `offer` was chosen when somebody was first pointed at it.
    pub fn reason(&self, offer: &Slot) -> Option<&str> {
        self.reasons.get(offer).map(String::as_str)
    }

    /// Everything that the plan warns of.
    pub fn all_warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The one line of a manifest by which a plan would no longer say `said`.
    fn change(&self, said: &Diagnostic) -> Option<Change> {
        let edit = said.fix()?;
        if *edit.participant == *self.plan.host() {
            return Some(Change::new(edit, &self.config.origin));
        }
        let found = self.entries.values().filter_map(|entry| entry.found.as_ref().ok());
        let origin = found
            .filter(|found| *found.manifest.name == *edit.participant)
            .find_map(|found| found.origin.as_ref());
        Some(Change::new(edit, origin?))
    }

    /// Returns the line of a manifest by which `alias` would no longer be refused, and how to change it.
    pub fn fix(&self, alias: &str) -> Option<String> {
        let name = &self.entries.get(alias)?.manifest()?.name;
        self.change(self.plan.refusal(name)?.cause()).map(|change| change.to_string())
    }

    /// Who uses copies of `alias`; while anybody does, its library stays.
    pub fn users_of(&self, alias: &str) -> impl Iterator<Item = &Slot> {
        let name = self.entries.get(alias).and_then(Entry::manifest).map(|manifest| manifest.name.as_str());
        self.live.users_of(name.unwrap_or_default())
    }

    /// Every remote by alias.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// Takes the plan in force to the remotes: who is refused, who loads first, whose store the host uses.
    fn adopt_plan(&mut self) {
        let refused = |entry: &Entry| {
            refusal(&self.plan, &entry.manifest()?.name, |said| self.change(said)).map(Arc::new)
        };
        let refused: Vec<_> = self.entries.values().map(refused).collect();
        for (entry, refused) in self.entries.values_mut().zip(refused) {
            entry.refused = refused;
        }
        // A plan may come between the check of a library and its start.
        let starts = |entry: &Entry| entry.check.is_some() || (entry.running.is_some() && !entry.initialised);
        let stopped = self.entries.iter().filter(|(_, entry)| entry.refused.is_some() && starts(entry));
        for alias in stopped.map(|(alias, _)| alias.clone()).collect::<Vec<_>>() {
            self.stop(&alias);
        }
        let mut notices = std::mem::take(&mut self.notices);
        self.warnings = notices.take(&self.plan, |said| self.change(said));
        self.notices = notices;
        for name in self.plan.bootstrap() {
            if let Some(alias) = self.alias_of(&name) {
                self.want(&alias);
            }
        }
        self.bind_host();
    }

    fn alias_of(&self, name: &str) -> Option<String> {
        let is = |e: &Entry| e.manifest().is_some_and(|m| m.name == name);
        self.entries.iter().find(|(_, e)| is(e)).map(|(alias, _)| alias.clone())
    }

    /// Asks for `alias` to be loaded and started.
    pub fn want(&mut self, alias: &str) {
        let Some(entry) = self.entries.get_mut(alias) else { return };
        entry.wanted = true;
        let waits = entry.waits && self.retiring.is_ending(alias);
        if entry.running.is_some() || entry.check.is_some() || entry.is_prevented() || waits {
            return;
        }
        entry.waits = false;
        let Ok(found) = &entry.found else { return };
        entry.initialised = false;
        entry.hung = false;
        entry.since = Some(Instant::now());
        entry.generation += 1;
        (self.wake)(LOOK_AGAIN);
        if let Source::Linked(remote) = found.code {
            let manifest = Arc::clone(&found.manifest);
            let mut remote = Remote::start(manifest, Code::Linked(remote), Arc::clone(&self.wake));
            remote.on_drop(Some(self.retiring.ending(alias, entry.generation)));
            entry.running = Some(remote);
            return;
        }
        let check = self.check(alias, None);
        if let Some(entry) = self.entries.get_mut(alias) {
            match check {
                Ok(check) => entry.check = Some(check),
                Err(failure) => {
                    tracing::error!(remote = alias, code = failure.code, "{}", failure.message);
                    entry.found = Err(Arc::new(failure));
                }
            }
        }
    }

    /// Begins to look at the library of `alias`; with `trial` whether it would be admitted too.
    fn check(&mut self, alias: &str, replaces: Option<Replaces>) -> Result<Check, Failure> {
        let trial = self.trial(alias);
        let Some(entry) = self.entries.get(alias) else {
            return Err(Failure::new(
                Stage::Discover,
                "manifest-missing",
                format!("there is no remote `{alias}`"),
            ));
        };
        let (planned, current) = match replaces {
            Some(Replaces { current }) => (None, current),
            None => (entry.found.as_ref().ok().map(|found| Arc::clone(&found.manifest)), None),
        };
        let (reference, generation) = (entry.source(), if planned.is_some() { entry.generation } else { 0 });
        let expected = if let Place::Pinned { digest, .. } = entry.place { Some(digest) } else { None };
        let copies = self.copies.share();
        let provides = |entry: &Entry| {
            let name = &entry.reference.name;
            let mut known = self.plan.assignments().iter();
            known.any(|known| *known.provider == **name && !known.is_own_copy())
        };
        let with = self.entries.iter().filter(|(other, entry)| *other != alias && provides(entry));
        // One that is not loaded yet is tried from its place: its copy may come later than the trial.
        let place = |entry: &Entry| match &entry.copy {
            Some((copy, _)) if entry.running.is_some() => Some(copy.clone()),
            _ => entry.library().map(Path::to_owned),
        };
        let with = with.filter_map(|(_, entry)| place(entry)).collect();
        let ending = self.retiring.ending(alias, generation);
        let (config, wake) = (self.config.clone(), Arc::clone(&self.wake));
        Ok(Check::start(Job {
            config,
            alias: alias.to_owned(),
            reference,
            copies,
            trial,
            planned,
            expected,
            current,
            with,
            ending,
            wake,
        }))
    }

    /// What a plan for another generation of `alias` depends on.
    fn trial(&self, alias: &str) -> Trial {
        let name = self.entries.get(alias).map(|entry| entry.reference.name.clone()).unwrap_or_default();
        let mut live = self.live.clone();
        live.release(&name);
        let mut excluded = self.excluded.clone();
        excluded.retain(|slot| *slot.participant != *name);
        Trial {
            host: Participant::host(&self.config.host),
            providers: host::providers(&self.config.host),
            others: participants(self.entries.iter().filter(|(other, _)| *other != alias).map(|(_, e)| e)),
            live,
            excluded,
            strategy: self.config.host.share_strategy,
        }
    }

    /// Goes on with what has become possible since the last call. Never waits.
    pub fn poll(&mut self) {
        self.take_decisions();
        self.take_changes();
        self.count_kept();
        self.take_bad_offers();
        let aliases: Vec<String> = self.entries.keys().cloned().collect();
        for alias in &aliases {
            self.take_checked(alias);
            self.take_notes(alias);
            self.look_for_hangs(alias);
        }
        self.plan_without_those_who_do_not_load();
        self.bind_host();
        for alias in &aliases {
            self.initialise(alias);
            self.reopen(alias);
            self.step_replacement(alias);
            self.archive(alias);
        }
        let waiting = self.entries.iter().filter(|(_, entry)| entry.wanted && entry.waits);
        for alias in waiting.map(|(alias, _)| alias.clone()).collect::<Vec<_>>() {
            self.want(&alias);
        }
        let starts = |entry: &Entry| matches!(entry.status(), Status::Starting) || entry.next.is_some();
        if self.entries.values().any(starts) {
            (self.wake)(LOOK_AGAIN);
        }
    }

    fn replan(&mut self) {
        self.plan = Arc::new(make_plan(&self.config, &self.entries, &self.live, &self.excluded));
        self.adopt_plan();
        let wanted: Vec<_> = self.entries.iter().filter(|(_, e)| e.wanted).map(|(a, _)| a.clone()).collect();
        for alias in wanted {
            self.want(&alias);
        }
    }

    /// Runs `init` of a remote that is loaded, once everything that the plan gives it is there.
    fn initialise(&mut self, alias: &str) {
        let Some(entry) = self.entries.get_mut(alias).filter(|entry| !entry.is_prevented()) else { return };
        let (Ok(found), Some(running)) = (&entry.found, &mut entry.running) else { return };
        if entry.initialised || running.offers().is_none() {
            return;
        }
        let manifest = Arc::clone(&found.manifest);
        let Some(offers) = running.offers().cloned() else { return };
        let notify = running.notifier();
        let (consumer, refused) = self.consumer(alias, &manifest, notify);
        match self.scope_for(&Arc::clone(&self.plan), &consumer, &offers) {
            Ok(Some((scope, used))) => {
                // Now, because this is the one time that it is started.
                refused.iter().for_each(Refused::log);
                self.in_use.extend(used);
                let (folder, fonts) = (self.data_dir(&manifest.name), self.fonts.clone());
                if let Some(entry) = self.entries.get_mut(alias)
                    && let Some(running) = &entry.running
                {
                    running.init(scope, folder, fonts);
                    entry.initialised = true;
                    for assignment in self.plan.assignments_of(&manifest.name).to_vec() {
                        self.remember(&assignment);
                    }
                    self.live.bind_assigned(&self.plan, &manifest.name);
                }
            }
            Ok(None) => {}
            Err(unusable) => self.plan_without(unusable),
        }
    }

    /// A remote as a user of shared crates, and what it asks for in vain.
    fn consumer(
        &self,
        alias: &str,
        manifest: &RemoteManifest,
        notify: impl Fn() + Send + Sync + Clone + 'static,
    ) -> (Consumer, Vec<Refused>) {
        let (grants, refused) = grants(&self.config, alias, manifest);
        let name = manifest.name.as_str().into();
        (Consumer { name, grants, all: false, isolated: false, notify: notify_fn(notify) }, refused)
    }

    fn data_dir(&self, name: &str) -> PathBuf {
        self.config.data_dir.join("remotes").join(name)
    }

    /// Opens an expose of a remote that is [`Status::Active`].
    pub fn open(&mut self, alias: &str, expose: &str) -> Option<Result<Surface, SharedFailure>> {
        // Those of an earlier generation first, once and for all of them.
        self.reopen(alias);
        let entry = self.entries.get(alias)?;
        let found = entry.found.as_ref().ok()?;
        let running = entry.running.as_ref().filter(|r| matches!(r.state(), State::Active))?;
        let Some(known) = found.manifest.exposes.get(expose) else {
            let names: Vec<_> = found.manifest.exposes.keys().map(String::as_str).collect();
            let text = format!(
                "`{alias}` has no expose `{expose}`; ask for one that its manifest lists: {}",
                names.join(", ")
            );
            return Some(Err(Arc::new(Failure::new(Stage::Open, "expose-unknown", text))));
        };
        self.next += 1;
        // One that was open in this run starts again from nothing: what it had may be why.
        let first = !entry.opened.contains(expose);
        let kept = first.then(|| self.kept_of(&entry.reference.name, expose));
        let port = Port::new(running.open_with(self.next, expose, kept));
        let surface =
            Surface::new(self.next, known.title.clone(), found.manifest.name.clone(), Arc::clone(&port));
        if let Some(entry) = self.entries.get_mut(alias) {
            entry.opened.insert(expose.to_owned());
            entry.ports.retain(|(_, port)| port.strong_count() > 0);
            entry.ports.push((expose.to_owned(), Arc::downgrade(&port)));
        }
        Some(Ok(surface))
    }

    /// Starts again from what is on the disk now: finds, reads, plans and loads the remote anew.
    pub fn retry(&mut self, alias: &str) {
        self.give_up_replacement(alias);
        let Some(mut entry) = self.entries.remove(alias) else { return };
        let name = entry.reference.name.clone();
        if let Some(running) = entry.running.take() {
            self.release(alias, &name, entry.generation, running);
        }
        self.live.release(&name);
        self.excluded.retain(|slot| *slot.participant != *name);
        if self.live.users_of(&name).next().is_none() {
            // Before its library goes.
            self.in_use.retain(|slot, _| *slot.participant != *name);
        }
        let fresh = match &entry.found {
            Ok(Found { code: Source::Linked(_), .. }) => {
                Entry { found: entry.found, ..Entry::empty(&entry.reference) }
            }
            _ => self.sources.entry(&self.config, alias, &entry.reference),
        };
        let waits = !entry.hung;
        let fresh = Entry {
            wanted: true,
            waits,
            generation: entry.generation,
            last: entry.last,
            ports: entry.ports,
            ..fresh
        };
        self.entries.insert(alias.to_owned(), fresh);
        self.replan();
        self.follow();
    }

    /// Ends every remote and unloads its library, all at the same time, within [`SHUTDOWN_LIMIT`](remote::SHUTDOWN_LIMIT).
    pub fn shutdown(&mut self) {
        self.host.uninstall();
        self.keep_panels();
        for alias in self.entries.keys().cloned().collect::<Vec<_>>() {
            self.give_up_replacement(&alias);
        }
        // Those that use a copy of another first.
        let providers: BTreeSet<String> = self
            .live
            .bindings()
            .filter(|(s, c)| *s.participant != *c.provider)
            .map(|(_, c)| c.provider.to_string())
            .collect();
        let (last, first): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_values()
            .filter_map(|e| Some((e.reference.name.clone(), (e.generation, e.running?))))
            .partition(|(name, _)| providers.contains(name));
        for group in [first, last] {
            for (_, (_, remote)) in &group {
                remote.begin_shutdown();
            }
            for (name, (generation, remote)) in group {
                if let Some(failure) = retire(&name, generation, remote) {
                    tracing::warn!(remote = name, code = failure.code, "{}", failure.message);
                }
            }
        }
        self.finish_decisions();
        self.join_retiring();
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// What a replacement is compared with.
#[derive(Clone, Copy)]
struct Replaces {
    /// The content that runs: the same again is no news.
    current: Option<archive::Digest>,
}

fn make_plan(
    config: &Config,
    entries: &BTreeMap<String, Entry>,
    live: &Live,
    excluded: &BTreeSet<Slot>,
) -> Plan {
    let (host, providers) = (Participant::host(&config.host), host::providers(&config.host));
    let remotes = participants(entries.values());
    let request = Request::new(&host, &remotes, config.host.share_strategy);
    resolver::resolve(&Request { live, excluded, providers: &providers, ..request })
}

/// Those that take part in plans.
fn participants<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Participant> {
    entries
        .filter(|entry| entry.unbound.is_none() && entry.off.is_none())
        .filter_map(|entry| Some(Participant::remote(entry.manifest()?).loaded(entry.initialised)))
        .collect()
}
