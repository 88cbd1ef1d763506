//! The plan: the copy that each consumer gets, the refusals, and the diagnostics.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::manifest::{Requirement, ShareStrategy};
use semver::Version;

use super::ShareKey;
use super::diagnostic::{Diagnostic, DiagnosticCode};
use super::group::{Barred, Gets, Group};
use super::solve::Solver;

/// The decision about every crate of every participant.
///
/// A plan is a value: planning loads nothing, and carrying the plan out does not change it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) solver: Solver,
    /// The remotes that are not loaded and provide copies to others.
    provides: BTreeSet<usize>,
    /// Created on first use: they make up most of a large plan's size.
    assignments: OnceLock<Vec<Assignment>>,
    refused: Vec<Refusal>,
    /// Created on first use: there may be as many as entries.
    diagnostics: OnceLock<Vec<Diagnostic>>,
}

/// The copy of a crate that a participant uses under the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Name of the participant that uses the copy.
    pub consumer: Arc<str>,
    /// The share scope.
    pub scope: Arc<str>,
    /// Name of the crate.
    pub key: Arc<str>,
    /// Name of the participant that brings the copy; the consumer itself for its own copy.
    pub provider: Arc<str>,
    /// Version of the copy.
    pub version: Version,
    /// The versions that the consumer accepts.
    pub required: Arc<Requirement>,
    /// Set if the crate is a singleton in this scope.
    pub singleton: bool,
    /// Set if the consumer accepts the version.
    pub satisfied: bool,
    /// Set if the copy is in use already; its provider may then be an earlier generation.
    pub live: bool,
}

impl Assignment {
    /// Returns `true` if the consumer uses its own copy.
    pub fn is_own_copy(&self) -> bool {
        self.provider == self.consumer
    }

    /// Returns the provider's key.
    pub fn offer(&self) -> ShareKey {
        ShareKey { participant: self.provider.clone(), ..self.slot() }
    }

    /// Returns the consumer's key.
    pub fn slot(&self) -> ShareKey {
        ShareKey { participant: self.consumer.clone(), scope: self.scope.clone(), key: self.key.clone() }
    }
}

/// A participant with a demand that cannot be met.
///
/// A refused remote is not loaded. The host is not refused in that sense: its entry reports an unmet demand of the
/// host, and the shell starts anyway.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Name of the participant.
    pub participant: Arc<str>,
    /// Every reason, the most important first; at least one.
    pub causes: Vec<Diagnostic>,
}

impl Refusal {
    /// Returns the most important reason.
    pub fn cause(&self) -> &Diagnostic {
        &self.causes[0]
    }
}

impl Plan {
    pub(super) fn of(solver: Solver) -> Self {
        let decided = decided(&solver);
        let refused = refusals(&solver);
        Self {
            provides: providers(&solver, &decided),
            solver,
            assignments: OnceLock::new(),
            refused,
            diagnostics: OnceLock::new(),
        }
    }

    /// Returns the name of the host.
    pub fn host(&self) -> &str {
        &self.solver.names[self.solver.host]
    }

    /// Returns the strategy that chose the providers.
    pub fn strategy(&self) -> ShareStrategy {
        self.solver.strategy
    }

    /// Returns the names of the admitted remotes, sorted.
    pub fn admitted(&self) -> impl Iterator<Item = &str> {
        let Solver { names, admitted, host, .. } = &self.solver;
        (0..names.len()).filter(move |at| admitted[*at] && at != host).map(|at| &*names[at])
    }

    /// Returns every assignment, by consumer, scope and key.
    pub fn assignments(&self) -> &[Assignment] {
        self.assignments.get_or_init(|| assigned(&self.solver))
    }

    /// Returns the assignments of one consumer, by scope and key.
    pub fn assignments_of(&self, consumer: &str) -> &[Assignment] {
        let all = self.assignments();
        let rest = &all[all.partition_point(|assignment| *assignment.consumer < *consumer)..];
        &rest[..rest.partition_point(|assignment| *assignment.consumer == *consumer)]
    }

    /// Returns the assignment of one crate to one consumer.
    pub fn assignment(&self, consumer: &str, scope: &str, key: &str) -> Option<&Assignment> {
        let of = self.assignments_of(consumer);
        let at = of.binary_search_by(|known| (&*known.scope, &*known.key).cmp(&(scope, key))).ok()?;
        Some(&of[at])
    }

    /// Returns the participants with unmet demands, by name, including the host.
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// Returns the refusal of `participant`, if it is refused.
    pub fn refusal(&self, participant: &str) -> Option<&Refusal> {
        let at = self.refused.binary_search_by(|known| (*known.participant).cmp(participant)).ok()?;
        Some(&self.refused[at])
    }

    /// Returns every diagnostic, by code, participant, scope and key.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        self.diagnostics.get_or_init(|| diagnostics(&self.solver, &self.refused))
    }

    /// Returns the remotes to load first, because other participants use their copies.
    ///
    /// A remote follows the remotes whose copies it uses itself, except within a circle, where names decide. Remotes
    /// that are loaded already are left out.
    pub fn bootstrap(&self) -> Vec<Arc<str>> {
        let Solver { names, .. } = &self.solver;
        let needed = |name: &Arc<str>| self.solver.participant(name).filter(|at| self.provides.contains(at));
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for &first in &self.provides {
            // Depth first without recursion: a remote follows the remotes that it uses.
            let mut stack = vec![(first, false)];
            while let Some((at, dependencies_done)) = stack.pop() {
                if dependencies_done {
                    order.push(names[at].clone());
                } else if seen.insert(at) {
                    stack.push((at, true));
                    let used = self.assignments_of(&names[at]).iter().filter(|known| !known.live);
                    let used: BTreeSet<usize> = used.filter_map(|known| needed(&known.provider)).collect();
                    stack.extend(used.into_iter().rev().map(|used| (used, false)));
                }
            }
        }
        order
    }

    /// Returns the plan as JSON: `assignments`, `refused` and `diagnostics`, each sorted by its leading fields.
    pub fn to_json(&self) -> serde_json::Value {
        let assignment = |known: &Assignment| {
            serde_json::json!({
                "consumer": &*known.consumer,
                "scope": &*known.scope,
                "key": &*known.key,
                "provider": &*known.provider,
                "version": known.version.to_string(),
                "singleton": known.singleton,
                "satisfied": known.satisfied,
            })
        };
        let refusal = |refusal: &Refusal| {
            let Diagnostic { code, scope, key, .. } = refusal.cause();
            serde_json::json!({
                "participant": &*refusal.participant,
                "code": code.as_str(),
                "scope": &**scope,
                "key": &**key,
            })
        };
        serde_json::json!({
            "assignments": self.assignments().iter().map(assignment).collect::<Vec<_>>(),
            "refused": self.refused.iter().map(refusal).collect::<Vec<_>>(),
            "diagnostics": self.diagnostics().iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        })
    }
}

fn assigned(solver: &Solver) -> Vec<Assignment> {
    let decided = decided(solver);
    let mut assignments = Vec::with_capacity(solver.places.iter().map(Vec::len).sum());
    for (participant, places) in solver.places.iter().enumerate() {
        for &(at, demand) in places {
            let group = &solver.groups[at];
            let (offer, satisfied) = match decided[at][demand] {
                Some(Gets::Offer { offer, satisfied }) => (offer, satisfied),
                // Only the host reaches this: it runs even with an unmet demand.
                Some(Gets::Mismatch { offer }) => (offer, false),
                Some(Gets::Nothing) | None => continue,
            };
            let copy = &group.offers[offer];
            assignments.push(Assignment {
                consumer: solver.names[participant].clone(),
                scope: group.scope.clone(),
                key: group.key.clone(),
                provider: copy.provider.clone(),
                version: copy.version.clone(),
                required: group.demands[demand].required.clone(),
                singleton: group.is_singleton(),
                satisfied,
                live: copy.live,
            });
        }
    }
    assignments
}

fn providers(solver: &Solver, decided: &[Vec<Option<Gets>>]) -> BTreeSet<usize> {
    let mut provides = vec![false; solver.names.len()];
    for (group, decided) in solver.groups.iter().zip(decided) {
        for (demand, gets) in group.demands.iter().zip(decided) {
            if let Some(Gets::Offer { offer, .. } | Gets::Mismatch { offer }) = gets
                && let Some(provider) = group.offers[*offer].participant
            {
                provides[provider] |= provider != demand.participant && !group.offers[*offer].live;
            }
        }
    }
    let to_load = |&at: &usize| provides[at] && at != solver.host && !solver.loaded[at];
    (0..provides.len()).filter(to_load).collect()
}

fn refusals(solver: &Solver) -> Vec<Refusal> {
    let mut refused: BTreeMap<Arc<str>, Vec<Diagnostic>> = BTreeMap::new();
    for (&participant, causes) in &solver.causes {
        refused.insert(solver.names[participant].clone(), causes.clone());
    }
    for name in &solver.duplicates {
        let host = *name == solver.names[solver.host];
        let diagnostic = Diagnostic::duplicate(name.clone(), host, free_name(solver, name));
        refused.entry(name.clone()).or_default().push(diagnostic);
    }
    for name in &solver.reserved {
        let free = free_name(solver, &format!("remote-{name}"));
        refused.entry(name.clone()).or_default().push(Diagnostic::reserved(name.clone(), free));
    }
    for &(at, demand) in &solver.places[solver.host] {
        let group = &solver.groups[at];
        if !matches!(group.gets(demand, group.winner()), Gets::Offer { .. }) {
            let name = solver.names[solver.host].clone();
            refused.entry(name).or_default().push(solver.cause(group, demand));
        }
    }
    refused.into_iter().map(|(participant, causes)| Refusal { participant, causes }).collect()
}

/// A name like `name` that no participant has.
fn free_name(solver: &Solver, name: &str) -> String {
    let Solver { duplicates, reserved, .. } = solver;
    let taken =
        |free: &str| solver.participant(free).is_some() || duplicates.contains(free) || reserved.contains(free);
    (2..usize::MAX).map(|number| format!("{name}{number}")).find(|free| !taken(free)).unwrap_or_default()
}

/// Returns every diagnostic, by code, participant, scope and key.
fn diagnostics(solver: &Solver, refused: &[Refusal]) -> Vec<Diagnostic> {
    let decided = decided(solver);
    let mut found: Vec<Diagnostic> = refused.iter().flat_map(|refusal| refusal.causes.clone()).collect();
    found.extend(separate_scopes(solver, &decided));
    found.extend(not_granted(solver, &decided));
    found.extend(similar(solver));
    found.sort_by(|a, b| {
        let place = |found: &Diagnostic| (found.code, found.participant.clone(), found.scope.clone());
        place(a).cmp(&place(b)).then_with(|| a.key.cmp(&b.key))
    });
    found.extend(remarks(solver, &decided));
    // Two sorted halves that have no code in common.
    found.sort_by_key(|found| found.code);
    found
}

fn decided(solver: &Solver) -> Vec<Vec<Option<Gets>>> {
    solver.groups.iter().map(Group::decided).collect()
}

/// Returns the diagnostics of tolerated mismatches and of copies and states that are not shared, by code,
/// participant, scope and key.
fn remarks(solver: &Solver, decided: &[Vec<Option<Gets>>]) -> impl Iterator<Item = Diagnostic> {
    let mut found: Vec<(usize, Diagnostic)> = Vec::new();
    for (group, decided) in solver.groups.iter().zip(decided) {
        let winner = if group.is_singleton() { group.winner() } else { None };
        let several = group.admitted().nth(1).is_some();
        let used: BTreeSet<usize> =
            decided.iter().flatten().filter_map(|gets| Some(offer_of(*gets)?.0)).collect();
        for (demand, gets) in decided.iter().enumerate() {
            let Some((offer, satisfied)) = gets.and_then(offer_of) else { continue };
            let at = group.demands[demand].participant;
            let participant = || solver.names[at].clone();
            let remark = match winner {
                Some(winner) if winner != offer => Diagnostic::bound(group, offer, winner, participant()),
                Some(_) if !satisfied => Diagnostic::mismatch(group, demand, offer, participant()),
                None if group.demands[demand].own == Some(offer) => {
                    let Some(&other) = used.iter().find(|other| **other != offer) else { continue };
                    Diagnostic::own_copy(group, demand, (offer, satisfied), other, participant())
                }
                None if several => Diagnostic::not_singleton(group, offer, participant()),
                _ => continue,
            };
            found.push((at, remark));
        }
    }
    // Participants are sorted by name and groups by scope and key; there may be as many remarks as entries.
    found.sort_by_cached_key(|(participant, found)| (found.code, *participant));
    found.into_iter().map(|(_, found)| found)
}

/// Returns the copy that is used, and `true` if it satisfies the demand.
fn offer_of(gets: Gets) -> Option<(usize, bool)> {
    if let Gets::Offer { offer, satisfied } = gets { Some((offer, satisfied)) } else { None }
}

/// Returns diagnostics of singletons that have copies in several scopes.
fn separate_scopes(solver: &Solver, decided: &[Vec<Option<Gets>>]) -> Vec<Diagnostic> {
    let mut scopes: BTreeMap<&Arc<str>, Vec<&Group>> = BTreeMap::new();
    for (group, decided) in solver.groups.iter().zip(decided) {
        if decided.iter().flatten().any(|gets| offer_of(*gets).is_some()) {
            scopes.entry(&group.key).or_default().push(group);
        }
    }
    let mut found = Vec::new();
    for groups in scopes.into_values().filter(|groups| groups.len() > 1) {
        for group in &groups {
            if let Some(declarer) = group.admitted().find(|demand| demand.singleton) {
                let others =
                    groups.iter().map(|other| other.scope.clone()).filter(|scope| *scope != group.scope);
                let name = solver.names[declarer.participant].clone();
                found.push(Diagnostic::separate_scopes(group, others.collect(), name));
            }
        }
    }
    found
}

/// Returns diagnostics of copies with a higher version than the one in use that their participants may not provide.
fn not_granted(solver: &Solver, decided: &[Vec<Option<Gets>>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (group, decided) in solver.groups.iter().zip(decided) {
        // Offers are sorted best first.
        let used = decided.iter().flatten().filter_map(|gets| Some(offer_of(*gets)?.0));
        let Some(best) = used.filter(|&offer| group.offers[offer].barred.is_none()).min() else { continue };
        for offer in &group.offers[..best] {
            if offer.barred == Some(Barred::NotGranted)
                && offer.admitted
                && offer.level != group.offers[best].level
                && let Some(participant) = offer.participant
            {
                let name = solver.names[participant].clone();
                let diagnostic = Diagnostic::not_granted(group, &offer.version, best, name);
                found.push(diagnostic.granting(&solver.names[solver.host], &solver.providers));
            }
        }
    }
    found
}

/// Returns diagnostics of crates in one scope whose names differ only in case and punctuation.
fn similar(solver: &Solver) -> Vec<Diagnostic> {
    let mut alike: BTreeMap<(&str, String), Vec<&Group>> = BTreeMap::new();
    for group in &solver.groups {
        alike.entry((&group.scope, plain(&group.key))).or_default().push(group);
    }
    let mut found = Vec::new();
    for groups in alike.into_values().filter(|groups| groups.len() > 1) {
        let rank = |group: &&&Group| (group.host_is_in(), group.admitted().count(), Reverse(group.key.clone()));
        let Some(meant) = groups.iter().max_by_key(rank) else { continue };
        for group in groups.iter().filter(|group| group.key != meant.key) {
            found.extend(group.admitted().map(|demand| {
                Diagnostic::similar(group, meant.key.clone(), solver.names[demand.participant].clone())
            }));
        }
    }
    found
}

/// Returns the letters and digits of a crate's name in lower case.
fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

impl Plan {
    /// Returns `true` if no remote is refused and the host's demands are met; a version outside a range that is not
    /// strict counts as met.
    pub fn is_compatible(&self) -> bool {
        self.refused.is_empty()
    }

    /// Returns `true` if the remote of this name is not admitted.
    pub fn is_refused(&self, remote: &str) -> bool {
        let left_out = |refusal: &Refusal| {
            remote != self.host()
                || refusal.causes.iter().any(|cause| cause.code == DiagnosticCode::DuplicateName)
        };
        self.refusal(remote).is_some_and(left_out)
    }
}
