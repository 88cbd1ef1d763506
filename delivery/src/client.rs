//! The client of a repository: the tasks of the fetching process.

use std::{path::Path, sync::Arc, time::Duration};

use semver::Version;

use crate::{
    Digest,
    cache::Cache,
    error::DeliveryError,
    fetch::{FetchEvent, Request},
    link::{RepoLink, Report},
    release::Wanted,
};

mod check;
mod download;
mod load;
mod manifests;
mod mirror;
mod refusal;
mod releases;
mod roles;
mod signatures;
mod source;
mod target;
mod trust;
mod unpack;

/// A repository with its cache.
pub(crate) struct Client {
    cache: Cache,
    link: Arc<RepoLink>,
    /// Its address, for messages and the list.
    repository: String,
}

impl Client {
    /// Opens the cache; nothing is sent yet.
    pub(crate) fn open(request: &Request, report: &Report) -> Result<Self, DeliveryError> {
        let link = RepoLink::new(&request.address, &request.network, report.clone())?;
        let repository = link.address().to_string();
        Ok(Self { cache: Cache::open(&request.cache)?, link: Arc::new(link), repository })
    }

    /// Returns the time limit for metadata.
    fn time(&self) -> Duration {
        self.link.limits.timeout * 3
    }

    /// Reports the root that the server offers.
    pub(crate) fn offer(&self) -> Result<FetchEvent, DeliveryError> {
        trust::offer(self)
    }

    /// Verifies the newest metadata, and stores the list and the manifests of the releases that are wanted.
    pub(crate) fn check(&self, root: Option<Digest>, wanted: &[Wanted]) -> Result<FetchEvent, DeliveryError> {
        check::check(self, root, wanted)
    }

    /// Fetches and unpacks a library of the list.
    pub(crate) fn download(&self, wanted: &Wanted, version: &Version) -> Result<FetchEvent, DeliveryError> {
        download::download(self, wanted, version)
    }

    /// Copies the repository to a folder.
    pub(crate) fn mirror(&self, to: &Path) -> Result<FetchEvent, DeliveryError> {
        mirror::mirror(self, to)
    }
}

#[cfg(test)]
mod tests;
