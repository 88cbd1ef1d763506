//! The Pulse desktop shell: loads remotes at run time, negotiates what they share, and shows their surfaces.
//!
//! - [`federation`]: the running parts: negotiator, remotes, replacement, inventory.
//! - [`placement`]: a running generation of a remote, on a thread; its loader.
//! - [`compositor`]: surfaces, their frames, input and accessibility.
//! - [`auth`]: the signed-in user.
//! - [`watch`]: changes of remotes' files, once they are complete.
//! - [`data`]: the files below the data folder, including the drop folder, and private folders of one process.
//! - [`library`]: a library as a file.
//! - [`failure`]: a failure of a remote, as a value.
//! - [`catalogue`]: every code, with its meaning, its cause and what to do.
//! - [`config`]: the remotes, their locations, and the folders; `difference`: the first difference of two manifests.
//! - `limits`: bounds for everything that a remote sends; `links`: opens addresses off the window's thread.
//! - `file`: the only way to open files from outside.
//! - `trust`: checks that other users cannot change a file.
//! - `ending`: the system's request to end the shell.
//! - `lock`: locks between processes; `spawn`: threads; `worker`: a thread for what the window must not wait for.
//! - [`preflight`]: a library tried in a separate process; `trial`: the code that runs there.
//! - [`fonts`]: the shell's fonts and the system's, for the shell and all remotes.
//! - [`app`]: the windows; only this module uses eframe.
//! - [`cli`]: the command line; [`log`]: the log of the shell and its remotes.

// These macros panic once the reader of the output has gone; `log::note` does not.
#![deny(clippy::print_stderr, clippy::print_stdout)]
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
