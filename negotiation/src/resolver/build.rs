//! From manifests to groups: who takes part, and what is offered and demanded of each crate.
//!
//! Participants are walked once, in the order in which they lie in memory, and every name,
//! version and requirement is looked up once; what is done later works on numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::manifest::{Requirement, is_reserved};
use rustc_hash::FxBuildHasher;
use semver::{Version, VersionReq};

use super::Request;
use super::draft::{Draft, LocalNumbers, Row};
use super::group::{Barred, Group};
use super::participant::{Entry, Participant};
use super::solve::Federation;

/// The federation of `request`, everybody being admitted.
pub(super) fn federation(request: &Request<'_>) -> Federation {
    let (people, duplicates, reserved) = people(request);
    // The host is among them, whatever remotes are called.
    let host = find(&people, request.host.name()).unwrap_or_default();
    let mut catalogue = Catalogue { people, host, ..Catalogue::default() };
    let mut drafts = catalogue.drafts();
    catalogue.add_live(request, &mut drafts);
    catalogue.exclude(request, &mut drafts);
    catalogue.rank_versions();
    drafts.sort_unstable_by_key(|draft| (draft.scope, draft.key));
    let people = &catalogue.people;
    let mut places: Vec<Vec<(usize, usize)>> =
        people.iter().map(|person| Vec::with_capacity(person.entries().len())).collect();
    for (group, draft) in drafts.iter().enumerate() {
        for (demand, row) in draft.rows.iter().enumerate() {
            places[row.participant as usize].push((group, demand));
        }
    }
    let mut local = LocalNumbers::new(&catalogue);
    let group = |draft: Draft<'_>| {
        let (offers, demands, levels) = draft.finished(&catalogue, &mut local);
        Group::new((draft.scope.into(), draft.key.into()), offers, demands, levels, host, request.strategy)
    };
    Federation {
        strategy: request.strategy,
        providers: request.providers.clone(),
        groups: drafts.into_iter().map(group).collect(),
        names: people.iter().map(|person| person.shared_name().clone()).collect(),
        loaded: people.iter().map(|person| person.is_loaded()).collect(),
        admitted: vec![true; people.len()],
        host,
        places,
        causes: BTreeMap::new(),
        duplicates,
        reserved,
    }
}

type Names = BTreeSet<Arc<str>>;

/// The participants by name, the names that are taken more than once, and those that are the host's.
///
/// Nothing tells remotes of one name apart, so none of them takes part; the host does.
fn people<'a>(request: &Request<'a>) -> (Vec<&'a Participant>, Names, Names) {
    let mut people: Vec<&Participant> = request.remotes.iter().collect();
    people.sort_by_key(|person| person.name());
    let mut duplicates: Names = people
        .windows(2)
        .filter(|pair| pair[0].name() == pair[1].name())
        .map(|pair| pair[0].shared_name().clone())
        .collect();
    let host = request.host;
    if people.iter().any(|person| person.name() == host.name()) {
        duplicates.insert(host.shared_name().clone());
    }
    let reserved: Names = people
        .iter()
        .filter(|person| is_reserved(person.name()) && !duplicates.contains(person.shared_name()))
        .map(|person| person.shared_name().clone())
        .collect();
    if !duplicates.is_empty() || !reserved.is_empty() {
        let out = |name| duplicates.contains(name) || reserved.contains(name);
        people.retain(|person| !out(person.shared_name()));
    }
    let at = people.partition_point(|person| person.name() < host.name());
    people.insert(at, host);
    (people, duplicates, reserved)
}

/// Participants, crates, versions and requirements, each under a number.
#[derive(Default)]
pub(super) struct Catalogue<'a> {
    /// By name.
    pub(super) people: Vec<&'a Participant>,
    pub(super) host: usize,
    crates: HashMap<(&'a str, &'a str), usize, FxBuildHasher>,
    pub(super) versions: Vec<&'a Version>,
    version_numbers: HashMap<&'a Version, u32, FxBuildHasher>,
    /// Rank of each version; of equal precedence, equal rank.
    pub(super) ranks: Vec<usize>,
    /// With what they name.
    pub(super) requirements: Vec<(&'a Arc<Requirement>, VersionReq)>,
    requirement_numbers: HashMap<&'a str, u32, FxBuildHasher>,
}

impl<'a> Catalogue<'a> {
    /// The entries of all participants by scope and key, each group's by participant.
    fn drafts(&mut self) -> Vec<Draft<'a>> {
        let mut drafts: Vec<Draft<'a>> = Vec::new();
        for participant in 0..self.people.len() {
            for Entry { scope, key, range, facts } in self.people[participant].entries() {
                let number = *self.crates.entry((scope, key)).or_insert_with(|| {
                    drafts.push(Draft::new(scope, key));
                    drafts.len() - 1
                });
                drafts[number].rows.push(Row {
                    participant: participant as u32,
                    requirement: self.requirement(range, &facts.required),
                    own: facts.offer.as_ref().map(|version| self.version(version)),
                    singleton: facts.singleton,
                    eager: facts.eager,
                    strict: facts.strict,
                    live: false,
                    barred: None,
                });
            }
        }
        drafts
    }

    fn version(&mut self, version: &'a Version) -> u32 {
        *self.version_numbers.entry(version).or_insert_with(|| {
            self.versions.push(version);
            self.versions.len() as u32 - 1
        })
    }

    fn requirement(&mut self, range: &'a str, required: &'a Arc<Requirement>) -> u32 {
        *self.requirement_numbers.entry(range).or_insert_with(|| {
            // Who takes any version names none.
            self.requirements.push((required, VersionReq::parse(range).unwrap_or_default()));
            self.requirements.len() as u32 - 1
        })
    }

    fn draft(&self, scope: &str, key: &str) -> Option<usize> {
        self.crates.get(&(scope, key)).copied()
    }

    /// Adds the copies in use, and binds the participants that use them.
    ///
    /// What a participant used that is being replaced does not count: it goes when the new one comes.
    fn add_live(&mut self, request: &Request<'a>, drafts: &mut [Draft<'a>]) {
        // Bindings come by consumer.
        let (mut name, mut consumer) = ("", None);
        for (slot, copy) in request.live.bindings() {
            if *slot.participant != *name {
                (name, consumer) = (&slot.participant, find(&self.people, &slot.participant).ok());
            }
            let replaced = consumer.is_some_and(|consumer| !self.people[consumer].is_loaded());
            let Some(draft) = self.draft(&slot.scope, &slot.key).filter(|_| !replaced) else { continue };
            let draft = &mut drafts[draft];
            let at = draft.in_use.get(copy).copied().unwrap_or_else(|| {
                let version = self.version(&copy.version);
                let provider = find(&self.people, &copy.provider).ok().and_then(|it| draft.row(it));
                let at = provider.filter(|&row| draft.rows[row].own == Some(version)).unwrap_or_else(|| {
                    draft.gone.push((copy, version, None));
                    draft.rows.len() + draft.gone.len() - 1
                });
                if let Some(row) = draft.rows.get_mut(at) {
                    row.live = true;
                }
                draft.in_use.insert(copy, at);
                at
            });
            let row = consumer.and_then(|consumer| draft.row(consumer));
            draft.bound.extend(row.map(|row| (row, at)));
        }
    }

    /// Marks the offers that must not be used.
    fn exclude(&self, request: &Request<'_>, drafts: &mut [Draft<'_>]) {
        for draft in &mut *drafts {
            let Some(granted) = request.providers.of_crate(draft.scope, draft.key) else { continue };
            let barred = |name: &str| (!granted.contains(name)).then_some(Barred::NotGranted);
            for row in &mut draft.rows {
                row.barred = barred(self.people[row.participant as usize].name());
            }
            for (copy, _, gone) in &mut draft.gone {
                *gone = barred(&copy.provider);
            }
        }
        for slot in request.excluded {
            if let Some(draft) = self.draft(&slot.scope, &slot.key)
                && let Ok(participant) = find(&self.people, &slot.participant)
                && let Some(row) = drafts[draft].row(participant)
            {
                drafts[draft].rows[row].barred = Some(Barred::Unusable);
            }
        }
    }

    fn rank_versions(&mut self) {
        let mut sorted: Vec<(&Version, usize)> = self.versions.iter().copied().zip(0..).collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp_precedence(b));
        self.ranks = vec![0; sorted.len()];
        let mut rank = 0;
        for (at, (version, number)) in sorted.iter().enumerate() {
            rank += usize::from(at > 0 && sorted[at - 1].0.cmp_precedence(version).is_ne());
            self.ranks[*number] = rank;
        }
    }
}

fn find(people: &[&Participant], name: &str) -> Result<usize, usize> {
    people.binary_search_by(|person| person.name().cmp(name))
}
