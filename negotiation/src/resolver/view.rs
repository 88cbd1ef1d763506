//! Views of a shared crate for display: its offers, its demands, and the outcome of each demand.

use std::sync::Arc;

use crate::manifest::Requirement;
use semver::Version;

use super::Plan;
use super::diagnostic::DiagnosticCode;
use super::explain::Outcome;
use super::group::{Gets, Group};

/// A crate in one share scope.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyView {
    /// The share scope.
    pub scope: Arc<str>,
    /// Name of the crate.
    pub key: Arc<str>,
    /// Set if one copy serves the complete scope.
    pub singleton: bool,
    /// The participants that declare the singleton, by name.
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
    /// Name of the participant that brings the copy.
    pub provider: Arc<str>,
    /// Its version.
    pub version: Version,
    /// Set if the copy is linked in and usable when its participant runs alone.
    pub eager: bool,
    /// Set if the copy is in use already.
    pub live: bool,
    /// Set if the library that contains the copy is loaded.
    pub loaded: bool,
    /// Set if other participants may get the copy; not set if its participant is refused or the copy is barred.
    pub available: bool,
}

/// A participant's demand for a crate, and its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandView {
    /// Name of the participant.
    pub participant: Arc<str>,
    /// The versions that it accepts.
    pub required: Arc<Requirement>,
    /// Set if it is refused rather than served with another version (`strictVersion`).
    pub strict: bool,
    /// Set if it declares a singleton.
    pub singleton: bool,
    /// The version of its own copy.
    pub own: Option<Version>,
    /// The copy that it gets, or the reason why it gets none.
    pub outcome: Outcome,
}

impl Plan {
    /// Returns every crate that a participant requires, by scope and key.
    pub fn keys(&self) -> impl Iterator<Item = KeyView> {
        self.solver.groups.iter().map(|group| self.view(group))
    }

    /// Returns one crate in one scope.
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
            return Outcome::Refused {
                code: refusal.map_or(DiagnosticCode::Conflict, |refusal| refusal.cause().code),
            };
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
            Gets::Nothing => Outcome::Refused { code: DiagnosticCode::HostUnsatisfied },
        }
    }
}
