use crate::manifest::{HostManifest, RemoteManifest};

use super::Rehearsal;
use crate::manifest::{Origin, Written};

/// The crates in which a host of these tests keeps its own state.
pub(crate) const LINKED: &[&str] = &["shared-store", "telemetry"];

/// Returns a host with these entries of `shared`, in `host.json`.
pub(crate) fn host(shared: &str) -> Written<HostManifest> {
    host_with(shared, &[])
}

/// Returns the same host, which lets these remotes provide the crates that carry its state.
fn host_with(shared: &str, remotes: &[(&str, &str)]) -> Written<HostManifest> {
    let names: Vec<_> = remotes.iter().map(|(name, _)| *name).chain(["pulse"]).collect();
    let providers = serde_json::json!({ "shared-store": names, "telemetry": names });
    let text = format!(
        "{{ \"manifestVersion\": 1, \"name\": \"pulse\",\n\"shared\": {{ {shared} }},\n\"providers\": {providers} }}"
    );
    let manifest = HostManifest::from_json(&text).expect("the host's manifest");
    Written { manifest, origin: Origin::new("host.json", text, false) }
}

/// Returns a remote with these entries of `shared`, in a file of its name.
pub(crate) fn remote(&(name, shared): &(&str, &str)) -> Written<RemoteManifest> {
    let text = format!(
        "{{ \"manifestVersion\": 1, \"name\": \"{name}\", \"version\": \"1.0.0\", \"remoteEntry\": \"{name}\",\n\
         \"shared\": {{ {shared} }} }}"
    );
    let manifest = RemoteManifest::from_json(&text).expect("a remote's manifest");
    Written { manifest, origin: Origin::new(format!("{name}.json"), text, false) }
}

/// Returns a federation that starts with these participants.
pub(crate) fn rehearsal(shared: &str, remotes: &[(&str, &str)]) -> Rehearsal {
    Rehearsal::start(host_with(shared, remotes), LINKED, remotes.iter().map(remote).collect())
}

/// Asserts the plan of `joining` while `running` run.
#[track_caller]
fn check(running: &[(&str, &str)], joining: &[(&str, &str)], expected: &[&str]) -> Rehearsal {
    let host = host(r#""store": { "version": "1.0.0", "singleton": true }"#);
    let [running, joining] = [running, joining].map(|remotes| remotes.iter().map(remote).collect());
    let rehearsal = Rehearsal::join(host, LINKED, running, joining);
    let plan = rehearsal.plan();
    let assigned = plan.assignments().iter().map(|known| {
        let live = if known.live { " live" } else { "" };
        format!("{} {}: {} of {}{live}", known.consumer, known.key, known.version, known.provider)
    });
    let refused = plan.refused().iter();
    let refused = refused.map(|refusal| format!("{}: {}", refusal.participant, refusal.cause().code));
    assert_eq!(assigned.chain(refused).collect::<Vec<_>>(), expected);
    rehearsal
}

const STORE: &str = r#""store": { "version": "1.2.0" }"#;
const NEWER: &str = r#""store": { "version": "1.9.0", "requiredVersion": "^1" }"#;
const STRICT: &str = r#""store": { "version": "1.9.0", "strictVersion": true }"#;

#[test]
fn late_joiner_displaces_no_running_copy() {
    check(
        &[],
        &[("a", STORE), ("b", NEWER)],
        &["a store: 1.9.0 of b", "b store: 1.9.0 of b", "pulse store: 1.9.0 of b"],
    );
    let late = check(
        &[("a", STORE)],
        &[("b", NEWER), ("c", STRICT)],
        &[
            "a store: 1.2.0 of a live",
            "b store: 1.2.0 of a live",
            "pulse store: 1.2.0 of a live",
            "c: version-mismatch-strict",
        ],
    );
    assert_eq!(late.running().map(|(name, _)| name).collect::<Vec<_>>(), ["a"]);
    assert!(late.plan().bootstrap().is_empty(), "the provider runs already");
}

#[test]
fn new_generation_leaves_old_copies_in_use() {
    let charts = r#""charts": { "version": "1.0.0", "requiredVersion": "=1.0.0" }, "#;
    let newer = r#""charts": { "version": "2.0.0" }, "#;
    let rehearsal = check(
        &[("a", &[charts, STORE].concat())],
        &[("a", &[newer, NEWER].concat())],
        &["a charts: 2.0.0 of a", "a store: 1.2.0 of a live", "pulse store: 1.2.0 of a live"],
    );
    let joining: Vec<_> = rehearsal.joining().map(|(name, _, old)| (name, old.is_some())).collect();
    assert_eq!(joining, [("a", true)]);
    // The new generation may be refused although the old one runs.
    check(&[("a", STORE)], &[("a", STRICT)], &["pulse store: 1.2.0 of a live", "a: version-mismatch-strict"]);
}

#[test]
fn remote_refused_at_start_does_not_run() {
    let far = r#""store": { "version": "9.0.0", "strictVersion": true }"#;
    let rehearsal = check(
        &[("a", far)],
        &[("b", STORE)],
        &["b store: 1.0.0 of pulse live", "pulse store: 1.0.0 of pulse live", "a: version-mismatch-strict"],
    );
    assert_eq!(rehearsal.running().count(), 0);
}
