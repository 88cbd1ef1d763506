//! Errors of remotes, as they cross.
// `StableAbi` generates unsafe shims and undocumented items; the items written here are documented.
#![allow(unsafe_code, missing_docs, unreachable_pub, non_local_definitions, clippy::all, clippy::pedantic)]

use abi_stable::{StableAbi, std_types::RString};

/// An error inside a remote.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, StableAbi)]
pub struct RemoteError {
    /// Stable code, kebab-case: one of [`RemoteError`]'s constants, or the author's own.
    pub code: RString,
    /// Message for the user, in a sentence.
    pub message: RString,
    /// `file:line` where it happened, or empty.
    pub location: RString,
    /// The backtrace, or empty.
    pub backtrace: RString,
}

impl RemoteError {
    /// The remote panicked.
    pub const PANICKED: &'static str = "panicked";
    /// The library has no expose of that name.
    pub const EXPOSE_UNKNOWN: &'static str = "expose-unknown";
    /// The author's code returned an error.
    pub const FAILED: &'static str = "failed";

    /// Returns an error without location and backtrace.
    pub fn new(code: &str, message: impl Into<RString>) -> Self {
        Self { code: code.into(), message: message.into(), location: RString::new(), backtrace: RString::new() }
    }
}
