//! The kit for users of keyboard, screen reader and display, tested by the gallery.
#![cfg(feature = "egui")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use egui::{
    Key, Modifiers, Rect,
    accesskit::{Role, SortDirection},
};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use plugin_api::{
    theme::color,
    tokens::{DARK, LIGHT},
};

#[allow(dead_code, unreachable_pub, reason = "a separate program, whose window is not opened here")]
#[path = "../examples/gallery.rs"]
mod gallery;

use gallery::{Gallery, SIZE};

type Page = Harness<'static, Gallery>;

/// The stops of Tab, in this order.
const STOPS: &[(Role, &str)] = &[
    (Role::CheckBox, "Dark"),
    (Role::Button, "Primary"),
    (Role::Button, "Secondary"),
    (Role::Button, "Small"),
    (Role::Button, "Quiet"),
    (Role::Button, "Pill"),
    (Role::Button, "Copy the line"),
    (Role::Button, "Update"),
    (Role::Button, "Later"),
    (Role::Button, "Use it"),
    (Role::Button, "Carrier"),
    (Role::Button, "Average delay"),
    (Role::Button, "Cancelled"),
    (Role::RadioButton, "Flights"),
    (Role::RadioButton, "Delay"),
    (Role::RadioButton, "Cancelled"),
    (Role::Button, "Retry"),
    (Role::Button, "Copy details"),
    (Role::Button, "Restart"),
    (Role::Button, "Wait"),
];

fn page(dark: bool) -> Page {
    let gallery = Gallery::new(dark);
    let builder = Harness::builder().with_size(SIZE).wgpu();
    let mut page = builder.build_ui_state(|ui, gallery: &mut Gallery| gallery.ui(ui), gallery);
    page.run();
    page
}

/// Returns role, name and place of the control in focus.
fn focused(page: &Page) -> Option<(Role, String, Rect)> {
    let node = page.root().children_recursive().find(|node| node.accesskit_node().is_focused())?;
    Some((node.accesskit_node().role(), node.accesskit_node().label()?, node.rect()))
}

fn tab(page: &mut Page, modifiers: Modifiers) -> (Role, String, Rect) {
    page.key_press_modifiers(modifiers, Key::Tab);
    page.run();
    focused(page).expect("Tab stops at a control with a name")
}

#[test]
fn tab_reaches_controls_in_order_and_back() {
    let mut page = page(false);
    for (role, name) in STOPS {
        let (at, called, _) = tab(&mut page, Modifiers::NONE);
        assert_eq!((at, &*called), (*role, *name));
    }
    for (role, name) in STOPS.iter().rev().skip(1) {
        let (at, called, _) = tab(&mut page, Modifiers::SHIFT);
        assert_eq!((at, &*called), (*role, *name));
    }
}

#[test]
fn focus_is_visible_on_every_control() {
    for (dark, tokens) in [(false, LIGHT), (true, DARK)] {
        let mut page = page(dark);
        let accent = color(tokens.accent).to_array();
        let before = page.render().unwrap();
        // egui's own control, the check box.
        tab(&mut page, Modifiers::NONE);
        for _ in &STOPS[1..] {
            let (role, name, rect) = tab(&mut page, Modifiers::NONE);
            let after = page.render().unwrap();
            // A ring of two points, here at one pixel a point.
            let ring = rect.expand(5.0);
            let (mut changed, mut outside) = (0.0, 0);
            for (x, y, pixel) in after.enumerate_pixels() {
                let was = before.get_pixel(x, y);
                if was != pixel && ring.contains(egui::pos2(x as f32, y as f32)) {
                    changed += f32::from(u8::from(pixel.0 == accent));
                } else if was != pixel {
                    outside += 1;
                }
            }
            if let Some(folder) = std::env::var_os("PULSE_PICTURES") {
                after.save(std::path::Path::new(&folder).join(format!("focus-{dark}-{name}.png"))).unwrap();
            }
            let expected = rect.width() + rect.height();
            assert!(changed > expected, "{role:?} {name}, dark: {dark}: {changed} of {expected} pixels");
            assert_eq!(outside, 0, "{role:?} {name}: only its surroundings change");
        }
    }
}

#[test]
fn space_and_enter_press_every_button() {
    let mut page = page(false);
    for (_, name) in &STOPS[1..] {
        tab_to(&mut page, name);
        for key in [Key::Space, Key::Enter] {
            page.state_mut().pressed.clear();
            page.key_press(key);
            page.run();
            let pressed = &page.state().pressed;
            assert!(!pressed.is_empty() || *name == "Copy details", "{name}: {key:?} does nothing");
        }
    }
}

fn tab_to(page: &mut Page, name: &str) {
    for _ in STOPS {
        if tab(page, Modifiers::NONE).1 == name {
            return;
        }
    }
    panic!("Tab does not reach {name}");
}

#[test]
fn widgets_have_roles_names_and_states() {
    let page = page(false);
    let node = |role, name| page.get_by_role_and_label(role, name);
    for name in ["Primary", "Secondary", "Small", "Quiet", "Pill"] {
        assert!(!node(Role::Button, name).accesskit_node().is_disabled(), "{name}");
        let disabled = format!("{name}, disabled");
        let found = page.get_by_role_and_label(Role::Button, &disabled);
        assert!(found.accesskit_node().is_disabled(), "{disabled}");
    }
    for name in ["Buttons", "Pills", "Table", "Loading"] {
        node(Role::Heading, name);
    }
    let toggled = |name| node(Role::RadioButton, name).accesskit_node().toggled();
    assert_eq!(["Flights", "Delay"].map(toggled), [Some(true.into()), Some(false.into())]);
    let sorted = |name| node(Role::Button, name).accesskit_node().data().sort_direction();
    assert_eq!(["Carrier", "Cancelled"].map(sorted), [Some(SortDirection::Ascending), None]);
    let spoken = node(Role::Button, "Carrier").accesskit_node().description();
    assert_eq!(spoken.as_deref(), Some("sorted, smallest first"));
    let done = page.query_all_by_role(Role::ProgressIndicator);
    let done = done.map(|bar| bar.accesskit_node().numeric_value().unwrap() as f32);
    assert_eq!(done.collect::<Vec<_>>(), [0.0, 0.4, 1.0]);
    for text in [
        "Neutral",
        "Danger",
        "Viewing as: Rear Admiral Grace Brewster Murray Hopper, United States Navy, retired",
        "Version 1.1 is in the drop folder.",
        "No flights in these days",
        "The flights could not be loaded",
        "The file is not a database; remove it, then retry",
        "Code: database-damaged",
        "Not responding for 4 s",
    ] {
        page.get_by_label(text);
    }
}

#[test]
fn copy_confirms_for_two_seconds() {
    let mut page = page(false);
    page.get_by_label("Copy the line").click();
    page.step();
    page.step();
    page.get_by_label("Copied");
    assert!(page.query_by_label("Copy the line").is_none());
    page.run_steps(9);
    page.get_by_label("Copy the line");
}

#[test]
fn controls_stay_visible_in_a_narrow_panel() {
    for width in [480.0, 720.0, 960.0] {
        let mut page = page(false);
        page.set_size(egui::vec2(width, 2_000.0));
        page.run();
        let places: Vec<_> = STOPS[1..]
            .iter()
            .map(|(role, name)| (name, page.get_by_role_and_label(*role, name).rect()))
            .collect();
        for (at, (name, place)) in places.iter().enumerate() {
            assert!(place.left() >= 0.0 && place.right() <= width, "{width}: {name} at {place}");
            for (other, covered) in &places[..at] {
                assert!(!place.shrink(0.5).intersects(*covered), "{width}: {name} and {other}");
            }
        }
    }
}

/// Writes pictures, light and dark, to the folder that `PULSE_PICTURES` names.
#[test]
fn pictures_differ_by_palette_only() {
    let [mut light, mut dark] = [false, true].map(page);
    let (bright, dim) = (light.render().unwrap(), dark.render().unwrap());
    if let Some(folder) = std::env::var_os("PULSE_PICTURES") {
        let folder = std::path::Path::new(&folder);
        bright.save(folder.join("gallery-light.png")).unwrap();
        dim.save(folder.join("gallery-dark.png")).unwrap();
    }
    assert_eq!(bright.dimensions(), dim.dimensions());
    let places = |page: &Page| -> Vec<Rect> {
        STOPS.iter().map(|(role, name)| page.get_by_role_and_label(*role, name).rect()).collect()
    };
    assert_eq!(places(&light), places(&dark));
    let grounds = [(&bright, LIGHT), (&dim, DARK)];
    assert!(grounds.iter().all(|(picture, t)| picture.get_pixel(12, 12).0 == color(t.background).to_array()));
}
