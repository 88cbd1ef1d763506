use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::Why;
use crate::rehearsal::Rehearsal;
use crate::rehearsal::tests::{LINKED, host, rehearsal, remote};

/// Asserts that `name` is refused with this chain, as `depth participant code`, and these repairs.
#[track_caller]
fn check(shared: &str, remotes: &[(&str, &str)], name: &str, chain: &[&str], repairs: &[&str]) {
    let rehearsal = rehearsal(shared, remotes);
    let why = rehearsal.why(&rehearsal.plan(), name).expect("a known participant");
    let links =
        why.chain.iter().map(|link| format!("{} {} {}", link.depth, link.said.participant, link.said.code));
    assert_eq!(links.collect::<Vec<_>>(), chain);
    assert_eq!(written(&why), repairs);
    assert!(why.refused && why.plans <= Why::MAX_PLANS);
}

fn written(why: &Why) -> Vec<String> {
    let change = |change: &super::Change| {
        format!("{} {} {}", change.edit.participant, change.edit.pointer, change.edit.value)
    };
    let repair = |repair: &super::Repair| repair.changes.iter().map(change).collect::<Vec<_>>().join("; ");
    why.repairs.iter().map(repair).collect()
}

const HOST: &str = r#""store": { "version": "1.0.0", "singleton": true }"#;

#[test]
fn strict_demand_outside_singleton_is_repaired() {
    check(
        HOST,
        &[("a", r#""store": { "version": "1.0.0", "requiredVersion": "^99.0", "strictVersion": true }"#)],
        "a",
        &["0 a version-mismatch-strict"],
        &[
            r#"a /shared/store/requiredVersion "^1.0""#,
            "a /shared/store/strictVersion false",
            r#"pulse /shared/store/version "99.0.0""#,
        ],
    );
}

#[test]
fn missing_provider_is_repaired() {
    check(
        HOST,
        &[("a", r#""charts": { "import": false, "requiredVersion": "^2.1" }"#)],
        "a",
        &["0 a no-provider"],
        &[
            r#"a /shared/charts {"requiredVersion":"^2.1","version":"2.1.0"}"#,
            r#"pulse /shared/charts {"version":"2.1.0"}"#,
        ],
    );
    // The entry states the version of the copy.
    check(
        HOST,
        &[("a", r#""charts": { "import": false, "version": "2.1.0", "shareScope": "x" }"#)],
        "a",
        &["0 a no-provider"],
        &["a /shared/charts/import true", r#"pulse /shared/charts {"shareScope":"x","version":"2.1.0"}"#],
    );
}

#[test]
fn chain_follows_a_refused_provider() {
    check(
        HOST,
        &[
            ("a", r#""charts": { "import": false, "requiredVersion": "^2" }"#),
            (
                "b",
                r#""charts": { "version": "2.0.0" }, "store": { "version": "2.0.0", "strictVersion": true }"#,
            ),
        ],
        "a",
        &["0 a provider-refused", "1 b version-mismatch-strict"],
        &[
            r#"a /shared/charts {"requiredVersion":"^2","version":"2.0.0"}"#,
            r#"b /shared/store/requiredVersion "^1.0""#,
            r#"pulse /shared/store/requiredVersion "^2.0""#,
            "b /shared/store/strictVersion false",
        ],
    );
}

#[test]
fn conflict_is_repaired_on_either_side() {
    let charts = r#""charts": { "version": "1.0.0", "singleton": true }"#;
    check(
        charts,
        &[
            ("a", r#""store": { "version": "1.0.0", "strictVersion": true, "singleton": true }"#),
            ("b", r#""store": { "version": "2.0.0", "strictVersion": true }"#),
            (
                "c",
                r#""store": { "version": "3.0.0", "strictVersion": true }, "charts": { "version": "2.0.0", "strictVersion": true }"#,
            ),
        ],
        "b",
        &["0 b conflict"],
        &[
            r#"b /shared/store/requiredVersion "^1.0""#,
            "b /shared/store/strictVersion false",
            r#"b /shared/store/version "1.0.0""#,
            r#"a /shared/store/requiredVersion "^2.0""#,
        ],
    );
}

#[test]
fn duplicate_name_is_repaired_by_renaming() {
    // Either file may be edited; the last one comes first.
    let other = r#"a /name "a3""#;
    check(HOST, &[("a", ""), ("a", ""), ("a2", "")], "a", &["0 a duplicate-name"], &[other, other]);
    let remote = r#"pulse /name "pulse2""#;
    check(HOST, &[("pulse", "")], "pulse", &["0 pulse duplicate-name"], &[remote]);
}

#[test]
fn unmet_demand_of_the_host_is_repaired() {
    check(
        r#""store": { "version": "1.0.0", "requiredVersion": "^2", "strictVersion": true, "singleton": true }"#,
        &[("a", r#""store": { "version": "1.1.0" }"#)],
        "pulse",
        &["0 pulse host-unsatisfied"],
        &[
            r#"pulse /shared/store/requiredVersion "^1.1""#,
            r#"pulse /shared/store/requiredVersion "^1.0""#,
            "pulse /shared/store/strictVersion false",
            r#"pulse /shared/store/version "2.0.0""#,
        ],
    );
}

#[test]
fn two_causes_take_two_edits() {
    check(
        r#""store": { "version": "1.0.0", "singleton": true }, "charts": { "version": "1.0.0", "singleton": true }"#,
        &[(
            "a",
            r#""store": { "version": "2.0.0", "strictVersion": true }, "charts": { "version": "2.0.0", "strictVersion": true }"#,
        )],
        "a",
        &["0 a version-mismatch-strict", "0 a version-mismatch-strict"],
        &[
            r#"a /shared/charts/requiredVersion "^1.0"; a /shared/store/requiredVersion "^1.0""#,
            r#"a /shared/charts/requiredVersion "^1.0"; a /shared/store/strictVersion false"#,
            r#"a /shared/charts/strictVersion false; a /shared/store/requiredVersion "^1.0""#,
            "a /shared/charts/strictVersion false; a /shared/store/strictVersion false",
        ],
    );
}

#[test]
fn impossible_range_has_no_repair() {
    check(
        HOST,
        &[("a", r#""charts": { "import": false, "requiredVersion": ">2, <1" }"#)],
        "a",
        &["0 a no-provider"],
        &[],
    );
}

#[test]
fn running_participants_are_not_edited() {
    let running = vec![remote(&("a", r#""store": { "version": "1.2.0" }"#))];
    let joining = vec![remote(&("b", r#""store": { "version": "2.0.0", "strictVersion": true }"#))];
    let rehearsal = Rehearsal::join(host(HOST), LINKED, running, joining);
    let why = rehearsal.why(&rehearsal.plan(), "b").expect("a known remote");
    assert!(!why.repairs.is_empty());
    let of = |repair: &super::Repair| repair.changes.iter().all(|change| &*change.edit.participant == "b");
    assert!(why.repairs.iter().all(of), "{:?}", written(&why));
}

#[test]
fn admitted_remote_has_only_warnings() {
    let rehearsal = rehearsal(HOST, &[("a", r#""store": { "version": "2.0.0" }"#), ("b", "")]);
    let plan = rehearsal.plan();
    let why = rehearsal.why(&plan, "a").expect("a known remote");
    assert_eq!((why.refused, why.chain.len(), why.plans), (false, 1, 0));
    assert!(rehearsal.why(&plan, "b").is_some_and(|why| why.chain.is_empty()));
    assert_eq!(rehearsal.why(&plan, "c"), None);
}

fn entry() -> impl Strategy<Value = String> {
    let field = |name: &'static str, values: &'static [&'static str]| {
        option::of(select(values)).prop_map(move |value| value.map(|value| format!(", \"{name}\": {value}")))
    };
    (
        select(&["1.0.0", "1.4.0", "2.0.0", "0.3.0"][..]),
        field("requiredVersion", &["\"^1\"", "\"^2\"", "\">=1.1, <3\"", "\"=1.0.0\"", "\"^9\""]),
        field("strictVersion", &["true"]),
        field("singleton", &["true"]),
        field("import", &["false"]),
    )
        .prop_map(|(version, required, strict, singleton, import)| {
            let rest: String = [required, strict, singleton, import].into_iter().flatten().collect();
            format!("{{ \"version\": \"{version}\"{rest} }}")
        })
}

fn shared() -> impl Strategy<Value = String> {
    (option::of(entry()), option::of(entry())).prop_map(|(store, charts)| {
        let entry = |key: &str, entry: Option<String>| entry.map(|entry| format!("\"{key}\": {entry}"));
        [entry("store", store), entry("charts", charts)].into_iter().flatten().collect::<Vec<_>>().join(", ")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn repair_admits_and_refuses_no_other(host_shared in shared(), others in vec(shared(), 1..5)) {
        let names = ["a", "b", "c", "d"];
        let remotes: Vec<_> = names.iter().zip(&others).map(|(name, shared)| remote(&(name, shared))).collect();
        let before = Rehearsal::start(host(&host_shared), LINKED, remotes.clone());
        let plan = before.plan();
        for refusal in plan.refused() {
            let why = before.why(&plan, &refusal.participant).expect("a known participant");
            prop_assert!(!why.chain.is_empty() && why.repairs.len() <= 4);
            for repair in &why.repairs {
                let (mut host, mut remotes) = (host(&host_shared), remotes.clone());
                for change in &repair.changes {
                    let of = |name: &str| *name == *change.edit.participant;
                    let edited = |text: &str| -> String {
                        let mut json: Value = serde_json::from_str(text).expect("JSON");
                        assert_eq!(json.pointer(&change.edit.pointer), change.old.as_ref());
                        assert!(change.edit.apply(&mut json));
                        json.to_string()
                    };
                    if of("pulse") {
                        let text = edited(host.origin.text());
                        host.manifest = crate::manifest::HostManifest::from_json(&text).expect("a manifest");
                        host.origin = crate::manifest::Origin::new("host.json", text, false);
                    } else {
                        let one = remotes.iter_mut().find(|one| of(&one.manifest.name)).expect("a remote");
                        let text = edited(one.origin.text());
                        one.manifest = crate::manifest::RemoteManifest::from_json(&text).expect("a manifest");
                        one.origin = crate::manifest::Origin::new("x.json", text, false);
                    }
                }
                let after = Rehearsal::start(host, LINKED, remotes).plan();
                prop_assert!(after.refusal(&refusal.participant).is_none(), "{:?}", written(&why));
                for now in after.refused() {
                    prop_assert!(plan.refusal(&now.participant).is_some(), "{} {:?}", now.participant, written(&why));
                }
            }
        }
    }
}
