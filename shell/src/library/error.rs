use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

use negotiation::manifest::ManifestError;
use plugin_api::abi::ABI_REVISION;

use super::Digest;
use crate::{catalogue::Code, file};

/// Reason why a library's file cannot be used. Every summary ends with the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The file does not exist.
    #[error("the library is missing: {0}")]
    Missing(PathBuf),
    /// The file system returned an error.
    #[error("the library cannot be read ({0}): {1}")]
    Unreadable(io::Error, PathBuf),
    /// The path is a folder, a pipe, a device or another non-file.
    #[error("this is not a library ({0}): {1}")]
    NotAFile(io::Error, PathBuf),
    /// The file exceeds the limit.
    #[error("the library is too large ({0}, and the limit is {max} bytes): {1}", max = file::MAX_LIBRARY)]
    TooLarge(io::Error, PathBuf),
    /// The file is not a library of any platform.
    #[error("this file is not a library: {0}")]
    NotALibrary(PathBuf),
    /// The library is truncated or inconsistent.
    #[error("the library is damaged or was copied only in part ({0}): {1}")]
    Damaged(String, PathBuf),
    /// The library is for another operating system or processor.
    #[error("the library is for {found}, but this shell runs on {here}: {path}")]
    OtherPlatform {
        /// The library's platform.
        found: String,
        /// This shell's platform.
        here: String,
        /// Path of the library.
        path: PathBuf,
    },
    /// The library has no remote's manifest or entry point.
    #[error("the library is not a Pulse plugin ({0}): {1}")]
    NotAPlugin(String, PathBuf),
    /// The library was built with another revision of the contract.
    #[error(
        "the library was built for revision {found} of the plugin contract, but this shell uses revision {}: {path}",
        ABI_REVISION
    )]
    Revision {
        /// The library's revision.
        found: u32,
        /// Path of the library.
        path: PathBuf,
    },
    /// The library's panics would end the process.
    #[error("the library was built with `panic = \"abort\"`, so its first panic would end the shell: {0}")]
    Aborts(PathBuf),
    /// The embedded manifest is invalid.
    #[error("the manifest inside the library is invalid: {manifest}: {1}", manifest = .0.summary())]
    Manifest(ManifestError, PathBuf),
    /// The library's digest differs from that in the manifest next to it.
    #[error(
        "the library does not match its manifest: its SHA-256 is {found}, but `sha256` states {stated}: {path}"
    )]
    Digest {
        /// Digest in the manifest.
        stated: Digest,
        /// Digest of the file.
        found: Digest,
        /// Path of the library.
        path: PathBuf,
    },
    /// The library's own manifest differs from the planned one.
    #[error("the library's own manifest does not match the planned manifest ({0}): {1}")]
    Descriptor(String, PathBuf),
}

crate::failure::advise!(LibraryError);

impl LibraryError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::LibraryMissing,
            Self::Unreadable(..) => Code::LibraryUnreadable,
            Self::TooLarge(..) => Code::LibraryTooLarge,
            Self::NotAFile(..) | Self::NotALibrary(_) => Code::LibraryNotALibrary,
            Self::Damaged(..) => Code::LibraryDamaged,
            Self::OtherPlatform { .. } => Code::LibraryOtherPlatform,
            Self::NotAPlugin(..) => Code::LibraryNotAPlugin,
            Self::Revision { .. } => Code::AbiRevision,
            Self::Aborts(_) => Code::PanicAbort,
            Self::Manifest(error, _) => error.into(),
            Self::Digest { .. } => Code::DigestMismatch,
            Self::Descriptor(..) => Code::DescriptorMismatch,
        }
    }

    /// Returns the remedy.
    pub fn advice(&self) -> Cow<'static, str> {
        let advice = match self {
            Self::Missing(_) => "build the remote or correct its location",
            Self::Unreadable(..) => "let this user read it",
            Self::TooLarge(..) => "strip its symbols, or correct its location",
            Self::NotAFile(..) | Self::NotALibrary(_) => {
                "put the remote's library there, or correct its location"
            }
            Self::Damaged(..) => "copy or build it again",
            Self::OtherPlatform { .. } => "build the remote for this platform",
            Self::NotAPlugin(..) => "call `plugin_api::export!` in the library, or correct its location",
            Self::Revision { .. } => "rebuild it with a matching `plugin-api`",
            Self::Aborts(_) => "build it with `panic = \"unwind\"`",
            Self::Manifest(error, _) => {
                return format!("{}, then build the library again", error.advice()).into();
            }
            Self::Digest { .. } => "copy the library again, or correct the manifest",
            Self::Descriptor(..) => "rebuild the library or correct the manifest",
        };
        advice.into()
    }

    /// Classifies the error of a file that cannot be opened or read.
    pub(crate) fn io(error: io::Error, path: &Path) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing(path.to_owned()),
            io::ErrorKind::InvalidInput => Self::NotAFile(error, path.to_owned()),
            io::ErrorKind::FileTooLarge => Self::TooLarge(error, path.to_owned()),
            _ => Self::Unreadable(error, path.to_owned()),
        }
    }

    /// Replaces the path of the private copy by that of the original library.
    pub(crate) fn of_original(self, path: &Path) -> Self {
        let path = path.to_owned();
        match self {
            Self::Missing(_) => Self::Missing(path),
            Self::Unreadable(e, _) => Self::Unreadable(e, path),
            Self::NotALibrary(_) => Self::NotALibrary(path),
            Self::Damaged(e, _) => Self::Damaged(e, path),
            Self::OtherPlatform { found, here, .. } => Self::OtherPlatform { found, here, path },
            Self::NotAPlugin(e, _) => Self::NotAPlugin(e, path),
            Self::Revision { found, .. } => Self::Revision { found, path },
            Self::Aborts(_) => Self::Aborts(path),
            Self::Manifest(e, _) => Self::Manifest(e, path),
            other => other,
        }
    }
}
