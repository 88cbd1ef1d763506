//! Permission to provide, reserved names, and near misses in names of crates.

use std::collections::BTreeSet;

use crate::manifest::{HostManifest, ShareStrategy::VersionFirst};

use super::rules::{plan_of, says};
use super::{entry, host, lines, participant};
use crate::resolver::{DiagnosticCode, Participant, Plan, PlanRequest, Providers, Severity, resolve};

/// Plans `remotes` with a host that shares `shared`, keeps state in `store` and lets `granted` provide it.
fn plan(shared: &str, granted: Option<&[&str]>, remotes: &[&str]) -> Plan {
    let shared = shared.split(';').filter(|entry| !entry.trim().is_empty()).map(entry).collect();
    let names: Option<BTreeSet<String>> =
        granted.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let providers = names.map(|names| ("store".to_owned(), names)).into_iter().collect();
    let manifest = HostManifest { providers, ..host(shared) };
    let remotes: Vec<Participant> = remotes.iter().map(|line| participant(line)).collect();
    let first = Participant::host(&manifest);
    let providers = Providers::of(&manifest, &["store"]);
    resolve(&PlanRequest { providers: &providers, ..PlanRequest::new(&first, &remotes, VersionFirst) })
}

fn fix(plan: &Plan, code: DiagnosticCode) -> Option<String> {
    let found = plan.diagnostics().iter().find(|one| one.code == code)?;
    found.fix().map(|edit| format!("{} {} {}", edit.participant, edit.pointer, edit.value))
}

#[test]
fn host_alone_provides_its_own_crates() {
    let spy = ["spy: store 1.9.0 ^1 singleton eager"];
    let safe = plan("store 1.0.0 ^1 singleton", None, &spy);
    assert_eq!(lines(&safe), ["host store: 1.0.0 of host", "spy store: 1.0.0 of host"]);
    says(
        &safe,
        DiagnosticCode::ProviderNotGranted,
        Severity::Info,
        "spy",
        &["1.9.0", "1.0.0 (from `host`)", "/providers/store"],
    );
    assert_eq!(
        fix(&safe, DiagnosticCode::ProviderNotGranted).as_deref(),
        Some(r#"host /providers/store ["host","spy"]"#)
    );
    let why = safe.explain("default", "store", "host").unwrap();
    assert!(why.candidates[0].reason.contains("provider-not-granted"), "{why:?}");
    assert!(safe.is_compatible());

    let granted = plan("store 1.0.0 ^1 singleton", Some(&["host", "spy"]), &spy);
    assert_eq!(lines(&granted), ["host store: 1.9.0 of spy", "spy store: 1.9.0 of spy"]);
    assert_eq!(granted.diagnostics(), []);
    // Every participant may provide other crates, and this one in scopes in which the host does not use it.
    let others = plan(
        "store 1.0.0",
        None,
        &["a: charts 1.0.0; store 2.0.0 singleton in=own", "b: charts noimport ^1; store noimport ^2 in=own"],
    );
    assert!(lines(&others).contains(&"b charts: 1.0.0 of a".to_owned()), "{:?}", lines(&others));
    assert!(lines(&others).contains(&"b store in own: 2.0.0 of a".to_owned()), "{:?}", lines(&others));
}

#[test]
fn copy_without_grant_serves_its_own_participant() {
    let plan = plan("store 1.0.0", None, &["a: store 2.0.0 ^2", "b: store noimport ^2"]);
    let expected =
        ["a store: 2.0.0 of a", "host store: 1.0.0 of host", "b refused: provider-not-granted store"];
    assert_eq!(lines(&plan), expected);
    says(
        &plan,
        DiagnosticCode::ProviderNotGranted,
        Severity::Error,
        "b",
        &["2.0.0 (from `a`)", "does not let it provide"],
    );
    assert_eq!(
        fix(&plan, DiagnosticCode::ProviderNotGranted).as_deref(),
        Some(r#"host /providers/store ["a","host"]"#)
    );
}

#[test]
fn host_without_copy_or_grant_has_a_diagnostic() {
    let plan = plan("store noimport ^1 singleton", None, &["a: store 1.0.0"]);
    assert_eq!(lines(&plan), ["a refused: provider-not-granted store", "host refused: host-unsatisfied store"]);
    says(
        &plan,
        DiagnosticCode::HostUnsatisfied,
        Severity::Error,
        "host",
        &["1.0.0 (from `a`)", "/providers/store"],
    );
}

#[test]
fn remotes_with_reserved_names_are_refused() {
    let plan =
        plan_of(VersionFirst, &["host: store 1.0.0", "Auth: store 2.0.0 singleton", "auth.token:", "author:"]);
    let expected =
        ["host store: 1.0.0 of host", "Auth refused: name-reserved", "auth.token refused: name-reserved"];
    assert_eq!(lines(&plan), expected);
    assert_eq!(plan.admitted().collect::<Vec<_>>(), ["author"]);
    assert_eq!(fix(&plan, DiagnosticCode::NameReserved).as_deref(), Some(r#"Auth /name "remote-Auth2""#));
}

#[test]
fn similar_keys_have_a_warning() {
    for key in ["shared_store", "Shared-Store", "sharedstore"] {
        let other = format!("a: {key} 1.0.0 singleton");
        let plan =
            plan_of(VersionFirst, &["host: shared-store 1.0.0 singleton", &other, "b: shared-store 1.0.0"]);
        let words = [key, "did you mean `shared-store`?", &format!("/shared/{key}")];
        says(&plan, DiagnosticCode::SharedKeySimilar, Severity::Warning, "a", &words);
        let place = plan.diagnostics()[0].written_at();
        assert_eq!(place, [("a", format!("/shared/{key}"))]);
        let plan = plan_of(VersionFirst, &["host: shared-store 1.0.0", &format!("a: {key} noimport ^1")]);
        says(&plan, DiagnosticCode::NoProvider, Severity::Error, "a", &["did you mean `shared-store`?"]);
    }
    let plan = plan_of(VersionFirst, &["host: charts 1.0.0", "a: charts2 1.0.0 in=default", "b: sharts 1.0.0"]);
    assert_eq!(plan.diagnostics(), []);
}
