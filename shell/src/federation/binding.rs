//! Binding of participants to the copies of shared crates that a plan assigns to them.
//!
//! Versions are promises, layouts are facts: a copy whose interface contradicts its version is not used, and the next
//! plan is made without it.

use std::{sync::Arc, time::Duration};

use negotiation::manifest::near_miss;
use negotiation::resolver::{Assignment, Plan, ShareKey};
use negotiation::text;
use plugin_api::shared::{Consumer, InstallError, notify_fn};

use super::{
    ManagedRemote,
    negotiator::{AtFault, BadOffer, Negotiator, Remotes, Unusable},
};
use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
    placement::{Bind, Module},
};

/// Interfaces for one remote.
pub(super) struct Scope {
    /// Functions that make the interface for each shared crate.
    pub(super) binds: Vec<Bind>,
    /// Copies that the remote then uses.
    pub(super) used: Vec<(ShareKey, Module)>,
}

/// Finds the copies that `plan` assigns among the loaded libraries.
pub(super) struct Binder<'a> {
    pub(super) negotiator: &'a Negotiator,
    pub(super) plan: &'a Plan,
    pub(super) remotes: &'a Remotes,
}

impl Binder<'_> {
    /// Returns the share scope of `consumer`, whose image links `linked`; `None` while a provider is not loaded yet.
    ///
    /// # Errors
    /// Fails if a copy, or the consumer, contradicts its manifest.
    pub(super) fn scope_for(
        &self,
        consumer: &Consumer,
        linked: &Arc<[Module]>,
    ) -> Result<Option<Scope>, Unusable> {
        let mut scope = Scope { binds: Vec::new(), used: Vec::new() };
        for assignment in self.plan.assignments_of(&consumer.name).iter().cloned() {
            let expected = linked.iter().find(|module| module.key == *assignment.key);
            let own = assignment.is_own_copy().then_some(linked);
            let Some(module) = self.provided(&assignment, expected, own)? else { return Ok(None) };
            let consumer = Consumer { isolated: !assignment.singleton, ..consumer.clone() };
            scope.used.push((assignment.offer(), module.clone()));
            let (offer, reports) = (assignment.offer(), self.negotiator.bad_offers.0.clone());
            scope.binds.push(Box::new(move || {
                module.bind(&offer.participant, consumer).inspect_err(|failure| {
                    let report = BadOffer { consumer: assignment.consumer, offer, failure: failure.clone() };
                    // The shell may have ended.
                    let _ = reports.send(report);
                })
            }));
        }
        Ok(Some(scope))
    }

    /// Returns the copy that `assignment` names, for an image built with `expected`; `None` while its library is not
    /// loaded yet.
    fn provided(
        &self,
        assignment: &Assignment,
        expected: Option<&Module>,
        own: Option<&Arc<[Module]>>,
    ) -> Result<Option<Module>, Unusable> {
        let Assignment { consumer, provider, key, version, .. } = assignment;
        let kept = self.negotiator.in_use.get(&assignment.offer()).filter(|_| assignment.live).cloned();
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
            let (text, advice) = if let Some(Module { version: built, .. }) = offered {
                let built = text::line(built, 80);
                let text =
                    format!("`{provider}` offers `{key}` {version} in its manifest, but its build has {built}");
                (text, "rebuild it, or correct the manifest".to_owned())
            } else {
                let known: Vec<&str> = modules.iter().map(|module| module.key.as_str()).collect();
                let meant = near_miss(key, &known).map(|meant| format!(" (did you mean `{meant}`?)"));
                let text =
                    format!("`{provider}` offers `{key}` in its manifest, but its build has no such crate");
                let meant = meant.unwrap_or_default();
                (text, format!("add it to `export!` or remove it from the manifest{meant}"))
            };
            let failure = Failure::new(Stage::Init, Code::SharedMissing, text, advice);
            return Err(Unusable { fault: AtFault::Offer(assignment.offer()), failure });
        };
        let Some(expected) = expected else { return Ok(Some(module.clone())) };
        let Err(difference) = expected.can_use(module) else { return Ok(Some(module.clone())) };
        let at_fault = if self.provider_is_right(assignment, module, expected) {
            AtFault::Consumer(consumer.to_string())
        } else {
            AtFault::Offer(assignment.offer())
        };
        let (text, advice) = match &at_fault {
            AtFault::Offer(_) => (
                format!(
                    "`{provider}` offers `{key}` {version}, whose interface is not the one that `{consumer}` was \
                     built with, although the versions agree: {difference}"
                ),
                format!(
                    "rebuild `{provider}` with the original `{key}` {version}, or give its copy a new major version"
                ),
            ),
            AtFault::Consumer(_) => (
                format!(
                    "`{consumer}` was built with another interface of `{key}` than that of {version} of \
                     `{provider}`, which the others use: {difference}"
                ),
                format!("rebuild `{consumer}` with a `{key}` that is compatible with {version}"),
            ),
        };
        Err(Unusable { fault: at_fault, failure: Failure::new(Stage::Init, Code::SharedLayout, text, advice) })
    }

    /// Returns `true` if the provider's layout is right, of two that contradict each other.
    ///
    /// Two layouts alone do not show which side breaks the promise of its version. The host's own build is right, and
    /// so is a copy that already serves others or never promised to fit; otherwise the loaded images that link the
    /// crate too are compared with both, and the provider is right if more of them agree with it.
    fn provider_is_right(&self, assignment: &Assignment, provided: &Module, expected: &Module) -> bool {
        let Assignment { consumer, provider, key, scope, .. } = assignment;
        let Negotiator { host, live, excluded, .. } = self.negotiator;
        let host_name = self.plan.host();
        if **consumer == *host_name || **provider == *host_name {
            return **provider == *host_name;
        }
        let in_use = live.users_of(provider).any(|user| user.key == *key && user.scope == *scope);
        if in_use || !assignment.satisfied || excluded.contains(&ShareKey::new(consumer, scope, key)) {
            return true;
        }
        let mut witnesses: Vec<Module> = host.modules().to_vec();
        for remote in self.remotes.values() {
            let other = remote.manifest().is_some_and(|m| m.name != **consumer && m.name != **provider);
            let offers = remote.offers().filter(|_| other);
            witnesses.extend(offers.iter().flat_map(|modules| modules.iter().cloned()));
        }
        witnesses.retain(|witness| witness.key == **key);
        let agree = |with: &Module| witnesses.iter().filter(|witness| witness.can_use(with).is_ok()).count();
        agree(provided) > agree(expected)
    }

    /// Returns the shared crates in the image of `participant`; `None` while it is not loaded.
    fn modules_of(&self, participant: &str) -> Option<Arc<[Module]>> {
        if *participant == *self.plan.host() {
            return Some(Arc::clone(self.negotiator.host.modules()));
        }
        let is =
            |remote: &&ManagedRemote| remote.manifest().is_some_and(|manifest| manifest.name == participant);
        self.remotes.values().find(is)?.offers()
    }
}

impl Negotiator {
    /// Binds the host to the copies that the plan assigns to it, as far as their providers are loaded.
    ///
    /// # Errors
    /// Fails if a copy contradicts its manifest; the host tries again with the next plan.
    pub(super) fn bind_host(&mut self, remotes: &Remotes) -> Result<(), Unusable> {
        self.host.unbound().into_iter().try_for_each(|own| self.bind_host_to(own, remotes))
    }

    fn bind_host_to(&mut self, own: Module, remotes: &Remotes) -> Result<(), Unusable> {
        let plan = Arc::clone(&self.plan);
        let (host, key) = (plan.host(), own.key.clone());
        let assignment = plan.assignments_of(host).iter().find(|known| *known.key == key);
        let module = match assignment {
            Some(assignment) => {
                let binder = Binder { negotiator: self, plan: &plan, remotes };
                let Some(module) = binder.provided(assignment, Some(&own), None)? else { return Ok(()) };
                module
            }
            // The host uses its own copy even without an entry in its manifest.
            None => own,
        };
        let wake = Arc::clone(&self.wake);
        let consumer = Consumer {
            name: host.into(),
            grants: Vec::new().into(),
            all: true,
            isolated: assignment.is_some_and(|known| !known.singleton),
            notify: notify_fn(move || wake(Duration::ZERO)),
        };
        let provider = assignment.map_or(host, |known| &*known.provider);
        let installed = module.bind(provider, consumer).and_then(|bound| {
            let unusable = |error: InstallError| {
                // Summary and advice are one sentence, because the same error crosses the contract.
                Failure::new(Stage::Init, Code::from(&error), error.to_string(), "")
            };
            self.host.install(&key, bound).map_err(unusable)
        });
        match (installed, assignment) {
            (Ok(()), Some(known)) => {
                self.in_use.insert(known.offer(), module);
                self.remember(&plan, known);
                self.live.bind(known.slot(), &known.provider, known.version.clone());
            }
            (Ok(()), None) => {}
            (Err(failure), Some(known)) => {
                return Err(Unusable { fault: AtFault::Offer(known.offer()), failure });
            }
            // The host was built with its own copy, so no other plan can help.
            (Err(failure), None) => self.problems.push(Arc::new(failure)),
        }
        Ok(())
    }
}
