//! A place in the main area, in each of its states: loading, empty, error, stale, slow, not responding, live.

use std::time::{Duration, Instant};

use egui::{Align, Color32, Context, CornerRadius, Label, Layout, Pos2, Rect, RichText, Ui, UiBuilder, Vec2};
use plugin_api::{
    theme::{
        Tone, caption, color, copy_ui, middle, middle_card_ui, pill_button, pill_ui, placeholder, primary,
        secondary, strip_ui, strong,
    },
    tokens::Tokens,
};

use super::{
    action::{Action, RollBack},
    parts::{ago, code_ui, details_ui, fix_ui, message_ui, millis, shortened, step},
    supply,
};
use crate::{
    compositor::{Health, HostedSurface, Scene},
    config::Config,
    data::choices::{By, Disabled},
    failure::{SharedFailure, Stage},
    federation::{Federation, ManagedRemote, Status, Warning},
};

/// The most warnings above a surface at a time; a dismissed one makes room for the next.
const MAX_WARNINGS: usize = 2;

/// The time after which a start shows its stage.
const LONG_START: Duration = Duration::from_secs(1);

/// The time after which a replacement is marked.
const LONG_REPLACEMENT: Duration = Duration::from_millis(300);

/// A surface, or the failure that is shown instead.
#[derive(Default)]
pub(crate) struct Slot {
    surface: Option<HostedSurface>,
    failure: Option<SharedFailure>,
    /// The remote's generation that both belong to.
    generation: u64,
    /// Texts of the warnings that the user dismissed.
    dismissed: Vec<String>,
    /// The start of the current replacement.
    replacing: Option<Instant>,
    /// The time since which there is nothing to show.
    empty: Option<Instant>,
    /// The longest frame since frames were last on time.
    slow: Duration,
    /// The user chose to wait for a remote that does not respond.
    patient: bool,
    roll_back: RollBack,
}

impl Slot {
    /// Returns the median and 99th percentile of its surface's frame times; `None` before the first frame.
    pub(super) fn frame_times(&self) -> Option<(Duration, Duration)> {
        self.surface.as_ref()?.frame_times()
    }

    /// Returns the failure of its surface, apart from its remote.
    pub(super) fn failure(&self) -> Option<&SharedFailure> {
        self.failure.as_ref().or_else(|| self.surface.as_ref()?.failure())
    }

    /// Wakes its surface ahead of a frame of the window with input.
    pub(crate) fn wake_ahead(&self) {
        self.surface.iter().for_each(HostedSurface::wake_ahead);
    }

    /// Finishes its surface's frame; call it at the end of each frame of the window in which the slot was shown.
    pub(crate) fn finish(&mut self, ctx: &Context, scene: &Scene) {
        if let Some(surface) = &mut self.surface {
            surface.finish(ctx, scene);
        }
    }

    /// Shows `expose` of `alias` in all of `ui`'s space, and returns the user's action on the remote.
    pub(crate) fn ui(
        &mut self,
        ui: &mut Ui,
        scene: &Scene,
        federation: &mut Federation,
        alias: &str,
        expose: &str,
    ) -> Option<Action> {
        federation.want(alias);
        self.open(federation, alias, expose);
        if self.surface.as_ref().is_some_and(HostedSurface::is_gone) {
            // The remote was restarted; the next frame opens a surface of it.
            self.surface = None;
            ui.ctx().request_repaint();
        }
        let (t, status) = (&scene.tokens, federation.remotes().get(alias).map(ManagedRemote::status));
        if matches!(status, Some(Status::Disabled(_))) {
            // A disabled remote shows no old picture.
            (self.surface, self.failure) = (None, None);
        }
        let runs = !matches!(status, None | Some(Status::NotFetched | Status::Failed(_) | Status::Disabled(_)));
        if runs {
            self.warnings_ui(ui, t, federation, alias);
        }
        let area = ui.available_rect_before_wrap();
        if let Some(surface) = &mut self.surface {
            surface.ui(ui, scene);
        }
        let surface = self.surface.as_ref();
        let has_picture = surface.is_some_and(HostedSurface::has_picture);
        let unfetched = matches!(status, Some(Status::NotFetched));
        let failure = match status {
            Some(Status::Failed(failure) | Status::Disabled(failure)) => Some(failure),
            _ => self.failure.clone().or_else(|| surface.and_then(HostedSurface::failure).cloned()),
        };
        if let Some(failure) = failure {
            self.empty = None;
            return self.failure_ui(ui, t, area, federation, alias, &failure);
        }
        if unfetched {
            let remote = federation.remotes().get(alias)?;
            return supply::download_ui(ui, t, area, federation, remote);
        }
        if has_picture {
            self.empty = None;
        } else if runs {
            let since = *self.empty.get_or_insert_with(Instant::now);
            let starting = federation.remotes().get(alias).and_then(ManagedRemote::starting);
            skeleton_ui(ui, t, area, starting.map_or((Stage::Frame, since), |(stage, since)| (stage, since)));
        }
        let replacing = federation.remotes().get(alias).and_then(ManagedRemote::replacing);
        self.marks_ui(ui, t, area, replacing, has_picture)
    }

    /// Opens a missing surface, and drops one of an earlier generation.
    fn open(&mut self, federation: &mut Federation, alias: &str, expose: &str) {
        let Some(entry) = federation.remotes().get(alias) else { return };
        let (status, generation) = (entry.status(), entry.generation());
        if self.generation != generation {
            self.generation = generation;
            self.failure = None;
            self.surface.take_if(|surface| !surface.is_replaced());
        }
        if self.surface.is_none() && self.failure.is_none() && matches!(status, Status::Active | Status::Hung) {
            match federation.open(alias, expose) {
                Some(Ok(surface)) => self.surface = Some(surface),
                Some(Err(failure)) => self.failure = Some(failure),
                None => {}
            }
        }
    }

    fn warnings_ui(&mut self, ui: &mut Ui, t: &Tokens, federation: &Federation, alias: &str) {
        let unread = |warning: &&Warning| !self.dismissed.contains(&warning.text);
        let unread: Vec<_> = federation
            .remotes()
            .get(alias)
            .into_iter()
            .flat_map(|remote| federation.negotiator().warnings_of(remote))
            .filter(unread)
            .take(MAX_WARNINGS)
            .collect();
        for warning in unread {
            ui.spacing_mut().item_spacing.y = 0.0;
            if warning_ui(ui, t, warning) {
                self.dismissed.push(warning.text.clone());
            }
        }
    }

    /// Shows marks over the picture: a staged generation, slow frames, no response.
    fn marks_ui(
        &mut self,
        ui: &mut Ui,
        t: &Tokens,
        area: Rect,
        replacing: Option<Stage>,
        has_picture: bool,
    ) -> Option<Action> {
        let waited = |since: Instant, limit: Duration| {
            let left = limit.checked_sub(since.elapsed());
            left.inspect(|left| ui.ctx().request_repaint_after(*left)).is_none()
        };
        self.replacing = replacing.map(|_| self.replacing.unwrap_or_else(Instant::now));
        let replaced = self.replacing.is_some_and(|since| waited(since, LONG_REPLACEMENT));
        let surface = self.surface.as_ref();
        let health = surface.map_or(Health::Fine, HostedSurface::health);
        let waited = surface.and_then(HostedSurface::waiting).unwrap_or_default();
        let late = surface.and_then(HostedSurface::late).unwrap_or_default();
        self.slow = if health == Health::Fine { Duration::ZERO } else { self.slow.max(waited).max(late) };
        let mut action = None;
        if health == Health::NotResponding {
            let text = format!("Not responding for {} s", waited.as_secs());
            let next = Duration::from_secs(waited.as_secs() + 1).saturating_sub(waited);
            ui.ctx().request_repaint_after(next);
            if self.patient {
                corner_ui(ui, area, 0, |ui| {
                    let pill = ui.add(pill_button(&text, Tone::Warning));
                    if pill.on_hover_text("Restart or disable it").clicked() {
                        self.patient = false;
                    }
                });
            } else {
                action = self.not_responding_ui(ui, t, area, &text);
            }
        } else {
            self.patient = false;
            if health == Health::Slow && has_picture {
                corner_ui(ui, area, 0, |ui| {
                    pill_ui(ui, &format!("Slow: {}", millis(self.slow)), Tone::Warning);
                });
            }
        }
        if let (true, Some(stage)) = (replaced, replacing) {
            let row = u8::from(health != Health::Fine);
            corner_ui(ui, area, row, |ui| {
                pill_ui(ui, &format!("Replacing: {}", doing(stage)), Tone::Accent)
                    .on_hover_text("The new build is shown once it has drawn its first picture");
            });
        }
        action
    }

    fn not_responding_ui(&mut self, ui: &mut Ui, t: &Tokens, area: Rect, title: &str) -> Option<Action> {
        let mut action = None;
        veil(ui, t, area);
        let text = |ui: &mut Ui| {
            ui.label(strong(t, title, t.font_size[2]));
            ui.label(
                "It is still busy. Restart starts a fresh copy; unsaved state is lost, and the busy one stays loaded \
                 until Pulse exits.",
            );
        };
        middle_card_ui(ui, Tone::Warning, middle(area, 480.0), text, |ui| {
            ui.horizontal(|ui| {
                if ui.add(primary("Restart")).clicked() {
                    action = Some(Action::Restart);
                }
                if ui.add(secondary("Disable")).clicked() {
                    action = Some(Action::Disable);
                }
                self.patient = ui.add(secondary("Wait")).clicked();
            });
        });
        action
    }

    /// Shows a failure with its reason and the possible actions.
    fn failure_ui(
        &mut self,
        ui: &mut Ui,
        t: &Tokens,
        area: Rect,
        federation: &Federation,
        alias: &str,
        failure: &SharedFailure,
    ) -> Option<Action> {
        let entry = federation.remotes().get(alias);
        let title = entry.map_or(alias, ManagedRemote::title);
        let status = entry.map(ManagedRemote::status);
        let off = matches!(status, Some(Status::Disabled(_)));
        let alone = matches!(status, Some(Status::Active | Status::Hung));
        let stale = self.surface.as_ref().is_some_and(HostedSurface::has_picture);
        if stale {
            // The last good picture stays, marked as old.
            veil(ui, t, area);
        }
        let mut action = None;
        let text = |ui: &mut Ui| {
            ui.horizontal_wrapped(|ui| {
                let what = if off { "is disabled" } else { "is not available" };
                ui.label(strong(t, format!("{title} {what}"), t.font_size[2]));
                if stale {
                    pill_ui(ui, "Last picture", Tone::Warning);
                }
            });
            let summary = RichText::new(shortened(&failure.summary)).color(color(t.text));
            message_ui(ui, t, summary, &failure.advice);
            if let Some(Disabled { by, at, .. }) =
                entry.and_then(|entry| federation.inventory().disabled(entry))
            {
                let by = if *by == By::Failures { "automatically" } else { "by you" };
                // A damaged file may have a time out of range.
                let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(*at));
                let when = at.map(|at| format!(" {}", ago(at))).unwrap_or_default();
                ui.label(caption(t, format!("Disabled {by}{when}.")));
            }
            if let Some(fix) = entry.and_then(|entry| federation.fix(entry)).filter(|_| !off && !alone) {
                fix_ui(ui, t, &fix);
            }
            ui.horizontal_wrapped(|ui| {
                code_ui(ui, t, &failure.code, Tone::Neutral);
                if !off {
                    ui.label(caption(t, format!("Step: {}", step(failure.stage))));
                }
            });
            details_ui(ui, t, failure);
        };
        let tone = if off { Tone::Neutral } else { Tone::Danger };
        middle_card_ui(ui, tone, middle(area, 560.0), text, |ui| {
            ui.horizontal_wrapped(|ui| {
                let (word, act) = match failure.stage {
                    _ if off => ("Enable", Action::Enable),
                    Stage::Discover | Stage::Check | Stage::Preflight | Stage::Plan | Stage::Load => {
                        ("Retry", Action::Restart)
                    }
                    _ => ("Restart", Action::Restart),
                };
                if ui.add(primary(word)).clicked() {
                    action = Some(act);
                }
                if !off && ui.add(secondary("Disable")).clicked() {
                    action = Some(Action::Disable);
                }
                self.roll_back.button_ui(ui, federation, alias, "", secondary);
                copy_ui(ui, secondary("Copy details"), || failure.report(title));
            });
            action = self.roll_back.field_ui(ui, t).or(action.take());
        });
        if action == Some(Action::Restart) {
            (self.surface, self.failure) = (None, None);
            ui.ctx().request_repaint();
            if alone {
                // A surface that failed alone gets another one of the same remote, whose other surfaces keep running.
                return None;
            }
        }
        action
    }
}

/// Returns the present step of a start or replacement, in words.
pub(super) const fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Discover => "reading the manifest",
        Stage::Check | Stage::Preflight => "checking the library",
        Stage::Plan => "waiting for other remotes",
        Stage::Load => "loading the library",
        Stage::Init => "starting",
        Stage::Open | Stage::Restore | Stage::Frame => "drawing the first picture",
        Stage::Save => "saving state",
        Stage::Retire => "stopping",
    }
}

/// Dims `area`.
fn veil(ui: &Ui, t: &Tokens, area: Rect) {
    ui.painter().rect_filled(area, CornerRadius::ZERO, color(t.background).gamma_multiply(0.72));
}

/// Shows `content` over the upper right corner of `area`; `row` counts from the top.
fn corner_ui(ui: &mut Ui, area: Rect, row: u8, content: impl FnOnce(&mut Ui)) {
    let top = area.top() + 8.0 + 34.0 * f32::from(row);
    let rect = Rect::from_min_max(Pos2::new(area.left(), top), Pos2::new(area.right() - 8.0, top + 28.0));
    let layout = Layout::right_to_left(Align::Center);
    ui.scope_builder(UiBuilder::new().max_rect(rect).layout(layout), content);
}

/// Shows a warning above the surface, and returns `true` when it was dismissed.
fn warning_ui(ui: &mut Ui, t: &Tokens, warning: &Warning) -> bool {
    let text = |ui: &mut Ui| {
        let line = |text: &str| Tone::Warning.caption(t, text);
        ui.add(Label::new(line(&warning.text)).wrap());
        if let Some(fix) = &warning.fix {
            ui.add(Label::new(line(fix)).wrap().selectable(true));
        }
        code_ui(ui, t, &warning.code.into(), Tone::Warning);
    };
    strip_ui(ui, Tone::Warning, text, [secondary("Dismiss")]).is_some()
}

/// Draws a skeleton while a surface is loaded, and names the stage when that takes long.
fn skeleton_ui(ui: &mut Ui, t: &Tokens, area: Rect, (stage, since): (Stage, Instant)) {
    let area = area.shrink(t.space[4]);
    placeholder(ui, Rect::from_min_size(area.min, Vec2::new(220.0, 24.0)));
    let width = (area.width() - 3.0 * t.space[3]) / 4.0;
    for at in 0..4_u8 {
        let left = area.left() + f32::from(at) * (width + t.space[3]);
        placeholder(ui, Rect::from_min_size(Pos2::new(left, area.top() + 48.0), Vec2::new(width, 96.0)));
    }
    let top = area.top() + 48.0 + 96.0 + t.space[3];
    if top < area.bottom() {
        placeholder(ui, Rect::from_min_max(Pos2::new(area.left(), top), area.max));
    }
    let left = LONG_START.checked_sub(since.elapsed());
    if let Some(left) = left {
        ui.ctx().request_repaint_after(left);
        ui.scope_builder(UiBuilder::new().max_rect(area).layout(Layout::top_down(Align::Min)), |ui| {
            // For screen readers alone: the skeleton is the picture.
            ui.label(RichText::new("Loading…").color(Color32::TRANSPARENT));
        });
        return;
    }
    let center = Rect::from_center_size(
        Pos2::new(area.center().x, f32::midpoint(top, area.bottom())),
        Vec2::new(area.width(), 24.0),
    );
    let layout = Layout::centered_and_justified(egui::Direction::TopDown);
    ui.scope_builder(UiBuilder::new().max_rect(center).layout(layout), |ui| {
        ui.label(caption(t, format!("Loading: {}…", doing(stage))));
    });
}

/// Explains where a shell without remotes looks for them; returns `true` when the user wants to install one.
pub(super) fn empty_ui(ui: &mut Ui, t: &Tokens, config: &Config) -> bool {
    let place = middle(ui.available_rect_before_wrap(), 560.0);
    let text = |ui: &mut Ui| {
        ui.label(strong(t, "No remotes yet", t.font_size[2]));
        let from = match &config.file {
            Some(file) => format!("{} lists no remotes.", file.display()),
            None => format!(
                "No host's manifest was named with --config, and there is none at {}, so Pulse uses the built-in one.",
                config.config_dir.join("host.json").display()
            ),
        };
        ui.label(from);
        ui.label(
            "Install a remote from a file, drop one on this window, or add a line such as \"name\": \
             \"name@plugin.json\" under \"remotes\" in the host's manifest and restart Pulse.",
        );
    };
    middle_card_ui(ui, Tone::Neutral, place, text, |ui| ui.add(primary("Install…")).clicked())
}
