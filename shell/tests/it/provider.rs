//! Remotes that provide the store for the host and for each other.

use std::{
    fs,
    sync::{Arc, mpsc},
    time::Instant,
};

use negotiation::resolver::Slot;
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

/// A host without a store of its own, which two remotes have.
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

/// Whose copy of which version `consumer` is to use.
fn provider_of(shell: &Headless, consumer: &str, key: &str) -> (String, String) {
    let assignment =
        shell.federation.negotiator().plan().assignment(consumer, "default", key).expect("it wants the crate");
    (assignment.provider.to_string(), assignment.version.to_string())
}

/// How many surfaces say `text`.
fn saying(shell: &Headless, text: &str) -> usize {
    shell.screen().texts().filter(|said| *said == text).count()
}

fn sign_in(shell: &Headless) {
    let user = User { name: "Ada".to_owned(), ..User::default() };
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &Auth { user: Some(user), is_authenticated: true }).expect("the host may write");
}

#[test]
fn a_remote_provides_the_store_and_everybody_uses_it() {
    let mut shell = without_a_store().start();
    assert_eq!(provider(&shell), ANALYTICS.0);
    shell.drive("the host has the remote's store", |shell| shell.federation.store().is_some());
    shell.show(CALM.0, CALM.1);
    shell.show(ANALYTICS.0, ANALYTICS.1);
    sign_in(&shell);
    shell.drive("the provider reads what the host wrote", |shell| shell.screen().says("Viewing as: Ada"));
    shell.drive("the other remote runs on the same store", |shell| shell.has_picture(CALM.0, CALM.1));
}

#[test]
fn when_the_provider_does_not_load_another_one_provides() {
    let installation = without_a_store();
    let path = installation.path(&crate::support::library_file("pulse_analytics"));
    fs::write(&path, "a text").expect("the library can be replaced");
    let mut shell = installation.start();
    shell.drive("the host has a store all the same", |shell| shell.federation.store().is_some());
    assert_eq!(provider(&shell), CALM.0);
    let failure = shell.failure(ANALYTICS.0).expect("the first provider has failed");
    assert_eq!(failure.code.as_str(), "library-not-a-library");
    shell.show(CALM.0, CALM.1);
    sign_in(&shell);
    shell.drive("the second one is seen", |shell| shell.has_picture(CALM.0, CALM.1));
}

/// A remote whose manifest offers a crate that its build does not have, or does not say for as long as
/// [`ASLEEP`](liar::ASLEEP) is held.
mod liar {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

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

    /// The number of requests for `telemetry`, answered with a store.
    pub(super) static FORGED: AtomicUsize = AtomicUsize::new(0);

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
            FORGED.fetch_add(1, Ordering::SeqCst);
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
        RResult::RErr(RemoteError::new("unused", "it is never started"))
    }
}

/// A host without a store and a remote that offers one, from its start until the host has a store.
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
            Err(_) => assert!(!due.is_empty(), "nothing is to come, and there is no store"),
        }
    }
}

#[test]
fn a_provider_that_does_not_come_to_an_end_of_loading_is_not_waited_for() {
    let asleep = liar::ASLEEP.lock().expect("nobody panics with it");
    let federation = until_there_is_a_store(liar::sleepy_entry());
    let codes: Vec<_> = federation.negotiator().problems().iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["provider-slow"]);
    drop(asleep);
}

#[test]
fn a_provider_without_the_crate_that_it_offers_is_said_once_and_planned_without() {
    let mut federation = until_there_is_a_store(liar::remote_entry());
    for _ in 0..10 {
        federation.poll();
    }
    let codes: Vec<_> = federation.negotiator().problems().iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["shared-missing"]);
}

#[test]
fn a_provider_that_hands_over_something_else_is_not_used() {
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
        let delay = woken.recv_timeout(PATIENCE).expect("it is woken until it has found out");
        assert!(delay <= PATIENCE);
    }
    for _ in 0..10 {
        federation.poll();
    }
    let codes: Vec<_> = federation.negotiator().problems().iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["shared-forged"]);
    assert!(federation.negotiator().problems()[0].line().contains("`liar` was asked for `telemetry` 1.0.0"));
    assert_eq!(liar::FORGED.load(std::sync::atomic::Ordering::SeqCst), 1, "it is asked once");
    let store = federation.store().expect("the host's own");
    store.set(&AUTH, &Auth::default()).expect("the host may write");
}

/// A host with shared-store 1.0, and remotes that were built with 1.1 and with 1.0.
fn three_generations() -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().misbehaving);
    installation.grant_provider("shared-store", &["pulse", NEWER.0, BAD_LAYOUT]);
    installation
}

#[test]
fn a_remote_that_was_not_granted_it_provides_nothing() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    assert_eq!(provider(&shell), "pulse", "although the remote has a later version");
    assert_eq!(shell.federation.negotiator().plan().bootstrap(), []);
    let said = shell.federation.negotiator().plan().to_json()["diagnostics"].clone();
    let said = said.as_array().expect("a list").iter().find(|said| said["participant"] == NEWER.0).cloned();
    assert_eq!(said.expect("that is said")["code"], "provider-not-granted");
    sign_in_when_there_is_a_store(&mut shell);
    shell.show(NEWER.0, NEWER.1);
    shell.show(CALM.0, CALM.1);
    shell.drive("both read what the host wrote", |shell| saying(shell, "Viewing as: Ada") == 2);
    assert_eq!(shell.federation.negotiator().users_of(NEWER.0).count(), 0);
}

#[test]
fn a_remote_with_a_later_store_provides_it_to_the_host_and_to_others() {
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
    shell.drive("both read what the host wrote", |shell| saying(shell, "Viewing as: Ada") == 2);

    let users: Vec<_> =
        shell.federation.negotiator().users_of(NEWER.0).map(|user| user.participant.to_string()).collect();
    assert_eq!(users, ["pulse", CALM.0], "it is pinned by those who use its copy");
}

#[test]
fn a_provider_that_is_started_anew_goes_on_providing_what_is_in_use() {
    let mut shell = three_generations().start();
    shell.show(NEWER.0, NEWER.1);
    sign_in_when_there_is_a_store(&mut shell);
    shell.drive("it runs", |shell| saying(shell, "Viewing as: Ada") == 1);
    shell.federation.retry(NEWER.0);
    shell.show(NEWER.0, NEWER.1);
    shell.show(CALM.0, CALM.1);
    shell.drive("its next generation and a late joiner use the first one's store", |shell| {
        saying(shell, "Viewing as: Ada") == 2
    });
    let kept: Vec<_> =
        shell.federation.retiring().leaked().iter().map(|kept| kept.failure.code.as_str()).collect();
    assert_eq!(kept, ["library-pinned"], "the library that provides stays, and that is told");
    let offer = Slot::new(NEWER.0, "default", "shared-store");
    let reason = shell.federation.negotiator().reason(&offer).expect("it was chosen once");
    assert!(reason.contains("the highest version that satisfies"), "{reason}");
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &Auth::default()).expect("the host may write");
    shell.drive("which is still the host's", |shell| saying(shell, "Not authenticated") == 2);
}

fn sign_in_when_there_is_a_store(shell: &mut Headless) {
    shell.drive("the host has a store", |shell| shell.federation.store().is_some());
    sign_in(shell);
}

#[test]
fn a_crate_that_the_shell_does_not_know_is_shared_all_the_same() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().borrower);
    let mut shell = installation.start();
    assert_eq!(provider_of(&shell, BORROWER.0, "ledger"), (NEWER.0.to_owned(), "1.0.0".to_owned()));
    shell.show(BORROWER.0, BORROWER.1);
    shell.show(NEWER.0, "./sum");
    shell.drive("both show the sum", |shell| saying(shell, "Sum 0") == 2);
    shell.press("Add");
    shell.drive("both show the same sum", |shell| saying(shell, "Sum 1") == 2);
}

#[test]
fn consumer_stays_while_provider_keeps_its_callback() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().borrower);
    installation.tell(BORROWER.0, "lend");
    let mut shell = installation.start();
    shell.show(BORROWER.0, BORROWER.1);
    shell.show(NEWER.0, "./sum");
    shell.drive("both show the sum", |shell| saying(shell, "Sum 0") == 2);
    let data = installation.data_of(BORROWER.0);
    std::fs::remove_file(data.join("lend")).expect("it was there");
    shell.federation.retry(BORROWER.0);
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("its next generation is there", |shell| saying(shell, "Sum 0") == 2);
    shell.drive("the one that lends stays", |shell| !shell.federation.retiring().leaked().is_empty());
    let failure = shell.federation.retiring().leaked()[0].failure.clone();
    assert_eq!(failure.code.as_str(), "library-lent", "{failure}");
    shell.press("Add");
    shell.drive("both show the new sum", |shell| saying(shell, "Sum 1") == 2);
    let heard = std::fs::read_to_string(data.join("heard")).expect("the callback was called");
    assert_eq!(heard, "1", "by the provider, after its remote had ended");
    // One that has lent nothing goes at once, although it used the same copy.
    shell.federation.retry(BORROWER.0);
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("a third generation is there", |shell| saying(shell, "Sum 1") == 2);
    shell.drive("the second has ended", |shell| shell.federation.retiring().count() == 0);
    assert_eq!(shell.federation.retiring().leaked().len(), 1);
}

#[test]
fn a_consumer_is_tried_with_providers_that_are_not_loaded_yet() {
    let mut installation = Installation::new();
    installation.add(&libraries().newer_crates);
    installation.add(&libraries().borrower);
    installation.edit_host(|host| host["preflight"] = true.into());
    let mut config = installation.config();
    config.preflight =
        Some(pulse::preflight::Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), limit: PATIENCE });
    let mut shell = installation.start_with(config);
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("it runs at its first start", |shell| saying(shell, "Sum 0") == 1);
    assert!(shell.told.iter().all(|told| told.failure.is_none()), "{}", shell.describe());
}

#[test]
fn a_crate_that_nobody_has_is_missed_and_found_again() {
    let mut installation = Installation::new();
    installation.add(&libraries().borrower);
    let shell = installation.start();
    let failure = shell.failure(BORROWER.0).expect("nobody has a ledger");
    assert_eq!(failure.code.as_str(), "no-provider");
    assert!(failure.line().contains("ledger") && failure.line().contains("nobody offers it"), "{failure}");
}

#[test]
fn a_copy_whose_layout_contradicts_its_version_is_not_used_and_the_others_agree_without_it() {
    let mut installation = three_generations();
    installation.add(&libraries().bad_layout);
    installation.add(&libraries().borrower);
    let mut shell = installation.start();
    shell.show(CALM.0, CALM.1);
    shell.show(BORROWER.0, BORROWER.1);
    sign_in_when_there_is_a_store(&mut shell);
    shell.drive("the others agree on the next best copies", |shell| {
        saying(shell, "Viewing as: Ada") == 1 && saying(shell, "Sum 0") == 1
    });
    for (consumer, key) in [("pulse", "shared-store"), (CALM.0, "shared-store"), (BORROWER.0, "ledger")] {
        assert_eq!(provider_of(&shell, consumer, key).0, NEWER.0, "{consumer}, {key}");
    }
    contradicts(&shell, "`shared-store` 1.2.0", "`RString`");
    shell.drive("`bad-layout` itself cannot use what the others use", |shell| {
        shell.failure(BAD_LAYOUT).is_some()
    });
    assert_eq!(shell.failure(BAD_LAYOUT).expect("it has just been seen").code.as_str(), "shared-layout");
}

/// The shell has said, once, that the copy of `bad-layout` of `krate` differs by `difference`.
fn contradicts(shell: &Headless, krate: &str, difference: &str) {
    let problems: Vec<String> =
        shell.federation.negotiator().problems().iter().map(ToString::to_string).collect();
    let said: Vec<&String> = problems.iter().filter(|said| said.contains(krate)).collect();
    assert_eq!(said.len(), 1, "{problems:?}");
    for part in ["`remoteBadLayout`", difference, "rebuild", "[shared-layout]"] {
        assert!(said[0].contains(part), "{part} is in: {}", said[0]);
    }
}

#[test]
fn a_third_party_s_copy_is_held_to_its_version_too() {
    let mut installation = Installation::new();
    // Out of the way of what `bad-layout` calls the store.
    installation.edit_host(|host| host["shared"]["shared-store"]["shareScope"] = "other".into());
    installation.add(&libraries().bad_layout);
    installation.add(&libraries().borrower);
    let mut shell = installation.start();
    shell.show(BORROWER.0, BORROWER.1);
    shell.drive("nobody is left to provide", |shell| shell.failure(BORROWER.0).is_some());
    contradicts(&shell, "`ledger` 1.2.0", "`i16` instead of a `i32`");
    let failure = shell.failure(BORROWER.0).expect("it has just been seen");
    assert_eq!(failure.code.as_str(), "provider-refused");
    assert!(shell.failure(BAD_LAYOUT).is_none(), "its own copies do for itself");
}

#[test]
fn without_a_singleton_each_has_a_state_of_its_own() {
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
    shell.drive("the remote does not see who is signed in", |shell| saying(shell, "Not authenticated") == 1);
}
