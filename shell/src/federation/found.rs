//! A remote's manifest and library, found without running it.

use std::{path::PathBuf, sync::Arc};

use delivery::listing::Release;
use negotiation::manifest::{Origin, RemoteManifest, RemoteRef};
use plugin_api::abi::RemoteEntryRef;

use crate::config::{Located, looked_for};
use crate::{failure::Failure, library::Digest};

/// Origin of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteOrigin {
    /// The host's manifest.
    Configured,
    /// The drop folder; the user has enabled the remote.
    Installed(PathBuf),
    /// A release of a repository.
    Delivered {
        /// The library in the archive.
        library: PathBuf,
        /// The release as it was signed.
        release: Arc<Release>,
        /// Address of the repository.
        repository: String,
    },
    /// A build of a development server.
    Development {
        /// The library in the cache.
        library: PathBuf,
        /// Digest of the library.
        digest: Digest,
        /// Address of the server.
        server: String,
    },
    /// A local file that the user has put in place of any other.
    Overridden(PathBuf),
    /// A generation that ran well before.
    Pinned {
        /// The library in the archive.
        library: PathBuf,
        /// Digest of the library.
        digest: Digest,
        /// The user's reason for pinning it.
        note: String,
    },
}

impl RemoteOrigin {
    /// Returns the digest that its library must have, if that is known before the library is read.
    pub(super) fn digest(&self) -> Option<Digest> {
        match self {
            Self::Pinned { digest, .. } | Self::Development { digest, .. } => Some(*digest),
            Self::Delivered { release, .. } => Some(release.about.library.sha256),
            Self::Configured | Self::Installed(_) | Self::Overridden(_) => None,
        }
    }
}

/// A remote whose manifest was read.
pub(super) struct Found {
    pub(super) manifest: Arc<RemoteManifest>,
    /// The manifest as it is written; `None` for a linked remote.
    pub(super) origin: Option<Origin>,
    pub(super) code: CodeOrigin,
    /// Folders in which its library was looked for.
    pub(super) looked: Vec<PathBuf>,
}

impl From<Located> for Found {
    fn from(located: Located) -> Self {
        Self {
            manifest: Arc::new(located.manifest),
            origin: Some(located.origin),
            code: CodeOrigin::Library(located.library),
            looked: located.looked,
        }
    }
}

impl Found {
    /// Adds the folders in which the library was looked for to `failure`.
    pub(super) fn looked_for(&self, failure: Failure) -> Failure {
        looked_for(failure, &self.looked)
    }
}

/// Origin of a remote's code.
pub(super) enum CodeOrigin {
    Library(PathBuf),
    Linked(RemoteEntryRef),
}

/// Returns the reference to locate: the host's, or the file that `place` puts in its place.
pub(super) fn source(reference: &RemoteRef, place: &RemoteOrigin) -> RemoteRef {
    let instead = match place {
        RemoteOrigin::Configured => return reference.clone(),
        RemoteOrigin::Installed(path) | RemoteOrigin::Overridden(path) => path,
        RemoteOrigin::Pinned { library, .. }
        | RemoteOrigin::Delivered { library, .. }
        | RemoteOrigin::Development { library, .. } => library,
    };
    RemoteRef { name: reference.name.clone(), location: instead.to_string_lossy().into_owned() }
}
