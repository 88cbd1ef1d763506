//! Tests of the shell's side, with a script instead of Pulse as the guard.

use super::*;
use crate::{catalogue::Code, failure::Stage};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/preflight/tests/program.sh");

/// Limit that only a failing test reaches.
const PATIENCE: Duration = Duration::from_mins(1);

fn check(subject: &Subject, limit: Duration, cancel: bool) -> Result<TrialReport, Failure> {
    let preflight = Preflight { program: PROGRAM.into(), limit };
    preflight.check(subject, &AtomicBool::new(cancel), &mut |_| ())
}

#[test]
fn guard_events_become_a_report() {
    let preflight = Preflight { program: PROGRAM.into(), limit: PATIENCE };
    let mut count = 0;
    let report = preflight.check(&Subject::new("taken"), &AtomicBool::new(false), &mut |_| count += 1);
    let report = report.expect("it is accepted");
    let stage = |name: &str, microseconds| (name.to_owned(), Duration::from_micros(microseconds));
    assert_eq!(report.stages, [stage("load", 1500), stage("init", 2)]);
    assert!(report.whole < PATIENCE && report.unopened.is_empty());
    assert_eq!(count, 5);
    assert!(check(&Subject::new("chatty"), PATIENCE, false).is_ok());
}

#[test]
fn failures_name_the_original_library() {
    let subject = Subject { name: "/own/name.so".into(), ..Subject::new("/private/refused") };
    let failure = check(&subject, PATIENCE, false).expect_err("it is refused");
    assert_eq!(failure, Failure::new(Stage::Init, Code::InitPanicked, "in /own/name.so", "").with_details("d"));
}

#[test]
fn guard_that_does_not_start_is_not_a_library_fault() {
    let failure = check(&Subject::new("silent"), PATIENCE, false).expect_err("it does not start");
    assert_eq!(
        (failure.code.clone(), failure.details.as_str()),
        (Code::PreflightUnavailable.into(), "no such command")
    );
    assert!(failure.line().contains("exit status: 2"), "{failure}");
    let preflight = Preflight { program: "/nowhere/pulse".into(), limit: PATIENCE };
    let failure = preflight.check(&Subject::new("x"), &AtomicBool::new(false), &mut |_| ());
    assert_eq!(failure.expect_err("no program").code, Code::PreflightUnavailable);
}

#[test]
fn trial_can_be_cancelled() {
    let failure = check(&Subject::new("cancellable"), PATIENCE, true).expect_err("it is cancelled");
    assert_eq!(failure.code, Code::PreflightCancelled);
}

#[test]
fn hanging_guard_is_ended() {
    let failure = check(&Subject::new("hang"), Duration::ZERO, false).expect_err("it hangs");
    assert_eq!(failure.code, Code::PreflightHung, "{failure}");
}
