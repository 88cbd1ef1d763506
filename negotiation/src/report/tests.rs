use super::{Look, explain, render, why};
use crate::rehearsal::tests::rehearsal;

const PLAIN: Look = Look { color: false, width: None };

fn text(host: &str, remotes: &[(&str, &str)], look: Look) -> String {
    let rehearsal = rehearsal(host, remotes);
    render(&rehearsal, &rehearsal.plan(), 0, look)
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
    assert_eq!(
        text(HOST, &REMOTES, PLAIN),
        "\
Plan of pulse (version-first, 3 remotes): 1 refused
Loaded at the start, because others use their copies: analytics

shared-store  singleton, declared by pulse
  participant  offers       needs           uses
  analytics    1.2.0        ^1.0            1.2.0 its own
  far          1.0.0        ^99 strict      nothing: refused (version-mismatch-strict)
  old          0.9.0        ^0.9.0          1.2.0 of analytics, outside what it needs
  pulse        1.0.0 eager  ^1.0 singleton  1.2.0 of analytics
  won   1.2.0 of analytics  no version satisfies everybody; this one satisfies the host and leaves the fewest unsatisfied (1 of 3)
  lost  1.0.0 of pulse      lower than 1.2.0
  lost  1.0.0 of far        its participant is refused
  lost  0.9.0 of old        does not satisfy the host (^1.0)

Refused
  version-mismatch-strict  `far` needs ^99 of `shared-store`, and insists on it, but everybody uses 1.2.0 of `analytics`: let `analytics` or another participant bring a version within ^99, or widen `requiredVersion` in the manifest of `far`
    fix: far.json:2:70  /shared/shared-store/requiredVersion: \"^99\" -> \"^1.2\"
  `--why NAME` says what led to it, and the smallest change that would admit it

Warnings
  version-mismatch  `old` needs ^0.9.0 of `shared-store`, but everybody uses 1.2.0 of `analytics`: let `analytics` or another participant bring a version within ^0.9.0, or widen `requiredVersion` in the manifest of `old`
    fix: old.json:2:29  /shared/shared-store/requiredVersion: (absent) -> \"^1.2\"
"
    );
}

#[test]
fn copies_that_are_not_shared_are_said() {
    let host = r#""shared-store": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#;
    let text = text(host, &[("analytics", r#""shared-store": { "version": "1.2.0" }"#)], PLAIN);
    assert!(text.contains("not a singleton"), "{text}");
    assert!(
        text.contains("won  1.2.0 of analytics for analytics  the highest version within ^1.2.0"),
        "{text}"
    );
    assert!(text.contains("\nWarnings\n  own-copy  `analytics` uses its own copy of `shared-store`"), "{text}");
    let fix = "    fix: analytics.json:2:29  /shared/shared-store/singleton: (absent) -> true\n";
    assert!(text.contains(fix), "{text}");
}

#[test]
fn what_is_said_of_many_is_said_of_a_few_and_counted() {
    let store = r#""shared-store": { "version": "1.0.0" }"#;
    let names = ["a", "b", "c", "d", "e"];
    let text = text(store, &names.map(|name| (name, store)), PLAIN);
    assert_eq!(text.matches("with a state of its own").count(), 3, "{text}");
    assert!(
        text.ends_with("  not-singleton  2 more participants, about `shared-store`; `--json` lists them\n"),
        "{text}"
    );
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
    let text = explain(&rehearsal, &plan, &key, PLAIN);
    let expected = "\
shared-store  singleton, declared by pulse

  analytics  needs ^1.0            uses 1.2.0 its own
  far        needs ^99 strict      gets nothing: refused (version-mismatch-strict)
  old        needs ^0.9.0          uses 1.2.0 of analytics, outside what it needs
  pulse      needs ^1.0 singleton  uses 1.2.0 of analytics
    fewest-unsatisfied  no version satisfies everybody: the host goes first, then the fewest strict demands left unsatisfied, then the fewest demands, then the highest version
    won   1.2.0 of analytics  no version satisfies everybody; this one satisfies the host and leaves the fewest unsatisfied (1 of 3)
    lost  1.0.0 of pulse      lower than 1.2.0
    lost  1.0.0 of far        its participant is refused
    lost  0.9.0 of old        does not satisfy the host (^1.0)
    version-mismatch  `old` needs ^0.9.0";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("\n    version-mismatch-strict  `far` needs ^99"), "{text}");

    let host = r#""charts": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#;
    let rehearsal =
        self::rehearsal(host, &[("a", r#""charts": { "version": "1.2.0", "requiredVersion": "^1" }"#)]);
    let plan = rehearsal.plan();
    let key = plan.key("default", "charts").expect("the crate is shared");
    let text = explain(&rehearsal, &plan, &key, PLAIN);
    for line in ["  a  needs ^1  uses 1.2.0 its own\n", "  pulse  needs =1.0.0  uses 1.0.0 its own\n"] {
        assert!(text.contains(line), "they went different ways: {text}");
    }
    assert_eq!(text.matches("    highest-fitting  ").count(), 2, "{text}");
}

#[test]
fn a_refusal_is_told_with_the_change_that_ends_it() {
    let rehearsal = rehearsal(HOST, &REMOTES);
    let found = rehearsal.why(&rehearsal.plan(), "far").expect("a known remote");
    let expected = "\
far is refused
  version-mismatch-strict  `far` needs ^99 of `shared-store`, and insists on it, but everybody uses 1.2.0 of `analytics`: let `analytics` or another participant bring a version within ^99, or widen `requiredVersion` in the manifest of `far`
    written at far.json:2:29

The smallest change that admits it: one line
  let `far` work with ^1.2 of `shared-store`
    far.json:2:70  /shared/shared-store/requiredVersion: \"^99\" -> \"^1.2\"

or
  let `far` work with ^1.0 of `shared-store`
    far.json:2:70  /shared/shared-store/requiredVersion: \"^99\" -> \"^1.0\"

or
  let `far` not insist on ^99 of `shared-store`
    far.json:2:94  /shared/shared-store/strictVersion: true -> false
";
    assert_eq!(why(&rehearsal, &found, PLAIN), expected);

    let found = rehearsal.why(&rehearsal.plan(), "old").expect("a known remote");
    let text = why(&rehearsal, &found, PLAIN);
    assert!(text.starts_with("old gets what it needs\n  version-mismatch  `old` needs ^0.9.0"), "{text}");
    assert!(text.contains("    fix: old.json:2:29  "), "{text}");
}
