//! `pulse preflight`: tries a library in a process of its own; with `--json` in this process.

use std::{
    io::{self, Write},
    path::PathBuf,
    process,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use super::{Exit, print};
use crate::{
    failure::{Failure, Stage},
    preflight::{Event, LIMIT, Preflight, hung, trial::Trial},
};

pub(super) const EXAMPLES: &str = "Examples:
  pulse preflight target/release/libpulse_analytics.so
  pulse preflight new/libreports.so --with libstore.so --config my/host.json

The library's code runs, with all rights of the user, and with a temporary folder for its data.
With --json it runs in this very process, which ends as the library makes it end.
Exit codes: 0 it can be loaded, 3 the plan refuses it, 6 there is no such file, 1 it fails.";

/// How long an orderly end may take before the process ends without one.
const LAST_MOMENT: Duration = Duration::from_millis(200);

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
    /// How long it may take in all, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = LIMIT.as_millis() as u64)]
    limit: u64,
    /// As JSON, one object in a line as things happen.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: PreflightArgs) -> Result<u8, Exit> {
    if args.json { here(args) } else { beside(&args) }
}

/// Tries the library in a process of its own and tells people how it went.
fn beside(args: &PreflightArgs) -> Result<u8, Exit> {
    let preflight = Preflight { limit: Duration::from_millis(args.limit), ..Preflight::default() };
    let report = preflight.check(&args.file, &args.with, args.config.as_deref(), &AtomicBool::new(false));
    let report = report.map_err(|failure| {
        let Failure { stage, code, message, details } = failure;
        let text = if details.is_empty() { message } else { format!("{message}\n{details}\n") };
        if stage == Stage::Plan { Exit::new(Exit::INCOMPATIBLE, &code, text) } else { Exit::of(&code, text) }
    })?;
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut lines: Vec<String> =
        report.stages.iter().map(|(stage, took)| format!("{stage:<40} {:>8.1} ms", millis(*took))).collect();
    lines.extend(report.unopened.iter().map(|failure| format!("not opened: {failure}")));
    lines.push(format!("it can be loaded; tried in {:.1} ms", millis(report.whole)));
    print(&lines.join("\n"))?;
    Ok(0)
}

/// Tries the library in this process, which ends by itself when it takes too long.
fn here(args: PreflightArgs) -> Result<u8, Exit> {
    let PreflightArgs { file, with, config, limit, .. } = args;
    let (started, limit) = (Instant::now(), Duration::from_millis(limit));
    let stage = Arc::new(Mutex::new(None));
    let watch = {
        let (file, stage) = (file.clone(), Arc::clone(&stage));
        move || {
            thread::sleep(limit);
            let stage: Option<String> = stage.lock().unwrap_or_else(PoisonError::into_inner).clone();
            say(&Event::Refused(hung(stage.as_deref(), started.elapsed(), limit, &file)));
            // On a thread of its own, because the library may hang while it holds what the end of a process needs;
            // without one the rest has to do.
            let _ = thread::Builder::new().spawn(|| process::exit(Exit::FAILURE.into()));
            thread::sleep(LAST_MOMENT);
            process::abort()
        }
    };
    thread::Builder::new().name("preflight:limit".to_owned()).spawn(watch).map_err(|e| {
        Exit::of("no-thread", format!("the system gives no thread to watch the time ({e}); close something"))
    })?;
    let result = Trial { library: file, with, host: config }.run(&mut |event| {
        if let Event::Begin { stage: begun } = &event {
            *stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun.clone());
        }
        say(&event);
    });
    say(&result.clone().map_or_else(Event::Refused, |()| Event::Taken));
    result.map(|()| 0).map_err(|failure| match failure.stage {
        Stage::Plan => Exit::new(Exit::INCOMPATIBLE, &failure.code, failure.message),
        _ => failure.into(),
    })
}

/// Writes an event to standard output. Without anybody who listens the process ends.
fn say(event: &Event) {
    // The library may have left a line unfinished. In one write, so that nothing of the library's comes between.
    let line = serde_json::to_string(event).map(|line| format!("\n{line}\n")).unwrap_or_default();
    let mut out = io::stdout().lock();
    if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
        process::exit(Exit::FAILURE.into());
    }
}
