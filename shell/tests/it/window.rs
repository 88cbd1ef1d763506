//! The binary in a real window, with the user's input.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use egui::{Key, Rect, Vec2, accesskit::Action, accesskit::Role};
use serde_json::{Value, json};

use crate::{
    driver::{Desktop, Item, Picture, Tree, Window},
    support::{Installation, libraries, manifest_of},
};

mod cards;
mod command_line;
mod ending;
mod negotiation;
mod provider;
mod replacing;

use provider::Provider;

const GRACE: &str = "Viewing as: Grace Hopper";
const SIGNED_OUT: &str = "Not authenticated";
/// Level, target, message and fields of a remote's event in the log.
const IMPORTED: &str = " INFO pulse_analytics::database::import: imported the flights rows=336776 ";
/// End of that line, unless the remote is linked into the program.
const OF_ANALYTICS: &str = r#" remote="remoteAnalytics""#;
/// Width of the sidebar, in points.
const SIDEBAR: f32 = 232.0;

/// Parts of the four cards' names for the whole year.
const YEAR: [&[&str]; 4] = [
    &["Flights 336,776"],
    &["On-time arrivals", "73.4"],
    &["Average departure delay", "12.6"],
    &["Cancelled", "8,255"],
];

fn pulse(desktop: &Desktop) -> Command {
    desktop.command(env!("CARGO_BIN_EXE_pulse"))
}

fn shell(desktop: &Desktop, installation: &Installation) -> Command {
    let mut command = pulse(desktop);
    command.arg("--config").arg(installation.path("host.json"));
    command
}

/// Makes the shell's first window small, for tests that do not look at pictures: the processor draws each pixel.
fn begin_small(desktop: &Desktop) {
    fs::create_dir_all(desktop.data_dir()).expect("a folder");
    fs::write(desktop.data_dir().join("window.json"), r#"{ "window": [800, 600] }"#).expect("a file");
}

/// Installs a shell with the analytics remote.
fn analytics() -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().analytics);
    installation
}

fn wait_for_the_year(window: &mut Window) -> [Item; 4] {
    YEAR.map(|parts| window.wait_for_parts(parts))
}

/// Returns the surface's node in the shell's tree, and its descendants.
fn surface<'a>(tree: &'a Tree, title: &str) -> (&'a Item, Vec<&'a Item>) {
    let pane = tree.of_role(Role::Pane).find(|item| item.name == title).expect("the surface's pane");
    (pane, tree.below(pane).collect())
}

/// Asserts that the picture shows a window with text.
fn assert_plausible(picture: &Picture, size: Vec2) {
    assert_eq!(picture.size(), [size.x as usize, size.y as usize]);
    let mut colors: Vec<_> = picture.pixels(Rect::EVERYTHING).collect();
    colors.sort_unstable();
    colors.dedup();
    assert!(colors.len() > 100, "text is anti-aliased; these are {} colours", colors.len());
}

/// Returns the most frequent colour in `area`.
fn ground(picture: &Picture, area: Rect) -> [u8; 3] {
    let mut pixels: Vec<_> = picture.pixels(area).collect();
    pixels.sort_unstable();
    let runs = pixels.chunk_by(|a, b| a == b).max_by_key(|run| run.len());
    runs.expect("an area within the picture")[0]
}

fn assert_green(picture: &Picture, badge: &Item) {
    let [r, g, b] = ground(picture, badge.bounds);
    assert!(g > r && g > b, "the ground of the badge is {:?}", [r, g, b]);
}

fn assert_amber(picture: &Picture, badge: &Item) {
    let [r, g, b] = ground(picture, badge.bounds);
    assert!(r > g && g > b, "the ground of the badge is {:?}", [r, g, b]);
}

#[test]
fn dashboard_looks_right_and_survives_a_restart() {
    let (desktop, installation) = (Desktop::new(), analytics());
    let mut window = desktop.open(shell(&desktop, &installation));
    let badge = window.wait_for(GRACE);
    let cards = wait_for_the_year(&mut window);

    let name = window.wait_for("Grace Hopper");
    let role = window.wait_for("admin");
    assert!(role.bounds.top() >= name.bounds.bottom() - 1.0, "{role:?} is below {name:?}");
    assert!(name.bounds.right() < SIDEBAR, "the user card is in the sidebar: {name:?}");
    let tree = window.tree();
    let (pane, remote) = surface(&tree, "Analytics");
    assert!((pane.bounds.left() - SIDEBAR).abs() < 1.0 && pane.bounds.right() <= window.size().x, "{pane:?}");
    for item in remote.iter().filter(|item| item.bounds.is_positive()) {
        assert!(pane.bounds.x_range().contains(item.bounds.left()), "{item:?} begins within {:?}", pane.bounds);
        assert!(pane.bounds.x_range().contains(item.bounds.right()), "{item:?} ends within {:?}", pane.bounds);
    }
    for item in [&badge].into_iter().chain(&cards) {
        assert!(remote.iter().any(|inner| inner.id == item.id), "{item:?} is the remote's");
    }
    assert_eq!(remote.iter().filter(|item| item.role == Role::Row).count(), 16, "carriers");

    window.settle();
    let before = window.tree().step;
    // An idle window sends no event to wait for. On a slow machine this test is weaker, never wrong.
    thread::sleep(Duration::from_millis(600));
    let frames = window.tree().step - before;
    assert!(frames <= 4, "the idle window drew {frames} frames");

    window.click("Theme: System");
    window.wait_for("Theme: Light");
    window.settle();
    let light = window.screenshot("window-light.png");
    assert_plausible(&light, window.size());
    assert_green(&light, &badge);
    window.click("Theme: Light");
    window.wait_for("Theme: Dark");
    window.settle();
    let dark = window.screenshot("window-dark.png");
    assert_plausible(&dark, window.size());
    assert_green(&dark, &badge);
    let (bright, dim) = (light.luminance(), dark.luminance());
    assert!(bright > 200.0 && dim < 60.0, "light has a luminance of {bright}, dark of {dim}");

    window.resize(1100, 820);
    window.tree();
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(!stderr.contains("ERROR"), "{stderr}");
    assert!(stderr.lines().any(|l| l.contains(IMPORTED) && l.ends_with(OF_ANALYTICS)), "{stderr}");
    assert!(desktop.data_dir().join("window.json").is_file(), "the state of the window is saved");

    let folder = desktop.data_dir().join("remotes").join("remoteAnalytics");
    let databases = |folder: &Path| -> Vec<_> {
        let files = fs::read_dir(folder).expect("the remote's data").map(|entry| entry.expect("a file"));
        let sizeable = files.filter(|file| file.metadata().is_ok_and(|about| about.len() > 1_000_000));
        sizeable
            .map(|file| (file.file_name(), file.metadata().and_then(|about| about.created()).ok()))
            .collect()
    };
    let imported = databases(&folder);
    assert_eq!(imported.len(), 1, "the flights were imported: {imported:?}");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.until("the figures, without an import before", |tree| {
        assert!(tree.find_parts(&["Importing"]).is_none(), "the flights are imported again");
        tree.find("Flights 336,776").map(drop)
    });
    window.wait_for("Theme: Dark");
    assert_eq!(window.size(), Vec2::new(1100.0, 820.0), "the window has its former size");
    assert_eq!(databases(&folder), imported);
}

#[test]
fn user_input_reaches_the_remote() {
    let (desktop, installation) = (Desktop::new(), analytics());
    let mut window = desktop.open(shell(&desktop, &installation));
    wait_for_the_year(&mut window);
    window.wait_for(GRACE);
    signs_out_and_in(&mut window);
    chooses_range_and_measure(&mut window);
    uses_keyboard_and_screen_reader(&mut window);
    scrolls_and_points(&mut window);
    resizes(&mut window);
}

fn signs_out_and_in(window: &mut Window) {
    // The window waits a few milliseconds for the remote. A busy machine may need another frame, so the best counts.
    let mut best = u64::MAX;
    for _ in 0..5 {
        window.click("Sign out");
        let first = window.tree();
        let is_out = |tree: &Tree| tree.find(SIGNED_OUT).is_some() && tree.find("Grace Hopper").is_none();
        let out = if is_out(&first) {
            first.step
        } else {
            window.until("the user to be signed out", |tree| is_out(tree).then_some(tree.step))
        };
        assert!(window.tree().find(GRACE).is_none(), "the old badge is still shown");
        best = best.min(out - first.step);
        if best == 0 {
            let picture = window.screenshot("window-signed-out.png");
            assert_amber(&picture, &window.wait_for(SIGNED_OUT));
        }
        window.click("Sign in");
        window.wait_for(GRACE);
        window.wait_for("Grace Hopper");
        window.gone(SIGNED_OUT);
        if best == 0 {
            return;
        }
    }
    assert!(best <= 1, "the badge follows {best} frames after the next one");
}

fn chooses_range_and_measure(window: &mut Window) {
    window.click("Last 30 days");
    let flights = window.wait_for("Flights 27,148");
    assert!(flights.selected, "the measure has changed: {flights:?}");
    assert_eq!(flights.description, "▼ 0.4% vs previous 30 days");
    window.wait_for_parts(&["On-time arrivals", "63.2"]);
    window.wait_for_parts(&["Average departure delay", "16.9"]);
    let cancelled = window.wait_for_parts(&["Cancelled", "1,019"]);
    let selected = |tree: &Tree, name: &str| tree.find(name).is_some_and(|item| item.selected);
    window.until("the range to be chosen", |t| {
        (selected(t, "Last 30 days") && !selected(t, "Year")).then_some(())
    });

    window.click(&cancelled.name);
    window.wait_for("Cancellations per day");
    window.gone("Flights per day");
    let tree = window.tree();
    assert!(selected(&tree, &cancelled.name) && !selected(&tree, "Flights 27,148"));
}

fn uses_keyboard_and_screen_reader(window: &mut Window) {
    window.act("Last 7 days", Action::Click);
    window.wait_for("Flights 6,064");

    // A click focuses the surface. Its first control is the first range, its third the last but one.
    window.focus();
    window.click("Cancellations per day");
    for key in [Key::Tab, Key::Tab, Key::Tab, Key::Enter] {
        window.key(key);
    }
    window.wait_for("Flights 82,352");
}

fn scrolls_and_points(window: &mut Window) {
    const PLOT: &[&str] = &["Cancellations per day, "];
    let row = |tree: &Tree| tree.of_role(Role::Row).next().map(|row| row.bounds.top());
    let plot = window.wait_for_parts(PLOT);
    window.settle();
    let before = window.screenshot("window-chart.png");
    window.hover(&plot.name);
    window.settle();
    let after = window.screenshot("window-chart-hovered.png");
    let changed = before.pixels(plot.bounds).zip(after.pixels(plot.bounds)).filter(|(a, b)| a != b).count();
    assert!(changed > 500, "no card with the values of the day: {changed} pixels have changed");

    let top = window.until("a row", row);
    window.wheel(Vec2::new(0.0, -150.0));
    window.until("the table to move up", |tree| row(tree).filter(|now| *now < top - 100.0));
    window.wheel(Vec2::new(0.0, 1000.0));
    window.until("the table to be back", |tree| row(tree).filter(|now| (*now - top).abs() < 1.0));
}

fn resizes(window: &mut Window) {
    window.click("Year");
    let wide = wait_for_the_year(window).map(|card| card.bounds);
    assert!(wide.iter().all(|card| (card.top() - wide[0].top()).abs() < 1.0), "side by side: {wide:?}");
    window.resize(700, 600);
    window.until("four cards in two rows, within the window", |tree| {
        let cards = YEAR.map(|parts| tree.find_parts(parts).map_or(Rect::NOTHING, |card| card.bounds));
        let within = cards.iter().all(|card| card.left() > SIDEBAR && card.right() < 700.0);
        let apart = (0..4).all(|one| (0..one).all(|other| !cards[one].intersects(cards[other])));
        (within && apart && cards[2].top() > cards[0].bottom()).then_some(())
    });
    for name in ["Sign out", "Theme: System"] {
        let bounds = window.wait_for(name).bounds;
        assert!(bounds.right() <= 700.0 && bounds.bottom() <= 600.0, "`{name}` is in the window: {bounds:?}");
    }
    window.settle();
    let small = window.screenshot("window-small.png");
    assert_plausible(&small, Vec2::new(700.0, 600.0));
    let badge = window.wait_for(GRACE);
    assert_green(&small, &badge);
    window.resize(1280, 800);
    window.until("the cards where they were", |tree| {
        let cards = YEAR.map(|parts| tree.find_parts(parts).map_or(Rect::NOTHING, |card| card.bounds));
        (cards == wide).then_some(())
    });
}

#[test]
fn failed_http_sign_in_is_explained_and_retried() {
    let desktop = Desktop::new();
    let mut installation = analytics();
    begin_small(&desktop);
    let provider = Provider::start();
    installation.edit_host(|host| host["auth"] = json!({ "provider": "http", "base": provider.base() }));

    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for_parts(&["auth-unauthorized"]);
    wait_for_the_year(&mut window);
    let badge = window.wait_for(SIGNED_OUT);
    window.settle();
    let picture = window.screenshot("window-sign-in-failed.png");
    assert_amber(&picture, &badge);

    provider.accept();
    window.click("Retry");
    let badge = window.wait_for("Viewing as: Ada Lovelace");
    let name = window.wait_for("Ada Lovelace");
    let role = window.wait_for("engineer");
    assert!(role.bounds.top() >= name.bounds.bottom() - 1.0, "{role:?} is below {name:?}");
    window.gone("Retry");
    assert!(window.tree().find_parts(&["auth-unauthorized"]).is_none());
    window.settle();
    assert_green(&window.screenshot("window-http.png"), &badge);
}

#[test]
fn broken_remotes_leave_others_alone_until_repaired() {
    const TEXT: &str = "This is a text about a library.\n";
    let desktop = Desktop::new();
    begin_small(&desktop);
    let mut installation = analytics();
    let library = &libraries().misbehaving;
    let file = library.file_name().expect("a file").to_string_lossy().into_owned();
    let manifest = manifest_of(library);
    let name = manifest["name"].as_str().expect("a name");
    let broken = installation.write(&format!("libraries/{file}"), TEXT);
    installation.configure(name, &format!("{name}@libraries/{file}"));

    let mut window = desktop.open(shell(&desktop, &installation));
    wait_for_the_year(&mut window);
    window.click(name);
    window.wait_for_parts(&["library-not-a-library"]);
    window.wait_for_parts(&[&*file]);
    window.settle();
    window.screenshot("window-broken.png");
    window.click("Retry");
    window.wait_for_parts(&["library-not-a-library"]);
    window.click("Analytics");
    wait_for_the_year(&mut window);
    window.click("Last 7 days");
    window.wait_for("Flights 6,064");
    window.click(name);
    window.wait_for("Retry");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(stderr.contains("library-not-a-library"), "the failure is not in the log: {stderr}");

    let library = installation.copy(&libraries().analytics);
    fs::write(&library, TEXT).expect("the library can be overwritten");
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for_parts(&["library-not-a-library"]);
    assert!(window.wait_for(name).selected, "the last selection is restored");
    window.click("Analytics");
    window.wait_for("Analytics is not available");
    window.wait_for_parts(&["library-not-a-library"]);
    installation.copy(&libraries().analytics);
    window.wait_for(GRACE);
    // The range that was chosen in the run before.
    window.wait_for("Flights 6,064");

    fs::copy(&libraries().misbehaving, &broken).expect("the library can be put there");
    window.click("Calm");
    window.until("a surface of the repaired remote", |tree| {
        tree.of_role(Role::Pane).find(|pane| pane.name == "Calm").map(drop)
    });
    window.gone("Retry");
}

#[test]
fn strict_mismatch_is_shown_and_fixed_while_running() {
    let desktop = Desktop::new();
    begin_small(&desktop);
    let mut installation = Installation::new();
    let mut good = Value::Null;
    let alias = installation.add_with(&libraries().analytics, |manifest| {
        good = manifest.clone();
        let shared = &mut manifest["shared"]["shared-store"];
        shared["requiredVersion"] = "^99.0".into();
        shared["strictVersion"] = true.into();
    });

    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for_parts(&["version-mismatch-strict"]);
    window.wait_for_parts(&["remoteAnalytics", "shared-store", "^99", "1.0.0", "pulse"]);
    window.wait_for("Grace Hopper");
    window.settle();
    let picture = window.screenshot("window-refused.png");
    assert_plausible(&picture, window.size());

    // The shell watches the file: no user action is needed.
    installation.write(&format!("{alias}.json"), good.to_string());
    window.wait_for(GRACE);
    wait_for_the_year(&mut window);
    assert!(window.tree().find_parts(&["version-mismatch-strict"]).is_none());
}

#[test]
fn standalone_remote_has_data_and_no_user() {
    let (desktop, installation) = (Desktop::new(), analytics());
    let library = libraries().analytics.clone();
    let example = Path::new(env!("CARGO_BIN_EXE_pulse")).with_file_name("examples");
    let example = example.join(format!("standalone{}", std::env::consts::EXE_SUFFIX));
    let standalone = |path: PathBuf| {
        let mut command = pulse(&desktop);
        command.arg("standalone").arg(path);
        command
    };
    for (file, command, of_remote) in [
        ("standalone-library.png", standalone(library), OF_ANALYTICS),
        ("standalone-manifest.png", standalone(installation.path("remoteAnalytics.json")), OF_ANALYTICS),
        ("standalone-example.png", desktop.command(example), ""),
    ] {
        // The flights are imported each time.
        let _ = fs::remove_dir_all(desktop.data_dir());
        let mut window = desktop.open(command);
        let badge = window.wait_for(SIGNED_OUT);
        wait_for_the_year(&mut window);
        let tree = window.tree();
        assert!(
            tree.find("Sign out").is_none() && tree.find("Sign in").is_none(),
            "a card without a host:\n{tree}"
        );
        window.settle();
        let picture = window.screenshot(file);
        assert_plausible(&picture, window.size());
        assert_amber(&picture, &badge);
        let (status, stderr) = window.close();
        assert!(status.success(), "{status}: {stderr}");
        assert!(stderr.lines().any(|l| l.contains(IMPORTED) && l.ends_with(of_remote)), "{stderr}");
    }
}
