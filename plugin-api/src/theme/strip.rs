//! Strips: a remark above its subject, with buttons to answer it.

use egui::{Frame, InnerResponse, Label, Margin, Ui};

use super::{Button, Tone, tokens};

/// Width of a strip under which its buttons are below its text, in points.
const NARROW: f32 = 480.0;

/// Shows a strip of the available width; returns the index of the button that was pressed.
///
/// `text` should be in [`Tone::caption`]. The buttons are to the right of it, or below it in a narrow place, and Tab
/// visits them from left to right.
pub fn strip_ui(
    ui: &mut Ui,
    tone: Tone,
    text: impl FnOnce(&mut Ui),
    buttons: impl IntoIterator<Item = Button>,
) -> Option<usize> {
    let t = tokens(ui.ctx());
    let margin = Margin::symmetric(t.space[3] as i8, t.space[1] as i8);
    framed_strip_ui(ui, Frame::new().fill(tone.ground(&t)).inner_margin(margin), text, buttons).inner
}

/// Shows a [`strip_ui`] of one sentence with round corners, for a remark inside a page.
///
/// The sentence has the role `Label`.
pub fn notice_ui(
    ui: &mut Ui,
    tone: Tone,
    sentence: &str,
    buttons: impl IntoIterator<Item = Button>,
) -> Option<usize> {
    let t = tokens(ui.ctx());
    let frame = Frame::new().fill(tone.ground(&t)).corner_radius(t.radius[1]).inner_margin(t.space[2]);
    framed_strip_ui(ui, frame, |ui| strip_text_ui(ui, tone, sentence), buttons).inner
}

/// Shows a sentence as the text of a [`strip_ui`], in line with buttons of the height of a control.
pub fn strip_text_ui(ui: &mut Ui, tone: Tone, sentence: &str) {
    let t = tokens(ui.ctx());
    ui.add_space(((ui.spacing().interact_size.y - t.font_size[0] * 1.25) / 2.0).max(0.0));
    ui.add(Label::new(tone.caption(&t, sentence)).wrap());
}

/// Shows a [`strip_ui`] in a frame of another look.
pub fn framed_strip_ui(
    ui: &mut Ui,
    frame: Frame,
    text: impl FnOnce(&mut Ui),
    buttons: impl IntoIterator<Item = Button>,
) -> InnerResponse<Option<usize>> {
    let buttons: Vec<_> = buttons.into_iter().collect();
    frame.show(ui, |ui| {
        let whole = ui.available_width();
        ui.set_width(whole);
        // The buttons are measured rather than laid out from the right, so that Tab visits them from left to right.
        let gap = ui.spacing().item_spacing.x;
        let answers: f32 = buttons.iter().map(|button| gap + button.width(ui)).sum();
        let answer = |ui: &mut Ui| {
            let pressed = buttons
                .into_iter()
                .enumerate()
                .filter_map(|(at, button)| ui.add(button).clicked().then_some(at));
            pressed.last()
        };
        if whole < NARROW {
            ui.scope(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                // Nothing is alongside the text.
                ui.spacing_mut().interact_size.y = 0.0;
                text(ui);
            });
            return ui.horizontal_wrapped(answer).inner;
        }
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                ui.set_width(whole - answers);
                ui.spacing_mut().item_spacing.y = 0.0;
                text(ui);
            });
            answer(ui)
        })
        .inner
    })
}
