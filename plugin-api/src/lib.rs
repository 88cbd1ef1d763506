//! The contract between the Pulse shell and its remotes, and the SDK for writing them.
//!
//! # The life of a remote
//!
//! 1. The host reads the remote's manifest, from the library's section ([`embed`]) or a file; no code runs.
//! 2. The host plans: a participant to provide each shared crate ([`shared`]), or a reason for a refusal.
//! 3. The library is loaded, on a thread of the remote's own, and its layouts are compared ([`entry`], [`layout`]).
//! 4. `init` hands over the services of the host and an interface for each shared crate ([`abi::InitContext`]).
//! 5. `get` opens an expose: `Expose::new` makes a panel, or returns an error that its slot shows.
//! 6. While there is a reason, [`abi::FrameInput`] goes in, `Expose::ui` draws, and an [`abi::Frame`] comes out.
//! 7. A rebuilt library replaces the remote: `Expose::save` in the old generation, `Expose::restore` in the new one.
//! 8. The surfaces are dropped, `shutdown` ends the remote, its thread is joined, and the library is unloaded.
//!
//! # A remote
//!
//! All of `src/lib.rs`; the manifest lies alongside `Cargo.toml`, and the README explains both.
//!
#![cfg_attr(feature = "sdk", doc = "```standalone_crate")]
#![cfg_attr(not(feature = "sdk"), doc = "```ignore")]
#![doc = include_str!("../examples/hello.rs")]
//! # fn main() {}
//! ```
//!
//! # Modules
//!
//! - [`abi`] is what crosses the boundary: plain data and trait objects of `abi_stable` types,
//!   without a toolkit.
//! - [`embed`] puts a manifest into a library and finds it there again.
//! - [`entry`] is what a remote's library exports.
//! - [`guard`] turns panics into errors.
//! - [`layout`] compares types of two builds.
//! - [`shared`] is what makes a crate shareable between images.
//! - [`tokens`] are the design tokens.
//! - `bridge` (feature `egui`) says what events and cursors are in egui.
//! - `theme` (feature `egui`) is the look of the shell: a style, and a kit of widgets.
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
#[cfg(feature = "sdk")]
pub mod sdk;
pub mod shared;
#[cfg(feature = "egui")]
pub mod theme;
pub mod tokens;

#[cfg(feature = "egui")]
pub use egui;
#[cfg(feature = "sdk")]
pub use sdk::{Cx, Dropped, Expose, Look, PluginError};

#[doc(hidden)]
pub use abi_stable as __abi_stable;
