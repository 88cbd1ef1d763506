//! The user's choice of palette.

use plugin_api::tokens::{DARK, LIGHT, Tokens};
use serde::{Deserialize, Serialize};

/// The palette that the user prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Preference {
    /// As the system; light if it states nothing.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Preference {
    /// Returns the next one of the cycle.
    #[must_use]
    pub(super) const fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    /// Returns its label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// Returns the palette, given the system's theme.
    pub(super) const fn tokens(self, system: Option<egui::Theme>) -> &'static Tokens {
        match (self, system) {
            (Self::Dark, _) | (Self::System, Some(egui::Theme::Dark)) => &DARK,
            _ => &LIGHT,
        }
    }
}
