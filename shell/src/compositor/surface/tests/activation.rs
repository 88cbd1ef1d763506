//! Requests of a surface to the platform, with and without a user's action.

use egui::{
    Key, OutputCommand, ViewportCommand,
    accesskit::{Action, ActionRequest, Node, NodeId, Role, TreeId, TreeInfo, TreeUpdate},
};
use plugin_api::abi::{Command, CommandKind};

use super::{
    hands::{LEFT, NEITHER, Pair},
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

/// Has the left remote answer with `commands`; what the platform is asked for then.
fn asked(pair: &mut Pair, commands: Vec<Command>) -> Vec<OutputCommand> {
    pair.left.mailbox.request(Duration::ZERO);
    pair.frame(vec![]);
    Pair::say(&pair.left, commands);
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
fn nothing_is_asked_for_without_a_user_action() {
    let mut pair = Pair::new();
    // A press elsewhere, and the pointer over the surface, are none.
    pair.step(vec![Event::PointerMoved(NEITHER), press(NEITHER, true), press(NEITHER, false)]);
    pair.step(vec![Event::PointerMoved(LEFT)]);
    assert_eq!(asked(&mut pair, everything()), []);
    assert!(!pair.commands.contains(&ViewportCommand::RequestPaste));
}

#[test]
fn a_press_pays_for_one_of_each() {
    let mut pair = Pair::new();
    pair.step(click());
    let flood = [everything(), everything(), vec![link("https://example.org/2"); 64]].concat();
    let commands = asked(&mut pair, flood);
    let [OutputCommand::OpenUrl(_), OutputCommand::CopyText(_), OutputCommand::TextSelectionSettled(_)] =
        &commands[..]
    else {
        panic!("{commands:?}")
    };
    assert_eq!(asked(&mut pair, everything()), [], "and for no more of them later");
    pair.step(click());
    assert_eq!(asked(&mut pair, everything()).len(), 3);
}

#[test]
fn an_action_pays_for_five_seconds() {
    let mut pair = Pair::new();
    pair.step(click());
    pair.left.surface.activation.expire();
    assert_eq!(asked(&mut pair, everything()), []);
}

#[test]
fn a_press_that_is_held_pays_until_it_ends() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true)]);
    pair.left.surface.activation.expire();
    assert_eq!(asked(&mut pair, vec![select("a long selection")]).len(), 1);
    // The release of a long press is what a click is made of.
    pair.left.surface.activation.expire();
    pair.step(vec![press(LEFT, false)]);
    assert_eq!(asked(&mut pair, vec![link("https://example.org/")]).len(), 1);
}

#[test]
fn keys_pay_and_focus_and_escape_do_not() {
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
fn actions_of_assistive_technology_pay() {
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
    for (action, pays) in [(Action::Click, 1), (Action::Focus, 0), (Action::ScrollDown, 0)] {
        let mut pair = Pair::new();
        pair.left.mailbox.request(Duration::ZERO);
        pair.frame(vec![]);
        pair.left.mailbox.put(Ok(Frame { access: Some(Ok(tree())), ..picture() }));
        pair.step(vec![]);
        pair.step(vec![]);
        let update = pair.output.accesskit_update.as_ref().unwrap();
        let button = update.nodes.iter().find(|(_, node)| node.label() == Some("Press me")).unwrap().0;
        let request = ActionRequest { action, target_tree: TreeId::ROOT, target_node: button, data: None };
        pair.step(vec![Event::AccessKitActionRequest(request)]);
        assert_eq!(asked(&mut pair, vec![link("https://example.org/")]).len(), pays, "{action:?}");
    }
}

#[test]
fn what_is_copied_has_a_limit() {
    let mut pair = Pair::new();
    pair.step(click());
    let large = |limit: usize| "x".repeat(limit + 1);
    let commands = vec![copy(&large(limits::CLIPBOARD_TEXT)), select(&large(limits::SELECTION))];
    assert_eq!(asked(&mut pair, commands), []);
    // It was not paid for.
    assert_eq!(asked(&mut pair, everything()).len(), 3);
}
