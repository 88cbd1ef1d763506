//! Menus and dialogs of a remote outside of its slot, in a real window.

use egui::{Pos2, accesskit::Role};

use super::open;
use crate::driver::{Item, Window};

/// The entry of another expose in the sidebar.
const OTHER: &str = "Calm";

fn slot(window: &mut Window) -> Option<Item> {
    window.tree().of_role(Role::Pane).find(|item| item.name == "Reaches out").cloned()
}

#[test]
fn menu_over_the_sidebar_gets_the_pointer() {
    let (mut window, _desktop, _installation) = open("./reach", "Chosen 0");
    let slot = slot(&mut window).expect("the surface").bounds;
    let other = window.wait_for(OTHER).bounds;
    assert!(!slot.intersects(other), "the entry is in the slot");
    window.settle();
    let before = window.screenshot("reach-before.png");
    window.click("Reach out");
    let choices: Vec<Item> = (1..=6).map(|choice| window.wait_for(&format!("Choice {choice}"))).collect();
    window.settle();
    let after = window.screenshot("reach-menu.png");
    // A position of a choice over the sidebar's entry.
    let pos = Pos2::new(choices[0].bounds.left() + 20.0, other.center().y);
    let over = choices.iter().position(|choice| choice.bounds.contains(pos)).expect("a choice over the entry");
    assert!(other.contains(pos) && !slot.contains(pos), "{other} {slot} {pos}");
    assert!(after.pixels(other).ne(before.pixels(other)), "the menu is not painted over the entry");
    window.click_at(pos);
    window.wait_for(&format!("Chosen {}", over + 1));
    window.gone("Choice 1");
    // The covered entry was not pressed, and the slot is unchanged.
    assert_eq!(self::slot(&mut window).map(|slot| slot.bounds), Some(slot));
    window.click_at(pos);
    window.wait_for("Count");
}

#[test]
fn a_dialog_lies_above_the_shell_until_it_is_closed() {
    let (mut window, _desktop, _installation) = open("./reach", "Chosen 0");
    let slot = slot(&mut window).expect("the surface").bounds;
    let other = window.wait_for(OTHER).bounds;
    window.settle();
    let before = window.screenshot("reach-before.png");
    window.click("Ask");
    window.wait_for("So far \"\"");
    window.settle();
    let after = window.screenshot("reach-dialog.png");
    assert!(after.pixels(other).ne(before.pixels(other)), "the dialog does not shade the shell");
    let field = window.until("the field", |tree| tree.of_role(Role::TextInput).next().cloned());
    window.click_at(field.bounds.center());
    window.text("yes");
    window.wait_for("So far \"yes\"");
    // A click outside of the dialog closes it and does nothing else.
    window.click_at(other.center());
    window.gone("So far \"yes\"");
    window.wait_for("Answered \"yes\"");
    assert_eq!(self::slot(&mut window).map(|slot| slot.bounds), Some(slot));
    window.click_at(other.center());
    window.wait_for("Count");
}
