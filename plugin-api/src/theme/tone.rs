//! Meanings that have a colour.

use egui::Color32;

use super::color;
use crate::tokens::Tokens;

/// What a text stands for; its colours come in pairs that keep a contrast of 4.5:1.
///
/// A tone alone says nothing to a user who cannot tell colours apart: the text must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Neutral,
    /// Something under way or selected.
    Accent,
    /// Something good.
    Success,
    /// Something that is not as it should be.
    Warning,
    /// A failure.
    Danger,
}

impl Tone {
    /// Every tone.
    pub const ALL: [Self; 5] = [Self::Neutral, Self::Accent, Self::Success, Self::Warning, Self::Danger];

    /// Returns the colour of text: on a card, and on [`ground`](Self::ground).
    pub fn ink(self, t: &Tokens) -> Color32 {
        color(match self {
            Self::Neutral => t.text_weak,
            Self::Accent => t.accent,
            Self::Success => t.success,
            Self::Warning => t.warning,
            Self::Danger => t.danger,
        })
    }

    /// Returns the colour below text in [`ink`](Self::ink).
    pub fn ground(self, t: &Tokens) -> Color32 {
        color(match self {
            Self::Neutral => t.hover,
            Self::Accent => t.accent_weak,
            Self::Success => t.success_weak,
            Self::Warning => t.warning_weak,
            Self::Danger => t.danger_weak,
        })
    }
}
