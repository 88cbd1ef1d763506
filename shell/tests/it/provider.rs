//! Remotes that provide the store and other crates for the host and for each other.

use std::{
    fs,
    sync::{Arc, mpsc},
    time::Instant,
};

use negotiation::resolver::ShareKey;
use plugin_api::abi::RemoteEntryRef;
use pulse::federation::Federation;
use pulse::fonts;
use serde_json::json;
use shared_store::{AUTH, Auth, User};

use crate::support::{Headless, Installation, PATIENCE, libraries};

const ANALYTICS: (&str, &str) = ("remoteAnalytics", "./analytics-dashboard");
const CALM: (&str, &str) = ("remoteMisbehaving", "./calm");
const NEWER: (&str, &str) = ("remoteNewerCrates", "./calm");
const BORROWER: (&str, &str) = ("remoteBorrower", "./sum");
const BAD_LAYOUT: &str = "remoteBadLayout";

/// Installs a host without its own store, and two remotes with one.
fn without_a_store() -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().analytics);
    installation.add(&libraries().misbehaving);
    installation.edit_host(|host| {
        host["shared"]["shared-store"] =
            json!({ "requiredVersion": "^1.0", "import": false, "singleton": true });
    });
    installation.grant_provider("shared-store", &[ANALYTICS.0, CALM.0, "liar"]);
    installation
}

fn provider(shell: &Headless) -> String {
    let plan = shell.federation.negotiator().plan();
    provider_of(shell, plan.host(), "shared-store").0
}

/// Returns the provider and the version of `key` that the plan assigns to `consumer`.
fn provider_of(shell: &Headless, consumer: &str, key: &str) -> (String, String) {
    let assignment = shell
        .federation
        .negotiator()
        .plan()
        .assignment(consumer, "default", key)
        .expect("it demands the crate");
    (assignment.provider.to_string(), assignment.version.to_string())
}

/// Returns the number of places that show `text`.
fn showing(shell: &Headless, text: &str) -> usize {
    shell.screen().texts().filter(|shown| *shown == text).count()
}

fn sign_in(shell: &Headless) {
    let user = User { name: "Ada".to_owned(), ..User::default() };
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &Auth { user: Some(user), is_authenticated: true }).expect("the host may write");
}

#[test]
fn every_participant_uses_store_of_a_remote() {
    let mut shell = without_a_store().start();
    assert_eq!(provider(&shell), ANALYTICS.0);
    shell.drive("the host has the remote's store", |shell| shell.federation.store().is_some());
    shell.show(CALM.0, CALM.1);
    shell.show(ANALYTICS.0, ANALYTICS.1);
    sign_in(&shell);
    shell.drive("the provider reads what the host wrote", |shell| shell.screen().shows("Viewing as: Ada"));
    shell.drive("the other remote runs on the same store", |shell| shell.has_picture(CALM.0, CALM.1));
}

#[test]
fn second_provider_replaces_one_that_does_not_load() {
    let installation = without_a_store();
    let path = installation.path(&crate::support::library_file("pulse_analytics"));
    fs::write(&path, "a text").expect("the library can be replaced");
    let mut shell = installation.start();
    shell.drive("the host has a store from another remote", |shell| shell.federation.store().is_some());
    assert_eq!(provider(&shell), CALM.0);
    let failure = shell.failure(ANALYTICS.0).expect("the first provider has failed");
    assert_eq!(failure.code.as_str(), "library-not-a-library");
    shell.show(CALM.0, CALM.1);
    sign_in(&shell);
    shell.drive("the second remote has a picture", |shell| shell.has_picture(CALM.0, CALM.1));
}

/// A remote whose manifest offers a crate that its build does not have, or lists no crates while
/// [`ASLEEP`](liar::ASLEEP) is held.
mod liar {
    use std::sync::{Mutex, PoisonError};

    use abi_stable::std_types::{RResult, RStr, RVec};
    use plugin_api::{
        abi::{InitContext, RemoteBox, RemoteEntryRef, RemoteError, SharedModule},
        entry::{Root, entry, root},
        shared::{Consumer, Interface, module},
    };
    use shared_store::bundled::Table;

    pub(super) static ASLEEP: Mutex<()> = Mutex::new(());

    pub(super) fn remote_entry() -> RemoteEntryRef {
        const ROOT: &Root = &root(descriptor, shared, init);
        entry(ROOT)
    }

    pub(super) fn sleepy_entry() -> RemoteEntryRef {
        const ROOT: &Root = &root(descriptor, wait, init);
        entry(ROOT)
    }

    /// Consumers whose requests for `telemetry` were answered with a store.
    pub(super) static FORGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    pub(super) fn forging_entry() -> RemoteEntryRef {
        const ROOT: &Root = &root(forging, forged, init);
        entry(ROOT)
    }

    extern "C" fn forging() -> RStr<'static> {
        RStr::from_str(
            r#"{ "manifestVersion": 1, "name": "liar", "version": "1.0.0", "remoteEntry": "liar",
                 "shared": { "telemetry": { "version": "1.0.0", "singleton": true } } }"#,
        )
    }

    extern "C" fn forged() -> RVec<SharedModule> {
        extern "C" fn bind(consumer: Consumer) -> RResult<Interface, RemoteError> {
            FORGED.lock().unwrap_or_else(PoisonError::into_inner).push(consumer.name.to_string());
            RResult::ROk(Interface::new("shared-store", "1.0.0", Table::new().bind(consumer)))
        }
        vec![SharedModule { bind, ..module::<telemetry::Shared>() }].into()
    }

    extern "C" fn wait() -> RVec<SharedModule> {
        drop(ASLEEP.lock());
        RVec::new()
    }

    extern "C" fn descriptor() -> RStr<'static> {
        RStr::from_str(
            r#"{ "manifestVersion": 1, "name": "liar", "version": "1.0.0", "remoteEntry": "liar",
                 "shared": { "shared-store": { "version": "1.0.0", "singleton": true } } }"#,
        )
    }

    extern "C" fn shared() -> RVec<SharedModule> {
        RVec::new()
    }

    extern "C" fn init(_: InitContext) -> RResult<RemoteBox, RemoteError> {
        RResult::RErr(RemoteError::new("unused", "this remote is never started"))
    }
}

/// Starts a host without a store, with two remotes that have one and a linked `entry` that offers one; returns once
/// the host has a store.
fn until_there_is_a_store(entry: RemoteEntryRef) -> Federation {
    let (wake, woken) = mpsc::channel();
    let wake = move |delay| {
        let _ = wake.send(Instant::now() + delay);
    };
    let config = without_a_store().config();
    let mut federation =
        Federation::linked(config, entry, fonts::all(), Arc::new(wake)).expect("its manifest is well-formed");
    let mut due: Vec<Instant> = Vec::new();
    loop {
        federation.poll();
        if federation.store().is_some() {
            return federation;
        }
        due.retain(|at| *at > Instant::now());
        let next = due.iter().min().map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
        match woken.recv_timeout(next) {
            Ok(at) => due.push(at),
            Err(_) => assert!(!due.is_empty(), "no wake-up is due, and the host has no store"),
        }
    }
}

#[test]
fn slow_provider_is_not_waited_for() {
    let asleep = liar::ASLEEP.lock().expect("no panic while it is locked");
    let federation = until_there_is_a_store(liar::sleepy_entry());
    let codes: Vec<_> = federation.negotiator().problems().iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["provider-slow"]);
    drop(asleep);
}

#[test]
fn missing_offer_is_reported_once_and_planned_around() {
    let mut federation = until_there_is_a_store(liar::remote_entry());
    for _ in 0..10 {
        federation.poll();
    }
    let codes: Vec<_> = federation.negotiator().problems().iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["shared-missing"]);
}

#[test]
fn forged_interface_is_not_used() {
    let mut installation = Installation::new();
    installation.edit_host(|host| {
        host["shared"]["telemetry"] = json!({ "requiredVersion": "^1.0", "import": false, "singleton": true });
    });
    installation.grant_provider("telemetry", &["liar"]);
    let (wake, woken) = mpsc::channel();
    let wake = move |delay| {
        let _ = wake.send(delay);
    };
    let entry = liar::forging_entry();
    let mut federation = Federation::linked(installation.config(), entry, fonts::all(), Arc::new(wake))
        .expect("its manifest is well-formed");
    while federation.negotiator().problems().is_empty() {
        federation.poll();
        let delay = woken.recv_timeout(PATIENCE).expect("wake-ups until the problem is found");
        assert!(delay <= PATIENCE);
    }
    for _ in 0..10 {
        federation.poll();
    }
    let codes: Vec<_> = federation.negotiator().problems().iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["shared-forged"]);
    assert!(federation.negotiator().problems()[0].line().contains("`liar` was asked for `telemetry` 1.0.0"));
    let asked = liar::FORGED.lock().expect("no panic while it is locked").clone();
    assert_eq!(asked.iter().filter(|name| **name == "pulse").count(), 1, "{asked:?}");
    let store = federation.store().expect("the host's own");
    store.set(&AUTH, &Auth::default()).expect("the host may write");
}

/// Installs a host with shared-store 1.0, and remotes that were built with 1.1 and with 1.0.
fn three_generations() -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().misbehaving);
    installation.grant_provider("shared-store", &["pulse", NEWER.0, BAD_LAYOUT]);
    installation
}

#[test]
fn remote_without_grant_provides_nothing() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    assert_eq!(provider(&shell), "pulse", "although the remote has a later version");
    assert_eq!(shell.federation.negotiator().plan().bootstrap(), []);
    let plan = shell.federation.negotiator().plan().to_json();
    let diagnostics = plan["diagnostics"].as_array().expect("a list");
    let diagnostic = diagnostics.iter().find(|one| one["participant"] == NEWER.0);
    assert_eq!(diagnostic.expect("a diagnostic of the remote")["code"], "provider-not-granted");
    sign_in_when_there_is_a_store(&mut shell);
    shell.show(NEWER.0, NEWER.1);
    shell.show(CALM.0, CALM.1);
    shell.drive("both read what the host wrote", |shell| showing(shell, "Viewing as: Ada") == 2);
    assert_eq!(shell.federation.negotiator().users_of(NEWER.0).count(), 0);
}

#[test]
fn later_store_is_provided_to_host_and_others() {
    let mut shell = three_generations().start();
    assert_eq!(
        &*shell.federation.negotiator().plan().bootstrap(),
        &[NEWER.0.into()],
        "it loads before it is shown"
    );
    for consumer in ["pulse", NEWER.0, CALM.0] {
        let expected = (NEWER.0.to_owned(), "1.1.0".to_owned());
        assert_eq!(provider_of(&shell, consumer, "shared-store"), expected, "{consumer}");
    }
    shell.drive("the host has the remote's store", |shell| shell.federation.store().is_some());
    shell.show(NEWER.0, NEWER.1);
    shell.show(CALM.0, CALM.1);
    sign_in(&shell);
    shell.drive("both read what the host wrote", |shell| showing(shell, "Viewing as: Ada") == 2);

    let users: Vec<_> =
        shell.federation.negotiator().users_of(NEWER.0).map(|user| user.participant.to_string()).collect();
    assert_eq!(users, ["pulse", CALM.0], "the users of its copy keep it loaded");
}

#[test]
fn restarted_provider_keeps_providing_copies_in_use() {
    let mut shell = three_generations().start();
    shell.show(NEWER.0, NEWER.1);
    sign_in_when_there_is_a_store(&mut shell);
    shell.drive("it runs", |shell| showing(shell, "Viewing as: Ada") == 1);
    shell.federation.retry(NEWER.0);
    shell.show(NEWER.0, NEWER.1);
    shell.show(CALM.0, CALM.1);
    shell.drive("its next generation and a late remote use the first generation's store", |shell| {
        showing(shell, "Viewing as: Ada") == 2
    });
    let leaked: Vec<_> =
        shell.federation.retiring().leaked().iter().map(|one| one.failure.code.as_str()).collect();
    assert_eq!(leaked, ["library-pinned"], "the provider stays loaded");
    let offer = ShareKey::new(NEWER.0, "default", "shared-store");
    let reason = shell.federation.negotiator().reason(&offer).expect("the reason of its choice");
    assert!(reason.contains("the highest version that satisfies"), "{reason}");
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &Auth::default()).expect("the host may write");
    shell.drive("both follow the host's store", |shell| showing(shell, "Not authenticated") == 2);
}

fn sign_in_when_there_is_a_store(shell: &mut Headless) {
    shell.drive("the host has a store", |shell| shell.federation.store().is_some());
    sign_in(shell);
}

#[test]
fn crate_unknown_to_the_shell_is_shared() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().borrower);
    let mut shell = installation.start();
    assert_eq!(provider_of(&shell, BORROWER.0, "ledger"), (NEWER.0.to_owned(), "1.0.0".to_owned()));
    shell.show(BORROWER.0, BORROWER.1);
    shell.show(NEWER.0, "./sum");
    shell.drive("both show the sum", |shell| showing(shell, "Sum 0") == 2);
    shell.press("Add");
    shell.drive("both show the same sum", |shell| showing(shell, "Sum 1") == 2);
}

#[test]
fn consumer_stays_while_provider_keeps_its_callback() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().borrower);
    installation.place_marker(BORROWER.0, "lend");
    let mut shell = installation.start();
    shell.show(BORROWER.0, BORROWER.1);
    shell.show(NEWER.0, "./sum");
    shell.drive("both show the sum", |shell| showing(shell, "Sum 0") == 2);
    let data = installation.data_of(BORROWER.0);
    std::fs::remove_file(data.join("lend")).expect("it was there");
    shell.federation.retry(BORROWER.0);
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("its next generation is there", |shell| showing(shell, "Sum 0") == 2);
    shell.drive("the lender stays loaded", |shell| !shell.federation.retiring().leaked().is_empty());
    let failure = shell.federation.retiring().leaked()[0].failure.clone();
    assert_eq!(failure.code.as_str(), "library-lent", "{failure}");
    shell.press("Add");
    shell.drive("both show the new sum", |shell| showing(shell, "Sum 1") == 2);
    let received = std::fs::read_to_string(data.join("received")).expect("the callback was called");
    assert_eq!(received, "1", "the provider called it after its remote had ended");
    // A generation that has lent nothing is unloaded at once, although it used the same copy.
    shell.federation.retry(BORROWER.0);
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("a third generation is there", |shell| showing(shell, "Sum 1") == 2);
    shell.drive("the second has ended", |shell| shell.federation.retiring().count() == 0);
    assert_eq!(shell.federation.retiring().leaked().len(), 1);
}

#[test]
fn consumer_is_tried_with_unloaded_providers() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().borrower);
    installation.edit_host(|host| host["preflight"] = true.into());
    let mut config = installation.config();
    config.preflight =
        Some(pulse::preflight::Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), limit: PATIENCE });
    let mut shell = installation.start_with(config);
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("it runs at its first start", |shell| showing(shell, "Sum 0") == 1);
    assert!(shell.notifications.iter().all(|notice| notice.failure.is_none()), "{}", shell.describe());
}

#[test]
fn crate_without_provider_refuses_its_consumer() {
    let mut installation = Installation::new();
    installation.add(&libraries().borrower);
    let shell = installation.start();
    let failure = shell.failure(BORROWER.0).expect("no participant offers a ledger");
    assert_eq!(failure.code.as_str(), "no-provider");
    assert!(
        failure.line().contains("ledger") && failure.line().contains("no participant offers it"),
        "{failure}"
    );
}

#[test]
fn copy_with_wrong_layout_is_planned_around() {
    let mut installation = three_generations();
    installation.add(&libraries().bad_layout);
    installation.add(&libraries().borrower);
    let mut shell = installation.start();
    shell.show(CALM.0, CALM.1);
    shell.show(BORROWER.0, BORROWER.1);
    sign_in_when_there_is_a_store(&mut shell);
    shell.drive("the others agree on the next best copies", |shell| {
        showing(shell, "Viewing as: Ada") == 1 && showing(shell, "Sum 0") == 1
    });
    for (consumer, key) in [("pulse", "shared-store"), (CALM.0, "shared-store"), (BORROWER.0, "ledger")] {
        assert_eq!(provider_of(&shell, consumer, key).0, NEWER.0, "{consumer}, {key}");
    }
    assert_contradiction(&shell, "`shared-store` 1.2.0", "`RString`");
    shell.drive("`bad-layout` itself cannot use the others' copy", |shell| shell.failure(BAD_LAYOUT).is_some());
    assert_eq!(shell.failure(BAD_LAYOUT).expect("the awaited failure").code.as_str(), "shared-layout");
}

/// Asserts that the shell has reported once that the copy of `krate` in `bad-layout` differs by `difference`.
fn assert_contradiction(shell: &Headless, krate: &str, difference: &str) {
    let problems: Vec<String> =
        shell.federation.negotiator().problems().iter().map(ToString::to_string).collect();
    let found: Vec<&String> = problems.iter().filter(|problem| problem.contains(krate)).collect();
    assert_eq!(found.len(), 1, "{problems:?}");
    for part in ["`remoteBadLayout`", difference, "rebuild", "[shared-layout]"] {
        assert!(found[0].contains(part), "{part} is not in: {}", found[0]);
    }
}

#[test]
fn third_party_copy_is_held_to_its_version() {
    let mut installation = Installation::new();
    // Another scope: `bad-layout` offers a store, too.
    installation.edit_host(|host| host["shared"]["shared-store"]["shareScope"] = "other".into());
    installation.add(&libraries().bad_layout);
    installation.add(&libraries().borrower);
    let mut shell = installation.start();
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("no provider is left", |shell| shell.failure(BORROWER.0).is_some());
    assert_contradiction(&shell, "`ledger` 1.2.0", "`i16` instead of a `i32`");
    let failure = shell.failure(BORROWER.0).expect("the awaited failure");
    assert_eq!(failure.code.as_str(), "provider-refused");
    assert!(shell.failure(BAD_LAYOUT).is_none(), "it uses its own copies");
}

#[test]
fn crate_without_singleton_shares_no_state() {
    let mut installation = Installation::new();
    installation.edit_host(|host| host["shared"]["shared-store"]["singleton"] = false.into());
    let alias = installation.add_edited(
        &libraries().misbehaving,
        r#""shared-store": { "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true,"#,
        r#""shared-store": { "version": "1.0.0", "requiredVersion": "^1.0", "singleton":false,"#,
    );
    let mut shell = installation.start();
    assert_eq!(provider_of(&shell, &alias, "shared-store").0, "pulse", "the code is shared");
    shell.show(CALM.0, CALM.1);
    sign_in_when_there_is_a_store(&mut shell);
    shell.drive("the remote does not see who is signed in", |shell| showing(shell, "Not authenticated") == 1);
}
