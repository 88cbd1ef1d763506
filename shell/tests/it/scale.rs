//! Sizes of pixels: the shell and its remotes have the same one, and text is as sharp in both.

use egui::{Key, Modifiers, accesskit::Role};

use crate::support::{Installation, libraries};

mod sharp;

#[test]
fn a_surface_follows_the_screen_that_the_window_is_on_and_the_zoom_once() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&alias, "./widgets");
    // Beside another one, so that it begins in the middle of a pixel now and then.
    shell.show("remoteMisbehaving", "./calm");
    shell.drive("it is seen", |shell| shell.screen().says("Scale 1"));
    for (scale, said) in
        [(2.0, "Scale 2"), (1.25, "Scale 1.25"), (1.5, "Scale 1.5"), (1.0, "Scale 1"), (1.75, "Scale 1.75")]
    {
        shell.screen_scale = scale;
        shell.drive(said, |shell| shell.screen().texts().any(|text| text == said));
        let tree = shell.screen().tree.as_ref().expect("a tree");
        let panes: Vec<_> = tree.nodes.iter().filter(|(_, node)| node.role() == Role::Pane).collect();
        assert_eq!(panes.len(), 2);
        for (_, pane) in panes {
            let place = pane.bounds().expect("a place");
            for side in [place.x0, place.y0, place.x1, place.y1] {
                let pixels = side * f64::from(scale);
                assert!((pixels - pixels.round()).abs() < 1e-2, "{side} at {scale} is a whole pixel");
            }
        }
    }
    // The remote gets the keys too when it has the keyboard, and must not zoom by itself on top of it.
    shell.screen_scale = 1.0;
    shell.press("Save");
    let key = |key| {
        [true, false].map(|pressed| egui::Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: Modifiers::COMMAND,
        })
    };
    for (keys, said) in [
        (vec![Key::Plus], "Scale 1.1"),
        (vec![Key::Plus, Key::Plus], "Scale 1.3"),
        (vec![Key::Minus], "Scale 1.2"),
        (vec![Key::Num0], "Scale 1"),
    ] {
        for pressed in keys {
            shell.frame(key(pressed).to_vec());
        }
        shell.drive(said, |shell| shell.screen().texts().any(|text| text == said));
    }
    // Both together.
    shell.screen_scale = 2.0;
    shell.frame(key(Key::Plus).to_vec());
    shell.drive("both", |shell| shell.screen().texts().any(|text| text == "Scale 2.2"));
}
