//! The command line.
//!
//! Data goes to standard output, messages go to standard error.
//! Exit status: 0 success, 1 failure, 2 usage, 3 incompatible, 4 verification failed, 5 unreachable, 6 not found.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand};
use delivery::{DeliveryError, ErrorCode};
use negotiation::manifest::AtomAccess;
use negotiation::text;

use crate::{
    app,
    catalogue::{self, Code},
    config::{Config, ConfigError, Options, migrate},
    ending,
    failure::{Advise, Failure, FailureCode},
    library::read_manifest,
    log,
};

mod fetch;
mod install;
mod plan;
mod preflight;
mod publish;
mod remote;
mod repo;
mod rollback;
mod serve;
mod update;

/// The longest unknown code that a message shows, in bytes.
const MAX_CODE: usize = 100;

const RUN_EXAMPLES: &str = "Examples:
  pulse                                    the shell, with your own remotes
  pulse --config my/host.json              another host's manifest
  pulse run --plugin-dir target/debug      libraries of another build
  pulse plan                               check that these remotes fit together
  pulse plan --why remoteAnalytics         why it is refused, and the remedy
  pulse explain version-mismatch-strict    what a code means, and what to do
  pulse inspect target/release/libpulse_analytics.so
  pulse standalone manifests/analytics.json
  pulse install clock.so --enable          add a remote, or a new build of it
  pulse rollback remoteAnalytics           return to the generation before
  pulse serve target/release               offer builds while you make them
  pulse publish libclock.so --to site      publish it to a repository

Environment:
  PULSE_SHELL_CONFIG      default of --config
  PULSE_SHELL_PLUGIN_DIR  default of --plugin-dir, a list like PATH
  PULSE_SHELL_DATA_DIR    default of --data-dir
  PULSE_SHELL_CACHE_DIR   folder for private copies of libraries, which must
                          allow running code
  PULSE_SHELL_LOG         filter of the log, for example debug
  An empty variable counts as unset.

Exit status:
  0 when the window was closed
  1 when it cannot open, or the host's manifest cannot be used
  2 for a wrong command line
  6 when the host's manifest does not exist";

const EXPLAIN_EXAMPLES: &str = "Examples:
  pulse explain
  pulse explain no-provider --json

Exit status:
  0 when the code is known
  1 when the output cannot be written
  2 for a wrong command line
  6 when there is no such code";

const INSPECT_EXAMPLES: &str = "Example:
  pulse inspect target/release/libpulse_analytics.so --json

Exit status:
  0 when the manifest is valid
  1 when it cannot be used
  2 for a wrong command line
  6 when the file does not exist";

const STANDALONE_EXAMPLES: &str = "Example:
  pulse standalone target/release/libpulse_analytics.so

Exit status:
  0 when the window was closed
  1 when it cannot open, or the manifest cannot be used
  2 for a wrong command line
  6 when the file does not exist";

#[derive(Parser)]
#[command(name = "pulse", version, about = "A desktop shell whose parts are built and shipped separately", after_help = RUN_EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Open the shell (the default).
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show the provider and the consumers of each shared crate, without loading anything.
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::PlanArgs),
    /// Try a library in a separate process: load it, start it, open each expose and draw a frame.
    #[command(after_help = preflight::EXAMPLES)]
    Preflight(preflight::PreflightArgs),
    /// Explain a code: its meaning, its cause and what to do; without a code, list all.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// Code, as printed in brackets after a message.
        code: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the manifest of a library or JSON file, without running any of its code.
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect {
        /// Library or manifest.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Install a remote from a file, or by name from a trusted repository.
    #[command(after_help = install::INSTALL_EXAMPLES)]
    Install(install::InstallArgs),
    /// Enable a remote of the drop folder, or a disabled one.
    #[command(after_help = install::ENABLE_EXAMPLES)]
    Enable(install::EnableArgs),
    /// Disable a remote, also after a restart.
    #[command(after_help = install::ENABLE_EXAMPLES)]
    Disable(install::DisableArgs),
    /// Use newer releases of remotes from repositories, or list them.
    #[command(after_help = update::UPDATE_EXAMPLES)]
    Update(update::UpdateArgs),
    /// List remotes with their versions, origins and signatures.
    #[command(after_help = update::LIST_EXAMPLES)]
    List(update::ListArgs),
    /// Add, remove, preload or override a remote of a running shell.
    #[command(after_help = remote::EXAMPLES)]
    Remote(remote::RemoteArgs),
    /// Return to an earlier generation of a remote, and pin it.
    #[command(after_help = rollback::EXAMPLES)]
    Rollback(rollback::RollbackArgs),
    /// Serve the builds in a folder to shells on this machine, while they are made.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Make, check and renew a repository of remotes.
    #[command(after_help = repo::EXAMPLES)]
    Repo(repo::RepoArgs),
    /// Publish a library to a repository, or withdraw a version.
    #[command(after_help = publish::EXAMPLES)]
    Publish(publish::PublishArgs),
    /// Show one remote alone in a window, with its own store and no host.
    #[command(after_help = STANDALONE_EXAMPLES)]
    Standalone {
        /// Library or manifest.
        path: PathBuf,
        #[command(flatten)]
        folders: Folders,
    },
}

#[derive(Args, Default)]
struct RunArgs {
    /// Use this host's manifest; default: `PULSE_SHELL_CONFIG`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Start without remotes; each can be enabled in the window.
    #[arg(long)]
    safe_mode: bool,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Args, Default)]
struct Folders {
    /// Look for libraries in this folder; may be repeated; default: `PULSE_SHELL_PLUGIN_DIR`.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// Keep data of the shell and its remotes in this folder; default: `PULSE_SHELL_DATA_DIR`.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Folders {
    /// Completes the options from the environment.
    fn options(self, config: Option<PathBuf>) -> Options {
        let plugin_dirs = plugin_dirs(self.plugin_dir);
        let data_dir = self.data_dir.or_else(|| variable("PULSE_SHELL_DATA_DIR").map(PathBuf::from));
        Options { config: named(config), plugin_dirs, data_dir, safe_mode: false }
    }
}

/// Returns the folders of libraries from an option, else from the environment.
fn plugin_dirs(option: Vec<PathBuf>) -> Vec<PathBuf> {
    if !option.is_empty() {
        return option;
    }
    let listed = variable("PULSE_SHELL_PLUGIN_DIR");
    listed.iter().flat_map(env::split_paths).filter(|dir| !dir.as_os_str().is_empty()).collect()
}

/// Returns the host's manifest from an option, else from the environment.
fn named(config: Option<PathBuf>) -> Option<PathBuf> {
    config.or_else(|| variable("PULSE_SHELL_CONFIG").map(PathBuf::from))
}

/// Returns the value of an environment variable; an empty one counts as unset.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Loads the configuration with the host's manifest, for a command that uses the user's folders.
fn load(options: &Options) -> Result<Config, Exit> {
    migrate(options.data_dir.is_some());
    let config = Config::load(options).map_err(|e| Exit::of(&e))?;
    config.prepare(options);
    Ok(config)
}

/// Loads the configuration without the host's manifest, for a command that uses the user's folders.
fn folders(options: &Options) -> Result<Config, Exit> {
    migrate(options.data_dir.is_some());
    let config = Config::folders(options).map_err(|e| Exit::of(&e))?;
    config.prepare(options);
    Ok(config)
}

/// The result of a command that fails.
struct Exit {
    code: u8,
    stable: FailureCode,
    text: String,
    advice: String,
    details: String,
}

impl Exit {
    const FAILURE: u8 = 1;
    const INCOMPATIBLE: u8 = 3;
    const VERIFICATION: u8 = 4;
    const UNREACHABLE: u8 = 5;
    const NOT_FOUND: u8 = 6;

    /// Returns the exit for `error`; a missing file has exit status 6.
    fn of(error: &impl Advise) -> Self {
        Self::with(error.code(), error.to_string(), error.advice())
    }

    fn with(stable: FailureCode, text: String, advice: String) -> Self {
        let of_repositories = ErrorCode::ALL.iter().find(|code| stable == Code::from(**code));
        let code = match of_repositories {
            Some(code) => status(*code),
            None if stable.as_str().ends_with("-missing") => Self::NOT_FOUND,
            None => Self::FAILURE,
        };
        Self::new(code, stable, text, advice)
    }

    fn new(
        code: u8,
        stable: impl Into<FailureCode>,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let (stable, text, advice) = (stable.into(), text.into(), advice.into());
        Self { code, stable, text, advice, details: String::new() }
    }

    fn print(&self) {
        // Names, paths and sentences of remotes may be in it.
        crate::log::note(format_args!("error: {} [{}]", text::lines(&self.text, usize::MAX), self.stable));
        if !self.advice.is_empty() {
            crate::log::note(format_args!("help: {}", text::lines(&self.advice, usize::MAX)));
        }
        if !self.details.is_empty() {
            crate::log::note(format_args!("{}", text::lines(&self.details, usize::MAX)));
        }
        if let FailureCode::Pulse(code) = self.stable
            && io::stderr().is_terminal()
        {
            crate::log::note(format_args!("help: run `pulse explain {code}` for more"));
        }
    }
}

impl From<DeliveryError> for Exit {
    fn from(error: DeliveryError) -> Self {
        Failure::from(error).into()
    }
}

/// Returns the exit status for a code of repositories.
const fn status(code: ErrorCode) -> u8 {
    use ErrorCode as E;

    match code {
        E::RepoUnreachable | E::RepoTimeout | E::RepoTooSlow | E::RepoServerError | E::RepoDenied => {
            Exit::UNREACHABLE
        }
        E::RepoNotFound | E::ReleaseUnknown | E::SiteMissing => Exit::NOT_FOUND,
        E::KeyExposed
        | E::KeyInvalid
        | E::KeyMissing
        | E::KeyUnauthorized
        | E::ReleaseDigest
        | E::ReleaseInvalid
        | E::ReleaseLength
        | E::ReleasePath
        | E::ReleasePublisher
        | E::ReleaseUnpacked
        | E::RepoClock
        | E::RepoExpired
        | E::RepoKeyRevoked
        | E::RepoMixed
        | E::RepoNotMetadata
        | E::RepoRedirected
        | E::RepoRollback
        | E::RepoRootMismatch
        | E::RepoSignature
        | E::RepoThreshold
        | E::RepoTls
        | E::RepoTooLarge
        | E::RepoUntrusted
        | E::SiteDamaged => Exit::VERIFICATION,
        E::DeliveryCacheFailed
        | E::DeliveryCacheUnsafe
        | E::DeliveryCancelled
        | E::DeliveryProcessFailed
        | E::DeliverySettingInvalid
        | E::DevInvalid
        | E::DevNotLoopback
        | E::ReleaseExists
        | E::ServeAddress
        | E::SiteBusy
        | E::SiteFailed
        | E::SiteOccupied => Exit::FAILURE,
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        Self::with(failure.code, failure.summary, failure.advice)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Confines itself before it starts any thread; only Pulse itself starts it.
    if env::args_os().nth(1).is_some_and(|command| command == "fetch") {
        return delivery::fetch::run();
    }
    log::init();
    ending::await_children();
    let cli = Cli::parse();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if matches!(cli.command, None | Some(Command::Run(_) | Command::Preflight(_) | Command::Standalone { .. }))
    {
        // These load libraries.
        crate::placement::loader::static_tls::reserve();
    }
    let result = match cli.command {
        None => run(cli.run),
        Some(Command::Run(args)) => run(args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Preflight(args)) => preflight::run(args),
        Some(Command::Repo(args)) => repo::run(args),
        Some(Command::Publish(args)) => publish::run(args),
        Some(Command::Explain { code, json }) => explain(code.as_deref(), json),
        Some(Command::Inspect { file, json }) => inspect(&file, json),
        Some(Command::Install(args)) => install::run(args),
        Some(Command::Enable(args)) => install::enable(args),
        Some(Command::Disable(args)) => install::disable(args),
        Some(Command::Update(args)) => update::update(args),
        Some(Command::List(args)) => update::list(args),
        Some(Command::Remote(args)) => remote::run(args),
        Some(Command::Rollback(args)) => rollback::run(args),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Standalone { path, folders }) => check_inspection().and_then(|()| {
            let options = folders.options(None);
            migrate(options.data_dir.is_some());
            app::standalone::run(&path, &options).map(|()| 0).map_err(|e| Exit::of(&e))
        }),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(exit) => {
            exit.print();
            ExitCode::from(exit.code)
        }
    }
}

/// Refuses an inspection address that other machines can reach: egui's protocol needs no password.
fn check_inspection() -> Result<(), Exit> {
    let address = std::env::var("EGUI_INSPECTION").unwrap_or_default();
    if is_local(address.trim()) {
        return Ok(());
    }
    let text = format!(
        "EGUI_INSPECTION names `{}`, which is not a loopback address, and anyone who reaches it could control this \
         window",
        text::line(&address, 100)
    );
    Err(Exit::new(Exit::FAILURE, Code::InspectionNotLocal, text, "unset it, or write 127.0.0.1:5719"))
}

/// Returns `true` if a value of `EGUI_INSPECTION` is a switch, or an address that only this machine reaches.
fn is_local(value: &str) -> bool {
    let switch = ["", "0", "1", "false", "true"].iter().any(|word| value.eq_ignore_ascii_case(word));
    let (host, port) = value.rsplit_once(':').unwrap_or((value, ""));
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // Any other name may resolve to anything when the address is opened.
    let local = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    switch || local && (port.is_empty() || port.parse::<u16>().is_ok())
}

fn run(args: RunArgs) -> Result<u8, Exit> {
    check_inspection()?;
    let options = Options { safe_mode: args.safe_mode, ..args.folders.options(args.config) };
    migrate(options.data_dir.is_some());
    let config = match Config::load(&options) {
        Ok(config) => config,
        // A user who clicked an icon does not see standard error.
        Err(
            error @ (ConfigError::Manifest(..) | ConfigError::Unreadable(..) | ConfigError::Untrusted { .. }),
        ) => {
            let exit = Exit::of(&error);
            exit.print();
            return Ok(if app::broken::run(&options, error).unwrap_or(false) { 0 } else { exit.code });
        }
        Err(error) => return Err(Exit::of(&error)),
    };
    config.prepare(&options);
    app::run(config).map_err(|e| Exit::of(&e))?;
    Ok(0)
}

fn explain(code: Option<&str>, json: bool) -> Result<u8, Exit> {
    let Some(code) = code else {
        let list = || catalogue::all().iter().map(|entry| format!("{:<26} {}", entry.code, entry.meaning));
        print(&if json { pretty(catalogue::all())? } else { list().collect::<Vec<_>>().join("\n") })?;
        return Ok(0);
    };
    // Messages print codes in brackets.
    let code = code.trim_matches(['[', ']']);
    let entry = catalogue::find(code).ok_or_else(|| {
        let near = catalogue::near(code).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let text = format!(
            "`{}` is not a Pulse code; if a message has it, it is the remote's own",
            text::line(code, MAX_CODE)
        );
        Exit::new(Exit::NOT_FOUND, Code::CodeUnknown, text, format!("{near}`pulse explain` lists all codes"))
    })?;
    if json {
        print(&pretty(entry)?)?;
    } else {
        print(entry.render(columns().unwrap_or(80).min(100)).trim_end())?;
    }
    Ok(0)
}

fn pretty(value: &(impl serde::Serialize + ?Sized)) -> Result<String, Exit> {
    serde_json::to_string_pretty(value).map(|json| text::json(&json)).map_err(|e| {
        Exit::new(
            Exit::FAILURE,
            Code::Output,
            format!("the output cannot be written as JSON ({e})"),
            "omit --json",
        )
    })
}

fn inspect(path: &Path, json: bool) -> Result<u8, Exit> {
    let manifest = read_manifest(path)?.manifest;
    if json {
        print(&pretty(&manifest)?)?;
        return Ok(0);
    }
    // Keeps a title from adding lines.
    let one = |name: &str| text::line(name, usize::MAX);
    let mut lines = vec![
        format!("{} {} ({})", manifest.name, manifest.version, one(manifest.display_name())),
        format!("library   {}", manifest.remote_entry),
    ];
    for (name, expose) in &manifest.exposes {
        lines.push(format!("exposes   {}  “{}”", one(name), one(&expose.title)));
    }
    for (key, shared) in &manifest.shared {
        let copy = shared.offered().map_or_else(|| "no own copy".to_owned(), |v| format!("has {v}"));
        let mut flags = String::new();
        for (on, word) in [
            (shared.singleton, " singleton"),
            (shared.eager, " eager"),
            (shared.strict_version, " strictVersion"),
        ] {
            flags.push_str(if on { word } else { "" });
        }
        let (scope, needs) = (&shared.share_scope, shared.requirement());
        lines.push(format!("shares    {key}@{scope}  {copy}, needs {needs}{flags}"));
    }
    for (atom, access) in &manifest.atoms {
        lines
            .push(format!("atom      {atom}  {}", if *access == AtomAccess::Write { "write" } else { "read" }));
    }
    print(&text::lines(&lines.join("\n"), usize::MAX))?;
    Ok(0)
}

/// Returns the width of the terminal behind standard output, in columns; `None` if it is not a terminal.
fn columns() -> Option<usize> {
    let size = terminal_size::terminal_size_of(io::stdout()).filter(|_| io::stdout().is_terminal());
    size.map(|(width, _)| usize::from(width.0))
}

/// Writes data to standard output, without the control characters that paths and manifests may hold; a closed pipe is
/// not an error.
fn print(text: &str) -> Result<(), Exit> {
    write(&text::lines(text, usize::MAX))
}

/// Writes text that is already safe for a terminal to standard output; otherwise like [`print`].
fn write(text: &str) -> Result<(), Exit> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Exit::new(
            Exit::FAILURE,
            Code::Output,
            format!("the output cannot be written ({e})"),
            "free disk space, or redirect it elsewhere",
        )),
        _ => Ok(()),
    }
}

/// Returns the definition of the command line, for completions and tests.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inspection_accepts_only_loopback_addresses() {
        for value in
            ["", "0", "1", "TRUE", "false", "127.0.0.1:5719", "127.8.0.1:1", "[::1]:5719", "localhost:1"]
        {
            assert!(is_local(value), "{value}");
        }
        for value in
            ["0.0.0.0:5719", "[::]:1", "10.0.0.1:5719", ":5719", "5719", "host:1", "127.0.0.1.example:1"]
        {
            assert!(!is_local(value), "{value}");
        }
    }

    #[test]
    fn help_fits_80_columns_and_states_exit_status() {
        let root = Cli::command();
        let mut all = vec![&root];
        let mut next = 0;
        while let Some(command) = all.get(next) {
            all.extend(command.get_subcommands().filter(|command| command.get_name() != "help"));
            next += 1;
        }
        for command in all {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
            // clap wraps wider lines at the terminal's width, and the rest of such a line stands alone.
            assert!(wide.is_empty() && help.contains("Exit status:"), "{}: {wide:?}", command.get_name());
        }
    }

    #[test]
    fn unknown_code_message_has_separate_advice() {
        let of = |code| explain(Some(code), false).expect_err("there is no such code");
        let unknown = of("qqqqqqqq");
        assert!(unknown.text.starts_with("`qqqqqqqq` is not a Pulse code"), "{}", unknown.text);
        assert_eq!(unknown.advice, "`pulse explain` lists all codes");
        assert_eq!(of("auth-tlss").advice, "did you mean `auth-tls`? `pulse explain` lists all codes");
        assert!(!of("a\u{1b}[31mb").text.contains('\u{1b}'));
    }
}
