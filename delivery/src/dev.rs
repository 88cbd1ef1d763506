//! The protocol of development servers: `pulse serve` offers the builds of a folder, and shells on the same machine
//! follow them.
//!
//! ```text
//! GET /                             a page for browsers
//! GET /pulse-dev.json               a DevList
//! GET /NAME/manifest.json           the manifest of the newest build
//! GET /NAME/SHA256.manifest.json    a manifest by its content
//! GET /NAME/SHA256.library          a library by its content
//! GET /events                       server-sent events:
//!     snapshot   a DevList, once at the beginning
//!     build      a DevRemote: the newest build of a remote
//!     gone       a DevGone: a remote without a usable build
//! ```
//! Nothing is signed. Therefore a client accepts only servers on the machine that it runs on.

use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{Digest, release::Platform};

/// Version of the format of [`DevList`].
pub(crate) const FORMAT: u32 = 1;

/// Path of the list.
pub(crate) const LIST_PATH: &str = "pulse-dev.json";

/// Path of the events.
pub(crate) const EVENTS_PATH: &str = "events";

/// Media type of the events.
pub(crate) const EVENTS_TYPE: &str = "text/event-stream";

/// Time between two signs of life on a connection with events.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);

/// Maximum number of remotes of a server.
pub(crate) const MAX_REMOTES: usize = 256;

/// Maximum length of an event in bytes, with room for the longest list.
pub(crate) const MAX_EVENT: usize = 1 << 20;

/// The remotes of a development server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevList {
    /// [`FORMAT`].
    pub(crate) format_version: u32,
    /// The newest build of each remote, by name.
    pub(crate) remotes: Vec<DevRemote>,
}

/// A build of a remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevRemote {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) platform: Platform,
    /// Revision of the contract.
    pub(crate) abi: u32,
    pub(crate) manifest: DevFile,
    pub(crate) library: DevFile,
}

impl DevRemote {
    /// Returns the digests that tell two builds apart.
    pub(crate) fn identity(&self) -> (Digest, Digest) {
        (self.library.sha256, self.manifest.sha256)
    }
}

/// A file of a development server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevFile {
    /// Path relative to the server's address.
    pub(crate) path: String,
    pub(crate) sha256: Digest,
    /// Length in bytes.
    pub(crate) length: u64,
}

/// A remote without a usable build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevGone {
    pub(crate) name: String,
    pub(crate) reason: String,
}
