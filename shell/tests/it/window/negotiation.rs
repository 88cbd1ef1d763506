//! Providers, consumers and warnings of the plan, as the window shows them.

use egui::Key;

use super::{GRACE, SIGNED_OUT, analytics, assert_amber, assert_plausible, begin_small, shell};
use crate::{
    driver::{Desktop, Window},
    support::{Installation, libraries},
};

/// Installs a shell with a build of the analytics remote that has `to` instead of `from` in its manifest.
fn analytics_with(from: &str, to: &str) -> Installation {
    let mut installation = Installation::new();
    installation.add_edited(&libraries().analytics, from, to);
    installation
}

/// Returns the description of the dashboard's entry in the sidebar, which is its hover text.
fn entry(window: &mut Window) -> String {
    window.wait_for("Analytics").description
}

#[test]
fn details_name_the_crates_that_a_remote_provides() {
    let desktop = Desktop::new();
    let mut installation = analytics();
    installation.add(&libraries().newer_crates);
    installation.grant_provider("shared-store", &["pulse", "remoteNewerCrates"]);
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for(GRACE);
    window.key(Key::F12);
    window.wait_for_parts(&["Provides shared-store 1.1.0 to pulse, remoteAnalytics", "stays loaded"]);
    window.wait_for("Uses shared-store 1.1.0 from remoteNewerCrates");
    window.settle();
    let picture = window.screenshot("inspector-remotes.png");
    assert_plausible(&picture, window.size());

    window.click("Shared crates");
    window.wait_for_parts(&["remoteNewerCrates 1.1.0, chosen"]);
    window.wait_for_parts(&["pulse 1.0.0, not chosen"]);
    window.settle();
    window.screenshot("inspector-shared.png");
    window.click("Close");
    window.gone("Shared crates");
    window.wait_for(GRACE);
}

#[test]
fn warning_marks_entry_and_shows_strip_in_slot() {
    let desktop = Desktop::new();
    begin_small(&desktop);
    let installation = analytics_with(
        r#""shared-store": { "version": "1.0.0", "requiredVersion": "^1.0""#,
        r#""shared-store": { "version": "1.0.0", "requiredVersion": "^9.0""#,
    );
    let mut window = desktop.open(shell(&desktop, &installation));
    window.wait_for(GRACE);
    for part in ["Analytics: running", "requires `shared-store` ^9.0", "1.0.0 (from `pulse`)"] {
        assert!(entry(&mut window).contains(part), "{part} is not in {}", entry(&mut window));
    }
    let strip = window.wait_for("version-mismatch");
    let badge = window.wait_for(GRACE);
    assert!(
        badge.bounds.top() > strip.bounds.bottom() && badge.bounds.bottom() < 300.0,
        "{badge:?}, {strip:?}"
    );
    window.wait_for("1 warning");
    window.settle();
    let picture = window.screenshot("warning.png");
    assert_plausible(&picture, window.size());
    window.click("Dismiss");
    window.gone("version-mismatch");
    assert!(entry(&mut window).contains("^9.0"), "the entry has lost its mark");
}

#[test]
fn missing_singleton_is_explained_in_the_slot() {
    let desktop = Desktop::new();
    let mut installation = analytics_with(
        r#""shared-store": { "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true,"#,
        r#""shared-store": { "version": "1.0.0", "requiredVersion": "^1.0", "singleton":false,"#,
    );
    installation.edit_host(|host| host["shared"]["shared-store"]["singleton"] = false.into());
    let mut window = desktop.open(shell(&desktop, &installation));
    let badge = window.wait_for(SIGNED_OUT);
    window.wait_for("Grace Hopper");
    window.wait_for("not-singleton");
    window.wait_for_parts(&["`remoteAnalytics`", "`shared-store`", "separate state"]);
    window.wait_for_parts(&["embedded manifest, line ", "/shared/shared-store/singleton: false -> true"]);
    window.settle();
    let picture = window.screenshot("not-a-singleton.png");
    assert_amber(&picture, &badge);
    let (_, stderr) = window.close();
    assert_eq!(stderr.matches("not-singleton").count(), 1, "not logged once:\n{stderr}");
}
