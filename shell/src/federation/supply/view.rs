//! Public view of the supply, for the window and for tests.

use std::{sync::Arc, time::SystemTime};

use delivery::listing::Release;

use super::{Supply, verdict::verdict};
use crate::{
    data::deliveries::Supplier,
    failure::SharedFailure,
    federation::{
        inventory::Inventory,
        negotiator::{Negotiator, Remotes},
        remote::ManagedRemote,
    },
};

/// A repository or server that cannot be used.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The reason.
    pub failure: SharedFailure,
    /// Time of the first failure in a row.
    pub since: SystemTime,
}

/// The state of a fetch, for the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchProgress {
    /// The list or the manifest is being fetched.
    Checking,
    /// The server has not answered yet.
    Connecting,
    /// Another process fetches the same.
    Waiting,
    /// An attempt failed, and another follows.
    Retrying(String),
    /// The library is being fetched.
    Fetching {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// A release that could replace the one in use.
#[derive(Clone, Debug)]
pub struct UpdateOffer {
    /// The release.
    pub release: Arc<Release>,
    /// The release in use was withdrawn in its favour.
    pub replaces_withdrawn: bool,
    /// The reason why it would be refused.
    pub refused: Option<SharedFailure>,
}

impl Supply {
    /// Returns the state of the fetch for a remote.
    pub fn progress(&self, inventory: &Inventory, remote: &ManagedRemote) -> Option<FetchProgress> {
        if let Some(download) = self.downloads.get(remote.name()) {
            return Some(download.progress.clone());
        }
        let supplier = inventory.supplied(remote.name())?.supplier.as_ref().ok()?;
        let is_checking = self.checks.contains_key(supplier.address());
        let is_connecting = matches!(supplier, Supplier::Development(..)) && remote.is_unfetched();
        (is_checking || is_connecting).then_some(FetchProgress::Checking)
    }

    /// Returns the release that could replace the one in use, with the verdict of a plan.
    pub fn offer(
        inventory: &Inventory,
        remote: &ManagedRemote,
        remotes: &Remotes,
        negotiator: &Negotiator,
    ) -> Option<UpdateOffer> {
        let supplied = inventory.supplied(remote.name())?;
        supplied.installed.as_ref()?;
        let next = supplied.next.as_ref()?;
        Some(UpdateOffer {
            release: Arc::clone(&next.release),
            replaces_withdrawn: next.replaces_withdrawn,
            refused: verdict(next, remote, remotes, negotiator),
        })
    }

    /// Returns the reason why a repository or server cannot be used at present.
    pub fn trouble(&self, address: &str) -> Option<&Trouble> {
        self.troubles.get(address)
    }

    /// Returns `true` while a repository is checked.
    pub fn is_checking(&self, address: &str) -> bool {
        self.checks.contains_key(address)
    }
}
