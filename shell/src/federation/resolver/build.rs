//! From manifests to groups: who takes part, and what is offered and demanded of each crate.
//!
//! Participants are walked once, in the order in which they lie in memory, and every name,
//! version and requirement is looked up once; what is done later works on numbers.

use std::collections::hash_map::Entry as Known;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use plugin_api::manifest::Requirement;
use semver::Version;

use super::group::{Demand, Group, Offer, OfferFlags};
use super::live::LiveCopy;
use super::participant::{Entry, Participant};
use super::solve::Federation;
use super::{Request, Slot};

/// The federation of `request`, nobody being admitted yet.
pub(super) fn federation(request: &Request<'_>) -> Federation {
    let (people, duplicates) = people(request);
    let names: Vec<Arc<str>> = people.iter().map(|person| person.shared_name().clone()).collect();
    // The host is among the names, whatever remotes are called.
    let host = names.binary_search(request.host.shared_name()).unwrap_or_default();
    let mut numbers = Numbers::default();
    let mut drafts = drafts(&people, host, &mut numbers);
    for (_, copy) in request.live.bindings() {
        numbers.version(&copy.version);
    }
    let ranks = numbers.ranks();
    let mut live = live_copies(&people, request);
    let mut places: Vec<Vec<(usize, usize)>> =
        people.iter().map(|person| Vec::with_capacity(person.entries().len())).collect();
    let mut groups = Vec::with_capacity(drafts.len());
    drafts.sort_unstable_by(|a, b| (&a.scope, &a.key).cmp(&(&b.scope, &b.key)));
    for (at, mut draft) in drafts.into_iter().enumerate() {
        for (demand, Demand { participant, .. }) in draft.demands.iter().enumerate() {
            places[*participant].push((at, demand));
        }
        for offer in &mut draft.offers {
            offer.rank = ranks[offer.rank];
        }
        if !request.excluded.is_empty() {
            draft.exclude(request);
        }
        if let Some(copies) = live.remove(&(draft.scope.clone(), draft.key.clone())) {
            draft.add_live(&copies, request, &people, |version| ranks[numbers.known(version)]);
        }
        groups.push(Group::new((draft.scope, draft.key), draft.offers, draft.demands, host, request.strategy));
    }
    Federation {
        strategy: request.strategy,
        loaded: people.iter().map(|person| person.is_loaded()).collect(),
        admitted: vec![false; people.len()],
        names,
        host,
        groups,
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
    people.retain(|person| !duplicates.contains(person.shared_name()));
    let at = people.partition_point(|person| person.name() < host.name());
    people.insert(at, host);
    (people, duplicates)
}

/// A group in the making; the ranks of its offers are numbers of versions until these are sorted.
struct Draft {
    scope: Arc<str>,
    key: Arc<str>,
    offers: Vec<Offer>,
    demands: Vec<Demand>,
}

/// The entries of all participants by scope and key, each group's by participant.
fn drafts<'a>(people: &[&'a Participant], host: usize, numbers: &mut Numbers<'a>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut known: HashMap<(&str, &str), usize, Words> = HashMap::default();
    for (participant, person) in people.iter().enumerate() {
        for entry in person.entries() {
            let at = *known.entry((&entry.scope, &entry.key)).or_insert_with(|| {
                let Entry { scope, key, .. } = entry;
                drafts.push(Draft {
                    scope: scope.clone(),
                    key: key.clone(),
                    offers: Vec::new(),
                    demands: Vec::new(),
                });
                drafts.len() - 1
            });
            let draft = &mut drafts[at];
            let own = entry.offer.as_ref().map(|version| {
                let provider = (person.shared_name().clone(), Some(participant), order_of(participant));
                let flags =
                    OfferFlags { host: participant == host, eager: entry.eager, loaded: person.is_loaded() };
                draft.offers.push(Offer::new(provider, (version.clone(), numbers.version(version)), flags));
                draft.offers.len() - 1
            });
            let required = numbers.requirement(&entry.required);
            draft.demands.push(Demand::new(participant, required, (entry.strict, entry.singleton), own));
        }
    }
    drafts
}

/// Rank of a participant's name among all providers' names; between two of them there is room
/// for the names of providers that take no part any more.
fn order_of(participant: usize) -> usize {
    participant * 2 + 1
}

type Copies<'a> = BTreeSet<&'a LiveCopy>;

/// The copies in use by scope and key.
///
/// What a participant used that is being replaced does not count: it goes when the new one comes.
fn live_copies<'a>(
    people: &[&Participant],
    request: &Request<'a>,
) -> BTreeMap<(Arc<str>, Arc<str>), Copies<'a>> {
    let mut copies: BTreeMap<_, Copies<'a>> = BTreeMap::new();
    for (slot, copy) in request.live.bindings() {
        let replaced = people
            .binary_search_by(|person| person.name().cmp(&slot.participant))
            .is_ok_and(|at| !people[at].is_loaded());
        if !replaced {
            copies.entry((slot.scope.clone(), slot.key.clone())).or_default().insert(copy);
        }
    }
    copies
}

impl Draft {
    fn slot(&self, participant: &Arc<str>) -> Slot {
        Slot { participant: participant.clone(), scope: self.scope.clone(), key: self.key.clone() }
    }

    fn exclude(&mut self, request: &Request<'_>) {
        for at in 0..self.offers.len() {
            self.offers[at].excluded = request.excluded.contains(&self.slot(&self.offers[at].provider));
        }
    }

    /// Adds what is in use, and binds the participants that use it.
    fn add_live(
        &mut self,
        copies: &Copies<'_>,
        request: &Request<'_>,
        people: &[&Participant],
        rank: impl Fn(&Version) -> usize,
    ) {
        let mut at = BTreeMap::new();
        for &copy in copies {
            let LiveCopy { provider, version } = copy;
            let same = |offer: &Offer| offer.provider == *provider && offer.version == *version;
            let found = self.offers.iter().position(same).unwrap_or_else(|| {
                let order = match people.binary_search_by(|person| person.name().cmp(provider)) {
                    Ok(participant) => order_of(participant),
                    Err(next) => order_of(next) - 1,
                };
                let host = **provider == *request.host.name();
                let flags = OfferFlags { host, eager: false, loaded: true };
                self.offers.push(Offer::new(
                    (provider.clone(), None, order),
                    (version.clone(), rank(version)),
                    flags,
                ));
                self.offers.len() - 1
            });
            self.offers[found].live = true;
            self.offers[found].loaded = true;
            at.insert(copy, found);
        }
        for demand in 0..self.demands.len() {
            let person = people[self.demands[demand].participant];
            if person.is_loaded() {
                let bound = request.live.bound(&self.slot(person.shared_name()));
                self.demands[demand].bound = bound.and_then(|copy| at.get(copy)).copied();
            }
        }
    }
}

/// Versions and requirements, each once.
#[derive(Default)]
struct Numbers<'a> {
    versions: HashMap<&'a Version, usize, Words>,
    requirements: HashMap<Option<&'a str>, (usize, &'a Arc<Requirement>), Words>,
}

impl<'a> Numbers<'a> {
    fn version(&mut self, version: &'a Version) -> usize {
        let next = self.versions.len();
        *self.versions.entry(version).or_insert(next)
    }

    fn known(&self, version: &Version) -> usize {
        self.versions.get(version).copied().unwrap_or_default()
    }

    fn requirement(&mut self, required: &'a Arc<Requirement>) -> (Arc<Requirement>, usize) {
        let text = match &**required {
            Requirement::Range(range) => Some(range.as_str()),
            Requirement::Any => None,
        };
        let next = self.requirements.len();
        let (number, first) = match self.requirements.entry(text) {
            Known::Occupied(known) => *known.get(),
            Known::Vacant(new) => *new.insert((next, required)),
        };
        (first.clone(), number)
    }

    /// The rank of each version by precedence, by number.
    fn ranks(&self) -> Vec<usize> {
        let mut versions: Vec<(&Version, usize)> =
            self.versions.iter().map(|(version, at)| (*version, *at)).collect();
        versions.sort_by(|(a, _), (b, _)| a.cmp_precedence(b));
        let mut ranks = vec![0; versions.len()];
        let mut rank = 0;
        for (at, (version, number)) in versions.iter().enumerate() {
            rank += usize::from(at > 0 && versions[at - 1].0.cmp_precedence(version).is_ne());
            ranks[*number] = rank;
        }
        ranks
    }
}

type Words = BuildHasherDefault<WordHasher>;

/// A hasher for short names, several times as fast as the standard one, which takes a fifth of
/// the time of a large plan; names that were made to collide would only make a plan slow.
#[derive(Default)]
struct WordHasher(u64);

impl WordHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word) ^ chunk.len() as u64);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its bucket from the low bits, and multiplication fills the high ones.
        self.0 ^ (self.0 >> 32)
    }
}
