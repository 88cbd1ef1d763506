//! Tab and scrolling by keyboard.

use egui::{Modal, ScrollArea, Slider, Window};
use serde_json::json;

use super::*;

/// Two nested areas, and a window and a modal above them.
struct Areas {
    amount: f32,
    text: String,
    modal: bool,
    taken: u32,
}

impl Expose for Areas {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self { amount: 5.0, text: "some words".to_owned(), modal: false, taken: 0 })
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &Cx) {
        if ui.button("first").clicked() {
            self.modal = true;
        }
        ui.add(Slider::new(&mut self.amount, 0.0..=10.0).text("amount"));
        ui.add(egui::TextEdit::singleline(&mut self.text).hint_text("field"));
        if ui.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::F2)) {
            self.taken += 1;
        }
        ScrollArea::vertical().id_salt("outer").max_height(90.0).show(ui, |ui| {
            let _ = ui.button("head");
            ScrollArea::vertical().id_salt("inner").max_height(50.0).show(ui, |ui| {
                for row in 0..20 {
                    let _ = ui.button(format!("row {row}"));
                }
            });
            for row in 0..10 {
                let _ = ui.button(format!("below {row}"));
            }
        });
        if self.modal {
            Modal::new(egui::Id::unique("modal")).show(ui.ctx(), |ui| {
                let _ = ui.button("yes");
                let _ = ui.button("no");
            });
        }
        Window::new("window").default_pos([150.0, 10.0]).show(ui.ctx(), |ui| ui.button("inside"));
    }
}

fn key(name: &str, modifiers: u32) -> [Event; 2] {
    let key = Event { text: name.into(), modifiers, ..Event::new(EventKind::KEY) };
    [Event { pressed: true, ..key.clone() }, key]
}

/// Runs until nothing changes any more; returns the last frame.
fn settle(driver: &mut Driver) -> Frame {
    (0..8).for_each(|_| drop(driver.frame(true, vec![])));
    driver.frame(true, vec![])
}

fn driver() -> Driver {
    let mut driver = Driver::new::<Areas>(None);
    settle(&mut driver);
    driver
}

/// Returns the focus after each press of Tab, from outside of the surface until Tab has left it.
fn walk(driver: &mut Driver, modifiers: u32) -> Vec<String> {
    std::iter::from_fn(|| Some(driver.tab(modifiers)))
        .take(200)
        .take_while(|(_, left)| left.is_none())
        .map(|(name, _)| name.unwrap_or_default())
        .collect()
}

/// Compares two positions, with a tolerance for rounding.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.01
}

/// Returns the bounds of the element with this label.
fn place(frame: &Frame, label: &str) -> egui::accesskit::Rect {
    let tree: egui::accesskit::TreeUpdate = serde_json::from_str(&frame.access).unwrap();
    let node = tree.nodes.iter().find(|(_, node)| node.label() == Some(label));
    node.unwrap_or_else(|| panic!("no element is labelled {label}")).1.bounds().unwrap()
}

fn press(driver: &mut Driver, name: &str) -> Frame {
    driver.frame(true, key(name, 0).to_vec());
    settle(driver)
}

#[test]
fn shift_tab_passes_every_stop_of_tab_in_reverse() {
    let mut driver = driver();
    let forward = walk(&mut driver, 0);
    assert!(forward.len() >= 35, "{forward:?}");
    let mut backward = walk(&mut driver, modifiers::SHIFT);
    backward.reverse();
    assert_eq!(forward, backward);
}

#[test]
fn all_presses_of_tab_in_a_frame_are_applied() {
    let mut driver = driver();
    let stops = walk(&mut driver, 0);
    for (keys, stop) in [(vec![0; 5], 4), (vec![modifiers::SHIFT; 5], stops.len() - 5)] {
        let events = keys.into_iter().flat_map(|modifiers| key("Tab", modifiers)).collect();
        driver.frame(true, events);
        let frame = settle(&mut driver);
        assert_eq!(focus(&frame).as_ref(), Some(&stops[stop]));
        let lost = vec![Event::new(EventKind::FOCUS)];
        driver.frame(false, lost);
    }
}

#[test]
fn tab_cycles_in_a_modal() {
    let mut driver = driver();
    assert_eq!(driver.tab(0).0.as_deref(), Some("first"));
    press(&mut driver, "Enter");
    for (modifiers, names) in [(0, ["yes", "no", "yes"]), (modifiers::SHIFT, ["no", "yes", "no"])] {
        for name in names {
            assert_eq!(driver.tab(modifiers), (Some(name.to_owned()), None));
        }
    }
}

#[test]
fn focus_is_scrolled_into_view_in_nested_areas() {
    let mut driver = driver();
    let outer = place(&settle(&mut driver), "head");
    let (top, bottom) = (outer.y0 - 4.0, outer.y0 + 94.0);
    for modifiers in [0, modifiers::SHIFT] {
        let mut rows = 0;
        loop {
            let (name, left) = driver.tab(modifiers);
            if left.is_some() {
                break;
            }
            let name = name.unwrap_or_default();
            if ["row", "below", "head"].iter().any(|start| name.starts_with(start)) {
                rows += 1;
                let frame = settle(&mut driver);
                let at = place(&frame, &name);
                assert!(at.y0 >= top && at.y1 <= bottom, "{name} at {at:?}, visible from {top} to {bottom}");
            }
        }
        assert_eq!(rows, 31);
    }
}

#[test]
fn keys_scroll_inner_area_then_outer_area() {
    let mut driver = driver();
    while driver.tab(0).0.as_deref() != Some("row 0") {}
    let frame = settle(&mut driver);
    let (row, below) = (place(&frame, "row 0").y0, place(&frame, "below 0").y0);
    let frame = press(&mut driver, "PageDown");
    assert!(place(&frame, "row 0").y0 < row - 20.0, "the inner area has moved");
    assert!(same(place(&frame, "below 0").y0, below), "the outer area has not moved");
    let frame = press(&mut driver, "End");
    let end = place(&frame, "row 0").y0;
    assert!(same(place(&frame, "below 0").y0, below));
    let frame = press(&mut driver, "PageDown");
    assert!(place(&frame, "below 0").y0 < below - 20.0, "the inner area was at its end");
    press(&mut driver, "Home");
    let frame = press(&mut driver, "Home");
    assert_eq!((place(&frame, "row 0").y0, place(&frame, "below 0").y0), (row, below));
    assert!(end < row - 200.0);
}

#[test]
fn keys_without_focus_scroll_hovered_or_largest_area() {
    for (name, by) in [("PageDown", 40.0), ("ArrowDown", 30.0), ("Space", 40.0), ("End", 200.0)] {
        let mut driver = driver();
        let before = place(&settle(&mut driver), "head").y0;
        let after = place(&press(&mut driver, name), "head").y0;
        assert!(after < before - by, "{name}: from {before} to {after}");
        driver.frame(true, key("Space", modifiers::SHIFT).to_vec());
        driver.frame(true, key("Home", 0).to_vec());
        assert!(same(place(&settle(&mut driver), "head").y0, before), "{name}");

        let row = place(&settle(&mut driver), "row 0");
        let pos = [row.x0 as f32 + 4.0, row.y0 as f32 + 4.0];
        driver.frame(true, vec![Event { pos, ..Event::new(EventKind::POINTER_MOVED) }]);
        let frame = press(&mut driver, "PageDown");
        assert!(same(place(&frame, "head").y0, before), "the pointer is over the inner area");
        assert!(place(&frame, "row 0").y0 < row.y0 - 20.0);
    }
}

#[test]
fn fields_and_sliders_keep_their_keys() {
    let mut driver = driver();
    let before = place(&settle(&mut driver), "head").y0;
    assert_eq!(driver.tab(0).0.as_deref(), Some("first"));
    for stop in ["slider", "its figure", "field"] {
        assert_eq!(driver.tab(0).1, None, "{stop}");
        // A slider and a field of one line leave arrows up and down to the focus.
        let arrows = if stop == "its figure" { ["ArrowDown", "ArrowUp"] } else { ["ArrowRight", "ArrowLeft"] };
        for name in ["ArrowLeft", "End", "Home"].into_iter().chain(arrows) {
            assert!(same(place(&press(&mut driver, name), "head").y0, before), "{name} in the {stop}");
        }
        assert!(place(&press(&mut driver, "PageDown"), "head").y0 < before, "turns the page from the {stop}");
        press(&mut driver, "PageUp");
    }
}

#[test]
fn saved_area_has_the_fields_of_scrolling() {
    let state = serde_json::to_value(egui::scroll_area::State::default()).unwrap();
    assert_eq!(state["offset"], json!({ "x": 0.0, "y": 0.0 }));
    assert_eq!(state["offset_target"], json!([null, null]));
    assert_eq!(state["scroll_stuck_to_end"], json!({ "x": true, "y": true }));
    assert!(state.as_object().unwrap().contains_key("interact_rect"));
}
