//! Input to remotes: drags between them, files, the clipboard, and typing in a real window.

use std::{fs, path::Path, sync::Arc};

use egui::{
    CursorIcon, Event, HoveredFile, Key, Modifiers, OutputCommand, PointerButton, Pos2, RawInput, Rect,
    ViewportCommand,
};

use serde_json::json;

use crate::{
    driver::{Desktop, Window},
    support::{Headless, Installation, edited, libraries, library_file, log},
};

mod method;
mod reaching;
mod screen;
mod writing;

const FIRST: (&str, &str) = ("remoteMisbehaving", "./input");
const SECOND: (&str, &str) = ("remoteMisbehavin2", "./input");

/// Opens a focused window of the shell with an expose of `misbehaving`, and waits for `text` in it. Keep the desktop
/// and the installation: the program runs from them.
fn open(expose: &str, text: &str) -> (Window, Desktop, Installation) {
    open_on(Desktop::new(), expose, text, &[])
}

/// Does the same on this desktop, with environment variables.
fn open_on(
    desktop: Desktop,
    expose: &str,
    text: &str,
    variables: &[(&str, &str)],
) -> (Window, Desktop, Installation) {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    fs::create_dir_all(desktop.data_dir()).expect("a folder");
    let state = json!({ "window": [1000, 700], "selected": [FIRST.0, expose] });
    fs::write(desktop.data_dir().join("window.json"), state.to_string()).expect("a file");
    let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    command.arg("--config").arg(installation.path("host.json")).envs(variables.iter().copied());
    let mut window = desktop.open(command);
    window.wait_for(text);
    window.focus();
    (window, desktop, installation)
}

/// Starts a shell with two remotes of the same code in adjacent slots.
fn side_by_side() -> Headless {
    let mut installation = Installation::new();
    let library = &libraries().misbehaving;
    installation.add(library);
    // Another name makes it another remote.
    let file = format!("second/{}", library_file("fixture_misbehaving"));
    installation.write(&file, edited(library, &[(FIRST.0, SECOND.0)]));
    installation.configure(SECOND.0, &format!("{}@{file}", SECOND.0));
    let mut shell = installation.start();
    for (alias, expose) in [FIRST, SECOND] {
        shell.show(alias, expose);
    }
    shell.drive("both are shown", |shell| shell.screen().places("City: Aachen").len() == 2);
    shell
}

/// Returns the centre of a text in both remotes, from left to right: slots are in the order of aliases.
fn places(shell: &Headless, text: &str) -> [Pos2; 2] {
    // `remoteMisbehavin2` comes before `remoteMisbehaving`.
    let places: Vec<Rect> = shell.screen().places(text);
    assert_eq!(places.len(), 2, "{text}: {}", shell.describe());
    [places[0].center(), places[1].center()]
}

fn press(pos: Pos2, pressed: bool) -> Event {
    Event::PointerButton { pos, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE }
}

/// Starts a drag at `from`.
fn pick_up(shell: &mut Headless, from: Pos2) {
    shell.frame(vec![Event::PointerMoved(from)]);
    shell.frame(vec![press(from, true)]);
    shell.drive("the remote has seen the press", |shell| shell.screen().shows("Held"));
    for step in 1..4 {
        shell.frame(vec![Event::PointerMoved(from + egui::vec2(8.0 * step as f32, 0.0))]);
    }
    shell.drive("the drag has begun", |shell| shell.screen().cursor == CursorIcon::NoDrop);
}

#[test]
fn drag_from_one_remote_drops_on_another() {
    let mut shell = side_by_side();
    let [from, own] = [places(&shell, "City: Aachen")[0], places(&shell, "Drop here")[0]];
    let there = places(&shell, "Drop here")[1];

    pick_up(&mut shell, from);
    shell.frame(vec![Event::PointerMoved(there)]);
    shell.drive("the zone accepts the drag", |shell| shell.screen().cursor == CursorIcon::Grabbing);
    shell.frame(vec![press(there, false)]);
    shell.drive("it was dropped", |shell| {
        shell.screen().shows(r#"Dropped ["text/plain Aachen"]"#) && shell.screen().shows("Ended [true]")
    });

    pick_up(&mut shell, from);
    shell.frame(vec![Event::PointerMoved(places(&shell, "Click me")[1])]);
    shell.frame(vec![press(places(&shell, "Click me")[1], false)]);
    shell.drive("no zone accepted it", |shell| shell.screen().shows("Ended [true, false]"));

    pick_up(&mut shell, from);
    shell.frame(vec![Event::PointerMoved(own), press(own, false)]);
    shell.drive("the dragging remote accepted it, in one frame", |shell| {
        shell.screen().shows("Ended [true, false, true]")
    });

    pick_up(&mut shell, from);
    shell.frame(vec![Event::PointerMoved(there)]);
    let escape = |pressed| {
        let (key, modifiers) = (Key::Escape, Modifiers::NONE);
        Event::Key { key, physical_key: None, pressed, repeat: false, modifiers }
    };
    shell.frame(vec![escape(true), escape(false)]);
    shell.drive("the drag was cancelled", |shell| shell.screen().shows("Ended [true, false, true, false]"));
    shell.frame(vec![press(there, false)]);

    let large = places(&shell, "Everything")[0];
    shell.frame(vec![Event::PointerMoved(large)]);
    shell.frame(vec![press(large, true)]);
    for step in 1..4 {
        shell.frame(vec![Event::PointerMoved(large + egui::vec2(8.0 * step as f32, 0.0))]);
    }
    shell.drive("it is refused", |shell| shell.screen().shows("Ended [true, false, true, false, false]"));
    let code = format!("code={} ", "drag-refused");
    assert!(log().iter().any(|line| line.text.contains(&code)), "the refusal is not logged");
}

#[derive(Debug)]
struct File(std::path::PathBuf);

impl egui::DroppedFile for File {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }
}

fn held() -> RawInput {
    let file = HoveredFile { path: Some("/tmp/a b.txt".into()), ..HoveredFile::default() };
    RawInput { hovered_files: vec![file], ..RawInput::default() }
}

fn dropped() -> RawInput {
    RawInput { dropped_files: vec![Arc::new(File("/tmp/a b.txt".into()))], ..RawInput::default() }
}

#[test]
fn dropped_files_go_to_zone_under_pointer_or_shell() {
    let mut shell = side_by_side();
    shell.frame(vec![Event::PointerMoved(places(&shell, "Drop here")[1])]);
    while !shell.screen().shows("Files above: 1") || shell.screen().files != [0, 0] {
        shell.frame_of(held());
        std::thread::yield_now();
    }
    shell.frame_of(dropped());
    shell.drive("the remote has the file", |shell| shell.screen().shows(r#"dropped: ["a b.txt"]"#));
    assert!(shell.screen().shows(r#"Dropped ["text/uri-list file:///tmp/a%20b.txt"#), "{}", shell.describe());
    assert_eq!(shell.screen().files, [0, 0]);

    shell.frame(vec![Event::PointerMoved(places(&shell, "Click me")[1])]);
    shell.frame_of(dropped());
    if shell.screen().files != [0, 1] {
        shell.drive("the shell has the file", |shell| shell.screen().files == [0, 1]);
    }
}

#[test]
fn images_and_the_request_to_paste() {
    let mut shell = side_by_side();
    for (label, texts) in [
        ("Click me", &["Clicked [1, 0, 0]", "Clicked [2, 1, 0]", "Clicked [3, 1, 1]"][..]),
        ("Copy an image", &["Clicked [3, 1, 1]"]),
    ] {
        let at = places(&shell, label)[0];
        shell.frame(vec![Event::PointerMoved(at)]);
        for text in texts {
            shell.frame(vec![press(at, true), press(at, false)]);
            shell.drive("it was clicked", |shell| shell.screen().shows(text));
        }
    }
    shell.drive("an image was copied", |shell| !shell.screen().commands.is_empty());
    let image = shell.screen().commands.iter().find_map(|command| match command {
        OutputCommand::CopyImage(image) => Some(image.clone()),
        _ => None,
    });
    let image = image.expect("an image was copied");
    assert_eq!(
        (image.size, image.pixels[0]),
        ([2, 3], plugin_api::theme::color(plugin_api::tokens::LIGHT.danger))
    );

    let at = places(&shell, "Paste")[0];
    shell.frame(vec![Event::PointerMoved(at), press(at, true), press(at, false)]);
    shell.drive("the clipboard is asked for", |shell| {
        shell.screen().viewport_commands.contains(&ViewportCommand::RequestPaste)
    });
    shell.frame(vec![Event::PasteImage(Arc::new(image))]);
    shell.drive("the image has come", |shell| shell.screen().shows("Image Some([2, 3])"));

    // The surface without the keyboard may not read the clipboard, although a screen reader presses its button.
    let code = format!("code={} ", "paste-refused");
    for at in 0..2 {
        shell.press_nth("Paste", at);
    }
    shell.drive("it is refused", |_| log().iter().any(|line| line.text.contains(&code)));
}
