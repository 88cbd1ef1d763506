//! The format in which a surface's state is passed to its next generation.
//!
//! It is a JSON object with `format`, the remote's `version`, the expose's own `state`, and egui's `memory`.
//! A reader skips unknown fields and accepts missing ones.

use serde::{Deserialize, Serialize};

use super::{Cx, Expose};
use crate::{abi::RemoteError, guard::guard};

/// Version of the format; raised when an older reader must reject it.
const FORMAT: u32 = 1;

/// Code of an author's error without a code.
const RESTORE_FAILED: &str = "restore-failed";

/// The saved state of a surface; see [`crate::abi::Surface::save`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    /// Version of the remote that saved.
    #[serde(default)]
    version: String,
    #[serde(default)]
    state: Bytes,
    /// A separate text, so that damage to it does not affect the rest.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
}

/// The author's bytes; UTF-8 is stored as text, so that it is readable.
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
    /// Makes the saved state of a remote of this `version`.
    pub(super) fn new(version: &str, state: Vec<u8>, memory: Option<String>) -> Self {
        let state = String::from_utf8(state).map_or_else(|e| Bytes::Binary(e.into_bytes()), Bytes::Text);
        Self { format: FORMAT, version: version.to_owned(), state, memory }
    }

    /// Returns the bytes that cross.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // JSON can represent all strings and numbers, so this does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads bytes that crossed.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RemoteError> {
        /// The field of every format.
        #[derive(Deserialize)]
        struct Any {
            format: u32,
        }
        let unknown = |what: String| RemoteError::new(RemoteError::FAILED, format!("the saved state {what}"));
        match serde_json::from_slice(bytes) {
            Ok(Any { format: FORMAT }) => {
                serde_json::from_slice(bytes).map_err(|error| unknown(format!("is damaged ({error})")))
            }
            Ok(Any { format }) => Err(unknown(format!(
                "has format {format}, and this build of the remote reads format {FORMAT}; build it with the \
                 `plugin-api` of the build that saved it"
            ))),
            Err(error) => Err(unknown(format!("is not in a form that the SDK writes ({error})"))),
        }
    }

    /// Returns egui's memory, as text.
    pub(super) fn memory(&self) -> Option<&str> {
        self.memory.as_deref()
    }

    /// Makes the panel by `new` and restores the author's state.
    ///
    /// If the state cannot be restored, returns the error and a panel made by `new` alone.
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
            // A second panic while it is dropped would hide the first one.
            let _ = guard(|| {
                drop(expose);
                Ok(())
            });
            return Err(panicked(error, &self.version));
        }
        // It may be partially restored.
        drop(expose);
        Ok((E::new(cx).map_err(|e| e.0)?, Some(failed(&error, &self.version, cx.version()))))
    }
}

/// Returns the error that is reported when a panel starts without its state.
pub(super) fn failed(error: &RemoteError, from: &str, to: &str) -> RemoteError {
    let code = if error.code == RemoteError::FAILED { RESTORE_FAILED } else { &*error.code };
    let versions =
        if from.is_empty() { String::new() } else { format!(" by version {from}, for version {to}") };
    let message = format!(
        "the panel starts without the state that was saved{versions}: {}; nothing else is lost; report this to \
         the plugin's author",
        error.message
    );
    RemoteError { code: code.into(), message: message.into(), ..error.clone() }
}

/// Returns the error of a panel that panicked while it restored its state.
fn panicked(error: RemoteError, from: &str) -> RemoteError {
    let message = format!(
        "the remote panicked at {} while it restored the state that version {from} had saved: {}; report this to \
         the plugin's author, with the details",
        error.location, error.message
    );
    RemoteError { code: "restore-panicked".into(), message: message.into(), ..error }
}

/// Deserialises anything but a string as `None`.
fn lenient<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(value)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
