//! Trials of a program that stands in for Pulse: how each end is told.

use super::*;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/preflight/tests/program.sh");

/// Only a test that fails waits as long.
const PATIENCE: Duration = Duration::from_mins(1);

fn check(library: &str, limit: Duration) -> Result<Report, Failure> {
    let preflight = Preflight { program: PROGRAM.into(), limit };
    preflight.check(Path::new(library), &[], None, &AtomicBool::new(false))
}

/// The failure that `library` ends with: code and message hold these.
fn fails(library: &str, code: &str, parts: &[&str]) -> Failure {
    let failure = check(library, PATIENCE).expect_err(library);
    assert_eq!((failure.stage, failure.code.as_str()), (Stage::Preflight, code), "{failure}");
    for part in parts {
        assert!(failure.message.contains(part), "`{part}` is not in: {failure}");
    }
    failure
}

#[test]
fn what_is_said_between_the_lines_is_passed_over() {
    let report = check("taken", PATIENCE).expect("it is taken");
    let stage = |name: &str, microseconds| (name.to_owned(), Duration::from_micros(microseconds));
    assert_eq!(report.stages, [stage("load", 1500), stage("init", 2)]);
    assert!(report.whole < PATIENCE && report.unopened.is_empty());
}

#[test]
fn a_failure_of_the_library_is_passed_on() {
    let failure = check("refused", PATIENCE).expect_err("it is refused");
    assert_eq!(failure, Failure::new(Stage::Init, "init-panicked", "m").with_details("d"));
}

#[test]
fn the_end_of_the_process_is_told_with_the_stage() {
    fails("segv", "preflight-crashed", &["`new ./x`", "segmentation fault (SIGSEGV)"]);
    let failure = fails("abort", "preflight-crashed", &["`frame ./x`", "it was aborted (SIGABRT)"]);
    assert!(failure.details.len() <= LAST_WORDS && failure.details.ends_with("line 1999"), "{failure:?}");
    fails("zero", "preflight-exited", &["`init`", "exit status: 0"]);
    fails("seven", "preflight-exited", &["`load`", "exit status: 7"]);
    fails("orphan", "preflight-exited", &["`load`", "exit status: 9"]);
}

#[test]
fn a_trial_that_does_not_begin_is_no_fault_of_the_library() {
    let failure = fails("silent", "preflight-unavailable", &["exit status: 2"]);
    assert_eq!(failure.details, "no such command");
    let preflight = Preflight { program: "/nowhere/pulse".into(), limit: PATIENCE };
    let failure = preflight.check(Path::new("x"), &[], None, &AtomicBool::new(false)).expect_err("no program");
    assert_eq!(failure.code, "preflight-unavailable");
}

#[test]
fn a_process_that_hangs_is_ended_and_taken_off_the_list() {
    let failure = check("hang", Duration::from_millis(300)).expect_err("it hangs");
    assert_eq!(failure.code, "preflight-hung", "{failure}");
    let number = failure.message.split('`').nth(1).expect("the stage");
    assert!(!Path::new("/proc").join(number).exists(), "{failure}");
}

#[test]
fn a_trial_can_be_called_off() {
    let cancel = AtomicBool::new(true);
    let preflight = Preflight { program: PROGRAM.into(), limit: PATIENCE };
    let failure = preflight.check(Path::new("hang"), &[], None, &cancel).expect_err("it is called off");
    assert_eq!(failure.code, "preflight-cancelled");
}
