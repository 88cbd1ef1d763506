//! Pills: labels for a state, of a word or two.

use egui::{Align2, CornerRadius, FontId, Response, Sense, Ui, accesskit::Role, vec2};

use super::{Tone, describe, line, put, tokens};
use crate::tokens::Tokens;

/// Returns the height of a pill, in points.
pub fn pill_height(t: &Tokens) -> f32 {
    t.font_size[0] + 14.0
}

/// Returns the width of a pill with its complete text, in points.
pub fn pill_width(ui: &Ui, text: &str) -> f32 {
    let t = tokens(ui.ctx());
    let font = FontId::proportional(t.font_size[0]);
    line(ui, text, font, Tone::Neutral.ink(&t), f32::INFINITY).size().x + 2.0 * t.space[2]
}

/// Shows a pill; a text that is wider than the available space is cut, and shown completely on hover.
///
/// Role `Label`. Tab does not reach it; see [`pill_button`](super::pill_button) for a pill with a focus.
pub fn pill_ui(ui: &mut Ui, text: &str, tone: Tone) -> Response {
    let t = tokens(ui.ctx());
    let (height, padding, ink) = (pill_height(&t), t.space[2], tone.ink(&t));
    let room = ui.available_width() - 2.0 * padding;
    let galley = line(ui, text, FontId::proportional(t.font_size[0]), ink, room);
    let size = vec2(galley.size().x + 2.0 * padding, height);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    describe(&response, Role::Label, text, None);
    ui.painter().rect_filled(rect, CornerRadius::same((height / 2.0) as u8), tone.ground(&t));
    let cut = galley.elided;
    put(ui, galley, Align2::CENTER_CENTER, rect.center(), ink);
    if cut { response.on_hover_text(text) } else { response }
}
