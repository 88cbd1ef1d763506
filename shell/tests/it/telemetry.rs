//! Events of remotes in the host's log, with each provider of the crate `telemetry`.

use std::sync::Mutex;

use serde_json::json;
use tracing::Level;

use crate::support::{Headless, Installation, Line, libraries, log};

const ANALYTICS: (&str, &str) = ("remoteAnalytics", "./analytics-dashboard");
const CHATTY: (&str, &str) = ("remoteMisbehaving", "./chatty");

/// Held while a test counts lines: the chatty remote logs the same in each test.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn provider(shell: &Headless) -> String {
    let plan = shell.federation.negotiator().plan();
    plan.assignment(plan.host(), "default", "telemetry").expect("the host wants telemetry").provider.to_string()
}

/// Returns the lines of a remote that contain all `parts`.
fn lines(remote: &str, parts: &[&str]) -> Vec<Line> {
    let remote = format!("remote={remote} ");
    let has = |line: &Line| line.text.contains(&remote) && parts.iter().all(|part| line.text.contains(part));
    log().into_iter().filter(has).collect()
}

#[test]
fn the_import_of_the_flights_is_in_the_hosts_log() {
    let mut installation = Installation::new();
    installation.add(&libraries().analytics);
    let mut shell = installation.start();
    assert_eq!(provider(&shell), "pulse");
    shell.show(ANALYTICS.0, ANALYTICS.1);
    let parts = ["message=imported the flights ", "rows=336776 ", "milliseconds="];
    shell.drive("the import is in the log", |_| !lines(ANALYTICS.0, &parts).is_empty());
    let found = lines(ANALYTICS.0, &parts);
    assert!(found.iter().all(|l| l.level == Level::INFO && l.target == "pulse_analytics::database::import"));
}

/// Opens the chatty expose, closes the shell, and asserts that each line was logged again.
fn assert_every_event_is_logged(installation: &Installation, provided_by: &str) {
    let _one = ONE_AT_A_TIME.lock();
    let target = "fixture_misbehaving";
    let expected: [(Level, &str, &[&str]); 6] = [
        (Level::ERROR, target, &["message=an error ", "error=invalid digit found in string "]),
        (
            Level::WARN,
            target,
            &["message=a warning ", "yes=true ", "small=-1 ", "large=18446744073709551615 ", "half=0.5 "],
        ),
        (Level::INFO, target, &["an information ", "text=a\nb ", "shown=shown ", "debugged=Some(\"text\") "]),
        (Level::DEBUG, "chatty", &["message=a detail ", "spans=work{step=7} "]),
        (
            Level::TRACE,
            target,
            &["message=a trace ", "wide=-170141183460469231731687303715884105728 ", "bytes=[00 ff] "],
        ),
        (Level::INFO, target, &["message=the last words "]),
    ];
    let counts = || expected.map(|(_, _, parts)| lines(CHATTY.0, parts).len());
    let before = counts();
    let mut shell = installation.start();
    shell.show(CHATTY.0, CHATTY.1);
    shell.drive("it has logged its events", |shell| shell.screen().shows("Logged all events"));
    assert_eq!(provider(&shell), provided_by);
    // The last event is logged while the remote ends.
    drop(shell);
    assert_eq!(counts(), before.map(|count| count + 1), "{:?}", lines(CHATTY.0, &[]));
    for (level, target, parts) in expected {
        let found = lines(CHATTY.0, parts);
        assert!(found.iter().all(|l| (l.level, &*l.target) == (level, target)), "{parts:?}: {found:?}");
    }
}

#[test]
fn remote_events_keep_level_target_and_fields() {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    assert_every_event_is_logged(&installation, "pulse");
}

#[test]
fn telemetry_of_a_remote_reaches_the_hosts_log() {
    let mut installation = Installation::new();
    installation.add(&libraries().analytics);
    installation.add(&libraries().misbehaving);
    installation.edit_host(|host| {
        host["shared"]["telemetry"] = json!({ "requiredVersion": "^1.0", "import": false, "singleton": true });
    });
    installation.grant_provider("telemetry", &[ANALYTICS.0]);
    assert_every_event_is_logged(&installation, ANALYTICS.0);
}
