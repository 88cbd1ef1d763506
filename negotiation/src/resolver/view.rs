//! A shared crate as people look at it: who offers it, who needs it, who gets what.

use std::sync::Arc;

use crate::manifest::Requirement;
use semver::Version;

use super::Plan;
use super::diagnostic::Code;
use super::explain::Outcome;
use super::group::{Gets, Group};

/// One crate in one share scope.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyView {
    /// The share scope.
    pub scope: Arc<str>,
    /// Name of the crate.
    pub key: Arc<str>,
    /// Whether one copy serves all of the scope.
    pub singleton: bool,
    /// Who says so, by name.
    pub declared_by: Vec<Arc<str>>,
    /// The copies, best first.
    pub offers: Vec<OfferView>,
    /// The demands, by participant.
    pub demands: Vec<DemandView>,
}

/// A copy of a crate.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a column of a table")]
pub struct OfferView {
    /// Whose copy it is.
    pub provider: Arc<str>,
    /// Its version.
    pub version: Version,
    /// It is linked in and usable when its participant runs alone.
    pub eager: bool,
    /// It is in use already.
    pub live: bool,
    /// The library that it is in is loaded.
    pub loaded: bool,
    /// Somebody may be given it; not so when its participant is refused or it must not be used.
    pub available: bool,
}

/// What a participant needs of a crate, and gets.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandView {
    /// Who needs it.
    pub participant: Arc<str>,
    /// What it asks for.
    pub required: Arc<Requirement>,
    /// Whether it insists on that.
    pub strict: bool,
    /// Whether it declares a singleton.
    pub singleton: bool,
    /// The version of its own copy.
    pub own: Option<Version>,
    /// What it gets.
    pub outcome: Outcome,
}

impl Plan {
    /// Every crate that somebody needs, by scope and key.
    pub fn keys(&self) -> impl Iterator<Item = KeyView> {
        self.solver.groups.iter().map(|group| self.view(group))
    }

    /// One crate in one scope.
    pub fn key(&self, scope: &str, key: &str) -> Option<KeyView> {
        self.solver.group(scope, key).map(|group| self.view(group))
    }

    fn view(&self, group: &Group) -> KeyView {
        let names = &self.solver.names;
        let winner = if group.is_singleton() { group.winner() } else { None };
        KeyView {
            scope: group.scope.clone(),
            key: group.key.clone(),
            singleton: group.is_singleton(),
            declared_by: self.declared_by(group),
            offers: group
                .offers
                .iter()
                .map(|offer| OfferView {
                    provider: offer.provider.clone(),
                    version: offer.version.clone(),
                    eager: offer.eager,
                    live: offer.live,
                    loaded: offer.loaded,
                    available: offer.available(),
                })
                .collect(),
            demands: (0..group.demands.len())
                .map(|at| {
                    let demand = &group.demands[at];
                    DemandView {
                        participant: names[demand.participant].clone(),
                        required: demand.required.clone(),
                        strict: demand.strict,
                        singleton: demand.singleton,
                        own: demand.own.map(|own| group.offers[own].version.clone()),
                        outcome: self.outcome(group, at, winner),
                    }
                })
                .collect(),
        }
    }

    pub(super) fn declared_by(&self, group: &Group) -> Vec<Arc<str>> {
        let declarers = group.admitted().filter(|demand| demand.singleton);
        declarers.map(|demand| self.solver.names[demand.participant].clone()).collect()
    }

    pub(super) fn outcome(&self, group: &Group, demand: usize, winner: Option<usize>) -> Outcome {
        let participant = group.demands[demand].participant;
        if !group.is_admitted(demand) {
            let refusal = self.refusal(&self.solver.names[participant]);
            return Outcome::Refused { code: refusal.map_or(Code::Conflict, |refusal| refusal.cause().code) };
        }
        match group.gets(demand, winner) {
            Gets::Offer { offer, .. } | Gets::Mismatch { offer } => {
                let copy = &group.offers[offer];
                Outcome::Uses {
                    provider: copy.provider.clone(),
                    version: copy.version.clone(),
                    own: group.demands[demand].own == Some(offer),
                    satisfied: group.fits(demand, offer),
                }
            }
            Gets::Nothing => Outcome::Refused { code: Code::HostUnsatisfied },
        }
    }
}
