//! A participant: the offers and demands of one manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::manifest::{HostManifest, RemoteManifest, Requirement, ShareDecl};
use semver::Version;

/// The host or a remote, with the offers and demands of its manifest.
#[derive(Debug, Clone)]
pub struct Participant {
    name: Arc<str>,
    loaded: bool,
    /// Scope, crate and requirement of every entry, in one string: planning reads the words of all participants, and
    /// memory latency dominates its time.
    words: String,
    /// By scope, then key, each pair once.
    entries: Vec<Facts>,
}

/// The content of an entry apart from its words.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Length in bytes of its scope, its crate and its requirement within the words.
    lengths: [u32; 3],
    pub(super) singleton: bool,
    pub(super) eager: bool,
    pub(super) strict: bool,
    pub(super) offer: Option<Version>,
    pub(super) required: Arc<Requirement>,
}

/// An offer and a demand: a participant's terms for one crate.
pub(super) struct ShareTerms<'a> {
    pub(super) scope: &'a str,
    pub(super) key: &'a str,
    /// The requirement as written; empty for any version.
    pub(super) range: &'a str,
    pub(super) facts: &'a Facts,
}

impl Participant {
    /// Creates the host that this manifest describes; a host is always loaded.
    pub fn host(manifest: &HostManifest) -> Self {
        Self::new(&manifest.name, &manifest.shared).loaded(true)
    }

    /// Creates the remote that this manifest describes, not loaded yet.
    pub fn remote(manifest: &RemoteManifest) -> Self {
        Self::new(&manifest.name, &manifest.shared)
    }

    /// Returns the same participant with its library marked as loaded or not.
    ///
    /// A new generation that replaces a running one is not loaded: the copies that the old one uses do not bind it.
    #[must_use]
    pub fn loaded(mut self, loaded: bool) -> Self {
        self.loaded = loaded;
        self
    }

    /// Returns the name in the manifest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `true` if the library is loaded.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the entries by scope, then key, each pair once.
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = ShareTerms<'_>> {
        let mut words = self.words.as_str();
        self.entries.iter().map(move |facts| {
            let [scope, key, range] = facts.lengths.map(|length| {
                let (word, rest) = words.split_at(length as usize);
                words = rest;
                word
            });
            ShareTerms { scope, key, range, facts }
        })
    }

    fn new(name: &str, shared: &BTreeMap<String, ShareDecl>) -> Self {
        let mut shared: Vec<(&String, &ShareDecl)> = shared.iter().collect();
        shared.sort_by(|(a_key, a), (b_key, b)| (&a.share_scope, a_key).cmp(&(&b.share_scope, b_key)));
        let mut words = String::new();
        let mut entries = Vec::with_capacity(shared.len());
        for (key, shared) in shared {
            let required = shared.requirement();
            let range = match &required {
                Requirement::Range(range) => range.as_str(),
                Requirement::Any => "",
            };
            let lengths = [shared.share_scope.as_str(), key, range].map(|word| {
                words.push_str(word);
                word.len() as u32
            });
            entries.push(Facts {
                lengths,
                singleton: shared.singleton,
                eager: shared.eager,
                strict: shared.strict_version,
                offer: shared.offered().cloned(),
                required: Arc::new(required),
            });
        }
        Self { name: name.into(), loaded: false, words, entries }
    }
}
