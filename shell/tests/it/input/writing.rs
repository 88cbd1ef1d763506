//! Writing in a remote's field, with the mouse of a real screen.

use std::io::IoSlice;

use egui::{Key, Modifiers, Pos2, accesskit::Role};
use x11rb::{connection::RequestConnection, protocol::xproto::ConnectionExt};

use super::open;
use crate::{
    driver::{Desktop, Window},
    support::{Installation, libraries},
};

/// What happens to the mouse, as the extension XTEST numbers it.
const BUTTON_DOWN: u8 = 4;
const BUTTON_UP: u8 = 5;
const MOTION: u8 = 6;

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
fn writing_selecting_and_undoing_in_a_real_window() {
    let desktop = Desktop::new();
    let mut installation = Installation::new();
    installation.add(&libraries().fixtures);
    let mut window = open(&desktop, &installation, "./hands");
    window.wait_for("Typed \"\"");
    window.focus();
    let field = window
        .until("the field", |tree| tree.of_role(Role::MultilineTextInput).next().map(|field| field.bounds));
    let start = field.left_top() + egui::vec2(12.0, 10.0);
    click(&mut window, 1, start);
    window.settle();
    window.text("two words");
    typed(&mut window, "two words");

    // The first word, and what is written takes its place.
    click(&mut window, 1, start);
    click(&mut window, 1, start);
    window.settle();
    window.screenshot("input-selected.png");
    window.text("one");
    typed(&mut window, "one words");
    window.key_with(Modifiers::COMMAND, Key::Z);
    window.gone("Typed \"one words\"");
}
