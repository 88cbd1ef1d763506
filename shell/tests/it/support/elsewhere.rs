//! Libraries that are built with another toolkit or by another compiler.
//!
//! Each has a target folder below that of the tests, which the next run uses again.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use super::{built_by, libraries, workspace};

/// Builds a remote on egui 0.36; returns its library.
pub(crate) fn egui_0_36() -> &'static Path {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            "shell/tests/fixtures/egui-0.36/Cargo.toml",
        ]);
        cargo.arg("--target-dir").arg(target("egui-0.36")).current_dir(workspace());
        built_by(cargo).remove("fixture_egui_0_36").expect("the package has a library")
    });
    &LIBRARY
}

/// Builds the misbehaving remote with the nightly compiler, overflow checks, debug assertions and no optimisation;
/// `None` without that compiler.
pub(crate) fn nightly() -> Option<&'static Path> {
    static NIGHTLY: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let version = nightly_tool("rustc").arg("--version").stderr(Stdio::null()).output();
        if !version.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no nightly compiler; `rustup toolchain install nightly` installs it");
            return None;
        }
        let mut cargo = nightly_tool("cargo");
        cargo.args(["build", "--locked", "-p", "fixture-misbehaving", "--lib"]);
        cargo.arg("--target-dir").arg(target("nightly")).current_dir(workspace());
        for (option, value) in [("DEBUG", "false"), ("INCREMENTAL", "false")] {
            cargo.env(format!("CARGO_PROFILE_DEV_{option}"), value);
        }
        built_by(cargo).remove("fixture_misbehaving")
    });
    NIGHTLY.as_deref()
}

fn nightly_tool(name: &str) -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly", name]).env("RUSTUP_AUTO_INSTALL", "0");
    // These would choose the toolchain that built the tests.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        rustup.env_remove(name);
    }
    rustup
}

/// Returns a folder in the target folder into which the workspace's libraries are built.
fn target(name: &str) -> PathBuf {
    let profile =
        libraries().no_sdk.ancestors().find(|folder| folder.ends_with("release") || folder.ends_with("debug"));
    profile.and_then(Path::parent).expect("libraries lie in a profile folder").join(name)
}
