//! Names, versions and requirements of a federation, each looked up once and numbered.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use semver::{Version, VersionReq};

use super::Request;
use super::participant::Participant;
use crate::manifest::{Requirement, is_reserved};

pub(super) type Names = BTreeSet<Arc<str>>;

/// Returns the participants by name, the names that are taken more than once, and those that are the host's.
///
/// Nothing tells remotes of one name apart, so none of them takes part; the host does.
pub(super) fn people<'a>(request: &Request<'a>) -> (Vec<&'a Participant>, Names, Names) {
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
    /// Returns a catalogue of these participants, with nothing looked up yet.
    pub(super) fn new(people: Vec<&'a Participant>, host: usize) -> Self {
        Self { people, host, ..Self::default() }
    }

    /// Returns the number of a crate in a scope: of a new one, how many there were.
    pub(super) fn number(&mut self, scope: &'a str, key: &'a str) -> usize {
        let next = self.crates.len();
        *self.crates.entry((scope, key)).or_insert(next)
    }

    /// Returns the number of a crate in a scope, if any participant has an entry of it.
    pub(super) fn known(&self, scope: &str, key: &str) -> Option<usize> {
        self.crates.get(&(scope, key)).copied()
    }

    /// Returns the number of a participant, if there is one of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        find(&self.people, name)
    }

    /// Returns the number of a version.
    pub(super) fn version(&mut self, version: &'a Version) -> u32 {
        *self.version_numbers.entry(version).or_insert_with(|| {
            self.versions.push(version);
            self.versions.len() as u32 - 1
        })
    }

    /// Returns the number of a requirement.
    pub(super) fn requirement(&mut self, range: &'a str, required: &'a Arc<Requirement>) -> u32 {
        *self.requirement_numbers.entry(range).or_insert_with(|| {
            // A participant that takes any version names none.
            self.requirements.push((required, VersionReq::parse(range).unwrap_or_default()));
            self.requirements.len() as u32 - 1
        })
    }

    /// Ranks the versions, once all are numbered.
    pub(super) fn rank_versions(&mut self) {
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

/// Returns the place of `name` in a list that is sorted by name.
pub(super) fn find(people: &[&Participant], name: &str) -> Option<usize> {
    people.binary_search_by(|person| person.name().cmp(name)).ok()
}
