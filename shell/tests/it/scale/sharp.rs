//! The same text in the shell and in a surface, compared pixel by pixel.

use std::fs;

use egui::{
    Rect, Vec2,
    accesskit::{Action, Role},
};
use x11rb::{
    connection::Connection as _,
    protocol::xproto::{
        AtomEnum, CONFIGURE_NOTIFY_EVENT, ConfigureNotifyEvent, ConnectionExt as _, EventMask, PropMode,
    },
    wrapper::ConnectionExt as _,
};

use crate::{
    driver::{Desktop, Picture, Tree, Window},
    support::{Installation, libraries},
};

/// Returns the bounds of the text in the shell and in the remote, in points of the window.
fn places(tree: &Tree) -> Option<[Rect; 2]> {
    let labels: Vec<_> = tree.of_role(Role::Label).filter(|item| item.name == "Pulse").collect();
    let pane = tree.of_role(Role::Pane).find(|item| item.name == "Widgets")?;
    let (remote, shell): (Vec<_>, Vec<_>) =
        labels.into_iter().partition(|item| tree.below(pane).any(|inner| inner.id == item.id));
    Some([shell.first()?.bounds, remote.first()?.bounds])
}

/// Returns the pixels of an area, row by row.
fn cut(picture: &Picture, left: usize, top: usize, width: usize, height: usize) -> Vec<[u8; 3]> {
    let min = egui::pos2(left as f32, top as f32);
    picture.pixels(Rect::from_min_size(min, Vec2::new(width as f32, height as f32))).collect()
}

/// Opens the shell on a screen of this scale, with a remote that shows one of its texts.
fn open(desktop: &Desktop, installation: &Installation, scale: Option<f32>) -> Window {
    fs::create_dir_all(desktop.data_dir()).expect("a folder");
    fs::write(desktop.data_dir().join("window.json"), r#"{ "window": [700, 500] }"#).expect("a file");
    let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    command.arg("--config").arg(installation.path("host.json"));
    command.envs(scale.map(|scale| ("WINIT_X11_SCALE_FACTOR", scale.to_string())));
    let mut window = desktop.open(command);
    window.until("the remote's title", |tree| tree.find("Widgets").map(drop));
    window.act("Widgets", Action::Click);
    window
}

fn assert_sharp(window: &mut Window, scale: f32, file: &str) {
    window.wait_for(&format!("Scale {scale}"));
    window.until("both texts", |tree| places(tree).map(drop));
    window.settle();
    let [shell, remote] = places(&window.tree()).expect("both texts");
    let picture = window.pixels(file);
    let pixels = |rect: Rect| {
        let at = |n: f32| (n * scale).round() as usize;
        (at(rect.left()), at(rect.top()), at(rect.width()), at(rect.height()))
    };
    let (left, top, width, height) = pixels(remote);
    let text = cut(&picture, left, top, width, height);
    let mut colors = text.clone();
    colors.sort_unstable();
    colors.dedup();
    assert!(colors.len() > 10, "no text with soft edges: {} colours at {scale}", colors.len());
    // Positions are rounded up or down.
    let (at_x, at_y, ..) = pixels(shell);
    let same = (0..9).any(|step| {
        let (x, y) = (at_x + step % 3, at_y + step / 3);
        let other = cut(&picture, x.saturating_sub(1), y.saturating_sub(1), width, height);
        // The renderer dithers by position, which changes a channel by one step.
        let close = |(a, b): (&[u8; 3], &[u8; 3])| (0..3).all(|at| a[at].abs_diff(b[at]) <= 1);
        other.len() == text.len() && other.iter().zip(&text).all(close)
    });
    assert!(same, "the text at {remote:?} differs from that at {shell:?}, at scale {scale}");
}

/// Sends the window the X11 events of a move to a screen of another scale.
fn move_to_scale(window: &Window, scale: f32) {
    let (x11, id) = window.x11();
    let settings = format!("Xft.dpi:\t{}\n", 96.0 * scale);
    // winit reads the root's setting when a property of its own window has changed.
    for of in [x11.setup().roots[0].root, id] {
        let (name, kind) = (AtomEnum::RESOURCE_MANAGER, AtomEnum::STRING);
        x11.change_property8(PropMode::REPLACE, of, name, kind, settings.as_bytes())
            .expect("a request")
            .check()
            .expect("a property");
    }
    // A window manager's notification of the new position.
    let place = x11.get_geometry(id).expect("a request").reply().expect("a place");
    let moved = ConfigureNotifyEvent {
        response_type: CONFIGURE_NOTIFY_EVENT,
        sequence: 0,
        event: id,
        window: id,
        above_sibling: x11rb::NONE,
        x: place.x,
        y: place.y,
        width: place.width,
        height: place.height,
        border_width: 0,
        override_redirect: false,
    };
    x11.send_event(false, id, EventMask::STRUCTURE_NOTIFY, moved)
        .expect("a request")
        .check()
        .expect("an event");
}

#[test]
fn remote_text_is_as_sharp_as_the_shells() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    for scale in [1.0_f32, 1.25, 1.5, 2.0] {
        let desktop = Desktop::new();
        let mut window = open(&desktop, &installation, Some(scale));
        assert_sharp(&mut window, scale, &format!("sharp-{alias}-{scale}.png"));
    }
}

#[test]
fn text_stays_sharp_after_a_change_of_scale() {
    let (desktop, mut installation) = (Desktop::new(), Installation::new());
    installation.add(&libraries().misbehaving);
    let mut window = open(&desktop, &installation, None);
    for scale in [1.0, 2.0, 1.0] {
        move_to_scale(&window, scale);
        assert_sharp(&mut window, scale, &format!("sharp-moved-{scale}.png"));
    }
}
