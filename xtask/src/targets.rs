//! Checks the crates that authors use, for systems that CI does not run on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Variable, cargo, step};

const PACKAGES: [&str; 4] = ["negotiation", "plugin-api", "shared-store", "telemetry"];

const TARGETS: [&str; 2] = ["aarch64-apple-darwin", "x86_64-pc-windows-gnu"];

/// Checks [`PACKAGES`] for each of [`TARGETS`] whose standard library is installed; reports the others.
pub(crate) fn check(variables: &[Variable]) -> Result<()> {
    for target in TARGETS {
        if !has_std(target)? {
            eprintln!("xtask: skipped: check for {target}; install it with `rustup target add {target}`");
            continue;
        }
        let mut check =
            cargo(&["check", "--locked", "--target", target, "--features", "plugin-api/sdk"], variables);
        step(&format!("check {target}"), check.args(PACKAGES.iter().flat_map(|package| ["-p", package])))?;
    }
    Ok(())
}

fn has_std(target: &str) -> Result<bool> {
    let mut rustc = Command::new("rustc");
    let output =
        rustc.args(["--print", "target-libdir", "--target", target]).output().context("cannot start rustc")?;
    let folder = String::from_utf8(output.stdout).context("rustc names no folder")?;
    Ok(output.status.success() && Path::new(folder.trim_end()).is_dir())
}
