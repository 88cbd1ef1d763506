//! Plans with another generation of one remote, and why they refuse it.

use std::collections::BTreeSet;

use negotiation::manifest::{RemoteManifest, ShareStrategy};
use negotiation::rehearsal::Change;
use negotiation::resolver::{self, Diagnostic, Live, Participant, Plan, Providers, Request, Slot};

use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
};

/// Everything that a plan with another generation of one remote depends on, but that generation.
pub(super) struct PlanContext {
    pub(super) host: Participant,
    pub(super) providers: Providers,
    pub(super) others: Vec<Participant>,
    pub(super) live: Live,
    pub(super) excluded: BTreeSet<Slot>,
    pub(super) strategy: ShareStrategy,
}

impl PlanContext {
    /// Makes the plan with `manifest`, where every other remote that runs stays.
    pub(super) fn plan(&self, manifest: &RemoteManifest) -> Plan {
        let mut remotes = self.others.clone();
        remotes.push(Participant::remote(manifest));
        let request = Request::new(&self.host, &remotes, self.strategy);
        let Self { live, excluded, providers, .. } = self;
        resolver::resolve(&Request { live, excluded, providers, ..request })
    }
}

/// Returns the reason for which `plan` refuses the remote called `name`, with the line to change where that is known.
pub(super) fn refusal(
    plan: &Plan,
    name: &str,
    change: impl Fn(&Diagnostic) -> Option<Change>,
) -> Option<Failure> {
    let cause = plan.refusal(name)?.cause();
    let place = change(cause).map(|change| format!(" ({}, {})", change.place, change.edit.pointer));
    let message = format!("{cause}{}", place.unwrap_or_default());
    // The plan states both in one sentence.
    Some(Failure::new(Stage::Plan, Code::from(cause.code), message, ""))
}
