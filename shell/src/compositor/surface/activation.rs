//! The user's last action in a surface, which pays for what the surface asks of the platform.
//!
//! As in browsers: a press, a key or a touch in the surface, or an action of assistive technology on it. Each pays
//! for one link, one text or image for the clipboard, one selection and one paste, for [`ACTIVATION`].

use std::time::Instant;

use egui::{Event, Key, TouchPhase, accesskit::Action};

use crate::limits::ACTIVATION;

#[derive(Default)]
pub(super) struct Activation {
    at: Option<Instant>,
    /// A bit for each use of the activation.
    spent: u8,
}

/// Something that a user action pays for.
#[derive(Clone, Copy)]
pub(super) enum Purchase {
    Link = 1,
    Clipboard = 2,
    Selection = 4,
    Paste = 8,
}

impl Activation {
    /// Notes an event that was for the surface; true when it is a new user action.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        let fresh = match event {
            Event::PointerButton { pressed, .. } => *pressed,
            // Escape closes things and opens none, and Tab moves the focus.
            Event::Key { key: Key::Escape | Key::Tab, .. } | Event::Key { pressed: false, .. } => return false,
            Event::Key { repeat, .. } => !repeat,
            Event::Touch { phase, .. } => match phase {
                TouchPhase::Start => true,
                TouchPhase::End => false,
                TouchPhase::Move | TouchPhase::Cancel => return false,
            },
            Event::Text(_) => false,
            Event::Copy
            | Event::Cut
            | Event::Paste(_)
            | Event::PasteImage(_)
            | Event::MiddleClickPaste { .. } => true,
            Event::AccessKitActionRequest(request) => match request.action {
                Action::Focus
                | Action::Blur
                | Action::ScrollDown
                | Action::ScrollLeft
                | Action::ScrollRight
                | Action::ScrollUp
                | Action::ScrollIntoView
                | Action::ScrollToPoint
                | Action::SetScrollOffset
                | Action::ShowTooltip
                | Action::HideTooltip => return false,
                _ => true,
            },
            _ => return false,
        };
        // A release, or a key that repeats, prolongs the action that it belongs to; only a selection that grows with
        // a repeated key is written anew.
        self.spent = if fresh { 0 } else { self.spent & !(Purchase::Selection as u8) };
        self.at = Some(Instant::now());
        fresh
    }

    /// Pays for `what` with the last action, if there was one; one that is `held` has not ended.
    pub(super) fn buy(&mut self, what: Purchase, held: bool) -> bool {
        let recent = self.at.is_some_and(|at| held || at.elapsed() < ACTIVATION);
        let bit = what as u8;
        let paid = recent && self.spent & bit == 0;
        if paid {
            self.spent |= bit;
        }
        paid
    }

    #[cfg(test)]
    pub(super) fn expire(&mut self) {
        self.at = Instant::now().checked_sub(ACTIVATION);
    }
}
