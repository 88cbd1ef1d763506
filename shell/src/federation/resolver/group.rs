//! One crate in one share scope: its offers, its demands, and which offer wins.
//!
//! A group knows which of its participants are admitted at the moment and keeps, for every
//! version that is offered, how many of their demands it leaves unsatisfied. So a participant
//! comes or goes in a number of steps proportional to the number of versions, and a winner is
//! found in as many, whatever the number of participants.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use plugin_api::manifest::{Requirement, ShareStrategy};
use semver::Version;

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) scope: Arc<str>,
    pub(super) key: Arc<str>,
    /// Best first: by version, equal ones by who is preferred.
    pub(super) offers: Vec<Offer>,
    /// By participant.
    pub(super) demands: Vec<Demand>,
    /// Demands without a copy of their own, which may find nothing at all.
    needy: Vec<usize>,
    host_demand: Option<usize>,
    first_live: Option<usize>,
    /// The versions that are offered, highest first; equal precedence makes one level.
    levels: Vec<Level>,
    /// Whether requirement r accepts level l, at `r * levels + l`.
    fits: Vec<bool>,
    /// Admitted participants that declare a singleton.
    declarers: usize,
    pub(super) strategy: ShareStrategy,
}

/// A copy that could be used.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with a rule that looks at it")]
pub(super) struct Offer {
    pub(super) provider: Arc<str>,
    /// None for a copy that is in use but is in no manifest any more.
    pub(super) participant: Option<usize>,
    pub(super) version: Version,
    /// Rank of the version among all of the federation; equal precedence, equal rank.
    pub(super) rank: usize,
    /// Rank of the provider's name.
    pub(super) order: usize,
    pub(super) live: bool,
    pub(super) host: bool,
    pub(super) eager: bool,
    pub(super) loaded: bool,
    pub(super) excluded: bool,
    /// Index of its version among the group's.
    pub(super) level: usize,
    admitted: bool,
}

/// What an [`Offer`] is besides its version.
pub(super) struct OfferFlags {
    pub(super) host: bool,
    pub(super) eager: bool,
    pub(super) loaded: bool,
}

impl Offer {
    pub(super) fn new(
        (provider, participant, order): (Arc<str>, Option<usize>, usize),
        (version, rank): (Version, usize),
        OfferFlags { host, eager, loaded }: OfferFlags,
    ) -> Self {
        let [live, excluded, admitted] = [false; 3];
        Self {
            provider,
            participant,
            version,
            rank,
            order,
            live,
            host,
            eager,
            loaded,
            excluded,
            level: 0,
            admitted,
        }
    }

    /// Whether anybody may be given this copy.
    pub(super) fn available(&self) -> bool {
        self.live || (self.admitted && !self.excluded)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Demand {
    pub(super) participant: usize,
    pub(super) required: Arc<Requirement>,
    /// Index of `required` among the requirements that are told apart.
    pub(super) requirement: usize,
    pub(super) strict: bool,
    pub(super) singleton: bool,
    /// The participant's own copy among the offers.
    pub(super) own: Option<usize>,
    /// The offer that the participant, being loaded, uses already.
    pub(super) bound: Option<usize>,
    admitted: bool,
}

impl Demand {
    pub(super) fn new(
        participant: usize,
        (required, requirement): (Arc<Requirement>, usize),
        (strict, singleton): (bool, bool),
        own: Option<usize>,
    ) -> Self {
        Self { participant, required, requirement, strict, singleton, own, bound: None, admitted: false }
    }
}

#[derive(Debug, Clone, Default)]
struct Level {
    first: usize,
    available: usize,
    available_loaded: usize,
    unsatisfied: usize,
    unsatisfied_strict: usize,
}

/// What a participant gets.
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
    /// The group of these offers and demands, nobody being admitted yet.
    pub(super) fn new(
        (scope, key): (Arc<str>, Arc<str>),
        offers: Vec<Offer>,
        mut demands: Vec<Demand>,
        host: usize,
        strategy: ShareStrategy,
    ) -> Self {
        let mut order: Vec<_> = offers.iter().enumerate().map(|(at, offer)| (offer.preference(), at)).collect();
        // Providers that take no part any more may have one rank, and two generations of one provider may
        // be in use whose versions differ in build metadata only.
        let finer = |a: &Offer, b: &Offer| a.provider.cmp(&b.provider).then_with(|| b.version.cmp(&a.version));
        order.sort_unstable_by(|(a, i), (b, j)| a.cmp(b).then_with(|| finer(&offers[*i], &offers[*j])));
        let mut place = vec![0; offers.len()];
        let mut unsorted: Vec<Option<Offer>> = offers.into_iter().map(Some).collect();
        let mut offers = Vec::with_capacity(order.len());
        for (at, (_, from)) in order.into_iter().enumerate() {
            place[from] = at;
            offers.extend(unsorted[from].take());
        }
        let mut levels: Vec<Level> = Vec::new();
        let mut rank = None;
        for (at, offer) in offers.iter_mut().enumerate() {
            if rank.replace(offer.rank) != Some(offer.rank) {
                levels.push(Level { first: at, ..Level::default() });
            }
            offer.level = levels.len() - 1;
            if offer.live {
                levels[offer.level].available += 1;
                levels[offer.level].available_loaded += 1;
            }
        }
        for demand in &mut demands {
            demand.own = demand.own.map(|own| place[own]);
            demand.bound = demand.bound.map(|bound| place[bound]);
        }
        let requirements = number_requirements(&mut demands);
        let versions: Vec<&Version> = levels.iter().map(|level| &offers[level.first].version).collect();
        let fits =
            requirements.iter().flat_map(|required| versions.iter().map(|version| required.matches(version)));
        Self {
            fits: fits.collect(),
            scope,
            key,
            needy: (0..demands.len()).filter(|&at| demands[at].own.is_none()).collect(),
            host_demand: demands.iter().position(|demand| demand.participant == host),
            first_live: offers.iter().position(|offer| offer.live),
            offers,
            demands,
            levels,
            declarers: 0,
            strategy,
        }
    }

    /// Lets everybody in.
    pub(super) fn admit_all(&mut self) {
        for demand in 0..self.demands.len() {
            self.admit(demand, true);
        }
    }

    /// Lets the participant of `demand` in, with its offer, or withdraws both.
    pub(super) fn admit(&mut self, demand: usize, admitted: bool) {
        if std::mem::replace(&mut self.demands[demand].admitted, admitted) == admitted {
            return;
        }
        let Demand { requirement, strict, singleton, own, bound, .. } = self.demands[demand];
        let count = |counter: &mut usize| {
            if admitted {
                *counter += 1;
            } else {
                *counter -= 1;
            }
        };
        if singleton {
            count(&mut self.declarers);
        }
        // Who is bound keeps what it has, whatever wins: it has no say in this.
        if bound.is_none() {
            let width = self.levels.len();
            let fits = &self.fits[requirement * width..][..width];
            for (level, _) in self.levels.iter_mut().zip(fits).filter(|(_, fits)| !**fits) {
                count(&mut level.unsatisfied);
                if strict {
                    count(&mut level.unsatisfied_strict);
                }
            }
        }
        if let Some(own) = own {
            let offer = &mut self.offers[own];
            offer.admitted = admitted;
            if !offer.live && !offer.excluded {
                let level = &mut self.levels[offer.level];
                count(&mut level.available);
                if offer.loaded {
                    count(&mut level.available_loaded);
                }
            }
        }
    }

    pub(super) fn is_admitted(&self, demand: usize) -> bool {
        self.demands[demand].admitted
    }

    /// Whether one copy serves all of the scope.
    pub(super) fn is_singleton(&self) -> bool {
        self.declarers > 0
    }

    pub(super) fn admitted(&self) -> impl Iterator<Item = &Demand> {
        self.demands.iter().filter(|demand| demand.admitted)
    }

    /// Whether `demand` accepts the version of `offer`.
    pub(super) fn fits(&self, demand: usize, offer: usize) -> bool {
        self.fits_level(self.demands[demand].requirement, self.offers[offer].level)
    }

    /// How many demands, and how many strict ones, the version of `offer` leaves unsatisfied.
    pub(super) fn unsatisfied_by(&self, offer: usize) -> (usize, usize) {
        let level = &self.levels[self.offers[offer].level];
        (level.unsatisfied, level.unsatisfied_strict)
    }

    pub(super) fn host_demand(&self) -> Option<usize> {
        self.host_demand.filter(|&at| self.demands[at].bound.is_none())
    }

    /// Whether only copies that are loaded are candidates for the singleton.
    pub(super) fn only_loaded(&self) -> bool {
        self.strategy == ShareStrategy::LoadedFirst
            && self.levels.iter().any(|level| level.available_loaded > 0 && level.unsatisfied_strict == 0)
    }

    /// The offer that serves everybody, if this is a singleton.
    pub(super) fn winner(&self) -> Option<usize> {
        if self.first_live.is_some() {
            return self.first_live;
        }
        let only_loaded = self.only_loaded();
        let candidate = |level: &Level| if only_loaded { level.available_loaded } else { level.available } > 0;
        let candidates = || (0..self.levels.len()).filter(|&level| candidate(&self.levels[level]));
        let level = candidates().find(|&level| self.levels[level].unsatisfied == 0).or_else(|| {
            let host_fits = |level: usize| {
                self.host_demand().is_none_or(|host| self.fits_level(self.demands[host].requirement, level))
            };
            let host_first = candidates().any(host_fits);
            candidates().filter(|&level| !host_first || host_fits(level)).min_by_key(|&level| {
                let Level { unsatisfied, unsatisfied_strict, .. } = self.levels[level];
                (unsatisfied_strict, unsatisfied, level)
            })
        })?;
        self.first_of(level, only_loaded)
    }

    /// The offer that a consumer with this demand gets where the crate is not a singleton.
    pub(super) fn pick(&self, demand: usize) -> Option<usize> {
        let requirement = self.demands[demand].requirement;
        let best = |count: fn(&Level) -> usize| {
            (0..self.levels.len()).find(|&at| count(&self.levels[at]) > 0 && self.fits_level(requirement, at))
        };
        if self.strategy == ShareStrategy::LoadedFirst
            && let Some(level) = best(|level| level.available_loaded)
        {
            return self.first_of(level, true);
        }
        best(|level| level.available).and_then(|level| self.first_of(level, false))
    }

    /// What the participant of `demand` gets; `winner` is [`Self::winner`].
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

    /// What every participant gets, by demand; none for those that are not admitted.
    pub(super) fn decided(&self) -> Vec<Option<Gets>> {
        let singleton = self.is_singleton();
        let winner = if singleton { self.winner() } else { None };
        let requirements = self.fits.len().checked_div(self.levels.len()).unwrap_or_default();
        // Without a singleton, and apart from what is bound, one requirement gets one copy.
        let mut picked: Vec<Option<Option<usize>>> = vec![None; requirements];
        let mut decide = |at: usize| {
            let Demand { requirement, own, bound, admitted, .. } = self.demands[at];
            if !admitted {
                return None;
            }
            if singleton || bound.is_some() || requirement >= requirements {
                return Some(self.gets(at, winner));
            }
            let picked = *picked[requirement].get_or_insert_with(|| self.pick(at));
            Some(picked.or(own).map_or(Gets::Nothing, |offer| self.given(at, offer)))
        };
        (0..self.demands.len()).map(&mut decide).collect()
    }

    /// The admitted demands, other than the host's, that cannot be met as things are.
    pub(super) fn refusals(&self) -> impl Iterator<Item = usize> {
        let singleton = self.is_singleton();
        let winner = if singleton { self.winner() } else { None };
        let host_mismatch =
            |offer| self.host_demand().is_some_and(|host| self.demands[host].strict && !self.fits(host, offer));
        // Most decisions refuse nobody: the counts tell so without looking at every demand.
        let look_at: Box<dyn Iterator<Item = usize>> = match winner {
            Some(offer) if self.unsatisfied_by(offer).1 == usize::from(host_mismatch(offer)) => {
                Box::new(std::iter::empty())
            }
            None if !singleton => Box::new(self.needy.iter().copied()),
            _ => Box::new(0..self.demands.len()),
        };
        look_at.filter(move |&at| {
            self.demands[at].admitted
                && Some(at) != self.host_demand
                && !matches!(self.gets(at, winner), Gets::Offer { .. })
        })
    }

    fn given(&self, demand: usize, offer: usize) -> Gets {
        Gets::Offer { offer, satisfied: self.fits(demand, offer) }
    }

    fn fits_level(&self, requirement: usize, level: usize) -> bool {
        self.fits[requirement * self.levels.len() + level]
    }

    fn first_of(&self, level: usize, only_loaded: bool) -> Option<usize> {
        (self.levels[level].first..self.offers.len())
            .take_while(|&at| self.offers[at].level == level)
            .find(|&at| self.offers[at].available() && (self.offers[at].loaded || !only_loaded))
    }
}

impl Offer {
    /// Smaller is better.
    fn preference(&self) -> (Reverse<usize>, usize) {
        let equal = [!self.live, !self.host, !self.eager]
            .into_iter()
            .fold(0, |key, worse| key * 2 + usize::from(worse));
        (Reverse(self.rank), (equal << (usize::BITS - 3)) | self.order)
    }
}

/// Numbers the requirements of a group from 0, and returns them in that order.
fn number_requirements(demands: &mut [Demand]) -> Vec<Arc<Requirement>> {
    let mut requirements = Vec::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    for demand in demands {
        demand.requirement = *numbers.entry(demand.requirement).or_insert_with(|| {
            requirements.push(demand.required.clone());
            requirements.len() - 1
        });
    }
    requirements
}
