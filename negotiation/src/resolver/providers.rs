//! Which participants' copies of a crate others may be given.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::HostManifest;

/// The host's rule of who may provide; by default everybody, everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Providers(BTreeMap<String, Grant>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// The one scope in which it holds; in all, if there is none.
    scope: Option<String>,
    names: BTreeSet<String>,
}

impl Providers {
    /// Returns a rule by which everybody may provide everything.
    pub const fn everybody() -> Self {
        Self(BTreeMap::new())
    }

    /// Returns the rule of a host that has state of its own in the crates called `own`.
    ///
    /// Without a word of its manifest only the host provides these, where it takes part: a provider sees all state.
    pub fn of(host: &HostManifest, own: &[&str]) -> Self {
        let stated = host
            .providers
            .iter()
            .map(|(key, names)| (key.clone(), Grant { scope: None, names: names.clone() }));
        let default = own.iter().filter_map(|key| {
            let scope = Some(host.shared.get(*key)?.share_scope.clone());
            Some(((*key).to_owned(), Grant { scope, names: BTreeSet::from([host.name.clone()]) }))
        });
        // What is stated comes last and counts.
        Self(default.chain(stated).collect())
    }

    /// Returns the participants whose copies others may be given, where not everybody's.
    pub(super) fn of_crate(&self, scope: &str, key: &str) -> Option<&BTreeSet<String>> {
        let grant = self.0.get(key)?;
        grant.scope.as_deref().is_none_or(|known| known == scope).then_some(&grant.names)
    }

    /// Returns the names that may provide `key`, with `participant` among them.
    pub(super) fn with(&self, participant: &str, key: &str) -> BTreeSet<String> {
        let known = self.0.get(key).map(|grant| grant.names.clone()).unwrap_or_default();
        known.into_iter().chain([participant.to_owned()]).collect()
    }
}
