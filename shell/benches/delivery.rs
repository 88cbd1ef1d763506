//! Measures delivery: a check without news, a published release until it runs in an open shell, starts with a
//! repository in different states, and an edit through a development server.
//!
//! `cargo xtask bench`, or `cargo bench --workspace --bench delivery`; needs nginx, which `cargo xtask test` installs.
//! All servers are on loopback. Without a screen: a frame is `Federation::poll` and the egui pass.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod samples;
#[path = "../tests/it"]
mod it {
    #[expect(
        dead_code,
        unused_imports,
        clippy::disallowed_methods,
        reason = "the tests use more of it, and may fail where the shell may not"
    )]
    pub(crate) mod delivery;
    #[expect(dead_code, reason = "the tests use more of it")]
    pub(crate) mod driver;
    #[expect(dead_code, unused_imports, reason = "the tests use more of it")]
    pub(crate) mod support;
}
use it::{driver, support};

use std::{
    env, fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use delivery::{
    fetch::{Fetch, FetchEvent, Network, Request, Task},
    release::{Platform, STABLE, Wanted},
};
use it::delivery::{nginx::Nginx, rebuilt, serving::Serve, site::Site};
use samples::Samples;
use support::{Headless, Installation, libraries, workspace};

const ANALYTICS: &str = "remoteAnalytics";
const DASHBOARD: &str = "./analytics-dashboard";
const FIGURES: &str = "Flights 336,776";
const PULSE: &str = env!("CARGO_BIN_EXE_pulse");

const CHECKS: usize = 100;
const UPDATES: usize = 20;
const STARTS: usize = 30;
const EDITS: usize = 30;

fn main() {
    // `cargo test --benches` only checks that this program starts.
    if env::args().any(|a| a == "--test") {
        return;
    }
    let site = Site::new();
    site.publish(&dashboard("1.0.0"), "");
    let nginx = Nginx::start(&site.path("site"));
    checks(&site, &nginx);
    println!();
    updates(&site, &nginx);
    println!();
    starts(&site, &nginx);
    println!();
    edits();
}

/// Returns a build of the dashboard with this version.
fn dashboard(version: &str) -> Vec<u8> {
    let manifest = workspace().join("manifests/analytics.json");
    rebuilt(&libraries().analytics, &manifest, |manifest| manifest["version"] = version.into())
}

/// Returns an installation with the dashboard from `address`, which is trusted.
fn user_of(site: &Site, address: &str) -> Installation {
    let mut installation = Installation::new();
    installation.configure(ANALYTICS, &format!("{ANALYTICS}@{address}"));
    installation.edit_host(|host| {
        host["repositories"] = serde_json::json!({ address: { "root": site.root } });
        host["updates"] = serde_json::json!({ "policy": "auto" });
    });
    installation
}

/// Starts a shell that fetches, and shows the dashboard.
fn shell(installation: &Installation) -> Headless {
    let mut config = installation.config();
    config.fetcher = Some(PULSE.into());
    let mut shell = installation.start_with(config);
    shell.show(ANALYTICS, DASHBOARD);
    shell
}

fn has_figures(shell: &Headless) -> bool {
    shell.has_picture(ANALYTICS, DASHBOARD) && shell.screen().shows(FIGURES)
}

fn checks(site: &Site, nginx: &Nginx) {
    let cache = tempfile::tempdir().expect("a folder");
    let range = semver::VersionReq::STAR;
    let wanted =
        Wanted { name: ANALYTICS.to_owned(), range, channel: STABLE.to_owned(), platform: Platform::current() };
    let run = |task: Task| {
        let (address, cache, network) = (nginx.address(), cache.path().to_owned(), Network::default());
        let began = Instant::now();
        let request = Request { task, address, cache, network };
        let fetch = Fetch::start(Path::new(PULSE), &request, || ()).expect("a process");
        loop {
            match fetch.wait_event(Duration::from_secs(10)) {
                Some(FetchEvent::Checked { requests, bytes, .. }) => break (began.elapsed(), requests, bytes),
                Some(FetchEvent::Waiting) => {}
                other => panic!("the check failed: {other:?}"),
            }
        }
    };
    let root = site.root.trim_start_matches("sha256:").parse().expect("a digest");
    let (took, requests, bytes) = run(Task::Check { root: Some(root), wanted: vec![] });
    println!("A check of a repository on loopback, by nginx, in a process of its own");
    println!("the first one: {requests} requests, {bytes} bytes, {:.1} ms", took.as_secs_f64() * 1e3);
    run(Task::Check { root: None, wanted: vec![wanted.clone()] });
    let mut samples = Samples::default();
    let mut cost = (0, 0);
    for _ in 0..CHECKS {
        let (took, requests, bytes) = run(Task::Check { root: None, wanted: vec![wanted.clone()] });
        samples.add("a check without news, from the start of its process to its answer", took);
        cost = (requests, bytes);
        let began = Instant::now();
        let status = Command::new(PULSE).arg("--version").stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()));
        samples.add("for comparison: `pulse --version`", began.elapsed());
    }
    println!("without news: {} requests, {} bytes", cost.0, cost.1);
    samples.report();
}

fn updates(site: &Site, nginx: &Nginx) {
    let installation = user_of(site, &nginx.address());
    let address = nginx.address();
    let mut shell = shell(&installation);
    shell.drive("the dashboard has its figures", has_figures);
    let mut samples = Samples::default();
    let mut sizes = (0, 0);
    for number in 1..=UPDATES {
        let version = format!("1.{}.{}", number / 10, number % 10);
        let build = dashboard(&version);
        site.publish(&build, "");
        shell.drive("nothing runs", |shell| !shell.federation.supply().is_checking(&address));
        shell.take_longest();
        let generation = shell.entry(ANALYTICS).generation();
        let began = Instant::now();
        shell.federation.check_for_updates();
        shell.drive("the check has ended", |shell| !shell.federation.supply().is_checking(&address));
        let checked = began.elapsed();
        shell.drive("the release runs", |shell| {
            let entry = shell.entry(ANALYTICS);
            entry.generation() > generation
                && entry.manifest().is_some_and(|manifest| manifest.version.to_string() == version)
        });
        let whole = began.elapsed();
        samples.add("the check, with its news", checked);
        let rest = whole.saturating_sub(checked);
        samples.add("from the answer of the check to the first frame of the release", rest);
        samples.add("all of it", whole);
        samples.add("longest frame of the window meanwhile", shell.take_longest());
        assert!(has_figures(&shell), "{}", shell.describe());
        let folder = site.path("site/targets").join(ANALYTICS).join(&version);
        let files = folder.read_dir().expect("its files").map(|file| file.expect("a file"));
        let packed = files.filter(|file| file.file_name().to_string_lossy().ends_with(".zst"));
        sizes = (build.len(), packed.map(|file| file.metadata().expect("its size").len()).sum());
        shell.drive("the old generation is retired", |shell| shell.federation.retiring().count() == 0);
    }
    println!("The dashboard is published again, and arrives in an open shell that shows it, {UPDATES} times");
    println!("library {} bytes, published without debug information as {} bytes", sizes.0, sizes.1);
    samples.report();
}

fn starts(site: &Site, nginx: &Nginx) {
    // Takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hanging = format!("http://{}", silent.local_addr().expect("an address"));
    // A port that was free a moment ago refuses connections.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let refusing = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let mut users = vec![];
    for (name, address) in [("reachable", &nginx.address()), ("refuses", &refusing), ("hangs", &hanging)] {
        let installation = user_of(site, &nginx.address());
        let mut shell = shell(&installation);
        shell.drive("the dashboard has its figures", has_figures);
        drop(shell);
        let installation = moved(installation, &nginx.address(), address, site);
        users.push((format!("repository {name}: from the start to the first picture"), installation));
    }
    let mut local = Installation::new();
    local.write("libdashboard.so", fs::read(&libraries().analytics).expect("a library"));
    local.configure(ANALYTICS, &format!("{ANALYTICS}@libdashboard.so"));
    users.push(("no repository, a file: from the start to the first picture".to_owned(), local));
    let mut samples = Samples::default();
    for number in 0..=STARTS {
        for (name, installation) in &users {
            let began = Instant::now();
            let mut shell = shell(installation);
            shell.drive("a picture", |shell| shell.has_picture(ANALYTICS, DASHBOARD));
            let took = began.elapsed();
            // The first start of each imports data or fills caches.
            if number > 0 {
                samples.add(name, took);
            }
        }
    }
    println!("Starts with the dashboard from a repository, fetched before, in turns, {STARTS} times each");
    samples.report();
}

/// Moves a user's repository to another address, as if the network had changed.
fn moved(mut installation: Installation, from: &str, to: &str, site: &Site) -> Installation {
    if from == to {
        return installation;
    }
    installation.configure(ANALYTICS, &format!("{ANALYTICS}@{to}"));
    installation.edit_host(|host| host["repositories"] = serde_json::json!({ to: { "root": site.root } }));
    let file = installation.path("data/delivery.json");
    let text = fs::read_to_string(&file).expect("decisions").replace(from, to);
    fs::write(file, text).expect("files can be written");
    installation
}

fn edits() {
    let name = libraries().analytics.file_name().expect("a file").to_string_lossy().into_owned();
    let put = |installation: &Installation, number: usize| {
        let version = format!("1.{}.{}", number / 10, number % 10);
        let new = installation.write(&format!("building/{name}"), dashboard(&version));
        fs::create_dir_all(installation.path("built")).expect("folders can be made");
        fs::rename(new, installation.path("built").join(&name)).expect("files can be renamed");
        version
    };
    let mut remote = Installation::new();
    put(&remote, 0);
    let server = Serve::start(&remote.path("built"), "0");
    remote.configure(ANALYTICS, &format!("{ANALYTICS}@{}", server.url));
    let mut local = Installation::new();
    put(&local, 0);
    local.configure(ANALYTICS, &format!("{ANALYTICS}@built/{name}"));
    let mut shells =
        [("through `pulse serve`", remote), ("from the file", local)].map(|(way, installation)| {
            let mut shell = shell(&installation);
            shell.drive("the dashboard has its figures", has_figures);
            (way, installation, shell)
        });
    let mut samples = Samples::default();
    for number in 1..=EDITS {
        for (way, installation, shell) in &mut shells {
            let version = put(installation, number);
            let began = Instant::now();
            shell.drive("the build is promoted", |shell| {
                let manifest = shell.entry(ANALYTICS).manifest();
                manifest.is_some_and(|manifest| manifest.version.to_string() == version) && has_figures(shell)
            });
            samples.add(&format!("{way}: from the renamed file to the new picture"), began.elapsed());
            shell.drive("the old generation is retired", |shell| shell.federation.retiring().count() == 0);
        }
    }
    println!(
        "A rebuilt dashboard in an open shell that shows it, without preflight, in turns, {EDITS} times each"
    );
    samples.report();
}
