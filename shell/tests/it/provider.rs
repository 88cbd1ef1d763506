//! Remotes that provide the store for the host and for each other.

use std::{
    fs,
    sync::{Arc, mpsc},
};

use pulse::{federation::Federation, theme};
use serde_json::json;
use shared_store::{AUTH, Auth, User};

use crate::support::{Headless, Installation, PATIENCE, libraries};

const ANALYTICS: (&str, &str) = ("remoteAnalytics", "./analytics-dashboard");
const CALM: (&str, &str) = ("remoteFixtures", "./calm");

/// A host without a store of its own, which two remotes have.
fn without_a_store() -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().analytics);
    installation.add(&libraries().fixtures);
    installation.edit_host(|host| {
        host["shared"]["shared-store"] =
            json!({ "requiredVersion": "^1.0", "import": false, "singleton": true });
    });
    installation
}

fn provider(shell: &Headless) -> String {
    let plan = shell.federation.plan();
    let assignment = plan.assignment(plan.host(), "default", "shared-store").expect("the host wants a store");
    assignment.provider.to_string()
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
    assert_eq!(provider(&shell), ANALYTICS.0, "its manifest, beside the library, is good");
    shell.drive("the host has a store all the same", |shell| shell.federation.store().is_some());
    assert_eq!(provider(&shell), CALM.0);
    let failure = shell.failure(ANALYTICS.0).expect("the first provider has failed");
    assert_eq!(failure.code, "library-not-a-library");
    shell.show(CALM.0, CALM.1);
    sign_in(&shell);
    shell.drive("the second one is seen", |shell| shell.has_picture(CALM.0, CALM.1));
}

/// A remote whose manifest offers a crate that its build does not have.
mod liar {
    use abi_stable::std_types::{RResult, RStr, RVec};
    use plugin_api::{
        abi::{InitContext, RemoteBox, RemoteEntryRef, RemoteError, SharedModule},
        entry::{Root, entry, root},
    };

    pub(super) fn remote_entry() -> RemoteEntryRef {
        const ROOT: &Root = &root(descriptor, shared, init);
        entry(ROOT)
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

#[test]
fn a_provider_without_the_crate_that_it_offers_is_said_once_and_planned_without() {
    let config = without_a_store().config();
    let (wake, woken) = mpsc::channel();
    let wake = move |_| {
        let _ = wake.send(());
    };
    let mut federation = Federation::linked(config, liar::remote_entry(), theme::fonts(), Arc::new(wake))
        .expect("its manifest is well-formed");
    assert_eq!(&*federation.plan().bootstrap(), &["liar".into()], "it is to provide for the host");
    while federation.store().is_none() {
        federation.poll();
        if federation.store().is_none() {
            woken.recv_timeout(PATIENCE).expect("the provider loads");
        }
    }
    for _ in 0..10 {
        federation.poll();
    }
    let codes: Vec<_> = federation.problems().iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["shared-missing"]);
}
