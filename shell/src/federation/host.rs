//! The host as a participant: the shared crates that it has and uses, and what it lets remotes use.

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

/// The crates that every host links, and keeps its own state in.
pub(crate) const LINKED: &[&str] =
    &[<shared_store::Shared as SharedCrate>::NAME, <telemetry::Shared as SharedCrate>::NAME];

/// The host's copies of shared crates, and the copies that it was pointed at.
pub(super) struct Host {
    modules: Arc<[Module]>,
    bound: BTreeSet<String>,
    store: Option<Store>,
    /// The libraries whose copies it uses.
    images: Vec<Arc<Image>>,
}

impl Host {
    /// A host that uses nothing yet.
    pub(super) fn new() -> Self {
        let table = Table::new();
        let store = Module::of_host::<shared_store::Shared>(move |consumer| table.bind(consumer));
        let switch = Switch::new();
        let telemetry = Module::of_host::<telemetry::Shared>(move |consumer| switch.bind(consumer));
        Self { modules: Arc::new([store, telemetry]), bound: BTreeSet::new(), store: None, images: Vec::new() }
    }

    /// What it has.
    pub(super) fn modules(&self) -> &Arc<[Module]> {
        &self.modules
    }

    /// What it has not been pointed at yet.
    pub(super) fn unbound(&self) -> Vec<Module> {
        self.modules.iter().filter(|module| !self.bound.contains(&module.key)).cloned().collect()
    }

    /// Points the host at the copy of `key` that is bound for it; it is not pointed at another one afterwards.
    pub(super) fn install(&mut self, key: &str, bound: Bound) -> Result<(), InstallError> {
        let Bound { interface, image } = bound;
        self.bound.insert(key.to_owned());
        if key == <shared_store::Shared as SharedCrate>::NAME {
            self.store = Some(Store::from_cells(interface.get()?));
        } else if key == <telemetry::Shared as SharedCrate>::NAME {
            // For as long as the provider lives, so that remotes are heard until they have ended; nothing of the
            // provider is kept.
            interface.get::<HubArc>()?.attach(replay::into_default());
        }
        self.images.extend(image);
        Ok(())
    }

    /// Its view of the store.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Lets go of everything that may be a remote's.
    pub(super) fn uninstall(&mut self) {
        self.store = None;
        self.images.clear();
    }

    /// Returns the configuration as this build really is, which has its crates in one version each, and what was wrong.
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
                report(Code::HostSharedUnknown, text, "take it out of `shared`".to_owned());
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

/// What a remote may use: what its manifest asks for and the host grants; and what it asks for in vain.
///
/// Without `grants` in the host's manifest, everything may be read, and atoms named after the remote may be written.
/// A secret, and writing an atom of the host, always take a grant of the host's manifest.
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
        // Last, whatever another rule allows.
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

/// Returns true for atoms that hold secrets: that of the token, and whatever is named under it.
fn is_secret(atom: &str) -> bool {
    let token = shared_store::AUTH_TOKEN.name();
    atom.get(..token.len()).is_some_and(|head| head.eq_ignore_ascii_case(token))
}

/// An atom that a remote asks for and that the host does not grant.
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
                format!("a host's manifest may, with `{grant}` under `{alias}` in `grants`")
            }
            Some(true) => format!("if it may, put `{grant}` under `{alias}` in `grants`: {place}"),
            Some(false) => format!("if it may, put `\"{alias}\": {{ {grant} }}` under `grants`: {place}"),
            None => format!(
                "if it may, put `\"grants\": {{ \"{alias}\": {{ {grant} }} }}` there, and all else that remotes are \
                 to use: {place}"
            ),
        };
        let message =
            format!("`{remote}` asks to {access} the atom `{atom}`, which the host does not grant; {advice}");
        Self { remote: remote.to_owned(), atom: atom.to_owned(), message }
    }

    /// Says so in the log.
    pub(super) fn log(&self) {
        let Self { remote, atom, message } = self;
        tracing::warn!(remote, atom, code = Code::AtomNotGranted.as_str(), "{message}");
    }
}
