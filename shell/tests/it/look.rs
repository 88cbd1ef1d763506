//! Look of remotes: theme, tokens and fonts of the host.

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

/// Starts a shell that shows a surface with the host's look and another with its own.
fn looks() -> Headless {
    let mut installation = Installation::new();
    let misbehaving = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&misbehaving, "./look");
    shell.show(&misbehaving, "./own-look");
    shell.drive("both looks are shown", |s| s.screen().shows(HOST) && s.screen().shows(OWN));
    shell
}

/// Returns the rest of the shown text that begins with `start`.
fn text_after(shell: &Headless, start: &str) -> String {
    let text = shell.screen().texts().find_map(|text| text.strip_prefix(start));
    text.unwrap_or_else(|| panic!("no text begins with {start:?}; {}", shell.describe())).to_owned()
}

/// Waits until no frame of a surface is pending, and lets later frames of the window wait for their surfaces: a slow
/// answer must not fail the test.
fn settle(shell: &mut Headless, surfaces: &[(&str, &str)]) {
    let give_up = Instant::now() + PATIENCE;
    shell.budget = PATIENCE;
    let idle = |shell: &Headless| -> Vec<u64> {
        surfaces.iter().filter_map(|(alias, expose)| Some(shell.surface(alias, expose)?.counts().1)).collect()
    };
    let before = idle(shell);
    while idle(shell).iter().zip(&before).any(|(now, before)| now == before) {
        assert!(Instant::now() < give_up, "a frame is always pending; {}", shell.describe());
        shell.frame(vec![]);
    }
}

#[test]
fn surface_has_host_look_unless_it_chose_its_own() {
    let shell = looks();
    assert_eq!(text_after(&shell, HOST), "light, spacing [8.0 8.0], radius 6, text 14, host light");
    let style = egui::Style::default();
    let (spacing, text) = (style.spacing.item_spacing, egui::TextStyle::Body.resolve(&style).size);
    let radius = egui::Visuals::light().widgets.inactive.corner_radius.nw;
    let egui = format!("light, spacing {spacing:?}, radius {radius}, text {text}, host light");
    assert_eq!(text_after(&shell, OWN), egui);
}

#[test]
fn the_hosts_tokens_arrive_as_they_are() {
    let mut shell = looks();
    settle(&mut shell, &[("remoteMisbehaving", "./look")]);
    shell.tokens.space[1] = 11.0;
    shell.tokens.radius[0] = 3.0;
    shell.tokens.font_size[1] = 17.0;
    shell.frame(vec![]);
    assert_eq!(text_after(&shell, HOST), "light, spacing [11.0 11.0], radius 3, text 17, host light");
}

#[test]
fn theme_switch_reaches_every_surface_in_one_frame() {
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
        let shows = |start: &str| shell.screen().shows(&format!("{start}{shade}"));
        [HOST, OWN, "Look on egui 0.36: "].into_iter().all(shows)
    };
    shell.drive("all are light", |shell| all(shell, "light"));
    settle(&mut shell, &surfaces);
    for (tokens, shade) in [(DARK, "dark"), (LIGHT, "light"), (DARK, "dark")] {
        shell.tokens = tokens;
        shell.frame(vec![]);
        assert!(all(&shell, shade), "{}", shell.describe());
    }
}

/// Changes of theme and scale reach the shell and a slow surface in one picture, also during a frame of the surface.
#[test]
fn a_slow_surface_follows_in_the_same_picture() {
    let mut installation = Installation::new();
    let misbehaving = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&misbehaving, "./slow-look");
    shell.drive("it is light", |shell| shell.screen().shows("Slow look: light, scale 1, 1200 wide"));
    settle(&mut shell, &[(&misbehaving, "./slow-look")]);
    shell.budget = Duration::ZERO;
    let surface = (misbehaving.as_str(), "./slow-look");
    for (under_way, dark, scale) in
        [(false, true, 1.0), (false, true, 2.0), (true, false, 2.0), (true, true, 1.5), (true, false, 1.0)]
    {
        if under_way {
            let asked = shell.frames(surface.0, surface.1);
            shell.frame(vec![Event::PointerMoved(Pos2::new(50.0 + 10.0 * scale, 50.0))]);
            assert_eq!(shell.frames(surface.0, surface.1), asked, "the window waited for the surface");
        }
        shell.tokens = if dark { DARK } else { LIGHT };
        shell.screen_scale = scale;
        shell.frame(vec![]);
        let expected = format!("Slow look: {}, scale {scale}, 1200 wide", if dark { "dark" } else { "light" });
        assert!(shell.screen().shows(&expected), "{expected}; {}", shell.describe());
        settle(&mut shell, &[surface]);
        shell.budget = Duration::ZERO;
    }
}

/// Does the same in a real window, also with the inspector, which shrinks the surface.
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
    // In every picture, the panel must be drawn for the look and the size that the shell has.
    let check = |tree: &Tree| {
        let shown = tree.find_parts(&["Slow look: "])?.name.clone();
        let pane = tree.of_role(Role::Pane).find(|item| item.name == "Looks slowly")?.bounds;
        let dark = tree.find("Theme: Dark").is_some();
        let expected = format!(
            "Slow look: {}, scale 1, {} wide, {} high",
            if dark { "dark" } else { "light" },
            pane.width(),
            pane.height()
        );
        assert_eq!(shown, expected, "{tree}");
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
fn remote_gets_system_fonts_and_runs_without() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.paint();
    shell.show(&alias, "./look");
    for (script, character) in [("Arabic", "ع"), ("Han", "语"), ("Kana", "か"), ("Emoji", "🫨")] {
        if pulse::fonts::find(character, 1).is_none() {
            eprintln!("skipped: this system has no font with {script}; `cargo xtask test` installs one");
            continue;
        }
        let shown = format!("{script}: true");
        shell.drive("it has the font, and runs without one for U+10FFFD", |s| s.screen().shows(&shown));
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
            // From the middle, and too long to be equal by chance.
            let part = &font.data.as_slice()[font.data.len() / 2..][..1024];
            assert!(places_of(&bytes, part).is_empty(), "{} contains {}", library.display(), font.name);
        }
    }
}
