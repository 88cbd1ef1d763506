//! Networks and servers that fail: what is installed starts and runs, and what is not says why and can be retried.

use std::time::{Duration, Instant};

use pulse::federation::{FetchProgress, RemoteEvent};

use super::{
    BARE, TRIANGLES, User, bare, blocked,
    door::{Door, Way},
    drawn,
    nginx::{Nginx, Switch},
    site::Site,
    version_in,
};

/// A fault of the way to a repository, and the code by which it is reported.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing listens.
    Closed,
    /// Connections are accepted and never answered.
    Silent,
    Switch(Switch),
    /// The list has expired.
    Expired,
}

const FAULTS: [(Fault, &str); 7] = [
    (Fault::Closed, "repo-unreachable"),
    (Fault::Silent, "repo-timeout"),
    (Fault::Switch(Switch::Fails), "repo-server-error"),
    (Fault::Switch(Switch::Portal), "repo-not-metadata"),
    (Fault::Switch(Switch::Drips), "repo-timeout"),
    (Fault::Switch(Switch::Redirects), "repo-redirected"),
    (Fault::Expired, "repo-expired"),
];

/// A repository with the small remote, and the way to it.
struct Stage {
    site: Site,
    nginx: Nginx,
    door: Door,
}

impl Stage {
    fn new() -> Self {
        let site = Site::with_bare();
        let nginx = Nginx::start(&site.path("site"));
        let door = Door::to(&nginx);
        Self { site, nginx, door }
    }

    /// Makes a user behind the door.
    fn user(&self) -> User {
        User::of(&self.site, &self.door.address())
    }

    fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::Closed => self.door.set(Way::Closed),
            Fault::Silent => self.door.set(Way::Silent),
            Fault::Switch(switch) => self.nginx.set(switch, true),
            Fault::Expired => self.site.set_expired(true),
        }
    }

    fn repair(&mut self, fault: Fault) {
        match fault {
            Fault::Closed | Fault::Silent => self.door.set(Way::Open),
            Fault::Switch(switch) => self.nginx.set(switch, false),
            Fault::Expired => self.site.set_expired(false),
        }
    }
}

#[test]
fn installed_remote_runs_without_its_repository() {
    let mut stage = Stage::new();
    let (user, address) = (stage.user(), stage.door.address());
    user.run(&["install", BARE]).good();
    for (fault, code) in FAULTS {
        stage.fail(fault);
        let mut shell = user.shell();
        drawn(&mut shell);
        shell.drive("the fault is known", |shell| shell.federation.supply().trouble(&address).is_some());
        let trouble = shell.federation.supply().trouble(&address).expect("a fault");
        assert_eq!(trouble.failure.code.as_str(), code, "{fault:?}: {}", trouble.failure.line());
        shell.drive("updates have stopped", |shell| {
            shell.notifications.iter().any(|notice| notice.event == RemoteEvent::UpdatesStopped)
        });
        assert!(shell.is_active(BARE) && shell.slot_failure(BARE, TRIANGLES).is_none(), "{fault:?}");
        stage.repair(fault);
        shell.federation.check_for_updates();
        shell.drive("the repository works again", |shell| {
            let supply = shell.federation.supply();
            supply.trouble(&address).is_none() && !supply.is_checking(&address)
        });
    }
}

#[test]
fn slot_states_the_fault_and_retries() {
    let mut stage = Stage::new();
    for (fault, code) in FAULTS {
        let user = stage.user();
        stage.fail(fault);
        let mut shell = user.shell();
        let failure = blocked(&mut shell, code);
        assert!(!failure.advice.is_empty(), "{fault:?}: {}", failure.line());
        shell.retry(BARE);
        blocked(&mut shell, code);
        stage.repair(fault);
        shell.retry(BARE);
        drawn(&mut shell);
    }
}

#[test]
fn commands_report_the_fault_by_exit_code() {
    let mut stage = Stage::new();
    let user = stage.user();
    user.run(&["install", BARE]).good();
    for (fault, code) in FAULTS {
        let exit = match fault {
            Fault::Switch(Switch::Portal | Switch::Redirects) | Fault::Expired => 4,
            _ => 5,
        };
        stage.fail(fault);
        user.run(&["update"]).refused(exit, code);
        assert_eq!(user.listed()["version"], "1.0.0", "{fault:?}");
        stage.repair(fault);
        user.run(&["update"]).good();
    }
}

#[test]
fn cut_download_is_resumed() {
    let mut stage = Stage::new();
    let mut user = stage.user();
    user.installation.edit_host(|host| host["updates"]["attempts"] = 2.into());
    stage.door.set(Way::Cut(64 << 10));
    let mut shell = user.shell();
    drawn(&mut shell);
    let parts = stage.nginx.wait_for(".zst", 2);
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!((parts[0].status, &*parts[0].range), (200, "-"));
    assert!(parts[1].status == 206 && parts[1].range.starts_with("bytes="), "{parts:?}");
}

#[test]
fn slow_update_leaves_the_remote_alone() {
    let stage = Stage::new();
    let user = stage.user();
    user.run(&["install", BARE]).good();
    stage.site.publish(&bare("1.1.0"), "");
    stage.nginx.set(Switch::Slow, true);
    let mut shell = user.shell();
    drawn(&mut shell);
    shell.drive("the release is offered", |shell| shell.federation.offer(shell.entry(BARE)).is_some());
    stage.nginx.set(Switch::Slow, false);
    stage.nginx.set(Switch::Drips, true);
    shell.federation.update(BARE);
    shell.drive("it is being fetched", |shell| {
        let progress = shell.federation.progress(shell.entry(BARE));
        progress.is_some_and(|progress| progress != FetchProgress::Checking)
    });
    assert!(shell.is_active(BARE) && shell.has_picture(BARE, TRIANGLES));
    let began = Instant::now();
    drop(shell);
    // A shell ends with its downloads.
    assert!(began.elapsed() < Duration::from_secs(20));
    stage.nginx.set(Switch::Drips, false);
    user.run(&["update"]).good();
    assert_eq!(user.listed()["version"], "1.1.0");
}

#[test]
fn cancelled_download_is_continued() {
    let stage = Stage::new();
    let user = stage.user();
    stage.nginx.set(Switch::Slow, true);
    let mut shell = user.shell();
    shell.drive("bytes arrive", |shell| {
        let progress = shell.federation.progress(shell.entry(BARE));
        matches!(progress, Some(FetchProgress::Fetching { bytes: 1.., total }) if total > 0)
    });
    shell.federation.cancel_fetch(BARE);
    blocked(&mut shell, "delivery-cancelled");
    stage.nginx.set(Switch::Slow, false);
    shell.retry(BARE);
    drawn(&mut shell);
    assert_eq!(version_in(&shell).as_deref(), Some("1.0.0"));
    let parts = stage.nginx.wait_for(".zst", 2);
    assert!(parts.iter().any(|part| part.status == 206 && part.range.starts_with("bytes=")), "{parts:?}");
}

#[test]
fn address_without_trust_is_refused() {
    let mut user = User::new();
    let address = "http://plugins.example.org/";
    user.installation.configure(BARE, &format!("{BARE}@{address}"));
    let mut shell = user.shell();
    let failure = blocked(&mut shell, "repo-untrusted");
    assert!(failure.line().contains("plugins.example.org"), "{}", failure.line());
    shell.retry(BARE);
    blocked(&mut shell, "repo-untrusted");
    user.run(&["update"]).refused(4, "repo-untrusted");
    user.run(&["remote", "add", &format!("remoteClock@{address}")]).refused(4, "repo-untrusted");
}
