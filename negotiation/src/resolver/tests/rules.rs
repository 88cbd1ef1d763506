//! Each rule of the negotiation by itself.

use std::collections::BTreeSet;

use crate::manifest::ShareStrategy::{self, LoadedFirst, VersionFirst};
use semver::Version;

use super::{lines, participant};
use crate::resolver::{Code, Live, Outcome, Participant, Plan, Request, Severity, Slot, resolve};

pub(super) fn plan_of(strategy: ShareStrategy, people: &[&str]) -> Plan {
    let people: Vec<Participant> = people.iter().map(|line| participant(line)).collect();
    resolve(&Request::new(&people[0], &people[1..], strategy))
}

/// The plan of these participants, the host first, is this one.
#[track_caller]
fn check_with(strategy: ShareStrategy, people: &[&str], expected: &[&str]) -> Plan {
    let plan = plan_of(strategy, people);
    assert_eq!(lines(&plan), expected);
    plan
}

#[track_caller]
pub(super) fn check(people: &[&str], expected: &[&str]) -> Plan {
    check_with(VersionFirst, people, expected)
}

/// The plan says this about that participant, and the sentence contains all of `words`.
#[track_caller]
pub(super) fn says(plan: &Plan, code: Code, severity: Severity, participant: &str, words: &[&str]) {
    let said: Vec<_> = plan
        .diagnostics()
        .iter()
        .filter(|said| said.code == code && *said.participant == *participant)
        .collect();
    let [said] = said.as_slice() else {
        panic!("{code} of {participant}: {said:?} in {:?}", plan.diagnostics())
    };
    assert_eq!(said.severity(), severity, "{said}");
    for word in words {
        assert!(said.message().contains(word), "`{said}` does not say `{word}`");
    }
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

#[test]
fn scopes_are_walls() {
    let plan = check(
        &["host: store 1.0.0 singleton", "a: store 1.5.0 singleton in=legacy", "b: store noimport ^1 in=other"],
        &["a store in legacy: 1.5.0 of a", "host store: 1.0.0 of host", "b refused: no-provider store"],
    );
    says(&plan, Code::SeparateScopes, Severity::Info, "a", &["`legacy`", "`default` has", "shareScope"]);
    says(&plan, Code::NoProvider, Severity::Error, "b", &["`other`", "nobody offers it", "add a participant"]);
}

#[test]
fn one_declaration_binds_the_whole_scope() {
    let plan = check(
        &["host: store 1.0.0", "a: store 1.1.0", "b: store noimport ^1 singleton"],
        &["a store: 1.1.0 of a", "b store: 1.1.0 of a", "host store: 1.1.0 of a"],
    );
    let key = plan.key("default", "store").unwrap();
    assert!(key.singleton);
    assert_eq!(key.declared_by.iter().map(|name| &**name).collect::<Vec<_>>(), ["b"]);
    assert!(plan.assignments().iter().all(|known| known.singleton));
}

#[test]
fn equal_versions_go_to_the_host_then_the_eager_then_the_smallest_name() {
    check(
        &["host: store 1.0.0 singleton", "a: store 1.0.0 eager"],
        &["a store: 1.0.0 of host", "host store: 1.0.0 of host"],
    );
    check(
        &["host:", "a: store 1.0.0 singleton", "b: store 1.0.0 eager", "c: store 1.0.0 eager"],
        &["a store: 1.0.0 of b", "b store: 1.0.0 of b", "c store: 1.0.0 of b"],
    );
    check(&["host:", "b: store 1.0.0", "a: store 1.0.0"], &["a store: 1.0.0 of a", "b store: 1.0.0 of a"]);
    // Build metadata is no part of precedence.
    check(
        &["host: store 1.0.0 singleton", "a: store 1.0.0+newer"],
        &["a store: 1.0.0 of host", "host store: 1.0.0 of host"],
    );
}

#[test]
fn a_singleton_is_the_highest_version_that_satisfies_everybody() {
    check(
        &["host: store 1.0.0 singleton", "a: store 1.2.0", "b: store 1.9.0 ^1", "c: store 2.0.0 ^1"],
        &["a store: 1.9.0 of b", "b store: 1.9.0 of b", "c store: 1.9.0 of b", "host store: 1.9.0 of b"],
    );
}

#[test]
fn the_host_comes_before_the_strict_and_these_before_the_many() {
    // 2.0.0 would satisfy a and b, both strict; the host's demand is looked at first.
    check(
        &["host: store 1.0.0 singleton", "a: store 2.0.0 strict", "b: store noimport ^2 strict"],
        &[
            "host store: 1.0.0 of host",
            "a refused: version-mismatch-strict store",
            "b refused: version-mismatch-strict store",
        ],
    );
    // Nobody satisfies the host, which has no say then: one strict outweighs two that are not.
    let plan = check(
        &["host: store noimport ^9 singleton", "a: store 1.0.0 strict", "b: store 2.0.0", "c: store 2.0.0"],
        &["a store: 1.0.0 of a", "b store: 1.0.0 of a!", "c store: 1.0.0 of a!", "host store: 1.0.0 of a!"],
    );
    says(&plan, Code::VersionMismatch, Severity::Warning, "b", &["^2.0.0", "1.0.0 of `a`", "or widen"]);
    // As many strict ones either way: the fewest demands.
    check(
        &["host:", "a: store 1.0.0 singleton", "b: store 2.0.0", "c: store noimport ^1"],
        &["a store: 1.0.0 of a", "b store: 1.0.0 of a!", "c store: 1.0.0 of a"],
    );
    // As many demands either way: the highest.
    check(
        &["host:", "a: store 1.0.0 singleton", "b: store 2.0.0"],
        &["a store: 2.0.0 of b!", "b store: 2.0.0 of b"],
    );
}

#[test]
fn strict_remotes_are_refused_with_everything_needed_to_repair_it() {
    let plan = check(
        &["host: store 1.0.0 singleton", "a: store 1.0.0 ^99 strict"],
        &["host store: 1.0.0 of host", "a refused: version-mismatch-strict store"],
    );
    let words = ["`a` needs ^99 of `store`", "1.0.0 of `host`", "widen `requiredVersion`"];
    says(&plan, Code::VersionMismatchStrict, Severity::Error, "a", &words);
    assert!(plan.is_refused("a") && !plan.is_refused("host") && !plan.is_compatible());
    assert_eq!(plan.admitted().count(), 0);
}

#[test]
fn the_host_is_never_withdrawn() {
    let plan = check(
        &["host: store 1.0.0 ^2 strict singleton", "a: store 1.1.0"],
        &["a store: 1.1.0 of a", "host store: 1.1.0 of a!", "host refused: host-unsatisfied store"],
    );
    says(&plan, Code::HostUnsatisfied, Severity::Error, "host", &["^2", "1.1.0 of `a`"]);
    assert!(!plan.is_refused("host"));
    let plan = check(
        &["host: store noimport ^1", "a: charts 1.0.0"],
        &["a charts: 1.0.0 of a", "host refused: host-unsatisfied store"],
    );
    says(&plan, Code::HostUnsatisfied, Severity::Error, "host", &["nobody offers it"]);
    let explanation = plan.explain("default", "store", "host").unwrap();
    assert_eq!(explanation.outcome, Outcome::Refused { code: Code::HostUnsatisfied });
}

#[test]
fn who_is_refused_takes_its_offers_and_declarations_along() {
    // a's store 2.0.0 is what b lives on; a is refused over charts.
    let plan = check(
        &[
            "host: charts 1.0.0 singleton",
            "a: charts 2.0.0 strict; store 2.0.0",
            "b: store noimport ^2",
            "c: store 1.0.0",
        ],
        &[
            "c store: 1.0.0 of c",
            "host charts: 1.0.0 of host",
            "a refused: version-mismatch-strict charts",
            "b refused: provider-refused store",
        ],
    );
    says(
        &plan,
        Code::ProviderRefused,
        Severity::Error,
        "b",
        &["2.0.0 of `a`", "which is refused", "repair `a`"],
    );
    // Only a declared store a singleton.
    check(
        &[
            "host: charts 1.0.0 singleton; store 1.0.0",
            "a: charts 2.0.0 strict; store 1.0.0 singleton",
            "b: store 2.0.0",
        ],
        &[
            "b store: 2.0.0 of b",
            "host charts: 1.0.0 of host",
            "host store: 1.0.0 of host",
            "a refused: version-mismatch-strict charts",
        ],
    );
}

#[test]
fn who_was_refused_because_of_another_that_is_refused_too_is_let_in_again() {
    // At first 2.0.0 of b wins (c needs it), which refuses a; but b is refused over charts.
    check(
        &[
            "host: charts 1.0.0 singleton",
            "a: store 1.0.0 strict singleton",
            "b: store 2.0.0 strict; charts 2.0.0 strict",
            "c: store noimport >=1 strict",
        ],
        &[
            "a store: 1.0.0 of a",
            "c store: 1.0.0 of a",
            "host charts: 1.0.0 of host",
            "b refused: version-mismatch-strict charts",
        ],
    );
}

#[test]
fn who_would_push_another_out_stays_out() {
    // In the first round 3.0.0 of c wins, which refuses a and b, and c is refused over charts.
    // a comes back; then b's 2.0.0 would win over a's 1.0.0, so b stays out.
    let plan = check(
        &[
            "host: charts 1.0.0 singleton",
            "a: store 1.0.0 strict singleton",
            "b: store 2.0.0 strict",
            "c: store 3.0.0 strict; charts 2.0.0 strict",
        ],
        &[
            "a store: 1.0.0 of a",
            "host charts: 1.0.0 of host",
            "b refused: conflict store",
            "c refused: version-mismatch-strict charts",
        ],
    );
    says(&plan, Code::Conflict, Severity::Error, "b", &["2.0.0 of `b`", "`a` insists on ^1.0.0"]);
}

#[test]
fn nobody_is_let_in_again_at_the_host_s_expense() {
    // c, and a with it, are out after the first round. With a the host's table, which serves the
    // host alone and does not satisfy it, would become a singleton that the host insists against.
    let plan = check(
        &[
            "host: charts 1.0.0 singleton; table 0.4.0 ^1 strict",
            "a: store 1.0.0 strict singleton; table noimport any singleton",
            "c: store 3.0.0 strict; charts 2.0.0 strict",
        ],
        &[
            "host charts: 1.0.0 of host",
            "host table: 0.4.0 of host!",
            "a refused: conflict table",
            "c refused: version-mismatch-strict charts",
        ],
    );
    says(&plan, Code::Conflict, Severity::Error, "a", &["0.4.0 of `host`", "`host` insists on ^1"]);
}

#[test]
fn what_is_not_a_singleton_comes_from_the_highest_that_fits() {
    let plan = check(
        &["host: store 1.0.0", "a: store 1.2.0 =1.2.0", "b: store 1.4.0", "c: store 2.0.0 ^3"],
        &["a store: 1.2.0 of a", "b store: 1.4.0 of b", "c store: 2.0.0 of c!", "host store: 1.4.0 of b"],
    );
    let words = ["its own copy", "1.2.0", "shares no state", "`singleton` to true at /shared/store"];
    says(&plan, Code::OwnCopy, Severity::Warning, "a", &words);
    says(&plan, Code::OwnCopy, Severity::Warning, "c", &["needs ^3", "nobody offers", "2.0.0"]);
    assert!(plan.is_compatible());
}

#[test]
fn strict_without_singleton_falls_back_to_the_own_copy() {
    check(&["host: store 1.0.0 ^2 strict"], &["host store: 1.0.0 of host!"]);
}

#[test]
fn without_a_copy_of_its_own_a_remote_needs_somebody_s() {
    let plan = check(
        &["host: store 1.0.0", "a: store noimport ^2", "b: store noimport >=1"],
        &["b store: 1.0.0 of host", "host store: 1.0.0 of host", "a refused: no-provider store"],
    );
    says(&plan, Code::NoProvider, Severity::Error, "a", &["^2", "only 1.0.0 of `host` can be had"]);
    let plan = check(&["host:", "a: store noimport ^2 singleton"], &["a refused: no-provider store"]);
    assert_eq!(plan.key("default", "store").unwrap().offers, []);
}

#[test]
fn prereleases_are_asked_for_by_name() {
    check(
        &["host: store 1.2.0", "a: store 1.3.0-beta.1"],
        &["a store: 1.3.0-beta.1 of a", "host store: 1.2.0 of host"],
    );
    check(
        &["host: store 1.2.0 *", "a: store 1.3.0-beta.1", "b: store noimport any"],
        &["a store: 1.3.0-beta.1 of a", "b store: 1.3.0-beta.1 of a", "host store: 1.2.0 of host"],
    );
}

#[test]
fn loaded_first_prefers_what_is_loaded_where_it_will_do() {
    let people =
        ["host: store 1.0.0 singleton; charts 1.0.0", "a: store 1.5.0 ^1; charts 1.5.0 ^1", "b: charts 1.2.0"];
    check_with(
        LoadedFirst,
        &people,
        &[
            "a charts: 1.0.0 of host",
            "a store: 1.0.0 of host",
            "b charts: 1.5.0 of a",
            "host charts: 1.0.0 of host",
            "host store: 1.0.0 of host",
        ],
    );
    // A strict demand that no loaded copy satisfies opens the field again.
    check_with(
        LoadedFirst,
        &["host: store 1.0.0 singleton", "a: store 1.5.0 strict"],
        &["a store: 1.5.0 of a", "host store: 1.5.0 of a"],
    );
    // One that is not strict does not.
    check_with(
        LoadedFirst,
        &["host: store 1.0.0 singleton", "a: store 1.5.0"],
        &["a store: 1.0.0 of host!", "host store: 1.0.0 of host"],
    );
}

#[test]
fn a_loaded_remote_counts_as_loaded() {
    let host = participant("host:");
    let remotes = [participant("a: store 1.0.0 ^1").loaded(true), participant("b: store 1.5.0 ^1 singleton")];
    let plan = resolve(&Request::new(&host, &remotes, LoadedFirst));
    assert_eq!(lines(&plan), ["a store: 1.0.0 of a", "b store: 1.0.0 of a"]);
    assert!(plan.bootstrap().is_empty());
}

/// A running host and remote `a`, which use a's store 1.1.0, and what comes later.
fn running(late: &[&str]) -> (Vec<Participant>, Live) {
    let people = [participant("host: store 1.0.0 singleton"), participant("a: store 1.1.0").loaded(true)];
    let first = resolve(&Request::new(&people[0], &people[1..], VersionFirst));
    assert_eq!(lines(&first), ["a store: 1.1.0 of a", "host store: 1.1.0 of a"]);
    let mut live = Live::new();
    live.bind_assigned(&first, "host");
    live.bind_assigned(&first, "a");
    let late = late.iter().map(|line| participant(line));
    (people.into_iter().chain(late).collect(), live)
}

#[test]
fn a_late_joiner_displaces_nothing() {
    let (people, live) =
        running(&["b: store 1.9.0", "c: store 1.1.0 eager ^1 strict", "d: store 1.9.0 strict"]);
    let request = Request { live: &live, ..Request::new(&people[0], &people[1..], VersionFirst) };
    let plan = resolve(&request);
    assert_eq!(
        lines(&plan),
        [
            "a store: 1.1.0 of a",
            "b store: 1.1.0 of a!",
            "c store: 1.1.0 of a",
            "host store: 1.1.0 of a",
            "d refused: version-mismatch-strict store"
        ]
    );
    assert!(plan.assignment("c", "default", "store").unwrap().live);
    let explanation = plan.explain("default", "store", "b").unwrap();
    assert_eq!(explanation.candidates[0].reason, "1.1.0 is in use, and a singleton in use does not move");
    assert!(plan.bootstrap().is_empty(), "a is loaded already");
}

#[test]
fn a_provider_stays_while_it_is_used_and_goes_when_it_is_not() {
    let (people, mut live) = running(&["b: store 1.9.0"]);
    assert_eq!(live.users_of("a").map(|slot| &*slot.participant).collect::<Vec<_>>(), ["host"]);
    // Without a among the participants its copy is still the host's.
    let request = Request { live: &live, ..Request::new(&people[0], &people[2..], VersionFirst) };
    assert_eq!(lines(&resolve(&request)), ["b store: 1.1.0 of a!", "host store: 1.1.0 of a"]);
    live.release("host");
    live.release("a");
    assert!(live.is_empty());
    let request = Request { live: &live, ..Request::new(&people[0], &people[2..], VersionFirst) };
    assert_eq!(lines(&resolve(&request)), ["b store: 1.9.0 of b", "host store: 1.9.0 of b"]);
}

#[test]
fn a_new_generation_is_not_bound_by_what_the_old_one_uses() {
    let host = participant("host: charts 1.0.0 =1.0.0");
    let old = participant("a: charts 1.1.0 =1.1.0").loaded(true);
    let mut live = Live::new();
    let first = resolve(&Request::new(&host, std::slice::from_ref(&old), VersionFirst));
    live.bind_assigned(&first, "host");
    live.bind_assigned(&first, "a");
    let new = participant("a: charts 1.2.0 ^1.2");
    let plan = resolve(&Request { live: &live, ..Request::new(&host, &[new], VersionFirst) });
    assert_eq!(lines(&plan), ["a charts: 1.2.0 of a", "host charts: 1.0.0 of host"]);
    assert!(!plan.assignment("a", "default", "charts").unwrap().live);
}

#[test]
fn a_running_participant_keeps_its_own_copy_when_a_singleton_is_declared_late() {
    let host = participant("host: store 1.0.0 =1.0.0");
    let a = participant("a: store 1.1.0 =1.1.0 strict").loaded(true);
    let first = resolve(&Request::new(&host, std::slice::from_ref(&a), VersionFirst));
    let mut live = Live::new();
    live.bind_assigned(&first, "host");
    live.bind_assigned(&first, "a");
    let remotes = [a, participant("b: store noimport ^1 singleton")];
    let plan = resolve(&Request { live: &live, ..Request::new(&host, &remotes, VersionFirst) });
    assert_eq!(lines(&plan), ["a store: 1.1.0 of a", "b store: 1.1.0 of a", "host store: 1.0.0 of host"]);
    says(&plan, Code::NotShared, Severity::Warning, "host", &["keeps 1.0.0", "1.1.0 of `a`", "restart"]);
}

#[test]
fn a_copy_that_is_not_what_its_version_says_is_not_used() {
    let host = participant("host: store 1.0.0");
    let remotes = [participant("a: store 1.9.0"), participant("b: store noimport ^1.5")];
    let excluded = BTreeSet::from([Slot::new("a", "default", "store")]);
    let plan = resolve(&Request { excluded: &excluded, ..Request::new(&host, &remotes, VersionFirst) });
    assert_eq!(
        lines(&plan),
        ["a store: 1.9.0 of a", "host store: 1.0.0 of host", "b refused: provider-refused store"]
    );
    says(&plan, Code::ProviderRefused, Severity::Error, "b", &["1.9.0 of `a`", "found not to be usable"]);
    let reason = &plan.explain("default", "store", "host").unwrap().candidates[0].reason;
    assert_eq!(reason, "it was found not to be usable");
}

#[test]
fn a_copy_that_only_its_owner_uses_is_given_to_nobody_once_it_is_found_not_to_be_usable() {
    let host = participant("host:");
    let remotes = [participant("a: store 1.9.0 singleton").loaded(true), participant("b: store 1.0.0")];
    let mut live = Live::new();
    live.bind(Slot::new("a", "default", "store"), "a", version("1.9.0"));
    let excluded = BTreeSet::from([Slot::new("a", "default", "store")]);
    let request = Request::new(&host, &remotes, VersionFirst);
    let plan = resolve(&Request { live: &live, excluded: &excluded, ..request });
    assert_eq!(lines(&plan), ["a store: 1.9.0 of a", "b store: 1.0.0 of b"]);
    says(&plan, Code::NotShared, Severity::Warning, "a", &["keeps 1.9.0", "1.0.0 of `b`"]);
}

#[test]
fn remotes_of_one_name_are_refused_and_the_host_keeps_its_own() {
    let plan = check(
        &["host: store 1.0.0", "a: store 1.9.0", "a: store 1.8.0", "b: store 1.0.0"],
        &["b store: 1.0.0 of host", "host store: 1.0.0 of host", "a refused: duplicate-name"],
    );
    assert!(plan.explain("default", "store", "a").is_none());
    let host = participant("host: store 1.0.0");
    let impostor = participant("host: store 9.0.0");
    let plan = resolve(&Request::new(&host, &[impostor], VersionFirst));
    assert_eq!(lines(&plan), ["host store: 1.0.0 of host", "host refused: duplicate-name"]);
    assert!(plan.is_refused("host"));
}

#[test]
fn what_others_use_is_loaded_first_and_what_it_uses_before_it() {
    let plan = plan_of(
        VersionFirst,
        &[
            "host: store 1.0.0",
            "a: store 1.9.0; charts noimport ^1",
            "b: charts 1.0.0; audio noimport *",
            "c: audio 1.0.0",
            "d: table 1.0.0",
        ],
    );
    let order = plan.bootstrap();
    assert_eq!(order.iter().map(|name| &**name).collect::<Vec<_>>(), ["c", "b", "a"]);
    // A circle: each uses the other's.
    let plan = plan_of(
        VersionFirst,
        &["host:", "a: store 1.0.0; charts noimport *", "b: charts 1.0.0; store noimport *"],
    );
    assert_eq!(plan.bootstrap().len(), 2);
}

#[test]
fn every_candidate_has_its_reason() {
    let reasons = |plan: &Plan, consumer: &str| -> Vec<String> {
        let explanation = plan.explain("default", "store", consumer).unwrap();
        explanation
            .candidates
            .iter()
            .map(|one| format!("{} {}: {}", one.version, one.provider, one.reason))
            .collect()
    };
    let plan = plan_of(
        VersionFirst,
        &[
            "host: store 1.0.0 singleton",
            "a: store 2.0.0 >=1",
            "b: store 1.4.0",
            "c: store 1.4.0",
            "d: store 1.1.0",
        ],
    );
    assert_eq!(
        reasons(&plan, "d"),
        [
            "2.0.0 a: outside ^1.4.0 of `b` and what 3 more ask for",
            "1.4.0 b: the highest version that satisfies all 5 participants",
            "1.4.0 c: the same version as that of `b`, which has the smaller name",
            "1.1.0 d: outside ^1.4.0 of `b` and what 1 more ask for",
            "1.0.0 host: outside ^1.4.0 of `b` and what 2 more ask for",
        ]
    );
    let plan = plan_of(VersionFirst, &["host: store 1.0.0 singleton", "a: store 2.0.0", "b: store 1.1.0 ^2"]);
    assert_eq!(
        reasons(&plan, "host"),
        [
            "2.0.0 a: does not satisfy the host (^1.0.0)",
            "1.1.0 b: no version satisfies everybody; this one satisfies the host and leaves the fewest unsatisfied (2 of 3)",
            "1.0.0 host: lower than 1.1.0",
        ]
    );
    let plan = plan_of(LoadedFirst, &["host: store 1.0.0", "a: store 1.2.0", "b: store 1.9.0 ^1"]);
    assert_eq!(
        reasons(&plan, "b"),
        [
            "1.9.0 b: not loaded, and a copy that is loaded will do (loaded-first)",
            "1.2.0 a: not loaded, and a copy that is loaded will do (loaded-first)",
            "1.0.0 host: the highest version that is loaded within ^1",
        ]
    );
    assert!(plan.explain("default", "charts", "b").is_none());
    assert!(plan.explain("default", "store", "nobody").is_none());
}

#[test]
fn json_has_the_specified_shape() {
    let plan = plan_of(VersionFirst, &["host: store 1.0.0 singleton", "a: store 1.0.0 ^99 strict"]);
    let json = plan.to_json();
    let expected = serde_json::json!({
        "consumer": "host", "scope": "default", "key": "store", "provider": "host",
        "version": "1.0.0", "singleton": true, "satisfied": true,
    });
    assert_eq!(json["assignments"], serde_json::json!([expected]));
    let expected = serde_json::json!({ "participant": "a", "code": "version-mismatch-strict", "scope": "default", "key": "store" });
    assert_eq!(json["refused"], serde_json::json!([expected]));
    let said = &json["diagnostics"][0];
    assert_eq!((&said["code"], &said["severity"]), (&"version-mismatch-strict".into(), &"error".into()));
    assert_eq!(said["participant"], "a");
    assert!(said["message"].as_str().is_some_and(|message| message.contains("^99")));
}

#[test]
fn a_live_copy_wins_among_equals() {
    let host = participant("host: store 1.0.0");
    let remotes = [participant("a: store 1.0.0").loaded(true), participant("b: store 1.0.0")];
    let mut live = Live::new();
    live.bind(Slot::new("a", "default", "store"), "a", version("1.0.0"));
    let plan = resolve(&Request { live: &live, ..Request::new(&host, &remotes, VersionFirst) });
    assert_eq!(lines(&plan), ["a store: 1.0.0 of a", "b store: 1.0.0 of a", "host store: 1.0.0 of a"]);
}

#[test]
fn copies_of_providers_that_are_gone_are_told_apart_by_name_and_build() {
    let host = participant("host: store 0.3.1 singleton");
    let mut live = Live::new();
    live.bind(Slot::new("x", "default", "store"), "b", version("1.0.0+build"));
    live.bind(Slot::new("y", "default", "store"), "a", version("1.0.0+1"));
    live.bind(Slot::new("z", "default", "store"), "a", version("1.0.0+2"));
    let plan = resolve(&Request { live: &live, ..Request::new(&host, &[], VersionFirst) });
    assert_eq!(lines(&plan), ["host store: 1.0.0+2 of a!"]);
    let candidates = plan.explain("default", "store", "host").unwrap().candidates;
    assert_eq!(candidates.iter().filter(|candidate| candidate.won).count(), 1);
}
