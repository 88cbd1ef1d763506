//! Why a copy was chosen: every candidate, with the reason for which it won or lost.

use std::sync::Arc;

use crate::manifest::{Requirement, ShareStrategy};
use semver::Version;

use super::Plan;
use super::diagnostic::Code;
use super::group::{Barred, Demand, Group};

/// Why one participant gets what it gets of one crate.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Name of the participant.
    pub consumer: Arc<str>,
    /// What it asks for.
    pub required: Arc<Requirement>,
    /// Whether the crate is a singleton in this scope.
    pub singleton: bool,
    /// Who declares it a singleton, by name.
    pub declared_by: Vec<Arc<str>>,
    /// What it gets.
    pub outcome: Outcome,
    /// What decided it.
    pub rule: Rule,
    /// Every copy there is, best version first.
    pub candidates: Vec<Candidate>,
}

/// What decides which copy a participant gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A participant that runs keeps what it uses.
    KeepsItsCopy,
    /// A singleton in use does not move.
    SingletonInUse,
    /// Of the versions that satisfy everybody, the highest is the singleton.
    HighestCompatible,
    /// No version satisfies everybody: the host goes first, then the strict, then the many, then the highest.
    FewestUnsatisfied,
    /// Of a crate that is no singleton, each takes the highest version that fits.
    HighestFitting,
    /// Of a crate that is no singleton nothing fits, so a participant takes its own copy.
    OwnCopy,
    /// There is nothing to give.
    NothingFits,
}

impl Rule {
    /// The stable, kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeepsItsCopy => "keeps-its-copy",
            Self::SingletonInUse => "singleton-in-use",
            Self::HighestCompatible => "highest-compatible",
            Self::FewestUnsatisfied => "fewest-unsatisfied",
            Self::HighestFitting => "highest-fitting",
            Self::OwnCopy => "own-copy",
            Self::NothingFits => "nothing-fits",
        }
    }

    /// The rule in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::KeepsItsCopy => "a participant that runs keeps the copy that it uses",
            Self::SingletonInUse => "a singleton in use does not move",
            Self::HighestCompatible => "of the versions that satisfy everybody, the highest is the singleton",
            Self::FewestUnsatisfied => {
                "no version satisfies everybody: the host goes first, then the fewest strict demands left \
                 unsatisfied, then the fewest demands, then the highest version"
            }
            Self::HighestFitting => {
                "the crate is not a singleton: each takes the highest version that fits it, with a state of its own"
            }
            Self::OwnCopy => {
                "the crate is not a singleton and nothing that is offered fits: it takes its own copy"
            }
            Self::NothingFits => {
                "nothing that is offered fits, and there is no copy of its own to fall back on"
            }
        }
    }
}

/// What a participant gets of a crate.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A copy.
    Uses {
        /// Whose copy it is.
        provider: Arc<str>,
        /// Version of the copy.
        version: Version,
        /// Whether it is the participant's own.
        own: bool,
        /// Whether it is within what the participant asks for.
        satisfied: bool,
    },
    /// Nothing: the participant takes no part, or is the host and there is no copy.
    Refused {
        /// The most important reason, which may concern another crate.
        code: Code,
    },
}

/// A copy that could have been chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Whose copy it is.
    pub provider: Arc<str>,
    /// Version of the copy.
    pub version: Version,
    /// Whether it was chosen.
    pub won: bool,
    /// Why, in a few words.
    pub reason: String,
}

impl Plan {
    /// Why `consumer` gets what it gets of `key` in `scope`; none if it does not need that crate.
    ///
    /// The reasons are written when asked for, in time proportional to the participants of that crate.
    pub fn explain(&self, scope: &str, key: &str, consumer: &str) -> Option<Explanation> {
        let group = self.solver.group(scope, key)?;
        let participant = self.solver.participant(consumer)?;
        let at = group.demands.iter().position(|demand| demand.participant == participant)?;
        let demand = &group.demands[at];
        let winner = if group.is_singleton() { group.winner() } else { None };
        let chosen =
            demand.bound.or(winner).or_else(|| group.pick(at)).or(demand.own.filter(|_| !group.is_singleton()));
        let why = Why { plan: self, group, demand: at, chosen };
        Some(Explanation {
            consumer: self.solver.names[participant].clone(),
            required: demand.required.clone(),
            singleton: group.is_singleton(),
            declared_by: self.declared_by(group),
            outcome: self.outcome(group, at, winner),
            rule: why.rule(),
            candidates: (0..group.offers.len())
                .map(|offer| {
                    let won = chosen == Some(offer);
                    let reason = if won { why.won(offer) } else { why.lost(offer) };
                    let copy = &group.offers[offer];
                    Candidate { provider: copy.provider.clone(), version: copy.version.clone(), won, reason }
                })
                .collect(),
        })
    }
}

/// The reasons for one consumer of one group.
struct Why<'a> {
    plan: &'a Plan,
    group: &'a Group,
    demand: usize,
    chosen: Option<usize>,
}

impl Why<'_> {
    /// Whether the participant has a copy that it would not get as a newcomer for the rules of a singleton.
    fn keeps_its_copy(&self) -> bool {
        let bound = self.consumer().bound;
        bound.is_some() && !(self.group.is_singleton() && bound == self.group.winner())
    }

    fn rule(&self) -> Rule {
        let group = self.group;
        match self.chosen {
            None => Rule::NothingFits,
            Some(_) if self.keeps_its_copy() => Rule::KeepsItsCopy,
            Some(offer) if group.is_singleton() => match group.unsatisfied_by(offer) {
                _ if group.offers[offer].live => Rule::SingletonInUse,
                (0, _) => Rule::HighestCompatible,
                _ => Rule::FewestUnsatisfied,
            },
            Some(offer) if group.fits(self.demand, offer) => Rule::HighestFitting,
            Some(_) => Rule::OwnCopy,
        }
    }

    fn won(&self, offer: usize) -> String {
        let group = self.group;
        let copy = &group.offers[offer];
        let required = &self.consumer().required;
        let loaded =
            if group.strategy == ShareStrategy::LoadedFirst && copy.loaded { " that is loaded" } else { "" };
        if self.keeps_its_copy() {
            return "in use by this participant since it was loaded".to_owned();
        }
        if !group.is_singleton() {
            return if group.fits(self.demand, offer) {
                format!("the highest version{loaded} within {required}")
            } else {
                format!("nothing that is offered is within {required}, so the participant uses its own copy")
            };
        }
        if copy.live {
            return "in use already, and a singleton in use does not move".to_owned();
        }
        let all = group.admitted().count();
        let loaded = if group.only_loaded() { " that is loaded" } else { "" };
        match group.unsatisfied_by(offer) {
            (0, _) => format!("the highest version{loaded} that satisfies {}", everybody(all)),
            (unsatisfied, strict) => {
                let host = group.host_demand().is_some_and(|host| group.fits(host, offer));
                let host = if host { "satisfies the host and " } else { "" };
                let strict = if strict == 0 { String::new() } else { format!(", {strict} of them strict") };
                format!(
                    "no version satisfies everybody; this one {host}leaves the fewest unsatisfied ({unsatisfied} of {all}{strict})"
                )
            }
        }
    }

    fn lost(&self, offer: usize) -> String {
        let group = self.group;
        let copy = &group.offers[offer];
        if !copy.available() {
            return match copy.barred {
                Some(Barred::Unusable) => "it was found not to be usable".to_owned(),
                Some(Barred::NotGranted) => {
                    format!("the host does not let `{}` provide it (provider-not-granted)", copy.provider)
                }
                None => "its participant is refused".to_owned(),
            };
        }
        let Some(chosen) = self.chosen else {
            return self.outside(offer);
        };
        let winner = &group.offers[chosen];
        if self.keeps_its_copy() {
            return "the participant keeps the copy that it has used since it was loaded".to_owned();
        }
        if group.is_singleton() && winner.live {
            return format!("{} is in use, and a singleton in use does not move", winner.version);
        }
        if !group.is_singleton() && !group.fits(self.demand, offer) {
            return self.outside(offer);
        }
        let only_loaded = if group.is_singleton() {
            group.only_loaded()
        } else {
            group.strategy == ShareStrategy::LoadedFirst && winner.loaded
        };
        if only_loaded && !copy.loaded {
            return "not loaded, and a copy that is loaded will do (loaded-first)".to_owned();
        }
        if copy.level == winner.level {
            let reason = if winner.live != copy.live {
                "is in use"
            } else if winner.host != copy.host {
                "is the host's"
            } else if winner.eager != copy.eager {
                "is eager"
            } else if winner.provider != copy.provider {
                "has the smaller name"
            } else {
                "is a later build"
            };
            return format!("the same version as that of `{}`, which {reason}", winner.provider);
        }
        if group.is_singleton() { self.lost_singleton(offer, chosen) } else { lower(&winner.version) }
    }

    /// Why `offer` is not the singleton and `chosen` is, both being candidates.
    fn lost_singleton(&self, offer: usize, chosen: usize) -> String {
        let group = self.group;
        let winner = &group.offers[chosen];
        let (unsatisfied, strict) = group.unsatisfied_by(offer);
        let (least, least_strict) = group.unsatisfied_by(chosen);
        if least == 0 {
            return if unsatisfied == 0 { lower(&winner.version) } else { self.fails(offer) };
        }
        if let Some(host) = group.host_demand()
            && group.fits(host, chosen)
            && !group.fits(host, offer)
        {
            return format!("does not satisfy the host ({})", group.demands[host].required);
        }
        if strict != least_strict {
            format!("leaves {strict} strict demands unsatisfied, {} only {least_strict}", winner.version)
        } else if unsatisfied != least {
            format!("leaves {unsatisfied} demands unsatisfied, {} only {least}", winner.version)
        } else {
            lower(&winner.version)
        }
    }

    /// Whose demands `offer` does not satisfy.
    fn fails(&self, offer: usize) -> String {
        let group = self.group;
        let fails = |at: &usize| {
            group.is_admitted(*at) && group.demands[*at].bound.is_none() && !group.fits(*at, offer)
        };
        let failed: Vec<usize> = (0..group.demands.len()).filter(fails).collect();
        let Some(&first) = failed.first() else { return "loses to a higher version".to_owned() };
        let demand = &group.demands[first];
        let name = &self.plan.solver.names[demand.participant];
        let more = match failed.len() - 1 {
            0 => String::new(),
            more => format!(" and what {more} more ask for"),
        };
        format!("outside {} of `{name}`{more}", demand.required)
    }

    fn outside(&self, offer: usize) -> String {
        let required = &self.consumer().required;
        if self.group.fits(self.demand, offer) {
            "within reach".to_owned()
        } else {
            format!("outside {required}")
        }
    }

    fn consumer(&self) -> &Demand {
        &self.group.demands[self.demand]
    }
}

fn lower(winner: &Version) -> String {
    format!("lower than {winner}")
}

fn everybody(count: usize) -> String {
    match count {
        1 => "its only participant".to_owned(),
        2 => "both participants".to_owned(),
        count => format!("all {count} participants"),
    }
}
