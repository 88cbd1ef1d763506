use super::{TextStyle, explain, render, why};
use crate::rehearsal::tests::rehearsal;

const PLAIN: TextStyle = TextStyle { color: false, width: None };

fn text(host: &str, remotes: &[(&str, &str)], look: TextStyle) -> String {
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
fn singleton_is_listed_with_reasons_and_refusals() {
    assert_eq!(
        text(HOST, &REMOTES, PLAIN),
        "\
Plan of pulse (version-first, 3 remotes): 1 refused
Loaded first, because others use their copies: analytics

shared-store  singleton, declared by pulse
  participant  offers       requires        uses
  analytics    1.2.0        ^1.0            1.2.0 own copy
  far          1.0.0        ^99 strict      no copy: refused (version-mismatch-strict)
  old          0.9.0        ^0.9.0          1.2.0 from analytics, outside its range
  pulse        1.0.0 eager  ^1.0 singleton  1.2.0 from analytics
  chosen      1.2.0 from analytics  no version satisfies every participant; this one satisfies the host and leaves the fewest demands unsatisfied (1 of 3)
  not chosen  1.0.0 from pulse      lower than 1.2.0
  not chosen  1.0.0 from far        its participant is refused
  not chosen  0.9.0 from old        does not satisfy the host (^1.0)

Refused
  version-mismatch-strict  `far` requires `shared-store` ^99 (strict), but the singleton is 1.2.0 (from `analytics`): let `analytics` or another participant offer a version within ^99, or widen `requiredVersion` in the manifest of `far`
    fix: far.json:2:70  /shared/shared-store/requiredVersion: \"^99\" -> \"^1.2\"
  `--why NAME` shows the causes and the smallest change that admits the remote

Warnings
  version-mismatch  `old` requires `shared-store` ^0.9.0, but the singleton is 1.2.0 (from `analytics`): let `analytics` or another participant offer a version within ^0.9.0, or widen `requiredVersion` in the manifest of `old`
    fix: old.json:2:29  /shared/shared-store/requiredVersion: (absent) -> \"^1.2\"
"
    );
}

#[test]
fn copies_without_shared_state_are_reported() {
    let host = r#""shared-store": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#;
    let text = text(host, &[("analytics", r#""shared-store": { "version": "1.2.0" }"#)], PLAIN);
    assert!(text.contains("not a singleton"), "{text}");
    assert!(
        text.contains("chosen  1.2.0 from analytics for analytics  the highest version within ^1.2.0"),
        "{text}"
    );
    assert!(text.contains("\nWarnings\n  own-copy  `analytics` uses its own copy of `shared-store`"), "{text}");
    let fix = "    fix: analytics.json:2:29  /shared/shared-store/singleton: (absent) -> true\n";
    assert!(text.contains(fix), "{text}");
}

#[test]
fn repeated_diagnostics_are_counted() {
    let store = r#""shared-store": { "version": "1.0.0" }"#;
    let names = ["a", "b", "c", "d", "e"];
    let text = text(store, &names.map(|name| (name, store)), PLAIN);
    assert_eq!(text.matches("with separate state").count(), 3, "{text}");
    assert!(
        text.ends_with("  not-singleton  2 more participants, about `shared-store`; `--json` lists them\n"),
        "{text}"
    );
}

#[test]
fn empty_plan_is_a_sentence() {
    let expected = "Plan of pulse (version-first, no remotes): every participant is served\n";
    assert_eq!(text("", &[], PLAIN), expected);
}

#[test]
fn text_has_colours_only_on_request() {
    let host = r#""shared-store": { "version": "1.0.0" }"#;
    assert!(!text(host, &[], PLAIN).contains('\u{1b}'));
    let coloured = text(host, &[], TextStyle { color: true, width: None });
    assert!(coloured.contains("\u{1b}[32m1.0.0 own copy\u{1b}[0m"), "{coloured:?}");
}

#[test]
fn lines_fit_the_width_of_the_terminal() {
    for width in [80, 120] {
        let text = text(HOST, &REMOTES, TextStyle { color: false, width: Some(width) });
        let fits = |line: &str| line.chars().count() <= width;
        assert!(text.lines().all(fits), "{text}");
        assert!(text.contains("\n    "), "no hanging indent in {text}");
    }
}

#[test]
fn consumers_with_one_explanation_share_a_block() {
    let rehearsal = rehearsal(HOST, &REMOTES);
    let plan = rehearsal.plan();
    let key = plan.key("default", "shared-store").expect("the crate is shared");
    let text = explain(&rehearsal, &plan, &key, PLAIN);
    let expected = "\
shared-store  singleton, declared by pulse

  analytics  requires ^1.0            uses 1.2.0 own copy
  far        requires ^99 strict      gets no copy: refused (version-mismatch-strict)
  old        requires ^0.9.0          uses 1.2.0 from analytics, outside its range
  pulse      requires ^1.0 singleton  uses 1.2.0 from analytics
    fewest-unsatisfied  no version satisfies every participant: the host's demand counts first, then the fewest unsatisfied strict demands, then the fewest unsatisfied demands, then the highest version
    chosen      1.2.0 from analytics  no version satisfies every participant; this one satisfies the host and leaves the fewest demands unsatisfied (1 of 3)
    not chosen  1.0.0 from pulse      lower than 1.2.0
    not chosen  1.0.0 from far        its participant is refused
    not chosen  0.9.0 from old        does not satisfy the host (^1.0)
    version-mismatch  `old` requires `shared-store` ^0.9.0";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("\n    version-mismatch-strict  `far` requires `shared-store` ^99"), "{text}");

    let host = r#""charts": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#;
    let rehearsal =
        self::rehearsal(host, &[("a", r#""charts": { "version": "1.2.0", "requiredVersion": "^1" }"#)]);
    let plan = rehearsal.plan();
    let key = plan.key("default", "charts").expect("the crate is shared");
    let text = explain(&rehearsal, &plan, &key, PLAIN);
    for line in ["  a  requires ^1  uses 1.2.0 own copy\n", "  pulse  requires =1.0.0  uses 1.0.0 own copy\n"] {
        assert!(text.contains(line), "different explanations have separate blocks: {text}");
    }
    assert_eq!(text.matches("    highest-fitting  ").count(), 2, "{text}");
}

#[test]
fn refusal_is_explained_with_the_smallest_change() {
    let rehearsal = rehearsal(HOST, &REMOTES);
    let found = rehearsal.why(&rehearsal.plan(), "far").expect("a known remote");
    let expected = "\
far is refused
  version-mismatch-strict  `far` requires `shared-store` ^99 (strict), but the singleton is 1.2.0 (from `analytics`): let `analytics` or another participant offer a version within ^99, or widen `requiredVersion` in the manifest of `far`
    written at far.json:2:29

The smallest change that admits it: one line
  let `far` accept `shared-store` ^1.2
    far.json:2:70  /shared/shared-store/requiredVersion: \"^99\" -> \"^1.2\"

or
  let `far` accept `shared-store` ^1.0
    far.json:2:70  /shared/shared-store/requiredVersion: \"^99\" -> \"^1.0\"

or
  let `far` run with `shared-store` outside ^99
    far.json:2:94  /shared/shared-store/strictVersion: true -> false
";
    assert_eq!(why(&rehearsal, &found, PLAIN), expected);

    let found = rehearsal.why(&rehearsal.plan(), "old").expect("a known remote");
    let text = why(&rehearsal, &found, PLAIN);
    assert!(
        text.starts_with("old is served\n  version-mismatch  `old` requires `shared-store` ^0.9.0"),
        "{text}"
    );
    assert!(text.contains("    fix: old.json:2:29  "), "{text}");
}
