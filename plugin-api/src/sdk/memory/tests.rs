#![expect(clippy::unwrap_used, reason = "tests")]
use egui::{ScrollArea, TextEdit};
use proptest::prelude::*;

use super::*;
use crate::{
    Cx, Expose, PluginError,
    abi::{Event, EventKind, Frame, modifiers},
    sdk::surface::tests::Driver,
};

/// A panel with an example of each state that egui keeps. Its own state is the text and the number of frames without
/// content.
#[derive(Default)]
struct Room {
    text: String,
    empty: u32,
}

impl Expose for Room {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self { text: "0123456789".to_owned(), empty: 0 })
    }

    fn ui(&mut self, ui: &mut egui::Ui, cx: &Cx) {
        if self.empty > 0 {
            self.empty -= 1;
            cx.loading();
            ScrollArea::vertical().id_salt("rows").max_height(50.0).show(ui, |ui| ui.label("Loading"));
            ui.ctx().request_repaint();
            return;
        }
        TextEdit::singleline(&mut self.text).id_salt("field").show(ui);
        ui.collapsing("Header", |ui| ui.label("Inside"));
        let scrolled = ScrollArea::vertical().id_salt("rows").max_height(50.0).show(ui, |ui| {
            for row in 0..50 {
                ui.label(format!("Row {row}"));
            }
        });
        ui.label(format!("Scrolled {}", scrolled.state.clamped_offset().y));
        let window =
            egui::Window::new("Window").fixed_size([60.0, 30.0]).constrain(false).default_pos([180.0, 20.0]);
        let window = window.show(ui.ctx(), |ui| ui.label("In it"));
        ui.label(format!("Window {:?}", window.unwrap().response.rect.min));
    }

    fn save(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), PluginError> {
        self.text = str::from_utf8(state)?.trim_end_matches('.').to_owned();
        self.empty = state.iter().rev().take_while(|byte| **byte == b'.').count() as u32;
        Ok(())
    }
}

/// Returns the content of the accessibility tree: texts, the value of the field, and the role in focus.
fn seen(frame: &Frame) -> (Vec<String>, Option<String>, Option<egui::accesskit::Role>) {
    let tree: egui::accesskit::TreeUpdate = serde_json::from_str(&frame.access).unwrap();
    let nodes = || tree.nodes.iter().map(|(_, node)| node);
    let texts = nodes().filter(|node| node.role() == egui::Role::Label).filter_map(|node| node.value());
    let field = nodes().find(|node| node.role() == egui::Role::TextInput).and_then(|node| node.value());
    let focus = tree.nodes.iter().find(|(id, _)| *id == tree.focus).map(|(_, node)| node.role());
    (texts.map(str::to_owned).collect(), field.map(str::to_owned), focus)
}

fn click(at: [f32; 2]) -> Vec<Event> {
    let button = Event { pos: at, ..Event::new(EventKind::POINTER_BUTTON) };
    vec![
        Event { pos: at, ..Event::new(EventKind::POINTER_MOVED) },
        Event { pressed: true, ..button.clone() },
        button,
    ]
}

fn key(name: &str, modifiers: u32) -> Vec<Event> {
    let key = Event { text: name.into(), modifiers, ..Event::new(EventKind::KEY) };
    vec![Event { pressed: true, ..key.clone() }, key]
}

fn typed(text: &str) -> Vec<Event> {
    vec![Event { text: text.into(), ..Event::new(EventKind::TEXT) }]
}

/// Returns a room in which the user has typed, marked, opened, scrolled and moved something.
fn used() -> Driver {
    let mut room = Driver::new::<Room>(None);
    room.frame(true, vec![]);
    room.frame(true, click([20.0, 45.0]));
    room.frame(true, vec![Event { pos: [40.0, 110.0], ..Event::new(EventKind::POINTER_MOVED) }]);
    room.frame(true, vec![Event { delta: [0.0, -120.0], phase: 1, ..Event::new(EventKind::WHEEL) }]);
    for _ in 0..20 {
        room.frame(true, vec![]);
    }
    let [from, to] = [[240.0, 32.0], [250.0, 92.0]];
    let button = Event { pos: from, pressed: true, ..Event::new(EventKind::POINTER_BUTTON) };
    room.frame(true, vec![Event { pos: from, ..Event::new(EventKind::POINTER_MOVED) }]);
    room.frame(true, vec![button.clone()]);
    room.frame(true, vec![Event { pos: to, ..Event::new(EventKind::POINTER_MOVED) }]);
    room.frame(true, vec![Event { pos: to, pressed: false, ..button }]);
    room.frame(true, click([20.0, 10.0]));
    room.frame(true, key("Home", 0));
    room.frame(true, typed("ab"));
    room.frame(true, key("ArrowRight", modifiers::SHIFT));
    for _ in 0..20 {
        room.frame(true, vec![]);
    }
    room
}

fn save(room: &mut Driver) -> Vec<u8> {
    room.surface.save().unwrap().into_vec()
}

/// Returns the envelope with another state of the author, and with egui's memory edited.
fn edited(saved: &[u8], state: &str, edit: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut envelope: serde_json::Value = serde_json::from_slice(saved).unwrap();
    envelope["state"] = state.into();
    let mut memory = serde_json::from_str(envelope["memory"].as_str().unwrap()).unwrap();
    edit(&mut memory);
    envelope["memory"] = memory.to_string().into();
    envelope.to_string().into_bytes()
}

#[test]
fn next_generation_looks_alike_and_keeps_the_cursor() {
    let mut old = used();
    let before = seen(&old.frame(true, vec![]));
    let has = |text: &str| before.0.iter().any(|seen| seen == text);
    assert!(has("Inside") && !has("Scrolled 0") && !has("Window [180.0 20.0]"), "{before:?}");
    assert_eq!(before.1.as_deref(), Some("ab0123456789"));
    assert_eq!(before.2, Some(egui::Role::TextInput));

    let mut new = Driver::new::<Room>(Some(&save(&mut old)));
    let frame = new.frame(true, vec![]);
    assert!(frame.wants_keyboard && frame.ime.is_some());
    assert_eq!(seen(&frame), before, "the first picture");
    // The selection covers the `0`, after the typed text.
    assert_eq!(seen(&new.frame(true, typed("c"))).1.as_deref(), Some("abc123456789"));
}

#[test]
fn first_frame_accepts_typing() {
    let saved = save(&mut used());
    let mut new = Driver::new::<Room>(Some(&saved));
    assert_eq!(seen(&new.frame(true, typed("c"))).1.as_deref(), Some("abc123456789"));
}

#[test]
fn loading_panel_keeps_restored_state() {
    let mut old = used();
    let before = seen(&old.frame(true, vec![]));
    let saved = edited(&save(&mut old), "ab0123456789...", |_| ());
    let mut new = Driver::new::<Room>(Some(&saved));
    for _ in 0..3 {
        let frame = new.frame(true, vec![Event { pos: [9.0, 9.0], ..Event::new(EventKind::POINTER_MOVED) }]);
        assert!(frame.placeholder);
    }
    let frame = new.frame(true, vec![]);
    assert!(!frame.placeholder);
    assert_eq!(seen(&frame), before);
}

#[test]
fn user_action_while_loading_wins() {
    let mut old = used();
    let saved = edited(&save(&mut old), "ab0123456789..", |_| ());
    let mut new = Driver::new::<Room>(Some(&saved));
    new.frame(true, vec![]);
    new.frame(true, key("Escape", 0));
    assert_eq!(seen(&new.frame(true, vec![])).2, Some(egui::Role::Window));
}

#[test]
fn memory_of_another_compiler_is_restored() {
    let mut old = used();
    let before = seen(&old.frame(true, vec![]));
    let other = edited(&save(&mut old), "ab0123456789", |memory| {
        let mut changed = 0;
        for kind in kinds().values() {
            let there = kind.rotate_left(7);
            for (_, id) in memory["kinds"].as_object_mut().unwrap() {
                if *id == *kind {
                    *id = there.into();
                }
            }
            for entry in memory["data"].as_array_mut().unwrap() {
                if entry[1]["type_id"] == *kind {
                    entry[0] = (entry[0].as_u64().unwrap() ^ kind ^ there).into();
                    entry[1]["type_id"] = there.into();
                    changed += 1;
                }
            }
        }
        assert!(changed >= 3, "{memory}");
        // A new kind, and a value of a type without a name.
        memory["kinds"]["carousel"] = 1.into();
        memory["data"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!([5, { "type_id": 1, "ron": "(", "generation": 1 }]));
        memory["tabs"] = 7.into();
    });
    assert_eq!(seen(&Driver::new::<Room>(Some(&other)).frame(true, vec![])), before);
}

/// An edit of the written memory.
type Damage = fn(&mut serde_json::Value);

#[test]
fn damaged_part_does_not_affect_others() {
    let saved = save(&mut used());
    let cases: [(Damage, &str); 3] = [
        (|memory| memory["areas"] = "(".into(), "Window [180.0 20.0]"),
        (|memory| memory["data"] = serde_json::json!([]), "Scrolled 0"),
        (|memory| memory["focus"] = serde_json::Value::Null, "Inside"),
    ];
    for (damage, expected) in cases {
        let crossed = edited(&saved, "ab0123456789", damage);
        let (texts, field, _) = seen(&Driver::new::<Room>(Some(&crossed)).frame(true, vec![]));
        assert!(texts.iter().any(|text| text == expected), "{expected}: {texts:?}");
        assert_eq!(field.as_deref(), Some("ab0123456789"), "the author's state is restored anyway");
    }
}

#[test]
fn unknown_ids_and_oversized_memory_are_left_out() {
    let saved = save(&mut used());
    let elsewhere = edited(&saved, "x", |memory| memory["ids"] = 1.into());
    let huge = edited(&saved, "x", |memory| memory["padding"] = "x".repeat(LIMIT).into());
    for left_out in [elsewhere, huge] {
        let (texts, field, focus) = seen(&Driver::new::<Room>(Some(&left_out)).frame(true, vec![]));
        assert!(texts.iter().any(|text| text == "Scrolled 0"), "{texts:?}");
        assert_eq!((field.as_deref(), focus), (Some("x"), Some(egui::Role::Window)));
    }

    let ctx = Context::default();
    assert!(super::save(&ctx).is_some());
    ctx.data_mut(|data| data.insert_persisted(Id::NULL, "x".repeat(LIMIT)));
    assert_eq!(super::save(&ctx), None);
}

proptest! {
    #[test]
    fn arbitrary_text_is_rejected(text: String) {
        prop_assert!(SavedMemory::read(&text).is_none());
    }

    #[test]
    fn damaged_text_does_not_panic(at in any::<prop::sample::Index>(), put: char) {
        thread_local! {
            static SAVED: String = super::save(&{
                let ctx = Context::default();
                scroll_area::State::default().store(&ctx, Id::unique("a"));
                TextEditState::default().store(&ctx, Id::unique("b"));
                ctx
            }).unwrap();
        }
        let mut text = SAVED.with(Clone::clone);
        let at = (0..text.len()).filter(|at| text.is_char_boundary(*at)).nth(at.index(text.len())).unwrap_or(0);
        text.insert(at, put);
        if let Some(remembered) = SavedMemory::read(&text) {
            remembered.put(&Context::default());
        }
    }
}
