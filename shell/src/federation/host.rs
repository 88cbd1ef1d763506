//! The host as a participant: what it really shares, and what it lets remotes use.

use std::sync::Arc;

use plugin_api::{
    manifest::{AtomAccess, DEFAULT_SCOPE, RemoteManifest},
    shared::{Grant, Grants, SharedCrate},
};

use crate::{
    config::Config,
    failure::{Failure, SharedFailure, Stage},
};

/// The share scope and key of the atom store.
pub(super) const STORE: (&str, &str) = (DEFAULT_SCOPE, <shared_store::Shared as SharedCrate>::NAME);

/// The host's manifest as this build really is: it has one shared crate, in one version.
pub(super) fn with_true_host(mut config: Config) -> (Config, Vec<SharedFailure>) {
    let mut problems = Vec::new();
    let mut say = |code: &str, text: String| {
        tracing::warn!(code, "{text}");
        problems.push(Arc::new(Failure::new(Stage::Plan, code, text)));
    };
    let linked: semver::Version = match <shared_store::Shared as SharedCrate>::VERSION.parse() {
        Ok(version) => version,
        Err(_) => unreachable!("cargo has parsed the version of this package"),
    };
    config.host.shared.retain(|key, shared| {
        let known = key == STORE.1;
        if !known && shared.offered().is_some() {
            let text =
                format!("host.json offers `{key}`, which this shell does not have; take it out of `shared`");
            say("host-shared-unknown", text);
            return false;
        }
        if known && shared.offered().is_some_and(|v| *v != linked) {
            let text =
                format!("host.json states another version of `{key}` than the shell has; set it to {linked}");
            say("host-shared-version", text);
            shared.version = Some(linked.clone());
        }
        true
    });
    (config, problems)
}

/// What a remote may use: what its manifest asks for and the host grants.
///
/// Without `grants` in the host's manifest, everything may be read but the token, and atoms named after the
/// remote may be written.
pub(super) fn grants(config: &Config, alias: &str, manifest: &RemoteManifest) -> Grants {
    let granted = |atom: &str, asked: AtomAccess| match &config.host.grants {
        Some(grants) => grants.get(alias).and_then(|g| g.get(atom)).is_some_and(|g| g.includes(asked)),
        None => match asked {
            AtomAccess::Read => atom != shared_store::AUTH_TOKEN.name(),
            AtomAccess::Write => atom.strip_prefix(&manifest.name).is_some_and(|rest| rest.starts_with('.')),
        },
    };
    let mut out = Vec::new();
    for (atom, asked) in &manifest.atoms {
        if granted(atom, *asked) {
            out.push(Grant { name: atom.as_str().into(), write: *asked == AtomAccess::Write });
        } else {
            tracing::warn!(
                remote = manifest.name,
                atom,
                code = "atom-not-granted",
                "asked for and not granted"
            );
        }
    }
    out.into()
}
