//! Tab between the shell's controls and those of a surface, in both directions.

use egui::{Event, FocusDirection, Id, Key, Response, Ui};
use plugin_api::abi::{self, EventKind, modifiers};

use super::{HostedSurface, owns_keyboard};

/// Passes of the window in which the focus or scrolling moved, shared by all of its surfaces.
#[derive(Clone, Copy, Default)]
struct Moves {
    /// The last two passes with a move backwards, newest first. egui carries a move out in the next pass.
    backward: [Option<u64>; 2],
    /// The last pass in which Tab moved the focus out of a surface.
    moved_out: Option<u64>,
    /// The last pass with the pointer over a surface.
    pointed: Option<u64>,
    /// The last pass in which a surface took the scroll keys.
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

/// Returns `true` for keys that scroll unless a control uses them.
pub(super) fn scrolls(key: Key) -> bool {
    use Key::{ArrowDown, ArrowLeft, ArrowRight, ArrowUp, End, Home, PageDown, PageUp, Space};
    [PageUp, PageDown, Home, End, ArrowUp, ArrowDown, ArrowLeft, ArrowRight, Space].contains(&key)
}

impl HostedSurface {
    #[cfg(test)]
    pub(super) fn keyboard(&self) -> bool {
        self.input_state.keyboard
    }

    /// Moves the focus to the control after or before the surface, if Tab has led out of it; otherwise keeps it.
    ///
    /// Must be called before the surface's pane is registered with egui, which otherwise passes it by.
    pub(super) fn move_focus_out(&mut self, ui: &Ui) {
        let leaving = self.input_state.leaving.take();
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
            note(ui, |moves| moves.moved_out = Some(pass));
        }
        if direction == FocusDirection::Previous {
            note(ui, |moves| moves.note_backward(pass));
            self.input_state.left = Some(pass);
        }
        ui.memory_mut(|memory| memory.move_focus(direction));
    }

    /// Returns `true` if scroll keys are for this surface without the keyboard: no control has the focus, and the
    /// pointer is `here` or over no surface.
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

    /// Makes the remote focus its first or last control, if Tab has moved the focus to the surface.
    ///
    /// Returns the index of that Tab in the pass's events, if it is one of them.
    pub(super) fn enter_by_tab(&mut self, ui: &Ui, response: &Response) -> Option<usize> {
        let pass = ui.ctx().cumulative_pass_nr();
        // Only the press gives the direction: a slow window may draw after Shift was released.
        let tab = ui.input(|input| {
            input.events.iter().enumerate().rev().find_map(|(nr, event)| match event {
                Event::Key { key: Key::Tab, pressed: true, modifiers, .. } => Some((nr, modifiers.shift)),
                _ => None,
            })
        });
        if tab.is_some_and(|(_, shift)| shift) {
            note(ui, |moves| moves.note_backward(pass));
        }
        // If the window has no other control, Shift+Tab moves the focus back here.
        let again = owns_keyboard(response) && self.input_state.left.is_some_and(|left| left + 1 == pass);
        if !again && !response.gained_focus() {
            return None;
        }
        let Moves { backward, moved_out, .. } = moves(ui);
        let backward = backward.iter().flatten().any(|of| of + 1 == pass);
        let modifiers = if backward { modifiers::SHIFT } else { 0 };
        let key = abi::Event { text: "Tab".into(), modifiers, ..abi::Event::new(EventKind::KEY) };
        self.pending.extend([abi::Event { pressed: true, ..key.clone() }, key]);
        tab.map(|(nr, _)| nr).filter(|_| !backward && moved_out != Some(pass))
    }
}
