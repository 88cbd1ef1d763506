//! Messages that come up at the corner of the window and go by themselves or by hand.
//!
//! `egui-notify` paints its toasts onto a layer: they are not in the accessibility tree, hold no buttons, and a key
//! cannot dismiss them. These are ordinary widgets, and never take the keyboard.

use std::time::{Duration, Instant};

use egui::{Align2, Area, Context, CornerRadius, Id, Label, Order, Rect, RichText, Ui, Vec2, accesskit::Live};
use plugin_api::{
    theme::{caption, card, color, strong},
    tokens::{Rgba, Tokens},
};

use super::{
    action::Action,
    parts::{code_ui, named, primary, small},
};
use crate::{
    failure::{SharedFailure, sentence},
    federation::{Event, Told},
};

/// So many are on the screen; the oldest goes when another comes.
const MAX: usize = 4;

/// How long one stays that tells of nothing bad.
const SHOWN: Duration = Duration::from_secs(8);

const WIDTH: f32 = 360.0;

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Goes by itself.
    Info,
    /// Stays until it is dismissed.
    Warning,
    /// Stays too.
    Error,
}

/// What a button of a message does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Press {
    /// Something with the remote that it is about.
    Act(String, Action),
    /// Opens the inspector.
    Show,
}

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Toast {
    weight: Weight,
    title: String,
    text: String,
    code: Option<String>,
    /// What its button says, the button's own name, and what it does.
    button: Option<(&'static str, String, Press)>,
    /// How often it was said.
    count: u32,
    until: Option<Instant>,
    id: u64,
}

impl Toast {
    /// A message that goes by itself, with nothing to press.
    pub(super) fn info(title: impl Into<String>, text: impl Into<String>) -> Self {
        let (title, text) = (title.into(), text.into());
        Self { weight: Weight::Info, title, text, code: None, button: None, count: 1, until: None, id: 0 }
    }

    /// A failure.
    pub(super) fn failure(title: impl Into<String>, failure: &SharedFailure) -> Self {
        let text = sentence(&failure.message);
        Self { weight: Weight::Error, code: Some(failure.code.clone()), ..Self::info(title, text) }
    }

    /// The same with a button.
    pub(super) fn with(self, text: &'static str, name: impl Into<String>, press: Press) -> Self {
        Self { button: Some((text, name.into(), press)), ..self }
    }

    /// What is said of an event.
    pub(super) fn of(told: &Told) -> Self {
        let Told { alias, title, event, failure, .. } = told;
        let (weight, head, tail) = match event {
            Event::Replaced { version, generation, took } => {
                let text = format!("Generation {generation}, after {} ms", took.as_millis());
                return Self::info(format!("{title} {version} is running"), text);
            }
            Event::Installed => {
                let text = "It runs once somebody enables it.";
                return Self::info(format!("{title} was installed and is not enabled"), text).with(
                    "Enable",
                    format!("Enable {title}"),
                    Press::Act(alias.clone(), Action::Enable),
                );
            }
            Event::NotReplaced => {
                (Weight::Error, format!("A new {title} was not taken"), " The old one goes on.")
            }
            Event::StateLost => (Weight::Warning, format!("{title} lost what was open in it"), ""),
            Event::Failed => (Weight::Error, format!("{title} has failed"), ""),
            Event::Disabled => (Weight::Error, format!("{title} was disabled"), ""),
            Event::Kept => (Weight::Info, format!("Something of {title} stays in memory"), ""),
            Event::Unreadable => (Weight::Error, format!("A file cannot be used: {title}"), ""),
            Event::Undecided => (Weight::Error, format!("Couldn't save a decision about {title}"), ""),
        };
        let text = failure.as_ref().map(|failure| {
            let stage =
                if *event == Event::NotReplaced { format!("{}: ", failure.stage) } else { String::new() };
            let end = if failure.message.ends_with('.') { "" } else { "." };
            sentence(format!("{stage}{}{end}{tail}", failure.message))
        });
        let code = failure.as_ref().map(|failure| failure.code.clone());
        let toast = Self { weight, code, ..Self::info(head, text.unwrap_or_default()) };
        toast.with("Show details", format!("Show details of {title}"), Press::Show)
    }

    /// All of it in one line.
    pub(super) fn line(&self) -> String {
        let code = self.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        if self.text.is_empty() {
            format!("{}{code}", self.title)
        } else {
            format!("{}: {}{code}", self.title, self.text)
        }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        (self.weight, &self.title, &self.text, &self.code)
            == (other.weight, &other.title, &other.text, &other.code)
    }
}

/// The messages on the screen, oldest first.
#[derive(Default)]
pub(super) struct Toasts {
    shown: Vec<Toast>,
    next: u64,
}

impl Toasts {
    /// Shows `toast`; one that says the same counts it instead.
    pub(super) fn push(&mut self, mut toast: Toast) {
        toast.until = (toast.weight == Weight::Info).then(|| Instant::now() + SHOWN);
        if let Some(at) = self.shown.iter().position(|shown| shown.says_the_same(&toast)) {
            let shown = self.shown.remove(at);
            self.shown.push(Toast { count: shown.count + 1, id: shown.id, ..toast });
            return;
        }
        if self.shown.len() == MAX {
            // What goes by itself anyway goes first.
            let at = self.shown.iter().position(|shown| shown.weight == Weight::Info).unwrap_or(0);
            self.shown.remove(at);
        }
        self.next += 1;
        self.shown.push(Toast { id: self.next, ..toast });
    }

    /// Draws them at the bottom right, above `bottom`; what was pressed.
    pub(super) fn ui(&mut self, ctx: &Context, t: &Tokens, bottom: f32) -> Option<Press> {
        let now = Instant::now();
        self.shown.retain(|toast| toast.until.is_none_or(|until| until > now));
        if let Some(next) = self.shown.iter().filter_map(|toast| toast.until).min() {
            ctx.request_repaint_after(next - now);
        }
        if self.shown.is_empty() {
            return None;
        }
        let mut pressed = None;
        let mut dismissed = None;
        let width = WIDTH.min(ctx.content_rect().width() - 32.0);
        let offset = Vec2::new(-16.0, bottom - ctx.content_rect().bottom() - 16.0);
        Area::new(Id::unique("pulse.toasts"))
            .order(Order::Foreground)
            .anchor(Align2::RIGHT_BOTTOM, offset)
            .show(ctx, |ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = t.space[1];
                for (at, toast) in self.shown.iter_mut().enumerate() {
                    let (rect, press, dismiss) = toast.ui(ui, t);
                    if ui.rect_contains_pointer(rect)
                        && let Some(until) = &mut toast.until
                    {
                        // Nobody is to lose what they are reading.
                        *until = (*until).max(now + SHOWN / 2);
                    }
                    if dismiss || press.is_some() {
                        dismissed = Some(at);
                    }
                    pressed = press.or(pressed.take());
                }
            });
        if let Some(at) = dismissed {
            self.shown.remove(at);
            ctx.request_repaint();
        }
        pressed
    }
}

impl Toast {
    /// Where it is, what was pressed in it, and whether it is to go.
    fn ui(&self, ui: &mut Ui, t: &Tokens) -> (Rect, Option<Press>, bool) {
        let (ink, live): (Rgba, _) = match self.weight {
            Weight::Info => (t.accent, Live::Polite),
            Weight::Warning => (t.warning, Live::Polite),
            Weight::Error => (t.danger, Live::Assertive),
        };
        let (mut press, mut dismiss) = (None, false);
        let shadow = egui::Shadow {
            offset: [0, 4],
            blur: 16,
            spread: 0,
            color: egui::Color32::from_black_alpha(if t.dark { 96 } else { 28 }),
        };
        let frame = ui.push_id(self.id, |ui| {
            card(t).shadow(shadow).show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.spacing_mut().item_spacing = Vec2::new(t.space[1], t.space[0]);
                let count = if self.count > 1 { format!(" ({})", self.count) } else { String::new() };
                let title =
                    ui.add(Label::new(strong(t, format!("{}{count}", self.title), t.font_size[1])).wrap());
                ui.ctx().accesskit_node_builder(title.id, |node| node.set_live(live));
                if !self.text.is_empty() {
                    ui.add(Label::new(caption(t, &self.text)).wrap());
                }
                if let Some(code) = &self.code {
                    code_ui(ui, t, code, ink);
                }
                ui.add_space(t.space[0]);
                ui.horizontal(|ui| {
                    if let Some((text, name, does)) = &self.button {
                        let button = if self.weight == Weight::Info && *text != "Show details" {
                            let text = RichText::new(*text).size(t.font_size[0]);
                            primary(t, text).min_size(Vec2::new(0.0, 24.0))
                        } else {
                            small(t, *text)
                        };
                        if named(ui.add(button), name).clicked() {
                            press = Some(does.clone());
                        }
                    }
                    let button = ui.add(small(t, "Dismiss"));
                    dismiss = named(button, &format!("Dismiss: {}", self.title)).clicked();
                });
            })
        });
        let rect = frame.inner.response.rect;
        let stripe = Rect::from_min_size(rect.min, Vec2::new(4.0, rect.height()));
        let radius = t.radius[1] as u8;
        ui.painter().rect_filled(stripe, CornerRadius { nw: radius, sw: radius, ne: 0, se: 0 }, color(ink));
        (rect, press, dismiss)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use super::*;
    use crate::failure::{Failure, Stage};

    fn error(text: &str) -> Toast {
        Toast::failure(text, &Arc::new(Failure::new(Stage::Load, "load-failed", "it is broken")))
    }

    #[test]
    fn what_is_said_again_is_counted_and_errors_outlast_the_rest() {
        let mut toasts = Toasts::default();
        toasts.push(Toast::info("a", ""));
        for _ in 0..3 {
            toasts.push(error("first"));
        }
        for title in ["second", "third", "fourth"] {
            toasts.push(error(title));
        }
        let shown: Vec<_> = toasts.shown.iter().map(|toast| (&*toast.title, toast.count)).collect();
        assert_eq!(
            shown,
            [("first", 3), ("second", 1), ("third", 1), ("fourth", 1)],
            "the information has gone"
        );
        assert!(toasts.shown.iter().all(|toast| toast.until.is_none()), "errors stay");
        toasts.push(error("fifth"));
        assert_eq!(toasts.shown.len(), MAX);
        assert_eq!(toasts.shown[0].title, "second", "the oldest has gone");
    }

    #[test]
    fn a_generation_that_was_not_taken_is_told_with_stage_reason_and_code() {
        let failure = Failure::new(Stage::Check, "library-not-a-library", "this is a text: /a.so");
        let told = Told {
            alias: "a".to_owned(),
            title: "Analytics".to_owned(),
            event: Event::NotReplaced,
            failure: Some(Arc::new(failure)),
            at: SystemTime::now(),
        };
        assert_eq!(
            Toast::of(&told).line(),
            "A new Analytics was not taken: Check: this is a text: /a.so. The old one goes on. \
             [library-not-a-library]"
        );
    }
}
