//! The federation as a whole: who is admitted, by refusing and letting in again until it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plugin_api::manifest::ShareStrategy;

use super::diagnostic::Diagnostic;
use super::group::{Gets, Group};
use super::{Request, build};

/// The participants, their groups, and who of them is admitted.
#[derive(Debug, Clone)]
pub(super) struct Federation {
    pub(super) strategy: ShareStrategy,
    /// By name, each once.
    pub(super) names: Vec<Arc<str>>,
    pub(super) loaded: Vec<bool>,
    pub(super) host: usize,
    /// By scope, then key.
    pub(super) groups: Vec<Group>,
    /// The (group, demand) pairs of each participant, by scope, then key.
    pub(super) places: Vec<Vec<(usize, usize)>>,
    pub(super) admitted: Vec<bool>,
    /// Why each refused participant is refused.
    pub(super) causes: BTreeMap<usize, Vec<Diagnostic>>,
    /// Names that several remotes have, or a remote and the host.
    pub(super) duplicates: BTreeSet<Arc<str>>,
}

impl Federation {
    /// The federation of `request` when everybody is admitted who can be.
    pub(super) fn settled(request: &Request<'_>) -> Self {
        let mut federation = build::federation(request);
        federation.admitted.fill(true);
        federation.groups.iter_mut().for_each(Group::admit_all);
        federation.withdraw_until_nobody_is_refused();
        federation.let_in_again();
        federation
    }

    fn admit(&mut self, participant: usize, admitted: bool) {
        self.admitted[participant] = admitted;
        for &(group, demand) in &self.places[participant] {
            self.groups[group].admit(demand, admitted);
        }
    }

    /// Only groups that somebody left can change, so only those are decided again.
    fn withdraw_until_nobody_is_refused(&mut self) {
        let mut changed: BTreeSet<usize> = (0..self.groups.len()).collect();
        while !changed.is_empty() {
            let mut refused: BTreeMap<usize, Vec<Diagnostic>> = BTreeMap::new();
            for &at in &changed {
                let group = &self.groups[at];
                for demand in group.refusals() {
                    let cause = self.cause(group, demand);
                    refused.entry(group.demands[demand].participant).or_default().push(cause);
                }
            }
            changed.clear();
            for (participant, causes) in refused {
                self.admit(participant, false);
                changed.extend(self.places[participant].iter().map(|(group, _)| group));
                self.causes.insert(participant, causes);
            }
        }
    }

    /// Each refused participant, by name, is admitted if the plan with it refuses nobody.
    fn let_in_again(&mut self) {
        let refused: Vec<usize> = self.causes.keys().copied().collect();
        for participant in refused {
            let unserved = self.host_unserved(participant);
            self.admit(participant, true);
            let causes = self.causes_against(participant, &unserved);
            if causes.is_empty() {
                self.causes.remove(&participant);
            } else {
                self.admit(participant, false);
                self.causes.insert(participant, causes);
            }
        }
    }

    /// Why `participant`, who is admitted on trial, cannot stay: its own unmet demands, or the
    /// first demand of another that it would leave unmet. `unserved` is [`Self::host_unserved`] without it.
    fn causes_against(&self, participant: usize, unserved: &[usize]) -> Vec<Diagnostic> {
        let mut own = Vec::new();
        let mut victim = None;
        for &(at, demand) in &self.places[participant] {
            let group = &self.groups[at];
            let mut refusals = group.refusals().peekable();
            if refusals.peek().is_none() {
                continue;
            }
            if matches!(group.gets(demand, group.winner()), Gets::Offer { .. }) {
                victim = victim.or_else(|| refusals.next().map(|other| (group, other)));
            } else {
                own.push(self.cause(group, demand));
            }
        }
        if own.is_empty() && victim.is_none() {
            // The host is not refused, but nobody is let in at its expense either.
            let newly = self.host_unserved(participant).into_iter().find(|at| !unserved.contains(at));
            let group = newly.map(|at| &self.groups[at]);
            victim = group.and_then(|group| Some((group, group.host_demand()?)));
        }
        own.extend(
            victim.filter(|_| own.is_empty()).map(|(group, demand)| self.conflict(participant, group, demand)),
        );
        own
    }

    /// Those of the groups of `participant` in which the host's demand is not met.
    fn host_unserved(&self, participant: usize) -> Vec<usize> {
        let groups = self.places[participant].iter().map(|(group, _)| *group);
        groups.filter(|&at| !serves_host(&self.groups[at])).collect()
    }

    pub(super) fn cause(&self, group: &Group, demand: usize) -> Diagnostic {
        Diagnostic::unmet(group, demand, self.names[group.demands[demand].participant].clone(), self.host)
    }

    fn conflict(&self, participant: usize, group: &Group, victim: usize) -> Diagnostic {
        let names = [participant, group.demands[victim].participant].map(|who| self.names[who].clone());
        Diagnostic::conflict(group, victim, names)
    }

    pub(super) fn group(&self, scope: &str, key: &str) -> Option<&Group> {
        let at = self.groups.binary_search_by(|group| (&*group.scope, &*group.key).cmp(&(scope, key))).ok()?;
        Some(&self.groups[at])
    }

    pub(super) fn participant(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|known| (**known).cmp(name)).ok()
    }
}

fn serves_host(group: &Group) -> bool {
    group.host_demand().is_none_or(|host| matches!(group.gets(host, group.winner()), Gets::Offer { .. }))
}
