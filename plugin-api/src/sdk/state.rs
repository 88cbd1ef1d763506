//! The bytes in which a surface's state goes over to its next generation.
//!
//! An object of JSON: `format`, the remote's `version`, the expose's own `state`, and egui's `memory`.
//! A reader skips fields that it does not know and does without those that are missing.

use serde::{Deserialize, Serialize};

use super::{Cx, Expose};
use crate::{abi::RemoteError, guard::guard};

/// Raised when an older reader must not read what a newer one writes.
const FORMAT: u32 = 1;

/// What crosses, see [`crate::abi::Surface::save`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    /// The remote that saved.
    #[serde(default)]
    version: String,
    #[serde(default)]
    state: Bytes,
    /// A text of its own, so that its damage stays its own.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
}

/// The author's bytes: as text when they are, so that they can be read by people.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Binary(Vec<u8>),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Saved {
    /// What `version` of a remote has to hand over.
    pub(super) fn new(version: &str, state: Vec<u8>, memory: Option<String>) -> Self {
        let state = String::from_utf8(state).map_or_else(|e| Bytes::Binary(e.into_bytes()), Bytes::Text);
        Self { format: FORMAT, version: version.to_owned(), state, memory }
    }

    /// The bytes that cross.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers: there is nothing in them that JSON cannot hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what crossed.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RemoteError> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Any {
            format: u32,
        }
        let unknown = |what: String| RemoteError::new(RemoteError::FAILED, format!("what was saved {what}"));
        match serde_json::from_slice(bytes) {
            Ok(Any { format: FORMAT }) => {
                serde_json::from_slice(bytes).map_err(|error| unknown(format!("is damaged ({error})")))
            }
            Ok(Any { format }) => Err(unknown(format!(
                "has format {format}, and this build of the remote reads format {FORMAT}; build it with the \
                 `plugin-api` of the one that saved"
            ))),
            Err(error) => Err(unknown(format!("is not in a form that the SDK writes ({error})"))),
        }
    }

    /// What egui remembered.
    pub(super) fn memory(&self) -> Option<&str> {
        self.memory.as_deref()
    }

    /// Makes the panel of `new`, with the author's state in it.
    ///
    /// A state that is not taken over is an error beside a panel that is as `new` made it.
    pub(super) fn restore<E: Expose>(self, cx: &Cx) -> Result<(E, Option<RemoteError>), RemoteError> {
        let mut expose = E::new(cx).map_err(|e| e.0)?;
        let state = match self.state {
            Bytes::Text(text) => text.into_bytes(),
            Bytes::Binary(bytes) => bytes,
        };
        if state.is_empty() {
            return Ok((expose, None));
        }
        let Err(error) = guard(|| {
            let state = if self.version == cx.version() {
                state
            } else {
                E::migrate(&self.version, state).map_err(|e| e.0)?
            };
            expose.restore(&state).map_err(|e| e.0)
        }) else {
            return Ok((expose, None));
        };
        if error.code == RemoteError::PANICKED {
            // Its own panic while it is dropped would hide the first one.
            let _ = guard(|| {
                drop(expose);
                Ok(())
            });
            return Err(panicked(error, &self.version));
        }
        // It may have taken over a half of it.
        drop(expose);
        Ok((E::new(cx).map_err(|e| e.0)?, Some(failed(&error, &self.version, cx.version()))))
    }
}

/// The error that people are told when a panel starts without its state.
pub(super) fn failed(error: &RemoteError, from: &str, to: &str) -> RemoteError {
    let code = if error.code == RemoteError::FAILED { RESTORE_FAILED } else { &*error.code };
    let versions =
        if from.is_empty() { String::new() } else { format!(" by version {from}, for version {to}") };
    let message = format!(
        "the panel starts without the state that was saved{versions}: {}; nothing else is lost; tell the \
         remote's author",
        error.message
    );
    RemoteError { code: code.into(), message: message.into(), ..error.clone() }
}

/// The error of a panel that cannot be made from what was saved.
fn panicked(error: RemoteError, from: &str) -> RemoteError {
    let message = format!(
        "the remote panicked at {} while it took over the state that version {from} had saved: {}; tell its \
         author, with the details",
        error.location, error.message
    );
    RemoteError { code: "restore-panicked".into(), message: message.into(), ..error }
}

const RESTORE_FAILED: &str = "restore-failed";

/// What is no text is none.
fn lenient<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(value)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
