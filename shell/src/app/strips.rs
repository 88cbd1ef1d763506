//! Strips at the top of the window: an unclean end of the last run, safe mode, and overridden remotes.

use egui::Ui;
use plugin_api::theme::{Tone, secondary, strip_text_ui, strip_ui};

use super::Shell;
use crate::data::run_marker::{RunMarker, Unclean};

/// This run, and the last one if it was not shut down properly, until the user dismisses that.
pub(super) struct Runs {
    marker: Option<RunMarker>,
    unclean: Option<Unclean>,
    running: Vec<String>,
}

impl Runs {
    pub(super) fn new(marker: RunMarker, unclean: Option<Unclean>) -> Self {
        Self { marker: Some(marker), unclean, running: Vec::new() }
    }

    /// Records the running remotes when they have changed.
    pub(super) fn note(&mut self, running: &[&str]) {
        if self.running.iter().eq(running.iter().copied()) {
            return;
        }
        self.running = running.iter().map(|name| (*name).to_owned()).collect();
        if let Some(marker) = &mut self.marker {
            marker.running(running);
        }
    }

    /// Records that this run was shut down properly.
    pub(super) fn end(&mut self) {
        if let Some(marker) = self.marker.take() {
            marker.end();
        }
    }
}

impl Shell {
    /// Shows the strips.
    pub(super) fn strips_ui(&mut self, ui: &mut Ui) {
        ui.spacing_mut().item_spacing.y = 0.0;
        let safe = self.federation.inventory().is_safe_mode();
        if let Some(unclean) = &self.runs.unclean {
            let ran = match unclean.running.as_slice() {
                [] => String::new(),
                names => format!(" Running at the time: {}.", names.join(", ")),
            };
            let text = format!("Pulse closed unexpectedly.{ran}");
            let buttons: &[&'static str] =
                if safe { &["Dismiss"] } else { &["Start without remotes", "Dismiss"] };
            if let Some(pressed) = remark(ui, &text, buttons) {
                self.runs.unclean = None;
                if buttons[pressed] != "Dismiss" {
                    self.federation.set_safe_mode(true);
                }
                ui.ctx().request_repaint();
            }
        }
        if safe {
            let text = "Safe mode: remotes stay off until you enable them.";
            if remark(ui, text, &["Enable all"]).is_some() {
                self.federation.set_safe_mode(false);
                ui.ctx().request_repaint();
            }
        }
        self.overrides_ui(ui);
    }

    /// Returns `true` if there are strips.
    pub(super) fn has_strips(&self) -> bool {
        let inventory = self.federation.inventory();
        self.runs.unclean.is_some() || inventory.is_safe_mode() || inventory.overridden().next().is_some()
    }
}

/// Shows a warning with buttons; returns the one that was pressed.
pub(super) fn remark(ui: &mut Ui, text: &str, buttons: &[&'static str]) -> Option<usize> {
    strip_ui(
        ui,
        Tone::Warning,
        |ui| strip_text_ui(ui, Tone::Warning, text),
        buttons.iter().copied().map(secondary),
    )
}
