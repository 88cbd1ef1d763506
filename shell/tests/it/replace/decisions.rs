//! Decisions of users about remotes: the drop folder, enabling, rolling back, safe mode.

use std::path::{Path, PathBuf};

use negotiation::resolver::ShareKey;
use pulse::data::{choices::Choices, drop_folder::DropFolder};
use pulse::federation::{RemoteEvent, RemoteOrigin, Topic};

use super::{MISBEHAVING, counted, misbehaving, not_replaced, notification};
use crate::support::{Headless, Installation, edited, libraries, manifest_of};

const SCRIPTED: &str = "remoteScripted";
const VERSION: &str = "\"version\": \"1.0.0\",\n  \"title\"";
const LATER: &str = "\"version\": \"1.1.0\",\n  \"title\"";

/// Writes version 1.1 of the library of `scripted` under the same file name; returns its path.
fn later(installation: &Installation) -> PathBuf {
    let name = libraries().scripted.file_name().expect("a file").to_str().expect("UTF-8");
    installation.write(&format!("shipped/{name}"), edited(&libraries().scripted, &[(VERSION, LATER)]))
}

fn code(shell: &Headless, alias: &str) -> Option<String> {
    shell.failure(alias).map(|failure| failure.code.clone().into())
}

/// Installs a library into the drop folder of this shell.
fn install(library: &Path, shell: &Headless) {
    let config = shell.federation.config();
    DropFolder::new(&config.data_dir).install(library, &config.plugin_dirs).expect("it can be installed");
}

#[test]
fn drop_folder_library_runs_once_it_is_enabled() {
    let installation = Installation::new();
    let mut shell = installation.start();
    shell.frame(Vec::new());
    install(&libraries().scripted, &shell);
    shell.drive("it is listed", |shell| shell.federation.remotes().contains_key(SCRIPTED));
    assert!(
        shell
            .notifications
            .iter()
            .any(|notice| notice.event == RemoteEvent::Installed && notice.alias == SCRIPTED)
    );
    shell.show(SCRIPTED, "./calm");
    shell.frame(Vec::new());
    assert_eq!(code(&shell, SCRIPTED).as_deref(), Some("remote-not-enabled"));
    shell.federation.enable(SCRIPTED);
    shell.drive("it runs", |shell| shell.screen().shows("Counted 0"));
    drop(shell);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs after a restart too", |shell| shell.screen().shows("Counted 0"));
    shell.federation.disable(SCRIPTED);
    assert_eq!(code(&shell, SCRIPTED).as_deref(), Some("remote-disabled"));
    shell.drive("it has ended", |shell| shell.federation.retiring().count() == 0);
    assert!(shell.federation.retiring().leaked().is_empty());
}

#[test]
fn remote_enabled_earlier_runs_once_installed() {
    let installation = Installation::new();
    let mut shell = installation.start();
    let mut choices = Choices::load(&shell.federation.config().data_dir);
    choices.enable(SCRIPTED).expect("decisions can be saved");
    install(&libraries().scripted, &shell);
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs", |shell| shell.screen().shows("Counted 0"));
    assert!(
        shell.notifications.iter().all(|notice| notice.event != RemoteEvent::Installed),
        "{}",
        shell.describe()
    );
}

#[test]
fn outdated_notifications_are_withdrawn() {
    let installation = Installation::new();
    let mut shell = installation.start();
    install(&libraries().scripted, &shell);
    notification(&mut shell, "it waits for a user", |notice| notice.event == RemoteEvent::Installed);
    shell.federation.events().take_withdrawn();
    shell.federation.enable(SCRIPTED);
    assert!(shell.federation.events().take_withdrawn().contains(&(SCRIPTED.to_owned(), Topic::Enabling)));
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs", |shell| shell.screen().shows("Counted 0"));
    // First a bad library, then a good one.
    let installed = shell.entry(SCRIPTED).library().expect("it has one").to_owned();
    std::fs::remove_file(&installed).expect("it was there");
    std::fs::write(&installed, "not a library").expect("it can be written");
    shell.federation.reload(SCRIPTED);
    notification(&mut shell, "the refusal is reported", not_replaced);
    assert!(shell.entry(SCRIPTED).last_failure().is_some());
    shell.federation.events().take_withdrawn();
    std::fs::copy(&libraries().scripted, &installed).expect("it can be copied");
    shell.federation.reload(SCRIPTED);
    shell.drive("the good library runs", |shell| shell.entry(SCRIPTED).generation() == 2);
    assert!(shell.federation.events().take_withdrawn().contains(&(SCRIPTED.to_owned(), Topic::Update)));
    assert!(shell.entry(SCRIPTED).last_failure().is_none());
}

#[test]
fn remote_without_its_file_runs_until_disabled() {
    let installation = Installation::new();
    let mut shell = installation.start();
    install(&libraries().scripted, &shell);
    shell.drive("it is listed", |shell| shell.federation.remotes().contains_key(SCRIPTED));
    shell.federation.enable(SCRIPTED);
    shell.show(SCRIPTED, "./calm");
    shell.drive("it runs", |shell| shell.screen().shows("Counted 0"));
    let installed = shell.entry(SCRIPTED).library().expect("it has one").to_owned();
    // Once another file of the drop folder is listed, the removal has been seen, too.
    std::fs::remove_file(&installed).expect("it was there");
    let next = installation.copy(&libraries().newer_crates);
    install(&next, &shell);
    shell.drive("the other is listed", |shell| shell.federation.remotes().contains_key("remoteNewerCrates"));
    assert!(shell.notifications.iter().all(|notice| notice.failure.is_none()), "{}", shell.describe());
    assert!(matches!(shell.entry(SCRIPTED).place(), RemoteOrigin::Configured | RemoteOrigin::Installed(_)));
    shell.press("Count");
    shell.drive("it keeps running", |shell| shell.screen().shows("Counted 1"));
    shell.federation.disable(SCRIPTED);
    assert!(!shell.federation.remotes().contains_key(SCRIPTED), "a remote without a file is listed");
}

#[test]
fn second_alias_of_a_remote_is_refused() {
    let mut installation = Installation::new();
    let file = libraries().scripted.file_name().expect("a file").to_string_lossy().into_owned();
    installation.add_library(&libraries().scripted);
    installation.configure("zweite", &format!("{SCRIPTED}@{file}"));
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("the first runs", |shell| shell.screen().shows("Counted 0"));
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
fn cancelled_checks_leave_nothing_mapped() {
    let mut installation = Installation::new();
    let file = libraries().scripted.file_name().expect("a file").to_string_lossy().into_owned();
    installation.copy(&libraries().scripted);
    installation.configure("abandoned", &format!("{SCRIPTED}@{file}"));
    let mut shell = installation.start();
    shell.show("abandoned", "./calm");
    shell.drive("it runs", |shell| shell.screen().shows("Counted 0"));
    for build in 0..30 {
        installation.rebuild(&libraries().scripted, &[("Scripted (fault", &format!("Build{build:03} (fault"))]);
        shell.federation.reload("abandoned");
        // By then some checks have begun to load, some have ended, and some have not begun.
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
fn enabled_library_replaces_configured_remote() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is shown", |shell| shell.screen().shows("Counted 0"));
    shell.press("Count");
    shell.drive("it counts", |shell| shell.screen().shows("Counted 1"));
    install(&later(&installation), &shell);
    shell.drive("the installed library is an alternative", |shell| {
        shell.federation.inventory().alternative(shell.entry(SCRIPTED)).is_some()
    });
    assert!(shell.screen().shows("Version 1.0.0"), "it replaced the remote before it was enabled");
    shell.federation.enable(SCRIPTED);
    shell.drive("the later version runs", |shell| shell.screen().shows("Version 1.1.0"));
    assert!(shell.screen().shows("Counted 1"), "the state is migrated: {}", shell.describe());
    assert!(matches!(shell.entry(SCRIPTED).place(), RemoteOrigin::Installed(_)));
}

#[test]
fn rollback_to_earlier_generation_survives_restart() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("its generation is archived", |shell| {
        shell.federation.inventory().generations(shell.entry(SCRIPTED)).len() == 1
    });
    shell.press("Count");
    shell.drive("it counts", |shell| shell.screen().shows("Counted 1"));
    installation.rebuild(&libraries().scripted, &[(VERSION, LATER)]);
    shell.drive("the later version runs", |shell| shell.screen().shows("Version 1.1.0"));
    shell.drive("its generation is archived, too", |shell| {
        shell.federation.inventory().generations(shell.entry(SCRIPTED)).len() == 2
    });
    shell
        .federation
        .inventory()
        .roll_back(shell.entry(SCRIPTED), "it counts wrong")
        .expect("an earlier generation");
    shell.drive("the earlier version runs", |shell| shell.screen().shows("Version 1.0.0"));
    assert!(shell.screen().shows("Counted 1"), "{}", shell.describe());
    let RemoteOrigin::Pinned { note, .. } = shell.entry(SCRIPTED).place() else { panic!("it is not pinned") };
    assert_eq!(note, "it counts wrong");
    let generation = shell.entry(SCRIPTED).generation();
    installation.rebuild(&libraries().scripted, &[(VERSION, LATER), ("Scripted (", "Scripter (")]);
    drop(shell);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("the earlier version runs after a restart, too", |shell| shell.screen().shows("Version 1.0.0"));
    assert!(generation > 0);
    shell.federation.inventory().unpin(shell.entry(SCRIPTED));
    shell.drive("the later version runs again", |shell| shell.screen().shows("Version 1.1.0"));
}

#[test]
fn safe_mode_runs_remotes_that_are_enabled_then() {
    let installation = misbehaving();
    let mut config = installation.config();
    config.safe_mode = true;
    let mut shell = installation.start_with(config);
    shell.show(MISBEHAVING, "./calm");
    shell.frame(Vec::new());
    assert_eq!(code(&shell, MISBEHAVING).as_deref(), Some("safe-mode"));
    shell.federation.enable(MISBEHAVING);
    shell.drive("it runs", |shell| shell.screen().shows("Not authenticated"));
}

/// Decisions in a format that this version cannot read.
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
    shell.drive("it runs", |shell| shell.screen().shows("Not authenticated"));
    shell.drive("the unsaved decision is reported", |shell| {
        shell.notifications.iter().any(|notice| notice.event == RemoteEvent::DecisionUnsaved)
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
fn unreadable_index_makes_no_remote_unavailable() {
    let installation = misbehaving();
    let file = installation.write("data/generations/index.json", "");
    std::fs::remove_file(&file).expect("it is there");
    std::os::unix::fs::symlink(&file, &file).expect("links can be made");
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.drive("it runs", |shell| shell.screen().shows("Not authenticated"));
}

#[test]
fn held_lock_delays_only_the_writing_of_a_decision() {
    let installation = misbehaving();
    let lock = installation.write("data/remotes.json.lock", "");
    let lock = std::fs::File::options().write(true).open(lock).expect("it can be opened");
    lock.lock().expect("it is free");
    let mut shell = installation.start();
    shell.show(MISBEHAVING, "./calm");
    shell.drive("it runs", |shell| shell.screen().shows("Not authenticated"));
    shell.federation.disable(MISBEHAVING);
    assert_eq!(code(&shell, MISBEHAVING).as_deref(), Some("remote-disabled"), "at once");
    assert!(Choices::load(&installation.path("data")).disabled(MISBEHAVING).is_none(), "it is saved");
    shell.drive("the unsaved decision is reported", |shell| {
        shell.notifications.iter().any(|notice| notice.event == RemoteEvent::DecisionUnsaved)
    });
    let notice = shell
        .notifications
        .iter()
        .find(|notice| notice.event == RemoteEvent::DecisionUnsaved)
        .expect("the awaited notification");
    let failure = notice.failure.as_ref().expect("there is a reason");
    assert_eq!(failure.code.as_str(), "choices-unwritable");
    assert!(failure.line().contains("remotes.json.lock"), "{failure}");
    assert_eq!(code(&shell, MISBEHAVING).as_deref(), Some("remote-disabled"), "the decision holds");
    drop(lock);
    drop(shell);
    assert!(
        Choices::load(&installation.path("data")).disabled(MISBEHAVING).is_some(),
        "the shell saves it at the end"
    );
}

#[cfg(unix)]
#[test]
fn unusable_files_are_reported_at_start() {
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
    shell.drive("it runs", |shell| shell.screen().shows("Not authenticated"));
    let of: Vec<&str> = shell
        .notifications
        .iter()
        .filter(|notice| notice.event == RemoteEvent::FileUnusable)
        .map(|notice| notice.alias.as_str())
        .collect();
    assert_eq!(of, ["damaged.json", &library("pipe"), &library("text"), "unpacked"]);
}

#[test]
fn library_with_another_digest_is_refused() {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    let mut shell = counted(&installation);
    let mut manifest = manifest_of(&libraries().misbehaving);
    manifest["sha256"] = "0".repeat(64).into();
    installation.write(&format!("{MISBEHAVING}.json"), manifest.to_string());
    let notice = notification(&mut shell, "the refusal is reported", not_replaced);
    assert_eq!(notice.failure.expect("there is a reason").code.as_str(), "digest-mismatch");
    assert!(shell.screen().shows("Counted 2"), "{}", shell.describe());
}

#[test]
fn a_generation_that_the_plan_refuses_is_not_taken() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is shown", |shell| shell.screen().shows("Counted 0"));
    let from = r#""requiredVersion": "^1.0", "singleton": true, "eager": true }"#;
    let to = format!("{:width$}", r#""requiredVersion": "^9.0", "strictVersion": true }"#, width = from.len());
    installation.rebuild(&libraries().scripted, &[(from, &to)]);
    let notice = notification(&mut shell, "the refusal is reported", not_replaced);
    let failure = notice.failure.expect("there is a reason");
    assert_eq!(failure.code.as_str(), "version-mismatch-strict", "{failure}");
    assert!(failure.line().contains(SCRIPTED) && failure.line().contains("^9"), "{failure}");
    assert!(shell.screen().shows("Counted 0"), "{}", shell.describe());
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
    let leaked: Vec<_> =
        shell.federation.retiring().leaked().iter().map(|one| one.failure.code.as_str()).collect();
    assert_eq!(leaked, ["library-pinned"]);
    assert!(shell.federation.negotiator().reason(&ShareKey::new(&next, "default", "shared-store")).is_some());
    let store = shell.federation.store().expect("the host has a store");
    store.get(&shared_store::AUTH).expect("and can read it");
}
