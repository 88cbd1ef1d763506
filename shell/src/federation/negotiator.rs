//! Negotiation while remotes run: the plan in force, and the copies of shared crates that are in use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc},
};

use negotiation::manifest::{Origin, RemoteManifest};
use negotiation::rehearsal::Change;
use negotiation::resolver::{self, Assignment, Diagnostic, Live, Participant, Plan, Providers, Request, Slot};
use plugin_api::shared::{Consumer, notify_fn};
use shared_store::Store;

use super::{
    Remote,
    admission::{PlanContext, refusal},
    host::{self, Host, Refused, grants},
    notices::{Notices, Warning},
};
use crate::config::Config;
use crate::{
    failure::{Failure, SharedFailure},
    placement::{Module, Notifier, Wake},
};

/// All remotes by alias.
pub(super) type Remotes = BTreeMap<String, Remote>;

/// The plan in force, and everything that it depends on beside the manifests of remotes. `[window's thread]`
pub struct Negotiator {
    pub(super) config: Arc<Config>,
    pub(super) host: Host,
    pub(super) plan: Arc<Plan>,
    pub(super) live: Live,
    /// Offers of libraries that turned out not to be usable.
    pub(super) excluded: BTreeSet<Slot>,
    /// The copies that `live` lists, by offer; the provider may be an earlier generation of the remote that now has its
    /// name.
    pub(super) in_use: BTreeMap<Slot, Module>,
    /// Why each of them was chosen at the time: later plans state only that it is in use.
    reasons: BTreeMap<Slot, String>,
    notices: Notices,
    warnings: Vec<Warning>,
    pub(super) problems: Vec<SharedFailure>,
    /// Offers that could not be bound, from the threads of their consumers.
    pub(super) bad_offers: (mpsc::Sender<BadOffer>, mpsc::Receiver<BadOffer>),
    /// Something that the plan depends on has changed.
    stale: bool,
    pub(super) wake: Wake,
}

impl Negotiator {
    /// Returns a negotiator that has no plan yet, and the configuration as this build of the shell really is.
    pub(super) fn new(config: Config, wake: Wake) -> (Self, Arc<Config>) {
        let host = Host::new();
        let (config, problems) = host.reconcile(config);
        let config = Arc::new(config);
        let (live, excluded) = (Live::new(), BTreeSet::new());
        let plan = Arc::new(plan(&config, &[], &live, &excluded));
        let negotiator = Self {
            config: Arc::clone(&config),
            host,
            plan,
            live,
            excluded,
            in_use: BTreeMap::new(),
            reasons: BTreeMap::new(),
            notices: Notices::default(),
            warnings: Vec::new(),
            problems,
            bad_offers: mpsc::channel(),
            stale: true,
            wake,
        };
        (negotiator, config)
    }

    /// Returns the plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the plan in force, to keep.
    pub(super) fn shared_plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// Returns what is wrong with the host itself, its manifest and the copies that it was offered.
    pub fn problems(&self) -> &[SharedFailure] {
        &self.problems
    }

    /// Returns the host's view of the store, once its provider is loaded.
    pub fn store(&self) -> Option<&Store> {
        self.host.store()
    }

    /// Returns the warnings of the plan.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the warnings about one remote.
    pub fn warnings_of(&self, remote: &Remote) -> impl Iterator<Item = &Warning> {
        let name = remote.manifest().map(|manifest| manifest.name.as_str());
        self.warnings.iter().filter(move |warning| Some(&*warning.participant) == name)
    }

    /// Returns the reason for which the copy of `offer` was chosen when a participant was first given it.
    pub fn reason(&self, offer: &Slot) -> Option<&str> {
        self.reasons.get(offer).map(String::as_str)
    }

    /// Returns the users of copies of the participant called `name`; while there are any, its library stays loaded.
    pub fn users_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Slot> {
        self.live.users_of(name)
    }

    /// Notes that a new plan is due.
    pub(super) fn invalidate(&mut self) {
        self.stale = true;
    }

    /// Returns `true` while a new plan is due.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Makes a new plan with these remotes.
    pub(super) fn replan(&mut self, remotes: &Remotes) {
        self.stale = false;
        let participants: Vec<_> = remotes.values().filter_map(Remote::participant).collect();
        self.plan = Arc::new(plan(&self.config, &participants, &self.live, &self.excluded));
        let Self { notices, plan, config, .. } = self;
        self.warnings = notices.take(plan, |reported| change(plan, config, remotes, reported));
    }

    /// Returns what a plan with another generation of `remote` depends on.
    pub(super) fn context_for(&self, remote: &Remote, remotes: &Remotes) -> PlanContext {
        let name = remote.name();
        let mut live = self.live.clone();
        live.release(name);
        let mut excluded = self.excluded.clone();
        excluded.retain(|slot| *slot.participant != *name);
        let others = remotes.iter().filter(|(alias, _)| **alias != *remote.alias());
        PlanContext {
            host: Participant::host(&self.config.host),
            providers: Providers::of(&self.config.host, host::LINKED),
            others: others.filter_map(|(_, other)| other.participant()).collect(),
            live,
            excluded,
            strategy: self.config.host.share_strategy,
        }
    }

    /// Returns the reason for which the plan refuses the remote called `name`.
    pub(super) fn refusal_of(&self, name: &str, remotes: &Remotes) -> Option<Failure> {
        refusal(&self.plan, name, |reported| self.change(reported, remotes))
    }

    /// Returns the one line of a manifest by which a plan would no longer report `reported`.
    pub(super) fn change(&self, reported: &Diagnostic, remotes: &Remotes) -> Option<Change> {
        change(&self.plan, &self.config, remotes, reported)
    }

    /// Returns a remote as a user of shared crates, and the atoms that it is not granted.
    pub(super) fn consumer(
        &self,
        alias: &str,
        manifest: &RemoteManifest,
        notify: Notifier,
    ) -> (Consumer, Vec<Refused>) {
        let (grants, refused) = grants(&self.config, alias, manifest);
        let name = manifest.name.as_str().into();
        (Consumer { name, grants, all: false, isolated: false, notify: notify_fn(move || notify()) }, refused)
    }

    /// Notes that the remote called `name` was given what `plan` assigns to it.
    pub(super) fn commit(&mut self, plan: &Plan, name: &str, used: Vec<(Slot, Module)>) {
        self.in_use.extend(used);
        for known in plan.assignments_of(name) {
            self.remember(plan, known);
        }
        self.live.bind_assigned(plan, name);
    }

    /// Keeps why a copy was chosen, before it is in use.
    pub(super) fn remember(&mut self, plan: &Plan, known: &Assignment) {
        if !known.live
            && let Some(why) = plan.explain(&known.scope, &known.key, &known.consumer)
            && let Some(won) = why.candidates.into_iter().find(|candidate| candidate.won)
        {
            self.reasons.insert(known.offer(), won.reason);
        }
    }

    /// Lists who uses copies of the participant called `name`; without users, its copies are let go, which must
    /// happen before its library is unloaded.
    pub(super) fn users_or_forget(&mut self, name: &str) -> Vec<String> {
        let users: Vec<_> =
            self.live.users_of(name).map(|user| format!("{} ({})", user.participant, user.key)).collect();
        if users.is_empty() {
            self.in_use.retain(|slot, _| *slot.participant != *name);
        }
        users
    }

    /// Notes that the remote called `name` no longer uses any copy.
    pub(super) fn release(&mut self, name: &str) {
        self.live.release(name);
    }

    /// Gives the offers of the remote called `name` another chance.
    pub(super) fn readmit(&mut self, name: &str) {
        self.excluded.retain(|slot| *slot.participant != *name);
    }

    /// Plans without a copy that cannot be used; returns the failure of a remote that is itself at fault.
    pub(super) fn exclude(&mut self, unusable: Unusable) -> Option<(String, SharedFailure)> {
        let Unusable { fault, failure } = unusable;
        tracing::error!(code = failure.code.as_str(), "{}", failure.line());
        let failure = Arc::new(failure);
        self.invalidate();
        match fault {
            Fault::Offer(slot) => {
                self.excluded.insert(slot);
                self.problems.push(failure);
                None
            }
            Fault::Consumer(name) => Some((name, failure)),
        }
    }

    /// Takes the offers that could not be bound; returns the consumers to start again, whose fault it is not.
    pub(super) fn take_bad_offers(&mut self) -> Vec<String> {
        let mut consumers = Vec::new();
        while let Ok(BadOffer { consumer, offer, failure }) = self.bad_offers.1.try_recv() {
            if consumer != offer.participant {
                consumers.push(consumer.to_string());
            }
            if !self.excluded.contains(&offer) {
                self.exclude(Unusable { fault: Fault::Offer(offer), failure });
            }
        }
        consumers
    }

    /// Returns the offers of the remote called `name` that others wait for.
    pub(super) fn awaited_of(&self, name: &str) -> Vec<Slot> {
        let waits = |known: &&Assignment| *known.provider == *name && !known.is_own_copy() && !known.live;
        self.plan.assignments().iter().filter(waits).map(Assignment::offer).collect()
    }

    /// Plans without offers of `remote`, which does not load; `slow` is the reason where it still tries.
    pub(super) fn give_up(&mut self, remote: &str, offers: Vec<Slot>, slow: Option<Failure>) {
        if let Some(failure) = slow {
            tracing::warn!(remote, code = failure.code.as_str(), "{}", failure.line());
            self.problems.push(Arc::new(failure));
        }
        self.excluded.extend(offers);
        self.invalidate();
    }

    /// Lets go of everything that may belong to a remote.
    pub(super) fn uninstall(&mut self) {
        self.host.uninstall();
    }

    /// Returns the names of participants whose copies others use.
    pub(super) fn providers_in_use(&self) -> BTreeSet<String> {
        let foreign = self.live.bindings().filter(|(slot, copy)| *slot.participant != *copy.provider);
        foreign.map(|(_, copy)| copy.provider.to_string()).collect()
    }
}

/// Reason why a participant cannot be pointed at the copy that the plan gives it.
pub(super) struct Unusable {
    pub(super) fault: Fault,
    pub(super) failure: Failure,
}

/// Participant at fault.
pub(super) enum Fault {
    /// The copy is not as its manifest states.
    Offer(Slot),
    /// The remote of this name is not as its manifest states.
    Consumer(String),
}

/// A copy that could not be bound for a consumer, where the consumer runs.
pub(super) struct BadOffer {
    pub(super) consumer: Arc<str>,
    pub(super) offer: Slot,
    pub(super) failure: Failure,
}

fn plan(config: &Config, remotes: &[Participant], live: &Live, excluded: &BTreeSet<Slot>) -> Plan {
    let (host, providers) = (Participant::host(&config.host), Providers::of(&config.host, host::LINKED));
    let request = Request::new(&host, remotes, config.host.share_strategy);
    resolver::resolve(&Request { live, excluded, providers: &providers, ..request })
}

fn change(plan: &Plan, config: &Config, remotes: &Remotes, reported: &Diagnostic) -> Option<Change> {
    let edit = reported.fix()?;
    let origin: &Origin = if *edit.participant == *plan.host() {
        &config.origin
    } else {
        let of =
            |remote: &&Remote| remote.manifest().is_some_and(|manifest| manifest.name == *edit.participant);
        remotes.values().filter(of).find_map(Remote::origin)?
    };
    Some(Change::new(edit, origin))
}
