//! Ends of the shell, and the state at its next start.

use std::{fs, os::unix::process::ExitStatusExt};

use egui::{Key, Modifiers, Vec2};
use serde_json::Value;
use x11rb::{
    connection::Connection,
    protocol::xproto::{ConfigureWindowAux, ConnectionExt},
};

use super::{
    begin_small, pulse,
    replacing::{SCRIPTED, command_fault, has, inspect, stage},
    shell,
};
use crate::{
    driver::{Desktop, Window},
    support::Installation,
};

/// Returns the files of runs that were not shut down properly.
fn sessions(desktop: &Desktop) -> Vec<String> {
    let files = fs::read_dir(desktop.data_dir().join("sessions")).expect("a folder").flatten();
    let written = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    written.map(|path| path.display().to_string()).collect()
}

fn saved(desktop: &Desktop) -> Value {
    let text = fs::read(desktop.data_dir().join("window.json")).expect("the state of the window");
    serde_json::from_slice(&text).expect("JSON")
}

fn count(window: &mut Window, times: u32) {
    window.wait_for("Version 1.0.0");
    for _ in 0..times {
        window.click("Count");
    }
    window.wait_for(&format!("Counted {times}"));
}

#[test]
fn signal_ends_the_shell_as_closing_does() {
    let (desktop, installation) = stage(false);
    begin_small(&desktop);
    let mut window = desktop.open(shell(&desktop, &installation));
    count(&mut window, 2);
    let (status, stderr) = window.signal("TERM");
    assert_eq!(status.signal(), Some(15), "{status}: {stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("ERROR"), "{stderr}");
    assert_eq!(sessions(&desktop), [""; 0]);
    assert_eq!(saved(&desktop)["selected"][0], SCRIPTED);

    // A hidden window ends as well, and the panel has its saved state.
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Counted 2");
    assert!(!has(&window.tree(), &["closed unexpectedly"]));
    let (x11, id) = window.x11();
    x11.unmap_window(id).expect("a request").check().expect("a hidden window");
    let (status, stderr) = window.signal("INT");
    assert_eq!(status.signal(), Some(2), "{status}: {stderr}");
    assert_eq!(sessions(&desktop), [""; 0]);
}

#[test]
fn panel_keeps_state_unless_restoring_panics() {
    let (desktop, installation) = stage(false);
    begin_small(&desktop);
    let mut window = desktop.open(shell(&desktop, &installation));
    count(&mut window, 2);
    inspect(&mut window);
    window.click_parts(&["Disable Scripted"]);
    window.wait_for("remote-disabled");
    window.click_parts(&["Enable Scripted"]);
    window.wait_for("Counted 2");
    window.close();
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Counted 2");
    window.click_parts(&["Restart Scripted"]);
    window.wait_for("Counted 0");
    window.click("Count");
    window.wait_for("Counted 1");
    window.close();

    // A state that cannot be restored is dropped, once.
    command_fault(&desktop, "panic@restore");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("restore-panicked");
    command_fault(&desktop, "");
    window.close();
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Counted 0");
}

#[test]
fn window_comes_back_as_it_was() {
    let (desktop, installation) = (Desktop::new(), Installation::new());
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("No remotes yet");
    let size = window.size();
    window.key_with(Modifiers::COMMAND, Key::Plus);
    window.key(Key::F12);
    window.wait_for("Reload all");
    window.click("Shared crates");
    window.wait_for_parts(&["Singleton, declared by"]);
    window.close();
    let kept = saved(&desktop);
    assert!(kept["zoom"].as_f64().is_some_and(|zoom| (zoom - 1.1).abs() < 1e-6), "{kept}");
    assert_eq!(kept["window"], serde_json::json!([1280.0, 800.0]));
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for_parts(&["Singleton, declared by"]);
    assert_eq!(window.size(), size);
    window.close();
    let kept = saved(&desktop);
    assert!(kept["zoom"].as_f64().is_some_and(|zoom| (zoom - 1.1).abs() < 1e-6), "{kept}");
}

#[test]
fn window_may_be_larger_than_most_devices_allow() {
    let (desktop, installation) = (Desktop::new(), Installation::new());
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("No remotes yet");
    // The second width is more than the device can show.
    for width in [8400, 17_000] {
        let (x11, id) = window.x11();
        let large = ConfigureWindowAux::new().width(width).height(360);
        x11.configure_window(id, &large).expect("a request").check().expect("a large window");
        x11.flush().expect("a request");
        window.wait_for("No remotes yet");
    }
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn broken_host_manifest_is_shown_until_it_is_right() {
    let (desktop, installation) = (Desktop::new(), Installation::new());
    let text = fs::read(installation.path("host.json")).expect("a manifest");
    fs::write(installation.path("host.json"), "{\n  \"name\": }\n").expect("a file");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("The host's manifest cannot be used");
    window.wait_for_parts(&["host.json", "line 2"]);
    window.click("Retry");
    window.screenshot("ending-broken.png");
    let (status, stderr) = window.close();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("[manifest-not-json]"), "{stderr}");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("The host's manifest cannot be used");
    fs::write(installation.path("host.json"), text).expect("a file");
    window.wait_for("No remotes yet");
    assert_eq!(window.size(), Vec2::new(1280.0, 800.0));
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
}

#[test]
fn window_opens_on_x11_with_stale_wayland_display() {
    let (desktop, installation) = (Desktop::new(), Installation::new());
    let mut command = pulse(&desktop);
    command.arg("--config").arg(installation.path("host.json")).env("WAYLAND_DISPLAY", "wayland-99");
    let mut window = desktop.open(command);
    window.wait_for("No remotes yet");
    let (status, stderr) = window.close();
    assert!(status.success() && stderr.contains("window-wayland-stale"), "{status}: {stderr}");
}
