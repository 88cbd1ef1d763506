//! Explanations of a choice: every candidate copy, with the reason why it was chosen or not.

use std::sync::Arc;

use crate::manifest::{Requirement, ShareStrategy};
use semver::Version;

use super::Plan;
use super::diagnostic::DiagnosticCode;
use super::group::{Barred, Demand, Group};

/// The explanation of one participant's outcome for one crate.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Name of the participant.
    pub consumer: Arc<str>,
    /// The versions that it accepts.
    pub required: Arc<Requirement>,
    /// Set if the crate is a singleton in this scope.
    pub singleton: bool,
    /// The participants that declare it a singleton, by name.
    pub declared_by: Vec<Arc<str>>,
    /// The copy that it gets, or the reason why it gets none.
    pub outcome: Outcome,
    /// The rule that decided.
    pub rule: Rule,
    /// Every offered copy, best version first.
    pub candidates: Vec<Candidate>,
}

/// The rule that decides which copy a participant gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A running participant keeps its copy.
    KeepsItsCopy,
    /// A singleton in use is not replaced.
    SingletonInUse,
    /// The singleton is the highest version that satisfies every participant.
    HighestCompatible,
    /// No version satisfies every participant: the host's demand counts first, then strict demands, then the number
    /// of demands, then the highest version.
    FewestUnsatisfied,
    /// The crate is not a singleton, and the participant gets the highest version that it accepts.
    HighestFitting,
    /// The crate is not a singleton and no offer fits, so the participant uses its own copy.
    OwnCopy,
    /// No offer fits, and the participant has no copy.
    NothingFits,
}

impl Rule {
    /// Returns the stable, kebab-case name.
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

    /// Returns the rule in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::KeepsItsCopy => "a running participant keeps its copy",
            Self::SingletonInUse => "a singleton in use is not replaced",
            Self::HighestCompatible => "the singleton is the highest version that satisfies every participant",
            Self::FewestUnsatisfied => {
                "no version satisfies every participant: the host's demand counts first, then the fewest unsatisfied \
                 strict demands, then the fewest unsatisfied demands, then the highest version"
            }
            Self::HighestFitting => {
                "the crate is not a singleton: each participant gets the highest version that it accepts, with \
                 separate state"
            }
            Self::OwnCopy => {
                "the crate is not a singleton and no offer fits, so the participant uses its own copy"
            }
            Self::NothingFits => "no offer fits, and the participant has no copy of its own",
        }
    }
}

/// The outcome of a participant's demand for a crate.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The participant uses a copy.
    Uses {
        /// Name of the participant that brings the copy.
        provider: Arc<str>,
        /// Version of the copy.
        version: Version,
        /// Set if the copy is the participant's own.
        own: bool,
        /// Set if the participant accepts the version.
        satisfied: bool,
    },
    /// The participant gets no copy: it is refused, or it is the host and no copy is available.
    Refused {
        /// The most important reason, which may concern another crate.
        code: DiagnosticCode,
    },
}

/// A copy that was considered.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Name of the participant that brings the copy.
    pub provider: Arc<str>,
    /// Version of the copy.
    pub version: Version,
    /// Set if it was chosen.
    pub chosen: bool,
    /// The reason, in a few words.
    pub reason: String,
}

impl Plan {
    /// Explains the outcome of `consumer` for `key` in `scope`; returns `None` if it does not use that crate.
    ///
    /// Takes time proportional to the number of participants of that crate.
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
                    let chosen = chosen == Some(offer);
                    let reason = if chosen { why.chosen(offer) } else { why.not_chosen(offer) };
                    let copy = &group.offers[offer];
                    Candidate { provider: copy.provider.clone(), version: copy.version.clone(), chosen, reason }
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
    /// Returns `true` if the participant keeps a copy that the rules would not give it if it joined now.
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

    fn chosen(&self, offer: usize) -> String {
        let group = self.group;
        let copy = &group.offers[offer];
        let required = &self.consumer().required;
        let loaded = if group.strategy == ShareStrategy::LoadedFirst && copy.loaded { "loaded " } else { "" };
        if self.keeps_its_copy() {
            return "in use by this participant since it was loaded".to_owned();
        }
        if !group.is_singleton() {
            return if group.fits(self.demand, offer) {
                format!("the highest {loaded}version within {required}")
            } else {
                format!("no offer is within {required}, so the participant uses its own copy")
            };
        }
        if copy.live {
            return "in use already, and a singleton in use is not replaced".to_owned();
        }
        let all = group.admitted().count();
        let loaded = if group.only_loaded() { "loaded " } else { "" };
        match group.unsatisfied_by(offer) {
            (0, _) => format!("the highest {loaded}version that satisfies {}", participants(all)),
            (unsatisfied, strict) => {
                let host = group.host_demand().is_some_and(|host| group.fits(host, offer));
                let host = if host { "satisfies the host and " } else { "" };
                let strict = if strict == 0 { String::new() } else { format!(", {strict} of them strict") };
                format!(
                    "no version satisfies every participant; this one {host}leaves the fewest demands unsatisfied \
                     ({unsatisfied} of {all}{strict})"
                )
            }
        }
    }

    fn not_chosen(&self, offer: usize) -> String {
        let group = self.group;
        let copy = &group.offers[offer];
        if !copy.available() {
            return match copy.barred {
                Some(Barred::Unusable) => "it was found to be unusable".to_owned(),
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
            return "the participant keeps the copy in use since it was loaded".to_owned();
        }
        if group.is_singleton() && winner.live {
            return format!("{} is in use, and a singleton in use is not replaced", winner.version);
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
            return "not loaded, and a loaded copy fits (loaded-first)".to_owned();
        }
        if copy.level == winner.level {
            let reason = if winner.live != copy.live {
                "is in use"
            } else if winner.host != copy.host {
                "is the host's"
            } else if winner.eager != copy.eager {
                "is eager"
            } else if winner.provider != copy.provider {
                "comes first by name"
            } else {
                "is a later build"
            };
            return format!("the same version as from `{}`, which {reason}", winner.provider);
        }
        if group.is_singleton() { self.worse_singleton(offer, chosen) } else { lower(&winner.version) }
    }

    /// Returns the reason why the singleton is `chosen` and not `offer`, both being candidates.
    fn worse_singleton(&self, offer: usize, chosen: usize) -> String {
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
            let [more, least] = [strict, least_strict].map(|count| counted(count, "strict demand"));
            format!("leaves {more} unsatisfied, and {} only {least}", winner.version)
        } else if unsatisfied != least {
            let [more, least] = [unsatisfied, least].map(|count| counted(count, "demand"));
            format!("leaves {more} unsatisfied, and {} only {least}", winner.version)
        } else {
            lower(&winner.version)
        }
    }

    /// Names the demands that `offer` does not satisfy.
    fn fails(&self, offer: usize) -> String {
        let group = self.group;
        let fails = |at: &usize| {
            group.is_admitted(*at) && group.demands[*at].bound.is_none() && !group.fits(*at, offer)
        };
        let failed: Vec<usize> = (0..group.demands.len()).filter(fails).collect();
        let Some(&first) = failed.first() else { return "a higher version was chosen".to_owned() };
        let demand = &group.demands[first];
        let name = &self.plan.solver.names[demand.participant];
        let more = match failed.len() - 1 {
            0 => String::new(),
            1 => " and the range of 1 more".to_owned(),
            more => format!(" and the ranges of {more} more"),
        };
        format!("outside {} (required by `{name}`){more}", demand.required)
    }

    fn outside(&self, offer: usize) -> String {
        let required = &self.consumer().required;
        if self.group.fits(self.demand, offer) {
            format!("within {required}")
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

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn participants(count: usize) -> String {
    match count {
        1 => "its only participant".to_owned(),
        2 => "both participants".to_owned(),
        count => format!("all {count} participants"),
    }
}
