//! The status bar: remotes by state, warnings of the plan, loaded leftovers, the last message, messages, the theme.

use egui::{Align, Layout, Ui};
use plugin_api::{
    theme::{Tone, caption, caption_ui, color, quiet},
    tokens::Tokens,
};

use super::{Shell, inspector::Inspector};
use crate::federation::Status;

impl Shell {
    pub(super) fn statusbar_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        let edge = ui.max_rect().expand2(egui::vec2(16.0, 5.0));
        ui.painter().hline(edge.x_range(), edge.top() + 0.5, egui::Stroke::new(1.0, color(t.border)));
        ui.horizontal(|ui| {
            let (mut active, mut failed, mut off, mut starting, mut ready, mut absent) = (0, 0, 0, 0, 0, 0);
            for entry in self.federation.remotes().values() {
                match entry.status() {
                    Status::Active => active += 1,
                    Status::Failed(_) | Status::Hung => failed += 1,
                    Status::Disabled(_) => off += 1,
                    Status::Starting => starting += 1,
                    Status::Ready => ready += 1,
                    Status::NotFetched => absent += 1,
                }
            }
            // A narrow window shows only the most important parts.
            let narrow = ui.available_width() < 420.0;
            let remotes = if active == 1 { "remote" } else { "remotes" };
            let running =
                if narrow { format!("{active} running") } else { format!("{active} {remotes} running") };
            let mut pressed = (!narrow || failed == 0) && ui.add(quiet(caption(t, running))).clicked();
            let others =
                [(starting, "starting"), (ready, "not loaded"), (absent, "not downloaded"), (off, "disabled")];
            for (count, word) in others {
                if count > 0 && !narrow {
                    pressed |= ui.add(quiet(caption(t, format!("{count} {word}")))).clicked();
                }
            }
            if failed > 0 {
                let text = Tone::Danger.caption(t, format!("{failed} not available"));
                pressed |= ui.add(quiet(text)).clicked();
            }
            let count =
                self.federation.negotiator().warnings().len() + self.federation.negotiator().problems().len();
            if count > 0 && !narrow {
                let text = format!("{count} {}", if count == 1 { "warning" } else { "warnings" });
                pressed |= ui.add(quiet(Tone::Warning.caption(t, text))).clicked();
            }
            let kept = self.federation.retiring().leaked().len();
            if kept > 0 && !narrow {
                let text = Tone::Warning.caption(t, format!("{kept} still loaded"));
                let button = ui.add(quiet(text));
                pressed |= button
                    .on_hover_text("Stopped, but still loaded until Pulse exits; see the inspector")
                    .clicked();
            }
            if pressed {
                self.inspector.toggle();
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let text = caption(t, format!("Theme: {}", self.state.theme.as_str()));
                if ui.add(quiet(text)).on_hover_text("System, light or dark").clicked() {
                    self.state.theme = self.state.theme.next();
                    ui.ctx().request_repaint();
                }
                let unread = self.messages.unread();
                let count = if unread > 0 { format!(" ({unread})") } else { String::new() };
                let tone = if unread > 0 { Tone::Accent } else { Tone::Neutral };
                let text = tone.caption(t, format!("Messages{count}"));
                if ui.add(quiet(text)).on_hover_text("All messages since Pulse started").clicked() {
                    let shown = self.inspector == Inspector::Messages;
                    self.inspector = if shown { Inspector::Closed } else { Inspector::Messages };
                }
                if let Some(last) = self.last.as_ref().filter(|_| !narrow) {
                    // Fills the rest of the line.
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| caption_ui(ui, last));
                }
            });
        });
    }
}
