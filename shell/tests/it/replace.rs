//! A rebuilt library replaces the running one or is refused. No state is lost in either case.

mod decisions;
mod faults;

use std::{fs, path::Path};

use pulse::{
    failure::Stage,
    federation::{Notification, RemoteEvent},
};

use crate::support::{Headless, Installation, libraries};

const MISBEHAVING: &str = "remoteMisbehaving";

/// Starts a shell that shows `./calm` of `misbehaving`, counted to 2.
fn counted(installation: &Installation) -> Headless {
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.drive("it is shown", |shell| shell.screen().shows("Not authenticated"));
    for count in 1..=2 {
        shell.press("Count");
        shell.drive("it counts", |shell| shell.screen().shows(&format!("Counted {count}")));
    }
    shell
}

fn misbehaving() -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    installation
}

/// Returns the library as another build with the same behaviour.
fn rebuilt(library: &Path) -> Vec<u8> {
    let mut bytes = fs::read(library).expect("libraries can be read");
    // The system ignores bytes after the last section.
    bytes.extend(b"another build");
    bytes
}

/// Waits for a notification of this kind and returns it.
fn notification(shell: &mut Headless, what: &str, is: impl Fn(&Notification) -> bool) -> Notification {
    shell.drive(what, |shell| shell.notifications.iter().any(&is));
    shell.notifications.iter().find(|notice| is(notice)).cloned().expect("the awaited notification")
}

fn replaced(notice: &Notification) -> bool {
    matches!(notice.event, RemoteEvent::Replaced { .. })
}

fn not_replaced(notice: &Notification) -> bool {
    notice.event == RemoteEvent::NotReplaced
}

#[test]
fn rebuilt_library_keeps_state_and_draws_no_blank() {
    let installation = misbehaving();
    let mut shell = counted(&installation);
    let library =
        installation.path(libraries().misbehaving.file_name().expect("a file").to_str().expect("UTF-8"));
    installation.write("new", rebuilt(&libraries().misbehaving));
    fs::rename(installation.path("new"), library).expect("it can be renamed");
    shell.drive("another generation runs", |shell| {
        assert!(
            shell.screen().shows("Counted 2"),
            "the picture is blank or without its state: {}",
            shell.describe()
        );
        shell.entry(MISBEHAVING).generation() == 2
    });
    shell.drive("the next frame", |shell| shell.frames(MISBEHAVING, "./calm") > 1);
    assert!(shell.screen().shows("Counted 2"), "{}", shell.describe());
    shell.press("Count");
    shell.drive("it keeps counting", |shell| shell.screen().shows("Counted 3"));
    assert!(shell.slot_failure(MISBEHAVING, "./calm").is_none());
}

#[test]
fn non_library_is_refused_and_old_one_keeps_running() {
    let installation = misbehaving();
    let mut shell = counted(&installation);
    let library =
        installation.path(libraries().misbehaving.file_name().expect("a file").to_str().expect("UTF-8"));
    fs::remove_file(&library).expect("it can be removed");
    fs::write(&library, "not a library").expect("it can be written");
    shell.federation.reload(MISBEHAVING);
    let notice = notification(&mut shell, "the refusal is reported", not_replaced);
    let failure = notice.failure.expect("there is a reason");
    assert_eq!((failure.stage, failure.code.as_str()), (Stage::Check, "library-not-a-library"), "{failure}");
    assert_eq!(shell.entry(MISBEHAVING).last_failure().expect("the failure is kept").0, &failure);
    assert_eq!(shell.entry(MISBEHAVING).generation(), 1);
    shell.press("Count");
    shell.drive("it keeps counting", |shell| shell.screen().shows("Counted 3"));
    fs::copy(&libraries().misbehaving, &library).expect("it can be copied");
    shell.federation.reload(MISBEHAVING);
    shell.drive("the good library runs", |shell| shell.entry(MISBEHAVING).generation() == 2);
}

#[test]
fn running_remote_reloads_with_its_state() {
    let mut shell = counted(&misbehaving());
    shell.federation.reload(MISBEHAVING);
    notification(&mut shell, "the same library is loaded again on request", replaced);
    assert_eq!(shell.entry(MISBEHAVING).generation(), 2);
    assert!(shell.screen().shows("Counted 2"), "{}", shell.describe());
}
