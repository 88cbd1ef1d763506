//! Permission to provide a crate to other participants.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::HostManifest;

/// The host's rule for providers; by default every participant may provide every crate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Providers(BTreeMap<String, Grant>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// The only scope in which the grant holds; `None` for all scopes.
    scope: Option<String>,
    names: BTreeSet<String>,
}

impl Providers {
    /// Returns a rule by which every participant may provide every crate.
    pub const fn unrestricted() -> Self {
        Self(BTreeMap::new())
    }

    /// Returns the rule of a host that keeps its own state in the crates called `own`.
    ///
    /// Unless its manifest states otherwise, only the host provides these in the scopes in which it uses them,
    /// because a provider sees all state.
    pub fn of(host: &HostManifest, own: &[&str]) -> Self {
        let stated = host
            .providers
            .iter()
            .map(|(key, names)| (key.clone(), Grant { scope: None, names: names.clone() }));
        let default = own.iter().filter_map(|key| {
            let scope = Some(host.shared.get(*key)?.share_scope.clone());
            Some(((*key).to_owned(), Grant { scope, names: BTreeSet::from([host.name.clone()]) }))
        });
        // The manifest's statement comes last, so that it overrides the default.
        Self(default.chain(stated).collect())
    }

    /// Returns the participants that may provide the crate; `None` if every participant may.
    pub(super) fn of_crate(&self, scope: &str, key: &str) -> Option<&BTreeSet<String>> {
        let grant = self.0.get(key)?;
        grant.scope.as_deref().is_none_or(|known| known == scope).then_some(&grant.names)
    }

    /// Returns the names that may provide `key`, with `participant` added.
    pub(super) fn with(&self, participant: &str, key: &str) -> BTreeSet<String> {
        let known = self.0.get(key).map(|grant| grant.names.clone()).unwrap_or_default();
        known.into_iter().chain([participant.to_owned()]).collect()
    }
}
