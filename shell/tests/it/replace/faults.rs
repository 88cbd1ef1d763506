//! Faults of a later build at every stage. The old one keeps running.

use std::path::PathBuf;

use pulse::{
    failure::{Failure, Stage},
    federation::RemoteEvent,
    preflight::Preflight,
};

use super::{not_replaced, notification};
use crate::support::{Headless, Installation, libraries};

const SCRIPTED: &str = "remoteScripted";

/// Text in a library of `scripted` without a fault, with the space for commands.
const NONE: &str = "fault: none                    ";

fn scripted() -> Installation {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    installation
}

/// Returns the path of the installed library of `scripted`.
fn library(installation: &Installation) -> PathBuf {
    installation.path(libraries().scripted.file_name().expect("a file").to_str().expect("UTF-8"))
}

/// Replaces the library by a build with this fault.
fn rebuild(installation: &Installation, fault: &str) {
    let text = format!("{:width$}", format!("fault: {fault}"), width = NONE.len());
    installation.rebuild(&libraries().scripted, &[(NONE, &text)]);
}

/// Replaces the library by another build without a fault.
fn improve(installation: &Installation) {
    installation.rebuild(&libraries().scripted, &[("Scripted (fault", "Improved (fault")]);
}

/// Shows `scripted` and counts to 2.
fn counted(mut shell: Headless) -> Headless {
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is shown", |shell| shell.screen().shows("Counted 0"));
    for count in 1..=2 {
        shell.press("Count");
        shell.drive("it counts", |shell| shell.screen().shows(&format!("Counted {count}")));
    }
    shell
}

/// Asserts that a build with this fault is refused while the old one keeps running; returns the failure.
fn refused(shell: &mut Headless, installation: &Installation, fault: &str) -> Failure {
    shell.notifications.clear();
    rebuild(installation, fault);
    let notice = notification(shell, &format!("the build with {fault} is refused"), not_replaced);
    let failure = notice.failure.expect("there is a reason");
    assert!(shell.screen().shows("Counted 2"), "{fault}: {}", shell.describe());
    assert!(shell.slot_failure(SCRIPTED, "./calm").is_none(), "{fault}: {}", shell.describe());
    assert_eq!(shell.entry(SCRIPTED).generation(), 1, "{fault}");
    assert_eq!(shell.entry(SCRIPTED).last_failure().expect("the failure is kept").0, &failure, "{fault}");
    Failure::clone(&failure)
}

/// Asserts that a good build replaces the old one and keeps its state.
fn good_build_replaces(shell: &mut Headless, installation: &Installation) {
    shell.notifications.clear();
    improve(installation);
    shell.drive("the good build runs", |shell| shell.entry(SCRIPTED).generation() == 2);
    assert!(shell.screen().shows("Counted 2"), "{}", shell.describe());
    shell.press("Count");
    shell.drive("it keeps counting", |shell| shell.screen().shows("Counted 3"));
}

#[test]
fn build_that_fails_on_start_is_refused() {
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
    good_build_replaces(&mut shell, &installation);
}

#[test]
fn build_that_hangs_on_start_is_refused() {
    for (fault, stage, code) in [
        ("hang@init", Stage::Init, "init-hung"),
        ("hang@new", Stage::Open, "new-hung"),
        ("hang@frame", Stage::Frame, "frame-hung"),
    ] {
        let installation = scripted();
        let mut shell = counted(installation.start());
        let failure = refused(&mut shell, &installation, fault);
        assert_eq!((failure.stage, failure.code.as_str()), (stage, code), "{fault}: {failure}");
        shell.drive("the hung library is listed", |shell| shell.federation.retiring().leaked().len() == 1);
        assert_eq!(shell.federation.retiring().leaked()[0].failure.code.as_str(), "retire-hung");
        good_build_replaces(&mut shell, &installation);
    }
}

#[test]
fn preflight_catches_build_that_ends_its_process() {
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
        // In this process it would hold the lock of the system's loader without end.
        ("hang@load", "preflight-hung"),
    ] {
        let failure = refused(&mut shell, &installation, fault);
        assert_eq!((failure.stage, failure.code.as_str()), (Stage::Preflight, code), "{fault}: {failure}");
        assert!(shell.federation.retiring().leaked().is_empty(), "it was never loaded");
    }
    let failure = refused(&mut shell, &installation, "panic@frame");
    assert_eq!((failure.stage, failure.code.as_str()), (Stage::Frame, "frame-panicked"), "{failure}");
    good_build_replaces(&mut shell, &installation);
    let stages: Vec<_> = shell.entry(SCRIPTED).times().into_iter().map(|(stage, _)| stage).collect();
    assert!(stages.contains(&"preflight"), "its time is missing: {stages:?}");
}

#[test]
fn refused_state_is_reported_and_dropped() {
    for fault in ["fail@restore", "half@restore"] {
        let installation = scripted();
        let mut shell = counted(installation.start());
        rebuild(&installation, fault);
        shell.drive("the new build runs", |shell| shell.entry(SCRIPTED).generation() == 2);
        shell.drive("it starts fresh", |shell| shell.screen().shows("Counted 0"));
        let lost =
            notification(&mut shell, "the loss is reported", |notice| notice.event == RemoteEvent::StateLost);
        let failure = lost.failure.expect("there is a reason");
        assert!(
            failure.code.as_str() == "restore-failed" || failure.code.as_str() == "fixture-refused",
            "{failure}"
        );
    }
}

#[test]
fn unsaved_state_is_reported_and_dropped() {
    for (fault, code) in [("panic@save", "save-panicked"), ("hang@save", "save-hung")] {
        let installation = scripted();
        let mut shell = counted(installation.start());
        installation.write(&format!("data/remotes/{SCRIPTED}/fault"), fault);
        improve(&installation);
        shell.drive("the new build runs", |shell| shell.entry(SCRIPTED).generation() == 2);
        shell.drive("it starts fresh", |shell| shell.screen().shows("Counted 0"));
        let lost =
            notification(&mut shell, "the loss is reported", |notice| notice.event == RemoteEvent::StateLost);
        assert_eq!(lost.failure.expect("there is a reason").code.as_str(), code);
        installation.write(&format!("data/remotes/{SCRIPTED}/go-on"), "");
    }
}

#[test]
fn loading_picture_does_not_replace_the_old_one() {
    let installation = scripted();
    let mut shell = counted(installation.start());
    rebuild(&installation, "loading@frame");
    shell.drive("the new build runs after its loading picture", |shell| {
        let first = shell.entry(SCRIPTED).generation() == 1;
        assert!(!first || shell.screen().shows("Counted 2"), "the old picture stays: {}", shell.describe());
        !first
    });
}

#[test]
fn leftover_thread_keeps_the_library_loaded() {
    for fault in ["thread@new", "spin@new"] {
        let installation = scripted();
        rebuild(&installation, fault);
        let mut shell = counted(installation.start());
        improve(&installation);
        shell.drive("the other build runs", |shell| shell.entry(SCRIPTED).generation() == 2);
        shell.drive("the leaked library is listed", |shell| shell.federation.retiring().leaked().len() == 1);
        let leaked = &shell.federation.retiring().leaked()[0];
        assert_eq!(
            (leaked.generation, leaked.failure.code.as_str()),
            (1, "library-threads"),
            "{}",
            leaked.failure
        );
        installation.write(&format!("data/remotes/{SCRIPTED}/end-thread"), "");
    }
}

#[test]
fn three_failures_disable_remote_across_restarts() {
    let installation = scripted();
    rebuild(&installation, "panic@init");
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    for failures in 1..=3 {
        shell.drive("it fails", |shell| {
            shell.notifications.iter().filter(|notice| notice.event == RemoteEvent::Failed).count() >= failures
        });
        shell.retry(SCRIPTED);
    }
    shell.drive("it is disabled", |shell| {
        shell.failure(SCRIPTED).is_some_and(|failure| failure.code.as_str() == "remote-failing")
    });
    let message = shell.failure(SCRIPTED).expect("it is disabled").line();
    assert!(message.contains("init-panicked"), "{message}");
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
    shell.drive("it runs once it is enabled", |shell| shell.screen().shows("Counted 0"));
}

#[test]
fn three_failures_close_surface_and_leave_others() {
    let installation = scripted();
    let mut shell = counted(installation.start());
    let fault = format!("data/remotes/{SCRIPTED}/fault");
    for failures in 1..=3 {
        installation.write(&fault, "panic@frame");
        shell.press("Count");
        shell.drive("it fails", |shell| {
            shell.notifications.iter().filter(|notice| notice.event == RemoteEvent::Failed).count() >= failures
        });
        std::fs::remove_file(installation.path(&fault)).expect("it was there");
        if failures < 3 {
            shell.retry(SCRIPTED);
            shell.drive("it is opened again", |shell| shell.screen().shows("Counted 0"));
        }
    }
    shell.drive("its slot shows the failure", |shell| {
        shell.slot_failure(SCRIPTED, "./calm").is_some_and(|failure| failure.code.as_str() == "surface-failing")
    });
    let failure = shell.slot_failure(SCRIPTED, "./calm").expect("it has just been seen");
    assert!(failure.line().contains("frame-panicked"), "{failure}");
    assert!(shell.is_active(SCRIPTED), "the remote runs");
    shell.show(SCRIPTED, "./twin");
    shell.drive("the other surface runs", |shell| shell.has_picture(SCRIPTED, "./twin"));
    shell.retry(SCRIPTED);
    shell.drive("it can be opened again", |shell| shell.has_picture(SCRIPTED, "./calm"));
}

#[test]
fn unresponsive_remote_is_reported_and_restarts() {
    let installation = scripted();
    let mut shell = counted(installation.start());
    installation.write(&format!("data/remotes/{SCRIPTED}/fault"), "hang@frame");
    shell.press("Count");
    let notice = notification(&mut shell, "it is reported", |notice| notice.event == RemoteEvent::Failed);
    assert_eq!(notice.failure.expect("there is a reason").code.as_str(), "not-responding");
    assert!(shell.screen().shows("Counted 2"), "the last picture stays: {}", shell.describe());
    std::fs::remove_file(installation.path(&format!("data/remotes/{SCRIPTED}/fault"))).expect("it was there");
    shell.federation.retry(SCRIPTED);
    shell.drive("another generation runs on another thread", |shell| shell.screen().shows("Counted 0"));
    shell.drive("the hung library is listed", |shell| shell.federation.retiring().leaked().len() == 1);
    assert_eq!(shell.federation.retiring().leaked()[0].failure.code.as_str(), "retire-hung");
}

#[test]
fn removed_library_runs_again_once_restored() {
    let installation = scripted();
    std::fs::remove_file(library(&installation)).expect("it was there");
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is missing", |shell| shell.failure(SCRIPTED).is_some());
    improve(&installation);
    shell.drive("it runs once its library is back", |shell| shell.screen().shows("Counted 0"));
}

#[cfg(target_os = "linux")]
#[test]
fn library_with_signal_handler_stays_loaded() {
    let mut installation = Installation::new();
    let fault = format!("{:width$}", "fault: signal@new", width = NONE.len());
    installation.add_edited(&libraries().scripted, NONE, &fault);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is shown", |shell| shell.screen().shows("Counted 0"));
    // Another build that handles the signal, too: the first handler is no longer the current one.
    rebuild(&installation, "signal@new slow@save");
    shell.drive("the second build runs", |shell| shell.entry(SCRIPTED).generation() == 2);
    shell.drive("the first stays loaded", |shell| shell.federation.retiring().leaked().len() == 1);
    assert_eq!(shell.federation.retiring().leaked()[0].failure.code.as_str(), "library-signals");
    improve(&installation);
    shell.drive("the third build runs", |shell| shell.entry(SCRIPTED).generation() == 3);
    shell.drive("the second stays loaded", |shell| shell.federation.retiring().leaked().len() == 2);
    let own = std::process::id().to_string();
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -USR2 {own}")]).status();
    assert!(sent.expect("a shell starts").success());
    shell.press("Count");
    shell.drive("it keeps counting", |shell| shell.screen().shows("Counted 1"));
}
