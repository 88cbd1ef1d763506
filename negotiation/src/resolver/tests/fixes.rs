//! What is said of state that is not shared, and the lines to change.

use crate::manifest::ShareStrategy::VersionFirst;

use super::rules::{check, plan_of, says};
use crate::resolver::{Code, Plan, Severity};

/// What the plan says about that participant has this fix, written as `participant pointer value`.
#[track_caller]
fn fixes(plan: &Plan, participant: &str, code: Code, expected: Option<&str>) {
    let said = plan.diagnostics().iter().find(|said| said.code == code && *said.participant == *participant);
    let fix = said.unwrap_or_else(|| panic!("{code} of {participant} in {:?}", plan.diagnostics())).fix();
    let fix = fix.map(|edit| format!("{} {} {}", edit.participant, edit.pointer, edit.value));
    assert_eq!(fix.as_deref(), expected);
}

#[test]
fn what_is_not_a_singleton_shares_code_and_no_state() {
    let people = ["host: store 1.0.0", "a: store 1.4.0 ^1", "b: store 1.2.0", "c: charts 1.0.0 in=legacy"];
    let plan = check(
        &people,
        &[
            "a store: 1.4.0 of a",
            "b store: 1.4.0 of a",
            "c charts in legacy: 1.0.0 of c",
            "host store: 1.4.0 of a",
        ],
    );
    let words =
        ["uses 1.4.0 of `a` for `store`", "state of its own", "nobody in the scope declares `singleton`"];
    says(&plan, Code::NotSingleton, Severity::Warning, "b", &words);
    says(
        &plan,
        Code::NotSingleton,
        Severity::Warning,
        "host",
        &["true at /shared/store in the manifest of `host`"],
    );
    assert_eq!(plan.diagnostics().len(), 2, "{:?}", plan.diagnostics());
    assert!(plan.is_compatible());
    // As soon as anybody declares it, state is shared and there is nothing to say.
    let plan = plan_of(VersionFirst, &[&people[..3], &["d: store noimport * singleton"]].concat());
    assert_eq!(plan.diagnostics(), []);
    // Whoever is alone with a crate shares nothing.
    assert_eq!(plan_of(VersionFirst, &["host: store 1.0.0", "a: charts 1.0.0"]).diagnostics(), []);
}

#[test]
fn what_is_said_comes_with_the_line_to_change() {
    let own = "a /shared/store/singleton true";
    let plan = plan_of(VersionFirst, &["host: store 1.0.0", "a: store 1.4.0 =1.4.0", "b: store 0.9.0 ^3"]);
    fixes(&plan, "a", Code::OwnCopy, Some(own));
    fixes(&plan, "b", Code::OwnCopy, Some("b /shared/store/requiredVersion \"^0.9\""));
    fixes(
        &plan_of(VersionFirst, &["host: store 1.0.0", "a: store noimport ^1"]),
        "a",
        Code::NotSingleton,
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
    fixes(&plan, "a", Code::VersionMismatchStrict, Some("a /shared/store/requiredVersion \"^1.2\""));
    fixes(&plan, "b", Code::VersionMismatch, Some("b /shared/store/requiredVersion \"^1.2\""));
    fixes(&plan, "c", Code::NoProvider, None);

    let people = [
        "host: store 1.0.0; charts 1.0.0 singleton",
        "a: store noimport ^2",
        "b: store 2.0.0; charts 2.0.0 strict",
    ];
    fixes(&plan_of(VersionFirst, &people), "a", Code::ProviderRefused, None);
    fixes(
        &plan_of(VersionFirst, &people[..2]),
        "a",
        Code::NoProvider,
        Some("a /shared/store/requiredVersion \"^1.0\""),
    );
    fixes(
        &plan_of(VersionFirst, &["host:", "a:", "a:", "a2:"]),
        "a",
        Code::DuplicateName,
        Some("a /name \"a3\""),
    );
    let walls = ["host: store 1.0.0 singleton", "a: store 1.0.0 singleton in=legacy"];
    fixes(
        &plan_of(VersionFirst, &walls),
        "a",
        Code::SeparateScopes,
        Some("a /shared/store/shareScope \"default\""),
    );
    fixes(&plan_of(VersionFirst, &walls), "host", Code::SeparateScopes, None);
}
