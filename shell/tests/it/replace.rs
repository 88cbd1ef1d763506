//! A rebuilt library takes over from the one that runs, or is refused, and nothing is lost either way.

mod decisions;
mod faults;

use std::{fs, path::Path};

use pulse::{
    failure::Stage,
    federation::{Event, Notification},
};

use crate::support::{Headless, Installation, libraries};

const MISBEHAVING: &str = "remoteMisbehaving";

/// A shell that shows `./calm` of `misbehaving`, counted to 2.
fn counted(installation: &Installation) -> Headless {
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.drive("it is seen", |shell| shell.screen().says("Not authenticated"));
    for count in 1..=2 {
        shell.press("Count");
        shell.drive("it counts", |shell| shell.screen().says(&format!("Counted {count}")));
    }
    shell
}

fn misbehaving() -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    installation
}

/// The library as a later build would be: of other content and the same behaviour.
fn rebuilt(library: &Path) -> Vec<u8> {
    let mut bytes = fs::read(library).expect("libraries can be read");
    // Nobody reads what stands behind the last section.
    bytes.extend(b"another build");
    bytes
}

/// What was told, once there is something of this kind.
fn told(shell: &mut Headless, what: &str, is: impl Fn(&Notification) -> bool) -> Notification {
    shell.drive(what, |shell| shell.told.iter().any(&is));
    shell.told.iter().find(|told| is(told)).cloned().expect("it was told")
}

fn replaced(told: &Notification) -> bool {
    matches!(told.event, Event::Replaced { .. })
}

fn not_replaced(told: &Notification) -> bool {
    told.event == Event::NotReplaced
}

#[test]
fn a_rebuilt_library_takes_over_with_its_state_and_without_a_blank_frame() {
    let installation = misbehaving();
    let mut shell = counted(&installation);
    let library =
        installation.path(libraries().misbehaving.file_name().expect("a file").to_str().expect("UTF-8"));
    installation.write("new", rebuilt(&libraries().misbehaving));
    fs::rename(installation.path("new"), library).expect("it can be renamed");
    shell.drive("another generation has taken over", |shell| {
        assert!(
            shell.screen().says("Counted 2"),
            "never blank, and never without its state: {}",
            shell.describe()
        );
        shell.entry(MISBEHAVING).generation() == 2
    });
    shell.drive("the next frame", |shell| shell.frames(MISBEHAVING, "./calm") > 1);
    assert!(shell.screen().says("Counted 2"), "{}", shell.describe());
    shell.press("Count");
    shell.drive("it counts on", |shell| shell.screen().says("Counted 3"));
    assert!(shell.slot_failure(MISBEHAVING, "./calm").is_none());
}

#[test]
fn whatever_is_no_library_is_not_taken_and_the_old_one_goes_on() {
    let installation = misbehaving();
    let mut shell = counted(&installation);
    let library =
        installation.path(libraries().misbehaving.file_name().expect("a file").to_str().expect("UTF-8"));
    fs::remove_file(&library).expect("it can be removed");
    fs::write(&library, "not a library").expect("it can be written");
    shell.federation.reload(MISBEHAVING);
    let told = told(&mut shell, "it is told", not_replaced);
    let failure = told.failure.expect("there is a reason");
    assert_eq!((failure.stage, failure.code.as_str()), (Stage::Check, "library-not-a-library"), "{failure}");
    assert_eq!(shell.entry(MISBEHAVING).last_failure().expect("it is noted").0, &failure);
    assert_eq!(shell.entry(MISBEHAVING).generation(), 1);
    shell.press("Count");
    shell.drive("it counts on", |shell| shell.screen().says("Counted 3"));
    fs::copy(&libraries().misbehaving, &library).expect("it can be copied");
    shell.federation.reload(MISBEHAVING);
    shell.drive("the good one is taken", |shell| shell.entry(MISBEHAVING).generation() == 2);
}

#[test]
fn what_runs_can_be_loaded_anew_with_its_state() {
    let mut shell = counted(&misbehaving());
    shell.federation.reload(MISBEHAVING);
    told(&mut shell, "the same again is taken when it is asked for", replaced);
    assert_eq!(shell.entry(MISBEHAVING).generation(), 2);
    assert!(shell.screen().says("Counted 2"), "{}", shell.describe());
}
