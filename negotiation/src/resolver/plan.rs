//! The plan: who gets which copy, who is refused, and what there is to say about it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::manifest::{Requirement, ShareStrategy};
use semver::Version;

use super::Slot;
use super::diagnostic::{Code, Diagnostic};
use super::group::{Barred, Gets, Group};
use super::solve::Solver;

/// What was decided about every crate of every participant.
///
/// A plan is a value: nothing has been loaded for it, and carrying it out does not change it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) solver: Solver,
    /// The remotes that are not loaded and whose copies others are to use.
    provides: BTreeSet<usize>,
    /// Made when they are first asked for: most of a large plan's size.
    assignments: OnceLock<Vec<Assignment>>,
    refused: Vec<Refusal>,
    /// Made when they are asked for: there may be as many as entries.
    diagnostics: OnceLock<Vec<Diagnostic>>,
}

/// The copy of a crate that a participant is to use.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Name of the participant that uses the copy.
    pub consumer: Arc<str>,
    /// The share scope.
    pub scope: Arc<str>,
    /// Name of the crate.
    pub key: Arc<str>,
    /// Name of the participant whose copy it is; the consumer itself for its own.
    pub provider: Arc<str>,
    /// Version of the copy.
    pub version: Version,
    /// What the consumer asks for.
    pub required: Arc<Requirement>,
    /// Whether the crate is a singleton in this scope.
    pub singleton: bool,
    /// Whether the version is within what the consumer asks for.
    pub satisfied: bool,
    /// Whether the copy is in use already; its provider may then be an earlier generation.
    pub live: bool,
}

impl Assignment {
    /// Whether the consumer uses its own copy.
    pub fn is_own_copy(&self) -> bool {
        self.provider == self.consumer
    }

    /// The provider's side of it.
    pub fn offer(&self) -> Slot {
        Slot { participant: self.provider.clone(), ..self.slot() }
    }

    /// The consumer's side of it.
    pub fn slot(&self) -> Slot {
        Slot { participant: self.consumer.clone(), scope: self.scope.clone(), key: self.key.clone() }
    }
}

/// A participant that does not get what it cannot do without.
///
/// A refused remote is not loaded. A host is never refused in that sense: its entry says that
/// the solver does not hold, and the shell starts nevertheless.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Name of the participant.
    pub participant: Arc<str>,
    /// Every reason, the most important first; at least one.
    pub causes: Vec<Diagnostic>,
}

impl Refusal {
    /// The most important reason.
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

    /// Name of the host.
    pub fn host(&self) -> &str {
        &self.solver.names[self.solver.host]
    }

    /// How providers were chosen.
    pub fn strategy(&self) -> ShareStrategy {
        self.solver.strategy
    }

    /// Names of the remotes that take part, by name.
    pub fn admitted(&self) -> impl Iterator<Item = &str> {
        let Solver { names, admitted, host, .. } = &self.solver;
        (0..names.len()).filter(move |at| admitted[*at] && at != host).map(|at| &*names[at])
    }

    /// Every assignment, by consumer, scope and key.
    pub fn assignments(&self) -> &[Assignment] {
        self.assignments.get_or_init(|| assigned(&self.solver))
    }

    /// The assignments of one consumer, by scope and key.
    pub fn assignments_of(&self, consumer: &str) -> &[Assignment] {
        let all = self.assignments();
        let rest = &all[all.partition_point(|assignment| *assignment.consumer < *consumer)..];
        &rest[..rest.partition_point(|assignment| *assignment.consumer == *consumer)]
    }

    /// The assignment of one crate to one consumer.
    pub fn assignment(&self, consumer: &str, scope: &str, key: &str) -> Option<&Assignment> {
        let of = self.assignments_of(consumer);
        let at = of.binary_search_by(|known| (&*known.scope, &*known.key).cmp(&(scope, key))).ok()?;
        Some(&of[at])
    }

    /// Who does not get what it cannot do without, by name; the host too.
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// Why `participant` is refused, if it is.
    pub fn refusal(&self, participant: &str) -> Option<&Refusal> {
        let at = self.refused.binary_search_by(|known| (*known.participant).cmp(participant)).ok()?;
        Some(&self.refused[at])
    }

    /// Everything there is to say, by code, severity, participant, scope and key.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        self.diagnostics.get_or_init(|| diagnostics(&self.solver, &self.refused))
    }

    /// The remotes to load before any other, because somebody else uses a copy of theirs.
    ///
    /// A remote comes after those whose copies it uses itself, except within a circle, where
    /// names decide. Remotes that are loaded already are left out.
    pub fn bootstrap(&self) -> Vec<Arc<str>> {
        let Solver { names, .. } = &self.solver;
        let needed = |name: &Arc<str>| self.solver.participant(name).filter(|at| self.provides.contains(at));
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for &first in &self.provides {
            // Depth first without recursion: a remote is taken when those it uses have been.
            let mut stack = vec![(first, false)];
            while let Some((at, used_are_taken)) = stack.pop() {
                if used_are_taken {
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

    /// The plan as JSON: `assignments`, `refused` and `diagnostics`, each sorted by its leading fields.
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
                // Only the host comes here: it runs with what there is.
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

/// Everything there is to say, by code, participant, scope and key.
fn diagnostics(solver: &Solver, refused: &[Refusal]) -> Vec<Diagnostic> {
    let decided = decided(solver);
    let mut said: Vec<Diagnostic> = refused.iter().flat_map(|refusal| refusal.causes.clone()).collect();
    said.extend(walls(solver, &decided));
    said.extend(not_granted(solver, &decided));
    said.extend(similar(solver));
    said.sort_by(|a, b| {
        let place = |said: &Diagnostic| (said.code, said.participant.clone(), said.scope.clone());
        place(a).cmp(&place(b)).then_with(|| a.key.cmp(&b.key))
    });
    said.extend(remarks(solver, &decided));
    // Two sorted halves that have no code in common.
    said.sort_by_key(|said| said.code);
    said
}

fn decided(solver: &Solver) -> Vec<Vec<Option<Gets>>> {
    solver.groups.iter().map(Group::decided).collect()
}

/// What is not a refusal: mismatches that are tolerated, and copies and states that are not shared; by code,
/// participant, scope and key.
fn remarks(solver: &Solver, decided: &[Vec<Option<Gets>>]) -> impl Iterator<Item = Diagnostic> {
    let mut said: Vec<(usize, Diagnostic)> = Vec::new();
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
            said.push((at, remark));
        }
    }
    // Participants come by name and groups by scope and key, and there may be as many remarks as entries.
    said.sort_by_cached_key(|(participant, said)| (said.code, *participant));
    said.into_iter().map(|(_, said)| said)
}

/// The copy that is used, and whether it satisfies.
fn offer_of(gets: Gets) -> Option<(usize, bool)> {
    if let Gets::Offer { offer, satisfied } = gets { Some((offer, satisfied)) } else { None }
}

/// Crates that somebody wants one copy of, and that have copies in several scopes.
fn walls(solver: &Solver, decided: &[Vec<Option<Gets>>]) -> Vec<Diagnostic> {
    let mut scopes: BTreeMap<&Arc<str>, Vec<&Group>> = BTreeMap::new();
    for (group, decided) in solver.groups.iter().zip(decided) {
        if decided.iter().flatten().any(|gets| offer_of(*gets).is_some()) {
            scopes.entry(&group.key).or_default().push(group);
        }
    }
    let mut said = Vec::new();
    for groups in scopes.into_values().filter(|groups| groups.len() > 1) {
        for group in &groups {
            if let Some(declarer) = group.admitted().find(|demand| demand.singleton) {
                let others =
                    groups.iter().map(|other| other.scope.clone()).filter(|scope| *scope != group.scope);
                let name = solver.names[declarer.participant].clone();
                said.push(Diagnostic::walls(group, others.collect(), name));
            }
        }
    }
    said
}

/// Copies of a higher version than what is used, which their participants may not provide.
fn not_granted(solver: &Solver, decided: &[Vec<Option<Gets>>]) -> Vec<Diagnostic> {
    let mut said = Vec::new();
    for (group, decided) in solver.groups.iter().zip(decided) {
        // Offers stand best first.
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
                said.push(diagnostic.granting(&solver.names[solver.host], &solver.providers));
            }
        }
    }
    said
}

/// Crates of one scope whose names differ in case and punctuation only.
fn similar(solver: &Solver) -> Vec<Diagnostic> {
    let mut alike: BTreeMap<(&str, String), Vec<&Group>> = BTreeMap::new();
    for group in &solver.groups {
        alike.entry((&group.scope, plain(&group.key))).or_default().push(group);
    }
    let mut said = Vec::new();
    for groups in alike.into_values().filter(|groups| groups.len() > 1) {
        let rank = |group: &&&Group| (group.host_is_in(), group.admitted().count(), Reverse(group.key.clone()));
        let Some(meant) = groups.iter().max_by_key(rank) else { continue };
        for group in groups.iter().filter(|group| group.key != meant.key) {
            said.extend(group.admitted().map(|demand| {
                Diagnostic::similar(group, meant.key.clone(), solver.names[demand.participant].clone())
            }));
        }
    }
    said
}

/// The letters and digits of a crate's name in lower case.
fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

impl Plan {
    /// Whether nobody is refused and the host gets what it insists on.
    pub fn is_compatible(&self) -> bool {
        self.refused.is_empty()
    }

    /// Whether a remote of this name takes no part.
    pub fn is_refused(&self, remote: &str) -> bool {
        let left_out = |refusal: &Refusal| {
            remote != self.host() || refusal.causes.iter().any(|cause| cause.code == Code::DuplicateName)
        };
        self.refusal(remote).is_some_and(left_out)
    }
}
