//! Tab within a surface, and out of it in both directions.

use std::mem;

use abi_stable::std_types::RVec;
use egui::{Context, Id, LayerId};

use crate::abi::{Event, EventKind, FrameInput, modifiers};

/// Events that wait for the next frame: egui moves the focus once in a pass, however often Tab is pressed.
#[derive(Default)]
pub(super) struct Turns {
    waiting: Vec<Event>,
    /// The last frame had Shift and Tab, which egui carries out in the next pass.
    backward: bool,
}

impl Turns {
    /// Returns the events of this frame: up to the first press of Tab that cannot share a pass with an earlier one.
    pub(super) fn next(&mut self, events: RVec<Event>) -> RVec<Event> {
        self.waiting.extend(events);
        let tab = self.waiting.iter().position(is_tab);
        let count = match tab {
            Some(tab) if self.backward => tab,
            Some(tab) => tab + 1,
            None => self.waiting.len(),
        };
        self.backward = !mem::take(&mut self.backward)
            && tab.is_some_and(|tab| self.waiting[tab].modifiers == modifiers::SHIFT);
        self.waiting.drain(..count).collect()
    }

    /// Returns true while moves wait for a further frame.
    pub(super) fn remain(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Drops what was typed after the focus has left the surface.
    pub(super) fn leave(&mut self) {
        self.backward = false;
        self.waiting.retain(|event| ![EventKind::KEY, EventKind::TEXT].contains(&event.kind));
    }
}

fn is_tab(event: &Event) -> bool {
    event.kind == EventKind::KEY
        && event.pressed
        && event.text == "Tab"
        && event.modifiers & !modifiers::SHIFT == 0
}

/// Two places for the focus around all controls, where Tab leads out of the surface instead of going round.
///
/// egui knows the order of its controls only while they are shown, and keeps it to itself; that these two are the first
/// and the last of them is all that has to be known of it.
pub(super) struct Edges {
    first: Id,
    last: Id,
}

impl Edges {
    pub(super) fn new() -> Self {
        let edge = Id::NULL.with("pulse.edge");
        Self { first: edge.with("first"), last: edge.with("last") }
    }

    /// Before a frame: Tab leads in where nothing has the focus, and nothing has it once the keyboard is elsewhere.
    pub(super) fn lead_in(&self, ctx: &Context, input: &FrameInput) {
        let lost = !input.focused && input.events.iter().any(|e| e.kind == EventKind::FOCUS && !e.pressed);
        let tab = input.events.iter().find(|event| is_tab(event));
        ctx.memory_mut(|memory| match (memory.focused(), tab) {
            (Some(focused), _) if lost => memory.surrender_focus(focused),
            // The edges lie behind a modal, and egui goes round in it.
            (None, Some(_)) if memory.top_modal_layer().is_some() => {}
            (None, Some(tab)) if tab.modifiers == 0 => memory.request_focus(self.first),
            (None, Some(_)) => memory.request_focus(self.last),
            _ => {}
        });
    }

    /// Within a pass, before anything is shown.
    pub(super) fn begin(&self, ctx: &Context) {
        ctx.memory_mut(|memory| memory.interested_in_focus(self.first, LayerId::background()));
    }

    /// Within a pass, when everything has been shown.
    pub(super) fn end(&self, ctx: &Context) {
        ctx.memory_mut(|memory| memory.interested_in_focus(self.last, LayerId::background()));
    }

    /// After a frame: whether Tab has led out behind the last control (true) or, with Shift, before the first.
    pub(super) fn led_out(&self, ctx: &Context) -> Option<bool> {
        let focused = ctx.memory(egui::Memory::focused)?;
        let forward = focused == self.last;
        (forward || focused == self.first).then(|| {
            ctx.memory_mut(|memory| memory.surrender_focus(focused));
            forward
        })
    }
}
