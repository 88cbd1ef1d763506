//! The federation: all configured remotes, the plan that they agreed on, and the store.
//!
//! Headless and driven by [`Federation::poll`], once for each frame of the window. Three parts own their data: the
//! [`Inventory`] lists the remotes and the decisions about them, the [`Negotiator`] assigns shared crates to them,
//! and the runtime runs them. A remote that cannot be found, read, planned, loaded or started is a value next to the
//! others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_api::abi::{Font, RemoteEntryRef};
use shared_store::Store;

use crate::catalogue::Code;
use crate::compositor::HostedSurface;
use crate::config::Config;
use crate::data::deliveries::Subscription;
use crate::failure::{Failure, SharedFailure};
use crate::placement::Wake;

mod admission;
mod binding;
mod check;
mod copies;
mod decisions;
mod events;
mod found;
mod host;
mod inventory;
mod negotiator;
mod notices;
mod remote;
mod replacement;
mod retiring;
mod runtime;
mod scan;
mod supply;
mod surroundings;

pub use events::{Events, Notification, RemoteEvent, Topic};
pub use found::RemoteOrigin;
pub(crate) use host::LINKED;
pub use inventory::Inventory;
use inventory::Order;
pub use negotiator::Negotiator;
use negotiator::Remotes;
pub use notices::Warning;
pub use remote::{ManagedRemote, Status};
pub use retiring::{LeakedLibrary, Retiring};
use runtime::Runtime;
pub use supply::{FetchProgress, Supply, Trouble, UpdateOffer};

/// All remotes, their plan and their store. `[window's thread]`
pub struct Federation {
    config: Arc<Config>,
    inventory: Inventory,
    negotiator: Negotiator,
    supply: Supply,
    runtime: Runtime,
}

impl Federation {
    /// Finds, reads and plans all remotes of `config`, and starts those that provide for others.
    pub fn start(config: Config, fonts: Vec<Font>, wake: Wake) -> Self {
        Self::with_remotes(config, fonts, wake, Inventory::remotes)
    }

    /// Starts a federation of one remote that is linked into this executable.
    ///
    /// # Errors
    /// Fails if the remote's manifest is wrong.
    pub fn linked(
        config: Config,
        entry: RemoteEntryRef,
        fonts: Vec<Font>,
        wake: Wake,
    ) -> Result<Self, Failure> {
        let config = Config { watch: false, ..config };
        let remote = ManagedRemote::linked_in(entry)?;
        Ok(Self::with_remotes(config, fonts, wake, |_| BTreeMap::from([(remote.alias().to_owned(), remote)])))
    }

    fn with_remotes(
        config: Config,
        fonts: Vec<Font>,
        wake: Wake,
        remotes: impl FnOnce(&Inventory) -> Remotes,
    ) -> Self {
        let (mut negotiator, config) = Negotiator::new(config, Arc::clone(&wake));
        let inventory = Inventory::new(Arc::clone(&config), Arc::clone(&wake));
        let remotes = remotes(&inventory);
        inventory.follow(&remotes);
        let supply = Supply::new(Arc::clone(&config), Arc::clone(&wake));
        let mut runtime = Runtime::new(Arc::clone(&config), remotes, fonts, wake);
        runtime.settle(&mut negotiator);
        Self { config, inventory, negotiator, supply, runtime }
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns every remote by alias.
    pub fn remotes(&self) -> &BTreeMap<String, ManagedRemote> {
        &self.runtime.remotes
    }

    /// Returns the origins of remotes, and the decisions about them.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Returns the state of everything that is fetched.
    pub fn supply(&self) -> &Supply {
        &self.supply
    }

    /// Returns the release that could replace the one of `remote`, with the verdict of a plan.
    pub fn offer(&self, remote: &ManagedRemote) -> Option<UpdateOffer> {
        Supply::offer(&self.inventory, remote, &self.runtime.remotes, &self.negotiator)
    }

    /// Returns the state of the fetch for `remote`.
    pub fn progress(&self, remote: &ManagedRemote) -> Option<FetchProgress> {
        self.supply.progress(&self.inventory, remote)
    }

    /// Uses the next release of a remote, whatever its policy says; fetches its library, and does not start a remote
    /// that does not run.
    pub fn update(&mut self, alias: &str) {
        if let Some(remote) = self.runtime.remotes.get(alias) {
            self.supply.accept(remote.name());
        }
    }

    /// Cancels the download for a remote; a later one continues it.
    pub fn cancel_fetch(&mut self, alias: &str) {
        let order = self.runtime.remotes.get(alias).and_then(|remote| self.supply.cancel(remote));
        self.carry_out(order.into_iter().collect());
    }

    /// Removes a remote that the user added; what was fetched for it stays in the archive for a while.
    pub fn remove(&mut self, alias: &str) {
        if let Some(remote) = self.runtime.remotes.get(alias) {
            self.inventory.remove(remote.name());
        }
    }

    /// Checks all repositories now.
    pub fn check_for_updates(&mut self) {
        self.supply.check_all(&self.inventory);
    }

    /// Changes the user's decisions about the origin and updates of a remote, over restarts.
    pub fn change_subscription(&self, alias: &str, change: impl FnOnce(&mut Subscription) + Send + 'static) {
        let name = self.runtime.remotes.get(alias).map_or(alias, ManagedRemote::name);
        self.inventory.change_subscription(name, change);
    }

    /// Returns the plan in force, its warnings and reasons.
    pub fn negotiator(&self) -> &Negotiator {
        &self.negotiator
    }

    /// Returns the generations that end, and the libraries that are still loaded after them.
    pub fn retiring(&self) -> &Retiring {
        &self.runtime.retiring
    }

    /// Returns the notifications that were not taken yet.
    pub fn events(&mut self) -> &mut Events {
        &mut self.runtime.events
    }

    /// Returns the host's view of the store, once its provider is loaded.
    pub fn store(&self) -> Option<&Store> {
        self.negotiator.store()
    }

    /// Returns the change of a manifest's line that would admit `remote`; `None` if it is not refused.
    pub fn fix(&self, remote: &ManagedRemote) -> Option<String> {
        let refusal = self.negotiator.plan().refusal(&remote.manifest()?.name)?;
        self.negotiator.change(refusal.cause(), &self.runtime.remotes).map(|change| change.to_string())
    }

    /// Takes the next possible steps. Waits for at most a part of a frame of the window.
    pub fn poll(&mut self) {
        let orders = self.inventory.poll(&self.runtime.remotes);
        self.carry_out(orders);
        let orders = self.supply.poll(&mut self.inventory, &self.runtime.remotes, &self.negotiator);
        self.carry_out(orders);
        for alias in self.runtime.take_bad_offers(&mut self.negotiator) {
            self.retry(&alias);
        }
        for (alias, failure) in self.runtime.poll(&mut self.negotiator) {
            self.count_failure(&alias, &failure);
        }
        self.runtime.settle(&mut self.negotiator);
        for alias in self.runtime.remotes.keys().cloned().collect::<Vec<_>>() {
            let promoted = self.runtime.advance(&alias, self.inventory.archive(), &mut self.negotiator);
            self.runtime.settle(&mut self.negotiator);
            // A remote that was refused alongside the old generation may agree with the new one.
            let postponed = if promoted { self.runtime.postponed() } else { Vec::new() };
            for other in postponed.iter().filter(|other| **other != alias) {
                self.replace(other, false, Instant::now());
            }
        }
        for (alias, code) in self.runtime.take_not_replaced() {
            if let Some(remote) = self.runtime.remotes.get(&alias).filter(|_| code != Code::CheckLost) {
                self.inventory.reject_release(remote);
            }
        }
        self.runtime.wake_up(&self.negotiator);
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Retry(alias) => self.retry(&alias),
                Order::Replace(alias, seen) => self.replace(&alias, false, seen),
                Order::Follow => self.inventory.follow(&self.runtime.remotes),
                order => {
                    if let Some(alias) = self.runtime.carry_out(order, &mut self.negotiator) {
                        self.reload(&alias);
                    }
                }
            }
        }
        self.runtime.settle(&mut self.negotiator);
    }

    fn carry_out_decisions(&mut self) {
        let orders = self.inventory.decided(&self.runtime.remotes);
        self.carry_out(orders);
    }

    fn count_failure(&mut self, alias: &str, failure: &Failure) {
        if self.inventory.count_failure(&self.runtime.remotes, alias, failure) {
            self.carry_out_decisions();
            self.runtime.report_disabled(alias);
        }
    }

    /// Requests that a remote is loaded and started.
    pub fn want(&mut self, alias: &str) {
        self.runtime.want(alias, &self.negotiator);
    }

    /// Opens an expose of a remote that is [`Status::Active`]; `None` for any other.
    pub fn open(&mut self, alias: &str, expose: &str) -> Option<Result<HostedSurface, SharedFailure>> {
        self.runtime.open(alias, expose)
    }

    /// Starts a remote again from its files on the disk: it is found, read, planned and loaded again.
    pub fn retry(&mut self, alias: &str) {
        if let Some(remote) = self.runtime.remotes.get(alias) {
            self.supply.try_again(remote.name(), &self.inventory);
        }
        if let Some(fresh) = self.runtime.remotes.get(alias).map(|remote| self.inventory.find_again(remote)) {
            self.runtime.retry(alias, fresh, &mut self.negotiator);
            self.runtime.settle(&mut self.negotiator);
            self.inventory.follow(&self.runtime.remotes);
        }
    }

    /// Starts a remote again like [`retry`](Self::retry), and its panels without state.
    pub fn restart(&mut self, alias: &str) {
        let opened = self.runtime.remotes.get_mut(alias).map(ManagedRemote::take_opened).unwrap_or_default();
        self.retry(alias);
        self.runtime.remotes.entry(alias.to_owned()).and_modify(|remote| remote.set_opened(opened));
    }

    /// Replaces the running generation by the library on the disk; a remote that does not run is started.
    pub fn reload(&mut self, alias: &str) {
        self.replace(alias, true, Instant::now());
    }

    fn replace(&mut self, alias: &str, again: bool, seen: Instant) {
        if !self.runtime.replace(alias, again, seen, &self.negotiator) {
            self.retry(alias);
        }
    }

    /// Lets a remote run that was disabled, was not enabled yet, or was left out.
    ///
    /// A decision that cannot be saved holds until the shell ends, and a notification follows.
    pub fn enable(&mut self, alias: &str) {
        self.inventory.enable(&self.runtime.remotes, alias);
        self.carry_out_decisions();
    }

    /// Ends a remote until it is enabled again, over restarts.
    ///
    /// A decision that cannot be saved holds until the shell ends, and a notification follows.
    pub fn disable(&mut self, alias: &str) {
        self.inventory.disable(&self.runtime.remotes, alias);
        self.carry_out_decisions();
    }

    /// Begins safe mode, which ends every remote and runs only those that the user enables, or ends it.
    pub fn set_safe_mode(&mut self, safe: bool) {
        self.inventory.set_safe_mode(safe);
        self.carry_out_decisions();
    }

    /// Requests the state of all open panels, which is written on the remotes' threads before they end.
    pub fn save_panels(&self) {
        self.runtime.save_panels();
    }

    /// Ends every remote and waits for up to `limit`. Libraries stay loaded: for a process that is about to exit.
    pub(crate) fn close(&mut self, limit: Duration) {
        self.runtime.close(limit, &mut self.negotiator);
    }

    /// Ends all remotes in parallel and unloads their libraries, within two seconds.
    pub fn shutdown(&mut self) {
        self.runtime.shutdown(&mut self.negotiator);
        self.inventory.finish();
        self.runtime.retiring.finish();
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.shutdown();
    }
}
