//! What is in use already, and by whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use semver::Version;

use super::{Plan, Slot};

/// The copies of shared crates that running participants use.
///
/// A copy is live while a participant uses it. It is never moved: a participant that is loaded
/// keeps what it is bound to, and a live singleton serves everybody who comes later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    bindings: BTreeMap<Slot, LiveCopy>,
}

/// A copy of a crate that is in use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveCopy {
    /// Name of the participant whose copy it is; it may have been retired since and kept for this.
    pub provider: Arc<str>,
    /// Version of the copy.
    pub version: Version,
}

impl Live {
    /// Nothing is in use.
    pub const fn new() -> Self {
        Self { bindings: BTreeMap::new() }
    }

    /// Whether nothing is in use.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The consumer of `slot` uses `provider`'s copy from now on.
    pub fn bind(&mut self, slot: Slot, provider: &str, version: Version) {
        self.bindings.insert(slot, LiveCopy { provider: provider.into(), version });
    }

    /// What `plan` assigns to `consumer` has been carried out.
    pub fn bind_assigned(&mut self, plan: &Plan, consumer: &str) {
        for assignment in plan.assignments_of(consumer) {
            let copy = LiveCopy { provider: assignment.provider.clone(), version: assignment.version.clone() };
            self.bindings.insert(assignment.slot(), copy);
        }
    }

    /// `consumer` is gone and uses nothing any more.
    pub fn release(&mut self, consumer: &str) {
        self.bindings.retain(|slot, _| &*slot.participant != consumer);
    }

    /// Every binding, by consumer, scope and key.
    pub fn bindings(&self) -> impl Iterator<Item = (&Slot, &LiveCopy)> {
        self.bindings.iter()
    }

    /// The consumers, other than itself, that use a copy of `provider`, by name.
    ///
    /// While there are any, the provider's library cannot be unloaded.
    pub fn users_of<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a Slot> {
        let uses = move |(slot, copy): &(&Slot, &LiveCopy)| {
            *copy.provider == *provider && *slot.participant != *provider
        };
        self.bindings.iter().filter(uses).map(|(slot, _)| slot)
    }
}
