//! Supply of remotes over the network: checks of repositories, downloads, updates, and builds of development servers.
//!
//! Everything that talks to the network runs in other processes; this module starts them and applies their results.
//! Without a fetching program it fetches nothing, and remotes run with the releases that they have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use delivery::{
    DeliveryError, ErrorCode,
    fetch::{Fetch, FetchEvent, Fetched, Network, Request, Task},
    listing::Release,
};
use negotiation::manifest::UpdatePolicy;
use semver::Version;

use super::{
    events::{RemoteEvent, Topic},
    found::RemoteOrigin,
    inventory::{Inventory, Order},
    negotiator::{Negotiator, Remotes},
    remote::ManagedRemote,
};
use crate::{
    catalogue::Code,
    config::Config,
    data::deliveries::{NextRelease, Repository, Supplied, Supplier, network},
    failure::{Failure, SharedFailure, Stage},
    placement::Wake,
};

mod verdict;
mod view;

use verdict::{verdict, withdrawal};
pub use view::{FetchProgress, Trouble, UpdateOffer};

/// The wait from the start of the shell to its first check, so that the first frames are not slower.
const FIRST_CHECK: Duration = Duration::from_millis(300);

/// Deviation of the time of a repeated check, so that many shells do not check at once.
const JITTER: f64 = 0.1;

/// Processes that fetch, and their results. `[window's thread]`
pub struct Supply {
    config: Arc<Config>,
    wake: Wake,
    /// Running checks, by address.
    checks: BTreeMap<String, Fetch>,
    /// Running downloads, by name of the remote.
    downloads: BTreeMap<String, Download>,
    /// Followed development servers, by address; `None` if the process could not be started.
    servers: BTreeMap<String, Option<Fetch>>,
    /// Addresses that could not be reached or verified, until they are.
    troubles: BTreeMap<String, Trouble>,
    /// Addresses that were checked, until a remote of them is retried.
    checked: BTreeSet<String>,
    /// Time of the next check, by address; `None` for one that is only made on request.
    due: BTreeMap<String, Option<Instant>>,
    /// Remotes whose next release is to be used.
    accepted: BTreeSet<String>,
    /// Releases and withdrawals that were reported, by name of the remote.
    reported: BTreeMap<String, Reported>,
}

/// The last report about updates of a remote.
#[derive(PartialEq)]
struct Reported {
    version: Version,
    withdrawn: bool,
    /// The policy was to use it; another policy is another report.
    automatic: bool,
}

/// A running download.
struct Download {
    fetch: Fetch,
    release: Arc<Release>,
    progress: FetchProgress,
}

impl Supply {
    /// Creates a supply that has started nothing.
    pub(super) fn new(config: Arc<Config>, wake: Wake) -> Self {
        if config.fetcher.is_some() && config.host.updates.on_start {
            wake(FIRST_CHECK);
        }
        Self {
            config,
            wake,
            checks: BTreeMap::new(),
            downloads: BTreeMap::new(),
            servers: BTreeMap::new(),
            troubles: BTreeMap::new(),
            checked: BTreeSet::new(),
            due: BTreeMap::new(),
            accepted: BTreeSet::new(),
            reported: BTreeMap::new(),
        }
    }

    /// Starts what is due, and applies what has ended.
    pub(super) fn poll(
        &mut self,
        inventory: &mut Inventory,
        remotes: &Remotes,
        negotiator: &Negotiator,
    ) -> Vec<Order> {
        if self.config.fetcher.is_none() {
            return Vec::new();
        }
        let mut orders = self.take_checks(inventory);
        orders.extend(self.take_downloads(inventory, remotes));
        orders.extend(self.take_builds(inventory, remotes));
        // Results that were not read yet would be fetched again.
        if inventory.is_busy() {
            return orders;
        }
        let mut used = BTreeSet::new();
        for remote in remotes.values().filter(|remote| remote.linked().is_none()) {
            let Some(supplied) = inventory.supplied(remote.name()).map(Arc::clone) else { continue };
            match &supplied.supplier {
                Ok(Supplier::Repository(repository)) => {
                    used.insert(repository.address.clone());
                    self.check_when_due(repository, &supplied, remote, inventory);
                    orders.extend(self.step(repository, &supplied, remote, inventory, remotes, negotiator));
                }
                Ok(Supplier::Development(address, _)) if remote.disabled().is_none() => {
                    used.insert(address.clone());
                    self.follow(address, inventory);
                    let trouble = self.troubles.get(address).filter(|_| remote.is_unfetched());
                    orders.extend(trouble.and_then(|trouble| block(remote, &trouble.failure)));
                }
                Ok(Supplier::Development(..)) | Err(_) => {}
            }
        }
        self.servers.retain(|address, _| used.contains(address));
        self.due.retain(|address, _| used.contains(address));
        orders
    }

    /// Starts the check of a repository if its time has come, or a remote waits for it.
    fn check_when_due(
        &mut self,
        repository: &Repository,
        supplied: &Supplied,
        remote: &ManagedRemote,
        inventory: &Inventory,
    ) {
        let address = &repository.address;
        if self.checks.contains_key(address) {
            return;
        }
        let now = Instant::now();
        let on_start = self.config.host.updates.on_start;
        let due = self.due.entry(address.clone()).or_insert_with(|| on_start.then(|| now + FIRST_CHECK));
        let lacks_manifest = supplied.next.as_ref().is_some_and(|next| next.manifest.is_none());
        let needed = remote.is_unfetched()
            && remote.disabled().is_none()
            && remote.unusable().is_none()
            && (supplied.listed.is_none() || lacks_manifest)
            && !self.checked.contains(address)
            && !self.troubles.contains_key(address);
        if let Some(due) = due.filter(|due| *due > now && !needed) {
            (self.wake)(due - now);
        } else if needed || due.is_some() {
            self.check(repository, inventory);
        }
    }

    /// Starts to check a repository now.
    fn check(&mut self, repository: &Repository, inventory: &Inventory) {
        let address = repository.address.clone();
        self.due.insert(address.clone(), self.next_check());
        let of_this = |supplied: &&Arc<Supplied>| {
            supplied.supplier.as_ref().is_ok_and(|supplier| supplier.address() == address)
        };
        let wanted = inventory.all_supplied().filter(of_this).map(|supplied| supplied.wanted.clone()).collect();
        let started =
            self.start(repository, Task::Check { root: Some(repository.trusted.root), wanted }, inventory);
        match started {
            Ok(fetch) => {
                self.checks.insert(address, fetch);
            }
            Err(failure) => self.note_trouble(&address, failure),
        }
    }

    /// Returns the time of the next repeated check, if the settings request one.
    fn next_check(&self) -> Option<Instant> {
        let minutes = self.config.host.updates.every_minutes?;
        let random = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
        let factor = 1.0 - JITTER + 2.0 * JITTER * random;
        Some(Instant::now() + Duration::from_secs(u64::from(minutes) * 60).mul_f64(factor))
    }

    fn start(&self, repository: &Repository, task: Task, inventory: &Inventory) -> Result<Fetch, Failure> {
        let cache = inventory.deliveries().make_cache(&repository.address)?;
        let network = repository.network(&self.config)?;
        self.spawn(&Request { task, address: repository.address.clone(), cache, network })
    }

    fn spawn(&self, request: &Request) -> Result<Fetch, Failure> {
        let program = self.config.fetcher.as_deref().unwrap_or_else(|| std::path::Path::new(""));
        let wake = Arc::clone(&self.wake);
        Ok(Fetch::start(program, request, move || wake(Duration::ZERO))?)
    }

    /// Starts to follow a development server, once.
    fn follow(&mut self, address: &str, inventory: &Inventory) {
        if self.servers.contains_key(address) {
            return;
        }
        let started = inventory.deliveries().make_cache(address).and_then(|cache| {
            let network: Network = network(&self.config);
            self.spawn(&Request { task: Task::Follow, address: address.to_owned(), cache, network })
        });
        let fetch = started.map_err(|failure| self.note_trouble(address, failure)).ok();
        self.servers.insert(address.to_owned(), fetch);
    }

    fn note_trouble(&mut self, address: &str, failure: Failure) {
        let since = self.troubles.get(address).map_or_else(SystemTime::now, |trouble| trouble.since);
        tracing::warn!(address, code = failure.code.as_str(), "{}", failure.line());
        self.troubles.insert(address.to_owned(), Trouble { failure: Arc::new(failure), since });
        (self.wake)(Duration::ZERO);
    }

    /// Applies the results of checks.
    fn take_checks(&mut self, inventory: &mut Inventory) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut ended = Vec::new();
        for (address, fetch) in &self.checks {
            for event in fetch.events() {
                match event {
                    FetchEvent::Checked { changed, requests, bytes, .. } => {
                        tracing::debug!(address, changed, requests, bytes, "checked a repository");
                        ended.push((address.clone(), None));
                    }
                    FetchEvent::Failed(error) => ended.push((address.clone(), Some(error))),
                    _ => {}
                }
            }
        }
        for (address, error) in ended {
            self.checks.remove(&address);
            if let Some(error) = error {
                self.note_trouble(&address, error.into());
                if let Some(trouble) = self.troubles.get(&address) {
                    let failure = Arc::clone(&trouble.failure);
                    orders.push(Order::Report(address, failure, RemoteEvent::UpdatesStopped));
                }
            } else {
                self.checked.insert(address.clone());
                if self.troubles.remove(&address).is_some() {
                    orders.push(Order::Withdraw(address, Topic::Update));
                }
                inventory.refresh();
            }
        }
        orders
    }

    /// Applies the events of downloads.
    fn take_downloads(&mut self, inventory: &mut Inventory, remotes: &Remotes) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut ended = Vec::new();
        for (name, download) in &mut self.downloads {
            for event in download.fetch.events() {
                match event {
                    FetchEvent::Waiting => download.progress = FetchProgress::Waiting,
                    FetchEvent::Progress { bytes, total } => {
                        download.progress = FetchProgress::Fetching { bytes, total }
                    }
                    FetchEvent::Retrying { error, .. } => {
                        download.progress = FetchProgress::Retrying(error.summary);
                    }
                    FetchEvent::Fetched(fetched) => ended.push((name.clone(), Ok(fetched))),
                    FetchEvent::Failed(error) => ended.push((name.clone(), Err(error))),
                    _ => {}
                }
            }
        }
        for (name, result) in ended {
            let Some(download) = self.downloads.remove(&name) else { continue };
            match result {
                Ok(fetched) => inventory.adopt(*fetched, download.release),
                Err(error) => {
                    let failure: SharedFailure = Arc::new(error.into());
                    for remote in remotes.values().filter(|remote| remote.name() == name) {
                        orders.push(failed_download(remote, &failure));
                    }
                }
            }
        }
        orders
    }

    /// Applies the events of development servers.
    fn take_builds(&mut self, inventory: &mut Inventory, remotes: &Remotes) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut lost = Vec::new();
        for (address, fetch) in &self.servers {
            for event in fetch.iter().flat_map(Fetch::events) {
                match event {
                    FetchEvent::Fetched(build) => {
                        self.troubles.remove(address);
                        orders.push(Order::Withdraw(build.name.clone(), Topic::Update));
                        orders.extend(take_build(*build, inventory, remotes));
                    }
                    FetchEvent::Lost { name, error } if name.is_empty() => lost.push((address.clone(), error)),
                    FetchEvent::Failed(error) => lost.push((address.clone(), error)),
                    FetchEvent::Lost { name, error } => {
                        let failure = Arc::new(error.into());
                        let of = remotes.values().filter(|remote| remote.name() == name);
                        orders.extend(of.map(|remote| failed_download(remote, &failure)));
                    }
                    _ => {}
                }
            }
        }
        for (address, error) in lost {
            self.note_trouble(&address, error.into());
        }
        orders
    }

    /// Takes the next step of a remote of a repository.
    fn step(
        &mut self,
        repository: &Repository,
        supplied: &Supplied,
        remote: &ManagedRemote,
        inventory: &mut Inventory,
        remotes: &Remotes,
        negotiator: &Negotiator,
    ) -> Vec<Order> {
        let name = remote.name().to_owned();
        if remote.disabled().is_some() || self.downloads.contains_key(&name) {
            return Vec::new();
        }
        if supplied.installed.is_none() {
            return self.first(repository, supplied, remote, inventory, remotes, negotiator);
        }
        let Some(next) = &supplied.next else {
            return self.without_next(supplied, remote);
        };
        let pinned = matches!(remote.place(), RemoteOrigin::Pinned { .. } | RemoteOrigin::Overridden(_));
        let held = pinned || supplied.policy == UpdatePolicy::Pin;
        let about = Reported {
            version: next.release.about.version.clone(),
            withdrawn: next.replaces_withdrawn,
            automatic: supplied.policy == UpdatePolicy::Auto,
        };
        let is_new = self.reported.get(&name) != Some(&about);
        let accepted = self.accepted.contains(&name);
        let waits = held || next.rejected || !is_new;
        if next.manifest.is_none() || (waits && !accepted) {
            return Vec::new();
        }
        self.reported.insert(name.clone(), about);
        let refused = verdict(next, remote, remotes, negotiator);
        let at_once = accepted || next.replaces_withdrawn || supplied.policy == UpdatePolicy::Auto;
        let alias = remote.alias().to_owned();
        let mut orders = Vec::new();
        if next.replaces_withdrawn {
            let event = RemoteEvent::Withdrawn;
            orders.push(Order::Notify(alias.clone(), event, Some(withdrawal(supplied, remote))));
        }
        match (refused, at_once) {
            (Some(failure), true) => {
                self.accepted.remove(&name);
                orders.push(Order::Report(alias, failure, RemoteEvent::NotReplaced));
            }
            (None, true) => {
                orders.push(Order::Withdraw(alias, Topic::Update));
                orders.extend(self.fetch(repository, supplied, next, remote, inventory));
            }
            (refused, false) => {
                let event = RemoteEvent::UpdateOffered { release: Arc::clone(&next.release) };
                orders.push(Order::Notify(alias, event, refused));
            }
        }
        orders
    }

    /// Reports a withdrawal without a release to return to.
    fn without_next(&mut self, supplied: &Supplied, remote: &ManagedRemote) -> Vec<Order> {
        self.accepted.remove(remote.name());
        let (Some((installed, _)), Some(_)) = (&supplied.installed, &supplied.withdrawn) else {
            return Vec::new();
        };
        let version = installed.release.about.version.clone();
        let about = Reported { version, withdrawn: true, automatic: false };
        if self.reported.get(remote.name()) == Some(&about) {
            return Vec::new();
        }
        self.reported.insert(remote.name().to_owned(), about);
        let event = RemoteEvent::Withdrawn;
        vec![Order::Notify(remote.alias().to_owned(), event, Some(withdrawal(supplied, remote)))]
    }

    /// Takes the next step of a remote without a release, once it is requested.
    fn first(
        &mut self,
        repository: &Repository,
        supplied: &Supplied,
        remote: &ManagedRemote,
        inventory: &mut Inventory,
        remotes: &Remotes,
        negotiator: &Negotiator,
    ) -> Vec<Order> {
        if !remote.is_unfetched() || remote.unusable().is_some() {
            return Vec::new();
        }
        let trouble = self.troubles.get(&repository.address);
        let Some(next) = &supplied.next else {
            let failure = supplied.unlisted.as_ref().or(trouble.map(|trouble| &trouble.failure));
            return failure.and_then(|failure| block(remote, failure)).into_iter().collect();
        };
        if next.manifest.is_none() {
            let unusable = || {
                let about = &next.release.about;
                let text = format!("the manifest of {} {} cannot be used", about.name, about.version);
                let advice = "report this to its publisher";
                Arc::new(Failure::new(Stage::Discover, Code::ReleaseInvalid, text, advice))
            };
            let is_final = self.checked.contains(&repository.address);
            let failure = trouble.map(|trouble| Arc::clone(&trouble.failure)).or(is_final.then(unusable));
            return failure.and_then(|failure| block(remote, &failure)).into_iter().collect();
        }
        if !remote.is_wanted() && !supplied.preload && !self.accepted.contains(remote.name()) {
            return Vec::new();
        }
        match verdict(next, remote, remotes, negotiator) {
            Some(failure) => block(remote, &failure).into_iter().collect(),
            None => self.fetch(repository, supplied, next, remote, inventory),
        }
    }

    /// Fetches a release, or adopts it if its library is in the archive.
    fn fetch(
        &mut self,
        repository: &Repository,
        supplied: &Supplied,
        next: &NextRelease,
        remote: &ManagedRemote,
        inventory: &mut Inventory,
    ) -> Vec<Order> {
        let name = remote.name().to_owned();
        self.accepted.remove(&name);
        if next.library.is_some() {
            inventory.use_release(&name, repository, Arc::clone(&next.release));
            return Vec::new();
        }
        let task =
            Task::Download { wanted: supplied.wanted.clone(), version: next.release.about.version.clone() };
        match self.start(repository, task, inventory) {
            Ok(fetch) => {
                let release = Arc::clone(&next.release);
                self.downloads.insert(name, Download { fetch, release, progress: FetchProgress::Connecting });
                Vec::new()
            }
            Err(failure) => vec![failed_download(remote, &Arc::new(failure))],
        }
    }

    /// Requests that the next release of a remote is used, whatever its policy says.
    pub(super) fn accept(&mut self, name: &str) {
        self.accepted.insert(name.to_owned());
        (self.wake)(Duration::ZERO);
    }

    /// Cancels the download of a remote; what was fetched is continued later.
    pub(super) fn cancel(&mut self, remote: &ManagedRemote) -> Option<Order> {
        self.accepted.remove(remote.name());
        let download = self.downloads.remove(remote.name())?;
        let about = &download.release.about;
        let text = format!("the download of {} {} was cancelled", about.name, about.version);
        let error = DeliveryError::new(ErrorCode::DeliveryCancelled, text, "press Retry to continue it");
        Some(failed_download(remote, &Arc::new(error.into())))
    }

    /// Starts to check the repositories of all remotes now, and tries lost servers again.
    pub(super) fn check_all(&mut self, inventory: &Inventory) {
        self.servers.retain(|address, fetch| fetch.is_some() && !self.troubles.contains_key(address));
        self.reported.clear();
        for repository in used_repositories(inventory) {
            if !self.checks.contains_key(&repository.address) {
                self.check(&repository, inventory);
            }
        }
    }

    /// Prepares another attempt of a remote whose fetch failed.
    pub(super) fn try_again(&mut self, name: &str, inventory: &Inventory) {
        let supplied = inventory.supplied(name);
        if let Some(Ok(supplier)) = supplied.map(|supplied| &supplied.supplier) {
            self.troubles.remove(supplier.address());
            self.checked.remove(supplier.address());
            if self.servers.get(supplier.address()).is_some_and(Option::is_none) {
                self.servers.remove(supplier.address());
            }
        }
    }
}

/// Returns the repositories of the remotes.
fn used_repositories(inventory: &Inventory) -> Vec<Repository> {
    let suppliers = inventory.all_supplied().filter_map(|supplied| supplied.supplier.as_ref().ok());
    let mut used: BTreeMap<&str, &Repository> = BTreeMap::new();
    for supplier in suppliers {
        if let Supplier::Repository(repository) = supplier {
            used.insert(&repository.address, repository);
        }
    }
    used.into_values().cloned().collect()
}

/// Returns the order that blocks a remote that cannot be fetched.
fn block(remote: &ManagedRemote, failure: &SharedFailure) -> Option<Order> {
    let known = remote.unusable().is_some();
    (!known).then(|| Order::Block(remote.alias().to_owned(), Arc::clone(failure)))
}

/// Returns the order for a failed download: it blocks a remote without a release; any other keeps running.
fn failed_download(remote: &ManagedRemote, failure: &SharedFailure) -> Order {
    let alias = remote.alias().to_owned();
    if remote.is_unfetched() {
        Order::Block(alias, Arc::clone(failure))
    } else {
        Order::Report(alias, Arc::clone(failure), RemoteEvent::NotReplaced)
    }
}

/// Adopts a build of a development server.
fn take_build(build: Fetched, inventory: &mut Inventory, remotes: &Remotes) -> Vec<Order> {
    let name = build.name.clone();
    inventory.set_build(build);
    let of = remotes.values().filter(|remote| remote.name() == name && remote.disabled().is_none());
    of.filter_map(|remote| inventory.moved(remote)).collect()
}
