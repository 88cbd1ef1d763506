//! `cargo xtask fuzz`: libFuzzer on what reads bytes from outside, on the plans made of them, and on what remotes draw.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::packages::in_path;
use crate::{in_workspace, root, step};

/// What can be fuzzed; each has a folder of seeds.
pub(crate) const TARGETS: [&str; 4] = ["frame", "manifest", "plan", "section"];

/// Fuzzes one target, or each, for so many seconds; a finding is an error, and libFuzzer says where it is kept.
///
/// # Errors
/// Where a nightly compiler, a C++ compiler or `cargo-fuzz` is missing and cannot be installed, or something is found.
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
        eprintln!("xtask: cargo-fuzz is not installed; asking cargo for it");
        let install = &mut nightly(&["cargo", "install", "cargo-fuzz", "--locked"]);
        step("install", install).context("run `cargo install cargo-fuzz --locked` yourself")?;
    }
    let folder = root().join("shell/fuzz");
    for target in TARGETS.iter().filter(|known| target.is_none_or(|target| **known == target)) {
        // What is found to be new goes to the first folder; the second one is only read.
        let corpora = ["corpus", "seeds"].map(|kind| folder.join(kind).join(target));
        fs::create_dir_all(&corpora[0]).with_context(|| format!("cannot create {}", corpora[0].display()))?;
        // There is no unsafe code in it, so a sanitizer would find nothing, slowly.
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
