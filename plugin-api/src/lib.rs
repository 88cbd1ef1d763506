//! The contract between the Pulse shell and its remotes, and the SDK for writing them.
//!
//! - [`abi`] is what crosses the boundary: plain data and trait objects of `abi_stable` types,
//!   without a toolkit.
//! - [`manifest`] is what a remote and a host say about themselves, read before any code runs.
//! - [`embed`] puts a manifest into a library and finds it there again.
//! - [`entry`] is what a remote's library exports.
//! - [`guard`] turns panics into errors.
//! - [`layout`] compares types of two builds.
//! - [`shared`] is what makes a crate shareable between images.
//! - [`tokens`] are the design tokens.
//! - `theme` and `bridge` (feature `egui`) say what tokens, events and cursors are in egui.
//! - `sdk` (feature `sdk`) runs a plugin author's egui code behind the contract.
//!
//! Without the features `egui` and `sdk` nothing in here knows egui.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests draw what no theme has"))]

pub mod abi;
#[cfg(feature = "egui")]
pub mod bridge;
pub mod embed;
pub mod entry;
pub mod guard;
pub mod layout;
pub mod manifest;
#[cfg(feature = "sdk")]
pub mod sdk;
pub mod shared;
#[cfg(feature = "egui")]
pub mod theme;
pub mod tokens;

#[cfg(feature = "sdk")]
pub use egui;
#[cfg(feature = "sdk")]
pub use sdk::{Cx, Dropped, Expose, Look, PluginError};

#[doc(hidden)]
pub use abi_stable as __abi_stable;
