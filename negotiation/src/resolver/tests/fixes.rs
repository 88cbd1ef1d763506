//! Diagnostics of state that is not shared, and the edits that they suggest.

use crate::manifest::ShareStrategy::VersionFirst;

use super::rules::{check, plan_of, says};
use crate::resolver::{DiagnosticCode, Plan, Severity};

/// Asserts that the diagnostic of that participant has this fix, written as `participant pointer value`.
#[track_caller]
fn fixes(plan: &Plan, participant: &str, code: DiagnosticCode, expected: Option<&str>) {
    let found = plan.diagnostics().iter().find(|one| one.code == code && *one.participant == *participant);
    let fix = found.unwrap_or_else(|| panic!("{code} of {participant} in {:?}", plan.diagnostics())).fix();
    let fix = fix.map(|edit| format!("{} {} {}", edit.participant, edit.pointer, edit.value));
    assert_eq!(fix.as_deref(), expected);
}

#[test]
fn crate_without_singleton_shares_code_not_state() {
    let participants =
        ["host: store 1.0.0", "a: store 1.4.0 ^1", "b: store 1.2.0", "c: charts 1.0.0 in=legacy"];
    let plan = check(
        &participants,
        &[
            "a store: 1.4.0 of a",
            "b store: 1.4.0 of a",
            "c charts in legacy: 1.0.0 of c",
            "host store: 1.4.0 of a",
        ],
    );
    let words =
        ["uses `store` 1.4.0 (from `a`)", "separate state", "no participant in the scope declares `singleton`"];
    says(&plan, DiagnosticCode::NotSingleton, Severity::Warning, "b", &words);
    says(
        &plan,
        DiagnosticCode::NotSingleton,
        Severity::Warning,
        "host",
        &["true at /shared/store in the manifest of `host`"],
    );
    assert_eq!(plan.diagnostics().len(), 2, "{:?}", plan.diagnostics());
    assert!(plan.is_compatible());
    // Once a participant declares a singleton, state is shared and there is no diagnostic.
    let plan = plan_of(VersionFirst, &[&participants[..3], &["d: store noimport * singleton"]].concat());
    assert_eq!(plan.diagnostics(), []);
    // A participant that is alone with a crate shares nothing.
    assert_eq!(plan_of(VersionFirst, &["host: store 1.0.0", "a: charts 1.0.0"]).diagnostics(), []);
}

#[test]
fn diagnostics_have_the_edit_that_remedies_them() {
    let own = "a /shared/store/singleton true";
    let plan = plan_of(VersionFirst, &["host: store 1.0.0", "a: store 1.4.0 =1.4.0", "b: store 0.9.0 ^3"]);
    fixes(&plan, "a", DiagnosticCode::OwnCopy, Some(own));
    fixes(&plan, "b", DiagnosticCode::OwnCopy, Some("b /shared/store/requiredVersion \"^0.9\""));
    fixes(
        &plan_of(VersionFirst, &["host: store 1.0.0", "a: store noimport ^1"]),
        "a",
        DiagnosticCode::NotSingleton,
        Some(own),
    );

    let plan = plan_of(
        VersionFirst,
        &[
            "host: store 1.2.3 singleton",
            "a: store 1.0.0 ^99 strict",
            "b: store 1.0.0 ^9",
            "c: store noimport ^7 in=x",
        ],
    );
    fixes(&plan, "a", DiagnosticCode::VersionMismatchStrict, Some("a /shared/store/requiredVersion \"^1.2\""));
    fixes(&plan, "b", DiagnosticCode::VersionMismatch, Some("b /shared/store/requiredVersion \"^1.2\""));
    fixes(&plan, "c", DiagnosticCode::NoProvider, None);

    let participants = [
        "host: store 1.0.0; charts 1.0.0 singleton",
        "a: store noimport ^2",
        "b: store 2.0.0; charts 2.0.0 strict",
    ];
    fixes(&plan_of(VersionFirst, &participants), "a", DiagnosticCode::ProviderRefused, None);
    fixes(
        &plan_of(VersionFirst, &participants[..2]),
        "a",
        DiagnosticCode::NoProvider,
        Some("a /shared/store/requiredVersion \"^1.0\""),
    );
    fixes(
        &plan_of(VersionFirst, &["host:", "a:", "a:", "a2:"]),
        "a",
        DiagnosticCode::DuplicateName,
        Some("a /name \"a3\""),
    );
    let separate_scopes = ["host: store 1.0.0 singleton", "a: store 1.0.0 singleton in=legacy"];
    fixes(
        &plan_of(VersionFirst, &separate_scopes),
        "a",
        DiagnosticCode::SeparateScopes,
        Some("a /shared/store/shareScope \"default\""),
    );
    fixes(&plan_of(VersionFirst, &separate_scopes), "host", DiagnosticCode::SeparateScopes, None);
}
