use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

use negotiation::manifest::ManifestError;
use plugin_api::abi::ABI_REVISION;

use super::Digest;
use crate::{catalogue::Code, file};

/// Reason why the file of a library cannot be used. The path stands last in every summary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// There is no file.
    #[error("the library is missing: {0}")]
    Missing(PathBuf),
    /// The file system refuses.
    #[error("the library cannot be read ({0}): {1}")]
    Unreadable(io::Error, PathBuf),
    /// A folder, a pipe, a device or another thing that is no file.
    #[error("this is not a library ({0}): {1}")]
    NotAFile(io::Error, PathBuf),
    /// Larger than any library.
    #[error("the library is too large ({0}, and at most {max} are loaded): {1}", max = file::MAX_LIBRARY)]
    TooLarge(io::Error, PathBuf),
    /// Not a library of any platform.
    #[error("this file is not a library: {0}")]
    NotALibrary(PathBuf),
    /// A library that ends too early or contradicts itself.
    #[error("the library is damaged or was copied only in part ({0}): {1}")]
    Damaged(String, PathBuf),
    /// For another operating system or processor.
    #[error("the library is for {found}, and this shell runs on {here}: {path}")]
    OtherPlatform {
        /// What the library is for.
        found: String,
        /// What this shell is.
        here: String,
        /// The library.
        path: PathBuf,
    },
    /// A library without a remote's manifest or entry point.
    #[error("the library is no Pulse plugin ({0}): {1}")]
    NotAPlugin(String, PathBuf),
    /// Built with another revision of the contract.
    #[error(
        "the library was built for revision {found} of the plugin contract, and this shell speaks revision {}: {path}",
        ABI_REVISION
    )]
    Revision {
        /// The library's revision.
        found: u32,
        /// The library.
        path: PathBuf,
    },
    /// Its panics would end the process.
    #[error("the library was built with `panic = \"abort\"`, so its first panic would end the shell: {0}")]
    Aborts(PathBuf),
    /// The embedded manifest is wrong.
    #[error("the manifest inside of the library is wrong: {manifest}: {1}", manifest = .0.summary())]
    Manifest(ManifestError, PathBuf),
    /// Its content is not what the manifest beside it states.
    #[error(
        "the library is not the one that its manifest states: its SHA-256 is {found}, and `sha256` says {stated}: {path}"
    )]
    Digest {
        /// What the manifest states.
        stated: Digest,
        /// What the file has.
        found: Digest,
        /// The library.
        path: PathBuf,
    },
    /// The running library says something else than the manifest that was planned with.
    #[error("the library's own manifest differs from the one that was planned with ({0}): {1}")]
    Descriptor(String, PathBuf),
}

crate::failure::advise!(LibraryError);

impl LibraryError {
    /// The stable code.
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

    /// What to do.
    pub fn advice(&self) -> Cow<'static, str> {
        let advice = match self {
            Self::Missing(_) => "build the remote or correct its location",
            Self::Unreadable(..) => "let this user read it",
            Self::TooLarge(..) => "strip its symbols, or correct its location",
            Self::NotAFile(..) | Self::NotALibrary(_) => {
                "put the remote's library there, or correct its location"
            }
            Self::Damaged(..) => "copy it again",
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

    /// The error of a file that cannot be opened or read.
    pub(crate) fn io(error: io::Error, path: &Path) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.to_owned()),
            io::ErrorKind::InvalidInput => Self::NotAFile(error, path.to_owned()),
            io::ErrorKind::FileTooLarge => Self::TooLarge(error, path.to_owned()),
            _ => Self::Unreadable(error, path.to_owned()),
        }
    }

    /// Returns the same error of the library that lies at `path`, whose private copy was read.
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
