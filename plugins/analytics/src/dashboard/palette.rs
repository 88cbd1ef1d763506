//! The design tokens as egui's types, and text on several lines.

use std::sync::Arc;

use plugin_api::{
    egui::{self, AsIdSalt, Color32, CornerRadius, FontId, Galley, Rect, Role, Sense, Ui, text::LayoutJob},
    theme,
    tokens::Tokens,
};

/// The colours, fonts and sizes of the dashboard.
#[derive(Clone)]
pub(super) struct Palette {
    /// The base of the widgets' ids, so that a notice above them does not change these.
    base: egui::Id,
    pub(super) t: Tokens,
    pub(super) background: Color32,
    pub(super) card: Color32,
    pub(super) hover: Color32,
    pub(super) border: Color32,
    pub(super) border_strong: Color32,
    pub(super) text: Color32,
    pub(super) weak: Color32,
    pub(super) accent: Color32,
    pub(super) on_accent: Color32,
    pub(super) success: Color32,
    pub(super) danger: Color32,
    pub(super) ghost: Color32,
    pub(super) caption: FontId,
    pub(super) body: FontId,
}

impl Palette {
    pub(super) fn of(ui: &Ui) -> Self {
        let t = theme::tokens(ui.ctx());
        Self {
            base: ui.scope_id(),
            background: theme::color(t.background),
            card: theme::color(t.card),
            hover: theme::color(t.hover),
            border: theme::color(t.border),
            border_strong: theme::color(t.border_strong),
            text: theme::color(t.text),
            weak: theme::color(t.text_weak),
            accent: theme::color(t.accent),
            on_accent: theme::color(t.on_accent),
            success: theme::color(t.success),
            danger: theme::color(t.danger),
            ghost: theme::color(t.ghost),
            caption: FontId::proportional(t.font_size[0]),
            body: FontId::proportional(t.font_size[1]),
            t,
        }
    }

    /// Returns a stable id in this dashboard.
    pub(super) fn id(&self, salt: impl AsIdSalt) -> egui::Id {
        self.base.with(salt)
    }

    /// Adds the picture at `rect` to the accessibility tree, with a role and a name.
    pub(super) fn describe(&self, ui: &Ui, rect: Rect, salt: impl AsIdSalt, role: Role, name: &str) {
        theme::describe(&ui.interact(rect, self.id(salt), Sense::hover()), role, name, None);
    }

    /// Returns the strong font at a step of the type scale: caption, body, heading, title, figure.
    pub(super) fn strong(&self, step: usize) -> FontId {
        theme::strong_font(self.t.font_size[step])
    }

    pub(super) fn control_radius(&self) -> CornerRadius {
        CornerRadius::same(self.t.radius[0] as u8)
    }
}

/// Lays out `text` on as many lines as it needs.
pub(super) fn lines(ui: &Ui, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let job = LayoutJob::simple(text.to_owned(), font, color, width.max(0.0));
    ui.fonts_mut(|fonts| fonts.layout_job(job))
}

/// Returns the distance from the top of a galley to the baseline of its first line, in points.
pub(super) fn baseline(galley: &Galley) -> f32 {
    let first = galley.rows.first().and_then(|row| Some(row.pos.y + row.row.glyphs.first()?.pos.y));
    first.unwrap_or(galley.size().y)
}
