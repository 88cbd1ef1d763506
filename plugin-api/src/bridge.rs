//! The contract's events, modifiers and cursors in egui's terms, both directions side by side.
//!
//! The host uses one direction of each pair and the SDK the other, each with its own build of egui.

#[cfg(not(feature = "egui-0-36"))]
use egui::MouseWheelSource;
use egui::{
    CursorIcon, Event as Egui, ImeEvent, Key, Modifiers, MouseWheelUnit, PointerButton, Pos2, TouchDeviceId,
    TouchId, TouchPhase, Vec2,
};

use crate::abi::{Event, EventKind, modifiers as bits};

const CURSORS: &[(CursorIcon, &str)] = &[
    (CursorIcon::Default, "default"),
    (CursorIcon::ContextMenu, "context-menu"),
    (CursorIcon::Help, "help"),
    (CursorIcon::PointingHand, "pointer"),
    (CursorIcon::Progress, "progress"),
    (CursorIcon::Wait, "wait"),
    (CursorIcon::Cell, "cell"),
    (CursorIcon::Crosshair, "crosshair"),
    (CursorIcon::Text, "text"),
    (CursorIcon::VerticalText, "vertical-text"),
    (CursorIcon::Alias, "alias"),
    (CursorIcon::Copy, "copy"),
    (CursorIcon::Move, "move"),
    (CursorIcon::NoDrop, "no-drop"),
    (CursorIcon::NotAllowed, "not-allowed"),
    (CursorIcon::Grab, "grab"),
    (CursorIcon::Grabbing, "grabbing"),
    (CursorIcon::AllScroll, "all-scroll"),
    (CursorIcon::ResizeHorizontal, "ew-resize"),
    (CursorIcon::ResizeNeSw, "nesw-resize"),
    (CursorIcon::ResizeNwSe, "nwse-resize"),
    (CursorIcon::ResizeVertical, "ns-resize"),
    (CursorIcon::ResizeEast, "e-resize"),
    (CursorIcon::ResizeSouthEast, "se-resize"),
    (CursorIcon::ResizeSouth, "s-resize"),
    (CursorIcon::ResizeSouthWest, "sw-resize"),
    (CursorIcon::ResizeWest, "w-resize"),
    (CursorIcon::ResizeNorthWest, "nw-resize"),
    (CursorIcon::ResizeNorth, "n-resize"),
    (CursorIcon::ResizeNorthEast, "ne-resize"),
    (CursorIcon::ResizeColumn, "col-resize"),
    (CursorIcon::ResizeRow, "row-resize"),
    (CursorIcon::ZoomIn, "zoom-in"),
    (CursorIcon::ZoomOut, "zoom-out"),
    (CursorIcon::None, "none"),
];

/// The CSS name of a cursor.
pub fn cursor_name(icon: CursorIcon) -> &'static str {
    CURSORS.iter().find(|(i, _)| *i == icon).map_or("default", |(_, name)| name)
}

/// The cursor of a CSS name; the default cursor for a name that is not known.
pub fn cursor_icon(name: &str) -> CursorIcon {
    CURSORS.iter().find(|(_, n)| *n == name).map_or(CursorIcon::Default, |(icon, _)| *icon)
}

/// Bits of [`bits`] for egui's modifiers.
pub fn modifiers_to_bits(m: Modifiers) -> u32 {
    [
        (m.alt, bits::ALT),
        (m.ctrl, bits::CTRL),
        (m.shift, bits::SHIFT),
        (m.mac_cmd, bits::MAC_CMD),
        (m.command, bits::COMMAND),
    ]
    .into_iter()
    .filter_map(|(on, bit)| on.then_some(bit))
    .sum()
}

/// egui's modifiers for bits of [`bits`].
pub fn modifiers_from_bits(b: u32) -> Modifiers {
    Modifiers {
        alt: b & bits::ALT != 0,
        ctrl: b & bits::CTRL != 0,
        shift: b & bits::SHIFT != 0,
        mac_cmd: b & bits::MAC_CMD != 0,
        command: b & bits::COMMAND != 0,
    }
}

const BUTTONS: [PointerButton; 5] = [
    PointerButton::Primary,
    PointerButton::Secondary,
    PointerButton::Middle,
    PointerButton::Extra1,
    PointerButton::Extra2,
];
const UNITS: [MouseWheelUnit; 3] = [MouseWheelUnit::Point, MouseWheelUnit::Line, MouseWheelUnit::Page];
const PHASES: [TouchPhase; 4] = [TouchPhase::Start, TouchPhase::Move, TouchPhase::End, TouchPhase::Cancel];

fn index<T: PartialEq>(all: &[T], value: &T) -> u8 {
    all.iter().position(|v| v == value).unwrap_or(0) as u8
}

fn at<T: Copy>(all: &[T], index: u8) -> T {
    all[usize::from(index).min(all.len() - 1)]
}

/// The contract's event for an egui event, with positions moved by `-origin`; `None` for what does not cross.
pub fn event_to_abi(event: &Egui, origin: Vec2) -> Option<Event> {
    let local = |p: Pos2| (p - origin).into();
    let text = |kind, text: &str| Some(Event { text: text.into(), ..Event::new(kind) });
    match event {
        Egui::Copy => Some(Event::new(EventKind::COPY)),
        Egui::Cut => Some(Event::new(EventKind::CUT)),
        Egui::Paste(s) => text(EventKind::PASTE, s),
        Egui::Text(s) => text(EventKind::TEXT, s),
        Egui::Key { key, pressed, repeat, modifiers, .. } => Some(Event {
            text: key.name().into(),
            pressed: *pressed,
            repeat: *repeat,
            modifiers: modifiers_to_bits(*modifiers),
            ..Event::new(EventKind::KEY)
        }),
        Egui::PointerMoved(p) => Some(Event { pos: local(*p), ..Event::new(EventKind::POINTER_MOVED) }),
        Egui::PointerGone => Some(Event::new(EventKind::POINTER_GONE)),
        Egui::PointerButton { pos, button, pressed, modifiers } => Some(Event {
            pos: local(*pos),
            button: index(&BUTTONS, button),
            pressed: *pressed,
            modifiers: modifiers_to_bits(*modifiers),
            ..Event::new(EventKind::POINTER_BUTTON)
        }),
        Egui::Zoom(factor) => Some(Event { value: *factor, ..Event::new(EventKind::ZOOM) }),
        Egui::MouseWheel { unit, delta, phase, modifiers, .. } => Some(Event {
            unit: index(&UNITS, unit),
            phase: index(&PHASES, phase),
            delta: (*delta).into(),
            modifiers: modifiers_to_bits(*modifiers),
            ..Event::new(EventKind::WHEEL)
        }),
        Egui::Ime(ImeEvent::Preedit { text: s, .. }) => text(EventKind::IME_PREEDIT, s),
        Egui::Ime(ImeEvent::Commit(s)) => text(EventKind::IME_COMMIT, s),
        Egui::Touch { id, phase, pos, force, .. } => Some(Event {
            id: id.0,
            phase: index(&PHASES, phase),
            pos: local(*pos),
            value: force.unwrap_or(f32::NAN),
            ..Event::new(EventKind::TOUCH)
        }),
        Egui::AccessKitActionRequest(request) => {
            text(EventKind::ACCESS_ACTION, &serde_json::to_string(request).ok()?)
        }
        _ => None,
    }
}

/// The egui event for the contract's event; `None` for a kind or key that this build does not know.
pub fn event_from_abi(event: &Event) -> Option<Egui> {
    let pos = Pos2::from(event.pos);
    let text = || event.text.to_string();
    let modifiers = modifiers_from_bits(event.modifiers);
    Some(match event.kind {
        EventKind::COPY => Egui::Copy,
        EventKind::CUT => Egui::Cut,
        EventKind::PASTE => Egui::Paste(text()),
        EventKind::TEXT => Egui::Text(text()),
        EventKind::KEY => Egui::Key {
            key: Key::from_name(&event.text)?,
            physical_key: None,
            pressed: event.pressed,
            repeat: event.repeat,
            modifiers,
        },
        EventKind::POINTER_MOVED => Egui::PointerMoved(pos),
        EventKind::POINTER_GONE => Egui::PointerGone,
        EventKind::POINTER_BUTTON => {
            Egui::PointerButton { pos, button: at(&BUTTONS, event.button), pressed: event.pressed, modifiers }
        }
        EventKind::ZOOM => Egui::Zoom(event.value),
        EventKind::WHEEL => Egui::MouseWheel {
            unit: at(&UNITS, event.unit),
            delta: event.delta.into(),
            phase: at(&PHASES, event.phase),
            #[cfg(not(feature = "egui-0-36"))]
            source: MouseWheelSource::Unknown,
            modifiers,
        },
        EventKind::IME_PREEDIT => Egui::Ime(ImeEvent::Preedit { text: text(), active_range_chars: None }),
        EventKind::IME_COMMIT => Egui::Ime(ImeEvent::Commit(text())),
        EventKind::FOCUS => Egui::WindowFocused(event.pressed),
        EventKind::TOUCH => Egui::Touch {
            device_id: TouchDeviceId(0),
            id: TouchId(event.id),
            phase: at(&PHASES, event.phase),
            pos,
            force: (!event.value.is_nan()).then_some(event.value),
        },
        EventKind::ACCESS_ACTION => Egui::AccessKitActionRequest(serde_json::from_str(&event.text).ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_crossing() {
        let origin = Vec2::new(10.0, 20.0);
        let modifiers = Modifiers { shift: true, command: true, ..Modifiers::NONE };
        let pos = Pos2::new(13.0, 24.0);
        for event in [
            Egui::Copy,
            Egui::Paste("clip".into()),
            Egui::Text("ü".into()),
            Egui::Key { key: Key::ArrowDown, physical_key: None, pressed: true, repeat: true, modifiers },
            Egui::PointerMoved(pos),
            Egui::PointerGone,
            Egui::PointerButton { pos, button: PointerButton::Extra2, pressed: false, modifiers },
            Egui::Zoom(1.5),
            Egui::MouseWheel {
                unit: MouseWheelUnit::Page,
                delta: Vec2::new(1.0, -2.0),
                phase: TouchPhase::Cancel,
                source: MouseWheelSource::Unknown,
                modifiers,
            },
            Egui::Ime(ImeEvent::Commit("漢".into())),
        ] {
            let crossed = event_to_abi(&event, origin).as_ref().and_then(event_from_abi);
            let expected = match event {
                Egui::PointerMoved(p) => Egui::PointerMoved(p - origin),
                Egui::PointerButton { pos, button, pressed, modifiers } => {
                    Egui::PointerButton { pos: pos - origin, button, pressed, modifiers }
                }
                other => other,
            };
            assert_eq!(crossed, Some(expected));
        }
    }

    #[test]
    fn every_key_and_cursor_has_a_name_that_leads_back() {
        for key in Key::ALL {
            assert_eq!(Key::from_name(key.name()), Some(*key));
        }
        for icon in CursorIcon::ALL {
            assert_eq!(cursor_icon(cursor_name(icon)), icon);
        }
    }

    #[test]
    fn what_is_not_known_is_skipped() {
        assert_eq!(event_from_abi(&Event::new(EventKind(9_999))), None);
        assert_eq!(event_from_abi(&Event { text: "NoSuchKey".into(), ..Event::new(EventKind::KEY) }), None);
        assert_eq!(cursor_icon("no-such-cursor"), CursorIcon::Default);
    }
}
