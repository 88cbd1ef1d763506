//! A later build that misbehaves, at every stage at which it can: the old one goes on as if nothing had happened.

use std::path::PathBuf;

use pulse::{
    failure::{Failure, Stage},
    federation::Event,
    preflight::Preflight,
};

use super::{not_replaced, told};
use crate::support::{Headless, Installation, libraries};

const SCRIPTED: &str = "remoteScripted";

/// What stands in the library of a `scripted` that does nothing wrong, up to the end of the room for commands.
const NONE: &str = "fault: none                    ";

fn scripted() -> Installation {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    installation
}

/// Where the library of `scripted` is installed.
fn library(installation: &Installation) -> PathBuf {
    installation.path(libraries().scripted.file_name().expect("a file").to_str().expect("UTF-8"))
}

/// A build of `scripted` that does this.
fn rebuild(installation: &Installation, fault: &str) {
    let text = format!("{:width$}", format!("fault: {fault}"), width = NONE.len());
    installation.rebuild(&libraries().scripted, &[(NONE, &text)]);
}

/// Another build of `scripted` that does nothing wrong.
fn improve(installation: &Installation) {
    installation.rebuild(&libraries().scripted, &[("Scripted (fault", "Improved (fault")]);
}

/// A shell that shows `scripted`, counted to 2.
fn counted(mut shell: Headless) -> Headless {
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is seen", |shell| shell.screen().says("Counted 0"));
    for count in 1..=2 {
        shell.press("Count");
        shell.drive("it counts", |shell| shell.screen().says(&format!("Counted {count}")));
    }
    shell
}

/// A shell in which a build with this fault is not taken, and the old one counts on.
fn refused(shell: &mut Headless, installation: &Installation, fault: &str) -> Failure {
    shell.told.clear();
    rebuild(installation, fault);
    let told = told(shell, &format!("{fault} is not taken"), not_replaced);
    let failure = told.failure.expect("there is a reason");
    assert!(shell.screen().says("Counted 2"), "{fault}: {}", shell.describe());
    assert!(shell.slot_failure(SCRIPTED, "./calm").is_none(), "{fault}: {}", shell.describe());
    assert_eq!(shell.entry(SCRIPTED).generation(), 1, "{fault}");
    assert_eq!(shell.entry(SCRIPTED).last_failure().expect("it is noted").0, &failure, "{fault}");
    Failure::clone(&failure)
}

/// And then a good one is taken, with the state.
fn good_one_is_taken(shell: &mut Headless, installation: &Installation) {
    shell.told.clear();
    improve(installation);
    shell.drive("a good one is taken", |shell| shell.entry(SCRIPTED).generation() == 2);
    assert!(shell.screen().says("Counted 2"), "{}", shell.describe());
    shell.press("Count");
    shell.drive("it counts on", |shell| shell.screen().says("Counted 3"));
}

#[test]
fn whoever_fails_while_it_is_started_beside_the_old_one_is_not_taken() {
    let installation = scripted();
    let mut shell = counted(installation.start());
    for (fault, stage, code) in [
        ("panic@init", Stage::Init, "init-panicked"),
        ("panic@new", Stage::Open, "new-panicked"),
        ("panic@restore", Stage::Restore, "restore-panicked"),
        ("panic@frame", Stage::Frame, "frame-panicked"),
        ("fail@new", Stage::Open, "fixture-refused"),
    ] {
        let failure = refused(&mut shell, &installation, fault);
        assert_eq!((failure.stage, failure.code.as_str()), (stage, code), "{fault}: {failure}");
    }
    good_one_is_taken(&mut shell, &installation);
}

#[test]
fn whoever_hangs_while_it_is_started_beside_the_old_one_is_not_taken() {
    for (fault, stage, code) in [
        ("hang@init", Stage::Init, "init-hung"),
        ("hang@new", Stage::Open, "new-hung"),
        ("hang@frame", Stage::Frame, "frame-hung"),
    ] {
        let installation = scripted();
        let mut shell = counted(installation.start());
        let failure = refused(&mut shell, &installation, fault);
        assert_eq!((failure.stage, failure.code.as_str()), (stage, code), "{fault}: {failure}");
        shell.drive("what hangs is counted", |shell| shell.federation.retiring().leaked().len() == 1);
        assert_eq!(shell.federation.retiring().leaked()[0].failure.code.as_str(), "retire-hung");
        good_one_is_taken(&mut shell, &installation);
    }
}

#[test]
fn whoever_would_end_the_shell_is_found_out_in_a_process_of_its_own() {
    let mut installation = scripted();
    installation.edit_host(|host| host["preflight"] = true.into());
    let mut config = installation.config();
    config.preflight = Some(Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), ..Preflight::default() });
    let mut shell = counted(installation.start_with(config));
    for (fault, code) in [
        ("segfault@load", "preflight-crashed"),
        ("segfault@init", "preflight-crashed"),
        ("abort@frame", "preflight-crashed"),
        ("overflow@new", "preflight-crashed"),
        ("exit@init", "preflight-exited"),
        ("exit3@frame", "preflight-exited"),
        // In this process it would hold the lock of the system's loader for ever.
        ("hang@load", "preflight-hung"),
    ] {
        let failure = refused(&mut shell, &installation, fault);
        assert_eq!((failure.stage, failure.code.as_str()), (Stage::Preflight, code), "{fault}: {failure}");
        assert!(shell.federation.retiring().leaked().is_empty(), "it was never loaded");
    }
    let failure = refused(&mut shell, &installation, "panic@frame");
    assert_eq!((failure.stage, failure.code.as_str()), (Stage::Frame, "frame-panicked"), "{failure}");
    good_one_is_taken(&mut shell, &installation);
    let stages: Vec<_> = shell.entry(SCRIPTED).times().into_iter().map(|(stage, _)| stage).collect();
    assert!(stages.contains(&"preflight"), "its cost is told: {stages:?}");
}

#[test]
fn a_state_that_is_refused_is_reported_and_the_remote_starts_fresh() {
    for fault in ["fail@restore", "half@restore"] {
        let installation = scripted();
        let mut shell = counted(installation.start());
        rebuild(&installation, fault);
        shell.drive("it is taken", |shell| shell.entry(SCRIPTED).generation() == 2);
        shell.drive("it starts fresh", |shell| shell.screen().says("Counted 0"));
        let lost = told(&mut shell, "and that is told", |told| told.event == Event::StateLost);
        let failure = lost.failure.expect("there is a reason");
        assert!(
            failure.code.as_str() == "restore-failed" || failure.code.as_str() == "fixture-refused",
            "{failure}"
        );
    }
}

#[test]
fn a_state_that_cannot_be_had_is_reported_and_the_remote_starts_fresh() {
    for (fault, code) in [("panic@save", "save-panicked"), ("hang@save", "save-hung")] {
        let installation = scripted();
        let mut shell = counted(installation.start());
        installation.write(&format!("data/remotes/{SCRIPTED}/fault"), fault);
        improve(&installation);
        shell.drive("it is taken", |shell| shell.entry(SCRIPTED).generation() == 2);
        shell.drive("it starts fresh", |shell| shell.screen().says("Counted 0"));
        let lost = told(&mut shell, "and that is told", |told| told.event == Event::StateLost);
        assert_eq!(lost.failure.expect("there is a reason").code.as_str(), code);
        installation.write(&format!("data/remotes/{SCRIPTED}/go-on"), "");
    }
}

#[test]
fn a_picture_that_stands_in_for_another_is_not_taken_for_it() {
    let installation = scripted();
    let mut shell = counted(installation.start());
    rebuild(&installation, "loading@frame");
    shell.drive("it is taken in the end", |shell| {
        let first = shell.entry(SCRIPTED).generation() == 1;
        assert!(!first || shell.screen().says("Counted 2"), "the old picture stays: {}", shell.describe());
        !first
    });
}

#[test]
fn a_thread_that_is_left_behind_keeps_the_library() {
    for fault in ["thread@new", "spin@new"] {
        let installation = scripted();
        rebuild(&installation, fault);
        let mut shell = counted(installation.start());
        improve(&installation);
        shell.drive("another one takes over", |shell| shell.entry(SCRIPTED).generation() == 2);
        shell.drive("what stays is counted", |shell| shell.federation.retiring().leaked().len() == 1);
        let kept = &shell.federation.retiring().leaked()[0];
        assert_eq!((kept.generation, kept.failure.code.as_str()), (1, "library-threads"), "{}", kept.failure);
        installation.write(&format!("data/remotes/{SCRIPTED}/end-thread"), "");
    }
}

#[test]
fn three_failures_disable_a_remote_and_that_is_remembered() {
    let installation = scripted();
    rebuild(&installation, "panic@init");
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    for failures in 1..=3 {
        shell.drive("it fails", |shell| {
            shell.told.iter().filter(|told| told.event == Event::Failed).count() >= failures
        });
        shell.retry(SCRIPTED);
    }
    shell.drive("it is disabled", |shell| {
        shell.failure(SCRIPTED).is_some_and(|failure| failure.code.as_str() == "remote-failing")
    });
    let says = shell.failure(SCRIPTED).expect("it is disabled").line();
    assert!(says.contains("init-panicked"), "{says}");
    drop(shell);
    improve(&installation);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.frame(Vec::new());
    assert!(
        shell.failure(SCRIPTED).is_some_and(|failure| failure.code.as_str() == "remote-failing"),
        "after a restart too"
    );
    shell.federation.enable(SCRIPTED);
    shell.drive("it runs once it is enabled", |shell| shell.screen().says("Counted 0"));
}

#[test]
fn three_failures_of_a_surface_close_it_and_leave_the_others() {
    let installation = scripted();
    let mut shell = counted(installation.start());
    let fault = format!("data/remotes/{SCRIPTED}/fault");
    for failures in 1..=3 {
        installation.write(&fault, "panic@frame");
        shell.press("Count");
        shell.drive("it fails", |shell| {
            shell.told.iter().filter(|told| told.event == Event::Failed).count() >= failures
        });
        std::fs::remove_file(installation.path(&fault)).expect("it was there");
        if failures < 3 {
            shell.retry(SCRIPTED);
            shell.drive("it is opened again", |shell| shell.screen().says("Counted 0"));
        }
    }
    shell.drive("its slot says so", |shell| {
        shell.slot_failure(SCRIPTED, "./calm").is_some_and(|failure| failure.code.as_str() == "surface-failing")
    });
    let failure = shell.slot_failure(SCRIPTED, "./calm").expect("it has just been seen");
    assert!(failure.line().contains("frame-panicked"), "{failure}");
    assert!(shell.is_active(SCRIPTED), "the remote runs");
    shell.show(SCRIPTED, "./twin");
    shell.drive("another surface runs", |shell| shell.has_picture(SCRIPTED, "./twin"));
    shell.retry(SCRIPTED);
    shell.drive("it can be opened again", |shell| shell.has_picture(SCRIPTED, "./calm"));
}

#[test]
fn a_remote_that_does_not_respond_is_told_of_and_can_be_started_anew() {
    let installation = scripted();
    let mut shell = counted(installation.start());
    installation.write(&format!("data/remotes/{SCRIPTED}/fault"), "hang@frame");
    shell.press("Count");
    let told = told(&mut shell, "it is told", |told| told.event == Event::Failed);
    assert_eq!(told.failure.expect("there is a reason").code.as_str(), "not-responding");
    assert!(shell.screen().says("Counted 2"), "the last picture stays: {}", shell.describe());
    std::fs::remove_file(installation.path(&format!("data/remotes/{SCRIPTED}/fault"))).expect("it was there");
    shell.federation.retry(SCRIPTED);
    shell.drive("another generation runs on another thread", |shell| shell.screen().says("Counted 0"));
    shell.drive("the hung one is counted", |shell| shell.federation.retiring().leaked().len() == 1);
    assert_eq!(shell.federation.retiring().leaked()[0].failure.code.as_str(), "retire-hung");
}

#[test]
fn whatever_is_removed_is_taken_again_when_it_is_back() {
    let installation = scripted();
    std::fs::remove_file(library(&installation)).expect("it was there");
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is missing", |shell| shell.failure(SCRIPTED).is_some());
    improve(&installation);
    shell.drive("it is seen as soon as it is there", |shell| shell.screen().says("Counted 0"));
}

#[cfg(target_os = "linux")]
#[test]
fn library_with_signal_handler_is_kept() {
    let mut installation = Installation::new();
    let fault = format!("{:width$}", "fault: signal@new", width = NONE.len());
    installation.add_edited(&libraries().scripted, NONE, &fault);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is seen", |shell| shell.screen().says("Counted 0"));
    // Another that handles it too: the first handler is no longer the current one.
    rebuild(&installation, "signal@new slow@save");
    shell.drive("another takes over", |shell| shell.entry(SCRIPTED).generation() == 2);
    shell.drive("the first stays", |shell| shell.federation.retiring().leaked().len() == 1);
    assert_eq!(shell.federation.retiring().leaked()[0].failure.code.as_str(), "library-signals");
    improve(&installation);
    shell.drive("a third takes over", |shell| shell.entry(SCRIPTED).generation() == 3);
    shell.drive("the second stays", |shell| shell.federation.retiring().leaked().len() == 2);
    let own = std::process::id().to_string();
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -USR2 {own}")]).status();
    assert!(sent.expect("a shell starts").success());
    shell.press("Count");
    shell.drive("it counts on", |shell| shell.screen().says("Counted 1"));
}
