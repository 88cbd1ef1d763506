//! The host's fonts in an egui context.

use std::sync::Arc;

use egui::{FontFamily, FontId};

use super::style::tokens_id;
use crate::abi::{Font, families};

/// Name of the semi-bold font family; always registered after [`set_fonts`] or [`apply`](super::apply).
pub const STRONG: &str = "strong";

/// Returns the semi-bold family at `size` points.
pub fn strong_font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name(STRONG.into()))
}

/// Registers the host's fonts, in the order of preference.
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

/// Returns the bits of [`families`] for a family of egui.
pub fn families_of(family: &FontFamily) -> u32 {
    match family {
        FontFamily::Monospace => families::MONOSPACE,
        FontFamily::Name(name) if **name == *STRONG => families::STRONG,
        _ => families::PROPORTIONAL,
    }
}

/// Converts a font that was found for a character.
#[cfg(not(feature = "egui-0-36"))]
pub fn found_font(font: &Font) -> egui::FontInsert {
    // egui adds it to the family of the request.
    egui::FontInsert::new(&font.name, font_data(font), Vec::new())
}

fn font_data(font: &Font) -> egui::FontData {
    egui::FontData {
        index: font.index,
        tweak: egui::FontTweak { scale: font.scale, ..egui::FontTweak::default() },
        ..egui::FontData::from_static(font.data.as_slice())
    }
}
