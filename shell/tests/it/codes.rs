//! Every code that the shipped sources can produce is in the catalogue, and none that they cannot; and each is
//! provoked by a test, or there is a reason why not.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File},
    process::Command,
    sync::Arc,
    thread,
};

use negotiation::manifest::{AuthConfig, HostManifest, Range, RemoteManifest};
use negotiation::resolver::{Live, Participant, Plan, Request, Slot, resolve};
use plugin_api::{
    abi::RemoteError,
    shared::{Consumer, notify_fn},
};
use pulse::{
    auth::{AuthService, AuthStatus, Session},
    catalogue,
    config::{Config, Options},
    failure::Stage,
    library,
    placement::{State, loader::Library},
};
use shared_store::{AUTH, Atom, Store, bundled::Table};

use crate::{
    driver::Desktop,
    support::{Installation, libraries, log},
};

mod remote;
mod source;

use remote::fail;

/// Something real that goes wrong, and the code that it is told with.
type Provocation = (&'static str, fn() -> String);

/// Codes that no test provokes, and why.
const OUT_OF_REACH: &[(&str, &str)] = &[
    ("auth-random-unavailable", "a system that runs tests has random bytes"),
    ("drop-folder-silent", "a test has no file system that does not answer"),
    ("lock-unsupported", "the file systems on which tests run have locks"),
    ("check-lost", "nobody asks for what it says that nobody wants, or the shell itself is at fault"),
    ("library-descriptors", "it takes the descriptors from every other test of the process"),
    ("library-memory", "it takes the memory from every other test of the process"),
    ("library-noexec", "it takes a file system that was mounted so"),
    ("static-tls", "it takes libraries with another allocator"),
    (
        "store-not-shared",
        "only a remote that links the store and does not share it can, and none of the fixtures does",
    ),
    ("library-mapped", "what keeps a library in memory without a thread of its own is not to be had in a test"),
    ("link-failed", "tests start no browser; those of `links` have one that hangs"),
    ("load-hung", "it holds the lock of the system's loader, and with that every other test of the process"),
    ("save-failed", "only a remote without the SDK can, and none of the fixtures does"),
    ("graphics-failed", "what a graphics device refuses depends on the machine"),
    ("signals-unavailable", "a system without threads or files for signals gives the shell no window either"),
    ("window-gone", "Xlib ends the process by itself, unless its server goes in the middle of a request"),
    ("window-slow", "it takes a display that hangs, and ten seconds"),
    ("folder-unreadable", "whoever runs tests may be root, who may read every folder"),
];

/// Words in the form of codes that are none, by file.
const OTHER_WORDS: &[(&str, &[&str])] = &[
    ("negotiation/src/manifest/host.rs", &["loaded-first", "version-first"]),
    ("plugin-api/src/theme.rs", &["pulse-regular", "pulse-strong"]),
    ("shared-store/src/facade.rs", &["shared-store"]),
    ("shell/src/data/private.rs", &["pulse-shell"]),
    (
        // The rules by which a copy is chosen.
        "negotiation/src/resolver/explain.rs",
        &[
            "fewest-unsatisfied",
            "highest-compatible",
            "highest-fitting",
            "keeps-its-copy",
            "nothing-fits",
            "own-copy",
            "singleton-in-use",
        ],
    ),
];

/// Where every string may be the name of a cursor.
const CURSORS: &str = "plugin-api/src/bridge.rs";

#[test]
fn the_catalogue_has_what_the_sources_can_produce_and_nothing_else() {
    let mut produced = stage_codes();
    let mut missing = Vec::new();
    for literal in source::shipped() {
        let raw = [RemoteError::PANICKED, RemoteError::FAILED].contains(&&*literal.text);
        let code = literal.is_code() && !raw;
        let file = literal.place.split(':').next().unwrap_or_default();
        let other = file == CURSORS
            || OTHER_WORDS.iter().any(|(path, words)| *path == file && words.contains(&&*literal.text));
        if !code && (other || !literal.is_kebab()) {
            continue;
        }
        if catalogue::find(&literal.text).is_none() {
            missing.push(format!("{}: {}", literal.place, literal.text));
        }
        produced.insert(literal.text);
    }
    assert_eq!(missing, [""; 0], "docs/codes.md lacks these, or OTHER_WORDS does if they are no codes");
    for code in &produced {
        assert!(catalogue::find(code).is_some(), "docs/codes.md lacks `{code}`");
    }
    let idle = all().filter(|code| !produced.contains(*code));
    assert_eq!(idle.collect::<Vec<_>>(), [""; 0], "nothing produces these");
}

fn all() -> impl Iterator<Item = &'static str> {
    catalogue::all().iter().map(|entry| entry.code)
}

/// What panics and errors of remotes are called in the stages in which a remote can return them.
fn stage_codes() -> BTreeSet<String> {
    let stages = [
        Stage::Discover,
        Stage::Check,
        Stage::Preflight,
        Stage::Plan,
        Stage::Load,
        Stage::Init,
        Stage::Open,
        Stage::Restore,
        Stage::Frame,
        Stage::Save,
        Stage::Retire,
    ];
    let shell = source::files(&crate::support::workspace().join("shell/src"));
    let returned = |stage: &&Stage| {
        let calls = ["from_remote", "copied"].map(|call| format!("{call}(Stage::{stage:?},"));
        shell.iter().any(|(_, text)| calls.iter().any(|call| text.contains(call)))
    };
    let codes = stages.iter().filter(returned).flat_map(|stage| {
        [RemoteError::PANICKED, RemoteError::FAILED].map(|code| {
            let failure = pulse::failure::Failure::from_remote(*stage, &RemoteError::new(code, ""));
            failure.code
        })
    });
    codes.collect()
}

#[test]
fn strings_are_found_where_codes_belong() {
    let text = r#"
        impl Code { pub fn as_str(self) -> &'static str { match self { Self::A => "one" } } }
        impl Other { fn as_str(self) -> &'static str { match self { Self::A => "two" } } }
        impl WindowError { fn code(&self) -> &str { match self { Self::A(_) => "three", Self::B => "four" } } }
        // "five" and 'x' and '"' are no strings
        fn f<'a>(x: &'a str) { let c = ['"', '\'', 'é']; Failure::new(
            Stage::Init, "six", format!("seven \" \\")) }
        impl Fault { pub const NINE: &'static str = "nine"; }
        tracing::warn!(remote, code = "ten", r"eleven", b"twelve");
        Exit::new(Exit::FAILURE, "thirteen", "x-y");
    "#;
    let found = source::literals("a.rs", text);
    let codes: Vec<_> =
        found.iter().filter(|l| l.is_code()).map(|l| (l.text.as_str(), l.place.as_str())).collect();
    let expected = [
        ("one", "a.rs:2"),
        ("three", "a.rs:4"),
        ("four", "a.rs:4"),
        ("six", "a.rs:7"),
        ("nine", "a.rs:8"),
        ("ten", "a.rs:9"),
        ("thirteen", "a.rs:10"),
    ];
    assert_eq!(codes, expected);
    let others: Vec<_> =
        found.iter().filter(|l| !l.is_code()).map(|l| (l.text.as_str(), l.is_kebab())).collect();
    let no = |text| (text, false);
    let expected = [no("two"), no(r#"seven \" \\"#), no("eleven"), no("twelve"), ("x-y", true)];
    assert_eq!(others, expected);
}

#[test]
fn every_code_is_provoked_or_there_is_a_reason_why_not() {
    let here = PROVOCATIONS.iter().flat_map(|table| table.iter().map(|(code, _)| *code));
    let here = here.chain(PLANS.iter().map(|(code, ..)| *code)).chain(WITHOUT_THREADS);
    let mut provoked: BTreeSet<String> = here.map(str::to_owned).collect();
    for literal in source::tested() {
        // A code by itself, or in brackets behind a sentence.
        let bracketed = literal.text.rsplit_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
        provoked.insert(bracketed.unwrap_or(&literal.text).to_owned());
    }
    let expected = |code: &&str| !OUT_OF_REACH.iter().any(|(known, _)| known == code);
    let forgotten: Vec<_> = all().filter(expected).filter(|code| !provoked.contains(*code)).collect();
    assert_eq!(forgotten, [""; 0], "no test provokes these");
    for (code, reason) in OUT_OF_REACH {
        assert!(catalogue::find(code).is_some() && !reason.is_empty(), "{code}");
        assert!(!provoked.contains(*code), "`{code}` is provoked: take it off OUT_OF_REACH");
    }
}

const PROVOCATIONS: [&[Provocation]; 4] = [VALUES, CONFIGURATIONS, REMOTES, PROGRAMS];

fn provoke(table: &[Provocation]) {
    for (code, provocation) in table {
        says(&provocation(), code);
    }
}

/// The text tells `code` as the command line, the log or a code alone does.
fn says(told: &str, code: &str) {
    let log = format!("code=\"{code}\"");
    assert!(
        told == code || told.contains(&format!("[{code}]")) || told.contains(&log),
        "`{code}` is not in: {told}"
    );
    assert!(catalogue::find(code).is_some(), "{code}");
}

#[test]
fn values_that_are_refused() {
    provoke(VALUES);
}

/// Ranges and atoms.
const VALUES: &[Provocation] = &[
    ("range-alternatives", || range("^1 || ^2")),
    ("range-bare-version", || range("1.2.3")),
    ("range-syntax", || range("^one")),
    ("range-too-long", || range(&"=1.0.0, ".repeat(100))),
    ("atom-conflict", || {
        let cells = Table::new().bind(everything());
        let cell = cells.open("range".into()).into_result().expect("everything is granted");
        let expected = abi_stable::std_types::ROption::RSome(7);
        cells
            .write(cell.id, expected, b"1".as_slice().into())
            .into_result()
            .expect_err("it is at 0")
            .code
            .into()
    }),
    ("atom-refused", || {
        let fault = Table::new().bind(everything()).read(5).into_result().expect_err("there is no such cell");
        let consumer = everything().name;
        assert!(fault.message.contains(&format!("`{consumer}` asks for cell 5")), "{}", fault.message);
        fault.code.into()
    }),
    ("atom-encode", || {
        static PAIRS: Atom<BTreeMap<Vec<u8>, u8>> = Atom::new("pairs", BTreeMap::new);
        let value = BTreeMap::from([(vec![1, 2], 3)]);
        Store::new().set(&PAIRS, &value).expect_err("JSON has no such keys").code().to_owned()
    }),
    ("atom-refused", || {
        static TEXT: Atom<String> = Atom::new("text", String::new);
        let text = "x".repeat(shared_store::bundled::MAX_VALUE);
        Store::new().set(&TEXT, &text).expect_err("with its quotes it is too long").code().to_owned()
    }),
    ("used-before-negotiation", || {
        // Nobody installs a store in this image: the shell has one of its own, and so has each library.
        AUTH.get().expect_err("there is no store").code().to_owned()
    }),
];

fn range(text: &str) -> String {
    text.parse::<Range>().expect_err(text).code().to_owned()
}

fn everything() -> Consumer {
    let (name, grants) = ("test".into(), Vec::new().into());
    Consumer { name, grants, all: true, isolated: false, notify: notify_fn(|| ()) }
}

/// Remotes by name, with what `shared` of their manifests says.
type Remotes = &'static [(&'static str, &'static str)];

/// What a plan says, `shared` of the host's manifest, and the remotes.
const PLANS: &[(&str, &str, Remotes)] = &[
    (
        "conflict",
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
    ("duplicate-name", "", &[("a", ""), ("a", "")]),
    ("name-reserved", "", &[("auth", "")]),
    ("host-unsatisfied", r#""store": { "import": false, "requiredVersion": "^1" }"#, &[]),
    ("no-provider", "", &[("a", r#""store": { "import": false, "requiredVersion": "^1" }"#)]),
    (
        "shared-key-similar",
        r#""shared-store": { "version": "1.0.0" }"#,
        &[("a", r#""shared_store": { "version": "1.0.0" }"#)],
    ),
    ("own-copy", r#""store": { "version": "1.0.0" }"#, &[("a", r#""store": { "version": "2.0.0" }"#)]),
    (
        "provider-refused",
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
        "separate-scopes",
        r#""store": { "version": "1.0.0", "singleton": true }"#,
        &[("a", r#""store": { "version": "1.0.0", "singleton": true, "shareScope": "own" }"#)],
    ),
    (
        "version-mismatch",
        r#""store": { "version": "1.0.0", "singleton": true }"#,
        &[("a", r#""store": { "version": "1.0.0", "requiredVersion": "^2" }"#)],
    ),
    (
        "version-mismatch-strict",
        r#""store": { "version": "1.0.0", "singleton": true }"#,
        &[("a", r#""store": { "version": "1.0.0", "requiredVersion": "^2", "strictVersion": true }"#)],
    ),
    ("not-shared", r#""store": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#, LATE),
];

/// With this the host keeps a copy of its own, and a singleton is declared later.
const LATE: Remotes = &[
    ("a", r#""store": { "version": "1.1.0", "requiredVersion": "=1.1.0" }"#),
    ("b", r#""store": { "import": false, "requiredVersion": "^1", "singleton": true }"#),
];

#[test]
fn plans_that_have_something_to_say() {
    for (code, host, remotes) in PLANS {
        let mut live = Live::new();
        if *remotes == LATE {
            for (name, version) in [("pulse", "1.0.0"), ("a", "1.1.0")] {
                live.bind(Slot::new(name, "default", "store"), name, version.parse().expect("a version"));
            }
        }
        let plan = plan(host, remotes, &live).to_json();
        let said = plan["diagnostics"].as_array().expect("a list");
        assert!(said.iter().any(|said| said["code"] == *code), "`{code}` is not in {said:?}");
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
    resolve(&Request { live, ..Request::new(&Participant::host(&host), &remotes, host.share_strategy) })
}

#[test]
fn configurations_that_are_wrong() {
    provoke(CONFIGURATIONS);
}

/// The host's manifest, and libraries.
const CONFIGURATIONS: &[Provocation] = &[
    ("config-missing", || config("missing.json", "correct its path")),
    ("config-unreadable", || config(".", "let this user read it")),
    ("host-shared-unknown", || host_says("ledger")),
    ("host-shared-version", || host_says("shared-store")),
    ("panic-abort", || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = folder.path().join("library");
        let mut bytes = fs::read(&libraries().no_sdk).expect("libraries can be read");
        let magic = &plugin_api::embed::MAGIC;
        // The topmost bit of the revision.
        for at in crate::support::places_of(&bytes, magic) {
            bytes[at + magic.len() + 3] |= 0x80;
        }
        fs::write(&library, bytes).expect("libraries can be written");
        library::inspect(&library).expect_err("its panics end the process").code().to_owned()
    }),
    #[cfg(target_os = "linux")]
    ("library-symbol", || unloadable("pthread_key_create", "pulse_is_not_there", "pulse_is_not_there")),
    #[cfg(target_os = "linux")]
    ("library-version", || unloadable("GLIBC_2.", "GLIBC_9.", "GLIBC_9.")),
    ("library-refused", || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [library, copy] = ["library", "copy"].map(|name| folder.path().join(name));
        let mut bytes = fs::read(&libraries().misbehaving).expect("libraries can be read");
        // A library that it needs gets a name that no system has.
        let needed = NEEDED.as_bytes();
        let places: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(needed)).collect();
        assert!(!places.is_empty(), "it needs {NEEDED}");
        for at in places {
            bytes[at..at + needed.len()].fill(b'x');
        }
        fs::write(&library, bytes).expect("libraries can be written");
        let manifest = library::inspect(&library).expect("its manifest is as it was");
        let error = Library::open(&library, &copy, &manifest).err().expect("the system does not load it");
        assert!(error.to_string().contains("install what it needs"), "{error}");
        error.code().to_owned()
    }),
];

/// The code for a library that asks the system for `to` instead of `from`; the message names `what`.
#[cfg(target_os = "linux")]
fn unloadable(from: &str, to: &str, what: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [library, copy] = ["library", "copy"].map(|name| folder.path().join(name));
    fs::write(&library, crate::support::edited(&libraries().no_sdk, &[(from, to)])).expect("it can be written");
    let manifest = library::inspect(&library).expect("its manifest is as it was");
    let error = Library::open(&library, &copy, &manifest).err().expect("the system does not load it");
    let told = error.to_string();
    assert!(told.contains(what) && told.ends_with(&*library.to_string_lossy()), "{told}");
    assert!(!told.contains(&*copy.to_string_lossy()), "the private copy is no concern of the reader's: {told}");
    error.code().to_owned()
}

/// What every library of this platform needs.
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
    let error = Config::load(&options).expect_err("it is no file");
    let told = error.to_string();
    let path = std::path::absolute(path).expect("it has a name");
    assert!(told.contains(advice) && told.ends_with(&format!(": {}", path.display())), "{told}");
    error.code().to_owned()
}

/// What the shell says of itself when its manifest offers a crate in a version that it does not have.
fn host_says(key: &str) -> String {
    let mut installation = Installation::new();
    installation.edit_host(|host| host["shared"][key] = serde_json::json!({ "version": "1.0.7" }));
    let shell = installation.start();
    let told =
        shell.federation.negotiator().problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // File, line and column.
    assert!(told.contains(&format!("{}:1:", installation.path("host.json").display())), "{told}");
    told
}

#[test]
fn remotes_that_return_errors() {
    provoke(REMOTES);
}

/// A remote over the bare contract.
const REMOTES: &[Provocation] = &[
    ("init-failed", || fail("init-failed")),
    ("init-panicked", || fail("init-panicked")),
    ("new-failed", || fail("new-failed")),
    ("new-panicked", || fail("new-panicked")),
    ("frame-failed", || fail("frame-failed")),
    ("frame-panicked", || fail("frame-panicked")),
    ("retire-failed", || fail("retire-failed")),
    ("retire-panicked", || fail("retire-panicked")),
    ("retire-hung", || fail("retire-hung")),
];

#[test]
fn programs_that_end_with_an_error() {
    provoke(PROGRAMS);
}

/// The program in surroundings in which it cannot work.
const PROGRAMS: &[Provocation] = &[
    ("output", || {
        let full = File::options().write(true).open("/dev/full").expect("a device that is full");
        run(|pulse, host| pulse.args(["plan", "--host", host]).stdout(full))
    }),
    ("inspection-not-local", || {
        run(|pulse, host| pulse.args(["--config", host]).env("EGUI_INSPECTION", "0.0.0.0:5719"))
    }),
    ("window-refused", || run(|pulse, host| pulse.args(["--config", host]).env("DISPLAY", "no-such-display"))),
    ("window-scale", || run(|pulse, host| pulse.args(["--config", host]).env("WINIT_X11_SCALE_FACTOR", "0"))),
    ("window-wayland", || {
        run(|pulse, host| {
            pulse.args(["--config", host]).env("WAYLAND_DISPLAY", "wayland-99").env_remove("DISPLAY")
        })
    }),
    ("window-library", || without("libxkbcommon-x11.so.0")),
    ("window-library", || without("libXcursor.so.1")),
    ("window-library", || without("libXi.so.6")),
    ("window-library", || without("libX11-xcb.so.1")),
];

/// What the program says where this system library is damaged.
fn without(library: &str) -> String {
    let told = run(|pulse, host| {
        let folder = host.replace("host.json", "libraries");
        fs::create_dir(&folder).expect("a folder");
        // It is found first, and it is none.
        File::create_new(format!("{folder}/{library}")).expect("a file");
        pulse.args(["--config", host]).env("LD_LIBRARY_PATH", folder)
    });
    assert!(told.contains(library.split(".so").next().unwrap_or(library)), "{library}: {told}");
    told
}

/// What the program says when it is run so, with the path of a good host's manifest.
fn run(edit: impl for<'a> FnOnce(&'a mut Command, &str) -> &'a mut Command) -> String {
    let desktop = Desktop::new();
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    let mut pulse = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    edit(&mut pulse, &installation.path("host.json").to_string_lossy());
    let output = pulse.output().expect("pulse starts");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{told}");
    // A sentence, and nothing for whoever has the sources.
    assert!(!told.contains("panicked at") && !told.contains(".rs:"), "{told}");
    told
}

/// Codes of a system that gives no threads.
const WITHOUT_THREADS: [&str; 2] = ["auth-worker-failed", "no-thread"];

/// Set in the process that gets no threads.
const INNER: &str = "PULSE_TEST_WITHOUT_THREADS";

#[test]
fn a_system_that_gives_no_threads() {
    if env::var_os(INNER).is_some() {
        return without_threads();
    }
    let name = thread::current().name().expect("tests have names").to_owned();
    let mut inner = Command::new(env::current_exe().expect("this test has a file"));
    // Each thread is to have a stack of a pebibyte, which no machine has; the test then runs on the first one.
    inner
        .args(["--exact", &name, "--nocapture"])
        .env(INNER, "1")
        .env("RUST_MIN_STACK", (1_u64 << 50).to_string());
    let output = inner.output().expect("this test starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    for code in WITHOUT_THREADS {
        says(&told, code);
    }
}

fn without_threads() {
    log();
    let State::Failed(failure) = remote::start(Arc::new(|_| ())).state() else { panic!("it runs") };
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
