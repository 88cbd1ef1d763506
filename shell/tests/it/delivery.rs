//! Delivery of remotes: published by the commands of a team, served by nginx, from a folder or by a development server,
//! and fetched by the commands and shells of a user.

mod desktop;
mod door;
mod failing;
mod killed;
pub(crate) mod nginx;
pub(crate) mod serving;
mod sharing;
pub(crate) mod site;
mod story;
mod updating;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use pulse::failure::Failure;
use serde_json::{Value, json};

use crate::support::{Headless, Installation, edited, libraries};
use site::Site;

/// Name of the small remote, and its expose.
const BARE: &str = "remoteNoSdk";
const TRIANGLES: &str = "./triangles";

/// Name and title of the remote that counts, and its expose.
const SCRIPTED: &str = "remoteScripted";
const TITLE: &str = "Scripted";
const CALM: &str = "./calm";

/// Returns a build of the small remote with this version.
fn bare(version: &str) -> Vec<u8> {
    rebuilt(&libraries().no_sdk, &fixture("no-sdk"), |manifest| manifest["version"] = version.into())
}

/// Returns a build of the small remote that every plan refuses: it accepts no other store than a later one.
fn refused(version: &str) -> Vec<u8> {
    rebuilt(&libraries().no_sdk, &fixture("no-sdk"), |manifest| {
        manifest["version"] = version.into();
        refuse(manifest);
    })
}

/// Lets a manifest demand a later store.
fn refuse(manifest: &mut Value) {
    manifest["shared"]["shared-store"] =
        json!({ "version": "1.0.0", "requiredVersion": "^99.0", "singleton": true, "strictVersion": true });
}

/// Returns a build of the remote that counts with this version, and a short title.
fn scripted(version: &str, edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    rebuilt(&libraries().scripted, &fixture("scripted"), |manifest| {
        manifest["version"] = version.into();
        manifest["title"] = TITLE.into();
        edit(manifest);
    })
}

/// Returns the manifest file of the fixture called `name`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).join("remote.json")
}

/// Returns a library with another manifest, which must not be longer than the one in `file`, of which it was built.
pub(crate) fn rebuilt(library: &Path, file: &Path, edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let text = fs::read_to_string(file).expect("the manifest");
    let text = text.trim_end();
    let mut manifest: Value = serde_json::from_str(text).expect("JSON");
    edit(&mut manifest);
    // Blanks around JSON change nothing.
    let other = format!("{manifest:width$}", manifest = manifest.to_string(), width = text.len());
    edited(library, &[(text, &other)])
}

/// Returns a command that runs the binary without the settings of the test's user.
fn pulse() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulse"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PULSE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// The result of a command.
pub(crate) struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    /// Runs a command to its end.
    fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("pulse starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Asserts that the command succeeded.
    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the command failed with this exit code and reports the code `reason`.
    #[track_caller]
    fn refused(self, code: i32, reason: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(&format!("[{reason}]")), "{reason}: {}", self.stderr);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }
}

/// A user's machine: an installation, and commands with its data.
struct User {
    installation: Installation,
}

impl User {
    /// Makes a user who trusts nothing.
    fn new() -> Self {
        Self { installation: Installation::new() }
    }

    /// Makes a user who trusts a repository, and whose host's manifest has the small remote from there.
    ///
    /// Attempts are few and short, so that a test does not wait for faults.
    fn of(site: &Site, address: &str) -> Self {
        let mut user = Self::new();
        user.installation.edit_host(|host| {
            host["updates"] = json!({ "timeoutSeconds": 1, "attempts": 1 });
            host["remotes"][BARE] = format!("{BARE}@{address}").into();
        });
        user.run(&["repo", "add", address, "--root", &site.root]).good();
        user
    }

    /// Returns a command with the data of this user.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = pulse();
        command.env("PULSE_SHELL_DATA_DIR", self.installation.path("data"));
        command.env("PULSE_SHELL_CONFIG", self.installation.path("host.json"));
        command.args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Answer {
        Answer::of(&mut self.command(args))
    }

    /// Returns the entry of the small remote in the output of `pulse list`.
    #[track_caller]
    fn listed(&self) -> Value {
        let list = self.run(&["list", "--json"]).good().json();
        let rows = list.as_array().expect("a list");
        rows.iter().find(|row| row["name"] == BARE).cloned().unwrap_or_default()
    }

    /// Starts a shell that fetches, and shows the small remote.
    fn shell(&self) -> Headless {
        let mut config = self.installation.config();
        config.fetcher = Some(env!("CARGO_BIN_EXE_pulse").into());
        let mut shell = self.installation.start_with(config);
        shell.show(BARE, TRIANGLES);
        shell
    }
}

/// Returns the version of the small remote that a shell runs or has found.
fn version_in(shell: &Headless) -> Option<String> {
    shell.entry(BARE).manifest().map(|manifest| manifest.version.to_string())
}

/// Drives a shell until its slot shows a failure with this code; returns the failure.
#[track_caller]
fn blocked(shell: &mut Headless, code: &str) -> Arc<Failure> {
    shell.drive(&format!("the slot shows {code}"), |shell| shell.slot_failure(BARE, TRIANGLES).is_some());
    let failure = shell.slot_failure(BARE, TRIANGLES).expect("the awaited failure");
    assert_eq!(failure.code.as_str(), code, "{}", failure.line());
    failure
}

/// Drives a shell until the small remote has a picture.
fn drawn(shell: &mut Headless) {
    shell.drive("the remote has a picture", |shell| {
        let failure = shell.slot_failure(BARE, TRIANGLES);
        assert!(failure.is_none(), "{}", shell.describe());
        shell.has_picture(BARE, TRIANGLES)
    });
}

/// Copies a folder with everything in it.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folders can be made");
    for entry in from.read_dir().expect("a folder").map(|entry| entry.expect("an entry")) {
        let copy = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).expect("files can be copied");
        }
    }
}
