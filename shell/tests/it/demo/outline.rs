//! Outlines of accessibility trees without the ids of nodes. If two outlines are equal, a screen reader cannot
//! distinguish the trees.

use std::collections::BTreeMap;

use egui::accesskit::{Node, NodeId, Role, TreeUpdate};
use serde_json::Value;

/// Number of lines of a difference to show.
const SHOWN: usize = 12;

/// A line for each node, in the order of the tree, with all properties.
#[derive(PartialEq)]
pub(super) struct Outline(Vec<String>);

impl Outline {
    /// Outlines the window.
    pub(super) fn of_window(update: &TreeUpdate) -> Self {
        let root = update.tree.as_ref().map(|tree| tree.root);
        Self::below(update, root, Some(update.focus))
    }

    /// Outlines the surface with this name.
    pub(super) fn of_surface(update: &TreeUpdate, name: &str) -> Self {
        let pane = |node: &Node| node.role() == Role::Pane && node.label() == Some(name);
        let Some((id, node)) = update.nodes.iter().find(|(_, node)| pane(node)) else { return Self(vec![]) };
        // The window's focus is the surface; its active descendant is the focus inside.
        Self::below(update, Some(*id), node.active_descendant().or(Some(update.focus)))
    }

    fn below(update: &TreeUpdate, top: Option<NodeId>, focus: Option<NodeId>) -> Self {
        let nodes: BTreeMap<NodeId, &Node> = update.nodes.iter().map(|(id, node)| (*id, node)).collect();
        let children = |id: NodeId, depth: usize| {
            let children = nodes.get(&id).map(|node| node.children()).unwrap_or_default();
            children.iter().rev().map(move |child| (*child, depth))
        };
        let mut order = Vec::new();
        let mut next: Vec<_> = top.into_iter().flat_map(|top| children(top, 0)).collect();
        while let Some((id, depth)) = next.pop() {
            // Screen readers skip generic containers, and a surface has one more of them.
            let groups = nodes.get(&id).is_some_and(|node| node.role() == Role::GenericContainer);
            if !groups {
                order.push((id, depth));
            }
            next.extend(children(id, depth + usize::from(!groups)));
        }
        // Replace references to nodes by the nodes' roles and names.
        let called = |id: u64| {
            let node = nodes.get(&NodeId(id))?;
            Some(format!("→ {:?} {}", node.role(), node.label().or(node.value()).unwrap_or_default()))
        };
        let line = |(id, depth): (NodeId, usize)| {
            let Some(node) = nodes.get(&id) else { return "a missing node".to_owned() };
            let mut value = serde_json::to_value(node).expect("a node is plain data");
            if let Some(properties) = value["properties"].as_object_mut() {
                properties.remove("children");
                // JSON has null for NaN, and a host omits such numbers.
                properties.retain(|_, value| !value.is_null());
            }
            rename(&mut value, &called);
            let focused = if Some(id) == focus { "focused " } else { "" };
            format!("{:depth$}{focused}{:?} {value}", "", node.role(), depth = 2 * depth)
        };
        Self(order.into_iter().map(line).collect())
    }

    /// Returns `true` if the outline has no nodes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Describes the lines that only one of both outlines has.
    pub(super) fn difference(&self, other: &Self) -> String {
        let only = |here: &Self, there: &Self| {
            let missing = here.0.iter().filter(|line| !there.0.contains(line));
            missing.take(SHOWN).flat_map(|line| ["\n      ", line.as_str()]).collect::<String>()
        };
        let counts = (self.0.len(), other.0.len());
        format!(
            "nodes: {counts:?}\n    only plain:{}\n    only surface:{}",
            only(self, other),
            only(other, self)
        )
    }
}

/// Replaces every id of a node, which `called` knows, by the node's description, and rounds other numbers.
fn rename(value: &mut Value, called: &dyn Fn(u64) -> Option<String>) {
    match value {
        Value::Number(number) => {
            if let Some(name) = number.as_u64().and_then(called) {
                *value = name.into();
            } else if number.is_f64() {
                // Sums of small and large numbers differ in the last digits, and so do numbers written as text.
                *value = ((number.as_f64().unwrap_or_default() * 1000.0).round() / 1000.0).into();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, called)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, called)),
        _ => {}
    }
}
