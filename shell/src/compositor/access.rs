//! A remote's accessibility nodes in the shell's own tree.
//!
//! The window has one tree, and every egui context names its root alike.
//! So each node of a remote gets a name of its own here, becomes a descendant of the surface's pane, and stands
//! at its true place in the window; actions on it find their way back.

use std::collections::BTreeMap;

use egui::{
    Context, Id, Rect, Vec2,
    accesskit::{ActionData, ActionRequest, Affine, Node, NodeId, Rect as Bounds, Role, TreeId, TreeUpdate},
};

use crate::catalogue::Code;

/// The nodes of one surface, under the shell's names for them.
pub(super) struct Access {
    surface: u64,
    /// What stands directly below the surface's pane.
    top: Vec<NodeId>,
    focus: Option<NodeId>,
    /// All but the root, whose place the pane has; in slot coordinates.
    nodes: Vec<(Id, Node)>,
    /// From the shell's names back to the remote's.
    back: BTreeMap<NodeId, NodeId>,
    /// It was said that a tree cannot be read.
    told: bool,
}

/// Whether somebody reads the tree of this window. Asked inside of a pass.
pub(super) fn is_enabled(ctx: &Context, pane: Id) -> bool {
    ctx.accesskit_node_builder(pane, |_| ()).is_some()
}

impl Access {
    pub(super) fn new(surface: u64) -> Self {
        Self { surface, top: Vec::new(), focus: None, nodes: Vec::new(), back: BTreeMap::new(), told: false }
    }

    /// Takes what a new frame has of the tree: with one that cannot be read the pane stands alone rather than with
    /// what was there before, which is told of once.
    pub(super) fn take(&mut self, remote: &str, tree: Result<TreeUpdate, String>) {
        match tree {
            Ok(tree) => self.update(tree),
            Err(fault) => {
                if !self.told {
                    tracing::warn!(
                        remote,
                        code = Code::TreeUnreadable.as_str(),
                        "the surface is shown, but screen readers find nothing in it, because its accessibility tree \
                         was not usable: {fault}; report this to the plugin's author"
                    );
                }
                *self = Self { told: true, ..Self::new(self.surface) };
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
                // The pane can point to one node only, so it is the one that this would point to.
                self.focus = node.active_descendant().and_then(map).or(self.focus);
            }
            rewrite(&mut node, &map);
            self.nodes.push((names[&id], node));
        }
        self.back = names.into_iter().map(|(foreign, id)| (id.accesskit_id(), foreign)).collect();
    }

    /// The request in the remote's terms, when it is for one of these nodes.
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
            // The keyboard is the pane's for egui; whoever reads the tree takes this for what has the focus.
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
        // Each of them was made a child of the window as well, for want of a parent that egui knows.
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
        // Everything below has been moved before it is transformed, so it is moved back first.
        let moved = Affine::translate((x, y)) * *own * Affine::translate((-x, -y));
        node.set_transform(moved);
    }
}

fn bounds(r: Rect) -> Bounds {
    Bounds { x0: r.min.x.into(), y0: r.min.y.into(), x1: r.max.x.into(), y1: r.max.y.into() }
}

/// Renames every node that `node` points to, and drops what points to nodes that there are not.
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
