//! The status bar: remotes by state, warnings of the plan, what stays in memory, the last event, the theme.

use egui::{Align, Layout, RichText, Ui};
use plugin_api::{
    theme::{caption, color},
    tokens::Tokens,
};

use super::{
    Shell,
    parts::{line_ui, quiet_button_ui},
};
use crate::federation::Status;

impl Shell {
    pub(super) fn statusbar_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        let edge = ui.max_rect().expand2(egui::vec2(16.0, 5.0));
        ui.painter().hline(edge.x_range(), edge.top() + 0.5, egui::Stroke::new(1.0, color(t.border)));
        ui.horizontal(|ui| {
            let (mut active, mut failed, mut off, mut waiting) = (0, 0, 0, 0);
            for entry in self.federation.entries().values() {
                match entry.status() {
                    Status::Active => active += 1,
                    Status::Failed(_) | Status::Hung => failed += 1,
                    Status::Off(_) => off += 1,
                    Status::Ready | Status::Starting => waiting += 1,
                }
            }
            let of =
                |n: usize, word: &str| format!("{n} {}{word}", if n == 1 { "remote " } else { "remotes " });
            let mut pressed = quiet_button_ui(ui, caption(t, of(active, "running"))).clicked();
            if waiting > 0 {
                pressed |= quiet_button_ui(ui, caption(t, of(waiting, "waiting"))).clicked();
            }
            if off > 0 {
                pressed |= quiet_button_ui(ui, caption(t, of(off, "disabled"))).clicked();
            }
            if failed > 0 {
                let text = caption(t, of(failed, "not available")).color(color(t.danger));
                pressed |= quiet_button_ui(ui, text).clicked();
            }
            let count = self.federation.all_warnings().len() + self.federation.problems().len();
            if count > 0 {
                let text = format!("{count} {}", if count == 1 { "warning" } else { "warnings" });
                pressed |= quiet_button_ui(ui, caption(t, text).color(color(t.warning))).clicked();
            }
            let kept = self.federation.kept().len();
            if kept > 0 {
                let text = caption(t, format!("{kept} kept in memory")).color(color(t.warning));
                let button = quiet_button_ui(ui, text);
                pressed |=
                    button.on_hover_text("Code of remotes that have ended; the inspector says why").clicked();
            }
            if pressed {
                self.inspector.toggle();
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let text = RichText::new(format!("Theme: {}", self.state.theme.as_str())).size(t.font_size[0]);
                if quiet_button_ui(ui, text.color(color(t.text_weak)))
                    .on_hover_text("System, light or dark")
                    .clicked()
                {
                    self.state.theme = self.state.theme.next();
                    ui.ctx().request_repaint();
                }
                if let Some(last) = &self.last {
                    // What is left of the line.
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| line_ui(ui, t, last));
                }
            });
        });
    }
}
