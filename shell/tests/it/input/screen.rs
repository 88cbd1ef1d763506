//! Input of a user and of other programs, as the X server delivers it.

use std::{io::IoSlice, path::Path};

use egui::Pos2;
use x11rb::{
    connection::{Connection, RequestConnection},
    protocol::{
        Event,
        xproto::{
            ClientMessageEvent, ConnectionExt, CreateWindowAux, EventMask, PropMode, SelectionNotifyEvent,
            WindowClass,
        },
    },
    wrapper::ConnectionExt as _,
};

use crate::driver::{Window, atom};

// Event types of the extension XTEST.
const KEY_DOWN: u8 = 2;
const KEY_UP: u8 = 3;
const BUTTON_DOWN: u8 = 4;
const BUTTON_UP: u8 = 5;
const MOTION: u8 = 6;

/// Keysyms of keys without a character.
pub(super) const SHIFT: u32 = 0xffe1;
pub(super) const CONTROL: u32 = 0xffe3;
pub(super) const HOME: u32 = 0xff50;
pub(super) const END: u32 = 0xff57;

fn fake(x11: &impl RequestConnection, kind: u8, detail: u8, at: Pos2) {
    let xtest = x11.query_extension(b"XTEST").expect("a request").reply().expect("an answer");
    assert!(xtest.present, "Xvfb has XTEST");
    let mut request = [0_u8; 36];
    request[..4].copy_from_slice(&[xtest.major_opcode, 2, 9, 0]);
    request[4] = kind;
    request[5] = detail;
    request[24..26].copy_from_slice(&(at.x as i16).to_ne_bytes());
    request[26..28].copy_from_slice(&(at.y as i16).to_ne_bytes());
    x11.send_request_without_reply(&[IoSlice::new(&request)], Vec::new())
        .expect("a request")
        .check()
        .expect("done");
}

pub(super) fn point(window: &Window, at: Pos2) {
    fake(&window.x11().0, MOTION, 0, at);
}

pub(super) fn click(window: &Window, button: u8, at: Pos2) {
    let (x11, _) = window.x11();
    fake(&x11, MOTION, 0, at);
    for kind in [BUTTON_DOWN, BUTTON_UP] {
        fake(&x11, kind, button, Pos2::ZERO);
    }
}

/// Presses keys one after the other, and releases them in reverse order.
pub(super) fn press(window: &Window, keys: &[u32]) {
    let (x11, _) = window.x11();
    let (first, last) = (x11.setup().min_keycode, x11.setup().max_keycode);
    let map = x11.get_keyboard_mapping(first, last - first + 1).expect("a request").reply().expect("the keys");
    let mut codes = Vec::new();
    for key in keys {
        let at = map.keysyms.iter().position(|known| known == key).expect("a key of this keyboard");
        let each = usize::from(map.keysyms_per_keycode);
        let code = first + u8::try_from(at / each).expect("as many as there are codes");
        // The shifted keysym of this key.
        if at % each == 1 && !keys.contains(&SHIFT) {
            return press(window, &[&[SHIFT], keys].concat());
        }
        codes.push(code);
    }
    for code in &codes {
        fake(&x11, KEY_DOWN, *code, Pos2::ZERO);
    }
    for code in codes.iter().rev() {
        fake(&x11, KEY_UP, *code, Pos2::ZERO);
    }
}

/// Types Latin letters, whose keysyms equal their code points.
pub(super) fn write(window: &Window, text: &str) {
    for letter in text.chars() {
        press(window, &[letter.into()]);
    }
}

/// A file that another program drags over the window, by XDND version 5.
pub(super) struct Drag<C> {
    x11: C,
    source: u32,
    target: u32,
}

/// Starts a drag of a file over the window, and answers the request for its content.
pub(super) fn drag(window: &Window, file: &Path) -> Drag<impl Connection + use<>> {
    let (x11, target) = window.x11();
    let (source, root) = (x11.generate_id().expect("a number"), x11.setup().roots[0].root);
    let new = CreateWindowAux::new();
    x11.create_window(0, source, root, 0, 0, 1, 1, 0, WindowClass::INPUT_ONLY, 0, &new)
        .expect("a request")
        .check()
        .expect("a window");
    let [selection, list] = ["XdndSelection", "text/uri-list"].map(|name| atom(&x11, name));
    x11.set_selection_owner(source, selection, x11rb::CURRENT_TIME)
        .expect("a request")
        .check()
        .expect("a selection");
    let drag = Drag { x11, source, target };
    drag.send("XdndEnter", [5 << 24, list, 0, 0]);
    let action = atom(&drag.x11, "XdndActionCopy");
    drag.send("XdndPosition", [0, 0, x11rb::CURRENT_TIME, action]);
    // The program requests the data of the drag.
    loop {
        let Event::SelectionRequest(asked) = drag.x11.wait_for_event().expect("an event") else { continue };
        let uri = format!("file://{}\r\n", file.display());
        drag.x11
            .change_property8(PropMode::REPLACE, asked.requestor, asked.property, asked.target, uri.as_bytes())
            .expect("a request")
            .check()
            .expect("a property");
        let given = SelectionNotifyEvent {
            response_type: x11rb::protocol::xproto::SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: asked.time,
            requestor: asked.requestor,
            selection: asked.selection,
            target: asked.target,
            property: asked.property,
        };
        drag.x11
            .send_event(false, asked.requestor, EventMask::NO_EVENT, given)
            .expect("a request")
            .check()
            .expect("an answer");
        return drag;
    }
}

impl<C: Connection> Drag<C> {
    fn send(&self, kind: &str, [a, b, c, d]: [u32; 4]) {
        let message =
            ClientMessageEvent::new(32, self.target, atom(&self.x11, kind), [self.source, a, b, c, d]);
        self.x11
            .send_event(false, self.target, EventMask::NO_EVENT, message)
            .expect("a request")
            .check()
            .expect("a message");
    }

    /// Drops the file, and waits until the program has accepted it.
    pub(super) fn release(self) {
        self.send("XdndDrop", [0, x11rb::CURRENT_TIME, 0, 0]);
        let finished = atom(&self.x11, "XdndFinished");
        loop {
            if let Event::ClientMessage(message) = self.x11.wait_for_event().expect("an event")
                && message.type_ == finished
            {
                return;
            }
        }
    }
}
