//! A program that stands in for Pulse as the trial: what the guard makes of each end.

use super::*;
use crate::{catalogue::Code, failure::Stage};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/preflight/tests/program.sh");

/// Only a test that fails waits as long.
const PATIENCE: Duration = Duration::from_mins(1);

fn watch(library: &str, limit: Duration, hear: &mut dyn FnMut(&Event)) -> Result<(), Failure> {
    let subject = Subject::new(library);
    // Other tests of this process have children, too.
    let guard = Guard { program: Path::new(PROGRAM), subject: &subject, limit, sweep: || () };
    let (lifeline, _held) = io::pipe().expect("a pipe");
    guard.watch(lifeline, hear)
}

/// The failure that `library` ends with: code and message hold these.
fn fails(library: &str, code: Code, parts: &[&str]) -> Failure {
    let failure = watch(library, PATIENCE, &mut |_| ()).expect_err(library);
    assert_eq!((failure.stage, failure.code.clone()), (Stage::Preflight, code.into()), "{failure}");
    for part in parts {
        assert!(failure.line().contains(part), "`{part}` is not in: {failure}");
    }
    failure
}

#[test]
fn only_the_channel_counts() {
    for (library, count) in [("taken", 4), ("noisy", 2)] {
        let mut heard = 0;
        watch(library, PATIENCE, &mut |_| heard += 1).expect(library);
        assert_eq!(heard, count, "{library}");
    }
    let failure = fails("written", Code::PreflightCrashed, &["`load`", "segmentation fault (SIGSEGV)"]);
    assert!(failure.details.contains("half a line"), "{failure:?}");
}

#[test]
fn a_verdict_without_the_word_is_refused() {
    fails("forged", Code::PreflightForged, &["`load`"]);
    fails("twice", Code::PreflightForged, &["`exit`"]);
}

#[test]
fn a_verdict_counts_with_a_good_end() {
    fails("taken-segv", Code::PreflightCrashed, &["`exit`", "segmentation fault (SIGSEGV)"]);
    fails("taken-seven", Code::PreflightExited, &["`exit`", "exit status: 7"]);
    let failure = watch("taken-hang", Duration::from_millis(1500), &mut |_| ()).expect_err("it hangs");
    assert!(failure.code == Code::PreflightHung && failure.line().contains("`exit`"), "{failure}");
}

#[test]
fn a_refusal_of_the_trial_is_passed_on() {
    let failure = watch("refused", PATIENCE, &mut |_| ()).expect_err("it is refused");
    assert_eq!(
        (failure.stage, failure.code.clone(), &*failure.details),
        (Stage::Init, Code::InitPanicked.into(), "d")
    );
}

#[test]
fn an_end_is_reported_with_its_stage() {
    fails("segv", Code::PreflightCrashed, &["`new ./x`", "segmentation fault (SIGSEGV)"]);
    let failure = fails("abort", Code::PreflightCrashed, &["`frame ./x`", "it was aborted (SIGABRT)"]);
    assert!(failure.details.len() <= LAST_WORDS && failure.details.ends_with("line 1999"), "{failure:?}");
    fails("zero", Code::PreflightExited, &["`init`", "exit status: 0"]);
    fails("seven", Code::PreflightExited, &["`load`", "exit status: 7"]);
    fails("orphan", Code::PreflightExited, &["`load`", "exit status: 9"]);
    let failure = fails("silent", Code::PreflightUnavailable, &["exit status: 2"]);
    assert_eq!(failure.details, "no such command");
}

#[test]
fn a_trial_that_hangs_is_ended_and_reaped() {
    let failure = watch("hang", Duration::from_millis(1500), &mut |_| ()).expect_err("it hangs");
    assert_eq!(failure.code, Code::PreflightHung, "{failure}");
    let number = failure.summary.split('`').nth(1).expect("the stage");
    assert!(!Path::new("/proc").join(number).exists(), "{failure}");
}

#[test]
fn a_lost_shell_ends_the_trial() {
    let subject = Subject::new("hang");
    let guard = Guard { program: Path::new(PROGRAM), subject: &subject, limit: PATIENCE, sweep: || () };
    let failure = guard.watch(io::empty(), &mut |_| ()).expect_err("the other end is closed");
    assert_eq!(failure.code, Code::PreflightCancelled);
}
