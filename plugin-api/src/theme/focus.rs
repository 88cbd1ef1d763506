//! The ring that shows the keyboard focus.

use egui::{CornerRadius, Response, Stroke, StrokeKind, Ui};

use super::{color, tokens};

/// Width of the ring, and of the gap between it and a control, in points.
const WIDTH: f32 = 2.0;

/// Paints the ring around a control while it has the keyboard focus.
///
/// For controls that are painted by hand: those of egui and of this kit have a ring.
/// `Outside` leaves a gap around the control, which needs four points of space; `Inside` is for rows that touch.
pub fn focus_ring(ui: &Ui, response: &Response, radius: impl Into<CornerRadius>, kind: StrokeKind) {
    if !response.has_focus() {
        return;
    }
    let gap = if kind == StrokeKind::Outside { WIDTH } else { 0.0 };
    // Near the edge of a panel or scroll area, the ring is closer to the control instead of cut.
    let seen = ui.clip_rect().shrink(if kind == StrokeKind::Outside { WIDTH } else { 0.0 });
    let ring = Stroke::new(WIDTH, color(tokens(ui.ctx()).accent));
    let rect = response.rect.expand(gap).intersect(seen);
    if rect.is_positive() {
        ui.painter().rect_stroke(rect, radius, ring, kind);
    }
}
