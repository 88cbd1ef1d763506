//! Manifests as files: JSON of its own, or a section of a library.

use std::io;
use std::path::Path;

use negotiation::manifest::{MAX_MANIFEST_BYTES, ManifestError, Origin, RemoteManifest, Written, utf8};

use super::LibraryError;
use crate::catalogue::Code;
use crate::failure::{Failure, Stage};
use crate::file;

/// Reads the manifest of a JSON file or, by any other ending, the one inside of a library; runs no code.
///
/// # Errors
/// Names the file, and the place in it.
pub fn read_manifest(path: &Path) -> Result<Written<RemoteManifest>, Failure> {
    let embedded = !is_json(path);
    if embedded {
        let read = super::section_text(path).and_then(|text| {
            remote(&text, path, embedded).map_err(|e| LibraryError::Manifest(e, path.to_owned()))
        });
        return read.map_err(|e| Failure::of(Stage::Discover, &e));
    }
    let fail = |code: Code, text: String, advice: String| {
        Failure::new(Stage::Discover, code, format!("{text}: {}", path.display()), advice)
    };
    let wrong = |e: ManifestError| fail((&e).into(), e.summary(), e.advice());
    let bytes = read_text(path).map_err(|error| match error {
        Unread::TooLarge(error) => wrong(error),
        Unread::Io(error) => {
            let (code, text, advice) = match error.kind() {
                io::ErrorKind::NotFound => (
                    Code::ManifestMissing,
                    "the manifest is missing".to_owned(),
                    "put it back or correct its location",
                ),
                kind => {
                    let advice = match kind {
                        io::ErrorKind::InvalidInput => "correct its location",
                        _ => "let this user read it",
                    };
                    (Code::ManifestUnreadable, format!("the manifest cannot be read ({error})"), advice)
                }
            };
            fail(code, text, advice.to_owned())
        }
    })?;
    utf8(&bytes).and_then(|text| remote(text, path, embedded)).map_err(wrong)
}

/// An answer in place of the text of a manifest.
pub(crate) enum Unread {
    Io(io::Error),
    TooLarge(ManifestError),
}

/// Reads the text of a manifest, and no more than one may have.
pub(crate) fn read_text(path: &Path) -> Result<Vec<u8>, Unread> {
    file::read(path, MAX_MANIFEST_BYTES as u64).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            let bytes = path.metadata().map_or(0, |about| usize::try_from(about.len()).unwrap_or(usize::MAX));
            let bytes = bytes.max(MAX_MANIFEST_BYTES + 1);
            Unread::TooLarge(ManifestError::TooLarge { bytes, limit: MAX_MANIFEST_BYTES })
        }
        _ => Unread::Io(error),
    })
}

/// Returns true if a manifest is read from this file as it is, and not out of a library.
pub(crate) fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

fn remote(text: &str, path: &Path, embedded: bool) -> Result<Written<RemoteManifest>, ManifestError> {
    Ok(Written { manifest: RemoteManifest::from_json(text)?, origin: Origin::new(path, text, embedded) })
}
