//! The contract between the Pulse shell and its remotes, and the SDK for writing them.
//!
//! # Lifecycle of a remote
//!
//! A remote is a plugin library with a manifest. It offers panels, its *exposes*; an open panel is a *surface*.
//! Each remote has a thread, on which the host makes all of its calls from step 3 on.
//! The remote may call the host ([`abi::HostServices`]) from any thread. The SDK implements the traits of [`abi`] and
//! calls the author's `Expose`.
//!
//! 1. *Manifest*: the host reads it from the library's section ([`embed`]) or a JSON file. No code of the remote has
//!    run.
//! 2. *Plan*: the host chooses a provider for each shared crate ([`shared`]), or refuses the remote with a reason.
//! 3. *Load*: the host loads the library and compares its layouts ([`entry`], [`layout`]).
//! 4. *Init*: [`abi::RemoteEntry::init`] receives the host's services and an interface for each shared crate
//!    ([`abi::InitContext`]).
//! 5. *Open*: [`abi::Remote::get`] calls `Expose::new`, which makes the panel or returns an error for its slot, and
//!    `Expose::restore` if there is saved state.
//! 6. *Frames*: [`abi::Surface::frame`] turns an [`abi::FrameInput`] into an [`abi::Frame`] by `Expose::ui`, when
//!    there is a reason such as input or a change of shared state.
//! 7. *Save*: [`abi::Surface::save`] calls `Expose::save`, before a rebuilt library replaces this one and for the
//!    next start of the host. The new generation restores the state on its own thread.
//! 8. *Close*: [`abi::Surface::close`] drops the panel.
//! 9. *Shutdown*: [`abi::Remote::shutdown`] releases the shared crates. The thread ends, and the library is unloaded.
//!
//! # Example
//!
//! A complete `src/lib.rs`. Its manifest, `hello.json`, lies next to `Cargo.toml`; the README shows it.
//!
#![cfg_attr(feature = "sdk", doc = "```standalone_crate")]
#![cfg_attr(not(feature = "sdk"), doc = "```ignore")]
#![doc = include_str!("../examples/hello.rs")]
//! # fn main() {}
//! ```
//!
//! # Modules
//!
//! - [`abi`]: the types that cross the boundary: plain data and trait objects of `abi_stable`, without a toolkit.
//! - [`embed`]: writes a manifest into a library and reads it from there.
//! - [`entry`]: the exports of a remote's library.
//! - [`guard`]: turns panics into errors.
//! - [`layout`]: compares the layouts of a type in two builds.
//! - [`shared`]: makes a crate shareable between images.
//! - [`tokens`]: the design tokens.
//! - `bridge` (feature `egui`): converts events and cursors from and to egui's.
//! - `theme` (feature `egui`): the look of the shell, as a style and a kit of widgets.
//! - `sdk` (feature `sdk`): runs an author's egui code behind the contract.
//!
//! Without the features `egui` and `sdk` this crate does not depend on egui.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests draw colours that no theme has"))]

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
