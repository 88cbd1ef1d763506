//! Text in the kit's weights, and text that is painted on one line.

use std::sync::Arc;

use egui::{
    Align2, Color32, FontId, Galley, Label, Pos2, Rect, Response, RichText, Ui,
    text::{LayoutJob, TextWrapping},
};

use super::{color, strong_font, tokens};
use crate::tokens::Tokens;

/// Returns semi-bold text in the primary colour at `size` points.
pub fn strong(tokens: &Tokens, text: impl Into<String>, size: f32) -> RichText {
    RichText::new(text).font(strong_font(size)).color(color(tokens.text))
}

/// Returns secondary text at caption size.
pub fn caption(tokens: &Tokens, text: impl Into<String>) -> RichText {
    RichText::new(text).size(tokens.font_size[0]).color(color(tokens.text_weak))
}

/// Shows a line of [`caption`] text; a text that is too long is cut, and shown completely on hover.
///
/// Role `Label`.
pub fn caption_ui(ui: &mut Ui, text: impl Into<String>) -> Response {
    let t = tokens(ui.ctx());
    ui.add(Label::new(caption(&t, text)).truncate())
}

/// Lays `text` out on one line, with an ellipsis if it is wider than `width` points.
pub fn line(ui: &Ui, text: impl Into<String>, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.into(), font, color);
    job.wrap = TextWrapping::truncate_at_width(width.max(0.0));
    ui.fonts_mut(|fonts| fonts.layout_job(job))
}

/// Paints a galley with its `anchor` at `at`, aligned to pixels so that it stays sharp; returns its place.
pub fn put(ui: &Ui, galley: Arc<Galley>, anchor: Align2, at: Pos2, color: Color32) -> Rect {
    let rect = anchor.anchor_size(at, galley.size());
    let pixels = ui.pixels_per_point();
    let min = (rect.min.to_vec2() * pixels).round() / pixels;
    ui.painter().galley(min.to_pos2(), galley, color);
    rect
}

/// Capitalises an error's text, which is lower case because it follows a colon elsewhere.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
