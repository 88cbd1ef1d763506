//! A remote's text field, with keyboard, mouse and clipboard of a real screen.

use egui::{Pos2, Rect, accesskit::Role};

use super::{
    open,
    screen::{self, CONTROL, END},
};
use crate::driver::Window;

/// Clicks at the start of the field; returns that position.
pub(super) fn enter(window: &mut Window) -> Pos2 {
    let start = field(window).left_top() + egui::vec2(12.0, 10.0);
    screen::click(window, 1, start);
    window.settle();
    start
}

pub(super) fn typed(window: &mut Window, text: &str) {
    window.wait_for(&format!("Typed {text:?}"));
}

fn field(window: &mut Window) -> Rect {
    window.until("the field", |tree| tree.of_role(Role::MultilineTextInput).next().map(|field| field.bounds))
}

#[test]
fn writing_selecting_and_undoing_in_a_real_window() {
    let (mut window, _desktop, _installation) = open("./input", "Typed \"\"");
    let start = enter(&mut window);
    screen::write(&window, "Two words");
    typed(&mut window, "Two words");

    // Typing replaces the selected first word.
    screen::click(&window, 1, start);
    screen::click(&window, 1, start);
    window.settle();
    window.screenshot("input-selected.png");
    screen::write(&window, "one");
    typed(&mut window, "one words");
    screen::press(&window, &[CONTROL, 'z'.into()]);
    window.gone("Typed \"one words\"");
}

#[test]
fn the_clipboard_and_the_selection_of_a_real_screen() {
    let (mut window, _desktop, _installation) = open("./input", "Typed \"\"");
    let start = enter(&mut window);
    screen::write(&window, "one two");
    typed(&mut window, "one two");
    screen::press(&window, &[CONTROL, 'a'.into()]);
    screen::press(&window, &[CONTROL, 'c'.into()]);
    screen::press(&window, &[END]);
    // The clipboard has the text once the remote has answered.
    window.settle();
    screen::press(&window, &[CONTROL, 'v'.into()]);
    typed(&mut window, "one twoone two");

    // The middle button pastes the selection.
    screen::click(&window, 1, start);
    screen::click(&window, 1, start);
    window.settle();
    let end = field(&mut window).right_top();
    screen::click(&window, 2, end + egui::vec2(-8.0, 10.0));
    typed(&mut window, "one twoone twoone");

    window.click("Copy an image");
    window.wait_for("Image None");
    window.click("Paste");
    window.wait_for("Image Some([2, 3])");
}

#[test]
fn file_of_another_program_is_dropped() {
    let (mut window, _desktop, _installation) = open("./input", "Typed \"\"");
    let file = tempfile::Builder::new().prefix("dragged").tempfile().expect("a file");
    let name = file.path().file_name().expect("a name").display();
    let zone = window.wait_for("Drop here").bounds.center();
    screen::point(&window, zone);
    window.settle();
    let drag = screen::drag(&window, file.path());
    window.wait_for("Files above: 1, dropped: []");
    drag.release();
    window.wait_for(&format!("Files above: 0, dropped: [\"{name}\"]"));
    window.wait_for_parts(&["Dropped", "text/uri-list", &name.to_string()]);
}
