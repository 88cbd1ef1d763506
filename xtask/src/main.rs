//! `cargo xtask`: everything one does with this workspace, on a machine that has only Rust.
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
    /// Install what the tests need and run all of them
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test -- resolver")]
    Test {
        /// Arguments for the test harness: a name filter, `--nocapture`, ...
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Format, spelling, dependencies, clippy with warnings as errors, docs, then the same tests
    ///
    /// Builds into `CARGO_TARGET_DIR` or, when that is unset, a folder under the user's cache
    /// directory, so that a fresh clone does not compile the dependencies again.
    Ci,
    /// Run the benchmarks in release
    Bench {
        /// Arguments for criterion: a name filter, `--save-baseline NAME`, ...
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Replace the analytics remote over and over in one process, and look what stays
    #[command(after_help = "Examples:\n  cargo xtask soak\n  cargo xtask soak --count 5000")]
    Soak {
        /// How often
        #[arg(long, value_name = "N", default_value_t = 1000)]
        count: u32,
    },
    /// Feed damaged manifests, sections, federations and frames to what reads them
    ///
    /// Needs a nightly compiler and a C++ compiler; installs `cargo-fuzz` when it is missing.
    #[command(after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz --seconds 600 plan")]
    Fuzz {
        /// How long each target is fuzzed
        #[arg(long, value_name = "N", default_value_t = 30)]
        seconds: u32,
        /// Only this one
        #[arg(value_parser = fuzz::TARGETS)]
        target: Option<String>,
    },
    /// Look for known vulnerabilities among the dependencies, where the network has the database
    Advisories,
    /// Write the JSON Schemas in `manifests/schema` again where they are out of date
    Bless,
}

// Cargo unites the features of whatever one command selects, so each other selection compiles the toolkit
// once more. Hence these two, and what the tests build themselves should be selected in the same way.

/// The shell, and the remotes that it is delivered with.
const PRODUCT: [&str; 5] = ["--release", "-p", "pulse", "-p", "pulse-analytics"];

/// Everything tested. Not `--all-targets`, which would also run each benchmark once; release, because the
/// end-to-end tests drive the release binary.
const TESTED: [&str; 6] = ["--release", "--workspace", "--lib", "--bins", "--tests", "--examples"];

/// egui's demo, a workspace of its own: as a remote, and in a window to compare that with.
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

/// Returns the exit code of `pulse`; on Unix it becomes `pulse` where nothing is left to do after.
fn run(args: &[OsString]) -> Result<i32> {
    const CONFIG: &str = "PULSE_SHELL_CONFIG";
    packages::ensure(Purpose::Run)?;
    let binary = build_shell()?;
    let mut pulse = Command::new(&binary);
    // Cargo's own variables are no concern of the program.
    in_workspace(&mut pulse).args(args);
    // It takes no manifest of a working folder by itself. A flag goes before this, as does the user's own variable.
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
    // `cargo test` alone leaves out the libraries that tests load; built here, they are a look at a
    // fingerprint when a test asks for them.
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
    // Before anything is compiled: some dependencies need a C compiler.
    packages::ensure(Purpose::Tests)?;
    step("typos", &mut TYPOS.command(&[])?)?;
    let deny = ["--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    step("deny", &mut DENY.command(&deny)?)?;
    step("unused dependencies", &mut MACHETE.command(&["."])?)?;
    let clippy = ["clippy", "--locked", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step("clippy", &mut cargo(&clippy))?;
    targets::check(&variables)?;
    // With the examples come the development dependencies and their features, so that what clippy has
    // compiled serves here too. The binaries are left out where a library of the same name is documented.
    let targets = ["--lib", "--examples", "--bin", "xtask"];
    let mut doc = cargo(&["doc", "--release", "--workspace", "--no-deps"]);
    step("doc", doc.args(targets).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Workspaces of their own that no test builds.
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

/// What replacing a remote is compared with.
const HOT_RELOAD: &str = "plugins/analytics/benches/hot-reload/Cargo.toml";

fn bench(args: &[OsString]) -> Result<()> {
    packages::ensure(Purpose::Tests)?;
    // The libraries that are loaded, beside the programs that load them.
    step("build", cargo(&["build"], &[]).args(TESTED))?;
    let hot_reload = build_hot_reload()?;
    // Only the bench targets: libtest, which the others run under, would run every test.
    let mut bench = cargo(&["bench", "--workspace", "--bench", "*", "--"], &[]);
    step("bench", bench.env("PULSE_HOT_RELOAD", hot_reload).args(args))
}

/// Builds [`HOT_RELOAD`]; returns the folder that it is in.
///
/// In a target folder of its own, below this one: it depends on the analytics remote with other features, and cargo
/// gives a library that is also a dynamic one the same file name whatever its features are.
fn build_hot_reload() -> Result<PathBuf> {
    let target = target_folder(&[])?.join("hot-reload");
    let mut build = cargo(&["build", "--release", "--locked", "--target-dir"], &[]);
    build.arg(&target).args(["--manifest-path", HOT_RELOAD]);
    step("build hot-reload", &mut build)?;
    Ok(target.join("release"))
}

/// Where cargo builds this workspace.
fn target_folder(variables: &[Variable]) -> Result<PathBuf> {
    let mut metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"], variables);
    let output = metadata.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo wrote no JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo names no target folder")?;
    Ok(PathBuf::from(target))
}

/// The tests build the libraries themselves.
fn soak(count: u32) -> Result<()> {
    packages::ensure(Purpose::Tests)?;
    let mut soak = cargo(&["test", "--release", "--workspace", "--test", "soak", "--", "--nocapture"], &[]);
    step("soak", soak.env("PULSE_SOAK", count.to_string()))
}

/// The tests that compare the schemas with the manifest types, and the contract's layout with what is written
/// down, write when told to, so that this crate need not compile those types.
fn bless() -> Result<()> {
    let goldens =
        [["negotiation", "--lib", "schema_files_are_current"], ["plugin-api", "--test", "abi_layout"]];
    for golden in goldens {
        let mut test = cargo(&["test", "--release", "-p"], &[]);
        step("bless", test.args(golden).env("PULSE_BLESS", "1"))?;
    }
    Ok(())
}

/// Builds the shell and the remotes; returns the path of `pulse`, wherever cargo put it.
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
        bail!("the build failed; cargo says why above");
    }
    binary.context("cargo built no binary named pulse")
}

/// Runs one step to its end, naming it and its duration.
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

/// Sets the directory, and takes out what cargo tells a program about its package: build scripts
/// such as `ring`'s watch those variables and would run again whenever `cargo xtask` and plain
/// `cargo` take turns.
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

/// `pulse` in the user's cache directory.
fn cache_dir() -> Result<PathBuf> {
    let strategy = etcetera::choose_base_strategy().context("cannot tell the home directory; set HOME")?;
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
    eprintln!("xtask: {component} is not installed; asking rustup for it");
    let added = Command::new("rustup").args(["component", "add", component]).status();
    if added.is_ok_and(|status| status.success()) && works() {
        return Ok(());
    }
    bail!("`cargo {tool}` is missing and rustup did not add it: install {component} for this toolchain");
}

/// Signals and the exit code then reach and leave `pulse` with nothing in between.
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

/// A death by signal becomes 128 + the signal, as shells have it.
fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(1)
}
