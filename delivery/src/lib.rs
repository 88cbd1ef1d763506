//! Signed repositories of remotes.
//!
//! A repository is a folder of static files after The Update Framework 1.0 (TUF): any web server, object store or USB
//! stick can hold it. A publisher signs what each library is; a shell verifies that before it fetches a byte of code.
//!
//! ```text
//! SITE/metadata/N.root.json  timestamp.json  N.snapshot.json  N.targets.json  N.PUBLISHER.json
//! SITE/targets/NAME/VERSION/SHA256.manifest.json
//! SITE/targets/NAME/VERSION/SHA256.TRIPLE.zst
//! ```

pub mod error;
pub mod fetch;
pub mod keys;
pub mod listing;
pub mod release;
pub mod serve;
pub mod site;

mod address;
mod cache;
mod client;
mod dev;
mod digest;
mod follow;
mod link;
mod sandbox;
mod secret;
#[cfg(test)]
mod testing;

pub use address::Address;
pub use digest::{Digest, NoDigest};
pub use error::{DeliveryError, ErrorCode};
pub use secret::Secret;
