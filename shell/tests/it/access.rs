//! A remote's widgets, read and used through the window's accessibility tree alone.

use egui::{
    Event, Key, Modifiers,
    accesskit::{
        Action, ActionData, ActionRequest, Live, Node, NodeId, Rect, Role, TextPosition, TextSelection,
        Toggled, TreeId, TreeUpdate,
    },
};

use crate::support::{Headless, Installation, libraries};

mod bus;

const EXPOSE: &str = "./widgets";

/// Starts a shell that shows the widgets of the fixture.
fn widgets() -> Headless {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&alias, EXPOSE);
    shell.drive("the widgets are shown", |shell| shell.screen().shows("In the window"));
    shell
}

fn tree(shell: &Headless) -> &TreeUpdate {
    shell.screen().tree.as_ref().expect("a tree")
}

fn node(tree: &TreeUpdate, id: NodeId) -> &Node {
    &tree.nodes.iter().find(|(known, _)| *known == id).expect("a node with this id").1
}

/// Returns a node's name as a screen reader finds it: its label, the text of the nodes that label it, or its text.
fn name(tree: &TreeUpdate, of: &Node) -> String {
    let own = of.label().map(str::to_owned);
    let text = |id: &NodeId| node(tree, *id).label().or(node(tree, *id).value()).unwrap_or_default().to_owned();
    let others: Vec<String> = of.labelled_by().iter().map(text).collect();
    own.unwrap_or_else(|| {
        if others.is_empty() && of.role() == Role::Label {
            of.value().unwrap_or_default().to_owned()
        } else {
            others.join(" ")
        }
    })
}

/// Returns the only node of this role and name.
fn find<'a>(shell: &'a Headless, role: Role, called: &str) -> (NodeId, &'a Node) {
    let tree = tree(shell);
    let mut found = tree.nodes.iter().filter(|(_, n)| n.role() == role && name(tree, n) == called);
    let one = found.next().unwrap_or_else(|| {
        let all: Vec<_> = tree.nodes.iter().map(|(_, n)| (n.role(), name(tree, n))).collect();
        panic!("no {role:?} with the name `{called}`: {all:?}")
    });
    assert_eq!(found.count(), 0, "more than one {role:?} with the name `{called}`");
    (one.0, &one.1)
}

fn shows(shell: &Headless, text: &str) -> bool {
    shell.screen().shows(text)
}

fn parents(tree: &TreeUpdate, of: NodeId) -> Vec<NodeId> {
    tree.nodes.iter().filter(|(_, n)| n.children().contains(&of)).map(|(id, _)| *id).collect()
}

/// Returns the focused node, or its active descendant, which assistive technology follows.
fn focus(shell: &Headless) -> NodeId {
    let tree = tree(shell);
    node(tree, tree.focus).active_descendant().unwrap_or(tree.focus)
}

fn act_with(shell: &mut Headless, target_node: NodeId, action: Action, data: Option<ActionData>) {
    let request = ActionRequest { action, target_tree: TreeId::ROOT, target_node, data };
    shell.frame(vec![Event::AccessKitActionRequest(request)]);
}

fn act(shell: &mut Headless, role: Role, called: &str, action: Action, data: Option<ActionData>) {
    let target = find(shell, role, called).0;
    act_with(shell, target, action, data);
}

fn contains(outer: Rect, inner: Rect) -> bool {
    outer.x0 <= inner.x0 && outer.y0 <= inner.y0 && outer.x1 >= inner.x1 && outer.y1 >= inner.y1
}

#[test]
fn every_widget_has_its_properties_and_parent() {
    let shell = widgets();
    let (pane, outer) = find(&shell, Role::Pane, "Widgets");
    let outer = outer.bounds().expect("the pane has a place");
    let checkbox = find(&shell, Role::CheckBox, "Agree").1;
    assert_eq!((checkbox.toggled(), checkbox.is_disabled()), (Some(Toggled::False), false));
    let slider = find(&shell, Role::Slider, "Amount").1;
    assert_eq!(slider.numeric_value(), Some(0.0));
    assert_eq!((slider.min_numeric_value(), slider.max_numeric_value()), (Some(0.0), Some(100.0)));
    assert_eq!(slider.labelled_by(), [find(&shell, Role::Label, "Amount").0]);
    let field = find(&shell, Role::TextInput, "Name").1;
    assert_eq!((field.value().unwrap_or_default(), field.labelled_by().len()), ("", 1));
    assert_eq!(find(&shell, Role::ComboBox, "Colour").1.value(), Some("Red"));
    assert!(find(&shell, Role::Button, "Not yet").1.is_disabled());
    assert!(!find(&shell, Role::Button, "Save").1.is_disabled());
    let tree = tree(&shell);
    assert!(tree.nodes.iter().any(|(_, n)| n.role() == Role::ProgressIndicator));
    assert_eq!(find(&shell, Role::Label, "Saved 0 times").1.live(), Some(Live::Polite));

    // One tree: each node has one parent, and each referenced node exists.
    for (id, one) in &tree.nodes {
        let above = parents(tree, *id);
        assert_eq!(above.len(), usize::from(*id != root(tree)), "{one:?}");
        let pointed = one.children().iter().chain(one.labelled_by()).chain(one.controls());
        assert!(pointed.copied().all(|id| tree.nodes.iter().any(|(known, _)| *known == id)), "{one:?}");
    }
    for (role, called) in [
        (Role::CheckBox, "Agree"),
        (Role::Slider, "Amount"),
        (Role::TextInput, "Name"),
        (Role::Button, "Save"),
        (Role::Button, "Row 1"),
        (Role::Button, "In the window"),
    ] {
        let (mut at, found) = find(&shell, role, called);
        let place = found.bounds().expect("a widget has a place");
        assert!(contains(outer, place) && place.x1 > place.x0, "{called} at {place:?} is not within {outer:?}");
        while at != pane {
            at = parents(tree, at)[0];
            assert_ne!(at, root(tree), "{called} is not a descendant of the surface");
        }
    }
    let inside = parents(tree, find(&shell, Role::Button, "In the window").0)[0];
    assert_ne!(inside, pane, "a window of a remote has no node");
}

fn root(tree: &TreeUpdate) -> NodeId {
    tree.tree.as_ref().expect("a tree names its root").root
}

#[test]
fn accessibility_actions_equal_user_input() {
    let shell = &mut widgets();
    act(shell, Role::CheckBox, "Agree", Action::Click, None);
    shell.drive("it is ticked", |s| find(s, Role::CheckBox, "Agree").1.toggled() == Some(Toggled::True));

    let slider = find(shell, Role::Slider, "Amount").0;
    act_with(shell, slider, Action::SetValue, Some(ActionData::NumericValue(42.0)));
    shell.drive("it is 42", |s| shows(s, "Set to 42,"));
    assert_eq!(find(shell, Role::Slider, "Amount").1.numeric_value(), Some(42.0));
    act_with(shell, slider, Action::Increment, None);
    shell.drive("it is 43", |s| shows(s, "Set to 43,"));
    act_with(shell, slider, Action::Decrement, None);
    shell.drive("it is 42 again", |s| shows(s, "Set to 42,"));
    let progress = |s: &Headless| {
        let (_, bar) = tree(s).nodes.iter().find(|(_, n)| n.role() == Role::ProgressIndicator).expect("a bar");
        bar.numeric_value()
    };
    assert!(progress(shell).is_some_and(|value| (value - 42.0).abs() <= 1.0), "{:?}", progress(shell));

    act(shell, Role::ComboBox, "Colour", Action::Click, None);
    shell.drive("it opens", |s| {
        tree(s).nodes.iter().any(|(_, n)| n.role() == Role::Button && n.label() == Some("Green"))
    });
    act(shell, Role::Button, "Green", Action::Click, None);
    shell.drive("it is chosen", |s| find(s, Role::ComboBox, "Colour").1.value() == Some("Green"));

    act(shell, Role::Button, "In the window", Action::Click, None);
    act(shell, Role::Button, "Not yet", Action::Click, None);
    let status = find(shell, Role::Label, "Saved 0 times").0;
    act(shell, Role::Button, "Save", Action::Click, None);
    shell.drive("the live text has changed", |s| shows(s, "Saved 1 times"));
    let (again, node) = find(shell, Role::Label, "Saved 1 times");
    assert_eq!((again, node.live()), (status, Some(Live::Polite)), "the live text has another node");
}

#[test]
fn hidden_row_is_scrolled_into_view() {
    let shell = &mut widgets();
    let place = |s: &Headless, row: &str| find(s, Role::Button, row).1.bounds().expect("a place");
    let first = place(shell, "Row 0");
    // The list is 80 points high.
    let seen = |at: Rect| at.y1 > first.y0 && at.y0 < first.y0 + 80.0;
    assert!(!seen(place(shell, "Row 39")), "{:?}", place(shell, "Row 39"));
    act(shell, Role::Button, "Row 39", Action::ScrollIntoView, None);
    shell.drive("it is in view", |s| seen(place(s, "Row 39")));
    assert!(!seen(place(shell, "Row 0")));
    act(shell, Role::Button, "Row 39", Action::Click, None);
    shell.drive("it is pressed", |s| shows(s, "Pressed [39]"));
    let row = find(shell, Role::Button, "Row 39").0;
    act_with(shell, row, Action::ScrollUp, None);
    shell.drive("the list goes up", |s| !seen(place(s, "Row 39")));
}

#[test]
fn accessibility_focus_moves_the_keyboard() {
    let shell = &mut widgets();
    let field = find(shell, Role::TextInput, "Name").0;
    act_with(shell, field, Action::SetValue, Some(ActionData::Value("Ada".into())));
    shell.drive("it is set", |s| shows(s, "called \"Ada\""));
    assert_ne!(focus(shell), field);
    act_with(shell, field, Action::Focus, None);
    shell.drive("it has the focus", |s| focus(s) == field);
    assert_eq!(
        tree(shell).focus,
        find(shell, Role::Pane, "Widgets").0,
        "the window's focus is not the surface"
    );
    shell.frame(vec![Event::Text("!".into())]);
    shell.drive("it was typed there", |s| shows(s, "called \"Ada!\""));

    // The ends of a selection refer to nodes, too.
    let (_, node_) = find(shell, Role::TextInput, "Name");
    let run = node_.children().first().copied().expect("the field has a run of text");
    assert_eq!(node(tree(shell), run).role(), Role::TextRun);
    let at = |character_index| TextPosition { node: run, character_index };
    let selection = TextSelection { anchor: at(0), focus: at(3) };
    act_with(shell, field, Action::SetTextSelection, Some(ActionData::SetTextSelection(selection)));
    shell.drive("it is selected", |s| find(s, Role::TextInput, "Name").1.text_selection() == Some(&selection));
    act_with(shell, field, Action::ReplaceSelectedText, Some(ActionData::Value("Grace".into())));
    shell.drive("it is replaced", |s| shows(s, "called \"Grace!\""));

    act(shell, Role::Button, "Save", Action::Focus, None);
    let save = find(shell, Role::Button, "Save").0;
    shell.drive("the button has the focus", |s| focus(s) == save);
    for pressed in [true, false] {
        let (key, modifiers) = (Key::Space, Modifiers::NONE);
        shell.frame(vec![Event::Key { key, physical_key: None, pressed, repeat: false, modifiers }]);
    }
    shell.drive("it is pressed by key", |s| shows(s, "Saved 1 times"));
    // The focus moved inside the remote: its keyboard continues from there.
    for pressed in [true, false] {
        let (key, modifiers) = (Key::Tab, Modifiers::SHIFT);
        shell.frame(vec![Event::Key { key, physical_key: None, pressed, repeat: false, modifiers }]);
    }
    let combo = find(shell, Role::ComboBox, "Colour").0;
    shell.drive("Shift+Tab leads to the control before it", |s| focus(s) == combo);
}

#[test]
fn closed_surface_leaves_no_node() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&alias, "./panic-frame");
    shell.drive("it has failed", |shell| shell.slot_failure(&alias, "./panic-frame").is_some());
    shell.frame(Vec::new());
    assert!(!shell.screen().shows("The last good picture"), "its nodes are still in the tree");
}
