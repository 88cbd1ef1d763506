//! Remotes of different toolkits, compilers and versions in one window.

use std::collections::BTreeSet;

use egui::{
    Event, Key, Modifiers, PointerButton, Pos2, Rect, Vec2,
    accesskit::{NodeId, Role},
};

use crate::{
    driver::Picture,
    support::{Headless, Installation, elsewhere, libraries},
};

/// Clicks with the primary button.
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
    shell.drive(&format!("{text:?} is shown"), |shell| shell.screen().shows(text));
}

/// Returns the focused control and the title of its surface. The focused node is the surface, and the control its
/// active descendant.
fn focus(shell: &Headless) -> Option<(NodeId, String)> {
    let nodes = &shell.screen().tree.as_ref()?.nodes;
    let node = |id: NodeId| nodes.iter().find(|(known, _)| *known == id).map(|(_, node)| node);
    let focus = node(shell.screen().tree.as_ref()?.focus)?.active_descendant()?;
    let mut at = focus;
    loop {
        at = nodes.iter().find(|(_, node)| node.children().contains(&at))?.0;
        if let Some(pane) = node(at).filter(|node| node.role() == Role::Pane) {
            return Some((focus, pane.label()?.to_owned()));
        }
    }
}

/// Presses Tab until it has passed every surface; returns their titles in this order.
fn tab_through(shell: &mut Headless, modifiers: Modifiers, surfaces: usize) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let before = focus(shell);
        if let Some((control, surface)) = before.clone() {
            if !seen.insert(control) && order.len() == surfaces {
                return order;
            }
            if order.last() != Some(&surface) && order.first() != Some(&surface) {
                order.push(surface);
            }
        }
        let key = |pressed| Event::Key { key: Key::Tab, physical_key: None, pressed, repeat: false, modifiers };
        shell.frame(vec![key(true), key(false)]);
        shell.drive("Tab moves the focus", |shell| focus(shell).is_some_and(|focus| Some(focus) != before));
    }
}

#[test]
fn four_toolkits_share_one_screen_and_one_tree() {
    let mut installation = Installation::new();
    let no_sdk = installation.add(&libraries().no_sdk);
    let egui_0_36 = installation.add(elsewhere::egui_0_36());
    // Built by the nightly compiler with other flags, if it is installed.
    let misbehaving = installation.add(elsewhere::nightly().unwrap_or(&libraries().misbehaving));
    let analytics = installation.add(&libraries().analytics);
    let mut shell = installation.start();
    shell.paint();
    let shown = [
        (analytics.as_str(), "./analytics-dashboard"),
        (no_sdk.as_str(), "./triangles"),
        (egui_0_36.as_str(), "./form"),
        (misbehaving.as_str(), "./calm"),
    ];
    for (alias, expose) in shown {
        shell.show(alias, expose);
    }
    for before in ["336,776", "Count 0", "Sent 0", "Counted 0"] {
        await_text(&mut shell, before);
    }
    // By accessibility actions in the one tree.
    let buttons =
        [("Add", "Count 1"), ("Send", "Sent 1 for"), ("Count", "Counted 1"), ("Last 7 days", "6,064")];
    for (label, after) in buttons {
        shell.press(label);
        await_text(&mut shell, after);
    }
    // With the pointer: the last of four slots has its buttons here.
    click(&mut shell, Pos2::new(900.0 + 164.0, 36.0));
    await_text(&mut shell, "Count 2");
    click(&mut shell, Pos2::new(900.0 + 36.0, 36.0));
    await_text(&mut shell, "Count 1");
    for (alias, expose) in shown {
        assert!(shell.slot_failure(alias, expose).is_none(), "{}", shell.describe());
    }
    let (width, pixels) = shell.picture();
    let picture = Picture::new(width, pixels);
    picture.save("neutral.png");
    for at in 0..4 {
        let slot = Rect::from_min_size(Pos2::new(300.0 * at as f32, 0.0), Vec2::new(300.0, 800.0));
        let colors: BTreeSet<_> = picture.pixels(slot).collect();
        assert!(colors.len() > 4, "{} colours in slot {at}", colors.len());
    }
    // With Tab, forwards and backwards.
    let forward = tab_through(&mut shell, Modifiers::NONE, 4);
    let backward = tab_through(&mut shell, Modifiers::SHIFT, 4);
    assert_eq!(forward, ["Triangles", "Analytics", "A form on egui 0.36", "Calm"]);
    assert_eq!(backward, ["Triangles", "Calm", "A form on egui 0.36", "Analytics"]);
    // No control has changed another surface.
    for still in ["Count 1", "Sent 1", "Counted 1"] {
        assert!(shell.screen().shows(still), "{}", shell.describe());
    }
}
