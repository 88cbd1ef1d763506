//! A remote's accessibility nodes in the shell's own tree.
//!
//! The window has one tree, and every egui context names its root alike.
//! So each node of a remote gets a name of its own here, becomes a descendant of the surface's pane, and stands
//! at its true place in the window; actions on it find their way back.

use std::collections::BTreeMap;

use egui::{
    Context, Id, Rect,
    accesskit::{ActionRequest, Node, NodeId, Rect as Bounds, Role, TreeId, TreeUpdate},
};

/// The nodes of one surface.
pub(super) struct Access {
    surface: u64,
    root: Option<NodeId>,
    focus: Option<NodeId>,
    nodes: Vec<(NodeId, Node)>,
    /// From the shell's names back to the remote's.
    back: BTreeMap<NodeId, NodeId>,
}

/// Whether somebody reads the tree of this window. Asked inside of a pass.
pub(super) fn is_enabled(ctx: &Context, pane: Id) -> bool {
    ctx.accesskit_node_builder(pane, |_| ()).is_some()
}

impl Access {
    pub(super) fn new(surface: u64) -> Self {
        Self { surface, root: None, focus: None, nodes: Vec::new(), back: BTreeMap::new() }
    }

    fn id(&self, foreign: NodeId) -> Id {
        Id::unique(("pulse.surface.node", self.surface, foreign.0))
    }

    /// Takes the tree of a new frame.
    pub(super) fn update(&mut self, tree: TreeUpdate) {
        self.root = tree.tree.map(|t| t.root).or(self.root);
        self.focus = Some(tree.focus).filter(|f| Some(*f) != self.root);
        self.nodes = tree.nodes;
        self.back = self.nodes.iter().map(|(id, _)| (self.id(*id).accesskit_id(), *id)).collect();
    }

    /// The request in the remote's terms, when it is for one of these nodes.
    pub(super) fn action(&self, request: &ActionRequest) -> Option<ActionRequest> {
        let target_node = *self.back.get(&request.target_node)?;
        Some(ActionRequest { target_node, target_tree: TreeId::ROOT, ..request.clone() })
    }

    /// Puts the nodes below the surface's pane, for this pass.
    pub(super) fn show(&self, ctx: &Context, pane: Id, slot: Rect, name: &str, focused: bool) {
        let map = |id: NodeId| self.id(id).accesskit_id();
        let known = |id: &NodeId| self.back.contains_key(&map(*id));
        let root = self.nodes.iter().find(|(id, _)| Some(*id) == self.root);
        let top: Vec<NodeId> = root
            .map(|(_, n)| n.children().iter().copied().filter(known).map(map).collect())
            .unwrap_or_default();
        let shown = ctx.accesskit_node_builder(pane, |node| {
            node.set_role(Role::Pane);
            node.set_label(name);
            node.set_bounds(bounds(slot));
            node.set_children(top);
            match self.focus.filter(|f| focused && known(f)) {
                Some(focus) => node.set_active_descendant(map(focus)),
                None => node.clear_active_descendant(),
            }
        });
        if shown.is_none() {
            return;
        }
        let origin = slot.min.to_vec2();
        for (id, node) in self.nodes.iter().filter(|(id, _)| Some(*id) != self.root) {
            let mut node = node.clone();
            rewrite(&mut node, &map, &known);
            if let Some(b) = node.bounds() {
                let (x, y) = (f64::from(origin.x), f64::from(origin.y));
                node.set_bounds(Bounds { x0: b.x0 + x, y0: b.y0 + y, x1: b.x1 + x, y1: b.y1 + y });
            }
            ctx.accesskit_node_builder(self.id(*id), |n| *n = node);
        }
        // Each of them was made a child of the window as well, for want of a parent that egui knows.
        ctx.accesskit_node_builder(egui::accesskit_root_id(), |n| {
            let kept: Vec<_> = n.children().iter().copied().filter(|c| !self.back.contains_key(c)).collect();
            n.set_children(kept);
        });
    }
}

fn bounds(r: Rect) -> Bounds {
    Bounds { x0: r.min.x.into(), y0: r.min.y.into(), x1: r.max.x.into(), y1: r.max.y.into() }
}

/// Renames every node that `node` points to, and drops what points to nodes that there are not.
fn rewrite(node: &mut Node, map: &dyn Fn(NodeId) -> NodeId, known: &dyn Fn(&NodeId) -> bool) {
    macro_rules! lists {
        ($($get:ident $set:ident $clear:ident),*) => {$(
            if !node.$get().is_empty() {
                let ids: Vec<NodeId> = node.$get().iter().copied().filter(|id| known(id)).map(|id| map(id)).collect();
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
                if known(&id) { node.$set(map(id)) } else { node.$clear() }
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
        if known(&selection.anchor.node) && known(&selection.focus.node) {
            selection.anchor.node = map(selection.anchor.node);
            selection.focus.node = map(selection.focus.node);
            node.set_text_selection(selection);
        } else {
            node.clear_text_selection();
        }
    }
}
