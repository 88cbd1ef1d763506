//! `cargo xtask fuzz`: libFuzzer on the readers of untrusted bytes, on plans made of them, and on remotes' frames.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools::in_path;
use crate::{in_workspace, root, step};

/// The targets by name; each has a folder of seeds in its package.
pub(crate) const TARGETS: [&str; 4] = ["frame", "manifest", "plan", "section"];

/// The fuzz packages: separate workspaces, which no other build compiles.
pub(crate) const PACKAGES: [&str; 2] = ["negotiation/fuzz", "shell/fuzz"];

/// Fuzzes one target or all for `seconds` each; a finding is an error, and libFuzzer prints its path.
///
/// # Errors
/// If a nightly compiler, a C++ compiler or `cargo-fuzz` is missing and cannot be installed, or there is a finding.
pub(crate) fn fuzz(seconds: u32, target: Option<&str>) -> Result<()> {
    if !succeeds(nightly(&["rustc", "--version"])) {
        bail!(
            "no nightly compiler, which libFuzzer's instrumentation needs: run `rustup toolchain install nightly`"
        );
    }
    if env::var_os("CXX").is_none() && !in_path("c++") {
        bail!("no C++ compiler, which libFuzzer is built with: `c++` is not in PATH and CXX is not set");
    }
    if !succeeds(nightly(&["cargo", "fuzz", "--version"])) {
        eprintln!("xtask: cargo-fuzz is not installed; installing it with cargo");
        let install = &mut nightly(&["cargo", "install", "cargo-fuzz", "--locked"]);
        step("install", install).context("run `cargo install cargo-fuzz --locked` yourself")?;
    }
    for target in TARGETS.iter().filter(|known| target.is_none_or(|target| **known == target)) {
        let mut packages = PACKAGES.iter().map(|package| root().join(package));
        let folder = packages
            .find(|folder| folder.join("seeds").join(target).is_dir())
            .with_context(|| format!("no fuzz package has seeds of `{target}`"))?;
        // libFuzzer writes new inputs to the first folder, and only reads the second.
        let corpora = ["corpus", "seeds"].map(|kind| folder.join(kind).join(target));
        fs::create_dir_all(&corpora[0]).with_context(|| format!("cannot create {}", corpora[0].display()))?;
        // The targets have no unsafe code, so a sanitizer would only slow them down.
        let mut run = nightly(&["cargo", "fuzz", "run", "--sanitizer", "none", "--fuzz-dir"]);
        run.arg(&folder).arg(target).args(&corpora).args(["--", "-timeout=10", "-print_final_stats=1"]);
        step(target, run.arg(format!("-max_total_time={seconds}")))?;
    }
    Ok(())
}

fn nightly(command: &[&str]) -> Command {
    let mut rustup = Command::new("rustup");
    in_workspace(&mut rustup).args(["run", "nightly"]).args(command);
    rustup
}

fn succeeds(mut command: Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
