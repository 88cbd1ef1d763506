//! `cargo xtask`: every task of this workspace, on a machine that has only Rust.
//!
//! Progress and advice go to stderr, so that the output of `run` can be piped.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio, exit};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use etcetera::BaseStrategy;

mod dev;
mod display;
mod fuzz;
mod packages;
mod targets;
#[cfg(test)]
mod tidy;
mod tools;

use packages::Purpose;
use tools::{DENY, MACHETE, TYPOS};

/// Run, test, benchmark and check the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the remotes and the shell in release, and open the desktop window
    #[command(after_help = "Examples:\n  cargo xtask run\n  cargo xtask run -- --data-dir scratch")]
    Run {
        /// Arguments for `pulse`
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Serve the remotes from a port of their own, and open the shell that loads them from there
    ///
    /// A change in the sources of a remote is built, and appears in the running shell.
    #[command(after_help = "Examples:\n  cargo xtask dev\n  cargo xtask dev -- --data-dir scratch")]
    Dev {
        /// Arguments for `pulse`
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Install the packages that the tests need, and run all tests
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test -- resolver")]
    Test {
        /// Arguments for the test harness: a name filter, `--nocapture`, ...
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Check format, spelling, dependencies, clippy with warnings as errors, and docs, then run the tests
    ///
    /// Builds into `CARGO_TARGET_DIR` or, if that is unset, a folder in the user's cache directory, so that a fresh
    /// clone does not compile the dependencies again.
    Ci,
    /// Run the benchmarks in release
    Bench {
        /// Arguments for criterion: a name filter, `--save-baseline NAME`, ...
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Replace the analytics remote repeatedly in one process, and check for leaks
    #[command(after_help = "Examples:\n  cargo xtask soak\n  cargo xtask soak --count 5000")]
    Soak {
        /// Number of replacements
        #[arg(long, value_name = "N", default_value_t = 1000)]
        count: u32,
    },
    /// Fuzz the readers of manifests and sections, the planning, and the checks of frames
    ///
    /// Needs a nightly compiler and a C++ compiler; installs `cargo-fuzz` if it is missing.
    #[command(after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz --seconds 600 plan")]
    Fuzz {
        /// Seconds for each target
        #[arg(long, value_name = "N", default_value_t = 30)]
        seconds: u32,
        /// Fuzz only this target
        #[arg(value_parser = fuzz::TARGETS)]
        target: Option<String>,
    },
    /// Check the dependencies for known vulnerabilities, if the database can be fetched
    Advisories,
    /// Update the JSON Schemas in `manifests/schema` and the golden layout of the contract
    Bless,
}

// Cargo unites the features of all packages in a selection, so each different selection compiles the toolkit again.
// So there are only these two, and the tests' own builds should use the same selections.

/// The selection of the shell and the remotes that ship with it.
const PRODUCT: [&str; 5] = ["--release", "-p", "pulse", "-p", "pulse-analytics"];

/// The selection of everything tested. Not `--all-targets`, which would also run each benchmark once; release,
/// because the end-to-end tests drive the release binary.
const TESTED: [&str; 6] = ["--release", "--workspace", "--lib", "--bins", "--tests", "--examples"];

/// The build of egui's demo, a separate workspace: as a remote, and in a plain window for comparison.
const DEMO: [&str; 8] = [
    "build",
    "--release",
    "--locked",
    "--manifest-path",
    "shell/tests/fixtures/egui-demo/Cargo.toml",
    "--lib",
    "--example",
    "plain",
];

fn main() {
    let outcome = match Cli::parse().command {
        Task::Run { args } => run(&args),
        Task::Dev { args } => dev::dev(&args),
        Task::Test { args } => test(&args, &[]).map(|()| 0),
        Task::Ci => ci().map(|()| 0),
        Task::Bench { args } => bench(&args).map(|()| 0),
        Task::Soak { count } => soak(count).map(|()| 0),
        Task::Fuzz { seconds, target } => fuzz::fuzz(seconds, target.as_deref()).map(|()| 0),
        Task::Advisories => tools::advisories().map(|()| 0),
        Task::Bless => bless().map(|()| 0),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "an error that `main` returns has a backtrace, which hides the cause"
    )]
    exit(outcome.unwrap_or_else(|error| {
        eprintln!("xtask: error: {error:#}");
        1
    }))
}

/// Runs `pulse` and returns its exit code; on Unix this process becomes `pulse` if no work remains afterwards.
fn run(args: &[OsString]) -> Result<i32> {
    const CONFIG: &str = "PULSE_SHELL_CONFIG";
    packages::ensure(Purpose::Run)?;
    let binary = build_shell()?;
    let mut pulse = Command::new(&binary);
    // Removes Cargo's own variables, which do not concern the program.
    in_workspace(&mut pulse).args(args);
    // `pulse` reads no manifest from the working folder by itself. A flag and the user's own variable override this.
    if env::var_os(CONFIG).is_none_or(|value| value.is_empty()) {
        pulse.env(CONFIG, root().join("manifests/host.json"));
    }
    let server = display::provide(&mut pulse);
    if server.is_none() {
        replace_process(&mut pulse)?;
    }
    let status = pulse.status().with_context(|| format!("cannot start {}", binary.display()))?;
    drop(server);
    Ok(exit_code(status))
}

fn test(args: &[OsString], variables: &[Variable]) -> Result<()> {
    packages::ensure(Purpose::Tests)?;
    let runtime = display::runtime_dir();
    let cargo = |subcommand, selection: &[&str]| {
        let mut command = cargo(&[subcommand], variables);
        command.args(selection).envs(runtime.iter().map(|dir| ("XDG_RUNTIME_DIR", dir)));
        command
    };
    // `cargo test` alone does not build the libraries that tests load; once built here, a test's own build only
    // checks fingerprints.
    step("build", &mut cargo("build", &TESTED))?;
    step("build demo", self::cargo(&DEMO, variables).arg("--target-dir").arg(target_folder(variables)?))?;
    step("test", cargo("test", &TESTED).arg("--").args(args))?;
    step("doctest", cargo("test", &["--release", "--workspace", "--doc", "--"]).args(args))
}

fn ci() -> Result<()> {
    let began = Instant::now();
    let mut variables = vec![("CARGO_INCREMENTAL", "0".into())];
    if env::var_os("CARGO_TARGET_DIR").is_none() {
        variables.push(("CARGO_TARGET_DIR", cache_dir()?.join("target").into()));
    }
    let cargo = |args: &[&str]| cargo(args, &variables);
    ensure_component("rustfmt", "fmt")?;
    ensure_component("clippy", "clippy")?;
    step("fmt", &mut cargo(&["fmt", "--all", "--check"]))?;
    // Before the first compilation, because some dependencies need a C compiler.
    packages::ensure(Purpose::Tests)?;
    step("typos", &mut TYPOS.command(&[])?)?;
    let deny = ["--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    step("deny", &mut DENY.command(&deny)?)?;
    step("unused dependencies", &mut MACHETE.command(&["."])?)?;
    let clippy = ["clippy", "--locked", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step("clippy", &mut cargo(&clippy))?;
    targets::check(&variables)?;
    // The examples bring the development dependencies and their features, so that clippy's builds are reused here.
    // Binaries are left out if a library of the same name is documented.
    let targets = ["--lib", "--examples", "--bin", "xtask"];
    let mut doc = cargo(&["doc", "--release", "--workspace", "--no-deps"]);
    step("doc", doc.args(targets).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Separate workspaces, which no test builds.
    let mut metadata = cargo(&["metadata", "--locked", "--format-version", "1", "--manifest-path", HOT_RELOAD]);
    step("lock files", metadata.stdout(Stdio::null()))?;
    for package in fuzz::PACKAGES {
        let manifest = format!("{package}/Cargo.toml");
        let check = ["check", "--locked", "--release", "--lib", "--manifest-path", &manifest];
        step("fuzz targets", &mut cargo(&check))?;
    }
    test(&[], &variables)?;
    eprintln!("xtask: ci passed in {:.0?}", began.elapsed());
    Ok(())
}

/// The program that the benchmark of replacements compares with.
const HOT_RELOAD: &str = "plugins/analytics/benches/hot-reload/Cargo.toml";

fn bench(args: &[OsString]) -> Result<()> {
    packages::ensure(Purpose::Tests)?;
    // Builds the libraries into the folder of the programs that load them.
    step("build", cargo(&["build"], &[]).args(TESTED))?;
    let hot_reload = build_hot_reload()?;
    // Only the bench targets: the others run under libtest, which would run every test.
    let mut bench = cargo(&["bench", "--workspace", "--bench", "*", "--"], &[]);
    step("bench", bench.env("PULSE_HOT_RELOAD", hot_reload).args(args))
}

/// Builds [`HOT_RELOAD`], and returns the folder of its binaries.
///
/// It has a separate target folder below this one: it depends on the analytics remote with other features, and the
/// file name of a dynamic library does not depend on its features.
fn build_hot_reload() -> Result<PathBuf> {
    let target = target_folder(&[])?.join("hot-reload");
    let mut build = cargo(&["build", "--release", "--locked", "--target-dir"], &[]);
    build.arg(&target).args(["--manifest-path", HOT_RELOAD]);
    step("build hot-reload", &mut build)?;
    Ok(target.join("release"))
}

/// Returns the folder into which cargo builds this workspace.
fn target_folder(variables: &[Variable]) -> Result<PathBuf> {
    let mut metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"], variables);
    let output = metadata.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo wrote no JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo names no target folder")?;
    Ok(PathBuf::from(target))
}

/// Runs the soak test, which builds the libraries itself.
fn soak(count: u32) -> Result<()> {
    packages::ensure(Purpose::Tests)?;
    let mut soak = cargo(&["test", "--release", "--workspace", "--test", "soak", "--", "--nocapture"], &[]);
    step("soak", soak.env("PULSE_SOAK", count.to_string()))
}

/// Updates the schemas and the golden layout of the contract. The tests that compare them write them on request, so
/// this crate need not compile the types.
fn bless() -> Result<()> {
    let goldens =
        [["negotiation", "--lib", "schema_files_are_current"], ["plugin-api", "--test", "abi_layout"]];
    for golden in goldens {
        let mut test = cargo(&["test", "--release", "-p"], &[]);
        step("bless", test.args(golden).env("PULSE_BLESS", "1"))?;
    }
    Ok(())
}

/// Builds the shell and the remotes, and returns the path of `pulse`.
fn build_shell() -> Result<PathBuf> {
    let mut build = cargo(&["build", "--message-format=json-render-diagnostics"], &[]);
    let mut child = build.args(PRODUCT).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut binary = None;
    for line in BufReader::new(child.stdout.take().context("cargo has no stdout")?).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?).context("cargo wrote no JSON")?;
        if message["reason"] == "compiler-artifact" && message["target"]["name"] == "pulse" {
            binary = message["executable"].as_str().map(PathBuf::from).or(binary);
        }
    }
    if !child.wait()?.success() {
        bail!("the build failed; see cargo's errors above");
    }
    binary.context("cargo built no binary named pulse")
}

/// Runs a step to its end, and prints its name and duration.
fn step(name: &str, command: &mut Command) -> Result<()> {
    eprintln!("xtask: {name} ...");
    let began = Instant::now();
    let status = command.status().with_context(|| format!("{name}: cannot start {command:?}"))?;
    if !status.success() {
        bail!("{name} failed after {:.1?} ({status})", began.elapsed());
    }
    eprintln!("xtask: {name} done in {:.1?}", began.elapsed());
    Ok(())
}

/// An environment variable for cargo.
type Variable = (&'static str, OsString);

fn cargo(args: &[&str], variables: &[Variable]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    in_workspace(&mut command).args(args).envs(variables.iter().cloned());
    command
}

/// Sets the directory, and removes cargo's variables about the package: build scripts such as `ring`'s watch them,
/// and would run again after every change between `cargo xtask` and plain `cargo`.
fn in_workspace(command: &mut Command) -> &mut Command {
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
    command.current_dir(root())
}

fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Returns the folder `pulse` in the user's cache directory.
fn cache_dir() -> Result<PathBuf> {
    let strategy = etcetera::choose_base_strategy().context("cannot find the home directory; set HOME")?;
    Ok(strategy.cache_dir().join("pulse"))
}

fn ensure_component(component: &str, tool: &str) -> Result<()> {
    let works = || {
        let probe = cargo(&[tool, "--version"], &[]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    if works() {
        return Ok(());
    }
    eprintln!("xtask: {component} is not installed; installing it with rustup");
    let added = Command::new("rustup").args(["component", "add", component]).status();
    if added.is_ok_and(|status| status.success()) && works() {
        return Ok(());
    }
    bail!("`cargo {tool}` is missing, and rustup could not add it; install {component} for this toolchain");
}

/// Replaces this process by `command`, so that signals and the exit code pass directly.
#[cfg(unix)]
fn replace_process(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
fn replace_process(_: &mut Command) -> Result<()> {
    Ok(())
}

/// Returns the exit code; for a death by signal 128 + the signal, as shells do.
fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(1)
}
