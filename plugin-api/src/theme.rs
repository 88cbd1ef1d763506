//! Applies [`Tokens`] to an egui context: the same look for the shell and for every remote.

use std::sync::Arc;

use egui::{Color32, CornerRadius, FontFamily, FontId, RichText, Stroke, TextStyle, Vec2};

use crate::abi::{Font, families};
use crate::tokens::{LIGHT, Rgba, Tokens};

/// Name of the semi-bold font family; always registered after [`set_fonts`] or [`apply`].
pub const STRONG: &str = "strong";

/// The egui colour of a token.
#[expect(clippy::disallowed_methods, reason = "all other code comes here")]
pub fn color(rgba: Rgba) -> Color32 {
    Color32::from_rgba_unmultiplied(rgba[0], rgba[1], rgba[2], rgba[3])
}

/// The tokens that `ctx` was last given by [`apply`] or [`remember`]; [`LIGHT`] before that.
pub fn tokens(ctx: &egui::Context) -> Tokens {
    ctx.data(|data| data.get_temp(tokens_id())).unwrap_or(LIGHT)
}

fn tokens_id() -> egui::Id {
    egui::Id::NULL.with("pulse.tokens")
}

/// The semi-bold family at `size` points.
pub fn strong_font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name(STRONG.into()))
}

/// Semi-bold text in the primary colour at `size` points.
pub fn strong(tokens: &Tokens, text: impl Into<String>, size: f32) -> RichText {
    RichText::new(text).font(strong_font(size)).color(color(tokens.text))
}

/// Secondary text at caption size.
pub fn caption(tokens: &Tokens, text: impl Into<String>) -> RichText {
    RichText::new(text).size(tokens.font_size[0]).color(color(tokens.text_weak))
}

/// A pill-shaped label: status text in `text` on `ground`.
pub fn pill_ui(ui: &mut egui::Ui, label: &str, text: Rgba, ground: Rgba) -> egui::Response {
    let t = tokens(ui.ctx());
    egui::Frame::new()
        .fill(color(ground))
        .corner_radius(CornerRadius::same(255))
        .inner_margin(egui::Margin::symmetric(12, 5))
        .show(ui, |ui| {
            ui.add(
                egui::Label::new(RichText::new(label).size(t.font_size[0]).color(color(text)))
                    .wrap_mode(egui::TextWrapMode::Extend)
                    .selectable(false),
            )
        })
        .inner
}

/// The frame of a card.
pub fn card(tokens: &Tokens) -> egui::Frame {
    egui::Frame::new()
        .fill(color(tokens.card))
        .stroke(Stroke::new(1.0, color(tokens.border)))
        .corner_radius(tokens.radius[1])
        .inner_margin(tokens.space[3])
}

/// Registers the host's fonts, those to be asked first in front.
///
/// Takes effect at the start of the next pass.
pub fn set_fonts(ctx: &egui::Context, fonts: &[Font]) {
    let mut definitions = egui::FontDefinitions::empty();
    definitions.families.insert(FontFamily::Name(STRONG.into()), Vec::new());
    for font in fonts {
        definitions.font_data.insert(font.name.to_string(), Arc::new(font_data(font)));
        for (bit, family) in [
            (families::PROPORTIONAL, FontFamily::Proportional),
            (families::MONOSPACE, FontFamily::Monospace),
            (families::STRONG, FontFamily::Name(STRONG.into())),
        ] {
            if font.families & bit != 0 {
                definitions.families.entry(family).or_default().push(font.name.to_string());
            }
        }
    }
    ctx.set_fonts(definitions);
    ctx.data_mut(|data| data.insert_temp(tokens_id().with("fonts"), true));
}

/// Bits of [`families`] for a family of egui.
pub fn families_of(family: &FontFamily) -> u32 {
    match family {
        FontFamily::Monospace => families::MONOSPACE,
        FontFamily::Name(name) if **name == *STRONG => families::STRONG,
        _ => families::PROPORTIONAL,
    }
}

/// A font that was found for a character, as egui takes it.
#[cfg(not(feature = "egui-0-36"))]
pub fn found_font(font: &Font) -> egui::FontInsert {
    // egui adds it to the family that it was asked for.
    egui::FontInsert::new(&font.name, font_data(font), Vec::new())
}

fn font_data(font: &Font) -> egui::FontData {
    egui::FontData {
        index: font.index,
        tweak: egui::FontTweak { scale: font.scale, ..egui::FontTweak::default() },
        ..egui::FontData::from_static(font.data.as_slice())
    }
}

/// Notes `tokens` for [`tokens`], and leaves the style of `ctx` as it is.
pub fn remember(ctx: &egui::Context, tokens: &Tokens) {
    ctx.data_mut(|data| data.insert_temp(tokens_id(), *tokens));
}

/// Makes `ctx` look like `tokens`: style, spacing, type scale and colours.
///
/// Cheap when nothing changed.
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
        // Pressed, or in focus: seen by its border, and where it has none, by its ink.
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
