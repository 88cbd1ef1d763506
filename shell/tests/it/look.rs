//! The look that remotes have from their host.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use egui::{
    Event, Key, Pos2,
    accesskit::{Action, Role},
};
use plugin_api::tokens::{DARK, LIGHT};
use serde_json::json;

use crate::{
    driver::{Desktop, Picture, Tree},
    support::{Headless, Installation, PATIENCE, elsewhere, libraries, places_of},
};

const HOST: &str = "Host look: ";
const OWN: &str = "Own look: ";

/// A shell that shows a surface with the host's look and one with its own.
fn looks() -> Headless {
    let mut installation = Installation::new();
    let misbehaving = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&misbehaving, "./look");
    shell.show(&misbehaving, "./own-look");
    shell.drive("both looks are there", |s| s.screen().says(HOST) && s.screen().says(OWN));
    shell
}

/// What the text that begins so goes on with.
fn said(shell: &Headless, start: &str) -> String {
    let text = shell.screen().texts().find_map(|text| text.strip_prefix(start));
    text.unwrap_or_else(|| panic!("nothing begins with {start:?}; {}", shell.describe())).to_owned()
}

/// Waits until nothing is under way, and from then on in each frame for what the frame asks for: whether remotes
/// answer in time is not what is tested here.
fn settle(shell: &mut Headless, surfaces: &[(&str, &str)]) {
    let give_up = Instant::now() + PATIENCE;
    shell.budget = PATIENCE;
    let idle = |shell: &Headless| -> Vec<u64> {
        surfaces.iter().filter_map(|(alias, expose)| Some(shell.surface(alias, expose)?.counts().1)).collect()
    };
    let before = idle(shell);
    while idle(shell).iter().zip(&before).any(|(now, before)| now == before) {
        assert!(Instant::now() < give_up, "there is always something under way; {}", shell.describe());
        shell.frame(vec![]);
    }
}

#[test]
fn a_surface_has_the_hosts_look_unless_it_wants_its_own() {
    let shell = looks();
    assert_eq!(said(&shell, HOST), "light, spacing [8.0 8.0], radius 6, text 14, host light");
    let style = egui::Style::default();
    let (spacing, text) = (style.spacing.item_spacing, egui::TextStyle::Body.resolve(&style).size);
    let radius = egui::Visuals::light().widgets.inactive.corner_radius.nw;
    let egui = format!("light, spacing {spacing:?}, radius {radius}, text {text}, host light");
    assert_eq!(said(&shell, OWN), egui);
}

#[test]
fn the_hosts_tokens_arrive_as_they_are() {
    let mut shell = looks();
    settle(&mut shell, &[("remoteMisbehaving", "./look")]);
    shell.tokens.space[1] = 11.0;
    shell.tokens.radius[0] = 3.0;
    shell.tokens.font_size[1] = 17.0;
    shell.frame(vec![]);
    assert_eq!(said(&shell, HOST), "light, spacing [11.0 11.0], radius 3, text 17, host light");
}

#[test]
fn a_switch_of_the_theme_takes_every_surface_in_one_frame() {
    let mut installation = Installation::new();
    let misbehaving = installation.add(&libraries().misbehaving);
    let egui_0_36 = installation.add(elsewhere::egui_0_36());
    let mut shell = installation.start();
    let surfaces: [(&str, &str); 3] =
        [(&misbehaving, "./look"), (&misbehaving, "./own-look"), (&egui_0_36, "./form")];
    for (alias, expose) in surfaces {
        shell.show(alias, expose);
    }
    let all = |shell: &Headless, shade: &str| {
        let says = |start: &str| shell.screen().says(&format!("{start}{shade}"));
        [HOST, OWN, "Look on egui 0.36: "].into_iter().all(says)
    };
    shell.drive("all are light", |shell| all(shell, "light"));
    settle(&mut shell, &surfaces);
    for (tokens, shade) in [(DARK, "dark"), (LIGHT, "light"), (DARK, "dark")] {
        shell.tokens = tokens;
        shell.frame(vec![]);
        assert!(all(&shell, shade), "{}", shell.describe());
    }
}

/// A theme, a scale and a zoom change the shell and a slow surface in one picture, in the middle of a frame too.
#[test]
fn a_slow_surface_follows_in_the_same_picture() {
    let mut installation = Installation::new();
    let misbehaving = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&misbehaving, "./slow-look");
    shell.drive("it is light", |shell| shell.screen().says("Slow look: light, scale 1, 1200 wide"));
    settle(&mut shell, &[(&misbehaving, "./slow-look")]);
    shell.budget = Duration::ZERO;
    let surface = (misbehaving.as_str(), "./slow-look");
    for (under_way, dark, scale) in
        [(false, true, 1.0), (false, true, 2.0), (true, false, 2.0), (true, true, 1.5), (true, false, 1.0)]
    {
        if under_way {
            let asked = shell.frames(surface.0, surface.1);
            shell.frame(vec![Event::PointerMoved(Pos2::new(50.0 + 10.0 * scale, 50.0))]);
            assert_eq!(shell.frames(surface.0, surface.1), asked, "the window does not wait for it");
        }
        shell.tokens = if dark { DARK } else { LIGHT };
        shell.screen_scale = scale;
        shell.frame(vec![]);
        let expected = format!("Slow look: {}, scale {scale}, 1200 wide", if dark { "dark" } else { "light" });
        assert!(shell.screen().says(&expected), "{expected}; {}", shell.describe());
        settle(&mut shell, &[surface]);
        shell.budget = Duration::ZERO;
    }
}

/// The same in a real window, with the inspector, which takes room from the surface.
#[test]
fn a_window_never_shows_an_old_panel_in_a_new_shell() {
    let mut installation = Installation::new();
    let misbehaving = installation.add(&libraries().misbehaving);
    let desktop = Desktop::new();
    fs::create_dir_all(desktop.data_dir()).expect("a folder");
    let state = json!({ "window": [1100, 700], "selected": [misbehaving, "./slow-look"], "theme": "light" });
    fs::write(desktop.data_dir().join("window.json"), state.to_string()).expect("a file");
    let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    command.arg("--config").arg(installation.path("host.json"));
    let mut window = desktop.open(command);
    window.wait_for_parts(&["Slow look: light"]);
    window.settle();
    // What the panel was drawn for, and what the shell is drawn for, in every picture that is looked at.
    let check = |tree: &Tree| {
        let said = tree.find_parts(&["Slow look: "])?.name.clone();
        let pane = tree.of_role(Role::Pane).find(|item| item.name == "Looks slowly")?.bounds;
        let dark = tree.find("Theme: Dark").is_some();
        let expected = format!(
            "Slow look: {}, scale 1, {} wide, {} high",
            if dark { "dark" } else { "light" },
            pane.width(),
            pane.height()
        );
        assert_eq!(said, expected, "{tree}");
        Some((dark, pane.width()))
    };
    for round in 0..4 {
        let before = window.until("the panel", check);
        if round % 2 == 0 {
            window.key(Key::F12);
        } else {
            window.act(if before.0 { "Theme: Dark" } else { "Theme: Light" }, Action::Click);
        }
        let changed = |tree: &Tree| check(tree).filter(|now| *now != before).map(drop);
        let themes = |tree: &Tree| changed(tree).or_else(|| tree.find("Theme: System").map(drop));
        window.until("another picture", themes);
    }
}

#[test]
fn a_remote_has_the_fonts_of_the_system_and_copes_without() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.paint();
    shell.show(&alias, "./look");
    for (script, character) in [("Arabic", "ع"), ("Han", "语"), ("Kana", "か"), ("Emoji", "🫨")] {
        if pulse::fonts::find(character, 1).is_none() {
            eprintln!("left out: this system has no font with {script}; `cargo xtask test` installs one");
            continue;
        }
        let said = format!("{script}: true");
        shell.drive("it has it, and goes on without a font for U+10FFFD", |s| s.screen().says(&said));
    }
    let (width, pixels) = shell.picture();
    Picture::new(width, pixels).save("look-scripts.png");
}

#[test]
fn no_library_brings_fonts_along() {
    let l = libraries();
    let own =
        [&l.analytics, &l.misbehaving, &l.no_sdk, &l.newer_crates, &l.borrower, &l.bad_layout, &l.scripted];
    let fonts = pulse::fonts::all();
    for library in own.into_iter().map(PathBuf::as_path).chain([elsewhere::egui_0_36()]) {
        let bytes = fs::read(library).expect("libraries can be read");
        for font in &fonts {
            // From the middle, and longer than what tables of numbers may have alike.
            let part = &font.data.as_slice()[font.data.len() / 2..][..1024];
            assert!(places_of(&bytes, part).is_empty(), "{} contains {}", library.display(), font.name);
        }
    }
}
