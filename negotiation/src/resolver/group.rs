//! A crate in one share scope: its offers, its demands, and the choice among the offers.
//!
//! A group tracks which of its participants are admitted; its levels count the consequences for every version.

use std::sync::{Arc, OnceLock};

use crate::manifest::{Requirement, ShareStrategy};
use semver::Version;

use super::levels::{CopySet, Levels, Unsatisfied};

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) scope: Arc<str>,
    pub(super) key: Arc<str>,
    /// Best first: by version, then by preference (rule 4).
    pub(super) offers: Vec<Offer>,
    /// By participant.
    pub(super) demands: Vec<Demand>,
    /// Demands without an own copy, which may get no copy at all.
    needy: Vec<usize>,
    host_demand: Option<usize>,
    first_live: Option<usize>,
    levels: Levels,
    /// The first offer of each level.
    firsts: Vec<usize>,
    /// Admitted participants that declare a singleton.
    declarers: usize,
    /// The number of offers that others may get.
    available: usize,
    /// Groups of this scope with a similar key, best first; computed when a diagnostic needs it.
    pub(super) similar: OnceLock<Box<[usize]>>,
    pub(super) strategy: ShareStrategy,
}

/// A copy that could be used.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a rule that looks at it")]
pub(super) struct Offer {
    pub(super) provider: Arc<str>,
    /// `None` for a copy in use that no manifest states any more.
    pub(super) participant: Option<usize>,
    pub(super) version: Version,
    pub(super) live: bool,
    pub(super) host: bool,
    pub(super) eager: bool,
    pub(super) loaded: bool,
    /// The reason why others must not get it, if any.
    pub(super) barred: Option<Barred>,
    pub(super) admitted: bool,
    /// Index of its version among the group's levels.
    pub(super) level: usize,
}

/// The reason why others must not get a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Barred {
    /// The copy was found to be unusable.
    Unusable,
    /// The host does not let its participant provide it.
    NotGranted,
}

impl Offer {
    /// Returns `true` if others may get this copy.
    pub(super) fn available(&self) -> bool {
        self.barred.is_none() && (self.live || self.admitted)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Demand {
    pub(super) participant: usize,
    pub(super) required: Arc<Requirement>,
    /// Index of `required` among the requirements of the group's levels.
    pub(super) requirement: usize,
    pub(super) strict: bool,
    pub(super) singleton: bool,
    pub(super) admitted: bool,
    /// Index of the participant's own copy among the offers.
    pub(super) own: Option<usize>,
    /// Index of the offer that the participant, if loaded, uses already.
    pub(super) bound: Option<usize>,
}

/// The outcome of a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gets {
    /// The offer of this index.
    Offer { offer: usize, satisfied: bool },
    /// The singleton of this index does not satisfy a strict demand.
    Mismatch { offer: usize },
    /// No copy at all.
    Nothing,
}

impl Group {
    /// Creates a group of offers, best first, and demands, by participant, with every participant admitted.
    pub(super) fn new(
        (scope, key): (Arc<str>, Arc<str>),
        offers: Vec<Offer>,
        demands: Vec<Demand>,
        mut levels: Levels,
        host: usize,
        strategy: ShareStrategy,
    ) -> Self {
        let mut unsatisfied = vec![Unsatisfied::default(); levels.requirements()];
        // A bound participant keeps its copy under any choice, so its demand does not count.
        for demand in demands.iter().filter(|demand| demand.bound.is_none()) {
            unsatisfied[demand.requirement] += demand.weight(1);
        }
        for (requirement, unsatisfied) in unsatisfied.into_iter().enumerate() {
            levels.add_demands(requirement, unsatisfied);
        }
        let (mut firsts, mut available) = (vec![0; levels.len()], 0);
        for (at, offer) in offers.iter().enumerate().rev() {
            firsts[offer.level] = at;
            if offer.available() {
                available += 1;
                levels.add_copy(offer.level, CopySet::Available, 1);
                if offer.loaded {
                    levels.add_copy(offer.level, CopySet::Loaded, 1);
                }
            }
        }
        Self {
            scope,
            key,
            needy: (0..demands.len()).filter(|&at| demands[at].own.is_none()).collect(),
            host_demand: demands.binary_search_by_key(&host, |demand| demand.participant).ok(),
            first_live: offers.iter().position(|offer| offer.live && offer.barred.is_none()),
            declarers: demands.iter().filter(|demand| demand.singleton).count(),
            available,
            similar: OnceLock::new(),
            offers,
            demands,
            levels,
            firsts,
            strategy,
        }
    }

    /// Admits the participant of `demand` with its offer, or withdraws both.
    pub(super) fn admit(&mut self, demand: usize, admitted: bool) {
        let demand = &mut self.demands[demand];
        if std::mem::replace(&mut demand.admitted, admitted) == admitted {
            return;
        }
        let one = if admitted { 1 } else { -1 };
        if demand.singleton {
            self.declarers = self.declarers.saturating_add_signed(one);
        }
        if demand.bound.is_none() {
            self.levels.add_demands(demand.requirement, demand.weight(one as i32));
        }
        if let Some(own) = demand.own {
            let offer = &mut self.offers[own];
            offer.admitted = admitted;
            if !offer.live && offer.barred.is_none() {
                self.available = self.available.saturating_add_signed(one);
                self.levels.add_copy(offer.level, CopySet::Available, one);
                if offer.loaded {
                    self.levels.add_copy(offer.level, CopySet::Loaded, one);
                }
            }
        }
    }

    pub(super) fn is_admitted(&self, demand: usize) -> bool {
        self.demands[demand].admitted
    }

    /// Returns `true` if one copy serves the complete scope.
    pub(super) fn is_singleton(&self) -> bool {
        self.declarers > 0
    }

    pub(super) fn admitted(&self) -> impl Iterator<Item = &Demand> {
        self.demands.iter().filter(|demand| demand.admitted)
    }

    /// Returns `true` if `demand` accepts the version of `offer`.
    pub(super) fn fits(&self, demand: usize, offer: usize) -> bool {
        self.levels.fits(self.demands[demand].requirement, self.offers[offer].level)
    }

    /// Returns the number of demands, and of strict ones, that the version of `offer` leaves unsatisfied.
    pub(super) fn unsatisfied_by(&self, offer: usize) -> (usize, usize) {
        let Unsatisfied { strict, all } = self.levels.unsatisfied(self.offers[offer].level);
        (all.unsigned_abs() as usize, strict.unsigned_abs() as usize)
    }

    /// Returns the number of offers that others may get.
    pub(super) fn available(&self) -> usize {
        self.available
    }

    /// Returns `true` if the host offers or requires the crate.
    pub(super) fn host_is_in(&self) -> bool {
        self.host_demand.is_some()
    }

    pub(super) fn host_demand(&self) -> Option<usize> {
        self.host_demand.filter(|&at| self.demands[at].bound.is_none())
    }

    /// Returns `true` if only loaded copies are candidates for the singleton.
    pub(super) fn only_loaded(&self) -> bool {
        self.strategy == ShareStrategy::LoadedFirst
            && self.levels.best(CopySet::Loaded).is_some_and(|best| best.unsatisfied.strict == 0)
    }

    fn candidates(&self) -> CopySet {
        if self.only_loaded() { CopySet::Loaded } else { CopySet::Available }
    }

    /// Returns the level of the version that serves every participant, if this is a singleton.
    fn winning_level(&self) -> Option<usize> {
        if let Some(live) = self.first_live {
            return Some(self.offers[live].level);
        }
        let candidates = self.candidates();
        // A version that satisfies all demands satisfies the host's as well.
        let for_host =
            self.host_demand().and_then(|host| self.levels.best_of(self.demands[host].requirement, candidates));
        for_host.or_else(|| self.levels.best(candidates)).map(|best| best.level as usize)
    }

    /// Returns the offer that serves every participant, if this is a singleton.
    pub(super) fn winner(&self) -> Option<usize> {
        self.first_live.or_else(|| self.first_of(self.winning_level()?, self.candidates()))
    }

    /// Returns the offer that a consumer with this demand gets if the crate is not a singleton.
    pub(super) fn pick(&self, demand: usize) -> Option<usize> {
        let requirement = self.demands[demand].requirement;
        let best = |copies| self.first_of(self.levels.highest_of(requirement, copies)?, copies);
        let loaded = if self.strategy == ShareStrategy::LoadedFirst { best(CopySet::Loaded) } else { None };
        loaded.or_else(|| best(CopySet::Available))
    }

    /// Returns the outcome of `demand`; `winner` is [`Self::winner`].
    pub(super) fn gets(&self, demand: usize, winner: Option<usize>) -> Gets {
        let Demand { strict, own, bound, .. } = self.demands[demand];
        if let Some(bound) = bound {
            return self.given(demand, bound);
        }
        if self.is_singleton() {
            return match winner {
                Some(offer) if strict && !self.fits(demand, offer) => Gets::Mismatch { offer },
                Some(offer) => self.given(demand, offer),
                None => Gets::Nothing,
            };
        }
        self.pick(demand).or(own).map_or(Gets::Nothing, |offer| self.given(demand, offer))
    }

    /// Returns the outcome of every demand; `None` for a participant that is not admitted.
    pub(super) fn decided(&self) -> Vec<Option<Gets>> {
        let singleton = self.is_singleton();
        let winner = if singleton { self.winner() } else { None };
        // Without a singleton, all unbound demands with one requirement get the same copy.
        let mut picked: Vec<Option<Option<usize>>> = vec![None; self.levels.requirements()];
        let mut decide = |at: usize| {
            let Demand { requirement, own, bound, admitted, .. } = self.demands[at];
            if !admitted {
                return None;
            }
            if singleton || bound.is_some() {
                return Some(self.gets(at, winner));
            }
            let picked = *picked[requirement].get_or_insert_with(|| self.pick(at));
            Some(picked.or(own).map_or(Gets::Nothing, |offer| self.given(at, offer)))
        };
        (0..self.demands.len()).map(&mut decide).collect()
    }

    /// Returns `true` if `demand` is met: if [`Self::gets`] returns an offer, but without searching for that offer.
    pub(super) fn is_met(&self, demand: usize) -> bool {
        self.is_met_by(self.winning_level(), demand)
    }

    fn is_met_by(&self, winning_level: Option<usize>, demand: usize) -> bool {
        let Demand { strict, requirement, own, bound, .. } = self.demands[demand];
        if bound.is_some() {
            true
        } else if self.is_singleton() {
            winning_level.is_some_and(|level| !strict || self.levels.fits(requirement, level))
        } else {
            own.is_some() || self.levels.highest_of(requirement, CopySet::Available).is_some()
        }
    }

    /// Returns the admitted demands, other than the host's, that are not met.
    pub(super) fn refusals(&self) -> impl Iterator<Item = usize> {
        let winner = if self.is_singleton() { self.winning_level() } else { None };
        let host_mismatch = || self.host_demand().is_some_and(|host| !self.is_met_by(winner, host));
        // Most decisions refuse no participant: the counts show that without a look at every demand.
        let (all, needy) = match winner {
            Some(level) if self.levels.unsatisfied(level).strict == i32::from(host_mismatch()) => (0, 0),
            None if !self.is_singleton() => (0, self.needy.len()),
            _ => (self.demands.len(), 0),
        };
        (0..all).chain(self.needy[..needy].iter().copied()).filter(move |&at| {
            self.demands[at].admitted && Some(at) != self.host_demand && !self.is_met_by(winner, at)
        })
    }

    fn given(&self, demand: usize, offer: usize) -> Gets {
        Gets::Offer { offer, satisfied: self.fits(demand, offer) }
    }

    fn first_of(&self, level: usize, copies: CopySet) -> Option<usize> {
        (self.firsts[level]..self.offers.len())
            .take_while(|&at| self.offers[at].level == level)
            .find(|&at| self.offers[at].available() && (self.offers[at].loaded || copies == CopySet::Available))
    }
}

impl Demand {
    /// Returns the unsatisfied demands that `count` such demands add to a level that they do not accept.
    fn weight(&self, count: i32) -> Unsatisfied {
        Unsatisfied { strict: if self.strict { count } else { 0 }, all: count }
    }
}
