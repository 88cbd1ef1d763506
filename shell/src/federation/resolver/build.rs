//! From manifests to groups: who takes part, and what is offered and demanded of each crate.
//!
//! Participants are walked once, in the order in which they lie in memory, and every name,
//! version and requirement is looked up once; what is done later works on numbers.

use std::collections::hash_map::Entry as Known;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use plugin_api::manifest::Requirement;
use rustc_hash::FxBuildHasher;
use semver::{Version, VersionReq};

use super::Request;
use super::draft::{Copy, Draft};
use super::group::{Demand, Group};
use super::participant::{Entry, Participant};
use super::solve::Federation;

/// The federation of `request`, everybody being admitted.
pub(super) fn federation(request: &Request<'_>) -> Federation {
    let (people, duplicates) = people(request);
    let mut numbers = Numbers::default();
    let mut drafts = drafts(request, &people, &mut numbers);
    add_live(request, &people, &mut numbers, &mut drafts);
    exclude(request, &people, &numbers, &mut drafts);
    let ranks = numbers.ranks();
    drafts.sort_unstable_by_key(|draft| (draft.scope, draft.key));
    let mut places: Vec<Vec<(usize, usize)>> =
        people.iter().map(|person| Vec::with_capacity(person.entries().len())).collect();
    for (group, draft) in drafts.iter().enumerate() {
        for (at, demand) in draft.demands.iter().enumerate() {
            places[demand.participant].push((group, at));
        }
    }
    // The host is among them, whatever remotes are called.
    let host = find(&people, request.host.name()).unwrap_or_default();
    let mut seen = vec![None; numbers.requirements.len()];
    let group = |draft: Draft<'_>| {
        let (scope, key) = (draft.scope.into(), draft.key.into());
        let (offers, demands, levels) = draft.finished(&numbers, &ranks, &mut seen);
        Group::new((scope, key), offers, demands, levels, host, request.strategy)
    };
    Federation {
        strategy: request.strategy,
        groups: drafts.into_iter().map(group).collect(),
        names: people.iter().map(|person| person.shared_name().clone()).collect(),
        loaded: people.iter().map(|person| person.is_loaded()).collect(),
        admitted: vec![true; people.len()],
        host,
        places,
        causes: BTreeMap::new(),
        duplicates,
    }
}

/// The participants by name, and the names that are taken more than once.
///
/// Nothing tells remotes of one name apart, so none of them takes part; the host does.
fn people<'a>(request: &Request<'a>) -> (Vec<&'a Participant>, BTreeSet<Arc<str>>) {
    let mut people: Vec<&Participant> = request.remotes.iter().collect();
    people.sort_by_key(|person| person.name());
    let mut duplicates: BTreeSet<Arc<str>> = people
        .windows(2)
        .filter(|pair| pair[0].name() == pair[1].name())
        .map(|pair| pair[0].shared_name().clone())
        .collect();
    let host = request.host;
    if people.iter().any(|person| person.name() == host.name()) {
        duplicates.insert(host.shared_name().clone());
    }
    if !duplicates.is_empty() {
        people.retain(|person| !duplicates.contains(person.shared_name()));
    }
    let at = people.partition_point(|person| person.name() < host.name());
    people.insert(at, host);
    (people, duplicates)
}

fn find(people: &[&Participant], name: &str) -> Result<usize, usize> {
    people.binary_search_by(|person| person.name().cmp(name))
}

/// The entries of all participants by scope and key, each group's by participant.
fn drafts<'a>(request: &Request<'a>, people: &[&'a Participant], numbers: &mut Numbers<'a>) -> Vec<Draft<'a>> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (participant, &person) in people.iter().enumerate() {
        let host = person.name() == request.host.name();
        for Entry { scope, key, range, facts } in person.entries() {
            let number = *numbers.crates.entry((scope, key)).or_insert_with(|| {
                drafts.push(Draft::new(scope, key));
                drafts.len() - 1
            });
            let draft = &mut drafts[number];
            let own = facts.offer.as_ref().map(|version| {
                draft.offers.push(Copy {
                    provider: person.shared_name(),
                    participant: Some(participant),
                    order: order_of(participant),
                    version: numbers.version(version),
                    live: false,
                    host,
                    eager: facts.eager,
                    loaded: person.is_loaded(),
                    excluded: false,
                });
                draft.offers.len() - 1
            });
            let requirement = numbers.requirement(range, &facts.required);
            draft.demands.push(Demand {
                participant,
                required: numbers.requirements[requirement].0.clone(),
                requirement,
                strict: facts.strict,
                singleton: facts.singleton,
                admitted: true,
                own,
                bound: None,
            });
        }
    }
    drafts
}

/// Rank of a participant's name among all providers' names; between two of them there is room
/// for the names of providers that take no part any more.
fn order_of(participant: usize) -> u32 {
    participant as u32 * 2 + 1
}

/// Adds the copies in use, and binds the participants that use them.
///
/// What a participant used that is being replaced does not count: it goes when the new one comes.
fn add_live<'a>(
    request: &Request<'a>,
    people: &[&'a Participant],
    numbers: &mut Numbers<'a>,
    drafts: &mut [Draft<'a>],
) {
    for (slot, copy) in request.live.bindings() {
        let consumer = find(people, &slot.participant).ok();
        let replaced = consumer.is_some_and(|consumer| !people[consumer].is_loaded());
        let Some(draft) = numbers.draft(&slot.scope, &slot.key).filter(|_| !replaced) else { continue };
        let draft = &mut drafts[draft];
        let at = match draft.in_use.get(copy) {
            Some(&at) => at,
            None => {
                let version = numbers.version(&copy.version);
                let provider = find(people, &copy.provider);
                let own = provider.ok().and_then(|provider| draft.demands[draft.demand(provider)?].own);
                let at = own.filter(|&own| draft.offers[own].version == version).unwrap_or_else(|| {
                    draft.offers.push(Copy {
                        provider: &copy.provider,
                        participant: None,
                        order: provider.map_or_else(|next| order_of(next) - 1, order_of),
                        version,
                        live: true,
                        host: *copy.provider == *request.host.name(),
                        eager: false,
                        loaded: true,
                        excluded: false,
                    });
                    draft.offers.len() - 1
                });
                draft.offers[at].live = true;
                draft.offers[at].loaded = true;
                draft.in_use.insert(copy, at);
                at
            }
        };
        if let Some(demand) = consumer.and_then(|consumer| draft.demand(consumer)) {
            draft.demands[demand].bound = Some(at);
        }
    }
}

/// Marks the offers that must not be used.
fn exclude(request: &Request<'_>, people: &[&Participant], numbers: &Numbers<'_>, drafts: &mut [Draft<'_>]) {
    for slot in request.excluded {
        if let Some(draft) = numbers.draft(&slot.scope, &slot.key)
            && let Ok(participant) = find(people, &slot.participant)
            && let Some(demand) = drafts[draft].demand(participant)
            && let Some(own) = drafts[draft].demands[demand].own
        {
            drafts[draft].offers[own].excluded = true;
        }
    }
}

/// Crates, versions and requirements, each under a number.
#[derive(Default)]
pub(super) struct Numbers<'a> {
    crates: HashMap<(&'a str, &'a str), usize, FxBuildHasher>,
    pub(super) versions: Vec<&'a Version>,
    version_numbers: HashMap<&'a Version, u32, FxBuildHasher>,
    /// With the versions that they name.
    pub(super) requirements: Vec<(&'a Arc<Requirement>, VersionReq)>,
    requirement_numbers: HashMap<&'a str, usize, FxBuildHasher>,
}

impl<'a> Numbers<'a> {
    fn draft(&self, scope: &str, key: &str) -> Option<usize> {
        self.crates.get(&(scope, key)).copied()
    }

    fn version(&mut self, version: &'a Version) -> u32 {
        *self.version_numbers.entry(version).or_insert_with(|| {
            self.versions.push(version);
            self.versions.len() as u32 - 1
        })
    }

    fn requirement(&mut self, range: &'a str, required: &'a Arc<Requirement>) -> usize {
        match self.requirement_numbers.entry(range) {
            Known::Occupied(known) => *known.get(),
            Known::Vacant(new) => {
                // Who takes any version names none.
                self.requirements.push((required, VersionReq::parse(range).unwrap_or_default()));
                *new.insert(self.requirements.len() - 1)
            }
        }
    }

    /// The rank of each version by precedence, by number.
    fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<(&Version, usize)> = self.versions.iter().copied().zip(0..).collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp_precedence(b));
        let mut ranks = vec![0; sorted.len()];
        let mut rank = 0;
        for (at, (version, number)) in sorted.iter().enumerate() {
            rank += u32::from(at > 0 && sorted[at - 1].0.cmp_precedence(version).is_ne());
            ranks[*number] = rank;
        }
        ranks
    }
}


