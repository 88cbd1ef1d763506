//! The accessibility tree of a window, in a form that tests can ask.

use std::{collections::BTreeMap, fmt};

use egui::{
    Pos2, Rect,
    accesskit::{Affine, Node, NodeId, Role, Toggled, TreeUpdate},
};

/// What a screen reader knows of the window.
pub(crate) struct Tree {
    /// The number of the frame.
    pub(crate) step: u64,
    /// In the order of the tree; the first is the window.
    items: Vec<Item>,
}

/// One element.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    /// Its label, or the text it shows.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) selected: bool,
    /// In points, from the left top of the window.
    pub(crate) bounds: Rect,
    depth: usize,
}

impl Tree {
    pub(super) fn new(step: u64, update: TreeUpdate) -> Self {
        let root = update.tree.map_or(NodeId(0), |tree| tree.root);
        let mut nodes: BTreeMap<NodeId, Node> = update.nodes.into_iter().collect();
        let mut items = Vec::new();
        // The root's own transform is the scale of pixels.
        let mut next = vec![(root, Affine::IDENTITY, 0)];
        while let Some((id, outer, depth)) = next.pop() {
            // Taken out: a node that two others claim is found once.
            let Some(node) = nodes.remove(&id) else { continue };
            let own = node.transform().filter(|_| depth > 0).map_or(Affine::IDENTITY, |t| *t);
            let transform = outer * own;
            next.extend(node.children().iter().rev().map(|child| (*child, transform, depth + 1)));
            items.push(Item::new(id, &node, transform, depth));
        }
        Self { step, items }
    }

    /// The first element of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// The first element whose name has all these parts.
    pub(crate) fn find_parts(&self, parts: &[&str]) -> Option<&Item> {
        self.items.iter().find(|item| parts.iter().all(|part| item.name.contains(part)))
    }

    /// All elements of this role.
    pub(crate) fn of_role(&self, role: Role) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.role == role)
    }

    /// Everything that stands below `parent` in the tree.
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
