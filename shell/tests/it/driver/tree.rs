//! The accessibility tree of a window, in a form that tests can query.

use std::{collections::BTreeMap, fmt};

use egui::{
    Pos2, Rect,
    accesskit::{Affine, Node, NodeId, Role, Toggled, TreeUpdate},
};

/// The accessibility tree of the window.
pub(crate) struct Tree {
    /// Number of the frame.
    pub(crate) step: u64,
    /// Elements in the order of the tree; the first is the window.
    items: Vec<Item>,
}

/// An element of the window.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    /// Label, or else the shown text.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) selected: bool,
    /// Bounds in points, from the window's top left corner.
    pub(crate) bounds: Rect,
    depth: usize,
}

impl Tree {
    pub(super) fn new(step: u64, update: TreeUpdate) -> Self {
        let root = update.tree.map_or(NodeId(0), |tree| tree.root);
        let mut nodes: BTreeMap<NodeId, Node> = update.nodes.into_iter().collect();
        let mut items = Vec::new();
        // The root's transform is the scale of pixels, which points do not have.
        let mut next = vec![(root, Affine::IDENTITY, 0)];
        while let Some((id, outer, depth)) = next.pop() {
            // Removed, so that a node with two parents is listed once.
            let Some(node) = nodes.remove(&id) else { continue };
            let own = node.transform().filter(|_| depth > 0).map_or(Affine::IDENTITY, |t| *t);
            let transform = outer * own;
            next.extend(node.children().iter().rev().map(|child| (*child, transform, depth + 1)));
            items.push(Item::new(id, &node, transform, depth));
        }
        Self { step, items }
    }

    /// Returns the first element with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// Returns the first element whose name has all these parts.
    pub(crate) fn find_parts(&self, parts: &[&str]) -> Option<&Item> {
        self.items.iter().find(|item| parts.iter().all(|part| item.name.contains(part)))
    }

    /// Returns all elements with this role.
    pub(crate) fn of_role(&self, role: Role) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.role == role)
    }

    /// Returns the descendants of `parent`.
    pub(crate) fn below(&self, parent: &Item) -> impl Iterator<Item = &Item> {
        let from =
            self.items.iter().position(|item| item.id == parent.id).map_or(self.items.len(), |at| at + 1);
        let depth = parent.depth;
        self.items[from..].iter().take_while(move |item| item.depth > depth)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in self.items.iter().filter(|item| !item.name.is_empty()) {
            writeln!(
                f,
                "{:depth$}{:?} {:?} {:?}",
                "",
                item.role,
                item.name,
                item.bounds,
                depth = 2 * item.depth
            )?;
        }
        Ok(())
    }
}

impl Item {
    fn new(id: NodeId, node: &Node, transform: Affine, depth: usize) -> Self {
        let bounds = node.bounds().map_or(Rect::NOTHING, |bounds| {
            let b = transform.transform_rect_bbox(bounds);
            Rect::from_min_max(Pos2::new(b.x0 as f32, b.y0 as f32), Pos2::new(b.x1 as f32, b.y1 as f32))
        });
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            id,
            role: node.role(),
            name: text(node.label().or(node.value())),
            description: text(node.description()),
            selected: node.toggled() == Some(Toggled::True),
            bounds,
            depth,
        }
    }
}
