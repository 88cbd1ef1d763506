use plugin_api::manifest::{HostManifest, RemoteManifest};

use super::{Look, explain, render, why};
use crate::config::{Origin, Written};
use crate::federation::rehearsal::Rehearsal;

const PLAIN: Look = Look { color: false, width: None };

fn rehearsal(host: &str, remotes: &[(&str, &str)]) -> Rehearsal {
    let text = format!("{{ \"manifestVersion\": 1, \"name\": \"pulse\",\n\"shared\": {{ {host} }} }}");
    let manifest = HostManifest::from_json(&text).expect("the host's manifest");
    let host = Written { manifest, origin: Origin::new("host.json", text, false) };
    let remote = |(name, shared): &(&str, &str)| {
        let text = format!(
            "{{ \"manifestVersion\": 1, \"name\": \"{name}\", \"version\": \"1.0.0\", \"remoteEntry\": \"{name}\",\n\
             \"shared\": {{ {shared} }} }}"
        );
        let manifest = RemoteManifest::from_json(&text).expect("a remote's manifest");
        Written { manifest, origin: Origin::new(format!("{name}.json"), text, false) }
    };
    Rehearsal::start(host, remotes.iter().map(remote).collect())
}

fn text(host: &str, remotes: &[(&str, &str)], look: Look) -> String {
    let rehearsal = rehearsal(host, remotes);
    render(&rehearsal, &rehearsal.plan(), look)
}

const HOST: &str =
    r#""shared-store": { "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true, "eager": true }"#;
const REMOTES: [(&str, &str); 3] = [
    ("analytics", r#""shared-store": { "version": "1.2.0", "requiredVersion": "^1.0" }"#),
    ("old", r#""shared-store": { "version": "0.9.0" }"#),
    ("far", r#""shared-store": { "version": "1.0.0", "requiredVersion": "^99", "strictVersion": true }"#),
];

#[test]
fn a_singleton_is_told_with_its_reasons_and_its_victims() {
    assert_eq!(text(HOST, &REMOTES, PLAIN), "");
}

#[test]
fn copies_that_are_not_shared_are_said() {
    let host = r#""shared-store": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#;
    let text = text(host, &[("analytics", r#""shared-store": { "version": "1.2.0" }"#)], PLAIN);
    assert!(text.contains("not a singleton"), "{text}");
    assert!(text.contains("analytics  1.2.0 of analytics: the highest version within ^1.2.0"), "{text}");
    assert!(text.contains("\nWarnings\n  own-copy  `analytics` uses its own copy of `shared-store`"), "{text}");
    let fix = "    fix: analytics.json:2:29  /shared/shared-store/singleton: (absent) -> true\n";
    assert!(text.contains(fix), "{text}");
}

#[test]
fn an_empty_plan_is_a_sentence() {
    let expected = "Plan of pulse (version-first, no remotes): everybody gets what it needs\n";
    assert_eq!(text("", &[], PLAIN), expected);
}

#[test]
fn colours_are_only_where_asked_for() {
    let host = r#""shared-store": { "version": "1.0.0" }"#;
    assert!(!text(host, &[], PLAIN).contains('\u{1b}'));
    let coloured = text(host, &[], Look { color: true, width: None });
    assert!(coloured.contains("\u{1b}[32m1.0.0 its own\u{1b}[0m"), "{coloured:?}");
}

#[test]
fn a_terminal_s_width_is_kept() {
    for width in [80, 120] {
        let text = text(HOST, &REMOTES, Look { color: false, width: Some(width) });
        let whole = |word: &str| word.chars().count() <= width;
        assert!(text.lines().all(whole), "{text}");
        assert!(text.contains("\n    "), "sentences hang: {text}");
    }
}

#[test]
fn an_explanation_tells_those_together_who_got_the_same() {
    let rehearsal = rehearsal(HOST, &REMOTES);
    let plan = rehearsal.plan();
    let key = plan.key("default", "shared-store").expect("the crate is shared");
    assert_eq!(explain(&rehearsal, &plan, &key, PLAIN), "");
}

#[test]
fn a_refusal_is_told_with_the_change_that_ends_it() {
    let rehearsal = rehearsal(HOST, &REMOTES);
    let found = rehearsal.why(&rehearsal.plan(), "far").expect("a known remote");
    assert_eq!(why(&rehearsal, &found, PLAIN), "");
    let found = rehearsal.why(&rehearsal.plan(), "old").expect("a known remote");
    assert_eq!(why(&rehearsal, &found, PLAIN), "");
}
