//! Delivery in a real window.

use std::process::Command;

use egui::Key;
use serde_json::json;

use super::{
    Answer, SCRIPTED, TITLE,
    nginx::{Nginx, Switch},
    rebuilt, refuse, scripted,
    site::{Site, text},
};
use crate::{
    driver::{Desktop, Tree, Window},
    support::{Installation, libraries},
};

/// Returns the command that opens the shell's window.
pub(super) fn shell(desktop: &Desktop, installation: &Installation) -> Command {
    let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    command.arg("--config").arg(installation.path("host.json"));
    command
}

/// Runs a command with the data of the window's user.
pub(super) fn run(desktop: &Desktop, installation: &Installation, args: &[&str]) -> Answer {
    let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    Answer::of(command.env("PULSE_SHELL_CONFIG", installation.path("host.json")).args(args))
}

/// Sets the theme, and takes a screenshot for each.
fn screenshots(window: &mut Window, name: &str) {
    for (theme, word) in [("Light", "light"), ("Dark", "dark")] {
        set_theme(window, theme);
        window.screenshot(&format!("delivery-{name}-{word}.png"));
    }
}

fn set_theme(window: &mut Window, theme: &str) {
    let wanted = format!("Theme: {theme}");
    while window.tree().find(&wanted).is_none() {
        let now = window.until("the theme", |tree| {
            ["System", "Light", "Dark"]
                .map(|theme| format!("Theme: {theme}"))
                .into_iter()
                .find(|name| tree.find(name).is_some())
        });
        window.click(&now);
    }
}

/// Waits for `done`, and asserts for each frame until then that the panel keeps its count.
fn keeps_counting(window: &mut Window, count: u32, what: &str, done: impl Fn(&Tree) -> bool) {
    let counted = format!("Counted {count}");
    window.until(what, |tree| {
        assert!(tree.find(&counted).is_some(), "the panel is blank or has lost its state:\n{tree}");
        done(tree).then_some(())
    });
}

fn runs(window: &mut Window, version: &str, count: u32) {
    let version = format!("Version {version}");
    keeps_counting(window, count, &version, |tree| tree.find(&version).is_some());
}

#[test]
fn releases_arrive_in_an_open_window() {
    let (desktop, site) = (Desktop::new(), Site::new());
    site.publish(&scripted("1.0.0", |_| ()), "");
    let nginx = Nginx::start(&site.path("site"));
    let address = nginx.address();
    let mut installation = Installation::new();
    installation.edit_host(|host| {
        host["preflight"] = true.into();
        host["remotes"][SCRIPTED] = format!("{SCRIPTED}@{address}").into();
    });

    run(&desktop, &installation, &["repo", "add", &address, "--root", &site.root]).good();

    // The first release, at 100 KiB a second.
    nginx.set(Switch::Slow, true);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for_parts(&[" of ", " MB"]);
    window.wait_for_parts(&["1.0.0 · ", "MB · signed by main"]);
    screenshots(&mut window, "download");
    window.click("Cancel");
    window.wait_for("delivery-cancelled");
    nginx.set(Switch::Slow, false);
    window.click("Retry");
    window.wait_for("Version 1.0.0");
    let parts = nginx.wait_for(".zst", 2);
    assert!(parts.iter().any(|part| part.status == 206), "the download was not continued: {parts:?}");
    for count in 1..=2 {
        window.click("Count");
        window.wait_for(&format!("Counted {count}"));
    }

    offered_update_is_used(&mut window, &site, &nginx);
    withdrawal_arrives(&mut window, &site);
    refused_update_is_not_fetched(&mut window, &site, &nginx);
    let list = run(&desktop, &installation, &["list", "--json"]).good().json();
    assert_eq!(list[0]["version"], "1.0.0", "{list}");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    // The next start needs no network.
    drop(nginx);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    window.wait_for("Counted 2");
    window.wait_for_parts(&["No updates since", "cannot be reached"]);
    window.settle();
    window.screenshot("delivery-unreachable.png");
}

fn check(window: &mut Window) {
    window.click("Check for updates");
}

fn offered_update_is_used(window: &mut Window, site: &Site, nginx: &Nginx) {
    site.publish(&scripted("1.1.0", |_| ()), "Faster filters");
    window.key(Key::F12);
    window.wait_for("Sources");
    window.wait_for_parts(&["Signed repository, checked"]);
    window.wait_for_parts(&[&format!("From {}, signed by main (key ", nginx.address())]);
    check(window);
    keeps_counting(window, 2, "the offer", |tree| {
        let title = format!("{TITLE} 1.1.0 is available");
        tree.find_parts(&[&title]).is_some()
            && tree.find_parts(&["MB", "signed by main", "Faster filters"]).is_some()
    });
    window.wait_for(&format!("Update {TITLE} to 1.1.0"));
    assert!(nginx.requests("1.1.0").iter().all(|request| !request.path.contains(".zst")));
    window.settle();
    screenshots(window, "update");
    window.click(&format!("Update {TITLE}"));
    runs(window, "1.1.0", 2);
    window.wait_for_parts(&[SCRIPTED, "1.1.0", "generation 2"]);
    window.until("the offer to go", |tree| tree.find(&format!("Update {TITLE}")).is_none().then_some(()));
}

fn withdrawal_arrives(window: &mut Window, site: &Site) {
    site.job(&["publish", "--withdraw", &format!("{SCRIPTED}@1.1.0"), "--note", "wrong totals"]).good();
    check(window);
    runs(window, "1.0.0", 2);
    window.wait_for(&format!("{TITLE} was withdrawn"));
    window.wait_for_parts(&["1.1.0 was withdrawn by its publisher", "wrong totals"]);
    window.wait_for_parts(&["replaced by 1.0.0"]);
    window.settle();
    window.screenshot("delivery-withdrawn.png");
    window.wait_for_parts(&[SCRIPTED, "1.0.0", "generation 3"]);
}

fn refused_update_is_not_fetched(window: &mut Window, site: &Site, nginx: &Nginx) {
    window.click(&format!("Automatic updates of {TITLE}"));
    window.until("the policy", |tree| {
        tree.find(&format!("Automatic updates of {TITLE}")).filter(|choice| choice.selected).map(drop)
    });
    // Its library is never fetched, so a small one does.
    let build = rebuilt(&libraries().no_sdk, &super::fixture("no-sdk"), |manifest| {
        (manifest["name"], manifest["title"], manifest["version"]) =
            (SCRIPTED.into(), TITLE.into(), "1.3.0".into());
        refuse(manifest);
    });
    site.publish(&build, "");
    check(window);
    keeps_counting(window, 2, "the refusal", |tree| {
        tree.find_parts(&[&format!("Couldn't update {TITLE}")]).is_some()
            && tree.find("version-mismatch-strict").is_some()
    });
    window.settle();
    window.screenshot("delivery-refused.png");
    runs(window, "1.0.0", 2);
    let paths: Vec<_> = nginx.requests("1.3.0").into_iter().map(|request| request.path).collect();
    assert!(paths.iter().all(|path| path.ends_with("manifest.json")), "{paths:?}");
}

#[test]
fn local_file_overrides_a_remote_until_ended() {
    let (desktop, mut installation) = (Desktop::new(), Installation::new());
    installation.write("scripted.so", scripted("1.0.0", |_| ()));
    installation.configure(SCRIPTED, &format!("{SCRIPTED}@scripted.so"));
    let own = installation.write("own/scripted.so", scripted("1.0.9", |_| ()));
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.0");
    window.click("Count");
    window.wait_for("Counted 1");
    run(&desktop, &installation, &["remote", "override", SCRIPTED, text(&own)]).good();
    runs(&mut window, "1.0.9", 1);
    window.wait_for_parts(&[SCRIPTED, "is overridden by a local file", text(&own)]);
    window.settle();
    screenshots(&mut window, "override");
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");

    // It is remembered, and never silent.
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for("Version 1.0.9");
    window.wait_for_parts(&[SCRIPTED, "is overridden by a local file"]);
    window.click("End override");
    runs(&mut window, "1.0.0", 1);
    window.until("the banner to go", |tree| tree.find("End override").is_none().then_some(()));
    assert_eq!(run(&desktop, &installation, &["list", "--json"]).good().json()[0]["override"], json!(null));
}
