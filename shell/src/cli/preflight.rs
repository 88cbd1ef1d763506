//! `pulse preflight`: tries a library in a separate process.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::atomic::AtomicBool,
    time::Duration,
};

use negotiation::text;

use super::{Exit, named, plugin_dirs, print};
use crate::{
    config::{Config, Options},
    failure::{Failure, Stage},
    preflight::{LIMIT, Preflight, Role, Subject, TrialEvent, guard},
    trial,
};

pub(super) const EXAMPLES: &str = "Examples:
  pulse preflight target/release/libpulse_analytics.so
  pulse preflight new/libreports.so --with libstore.so --config my/host.json
  gdb --args pulse preflight --in-process target/release/libpulse_analytics.so

The library's code runs with all rights of the user, but without the secrets
of the environment, and with temporary folders instead of the user's.
Processes that it starts are ended.

Exit status:
  0 when it can be loaded
  1 when it fails
  2 for a wrong command line
  3 when the plan refuses it
  6 when the file does not exist";

#[derive(clap::Args)]
pub(super) struct PreflightArgs {
    /// Library, or its manifest.
    file: PathBuf,
    /// Include another remote, by its library or manifest; may be repeated.
    #[arg(long, value_name = "LIB")]
    with: Vec<PathBuf>,
    /// Use this host's manifest without its remotes; default: `PULSE_SHELL_CONFIG`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look for libraries in this folder; may be repeated; default: `PULSE_SHELL_PLUGIN_DIR`.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// Limit the trial to this time, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = LIMIT.as_millis() as u64)]
    limit: u64,
    /// Print JSON, one event on a line as it happens.
    #[arg(long)]
    json: bool,
    /// Run the library in this process, without limits, for a debugger.
    #[arg(long)]
    in_process: bool,
    /// Run as this part of another process's trial.
    #[arg(long, hide = true)]
    role: Option<Role>,
    /// Name this path in messages.
    #[arg(long, hide = true, requires = "role")]
    name: Option<PathBuf>,
}

pub(super) fn run(args: PreflightArgs) -> Result<u8, Exit> {
    let PreflightArgs { file, with, config, plugin_dir, limit, json, in_process, role, name } = args;
    let limit = Duration::from_millis(limit);
    let name = name.unwrap_or_else(|| file.clone());
    let mut subject = Subject { library: file, name, with, host: config, plugin_dirs: plugin_dir };
    match role {
        Some(Role::Guard) => return Ok(guard::main(&subject, limit)),
        Some(Role::Trial) => return Ok(trial::main(&subject)),
        None => {}
    }
    let folders = plugin_dirs(subject.plugin_dirs);
    let options = Options { config: named(subject.host), plugin_dirs: folders, ..Options::default() };
    let config = Config::load(&options).map_err(|e| Exit::of(&e))?;
    (subject.host, subject.plugin_dirs) = (config.file, config.plugin_dirs);
    let mut on_event = |event: &TrialEvent| {
        if json {
            print_event(event);
        }
    };
    let report = if in_process {
        let verdict = trial::run(&subject, &mut |event| print_event(&event));
        print_event(&verdict.clone().map_or_else(TrialEvent::Refused, |()| TrialEvent::Accepted));
        return verdict.map(|()| 0).map_err(exit);
    } else {
        let preflight = Preflight { limit, ..Preflight::default() };
        preflight.check(&subject, &AtomicBool::new(false), &mut on_event).map_err(exit)?
    };
    if json {
        return Ok(0);
    }
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut lines: Vec<String> =
        report.stages.iter().map(|(stage, took)| format!("{stage:<40} {:>8.1} ms", millis(*took))).collect();
    lines.extend(report.unopened.iter().map(|failure| format!("not opened: {failure}")));
    lines.push(format!("the library can be loaded; tried in {:.1} ms", millis(report.whole)));
    print(&lines.join("\n"))?;
    Ok(0)
}

fn exit(failure: Failure) -> Exit {
    let (stage, details) = (failure.stage, failure.details.clone());
    let exit = Exit::from(failure);
    let code = if stage == Stage::Plan { Exit::INCOMPATIBLE } else { exit.code };
    Exit { code, details, ..exit }
}

/// Writes an event to standard output as a line of JSON.
fn print_event(event: &TrialEvent) {
    let line = serde_json::to_string(event).map(|line| text::json(&line)).unwrap_or_default();
    // A closed pipe is not an error.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
