//! Releases in running shells: policies, preloading, pins and withdrawals.

use pulse::federation::{RemoteEvent, RemoteOrigin};

use super::{
    BARE, TRIANGLES, User, bare, drawn,
    nginx::{Nginx, Switch},
    refused,
    site::Site,
    version_in,
};
use crate::support::Headless;

/// Makes a repository with release 1.0.0, its server, and a user who has it.
fn stage() -> (Site, Nginx, User) {
    let site = Site::with_bare();
    let nginx = Nginx::start(&site.path("site"));
    let user = User::of(&site, &nginx.address());
    user.run(&["install", BARE]).good();
    (site, nginx, user)
}

/// Checks for updates, and waits until the check has ended.
fn check(shell: &mut Headless, user: &User) {
    let address = user.listed()["location"].as_str().expect("an address").to_owned();
    shell.drive("no check runs", |shell| !shell.federation.supply().is_checking(&address));
    shell.federation.check_for_updates();
    shell.drive("the check has ended", |shell| !shell.federation.supply().is_checking(&address));
}

fn runs(shell: &mut Headless, version: &str) {
    shell.drive(&format!("{version} runs"), |shell| {
        assert!(shell.has_picture(BARE, TRIANGLES), "the picture is gone: {}", shell.describe());
        shell.is_active(BARE) && version_in(shell).as_deref() == Some(version)
    });
}

#[test]
fn policy_decides_about_newer_releases() {
    let (site, nginx, user) = stage();
    let mut shell = user.shell();
    drawn(&mut shell);
    site.publish(&bare("1.1.0"), "");
    check(&mut shell, &user);
    shell.drive("the release is offered", |shell| {
        shell.notifications.iter().any(|notice| matches!(notice.event, RemoteEvent::UpdateOffered { .. }))
    });
    assert_eq!(version_in(&shell).as_deref(), Some("1.0.0"), "the default is to ask");
    // The running shell follows the command at once.
    user.run(&["remote", "policy", BARE, "auto"]).good();
    runs(&mut shell, "1.1.0");
    user.run(&["remote", "policy", BARE, "pin"]).good();
    site.publish(&bare("1.2.0"), "");
    check(&mut shell, &user);
    assert_eq!(nginx.wait_for("1.2.0", 1).len(), 1, "its manifest");
    assert_eq!(version_in(&shell).as_deref(), Some("1.1.0"));
    shell.federation.update(BARE);
    runs(&mut shell, "1.2.0");
    assert_eq!(user.listed()["version"], "1.2.0");
}

#[test]
fn command_updates_a_running_shell() {
    let (site, _nginx, user) = stage();
    let mut shell = user.shell();
    drawn(&mut shell);
    site.publish(&bare("1.1.0"), "");
    user.run(&["update"]).good();
    runs(&mut shell, "1.1.0");
    assert!(matches!(shell.entry(BARE).place(), RemoteOrigin::Delivered { .. }), "{}", shell.describe());
    site.job(&["publish", "--withdraw", &format!("{BARE}@1.1.0")]).good();
    user.run(&["update"]).good();
    runs(&mut shell, "1.0.0");
}

#[test]
fn rollback_counts_over_update_and_withdrawal() {
    let (site, _nginx, user) = stage();
    let mut shell = user.shell();
    shell.drive("the generation is archived", |shell| {
        !shell.federation.inventory().generations(shell.entry(BARE)).is_empty()
    });
    site.publish(&bare("1.1.0"), "");
    user.run(&["update"]).good();
    runs(&mut shell, "1.1.0");
    user.run(&["rollback", BARE, "--to", "1.0.0"]).good();
    runs(&mut shell, "1.0.0");
    user.run(&["remote", "policy", BARE, "auto"]).good();
    site.publish(&bare("1.2.0"), "");
    check(&mut shell, &user);
    site.job(&["publish", "--withdraw", &format!("{BARE}@1.1.0"), "--note", "wrong"]).good();
    check(&mut shell, &user);
    assert_eq!(version_in(&shell).as_deref(), Some("1.0.0"));
    user.run(&["rollback", BARE, "--latest"]).good();
    check(&mut shell, &user);
    runs(&mut shell, "1.2.0");
}

#[test]
fn withdrawal_skips_a_refused_release() {
    let (site, _nginx, user) = stage();
    site.publish(&bare("1.1.0"), "");
    user.run(&["update"]).good();
    let mut shell = user.shell();
    drawn(&mut shell);
    site.publish(&refused("1.2.0"), "");
    site.job(&["publish", "--withdraw", &format!("{BARE}@1.1.0"), "--note", "wrong"]).good();
    check(&mut shell, &user);
    runs(&mut shell, "1.0.0");
}

#[test]
fn preloaded_remote_is_fetched_before_it_is_shown() {
    let site = Site::with_bare();
    let nginx = Nginx::start(&site.path("site"));
    let user = User::of(&site, &nginx.address());
    let start = |user: &User| {
        let mut config = user.installation.config();
        config.fetcher = Some(env!("CARGO_BIN_EXE_pulse").into());
        user.installation.start_with(config)
    };
    let address = nginx.address();
    let mut shell = start(&user);
    shell.drive("its manifest is known", |shell| {
        version_in(shell).is_some() && !shell.federation.supply().is_checking(&address)
    });
    assert!(nginx.requests(".zst").is_empty(), "a library is fetched when it is first shown");
    user.run(&["remote", "preload", BARE]).good();
    shell.drive("it is there", |shell| matches!(shell.entry(BARE).place(), RemoteOrigin::Delivered { .. }));
    assert!(!shell.is_active(BARE));
}

#[test]
fn private_repository_wants_its_token() {
    let site = Site::with_bare();
    let nginx = Nginx::start(&site.path("site"));
    nginx.set(Switch::Private, true);
    let user = User::new();
    let address = nginx.address();
    let add = ["repo", "add", &address, "--root", &site.root];
    user.run(&add).refused(5, "repo-denied");
    let file = user.installation.write("token", "wrong\n");
    let with_file = [&add[..], &["--token-file", super::site::text(&file)]].concat();
    user.run(&with_file).refused(5, "repo-denied");
    user.installation.write("token", "open sesame\n");
    user.run(&with_file).refused(1, "delivery-setting-invalid");
    user.installation.write("token", "open-sesame\n");
    let added = user.run(&with_file).good();
    let installed = user.run(&["install", BARE, "--enable"]).good();
    assert!(!(added.stderr + &installed.stderr).contains("sesame"));
    let decisions = std::fs::read_to_string(user.installation.path("data/delivery.json"));
    assert!(!decisions.expect("decisions").contains("sesame"));
    let mut shell = user.shell();
    drawn(&mut shell);
}
