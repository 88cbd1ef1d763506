use std::fs;

use proptest::prelude::*;

use super::*;
use crate::{
    catalogue::Code,
    limits,
    log::tests::{capture, count},
};

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Counts a failure as the shell does: a failure that cannot be saved counts too.
fn failed(
    choices: &mut Choices,
    name: &str,
    code: &FailureCode,
    message: &str,
    now: SystemTime,
) -> Option<Disabled> {
    let decision = Decision::failed(name, code, message, now);
    let was = choices.disabled(name).is_some();
    if choices.write(std::slice::from_ref(&decision)).is_err() {
        return choices.note(&decision);
    }
    choices.disabled(name).filter(|_| !was).cloned()
}

#[test]
fn dropped_remote_runs_once_enabled() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut choices = Choices::load(folder.path());
    assert!(!choices.is_enabled("clock"));
    choices.enable("clock").expect("it can be written");
    assert!(choices.is_enabled("clock") && Choices::load(folder.path()).is_enabled("clock"));
    choices.disable("clock", Disabled::by_user("noisy")).expect("it can be written");
    let again = Choices::load(folder.path());
    assert!(!again.is_enabled("clock"));
    let why = again.disabled("clock").expect("it is disabled");
    assert_eq!((why.by, &*why.message), (By::User, "noisy"));
    choices.enable("clock").expect("it can be written");
    assert_eq!(Choices::load(folder.path()).disabled("clock"), None);
    choices.forget("clock").expect("it can be written");
    assert!(!Choices::load(folder.path()).is_enabled("clock"), "another remote of this name is a new one");
}

#[test]
fn third_failure_disables_across_restarts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fail = |name: &str, code: Code, at: u64| {
        failed(&mut Choices::load(folder.path()), name, &code.into(), "boom", time(at))
    };
    let start = 1_000_000;
    assert_eq!(fail("clock", Code::FramePanicked, start), None);
    assert_eq!(fail("other", Code::FramePanicked, start), None);
    assert_eq!(fail("clock", Code::FrameHung, start + 599), None);
    // The first failure is too long ago.
    assert_eq!(fail("clock", Code::NewFailed, start + 601), None);
    let why = fail("clock", Code::InitFailed, start + 602).expect("three within ten minutes");
    assert_eq!((why.by, why.at), (By::Failures, start + 602));
    assert_eq!(why.codes, [Code::FrameHung, Code::NewFailed, Code::InitFailed]);
    assert_eq!(Choices::load(folder.path()).disabled("clock"), Some(&why));
    assert_eq!(fail("clock", Code::InitFailed, start + 603), None, "it is reported once");
    // After enabling, earlier failures do not count.
    Choices::load(folder.path()).enable("clock").expect("it can be written");
    assert_eq!(fail("clock", Code::InitFailed, start + 604), None);
    assert_eq!(fail("clock", Code::InitFailed, start + 605), None);
}

#[test]
fn decisions_of_other_shells_are_kept_and_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut ours, mut theirs) = (Choices::load(folder.path()), Choices::load(folder.path()));
    theirs.enable("clock").expect("it can be written");
    ours.enable("map").expect("it can be written");
    assert!(ours.is_enabled("clock"), "a change reads the file first");
    assert!(!theirs.is_enabled("map"));
    theirs.reload();
    assert!(theirs.is_enabled("map"));
}

#[test]
fn unreadable_is_logged_and_unwritable_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("remotes.json");
    fs::write(&file, r#"{ "format": 1, "enabled": 3 }"#).expect("it can be written");
    let log = capture(|| assert!(!Choices::load(folder.path()).is_enabled("clock")));
    assert!(count(&log, Code::ChoicesDamaged) == 1 && log.contains("remotes.json.damaged-1"), "{log}");
    // A file in place of the data folder.
    let nowhere = folder.path().join("file");
    fs::write(&nowhere, "").expect("it can be written");
    let mut choices = None;
    let log = capture(|| choices = Some(Choices::load(&nowhere)));
    let mut choices = choices.expect("it always loads");
    assert!(count(&log, Code::ChoicesUnreadable) == 1, "{log}");
    let error = choices.enable("clock").expect_err("it cannot be written");
    assert_eq!(error.code(), Code::ChoicesUnwritable);
    assert!(error.to_string().contains("`clock`") && choices.is_enabled("clock"), "{error}");
    for at in 0..2 {
        assert_eq!(failed(&mut choices, "clock", &Code::InitFailed.into(), "", time(at)), None);
    }
    assert!(failed(&mut choices, "clock", &Code::InitFailed.into(), "", time(2)).is_some());
    assert!(choices.disabled("clock").is_some());
}

#[test]
fn unknown_decisions_are_in_doubt() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("remotes.json");
    assert_eq!(Choices::load(folder.path()).doubt(), None, "without a file there is no decision");
    let disabled = |format: u64| {
        format!(
            r#"{{ "format": {format}, "enabled": [], "failures": {{}},
                 "disabled": {{ "clock": {{ "by": "person", "at": 1 }} }} }}"#
        )
    };
    fs::write(&file, disabled(2)).expect("it can be written");
    let mut choices = Choices::load(folder.path());
    assert!(choices.doubt().is_some_and(|why| why.contains("format 2")), "{:?}", choices.doubt());
    let error = choices.enable("clock").expect_err("it is not overwritten");
    assert!(error.advice().contains("use the version of Pulse that wrote it"), "{error}");
    assert!(choices.is_enabled("clock"), "for this run");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), disabled(2));
    // Decisions that were read once stay known.
    fs::write(&file, disabled(1)).expect("it can be written");
    choices.reload();
    assert_eq!(choices.doubt(), None);
    fs::write(&file, disabled(2)).expect("it can be written");
    choices.reload();
    assert!(choices.doubt().is_none() && choices.disabled("clock").is_some());
    // Lost decisions stay in doubt across restarts.
    fs::write(&file, "{").expect("it can be written");
    for _ in 0..2 {
        assert!(Choices::load(folder.path()).doubt().is_some_and(|why| why.contains("lost")));
    }
    Choices::load(folder.path()).enable("clock").expect("it can be written");
    let choices = Choices::load(folder.path());
    assert!(choices.is_enabled("clock") && choices.doubt().is_some());
}

#[test]
fn times_in_file_are_clamped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for at in [u64::MAX, u64::MAX / 2, i64::MAX as u64] {
        let text = format!(
            r#"{{ "format": 1, "disabled": {{ "clock": {{ "by": "person", "at": {at} }} }},
                 "failures": {{ "clock": [{{ "code": "a", "at": {at} }}] }} }}"#
        );
        fs::write(folder.path().join("remotes.json"), text).expect("it can be written");
        let mut choices = Choices::load(folder.path());
        let at = choices.disabled("clock").expect("it is disabled").at;
        assert!(UNIX_EPOCH + Duration::from_secs(at) <= SystemTime::now());
        choices.enable("clock").expect("it can be written");
        assert_eq!(failed(&mut choices, "clock", &FailureCode::parse("a"), "", SystemTime::now()), None);
    }
}

#[test]
fn long_messages_do_not_fill_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut choices = Choices::load(folder.path());
    let long = "é".repeat(1 << 20);
    let mut last = None;
    for at in 0..3 {
        last = failed(&mut choices, "clock", &FailureCode::parse(&long), &long, time(at));
    }
    let why = last.expect("three are too many");
    assert_eq!(why.message.chars().count(), 1000);
    assert!(why.codes[0].as_str().len() <= limits::CODE, "{:?}", why.codes);
    assert_eq!(Choices::load(folder.path()).disabled("clock"), Some(&why));
    assert!(folder.path().join("remotes.json").metadata().expect("it is there").len() < 10_000);
}

proptest! {
    /// A failure disables if and only if it is the third within ten minutes since the remote was enabled.
    #[test]
    fn failures_count_within_their_window(steps in prop::collection::vec((0_u64..500, prop::bool::weighted(0.1)), 0..40)) {
        let mut known = Known::default();
        let (mut now, mut failures) = (10_000, Vec::<u64>::new());
        for (later, enable) in steps {
            now += later;
            if enable {
                known.disabled.clear();
                known.failures.clear();
                failures.clear();
                continue;
            }
            let was_disabled = known.disabled.contains_key("a");
            failures.push(now);
            let recent = failures.iter().filter(|at| now - **at <= 600).count();
            let expected = !was_disabled && recent >= FAILURES;
            let reason = known.fail("a", &FailureCode::parse("code"), "message", now);
            prop_assert_eq!(reason.is_some(), expected, "{:?} at {}", failures, now);
            prop_assert_eq!(known.disabled.contains_key("a"), was_disabled || expected);
            if expected {
                failures.clear();
            }
            prop_assert!(known.failures.values().all(|failures| failures.len() < FAILURES));
        }
    }

    /// A clock that is set back does not make old failures count permanently.
    #[test]
    fn failures_of_the_future_do_not_count(at in 1_u64..1_000_000) {
        let mut known = Known::default();
        for _ in 0..2 {
            prop_assert_eq!(known.fail("a", &FailureCode::parse("code"), "", at), None);
        }
        prop_assert_eq!(known.fail("a", &FailureCode::parse("code"), "", at - 1), None);
    }
}
