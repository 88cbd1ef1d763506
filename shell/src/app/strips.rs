//! Strips at the top of the window: how the last run ended, and that remotes are left out.

use egui::{Align, Label, Layout, RichText, Ui};
use plugin_api::{theme::color, tokens::Tokens};

use super::Shell;
use crate::data::run_marker::{RunMarker, Unclean};

/// This run, and the last one if it did not end well and nobody has said that they know.
pub(super) struct Runs {
    marker: Option<RunMarker>,
    unclean: Option<Unclean>,
    running: Vec<String>,
}

impl Runs {
    pub(super) fn new(marker: RunMarker, unclean: Option<Unclean>) -> Self {
        Self { marker: Some(marker), unclean, running: Vec::new() }
    }

    /// Writes down which remotes run, when others do than before.
    pub(super) fn note(&mut self, running: &[&str]) {
        if self.running.iter().eq(running.iter().copied()) {
            return;
        }
        self.running = running.iter().map(|name| (*name).to_owned()).collect();
        if let Some(marker) = &mut self.marker {
            marker.running(running);
        }
    }

    /// This run ends well.
    pub(super) fn end(&mut self) {
        if let Some(marker) = self.marker.take() {
            marker.end();
        }
    }
}

impl Shell {
    /// The strips that there are.
    pub(super) fn strips_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        ui.spacing_mut().item_spacing.y = 0.0;
        let safe = self.federation.inventory().is_safe_mode();
        if let Some(unclean) = &self.runs.unclean {
            let ran = match unclean.running.as_slice() {
                [] => String::new(),
                names => format!(" Running at the time: {}.", names.join(", ")),
            };
            let text = format!("Pulse closed unexpectedly.{ran}");
            let buttons: &[&str] = if safe { &["Dismiss"] } else { &["Start without remotes", "Dismiss"] };
            if let Some(pressed) = strip_ui(ui, t, |ui| line_ui(ui, t, &text), buttons) {
                self.runs.unclean = None;
                if buttons[pressed] != "Dismiss" {
                    self.federation.set_safe_mode(true);
                }
                ui.ctx().request_repaint();
            }
        }
        if safe {
            let text = "Safe mode: remotes stay off until you enable them.";
            if strip_ui(ui, t, |ui| line_ui(ui, t, text), &["Enable all"]).is_some() {
                self.federation.set_safe_mode(false);
                ui.ctx().request_repaint();
            }
        }
    }

    /// Whether there are strips.
    pub(super) fn has_strips(&self) -> bool {
        self.runs.unclean.is_some() || self.federation.inventory().is_safe_mode()
    }
}

fn line_ui(ui: &mut Ui, t: &Tokens, text: &str) {
    // As high as the text of the buttons beside it.
    ui.add_space((ui.spacing().interact_size.y - t.font_size[0] * 1.25) / 2.0);
    ui.add(Label::new(RichText::new(text).size(t.font_size[0]).color(color(t.warning))).wrap());
}

/// Amber, as wide as there is space, with buttons at the right; which of them was pressed.
pub(super) fn strip_ui(ui: &mut Ui, t: &Tokens, text: impl FnOnce(&mut Ui), buttons: &[&str]) -> Option<usize> {
    let margin = egui::Margin::symmetric(t.space[3] as i8, t.space[1] as i8);
    let strip = egui::Frame::new().fill(color(t.warning_weak)).inner_margin(margin);
    ui.spacing_mut().item_spacing.y = 0.0;
    let strip = strip.show(ui, |ui| {
        ui.set_width(ui.available_width());
        let mut pressed = None;
        ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
            for (at, name) in buttons.iter().enumerate().rev() {
                if ui.button(*name).clicked() {
                    pressed = Some(at);
                }
            }
            let width = (ui.available_width() - t.space[1]).max(120.0);
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                ui.set_width(width);
                text(ui);
            });
        });
        pressed
    });
    strip.inner
}
