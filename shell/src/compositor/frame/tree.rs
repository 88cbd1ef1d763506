//! Sanitising of remotes' accessibility trees.
//!
//! Readers of the window's tree trust its shape: a node with two parents, or a line of text that leads back to
//! itself, would end or hang the shell. Unsound parts are left out, and the rest is shown.

use std::collections::BTreeMap;

use egui::accesskit::{Node, NodeId, Role, TreeUpdate};
use serde_json::Value;

use crate::limits::{DEPTH, LABEL, TREE_TEXT};

/// Returns the sound part of the tree in `json`, at most `room` nodes, or the reason why it cannot be used.
pub(super) fn read(json: &str, room: usize) -> Result<TreeUpdate, String> {
    let update = serde_json::from_str(json)
        .or_else(|e| without_nulls(json).ok_or(e))
        .map_err(|e| format!("it cannot be parsed: {e}"))?;
    sound(update, room).ok_or_else(|| "it has no root".to_owned())
}

/// Returns the tree in `json` without properties that contain `null`: JSON's form of NaN and infinite numbers, which
/// toolkits do send (as the size of something endless).
fn without_nulls(json: &str) -> Option<TreeUpdate> {
    fn has_no_null(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(values) => values.iter().all(has_no_null),
            Value::Object(values) => values.values().all(has_no_null),
            _ => true,
        }
    }
    let mut update: Value = serde_json::from_str(json).ok()?;
    for node in update.get_mut("nodes")?.as_array_mut()? {
        if let Some(Value::Object(properties)) = node.pointer_mut("/1/properties") {
            properties.retain(|_, value| has_no_null(value));
        }
    }
    serde_json::from_value(update).ok()
}

/// Returns the part of `update` that is a tree of at most `limit` nodes; `None` if its root is missing.
///
/// The nodes are in reading order.
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
        // A node belongs to the first parent that names it.
        let free = if depth < DEPTH { limit.saturating_sub(nodes.len() + open.len() + 1) } else { 0 };
        let children = node.children().iter();
        let below: Vec<_> =
            children.filter_map(|child| Some((*child, found.remove(child)?, depth + 1))).take(free).collect();
        if below.len() < node.children().len() {
            node.set_children(below.iter().map(|(child, ..)| *child).collect::<Vec<_>>());
        }
        // Other trees must not be grafted in.
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

/// Cuts the texts of a node that are too long to be read out, and returns the bytes of all its texts.
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
        // A run of text with a cut value becomes a label.
        node.set_value(value);
    }
    length
}

/// Returns `true` if a run of text has the position of each of its characters.
fn is_run(node: &Node) -> bool {
    let Some(text) = node.value() else { return false };
    let lengths = node.character_lengths();
    let mut end = 0;
    let valid = lengths.iter().all(|length| {
        end += usize::from(*length);
        *length > 0 && text.is_char_boundary(end)
    });
    let as_many = |numbers: Option<&[f32]>| numbers.is_none_or(|numbers| numbers.len() == lengths.len());
    valid
        && end == text.len()
        && as_many(node.character_positions())
        && as_many(node.character_widths())
        && node.bounds().is_some()
        && node.children().is_empty()
}

/// Drops references of text runs to other nodes, in the wrong direction, or beyond their end.
fn check_text(nodes: &mut [(NodeId, Node)]) {
    // Index in reading order, and number of characters.
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
