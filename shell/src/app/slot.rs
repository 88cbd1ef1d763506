//! One place in the main area, in each of its states: loading, empty, error, stale, live.

use egui::{Align, Color32, CornerRadius, Layout, Pos2, Rect, RichText, ScrollArea, Ui, UiBuilder, Vec2};
use plugin_api::{
    theme::{caption, card, color, pill_ui, strong},
    tokens::{Rgba, Tokens},
};

use crate::{
    catalogue,
    compositor::{Scene, Surface},
    config::Config,
    failure::{SharedFailure, sentence},
    federation::{Entry, Federation, Status, Warning},
};

/// How many warnings stand above a surface at a time; the next comes when one was dismissed.
const MAX_WARNINGS: usize = 2;

/// What a slot shows, and the failure that it shows instead.
#[derive(Default)]
pub(crate) struct Slot {
    surface: Option<Surface>,
    failure: Option<SharedFailure>,
    /// Warnings that the person has read.
    dismissed: Vec<String>,
}

impl Slot {
    /// Shows `expose` of `alias` in all of `ui`'s space.
    pub(crate) fn ui(
        &mut self,
        ui: &mut Ui,
        scene: &Scene,
        federation: &mut Federation,
        alias: &str,
        expose: &str,
    ) {
        federation.want(alias);
        let status = federation.entries().get(alias).map(Entry::status);
        if self.surface.is_none() && self.failure.is_none() && matches!(status, Some(Status::Active)) {
            match federation.open(alias, expose) {
                Some(Ok(surface)) => self.surface = Some(surface),
                Some(Err(failure)) => self.failure = Some(failure),
                None => {}
            }
        }
        if self.surface.as_ref().is_some_and(Surface::is_gone) {
            // The remote was started anew; the next frame opens a surface of it.
            self.surface = None;
            ui.ctx().request_repaint();
        }
        if !matches!(status, None | Some(Status::Failed(_) | Status::Off(_))) {
            let unread = |warning: &&Warning| !self.dismissed.contains(&warning.text);
            let unread: Vec<_> = federation.warnings(alias).filter(unread).take(MAX_WARNINGS).collect();
            for warning in unread {
                if warning_ui(ui, &scene.tokens, warning) {
                    self.dismissed.push(warning.text.clone());
                }
            }
        }
        let area = ui.available_rect_before_wrap();
        if let Some(surface) = &mut self.surface {
            surface.ui(ui, scene);
            if !surface.has_picture() && surface.failure().is_none() {
                skeleton_ui(ui, &scene.tokens, area);
            }
        } else if self.failure.is_none() && !matches!(status, None | Some(Status::Failed(_) | Status::Off(_))) {
            skeleton_ui(ui, &scene.tokens, area);
        }
        let active = matches!(status, Some(Status::Active));
        let failure = match status {
            Some(Status::Failed(failure) | Status::Off(failure)) => Some(failure),
            _ => self.failure.clone().or_else(|| self.surface.as_ref().and_then(Surface::failure).cloned()),
        };
        let Some(failure) = failure else { return };
        let stale = self.surface.as_ref().is_some_and(Surface::has_picture);
        let title = federation.entries().get(alias).map_or(alias, Entry::title).to_owned();
        if failure_ui(ui, &scene.tokens, area, &title, &failure, stale) {
            *self = Self::default();
            // A surface that failed alone gets another one of the same remote, whose other surfaces go on.
            if !active {
                federation.retry(alias);
            }
            ui.ctx().request_repaint();
        }
    }
}

/// The rectangle of a card in the middle of `area`.
fn middle(area: Rect, width: f32) -> Rect {
    let width = width.min(area.width() - 32.0).max(200.0);
    let top = area.top() + (area.height() * 0.22).max(16.0);
    Rect::from_min_max(
        Pos2::new(area.center().x - width / 2.0, top),
        Pos2::new(area.center().x + width / 2.0, area.bottom() - 16.0),
    )
}

/// What failed, why, and what can be done; true when Retry was pressed.
fn failure_ui(ui: &mut Ui, t: &Tokens, area: Rect, title: &str, failure: &SharedFailure, stale: bool) -> bool {
    if stale {
        // The last good picture stays, and is seen to be old.
        ui.painter().rect_filled(area, CornerRadius::ZERO, color(t.background).gamma_multiply(0.72));
    }
    let mut retry = false;
    ui.scope_builder(UiBuilder::new().max_rect(middle(area, 560.0)), |ui| {
        card(t).inner_margin(t.space[4]).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = t.space[2];
            ui.horizontal(|ui| {
                ui.label(strong(t, format!("{title} is not available"), t.font_size[2]));
                if stale {
                    pill_ui(ui, "Last picture", t.warning, t.warning_weak);
                }
            });
            ui.label(RichText::new(sentence(&failure.message)).color(color(t.text)));
            ui.horizontal(|ui| {
                code_ui(ui, t, &failure.code, t.text_weak);
                ui.label(caption(t, format!("while: {}", failure.stage)));
            });
            if !failure.details.is_empty() {
                egui::CollapsingHeader::new("Details").show(ui, |ui| {
                    ScrollArea::both().max_height(180.0).show(ui, |ui| {
                        ui.add(
                            egui::Label::new(RichText::new(&failure.details).monospace().size(t.font_size[0]))
                                .selectable(true),
                        );
                    });
                });
            }
            ui.horizontal(|ui| {
                let button = egui::Button::new(RichText::new("Retry").color(color(t.on_accent)))
                    .fill(color(t.accent))
                    .stroke(egui::Stroke::NONE);
                retry = ui.add(button).clicked();
                if ui.button("Copy details").clicked() {
                    ui.ctx().copy_text(failure.report(title));
                }
            });
        });
    });
    retry
}

/// A warning above the surface; true when it was dismissed.
fn warning_ui(ui: &mut Ui, t: &Tokens, warning: &Warning) -> bool {
    let margin = egui::Margin::symmetric(t.space[3] as i8, t.space[1] as i8);
    let strip = egui::Frame::new().fill(color(t.warning_weak)).inner_margin(margin);
    ui.spacing_mut().item_spacing.y = 0.0;
    let dismissed = strip.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_top(|ui| {
            let width = (ui.available_width() - 88.0).max(120.0);
            ui.vertical(|ui| {
                ui.set_width(width);
                let line = |text: &str| RichText::new(text).size(t.font_size[0]).color(color(t.warning));
                ui.add(egui::Label::new(line(&warning.text)).wrap());
                if let Some(fix) = &warning.fix {
                    ui.add(egui::Label::new(line(fix)).wrap().selectable(true));
                }
                code_ui(ui, t, warning.code, t.warning);
            });
            ui.button("Dismiss").clicked()
        })
        .inner
    });
    dismissed.inner
}

/// A code, with what the catalogue says of it on hover.
pub(crate) fn code_ui(ui: &mut Ui, t: &Tokens, code: &str, ink: Rgba) {
    let label = ui.label(RichText::new(code).monospace().size(t.font_size[0]).color(color(ink)));
    if let Some(catalogue::Entry { meaning, cause, remedy, .. }) = catalogue::find(code) {
        label.on_hover_text(format!("{meaning}\n\nCause: {cause}\n\nWhat to do: {remedy}"));
    }
}

/// The shape of what will be there, while it is being loaded.
fn skeleton_ui(ui: &mut Ui, t: &Tokens, area: Rect) {
    let area = area.shrink(t.space[4]);
    let bar =
        |rect: Rect, ground| ui.painter().rect_filled(rect, CornerRadius::same(t.radius[0] as u8), ground);
    let ground = color(t.border).gamma_multiply(0.6);
    bar(Rect::from_min_size(area.min, Vec2::new(220.0, 24.0)), ground);
    let width = (area.width() - 3.0 * t.space[3]) / 4.0;
    for at in 0..4_u8 {
        let left = area.left() + f32::from(at) * (width + t.space[3]);
        bar(Rect::from_min_size(Pos2::new(left, area.top() + 48.0), Vec2::new(width, 96.0)), ground);
    }
    let top = area.top() + 48.0 + 96.0 + t.space[3];
    if top < area.bottom() {
        bar(Rect::from_min_max(Pos2::new(area.left(), top), area.max), ground);
    }
    ui.scope_builder(UiBuilder::new().max_rect(area).layout(Layout::top_down(Align::Min)), |ui| {
        // Said to screen readers, drawn as the skeleton.
        ui.label(RichText::new("Loading…").color(Color32::TRANSPARENT));
    });
}

/// A shell without remotes says where it would find some.
pub(crate) fn empty_ui(ui: &mut Ui, t: &Tokens, config: &Config) {
    let area = ui.available_rect_before_wrap();
    ui.scope_builder(UiBuilder::new().max_rect(middle(area, 560.0)), |ui| {
        card(t).inner_margin(t.space[4]).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(strong(t, "No remotes yet", t.font_size[2]));
            let from = match &config.file {
                Some(file) => format!("{} lists none.", file.display()),
                None => "There is no manifests/host.json here, and none was named with --config.".to_owned(),
            };
            ui.label(from);
            ui.label("Add a line such as \"name\": \"name@plugin.json\" under \"remotes\" and start again.");
        });
    });
}
