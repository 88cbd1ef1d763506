//! Commands that are killed at every moment at which they write, and at random ones.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::*;

/// The folder of the fixture, for a child.
const FOLDER: &str = "DELIVERY_TEST_FOLDER";
/// The action of a child.
const ACTION: &str = "DELIVERY_TEST_ACTION";
/// The step at which a child stops.
const STEP: &str = "DELIVERY_TEST_STEP";

/// Marks a moment at which a command may be killed: a child stops there, and waits for its end.
pub(in crate::site) fn step() {
    static STEPS: AtomicUsize = AtomicUsize::new(0);
    let Some(stop) = env::var(STEP).ok().and_then(|step| step.parse::<usize>().ok()) else { return };
    if STEPS.fetch_add(1, Ordering::Relaxed) == stop {
        println!("\nstopped");
        // Until the parent ends too.
        let _ = std::io::stdin().read(&mut [0]);
    }
}

/// Something that a command does.
struct Action {
    name: &'static str,
    run: fn(&ActionInput<'_>) -> Result<(), DeliveryError>,
}

/// A repository for an action.
struct ActionInput<'a> {
    folder: &'a Path,
    site: RepoSite,
}

impl ActionInput<'_> {
    fn ring(&self, names: &[&str]) -> KeyRing {
        let source = |name: &&str| KeySource::File(self.folder.join("keys").join(format!("{name}.pem")));
        KeyRing::read(&names.iter().map(source).collect::<Vec<_>>()).expect("keys are read")
    }

    fn publish(&self, number: &str, keys: &[&str]) -> Result<(), DeliveryError> {
        let artifact = artifact(self.folder, "remoteA", number, "");
        self.site.publish(&artifact, "stable", "", &self.ring(keys)).map(drop)
    }

    fn rotate(&self, role: &str, retire: &[&str], new: &str, keys: &[&str]) -> Result<(), DeliveryError> {
        let retire: Vec<String> = retire
            .iter()
            .flat_map(|name| self.ring(&[name]).keys().map(PublicKey::id).collect::<Vec<_>>())
            .collect();
        self.site.rotate(&SiteRole::named(role), &retire, self.ring(&[new]), self.ring(keys)).map(drop)
    }
}

const ACTIONS: &[Action] = &[
    Action { name: "publish", run: |input| input.publish("1.1.0", &["publisher", "online"]) },
    Action { name: "stage", run: |input| input.publish("1.2.0", &["publisher"]) },
    Action { name: "refresh", run: |input| input.site.refresh(None, &input.ring(&["online"])).map(drop) },
    Action {
        name: "withdraw",
        run: |input| {
            let keys = input.ring(&["publisher", "online"]);
            input.site.withdraw("remoteA", &version("1.0.0"), "", None, &keys).map(drop)
        },
    },
    Action {
        name: "rotate root",
        run: |input| input.rotate("root", &["root-1"], "new-root", &["root-2", "root-3"]),
    },
    Action {
        name: "rotate targets",
        run: |input| input.rotate("targets", &[], "new-targets", &["root-2", "root-3", "online"]),
    },
    Action {
        name: "rotate online",
        run: |input| input.rotate("online", &[], "new-online", &["root-2", "root-3"]),
    },
    Action {
        name: "rotate publisher",
        run: |input| input.rotate("main", &[], "new-publisher", &["targets", "online"]),
    },
    Action {
        name: "add publisher",
        run: |input| {
            let keys = input.ring(&["targets", "publisher", "online"]);
            let new = input.ring(&["new-publisher"]);
            input.site.add_publisher("team", &["remoteA".to_owned()], new, keys).map(drop)
        },
    },
    Action {
        name: "remove publisher",
        run: |input| input.site.remove_publisher("main", &input.ring(&["targets", "online"])).map(drop),
    },
];

#[test]
fn child_runs_its_action() {
    let (Some(folder), Ok(name)) = (env::var_os(FOLDER), env::var(ACTION)) else { return };
    let folder = PathBuf::from(folder);
    if name == "init" {
        init(&folder, "keys-2").expect("it is made");
        return;
    }
    let input = ActionInput { folder: &folder, site: RepoSite::open(&folder.join("site")).expect("it exists") };
    if name == "many" {
        for number in 0.. {
            input
                .publish(&format!("2.{number}.{}", std::process::id()), &["publisher", "online"])
                .expect("published");
        }
    }
    let action = ACTIONS.iter().find(|action| action.name == name).expect("an action");
    (action.run)(&input).expect("it succeeds");
}

fn init(folder: &Path, keys: &str) -> Result<NewSite, DeliveryError> {
    let options = InitOptions { threshold: 1, publishers: Vec::new(), validity: Validity::default() };
    RepoSite::init(&folder.join("site-2"), &folder.join(keys), &options)
}

/// Runs an action in a child that is killed at a step. Returns `false` if it has fewer.
fn kill_at(fixture: &Fixture, action: &str, step: usize) -> bool {
    let mut child = child(fixture, action, Some(step));
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let stopped = output.lines().map_while(Result::ok).any(|line| line == "stopped");
    child.kill().expect("it is killed");
    let ended = child.wait().expect("it ends");
    assert!(stopped || ended.success(), "{action}: {ended}");
    stopped
}

#[test]
fn init_killed_at_any_step_makes_all_or_nothing() {
    let fixture = Fixture::new();
    let dir = fixture.folder.path().join("site-2");
    for step in 0.. {
        let stopped = kill_at(&fixture, "init", step);
        match RepoSite::open(&dir) {
            Ok(site) => assert_eq!(site.check().expect("metadata verifies").problems, []),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::SiteMissing);
                refused(init(fixture.folder.path(), "keys-2"), ErrorCode::SiteOccupied, "remove it");
                init(fixture.folder.path(), "keys-3").expect("it is made");
            }
        }
        for name in ["site-2", "keys-2", "keys-3"] {
            drop(fs::remove_dir_all(fixture.folder.path().join(name)));
        }
        if !stopped {
            assert!(step > 1);
            break;
        }
    }
}

/// Starts this test program as a child with an action.
fn child(fixture: &Fixture, action: &str, step: Option<usize>) -> Child {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "site::tests::interrupted::child_runs_its_action", "--nocapture"]);
    command.env(FOLDER, fixture.folder.path()).env(ACTION, action).env_remove(STEP);
    if let Some(step) = step {
        command.env(STEP, step.to_string());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts")
}

#[test]
fn command_killed_at_any_step_is_harmless() {
    for action in ACTIONS {
        let mut step = 0;
        loop {
            let fixture = Fixture::new();
            for name in ["new-root", "new-targets", "new-online", "new-publisher"] {
                fixture.new_key(name);
            }
            fixture.publish("remoteA", "1.0.0");
            let stopped = kill_at(&fixture, action.name, step);
            let place = format!("{}, step {step}", action.name);
            fixture.client.load().unwrap_or_else(|error| panic!("{place}: {error}"));
            fixture.site.check().unwrap_or_else(|error| panic!("{place}: {error}"));
            // The same command, once more, finds its way.
            let input = ActionInput { folder: fixture.folder.path(), site: fixture.site.clone() };
            let done = (action.run)(&input);
            let is_done = done.is_ok() || done.as_ref().is_err_and(|error| is_already_done(action.name, error));
            assert!(is_done, "{place}: {done:?}");
            fixture.client.load().unwrap_or_else(|error| panic!("{place}, again: {error}"));
            let problems = fixture.site.check().expect("metadata verifies").problems;
            assert_eq!(problems, [], "{place}");
            assert_eq!(fs::read_dir(fixture.site.folder.temporary()).expect("a folder").count(), 0, "{place}");
            if !stopped {
                assert!(step > 1, "{place}: the command has no steps");
                break;
            }
            step += 1;
        }
    }
}

/// Returns `true` if a command finds that it was complete when it was killed.
fn is_already_done(action: &str, error: &DeliveryError) -> bool {
    match action {
        "rotate root" | "add publisher" => error.code == ErrorCode::DeliverySettingInvalid,
        "remove publisher" => error.code == ErrorCode::ReleaseUnknown,
        _ => false,
    }
}

#[test]
fn publishers_killed_at_random_leave_good_state() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    for round in 0..12_u64 {
        let mut child = child(&fixture, "many", None);
        // The moment is random on purpose.
        thread::sleep(Duration::from_millis(RandomState::new().hash_one(round) % 400));
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        fixture.client.load().expect("the client accepts the repository");
        let report = fixture.site.check().expect("metadata verifies");
        assert_eq!(report.problems, []);
        fixture.publish("remoteA", &format!("1.{}.0", round + 1));
    }
    fixture.is_fine();
    assert!(fixture.seen().len() > 12);
}
