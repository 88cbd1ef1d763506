//! Tests of the guard, with a script instead of Pulse as the trial.

use super::*;
use crate::{catalogue::Code, failure::Stage};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/preflight/tests/program.sh");

/// Limit that only a failing test reaches.
const PATIENCE: Duration = Duration::from_mins(1);

fn watch(library: &str, limit: Duration, on_event: &mut dyn FnMut(&TrialEvent)) -> Result<(), Failure> {
    let subject = Subject::new(library);
    // No sweep, because other tests of this process have children too.
    let guard = Guard { program: Path::new(PROGRAM), subject: &subject, limit, sweep: || () };
    let (lifeline, _held) = io::pipe().expect("a pipe");
    guard.watch(lifeline, on_event)
}

/// Returns the failure of `library`, whose code is `code` and whose message contains `parts`.
fn fails(library: &str, code: Code, parts: &[&str]) -> Failure {
    let failure = watch(library, PATIENCE, &mut |_| ()).expect_err(library);
    assert_eq!((failure.stage, failure.code.clone()), (Stage::Preflight, code.into()), "{failure}");
    for part in parts {
        assert!(failure.line().contains(part), "`{part}` is missing: {failure}");
    }
    failure
}

#[test]
fn only_channel_events_count() {
    for (library, count) in [("taken", 4), ("noisy", 2)] {
        let mut events = 0;
        watch(library, PATIENCE, &mut |_| events += 1).expect(library);
        assert_eq!(events, count, "{library}");
    }
    let failure = fails("written", Code::PreflightCrashed, &["`load`", "segmentation fault (SIGSEGV)"]);
    assert!(failure.details.contains("half a line"), "{failure:?}");
}

#[test]
fn verdict_without_word_is_refused() {
    fails("forged", Code::PreflightForged, &["`load`"]);
    fails("twice", Code::PreflightForged, &["`exit`"]);
}

#[test]
fn verdict_counts_only_with_exit_status_0() {
    fails("taken-segv", Code::PreflightCrashed, &["`exit`", "segmentation fault (SIGSEGV)"]);
    fails("taken-seven", Code::PreflightExited, &["`exit`", "exit status: 7"]);
    let failure = watch("taken-hang", Duration::from_millis(1500), &mut |_| ()).expect_err("it hangs");
    assert!(failure.code == Code::PreflightHung && failure.line().contains("`exit`"), "{failure}");
}

#[test]
fn refusal_by_trial_is_forwarded() {
    let failure = watch("refused", PATIENCE, &mut |_| ()).expect_err("it is refused");
    assert_eq!(
        (failure.stage, failure.code.clone(), &*failure.details),
        (Stage::Init, Code::InitPanicked.into(), "d")
    );
}

#[test]
fn end_is_reported_with_its_stage() {
    fails("segv", Code::PreflightCrashed, &["`new ./x`", "segmentation fault (SIGSEGV)"]);
    let failure = fails("abort", Code::PreflightCrashed, &["`frame ./x`", "it was aborted (SIGABRT)"]);
    assert!(failure.details.len() <= LAST_OUTPUT && failure.details.ends_with("line 1999"), "{failure:?}");
    fails("zero", Code::PreflightExited, &["`init`", "exit status: 0"]);
    fails("seven", Code::PreflightExited, &["`load`", "exit status: 7"]);
    fails("orphan", Code::PreflightExited, &["`load`", "exit status: 9"]);
    let failure = fails("silent", Code::PreflightUnavailable, &["exit status: 2"]);
    assert_eq!(failure.details, "no such command");
}

#[test]
fn hanging_trial_is_killed_and_reaped() {
    let failure = watch("hang", Duration::from_millis(1500), &mut |_| ()).expect_err("it hangs");
    assert_eq!(failure.code, Code::PreflightHung, "{failure}");
    let number = failure.summary.split('`').nth(1).expect("the stage");
    assert!(!Path::new("/proc").join(number).exists(), "{failure}");
}

#[test]
fn lost_shell_ends_trial() {
    let subject = Subject::new("hang");
    let guard = Guard { program: Path::new(PROGRAM), subject: &subject, limit: PATIENCE, sweep: || () };
    let failure = guard.watch(io::empty(), &mut |_| ()).expect_err("the other end is closed");
    assert_eq!(failure.code, Code::PreflightCancelled);
}
