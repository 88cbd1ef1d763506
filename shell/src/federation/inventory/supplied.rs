//! Remotes that come over the network: their releases and builds, and the user's decisions about them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use delivery::{fetch::Fetched, listing::Release};
use negotiation::manifest::RemoteRef;

use super::{Inventory, Order};
use crate::{
    catalogue::Code,
    data::{
        choices::Decision,
        deliveries::{Deliveries, InstalledRelease, Repository, Subscription, Supplied, Supplier},
    },
    failure::{Failure, Stage},
    federation::{
        found::{CodeOrigin, Found, RemoteOrigin},
        remote::ManagedRemote,
    },
};

impl Inventory {
    /// Returns a remote whose library comes from the network and was not fetched yet.
    pub(super) fn unfetched(&self, alias: &str, reference: &RemoteRef) -> ManagedRemote {
        let supplied = self.supplied(&reference.name);
        if let Some(Err(failure)) = supplied.map(|supplied| &supplied.supplier) {
            tracing::error!(remote = alias, code = failure.code.as_str(), "{}", failure.line());
            let failure = Err(Arc::clone(failure));
            return ManagedRemote::new(alias, reference.clone(), RemoteOrigin::Configured, failure);
        }
        let next = supplied.and_then(|supplied| supplied.next.as_ref()?.manifest.clone());
        let found = next.map(|written| Found {
            manifest: Arc::new(written.manifest.clone()),
            origin: Some(written.origin.clone()),
            code: CodeOrigin::Library(PathBuf::new()),
            looked: Vec::new(),
        });
        let unknown = || {
            let text = format!("`{}` was not fetched yet: {}", reference.name, reference.location);
            let advice = "it is fetched when it is first shown";
            Arc::new(Failure::new(Stage::Discover, Code::ReleaseNotFetched, text, advice))
        };
        ManagedRemote::unfetched(alias, reference.clone(), found.ok_or_else(unknown))
    }

    /// Returns the fetched library of a remote whose location is an address.
    pub(super) fn fetched(&self, name: &str) -> Option<RemoteOrigin> {
        let supplied = self.supplied(name)?;
        if let Ok(Supplier::Development(server, _)) = &supplied.supplier {
            let Fetched { library, sha256, .. } = self.builds.get(name)?.clone();
            return Some(RemoteOrigin::Development { library, digest: sha256, server: server.clone() });
        }
        let (installed, library) = supplied.installed.clone()?;
        let InstalledRelease { release, repository, .. } = installed;
        Some(RemoteOrigin::Delivered { library, release, repository })
    }

    /// Returns the files about deliveries.
    pub(in crate::federation) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    /// Returns what is known about a remote whose location is an address.
    pub fn supplied(&self, name: &str) -> Option<&Arc<Supplied>> {
        self.decisions.supplied().get(name)
    }

    /// Returns what is known about all remotes whose location is an address.
    pub(in crate::federation) fn all_supplied(&self) -> impl Iterator<Item = &Arc<Supplied>> {
        self.decisions.supplied().values()
    }

    /// Returns the remotes that a local file replaces, with that file.
    pub fn overridden(&self) -> impl Iterator<Item = (&str, &Path)> {
        let remotes = self.decisions.deliveries().remotes.iter();
        remotes.filter_map(|(name, own)| Some((name.as_str(), own.local.as_deref()?)))
    }

    /// Returns `true` while decisions or lists are being read or written.
    pub(in crate::federation) fn is_busy(&self) -> bool {
        self.decisions.is_busy()
    }

    /// Requests that the decisions and lists are read again.
    pub(in crate::federation) fn refresh(&self) {
        self.decisions.refresh();
    }

    /// Adopts the newest build of a development server.
    pub(in crate::federation) fn set_build(&mut self, build: Fetched) {
        self.builds.insert(build.name.clone(), build);
    }

    /// Puts a fetched library into the archive, and uses its release.
    pub(in crate::federation) fn adopt(&self, fetched: Fetched, release: Arc<Release>) {
        let Some(Ok(Supplier::Repository(repository))) =
            self.supplied(&fetched.name).map(|supplied| supplied.supplier.clone())
        else {
            return;
        };
        self.decisions.change_delivery(fetched.name.clone(), move |deliveries, archive| {
            deliveries.adopt(archive, &fetched, &repository, release)
        });
    }

    /// Uses a release whose library is in the archive.
    pub(in crate::federation) fn use_release(
        &self,
        name: &str,
        repository: &Repository,
        release: Arc<Release>,
    ) {
        let (name, repository) = (name.to_owned(), repository.clone());
        self.decisions.change_delivery(name.clone(), move |deliveries, _| {
            deliveries.install(&name, &repository, release)
        });
    }

    /// Returns to the release before, because the one in use could not replace it, and does not try that again.
    pub(in crate::federation) fn reject_release(&mut self, remote: &ManagedRemote) {
        let RemoteOrigin::Delivered { release, .. } = remote.place() else { return };
        let (name, rejected) = (remote.name().to_owned(), release.about.library.sha256);
        self.decisions.change_delivery(name.clone(), move |deliveries, _| deliveries.reject(&name, rejected));
    }

    /// Changes the user's decisions about a remote; a notification follows if they cannot be saved.
    pub(in crate::federation) fn change_subscription(
        &self,
        name: &str,
        change: impl FnOnce(&mut Subscription) + Send + 'static,
    ) {
        let name = name.to_owned();
        self.decisions.change_delivery(name.clone(), move |deliveries, _| {
            deliveries.change(|decisions| change(decisions.remotes.entry(name).or_default()))
        });
    }

    /// Returns `true` for a remote that the user added, which can be removed again.
    pub fn is_added(&self, name: &str) -> bool {
        let own = self.decisions.deliveries().remotes.get(name);
        own.is_some_and(|own| own.location.is_some()) && !self.is_configured(name)
    }

    /// Removes a remote that the user added, with the decision that enabled it.
    pub(in crate::federation) fn remove(&mut self, name: &str) {
        let name = name.to_owned();
        self.decisions.decide(Decision::Forget(name.clone()));
        self.decisions.change_delivery(name.clone(), move |deliveries, _| {
            deliveries.change(|decisions| _ = decisions.remotes.remove(&name))
        });
    }

    /// Returns the order by which a remote follows its origin, or the manifest of the release to fetch.
    pub(in crate::federation) fn moved(&self, remote: &ManagedRemote) -> Option<Order> {
        let (place, _) = self.place(remote.reference());
        let alias = remote.alias().to_owned();
        let fresh = || Some(Order::Renew(Box::new(self.find_again(remote))));
        match (remote.is_unfetched(), *remote.place() != place) {
            (true, true) if remote.is_wanted() => Some(Order::Retry(alias)),
            (true, true) => fresh(),
            // Its manifest was fetched, or another release is the next.
            (true, false) => {
                let next =
                    self.supplied(remote.name()).and_then(|supplied| supplied.next.as_ref()?.manifest.clone());
                let is_new = next.is_some_and(|next| remote.manifest() != Some(&next.manifest));
                if !is_new {
                    None
                } else if remote.is_wanted() {
                    Some(Order::Retry(alias))
                } else {
                    fresh()
                }
            }
            (false, true) => Some(Order::Move(alias, place)),
            (false, false) => None,
        }
    }
}
