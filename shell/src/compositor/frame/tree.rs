//! Accessibility trees of remotes, made sound.
//!
//! Whoever reads the window's tree trusts its shape: a node with two parents, or a line of text that leads back
//! to itself, would end or hang the shell. What is not sound is left out, and the rest is shown.

use std::collections::BTreeMap;

use egui::accesskit::{Node, NodeId, Role, TreeUpdate};
use serde_json::Value;

use crate::limits::{DEPTH, LABEL, TREE_TEXT};

/// Returns what is sound of the tree in `json`, at most `room` nodes of it, or why nothing is.
pub(super) fn read(json: &str, room: usize) -> Result<TreeUpdate, String> {
    let update = serde_json::from_str(json)
        .or_else(|e| without_nulls(json).ok_or(e))
        .map_err(|e| format!("it was not understood: {e}"))?;
    sound(update, room).ok_or_else(|| "it has no root".to_owned())
}

/// The tree in `json` without those properties that have `null` in them: what JSON has in place of numbers that are
/// none or infinite, which toolkits do have (the size of something endless).
fn without_nulls(json: &str) -> Option<TreeUpdate> {
    fn is_whole(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(values) => values.iter().all(is_whole),
            Value::Object(values) => values.values().all(is_whole),
            _ => true,
        }
    }
    let mut update: Value = serde_json::from_str(json).ok()?;
    for node in update.get_mut("nodes")?.as_array_mut()? {
        if let Some(Value::Object(properties)) = node.pointer_mut("/1/properties") {
            properties.retain(|_, value| is_whole(value));
        }
    }
    serde_json::from_value(update).ok()
}

/// Returns the part of `update` that is a tree of at most `limit` nodes below its root; `None` when it names no root that
/// is there.
///
/// The nodes stand in the order in which they are read.
pub(super) fn sound(update: TreeUpdate, limit: usize) -> Option<TreeUpdate> {
    let root = update.tree.as_ref()?.root;
    let mut found = BTreeMap::new();
    for (id, node) in update.nodes {
        found.entry(id).or_insert(node);
    }
    let mut nodes: Vec<(NodeId, Node)> = Vec::new();
    let mut open = vec![(root, found.remove(&root)?, 0)];
    let mut text = 0;
    while let Some((id, mut node, depth)) = open.pop() {
        text += cut(&mut node);
        if text > TREE_TEXT {
            node.clear_label();
            node.clear_description();
            node.clear_value();
        }
        // The first parent that names a node has it.
        let free = if depth < DEPTH { limit.saturating_sub(nodes.len() + open.len() + 1) } else { 0 };
        let children = node.children().iter();
        let below: Vec<_> =
            children.filter_map(|child| Some((*child, found.remove(child)?, depth + 1))).take(free).collect();
        if below.len() < node.children().len() {
            node.set_children(below.iter().map(|(child, ..)| *child).collect::<Vec<_>>());
        }
        // Trees of others are not grafted in.
        node.clear_tree_id();
        if node.role() == Role::TextRun && !is_run(&node) {
            node.set_role(Role::Label);
        }
        nodes.push((id, node));
        open.extend(below.into_iter().rev());
    }
    check_text(&mut nodes);
    Some(TreeUpdate { nodes, ..update })
}

/// Cuts the texts of a node that are too long to be read out, and returns the bytes of all.
fn cut(node: &mut Node) -> usize {
    let mut length = 0;
    let mut short = |text: Option<&str>| {
        let text = text?;
        let end = text.floor_char_boundary(LABEL);
        length += end;
        (end < text.len()).then(|| text[..end].to_owned())
    };
    if let Some(label) = short(node.label()) {
        node.set_label(label);
    }
    if let Some(description) = short(node.description()) {
        node.set_description(description);
    }
    if let Some(value) = short(node.value()) {
        // A run of text whose value is cut is a label from here on.
        node.set_value(value);
    }
    length
}

/// Whether a run of text says of each of its characters where it is.
fn is_run(node: &Node) -> bool {
    let Some(text) = node.value() else { return false };
    let lengths = node.character_lengths();
    let mut end = 0;
    let whole = lengths.iter().all(|length| {
        end += usize::from(*length);
        *length > 0 && text.is_char_boundary(end)
    });
    let as_many = |numbers: Option<&[f32]>| numbers.is_none_or(|numbers| numbers.len() == lengths.len());
    whole
        && end == text.len()
        && as_many(node.character_positions())
        && as_many(node.character_widths())
        && node.bounds().is_some()
        && node.children().is_empty()
}

/// Drops what leads from a run of text to something else, backwards, or outside of it.
fn check_text(nodes: &mut [(NodeId, Node)]) {
    // Place in the order of reading, and number of characters.
    let runs: BTreeMap<NodeId, (usize, usize)> = nodes
        .iter()
        .enumerate()
        .filter(|(_, (_, node))| node.role() == Role::TextRun)
        .map(|(at, (id, node))| (*id, (at, node.character_lengths().len())))
        .collect();
    for (at, (_, node)) in nodes.iter_mut().enumerate() {
        let place = |id: Option<NodeId>| id.map(|id| runs.get(&id).map(|(at, _)| *at));
        let run = node.role() == Role::TextRun;
        if place(node.next_on_line()).is_some_and(|next| !run || next.is_none_or(|next| next <= at)) {
            node.clear_next_on_line();
        }
        if place(node.previous_on_line()).is_some_and(|previous| !run || previous.is_none_or(|p| p >= at)) {
            node.clear_previous_on_line();
        }
        let inside = |position: egui::accesskit::TextPosition| {
            runs.get(&position.node).is_some_and(|(_, characters)| position.character_index <= *characters)
        };
        if node.text_selection().is_some_and(|s| !inside(s.anchor) || !inside(s.focus)) {
            node.clear_text_selection();
        }
    }
}
