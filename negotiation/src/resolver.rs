//! Negotiation of shared crates: chooses the provider of each crate for each consumer before any remote runs.
//!
//! [`resolve`] is a pure function of the manifests and of the copies in use. Its result does not depend on the order
//! of remotes. A remote that cannot be served is a [`Refusal`] in the [`Plan`] and does not fail another.
//!
//! The rules are on the [crate's page](crate); [`model`](crate::model) is the same in plain code.

mod build;
mod catalogue;
mod diagnostic;
mod draft;
mod edit;
mod explain;
mod group;
mod levels;
mod live;
mod participant;
mod plan;
mod providers;
mod solve;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::manifest::ShareStrategy;

pub use diagnostic::{Diagnostic, DiagnosticCode, Severity};
pub use edit::{Edit, shared_pointer};
pub use explain::{Candidate, Explanation, Outcome, Rule};
pub use live::{Live, LiveCopy};
pub use participant::Participant;
pub use plan::{Assignment, Plan, Refusal};
pub use providers::Providers;
pub use view::{DemandView, KeyView, OfferView};

/// A participant's entry for one crate in one share scope; identifies an offer or a demand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey {
    /// Name of the participant.
    pub participant: Arc<str>,
    /// The share scope.
    pub scope: Arc<str>,
    /// Name of the shared crate.
    pub key: Arc<str>,
}

impl ShareKey {
    /// Creates the key of `participant` for the crate `key` in `scope`.
    pub fn new(participant: &str, scope: &str, key: &str) -> Self {
        Self { participant: participant.into(), scope: scope.into(), key: key.into() }
    }
}

/// The input of [`resolve`].
#[derive(Debug, Clone, Copy)]
pub struct PlanRequest<'a> {
    /// The host; it is never refused.
    pub host: &'a Participant,
    /// The remotes, in any order.
    pub remotes: &'a [Participant],
    /// The strategy that chooses providers.
    pub strategy: ShareStrategy,
    /// The copies that are in use already.
    pub live: &'a Live,
    /// Offers that no further consumer may get, because the copy was found to be unusable; a consumer that uses one
    /// already keeps it.
    pub excluded: &'a BTreeSet<ShareKey>,
    /// The participants that may provide copies to others.
    pub providers: &'a Providers,
}

impl<'a> PlanRequest<'a> {
    /// Creates a request for a federation without copies in use or excluded offers, in which every participant may
    /// provide.
    pub fn new(host: &'a Participant, remotes: &'a [Participant], strategy: ShareStrategy) -> Self {
        static NOTHING_LIVE: Live = Live::new();
        static NOTHING_EXCLUDED: BTreeSet<ShareKey> = BTreeSet::new();
        static UNRESTRICTED: Providers = Providers::unrestricted();
        let (live, excluded, providers) = (&NOTHING_LIVE, &NOTHING_EXCLUDED, &UNRESTRICTED);
        Self { host, remotes, strategy, live, excluded, providers }
    }
}

/// Decides which copy of each shared crate every consumer gets, and which participants are refused.
///
/// Pure: equal requests return equal plans, in any order of their remotes.
pub fn resolve(request: &PlanRequest<'_>) -> Plan {
    plan::Plan::of(build::solver(request).settled())
}
