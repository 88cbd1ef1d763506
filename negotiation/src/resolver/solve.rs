//! The solver of the federation: withdraws and admits participants until the plan is stable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Providers;
use super::diagnostic::Diagnostic;
use super::group::Group;
use crate::manifest::{ShareStrategy, near_misses};

/// The participants, their groups, and the admitted ones among them.
#[derive(Debug, Clone)]
pub(super) struct Solver {
    pub(super) strategy: ShareStrategy,
    /// By name, each once.
    pub(super) names: Vec<Arc<str>>,
    pub(super) loaded: Vec<bool>,
    pub(super) host: usize,
    pub(super) providers: Providers,
    /// By scope, then key.
    pub(super) groups: Vec<Group>,
    /// The (group, demand) pairs of each participant, by scope, then key.
    pub(super) places: Vec<Vec<(usize, usize)>>,
    pub(super) admitted: Vec<bool>,
    /// The causes of each refusal, by participant.
    pub(super) causes: BTreeMap<usize, Vec<Diagnostic>>,
    /// Names of several remotes, or of a remote and the host.
    pub(super) duplicates: BTreeSet<Arc<str>>,
    /// Names of remotes that are reserved for the host.
    pub(super) reserved: BTreeSet<Arc<str>>,
}

impl Solver {
    /// Refuses the participants that cannot be admitted, and no others.
    pub(super) fn settled(mut self) -> Self {
        let refused = self.withdraw_until_none_is_refused();
        self.admit_again(refused);
        self
    }

    fn admit(&mut self, participant: usize, admitted: bool) {
        self.admitted[participant] = admitted;
        for &(group, demand) in &self.places[participant] {
            self.groups[group].admit(demand, admitted);
        }
    }

    /// Withdraws refused participants until no participant is refused; returns the withdrawn ones.
    ///
    /// Only a group that a participant left can change, so only such groups are decided again.
    fn withdraw_until_none_is_refused(&mut self) -> BTreeSet<usize> {
        let mut withdrawn = BTreeSet::new();
        let mut changed: BTreeSet<usize> = (0..self.groups.len()).collect();
        while !changed.is_empty() {
            let refused: BTreeSet<usize> = changed
                .iter()
                .map(|&at| &self.groups[at])
                .flat_map(|group| group.refusals().map(|demand| group.demands[demand].participant))
                .collect();
            changed.clear();
            for &participant in &refused {
                self.admit(participant, false);
                changed.extend(self.places[participant].iter().map(|(group, _)| group));
            }
            withdrawn.extend(refused);
        }
        withdrawn
    }

    /// Admits each refused participant, by name, if the plan with it refuses no participant.
    fn admit_again(&mut self, refused: BTreeSet<usize>) {
        let mut host_is_served: Vec<bool> = self.groups.iter().map(serves_host).collect();
        for participant in refused {
            self.admit(participant, true);
            let causes = self.causes_against(participant, &host_is_served);
            if causes.is_empty() {
                for &(group, _) in &self.places[participant] {
                    host_is_served[group] = serves_host(&self.groups[group]);
                }
            } else {
                self.admit(participant, false);
                self.causes.insert(participant, causes);
            }
        }
    }

    /// Returns the reasons why `participant`, admitted on trial, cannot stay: its own unmet demands, or the first
    /// demand of another that it would leave unmet.
    ///
    /// The host is never refused, but no remote is admitted at its expense: `host_is_served` holds, by group, whether
    /// the host's demand was met before.
    fn causes_against(&self, participant: usize, host_is_served: &[bool]) -> Vec<Diagnostic> {
        let places = || self.places[participant].iter().map(|&(at, demand)| (&self.groups[at], at, demand));
        let unmet = places().filter(|(group, _, demand)| !group.is_met(*demand));
        let own: Vec<_> = unmet.map(|(group, _, demand)| self.cause(group, demand)).collect();
        if !own.is_empty() {
            return own;
        }
        let other = places().find_map(|(group, ..)| Some((group, group.refusals().next()?)));
        let displaced = other.or_else(|| {
            let mut displaced = places().filter(|(group, at, _)| host_is_served[*at] && !serves_host(group));
            displaced.find_map(|(group, ..)| Some((group, group.host_demand()?)))
        });
        displaced.map(|(group, demand)| self.conflict(participant, group, demand)).into_iter().collect()
    }

    pub(super) fn cause(&self, group: &Group, demand: usize) -> Diagnostic {
        let name = self.names[group.demands[demand].participant].clone();
        Diagnostic::unmet(group, demand, name, self.host)
            .granting(&self.names[self.host], &self.providers)
            .meaning(|| self.meant(group))
    }

    /// Returns the most similar key that a participant offers in the scope of `group`.
    fn meant(&self, group: &Group) -> Option<Arc<str>> {
        let similar = group.similar.get_or_init(|| {
            let is_other = |other: &Group| other.scope == group.scope && other.key != group.key;
            let others: Vec<usize> = (0..self.groups.len()).filter(|&at| is_other(&self.groups[at])).collect();
            let keys: Vec<&str> = others.iter().map(|&at| &*self.groups[at].key).collect();
            near_misses(&group.key, &keys).into_iter().map(|found| others[found]).collect()
        });
        let offered = similar.iter().map(|&at| &self.groups[at]).find(|other| other.available() > 0);
        offered.map(|other| other.key.clone())
    }

    fn conflict(&self, participant: usize, group: &Group, displaced: usize) -> Diagnostic {
        let names = [participant, group.demands[displaced].participant].map(|at| self.names[at].clone());
        Diagnostic::conflict(group, displaced, names)
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
    group.host_demand().is_none_or(|host| group.is_met(host))
}
