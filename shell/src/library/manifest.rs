//! Manifests as files: a JSON file, or a section of a library.

use std::io;
use std::path::Path;

use negotiation::manifest::{
    HostManifest, MAX_MANIFEST_BYTES, ManifestError, Origin, RemoteManifest, Written, utf8,
};
use serde_json::Value;

use super::LibraryError;
use crate::catalogue::Code;
use crate::failure::{Failure, Stage};
use crate::file;

/// Reads a manifest: a JSON file by its extension, else the manifest inside a library. Runs no code.
///
/// # Errors
/// Returns a failure that names the file and the place in it.
pub fn read_manifest(path: &Path) -> Result<Written<RemoteManifest>, Failure> {
    let embedded = !is_json(path);
    if embedded {
        let read = super::section_text(path).and_then(|text| {
            remote(&text, path, embedded).map_err(|e| LibraryError::Manifest(e, path.to_owned()))
        });
        return read.map_err(|e| Failure::from_error(Stage::Discover, &e));
    }
    let fail = |code: Code, text: String, advice: String| {
        Failure::new(Stage::Discover, code, format!("{text}: {}", path.display()), advice)
    };
    let wrong = |e: ManifestError| fail((&e).into(), e.summary(), e.advice());
    let bytes = read_text(path).map_err(|error| match error {
        ManifestReadError::TooLarge(error) => wrong(error),
        ManifestReadError::Io(error) => {
            let (code, text, advice) = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
                    Code::ManifestMissing,
                    "the manifest is missing".to_owned(),
                    "restore it or correct its location",
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
    utf8(&bytes).and_then(|text| remote(text, path, embedded)).map_err(|error| {
        if !is_host(&bytes) {
            return wrong(error);
        }
        let text = "this is a host's manifest, not a remote's".to_owned();
        let advice = "name a remote's manifest or library; `pulse plan --config` plans with a host's";
        fail(Code::ManifestOfHost, text, advice.to_owned())
    })
}

/// Returns `true` if this JSON is the manifest of a host, even an invalid one.
pub(crate) fn is_host(bytes: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else { return false };
    let has = |key| json.get(key).is_some();
    let host = ["remotes", "shareStrategy", "auth", "grants", "providers"].into_iter().any(has);
    has("manifestVersion") && !has("remoteEntry") && (host || HostManifest::from_slice(bytes).is_ok())
}

/// Reason why the text of a manifest cannot be read.
pub(crate) enum ManifestReadError {
    Io(io::Error),
    TooLarge(ManifestError),
}

/// Reads the text of a manifest up to the limit.
pub(crate) fn read_text(path: &Path) -> Result<Vec<u8>, ManifestReadError> {
    file::read(path, MAX_MANIFEST_BYTES as u64).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            let bytes = path.metadata().map_or(0, |about| usize::try_from(about.len()).unwrap_or(usize::MAX));
            let bytes = bytes.max(MAX_MANIFEST_BYTES + 1);
            ManifestReadError::TooLarge(ManifestError::TooLarge { bytes, limit: MAX_MANIFEST_BYTES })
        }
        _ => ManifestReadError::Io(error),
    })
}

/// Returns `true` if this file is a JSON manifest and not a library.
pub(crate) fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

fn remote(text: &str, path: &Path, embedded: bool) -> Result<Written<RemoteManifest>, ManifestError> {
    Ok(Written { manifest: RemoteManifest::from_json(text)?, origin: Origin::new(path, text, embedded) })
}
