//! [`Tokens`] as the style of an egui context.

use egui::{Color32, CornerRadius, FontId, Stroke, TextStyle, Vec2};

use super::{set_fonts, strong_font};
use crate::tokens::{LIGHT, Rgba, Tokens};

/// Returns the egui colour of a token.
#[expect(clippy::disallowed_methods, reason = "all other code calls this")]
pub fn color(rgba: Rgba) -> Color32 {
    Color32::from_rgba_unmultiplied(rgba[0], rgba[1], rgba[2], rgba[3])
}

/// Returns the tokens that [`apply`] or [`remember`] last set for `ctx`; [`LIGHT`] before that.
pub fn tokens(ctx: &egui::Context) -> Tokens {
    ctx.data(|data| data.get_temp(tokens_id())).unwrap_or(LIGHT)
}

pub(super) fn tokens_id() -> egui::Id {
    egui::Id::NULL.with("pulse.tokens")
}

/// Sets the result of [`tokens`] without a change to the style of `ctx`.
pub fn remember(ctx: &egui::Context, tokens: &Tokens) {
    ctx.data_mut(|data| data.insert_temp(tokens_id(), *tokens));
}

/// Applies `tokens` to `ctx`: style, spacing, type scale and colours.
///
/// Returns at once if nothing changed.
pub fn apply(ctx: &egui::Context, tokens: &Tokens) {
    if ctx.data(|data| data.get_temp::<bool>(tokens_id().with("fonts"))).is_none() {
        set_fonts(ctx, &[]);
    }
    if ctx.data(|data| data.get_temp::<Tokens>(tokens_id())) == Some(*tokens) {
        return;
    }
    remember(ctx, tokens);
    let theme = if tokens.dark { egui::Theme::Dark } else { egui::Theme::Light };
    ctx.set_theme(theme);
    ctx.set_style_of(theme, style(tokens));
}

fn style(t: &Tokens) -> egui::Style {
    let [caption, body, heading, ..] = t.font_size;
    let mut style = egui::Style { visuals: visuals(t), ..egui::Style::default() };
    style.text_styles = [
        (TextStyle::Small, FontId::proportional(caption)),
        (TextStyle::Body, FontId::proportional(body)),
        (TextStyle::Button, FontId::proportional(body)),
        (TextStyle::Heading, strong_font(heading)),
        (TextStyle::Monospace, FontId::monospace(body - 1.0)),
    ]
    .into();
    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::splat(t.space[1]);
    spacing.button_padding = Vec2::new(t.space[2], 6.0);
    spacing.interact_size.y = 30.0;
    spacing.menu_margin = egui::Margin::same(6);
    style.interaction.tooltip_delay = 0.3;
    style.interaction.selectable_labels = false;
    style
}

fn visuals(t: &Tokens) -> egui::Visuals {
    let mut v = if t.dark { egui::Visuals::dark() } else { egui::Visuals::light() };
    let radius = CornerRadius::same(t.radius[0] as u8);
    v.panel_fill = color(t.background);
    v.window_fill = color(t.card);
    v.window_stroke = Stroke::new(1.0, color(t.border));
    v.window_corner_radius = CornerRadius::same(t.radius[1] as u8);
    v.menu_corner_radius = radius;
    v.extreme_bg_color = color(t.card);
    v.faint_bg_color = color(t.hover);
    v.code_bg_color = color(t.hover);
    v.hyperlink_color = color(t.accent);
    v.warn_fg_color = color(t.warning);
    v.error_fg_color = color(t.danger);
    v.weak_text_color = Some(color(t.text_weak));
    v.selection.bg_fill = color(t.accent_weak);
    v.selection.stroke = Stroke::new(1.0, color(t.accent));
    let text = |rgba| Stroke::new(1.0, color(rgba));
    for (widget, ground, border, ink) in [
        (&mut v.widgets.noninteractive, t.card, t.border, t.text),
        (&mut v.widgets.inactive, t.card, t.border_strong, t.text),
        (&mut v.widgets.hovered, t.hover, t.border_strong, t.text),
        // Pressed or focused: shown by its border, or by its ink if it has no border.
        (&mut v.widgets.active, t.accent_weak, t.accent, t.accent),
        (&mut v.widgets.open, t.hover, t.border_strong, t.text),
    ] {
        widget.bg_fill = color(ground);
        widget.weak_bg_fill = color(ground);
        widget.bg_stroke = text(border);
        widget.fg_stroke = text(ink);
        widget.corner_radius = radius;
        widget.expansion = 0.0;
    }
    v.widgets.active.bg_stroke.width = 2.0;
    v
}
