//! Failures of a trial that the guard finds, and descriptions of exit statuses.

use std::{fmt, path::Path, process::ExitStatus, time::Duration};

use negotiation::text::Shown;

use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
};

const KEPT: &str = "it was not loaded, and a running generation keeps running";

const REPORT: &str = "report this to the plugin's author";

/// The stage that a trial is in.
#[derive(Debug)]
pub(super) struct At {
    pub(super) stage: String,
    /// Alias of the provider whose code runs, before any code of the library.
    pub(super) provider: Option<String>,
}

fn failure(code: Code, text: impl fmt::Display, advice: impl Into<String>, library: &Path) -> Failure {
    Failure::new(Stage::Preflight, code, format!("{text}: {}", Shown(library)), advice)
}

pub(crate) fn unavailable(what: &str, error: &dyn fmt::Display, library: &Path) -> Failure {
    let text = format!("the library cannot be tried, because {what} ({error})");
    let advice = "make room for a process of Pulse, or set `preflight` to false in the host's manifest";
    failure(Code::PreflightUnavailable, text, advice, library)
}

pub(super) fn cancelled(library: &Path) -> Failure {
    failure(Code::PreflightCancelled, "the trial was cancelled", "", library)
}

/// Returns the failure of a library that wrote to the channel of the trial.
pub(super) fn forged(at: Option<&At>, library: &Path) -> Failure {
    let stage = at.map_or("load", |at| &at.stage);
    let text = format!(
        "the library interfered with its own trial in `{stage}`: it wrote to the channel that carries the result; \
         {KEPT}"
    );
    failure(Code::PreflightForged, text, format!("{REPORT}, and do not trust the library"), library)
}

/// Returns the failure of the remote `provider`, which the library needs, before any code of the library ran.
pub(crate) fn provider(provider: &str, how: impl fmt::Display, library: &Path) -> Failure {
    let text = format!(
        "the library was not tried, because the remote `{provider}`, which provides its shared crates, failed first: \
         {how}"
    );
    failure(Code::PreflightProvider, text, format!("repair or disable `{provider}`"), library)
}

/// Returns the failure of a library that did not finish the stage `at`, or its start.
pub(super) fn hung(at: Option<&At>, took: Duration, limit: Duration, library: &Path) -> Failure {
    let stage = at.map_or_else(|| "its start".to_owned(), |at| format!("`{}`", at.stage));
    let (took, limit) = (Time(took), Time(limit));
    if let Some(name) = at.and_then(|at| at.provider.as_deref()) {
        return provider(name, format!("{stage} had not finished after {took}"), library);
    }
    let text = format!(
        "the library did not finish {stage} and was stopped after {took} (limit of the trial: {limit}); {KEPT}"
    );
    failure(Code::PreflightHung, text, REPORT, library)
}

/// Returns the failure of a trial that ended without a verdict, in the stage `at` or before any code of the library
/// ran.
pub(super) fn ended(status: Option<ExitStatus>, at: Option<&At>, library: &Path) -> Failure {
    let exit = status.map_or_else(|| "an unknown exit status".to_owned(), |s| s.to_string());
    let Some(At { stage, provider: other }) = at else {
        let text =
            format!("the library cannot be tried, because its process ended before the trial began ({exit})");
        let advice = "see the details; reinstall Pulse, or set `preflight` to false in the host's manifest";
        return failure(Code::PreflightUnavailable, text, advice, library);
    };
    let crash = status.and_then(crash);
    let code = if crash.is_some() { Code::PreflightCrashed } else { Code::PreflightExited };
    let how = crash.unwrap_or_else(|| format!("it exited by itself with {exit}"));
    if let Some(name) = other {
        return provider(name, format!("the process ended in `{stage}`, {how}"), library);
    }
    let text = format!("the library took its process with it in `{stage}`: {how}; {KEPT}");
    failure(code, text, format!("{REPORT}, with the details"), library)
}

/// A duration that is shown in a fitting unit.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f32())
        }
    }
}

/// Returns the signal that ended a process; `None` for one that exited by itself.
#[cfg(unix)]
fn crash(status: ExitStatus) -> Option<String> {
    use signal_hook::consts;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status)?;
    let known = match signal {
        consts::SIGILL => "an illegal instruction (SIGILL)",
        consts::SIGTRAP => "a trap (SIGTRAP)",
        consts::SIGABRT => "it was aborted (SIGABRT)",
        consts::SIGFPE => "an arithmetic error (SIGFPE)",
        consts::SIGKILL => "it was killed (SIGKILL), perhaps because memory ran out",
        consts::SIGSEGV => "segmentation fault (SIGSEGV)",
        consts::SIGPIPE => "a closed pipe (SIGPIPE)",
        consts::SIGTERM => "it was asked to end (SIGTERM)",
        consts::SIGBUS => "bus error (SIGBUS)",
        consts::SIGSYS => "a forbidden system call (SIGSYS)",
        consts::SIGXCPU => "it used up its time on the processor (SIGXCPU)",
        consts::SIGXFSZ => "it wrote a file beyond the limit of a trial (SIGXFSZ)",
        _ => match signal_hook::low_level::signal_name(signal) {
            Some(name) => return Some(format!("signal {signal} ({name})")),
            None => return Some(format!("signal {signal}")),
        },
    };
    Some(known.to_owned())
}

/// Returns the error that ended a process, which Windows reports as its status; `None` for one that exited by itself.
#[cfg(not(unix))]
fn crash(status: ExitStatus) -> Option<String> {
    let code = status.code()? as u32;
    let known = match code {
        0xC000_0005 => "access violation",
        0xC000_001D => "an illegal instruction",
        0xC000_00FD => "stack overflow",
        0xC000_0374 => "a damaged heap",
        0xC000_0409 => "it was aborted",
        0x8000_0000.. => "an error of the system",
        _ => return None,
    };
    Some(format!("{known} ({code:#010x})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_fitting_unit() {
        let shown = |millis| Time(Duration::from_millis(millis)).to_string();
        assert_eq!([0, 7, 999, 1000, 61_040].map(shown), ["0 ms", "7 ms", "999 ms", "1.0 s", "61.0 s"]);
    }

    #[test]
    fn failing_provider_is_named() {
        let at = At { stage: "provider feed".to_owned(), provider: Some("feed".to_owned()) };
        let library = Path::new("convert.so");
        for failure in [
            ended(None, Some(&at), library),
            hung(Some(&at), Duration::from_secs(5), Duration::from_secs(5), library),
        ] {
            assert_eq!(failure.code, Code::PreflightProvider);
            assert!(failure.summary.contains("`feed`"), "{failure}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn signals_are_named() {
        use std::os::unix::process::ExitStatusExt;
        let shows = |signal, part: &str| {
            let how = crash(ExitStatus::from_raw(signal)).expect("it is a signal");
            assert!(how.contains(part), "{how}");
        };
        shows(9, "memory ran out");
        shows(25, "SIGXFSZ");
        shows(31, "SIGSYS");
        shows(10, "SIGUSR1");
        shows(42, "signal 42");
        assert_eq!(crash(ExitStatus::from_raw(0)), None);
    }
}
