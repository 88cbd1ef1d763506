//! The signed-in user of a shell without a window.

use std::sync::Arc;

use pulse::auth::AuthService;
use shared_store::{AUTH, AUTH_TOKEN, Auth};

use crate::support::{Installation, libraries};

#[test]
fn headless_shell_publishes_its_user() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&alias, "./calm");
    shell.drive("no user is signed in yet", |shell| shell.screen().shows("Not authenticated"));
    let store = shell.federation.store().expect("the host has a store").clone();
    let config = shell.federation.config();
    let service = AuthService::publish_to(store.clone(), &config.auth, &config.config_dir, Arc::new(|| ()));
    shell.drive("the remote reads the user", |shell| shell.screen().shows("Viewing as: Grace Hopper"));
    assert!(store.get(&AUTH).expect("the host may read").is_authenticated);
    assert!(store.get(&AUTH_TOKEN).expect("the host may read").is_some());
    service.sign_out();
    assert_eq!(*store.get(&AUTH).expect("the host may read"), Auth::default());
    assert_eq!(*store.get(&AUTH_TOKEN).expect("the host may read"), None);
    shell.drive("the remote shows no user", |shell| shell.screen().shows("Not authenticated"));
}
