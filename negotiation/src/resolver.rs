//! Negotiation of shared crates: who provides which crate to whom, decided before any remote runs.
//!
//! [`resolve`] is a pure function of what manifests say and of what is in use already.
//! Its result does not depend on the order in which remotes are given, and a remote that cannot
//! be served is a [`Refusal`] in the [`Plan`], never the failure of another.
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

pub use diagnostic::{Code, Diagnostic, Severity};
pub use edit::{Edit, shared_pointer};
pub use explain::{Candidate, Explanation, Outcome, Rule};
pub use live::{Live, LiveCopy};
pub use participant::Participant;
pub use plan::{Assignment, Plan, Refusal};
pub use providers::Providers;
pub use view::{DemandView, KeyView, OfferView};

/// One participant's side of one crate in one share scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Name of the participant.
    pub participant: Arc<str>,
    /// The share scope.
    pub scope: Arc<str>,
    /// Name of the shared crate.
    pub key: Arc<str>,
}

impl Slot {
    /// The slot of `participant` for `key` in `scope`.
    pub fn new(participant: &str, scope: &str, key: &str) -> Self {
        Self { participant: participant.into(), scope: scope.into(), key: key.into() }
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The host; it is never refused.
    pub host: &'a Participant,
    /// The remotes, in any order.
    pub remotes: &'a [Participant],
    /// How providers are chosen.
    pub strategy: ShareStrategy,
    /// What is in use already.
    pub live: &'a Live,
    /// Offers that nobody is to be pointed at, because the copy was found not to be usable; who uses one already
    /// keeps it.
    pub excluded: &'a BTreeSet<Slot>,
    /// The participants whose copies others may be given.
    pub providers: &'a Providers,
}

impl<'a> Request<'a> {
    /// A request for a federation in which nothing is in use yet, every offer counts and everybody may provide.
    pub fn new(host: &'a Participant, remotes: &'a [Participant], strategy: ShareStrategy) -> Self {
        static NOTHING_LIVE: Live = Live::new();
        static NOTHING_EXCLUDED: BTreeSet<Slot> = BTreeSet::new();
        static EVERYBODY: Providers = Providers::everybody();
        let (live, excluded, providers) = (&NOTHING_LIVE, &NOTHING_EXCLUDED, &EVERYBODY);
        Self { host, remotes, strategy, live, excluded, providers }
    }
}

/// Decides who provides each shared crate to whom, and who is refused.
///
/// Pure: equal requests, in whatever order their remotes stand, give equal plans.
pub fn resolve(request: &Request<'_>) -> Plan {
    plan::Plan::of(build::solver(request).settled())
}
