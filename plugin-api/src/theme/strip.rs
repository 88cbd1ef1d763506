//! Strips: a remark above what it is about, with buttons to answer it.

use egui::{Frame, Label, Margin, RichText, Ui};

use super::{Tone, button::secondary_width, secondary, tokens};

/// Width below which the text of a strip does not fall, in points.
const NARROWEST: f32 = 120.0;

/// Shows a strip as wide as there is space, with buttons at the right; returns the index of the one that was pressed.
///
/// `text` is shown in what the buttons leave; it should be in [`Tone::ink`] at caption size.
/// Each of `buttons` has the role `Button`; Tab reaches them from left to right.
pub fn strip_ui(ui: &mut Ui, tone: Tone, text: impl FnOnce(&mut Ui), buttons: &[&str]) -> Option<usize> {
    let t = tokens(ui.ctx());
    let margin = Margin::symmetric(t.space[3] as i8, t.space[1] as i8);
    let strip = Frame::new().fill(tone.ground(&t)).inner_margin(margin);
    framed_ui(ui, strip, text, buttons)
}

/// Shows a sentence in a strip with round corners, for a remark inside a page; as [`strip_ui`].
///
/// The sentence has the role `Label`.
pub fn notice_ui(ui: &mut Ui, tone: Tone, sentence: &str, buttons: &[&str]) -> Option<usize> {
    let t = tokens(ui.ctx());
    let notice = Frame::new().fill(tone.ground(&t)).corner_radius(t.radius[1]).inner_margin(t.space[2]);
    framed_ui(ui, notice, |ui| strip_text_ui(ui, tone, sentence), buttons)
}

/// Shows a sentence as the text of a [`strip_ui`], in line with the buttons.
pub fn strip_text_ui(ui: &mut Ui, tone: Tone, sentence: &str) {
    let t = tokens(ui.ctx());
    ui.add_space((ui.spacing().interact_size.y - t.font_size[0] * 1.25) / 2.0);
    ui.add(Label::new(RichText::new(sentence).size(t.font_size[0]).color(tone.ink(&t))).wrap());
}

fn framed_ui(ui: &mut Ui, frame: Frame, text: impl FnOnce(&mut Ui), buttons: &[&str]) -> Option<usize> {
    let shown = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        let gap = ui.spacing().item_spacing.x;
        // The buttons are measured rather than laid out from the right, so that Tab goes from left to right.
        let answers: f32 = buttons.iter().map(|name| gap + secondary_width(ui, name)).sum();
        ui.horizontal_top(|ui| {
            let width = (ui.available_width() - answers).max(NARROWEST);
            ui.vertical(|ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = 0.0;
                text(ui);
            });
            let mut pressed = None;
            for (at, name) in buttons.iter().enumerate() {
                if ui.add(secondary(*name)).clicked() {
                    pressed = Some(at);
                }
            }
            pressed
        })
        .inner
    });
    shown.inner
}
