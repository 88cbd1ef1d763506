//! Roles and names in the accessibility tree, for widgets that are painted by hand.

use egui::{Response, accesskit::Role};

/// Sets the role and name of a widget; `selected` is `None` for a widget that cannot be selected.
pub fn describe(response: &Response, role: Role, name: &str, selected: Option<bool>) {
    response.widget_info(|| {
        #[cfg(not(feature = "egui-0-36"))]
        let info = egui::WidgetInfo::new(role);
        #[cfg(feature = "egui-0-36")]
        let info = egui::WidgetInfo::new(egui::WidgetType::Other);
        egui::WidgetInfo { label: Some(name.to_owned()), selected, ..info }
    });
    // egui 0.36 knows fewer roles than the tree has.
    #[cfg(feature = "egui-0-36")]
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_role(role);
        if role == Role::Label {
            node.set_value(name);
        }
    });
}

/// Replaces a control's name by one that distinguishes it from others with the same text.
pub(super) fn rename(response: &Response, name: &str) {
    response.ctx.accesskit_node_builder(response.id, |node| node.set_label(name));
}
