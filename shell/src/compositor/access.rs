//! Accessibility nodes of remotes in the shell's own tree.
//!
//! The window has one tree, and every egui context gives its root the same id.
//! Each node of a remote therefore gets a new id here, becomes a descendant of the surface's pane, and is moved to
//! its position in the window; actions on it are translated back.

use std::collections::BTreeMap;

use egui::{
    Context, Id, Rect, Vec2,
    accesskit::{ActionData, ActionRequest, Affine, Node, NodeId, Rect as Bounds, Role, TreeId, TreeUpdate},
};

use crate::catalogue::Code;

/// Nodes of one surface, under the shell's ids.
pub(super) struct Access {
    surface: u64,
    /// Children of the surface's pane.
    top: Vec<NodeId>,
    focus: Option<NodeId>,
    /// All nodes but the root, which the pane replaces; in slot coordinates.
    nodes: Vec<(Id, Node)>,
    /// The shell's ids, with the remote's.
    back: BTreeMap<NodeId, NodeId>,
    /// An unreadable tree has been logged.
    logged: bool,
}

/// Returns `true` if a client reads the tree of this window. Must be called inside of a pass.
pub(super) fn is_enabled(ctx: &Context, pane: Id) -> bool {
    ctx.accesskit_node_builder(pane, |_| ()).is_some()
}

impl Access {
    pub(super) fn new(surface: u64) -> Self {
        Self { surface, top: Vec::new(), focus: None, nodes: Vec::new(), back: BTreeMap::new(), logged: false }
    }

    /// Replaces the nodes by a new frame's. An unreadable tree leaves the pane empty rather than stale, and is logged
    /// once.
    pub(super) fn take(&mut self, remote: &str, tree: Result<TreeUpdate, String>) {
        match tree {
            Ok(tree) => self.update(tree),
            Err(fault) => {
                if !self.logged {
                    tracing::warn!(
                        remote,
                        code = Code::TreeUnreadable.as_str(),
                        "the surface is shown, but screen readers find nothing in it, because its accessibility tree \
                         was not usable: {fault}; report this to the plugin's author"
                    );
                }
                *self = Self { logged: true, ..Self::new(self.surface) };
            }
        }
    }

    fn update(&mut self, tree: TreeUpdate) {
        let root = tree.tree.map(|tree| tree.root);
        let name = |foreign: NodeId| Id::unique(("pulse.surface.node", self.surface, foreign.0));
        let names: BTreeMap<NodeId, Id> =
            tree.nodes.iter().filter(|(id, _)| Some(*id) != root).map(|(id, _)| (*id, name(*id))).collect();
        let map = |id: NodeId| names.get(&id).map(Id::accesskit_id);
        self.top.clear();
        self.focus = map(tree.focus);
        self.nodes.clear();
        for (id, mut node) in tree.nodes {
            if Some(id) == root {
                self.top = node.children().iter().filter_map(|child| map(*child)).collect();
                continue;
            }
            if id == tree.focus {
                // The pane can name only one node: the focused node's own active descendant.
                self.focus = node.active_descendant().and_then(map).or(self.focus);
            }
            rewrite(&mut node, &map);
            self.nodes.push((names[&id], node));
        }
        self.back = names.into_iter().map(|(foreign, id)| (id.accesskit_id(), foreign)).collect();
    }

    /// Translates a request to the remote's ids; `None` if it is for another node.
    pub(super) fn action(&self, request: &ActionRequest) -> Option<ActionRequest> {
        let target_node = *self.back.get(&request.target_node)?;
        let mut data = request.data.clone();
        if let Some(ActionData::SetTextSelection(selection)) = &mut data {
            selection.anchor.node = *self.back.get(&selection.anchor.node)?;
            selection.focus.node = *self.back.get(&selection.focus.node)?;
        }
        Some(ActionRequest { action: request.action, target_node, target_tree: TreeId::ROOT, data })
    }

    /// Puts the nodes below the surface's pane, for this pass.
    pub(super) fn show(&self, ctx: &Context, pane: Id, slot: Rect, name: &str, focused: bool) {
        let shown = ctx.accesskit_node_builder(pane, |node| {
            node.set_role(Role::Pane);
            node.set_label(name);
            node.set_bounds(bounds(slot));
            node.set_children(self.top.clone());
            // egui gives the focus to the pane; readers of the tree take the active descendant for the focus.
            match self.focus.filter(|_| focused) {
                Some(focus) => node.set_active_descendant(focus),
                None => node.clear_active_descendant(),
            }
        });
        if shown.is_none() {
            return;
        }
        for (id, node) in &self.nodes {
            let mut node = node.clone();
            move_by(&mut node, slot.min.to_vec2());
            ctx.accesskit_node_builder(*id, |n| *n = node);
        }
        // egui knows no parent of these nodes, and has made each a child of the window as well.
        ctx.accesskit_node_builder(egui::accesskit_root_id(), |n| {
            let kept: Vec<_> = n.children().iter().copied().filter(|c| !self.back.contains_key(c)).collect();
            n.set_children(kept);
        });
    }
}

/// Moves a node from slot coordinates to those of the window.
fn move_by(node: &mut Node, origin: Vec2) {
    let (x, y) = (f64::from(origin.x), f64::from(origin.y));
    if let Some(b) = node.bounds() {
        node.set_bounds(Bounds { x0: b.x0 + x, y0: b.y0 + y, x1: b.x1 + x, y1: b.y1 + y });
    }
    if let Some(own) = node.transform() {
        // Descendants have been moved before this transform applies to them, so it moves them back first.
        let moved = Affine::translate((x, y)) * *own * Affine::translate((-x, -y));
        node.set_transform(moved);
    }
}

fn bounds(r: Rect) -> Bounds {
    Bounds { x0: r.min.x.into(), y0: r.min.y.into(), x1: r.max.x.into(), y1: r.max.y.into() }
}

/// Maps all references of `node` to the shell's ids, and drops those to missing nodes.
fn rewrite(node: &mut Node, map: &dyn Fn(NodeId) -> Option<NodeId>) {
    macro_rules! lists {
        ($($get:ident $set:ident $clear:ident),*) => {$(
            if !node.$get().is_empty() {
                let ids: Vec<NodeId> = node.$get().iter().filter_map(|id| map(*id)).collect();
                if ids.is_empty() { node.$clear() } else { node.$set(ids) }
            }
        )*};
    }
    lists!(
        children set_children clear_children,
        controls set_controls clear_controls,
        details set_details clear_details,
        described_by set_described_by clear_described_by,
        flow_to set_flow_to clear_flow_to,
        labelled_by set_labelled_by clear_labelled_by,
        owns set_owns clear_owns,
        radio_group set_radio_group clear_radio_group
    );
    macro_rules! singles {
        ($($get:ident $set:ident $clear:ident),*) => {$(
            if let Some(id) = node.$get() {
                match map(id) { Some(id) => node.$set(id), None => node.$clear() }
            }
        )*};
    }
    singles!(
        active_descendant set_active_descendant clear_active_descendant,
        error_message set_error_message clear_error_message,
        in_page_link_target set_in_page_link_target clear_in_page_link_target,
        member_of set_member_of clear_member_of,
        next_on_line set_next_on_line clear_next_on_line,
        previous_on_line set_previous_on_line clear_previous_on_line,
        popup_for set_popup_for clear_popup_for
    );
    if let Some(mut selection) = node.text_selection().copied() {
        match (map(selection.anchor.node), map(selection.focus.node)) {
            (Some(anchor), Some(focus)) => {
                (selection.anchor.node, selection.focus.node) = (anchor, focus);
                node.set_text_selection(selection);
            }
            _ => node.clear_text_selection(),
        }
    }
}
