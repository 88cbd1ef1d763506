//! Pointing participants at the copies of shared crates that the plan gives them.
//!
//! Versions say what is promised, layouts say what is true: a copy whose interface contradicts its version is not
//! used, and the plan is made again without it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use plugin_api::{
    manifest::near_miss,
    shared::{Consumer, InstallError, notify_fn},
};

use super::{
    Federation, LOAD_LIMIT, Module,
    remote::{Bind, Remote, State},
    resolver::{Assignment, Plan, Slot},
};
use crate::{
    failure::{Failure, Stage},
    text,
};

/// Why a participant cannot be pointed at the copy that the plan gives it.
pub(super) struct Unusable {
    fault: Fault,
    failure: Failure,
}

/// A copy that could not be bound for a consumer, on the consumer's thread.
pub(super) struct BadOffer {
    consumer: Arc<str>,
    offer: Slot,
    failure: Failure,
}

pub(super) enum Fault {
    /// The copy is not what its manifest says.
    Offer(Slot),
    /// The remote of this name is not what its manifest says.
    Consumer(String),
}

impl Unusable {
    /// What is told of it.
    pub(super) fn into_failure(self) -> Failure {
        self.failure
    }
}

impl Federation {
    /// How to make one interface for each shared crate that `plan` gives to a remote in whose image `linked` is, and
    /// the copies that it then uses; `None` while a provider is not loaded yet.
    #[expect(clippy::type_complexity, reason = "a list, and what is to be noted once it is used")]
    pub(super) fn scope_for(
        &mut self,
        plan: &Plan,
        consumer: &Consumer,
        linked: &Arc<[Module]>,
    ) -> Result<Option<(Vec<Bind>, Vec<(Slot, Module)>)>, Unusable> {
        let mut scope: Vec<Bind> = Vec::new();
        let mut used = Vec::new();
        for assignment in plan.assignments_of(&consumer.name).to_vec() {
            let expected = linked.iter().find(|module| module.key == *assignment.key);
            let own = assignment.is_own_copy().then_some(linked);
            let Some(module) = self.provided(&assignment, expected, own)? else { return Ok(None) };
            let consumer = Consumer { isolated: !assignment.singleton, ..consumer.clone() };
            used.push((assignment.offer(), module.clone()));
            let (offer, reports) = (assignment.offer(), self.reports.0.clone());
            scope.push(Box::new(move || {
                module.bind(&offer.participant, consumer).inspect_err(|failure| {
                    let report = BadOffer { consumer: assignment.consumer, offer, failure: failure.clone() };
                    // A shell that ends listens no more.
                    let _ = reports.send(report);
                })
            }));
        }
        Ok(Some((scope, used)))
    }

    /// Plans without the copies that could not be bound, and starts their consumers again: the fault is not theirs.
    pub(super) fn take_bad_offers(&mut self) {
        let reports: Vec<BadOffer> = self.reports.1.try_iter().collect();
        for BadOffer { consumer, offer, failure } in reports {
            let own = consumer == offer.participant;
            if !self.excluded.contains(&offer) {
                self.plan_without(Unusable { fault: Fault::Offer(offer), failure });
            }
            // One that is active runs; a generation that was to replace it has failed.
            let starts = |alias: &String| {
                let running = self.entries.get(alias).and_then(|entry| entry.running.as_ref());
                running.is_some_and(|remote| !matches!(remote.state(), State::Active))
            };
            if let Some(alias) = self.alias_of(&consumer).filter(|alias| !own && starts(alias)) {
                self.retry(&alias);
            }
        }
    }

    /// Points the host at the copies that the plan gives it.
    pub(super) fn bind_host(&mut self) {
        for own in self.host.unbound() {
            if let Err(unusable) = self.bind_host_to(own) {
                return self.plan_without(unusable);
            }
        }
    }

    fn bind_host_to(&mut self, own: Module) -> Result<(), Unusable> {
        let (host, own_key) = (self.plan.host().to_owned(), own.key.clone());
        let assignment = self.plan.assignments_of(&host).iter().find(|known| *known.key == own.key).cloned();
        let module = match &assignment {
            Some(assignment) => match self.provided(assignment, Some(&own), None)? {
                Some(module) => module,
                None => return Ok(()),
            },
            // Without an entry of its own the host still has its copy.
            None => own,
        };
        let (key, kept) = (own_key, module.clone());
        let wake = Arc::clone(&self.wake);
        let consumer = Consumer {
            name: host.as_str().into(),
            grants: Vec::new().into(),
            all: true,
            isolated: assignment.as_ref().is_some_and(|known| !known.singleton),
            notify: notify_fn(move || wake(Duration::ZERO)),
        };
        let provider = assignment.as_ref().map_or(&*host, |known| &*known.provider);
        let installed = module.bind(provider, consumer).and_then(|bound| {
            let unusable = |error: InstallError| Failure::new(Stage::Init, error.code(), error);
            self.host.install(&key, bound).map_err(unusable)
        });
        match (installed, assignment) {
            (Ok(()), Some(known)) => {
                self.in_use.insert(known.offer(), kept);
                self.remember(&known);
                self.live.bind(known.slot(), &known.provider, known.version);
            }
            (Ok(()), None) => {}
            (Err(failure), Some(known)) => {
                return Err(Unusable { fault: Fault::Offer(known.offer()), failure });
            }
            // The host's own copy is the one that it was built with.
            (Err(failure), None) => self.problems.push(Arc::new(failure)),
        }
        Ok(())
    }

    /// Keeps why a copy was chosen, before it is in use.
    pub(super) fn remember(&mut self, known: &Assignment) {
        self.remember_from(&Arc::clone(&self.plan), known);
    }

    /// [`remember`](Self::remember) for a plan that is not in force yet.
    pub(super) fn remember_from(&mut self, plan: &Plan, known: &Assignment) {
        if !known.live
            && let Some(why) = plan.explain(&known.scope, &known.key, &known.consumer)
            && let Some(won) = why.candidates.into_iter().find(|candidate| candidate.won)
        {
            self.reasons.insert(known.offer(), won.reason);
        }
    }

    /// The copy that `assignment` speaks of, for an image that was built with `expected`; `None` while its
    /// library is not loaded yet.
    fn provided(
        &mut self,
        assignment: &Assignment,
        expected: Option<&Module>,
        own: Option<&Arc<[Module]>>,
    ) -> Result<Option<Module>, Unusable> {
        let Assignment { consumer, provider, key, version, .. } = assignment;
        let kept = self.in_use.get(&assignment.offer()).filter(|_| assignment.live).cloned();
        let modules = match kept {
            Some(module) => Arc::new([module]),
            None => match own.cloned().or_else(|| self.modules_of(provider)) {
                Some(modules) => modules,
                None => return Ok(None),
            },
        };
        let offered = modules.iter().find(|module| module.key == **key);
        let stated = version.to_string();
        let Some(module) = offered.filter(|module| module.version == stated) else {
            let text = if let Some(Module { version: built, .. }) = offered {
                let built = text::line(built, 80);
                format!(
                    "`{provider}` offers `{key}` {version} in its manifest, and its build has {built}; rebuild it, or \
                     correct the manifest"
                )
            } else {
                let known: Vec<&str> = modules.iter().map(|module| module.key.as_str()).collect();
                let meant = near_miss(key, &known).map(|meant| format!(" (did you mean `{meant}`?)"));
                format!(
                    "`{provider}` offers `{key}` in its manifest, and its build has no such crate{}; add it to \
                     `export!` or take it out of the manifest",
                    meant.unwrap_or_default()
                )
            };
            let failure = Failure::new(Stage::Init, "shared-missing", text);
            return Err(Unusable { fault: Fault::Offer(assignment.offer()), failure });
        };
        let Some(expected) = expected else { return Ok(Some(module.clone())) };
        let Err(difference) = expected.can_use(module) else { return Ok(Some(module.clone())) };
        let module = module.clone();
        let at_fault = if self.is_taken_for_good(assignment, &module, expected) {
            Fault::Consumer(consumer.to_string())
        } else {
            Fault::Offer(assignment.offer())
        };
        let text = match &at_fault {
            Fault::Offer(_) => format!(
                "`{provider}` offers `{key}` {version}, whose interface is not the one that `{consumer}` was built \
                 with, although the versions agree: {difference}; rebuild `{provider}` with the true `{key}` \
                 {version}, or give its copy a new major version"
            ),
            Fault::Consumer(_) => format!(
                "`{consumer}` was built with another interface of `{key}` than that of {version} of `{provider}`, \
                 which the others use: {difference}; rebuild `{consumer}` with a `{key}` that is compatible with \
                 {version}"
            ),
        };
        Err(Unusable { fault: at_fault, failure: Failure::new(Stage::Init, "shared-layout", text) })
    }

    /// Whether of two layouts that contradict each other the provider's is right.
    ///
    /// Two layouts alone do not tell who keeps what the versions promise. The host knows what it was built with,
    /// a copy that works for others is good, and so is one that never promised to fit; otherwise the images that
    /// are loaded and link the crate too are asked whom they agree with.
    fn is_taken_for_good(&mut self, assignment: &Assignment, provided: &Module, expected: &Module) -> bool {
        let Assignment { consumer, provider, key, scope, .. } = assignment;
        let host = self.plan.host();
        if **consumer == *host || **provider == *host {
            return **provider == *host;
        }
        let in_use = self.live.users_of(provider).any(|user| user.key == *key && user.scope == *scope);
        if in_use || !assignment.satisfied || self.excluded.contains(&Slot::new(consumer, scope, key)) {
            return true;
        }
        let mut witnesses: Vec<Module> = self.host.modules().to_vec();
        for entry in self.entries.values_mut() {
            let name = entry.manifest().map(|manifest| manifest.name.clone());
            if name.is_some_and(|name| name != **consumer && name != **provider)
                && let Some(modules) = entry.running.as_mut().and_then(Remote::offers)
            {
                witnesses.extend(modules.iter().cloned());
            }
        }
        witnesses.retain(|witness| witness.key == **key);
        let agree = |with: &Module| witnesses.iter().filter(|witness| witness.can_use(with).is_ok()).count();
        agree(provided) > agree(expected)
    }

    /// The shared crates in the image of `participant`; `None` while it is not loaded.
    fn modules_of(&mut self, participant: &str) -> Option<Arc<[Module]>> {
        if *participant == *self.plan.host() {
            return Some(Arc::clone(self.host.modules()));
        }
        let alias = self.alias_of(participant)?;
        self.entries.get_mut(&alias)?.running.as_mut()?.offers().cloned()
    }

    /// What a remote offers that has failed, or takes too long, is not to be had: the others go on without.
    pub(super) fn plan_without_those_who_do_not_load(&mut self) {
        let mut gone = Vec::new();
        for entry in self.entries.values().filter(|entry| !entry.initialised) {
            let (Some(manifest), Some(running)) = (entry.manifest(), &entry.running) else { continue };
            let slow = match running.state() {
                State::Failed(_) => false,
                State::Loading if entry.since.is_some_and(|since| since.elapsed() >= LOAD_LIMIT) => true,
                _ => continue,
            };
            let waits =
                |known: &&Assignment| *known.provider == *manifest.name && !known.is_own_copy() && !known.live;
            let awaited: BTreeSet<Slot> =
                self.plan.assignments().iter().filter(waits).map(Assignment::offer).collect();
            if !awaited.is_empty() {
                gone.push((manifest.name.clone(), slow, awaited));
            }
        }
        if gone.is_empty() {
            return;
        }
        for (name, slow, awaited) in gone {
            if slow {
                let text = format!(
                    "`{name}` has been loading for {LOAD_LIMIT:?}, and others wait for its copies of shared crates, \
                     so they go on without; ask its author what it does while it is loaded, and press Retry"
                );
                tracing::warn!(remote = name, code = "provider-slow", "{text}");
                self.problems.push(Arc::new(Failure::new(Stage::Load, "provider-slow", text)));
            }
            self.excluded.extend(awaited);
        }
        self.replan();
    }

    /// Goes on without a copy that cannot be used, or without a remote that cannot use what it is given.
    pub(super) fn plan_without(&mut self, unusable: Unusable) {
        let Unusable { fault, failure } = unusable;
        tracing::error!(code = failure.code, "{}", failure.message);
        let failure = Arc::new(failure);
        match fault {
            Fault::Offer(slot) => {
                self.excluded.insert(slot);
                self.problems.push(failure);
            }
            Fault::Consumer(name) => {
                if let Some(alias) = self.alias_of(&name)
                    && let Some(entry) = self.entries.get_mut(&alias)
                {
                    entry.unbound = Some(failure);
                    // Dropped, it ends.
                    entry.running = None;
                }
            }
        }
        self.replan();
    }
}
