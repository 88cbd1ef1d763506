//! Meanings that have a colour.

use egui::{Color32, RichText};

use super::color;
use crate::tokens::{Rgba, Tokens};

/// The meaning of a text; its colours are pairs with a contrast of 4.5:1.
///
/// The text must carry the meaning, too, for users who cannot distinguish colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// No particular meaning.
    #[default]
    Neutral,
    /// In progress, or selected.
    Accent,
    /// A success.
    Success,
    /// A condition that needs attention.
    Warning,
    /// A failure.
    Danger,
}

impl Tone {
    /// Every tone.
    pub const ALL: [Self; 5] = [Self::Neutral, Self::Accent, Self::Success, Self::Warning, Self::Danger];

    /// Returns the colour of text: on a card, on the background of a panel, and on [`ground`](Self::ground).
    pub fn ink(self, t: &Tokens) -> Color32 {
        color(self.pair(t)[0])
    }

    /// Returns the colour of the ground under text in [`ink`](Self::ink).
    pub fn ground(self, t: &Tokens) -> Color32 {
        color(self.pair(t)[1])
    }

    /// Returns text in [`ink`](Self::ink) at caption size.
    pub fn caption(self, t: &Tokens, text: impl Into<String>) -> RichText {
        RichText::new(text).size(t.font_size[0]).color(self.ink(t))
    }

    fn pair(self, t: &Tokens) -> [Rgba; 2] {
        match self {
            Self::Neutral => [t.text_weak, t.hover],
            Self::Accent => [t.accent, t.accent_weak],
            Self::Success => [t.success, t.success_weak],
            Self::Warning => [t.warning, t.warning_weak],
            Self::Danger => [t.danger, t.danger_weak],
        }
    }
}
