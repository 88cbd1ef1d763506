//! Names, versions and requirements of a federation, each numbered once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use semver::{Version, VersionReq};

use super::PlanRequest;
use super::participant::Participant;
use crate::manifest::{Requirement, is_reserved};

pub(super) type Names = BTreeSet<Arc<str>>;

/// Returns the participants by name, the names that occur more than once, and the names that belong to the host.
///
/// Remotes with one name cannot be distinguished, so all of them are left out; the host takes part.
pub(super) fn participants<'a>(request: &PlanRequest<'a>) -> (Vec<&'a Participant>, Names, Names) {
    let mut participants: Vec<&Participant> = request.remotes.iter().collect();
    participants.sort_by_key(|participant| participant.name());
    let mut duplicates: Names = participants
        .windows(2)
        .filter(|pair| pair[0].name() == pair[1].name())
        .map(|pair| pair[0].shared_name().clone())
        .collect();
    let host = request.host;
    if participants.iter().any(|participant| participant.name() == host.name()) {
        duplicates.insert(host.shared_name().clone());
    }
    let reserved: Names = participants
        .iter()
        .filter(|participant| {
            is_reserved(participant.name()) && !duplicates.contains(participant.shared_name())
        })
        .map(|participant| participant.shared_name().clone())
        .collect();
    if !duplicates.is_empty() || !reserved.is_empty() {
        let out = |name| duplicates.contains(name) || reserved.contains(name);
        participants.retain(|participant| !out(participant.shared_name()));
    }
    let at = participants.partition_point(|participant| participant.name() < host.name());
    participants.insert(at, host);
    (participants, duplicates, reserved)
}

/// Participants, crates, versions and requirements, each with a number.
#[derive(Default)]
pub(super) struct Catalogue<'a> {
    /// By name.
    pub(super) participants: Vec<&'a Participant>,
    pub(super) host: usize,
    crates: HashMap<(&'a str, &'a str), usize, FxBuildHasher>,
    pub(super) versions: Vec<&'a Version>,
    version_numbers: HashMap<&'a Version, u32, FxBuildHasher>,
    /// Rank of each version; equal precedence has equal rank.
    pub(super) ranks: Vec<usize>,
    /// Each requirement with its parsed comparators.
    pub(super) requirements: Vec<(&'a Arc<Requirement>, VersionReq)>,
    requirement_numbers: HashMap<&'a str, u32, FxBuildHasher>,
}

impl<'a> Catalogue<'a> {
    /// Creates a catalogue of these participants without crates, versions and requirements.
    pub(super) fn new(participants: Vec<&'a Participant>, host: usize) -> Self {
        Self { participants, host, ..Self::default() }
    }

    /// Returns the number of a crate in a scope; a new crate gets the next one.
    pub(super) fn number(&mut self, scope: &'a str, key: &'a str) -> usize {
        let next = self.crates.len();
        *self.crates.entry((scope, key)).or_insert(next)
    }

    /// Returns the number of a crate in a scope, if any participant has an entry for it.
    pub(super) fn known(&self, scope: &str, key: &str) -> Option<usize> {
        self.crates.get(&(scope, key)).copied()
    }

    /// Returns the number of the participant with this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        find(&self.participants, name)
    }

    /// Returns the number of a version; a new one gets the next.
    pub(super) fn version(&mut self, version: &'a Version) -> u32 {
        *self.version_numbers.entry(version).or_insert_with(|| {
            self.versions.push(version);
            self.versions.len() as u32 - 1
        })
    }

    /// Returns the number of a requirement; a new one gets the next.
    pub(super) fn requirement(&mut self, range: &'a str, required: &'a Arc<Requirement>) -> u32 {
        *self.requirement_numbers.entry(range).or_insert_with(|| {
            // A participant that accepts any version has an empty range, which does not parse.
            self.requirements.push((required, VersionReq::parse(range).unwrap_or_default()));
            self.requirements.len() as u32 - 1
        })
    }

    /// Ranks the versions; call it after all are numbered.
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

/// Returns the index of `name` in a list that is sorted by name.
pub(super) fn find(participants: &[&Participant], name: &str) -> Option<usize> {
    participants.binary_search_by(|participant| participant.name().cmp(name)).ok()
}
