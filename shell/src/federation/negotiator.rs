//! Negotiation while remotes run: the plan in force, and the copies of shared crates in use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc},
};

use negotiation::manifest::{Origin, RemoteManifest};
use negotiation::rehearsal::Change;
use negotiation::resolver::{
    self, Assignment, Diagnostic, Live, Participant, Plan, PlanRequest, Providers, ShareKey,
};
use plugin_api::shared::{Consumer, notify_fn};
use shared_store::Store;

use super::{
    ManagedRemote,
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
pub(super) type Remotes = BTreeMap<String, ManagedRemote>;

/// The plan in force, and its inputs apart from the manifests of remotes. `[window's thread]`
pub struct Negotiator {
    pub(super) config: Arc<Config>,
    pub(super) host: Host,
    pub(super) plan: Arc<Plan>,
    pub(super) live: Live,
    /// Offers that turned out to be unusable.
    pub(super) excluded: BTreeSet<ShareKey>,
    /// Copies that `live` lists, by offer; the provider may be an earlier generation of the remote with its name.
    pub(super) in_use: BTreeMap<ShareKey, Module>,
    /// Reasons for the choice of each copy: later plans state only that it is in use.
    reasons: BTreeMap<ShareKey, String>,
    notices: Notices,
    warnings: Vec<Warning>,
    pub(super) problems: Vec<SharedFailure>,
    /// Offers that could not be bound, from the threads of their consumers.
    pub(super) bad_offers: (mpsc::Sender<BadOffer>, mpsc::Receiver<BadOffer>),
    /// An input of the plan has changed.
    stale: bool,
    pub(super) wake: Wake,
}

impl Negotiator {
    /// Creates a negotiator without a plan for remotes; returns the configuration too, corrected to this build.
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

    /// Returns the plan in force, shared.
    pub(super) fn shared_plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// Returns the problems of the host: of its manifest, and of copies that it was offered.
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
    pub fn warnings_of(&self, remote: &ManagedRemote) -> impl Iterator<Item = &Warning> {
        let name = remote.manifest().map(|manifest| manifest.name.as_str());
        self.warnings.iter().filter(move |warning| Some(&*warning.participant) == name)
    }

    /// Returns the reason why the copy of `offer` was chosen for its first user.
    pub fn reason(&self, offer: &ShareKey) -> Option<&str> {
        self.reasons.get(offer).map(String::as_str)
    }

    /// Returns the users of copies of the participant called `name`; with users, its library stays loaded.
    pub fn users_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ShareKey> {
        self.live.users_of(name)
    }

    /// Requests a new plan.
    pub(super) fn invalidate(&mut self) {
        self.stale = true;
    }

    /// Returns `true` while a new plan is due.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Makes a new plan with `remotes`.
    pub(super) fn replan(&mut self, remotes: &Remotes) {
        self.stale = false;
        let participants: Vec<_> = remotes.values().filter_map(ManagedRemote::participant).collect();
        self.plan = Arc::new(plan(&self.config, &participants, &self.live, &self.excluded));
        let Self { notices, plan, config, .. } = self;
        self.warnings = notices.take(plan, |reported| change(plan, config, remotes, reported));
    }

    /// Returns the inputs of a plan with another generation of `remote`.
    pub(super) fn context_for(&self, remote: &ManagedRemote, remotes: &Remotes) -> PlanContext {
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

    /// Returns the reason why the plan refuses the remote called `name`.
    pub(super) fn refusal_of(&self, name: &str, remotes: &Remotes) -> Option<Failure> {
        refusal(&self.plan, name, |reported| self.change(reported, remotes))
    }

    /// Returns the change of a manifest's line by which a plan would no longer report `reported`.
    pub(super) fn change(&self, reported: &Diagnostic, remotes: &Remotes) -> Option<Change> {
        change(&self.plan, &self.config, remotes, reported)
    }

    /// Returns a remote as a consumer of shared crates, and the atoms that it is not granted.
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

    /// Records that the remote called `name` uses the copies that `plan` assigns to it.
    pub(super) fn commit(&mut self, plan: &Plan, name: &str, used: Vec<(ShareKey, Module)>) {
        self.in_use.extend(used);
        for known in plan.assignments_of(name) {
            self.remember(plan, known);
        }
        self.live.bind_assigned(plan, name);
    }

    /// Records the reason for the choice of a copy, before the copy is in use.
    pub(super) fn remember(&mut self, plan: &Plan, known: &Assignment) {
        if !known.live
            && let Some(why) = plan.explain(&known.scope, &known.key, &known.consumer)
            && let Some(won) = why.candidates.into_iter().find(|candidate| candidate.chosen)
        {
            self.reasons.insert(known.offer(), won.reason);
        }
    }

    /// Lists the users of copies of the participant called `name`; without users, releases its copies, which must
    /// happen before its library is unloaded.
    pub(super) fn release_if_unused(&mut self, name: &str) -> Vec<String> {
        let users: Vec<_> =
            self.live.users_of(name).map(|user| format!("{} ({})", user.participant, user.key)).collect();
        if users.is_empty() {
            self.in_use.retain(|slot, _| *slot.participant != *name);
        }
        users
    }

    /// Records that the remote called `name` no longer uses any copy.
    pub(super) fn release(&mut self, name: &str) {
        self.live.release(name);
    }

    /// Admits excluded offers of the remote called `name` again.
    pub(super) fn readmit(&mut self, name: &str) {
        self.excluded.retain(|slot| *slot.participant != *name);
    }

    /// Requests a plan without an unusable copy; returns the failure if the consumer itself is at fault.
    pub(super) fn exclude(&mut self, unusable: Unusable) -> Option<(String, SharedFailure)> {
        let Unusable { fault, failure } = unusable;
        tracing::error!(code = failure.code.as_str(), "{}", failure.line());
        let failure = Arc::new(failure);
        self.invalidate();
        match fault {
            AtFault::Offer(slot) => {
                self.excluded.insert(slot);
                self.problems.push(failure);
                None
            }
            AtFault::Consumer(name) => Some((name, failure)),
        }
    }

    /// Excludes the offers that could not be bound; returns the consumers to start again, which are not at fault.
    pub(super) fn take_bad_offers(&mut self) -> Vec<String> {
        let mut consumers = Vec::new();
        while let Ok(BadOffer { consumer, offer, failure }) = self.bad_offers.1.try_recv() {
            if consumer != offer.participant {
                consumers.push(consumer.to_string());
            }
            if !self.excluded.contains(&offer) {
                self.exclude(Unusable { fault: AtFault::Offer(offer), failure });
            }
        }
        consumers
    }

    /// Returns the offers of the remote called `name` that other remotes wait for.
    pub(super) fn awaited_of(&self, name: &str) -> Vec<ShareKey> {
        let waits = |known: &&Assignment| *known.provider == *name && !known.is_own_copy() && !known.live;
        self.plan.assignments().iter().filter(waits).map(Assignment::offer).collect()
    }

    /// Requests a plan without offers of `remote`, which does not load; `slow` is the reason if it still tries.
    pub(super) fn give_up(&mut self, remote: &str, offers: Vec<ShareKey>, slow: Option<Failure>) {
        if let Some(failure) = slow {
            tracing::warn!(remote, code = failure.code.as_str(), "{}", failure.line());
            self.problems.push(Arc::new(failure));
        }
        self.excluded.extend(offers);
        self.invalidate();
    }

    /// Releases everything that may belong to a remote.
    pub(super) fn uninstall(&mut self) {
        self.host.uninstall();
    }

    /// Returns the names of participants whose copies other participants use.
    pub(super) fn providers_in_use(&self) -> BTreeSet<String> {
        let borrowed = self.live.bindings().filter(|(slot, copy)| *slot.participant != *copy.provider);
        borrowed.map(|(_, copy)| copy.provider.to_string()).collect()
    }
}

/// The reason why a participant cannot use the copy that the plan assigns to it.
pub(super) struct Unusable {
    pub(super) fault: AtFault,
    pub(super) failure: Failure,
}

/// The participant at fault.
pub(super) enum AtFault {
    /// The copy contradicts its manifest.
    Offer(ShareKey),
    /// The remote with this name contradicts its manifest.
    Consumer(String),
}

/// A copy that could not be bound for a consumer, on the consumer's thread.
pub(super) struct BadOffer {
    pub(super) consumer: Arc<str>,
    pub(super) offer: ShareKey,
    pub(super) failure: Failure,
}

fn plan(config: &Config, remotes: &[Participant], live: &Live, excluded: &BTreeSet<ShareKey>) -> Plan {
    let (host, providers) = (Participant::host(&config.host), Providers::of(&config.host, host::LINKED));
    let request = PlanRequest::new(&host, remotes, config.host.share_strategy);
    resolver::resolve(&PlanRequest { live, excluded, providers: &providers, ..request })
}

fn change(plan: &Plan, config: &Config, remotes: &Remotes, reported: &Diagnostic) -> Option<Change> {
    let edit = reported.fix()?;
    let origin: &Origin = if *edit.participant == *plan.host() {
        &config.origin
    } else {
        let of = |remote: &&ManagedRemote| {
            remote.manifest().is_some_and(|manifest| manifest.name == *edit.participant)
        };
        remotes.values().filter(of).find_map(ManagedRemote::origin)?
    };
    Some(Change::new(edit, origin))
}
