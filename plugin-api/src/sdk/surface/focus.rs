//! Tab within a surface, and out of it in both directions.

use std::mem;

use abi_stable::std_types::RVec;
use egui::{Context, Id, LayerId};

use crate::abi::{Event, EventKind, FrameInput, modifiers};

/// Events that wait for the next frame: egui moves the focus only once in a pass, even if Tab is pressed more often.
#[derive(Default)]
pub(super) struct PendingEvents {
    waiting: Vec<Event>,
    /// Set if the last frame had Shift+Tab, which egui applies in the next pass.
    backward: bool,
}

impl PendingEvents {
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

    /// Returns `true` while events wait for another frame.
    pub(super) fn remain(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Drops the keys that were typed after the focus left the surface.
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

/// Two stops for the focus around all controls, at which Tab leaves the surface instead of wrapping around.
///
/// egui knows the order of its controls only while they are shown, and does not expose it; but these two are always
/// the first and the last.
pub(super) struct Edges {
    first: Id,
    last: Id,
}

impl Edges {
    pub(super) fn new() -> Self {
        let edge = Id::NULL.with("pulse.edge");
        Self { first: edge.with("first"), last: edge.with("last") }
    }

    /// Moves the focus to an edge if Tab enters the surface, and releases it once the keyboard is elsewhere; called
    /// before a frame.
    pub(super) fn enter(&self, ctx: &Context, input: &FrameInput) {
        let lost = !input.focused && input.events.iter().any(|e| e.kind == EventKind::FOCUS && !e.pressed);
        let tab = input.events.iter().find(|event| is_tab(event));
        ctx.memory_mut(|memory| match (memory.focused(), tab) {
            (Some(focused), _) if lost => memory.surrender_focus(focused),
            // The edges are behind a modal, and egui cycles within it.
            (None, Some(_)) if memory.top_modal_layer().is_some() => {}
            (None, Some(tab)) if tab.modifiers == 0 => memory.request_focus(self.first),
            (None, Some(_)) => memory.request_focus(self.last),
            _ => {}
        });
    }

    /// Registers the first stop; called in a pass before anything is shown.
    pub(super) fn begin(&self, ctx: &Context) {
        ctx.memory_mut(|memory| memory.interested_in_focus(self.first, LayerId::background()));
    }

    /// Registers the last stop; called in a pass after everything is shown.
    pub(super) fn end(&self, ctx: &Context) {
        ctx.memory_mut(|memory| memory.interested_in_focus(self.last, LayerId::background()));
    }

    /// Returns `true` if Tab has left the surface after the last control, `false` if Shift+Tab has before the first;
    /// called after a frame.
    pub(super) fn left(&self, ctx: &Context) -> Option<bool> {
        let focused = ctx.memory(egui::Memory::focused)?;
        let forward = focused == self.last;
        (forward || focused == self.first).then(|| {
            ctx.memory_mut(|memory| memory.surrender_focus(focused));
            forward
        })
    }
}
