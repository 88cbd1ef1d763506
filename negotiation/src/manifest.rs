//! Manifests: the description that a remote or a host states of itself, read without running any of its code.
//!
//! An author writes a manifest as JSON, ships it next to the library, and the build embeds it in the library.
//! Planning reads nothing else, so reading checks everything: unknown and repeated keys, versions where ranges
//! belong, names that cannot be file names. Each problem is a [`ManifestError`] with its place and the correction.
//!
//! ```
//! use negotiation::manifest::RemoteManifest;
//!
//! let text = r#"{
//!   "manifestVersion": 1, "name": "remoteClock", "version": "1.0.0",
//!   "remoteEntry": "clock", "exposes": { "./face": { "title": "Clock" } },
//!   "shared": { "shared-store": { "version": "1.0.0", "requiredversion": "^1.0" } }
//! }"#;
//! let error = RemoteManifest::from_json(text).expect_err("the key is misspelt");
//! assert_eq!(error.code(), "manifest-invalid");
//! assert_eq!(error.pointer(), Some("/shared/shared-store/requiredversion"));
//! assert_eq!(error.hint().as_deref(), Some("did you mean `requiredVersion`?"));
//! ```

mod error;
mod host;
mod json;
mod names;
mod origin;
mod read;
mod remote;
mod requirement;
mod schema;
mod shared;
#[cfg(test)]
mod tests;
mod updates;

pub use error::{ManifestError, Place};
pub use host::{AuthConfig, HostManifest, HttpAuth, RemoteRef, ShareStrategy};
pub(crate) use names::near_misses;
pub use names::{is_reserved, near_miss};
pub use origin::{Origin, Written};
pub use read::utf8;
pub use remote::{AtomAccess, ExposeDecl, RemoteManifest};
pub use requirement::{Range, RangeError, Requirement};
pub use schema::schemas;
pub use shared::{DEFAULT_SCOPE, ShareDecl};
pub use updates::{RemoteUpdates, RepositoryConfig, UpdateConfig, UpdatePolicy};

/// The `manifestVersion` that this build reads and writes.
pub const MANIFEST_VERSION: u32 = 1;

/// The largest manifest that is read, in bytes: far above any real one, and far below a size that takes noticeable time.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
