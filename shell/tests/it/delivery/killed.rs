//! Commands and shells that are killed at random moments: the repository and the cache stay usable.

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    BARE, User, bare, copy_folder,
    nginx::{Nginx, Switch},
    site::{Site, text},
};
use crate::{driver::Desktop, support::Installation};

const ROUNDS: u32 = 15;

/// Moments from a generator whose seed a failing test prints; `PULSE_TEST_SEED` repeats them.
struct Moments {
    seed: u64,
    state: u64,
}

impl Moments {
    fn new() -> Self {
        let given = std::env::var("PULSE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish()) | 1;
        Self { seed, state: seed }
    }

    /// Returns a time below `limit`.
    fn below(&mut self, limit: Duration) -> Duration {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        limit.mul_f64((self.state >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

impl Drop for Moments {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("PULSE_TEST_SEED={} repeats the moments of this test", self.seed);
        }
    }
}

/// Starts a command, and kills it after this time unless it has ended; returns `true` if it was killed.
fn kill_after(mut command: Command, wait: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pulse starts");
    // The moment is the point of the test, so there is nothing to wait for.
    thread::sleep(wait);
    end(&mut child)
}

/// Kills a process as `kill -9` does; returns `false` if it had ended.
fn end(child: &mut Child) -> bool {
    let ended = child.try_wait().expect("the state of a child").is_some();
    let _ = child.kill();
    let _ = child.wait();
    !ended
}

#[test]
fn killed_publish_leaves_a_repository() {
    let (site, mut moments) = (Site::with_bare(), Moments::new());
    let began = Instant::now();
    site.publish(&bare("1.1.0"), "");
    let whole = began.elapsed();
    let mut killed = 0;
    for round in 0..ROUNDS {
        let build = site.build(&bare(&format!("2.{round}.0")));
        let args = ["publish", text(&build), "--notes", "a release"];
        killed += u32::from(kill_after(site.job_command(&args), moments.below(whole)));
        let report = site.run(&["repo", "check", &site.dir(), "--json"]).good().json();
        assert_eq!(report["problems"], json!([]), "round {round}: {report}");
        if round % 3 == 0 {
            site.job(&args).good();
        }
    }
    assert!(killed > ROUNDS / 3, "{killed} of {ROUNDS} were killed");
    let last = format!("3.{ROUNDS}.0");
    site.publish(&bare(&last), "");
    let user = User::of(&site, &site.address());
    user.run(&["install", BARE]).good();
    assert_eq!(user.listed()["version"], *last);
    let left = site.path("site/.temporary");
    let left: Vec<_> = left.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Makes a user with release 1.0.0 of a repository that has 1.1.0.
fn behind(site: &Site, address: &str) -> User {
    let user = User::of(site, address);
    user.run(&["install", BARE]).good();
    site.publish(&bare("1.1.0"), "");
    user
}

#[test]
fn killed_update_leaves_a_cache() {
    let (site, mut moments) = (Site::with_bare(), Moments::new());
    let nginx = Nginx::start(&site.path("site"));
    nginx.set(Switch::Brisk, true);
    let user = behind(&site, &nginx.address());
    let (data, before) = (user.installation.path("data"), user.installation.path("before"));
    copy_folder(&data, &before);
    let began = Instant::now();
    user.run(&["update"]).good();
    let whole = began.elapsed();
    let mut killed = 0;
    for round in 0..ROUNDS {
        fs::remove_dir_all(&data).expect("folders can be removed");
        copy_folder(&before, &data);
        nginx.set(Switch::Brisk, round % 2 == 0);
        killed += u32::from(kill_after(user.command(&["update"]), moments.below(whole)));
        let version = user.listed()["version"].clone();
        assert!(version == "1.0.0" || version == "1.1.0", "round {round}: {version}");
        nginx.set(Switch::Brisk, false);
        user.run(&["update"]).good();
        assert_eq!(user.listed()["version"], "1.1.0", "round {round}");
    }
    assert!(killed > ROUNDS / 3, "{killed} of {ROUNDS} were killed");
    let mut shell = user.shell();
    super::drawn(&mut shell);
}

#[test]
fn killed_shell_leaves_a_cache() {
    let (site, mut moments) = (Site::with_bare(), Moments::new());
    let nginx = Nginx::start(&site.path("site"));
    let mut user = behind(&site, &nginx.address());
    user.installation.edit_host(|host| {
        host["updates"] = json!({ "policy": "auto", "remotes": { BARE: { "preload": true } } });
    });
    let desktop = Desktop::new();
    let shell = |user: &Installation| {
        let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
        command.arg("--config").arg(user.path("host.json")).arg("--data-dir").arg(user.path("data"));
        command
    };
    // The processor draws each pixel.
    user.installation.write("data/window.json", r#"{ "window": [480, 360] }"#);
    let (data, before) = (user.installation.path("data"), user.installation.path("before"));
    copy_folder(&data, &before);
    nginx.set(Switch::Brisk, true);
    // The time that a start with a complete download needs.
    let began = Instant::now();
    let mut whole = shell(&user.installation).stderr(Stdio::null()).spawn().expect("pulse starts");
    nginx.wait_for(".zst", 2);
    let limit = began.elapsed().mul_f64(1.2);
    end(&mut whole);
    let mut fetching = 0;
    for round in 0..ROUNDS {
        fs::remove_dir_all(&data).expect("folders can be removed");
        copy_folder(&before, &data);
        nginx.set(Switch::Brisk, round % 2 == 0);
        let requests = nginx.requests("").len();
        kill_after(shell(&user.installation), moments.below(limit));
        fetching += u32::from(nginx.requests("").len() > requests);
        let version = user.listed()["version"].clone();
        assert!(version == "1.0.0" || version == "1.1.0", "round {round}: {version}");
        nginx.set(Switch::Brisk, false);
        user.run(&["update"]).good();
        assert_eq!(user.listed()["version"], "1.1.0", "round {round}");
    }
    assert!(fetching > 0, "no round of {ROUNDS} had begun to fetch");
    let mut shell = user.shell();
    super::drawn(&mut shell);
}
