//! The heads of a table's columns.

use egui::{
    Align, Align2, Color32, CursorIcon, FontId, Id, Pos2, Rect, Response, Sense, Shape, Stroke, StrokeKind, Ui,
    Vec2,
    accesskit::{Role, SortDirection},
    pos2,
};

use super::{color, describe, focus_ring, line, put, strong_font, tokens};

/// The head of a column by which rows can be sorted.
#[derive(Clone, Copy, Debug)]
pub struct ColumnHead<'a> {
    /// Accessible name.
    pub name: &'a str,
    /// Visible text: the name, or a shorter form of it.
    pub text: &'a str,
    /// Side at which the column's cells end.
    pub align: Align,
    /// Order of the rows, if they are sorted by this column.
    pub sorted: Option<SortDirection>,
}

/// Shows a head at `rect`; a click on it requests the rows in its order, or in the opposite one.
///
/// Role `Button`, with the order as sort direction and in words as description.
/// Tab reaches it, Space and Enter press it.
pub fn head_ui(ui: &Ui, rect: Rect, id: Id, head: ColumnHead<'_>) -> Response {
    let t = tokens(ui.ctx());
    let response = ui.interact(rect, id, Sense::click());
    describe(&response, Role::Button, head.name, None);
    if let Some(direction) = head.sorted {
        let spoken = match direction {
            SortDirection::Ascending => "sorted, smallest first",
            SortDirection::Descending => "sorted, largest first",
            SortDirection::Other => "sorted",
        };
        response.ctx.accesskit_node_builder(response.id, |node| {
            node.set_sort_direction(direction);
            node.set_description(spoken);
        });
    }
    let sorted = head.sorted.is_some();
    let ink = color(if sorted || response.hovered() { t.text } else { t.text_weak });
    let size = t.font_size[0];
    let font = if sorted { strong_font(size) } else { FontId::proportional(size) };
    let galley = line(ui, head.text, font, ink, rect.width());
    let (anchor, at, outward) = match head.align {
        Align::Min => (Align2::LEFT_CENTER, rect.left_center(), 1.0),
        Align::Center => (Align2::CENTER_CENTER, rect.center(), 1.0),
        Align::Max => (Align2::RIGHT_CENTER, rect.right_center(), -1.0),
    };
    let text = put(ui, galley, anchor, at, ink);
    if let Some(direction) = head.sorted {
        let edge = if outward > 0.0 { text.right() } else { text.left() };
        let center = pos2(edge + outward * t.space[1], text.center().y);
        let up = direction == SortDirection::Ascending;
        ui.painter().add(triangle(center, size * 0.58, up, color(t.accent)));
    }
    focus_ring(ui, &response, t.radius[0], StrokeKind::Outside);
    response.on_hover_cursor(CursorIcon::PointingHand)
}

/// Returns a triangle that points up or down, `size` points wide around `center`; independent of fonts.
pub fn triangle(center: Pos2, size: f32, up: bool, color: Color32) -> Shape {
    let half = size / 2.0;
    let tip = if up { -half } else { half } * 0.85;
    let points =
        vec![center + Vec2::new(-half, -tip), center + Vec2::new(half, -tip), center + Vec2::new(0.0, tip)];
    Shape::convex_polygon(points, color, Stroke::NONE)
}
