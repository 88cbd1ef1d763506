//! Cards of failures, and messages, in windows of any size.

use std::fs;

use egui::Rect;

use super::{
    replacing::{command_fault, has, inspect, place, put, stage, version},
    shell,
};
use crate::driver::Desktop;

fn begin_with(desktop: &Desktop, width: u32, height: u32) {
    fs::create_dir_all(desktop.data_dir()).expect("a folder");
    let text = format!(r#"{{ "window": [{width}, {height}] }}"#);
    fs::write(desktop.data_dir().join("window.json"), text).expect("a file");
}

#[test]
fn buttons_of_a_failure_fit_the_smallest_window() {
    let (desktop, installation) = stage(false);
    begin_with(&desktop, 480, 360);
    // A time beyond every clock must not crash the shell.
    let text = r#"{"format":1,"enabled":[],"disabled":{"remoteScripted":{"by":"person","at":18446744073709551615}},"failures":{}}"#;
    fs::write(desktop.data_dir().join("remotes.json"), text).expect("a file");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("remote-disabled");
    window.click("Enable");
    window.wait_for("Version 1.0.0");
    command_fault(&desktop, "panic@frame");
    window.click("Count");
    window.wait_for("Restart");
    window.settle();
    window.screenshot("cards-smallest.png");
    let inside = Rect::from_min_max(egui::pos2(0.0, 0.0), window.size().to_pos2());
    for name in ["Restart", "Disable", "Copy details"] {
        let button = window.wait_for(name);
        assert!(inside.contains_rect(button.bounds), "{button:?} is not in {inside:?}");
    }
    window.click("Copy details");
    window.wait_for("Copied");
}

#[test]
fn message_covers_nothing_and_is_withdrawn() {
    let (desktop, installation) = stage(false);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    inspect(&mut window);
    put(&version(1, "panic@init"), &place(&installation));
    let notice = window.wait_for_parts(&["Dismiss", "Couldn't update Scripted"]);
    let inspector = window.wait_for("Reload all");
    window.settle();
    window.screenshot("cards-notice.png");
    assert!(notice.bounds.right() < inspector.bounds.left(), "{notice:?} covers {inspector:?}");
    let tree = window.tree();
    let panel = tree.find("Count").expect("the panel").bounds;
    assert!(panel.bottom() < notice.bounds.top(), "{notice:?} covers {panel:?}");

    put(&version(2, "none"), &place(&installation));
    window.wait_for("Version 1.0.2");
    window.until("the message to go", |tree| (!has(tree, &["Dismiss", "Couldn't update"])).then_some(()));
    window.click_parts(&["Messages ("]);
    window.wait_for_parts(&["Copy: Couldn't update Scripted"]);
    window.wait_for("Resolved");
    window.settle();
    window.screenshot("cards-messages.png");
    window.click("Clear");
    window.wait_for("No messages");
}
