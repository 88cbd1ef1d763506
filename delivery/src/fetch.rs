//! The fetching process and its conversation with the process that started it.
//!
//! ```text
//! shell or command ── Request, one line of JSON ──▶ `pulse fetch`
//!                  ◀── FetchEvent, a line of JSON each ──
//! ```
//! The process serves one request and ends. Ending it at any time is safe: files in the cache are complete or are
//! continued later. It ends by itself when its standard input is closed.

mod child;
mod parent;

use std::path::PathBuf;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{Digest, error::DeliveryError, listing::Release, release::Wanted, secret::Secret};

pub use child::run;
#[cfg(test)]
pub(crate) use child::serve;
pub use parent::Fetch;

/// A request to a fetching process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The task.
    pub task: Task,
    /// Address of the repository or development server.
    pub address: String,
    /// Folder of this repository in the cache, which the process may write. It exists.
    pub cache: PathBuf,
    /// Settings of the connection.
    #[serde(default)]
    pub network: Network,
}

/// A task of a fetching process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Task {
    /// Reports the fingerprint of the root that the server offers, and stores nothing.
    Offer,
    /// Verifies the newest metadata, stores the list, and fetches the manifests of the releases that are wanted.
    Check {
        /// Fingerprint of the trusted root, which is fetched if the cache has another or none; `None` for the one in
        /// the cache.
        #[serde(default)]
        root: Option<Digest>,
        /// Releases whose manifests are needed.
        wanted: Vec<Wanted>,
    },
    /// Fetches, verifies and unpacks a library of the verified list.
    Download {
        /// The remote and its platform; range and channel are ignored.
        wanted: Wanted,
        /// The version.
        version: Version,
    },
    /// Copies the repository to a folder.
    Mirror {
        /// The folder, which the process may write too. It exists.
        to: PathBuf,
    },
    /// Follows a development server until standard input is closed, and fetches each build.
    Follow,
}

/// Settings of a connection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// Time limit for connecting and for the first byte of an answer, in milliseconds; `None` for 10 s. All metadata
    /// of a check may take three times as long.
    pub timeout: Option<u64>,
    /// Attempts before an unreachable or failing server is an error; `None` for 3.
    pub attempts: Option<u32>,
    /// Wait before the second attempt, in milliseconds; doubles with each further one; `None` for 0.5 s.
    pub pause: Option<u64>,
    /// Time for which a transfer may be slower than 1 KiB/s, in milliseconds; `None` for 20 s.
    pub stall: Option<u64>,
    /// Additional root certificates, as PEM.
    pub certificates: Vec<String>,
    /// Token for the repository's origin only.
    pub token: Option<Secret>,
}

/// An event of a fetching process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum FetchEvent {
    /// Another process fetches the same; this one waits for it.
    Waiting,
    /// Bytes of the download so far, resumed ones included.
    Progress {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// An attempt failed, and another follows.
    Retrying {
        /// The failure.
        error: DeliveryError,
        /// Wait before the next attempt, in milliseconds.
        after: u64,
    },
    /// Ends [`Task::Offer`].
    Offered {
        /// Fingerprint of the server's first root.
        root: Digest,
        /// Identifiers of its root keys.
        keys: Vec<String>,
        /// Number of signatures that a root needs.
        threshold: u64,
    },
    /// Ends [`Task::Check`]: `list.json` in the cache is verified.
    Checked {
        /// `true` if the list differs from the one before.
        changed: bool,
        /// Number of requests.
        requests: u32,
        /// Bytes received in bodies.
        bytes: u64,
        /// Errors of publishers and releases that the list leaves out; `Listing::problems` names the remotes.
        #[serde(default)]
        problems: Vec<DeliveryError>,
    },
    /// Ends [`Task::Download`]; once for each build of [`Task::Follow`].
    Fetched(Box<Fetched>),
    /// Ends [`Task::Mirror`].
    Mirrored {
        /// Number of files that were copied.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A development server has no library of a remote any more, or its library cannot be used.
    Lost {
        /// The remote, or an empty name if the server itself is lost.
        name: String,
        /// The reason.
        error: DeliveryError,
    },
    /// Ends any task but `Follow`: it failed.
    Failed(DeliveryError),
}

/// A library in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// Name of the remote.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The unpacked library.
    pub library: PathBuf,
    /// Its digest, which the reader verifies again while it copies.
    pub sha256: Digest,
    /// Its manifest.
    pub manifest: PathBuf,
    /// The release of the verified list; `None` for a development server.
    pub release: Option<Box<Release>>,
}

#[cfg(test)]
mod tests;
