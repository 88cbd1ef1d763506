//! A repository and its keys, changed by the commands of its owner and publishers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use delivery::keys::{KeyRing, KeySource};
use jiff::SignedDuration;

use super::{Answer, pulse};

/// A repository in a temporary folder, with the folder of its keys.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    /// Fingerprint of its first root: `sha256:` and digits.
    pub(crate) root: String,
}

impl Site {
    /// Makes a repository whose root needs two signatures, and that has one publisher.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pulse-site-").tempdir().expect("a temporary folder");
        let mut site = Self { folder, root: String::new() };
        let keys = site.path("keys").to_string_lossy().into_owned();
        let made = site.run(&["repo", "init", &site.dir(), "--keys", &keys, "--threshold", "2"]).good();
        made.stdout.trim().clone_into(&mut site.root);
        site
    }

    /// Returns a path next to the repository.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the folder of the repository, as an argument.
    pub(crate) fn dir(&self) -> String {
        self.path("site").to_string_lossy().into_owned()
    }

    /// Returns the file of a key, as an argument.
    pub(crate) fn key(&self, name: &str) -> String {
        self.path("keys").join(name).to_string_lossy().into_owned()
    }

    /// Returns the address of the folder.
    pub(crate) fn address(&self) -> String {
        format!("file://{}", self.dir())
    }

    /// Runs a command.
    #[expect(clippy::unused_self, reason = "it reads better")]
    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        Answer::of(pulse().args(args))
    }

    /// Runs a command as a CI job does: the keys of publisher and snapshot are in a variable.
    pub(crate) fn job(&self, args: &[&str]) -> Answer {
        Answer::of(&mut self.job_command(args))
    }

    /// Returns the command of a CI job.
    pub(crate) fn job_command(&self, args: &[&str]) -> Command {
        let keys = ["publisher.pem", "online.pem"].map(|key| fs::read_to_string(self.key(key)).expect("a key"));
        let mut command = pulse();
        command.env("PULSE_KEY", keys.concat()).env("PULSE_PUBLISH_TO", self.dir()).args(args);
        command
    }

    /// Writes a build to a file; returns its path.
    pub(crate) fn build(&self, build: &[u8]) -> PathBuf {
        let file = self.path("libbuild.so");
        fs::write(&file, build).expect("files can be written");
        file
    }

    /// Publishes a build, visible at once.
    pub(crate) fn publish(&self, build: &[u8], notes: &str) {
        let file = self.build(build);
        self.job(&["publish", text(&file), "--notes", notes]).good();
    }

    /// Publishes version 1.0.0 of the small remote in a new repository.
    pub(crate) fn with_bare() -> Self {
        let site = Self::new();
        site.publish(&super::bare("1.0.0"), "first release");
        site
    }

    /// Signs snapshot and timestamp again, expired or not. No command lets them expire at once.
    pub(crate) fn set_expired(&self, expired: bool) {
        let source = KeySource::parse(&self.key("online.pem")).expect("a source");
        let keys = KeyRing::read(&[source]).expect("a key");
        // Times in metadata are whole seconds, rounded down.
        let validity = if expired { SignedDuration::from_nanos(1) } else { SignedDuration::from_hours(24) };
        let site = delivery::site::RepoSite::open(&self.path("site")).expect("a repository");
        site.refresh(Some(validity), &keys).expect("it can be refreshed");
    }
}

/// Returns a path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
