//! Programs from the package registry that check this workspace: built once, into the user's cache folder.

use std::env::{self, consts::EXE_SUFFIX};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cache_dir, cargo, in_workspace, step};

/// The check of licences, bans, sources and advisories, by `deny.toml`.
pub(crate) const DENY: Tool = Tool { package: "cargo-deny", program: "cargo-deny", version: "0.20.2" };

/// The check for unused dependencies; `[package.metadata.cargo-machete]` names the dependencies that it cannot see.
pub(crate) const MACHETE: Tool = Tool { package: "cargo-machete", program: "cargo-machete", version: "0.9.2" };

/// The spell checker, configured by `_typos.toml`.
pub(crate) const TYPOS: Tool = Tool { package: "typos-cli", program: "typos", version: "1.52.0" };

/// The profile for tools: they run for seconds, so an optimised build costs more than it saves.
const PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
];

/// A program that `cargo install` builds.
pub(crate) struct Tool {
    package: &'static str,
    program: &'static str,
    version: &'static str,
}

impl Tool {
    /// Returns a command that runs the tool on the workspace; installs the tool first if it is missing.
    ///
    /// # Errors
    /// If the tool is missing and cannot be built.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command> {
        let folder = cache_dir()?.join("tools").join(format!("{}-{}", self.package, self.version));
        let program = folder.join("bin").join(format!("{}{EXE_SUFFIX}", self.program));
        if !program.is_file() {
            self.install(&folder)?;
        }
        let mut command = Command::new(program);
        in_workspace(&mut command).args(args);
        Ok(command)
    }

    fn install(&self, folder: &Path) -> Result<()> {
        let mut install = cargo(&["install", "--locked", self.package, "--version", self.version], &[]);
        // Built in a folder that cargo removes: nothing else here uses these dependencies.
        install.arg("--root").arg(folder).env_remove("CARGO_TARGET_DIR").envs(PROFILE);
        step(&format!("install {}", self.package), &mut install)
            .with_context(|| format!("cannot build {} from the package registry", self.package))
    }
}

/// Checks the dependencies for known vulnerabilities; reports a skip if the database cannot be fetched.
///
/// # Errors
/// If the tool cannot be built, or a dependency has an advisory.
pub(crate) fn advisories() -> Result<()> {
    if step("fetch advisories", &mut DENY.command(&["fetch", "db"])?).is_err() {
        eprintln!("xtask: skipped: cannot fetch the database of advisories.");
        return Ok(());
    }
    step("advisories", &mut DENY.command(&["--locked", "check", "advisories"])?)
}

/// Returns `true` if a program of this name is in `PATH`.
pub(crate) fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
