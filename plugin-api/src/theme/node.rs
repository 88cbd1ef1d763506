//! Roles and names in the accessibility tree, for widgets that are painted by hand.

use egui::{Response, accesskit::Role};

/// Gives a widget its role and name, and whether it is selected where it can be.
pub fn describe(response: &Response, role: Role, name: &str, selected: Option<bool>) {
    response.widget_info(|| {
        #[cfg(not(feature = "egui-0-36"))]
        let info = egui::WidgetInfo::new(role);
        #[cfg(feature = "egui-0-36")]
        let info = egui::WidgetInfo::new(egui::WidgetType::Other);
        egui::WidgetInfo { label: Some(name.to_owned()), selected, ..info }
    });
    // That egui knows fewer roles than the tree has.
    #[cfg(feature = "egui-0-36")]
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_role(role);
        if role == Role::Label {
            node.set_value(name);
        }
    });
}

/// Replaces a control's name by one that tells it from others of the same text.
pub(super) fn rename(response: &Response, name: &str) {
    response.ctx.accesskit_node_builder(response.id, |node| node.set_label(name));
}
