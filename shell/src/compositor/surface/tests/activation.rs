//! Requests of a surface to the platform, with and without a user action.

use egui::{
    Key, OutputCommand, ViewportCommand,
    accesskit::{Action, ActionRequest, Node, NodeId, Role, TreeId, TreeInfo, TreeUpdate},
};
use plugin_api::abi::{Command, CommandKind};

use super::{
    input::{LEFT, NEITHER, Pair},
    *,
};
use crate::limits;

fn link(url: &str) -> Command {
    Command { text: url.into(), ..Command::new(CommandKind::OPEN_URL) }
}

fn copy(text: &str) -> Command {
    Command { text: text.into(), ..Command::new(CommandKind::COPY_TEXT) }
}

fn select(text: &str) -> Command {
    Command { text: text.into(), ..Command::new(CommandKind::SELECTION) }
}

/// Makes the left remote answer with `commands`; returns the resulting requests to the platform.
fn asked(pair: &mut Pair, commands: Vec<Command>) -> Vec<OutputCommand> {
    pair.left.mailbox.request(Duration::ZERO);
    pair.frame(vec![]);
    Pair::answer_with(&pair.left, commands);
    pair.frame(vec![]);
    std::mem::take(&mut pair.output.commands)
}

fn everything() -> Vec<Command> {
    vec![link("https://example.org/"), copy("text"), select("text"), Command::new(CommandKind::PASTE)]
}

fn click() -> Vec<Event> {
    vec![Event::PointerMoved(LEFT), press(LEFT, true), press(LEFT, false)]
}

fn key(key: Key) -> Event {
    let modifiers = Modifiers::NONE;
    Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers }
}

#[test]
fn platform_requests_need_user_action() {
    let mut pair = Pair::new();
    // A press elsewhere and the pointer over the surface do not count.
    pair.step(vec![Event::PointerMoved(NEITHER), press(NEITHER, true), press(NEITHER, false)]);
    pair.step(vec![Event::PointerMoved(LEFT)]);
    assert_eq!(asked(&mut pair, everything()), []);
    assert!(!pair.commands.contains(&ViewportCommand::RequestPaste));
}

#[test]
fn press_allows_one_of_each() {
    let mut pair = Pair::new();
    pair.step(click());
    let flood = [everything(), everything(), vec![link("https://example.org/2"); 64]].concat();
    let commands = asked(&mut pair, flood);
    let [OutputCommand::OpenUrl(_), OutputCommand::CopyText(_), OutputCommand::TextSelectionSettled(_)] =
        &commands[..]
    else {
        panic!("{commands:?}")
    };
    assert_eq!(asked(&mut pair, everything()), [], "the press is used up");
    pair.step(click());
    assert_eq!(asked(&mut pair, everything()).len(), 3);
}

#[test]
fn activation_expires_after_five_seconds() {
    let mut pair = Pair::new();
    pair.step(click());
    pair.left.surface.activation.expire();
    assert_eq!(asked(&mut pair, everything()), []);
}

#[test]
fn held_press_stays_active_until_release() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true)]);
    pair.left.surface.activation.expire();
    assert_eq!(asked(&mut pair, vec![select("a long selection")]).len(), 1);
    // The release of a long press makes it a click.
    pair.left.surface.activation.expire();
    pair.step(vec![press(LEFT, false)]);
    assert_eq!(asked(&mut pair, vec![link("https://example.org/")]).len(), 1);
}

#[test]
fn keys_activate_but_focus_and_escape_do_not() {
    let mut pair = Pair::new();
    let tab = Event::Key {
        key: Key::Tab,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::NONE,
    };
    pair.step(vec![tab.clone()]);
    pair.step(vec![]);
    pair.step(vec![tab]);
    (0..3).for_each(|_| drop(pair.step(vec![])));
    assert!(pair.left.surface.keyboard(), "Tab led here");
    assert_eq!(asked(&mut pair, everything()), []);
    for event in [key(Key::Enter), Event::Copy, Event::Cut] {
        pair.step(vec![event.clone()]);
        assert_eq!(asked(&mut pair, vec![copy("text")]).len(), 1, "{event:?}");
    }
    pair.step(vec![key(Key::Escape)]);
    assert_eq!(asked(&mut pair, vec![copy("text")]), []);
}

#[test]
fn assistive_actions_activate() {
    let tree = || TreeUpdate {
        nodes: vec![
            (NodeId(1), {
                let mut root = Node::new(Role::Window);
                root.set_children(vec![NodeId(2)]);
                root
            }),
            (NodeId(2), {
                let mut button = Node::new(Role::Button);
                button.set_label("Press me");
                button
            }),
        ],
        tree: Some(TreeInfo::new(NodeId(1))),
        tree_id: TreeId::ROOT,
        focus: NodeId(1),
    };
    for (action, opened) in [(Action::Click, 1), (Action::Focus, 0), (Action::ScrollDown, 0)] {
        let mut pair = Pair::new();
        pair.left.mailbox.request(Duration::ZERO);
        pair.frame(vec![]);
        pair.left.mailbox.put(Ok(CheckedFrame { access: Some(Ok(tree())), ..picture() }));
        pair.step(vec![]);
        pair.step(vec![]);
        let update = pair.output.accesskit_update.as_ref().unwrap();
        let button = update.nodes.iter().find(|(_, node)| node.label() == Some("Press me")).unwrap().0;
        let request = ActionRequest { action, target_tree: TreeId::ROOT, target_node: button, data: None };
        pair.step(vec![Event::AccessKitActionRequest(request)]);
        assert_eq!(asked(&mut pair, vec![link("https://example.org/")]).len(), opened, "{action:?}");
    }
}

#[test]
fn copied_data_has_limit() {
    let mut pair = Pair::new();
    pair.step(click());
    let large = |limit: usize| "x".repeat(limit + 1);
    let commands = vec![copy(&large(limits::CLIPBOARD_TEXT)), select(&large(limits::SELECTION))];
    assert_eq!(asked(&mut pair, commands), []);
    // A refused copy does not use up the press.
    assert_eq!(asked(&mut pair, everything()).len(), 3);
}
