//! Remotes that are replaced, fail, hang, are gone back to, installed and left out, as a person sees and does it.

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

/// The remote's name, which is its alias too.
pub(super) const SCRIPTED: &str = "remoteScripted";

/// The surface that obeys, and the one of the same remote that does not.
const CALM: &str = "Calm";
const TWIN: &str = "Twin";

/// A desktop, and a shell with the remote whose faults are commanded.
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

/// Where the shell finds the library.
pub(super) fn place(installation: &Installation) -> PathBuf {
    installation.path(&libraries().scripted.file_name().expect("a library is a file").to_string_lossy())
}

/// Tells the remote what to do from now on; nothing for nothing.
pub(super) fn tell(desktop: &Desktop, fault: &str) {
    let folder = desktop.data_dir().join("remotes").join(SCRIPTED);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("fault"), fault).expect("a file");
}

/// The library as another build of the same source has it.
fn rebuilt(edits: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = fs::read(&libraries().scripted).expect("libraries can be read");
    for (from, to) in edits {
        assert_eq!(from.len(), to.len(), "the library's layout stays");
        let places: Vec<usize> =
            (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
        assert!(!places.is_empty(), "`{from}` is in the library");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

/// Version 1.0.`patch`; with a fault, if there is one, that is part of the library.
pub(super) fn version(patch: u8, fault: &str) -> Vec<u8> {
    let none = format!("fault: {:<24}", "none");
    // A title does not end with space.
    let told = format!("fault: {fault:<23}!");
    let version = |patch: u8| format!("\"name\": \"{SCRIPTED}\",\n  \"version\": \"1.0.{patch}\"");
    rebuilt(&[(&version(0), &version(patch)), (&none, &told)])
}

/// Puts a file where another is, as a linker does at its best: at once.
pub(super) fn put(bytes: &[u8], place: &Path) {
    let beside = place.with_extension("new");
    fs::write(&beside, bytes).expect("a file");
    fs::rename(beside, place).expect("a file can be renamed");
}

/// Opens the inspector, with enough space for it.
pub(super) fn inspect(window: &mut Window) {
    window.key(Key::F12);
    window.wait_for("Reload all");
}

/// Something is drawn where the surface is.
fn assert_drawn(picture: &Picture, size: Vec2) {
    let area = Rect::from_min_max(egui::pos2(SIDEBAR + 2.0, 2.0), egui::pos2(size.x - 2.0, size.y * 0.5));
    let mut colors: Vec<_> = picture.pixels(area).collect();
    colors.sort_unstable();
    colors.dedup();
    assert!(colors.len() > 20, "text is anti-aliased; these are {} colours", colors.len());
}

/// Asks again until `is_there`, and each time whether the surface goes on meanwhile.
fn goes_on_until(window: &mut Window, counted: &str, is_there: impl Fn(&Tree) -> bool) {
    let size = window.size();
    window.until("what is awaited", |tree| {
        assert!(tree.find(counted).is_some(), "the surface is there all the time:\n{tree}");
        is_there(tree).then_some(())
    });
    assert_drawn(&window.screenshot("replacing-goes-on.png"), size);
}

pub(super) fn has(tree: &Tree, parts: &[&str]) -> bool {
    tree.find_parts(parts).is_some()
}

#[test]
fn a_rebuilt_library_takes_over_with_what_was_open_and_is_gone_back_to() {
    let (desktop, installation) = stage(false);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    for _ in 0..2 {
        window.click("Count");
    }
    window.wait_for("Counted 2");
    put(&version(1, "none"), &place(&installation));
    goes_on_until(&mut window, "Counted 2", |tree| has(tree, &["Version 1.0.1"]));
    window.wait_for_parts(&["Scripted", "1.0.1 is running"]);
    inspect(&mut window);
    window.wait_for_parts(&[SCRIPTED, "1.0.1", "generation 2"]);
    window.click_parts(&["Started in"]);
    window.wait_for_parts(&["copy: "]);
    window.screenshot("replacing-panel-light.png");
    window.click("Count");
    window.wait_for("Counted 3");

    // Back, with a reason, and forth.
    window.click_parts(&["Roll back", "Scripted", "…"]);
    let about = window.wait_for_parts(&["Roll back to 1.0.0 ("]);
    window.screenshot("replacing-roll-back.png");
    window.text("too new");
    window.click(&about.name);
    goes_on_until(&mut window, "Counted 3", |tree| has(tree, &["Version 1.0.0"]));
    window.wait_for_parts(&["Rolled back to 1.0.0"]);
    window.click_parts(&["Resume updates"]);
    goes_on_until(&mut window, "Counted 3", |tree| has(tree, &["Version 1.0.1"]));
    window.wait_for_parts(&["From the host's manifest"]);
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(!stderr.contains("ERROR"), "{stderr}");
}

#[test]
fn what_cannot_take_over_is_told_and_the_old_one_goes_on() {
    let (desktop, installation) = stage(false);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    window.click("Count");
    window.wait_for("Counted 1");

    put(&version(1, "panic@init"), &place(&installation));
    goes_on_until(&mut window, "Counted 1", |tree| has(tree, &["Couldn't update Scripted"]));
    window.wait_for_parts(&["init-panicked"]);
    window.wait_for_parts(&["Still running the previous build."]);
    window.screenshot("replacing-refused.png");
    window.click_parts(&["Dismiss", "Couldn't update"]);
    window.until("the message to go", |tree| (!has(tree, &["Dismiss", "Couldn't update"])).then_some(()));

    fs::write(place(&installation), "This is a text.\n").expect("a file");
    goes_on_until(&mut window, "Counted 1", |tree| has(tree, &["Scripted", "was not updated"]));
    window.wait_for_parts(&["library-not-a-library"]);
    window.click_parts(&["Show details", "Scripted"]);
    window.wait_for("Reload all");
    window.wait_for("Last failure");
    window.click("Count");
    window.wait_for("Counted 2");

    // By hand, with the same outcome until there is something good.
    put(&version(1, "none"), &place(&installation));
    goes_on_until(&mut window, "Counted 2", |tree| has(tree, &["Version 1.0.1"]));
    window.key_with(Modifiers::COMMAND, Key::R);
    window.wait_for_parts(&[SCRIPTED, "generation 3"]);
    window.wait_for("Counted 2");
}

#[test]
fn a_surface_that_panics_leaves_the_others_alone() {
    let (desktop, installation) = stage(false);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.click(TWIN);
    window.wait_for("Version 1.0.0");
    window.click("Count");
    window.wait_for("Counted 1");
    window.click(CALM);
    window.wait_for("Counted 0");
    tell(&desktop, "panic@frame");
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
    tell(&desktop, "");
    window.click("Restart");
    window.wait_for("Counted 0");
    window.gone("Restart");
    window.click(TWIN);
    window.wait_for("Counted 2");

    // Two more within ten minutes are too many.
    window.click(CALM);
    for failures in 2..=3 {
        window.hover("Count");
        tell(&desktop, "panic@frame");
        // The next frame is the last, whatever it is for.
        window.wheel(Vec2::new(0.0, -1.0));
        window.wait_for(if failures == 3 { "surface-failing" } else { "Restart" });
        tell(&desktop, "");
        if failures < 3 {
            window.click("Restart");
            window.wait_for("Counted 0");
        }
    }
    window.wait_for_parts(&["failed three times", "frame-panicked"]);
    window.screenshot("replacing-disabled-dark.png");
    // The others are as they were.
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
fn a_remote_that_does_not_respond_is_restarted() {
    let (desktop, installation) = stage(false);
    begin_small(&desktop);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    tell(&desktop, "slow@frame");
    window.click("Count");
    window.wait_for_parts(&["Slow: "]);
    window.screenshot("replacing-slow.png");
    tell(&desktop, "hang@frame");
    window.click("Count");
    window.wait_for_parts(&["Not responding for "]);
    window.screenshot("replacing-hangs-light.png");
    window.click("Wait");
    window.gone("Restart");
    window.click_parts(&["Not responding for "]);
    tell(&desktop, "");
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
fn a_library_is_installed_by_its_path_and_runs_once_it_is_enabled() {
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
    window.wait_for_parts(&["was installed and is not enabled"]);
    window.screenshot("replacing-installed.png");
    assert!(window.tree().find("Counted 0").is_none(), "nobody has enabled it");
    window.click_parts(&["Enable Scripted"]);
    window.wait_for("Counted 0");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Counted 0");
}

#[test]
fn remotes_are_left_out_on_demand() {
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
    // The process is ended, and does not end.
    drop(window);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for_parts(&["closed unexpectedly", SCRIPTED]);
    window.wait_for("Counted 0");
    window.screenshot("replacing-unclean.png");
    window.click("Start without remotes");
    window.wait_for("safe-mode");
    let runs = |tree: &Tree| tree.of_role(Role::Pane).any(|pane| pane.name == CALM);
    assert!(!runs(&window.tree()), "nothing runs");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Counted 0");
    assert!(!has(&window.tree(), &["closed unexpectedly"]), "the last one did");
}
