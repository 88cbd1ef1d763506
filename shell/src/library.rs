//! Libraries of remotes as files: read, compared and copied, never run.
//!
//! [`inspect`] reads the manifest section of a library; [`complete`] also checks that the file is complete.
//! [`read_manifest`] reads that section or a JSON file.
//! A [`Bundle`] is a library with the libraries shipped alongside it, which its private copy needs too.

use std::{env, path::Path};

use negotiation::manifest::RemoteManifest;

use crate::difference;

pub(crate) mod copy_name;
mod digest;
mod error;
mod inspect;
mod manifest;
mod mapping;
mod needs;
pub(crate) mod search;

pub use delivery::{Digest, NoDigest};
pub(crate) use digest::copy_digested;
pub use digest::digest_of;
pub use error::LibraryError;
pub(crate) use inspect::{Publishable, parse, publishable, section_text};
pub use inspect::{complete, inspect};
pub use manifest::read_manifest;
pub(crate) use manifest::{ManifestReadError, is_host, is_json, read_text};
pub(crate) use mapping::may_execute;
pub(crate) use needs::root;
pub use needs::{Bundle, loadable, remove};

/// Returns the file name of the library with this base name: the platform's prefix and suffix around it.
pub fn file_name(base: &str) -> String {
    format!("{}{base}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// Compares the planned manifest with the manifest of the library at `path`. The schema's place, the library's
/// digest, and layout and order of the text are ignored.
///
/// # Errors
/// Returns [`LibraryError::Descriptor`], which names the first difference.
pub(crate) fn same_manifest(
    planned: &RemoteManifest,
    found: &RemoteManifest,
    path: &Path,
) -> Result<(), LibraryError> {
    let plain = |m: &RemoteManifest| RemoteManifest { schema: None, sha256: None, ..m.clone() };
    let (planned, found) = (plain(planned), plain(found));
    if planned == found {
        return Ok(());
    }
    // Both were read from JSON and can be written as JSON again; without it the message is merely less precise.
    let json = |m| serde_json::to_value(m).unwrap_or_default();
    let (a, b) = (json(&planned), json(&found));
    let difference = difference::first(&a, &b).map_or_else(String::new, |found| {
        format!(
            "at {}: the plan used {}, but the library has {}",
            found.pointer,
            found.value(0),
            found.value(1)
        )
    });
    Err(LibraryError::Descriptor(difference, path.to_owned()))
}
