//! The sidebar: product mark, one entry for each expose, the user card.

use egui::{
    CornerRadius, Painter, Panel, Pos2, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo,
};
use plugin_api::{
    theme::{Tone, caption, color, focus_ring, secondary, strong, strong_font},
    tokens::{Rgba, Tokens},
};
use shared_store::AUTH;

use super::{
    Key, Shell,
    parts::{code_ui, message_ui},
    slot::Slot,
    supply,
};
use crate::{
    auth::{AuthStatus, GroupSignIn, Timing},
    failure::sentence,
    federation::Status,
};

impl Shell {
    pub(super) fn sidebar_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        Panel::bottom("user")
            .frame(egui::Frame::NONE)
            .show_separator_line(false)
            .show(ui, |ui| self.user_ui(ui, t));
        mark_ui(ui, t);
        ui.add_space(t.space[3]);
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = t.space[0];
            for (key, title, icon, status) in self.items() {
                let selected = self.selected.as_ref() == Some(&key);
                let warnings: Vec<String> = self
                    .federation
                    .remotes()
                    .get(&key.0)
                    .into_iter()
                    .flat_map(|remote| self.federation.negotiator().warnings_of(remote))
                    .map(|warning| warning.text.clone())
                    .collect();
                let remote = self.federation.remotes().get(&key.0);
                let tag = remote.and_then(|remote| supply::tag(remote.place()));
                let head = Head { title: &title, icon: icon.as_deref(), tag };
                if entry_ui(ui, t, &head, &status, &warnings, selected).clicked() {
                    self.selected = Some(key);
                }
            }
        });
        let edge = ui.max_rect().expand(12.0);
        ui.painter().vline(edge.right() - 0.5, edge.y_range(), Stroke::new(1.0, color(t.border)));
    }

    /// Returns the entries; a remote whose exposes are not known has one nameless entry.
    pub(super) fn items(&self) -> Vec<(Key, String, Option<String>, Status)> {
        let mut items = Vec::new();
        for (alias, entry) in self.federation.remotes() {
            let status = entry.status();
            let before = items.len();
            for (expose, about) in entry.exposes() {
                let key = (alias.clone(), expose.to_owned());
                // A surface may fail while its remote runs.
                let alone =
                    self.slots.get(&key).and_then(Slot::failure).filter(|_| matches!(status, Status::Active));
                let status = alone.map_or_else(|| status.clone(), |failure| Status::Failed(failure.clone()));
                items.push((key, about.title.clone(), about.icon.clone(), status));
            }
            if items.len() == before {
                items.push(((alias.clone(), String::new()), entry.title().to_owned(), None, status));
            }
        }
        items
    }

    fn user_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        ui.spacing_mut().item_spacing.y = 0.0;
        let (line, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 1.0), Sense::hover());
        ui.painter().hline(line.x_range(), line.center().y, Stroke::new(1.0, color(t.border)));
        ui.add_space(t.space[2]);
        let auth = self.federation.store().and_then(|store| match store.get(&AUTH) {
            Ok(auth) => Some(auth),
            Err(error) => {
                tracing::debug!(code = error.code(), "{error}");
                None
            }
        });
        let user = auth.as_ref().and_then(|a| a.user.as_ref());
        let status = self.auth.as_ref().map(GroupSignIn::status);
        let (name, role) = match (user, &status) {
            (Some(user), _) => (user.name.clone(), user.role.clone()),
            (None, Some(AuthStatus::SigningIn { attempt })) if *attempt > 1 => {
                ("Signing in…".to_owned(), format!("Attempt {attempt} of {}", Timing::default().tries()))
            }
            (None, Some(AuthStatus::SigningIn { .. }) | None) => ("Signing in…".to_owned(), String::new()),
            (None, Some(AuthStatus::Failed(_))) => ("Sign-in failed".to_owned(), "Not signed in".to_owned()),
            (None, Some(_)) => ("Signed out".to_owned(), String::new()),
        };
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing = Vec2::new(t.space[2], 2.0);
            avatar_ui(ui, t, user.map_or("", |u| &u.name));
            ui.vertical(|ui| {
                ui.add_space(2.0);
                ui.add(egui::Label::new(strong(t, name, t.font_size[1])).truncate());
                ui.add(egui::Label::new(caption(t, role)).truncate());
            });
        });
        ui.add_space(t.space[2]);
        let Some(service) = &self.auth else { return };
        if let Some(AuthStatus::Failed(error)) = &status {
            egui::ScrollArea::vertical().max_height(104.0).show(ui, |ui| {
                message_ui(ui, t, Tone::Danger.caption(t, sentence(error)), error.advice());
                code_ui(ui, t, &error.code().into(), Tone::Neutral);
            });
            ui.add_space(t.space[2]);
        }
        let (word, act): (_, fn(&GroupSignIn)) = match &status {
            Some(AuthStatus::Failed(_)) => ("Retry", GroupSignIn::retry),
            Some(AuthStatus::SignedOut) => ("Sign in", GroupSignIn::sign_in),
            Some(AuthStatus::SigningIn { .. }) => ("Cancel", GroupSignIn::sign_out),
            _ => ("Sign out", GroupSignIn::sign_out),
        };
        if ui.vertical_centered_justified(|ui| ui.add(secondary(word))).inner.clicked() {
            act(service);
        }
    }
}

fn mark_ui(ui: &mut Ui, t: &Tokens) {
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(Vec2::splat(28.0), Sense::hover());
        let painter = ui.painter();
        painter.rect_filled(rect, CornerRadius::same(8), color(t.accent));
        // A heartbeat.
        let point = |x: f32, y: f32| rect.min + Vec2::new(x, y) * 28.0;
        let beat = [(0.16, 0.54), (0.34, 0.54), (0.44, 0.28), (0.57, 0.74), (0.66, 0.54), (0.84, 0.54)];
        let line = beat.map(|(x, y)| point(x, y)).to_vec();
        painter.line(line, Stroke::new(2.0, color(t.on_accent)));
        ui.label(strong(t, "Pulse", 18.0));
    });
}

/// The head of an entry.
struct Head<'a> {
    title: &'a str,
    icon: Option<&'a str>,
    /// A word about an unusual origin.
    tag: Option<&'static str>,
}

fn entry_ui(
    ui: &mut Ui,
    t: &Tokens,
    &Head { title, icon, tag }: &Head<'_>,
    status: &Status,
    warnings: &[String],
    selected: bool,
) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 36.0), Sense::click());
    let dot = match status {
        Status::NotFetched | Status::Ready | Status::Disabled(_) => t.ghost,
        Status::Starting => t.accent,
        Status::Active => t.success,
        Status::Hung => t.warning,
        Status::Failed(_) => t.danger,
    };
    response.widget_info(|| WidgetInfo::selected(egui::Role::Button, true, selected, title));
    let painter = ui.painter();
    if selected || response.hovered() || response.has_focus() {
        let ground = if selected { t.accent_weak } else { t.hover };
        painter.rect_filled(rect, CornerRadius::same(t.radius[0] as u8), color(ground));
    }
    focus_ring(ui, &response, t.radius[0], StrokeKind::Inside);
    let ink = if selected { t.accent } else { t.text_weak };
    icon_ui(
        painter,
        Rect::from_center_size(Pos2::new(rect.left() + 20.0, rect.center().y), Vec2::splat(16.0)),
        icon,
        ink,
    );
    let font = if selected { strong_font(t.font_size[1]) } else { egui::FontId::proportional(t.font_size[1]) };
    let text = egui::WidgetText::from(egui::RichText::new(title).font(font).color(color(t.text)));
    let galley = text.into_galley(
        ui,
        Some(egui::TextWrapMode::Truncate),
        rect.width() - if warnings.is_empty() { 64.0 } else { 84.0 } - if tag.is_some() { 40.0 } else { 0.0 },
        egui::TextStyle::Body,
    );
    let at = Pos2::new(rect.left() + 38.0, rect.center().y - galley.size().y / 2.0);
    painter.with_clip_rect(rect).galley(at, galley, color(t.text));
    painter.circle_filled(Pos2::new(rect.right() - 14.0, rect.center().y), 3.5, color(dot));
    if let Some(tag) = tag {
        let right = rect.right() - if warnings.is_empty() { 26.0 } else { 44.0 };
        let font = egui::FontId::proportional(t.font_size[0]);
        let at = Pos2::new(right, rect.center().y);
        painter.text(at, egui::Align2::RIGHT_CENTER, tag, font, color(t.text_weak));
    }
    let tagged = tag.map(|tag| format!(" ({tag})")).unwrap_or_default();
    let mut text = format!("{title}: {}{tagged}", status.word());
    let failure = match status {
        Status::Failed(failure) | Status::Disabled(failure) => Some(sentence(&failure.summary)),
        _ => None,
    };
    for line in failure.iter().chain(warnings) {
        text.extend(["\n", line]);
    }
    if !warnings.is_empty() {
        warning_ui(painter, Pos2::new(rect.right() - 32.0, rect.center().y), t);
    }
    // Assistive technology gets the meaning of the dot and the mark.
    ui.ctx().accesskit_node_builder(response.id, |node| node.set_description(text.as_str()));
    response.on_hover_text(text)
}

/// Draws a small amber mark, distinct by its shape too.
fn warning_ui(painter: &Painter, center: Pos2, t: &Tokens) {
    let corner = |x: f32, y: f32| center + Vec2::new(x, y);
    let triangle = vec![corner(0.0, -6.0), corner(6.5, 5.0), corner(-6.5, 5.0)];
    painter.add(egui::Shape::convex_polygon(triangle, color(t.warning), Stroke::NONE));
    let ink = Stroke::new(1.5, color(t.panel));
    painter.line_segment([corner(0.0, -2.5), corner(0.0, 1.5)], ink);
    painter.circle_filled(corner(0.0, 3.2), 0.8, color(t.panel));
}

/// Draws the icon that a manifest names; anything unknown is a plain square.
fn icon_ui(painter: &Painter, rect: Rect, icon: Option<&str>, ink: Rgba) {
    let bar = |left: f32, top: f32| {
        let at = rect.min + Vec2::new(left, top) * rect.width();
        let bottom = Pos2::new(at.x + rect.width() * 0.2, rect.bottom());
        painter.rect_filled(Rect::from_min_max(at, bottom), CornerRadius::same(1), color(ink));
    };
    if icon == Some("chart") {
        for (left, top) in [(0.05, 0.55), (0.4, 0.1), (0.75, 0.35)] {
            bar(left, top);
        }
    } else {
        let stroke = Stroke::new(1.5, color(ink));
        painter.rect_stroke(rect.shrink(1.0), CornerRadius::same(3), stroke, StrokeKind::Inside);
    }
}

fn avatar_ui(ui: &mut Ui, t: &Tokens, name: &str) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(40.0), Sense::hover());
    let signed_in = !name.is_empty();
    let (ground, ink) = if signed_in { (t.accent_weak, t.accent) } else { (t.hover, t.text_weak) };
    ui.painter().circle_filled(rect.center(), 20.0, color(ground));
    let initials: String = name
        .split_whitespace()
        .filter_map(|word| word.chars().next())
        .take(2)
        .flat_map(char::to_uppercase)
        .collect();
    if signed_in {
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, initials, strong_font(14.0), color(ink));
    } else {
        let stroke = Stroke::new(1.5, color(ink));
        ui.painter().circle_stroke(rect.center() - Vec2::new(0.0, 4.0), 5.0, stroke);
        let c = rect.center();
        let shoulders: Vec<Pos2> = (0_u8..=12)
            .map(|i| {
                let angle = std::f32::consts::PI * (1.0 + f32::from(i) / 12.0);
                c + Vec2::new(angle.cos() * 9.0, 11.0 + angle.sin() * 7.0)
            })
            .collect();
        ui.painter().line(shoulders, stroke);
    }
}
