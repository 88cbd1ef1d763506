//! A group in the making: offers in the order of their participants, versions and requirements as numbers.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

use semver::Version;

use super::build::Numbers;
use super::group::{Demand, Offer};
use super::levels::Levels;
use super::live::LiveCopy;

pub(super) struct Draft<'a> {
    pub(super) scope: &'a str,
    pub(super) key: &'a str,
    /// By participant, those in use that are in no manifest any more behind them.
    pub(super) offers: Vec<Copy<'a>>,
    /// By participant; their requirements are numbers among those of all groups.
    pub(super) demands: Vec<Demand>,
    /// The copies in use among the offers.
    pub(super) in_use: BTreeMap<&'a LiveCopy, usize>,
}

/// An offer before it is known where it stands among the others.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a rule that looks at it")]
pub(super) struct Copy<'a> {
    pub(super) provider: &'a Arc<str>,
    pub(super) participant: Option<usize>,
    /// Rank of the provider's name.
    pub(super) order: u32,
    pub(super) version: u32,
    pub(super) live: bool,
    pub(super) host: bool,
    pub(super) eager: bool,
    pub(super) loaded: bool,
    pub(super) excluded: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(scope: &'a str, key: &'a str) -> Self {
        Self { scope, key, offers: Vec::new(), demands: Vec::new(), in_use: BTreeMap::new() }
    }

    /// The participant's demand.
    pub(super) fn demand(&self, participant: usize) -> Option<usize> {
        self.demands.binary_search_by_key(&participant, |demand| demand.participant).ok()
    }

    /// What the group is made of; `ranks` are those of the versions, and `seen` has room for one entry
    /// for each requirement, all of them none.
    pub(super) fn finished(
        mut self,
        numbers: &Numbers<'_>,
        ranks: &[u32],
        seen: &mut [Option<usize>],
    ) -> (Vec<Offer>, Vec<Demand>, Levels) {
        let version = |offer: &Copy<'_>| numbers.versions[offer.version as usize];
        let preference = |offer: &Copy<'_>| (Reverse(ranks[offer.version as usize]), offer.preference());
        let mut order: Vec<_> = self.offers.iter().zip(0..).map(|(it, at)| (preference(it), at)).collect();
        // Providers that take no part any more may have one rank, and two generations of one provider may
        // be in use whose versions differ in build metadata only.
        let finer = |a: &Copy<'_>, b: &Copy<'_>| -> Ordering {
            a.provider.cmp(b.provider).then_with(|| version(b).cmp(version(a)))
        };
        order.sort_unstable_by(|&(a, i), &(b, j)| {
            a.cmp(&b).then_with(|| finer(&self.offers[i], &self.offers[j]))
        });
        let mut place = vec![0; self.offers.len()];
        let mut heights = Vec::with_capacity(self.offers.len());
        let mut versions: Vec<&Version> = Vec::new();
        let mut last = None;
        for (at, &((rank, _), from)) in order.iter().enumerate() {
            place[from] = at;
            if last.replace(rank) != Some(rank) {
                versions.push(version(&self.offers[from]));
            }
            heights.push(versions.len() - 1);
        }
        let requirements = number_requirements(&mut self.demands, seen);
        let requirements = requirements.iter().map(|&number| {
            let (required, named) = &numbers.requirements[number];
            (&***required, named.comparators.as_slice())
        });
        let (levels, level_of) = Levels::new(&versions, requirements);
        for demand in &mut self.demands {
            demand.own = demand.own.map(|own| place[own]);
            demand.bound = demand.bound.map(|bound| place[bound]);
        }
        let offers = order.iter().zip(heights).map(|(&(_, from), height)| {
            let offer = &self.offers[from];
            Offer {
                provider: offer.provider.clone(),
                participant: offer.participant,
                version: version(offer).clone(),
                live: offer.live,
                host: offer.host,
                eager: offer.eager,
                loaded: offer.loaded,
                excluded: offer.excluded,
                admitted: offer.participant.is_some(),
                level: level_of[height],
            }
        });
        (offers.collect(), self.demands, levels)
    }
}

impl Copy<'_> {
    /// Among equal versions, smaller is better.
    fn preference(&self) -> u32 {
        let worse = [!self.live, !self.host, !self.eager].into_iter();
        (worse.fold(0, |key, worse| key * 2 + u32::from(worse)) << (u32::BITS - 3)) | self.order
    }
}

/// Numbers the requirements of a group from 0, and returns them in that order.
fn number_requirements(demands: &mut [Demand], seen: &mut [Option<usize>]) -> Vec<usize> {
    let mut requirements = Vec::new();
    for demand in demands {
        let all = demand.requirement;
        demand.requirement = *seen[all].get_or_insert_with(|| {
            requirements.push(all);
            requirements.len() - 1
        });
    }
    for &all in &requirements {
        seen[all] = None;
    }
    requirements
}
