//! Each code is provoked by a test, or a reason is given why none can.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    process::Command,
    sync::Arc,
    thread,
};

use negotiation::manifest::{AuthConfig, HostManifest, Range, RemoteManifest};
use negotiation::resolver::{Live, Participant, Plan, PlanRequest, ShareKey, resolve};
use plugin_api::shared::{Consumer, notify_fn};
use pulse::{
    auth::{AuthService, AuthStatus, Session},
    catalogue::Code,
    config::{Config, Options},
    library,
    placement::{GenerationState, loader::LoadedLibrary},
};
use shared_store::{AUTH, Atom, Store, bundled::Table};

use crate::{
    driver::Desktop,
    support::{Installation, libraries, log},
};

mod answers;
mod remote;

use answers::{Answer, answer};
use remote::fail;

/// A code, and a function that provokes it and returns the report.
type Provocation = (Code, fn() -> String);

#[test]
fn every_code_is_provoked_or_out_of_reach() {
    let here = PROVOCATIONS.iter().flat_map(|table| table.iter().map(|(code, _)| *code));
    let here: Vec<Code> = here.chain(PLANS.iter().map(|(code, ..)| *code)).chain(WITHOUT_THREADS).collect();
    let sources = answers::sources();
    for code in Code::ALL {
        let answer = answer(*code);
        assert_eq!(here.contains(code), matches!(answer, Answer::Here), "{code}");
        if let Answer::Test(name) = answer {
            assert!(sources.contains(&format!("fn {name}()")), "no test `{name}`, for `{code}`");
        }
    }
}

const PROVOCATIONS: [&[Provocation]; 4] = [VALUES, CONFIGURATIONS, REMOTES, PROGRAMS];

fn provoke(table: &[Provocation]) {
    for (code, provocation) in table {
        assert_names(&provocation(), *code);
    }
}

/// Asserts that `text` names `code` like the command line or the log, or is the code alone.
fn assert_names(text: &str, code: Code) {
    let log = format!("code=\"{code}\"");
    assert!(
        text == code.as_str() || text.contains(&format!("[{code}]")) || text.contains(&log),
        "`{code}` is not in: {text}"
    );
}

#[test]
fn values_that_are_refused() {
    provoke(VALUES);
}

/// Ranges and atoms.
const VALUES: &[Provocation] = &[
    (Code::RangeAlternatives, || range("^1 || ^2")),
    (Code::RangeBareVersion, || range("1.2.3")),
    (Code::RangeSyntax, || range("^one")),
    (Code::RangeTooLong, || range(&"=1.0.0, ".repeat(100))),
    (Code::AtomConflict, || {
        let cells = Table::new().bind(everything());
        let cell = cells.open("range".into()).into_result().expect("every atom is granted");
        let expected = abi_stable::std_types::ROption::RSome(7);
        let written = cell.write(expected, b"1".as_slice().into()).into_result();
        written.expect_err("it is at 0").code.into()
    }),
    (Code::AtomEncode, || {
        static PAIRS: Atom<BTreeMap<Vec<u8>, u8>> = Atom::new("pairs", BTreeMap::new);
        let value = BTreeMap::from([(vec![1, 2], 3)]);
        Store::new().set(&PAIRS, &value).expect_err("JSON has no such keys").code().to_string()
    }),
    (Code::AtomRefused, || {
        static TEXT: Atom<String> = Atom::new("text", String::new);
        let text = "x".repeat(shared_store::bundled::MAX_VALUE);
        Store::new().set(&TEXT, &text).expect_err("the quotes make it too long").code().to_string()
    }),
    (Code::UsedBeforeNegotiation, || {
        // No store is installed in this image: the shell has its own, and so has each library.
        AUTH.get().expect_err("no store is installed").code().to_string()
    }),
];

fn range(text: &str) -> String {
    text.parse::<Range>().expect_err(text).code().to_string()
}

fn everything() -> Consumer {
    let (name, grants) = ("test".into(), Vec::new().into());
    Consumer { name, grants, all: true, isolated: false, notify: notify_fn(|| ()) }
}

/// Remotes by name, with `shared` of their manifests.
type Remotes = &'static [(&'static str, &'static str)];

/// A code in a plan's diagnostics, `shared` of the host's manifest, and the remotes.
const PLANS: &[(Code, &str, Remotes)] = &[
    (
        Code::Conflict,
        r#""charts": { "version": "1.0.0", "singleton": true }"#,
        &[
            ("a", r#""store": { "version": "1.0.0", "strictVersion": true, "singleton": true }"#),
            ("b", r#""store": { "version": "2.0.0", "strictVersion": true }"#),
            (
                "c",
                r#""store": { "version": "3.0.0", "strictVersion": true },
                   "charts": { "version": "2.0.0", "strictVersion": true }"#,
            ),
        ],
    ),
    (Code::DuplicateName, "", &[("a", ""), ("a", "")]),
    (Code::NameReserved, "", &[("auth", "")]),
    (Code::HostUnsatisfied, r#""store": { "import": false, "requiredVersion": "^1" }"#, &[]),
    (Code::NoProvider, "", &[("a", r#""store": { "import": false, "requiredVersion": "^1" }"#)]),
    (
        Code::SharedKeySimilar,
        r#""shared-store": { "version": "1.0.0" }"#,
        &[("a", r#""shared_store": { "version": "1.0.0" }"#)],
    ),
    (Code::OwnCopy, r#""store": { "version": "1.0.0" }"#, &[("a", r#""store": { "version": "2.0.0" }"#)]),
    (
        Code::ProviderRefused,
        r#""charts": { "version": "1.0.0", "singleton": true }"#,
        &[
            (
                "a",
                r#""charts": { "version": "2.0.0", "strictVersion": true }, "store": { "version": "2.0.0" }"#,
            ),
            ("b", r#""store": { "import": false, "requiredVersion": "^2" }"#),
        ],
    ),
    (
        Code::SeparateScopes,
        r#""store": { "version": "1.0.0", "singleton": true }"#,
        &[("a", r#""store": { "version": "1.0.0", "singleton": true, "shareScope": "own" }"#)],
    ),
    (
        Code::VersionMismatch,
        r#""store": { "version": "1.0.0", "singleton": true }"#,
        &[("a", r#""store": { "version": "1.0.0", "requiredVersion": "^2" }"#)],
    ),
    (
        Code::VersionMismatchStrict,
        r#""store": { "version": "1.0.0", "singleton": true }"#,
        &[("a", r#""store": { "version": "1.0.0", "requiredVersion": "^2", "strictVersion": true }"#)],
    ),
    (Code::NotShared, r#""store": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#, LATE),
];

/// Remotes with which the host keeps its own copy, and a singleton is declared late.
const LATE: Remotes = &[
    ("a", r#""store": { "version": "1.1.0", "requiredVersion": "=1.1.0" }"#),
    ("b", r#""store": { "import": false, "requiredVersion": "^1", "singleton": true }"#),
];

#[test]
fn plans_with_diagnostics() {
    for (code, host, remotes) in PLANS {
        let mut live = Live::new();
        if *remotes == LATE {
            for (name, version) in [("pulse", "1.0.0"), ("a", "1.1.0")] {
                live.bind(ShareKey::new(name, "default", "store"), name, version.parse().expect("a version"));
            }
        }
        let plan = plan(host, remotes, &live).to_json();
        let diagnostics = plan["diagnostics"].as_array().expect("a list");
        assert!(
            diagnostics.iter().any(|one| one["code"] == code.as_str()),
            "`{code}` is not in {diagnostics:?}"
        );
    }
}

fn plan(host: &str, remotes: &[(&str, &str)], live: &Live) -> Plan {
    let host = format!(r#"{{ "manifestVersion": 1, "name": "pulse", "shared": {{ {host} }} }}"#);
    let host = HostManifest::from_json(&host).expect("a good manifest");
    let remotes = remotes.iter().map(|(name, shared)| {
        let text = format!(
            r#"{{ "manifestVersion": 1, "name": "{name}", "version": "1.0.0", "remoteEntry": "{name}",
                  "shared": {{ {shared} }} }}"#
        );
        Participant::remote(&RemoteManifest::from_json(&text).expect("a good manifest"))
            .loaded(!live.is_empty() && *name == "a")
    });
    let remotes: Vec<Participant> = remotes.collect();
    resolve(&PlanRequest { live, ..PlanRequest::new(&Participant::host(&host), &remotes, host.share_strategy) })
}

#[test]
fn configurations_that_are_wrong() {
    provoke(CONFIGURATIONS);
}

/// Faults of the host's manifest and of libraries.
const CONFIGURATIONS: &[Provocation] = &[
    (Code::ConfigMissing, || config("missing.json", "correct its path")),
    (Code::ConfigUnreadable, || config(".", "let this user read it")),
    (Code::HostSharedUnknown, || host_problems("ledger")),
    (Code::HostSharedVersion, || host_problems("shared-store")),
    (Code::PanicAbort, || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = folder.path().join("library");
        let mut bytes = fs::read(&libraries().no_sdk).expect("libraries can be read");
        let magic = &plugin_api::embed::MAGIC;
        // The topmost bit of the revision.
        for at in crate::support::places_of(&bytes, magic) {
            bytes[at + magic.len() + 3] |= 0x80;
        }
        fs::write(&library, bytes).expect("libraries can be written");
        library::inspect(&library).expect_err("its panics abort the process").code().to_string()
    }),
    #[cfg(target_os = "linux")]
    (Code::LibrarySymbol, || unloadable("pthread_key_create", "pulse_is_not_there", "pulse_is_not_there")),
    #[cfg(target_os = "linux")]
    (Code::LibraryVersion, || unloadable("GLIBC_2.", "GLIBC_9.", "GLIBC_9.")),
    (Code::LibraryRefused, || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [library, copy] = ["library", "copy"].map(|name| folder.path().join(name));
        let mut bytes = fs::read(&libraries().misbehaving).expect("libraries can be read");
        // Renames a needed library to one that no system has.
        let needed = NEEDED.as_bytes();
        let places: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(needed)).collect();
        assert!(!places.is_empty(), "the library does not name {NEEDED}");
        for at in places {
            bytes[at..at + needed.len()].fill(b'x');
        }
        fs::write(&library, bytes).expect("libraries can be written");
        let manifest = library::inspect(&library).expect("its manifest is unchanged");
        let error = LoadedLibrary::open(&library, &copy, &manifest).err().expect("the system does not load it");
        assert!(error.advice().contains("install the missing library"), "{error}");
        error.code().to_string()
    }),
];

/// Returns the code for a library that asks the system for `to` instead of `from`; the message names `what`.
#[cfg(target_os = "linux")]
fn unloadable(from: &str, to: &str, what: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [library, copy] = ["library", "copy"].map(|name| folder.path().join(name));
    fs::write(&library, crate::support::edited(&libraries().no_sdk, &[(from, to)])).expect("it can be written");
    let manifest = library::inspect(&library).expect("its manifest is unchanged");
    let error = LoadedLibrary::open(&library, &copy, &manifest).err().expect("the system does not load it");
    let message = error.to_string();
    assert!(message.contains(what) && message.ends_with(&*library.to_string_lossy()), "{message}");
    assert!(!message.contains(&*copy.to_string_lossy()), "the message names the private copy: {message}");
    error.code().to_string()
}

/// A library that every library of this platform needs.
const NEEDED: &str = if cfg!(windows) {
    "KERNEL32.dll"
} else if cfg!(target_os = "macos") {
    "/usr/lib/libSystem.B.dylib"
} else {
    "libc.so.6"
};

fn config(file: &str, advice: &str) -> String {
    let installation = Installation::new();
    let path = installation.path(file);
    let options = Options { config: Some(path.clone()), ..Options::default() };
    let error = Config::load(&options).expect_err("the configuration is not a file");
    let message = error.to_string();
    let path = std::path::absolute(path).expect("it has a name");
    assert!(
        error.advice().contains(advice) && message.ends_with(&format!(": {}", path.display())),
        "{message}"
    );
    error.code().to_string()
}

/// Returns the problems of a host whose manifest offers `key` in a version that the shell does not have.
fn host_problems(key: &str) -> String {
    let mut installation = Installation::new();
    installation.edit_host(|host| host["shared"][key] = serde_json::json!({ "version": "1.0.7" }));
    let shell = installation.start();
    let message =
        shell.federation.negotiator().problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // With file, line and column.
    assert!(message.contains(&format!("{}:1:", installation.path("host.json").display())), "{message}");
    message
}

#[test]
fn remotes_that_return_errors() {
    provoke(REMOTES);
}

/// Faults of a remote over the bare contract.
const REMOTES: &[Provocation] = &[
    (Code::InitFailed, || fail("init-failed")),
    (Code::InitPanicked, || fail("init-panicked")),
    (Code::NewFailed, || fail("new-failed")),
    (Code::NewPanicked, || fail("new-panicked")),
    (Code::FrameFailed, || fail("frame-failed")),
    (Code::FramePanicked, || fail("frame-panicked")),
    (Code::RetireFailed, || fail("retire-failed")),
    (Code::RetirePanicked, || fail("retire-panicked")),
    (Code::RetireHung, || fail("retire-hung")),
];

#[test]
fn programs_that_end_with_an_error() {
    provoke(PROGRAMS);
}

/// The program in environments in which it cannot work.
const PROGRAMS: &[Provocation] = &[
    (Code::Output, || {
        let full = File::options().write(true).open("/dev/full").expect("a device that is full");
        run(|pulse, host| pulse.args(["plan", "--config", host]).stdout(full))
    }),
    (Code::InspectionNotLocal, || {
        run(|pulse, host| pulse.args(["--config", host]).env("EGUI_INSPECTION", "0.0.0.0:5719"))
    }),
    (Code::WindowRefused, || {
        run(|pulse, host| pulse.args(["--config", host]).env("DISPLAY", "no-such-display"))
    }),
    (Code::WindowScale, || {
        run(|pulse, host| pulse.args(["--config", host]).env("WINIT_X11_SCALE_FACTOR", "0"))
    }),
    (Code::WindowWayland, || {
        run(|pulse, host| {
            pulse.args(["--config", host]).env("WAYLAND_DISPLAY", "wayland-99").env_remove("DISPLAY")
        })
    }),
    (Code::WindowLibrary, || without("libxkbcommon-x11.so.0")),
    (Code::WindowLibrary, || without("libXcursor.so.1")),
    (Code::WindowLibrary, || without("libXi.so.6")),
    (Code::WindowLibrary, || without("libX11-xcb.so.1")),
];

/// Returns the program's errors with a damaged copy of this system library.
fn without(library: &str) -> String {
    let message = run(|pulse, host| {
        let folder = host.replace("host.json", "libraries");
        fs::create_dir(&folder).expect("a folder");
        // The empty file is found before the system's library.
        File::create_new(format!("{folder}/{library}")).expect("a file");
        pulse.args(["--config", host]).env("LD_LIBRARY_PATH", folder)
    });
    assert!(message.contains(library.split(".so").next().unwrap_or(library)), "{library}: {message}");
    message
}

/// Runs the program, which must fail; `edit` gets the path of a good host's manifest. Returns standard error.
fn run(edit: impl for<'a> FnOnce(&'a mut Command, &str) -> &'a mut Command) -> String {
    let desktop = Desktop::new();
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    let mut pulse = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    edit(&mut pulse, &installation.path("host.json").to_string_lossy());
    let output = pulse.output().expect("pulse starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    // A message for users, without places in the sources.
    assert!(!stderr.contains("panicked at") && !stderr.contains(".rs:"), "{stderr}");
    stderr
}

/// Codes of a system that cannot spawn threads.
const WITHOUT_THREADS: [Code; 2] = [Code::AuthWorkerFailed, Code::NoThread];

/// Set in the process that cannot spawn threads.
const INNER: &str = "PULSE_TEST_WITHOUT_THREADS";

#[test]
fn system_that_cannot_spawn_threads() {
    if env::var_os(INNER).is_some() {
        return without_threads();
    }
    let name = thread::current().name().expect("tests have names").to_owned();
    let mut inner = Command::new(env::current_exe().expect("this test has a file"));
    // No machine has a pebibyte for the stack of each thread; the test then runs on the first thread.
    inner
        .args(["--exact", &name, "--nocapture"])
        .env(INNER, "1")
        .env("RUST_MIN_STACK", (1_u64 << 50).to_string());
    let output = inner.output().expect("this test starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for code in WITHOUT_THREADS {
        assert_names(&stderr, code);
    }
}

fn without_threads() {
    log();
    let GenerationState::Failed(failure) = remote::start(Arc::new(|_| ())).state() else { panic!("it runs") };
    eprintln!("{failure}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sink = |_: Option<&Session>| ();
    let auth = AuthService::start(&AuthConfig::Local, folder.path(), sink, Arc::new(|| ()));
    let AuthStatus::Failed(error) = auth.status() else { panic!("it runs") };
    eprintln!("{error} [{}]", error.code());
    for code in WITHOUT_THREADS {
        let lines = log().into_iter().filter(|line| line.text.contains(&format!("code={code} ")));
        assert_eq!(lines.count(), 1, "{code}");
    }
}
