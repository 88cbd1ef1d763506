//! `pulse plan`, as authors run it before a release.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{libraries, library_file, manifest_of};

/// A temporary folder with `host.json`, the working folder of `pulse plan`.
struct Release {
    folder: tempfile::TempDir,
}

/// Exit code and outputs of a run.
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Release {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pulse-plan-").tempdir().expect("a temporary folder");
        let release = Self { folder };
        let store = json!({ "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true, "eager": true });
        release.write(
            "host.json",
            &json!({
                "manifestVersion": 1,
                "name": "pulse",
                "remotes": { "remoteA": "remoteA@remoteA.json" },
                "shared": { "shared-store": store, "charts": { "version": "1.0.0" } },
                "providers": { "shared-store": ["pulse", "remoteA", "remoteB"] },
            }),
        );
        release
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, json: &Value) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file in the folder")).expect("folders can be made");
        fs::write(&path, format!("{json:#}\n")).expect("files can be written");
        path
    }

    /// Writes the manifest of a remote to `file`.
    fn remote(&self, file: &str, name: &str, shared: &Value) {
        let version = "1.0.0";
        self.write(
            file,
            &json!({ "manifestVersion": 1, "name": name, "version": version, "remoteEntry": "x", "shared": shared }),
        );
    }

    /// Runs `pulse plan` with these arguments and its outputs in pipes.
    fn plan(&self, args: &[&str]) -> Outcome {
        self.run(args, &[])
    }

    fn run(&self, args: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let home = self.folder.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulse"));
        command.arg("plan").args(["--config", "host.json"]).args(args).current_dir(home);
        command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
        let Output { status, stdout, stderr } =
            command.envs(environment.iter().copied()).output().expect("pulse starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Outcome { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}

impl Outcome {
    /// Asserts that the run ended with `code`, and that its outputs contain these parts.
    #[track_caller]
    fn check(&self, code: i32, out: &[&str], err: &[&str]) {
        let Self { out: stdout, err: stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{stdout}\n{stderr}");
        for part in out {
            assert!(stdout.contains(part), "`{part}` is not in\n{stdout}");
        }
        for part in err {
            assert!(stderr.contains(part), "`{part}` is not in\n{stderr}");
        }
        assert!(!err.is_empty() || stderr.is_empty(), "unexpected standard error\n{stderr}");
        assert!(!stdout.contains('\u{1b}'), "colours in a pipe: {stdout}");
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

fn keys(json: &Value) -> Vec<&str> {
    json.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Returns `shared` of a remote that is refused over a singleton.
fn strict() -> Value {
    json!({ "shared-store": { "version": "1.0.0", "requiredVersion": "^99.0", "strictVersion": true } })
}

#[test]
fn a_refusal_names_the_line_to_change() {
    let release = Release::new();
    release.remote("remoteA.json", "remoteA", &strict());
    let fix = "    fix: remoteA.json:7:26  /shared/shared-store/requiredVersion: \"^99.0\" -> \"^1.0\"\n";
    for args in [&[][..], &["remoteA.json"], &["remoteA.json", "./remoteA.json", "."], &["."]] {
        let outcome = release.plan(args);
        assert_eq!(outcome.code, Some(3), "{}", outcome.err);
        assert!(
            outcome.out.contains("Plan of pulse (version-first, 1 remote): 1 refused\n"),
            "{}",
            outcome.out
        );
        assert!(outcome.out.contains(fix), "{}", outcome.out);
        assert!(
            outcome.out.lines().any(|line| line.len() > 200),
            "lines are wrapped in a pipe: {}",
            outcome.out
        );
    }
    // The proposed change admits the remote.
    let text = fs::read_to_string(release.path("remoteA.json")).expect("the manifest");
    fs::write(release.path("remoteA.json"), text.replace("^99.0", "^1.0")).expect("the manifest");
    release.plan(&[]).check(0, &["every participant is served"], &[]);
}

#[test]
fn json_has_more_keys_only_on_request() {
    let release = Release::new();
    release.remote("remoteA.json", "remoteA", &strict());
    let plan = release.plan(&["--json"]);
    plan.check(3, &[], &[]);
    let mut full = release.plan(&["--json", "--explain", "shared-store", "--why", "remoteA"]).json();
    assert_eq!(keys(&plan.json()), ["assignments", "diagnostics", "refused"]);
    assert_eq!(keys(&full), ["assignments", "diagnostics", "explain", "refused", "why"]);

    let explained = full["explain"][0].take();
    assert_eq!((&explained["key"], &explained["declaredBy"]), (&json!("shared-store"), &json!(["pulse"])));
    let of = |name: &str| {
        let consumers = explained["consumers"].as_array().expect("consumers");
        consumers.iter().find(|one| one["consumer"] == name).expect("a consumer").clone()
    };
    assert_eq!(
        of("pulse")["uses"],
        json!({ "provider": "pulse", "version": "1.0.0", "own": true, "satisfied": true })
    );
    assert_eq!(of("remoteA")["refused"], "version-mismatch-strict");
    assert_eq!(of("pulse")["candidates"].as_array().map(Vec::len), Some(2));

    let why = full["why"].take();
    assert_eq!((&why["refused"], &why["chain"][0]["code"]), (&json!(true), &json!("version-mismatch-strict")));
    let edit = json!({
        "participant": "remoteA", "file": "remoteA.json", "line": 7, "column": 26,
        "pointer": "/shared/shared-store/requiredVersion", "old": "^99.0", "new": "^1.0",
    });
    assert_eq!(why["repairs"][0]["edits"], json!([edit]));
}

#[test]
fn colours_are_for_terminals_or_on_request() {
    let release = Release::new();
    release.remote("remoteA.json", "remoteA", &strict());
    let colours =
        |args: &[&str], environment: &[(&str, &str)]| release.run(args, environment).out.contains('\u{1b}');
    assert!(!colours(&[], &[]) && !colours(&["--color", "auto"], &[]) && !colours(&["--color", "never"], &[]));
    assert!(colours(&["--color", "always"], &[]));
    assert!(colours(&["--color", "always"], &[("NO_COLOR", "1")]), "no colours on request");
    assert!(!colours(&["--color", "always", "--json"], &[]), "JSON with colours");
    assert_eq!(release.plan(&["--color", "green"]).code, Some(2));
}

#[test]
fn explain_accepts_only_known_crates() {
    let release = Release::new();
    let charts = json!({ "charts": { "version": "1.2.0", "shareScope": "legacy" } });
    release.remote("remoteA.json", "remoteA", &charts);
    release.plan(&["--explain", "charts"]).check(
        0,
        &["charts  not a singleton", "charts in scope legacy"],
        &[],
    );
    let legacy = release.plan(&["--explain", "charts@legacy"]);
    legacy.check(0, &["charts in scope legacy", "chosen  1.2.0 from remoteA", "highest-fitting"], &[]);
    assert!(!legacy.out.contains("1.0.0 from pulse"), "{}", legacy.out);
    let list = "`charts`, `shared-store`";
    release.plan(&["--explain", "shared-stor"]).check(
        6,
        &[],
        &["did you mean `shared-store`?", list, "[crate-unknown]"],
    );
    release.plan(&["--explain", "charts@legcy"]).check(
        6,
        &[],
        &["did you mean `legacy`?", "`default`, `legacy`", "[scope-unknown]"],
    );
}

#[test]
fn why_follows_a_refusal_to_its_cause() {
    let release = Release::new();
    let charts = json!({ "charts": { "import": false, "requiredVersion": "^2" } });
    release.remote("remoteA.json", "remoteA", &charts);
    let mut other = strict();
    other["charts"] = json!({ "version": "2.0.0" });
    release.remote("remoteB.json", "remoteB", &other);
    let all = ["remoteA.json", "remoteB.json"];
    release.plan(&[&all[..], &["--why", "remoteA"]].concat()).check(
        3,
        &[
            "provider-refused  `remoteA` requires `charts` ^2",
            "because `remoteB` is refused:",
            "version-mismatch-strict  `remoteB` requires `shared-store` ^99.0",
            "The smallest change that admits it: one line\n  let `remoteA` accept `charts` ^1.0\n    remoteA.json:",
            "let `remoteB` accept `shared-store` ^1.0\n    remoteB.json:",
        ],
        &[],
    );
    // The exit status is that of the named remote, not of the others.
    release.plan(&["--why", "pulse", "remoteB.json"]).check(0, &["pulse is served"], &[]);
    release.plan(&["--why", "remoteC", "remoteB.json"]).check(
        6,
        &[],
        &["no remote is called `remoteC`", "did you mean `remoteB`?", "`pulse`, `remoteB`", "[remote-unknown]"],
    );
}

#[test]
fn live_copies_are_not_displaced() {
    let release = Release::new();
    let store = |version: &str, strict: bool| json!({ "shared-store": { "version": version, "requiredVersion": format!("^{version}"), "strictVersion": strict } });
    release.remote("remoteA.json", "remoteA", &store("1.2.0", false));
    release.remote("new/remoteA.json", "remoteA", &store("1.9.0", false));
    release.remote("remoteB.json", "remoteB", &store("1.9.0", true));
    let live = ["--live", "remoteA=remoteA.json"];
    release.plan(&["remoteA.json", "remoteB.json"]).check(0, &["1.9.0 from remoteB"], &[]);
    let joins = [&live[..], &["remoteB.json"]].concat();
    release.plan(&joins).check(
        3,
        &["Running: pulse, remoteA 1.0.0\nJoins: remoteB 1.0.0\n", "1.2.0 live"],
        &[],
    );
    let plan = release.plan(&[&joins[..], &["--json"]].concat()).json();
    assert_eq!(plan["refused"][0]["participant"], "remoteB");
    let uses = |name: &str| {
        let assigned = plan["assignments"].as_array().expect("assignments");
        let one = assigned.iter().find(|one| one["consumer"] == name && one["key"] == "shared-store");
        one.expect("an assignment")["version"].clone()
    };
    assert_eq!((uses("pulse"), uses("remoteA")), (json!("1.2.0"), json!("1.2.0")));

    release.plan(&[&live[..], &["new"]].concat()).check(
        0,
        &[
            "Joins: remoteA 1.0.0 in place of 1.0.0\n",
            "in use already",
            "version-mismatch  `remoteA` requires `shared-store` ^1.9.0",
        ],
        &[],
    );
    // The host's own list joins, without the running remotes.
    release.plan(&live).check(0, &["Running: pulse, remoteA 1.0.0\nJoins: none\n"], &[]);

    release.plan(&["--live", "remoteB=remoteA.json"]).check(
        1,
        &[],
        &["this manifest is of `remoteA`", "[manifest-name]"],
    );
    release.plan(&["--live", "remoteA=none.json"]).check(6, &[], &["[manifest-missing]"]);
    assert_eq!(release.plan(&["--live", "remoteA"]).code, Some(2));
    assert_eq!(release.plan(&[live, live].concat()).code, Some(2));
}

#[test]
fn folders_and_libraries_are_read() {
    let release = Release::new();
    let analytics = &libraries().analytics;
    let copy = release.path("dist").join(library_file("pulse_analytics"));
    release.write("dist/remoteAnalytics.json", &manifest_of(analytics));
    fs::copy(analytics, &copy).expect("a copy of the library");
    let all = ["dist"];
    let once = release.plan(&all);
    once.check(0, &["version-first, 1 remote", "remoteAnalytics  1.0.0 eager"], &[]);
    let library = copy.to_string_lossy().into_owned();
    release.plan(&[&library, "--explain", "shared-store"]).check(0, &["remoteAnalytics"], &[]);

    // Files that are no remotes are counted, broken remotes are reported, and the others are planned.
    fs::copy(release.path("host.json"), release.path("dist/host.json")).expect("a copy of the manifest");
    fs::write(release.path("dist/package.json"), "{}").expect("a file");
    fs::write(release.path("dist").join(library_file("other")), "no library").expect("a file");
    let skipped = "skipped in dist: 1 library without a manifest, 1 host's manifest, 1 JSON file that is not a manifest\n";
    let outcome = release.plan(&all);
    outcome.check(0, &["version-first, 1 remote"], &[skipped]);
    assert_eq!(outcome.err, skipped);
    fs::write(release.path("dist/broken.json"), r#"{ "manifestVersion": 1, "name": "x", "remoteEntry": 3 }"#)
        .expect("a file");
    release.plan(&all).check(1, &["version-first, 1 remote"], &["[manifest-invalid]", "dist/broken.json"]);
    release.remote("remoteA.json", "remoteA", &strict());
    release.plan(&["dist", "remoteA.json"]).check(3, &["version-first, 2 remotes"], &["[manifest-invalid]"]);
    release.plan(&["none.json", "dist/remoteAnalytics.json"]).check(
        6,
        &["1 remote): 1 could not be used; the other participants are served"],
        &["[manifest-missing]"],
    );
    release.plan(&["none.json"]).check(6, &["no remotes): no manifest could be used"], &["[manifest-missing]"]);
    // A host's manifest is not a remote's.
    for command in ["inspect", "install", "plan", "preflight", "standalone"] {
        let mut pulse = Command::new(env!("CARGO_BIN_EXE_pulse"));
        pulse.args([command, "host.json"]).current_dir(release.path("")).env("HOME", release.path(""));
        let output = pulse.output().expect("pulse starts");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("[manifest-of-host]"), "{command}: {stderr}");
    }

    // A library and a manifest that contradict each other.
    let mut other = manifest_of(analytics);
    other["shared"]["shared-store"]["requiredVersion"] = "^1.2".into();
    let json = release.write("remoteAnalytics.json", &other);
    let both = [json.to_string_lossy().into_owned(), library];
    let outcome = release.plan(&[&both[0], &both[1]]);
    let file = Path::new("dist").join(library_file("pulse_analytics")).display().to_string();
    outcome.check(
        1,
        &["no remotes"],
        &["[descriptor-mismatch]", "remoteAnalytics.json:", &file, "/shared/shared-store/requiredVersion"],
    );
}

#[test]
fn closed_standard_error_ends_no_command_early() {
    let release = Release::new();
    for (args, code) in [(["plan", "none.json"], 6), (["inspect", "none.json"], 6), (["explain", "x"], 6)] {
        let (reader, writer) = io::pipe().expect("the system has pipes");
        drop(reader);
        let mut pulse = Command::new(env!("CARGO_BIN_EXE_pulse"));
        pulse.args(args).current_dir(release.path("")).env("HOME", release.path("")).stderr(writer);
        assert_eq!(pulse.output().expect("pulse starts").status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn a_line_in_a_library_is_one_of_its_manifest() {
    let release = Release::new();
    let library = libraries().analytics.to_string_lossy().into_owned();
    release.write(
        "host.json",
        &json!({ "manifestVersion": 1, "name": "pulse", "shared": { "shared-store": { "version": "2.0.0" } } }),
    );
    let outcome = release.plan(&[&library]);
    outcome.check(0, &["version-mismatch  `", "(embedded manifest, line "], &[]);
}

#[test]
fn help_has_examples_and_every_exit_code() {
    let help = Release::new().plan(&["--help"]);
    let parts = [
        "--live <NAME=MANIFEST>",
        "--explain <KEY[@SCOPE]>",
        "--why <REMOTE>",
        "--color",
        "pulse plan --why remoteA",
    ];
    help.check(0, &parts, &[]);
    for status in ["0 when", "1 when", "2 for", "3 when", "6 when"] {
        assert!(help.out.contains(status), "{status} is in\n{}", help.out);
    }
}
