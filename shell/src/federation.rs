//! The federation: every remote that the host's manifest names, the plan that they agreed on, and the store.
//!
//! Headless and driven by [`Federation::poll`], once for each frame of the window: nothing in here waits.
//! A remote that cannot be found, read, planned, loaded or started is a value beside the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use plugin_api::{
    abi::Fonts,
    manifest::{RemoteManifest, RemoteRef},
    shared::{Consumer, notify_fn},
};
use shared_store::Store;

use crate::{
    compositor::Surface,
    config::Config,
    failure::{Failure, SharedFailure, Stage},
};

mod binding;
mod copies;
mod entry;
mod host;
pub mod loader;
mod module;
mod notices;
pub mod plan_text;
pub mod rehearsal;
pub mod remote;
pub mod resolver;
pub mod why;

use copies::Copies;
pub use entry::{Entry, Status};
use entry::{Found, Source, stamp};
use host::{Host, grants};
pub use module::Module;
use notices::Notices;
pub use notices::Warning;
use rehearsal::Change;
use remote::{Code, Remote, SHUTDOWN_LIMIT, State, Wake};
use resolver::{Diagnostic, Live, Participant, Plan, Request, Slot};

/// How long others wait for the copies of a remote that is being loaded.
const LOAD_LIMIT: Duration = Duration::from_secs(3);

/// All remotes, their plan and their store. `[window's thread]`
pub struct Federation {
    config: Config,
    entries: BTreeMap<String, Entry>,
    plan: Plan,
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
    fonts: Fonts,
    wake: Wake,
    next: u64,
    /// Remotes that are ending.
    retiring: Vec<thread::JoinHandle<()>>,
    /// What to say about the host itself.
    problems: Vec<SharedFailure>,
}

impl Federation {
    /// Finds, reads and plans all remotes of `config`, and starts those that provide for others.
    pub fn start(config: Config, fonts: Fonts, wake: Wake) -> Self {
        let entries = config
            .host
            .remotes
            .iter()
            .map(|(alias, reference)| (alias.clone(), Entry::new(&config, alias, reference)))
            .collect();
        Self::with_entries(config, entries, fonts, wake)
    }

    /// A federation of one remote that is linked into this executable.
    ///
    /// # Errors
    /// When its own manifest is wrong.
    pub fn linked(
        config: Config,
        entry: plugin_api::abi::RemoteEntryRef,
        fonts: Fonts,
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
        Ok(Self::with_entries(config, BTreeMap::from([(alias, entry)]), fonts, wake))
    }

    fn with_entries(config: Config, entries: BTreeMap<String, Entry>, fonts: Fonts, wake: Wake) -> Self {
        let host = Host::new();
        let (config, problems) = host.with_true_manifest(config);
        let live = Live::new();
        let excluded = BTreeSet::new();
        let plan = make_plan(&config, &entries, &live, &excluded);
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
            copies: Copies::default(),
            fonts,
            wake,
            next: 0,
            retiring: Vec::new(),
            problems,
        };
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
            let cause = self.plan.refusal(&entry.manifest()?.name)?.cause();
            let place =
                self.change(cause).map(|change| format!(" ({}, {})", change.place, change.edit.pointer));
            let message = format!("{cause}{}", place.unwrap_or_default());
            Some(Arc::new(Failure::new(Stage::Plan, cause.code.as_str(), message)))
        };
        let refused: Vec<_> = self.entries.values().map(refused).collect();
        for (entry, refused) in self.entries.values_mut().zip(refused) {
            entry.refused = refused;
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
        if entry.running.is_some() || entry.refused.is_some() || entry.unbound.is_some() {
            return;
        }
        let Ok(found) = &entry.found else { return };
        let manifest = Arc::clone(&found.manifest);
        let code = match &found.code {
            Source::Linked(remote) => Code::Linked(*remote),
            Source::Library(path) => match self.copies.next(path) {
                Ok(copy) => Code::Library { path: path.clone(), copy },
                Err(failure) => {
                    tracing::error!(remote = manifest.name, code = failure.code, "{}", failure.message);
                    entry.found = Err(Arc::new(failure));
                    return;
                }
            },
        };
        entry.initialised = false;
        entry.since = Some(Instant::now());
        (self.wake)(LOAD_LIMIT);
        entry.stamp = entry.library().and_then(stamp);
        entry.running = Some(Remote::start(manifest, code, Arc::clone(&self.wake)));
    }

    /// Goes on with what has become possible since the last call. Never waits.
    pub fn poll(&mut self) {
        self.plan_without_those_who_do_not_load();
        self.bind_host();
        let aliases: Vec<String> = self.entries.keys().cloned().collect();
        for alias in aliases {
            self.initialise(&alias);
        }
    }

    fn replan(&mut self) {
        self.plan = make_plan(&self.config, &self.entries, &self.live, &self.excluded);
        self.adopt_plan();
        let wanted: Vec<_> = self.entries.iter().filter(|(_, e)| e.wanted).map(|(a, _)| a.clone()).collect();
        for alias in wanted {
            self.want(&alias);
        }
    }

    /// Runs `init` of a remote that is loaded, once everything that the plan gives it is there.
    fn initialise(&mut self, alias: &str) {
        let Some(entry) = self.entries.get_mut(alias) else { return };
        let (Ok(found), Some(running)) = (&entry.found, &mut entry.running) else { return };
        if entry.initialised || running.offers().is_none() {
            return;
        }
        let manifest = Arc::clone(&found.manifest);
        let notify = running.notifier();
        let (grants, refused) = grants(&self.config, alias, &manifest);
        let consumer = Consumer {
            name: manifest.name.as_str().into(),
            grants,
            all: false,
            isolated: false,
            notify: notify_fn(notify),
        };
        match self.scope_for(&consumer) {
            Ok(Some(scope)) => {
                // Now, because this is the one time that it is started.
                for refused in refused {
                    refused.log();
                }
                let data_dir = self.config.data_dir.join("remotes").join(&manifest.name);
                let fonts = self.fonts;
                if let Some(entry) = self.entries.get_mut(alias)
                    && let Some(running) = &entry.running
                {
                    running.init(scope, data_dir, fonts);
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

    /// Opens an expose of a remote that is [`Status::Active`].
    pub fn open(&mut self, alias: &str, expose: &str) -> Option<Result<Surface, SharedFailure>> {
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
        Some(Ok(running.open(self.next, expose, &known.title, None)))
    }

    /// Starts again from what is on the disk now: finds, reads, plans and loads the remote anew.
    pub fn retry(&mut self, alias: &str) {
        let Some(mut entry) = self.entries.remove(alias) else { return };
        let name = entry.found.as_ref().ok().map(|f| f.manifest.name.clone());
        if let Some(running) = entry.running.take() {
            let pinned = name.as_deref().is_some_and(|n| self.live.users_of(n).next().is_some());
            if pinned {
                // Others use its copy of a shared crate: its library must stay.
                running.begin_shutdown();
                drop(running);
            } else {
                self.retire_beside(alias, running);
            }
        }
        if let Some(name) = name {
            self.live.release(&name);
            self.excluded.retain(|slot| *slot.participant != *name);
            if self.live.users_of(&name).next().is_none() {
                // Before its library goes.
                self.in_use.retain(|slot, _| *slot.participant != *name);
            }
        }
        let mut fresh = match &entry.found {
            Ok(Found { code: Source::Linked(_), .. }) => {
                Entry { running: None, refused: None, unbound: None, initialised: false, ..entry }
            }
            _ => Entry::new(&self.config, alias, &entry.reference),
        };
        fresh.wanted = true;
        self.entries.insert(alias.to_owned(), fresh);
        self.replan();
    }

    /// Ends a remote on a thread of its own: one that hangs must not hang the window.
    fn retire_beside(&mut self, alias: &str, running: Remote) {
        self.retiring.retain(|thread| !thread.is_finished());
        let name = alias.to_owned();
        match thread::Builder::new().spawn(move || retire(&name, running)) {
            Ok(thread) => self.retiring.push(thread),
            // The remote went with the closure: it ends by itself, and only its library stays.
            Err(error) => tracing::warn!(
                remote = alias,
                code = "no-thread",
                "the system gives no thread to unload `{alias}` ({error}); its library is kept until the shell \
                 ends; close something or raise the limit"
            ),
        }
    }

    /// Ends every remote and unloads its library, all at the same time, within [`SHUTDOWN_LIMIT`].
    pub fn shutdown(&mut self) {
        self.host.uninstall();
        // Those that use a copy of another first.
        let providers: BTreeSet<String> = self
            .live
            .bindings()
            .filter(|(s, c)| *s.participant != *c.provider)
            .map(|(_, c)| c.provider.to_string())
            .collect();
        let (last, first): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_values()
            .filter_map(|e| Some((e.found.ok()?.manifest.name.clone(), e.running?)))
            .partition(|(name, _)| providers.contains(name));
        for group in [first, last] {
            for (_, remote) in &group {
                remote.begin_shutdown();
            }
            for (name, remote) in group {
                retire(&name, remote);
            }
        }
        for thread in std::mem::take(&mut self.retiring) {
            // It ends within the limit, and its own panic is no reason not to end here.
            let _ = thread.join();
        }
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Ends a remote and says how that went. Waits.
fn retire(name: &str, remote: Remote) {
    match remote.retire(SHUTDOWN_LIMIT) {
        Ok(unloaded) => tracing::debug!(remote = name, ?unloaded, "retired"),
        Err(failure) => tracing::warn!(remote = name, code = failure.code, "{}", failure.message),
    }
}

fn make_plan(
    config: &Config,
    entries: &BTreeMap<String, Entry>,
    live: &Live,
    excluded: &BTreeSet<Slot>,
) -> Plan {
    let host = Participant::host(&config.host);
    let remotes: Vec<Participant> = entries
        .values()
        .filter(|entry| entry.unbound.is_none())
        .filter_map(|e| Some(Participant::remote(e.manifest()?).loaded(e.initialised)))
        .collect();
    resolver::resolve(&Request { live, excluded, ..Request::new(&host, &remotes, config.host.share_strategy) })
}
