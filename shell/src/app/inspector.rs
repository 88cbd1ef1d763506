//! The inspector: every remote, and every shared crate with its offers and demands, and the reason for each
//! assignment.

use egui::{Align, Key, Layout, Modifiers, Panel, RichText, ScrollArea, Ui};
use negotiation::manifest::DEFAULT_SCOPE;
use negotiation::resolver::{Candidate, KeyView, Outcome, ShareKey};
use plugin_api::{
    theme::{Tone, caption, card_ui, color, secondary, strong},
    tokens::Tokens,
};

use serde::{Deserialize, Serialize};

use super::{Shell, parts::code_ui};
use crate::failure::FailureCode;
use crate::failure::sentence;
use crate::federation::Federation;

/// The tab that the inspector shows, if it is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Inspector {
    #[default]
    Closed,
    Remotes,
    Shared,
    Messages,
}

const KEY: egui::KeyboardShortcut = egui::KeyboardShortcut::new(Modifiers::NONE, Key::F12);

impl Inspector {
    /// Opens the inspector, or closes an open one.
    pub(super) fn toggle(&mut self) {
        *self = if *self == Self::Closed { Self::Remotes } else { Self::Closed };
    }
}

impl Shell {
    /// Shows the panel at the right of the window, while it is open.
    pub(super) fn inspector_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        if ui.input_mut(|input| input.consume_shortcut(&KEY)) {
            self.inspector.toggle();
        }
        if self.inspector == Inspector::Closed {
            return;
        }
        let frame = egui::Frame::new().fill(color(t.panel)).inner_margin(t.space[3]);
        let width = (ui.available_width() - 320.0).clamp(240.0, 400.0);
        // Its content does not change its width.
        let panel = Panel::right("inspector").default_size(width).size_range(240.0..=560.0).frame(frame);
        panel.show(ui, |ui| {
            self.tabs_ui(ui, t);
            ui.add_space(t.space[1]);
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| match self.inspector {
                Inspector::Closed => {}
                Inspector::Remotes => self.remotes_ui(ui, t),
                Inspector::Shared => shared_ui(ui, t, &self.federation),
                Inspector::Messages => {
                    let federation = &self.federation;
                    let title = |alias: &str| {
                        federation
                            .remotes()
                            .get(alias)
                            .map_or(alias, crate::federation::ManagedRemote::title)
                            .to_owned()
                    };
                    let pressed = self.messages.list_ui(ui, t, title);
                    self.answer(pressed);
                }
            });
        });
    }

    fn tabs_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        // If one row is too narrow, "Close" follows the tabs.
        let layout = if ui.available_width() < 340.0 { Layout::left_to_right } else { Layout::right_to_left };
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = t.space[0];
            for (tab, name) in [
                (Inspector::Remotes, "Remotes"),
                (Inspector::Shared, "Shared crates"),
                (Inspector::Messages, "Messages"),
            ] {
                let text =
                    RichText::new(name).color(color(if self.inspector == tab { t.accent } else { t.text }));
                ui.selectable_value(&mut self.inspector, tab, text);
            }
            ui.with_layout(layout(Align::Center), |ui| {
                if ui.add(secondary("Close")).on_hover_text("Close the inspector (F12)").clicked() {
                    self.inspector = Inspector::Closed;
                }
            });
        });
    }
}

/// Lists the shared crates that a participant uses and provides.
pub(super) fn shares_ui(ui: &mut Ui, t: &Tokens, federation: &Federation, name: &str) {
    let plan = federation.negotiator().plan();
    for known in plan.assignments_of(name) {
        let whose =
            if known.is_own_copy() { "(own copy)".to_owned() } else { format!("from {}", known.provider) };
        let state = if known.singleton || known.is_own_copy() { "" } else { ", with separate state" };
        let text = format!("Uses {} {} {whose}{state}", krate(&known.key, &known.scope), known.version);
        let ink = if known.satisfied { t.text } else { t.warning };
        let label = ui.label(caption(t, text).color(color(ink)));
        if let Some(why) = plan.explain(&known.scope, &known.key, name)
            && let Some(chosen) = why.candidates.iter().find(|candidate| candidate.chosen)
        {
            label.on_hover_text(format!("Requires {}. {}.", why.required, sentence(&chosen.reason)));
        }
    }
    let mut provided: Vec<_> =
        plan.assignments().iter().filter(|known| *known.provider == *name && !known.is_own_copy()).collect();
    provided.sort_by_key(|known| (&known.scope, &known.key));
    let pinned = federation.negotiator().users_of(name).next().is_some();
    for users in provided.chunk_by(|a, b| (&a.scope, &a.key) == (&b.scope, &b.key)) {
        let names: Vec<&str> = users.iter().map(|known| &*known.consumer).collect();
        let pin = if pinned { "; stays loaded while they run" } else { "" };
        let text = format!(
            "Provides {} {} to {}{pin}",
            krate(&users[0].key, &users[0].scope),
            users[0].version,
            names.join(", ")
        );
        ui.label(Tone::Accent.caption(t, text));
    }
}

/// Lists every shared crate of the plan in force.
fn shared_ui(ui: &mut Ui, t: &Tokens, federation: &Federation) {
    let plan = federation.negotiator().plan();
    let mut any = false;
    for key in plan.keys() {
        any = true;
        card_ui(ui, |ui| {
            ui.label(strong(t, krate(&key.key, &key.scope), t.font_size[1]));
            let kind = if key.singleton {
                format!("Singleton, declared by {}", key.declared_by.join(", "))
            } else {
                "Not a singleton: code may be shared, state is not".to_owned()
            };
            ui.label(caption(t, kind));
            demands_ui(ui, t, &key);
            let admitted = |outcome: &Outcome| matches!(outcome, Outcome::Uses { .. });
            let first = key.demands.iter().find(|demand| admitted(&demand.outcome));
            let why = first.and_then(|demand| plan.explain(&key.scope, &key.key, &demand.participant));
            // Without a singleton each consumer has its own reasons, which its remote's card shows.
            for candidate in why.iter().filter(|why| why.singleton).flat_map(|why| &why.candidates) {
                let offer = ShareKey::new(&candidate.provider, &key.scope, &key.key);
                candidate_ui(ui, t, candidate, federation.negotiator().reason(&offer));
            }
        });
    }
    if !any {
        ui.label(caption(t, "No shared crates"));
    }
}

fn demands_ui(ui: &mut Ui, t: &Tokens, key: &KeyView) {
    ui.spacing_mut().interact_size.y = t.font_size[0];
    let grid = egui::Grid::new((&*key.scope, &*key.key)).num_columns(4).spacing([t.space[2], t.space[0]]);
    // Long names scroll instead of making the inspector wider.
    ScrollArea::horizontal().id_salt((&*key.scope, &*key.key, "scroll")).show(ui, |ui| {
        grid.show(ui, |ui| {
            for head in ["Participant", "Offers", "Requires", "Gets"] {
                ui.label(caption(t, head));
            }
            ui.end_row();
            for demand in &key.demands {
                let cell = |text: String, ink| caption(t, text).color(color(ink));
                ui.label(cell(demand.participant.to_string(), t.text));
                ui.label(cell(demand.own.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string), t.text));
                let strict = if demand.strict { " strictly" } else { "" };
                ui.label(cell(format!("{}{strict}", demand.required), t.text));
                let (gets, ink) = match &demand.outcome {
                    Outcome::Uses { provider, version, own, satisfied } => {
                        let whose = if *own { "(own copy)".to_owned() } else { format!("from {provider}") };
                        (format!("{version} {whose}"), if *satisfied { t.success } else { t.warning })
                    }
                    Outcome::Refused { code } => (format!("refused ({code})"), t.danger),
                };
                ui.label(cell(gets, ink));
                ui.end_row();
            }
        })
    });
}

/// Shows a copy with the reason why it was chosen or not; `first` is the reason before it was in use.
fn candidate_ui(ui: &mut Ui, t: &Tokens, candidate: &Candidate, first: Option<&str>) {
    let Candidate { provider, version, chosen, reason } = candidate;
    let (word, tone) = if *chosen { ("chosen", Tone::Success) } else { ("not chosen", Tone::Neutral) };
    let first = first.filter(|first| *chosen && first != reason);
    let first = first.map(|first| format!("; reason when chosen: {first}")).unwrap_or_default();
    let text = format!("{provider} {version}, {word}: {reason}{first}");
    ui.label(tone.caption(t, text));
}

/// Shows a sentence with its code.
pub(super) fn remark_ui(ui: &mut Ui, t: &Tokens, tone: Tone, code: &FailureCode, text: &str) {
    ui.label(tone.caption(t, text));
    code_ui(ui, t, code, Tone::Neutral);
}

fn krate(key: &str, scope: &str) -> String {
    if scope == DEFAULT_SCOPE { key.to_owned() } else { format!("{key} in scope {scope}") }
}
