//! User actions on a surface, and its requests to the platform in return.

use egui::{ColorImage, Sense, TextEdit, ViewportCommand};

use super::*;
use crate::{abi::Command, bridge};

/// A field, something to drag, and a place to drop things on.
struct Desk {
    text: String,
    clicks: [u32; 3],
    dropped: Vec<String>,
    files: Vec<String>,
    ended: Vec<bool>,
}

impl Expose for Desk {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self { text: String::new(), clicks: [0; 3], dropped: vec![], files: vec![], ended: vec![] })
    }

    fn ui(&mut self, ui: &mut egui::Ui, cx: &Cx) {
        let place = |top: f32| Rect::from_min_size(Pos2::new(0.0, top), Vec2::new(100.0, 30.0));
        let button = ui.put(place(0.0), egui::Button::new("button"));
        let clicked = [button.clicked(), button.double_clicked(), button.triple_clicked()];
        for (count, clicked) in self.clicks.iter_mut().zip(clicked) {
            *count += u32::from(clicked);
        }
        let thing = ui.put(place(40.0), egui::Label::new("thing").sense(Sense::drag()));
        self.ended.extend(cx.drag(&thing, "text/plain", || b"thing".to_vec()));
        let zone = ui.put(place(80.0), egui::Label::new("zone"));
        let dropped = cx.drop_zone(&zone, &["text/plain", bridge::URI_LIST]);
        self.dropped.extend(dropped.map(|dropped| format!("{dropped:?} {:?}", dropped.files())));
        for file in ui.input(|i| i.raw.dropped_files.clone()) {
            self.files.push(file.path().display().to_string());
        }
        let held = ui.input(|i| i.raw.hovered_files.len());
        ui.put(place(120.0), TextEdit::singleline(&mut self.text).password(true));
        if ui.input(|i| i.key_pressed(egui::Key::F1)) {
            ui.ctx().copy_image(ColorImage::filled([2, 1], egui::Color32::RED));
            ui.ctx().send_viewport_cmd(ViewportCommand::RequestPaste);
        }
        ui.label(format!("{:?} {:?} {:?} {:?} {held}", self.clicks, self.dropped, self.files, self.ended));
        ui.label(format!("wrote {:?}", self.text));
    }
}

fn at(kind: EventKind, pos: [f32; 2]) -> Event {
    Event { pos, ..Event::new(kind) }
}

fn button(pos: [f32; 2], pressed: bool) -> Event {
    Event { pressed, ..at(EventKind::POINTER_BUTTON, pos) }
}

fn over(mime: &str, data: &[u8], pos: [f32; 2]) -> Event {
    Event { text: mime.into(), data: data.to_vec().into(), ..at(EventKind::DRAG_OVER, pos) }
}

fn shows(frame: &Frame, text: &str) -> bool {
    frame.access.contains(text)
}

fn command(frame: &Frame, kind: CommandKind) -> Option<&Command> {
    frame.commands.iter().find(|command| command.kind == kind)
}

const BUTTON: [f32; 2] = [50.0, 15.0];
const THING: [f32; 2] = [50.0, 55.0];
const ZONE: [f32; 2] = [50.0, 95.0];
const FIELD: [f32; 2] = [50.0, 135.0];

fn driver() -> Driver {
    let mut driver = Driver::new::<Desk>(None);
    for _ in 0..2 {
        driver.frame(true, vec![]);
    }
    driver
}

#[test]
fn surface_counts_clicks_itself() {
    let mut driver = driver();
    driver.frame(true, vec![at(EventKind::POINTER_MOVED, BUTTON)]);
    for _ in 0..3 {
        driver.frame(true, vec![button(BUTTON, true), button(BUTTON, false)]);
    }
    assert!(shows(&driver.frame(true, vec![]), "[3, 1, 1]"));
}

#[test]
fn drag_is_sent_once_and_its_end_is_reported() {
    let mut driver = driver();
    let mut drags = Vec::new();
    let moves = (0..4_u8).map(|step| at(EventKind::POINTER_MOVED, [50.0 + 10.0 * f32::from(step), 55.0]));
    for event in [at(EventKind::POINTER_MOVED, THING), button(THING, true)].into_iter().chain(moves) {
        let frame = driver.frame(true, vec![event]);
        drags.extend(command(&frame, CommandKind::DRAG).cloned());
    }
    let [drag] = &drags[..] else { panic!("{drags:?}") };
    assert_eq!((&*drag.text, &drag.data[..]), ("text/plain", &b"thing"[..]));
    let ended = Event { pressed: true, ..Event::new(EventKind::DRAG_ENDED) };
    driver.frame(true, vec![button(ZONE, false), ended]);
    assert!(shows(&driver.frame(true, vec![]), "[true]"));
}

#[test]
fn zone_reports_accepted_drags_and_receives_drops() {
    let mut driver = driver();
    let accepted = |frame: &Frame| command(frame, CommandKind::DRAG_TAKEN).map(|command| command.flag);
    assert_eq!(accepted(&driver.frame(false, vec![over("text/plain", b"", BUTTON)])), None);
    assert_eq!(accepted(&driver.frame(false, vec![over("text/plain", b"", ZONE)])), Some(true));
    assert_eq!(accepted(&driver.frame(false, vec![])), None, "it is reported once");
    assert_eq!(accepted(&driver.frame(false, vec![over("image/png", b"", ZONE)])), Some(false));
    assert_eq!(accepted(&driver.frame(false, vec![over("text/plain", b"", ZONE)])), Some(true));
    driver.frame(false, vec![Event::new(EventKind::DRAG_LEFT)]);
    assert_eq!(accepted(&driver.frame(false, vec![over("text/plain", b"", ZONE)])), Some(true), "a new drag");
    driver.frame(false, vec![Event { kind: EventKind::DROP, ..over("text/plain", b"abc", ZONE) }]);
    assert!(shows(&driver.frame(false, vec![]), "Dropped(text/plain, 3 bytes) []"));
}

#[test]
fn dropped_files_are_in_the_input_of_egui() {
    let mut driver = driver();
    let list = b"file:///tmp/a%20b.txt\r\n";
    driver.frame(false, vec![Event { span: [1, 0], ..over(bridge::URI_LIST, b"", ZONE) }]);
    assert!(shows(&driver.frame(false, vec![]), "[] [] [] 1"), "they stay while they are over the zone");
    driver.frame(false, vec![Event { kind: EventKind::DROP, ..over(bridge::URI_LIST, list, ZONE) }]);
    let frame = driver.frame(false, vec![]);
    assert!(frame.access.contains("/tmp/a b.txt"), "{}", frame.access);
    assert!(shows(&frame, "[] 0"), "they are gone after the drop: {}", frame.access);
}

#[test]
fn input_method_writes_at_the_cursor() {
    let mut driver = driver();
    let click = vec![at(EventKind::POINTER_MOVED, FIELD), button(FIELD, true), button(FIELD, false)];
    driver.frame(true, click);
    let frame = driver.frame(true, vec![]);
    let ime = frame.ime.into_option().unwrap();
    assert_eq!(ime.purpose, 1, "a password");
    assert!(ime.field[1] >= 115.0 && ime.cursor[1] >= 115.0 && ime.cursor[3] <= 155.0, "{ime:?}");
    let preedit = Event { text: "ni".into(), span: [0, 2], ..Event::new(EventKind::IME_PREEDIT) };
    driver.frame(true, vec![preedit]);
    let commit = Event { text: "你".into(), ..Event::new(EventKind::IME_COMMIT) };
    driver.frame(true, vec![commit]);
    assert!(shows(&driver.frame(true, vec![]), "wrote \\\"你"), "it is committed");
}

#[test]
fn image_copy_and_paste_are_requested_of_the_host() {
    let mut driver = driver();
    let key = Event { text: "F1".into(), pressed: true, ..Event::new(EventKind::KEY) };
    let frame = driver.frame(true, vec![key]);
    let copy = command(&frame, CommandKind::COPY_IMAGE).unwrap();
    assert_eq!((copy.size, &copy.data[..]), ([2, 1], &[255, 0, 0, 255, 255, 0, 0, 255][..]));
    assert!(command(&frame, CommandKind::PASTE).is_some());
}

/// A panel without controls.
struct Text;

impl Expose for Text {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &Cx) {
        ui.add(egui::Label::new("text").selectable(false));
    }
}

#[test]
fn tab_leaves_a_panel_without_controls() {
    let mut driver = Driver::new::<Text>(None);
    driver.frame(true, vec![]);
    assert_eq!(driver.tab(0).1, Some(true));
    assert_eq!(driver.tab(modifiers::SHIFT).1, Some(false));
}
