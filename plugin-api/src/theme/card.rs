//! Cards: a ground for content that belongs together.

use egui::{CursorIcon, Frame, Id, Rect, Response, Sense, Stroke, StrokeKind, Ui, accesskit::Role};

use super::{color, describe, focus_ring, tokens};
use crate::tokens::Tokens;

/// Returns the frame of a card.
pub fn card(tokens: &Tokens) -> Frame {
    Frame::new()
        .fill(color(tokens.card))
        .stroke(Stroke::new(1.0, color(tokens.border)))
        .corner_radius(tokens.radius[1])
        .inner_margin(tokens.space[3])
}

/// Shows `content` in a card of the available width.
pub fn card_ui<R>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> R) -> R {
    let wide = |ui: &mut Ui| {
        ui.set_width(ui.available_width());
        content(ui)
    };
    card(&tokens(ui.ctx())).show(ui, wide).inner
}

/// Paints a card's ground and border at `rect`, for content that is placed by hand.
pub fn paint_card(ui: &Ui, rect: Rect) {
    let t = tokens(ui.ctx());
    let border = Stroke::new(1.0, color(t.border));
    ui.painter().rect(rect, t.radius[1], color(t.card), border, StrokeKind::Inside);
}

/// Makes `rect` a card that can be chosen, one of several; the caller paints its content over it.
///
/// Role `RadioButton`, called `name` and selected or not. Tab reaches each card, Space and Enter press it.
pub fn choice_card(ui: &Ui, rect: Rect, id: Id, name: &str, selected: bool) -> Response {
    let t = tokens(ui.ctx());
    let response = ui.interact(rect, id, Sense::click());
    describe(&response, Role::RadioButton, name, Some(selected));
    let (ground, border) = match (selected, response.hovered()) {
        (true, _) => (t.card, Stroke::new(1.5, color(t.accent))),
        (false, true) => (t.hover, Stroke::new(1.0, color(t.border_strong))),
        (false, false) => (t.card, Stroke::new(1.0, color(t.border))),
    };
    ui.painter().rect(rect, t.radius[1], color(ground), border, StrokeKind::Inside);
    focus_ring(ui, &response, t.radius[1], StrokeKind::Outside);
    response.on_hover_cursor(CursorIcon::PointingHand)
}
