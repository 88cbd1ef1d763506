//! Scale: the shell and its remotes have the same pixels per point, and their text is equally sharp.

use egui::{Key, Modifiers, accesskit::Role};

use crate::support::{Installation, libraries};

mod sharp;

#[test]
fn surface_follows_screen_scale_and_zooms_once() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&alias, "./widgets");
    // With another slot, so that some scales put its edge in the middle of a pixel.
    shell.show("remoteMisbehaving", "./calm");
    shell.drive("it is shown", |shell| shell.screen().shows("Scale 1"));
    for (scale, expected) in
        [(2.0, "Scale 2"), (1.25, "Scale 1.25"), (1.5, "Scale 1.5"), (1.0, "Scale 1"), (1.75, "Scale 1.75")]
    {
        shell.screen_scale = scale;
        shell.drive(expected, |shell| shell.screen().texts().any(|text| text == expected));
        let tree = shell.screen().tree.as_ref().expect("a tree");
        let panes: Vec<_> = tree.nodes.iter().filter(|(_, node)| node.role() == Role::Pane).collect();
        assert_eq!(panes.len(), 2);
        for (_, pane) in panes {
            let place = pane.bounds().expect("a place");
            for side in [place.x0, place.y0, place.x1, place.y1] {
                let pixels = side * f64::from(scale);
                assert!((pixels - pixels.round()).abs() < 1e-2, "{side} at {scale} is not a whole pixel");
            }
        }
    }
    // A focused remote gets the keys, too, and must not zoom a second time.
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
    for (keys, expected) in [
        (vec![Key::Plus], "Scale 1.1"),
        (vec![Key::Plus, Key::Plus], "Scale 1.3"),
        (vec![Key::Minus], "Scale 1.2"),
        (vec![Key::Num0], "Scale 1"),
    ] {
        for pressed in keys {
            shell.frame(key(pressed).to_vec());
        }
        shell.drive(expected, |shell| shell.screen().texts().any(|text| text == expected));
    }
    // Scale and zoom together.
    shell.screen_scale = 2.0;
    shell.frame(key(Key::Plus).to_vec());
    shell.drive("both", |shell| shell.screen().texts().any(|text| text == "Scale 2.2"));
}
