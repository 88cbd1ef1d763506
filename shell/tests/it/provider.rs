//! Remotes that provide the store for the host and for each other.

use std::fs;

use serde_json::json;
use shared_store::{AUTH, Auth, User};

use crate::support::{Headless, Installation, libraries};

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
