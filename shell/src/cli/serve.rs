//! `pulse serve`: a development server for the builds in a folder.
//!
//! Standard output has the address on the first line, and a line for each build: name, version, digest. Everything else
//! goes to standard error.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Read as _},
    net::IpAddr,
    path::PathBuf,
    sync::mpsc::{self, Sender},
};

use delivery::serve::{DevBuild, DevServer, ServeOptions};
use negotiation::text::{self, Shown};

use super::{Exit, print};
use crate::{catalogue::Code, ending::EndSignal, spawn::spawn, watch::Watch};

mod builds;

use builds::{BuildChange, Builds};

pub(super) const EXAMPLES: &str = "Examples:
  pulse serve target/release
  pulse serve target/debug --port 0        any free port, which is printed
  pulse serve target/release --address 0.0.0.0 --open-to-network

A shell on this machine loads a remote from here if its host's manifest names
the address, and replaces it with each new build:
  \"remotes\": { \"remoteHello\": \"remoteHello@http://localhost:3001/\" }
Nothing is signed, so shells accept a development server only on loopback. The
other addresses are for browsers, containers and virtual machines.

Exit status:
  0 when it was ended with Ctrl+C
  1 when the address cannot be used
  2 for a wrong command line
  6 when the folder does not exist";

#[derive(clap::Args)]
pub(super) struct ServeArgs {
    /// Folder with libraries, or manifests with libraries.
    folder: PathBuf,
    /// Serve on this port; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 3001)]
    port: u16,
    /// Serve on this address of this machine.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: IpAddr,
    /// Permit an address that other machines can reach; they get every build.
    #[arg(long)]
    open_to_network: bool,
    /// End when standard input is closed.
    #[arg(long, hide = true)]
    end_with_input: bool,
}

/// A reason to wake up.
enum Wake {
    Changed,
    End,
}

pub(super) fn run(args: &ServeArgs) -> Result<u8, Exit> {
    let folder = std::path::absolute(&args.folder).unwrap_or_else(|_| args.folder.clone());
    if !folder.is_dir() {
        let (text, status) = if folder.exists() {
            ("this is not a folder", Exit::FAILURE)
        } else {
            ("the folder does not exist", Exit::NOT_FOUND)
        };
        let text = format!("{text}: {}", folder.display());
        return Err(Exit::new(status, Code::FolderUnreadable, text, "build the remote, or correct the path"));
    }
    let options =
        ServeOptions { address: args.address, port: args.port, open_to_network: args.open_to_network };
    let mut server = DevServer::bind(options)?;
    let (wakes, woken) = mpsc::channel();
    listen(args.end_with_input, &wakes)?;
    let changed = wakes.clone();
    let watch = Watch::start(move || drop(changed.send(Wake::Changed)));
    // Followed before they are read, so that no change is missed in between.
    watch.follow(BTreeSet::new(), BTreeSet::from([folder.clone()]));
    let mut builds = Builds::new(folder.clone())?;
    let first = builds.scan();
    watch.follow(builds.elsewhere(), BTreeSet::from([folder.clone()]));
    let mut announced = Announced { url: server.url(), names: BTreeSet::new() };
    print(&announced.url)?;
    announced.take(&server, first)?;
    server.open()?;
    let empty = if announced.names.is_empty() { ", which has no remote yet" } else { "" };
    note(format_args!("Serving {}{empty}; Ctrl+C ends it.", Shown(&folder)));
    while let Ok(Wake::Changed) = woken.recv() {
        let elsewhere = builds.elsewhere();
        for event in watch.changes() {
            announced.take(&server, builds.handle(event))?;
        }
        if builds.elsewhere() != elsewhere {
            watch.follow(builds.elsewhere(), BTreeSet::from([folder.clone()]));
        }
    }
    Ok(0)
}

/// Reports the end of the program: a signal, or the end of standard input if `input` is set.
fn listen(input: bool, wakes: &Sender<Wake>) -> Result<(), Exit> {
    let end = wakes.clone();
    // The thread that listens keeps it.
    EndSignal::watch(move || drop(end.send(Wake::End)));
    if input {
        let end = wakes.clone();
        let run = move || {
            let mut piece = [0; 256];
            while io::stdin().read(&mut piece).is_ok_and(|read| read > 0) {}
            drop(end.send(Wake::End));
        };
        spawn("input", "wait for the end of standard input", run).map_err(|error| Exit::of(&error))?;
    }
    Ok(())
}

/// The remotes whose lines for a host's manifest were printed.
struct Announced {
    url: String,
    names: BTreeSet<String>,
}

impl Announced {
    /// Passes changes to the server, and prints them.
    fn take(&mut self, server: &DevServer, changes: Vec<BuildChange>) -> Result<(), Exit> {
        for change in changes {
            match change {
                BuildChange::Build(build) => self.take_build(server, *build)?,
                BuildChange::Gone { name, reason } => {
                    server.withdraw(&name, &reason);
                    note(format_args!("{name} is no longer served: {reason}"));
                }
                BuildChange::Broken(failure) => Exit::from(failure).print(),
                BuildChange::Hidden { name, path, by } => {
                    let (path, by) = (Shown(&path), Shown(&by));
                    note(format_args!(
                        "warning: {name} is served from {by}, not from {path}; remove one of them"
                    ));
                }
            }
        }
        Ok(())
    }

    fn take_build(&mut self, server: &DevServer, build: DevBuild) -> Result<(), Exit> {
        let name = build.name.clone();
        let line = format!("{name} {} {}", build.version, build.sha256.short());
        match server.publish(build) {
            Ok(true) => print(&line)?,
            Ok(false) => return Ok(()),
            Err(error) => {
                note(format_args!("warning: {name} is not served ({error})"));
                return Ok(());
            }
        }
        if self.names.insert(name.clone()) {
            let url = &self.url;
            note(format_args!("For the `remotes` of a host's manifest: \"{name}\": \"{name}@{url}\""));
        }
        Ok(())
    }
}

/// Writes a message to standard error, without the control characters that names and paths may hold.
fn note(line: impl fmt::Display) {
    crate::log::note(text::line(&line.to_string(), usize::MAX));
}
