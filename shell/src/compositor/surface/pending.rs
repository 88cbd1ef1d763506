//! Bounded queue of events for a surface: one that does not answer must not fill memory.

use std::ops::Deref;

use plugin_api::abi::{Event, EventKind};

use crate::limits::{EVENT_BYTES, EVENTS, EVENTS_APART};

/// Queue of events, oldest first. Releases are never lost.
#[derive(Default)]
pub(super) struct Pending {
    events: Vec<Event>,
    bytes: usize,
}

/// Priority of an event: the first groups are dropped first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// A move, which the next one of its kind supersedes.
    Motion,
    /// A user action that is complete in itself.
    Action,
    /// The start of a press: its end may arrive alone.
    Press,
    /// The end of a press, and everything else.
    End,
}

impl Pending {
    /// Adds an event; merges moves once many events are queued.
    pub(super) fn push(&mut self, event: Event) {
        if self.events.len() >= EVENTS_APART && self.merge(&event) {
            return;
        }
        self.bytes += size(&event);
        self.events.push(event);
        while self.events.len() > EVENTS || self.bytes > EVENT_BYTES && self.events.len() > 1 {
            let spare = [Worth::Motion, Worth::Action, Worth::Press]
                .into_iter()
                .find_map(|worth| self.events.iter().position(|event| self::worth(event) == worth));
            let Some(at) = spare.or_else(|| self.repeated()) else { return };
            let spared = self.events.remove(at);
            self.bytes -= size(&spared);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(self).events
    }

    /// Merges a move into the last one of its kind, if only moves follow that; returns `true` if it did.
    fn merge(&mut self, event: &Event) -> bool {
        let moves = self.events.iter_mut().rev().take_while(|event| worth(event) == Worth::Motion).take(8);
        for before in moves {
            if before.kind != event.kind
                || (before.modifiers, before.unit, before.source) != (event.modifiers, event.unit, event.source)
                || (before.phase, before.id, before.device) != (event.phase, event.id, event.device)
                || before.text != event.text
            {
                continue;
            }
            match event.kind {
                EventKind::WHEEL | EventKind::MOTION => {
                    before.delta = [0, 1].map(|axis| before.delta[axis] + event.delta[axis]);
                    before.pos = event.pos;
                }
                EventKind::ZOOM => before.value *= event.value,
                EventKind::ROTATE => before.value += event.value,
                EventKind::POINTER_MOVED | EventKind::TOUCH | EventKind::DRAG_OVER => *before = event.clone(),
                _ => continue,
            }
            return true;
        }
        false
    }

    /// Returns the index of the first event that a later one repeats.
    fn repeated(&self) -> Option<usize> {
        let key = |event: &Event| (event.kind.0, event.button, event.id, event.device);
        self.events.iter().enumerate().position(|(at, event)| {
            let mut later = self.events[at + 1..].iter();
            later.any(|later| key(later) == key(event) && later.text == event.text)
        })
    }
}

impl Extend<Event> for Pending {
    fn extend<T: IntoIterator<Item = Event>>(&mut self, events: T) {
        for event in events {
            self.push(event);
        }
    }
}

impl Deref for Pending {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.events
    }
}

fn size(event: &Event) -> usize {
    event.text.len() + event.data.len()
}

fn worth(event: &Event) -> Worth {
    match event.kind {
        EventKind::POINTER_MOVED
        | EventKind::WHEEL
        | EventKind::ZOOM
        | EventKind::ROTATE
        | EventKind::MOTION
        | EventKind::IME_PREEDIT
        | EventKind::DRAG_OVER => Worth::Motion,
        EventKind::TOUCH if event.phase == 1 => Worth::Motion,
        EventKind::KEY if event.pressed && event.repeat => Worth::Motion,
        EventKind::TEXT
        | EventKind::COPY
        | EventKind::CUT
        | EventKind::PASTE
        | EventKind::PASTE_IMAGE
        | EventKind::PASTE_SELECTION
        | EventKind::IME_COMMIT
        | EventKind::IME_DELETE
        | EventKind::ACCESS_ACTION => Worth::Action,
        EventKind::KEY | EventKind::POINTER_BUTTON if event.pressed => Worth::Press,
        EventKind::TOUCH if event.phase == 0 => Worth::Press,
        _ => Worth::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32) -> Event {
        Event { pos: [x, 0.0], ..Event::new(EventKind::POINTER_MOVED) }
    }

    fn key(name: &str, pressed: bool) -> Event {
        Event { text: name.into(), pressed, ..Event::new(EventKind::KEY) }
    }

    fn wheel(y: f32) -> Event {
        Event { delta: [0.0, y], phase: 1, ..Event::new(EventKind::WHEEL) }
    }

    #[test]
    fn moves_of_a_hung_surface_become_one() {
        let mut pending = Pending::default();
        for i in 0..50_000_u16 {
            pending.push(at(i.into()));
            pending.push(wheel(1.0));
        }
        assert!(pending.len() <= EVENTS_APART + 2, "{}", pending.len());
        let scrolled: f32 = pending.iter().map(|event| event.delta[1]).sum();
        assert!((scrolled - 50_000.0).abs() < 0.5, "no scrolling is lost: {scrolled}");
        let last = pending.iter().rfind(|event| event.kind == EventKind::POINTER_MOVED).map(|event| event.pos);
        assert_eq!(last, Some([49_999.0, 0.0]));
    }

    #[test]
    fn few_moves_stay_apart() {
        let mut pending = Pending::default();
        pending.extend((0..EVENTS_APART as u16).map(|i| at(i.into())));
        assert_eq!(pending.take().len(), EVENTS_APART);
        assert!(pending.is_empty() && pending.bytes == 0);
    }

    #[test]
    fn releases_are_never_lost() {
        let mut pending = Pending::default();
        let button = |pressed| Event { pressed, ..Event::new(EventKind::POINTER_BUTTON) };
        pending.push(button(true));
        pending.push(key("Shift", true));
        for i in 0..50_000_u16 {
            pending.push(key("A", true));
            pending.push(Event { repeat: true, ..key("A", true) });
            pending.push(Event { text: "a".into(), ..Event::new(EventKind::TEXT) });
            pending.push(key("A", false));
            if i == 100 {
                pending.push(button(false));
                pending.push(key("Shift", false));
                pending.push(Event::new(EventKind::FOCUS));
            }
        }
        assert!(pending.len() <= EVENTS, "{}", pending.len());
        let has = |wanted: &Event| {
            pending.iter().any(|event| {
                (event.kind, event.pressed, &event.text) == (wanted.kind, wanted.pressed, &wanted.text)
            })
        };
        assert!(has(&button(false)) && has(&key("Shift", false)) && has(&key("A", false)));
        assert!(has(&Event::new(EventKind::FOCUS)));
    }

    #[test]
    fn bytes_of_pastes_are_bounded() {
        let mut pending = Pending::default();
        for _ in 0..20 {
            let text = "p".repeat(10 << 20).into();
            pending.push(Event { text, ..Event::new(EventKind::PASTE) });
            pending.push(key("V", false));
        }
        assert!(
            pending.bytes <= EVENT_BYTES && pending.iter().filter(|e| e.kind == EventKind::PASTE).count() == 6
        );
    }
}
