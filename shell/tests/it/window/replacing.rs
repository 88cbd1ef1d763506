//! Remotes in the window: replaced, rolled back, failing, hung, installed and left out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use egui::{Key, Modifiers, Rect, Vec2, accesskit::Role};

use super::{SIDEBAR, begin_small, shell};
use crate::{
    driver::{Desktop, Picture, Tree, Window},
    support::{Installation, libraries},
};

/// Name and alias of the remote.
pub(super) const SCRIPTED: &str = "remoteScripted";

/// Titles of the surface that follows commands, and of one of the same remote that does not.
const CALM: &str = "Calm";
const TWIN: &str = "Twin";

/// Creates a desktop, and installs a shell with the remote that fails on command.
pub(super) fn stage(preflight: bool) -> (Desktop, Installation) {
    let desktop = Desktop::new();
    let mut installation = Installation::new();
    installation.edit_host(|host| host["preflight"] = preflight.into());
    let library = place(&installation);
    fs::write(&library, version(0, "none")).expect("a file");
    let file = library.file_name().expect("a library is a file").to_string_lossy().into_owned();
    installation.configure(SCRIPTED, &format!("{SCRIPTED}@{file}"));
    (desktop, installation)
}

/// Returns the path of the installed library.
pub(super) fn place(installation: &Installation) -> PathBuf {
    installation.path(&libraries().scripted.file_name().expect("a library is a file").to_string_lossy())
}

/// Sets the fault of the running remote; empty for none.
pub(super) fn command_fault(desktop: &Desktop, fault: &str) {
    let folder = desktop.data_dir().join("remotes").join(SCRIPTED);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("fault"), fault).expect("a file");
}

/// Returns the library with texts replaced by others of the same length: another build of the same source.
fn rebuilt(edits: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = fs::read(&libraries().scripted).expect("libraries can be read");
    for (from, to) in edits {
        assert_eq!(from.len(), to.len(), "edits must not change lengths");
        let places: Vec<usize> =
            (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
        assert!(!places.is_empty(), "`{from}` is not in the library");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

/// Returns a build with version 1.0.`patch` and a fault.
pub(super) fn version(patch: u8, fault: &str) -> Vec<u8> {
    let none = format!("fault: {:<24}", "none");
    // A title must not end with a space.
    let command = format!("fault: {fault:<23}!");
    let version = |patch: u8| format!("\"name\": \"{SCRIPTED}\",\n  \"version\": \"1.0.{patch}\"");
    rebuilt(&[(&version(0), &version(patch)), (&none, &command)])
}

/// Replaces a file atomically, as a good linker does.
pub(super) fn put(bytes: &[u8], place: &Path) {
    let staged = place.with_extension("new");
    fs::write(&staged, bytes).expect("a file");
    fs::rename(staged, place).expect("a file can be renamed");
}

/// Opens the inspector.
pub(super) fn inspect(window: &mut Window) {
    window.key(Key::F12);
    window.wait_for("Reload all");
}

/// Asserts that the surface has a picture.
fn assert_drawn(picture: &Picture, size: Vec2) {
    let area = Rect::from_min_max(egui::pos2(SIDEBAR + 2.0, 2.0), egui::pos2(size.x - 2.0, size.y * 0.5));
    let mut colors: Vec<_> = picture.pixels(area).collect();
    colors.sort_unstable();
    colors.dedup();
    assert!(colors.len() > 20, "text is anti-aliased; these are {} colours", colors.len());
}

/// Waits for `done`, and asserts for each frame until then that the surface keeps its picture.
fn keeps_running_until(window: &mut Window, counted: &str, done: impl Fn(&Tree) -> bool) {
    let size = window.size();
    window.until("the replacement", |tree| {
        assert!(tree.find(counted).is_some(), "the surface is blank:\n{tree}");
        done(tree).then_some(())
    });
    assert_drawn(&window.screenshot("replacing-keeps-running.png"), size);
}

pub(super) fn has(tree: &Tree, parts: &[&str]) -> bool {
    tree.find_parts(parts).is_some()
}

#[test]
fn rebuilt_library_keeps_state_and_can_be_rolled_back() {
    let (desktop, installation) = stage(false);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    for _ in 0..2 {
        window.click("Count");
    }
    window.wait_for("Counted 2");
    put(&version(1, "none"), &place(&installation));
    keeps_running_until(&mut window, "Counted 2", |tree| has(tree, &["Version 1.0.1"]));
    window.wait_for_parts(&["Scripted", "1.0.1 is running"]);
    inspect(&mut window);
    window.wait_for_parts(&[SCRIPTED, "1.0.1", "generation 2"]);
    window.click_parts(&["Started in"]);
    window.wait_for_parts(&["copy: "]);
    window.screenshot("replacing-panel-light.png");
    window.click("Count");
    window.wait_for("Counted 3");

    // Roll back, with a note, and resume updates.
    window.click_parts(&["Roll back", "Scripted", "…"]);
    let about = window.wait_for_parts(&["Roll back to 1.0.0 ("]);
    window.screenshot("replacing-roll-back.png");
    window.text("too new");
    window.click(&about.name);
    keeps_running_until(&mut window, "Counted 3", |tree| has(tree, &["Version 1.0.0"]));
    window.wait_for_parts(&["Rolled back to 1.0.0"]);
    window.click_parts(&["Resume updates"]);
    keeps_running_until(&mut window, "Counted 3", |tree| has(tree, &["Version 1.0.1"]));
    window.wait_for_parts(&["From the host's manifest"]);
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(!stderr.contains("ERROR"), "{stderr}");
}

#[test]
fn bad_build_is_reported_and_old_one_keeps_running() {
    let (desktop, installation) = stage(false);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    window.click("Count");
    window.wait_for("Counted 1");

    put(&version(1, "panic@init"), &place(&installation));
    keeps_running_until(&mut window, "Counted 1", |tree| has(tree, &["Couldn't update Scripted"]));
    window.wait_for_parts(&["init-panicked"]);
    window.wait_for_parts(&["Still running the previous build."]);
    window.screenshot("replacing-refused.png");
    window.click_parts(&["Dismiss", "Couldn't update"]);
    window.until("the message to go", |tree| (!has(tree, &["Dismiss", "Couldn't update"])).then_some(()));

    fs::write(place(&installation), "This is a text.\n").expect("a file");
    keeps_running_until(&mut window, "Counted 1", |tree| has(tree, &["Scripted", "was not updated"]));
    window.wait_for_parts(&["library-not-a-library"]);
    window.click_parts(&["Show details", "Scripted"]);
    window.wait_for("Reload all");
    window.wait_for("Last failure");
    window.click("Count");
    window.wait_for("Counted 2");

    // A good build, and a reload by hand.
    put(&version(1, "none"), &place(&installation));
    keeps_running_until(&mut window, "Counted 2", |tree| has(tree, &["Version 1.0.1"]));
    window.key_with(Modifiers::COMMAND, Key::R);
    window.wait_for_parts(&[SCRIPTED, "generation 3"]);
    window.wait_for("Counted 2");
}

#[test]
fn panicking_surface_leaves_the_others_alone() {
    let (desktop, installation) = stage(false);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.click(TWIN);
    window.wait_for("Version 1.0.0");
    window.click("Count");
    window.wait_for("Counted 1");
    window.click(CALM);
    window.wait_for("Counted 0");
    command_fault(&desktop, "panic@frame");
    window.click("Count");
    window.wait_for("Restart");
    window.wait_for("frame-panicked");
    window.wait_for("Last picture");
    window.click("Details");
    window.screenshot("replacing-panicked-light.png");
    dark(&mut window);
    window.screenshot("replacing-panicked-dark.png");
    window.click(TWIN);
    window.click("Count");
    window.wait_for("Counted 2");
    window.click(CALM);
    command_fault(&desktop, "");
    window.click("Restart");
    window.wait_for("Counted 0");
    window.gone("Restart");
    window.click(TWIN);
    window.wait_for("Counted 2");

    // The third failure within ten minutes closes the surface.
    window.click(CALM);
    for failures in 2..=3 {
        window.hover("Count");
        command_fault(&desktop, "panic@frame");
        // The next frame fails, whatever requests it.
        window.wheel(Vec2::new(0.0, -1.0));
        window.wait_for(if failures == 3 { "surface-failing" } else { "Restart" });
        command_fault(&desktop, "");
        if failures < 3 {
            window.click("Restart");
            window.wait_for("Counted 0");
        }
    }
    window.wait_for_parts(&["failed three times", "frame-panicked"]);
    window.screenshot("replacing-disabled-dark.png");
    // The other surface has kept its state.
    window.click(TWIN);
    window.wait_for("Counted 2");
    window.click(CALM);
    window.click("Restart");
    window.wait_for("Counted 0");
    inspect(&mut window);
    window.click_parts(&["Disable Scripted"]);
    window.wait_for("remote-disabled");
    window.click_parts(&["Enable Scripted"]);
    window.wait_for("Counted 0");
}

fn dark(window: &mut Window) {
    window.click("Theme: System");
    window.click("Theme: Light");
    window.wait_for("Theme: Dark");
}

#[test]
fn unresponsive_remote_can_be_restarted() {
    let (desktop, installation) = stage(false);
    begin_small(&desktop);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    command_fault(&desktop, "slow@frame");
    window.click("Count");
    window.wait_for_parts(&["Slow: "]);
    window.screenshot("replacing-slow.png");
    command_fault(&desktop, "hang@frame");
    window.click("Count");
    window.wait_for_parts(&["Not responding for "]);
    window.screenshot("replacing-hangs-light.png");
    window.click("Wait");
    window.gone("Restart");
    window.click_parts(&["Not responding for "]);
    command_fault(&desktop, "");
    window.click("Restart");
    window.wait_for("Counted 0");
    window.click("Count");
    window.wait_for("Counted 1");
    window.click_parts(&["still loaded"]);
    window.wait_for_parts(&["Still loaded (1)"]);
    window.wait_for_parts(&[SCRIPTED, "generation 1"]);
    dark(&mut window);
    window.screenshot("replacing-kept-dark.png");
}

#[test]
fn library_installed_by_path_runs_once_enabled() {
    let (desktop, installation) = (Desktop::new(), Installation::new());
    begin_small(&desktop);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("No remotes yet");
    window.screenshot("replacing-empty.png");
    window.click("Install…");
    window.wait_for("Install a remote");
    window.text("/nowhere/at/all.so");
    window.key(Key::Enter);
    window.wait_for("library-missing");
    window.screenshot("replacing-install.png");
    window.click("Cancel");
    window.click("Install…");
    let file = installation.write("built/libscripted.so", version(0, "none"));
    window.text(&file.to_string_lossy());
    window.click("Install");
    window.wait_for_parts(&["is installed but not enabled"]);
    window.screenshot("replacing-installed.png");
    assert!(window.tree().find("Counted 0").is_none(), "it is not enabled yet");
    window.click_parts(&["Enable Scripted"]);
    window.wait_for("Counted 0");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Counted 0");
}

#[test]
fn remotes_can_be_left_out() {
    let (desktop, installation) = stage(false);
    begin_small(&desktop);
    let safe = |command: Command| {
        let mut command = command;
        command.arg("--safe-mode");
        command
    };
    let mut window = desktop.open(safe(shell(&desktop, &installation)));
    window.wait_for_parts(&["Safe mode"]);
    window.wait_for("safe-mode");
    window.screenshot("replacing-safe-mode.png");
    window.click("Enable all");
    window.wait_for("Counted 0");
    assert!(!has(&window.tree(), &["Safe mode"]));
    // The process is killed, so the shell is not shut down properly.
    drop(window);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for_parts(&["closed unexpectedly", SCRIPTED]);
    window.wait_for("Counted 0");
    window.screenshot("replacing-unclean.png");
    window.click("Start without remotes");
    window.wait_for("safe-mode");
    let runs = |tree: &Tree| tree.of_role(Role::Pane).any(|pane| pane.name == CALM);
    assert!(!runs(&window.tree()), "a remote runs in safe mode");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Counted 0");
    assert!(!has(&window.tree(), &["closed unexpectedly"]), "the last run was shut down properly");
}
