//! Judgement of releases before their libraries are fetched.

use std::sync::Arc;

use plugin_api::abi::ABI_REVISION;

use crate::{
    catalogue::Code,
    data::deliveries::{NextRelease, Supplied},
    failure::{Failure, SharedFailure, Stage},
    federation::{
        admission::refusal,
        negotiator::{Negotiator, Remotes},
        remote::ManagedRemote,
    },
};

/// Returns the reason why a release would be refused, from its signed description and manifest alone.
pub(super) fn verdict(
    next: &NextRelease,
    remote: &ManagedRemote,
    remotes: &Remotes,
    negotiator: &Negotiator,
) -> Option<SharedFailure> {
    let about = &next.release.about;
    if about.abi != ABI_REVISION {
        let text = format!(
            "{} {} is built for revision {} of the contract, and this shell has revision {ABI_REVISION}",
            about.name, about.version, about.abi
        );
        let advice = "wait for a build for this revision, or update Pulse";
        return Some(Arc::new(Failure::new(Stage::Check, Code::AbiRevision, text, advice)));
    }
    let written = next.manifest.as_ref()?;
    let plan = negotiator.context_for(remote, remotes).plan(&written.manifest);
    refusal(&plan, &about.name, |_| None).map(Arc::new)
}

/// Returns the failure that states a withdrawal.
pub(super) fn withdrawal(supplied: &Supplied, remote: &ManagedRemote) -> SharedFailure {
    let version = supplied.installed.as_ref().map(|(installed, _)| installed.release.about.version.to_string());
    let note = supplied.withdrawn.as_ref().map(|withdrawn| withdrawn.note.as_str()).unwrap_or_default();
    let reason = if note.is_empty() { String::new() } else { format!(": {note}") };
    let text =
        format!("`{}` {} was withdrawn by its publisher{reason}", remote.name(), version.unwrap_or_default());
    let advice = match &supplied.next {
        Some(next) => format!("it is replaced by {}", next.release.about.version),
        None => "it keeps running; disable it, or roll it back".to_owned(),
    };
    Arc::new(Failure::new(Stage::Discover, Code::ReleaseWithdrawn, text, advice))
}
