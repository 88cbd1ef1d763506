//! Each rule of the negotiation separately.

use std::collections::BTreeSet;

use crate::manifest::ShareStrategy::{self, LoadedFirst, VersionFirst};
use semver::Version;

use super::{lines, participant};
use crate::resolver::DiagnosticCode::{
    Conflict, HostUnsatisfied, NoProvider, NotShared, OwnCopy, ProviderRefused, SeparateScopes,
    VersionMismatch, VersionMismatchStrict,
};
use crate::resolver::{
    DiagnosticCode, Live, Outcome, Participant, Plan, PlanRequest, Severity, ShareKey, resolve,
};

pub(super) fn plan_of(strategy: ShareStrategy, participants: &[&str]) -> Plan {
    let participants: Vec<Participant> = participants.iter().map(|line| participant(line)).collect();
    resolve(&PlanRequest::new(&participants[0], &participants[1..], strategy))
}

/// Asserts the plan of these participants, the host first.
#[track_caller]
fn check_with(strategy: ShareStrategy, participants: &[&str], expected: &[&str]) -> Plan {
    let plan = plan_of(strategy, participants);
    assert_eq!(lines(&plan), expected);
    plan
}

#[track_caller]
pub(super) fn check(participants: &[&str], expected: &[&str]) -> Plan {
    check_with(VersionFirst, participants, expected)
}

/// Asserts that the plan has this diagnostic of that participant and that its message contains all of `words`.
#[track_caller]
pub(super) fn says(plan: &Plan, code: DiagnosticCode, severity: Severity, participant: &str, words: &[&str]) {
    let found: Vec<_> =
        plan.diagnostics().iter().filter(|one| one.code == code && *one.participant == *participant).collect();
    let [found] = found.as_slice() else {
        panic!("{code} of {participant}: {found:?} in {:?}", plan.diagnostics())
    };
    assert_eq!(found.severity(), severity, "{found}");
    for word in words {
        assert!(found.message().contains(word), "`{found}` does not contain `{word}`");
    }
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

#[test]
fn scopes_do_not_share() {
    let plan = check(
        &["host: store 1.0.0 singleton", "a: store 1.5.0 singleton in=legacy", "b: store noimport ^1 in=other"],
        &["a store in legacy: 1.5.0 of a", "host store: 1.0.0 of host", "b refused: no-provider store"],
    );
    says(&plan, SeparateScopes, Severity::Info, "a", &["`legacy`", "`default` has", "shareScope"]);
    says(
        &plan,
        NoProvider,
        Severity::Error,
        "b",
        &["`other`", "no participant offers it", "add a participant"],
    );
}

#[test]
fn one_declaration_binds_the_scope() {
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
fn equal_versions_prefer_host_then_eager_then_name() {
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
fn singleton_is_the_highest_compatible_version() {
    check(
        &["host: store 1.0.0 singleton", "a: store 1.2.0", "b: store 1.9.0 ^1", "c: store 2.0.0 ^1"],
        &["a store: 1.9.0 of b", "b store: 1.9.0 of b", "c store: 1.9.0 of b", "host store: 1.9.0 of b"],
    );
}

#[test]
fn host_outranks_strict_and_strict_outranks_count() {
    // 2.0.0 would satisfy a and b, both strict, but the host's demand counts first.
    check(
        &["host: store 1.0.0 singleton", "a: store 2.0.0 strict", "b: store noimport ^2 strict"],
        &[
            "host store: 1.0.0 of host",
            "a refused: version-mismatch-strict store",
            "b refused: version-mismatch-strict store",
        ],
    );
    // No copy satisfies the host, so its demand does not count: one strict demand outweighs two others.
    let plan = check(
        &["host: store noimport ^9 singleton", "a: store 1.0.0 strict", "b: store 2.0.0", "c: store 2.0.0"],
        &["a store: 1.0.0 of a", "b store: 1.0.0 of a!", "c store: 1.0.0 of a!", "host store: 1.0.0 of a!"],
    );
    says(&plan, VersionMismatch, Severity::Warning, "b", &["^2.0.0", "1.0.0 (from `a`)", "or widen"]);
    // Equally many strict demands: the fewest demands decide.
    check(
        &["host:", "a: store 1.0.0 singleton", "b: store 2.0.0", "c: store noimport ^1"],
        &["a store: 1.0.0 of a", "b store: 1.0.0 of a!", "c store: 1.0.0 of a"],
    );
    // Equally many demands: the highest version decides.
    check(
        &["host:", "a: store 1.0.0 singleton", "b: store 2.0.0"],
        &["a store: 2.0.0 of b!", "b store: 2.0.0 of b"],
    );
}

#[test]
fn strict_remote_is_refused_with_advice() {
    let plan = check(
        &["host: store 1.0.0 singleton", "a: store 1.0.0 ^99 strict"],
        &["host store: 1.0.0 of host", "a refused: version-mismatch-strict store"],
    );
    let words = ["`a` requires `store` ^99 (strict)", "1.0.0 (from `host`)", "widen `requiredVersion`"];
    says(&plan, VersionMismatchStrict, Severity::Error, "a", &words);
    assert!(plan.is_refused("a") && !plan.is_refused("host") && !plan.is_compatible());
    assert_eq!(plan.admitted().count(), 0);
}

#[test]
fn host_is_never_withdrawn() {
    let plan = check(
        &["host: store 1.0.0 ^2 strict singleton", "a: store 1.1.0"],
        &["a store: 1.1.0 of a", "host store: 1.1.0 of a!", "host refused: host-unsatisfied store"],
    );
    says(&plan, HostUnsatisfied, Severity::Error, "host", &["^2", "1.1.0 (from `a`)"]);
    assert!(!plan.is_refused("host"));
    let plan = check(
        &["host: store noimport ^1", "a: charts 1.0.0"],
        &["a charts: 1.0.0 of a", "host refused: host-unsatisfied store"],
    );
    says(&plan, HostUnsatisfied, Severity::Error, "host", &["no participant offers it"]);
    let explanation = plan.explain("default", "store", "host").unwrap();
    assert_eq!(explanation.outcome, Outcome::Refused { code: HostUnsatisfied });
}

#[test]
fn refusal_withdraws_offers_and_declarations() {
    // b depends on a's store 2.0.0; a is refused over charts.
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
    says(&plan, ProviderRefused, Severity::Error, "b", &["2.0.0 (from `a`)", "which is refused", "repair `a`"]);
    // Only a declares store a singleton.
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
fn remote_is_readmitted_after_its_rival_is_refused() {
    // At first 2.0.0 of b is chosen, which refuses a; but b is refused over charts.
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
fn remote_that_would_refuse_another_stays_out() {
    // In the first round 3.0.0 of c is chosen, which refuses a and b, and c is refused over charts.
    // a is admitted again; then b's 2.0.0 would replace a's 1.0.0, so b stays out.
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
    says(&plan, Conflict, Severity::Error, "b", &["2.0.0 (from `b`)", "`a` requires ^1.0.0 (strict)"]);
}

#[test]
fn remote_is_not_readmitted_at_the_host_s_expense() {
    // c and a are out after the first round. With a, the host's table, which serves only the host and does not
    // satisfy it, would become a singleton that fails the host's strict demand.
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
    says(&plan, Conflict, Severity::Error, "a", &["0.4.0 (from `host`)", "`host` requires ^1 (strict)"]);
}

#[test]
fn other_crates_come_from_the_highest_fitting_offer() {
    let plan = check(
        &["host: store 1.0.0", "a: store 1.2.0 =1.2.0", "b: store 1.4.0", "c: store 2.0.0 ^3"],
        &["a store: 1.2.0 of a", "b store: 1.4.0 of b", "c store: 2.0.0 of c!", "host store: 1.4.0 of b"],
    );
    let words = ["its own copy", "1.2.0", "shares no state", "`singleton` to true at /shared/store"];
    says(&plan, OwnCopy, Severity::Warning, "a", &words);
    says(&plan, OwnCopy, Severity::Warning, "c", &["requires `store` ^3", "no participant offers", "2.0.0"]);
    assert!(plan.is_compatible());
}

#[test]
fn strict_without_singleton_uses_the_own_copy() {
    check(&["host: store 1.0.0 ^2 strict"], &["host store: 1.0.0 of host!"]);
}

#[test]
fn remote_without_own_copy_requires_a_provider() {
    let plan = check(
        &["host: store 1.0.0", "a: store noimport ^2", "b: store noimport >=1"],
        &["b store: 1.0.0 of host", "host store: 1.0.0 of host", "a refused: no-provider store"],
    );
    says(&plan, NoProvider, Severity::Error, "a", &["^2", "only 1.0.0 (from `host`) is offered"]);
    let plan = check(&["host:", "a: store noimport ^2 singleton"], &["a refused: no-provider store"]);
    assert_eq!(plan.key("default", "store").unwrap().offers, []);
}

#[test]
fn prerelease_is_used_only_if_required() {
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
fn loaded_first_prefers_loaded_copies_that_fit() {
    let participants =
        ["host: store 1.0.0 singleton; charts 1.0.0", "a: store 1.5.0 ^1; charts 1.5.0 ^1", "b: charts 1.2.0"];
    check_with(
        LoadedFirst,
        &participants,
        &[
            "a charts: 1.0.0 of host",
            "a store: 1.0.0 of host",
            "b charts: 1.5.0 of a",
            "host charts: 1.0.0 of host",
            "host store: 1.0.0 of host",
        ],
    );
    // A strict demand that no loaded copy satisfies admits all copies again.
    check_with(
        LoadedFirst,
        &["host: store 1.0.0 singleton", "a: store 1.5.0 strict"],
        &["a store: 1.5.0 of a", "host store: 1.5.0 of a"],
    );
    // A demand that is not strict does not.
    check_with(
        LoadedFirst,
        &["host: store 1.0.0 singleton", "a: store 1.5.0"],
        &["a store: 1.0.0 of host!", "host store: 1.0.0 of host"],
    );
}

#[test]
fn loaded_remote_counts_as_loaded() {
    let host = participant("host:");
    let remotes = [participant("a: store 1.0.0 ^1").loaded(true), participant("b: store 1.5.0 ^1 singleton")];
    let plan = resolve(&PlanRequest::new(&host, &remotes, LoadedFirst));
    assert_eq!(lines(&plan), ["a store: 1.0.0 of a", "b store: 1.0.0 of a"]);
    assert!(plan.bootstrap().is_empty());
}

/// Returns a running host and remote `a`, which use a's store 1.1.0, with the remotes `late`.
fn running(late: &[&str]) -> (Vec<Participant>, Live) {
    let participants = [participant("host: store 1.0.0 singleton"), participant("a: store 1.1.0").loaded(true)];
    let first = resolve(&PlanRequest::new(&participants[0], &participants[1..], VersionFirst));
    assert_eq!(lines(&first), ["a store: 1.1.0 of a", "host store: 1.1.0 of a"]);
    let mut live = Live::new();
    live.bind_assigned(&first, "host");
    live.bind_assigned(&first, "a");
    let late = late.iter().map(|line| participant(line));
    (participants.into_iter().chain(late).collect(), live)
}

#[test]
fn late_joiner_displaces_no_copy() {
    let (participants, live) =
        running(&["b: store 1.9.0", "c: store 1.1.0 eager ^1 strict", "d: store 1.9.0 strict"]);
    let request =
        PlanRequest { live: &live, ..PlanRequest::new(&participants[0], &participants[1..], VersionFirst) };
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
    assert_eq!(explanation.candidates[0].reason, "1.1.0 is in use, and a singleton in use is not replaced");
    assert!(plan.bootstrap().is_empty(), "a is loaded already");
}

#[test]
fn provider_stays_while_its_copy_is_used() {
    let (participants, mut live) = running(&["b: store 1.9.0"]);
    assert_eq!(live.users_of("a").map(|slot| &*slot.participant).collect::<Vec<_>>(), ["host"]);
    // After a has left the participants, the host still uses its copy.
    let request =
        PlanRequest { live: &live, ..PlanRequest::new(&participants[0], &participants[2..], VersionFirst) };
    assert_eq!(lines(&resolve(&request)), ["b store: 1.1.0 of a!", "host store: 1.1.0 of a"]);
    live.release("host");
    live.release("a");
    assert!(live.is_empty());
    let request =
        PlanRequest { live: &live, ..PlanRequest::new(&participants[0], &participants[2..], VersionFirst) };
    assert_eq!(lines(&resolve(&request)), ["b store: 1.9.0 of b", "host store: 1.9.0 of b"]);
}

#[test]
fn new_generation_is_not_bound_to_old_copies() {
    let host = participant("host: charts 1.0.0 =1.0.0");
    let old = participant("a: charts 1.1.0 =1.1.0").loaded(true);
    let mut live = Live::new();
    let first = resolve(&PlanRequest::new(&host, std::slice::from_ref(&old), VersionFirst));
    live.bind_assigned(&first, "host");
    live.bind_assigned(&first, "a");
    let new = participant("a: charts 1.2.0 ^1.2");
    let plan = resolve(&PlanRequest { live: &live, ..PlanRequest::new(&host, &[new], VersionFirst) });
    assert_eq!(lines(&plan), ["a charts: 1.2.0 of a", "host charts: 1.0.0 of host"]);
    assert!(!plan.assignment("a", "default", "charts").unwrap().live);
}

#[test]
fn running_participant_keeps_copy_at_late_singleton() {
    let host = participant("host: store 1.0.0 =1.0.0");
    let a = participant("a: store 1.1.0 =1.1.0 strict").loaded(true);
    let first = resolve(&PlanRequest::new(&host, std::slice::from_ref(&a), VersionFirst));
    let mut live = Live::new();
    live.bind_assigned(&first, "host");
    live.bind_assigned(&first, "a");
    let remotes = [a, participant("b: store noimport ^1 singleton")];
    let plan = resolve(&PlanRequest { live: &live, ..PlanRequest::new(&host, &remotes, VersionFirst) });
    assert_eq!(lines(&plan), ["a store: 1.1.0 of a", "b store: 1.1.0 of a", "host store: 1.0.0 of host"]);
    says(&plan, NotShared, Severity::Warning, "host", &["keeps `store` 1.0.0", "1.1.0 (from `a`)", "restart"]);
}

#[test]
fn excluded_copy_is_not_used() {
    let host = participant("host: store 1.0.0");
    let remotes = [participant("a: store 1.9.0"), participant("b: store noimport ^1.5")];
    let excluded = BTreeSet::from([ShareKey::new("a", "default", "store")]);
    let plan = resolve(&PlanRequest { excluded: &excluded, ..PlanRequest::new(&host, &remotes, VersionFirst) });
    assert_eq!(
        lines(&plan),
        ["a store: 1.9.0 of a", "host store: 1.0.0 of host", "b refused: provider-refused store"]
    );
    says(&plan, ProviderRefused, Severity::Error, "b", &["1.9.0 (from `a`)", "found to be unusable"]);
    let reason = &plan.explain("default", "store", "host").unwrap().candidates[0].reason;
    assert_eq!(reason, "it was found to be unusable");
}

#[test]
fn excluded_copy_stays_with_its_owner() {
    let host = participant("host:");
    let remotes = [participant("a: store 1.9.0 singleton").loaded(true), participant("b: store 1.0.0")];
    let mut live = Live::new();
    live.bind(ShareKey::new("a", "default", "store"), "a", version("1.9.0"));
    let excluded = BTreeSet::from([ShareKey::new("a", "default", "store")]);
    let request = PlanRequest::new(&host, &remotes, VersionFirst);
    let plan = resolve(&PlanRequest { live: &live, excluded: &excluded, ..request });
    assert_eq!(lines(&plan), ["a store: 1.9.0 of a", "b store: 1.0.0 of b"]);
    says(&plan, NotShared, Severity::Warning, "a", &["keeps `store` 1.9.0", "1.0.0 (from `b`)"]);
}

#[test]
fn duplicate_names_are_refused_except_the_host() {
    let plan = check(
        &["host: store 1.0.0", "a: store 1.9.0", "a: store 1.8.0", "b: store 1.0.0"],
        &["b store: 1.0.0 of host", "host store: 1.0.0 of host", "a refused: duplicate-name"],
    );
    assert!(plan.explain("default", "store", "a").is_none());
    let host = participant("host: store 1.0.0");
    let impostor = participant("host: store 9.0.0");
    let plan = resolve(&PlanRequest::new(&host, &[impostor], VersionFirst));
    assert_eq!(lines(&plan), ["host store: 1.0.0 of host", "host refused: duplicate-name"]);
    assert!(plan.is_refused("host"));
}

#[test]
fn bootstrap_loads_providers_before_their_users() {
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
    // A circle: each uses the other's copy.
    let plan = plan_of(
        VersionFirst,
        &["host:", "a: store 1.0.0; charts noimport *", "b: charts 1.0.0; store noimport *"],
    );
    assert_eq!(plan.bootstrap().len(), 2);
}

#[test]
fn every_candidate_has_a_reason() {
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
            "2.0.0 a: outside ^1.4.0 (required by `b`) and the ranges of 3 more",
            "1.4.0 b: the highest version that satisfies all 5 participants",
            "1.4.0 c: the same version as from `b`, which comes first by name",
            "1.1.0 d: outside ^1.4.0 (required by `b`) and the range of 1 more",
            "1.0.0 host: outside ^1.4.0 (required by `b`) and the ranges of 2 more",
        ]
    );
    let plan = plan_of(VersionFirst, &["host: store 1.0.0 singleton", "a: store 2.0.0", "b: store 1.1.0 ^2"]);
    assert_eq!(
        reasons(&plan, "host"),
        [
            "2.0.0 a: does not satisfy the host (^1.0.0)",
            "1.1.0 b: no version satisfies every participant; this one satisfies the host and leaves the fewest \
             demands unsatisfied (2 of 3)",
            "1.0.0 host: lower than 1.1.0",
        ]
    );
    let plan = plan_of(LoadedFirst, &["host: store 1.0.0", "a: store 1.2.0", "b: store 1.9.0 ^1"]);
    assert_eq!(
        reasons(&plan, "b"),
        [
            "1.9.0 b: not loaded, and a loaded copy fits (loaded-first)",
            "1.2.0 a: not loaded, and a loaded copy fits (loaded-first)",
            "1.0.0 host: the highest loaded version within ^1",
        ]
    );
    assert!(plan.explain("default", "charts", "b").is_none());
    assert!(plan.explain("default", "store", "unknown").is_none());
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
    let diagnostic = &json["diagnostics"][0];
    assert_eq!(
        (&diagnostic["code"], &diagnostic["severity"]),
        (&"version-mismatch-strict".into(), &"error".into())
    );
    assert_eq!(diagnostic["participant"], "a");
    assert!(diagnostic["message"].as_str().is_some_and(|message| message.contains("^99")));
}

#[test]
fn live_copy_is_chosen_among_equals() {
    let host = participant("host: store 1.0.0");
    let remotes = [participant("a: store 1.0.0").loaded(true), participant("b: store 1.0.0")];
    let mut live = Live::new();
    live.bind(ShareKey::new("a", "default", "store"), "a", version("1.0.0"));
    let plan = resolve(&PlanRequest { live: &live, ..PlanRequest::new(&host, &remotes, VersionFirst) });
    assert_eq!(lines(&plan), ["a store: 1.0.0 of a", "b store: 1.0.0 of a", "host store: 1.0.0 of a"]);
}

#[test]
fn copies_of_gone_providers_differ_by_name_and_build() {
    let host = participant("host: store 0.3.1 singleton");
    let mut live = Live::new();
    live.bind(ShareKey::new("x", "default", "store"), "b", version("1.0.0+build"));
    live.bind(ShareKey::new("y", "default", "store"), "a", version("1.0.0+1"));
    live.bind(ShareKey::new("z", "default", "store"), "a", version("1.0.0+2"));
    let plan = resolve(&PlanRequest { live: &live, ..PlanRequest::new(&host, &[], VersionFirst) });
    assert_eq!(lines(&plan), ["host store: 1.0.0+2 of a!"]);
    let candidates = plan.explain("default", "store", "host").unwrap().candidates;
    assert_eq!(candidates.iter().filter(|candidate| candidate.chosen).count(), 1);
}
