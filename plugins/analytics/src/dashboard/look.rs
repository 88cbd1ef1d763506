//! The design tokens in egui's terms, and text on several lines.

use std::sync::Arc;

use plugin_api::{
    egui::{self, AsIdSalt, Color32, CornerRadius, FontId, Galley, Rect, Role, Sense, Ui, text::LayoutJob},
    theme,
    tokens::Tokens,
};

/// What everything here is drawn with.
#[derive(Clone)]
pub(super) struct Look {
    /// Widgets are named under this, so that a notice above them does not rename them.
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

impl Look {
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

    /// A stable id in this dashboard.
    pub(super) fn id(&self, salt: impl AsIdSalt) -> egui::Id {
        self.base.with(salt)
    }

    /// Gives what is painted at `rect` its role and name in the accessibility tree.
    pub(super) fn describe(&self, ui: &Ui, rect: Rect, salt: impl AsIdSalt, role: Role, name: &str) {
        theme::describe(&ui.interact(rect, self.id(salt), Sense::hover()), role, name, None);
    }

    /// The strong font at a step of the type scale: caption, body, heading, title, figure.
    pub(super) fn strong(&self, step: usize) -> FontId {
        theme::strong_font(self.t.font_size[step])
    }

    pub(super) fn control_radius(&self) -> CornerRadius {
        CornerRadius::same(self.t.radius[0] as u8)
    }
}

/// Lays `text` out on as many lines as it takes.
pub(super) fn lines(ui: &Ui, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let job = LayoutJob::simple(text.to_owned(), font, color, width.max(0.0));
    ui.fonts_mut(|fonts| fonts.layout_job(job))
}

/// How far below the top of a galley its letters stand.
pub(super) fn baseline(galley: &Galley) -> f32 {
    let first = galley.rows.first().and_then(|row| Some(row.pos.y + row.row.glyphs.first()?.pos.y));
    first.unwrap_or(galley.size().y)
}
