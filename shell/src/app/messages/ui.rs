//! Messages in the window: notices, and the list.

use egui::{Color32, Label, Rect, Ui, Vec2, accesskit::Live};
use plugin_api::{
    theme::{Button, Tone, caption, card_ui, color, copy_ui, framed_strip_ui, small, strong},
    tokens::Tokens,
};

use super::{Message, Messages, Press, Weight};
use crate::{
    app::parts::{ago, code_ui, message_ui},
    failure::sentence,
};

/// The most notices that are shown at a time; a line counts the others.
const SHOWN: usize = 2;

/// The most lines of a notice's text; the list shows all of it.
const LINES: usize = 3;

impl Messages {
    /// Shows the newest notices, as wide as there is space, and returns the pressed button's effect.
    pub(in crate::app) fn notices_ui(&mut self, ui: &mut Ui, t: &Tokens) -> Option<Press> {
        let notices = self.list.iter().filter(|message| message.notice).count();
        let (mut pressed, mut dismissed) = (None, None);
        for message in self.list.iter().rev().filter(|message| message.notice).take(SHOWN) {
            let (press, dismiss) = message.notice_ui(ui, t);
            if press.is_some() || dismiss {
                dismissed = Some(message.id);
            }
            pressed = press.or(pressed);
        }
        if notices > SHOWN {
            ui.horizontal(|ui| {
                ui.add_space(t.space[3]);
                ui.label(caption(t, format!("{} more", notices - SHOWN)));
                if ui.add(small("Show all")).clicked() {
                    pressed = Some(Press::List);
                }
                if ui.add(small("Dismiss all")).clicked() {
                    self.list.iter_mut().for_each(|message| message.notice = false);
                    ui.ctx().request_repaint();
                }
            });
        }
        if let Some(message) = self.list.iter_mut().find(|message| Some(message.id) == dismissed) {
            message.notice = false;
            ui.ctx().request_repaint();
        }
        pressed
    }

    /// Shows the list, newest first, and returns the pressed button's effect; `title` names a remote.
    pub(in crate::app) fn list_ui(
        &mut self,
        ui: &mut Ui,
        t: &Tokens,
        title: impl Fn(&str) -> String,
    ) -> Option<Press> {
        self.unread = 0;
        let mut pressed = None;
        if self.list.is_empty() {
            ui.label(caption(t, "No messages"));
            return None;
        }
        if ui.add(small("Clear")).on_hover_text("Remove all messages from this list").clicked() {
            self.list.clear();
            ui.ctx().request_repaint();
        }
        for message in self.list.iter().rev() {
            let press = card_ui(ui, |ui| {
                ui.spacing_mut().item_spacing.y = t.space[0];
                ui.push_id(message.id, |ui| message.entry_ui(ui, t, &title)).inner
            });
            pressed = press.or(pressed);
        }
        pressed
    }
}

impl Message {
    fn tone(&self) -> Tone {
        match self.weight {
            _ if self.over => Tone::Neutral,
            Weight::Info => Tone::Accent,
            Weight::Warning => Tone::Warning,
            Weight::Error => Tone::Danger,
        }
    }

    fn head(&self) -> String {
        let count = if self.count > 1 { format!(" ({})", self.count) } else { String::new() };
        format!("{}{count}", self.title)
    }

    /// Shows a notice, and returns the pressed button's effect and `true` if it was dismissed.
    fn notice_ui(&self, ui: &mut Ui, t: &Tokens) -> (Option<Press>, bool) {
        let margin = egui::Margin::symmetric(t.space[3] as i8, t.space[1] as i8);
        let frame = egui::Frame::new().fill(color(t.panel)).inner_margin(margin);
        let text = |ui: &mut Ui| {
            ui.spacing_mut().item_spacing.y = t.space[0];
            let live = if self.weight == Weight::Error { Live::Assertive } else { Live::Polite };
            let title = ui.add(Label::new(strong(t, self.head(), t.font_size[1])).wrap());
            ui.ctx().accesskit_node_builder(title.id, |node| node.set_live(live));
            if !self.text.is_empty() {
                lines_ui(ui, t, &self.text, color(t.text));
            }
            if !self.advice.is_empty() {
                lines_ui(ui, t, &sentence(&self.advice), color(t.text_weak));
            }
            if let Some(code) = &self.code {
                code_ui(ui, t, code, self.tone());
            }
        };
        let dismiss = small("Dismiss").named(format!("Dismiss: {}", self.title));
        let (button, press) = self.answer().unzip();
        let buttons = button.into_iter().chain([dismiss]);
        let strip = ui.push_id(self.id, |ui| framed_strip_ui(ui, frame, text, buttons)).inner;
        let rect = strip.response.rect;
        let stripe = Rect::from_min_size(rect.min, egui::vec2(4.0, rect.height()));
        ui.painter().rect_filled(stripe, 0.0, self.tone().ink(t));
        let edge = egui::Stroke::new(1.0, color(t.border));
        ui.painter().hline(rect.x_range(), rect.top() + 0.5, edge);
        let press = press.filter(|_| strip.inner == Some(0)).cloned();
        let dismissed = strip.inner.is_some() && press.is_none();
        (press, dismissed)
    }

    fn answer(&self) -> Option<(Button, &Press)> {
        self.button.as_ref().map(|(text, name, press)| (small(*text).named(name), press))
    }

    /// Shows a message in the list.
    fn entry_ui(&self, ui: &mut Ui, t: &Tokens, title: impl Fn(&str) -> String) -> Option<Press> {
        let level = match self.weight {
            _ if self.over => "Resolved",
            Weight::Info => "Information",
            Weight::Warning => "Warning",
            Weight::Error => "Error",
        };
        ui.add(Label::new(strong(t, self.head(), t.font_size[1])).wrap());
        ui.horizontal_wrapped(|ui| {
            ui.label(self.tone().caption(t, level));
            let remote = self.alias.as_deref().map(|alias| format!("{} · ", title(alias))).unwrap_or_default();
            ui.label(caption(t, format!("{remote}{}", sentence(ago(self.at)))));
        });
        if !self.text.is_empty() {
            message_ui(ui, t, caption(t, &self.text).color(color(t.text)), &self.advice);
        }
        if let Some(code) = &self.code {
            code_ui(ui, t, code, Tone::Neutral);
        }
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::splat(t.space[0]);
            copy_ui(ui, small("Copy").named(format!("Copy: {}", self.title)), || self.line());
            // A resolved message needs no answer.
            let (button, press) = self.answer().filter(|_| !self.over)?;
            ui.add(button).clicked().then(|| press.clone())
        })
        .inner
    }
}

/// Shows the first lines of a text, and all of it on hover.
fn lines_ui(ui: &mut Ui, t: &Tokens, text: &str, ink: Color32) {
    let font = egui::FontId::proportional(t.font_size[0]);
    let mut job = egui::text::LayoutJob::simple(text.to_owned(), font, ink, ui.available_width());
    job.wrap.max_rows = LINES;
    ui.add(Label::new(job)).on_hover_text(text);
}
