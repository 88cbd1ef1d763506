//! Conversions between the contract's events, modifiers and cursors and egui's, in pairs.
//!
//! The host uses one direction of each pair and the SDK the other, each with its own build of egui.

#[cfg(not(feature = "egui-0-36"))]
use std::sync::Arc;

use abi_stable::std_types::RVec;
use egui::{
    ColorImage, CursorIcon, Event as Egui, IMEPurpose, ImeEvent, Key, Modifiers, MouseWheelUnit, PointerButton,
    Pos2, TouchDeviceId, TouchId, TouchPhase,
};
#[cfg(not(feature = "egui-0-36"))]
use egui::{MouseWheelSource, Vec2};

use crate::abi::{Event, EventKind, modifiers as bits};

mod files;

pub use files::{URI_LIST, files_from_uris, files_to_uris};

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

/// Returns the CSS name of a cursor.
pub fn cursor_name(icon: CursorIcon) -> &'static str {
    CURSORS.iter().find(|(i, _)| *i == icon).map_or("default", |(_, name)| name)
}

/// Returns the cursor of a CSS name; the default cursor for an unknown name.
pub fn cursor_icon(name: &str) -> CursorIcon {
    CURSORS.iter().find(|(_, n)| *n == name).map_or(CursorIcon::Default, |(icon, _)| *icon)
}

/// Converts egui's modifiers to bits of [`bits`].
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

/// Converts bits of [`bits`] to egui's modifiers.
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
#[cfg(not(feature = "egui-0-36"))]
const SOURCES: [MouseWheelSource; 4] = [
    MouseWheelSource::Unknown,
    MouseWheelSource::Wheel,
    MouseWheelSource::Trackpad,
    MouseWheelSource::Momentum,
];
const PURPOSES: [IMEPurpose; 3] = [IMEPurpose::Normal, IMEPurpose::Password, IMEPurpose::Terminal];

fn index<T: PartialEq>(all: &[T], value: &T) -> u8 {
    all.iter().position(|v| v == value).unwrap_or(0) as u8
}

fn at<T: Copy>(all: &[T], index: u8) -> T {
    all[usize::from(index).min(all.len() - 1)]
}

/// Returns the contract's number for the purpose of a text field.
pub fn purpose_to_abi(purpose: IMEPurpose) -> u32 {
    index(&PURPOSES, &purpose).into()
}

/// Returns the purpose of a text field; text for an unknown number.
pub fn purpose_from_abi(purpose: u32) -> IMEPurpose {
    PURPOSES.get(purpose as usize).copied().unwrap_or_default()
}

/// Returns the size and texels of an image as it crosses: sRGBA with straight alpha, row by row.
pub fn image_to_abi(image: &ColorImage) -> ([u32; 2], RVec<u8>) {
    let texels = image.pixels.iter().flat_map(egui::Color32::to_srgba_unmultiplied).collect();
    (image.size.map(|side| side as u32), texels)
}

/// Returns the image of these texels; `None` if their number does not match the size.
pub fn image_from_abi(size: [u32; 2], texels: &[u8]) -> Option<ColorImage> {
    let size = size.map(|side| side as usize);
    let bytes = size[0].checked_mul(size[1])?.checked_mul(4)?;
    (bytes == texels.len()).then(|| ColorImage::from_rgba_unmultiplied(size, texels))
}

/// Converts an egui event to the contract's, with positions moved by `-origin`; `None` for an event that does not
/// cross: egui ignores that an input method was switched on or off.
// Only hosts use it, and no host is on egui 0.36.
#[cfg(not(feature = "egui-0-36"))]
pub fn event_to_abi(event: &Egui, origin: Vec2) -> Option<Event> {
    let local = |p: Pos2| (p - origin).into();
    let text = |kind, text: &str| Event { text: text.into(), ..Event::new(kind) };
    let span = |start: usize, end: usize| [start, end].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
    Some(match event {
        Egui::Copy => Event::new(EventKind::COPY),
        Egui::Cut => Event::new(EventKind::CUT),
        Egui::Paste(s) => text(EventKind::PASTE, s),
        Egui::PasteImage(image) => {
            let (span, data) = image_to_abi(image);
            Event { span, data, ..Event::new(EventKind::PASTE_IMAGE) }
        }
        Egui::MiddleClickPaste { pos, text: s } => {
            Event { pos: local(*pos), ..text(EventKind::PASTE_SELECTION, s) }
        }
        Egui::Text(s) => text(EventKind::TEXT, s),
        Egui::Key { key, physical_key, pressed, repeat, modifiers } => Event {
            physical: physical_key.map_or("", Key::name).into(),
            pressed: *pressed,
            repeat: *repeat,
            modifiers: modifiers_to_bits(*modifiers),
            ..text(EventKind::KEY, key.name())
        },
        Egui::ModifiersChanged(modifiers) => {
            Event { modifiers: modifiers_to_bits(*modifiers), ..Event::new(EventKind::MODIFIERS) }
        }
        Egui::PointerMoved(p) => Event { pos: local(*p), ..Event::new(EventKind::POINTER_MOVED) },
        Egui::MouseMoved(delta) => Event { delta: (*delta).into(), ..Event::new(EventKind::MOTION) },
        Egui::PointerGone => Event::new(EventKind::POINTER_GONE),
        Egui::PointerButton { pos, button, pressed, modifiers } => Event {
            pos: local(*pos),
            button: index(&BUTTONS, button),
            pressed: *pressed,
            modifiers: modifiers_to_bits(*modifiers),
            ..Event::new(EventKind::POINTER_BUTTON)
        },
        Egui::Zoom(factor) => Event { value: *factor, ..Event::new(EventKind::ZOOM) },
        Egui::Rotate(angle) => Event { value: *angle, ..Event::new(EventKind::ROTATE) },
        Egui::MouseWheel { unit, delta, phase, source, modifiers } => Event {
            unit: index(&UNITS, unit),
            phase: index(&PHASES, phase),
            source: index(&SOURCES, source),
            delta: (*delta).into(),
            modifiers: modifiers_to_bits(*modifiers),
            ..Event::new(EventKind::WHEEL)
        },
        Egui::Ime(ImeEvent::Preedit { text: s, active_range_chars }) => {
            let active = active_range_chars.as_ref().map(|range| span(range.start, range.end));
            Event { span: active.unwrap_or_default(), ..text(EventKind::IME_PREEDIT, s) }
        }
        Egui::Ime(ImeEvent::Commit(s)) => text(EventKind::IME_COMMIT, s),
        Egui::Ime(ImeEvent::DeleteSurrounding { before_chars, after_chars }) => {
            Event { span: span(*before_chars, *after_chars), ..Event::new(EventKind::IME_DELETE) }
        }
        Egui::Ime(_) => return None,
        Egui::Touch { device_id, id, phase, pos, force } => Event {
            device: device_id.0,
            id: id.0,
            phase: index(&PHASES, phase),
            pos: local(*pos),
            value: force.unwrap_or(f32::NAN),
            ..Event::new(EventKind::TOUCH)
        },
        Egui::WindowFocused(focused) => Event { pressed: *focused, ..Event::new(EventKind::FOCUS) },
        Egui::AccessKitActionRequest(request) => {
            text(EventKind::ACCESS_ACTION, &serde_json::to_string(request).ok()?)
        }
    })
}

/// Converts the contract's event to egui's; `None` for a kind or key that this build does not know, and for an image
/// whose size does not match its data.
///
/// Events of drags also return `None`: egui has no such events, and the SDK handles them.
pub fn event_from_abi(event: &Event) -> Option<Egui> {
    let pos = Pos2::from(event.pos);
    let text = || event.text.to_string();
    let modifiers = modifiers_from_bits(event.modifiers);
    let [start, end] = event.span.map(|at| at as usize);
    Some(match event.kind {
        EventKind::COPY => Egui::Copy,
        EventKind::CUT => Egui::Cut,
        EventKind::PASTE => Egui::Paste(text()),
        #[cfg(not(feature = "egui-0-36"))]
        EventKind::PASTE_IMAGE => Egui::PasteImage(Arc::new(image_from_abi(event.span, &event.data)?)),
        #[cfg(not(feature = "egui-0-36"))]
        EventKind::PASTE_SELECTION => Egui::MiddleClickPaste { pos, text: text() },
        EventKind::TEXT => Egui::Text(text()),
        EventKind::KEY => Egui::Key {
            key: Key::from_name(&event.text)?,
            physical_key: Key::from_name(&event.physical),
            pressed: event.pressed,
            repeat: event.repeat,
            modifiers,
        },
        EventKind::MODIFIERS => Egui::ModifiersChanged(modifiers),
        EventKind::POINTER_MOVED => Egui::PointerMoved(pos),
        EventKind::MOTION => Egui::MouseMoved(event.delta.into()),
        EventKind::POINTER_GONE => Egui::PointerGone,
        EventKind::POINTER_BUTTON => {
            Egui::PointerButton { pos, button: at(&BUTTONS, event.button), pressed: event.pressed, modifiers }
        }
        EventKind::ZOOM => Egui::Zoom(event.value),
        EventKind::ROTATE => Egui::Rotate(event.value),
        EventKind::WHEEL => Egui::MouseWheel {
            unit: at(&UNITS, event.unit),
            delta: event.delta.into(),
            phase: at(&PHASES, event.phase),
            #[cfg(not(feature = "egui-0-36"))]
            source: SOURCES.get(usize::from(event.source)).copied().unwrap_or(MouseWheelSource::Unknown),
            modifiers,
        },
        EventKind::IME_PREEDIT => Egui::Ime(ImeEvent::Preedit {
            text: text(),
            active_range_chars: (start < end).then_some(start..end),
        }),
        EventKind::IME_COMMIT => Egui::Ime(ImeEvent::Commit(text())),
        EventKind::IME_DELETE => {
            Egui::Ime(ImeEvent::DeleteSurrounding { before_chars: start, after_chars: end })
        }
        EventKind::FOCUS => Egui::WindowFocused(event.pressed),
        EventKind::TOUCH => Egui::Touch {
            device_id: TouchDeviceId(event.device),
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
mod tests;
