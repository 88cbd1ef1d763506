//! Tab between the shell's controls and those of a surface, in both directions.

use egui::{Event, FocusDirection, Id, Key, Response, Ui};
use plugin_api::abi::{self, EventKind, modifiers};

use super::{Surface, owns_keyboard};

/// The passes of the window in which the focus was moved, shared by all of its surfaces.
#[derive(Clone, Copy, Default)]
struct Moves {
    /// The last one with a move backwards, and the one before that. egui carries it out in the pass after it.
    backward: [Option<u64>; 2],
    /// The last one in which a surface gave the focus on.
    given_on: Option<u64>,
    /// The last one in which the pointer was over a surface.
    pointed: Option<u64>,
    /// The last one in which a surface took the keys that scroll.
    taken: Option<u64>,
}

fn note(ui: &Ui, change: impl FnOnce(&mut Moves)) {
    ui.data_mut(|data| change(data.get_temp_mut_or_default(Id::unique("pulse.surface.moves"))));
}

impl Moves {
    fn note_backward(&mut self, pass: u64) {
        if self.backward[0] != Some(pass) {
            self.backward = [Some(pass), self.backward[0]];
        }
    }
}

fn moves(ui: &Ui) -> Moves {
    ui.data(|data| data.get_temp(Id::unique("pulse.surface.moves"))).unwrap_or_default()
}

/// Returns true for keys that scroll unless a control uses them.
pub(super) fn scrolls(key: Key) -> bool {
    use Key::{ArrowDown, ArrowLeft, ArrowRight, ArrowUp, End, Home, PageDown, PageUp, Space};
    [PageUp, PageDown, Home, End, ArrowUp, ArrowDown, ArrowLeft, ArrowRight, Space].contains(&key)
}

impl Surface {
    #[cfg(test)]
    pub(super) fn keyboard(&self) -> bool {
        self.hands.keyboard
    }

    /// Gives the focus on to the control after or before the surface, if Tab has led out of it; else keeps it.
    ///
    /// Called before the surface shows itself to egui, which would otherwise have passed by the place.
    pub(super) fn pass_focus_on(&mut self, ui: &Ui) {
        let leaving = self.hands.leaving.take();
        let pane = self.pane();
        if !ui.memory(|memory| memory.has_focus(pane)) {
            return;
        }
        let pass = ui.ctx().cumulative_pass_nr();
        let direction = match leaving {
            // egui locks Tab and arrows only in the pass after the one in which the surface got the focus.
            None => FocusDirection::None,
            Some(true) => FocusDirection::Next,
            Some(false) => FocusDirection::Previous,
        };
        if leaving.is_some() {
            note(ui, |moves| moves.given_on = Some(pass));
        }
        if direction == FocusDirection::Previous {
            note(ui, |moves| moves.note_backward(pass));
            self.hands.left = Some(pass);
        }
        ui.memory_mut(|memory| memory.move_focus(direction));
    }

    /// Returns true if scrolling keys are for this surface, though it has no keyboard: no other control has it,
    /// and the pointer is `here` or over no surface.
    pub(super) fn takes_scrolling(ui: &Ui, here: bool) -> bool {
        let pass = ui.ctx().cumulative_pass_nr();
        let Moves { pointed, taken, .. } = moves(ui);
        let elsewhere = pointed.is_some_and(|of| of + 1 >= pass) || taken == Some(pass);
        if here {
            note(ui, |moves| moves.pointed = Some(pass));
        }
        let free = ui.memory(|memory| memory.focused().is_none()) && (here || !elsewhere);
        if free {
            note(ui, |moves| moves.taken = Some(pass));
        }
        free
    }

    /// Asks the remote to give the focus to its first or last control, if Tab has led to the surface.
    ///
    /// Returns the place of that Tab among the pass's events, if it is one of them.
    pub(super) fn lead_in(&mut self, ui: &Ui, response: &Response) -> Option<usize> {
        let pass = ui.ctx().cumulative_pass_nr();
        // A key is released before a slow window draws again: which way it led is known from its press only.
        let tab = ui.input(|input| {
            input.events.iter().enumerate().rev().find_map(|(nr, event)| match event {
                Event::Key { key: Key::Tab, pressed: true, modifiers, .. } => Some((nr, modifiers.shift)),
                _ => None,
            })
        });
        if tab.is_some_and(|(_, shift)| shift) {
            note(ui, |moves| moves.note_backward(pass));
        }
        // With no other control in the window, backwards leads to where it came from.
        let again = owns_keyboard(response) && self.hands.left.is_some_and(|left| left + 1 == pass);
        if !again && !response.gained_focus() {
            return None;
        }
        let Moves { backward, given_on, .. } = moves(ui);
        let backward = backward.iter().flatten().any(|of| of + 1 == pass);
        let modifiers = if backward { modifiers::SHIFT } else { 0 };
        let key = abi::Event { text: "Tab".into(), modifiers, ..abi::Event::new(EventKind::KEY) };
        self.pending.extend([abi::Event { pressed: true, ..key.clone() }, key]);
        tab.map(|(nr, _)| nr).filter(|_| !backward && given_on != Some(pass))
    }
}
