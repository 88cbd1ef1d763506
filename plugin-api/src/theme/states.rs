//! States of a panel without content: loading, empty, failed.

use egui::{
    Align, CornerRadius, Frame, Label, Layout, Rect, Response, RichText, ScrollArea, Sense, Stroke, Ui,
    UiBuilder,
    accesskit::{Live, Role},
    lerp, pos2, vec2,
};

use super::{Tone, caption, card, card_ui, color, describe, strong, strong_font, text::sentence, tokens};

/// Height of a progress bar, in points.
const PROGRESS: f32 = 6.0;

/// Height of a card's buttons before they are measured, in points.
const BUTTONS: f32 = 40.0;

/// Minimum height of the scrolling part of a card, in points.
const LOWEST: f32 = 48.0;

/// Shows an empty state, with a hint on what the user can do, in a card of the available width.
///
/// Both texts have the role `Label`.
pub fn empty_ui(ui: &mut Ui, title: &str, hint: &str) {
    let t = tokens(ui.ctx());
    card_ui(ui, |ui| {
        ui.vertical_centered(|ui| {
            ui.add_space(t.space[5]);
            ui.label(strong(&t, title, t.font_size[2]));
            ui.label(RichText::new(hint).color(color(t.text_weak)));
            ui.add_space(t.space[5]);
        });
    });
}

/// A failure, for [`error_ui`].
#[derive(Clone, Copy, Debug)]
pub struct ErrorState<'a> {
    /// Summary in the user's terms: "The flights could not be loaded".
    pub title: &'a str,
    /// Cause, place and remedy. Its first letter may be lower case, as in errors.
    pub message: &'a str,
    /// Stable code, for a search or a report.
    pub code: &'a str,
}

/// Shows a failure in a card of the available width, above its `buttons` in a row.
///
/// The texts have the role `Label`, and the title is announced when it appears. The message can be marked and copied.
pub fn error_ui<R>(ui: &mut Ui, error: ErrorState<'_>, buttons: impl FnOnce(&mut Ui) -> R) -> R {
    let t = tokens(ui.ctx());
    let shown = toned(ui, Tone::Danger).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = t.space[1];
        let title = RichText::new(error.title).font(strong_font(t.font_size[2])).color(color(t.danger));
        let title = ui.add(Label::new(title).wrap());
        ui.ctx().accesskit_node_builder(title.id, |node| node.set_live(Live::Polite));
        let message = RichText::new(sentence(error.message)).color(color(t.text));
        ui.add(Label::new(message).wrap().selectable(true));
        ui.label(caption(&t, format!("Code: {}", error.code)));
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = t.space[1];
            buttons(ui)
        })
        .inner
    });
    shown.inner
}

/// Returns the place for a card of at most `width` points in the middle of `area`.
pub fn middle(area: Rect, width: f32) -> Rect {
    let half = width.min(area.width() - 32.0).max(200.0) / 2.0;
    // A low area is used completely.
    let top = area.top() + if area.height() < 480.0 { 16.0 } else { area.height() * 0.22 };
    let center = area.center().x;
    Rect::from_min_max(pos2(center - half, top), pos2(center + half, area.bottom() - 16.0))
}

/// Shows a card at `place`, usually in the [`middle`], instead of the content: `body`, which scrolls in a low place,
/// and `buttons`, which always stay visible.
///
/// Sets no name or role; returns the result of `buttons`.
pub fn middle_card_ui<R>(
    ui: &mut Ui,
    tone: Tone,
    place: Rect,
    body: impl FnOnce(&mut Ui),
    buttons: impl FnOnce(&mut Ui) -> R,
) -> R {
    let t = tokens(ui.ctx());
    let frame = toned(ui, tone);
    let builder = UiBuilder::new().max_rect(place).layout(Layout::top_down(Align::Min));
    ui.scope_builder(builder, |ui| {
        let margin = if place.height() < 300.0 { t.space[2] } else { t.space[4] };
        frame.inner_margin(margin).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = t.space[2];
            let id = ui.make_persistent_id("buttons");
            let known: f32 = ui.data(|data| data.get_temp(id)).unwrap_or(BUTTONS);
            let most = (ui.available_height() - known - 2.0 * margin).max(LOWEST);
            ScrollArea::vertical().max_height(most).auto_shrink([false, true]).show(ui, |ui| {
                // Leaves space for the scroll bar.
                ui.set_max_width(ui.available_width() - t.space[1]);
                body(ui);
            });
            let top = ui.cursor().top();
            let result = buttons(ui);
            let used = ui.min_rect().bottom() - top;
            if (used - known).abs() > 0.5 {
                ui.data_mut(|data| data.insert_temp(id, used));
                ui.ctx().request_repaint();
            }
            result
        })
    })
    .inner
    .inner
}

/// Paints a placeholder in the place of content that is loading.
pub fn placeholder(ui: &Ui, rect: Rect) {
    let t = tokens(ui.ctx());
    let ground = color(t.border).gamma_multiply(0.6);
    ui.painter().rect_filled(rect, t.radius[0], ground);
}

/// Shows progress as a bar of the available width; `fraction` is from 0 to 1.
///
/// Role `ProgressIndicator`, called `name`, with the fraction as value.
pub fn progress_ui(ui: &mut Ui, name: &str, fraction: f32) -> Response {
    let t = tokens(ui.ctx());
    let fraction = fraction.clamp(0.0, 1.0);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), PROGRESS), Sense::hover());
    describe(&response, Role::ProgressIndicator, name, None);
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_min_numeric_value(0.0);
        node.set_max_numeric_value(1.0);
        node.set_numeric_value(f64::from(fraction));
    });
    let radius = CornerRadius::same((PROGRESS / 2.0) as u8);
    ui.painter().rect_filled(rect, radius, color(t.border));
    let done = rect.with_max_x(lerp(rect.x_range(), fraction));
    if done.width() >= 1.0 {
        ui.painter().rect_filled(done, radius, color(t.accent));
    }
    response
}

/// Returns the frame of a card whose border has the colour of `tone`.
fn toned(ui: &Ui, tone: Tone) -> Frame {
    let t = tokens(ui.ctx());
    let frame = card(&t);
    if tone == Tone::Neutral { frame } else { frame.stroke(Stroke::new(1.0, tone.ink(&t))) }
}
