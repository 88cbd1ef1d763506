//! The inspector's first tab: every remote with its origin, state, cost and actions, and the libraries that are still
//! loaded.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use egui::{CollapsingHeader, CornerRadius, Rect, Sense, Ui, Vec2};
use plugin_api::{
    theme::{Tone, caption, caption_ui, card_ui, color, copy_ui, pill_ui, secondary, small, strong},
    tokens::Tokens,
};

use super::{
    Key, Shell,
    action::{Action, RollBack},
    inspector::{remark_ui, shares_ui},
    parts::{ago, details_ui, failure_ui, fix_ui, millis, step},
    slot::{Slot, doing},
    supply,
};
use crate::{
    failure::sentence,
    federation::{Federation, LeakedLibrary, ManagedRemote, RemoteOrigin, Status, Warning},
    library::read_manifest,
};

/// The state of one remote's card.
#[derive(Default)]
pub(super) struct Card {
    roll_back: RollBack,
    /// The file in the drop folder that could be used instead, the time of its last change, and its version.
    alternative: Option<(PathBuf, Option<SystemTime>, String)>,
}

/// The data of one card.
struct Shown<'a> {
    federation: &'a Federation,
    slots: &'a BTreeMap<Key, Slot>,
    alias: &'a str,
    entry: &'a ManagedRemote,
}

impl Shell {
    pub(super) fn remotes_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        ui.horizontal(|ui| {
            if ui.add(secondary("Install…")).on_hover_text("Copy a library into the drop folder").clicked() {
                self.install.open();
            }
            if ui.add(secondary("Reload all")).on_hover_text("Ctrl+Shift+R").clicked() {
                self.reload_all();
            }
        });
        self.suppliers_ui(ui, t);
        let problems = self.federation.negotiator().problems();
        if !problems.is_empty() {
            card_ui(ui, |ui| {
                ui.label(strong(t, self.federation.negotiator().plan().host(), t.font_size[1]));
                for problem in problems {
                    failure_ui(ui, t, Tone::Warning, problem);
                }
            });
        }
        let (mut pressed, mut override_of) = (Vec::new(), None);
        for (alias, entry) in self.federation.remotes() {
            let shown = Shown { federation: &self.federation, slots: &self.slots, alias, entry };
            let state = self.cards.entry(alias.clone()).or_default();
            card_ui(ui, |ui| {
                ui.spacing_mut().item_spacing.y = t.space[0];
                let action = ui.push_id(alias, |ui| shown.ui(ui, t, state)).inner;
                let name = format!("Override {}…", entry.title());
                let hover = "Use a local build in place of its own library";
                if ui.add(small("Override…").named(name)).on_hover_text(hover).clicked() {
                    override_of = Some(entry.name().to_owned());
                }
                pressed.extend(action.map(|action| (alias.clone(), action)));
            });
        }
        if self.federation.remotes().is_empty() {
            ui.label(caption(t, "No remotes in the host's manifest or the drop folder"));
        }
        kept_ui(ui, t, &self.federation);
        for (alias, action) in pressed {
            self.act(&alias, &action);
        }
        if let Some(name) = override_of {
            self.install.open_override(&name);
        }
    }
}

impl Shown<'_> {
    fn ui(&self, ui: &mut Ui, t: &Tokens, state: &mut Card) -> Option<Action> {
        let (entry, status) = (self.entry, self.entry.status());
        ui.horizontal(|ui| {
            ui.label(strong(t, entry.title(), t.font_size[1]));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let tone = match &status {
                    Status::Active => Tone::Success,
                    Status::Failed(_) => Tone::Danger,
                    Status::Hung => Tone::Warning,
                    Status::NotFetched | Status::Ready | Status::Starting | Status::Disabled(_) => {
                        Tone::Neutral
                    }
                };
                pill_ui(ui, status.word(), tone);
            });
        });
        self.version_ui(ui);
        self.origin_ui(ui);
        if let Some(stage) = entry.replacing() {
            let text = format!("Replacing: {}…", doing(stage));
            ui.label(Tone::Accent.caption(t, text));
        }
        let alternative = self.alternative_ui(ui, t, state);
        let supplied = supply::card_rows_ui(ui, t, self.federation, entry);
        if let Some(manifest) = entry.manifest() {
            shares_ui(ui, t, self.federation, &manifest.name);
        }
        self.frames_ui(ui);
        times_ui(ui, t, &entry.times());
        for Warning { code, text, fix, count, .. } in self.federation.negotiator().warnings_of(self.entry) {
            let times = if *count > 1 { format!(" (in {count} plans)") } else { String::new() };
            remark_ui(ui, t, Tone::Warning, &(*code).into(), &format!("{text}{times}"));
            if let Some(fix) = fix {
                ui.label(caption(t, fix));
            }
        }
        self.failure_ui(ui, t, &status);
        let action = self.buttons_ui(ui, t, &status, state);
        state.roll_back.field_ui(ui, t).or(action).or(alternative).or(supplied)
    }

    fn version_ui(&self, ui: &mut Ui) {
        let mut parts: Vec<String> = self
            .entry
            .manifest()
            .map(|manifest| format!("{} {}", manifest.name, manifest.version))
            .into_iter()
            .collect();
        if self.entry.generation() > 0 {
            parts.push(format!("generation {}", self.entry.generation()));
        }
        let digest = self.entry.digest();
        parts.extend(digest.map(crate::library::Digest::short));
        if parts.is_empty() {
            return;
        }
        let line = caption_ui(ui, parts.join(" · "));
        if let Some(digest) = digest {
            line.on_hover_text(format!("sha256 {digest}"));
        }
    }

    fn origin_ui(&self, ui: &mut Ui) {
        let supplied = self.federation.inventory().supplied(self.entry.name());
        if let Some((text, hover)) =
            supply::origin_text(self.entry.place(), supplied.map(|supplied| &**supplied))
        {
            caption_ui(ui, text).on_hover_text(hover);
        }
        let library = self.entry.library();
        let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = match self.entry.place() {
            RemoteOrigin::Configured => {
                let file = library.map(|library| format!(": {}", file(library))).unwrap_or_default();
                format!("From the host's manifest{file}")
            }
            RemoteOrigin::Installed(path) => format!("From the drop folder: {}", file(path)),
            RemoteOrigin::Pinned { note, .. } => {
                let version =
                    self.entry.manifest().map(|manifest| manifest.version.to_string()).unwrap_or_default();
                let note = if note.is_empty() { String::new() } else { format!(": {note}") };
                format!("Rolled back to {version}{note}")
            }
            RemoteOrigin::Delivered { .. } | RemoteOrigin::Development { .. } | RemoteOrigin::Overridden(_) => {
                return;
            }
        };
        let line = caption_ui(ui, text);
        if let Some(library) = library {
            line.on_hover_text(library.display().to_string());
        }
    }

    /// Shows the library of the drop folder that could be used instead.
    fn alternative_ui(&self, ui: &mut Ui, t: &Tokens, state: &mut Card) -> Option<Action> {
        let path = self.federation.inventory().alternative(self.entry)?;
        let written = path.metadata().and_then(|about| about.modified()).ok();
        let known = state.alternative.as_ref().is_some_and(|(of, at, _)| of == path && *at == written);
        if !known {
            let version = read_manifest(path).map(|written| written.manifest.version.to_string());
            state.alternative =
                Some((path.to_owned(), written, version.unwrap_or_else(|failure| failure.code.into())));
        }
        let (_, _, version) = state.alternative.as_ref()?;
        ui.horizontal(|ui| {
            let text = caption(t, format!("Version {version} in the drop folder")).color(color(t.text));
            ui.label(text).on_hover_text(path.display().to_string());
            let name = format!("Use {} {version}", self.entry.title());
            ui.add(small("Use it").named(name)).clicked().then_some(Action::Enable)
        })
        .inner
    }

    fn frames_ui(&self, ui: &mut Ui) {
        let of = |(key, _): &(&Key, &Slot)| key.0 == self.alias;
        for ((_, expose), slot) in self.slots.iter().filter(of) {
            let Some((median, late)) = slot.frame_times() else { continue };
            let title = self.entry.exposes().find(|(name, _)| name == expose);
            let title = title.map_or(&**expose, |(_, about)| &*about.title);
            caption_ui(ui, format!("Frames of {title}: p50 {}, p99 {}", millis(median), millis(late)));
        }
    }

    /// Shows the present and the last failure.
    fn failure_ui(&self, ui: &mut Ui, t: &Tokens, status: &Status) {
        let now = match status {
            Status::Failed(failure) | Status::Disabled(failure) => Some(failure),
            _ => None,
        };
        let last = self.entry.last_failure();
        if let Some(now) = now {
            let tone = if matches!(status, Status::Failed(_)) { Tone::Danger } else { Tone::Neutral };
            failure_ui(ui, t, tone, now);
            if let Some(fix) = self.federation.fix(self.entry) {
                fix_ui(ui, t, &fix);
            }
        }
        if let Some((failure, at)) = last {
            if now != Some(failure) {
                caption_ui(ui, "Last failure".to_owned());
                failure_ui(ui, t, Tone::Neutral, failure);
            }
            caption_ui(ui, format!("{}. Step: {}", sentence(ago(at)), step(failure.stage)));
        }
        let Some(failure) = last.map(|(failure, _)| failure).or(now) else { return };
        details_ui(ui, t, failure);
        let name = format!("Copy details of {}", self.entry.title());
        copy_ui(ui, small("Copy details").named(name), || failure.report(self.alias));
    }

    fn buttons_ui(&self, ui: &mut Ui, t: &Tokens, status: &Status, state: &mut Card) -> Option<Action> {
        let title = self.entry.title();
        let mut action = None;
        ui.add_space(t.space[0]);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::splat(t.space[0]);
            let mut button = |text: &str, hover: &str, does: Action| {
                let button = small(text).named(format!("{text} {title}"));
                if ui.add(button).on_hover_text(hover).clicked() {
                    action = Some(does);
                }
            };
            if matches!(status, Status::Disabled(_)) {
                button("Enable", "Allow it to run", Action::Enable);
            } else {
                if matches!(status, Status::NotFetched) {
                    button("Download", "Fetch its library now, not when it is first shown", Action::Update);
                } else if matches!(status, Status::Ready) {
                    button("Load", "Start it now, not when it is first shown", Action::Load);
                } else {
                    button("Reload", "Reload from disk, keep state (Ctrl+R)", Action::Reload);
                    button("Restart", "Start again from disk, without state", Action::Restart);
                }
                button("Disable", "Stop it, and keep it from starting", Action::Disable);
            }
            if self.federation.inventory().is_added(self.entry.name()) {
                button("Remove", "Forget this remote", Action::Remove);
            }
            if matches!(self.entry.place(), RemoteOrigin::Pinned { .. }) {
                let hover = "Use the library of the host's manifest or the drop folder again";
                let button = small("Resume updates").named(format!("Resume updates of {title}"));
                if ui.add(button).on_hover_text(hover).clicked() {
                    action = Some(Action::Unpin);
                }
            }
            let of = format!(" {title}");
            state.roll_back.button_ui(ui, self.federation, self.alias, &of, small);
        });
        action
    }
}

/// Shows the time that each stage of the start took, one after the other.
fn times_ui(ui: &mut Ui, t: &Tokens, times: &[(&'static str, Duration)]) {
    let whole: Duration = times.iter().map(|(_, took)| *took).sum();
    if whole.is_zero() {
        return;
    }
    let cost = times.iter().find(|(stage, _)| *stage == "preflight");
    let cost = cost.map(|(_, took)| format!(", including preflight {}", millis(*took))).unwrap_or_default();
    let title = caption(t, format!("Started in {}{cost}", millis(whole)));
    CollapsingHeader::new(title).id_salt("times").show_unindented(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        let mut before = Duration::ZERO;
        for (stage, took) in times {
            let size = Vec2::new(ui.available_width(), t.font_size[0] + 4.0);
            let (row, response) = ui.allocate_exact_size(size, Sense::hover());
            let text = format!("{stage}: {}", millis(*took));
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &text));
            let [left, right] = [80.0, 60.0];
            let font = egui::FontId::proportional(t.font_size[0]);
            let ink = color(t.text_weak);
            let painter = ui.painter();
            painter.text(row.left_center(), egui::Align2::LEFT_CENTER, stage, font.clone(), ink);
            painter.text(row.right_center(), egui::Align2::RIGHT_CENTER, millis(*took), font, ink);
            let span = (row.width() - left - right).max(16.0);
            let at = |time: Duration| row.left() + left + span * time.as_secs_f32() / whole.as_secs_f32();
            let bar = Rect::from_x_y_ranges(
                at(before)..=at(before + *took).max(at(before) + 1.5),
                row.center().y - 3.0..=row.center().y + 3.0,
            );
            painter.rect_filled(bar, CornerRadius::same(2), color(t.accent));
            before += *took;
        }
    });
}

/// Lists generations that have stopped and are still loaded.
fn kept_ui(ui: &mut Ui, t: &Tokens, federation: &Federation) {
    let kept = federation.retiring().leaked();
    if kept.is_empty() {
        return;
    }
    card_ui(ui, |ui| {
        ui.label(strong(t, format!("Still loaded ({})", kept.len()), t.font_size[1]));
        ui.label(caption(t, "Stopped, but still loaded until Pulse exits"));
        for LeakedLibrary { remote, generation, failure } in kept {
            let which =
                if *generation == 0 { "never started".to_owned() } else { format!("generation {generation}") };
            ui.label(caption(t, format!("{remote}, {which}")).color(color(t.text)));
            failure_ui(ui, t, Tone::Neutral, failure);
        }
    });
}
