//! Remotes of other toolkits, compilers and versions, side by side.

use egui::{Event, Modifiers, PointerButton, Pos2};

use crate::support::{Headless, Installation, elsewhere, libraries};

/// A click of a person.
fn click(shell: &mut Headless, pos: Pos2) {
    let button = |pressed| Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    shell.frame(vec![Event::PointerMoved(pos)]);
    shell.frame(vec![button(true)]);
    shell.frame(vec![button(false)]);
}

/// Waits until a text is on the screen.
fn await_text(shell: &mut Headless, text: &str) {
    shell.drive(&format!("it says {text:?}"), |shell| shell.screen().says(text));
}

#[test]
fn four_toolkits_and_compilers_share_one_screen_and_one_tree() {
    let mut installation = Installation::new();
    let bare = installation.add(&libraries().bare);
    let earlier = installation.add(elsewhere::earlier());
    let fixtures = installation.add(&libraries().fixtures);
    // By another compiler and with other flags, where there is one; otherwise as the others.
    let analytics = installation.add(elsewhere::nightly().unwrap_or(&libraries().analytics));
    let mut shell = installation.start();
    let shown = [
        (analytics.as_str(), "./analytics-dashboard"),
        (bare.as_str(), "./triangles"),
        (earlier.as_str(), "./form"),
        (fixtures.as_str(), "./calm"),
    ];
    for (alias, expose) in shown {
        shell.show(alias, expose);
    }
    for before in ["336,776", "Count 0", "Sent 0", "Counted 0"] {
        await_text(&mut shell, before);
    }
    // Through the one tree.
    let buttons =
        [("Add", "Count 1"), ("Send", "Sent 1 for"), ("Count", "Counted 1"), ("Last 7 days", "6,064")];
    for (label, after) in buttons {
        shell.press(label);
        await_text(&mut shell, after);
    }
    // With the pointer, where the second of four slots has its buttons.
    click(&mut shell, Pos2::new(300.0 + 164.0, 36.0));
    await_text(&mut shell, "Count 2");
    click(&mut shell, Pos2::new(300.0 + 36.0, 36.0));
    await_text(&mut shell, "Count 1");
    for (alias, expose) in shown {
        assert!(shell.slot_failure(alias, expose).is_none(), "{}", shell.describe());
    }
    // What each was asked to do, the others have no part in.
    for still in ["Count 1", "Sent 1", "Counted 1"] {
        assert!(shell.screen().says(still), "{}", shell.describe());
    }
}
