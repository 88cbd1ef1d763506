//! The copies that are in use already, with their users.

use std::collections::BTreeMap;
use std::sync::Arc;

use semver::Version;

use super::{Plan, ShareKey};

/// The copies of shared crates that running participants use.
///
/// A copy is live while a participant uses it, and is never replaced: a loaded participant keeps the copy that it is
/// bound to, and a live singleton serves every participant that joins later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    bindings: BTreeMap<ShareKey, LiveCopy>,
}

/// A copy of a crate that is in use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveCopy {
    /// Name of the participant that provides the copy; it may be retired, and still loaded for the copy's users.
    pub provider: Arc<str>,
    /// Version of the copy.
    pub version: Version,
}

impl Live {
    /// Creates a record without copies in use.
    pub const fn new() -> Self {
        Self { bindings: BTreeMap::new() }
    }

    /// Returns `true` if no copy is in use.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Records that the consumer of `slot` uses `provider`'s copy.
    pub fn bind(&mut self, slot: ShareKey, provider: &str, version: Version) {
        self.bindings.insert(slot, LiveCopy { provider: provider.into(), version });
    }

    /// Records that `consumer` uses the copies that `plan` assigns to it.
    pub fn bind_assigned(&mut self, plan: &Plan, consumer: &str) {
        for assignment in plan.assignments_of(consumer) {
            let copy = LiveCopy { provider: assignment.provider.clone(), version: assignment.version.clone() };
            self.bindings.insert(assignment.slot(), copy);
        }
    }

    /// Records that `consumer` no longer uses any copy.
    pub fn release(&mut self, consumer: &str) {
        self.bindings.retain(|slot, _| &*slot.participant != consumer);
    }

    /// Returns every binding, by consumer, scope and key.
    pub fn bindings(&self) -> impl Iterator<Item = (&ShareKey, &LiveCopy)> {
        self.bindings.iter()
    }

    /// Returns the consumers, other than itself, that use a copy of `provider`, by name.
    ///
    /// While it has users, the provider's library cannot be unloaded.
    pub fn users_of<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a ShareKey> {
        let uses = move |(slot, copy): &(&ShareKey, &LiveCopy)| {
            *copy.provider == *provider && *slot.participant != *provider
        };
        self.bindings.iter().filter(uses).map(|(slot, _)| slot)
    }
}
