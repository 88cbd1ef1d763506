//! The Pulse desktop shell: loads remotes at run time, negotiates what they share, and shows their surfaces.
//!
//! - [`federation`]: manifests, the resolver, the loader, the life of a remote.
//! - [`placement`]: a generation of a remote that runs, on a thread.
//! - [`compositor`]: surfaces, their frames, input and accessibility.
//! - [`auth`]: who is signed in.
//! - [`watch`]: which files of remotes have changed, once they are complete.
//! - [`install`]: how a remote gets into the drop folder.
//! - [`archive`]: the last good generations; [`choices`]: what was decided about remotes; [`session`]: how the last
//!   run ended.
//! - [`failure`]: what went wrong with a remote, as a value.
//! - [`catalogue`]: every code, with what it means, why it happens and what to do.
//! - [`config`]: which remotes from where, and which folders; `difference`: where two manifests differ.
//! - `limits`: how much of what a remote sends is taken; `links`: opens addresses off the window's thread.
//! - `file`: the one way to open what comes from outside; `text`: what others say, bounded and without controls.
//! - [`private`]: the folders for what one process loads; `trust`: which files other users cannot change.
//! - `ending`: the system's request to end the shell.
//! - `lock`: locks between processes; `worker`: the thread for what the window must not wait for.
//! - [`preflight`]: a library tried in a process of its own.
//! - [`app`] and [`standalone`]: the windows; only these know eframe.
//! - [`cli`]: the command line.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may fail where the shell may not"))]

pub mod app;
pub mod archive;
pub mod auth;
pub mod catalogue;
pub mod choices;
pub mod cli;
pub mod compositor;
pub mod config;
mod difference;
mod ending;
pub mod failure;
pub mod federation;
mod file;
pub mod install;
mod limits;
mod links;
mod lock;
pub mod placement;
pub mod preflight;
pub mod private;
pub mod session;
mod shared_file;
pub mod standalone;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod static_tls;
mod text;
pub mod theme;
mod trust;
pub mod watch;
mod worker;
