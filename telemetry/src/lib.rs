//! The log pipeline: `tracing` events of remotes reach the host's subscriber.
//!
//! An author lists the crate, in `export!` and under `shared` in the manifest, and logs as in any program:
//!
//! ```
//! # let rows = 3;
//! telemetry::tracing::info!(rows, "imported");
//! ```
//!
//! The host's subscriber sees the event as if it were its own, with level, target, fields and source, and with a
//! field `remote`; `PULSE_SHELL_LOG=warn,my_remote=debug` lets through what the remote's code says from `debug` on.
//! The filter is asked before anything is formatted.
//! A remote that runs alone logs to standard error.
//!
//! # How it goes
//!
//! - [`api`] is what crosses between images.
//! - [`Shared`] makes this image's global subscriber one that hands events on.
//! - [`bundled`] is the implementation that every image carries and one of them provides: it names who takes the
//!   events of all participants. A host attaches itself, whoever the provider is.
//! - [`replay`] is how a host takes them.
//! - [`limits`] says how much of an event is kept.
//!
//! ```
//! use plugin_api::shared::{Consumer, SharedCrate, notify_fn};
//! use telemetry::{Shared, bundled::Switch, replay, tracing};
//!
//! let consumer = |name: &str, all| Consumer {
//!     name: name.into(),
//!     grants: Vec::new().into(),
//!     all,
//!     isolated: false,
//!     notify: notify_fn(|| {}),
//! };
//! # let subscriber = tracing_subscriber::fmt().finish();
//! // The provider has a switch, and the host attaches a subscriber to it.
//! let switch = Switch::new();
//! assert!(switch.bind(consumer("host", true)).attach(replay::into(subscriber.into())));
//! // A remote is given its binding, before any of its code runs.
//! Shared::install(switch.bind(consumer("remoteHello", false)))?;
//! tracing::info!(rows = 3, "imported"); // INFO hello: imported rows=3 remote="remoteHello"
//! Shared::uninstall();
//! # Ok::<(), plugin_api::shared::InstallError>(())
//! ```
//!
//! # What is kept, and what not
//!
//! - Level, target, name, file, line, module, and fields with their types. What only has a `Debug` form is
//!   formatted in the remote, once, by `{:?}`; an error keeps its text and those of its causes.
//! - The spans around an event arrive as text, in a field `spans`. They are filtered like events of their target
//!   and level. The host sees no span of a remote, so a filter by a span's name or by a field's value has no
//!   effect on events of remotes; one by the name of a field has: `[{remote}]=debug`.
//! - A remote may log 1,000 events at once and 200 a second in the long run, of 1 KiB each; what goes beyond is
//!   suppressed and counted ([`rate`]).
//! - Events before `install`, which come from statics and constructors, and those after `uninstall` are dropped.
//!   Unlike other shared crates, this one cannot tell that it was used too early: without a subscriber, `tracing`
//!   drops an event before anybody sees it.
//! - The events of a crate that is not a singleton in its scope go to standard error: its consumers share nothing,
//!   so there is nobody else to take them.

pub mod api;
pub mod bundled;
mod facade;
mod forward;
pub mod limits;
pub mod line;
pub mod rate;
pub mod replay;

pub use facade::Shared;
pub use tracing;

#[cfg(test)]
mod tests;
