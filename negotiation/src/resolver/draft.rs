//! A group under construction: rows of numbers by participant, from which offers and demands are built.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::manifest::Requirement;
use semver::{Comparator, Version};

use super::catalogue::Catalogue;
use super::group::{Barred, Demand, Offer};
use super::levels::Levels;
use super::live::LiveCopy;

pub(super) struct Draft<'a> {
    pub(super) scope: &'a str,
    pub(super) key: &'a str,
    /// By participant.
    pub(super) rows: Vec<Row>,
    /// Copies in use that no manifest states any more, with the numbers of their versions.
    pub(super) gone: Vec<(&'a LiveCopy, u32, Option<Barred>)>,
    /// Index of each copy in use: a row or, past the rows, an entry of `gone`.
    pub(super) in_use: BTreeMap<&'a LiveCopy, usize>,
    /// The rows of participants that use a copy already, with the index of that copy.
    pub(super) bound: Vec<(usize, usize)>,
}

/// The offer and demand of one participant. It is small, because rows are written participant by participant and read
/// crate by crate, one for each entry of the manifests.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a rule that looks at it")]
pub(super) struct Row {
    pub(super) participant: u32,
    pub(super) requirement: u32,
    /// Version of its own copy.
    pub(super) own: Option<u32>,
    pub(super) singleton: bool,
    pub(super) eager: bool,
    pub(super) strict: bool,
    pub(super) live: bool,
    pub(super) barred: Option<Barred>,
}

/// An offer before sorting.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a rule that looks at it")]
struct CandidateCopy<'a> {
    /// Index as in [`Draft::in_use`].
    from: usize,
    provider: &'a Arc<str>,
    participant: Option<usize>,
    version: usize,
    live: bool,
    host: bool,
    eager: bool,
    loaded: bool,
    barred: Option<Barred>,
}

/// The numbers of one group for the ranks and requirements of the catalogue; all `None` between two groups.
pub(super) struct LocalNumbers {
    ranks: Vec<Option<usize>>,
    requirements: Vec<Option<usize>>,
}

impl LocalNumbers {
    pub(super) fn new(catalogue: &Catalogue<'_>) -> Self {
        let [ranks, requirements] =
            [catalogue.versions.len(), catalogue.requirements.len()].map(|count| vec![None; count]);
        Self { ranks, requirements }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(scope: &'a str, key: &'a str) -> Self {
        let (rows, gone, in_use, bound) = Default::default();
        Self { scope, key, rows, gone, in_use, bound }
    }

    /// Returns the index of the participant's row.
    pub(super) fn row(&self, participant: usize) -> Option<usize> {
        self.rows.binary_search_by_key(&(participant as u32), |row| row.participant).ok()
    }

    /// Returns the group's offers, best first, its demands, and its levels.
    pub(super) fn finished(
        &self,
        catalogue: &Catalogue<'_>,
        local: &mut LocalNumbers,
    ) -> (Vec<Offer>, Vec<Demand>, Levels) {
        let copies = self.copies(catalogue);
        let (order, versions) = best_first(&copies, catalogue, &mut local.ranks);
        let (mut demands, requirements) = self.demands(catalogue, &mut local.requirements);
        let (levels, level_of) = Levels::new(&versions, &requirements);
        let mut place = vec![None; self.rows.len() + self.gone.len()];
        let offer = |(at, (copy, height)): (usize, (usize, usize))| {
            let copy = &copies[copy];
            place[copy.from] = Some(at);
            Offer {
                provider: copy.provider.clone(),
                participant: copy.participant,
                version: catalogue.versions[copy.version].clone(),
                live: copy.live,
                host: copy.host,
                eager: copy.eager,
                loaded: copy.loaded,
                barred: copy.barred,
                admitted: copy.participant.is_some(),
                level: level_of[height],
            }
        };
        let offers = order.into_iter().enumerate().map(offer).collect();
        for (demand, own) in demands.iter_mut().zip(&place) {
            demand.own = *own;
        }
        for &(row, copy) in &self.bound {
            demands[row].bound = place[copy];
        }
        (offers, demands, levels)
    }

    /// Returns the demands, without the copies of each, and their requirements with comparators.
    fn demands<'b>(
        &self,
        catalogue: &'b Catalogue<'_>,
        local: &mut [Option<usize>],
    ) -> (Vec<Demand>, Vec<(&'b Requirement, &'b [Comparator])>) {
        let mut numbers = Vec::new();
        let demand = |row: &Row| {
            let number = row.requirement as usize;
            let requirement = *local[number].get_or_insert_with(|| {
                numbers.push(number);
                numbers.len() - 1
            });
            Demand {
                participant: row.participant as usize,
                required: catalogue.requirements[number].0.clone(),
                requirement,
                strict: row.strict,
                singleton: row.singleton,
                admitted: true,
                own: None,
                bound: None,
            }
        };
        let demands = self.rows.iter().map(demand).collect();
        let requirement = |number: usize| {
            local[number] = None;
            let (required, range) = &catalogue.requirements[number];
            (&***required, range.comparators.as_slice())
        };
        (demands, numbers.into_iter().map(requirement).collect())
    }

    /// Returns the copies by name of the provider; copies of one provider, which may come from several generations,
    /// with the latest build first.
    fn copies<'b>(&'b self, catalogue: &Catalogue<'b>) -> Vec<CandidateCopy<'b>> {
        let Catalogue { participants, host, versions, .. } = catalogue;
        let of_row = |(from, row): (usize, &Row)| {
            let participant = row.participant as usize;
            Some(CandidateCopy {
                from,
                provider: participants[participant].shared_name(),
                participant: Some(participant),
                version: row.own? as usize,
                live: row.live,
                host: participant == *host,
                eager: row.eager,
                loaded: row.live || participants[participant].is_loaded(),
                barred: row.barred,
            })
        };
        let mut copies: Vec<CandidateCopy<'b>> = self.rows.iter().enumerate().filter_map(of_row).collect();
        let gone = self.gone.iter().enumerate().map(|(at, (copy, version, barred))| CandidateCopy {
            from: self.rows.len() + at,
            provider: &copy.provider,
            participant: None,
            version: *version as usize,
            live: true,
            host: copy.provider == *participants[*host].shared_name(),
            eager: false,
            loaded: true,
            barred: *barred,
        });
        copies.extend(gone);
        if !self.gone.is_empty() {
            copies.sort_by(|a, b| (a.provider, versions[b.version]).cmp(&(b.provider, versions[a.version])));
        }
        copies
    }
}

/// Returns the copies from the best down, each with the number of higher versions, and the distinct versions.
///
/// A counting sort: copies arrive sorted by name, and versions are usually few.
fn best_first<'a>(
    copies: &[CandidateCopy<'_>],
    catalogue: &Catalogue<'a>,
    local: &mut [Option<usize>],
) -> (Vec<(usize, usize)>, Vec<&'a Version>) {
    let rank = |copy: &CandidateCopy<'_>| catalogue.ranks[copy.version];
    let mut distinct = Vec::new();
    for copy in copies {
        local[rank(copy)].get_or_insert_with(|| {
            distinct.push((Reverse(rank(copy)), copy.version));
            0
        });
    }
    distinct.sort_unstable();
    for (height, (Reverse(rank), _)) in distinct.iter().enumerate() {
        local[*rank] = Some(height);
    }
    let places = |copy: &CandidateCopy<'_>| {
        let height = local[rank(copy)].unwrap_or_default();
        (height, height * CandidateCopy::PREFERENCES + copy.preference())
    };
    let mut starts = vec![0; distinct.len() * CandidateCopy::PREFERENCES + 1];
    for copy in copies {
        starts[places(copy).1 + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut order = vec![(0, 0); copies.len()];
    for (at, copy) in copies.iter().enumerate() {
        let (height, start) = places(copy);
        order[starts[start]] = (at, height);
        starts[start] += 1;
    }
    for (Reverse(rank), _) in &distinct {
        local[*rank] = None;
    }
    (order, distinct.into_iter().map(|(_, version)| catalogue.versions[version]).collect())
}

impl CandidateCopy<'_> {
    const PREFERENCES: usize = 8;

    /// Returns the rank among equal versions; smaller is better.
    fn preference(&self) -> usize {
        [self.live, self.host, self.eager].into_iter().fold(0, |key, better| key * 2 + usize::from(!better))
    }
}
