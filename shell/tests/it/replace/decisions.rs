//! What people decide about remotes: the drop folder, enabling, going back, starting without.

use std::path::{Path, PathBuf};

use negotiation::resolver::Slot;
use pulse::data::{choices::Choices, drop_folder::DropFolder};
use pulse::federation::{Event, Place, Topic};

use super::{MISBEHAVING, counted, misbehaving, not_replaced, told};
use crate::support::{Headless, Installation, edited, libraries, manifest_of};

const SCRIPTED: &str = "remoteScripted";
const VERSION: &str = "\"version\": \"1.0.0\",\n  \"title\"";
const LATER: &str = "\"version\": \"1.1.0\",\n  \"title\"";

/// The library of `scripted` under its own name, as its author ships version 1.1 of it.
fn later(installation: &Installation) -> PathBuf {
    let name = libraries().scripted.file_name().expect("a file").to_str().expect("UTF-8");
    installation.write(&format!("shipped/{name}"), edited(&libraries().scripted, &[(VERSION, LATER)]))
}

fn code(shell: &Headless, alias: &str) -> Option<String> {
    shell.failure(alias).map(|failure| failure.code.clone().into())
}

/// Puts a library into the drop folder of this shell.
fn install(library: &Path, shell: &Headless) {
    let config = shell.federation.config();
    DropFolder::new(&config.data_dir).install(library, &config.plugin_dirs).expect("it can be installed");
}

#[test]
fn what_is_put_into_the_drop_folder_is_listed_and_runs_once_it_is_enabled() {
    let installation = Installation::new();
    let mut shell = installation.start();
    shell.frame(Vec::new());
    install(&libraries().scripted, &shell);
    shell.drive("it is listed", |shell| shell.federation.remotes().contains_key(SCRIPTED));
    assert!(shell.told.iter().any(|told| told.event == Event::Installed && told.alias == SCRIPTED));
    shell.show(SCRIPTED, "./calm");
    shell.frame(Vec::new());
    assert_eq!(code(&shell, SCRIPTED).as_deref(), Some("remote-not-enabled"));
    shell.federation.enable(SCRIPTED);
    shell.drive("it runs", |shell| shell.screen().says("Counted 0"));
    drop(shell);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs after a restart too", |shell| shell.screen().says("Counted 0"));
    shell.federation.disable(SCRIPTED);
    assert_eq!(code(&shell, SCRIPTED).as_deref(), Some("remote-disabled"));
    shell.drive("it has ended", |shell| shell.federation.retiring().count() == 0);
    assert!(shell.federation.retiring().leaked().is_empty());
}

#[test]
fn a_remote_that_was_enabled_before_runs_when_it_is_installed() {
    let installation = Installation::new();
    let mut shell = installation.start();
    let mut choices = Choices::load(&shell.federation.config().data_dir);
    choices.enable(SCRIPTED).expect("that can be written down");
    install(&libraries().scripted, &shell);
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs", |shell| shell.screen().says("Counted 0"));
    assert!(shell.told.iter().all(|told| told.event != Event::Installed), "{}", shell.describe());
}

#[test]
fn what_is_no_longer_true_is_withdrawn() {
    let installation = Installation::new();
    let mut shell = installation.start();
    install(&libraries().scripted, &shell);
    told(&mut shell, "it waits for being enabled", |told| told.event == Event::Installed);
    shell.federation.events().take_withdrawn();
    shell.federation.enable(SCRIPTED);
    assert!(shell.federation.events().take_withdrawn().contains(&(SCRIPTED.to_owned(), Topic::Enabling)));
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs", |shell| shell.screen().says("Counted 0"));
    // A bad library, and then a good one.
    let installed = shell.entry(SCRIPTED).library().expect("it has one").to_owned();
    std::fs::remove_file(&installed).expect("it was there");
    std::fs::write(&installed, "not a library").expect("it can be written");
    shell.federation.reload(SCRIPTED);
    told(&mut shell, "it is not taken", not_replaced);
    assert!(shell.entry(SCRIPTED).last_failure().is_some());
    shell.federation.events().take_withdrawn();
    std::fs::copy(&libraries().scripted, &installed).expect("it can be copied");
    shell.federation.reload(SCRIPTED);
    shell.drive("the good one is taken", |shell| shell.entry(SCRIPTED).generation() == 2);
    assert!(shell.federation.events().take_withdrawn().contains(&(SCRIPTED.to_owned(), Topic::Update)));
    assert!(shell.entry(SCRIPTED).last_failure().is_none());
}

#[test]
fn a_remote_runs_on_without_its_file_and_is_gone_afterwards() {
    let installation = Installation::new();
    let mut shell = installation.start();
    install(&libraries().scripted, &shell);
    shell.drive("it is listed", |shell| shell.federation.remotes().contains_key(SCRIPTED));
    shell.federation.enable(SCRIPTED);
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs", |shell| shell.screen().says("Counted 0"));
    let installed = shell.entry(SCRIPTED).library().expect("it has one").to_owned();
    // Another file of the drop folder shows when the removal was seen.
    std::fs::remove_file(&installed).expect("it was there");
    let next = installation.copy(&libraries().newer_crates);
    install(&next, &shell);
    shell.drive("the other is listed", |shell| shell.federation.remotes().contains_key("remoteNewerCrates"));
    assert!(shell.told.iter().all(|told| told.failure.is_none()), "{}", shell.describe());
    assert!(matches!(shell.entry(SCRIPTED).place(), Place::Configured | Place::Installed(_)));
    shell.press("Count");
    shell.drive("it runs on", |shell| shell.screen().says("Counted 1"));
    shell.federation.disable(SCRIPTED);
    assert!(!shell.federation.remotes().contains_key(SCRIPTED), "nothing is left to enable");
}

#[test]
fn the_second_alias_of_a_remote_is_refused_and_the_first_runs() {
    let mut installation = Installation::new();
    let file = libraries().scripted.file_name().expect("a file").to_string_lossy().into_owned();
    installation.add_library(&libraries().scripted);
    installation.configure("zweite", &format!("{SCRIPTED}@{file}"));
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("the first runs", |shell| shell.screen().says("Counted 0"));
    assert_eq!(code(&shell, "zweite").as_deref(), Some("alias-duplicate"));
}

/// Counts the mapped private copies of the remote called `alias`.
#[cfg(target_os = "linux")]
fn mapped(alias: &str) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a list of mappings");
    let copies: std::collections::BTreeSet<&str> =
        maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| path).collect();
    copies.iter().filter(|path| path.contains(&format!("/{alias}-"))).count()
}

#[test]
#[cfg(target_os = "linux")]
fn checks_that_are_given_up_leave_nothing_mapped() {
    let mut installation = Installation::new();
    let file = libraries().scripted.file_name().expect("a file").to_string_lossy().into_owned();
    installation.copy(&libraries().scripted);
    installation.configure("abandoned", &format!("{SCRIPTED}@{file}"));
    let mut shell = installation.start();
    shell.show("abandoned", "./calm");
    shell.drive("it runs", |shell| shell.screen().says("Counted 0"));
    for build in 0..30 {
        installation.rebuild(&libraries().scripted, &[("Scripted (fault", &format!("Build{build:03} (fault"))]);
        shell.federation.reload("abandoned");
        // Some have begun to load by then, some have ended, and some have not begun.
        for _ in 0..build {
            shell.frame(Vec::new());
        }
    }
    shell.drive("one library is mapped", |shell| {
        shell.entry("abandoned").replacing().is_none()
            && shell.federation.retiring().count() == 0
            && mapped("abandoned") == 1
    });
    assert!(shell.federation.retiring().leaked().is_empty(), "{:?}", shell.federation.retiring().leaked());
}

#[test]
fn an_installed_library_of_a_configured_remote_takes_over_when_it_is_enabled() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is seen", |shell| shell.screen().says("Counted 0"));
    shell.press("Count");
    shell.drive("it counts", |shell| shell.screen().says("Counted 1"));
    install(&later(&installation), &shell);
    shell.drive("it could be used", |shell| {
        shell.federation.inventory().alternative(shell.entry(SCRIPTED)).is_some()
    });
    assert!(shell.screen().says("Version 1.0.0"), "installing is not enabling");
    shell.federation.enable(SCRIPTED);
    shell.drive("the later one has taken over", |shell| shell.screen().says("Version 1.1.0"));
    assert!(shell.screen().says("Counted 1"), "with the state, which it has migrated: {}", shell.describe());
    assert!(matches!(shell.entry(SCRIPTED).place(), Place::Installed(_)));
}

#[test]
fn a_generation_that_ran_well_can_be_gone_back_to_and_stays() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is kept", |shell| {
        shell.federation.inventory().generations(shell.entry(SCRIPTED)).len() == 1
    });
    shell.press("Count");
    shell.drive("it counts", |shell| shell.screen().says("Counted 1"));
    installation.rebuild(&libraries().scripted, &[(VERSION, LATER)]);
    shell.drive("the later one has taken over", |shell| shell.screen().says("Version 1.1.0"));
    shell.drive("it is kept too", |shell| {
        shell.federation.inventory().generations(shell.entry(SCRIPTED)).len() == 2
    });
    shell
        .federation
        .inventory()
        .roll_back(shell.entry(SCRIPTED), "it counts wrong")
        .expect("there is one before");
    shell.drive("the earlier one has taken over", |shell| shell.screen().says("Version 1.0.0"));
    assert!(shell.screen().says("Counted 1"), "{}", shell.describe());
    let Place::Pinned { note, .. } = shell.entry(SCRIPTED).place() else { panic!("it is pinned") };
    assert_eq!(note, "it counts wrong");
    let generation = shell.entry(SCRIPTED).generation();
    installation.rebuild(&libraries().scripted, &[(VERSION, LATER), ("Scripted (", "Scripter (")]);
    drop(shell);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it stays so after a restart", |shell| shell.screen().says("Version 1.0.0"));
    assert!(generation > 0);
    shell.federation.inventory().unpin(shell.entry(SCRIPTED));
    shell.drive("newer ones are taken again", |shell| shell.screen().says("Version 1.1.0"));
}

#[test]
fn a_shell_that_is_started_without_remotes_runs_those_that_are_enabled_then() {
    let installation = misbehaving();
    let mut config = installation.config();
    config.safe_mode = true;
    let mut shell = installation.start_with(config);
    shell.show(MISBEHAVING, "./calm");
    shell.frame(Vec::new());
    assert_eq!(code(&shell, MISBEHAVING).as_deref(), Some("safe-mode"));
    shell.federation.enable(MISBEHAVING);
    shell.drive("it runs", |shell| shell.screen().says("Not authenticated"));
}

/// Decisions of a later version, which this one cannot understand.
const LATER_FORMAT: &str = r#"{ "format": 2, "disabled": {} }"#;

#[test]
fn remotes_do_not_start_while_decisions_are_unknown() {
    let installation = misbehaving();
    let file = installation.write("data/remotes.json", LATER_FORMAT);
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.frame(Vec::new());
    let failure = shell.failure(MISBEHAVING).expect("it is not started");
    assert_eq!(failure.code.as_str(), "decisions-unknown");
    assert!(failure.line().contains("format 2"), "{failure}");
    shell.federation.enable(MISBEHAVING);
    shell.drive("it runs", |shell| shell.screen().says("Not authenticated"));
    shell.drive("that it is not saved is reported", |shell| {
        shell.told.iter().any(|told| told.event == Event::Undecided)
    });
    drop(shell);
    assert_eq!(std::fs::read_to_string(file).expect("it is there"), LATER_FORMAT);
}

#[test]
fn index_of_a_later_version_leaves_pins_unknown() {
    let installation = misbehaving();
    let file = installation.write("data/generations/index.json", LATER_FORMAT);
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.frame(Vec::new());
    assert_eq!(code(&shell, MISBEHAVING).as_deref(), Some("decisions-unknown"));
    drop(shell);
    assert_eq!(std::fs::read_to_string(file).expect("it is there"), LATER_FORMAT);
}

#[cfg(unix)]
#[test]
fn index_that_cannot_be_read_makes_no_remote_unavailable() {
    let installation = misbehaving();
    let file = installation.write("data/generations/index.json", "");
    std::fs::remove_file(&file).expect("it is there");
    std::os::unix::fs::symlink(&file, &file).expect("links can be made");
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.drive("it runs", |shell| shell.screen().says("Not authenticated"));
}

#[test]
fn held_lock_delays_only_the_writing_of_a_decision() {
    let installation = misbehaving();
    let lock = installation.write("data/remotes.json.lock", "");
    let lock = std::fs::File::options().write(true).open(lock).expect("it can be opened");
    lock.lock().expect("it is free");
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.drive("it runs", |shell| shell.screen().says("Not authenticated"));
    shell.federation.disable(MISBEHAVING);
    assert_eq!(code(&shell, MISBEHAVING).as_deref(), Some("remote-disabled"), "at once");
    assert!(Choices::load(&installation.path("data")).disabled(MISBEHAVING).is_none(), "it is not written");
    shell.drive("that it is not saved is reported", |shell| {
        shell.told.iter().any(|told| told.event == Event::Undecided)
    });
    let told = shell.told.iter().find(|told| told.event == Event::Undecided).expect("it was reported");
    let failure = told.failure.as_ref().expect("there is a reason");
    assert_eq!(failure.code.as_str(), "choices-unwritable");
    assert!(failure.line().contains("remotes.json.lock"), "{failure}");
    assert_eq!(code(&shell, MISBEHAVING).as_deref(), Some("remote-disabled"), "it holds");
    drop(lock);
    drop(shell);
    assert!(
        Choices::load(&installation.path("data")).disabled(MISBEHAVING).is_some(),
        "it is written at the end"
    );
}

#[cfg(unix)]
#[test]
fn files_that_cannot_be_used_are_reported_at_the_start() {
    let installation = misbehaving();
    let library = |stem: &str| format!("{stem}{}", std::env::consts::DLL_SUFFIX);
    installation.write("data/plugins/damaged.json", "{");
    installation.write(&format!("data/plugins/{}", library("text")), "text");
    installation.write("data/plugins/unpacked/clock.json", "{}");
    installation.write("data/plugins/.hidden.json", "{");
    let pipe = installation.path("data/plugins").join(library("pipe"));
    let made = std::process::Command::new("mkfifo").arg(pipe).status().expect("mkfifo starts");
    assert!(made.success());
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.drive("it runs", |shell| shell.screen().says("Not authenticated"));
    let of: Vec<&str> = shell
        .told
        .iter()
        .filter(|told| told.event == Event::Unreadable)
        .map(|told| told.alias.as_str())
        .collect();
    assert_eq!(of, ["damaged.json", &library("pipe"), &library("text"), "unpacked"]);
}

#[test]
fn a_library_whose_digest_is_not_the_stated_one_is_not_taken() {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    let mut shell = counted(&installation);
    let mut manifest = manifest_of(&libraries().misbehaving);
    manifest["sha256"] = "0".repeat(64).into();
    installation.write(&format!("{MISBEHAVING}.json"), manifest.to_string());
    let told = told(&mut shell, "it is told", not_replaced);
    assert_eq!(told.failure.expect("there is a reason").code.as_str(), "digest-mismatch");
    assert!(shell.screen().says("Counted 2"), "{}", shell.describe());
}

#[test]
fn a_generation_that_the_plan_refuses_is_not_taken() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is seen", |shell| shell.screen().says("Counted 0"));
    let from = r#""requiredVersion": "^1.0", "singleton": true, "eager": true }"#;
    let to = format!("{:width$}", r#""requiredVersion": "^9.0", "strictVersion": true }"#, width = from.len());
    installation.rebuild(&libraries().scripted, &[(from, &to)]);
    let told = told(&mut shell, "it is told", not_replaced);
    let failure = told.failure.expect("there is a reason");
    assert_eq!(failure.code.as_str(), "version-mismatch-strict", "{failure}");
    assert!(failure.line().contains(SCRIPTED) && failure.line().contains("^9"), "{failure}");
    assert!(shell.screen().says("Counted 0"), "{}", shell.describe());
}

#[test]
fn a_provider_is_replaced_and_its_store_stays() {
    let mut installation = Installation::new();
    let next = installation.add_library(&libraries().newer_crates);
    installation.grant_provider("shared-store", &["pulse", &next]);
    let mut shell = installation.start();
    shell.drive("the host has a store", |shell| shell.federation.store().is_some());
    shell.federation.want(&next);
    shell.drive("it runs", |shell| shell.is_active(&next));
    shell.federation.reload(&next);
    shell.drive("another generation runs", |shell| shell.entry(&next).generation() == 2);
    let kept: Vec<_> =
        shell.federation.retiring().leaked().iter().map(|kept| kept.failure.code.as_str()).collect();
    assert_eq!(kept, ["library-pinned"]);
    assert!(shell.federation.negotiator().reason(&Slot::new(&next, "default", "shared-store")).is_some());
    let store = shell.federation.store().expect("the host has a store");
    store.get(&shared_store::AUTH).expect("and can read it");
}
