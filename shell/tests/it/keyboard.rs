//! Tab through surfaces, in both directions; the focused control is always in view.

use egui::{
    Event, Key, Modifiers,
    accesskit::{NodeId, Role},
};

use crate::support::{Headless, Installation, elsewhere, libraries};

/// Returns the focused control within a surface, and `true` if all of it is in the window.
fn focus(shell: &Headless) -> Option<(NodeId, bool)> {
    let tree = shell.screen().tree.as_ref()?;
    let node = |id| tree.nodes.iter().find(|(known, _)| *known == id).map(|(_, node)| node);
    let id = node(tree.focus).filter(|node| node.role() == Role::Pane)?.active_descendant()?;
    let at = node(id)?.bounds()?;
    // The focus ring may exceed the window by a point.
    Some((id, at.y0 >= -1.0 && at.y1 <= 801.0))
}

fn press(shell: &mut Headless, modifiers: Modifiers) -> NodeId {
    let before = focus(shell).map(|(id, _)| id);
    let key = |pressed| Event::Key { key: Key::Tab, physical_key: None, pressed, repeat: false, modifiers };
    shell.frame(vec![key(true), key(false)]);
    let moved = |shell: &Headless| focus(shell).filter(|(id, seen)| Some(*id) != before && *seen);
    shell.drive("Tab moves the focus to a control in view", |shell| moved(shell).is_some());
    moved(shell).expect("the awaited focus").0
}

/// Presses Tab until the first control has the focus again; returns all of its stops.
fn stops(shell: &mut Headless) -> Vec<NodeId> {
    let mut stops = vec![press(shell, Modifiers::NONE)];
    loop {
        let next = press(shell, Modifiers::NONE);
        if next == stops[0] {
            return stops;
        }
        assert!(!stops.contains(&next) && stops.len() < 500, "Tab does not return to its first stop");
        stops.push(next);
    }
}

/// Shows these exposes, presses Tab and Shift+Tab through all controls, and returns the number of stops.
fn go_round(shown: &[(&std::path::Path, &str, &str)]) -> usize {
    let mut installation = Installation::new();
    let aliases: Vec<String> = shown.iter().map(|(library, ..)| installation.add(library)).collect();
    let mut shell = installation.start();
    for (alias, (_, expose, _)) in aliases.iter().zip(shown) {
        shell.show(alias, expose);
    }
    shell.drive("all are shown", |shell| shown.iter().all(|(.., text)| shell.screen().shows(text)));
    let forward = stops(&mut shell);
    let mut backward: Vec<NodeId> = (0..forward.len()).map(|_| press(&mut shell, Modifiers::SHIFT)).collect();
    backward.reverse();
    assert_eq!(forward, backward, "{shown:?}");
    forward.len()
}

#[test]
fn shift_tab_mirrors_tab_through_the_dashboard() {
    let dashboard = (libraries().analytics.as_path(), "./analytics-dashboard", "Flights 336,776");
    assert_eq!(go_round(&[dashboard]), 13);
}

#[test]
fn shift_tab_mirrors_tab_through_all_kinds_of_widgets() {
    let widgets = (libraries().misbehaving.as_path(), "./widgets", "In the window");
    assert!(go_round(&[widgets]) > 40);
}

#[test]
fn shift_tab_mirrors_tab_through_several_toolkits() {
    let shown = [
        (libraries().analytics.as_path(), "./analytics-dashboard", "Flights 336,776"),
        (elsewhere::egui_0_36(), "./form", "Look on egui 0.36"),
        (libraries().misbehaving.as_path(), "./widgets", "In the window"),
    ];
    assert!(go_round(&shown) > 55);
}
