//! The look that remotes have from their host.

use std::{fs, path::PathBuf, time::Instant};

use plugin_api::tokens::{DARK, LIGHT};

use crate::{
    driver::Picture,
    support::{Headless, Installation, PATIENCE, elsewhere, libraries, places_of},
};

const HOST: &str = "Host look: ";
const OWN: &str = "Own look: ";

/// A shell that shows a surface with the host's look and one with its own.
fn looks() -> Headless {
    let mut installation = Installation::new();
    let fixtures = installation.add(&libraries().fixtures);
    let mut shell = installation.start();
    shell.show(&fixtures, "./look");
    shell.show(&fixtures, "./own-look");
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
    settle(&mut shell, &[("remoteFixtures", "./look")]);
    shell.tokens.space[1] = 11.0;
    shell.tokens.radius[0] = 3.0;
    shell.tokens.font_size[1] = 17.0;
    shell.frame(vec![]);
    assert_eq!(said(&shell, HOST), "light, spacing [11.0 11.0], radius 3, text 17, host light");
}

#[test]
fn a_switch_of_the_theme_takes_every_surface_in_one_frame() {
    let mut installation = Installation::new();
    let fixtures = installation.add(&libraries().fixtures);
    let earlier = installation.add(elsewhere::earlier());
    let mut shell = installation.start();
    let surfaces: [(&str, &str); 3] = [(&fixtures, "./look"), (&fixtures, "./own-look"), (&earlier, "./form")];
    for (alias, expose) in surfaces {
        shell.show(alias, expose);
    }
    let all = |shell: &Headless, shade: &str| {
        let says = |start: &str| shell.screen().says(&format!("{start}{shade}"));
        [HOST, OWN, "Earlier look: "].into_iter().all(says)
    };
    shell.drive("all are light", |shell| all(shell, "light"));
    settle(&mut shell, &surfaces);
    for (tokens, shade) in [(DARK, "dark"), (LIGHT, "light"), (DARK, "dark")] {
        shell.tokens = tokens;
        shell.frame(vec![]);
        assert!(all(&shell, shade), "{}", shell.describe());
    }
}

#[test]
fn a_remote_has_the_fonts_of_the_system_and_copes_without() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().fixtures);
    let mut shell = installation.start();
    shell.paint();
    shell.show(&alias, "./look");
    for (script, character) in [("Arabic", "ع"), ("Han", "语"), ("Kana", "か"), ("Emoji", "🫨")] {
        if pulse::theme::system::find(character, 1).is_none() {
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
    let own = [&l.analytics, &l.fixtures, &l.bare, &l.next, &l.peer, &l.liar, &l.puppet];
    let fonts = pulse::theme::fonts();
    for library in own.into_iter().map(PathBuf::as_path).chain([elsewhere::earlier()]) {
        let bytes = fs::read(library).expect("libraries can be read");
        for font in &fonts {
            // From the middle, and longer than what tables of numbers may have alike.
            let part = &font.data.as_slice()[font.data.len() / 2..][..1024];
            assert!(places_of(&bytes, part).is_empty(), "{} contains {}", library.display(), font.name);
        }
    }
}
