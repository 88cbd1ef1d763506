use egui::accesskit::{
    Node, NodeId, Rect as Bounds, Role, TextPosition, TextSelection, TreeId, TreeInfo, TreeUpdate,
};
use egui_kittest::kittest;
use proptest::prelude::*;

use super::super::tree;

fn sound(update: TreeUpdate) -> Option<TreeUpdate> {
    tree::sound(update, 20_000)
}

fn update(root: u64, nodes: Vec<(u64, Node)>) -> TreeUpdate {
    TreeUpdate {
        nodes: nodes.into_iter().map(|(id, node)| (NodeId(id), node)).collect(),
        tree: Some(TreeInfo::new(NodeId(root))),
        tree_id: TreeId::ROOT,
        focus: NodeId(root),
    }
}

fn node(role: Role, children: &[u64]) -> Node {
    let mut node = Node::new(role);
    node.set_children(children.iter().map(|id| NodeId(*id)).collect::<Vec<_>>());
    node
}

fn run(text: &str) -> Node {
    let mut node = Node::new(Role::TextRun);
    node.set_value(text);
    node.set_character_lengths(text.chars().map(|c| u8::try_from(c.len_utf8()).unwrap()).collect::<Vec<_>>());
    node.set_bounds(Bounds { x0: 0.0, y0: 0.0, x1: 9.0, y1: 9.0 });
    node
}

fn ids(update: &TreeUpdate) -> Vec<u64> {
    update.nodes.iter().map(|(id, _)| id.0).collect()
}

#[test]
fn good_tree_is_unchanged() {
    let mut field = node(Role::TextInput, &[3, 4]);
    let end = TextPosition { node: NodeId(4), character_index: 2 };
    field.set_text_selection(TextSelection { anchor: end, focus: end });
    let (mut first, mut second) = (run("Grä"), run("ce"));
    first.set_next_on_line(NodeId(4));
    second.set_previous_on_line(NodeId(3));
    let good = update(1, vec![(1, node(Role::Window, &[2])), (2, field), (3, first), (4, second)]);
    assert_eq!(sound(good.clone()), Some(good));
}

#[test]
fn number_that_is_not_finite_costs_its_property() {
    let mut slider = node(Role::Slider, &[]);
    slider.set_label("How many");
    slider.set_numeric_value(2.0);
    slider.set_max_numeric_value(f64::INFINITY);
    slider.set_bounds(Bounds { x0: 0.0, y0: 0.0, x1: f64::NAN, y1: 9.0 });
    let sent = serde_json::to_string(&update(1, vec![(1, node(Role::Window, &[2])), (2, slider)])).unwrap();
    let tree = tree::read(&sent, 100).unwrap();
    let slider = &tree.nodes[1].1;
    assert_eq!((slider.label(), slider.numeric_value()), (Some("How many"), Some(2.0)));
    assert_eq!((slider.max_numeric_value(), slider.bounds()), (None, None));
    for hostile in ["", "null", "{\"nodes\":", "{\"nodes\":null}", "{\"nodes\":[null,[]]}", "[[[]]]", "7"] {
        assert!(tree::read(hostile, 100).is_err(), "{hostile}");
    }
}

#[test]
fn trees_of_egui_are_unchanged() {
    let ctx = egui::Context::default();
    ctx.enable_accesskit();
    let mut text = "Größe\nand wörds that are wrapped when the field is narrow".to_owned();
    let mut last = None;
    for _ in 0..3 {
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            ui.heading("A heading");
            ui.horizontal(|ui| (ui.label("Name"), ui.button("Press"), ui.checkbox(&mut true, "On")));
            ui.add(egui::TextEdit::multiline(&mut text).desired_width(80.0)).request_focus();
            ui.collapsing("More", |ui| ui.label("hidden"));
        });
        output.textures_delta.clear();
        last = output.platform_output.accesskit_update;
    }
    let tree = last.unwrap();
    let by_id = |update: TreeUpdate| update.nodes.into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let sound = by_id(sound(tree.clone()).unwrap());
    assert!(sound.values().filter(|node| node.role() == Role::TextRun).count() > 3);
    assert_eq!(sound, by_id(tree));
}

#[test]
fn nodes_outside_of_the_tree_are_left_out() {
    let twice =
        vec![(1, node(Role::Window, &[2, 2, 3])), (2, node(Role::Group, &[3])), (3, node(Role::Label, &[]))];
    assert_eq!(ids(&sound(update(1, twice)).unwrap()), [1, 2, 3]);
    let circle = vec![(1, node(Role::Window, &[2])), (2, node(Role::Group, &[1, 2, 9]))];
    let circle = sound(update(1, circle)).unwrap();
    assert!(circle.nodes[1].1.children().is_empty(), "{circle:?}");
    let orphan = vec![(1, node(Role::Window, &[])), (2, node(Role::Label, &[]))];
    assert_eq!(ids(&sound(update(1, orphan)).unwrap()), [1]);
    assert!(sound(update(7, vec![(1, node(Role::Window, &[]))])).is_none());
    assert!(sound(TreeUpdate { tree: None, ..update(1, vec![(1, node(Role::Window, &[]))]) }).is_none());
    let deep = (0..5_000).map(|id| (id, node(Role::Group, &[id + 1]))).collect();
    assert!(sound(update(0, deep)).unwrap().nodes.len() < 500);
    let all: Vec<u64> = (1..90_000).collect();
    let wide = all.iter().map(|id| (*id, node(Role::Label, &[]))).chain([(0, node(Role::Window, &all))]);
    assert_eq!(sound(update(0, wide.collect())).unwrap().nodes.len(), 20_000);
}

#[test]
fn texts_of_a_tree_have_limits() {
    let long = |length: usize| {
        let mut label = node(Role::Label, &[]);
        label.set_label("ä".repeat(length));
        label
    };
    let all: Vec<u64> = (1..3_000).collect();
    let nodes = all.iter().map(|id| (*id, long(1_000_000 / 2_000)));
    let nodes: Vec<_> = nodes.chain([(0, node(Role::Window, &all)), (5_000, long(0))]).collect();
    let tree = sound(update(0, nodes)).unwrap();
    let bytes: usize = tree.nodes.iter().filter_map(|(_, node)| node.label()).map(str::len).sum();
    assert!(tree.nodes.len() == 3_000 && (500_000..=crate::limits::TREE_TEXT).contains(&bytes), "{bytes}");
    let tree = sound(update(1, vec![(1, long(1_000_000))])).unwrap();
    assert_eq!(tree.nodes[0].1.label().map(str::len), Some(crate::limits::LABEL));
}

#[test]
fn contradictory_text_becomes_a_label() {
    let mut short = run("Grä");
    short.set_character_lengths([1, 1, 1]);
    let mut around = run("round");
    around.set_next_on_line(NodeId(3));
    let mut field = node(Role::TextInput, &[2, 3]);
    let outside = TextPosition { node: NodeId(3), character_index: 6 };
    field.set_text_selection(TextSelection { anchor: outside, focus: outside });
    let tree = sound(update(1, vec![(1, field), (2, short), (3, around)])).unwrap();
    assert_eq!(tree.nodes[1].1.role(), Role::Label);
    assert_eq!((tree.nodes[2].1.role(), tree.nodes[2].1.next_on_line()), (Role::TextRun, None));
    assert_eq!(tree.nodes[0].1.text_selection(), None);
}

prop_compose! {
    fn some_node()(
        role in prop::sample::select(vec![Role::Group, Role::Label, Role::TextInput, Role::TextRun]),
        children in prop::collection::vec(0..8_u64, 0..4),
        value in prop::option::of("[aä€]{0,3}"),
        lengths in prop::option::of(prop::collection::vec(0..4_u8, 0..4)),
        bounded: bool,
        grafted in prop::bool::weighted(0.1),
        line in (prop::option::of(0..8_u64), prop::option::of(0..8_u64)),
        selection in prop::option::of((0..8_u64, 0..4_usize, 0..8_u64, 0..4_usize)),
    ) -> Node {
        // Most runs are leaves, so that some are sound.
        let mut made = match (&value, lengths) {
            (Some(text), None) if role == Role::TextRun => run(text),
            (_, lengths) => {
                let mut made = node(role, &children);
                made.set_character_lengths(lengths.unwrap_or_default());
                made
            }
        };
        if let Some(text) = value {
            made.set_value(text);
        }
        if bounded {
            made.set_bounds(Bounds { x0: 0.0, y0: 0.0, x1: 9.0, y1: 9.0 });
        }
        if grafted {
            made.set_tree_id(TreeId::ROOT);
        }
        if let Some(id) = line.0 {
            made.set_next_on_line(NodeId(id));
        }
        if let Some(id) = line.1 {
            made.set_previous_on_line(NodeId(id));
        }
        if let Some((anchor, from, focus, to)) = selection {
            made.set_text_selection(TextSelection {
                anchor: TextPosition { node: NodeId(anchor), character_index: from },
                focus: TextPosition { node: NodeId(focus), character_index: to },
            });
        }
        made
    }
}

/// Reads a whole tree, as assistive technology does; returns the number of nodes.
fn read(node: &kittest::AccessKitNode<'_>) -> usize {
    if node.supports_text_ranges() {
        let range = node.document_range();
        let mut text = String::new();
        range.write_text(&mut text).unwrap();
        for position in [range.start(), range.end()].into_iter().chain(node.text_selection_focus()) {
            let _ = (position.to_global_usv_index(), position.to_global_utf16_index());
            let _ = (position.forward_to_line_end(), position.backward_to_line_start());
        }
        let _ = range.bounding_boxes();
    }
    let _ = (node.label(), node.value());
    node.children().map(|child| read(&child)).sum::<usize>() + 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sound_trees_can_be_read(
        first in prop::collection::vec((0..8_u64, some_node()), 0..10),
        second in prop::collection::vec((0..8_u64, some_node()), 0..10),
    ) {
        let mut updates = [first, second].into_iter().filter_map(|nodes| sound(update(0, nodes)));
        if let Some(first) = updates.next() {
            let count = first.nodes.len();
            let mut state = kittest::State::new(first);
            prop_assert_eq!(read(&state.root()), count);
            for next in updates {
                state.update(next);
                read(&state.root());
            }
        }
    }
}
