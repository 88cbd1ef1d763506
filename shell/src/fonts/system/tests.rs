#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use super::*;

/// Every Debian system with a window has `DejaVu Sans`, which has Arabic.
const ARABIC: &str = "ع";

#[test]
fn a_file_is_given_out_once() {
    let Some(first) = find(ARABIC, PROPORTIONAL) else { return };
    let second = find("ب", STRONG).unwrap();
    assert_eq!(first.name, second.name);
    assert_eq!(first.data.as_ptr(), second.data.as_ptr());
    assert_eq!((first.families, second.families), (PROPORTIONAL, STRONG));
    assert_eq!(GIVEN.lock().iter().filter(|given| given.as_ptr() == first.data.as_ptr()).count(), 1);
}

#[test]
fn a_character_that_no_font_has_is_no_error() {
    // Private use, of a plane that no font fills.
    assert!(find("\u{10_FF_FD}", PROPORTIONAL).is_none());
    assert!(find("", PROPORTIONAL).is_none());
    assert!(find("", u32::MAX).is_none());
}

#[test]
fn the_window_does_not_wait_for_a_font_and_is_drawn_again_with_it() {
    if find(ARABIC, PROPORTIONAL).is_none() {
        return;
    }
    let ctx = Context::default();
    super::super::install(&ctx);
    let (sender, asked) = std::sync::mpsc::channel();
    ctx.set_request_repaint_callback(move |_| _ = sender.send(()));
    let has = |ctx: &Context| {
        let mut has = false;
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            has = ui.fonts_mut(|fonts| fonts.has_glyph(&egui::FontId::proportional(14.0), 'ع'));
        });
        output.textures_delta.clear();
        has
    };
    assert!(!has(&ctx), "the first pass goes on without it");
    let give_up = Instant::now() + Duration::from_mins(1);
    while !has(&ctx) {
        asked
            .recv_timeout(give_up.saturating_duration_since(Instant::now()))
            .expect("it is asked to draw again");
    }
}
