#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use super::*;

/// An Arabic character, which `DejaVu Sans` on every Debian desktop has.
const ARABIC: &str = "ع";

#[test]
fn font_file_is_handed_out_once() {
    let Some(first) = find(ARABIC, PROPORTIONAL) else { return };
    let second = find("ب", STRONG).unwrap();
    assert_eq!(first.name, second.name);
    assert_eq!(first.data.as_ptr(), second.data.as_ptr());
    assert_eq!((first.families, second.families), (PROPORTIONAL, STRONG));
    assert_eq!(HANDED_OUT.lock().iter().filter(|bytes| bytes.as_ptr() == first.data.as_ptr()).count(), 1);
}

#[test]
fn missing_character_is_not_an_error() {
    // A private-use character of a plane that no font fills.
    assert!(find("\u{10_FF_FD}", PROPORTIONAL).is_none());
    assert!(find("", PROPORTIONAL).is_none());
    assert!(find("", u32::MAX).is_none());
}

#[test]
fn window_repaints_when_font_is_found() {
    if find(ARABIC, PROPORTIONAL).is_none() {
        return;
    }
    let ctx = Context::default();
    super::super::install(&ctx);
    let (sender, repaints) = std::sync::mpsc::channel();
    ctx.set_request_repaint_callback(move |_| _ = sender.send(()));
    let has = |ctx: &Context| {
        let mut has = false;
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            has = ui.fonts_mut(|fonts| fonts.has_glyph(&egui::FontId::proportional(14.0), 'ع'));
        });
        output.textures_delta.clear();
        has
    };
    assert!(!has(&ctx), "the first pass is drawn without it");
    let give_up = Instant::now() + Duration::from_mins(1);
    while !has(&ctx) {
        repaints
            .recv_timeout(give_up.saturating_duration_since(Instant::now()))
            .expect("a repaint is requested");
    }
}
