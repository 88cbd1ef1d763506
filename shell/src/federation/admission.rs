//! Plans with another generation of a remote, and their reasons to refuse it.

use std::collections::BTreeSet;

use negotiation::manifest::{RemoteManifest, ShareStrategy};
use negotiation::rehearsal::Change;
use negotiation::resolver::{self, Diagnostic, Live, Participant, Plan, PlanRequest, Providers, ShareKey};

use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
};

/// Inputs of a plan with another generation of a remote, apart from that generation.
pub(super) struct PlanContext {
    pub(super) host: Participant,
    pub(super) providers: Providers,
    pub(super) others: Vec<Participant>,
    pub(super) live: Live,
    pub(super) excluded: BTreeSet<ShareKey>,
    pub(super) strategy: ShareStrategy,
}

impl PlanContext {
    /// Plans with `manifest`; every other running remote stays.
    pub(super) fn plan(&self, manifest: &RemoteManifest) -> Plan {
        let mut remotes = self.others.clone();
        remotes.push(Participant::remote(manifest));
        let request = PlanRequest::new(&self.host, &remotes, self.strategy);
        let Self { live, excluded, providers, .. } = self;
        resolver::resolve(&PlanRequest { live, excluded, providers, ..request })
    }
}

/// Returns the reason why `plan` refuses the remote called `name`, with the line to change if that is known.
pub(super) fn refusal(
    plan: &Plan,
    name: &str,
    change: impl Fn(&Diagnostic) -> Option<Change>,
) -> Option<Failure> {
    let cause = plan.refusal(name)?.cause();
    let place = change(cause).map(|change| format!(" ({}, {})", change.place, change.edit.pointer));
    let message = format!("{cause}{}", place.unwrap_or_default());
    // The cause has its advice in the same sentence.
    Some(Failure::new(Stage::Plan, Code::from(cause.code), message, ""))
}
