//! Shells and commands of one user at the same time.

use std::process::Stdio;

use pulse::federation::FetchProgress;

use super::{
    BARE, User, drawn,
    nginx::{Nginx, Switch},
    site::Site,
    version_in,
};

#[test]
fn library_is_fetched_once_for_all() {
    let site = Site::with_bare();
    let nginx = Nginx::start(&site.path("site"));
    nginx.set(Switch::Slow, true);
    let user = User::of(&site, &nginx.address());
    let mut first = user.shell();
    first.drive("the first shell fetches", |shell| {
        matches!(shell.federation.progress(shell.entry(BARE)), Some(FetchProgress::Fetching { .. }))
    });
    let mut second = user.shell();
    let mut command = user.command(&["install", BARE]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pulse starts");
    second.drive("the second shell waits", |shell| {
        shell.federation.progress(shell.entry(BARE)) == Some(FetchProgress::Waiting)
    });
    nginx.set(Switch::Slow, false);
    for shell in [&mut first, &mut second] {
        drawn(shell);
        assert_eq!(version_in(shell).as_deref(), Some("1.0.0"));
    }
    let output = command.wait_with_output().expect("the command ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(user.listed()["version"], "1.0.0");
    let fetched = nginx.requests(".zst");
    assert_eq!(fetched.len(), 1, "{fetched:?}");
}
