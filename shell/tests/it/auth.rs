//! The signed-in user of a shell without a window.

use std::sync::Arc;

use pulse::auth::AuthService;
use shared_store::{AUTH, AUTH_TOKEN, Auth};

use crate::{
    driver::{Desktop, Window},
    support::{Installation, libraries},
};

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

#[test]
fn windows_sign_in_and_out_together() {
    let (desktop, mut installation) = (Desktop::new(), Installation::new());
    installation.add_library(&libraries().scripted);
    let open = |data: &str| {
        let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
        command.arg("--config").arg(installation.path("host.json"));
        command.arg("--data-dir").arg(installation.path(data));
        desktop.open(command)
    };
    let is_in = |window: &mut Window| _ = window.wait_for("Viewing as: Grace Hopper");
    let is_out = |window: &mut Window| {
        window.wait_for("Signed out");
        window.gone("Viewing as: Grace Hopper");
    };
    let (mut first, mut second) = (open("data"), open("other-data"));
    is_in(&mut first);
    is_in(&mut second);
    first.click("Sign out");
    is_out(&mut first);
    is_out(&mut second);
    // One that starts later follows too, and any of them decides.
    let mut third = open("third-data");
    is_out(&mut third);
    third.click("Sign in");
    for window in [&mut first, &mut second, &mut third] {
        is_in(window);
    }
    // One that was killed leaves a socket, which does no harm.
    drop(first);
    second.click("Sign out");
    is_out(&mut third);
    let mut fourth = open("data");
    is_out(&mut fourth);
    fourth.click("Sign in");
    is_in(&mut third);
}
