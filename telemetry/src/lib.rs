//! The log pipeline: `tracing` events of remotes reach the host's subscriber.
//!
//! An author lists the crate, in `export!` and under `shared` in the manifest, and logs as in any program:
//!
//! ```
//! # let rows = 3;
//! telemetry::tracing::info!(rows, "imported");
//! ```
//!
//! The host's subscriber sees the event as its own, with level, target, fields and source, and with a field `remote`;
//! `PULSE_SHELL_LOG=warn,my_remote=debug` lets the events of the remote's code through from `debug` on.
//! A remote that runs alone logs to standard error.
//!
//! # The life of the pipeline
//!
//! 1. The host plans one provider. Its switch ([`bundled::Switch`]) names the output for all participants' events.
//! 2. The host attaches an output to the switch ([`replay`]), regardless of the provider.
//! 3. Before the remote's code runs, [`SharedCrate::install`] of [`Shared`] sets the global subscriber of its image,
//!    which forwards events.
//! 4. At each event the forwarding subscriber asks the host's filter; it formats nothing that the filter rejects.
//! 5. The values cross as plain data ([`api`]), cut to [`limits`], and become an event of the host's own `tracing`,
//!    unless the remote logs too much ([`rate`]).
//! 6. At the remote's end [`SharedCrate::uninstall`] cuts the connection; later events are dropped.
//!
//! [`SharedCrate::install`]: plugin_api::shared::SharedCrate::install
//! [`SharedCrate::uninstall`]: plugin_api::shared::SharedCrate::uninstall
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
//! // The host attaches a subscriber to the provider's switch.
//! let switch = Switch::new();
//! assert!(switch.bind(consumer("host", true)).attach(replay::into(subscriber.into())));
//! // The remote receives its binding before any of its code runs.
//! Shared::install(switch.bind(consumer("remoteHello", false)))?;
//! tracing::info!(rows = 3, "imported"); // INFO hello: imported rows=3 remote="remoteHello"
//! Shared::uninstall();
//! # Ok::<(), plugin_api::shared::InstallError>(())
//! ```
//!
//! # Guarantees and limits
//!
//! - An event keeps level, target, name, file, line, module, and fields with their types. A value with only a `Debug`
//!   form is formatted in the remote, once, by `{:?}`; an error keeps its text and the texts of its causes.
//! - The spans around an event arrive as text, in a field `spans`. They are filtered like events of their target
//!   and level. The host sees no span of a remote, so a filter by a span's name or by a field's value has no
//!   effect on events of remotes; a filter by the name of a field has: `[{remote}]=debug`.
//! - A remote may log 1,000 events at once and 200 a second in the long run, of 1 KiB each; events beyond that are
//!   suppressed and counted ([`rate`]).
//! - Events before `install`, which come from statics and constructors, and events after `uninstall` are dropped.
//!   Unlike other shared crates, this one cannot detect that it was used too early: without a subscriber, `tracing`
//!   drops the event.
//! - If the crate is not a singleton in its scope, events go to standard error: its consumers share no switch, so the
//!   host's output is not attached.

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
