//! The shell's fonts and its choice of palette.

use abi_stable::std_types::RSlice;
use epaint_default_fonts::{EGUI_ICONS, EMOJI_ICON, HACK_REGULAR, NOTO_EMOJI_REGULAR, UBUNTU_LIGHT};
use plugin_api::{
    abi::{
        self, Font,
        families::{MONOSPACE, PROPORTIONAL},
    },
    tokens::{DARK, LIGHT, Tokens},
};
use serde::{Deserialize, Serialize};

pub mod system;

const REGULAR: &[u8] = include_bytes!("../assets/fonts/Inter-Regular.ttf");
const SEMI_BOLD: &[u8] = include_bytes!("../assets/fonts/Inter-SemiBold.ttf");

/// The fonts that the shell draws with and hands to remotes: one copy of the bytes for all.
pub fn fonts() -> Vec<Font> {
    const ALL: u32 = PROPORTIONAL | MONOSPACE | abi::families::STRONG;
    [
        ("Inter", REGULAR, PROPORTIONAL, 1.0),
        ("Inter SemiBold", SEMI_BOLD, abi::families::STRONG, 1.0),
        ("Hack", HACK_REGULAR, MONOSPACE, 1.0),
        ("Ubuntu Light", UBUNTU_LIGHT, ALL, 1.0),
        ("egui icons", EGUI_ICONS, ALL, 0.9),
        ("Noto Emoji", NOTO_EMOJI_REGULAR, ALL, 0.81),
        ("emoji icons", EMOJI_ICON, ALL, 0.9),
    ]
    .map(|(name, data, families, scale)| Font {
        name: name.into(),
        data: RSlice::from_slice(data),
        index: 0,
        families,
        scale,
    })
    .into()
}

/// Gives `ctx` the shell's fonts, and the system's for what they lack.
pub fn install_fonts(ctx: &egui::Context) {
    plugin_api::theme::set_fonts(ctx, &fonts());
    system::provide(ctx);
}

/// Which palette the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preference {
    /// What the system says; light where it says nothing.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Preference {
    /// The next one when the user goes round.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// The palette, given what the system says.
    pub const fn tokens(self, system: Option<egui::Theme>) -> &'static Tokens {
        match (self, system) {
            (Self::Dark, _) | (Self::System, Some(egui::Theme::Dark)) => &DARK,
            _ => &LIGHT,
        }
    }
}
