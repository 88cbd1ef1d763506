//! `pulse preflight`: tries a library in a process of its own.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::atomic::AtomicBool,
    time::Duration,
};

use negotiation::text;

use super::{Exit, named, print};
use crate::{
    config::{Config, Options},
    failure::{Failure, Stage},
    preflight::{Event, LIMIT, Preflight, Role, Subject, guard},
    trial,
};

pub(super) const EXAMPLES: &str = "Examples:
  pulse preflight target/release/libpulse_analytics.so
  pulse preflight new/libreports.so --with libstore.so --config my/host.json
  gdb --args pulse preflight --in-process target/release/libpulse_analytics.so

The library's code runs, with all rights of the user, but without secrets of the environment, and with temporary
folders in place of the user's. Everything that it starts is ended.
Exit codes: 0 it can be loaded, 3 the plan refuses it, 6 there is no such file, 1 it fails.";

#[derive(clap::Args)]
pub(super) struct PreflightArgs {
    /// A library, or its manifest.
    file: PathBuf,
    /// A library or manifest of another remote that takes part; may be given more than once.
    #[arg(long, value_name = "LIB")]
    with: Vec<PathBuf>,
    /// The host's manifest; its remotes are left out.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder to look for libraries in; may be given more than once.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// The time that it may take in all, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = LIMIT.as_millis() as u64)]
    limit: u64,
    /// As JSON, one object in a line as things happen.
    #[arg(long)]
    json: bool,
    /// Run the library in this very process, without limits, for a debugger.
    #[arg(long)]
    in_process: bool,
    /// The part of this process in the trial of another one.
    #[arg(long, hide = true)]
    role: Option<Role>,
    /// The path that messages name.
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
    let options =
        Options { config: named(subject.host), plugin_dirs: subject.plugin_dirs, ..Options::default() };
    let config = Config::load(&options).map_err(|e| Exit::of(&e))?;
    (subject.host, subject.plugin_dirs) = (config.file, config.plugin_dirs);
    let mut hear = |event: &Event| {
        if json {
            tell(event);
        }
    };
    let report = if in_process {
        let verdict = trial::run(&subject, &mut |event| tell(&event));
        tell(&verdict.clone().map_or_else(Event::Refused, |()| Event::Taken));
        return verdict.map(|()| 0).map_err(exit);
    } else {
        let preflight = Preflight { limit, ..Preflight::default() };
        preflight.check(&subject, &AtomicBool::new(false), &mut hear).map_err(exit)?
    };
    if json {
        return Ok(0);
    }
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut lines: Vec<String> =
        report.stages.iter().map(|(stage, took)| format!("{stage:<40} {:>8.1} ms", millis(*took))).collect();
    lines.extend(report.unopened.iter().map(|failure| format!("not opened: {failure}")));
    lines.push(format!("it can be loaded; tried in {:.1} ms", millis(report.whole)));
    print(&lines.join("\n"))?;
    Ok(0)
}

fn exit(failure: Failure) -> Exit {
    let (stage, details) = (failure.stage, failure.details.clone());
    let exit = Exit::from(failure);
    let code = if stage == Stage::Plan { Exit::INCOMPATIBLE } else { exit.code };
    Exit { code, details, ..exit }
}

/// Writes an event to standard output.
fn tell(event: &Event) {
    let line = serde_json::to_string(event).map(|line| text::json(&line)).unwrap_or_default();
    // A reader that has gone away is no error.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
