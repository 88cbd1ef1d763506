//! Writing in a remote's field, with the keys and the mouse of a real screen.

use std::io::IoSlice;

use egui::{Pos2, accesskit::Role};
use x11rb::{
    connection::{Connection, RequestConnection},
    protocol::xproto::ConnectionExt,
};

use crate::{
    driver::{Desktop, Window},
    support::{Installation, libraries},
};

/// What happens to keys and buttons, as the extension XTEST numbers it.
const KEY_DOWN: u8 = 2;
const KEY_UP: u8 = 3;
const BUTTON_DOWN: u8 = 4;
const BUTTON_UP: u8 = 5;
const MOTION: u8 = 6;

/// Symbols of keys without a letter.
const SHIFT: u32 = 0xffe1;
const CONTROL: u32 = 0xffe3;
const HOME: u32 = 0xff50;
const LEFT: u32 = 0xff51;
const END: u32 = 0xff57;

/// One thing that a person's hands do, as the screen's server tells all programs.
fn fake(window: &Window, kind: u8, detail: u8, at: Pos2) {
    let (x11, _) = window.x11();
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

/// The key on which this symbol stands.
fn key(window: &Window, symbol: u32) -> u8 {
    let (x11, _) = window.x11();
    let (low, high) = (x11.setup().min_keycode, x11.setup().max_keycode);
    let map = x11.get_keyboard_mapping(low, high - low + 1).expect("a request").reply().expect("the keys");
    let mut keys = map.keysyms.chunks(map.keysyms_per_keycode.into());
    let at = keys.position(|symbols| symbols[0] == symbol).expect("a key with this symbol");
    low + at as u8
}

/// Presses a key while others are held.
fn press(window: &mut Window, held: &[u32], symbol: u32) {
    let held: Vec<u8> = held.iter().map(|symbol| key(window, *symbol)).collect();
    let symbol = key(window, symbol);
    for key in held.iter().chain([&symbol]) {
        fake(window, KEY_DOWN, *key, Pos2::ZERO);
    }
    for key in [&symbol].into_iter().chain(held.iter().rev()) {
        fake(window, KEY_UP, *key, Pos2::ZERO);
    }
}

fn click(window: &mut Window, button: u8, at: Pos2) {
    fake(window, MOTION, 0, at);
    for kind in [BUTTON_DOWN, BUTTON_UP] {
        fake(window, kind, button, Pos2::ZERO);
    }
}

fn typed(window: &mut Window, text: &str) {
    window.wait_for(&format!("Typed {text:?}"));
}

#[test]
fn writing_selecting_copying_and_undoing_with_real_keys() {
    let desktop = Desktop::new();
    let mut installation = Installation::new();
    installation.add_with(&libraries().fixtures, |manifest| {
        // The first is the one that is shown.
        let exposes = manifest["exposes"].as_object_mut().expect("exposes");
        exposes.retain(|name, _| name == "./hands");
    });
    let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    command.arg("--config").arg(installation.path("host.json"));
    let mut window = desktop.open(command);
    window.wait_for("Typed \"\"");
    window.focus();
    let field = window
        .until("the field", |tree| tree.of_role(Role::MultilineTextInput).next().map(|field| field.bounds));
    let start = field.left_top() + egui::vec2(12.0, 10.0);
    click(&mut window, 1, start);
    for letter in "two words".chars() {
        press(&mut window, &[], letter.into());
    }
    typed(&mut window, "two words");

    let screen = window.screenshot("input-writing.png");
    assert!(screen.size()[0] > 0);

    press(&mut window, &[CONTROL, SHIFT], LEFT);
    press(&mut window, &[CONTROL], 'x'.into());
    typed(&mut window, "two ");
    press(&mut window, &[CONTROL], 'v'.into());
    press(&mut window, &[CONTROL], 'v'.into());
    typed(&mut window, "two wordswords");
    press(&mut window, &[CONTROL], 'z'.into());
    window.until("less than there was", |tree| {
        let undone = ["two words", "two ", "two wor"];
        undone.iter().find(|text| tree.find(&format!("Typed {text:?}")).is_some()).map(drop)
    });
    press(&mut window, &[CONTROL], 'a'.into());
    for letter in "one".chars() {
        press(&mut window, &[], letter.into());
    }
    typed(&mut window, "one");

    // A double click selects the word, which the middle button then pastes from the selection.
    click(&mut window, 1, start);
    click(&mut window, 1, start);
    window.settle();
    window.screenshot("input-selected.png");
    press(&mut window, &[CONTROL], 'c'.into());
    press(&mut window, &[], END);
    press(&mut window, &[CONTROL], 'v'.into());
    typed(&mut window, "oneone");
    press(&mut window, &[], HOME);
    press(&mut window, &[SHIFT], END);
    press(&mut window, &[], 'a'.into());
    typed(&mut window, "a");
}
