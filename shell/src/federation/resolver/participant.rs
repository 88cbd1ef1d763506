//! Who takes part: what one manifest offers and demands.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_api::manifest::{HostManifest, RemoteManifest, Requirement, Shared};
use semver::Version;

/// The host or a remote, with the offers and demands of its manifest.
#[derive(Debug, Clone)]
pub struct Participant {
    name: Arc<str>,
    loaded: bool,
    entries: Vec<Entry>,
}

/// An offer and a demand: what a participant's manifest says of one crate.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) scope: Arc<str>,
    pub(super) key: Arc<str>,
    pub(super) offer: Option<Version>,
    pub(super) required: Arc<Requirement>,
    pub(super) singleton: bool,
    pub(super) eager: bool,
    pub(super) strict: bool,
}

impl Participant {
    /// The host that this manifest describes; a host is always loaded.
    pub fn host(manifest: &HostManifest) -> Self {
        Self::new(&manifest.name, &manifest.shared).loaded(true)
    }

    /// The remote that this manifest describes, not loaded yet.
    pub fn remote(manifest: &RemoteManifest) -> Self {
        Self::new(&manifest.name, &manifest.shared)
    }

    /// The same participant, its library being loaded or not.
    ///
    /// A new generation that is to replace a running one is not loaded: what the old one uses
    /// does not bind it.
    #[must_use]
    pub fn loaded(mut self, loaded: bool) -> Self {
        self.loaded = loaded;
        self
    }

    /// The name in the manifest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the library is loaded.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// By scope, then key, each pair once.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn new(name: &str, shared: &BTreeMap<String, Shared>) -> Self {
        let entry = |(key, shared): (&String, &Shared)| Entry {
            scope: shared.share_scope.as_str().into(),
            key: key.as_str().into(),
            offer: shared.offered().cloned(),
            required: Arc::new(shared.requirement()),
            singleton: shared.singleton,
            eager: shared.eager,
            strict: shared.strict_version,
        };
        let mut entries: Vec<Entry> = shared.iter().map(entry).collect();
        entries.sort_by(|a, b| (&a.scope, &a.key).cmp(&(&b.scope, &b.key)));
        Self { name: name.into(), loaded: false, entries }
    }
}
