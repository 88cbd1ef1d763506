//! The reasons why the store cannot do something.

use std::path::PathBuf;

use abi_stable::std_types::RResult;
use plugin_api::{abi::RemoteError, entry};

use crate::api::Fault;

/// The reason why an atom could not be read, written or persisted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The image's store was used before the host installed it.
    #[error("the store was used before it was negotiated: use atoms only after `init`, not in statics")]
    NotInstalled,
    /// The image runs, and its remote does not share the store.
    #[error(
        "this remote uses `shared-store` without sharing it, so it does not see the other participants' atoms; add \
         `shared_store` to `shared` in its `export!`, and `shared-store` to `shared` in its manifest"
    )]
    NotShared,
    /// The store was closed.
    #[error("the store is closed; its remote has ended, so stop the thread or timer that still uses it")]
    Closed,
    /// The host does not grant the access.
    #[error("{0}")]
    NotGranted(String),
    /// Another participant wrote between reading and writing.
    #[error("{0}")]
    Conflict(String),
    /// The provider refused.
    #[error("{0}")]
    Refused(String),
    /// The stored value is not a `T` of this build.
    #[error(
        "the value of `{atom}` does not fit the type that this build has for it: {message}; let the types agree, \
         with `#[serde(default)]` on new fields, or give one of the atoms another name"
    )]
    Decode {
        /// Name of the atom.
        atom: String,
        /// The mismatch, with its place in the JSON.
        message: String,
    },
    /// The value has no JSON form.
    #[error("the value for `{atom}` cannot be encoded: {message}; give the atom a type that JSON can hold")]
    Encode {
        /// Name of the atom.
        atom: String,
        /// The part without a form.
        message: String,
    },
    /// A computed value reads itself.
    #[error(
        "the computed value of {at} reads itself, directly or through another one; remove one of the reads from the \
         cycle"
    )]
    Cycle {
        /// Place of its declaration.
        at: String,
    },
    /// Code that the store called panicked.
    #[error("{what} panicked at {at}: {message}; the store keeps running without its result")]
    Panicked {
        /// The called code.
        what: String,
        /// Place of the panic.
        at: String,
        /// Message of the panic.
        message: String,
    },
    /// The JSON of an atom has no such place.
    #[error("`{atom}` has no place `{path}`: {message}; name an existing object or array")]
    Path {
        /// Name of the atom.
        atom: String,
        /// The JSON pointer.
        path: String,
        /// The step that failed.
        message: String,
    },
    /// The operation would leave copies of a secret.
    #[error("`{atom}` is secret and cannot be {what}; read and set it as a whole, in memory only")]
    Secret {
        /// Name of the atom.
        atom: String,
        /// The refused operation, as a participle.
        what: &'static str,
    },
    /// The file of a persistent atom is damaged; it was set aside.
    #[error(
        "the saved value of `{atom}` is damaged: {message}; the atom has its default, and the file is kept as {}",
        aside.display()
    )]
    FileDamaged {
        /// Name of the atom.
        atom: String,
        /// The damage.
        message: String,
        /// The file's new place.
        aside: PathBuf,
    },
    /// The file of a persistent atom has a later format; it was set aside.
    #[error(
        "the saved value of `{atom}` has format {format}, which is later than this build; the atom has its default, \
         and the file is kept as {}",
        aside.display()
    )]
    FileNewer {
        /// Name of the atom.
        atom: String,
        /// The file's format.
        format: u64,
        /// The file's new place.
        aside: PathBuf,
    },
    /// The file of a persistent atom cannot be read or written.
    #[error("the value of `{atom}` cannot be saved or loaded: {message}; check the folder: {}", file.display())]
    FileFailed {
        /// Name of the atom.
        atom: String,
        /// The system's message.
        message: String,
        /// The file.
        file: PathBuf,
    },
    /// Work remained at the end of the given time.
    #[error("the store is still busy after the given time: {0}; wait longer, or end the tasks")]
    Busy(String),
}

impl StoreError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotInstalled => "used-before-negotiation",
            Self::NotShared => "store-not-shared",
            Self::Closed => "store-closed",
            Self::NotGranted(_) => Fault::NOT_GRANTED,
            Self::Conflict(_) => Fault::CONFLICT,
            Self::Refused(_) => Fault::REFUSED,
            Self::Decode { .. } => "atom-decode",
            Self::Encode { .. } => "atom-encode",
            Self::Cycle { .. } => "atom-cycle",
            Self::Panicked { .. } => "atom-panicked",
            Self::Path { .. } => "atom-path",
            Self::Secret { .. } => "atom-secret",
            Self::FileDamaged { .. } => "atom-file-damaged",
            Self::FileNewer { .. } => "atom-file-newer",
            Self::FileFailed { .. } => "atom-file-failed",
            Self::Busy(_) => "store-busy",
        }
    }

    pub(crate) fn decode(atom: &str, error: &serde_json::Error) -> Self {
        Self::Decode { atom: atom.to_owned(), message: error.to_string() }
    }

    pub(crate) fn encode(atom: &str, error: &serde_json::Error) -> Self {
        Self::Encode { atom: atom.to_owned(), message: error.to_string() }
    }

    pub(crate) fn panicked(what: &str, panic: &RemoteError) -> Self {
        Self::Panicked {
            what: what.to_owned(),
            at: panic.location.to_string(),
            message: panic.message.to_string(),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let message = fault.message.into_string();
        match fault.code.as_str() {
            Fault::NOT_GRANTED => Self::NotGranted(message),
            Fault::CONFLICT => Self::Conflict(message),
            _ => Self::Refused(message),
        }
    }
}

pub(crate) fn from_provider<T>(result: RResult<T, Fault>) -> Result<T, StoreError> {
    result.into_result().map_err(StoreError::from)
}

/// Names the true cause of a refusal: only this image knows what its manifest asks for.
pub(crate) fn explain(error: StoreError, atom: &str, write: bool) -> StoreError {
    let (StoreError::NotGranted(_), Some(asked)) = (&error, entry::asks_for(atom, write)) else { return error };
    let access = if write { "write" } else { "read" };
    StoreError::NotGranted(if asked {
        format!(
            "this remote may not {access} the atom `{atom}`: its manifest asks for it, but the host does not grant \
             it; grant it under `grants` in the host's manifest"
        )
    } else {
        format!(
            "this remote may not {access} the atom `{atom}`: its manifest does not ask for {access} access; set \
             `\"{atom}\": \"{access}\"` under `atoms`, and let the host grant it"
        )
    })
}
