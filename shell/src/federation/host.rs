//! The host as a participant: its shared crates, the copies that it uses, and its grants to remotes.

use std::{collections::BTreeSet, sync::Arc};

use negotiation::manifest::{AtomAccess, RemoteManifest, is_reserved};
use plugin_api::shared::{Grant, Grants, InstallError, SharedCrate};
use shared_store::{Store, bundled::Table};
use telemetry::{api::HubArc, bundled::Switch, replay};

use crate::{
    catalogue::Code,
    config::Config,
    failure::{Failure, SharedFailure, Stage},
    placement::{Bound, Module, loader::Image},
};

/// The crates that every host links, and that hold the host's own state.
pub(crate) const LINKED: &[&str] =
    &[<shared_store::Shared as SharedCrate>::NAME, <telemetry::Shared as SharedCrate>::NAME];

/// The host's copies of shared crates, and the copies that it is bound to.
pub(super) struct Host {
    modules: Arc<[Module]>,
    bound: BTreeSet<String>,
    store: Option<Store>,
    /// Libraries whose copies it uses.
    images: Vec<Arc<Image>>,
}

impl Host {
    /// Creates a host that is not bound to any copy.
    pub(super) fn new() -> Self {
        let table = Table::new();
        let store = Module::of_host::<shared_store::Shared>(move |consumer| table.bind(consumer));
        let switch = Switch::new();
        let telemetry = Module::of_host::<telemetry::Shared>(move |consumer| switch.bind(consumer));
        Self { modules: Arc::new([store, telemetry]), bound: BTreeSet::new(), store: None, images: Vec::new() }
    }

    /// Returns its own copies of shared crates.
    pub(super) fn modules(&self) -> &Arc<[Module]> {
        &self.modules
    }

    /// Returns the shared crates for which it is not bound to a copy yet.
    pub(super) fn unbound(&self) -> Vec<Module> {
        self.modules.iter().filter(|module| !self.bound.contains(&module.key)).cloned().collect()
    }

    /// Installs the copy of `key` that is bound for the host, once for each key.
    pub(super) fn install(&mut self, key: &str, bound: Bound) -> Result<(), InstallError> {
        let Bound { interface, image } = bound;
        self.bound.insert(key.to_owned());
        if key == <shared_store::Shared as SharedCrate>::NAME {
            self.store = Some(Store::from_cells(interface.get()?));
        } else if key == <telemetry::Shared as SharedCrate>::NAME {
            // Attached for as long as the provider lives, so that remotes can log until they have ended; nothing of
            // the provider is kept.
            interface.get::<HubArc>()?.attach(replay::into_default());
        }
        self.images.extend(image);
        Ok(())
    }

    /// Returns its view of the store.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Releases everything that may belong to a remote.
    pub(super) fn uninstall(&mut self) {
        self.store = None;
        self.images.clear();
    }

    /// Corrects the shared crates in the host's manifest to those of this build; returns the configuration and the
    /// corrections.
    pub(super) fn reconcile(&self, mut config: Config) -> (Config, Vec<SharedFailure>) {
        let mut problems = Vec::new();
        let mut report = |code: Code, text: String, advice: String| {
            let failure = Failure::new(Stage::Plan, code, text, advice);
            tracing::warn!(code = code.as_str(), "{}", failure.line());
            problems.push(Arc::new(failure));
        };
        config.host.shared.retain(|key, shared| {
            let Some(offered) = shared.offered() else { return true };
            let Some(linked) = self.modules.iter().find(|module| module.key == *key) else {
                let text = format!(
                    "the host's manifest offers `{key}`, which this shell does not have: {}",
                    config.origin.place(&format!("/shared/{key}"))
                );
                report(Code::HostSharedUnknown, text, "remove it from `shared`".to_owned());
                return false;
            };
            if offered.to_string() != linked.version {
                let text = format!(
                    "the host's manifest offers `{key}` {offered}, and this shell has {}: {}",
                    linked.version,
                    config.origin.place(&format!("/shared/{key}/version"))
                );
                report(Code::HostSharedVersion, text, format!("set it to {}", linked.version));
                shared.version = linked.version.parse().ok();
            }
            true
        });
        (config, problems)
    }
}

/// Returns the atoms that a remote may use, requested by its manifest and granted by the host, and the refused ones.
///
/// Without `grants` in the host's manifest, everything may be read, and atoms named after the remote may be written.
/// A secret, and writing an atom of the host, always need a grant in the host's manifest.
pub(super) fn grants(config: &Config, alias: &str, manifest: &RemoteManifest) -> (Grants, Vec<Refused>) {
    let granted = |atom: &str, asked: AtomAccess| {
        if let Some(grants) = &config.host.grants {
            return grants.get(alias).and_then(|g| g.get(atom)).is_some_and(|g| g.includes(asked));
        }
        let own = || atom.strip_prefix(&manifest.name).is_some_and(|rest| rest.starts_with('.'));
        let by_default = match asked {
            AtomAccess::Read => true,
            AtomAccess::Write => own() && !is_reserved(atom),
        };
        // Overrides all other rules.
        by_default && !is_secret(atom)
    };
    let (mut out, mut refused) = (Vec::new(), Vec::new());
    for (atom, asked) in &manifest.atoms {
        let write = *asked == AtomAccess::Write;
        if granted(atom, *asked) {
            out.push(Grant { name: atom.as_str().into(), write });
        } else {
            refused.push(Refused::new(config, alias, &manifest.name, atom, write));
        }
    }
    (out.into(), refused)
}

/// Returns `true` for atoms that hold secrets: the token's, and all whose names start like it.
fn is_secret(atom: &str) -> bool {
    let token = shared_store::AUTH_TOKEN.name();
    atom.get(..token.len()).is_some_and(|head| head.eq_ignore_ascii_case(token))
}

/// An atom that a remote requests and the host does not grant.
pub(super) struct Refused {
    remote: String,
    atom: String,
    message: String,
}

impl Refused {
    fn new(config: &Config, alias: &str, remote: &str, atom: &str, write: bool) -> Self {
        let access = if write { "write" } else { "read" };
        let grant = format!("\"{atom}\": \"{access}\"");
        let place = config.origin.place(&format!("/grants/{alias}/{atom}"));
        let advice = match config.host.grants.as_ref().map(|grants| grants.contains_key(alias)) {
            _ if config.file.is_none() => {
                format!("a host's manifest can grant it with `{grant}` under `{alias}` in `grants`")
            }
            Some(true) => format!("if it may, put `{grant}` under `{alias}` in `grants`: {place}"),
            Some(false) => format!("if it may, put `\"{alias}\": {{ {grant} }}` under `grants`: {place}"),
            None => format!(
                "if it may, put `\"grants\": {{ \"{alias}\": {{ {grant} }} }}` there, and all other atoms that \
                 remotes use: {place}"
            ),
        };
        let message =
            format!("`{remote}` asks to {access} the atom `{atom}`, which the host does not grant; {advice}");
        Self { remote: remote.to_owned(), atom: atom.to_owned(), message }
    }

    /// Logs the refusal.
    pub(super) fn log(&self) {
        let Self { remote, atom, message } = self;
        tracing::warn!(remote, atom, code = Code::AtomNotGranted.as_str(), "{message}");
    }
}
