//! The Pulse desktop shell: loads remotes at run time, negotiates what they share, and shows their surfaces.
//!
//! - [`federation`]: the parts that run: negotiator, remotes, replacement, inventory, loader.
//! - [`placement`]: a generation of a remote that runs, on a thread.
//! - [`compositor`]: surfaces, their frames, input and accessibility.
//! - [`auth`]: who is signed in.
//! - [`watch`]: which files of remotes have changed, once they are complete.
//! - [`data`]: the files below the data folder, the drop folder among them, and private folders of one process.
//! - [`library`]: what a library is as a file.
//! - [`failure`]: what went wrong with a remote, as a value.
//! - [`catalogue`]: every code, with what it means, why it happens and what to do.
//! - [`config`]: which remotes from where, and which folders; `difference`: where two manifests differ.
//! - `limits`: how much of what a remote sends is taken; `links`: opens addresses off the window's thread.
//! - `file`: the one way to open what comes from outside.
//! - `trust`: which files other users cannot change.
//! - `ending`: the system's request to end the shell.
//! - `lock`: locks between processes; `spawn`: threads; `worker`: the one for what the window must not wait for.
//! - [`preflight`]: a library tried in a process of its own; `trial`: what runs there.
//! - [`fonts`]: the shell's own and the system's, for the shell and all remotes.
//! - [`app`]: the windows; only these know eframe.
//! - [`cli`]: the command line; [`log`]: the log of the shell and its remotes.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may fail where the shell may not"))]

pub mod app;
pub mod auth;
pub mod catalogue;
pub mod cli;
pub mod compositor;
pub mod config;
pub mod data;
mod difference;
mod ending;
pub mod failure;
pub mod federation;
mod file;
pub mod fonts;
pub mod library;
mod limits;
mod links;
mod lock;
pub mod log;
pub mod placement;
pub mod preflight;
mod spawn;
mod trial;
mod trust;
pub mod watch;
mod worker;
