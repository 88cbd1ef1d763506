//! The status bar: remotes by state, warnings of the plan, the theme.

use egui::{Align, Layout, RichText, Ui};
use plugin_api::{
    theme::{caption, color},
    tokens::Tokens,
};

use super::Shell;
use crate::federation::{Status, resolver::Severity};

impl Shell {
    pub(super) fn statusbar_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        let edge = ui.max_rect().expand2(egui::vec2(16.0, 5.0));
        ui.painter().hline(edge.x_range(), edge.top() + 0.5, egui::Stroke::new(1.0, color(t.border)));
        ui.horizontal(|ui| {
            let (mut active, mut failed, mut waiting) = (0, 0, 0);
            for entry in self.federation.entries().values() {
                match entry.status() {
                    Status::Active => active += 1,
                    Status::Failed(_) => failed += 1,
                    Status::Ready | Status::Starting => waiting += 1,
                }
            }
            let of =
                |n: usize, word: &str| format!("{n} {}{word}", if n == 1 { "remote " } else { "remotes " });
            ui.label(caption(t, of(active, "running")));
            if waiting > 0 {
                ui.label(caption(t, of(waiting, "waiting")));
            }
            if failed > 0 {
                ui.label(caption(t, of(failed, "not available")).color(color(t.danger)));
            }
            let warnings: Vec<_> = self
                .federation
                .plan()
                .diagnostics()
                .iter()
                .filter(|d| d.severity() == Severity::Warning)
                .collect();
            let problems = self.federation.problems();
            let count = warnings.len() + problems.len();
            if count > 0 {
                let text = format!("{count} {}", if count == 1 { "warning" } else { "warnings" });
                let lines =
                    warnings.iter().map(|d| d.message()).chain(problems.iter().map(|p| p.message.clone()));
                let hover = lines.collect::<Vec<_>>().join("\n\n");
                ui.label(caption(t, text).color(color(t.warning))).on_hover_text(hover);
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let text = RichText::new(format!("Theme: {}", self.state.theme.as_str())).size(t.font_size[0]);
                let button = egui::Button::new(text.color(color(t.text_weak))).frame(false);
                if ui.add(button).on_hover_text("System, light or dark").clicked() {
                    self.state.theme = self.state.theme.next();
                    ui.ctx().request_repaint();
                }
            });
        });
    }
}
