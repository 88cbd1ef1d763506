//! User activation: the user's last action in a surface, which gates requests to the platform.
//!
//! As in browsers, a press, a key or a touch in the surface, or an action of assistive technology on it. Each allows
//! one link, one text or image for the clipboard, one selection and one paste, within [`ACTIVATION`].

use std::time::Instant;

use egui::{Event, Key, TouchPhase, accesskit::Action};

use crate::limits::ACTIVATION;

#[derive(Default)]
pub(super) struct Activation {
    at: Option<Instant>,
    /// Privileges that the action has been used for, one bit each.
    consumed: u8,
}

/// A request to the platform that needs a user action.
#[derive(Clone, Copy)]
pub(super) enum Privilege {
    Link = 1,
    Clipboard = 2,
    Selection = 4,
    Paste = 8,
}

impl Activation {
    /// Records an event for the surface; returns `true` if it is a new user action.
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
        // A release or a repeated key prolongs its action; only the selection, which a repeated key extends, may be
        // written again.
        self.consumed = if fresh { 0 } else { self.consumed & !(Privilege::Selection as u8) };
        self.at = Some(Instant::now());
        fresh
    }

    /// Uses the last action for `what`; returns `false` if it is too old or used. A `held` button keeps it fresh.
    pub(super) fn consume(&mut self, what: Privilege, held: bool) -> bool {
        let recent = self.at.is_some_and(|at| held || at.elapsed() < ACTIVATION);
        let bit = what as u8;
        let allowed = recent && self.consumed & bit == 0;
        if allowed {
            self.consumed |= bit;
        }
        allowed
    }

    #[cfg(test)]
    pub(super) fn expire(&mut self) {
        self.at = Instant::now().checked_sub(ACTIVATION);
    }
}
