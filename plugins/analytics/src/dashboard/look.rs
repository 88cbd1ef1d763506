//! The design tokens in egui's terms, and text that is laid out on one line.

use std::sync::Arc;

use plugin_api::{
    egui::{
        self, Align2, Color32, CornerRadius, FontId, Galley, Painter, Pos2, Rect, Shape, Stroke, StrokeKind,
        Ui, Vec2,
        text::{LayoutJob, TextWrapping},
    },
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
    pub(super) fn id(&self, salt: impl egui::AsIdSalt) -> egui::Id {
        self.base.with(salt)
    }

    /// The strong font at a step of the type scale: caption, body, heading, title, figure.
    pub(super) fn strong(&self, step: usize) -> FontId {
        theme::strong_font(self.t.font_size[step])
    }

    pub(super) fn control_radius(&self) -> CornerRadius {
        CornerRadius::same(self.t.radius[0] as u8)
    }

    pub(super) fn card_radius(&self) -> CornerRadius {
        CornerRadius::same(self.t.radius[1] as u8)
    }

    /// A card's ground and border.
    pub(super) fn paint_card(&self, painter: &Painter, rect: Rect, fill: Color32, border: Stroke) {
        painter.rect(rect, self.card_radius(), fill, border, StrokeKind::Inside);
    }

    /// Shows where the keyboard is.
    pub(super) fn paint_focus(&self, ui: &Ui, response: &egui::Response, radius: CornerRadius) {
        if response.has_focus() {
            let stroke = Stroke::new(2.0, self.accent);
            ui.painter().rect_stroke(response.rect.expand(2.0), radius, stroke, StrokeKind::Outside);
        }
    }

    /// A button: filled with the accent, or quiet.
    pub(super) fn button_ui(&self, ui: &mut Ui, label: &str, primary: bool) -> egui::Response {
        let text = if primary { self.on_accent } else { self.text };
        let mut button = egui::Button::new(egui::RichText::new(label).font(self.body.clone()).color(text));
        if primary {
            button = button.fill(self.accent).stroke(Stroke::NONE);
        }
        ui.add(button)
    }
}

/// Lays `text` out on one line, with an ellipsis where it is wider than `width`.
pub(super) fn line(ui: &Ui, text: impl Into<String>, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.into(), font, color);
    job.wrap = TextWrapping::truncate_at_width(width.max(0.0));
    ui.fonts_mut(|fonts| fonts.layout_job(job))
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

/// Paints a galley with its `anchor` at `at`, on whole pixels so that it stays sharp.
pub(super) fn put(ui: &Ui, galley: Arc<Galley>, anchor: Align2, at: Pos2, color: Color32) -> Rect {
    let rect = anchor.anchor_size(at, galley.size());
    let pixels = ui.pixels_per_point();
    let min = (rect.min.to_vec2() * pixels).round() / pixels;
    ui.painter().galley(min.to_pos2(), galley, color);
    rect
}

/// A triangle that points up or down, centred; no font needs to have it.
pub(super) fn triangle(center: Pos2, size: f32, up: bool, color: Color32) -> Shape {
    let half = size / 2.0;
    let tip = if up { -half } else { half } * 0.85;
    let points =
        vec![center + Vec2::new(-half, -tip), center + Vec2::new(half, -tip), center + Vec2::new(0.0, tip)];
    Shape::convex_polygon(points, color, Stroke::NONE)
}
