//! Libraries are loaded and unloaded in this process, and stay loaded if unloading would crash it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption, RStr, RVec},
};
use plugin_api::{
    abi::{
        Font, FrameInput, HostServices, HostServices_TO, InitContext, RemoteBox, RemoteEntryRef, RemoteError,
        SurfaceContext,
    },
    shared::{Consumer, Grant, Interface, SharedCrate, notify_fn},
    tokens,
};
use pulse::{
    fonts,
    library::{self, Bundle},
    placement::loader::{LoadedLibrary, Unloaded},
};
use shared_store::bundled::Table;
use telemetry::{api::HubArc, bundled::Switch, replay};

use crate::support::libraries;

/// A host that ignores every call.
#[derive(Clone)]
struct NullHost;

impl HostServices for NullHost {
    fn log(&self, _: u32, _: RStr<'_>, _: RStr<'_>) {}
    fn request_repaint(&self, _: u64, _: u64) {}
    fn report(&self, _: u64, _: RemoteError) {}
    fn font(&self, _: RStr<'_>, _: u32) -> ROption<Font> {
        ROption::RNone
    }
}

fn consumer(grants: &[&str]) -> Consumer {
    let grants = grants.iter().map(|name| Grant { name: (*name).into(), write: true });
    Consumer {
        name: "test".into(),
        grants: grants.collect(),
        all: false,
        isolated: false,
        notify: notify_fn(|| ()),
    }
}

fn input(time: f64) -> FrameInput {
    FrameInput {
        time,
        predicted_dt: 0.016,
        size: [400.0, 300.0],
        window: [0.0, 0.0, 400.0, 300.0],
        pixels_per_point: 1.0,
        max_texture_side: 2048,
        focused: true,
        accessibility: true,
        modifiers: 0,
        tokens: tokens::DARK,
        events: RVec::new(),
    }
}

/// Runs a remote through its life: init, a surface of `expose`, some frames, shutdown.
fn live(entry: RemoteEntryRef, expose: &str, folder: &Path) {
    let store = Interface::new(
        <shared_store::Shared as SharedCrate>::NAME,
        <shared_store::Shared as SharedCrate>::VERSION,
        Table::new().bind(consumer(&["auth"])),
    );
    let switch = Switch::new();
    assert!(switch.bind(Consumer { all: true, ..consumer(&[]) }).attach(replay::into_default()));
    let telemetry = Interface::new(
        <telemetry::Shared as SharedCrate>::NAME,
        <telemetry::Shared as SharedCrate>::VERSION,
        switch.bind(consumer(&[])),
    );
    let provided = [store, telemetry];
    let own = entry.shared()();
    let own = own
        .iter()
        .filter(|module| provided.iter().all(|interface| module.key != interface.key()))
        .map(|module| (module.bind)(consumer(&[])).unwrap());
    let mut scope: Vec<Interface> = own.collect();
    scope.extend(provided);
    let context = InitContext {
        services: HostServices_TO::from_ptr(RArc::new(NullHost), TD_Opaque),
        scope: scope.into(),
        data_dir: folder.to_string_lossy().into_owned().into(),
        fonts: fonts::all().into(),
    };
    let mut remote = entry.init()(context).into_result().expect("init");
    let surface = remote.get(expose.into(), SurfaceContext { id: 1, state: ROption::RNone });
    let mut surface = surface.into_result().expect("get");
    let first = surface.frame(input(0.0)).into_result().expect("a first frame");
    assert!(!first.meshes.is_empty() && !first.textures.is_empty());
    surface.frame(input(0.1)).into_result().expect("a second frame");
    surface.save().into_result().expect("its state");
    remote.changed().into_result().expect("a change");
    surface.close().into_result().expect("close");
    remote.shutdown().into_result().expect("shutdown");
}

/// Loads `library` from a private copy, runs its remote on another thread, and unloads it.
fn round(library: &Path, copy: PathBuf, expose: &'static str, folder: &Path) -> Unloaded {
    let (library, folder) = (library.to_owned(), folder.to_owned());
    let run = move || {
        let manifest = library::inspect(&library).expect("a good library");
        let loaded = LoadedLibrary::open(&library, &copy, &manifest).expect("a good library");
        live(loaded.entry(), expose, &folder);
        loaded
    };
    thread::spawn(run).join().expect("no panic").unload()
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("pulse-unload-").tempdir().expect("a temporary folder")
}

/// Returns the lines of this process's memory map that name `folder`.
fn mapped(folder: &Path) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter(|line| line.contains(&*folder.to_string_lossy())).map(str::to_owned).collect()
}

#[test]
fn fifty_lives_leave_nothing_mapped() {
    let folder = folder();
    let remotes = [
        (&libraries().misbehaving, "./calm"),
        (&libraries().misbehaving, "./chatty"),
        (&libraries().no_sdk, "./triangles"),
    ];
    for (library, expose) in remotes {
        for number in 0..50 {
            let copy = folder.path().join(format!("{}-{number}.copy", expose.trim_start_matches("./")));
            let unloaded = round(library, copy.clone(), expose, folder.path());
            assert_eq!(unloaded, Unloaded::Gone, "{expose}, life {number}: {:?}", mapped(folder.path()));
            assert!(!copy.exists(), "the private copy is removed");
        }
    }
    assert_eq!(mapped(folder.path()), [""; 0]);
}

#[test]
fn library_with_a_running_thread_stays_loaded() {
    let folder = folder();
    let copy = folder.path().join("thread.copy");
    let unloaded = round(&libraries().misbehaving, copy, "./thread", folder.path());
    // The system truncates the names of threads.
    assert_eq!(unloaded, Unloaded::Threads(vec!["fixture:left-be".to_owned()]));
    // The thread can still run code of the library until it ends.
    fs::write(folder.path().join("end-thread"), "").expect("a file can be written");
}

/// Variable with the folder of the libraries, set for a process that runs one test alone.
const ALONE: &str = "PULSE_TEST_UNLOAD_ALONE";

#[test]
fn three_hundred_lives_leak_no_mapping_thread_or_file() {
    let folder = folder();
    for (library, name) in [(&libraries().misbehaving, "misbehaving"), (&libraries().analytics, "analytics")] {
        fs::copy(library, folder.path().join(name)).expect("libraries can be copied");
    }
    let mut alone = Command::new(env::current_exe().expect("a program"));
    alone.args(["--exact", "bad_input::unload::lives_in_a_process_of_their_own", "--include-ignored"]);
    let output = alone.arg("--nocapture").env(ALONE, folder.path()).output().expect("it starts");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("three hundred lives"), "{}: {text}", output.status);
}

struct Running {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<LoadedLibrary>,
}

#[test]
#[ignore = "run by the test above, in another process"]
fn lives_in_a_process_of_their_own() {
    let Some(folder) = env::var_os(ALONE).map(PathBuf::from) else { return };
    let remotes =
        [("misbehaving", "./calm"), ("misbehaving", "./chatty"), ("analytics", "./analytics-dashboard")];
    let data = folder.join("data");
    let lives = |from: usize, to: usize| {
        for number in from..to {
            let (library, expose) = remotes[number % remotes.len()];
            let copy = folder.join(format!("{number}.copy"));
            let unloaded = round(&folder.join(library), copy, expose, &data);
            assert_eq!(unloaded, Unloaded::Gone, "{expose}, life {number}: {:?}", mapped(&folder));
        }
    };
    // After some lives, the caches of the C library and the allocator are filled.
    lives(0, 20);
    let entries = |of: &str| fs::read_dir(of).expect("/proc can be read").count();
    let count = || {
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc can be read");
        let files = maps.lines().filter(|line| line.contains('/')).count();
        [files, entries("/proc/self/fd"), entries("/proc/self/task")]
    };
    let before = count();
    lives(20, 220);
    assert_eq!(count(), before, "files that are mapped, open files, threads");
    // Each life begins before the previous library is unloaded, on stacks of earlier threads.
    let mut last: Option<Running> = None;
    for number in 300..400 {
        let (library, expose) = remotes[number % remotes.len()];
        let (library, data, copy) = (folder.join(library), data.clone(), folder.join(format!("{number}.copy")));
        let (end, ends) = mpsc::channel::<()>();
        let (ready, is_ready) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let manifest = library::inspect(&library).expect("a good library");
            let loaded = LoadedLibrary::open(&library, &copy, &manifest).expect("a good library");
            live(loaded.entry(), expose, &data);
            drop(ready);
            // Wait until the next remote runs.
            let _ = ends.recv();
            loaded
        });
        let _ = is_ready.recv();
        if let Some(Running { end, thread }) = last.replace(Running { end, thread }) {
            drop(end);
            assert_eq!(thread.join().expect("no panic").unload(), Unloaded::Gone, "before {number}");
        }
    }
    let Running { end, thread } = last.expect("the last remote");
    drop(end);
    assert_eq!(thread.join().expect("no panic").unload(), Unloaded::Gone);
    assert_eq!(count(), before, "files that are mapped, open files, threads");
    eprintln!("three hundred lives: {before:?}");
}

#[test]
fn library_with_value_in_running_thread_stays() {
    let folder = folder();
    let (library, copy) = (libraries().misbehaving.clone(), folder.path().join("value.copy"));
    // Like the window's thread, which binds the shared crates that remotes offer.
    let window = thread::spawn(move || {
        let manifest = library::inspect(&library).expect("a good library");
        let loaded =
            thread::spawn(move || LoadedLibrary::open(&library, &copy, &manifest).expect("a good library"));
        let loaded = loaded.join().expect("it loads");
        let modules = loaded.entry().shared()();
        let trap = modules.iter().find(|module| module.key == "fixture-trap").expect("it offers a trap");
        drop((trap.bind)(consumer(&["misbehaving.hold-thread"])));
        drop(modules);
        loaded.unload()
    });
    // The thread runs a destructor of the library when it ends.
    assert_eq!(window.join().expect("no panic"), Unloaded::StillMapped);
}

#[test]
fn library_used_for_telemetry_is_unloaded() {
    let folder = folder();
    let (library, copy) = (libraries().misbehaving.clone(), folder.path().join("telemetry.copy"));
    // Like the window's thread, which attaches the host to the hub of a remote.
    let window = thread::spawn(move || {
        let manifest = library::inspect(&library).expect("a good library");
        let loaded =
            thread::spawn(move || LoadedLibrary::open(&library, &copy, &manifest).expect("a good library"));
        let loaded = loaded.join().expect("it loads");
        let modules = loaded.entry().shared()();
        let telemetry = modules.iter().find(|module| module.key == "telemetry").expect("it offers telemetry");
        let host = Consumer { all: true, ..consumer(&[]) };
        let interface = (telemetry.bind)(host).into_result().expect("it binds");
        assert!(interface.get::<HubArc>().expect("the same layout").attach(replay::into_default()));
        drop(interface);
        drop(modules);
        loaded.unload()
    });
    assert_eq!(window.join().expect("no panic"), Unloaded::Gone);
}

/// Loads a remote without the SDK, and creates the context for its `init`. The name of a file in the folder is the
/// place of its panic.
fn no_sdk(folder: &Path) -> (LoadedLibrary, InitContext) {
    let library = &libraries().no_sdk;
    let manifest = library::inspect(library).expect("a good library");
    let loaded = LoadedLibrary::open(library, &folder.join("bare.copy"), &manifest).expect("a good library");
    let context = InitContext {
        services: HostServices_TO::from_ptr(RArc::new(NullHost), TD_Opaque),
        scope: RVec::new(),
        data_dir: folder.to_string_lossy().into_owned().into(),
        fonts: RVec::new(),
    };
    (loaded, context)
}

#[test]
fn panics_without_the_sdk_are_errors_everywhere() {
    let folder = folder();
    fs::write(folder.path().join("panic-init"), "").expect("a file can be written");
    let (library, context) = no_sdk(folder.path());
    let panicked = |error: RemoteError, place: &str| {
        assert_eq!(error.code, RemoteError::PANICKED, "{place}: {error:?}");
        assert_eq!(error.message.as_str(), format!("the fixture panics in {place}"));
    };
    panicked(library.entry().init()(context).into_result().err().expect("it panics"), "init");
    fs::rename(folder.path().join("panic-init"), folder.path().join("panic-shutdown")).expect("a name");
    let (_, context) = no_sdk(folder.path());
    let mut remote = library.entry().init()(context).into_result().expect("it starts");
    let get = |remote: &mut RemoteBox, place: &str| {
        let context = SurfaceContext { id: 1, state: ROption::RNone };
        remote.get(format!("./panic-{place}").as_str().into(), context).into_result()
    };
    panicked(get(&mut remote, "get").err().expect("it panics"), "get");
    let mut surface = get(&mut remote, "frame").expect("the remote still runs");
    surface.frame(input(0.0)).into_result().expect("a first frame");
    panicked(surface.frame(input(0.1)).into_result().expect_err("it panics"), "frame");
    assert_eq!(surface.frame(input(0.2)).into_result().expect_err("it has failed").code, RemoteError::FAILED);
    surface.close().into_result().expect("nothing is left to close");
    panicked(get(&mut remote, "save").expect("a surface").save().into_result().expect_err("it panics"), "save");
    panicked(
        get(&mut remote, "close").expect("a surface").close().into_result().expect_err("it panics"),
        "close",
    );
    panicked(
        get(&mut remote, "drop").expect("a surface").close().into_result().expect_err("it panics"),
        "drop",
    );
    // Dropped without a call of `close`.
    drop(get(&mut remote, "drop").expect("a surface"));
    panicked(remote.shutdown().into_result().expect_err("it panics"), "shutdown");
}

#[test]
fn libraries_shipped_alongside_are_found() {
    let folder = folder();
    let [app, lib] = ["app", "lib"].map(|name| folder.path().join(name));
    for folder in [&app, &lib] {
        fs::create_dir(folder).expect("a folder");
    }
    let compile = |arguments: &[&str]| {
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-x", "c", "-"]).args(arguments).current_dir(&app);
        let status = cc.stdin(std::process::Stdio::null()).status();
        assert!(status.expect("a C compiler").success(), "{arguments:?}");
    };
    // `libpulseside` needs `libpulsedeep`, which is in another folder.
    compile(&["-o", "../lib/libpulsedeep.so"]);
    compile(&[
        "-o",
        "libpulseside.so",
        "-Wl,--no-as-needed",
        "-L../lib",
        "-lpulsedeep",
        "-Wl,-rpath,$ORIGIN/../lib",
    ]);
    compile(&["-o", "libuser.so", "-Wl,--no-as-needed", "-L.", "-lpulseside", "-Wl,-rpath,$ORIGIN"]);
    let copy = folder.path().join("copies/user-1.so");
    fs::create_dir(folder.path().join("copies")).expect("a folder");
    fs::copy(app.join("libuser.so"), &copy).expect("libraries can be copied");
    let bundle = Bundle::of(&app.join("libuser.so"));
    let files: Vec<_> = bundle.parts().collect();
    assert!(files.len() == 2 && files.iter().all(|file| file.is_file()), "{files:?}");
    bundle.copy_to(&copy).expect("there is room");
    // Copies do not need the originals, and can be copied again, as a preflight does.
    fs::rename(&app, folder.path().join("gone")).expect("a folder can be renamed");
    let again = folder.path().join("copies/user-2.so");
    fs::copy(&copy, &again).expect("libraries can be copied");
    Bundle::of(&copy).copy_to(&again).expect("there is room");
    for copy in [&copy, &again] {
        let found = Command::new("ldd").arg(library::loadable(copy)).output().expect("ldd starts").stdout;
        let found = String::from_utf8_lossy(&found).into_owned();
        assert!(found.contains("libpulsedeep.so") && !found.contains("not found"), "{found}");
    }
    for copy in [&copy, &again] {
        library::remove(copy);
    }
    assert_eq!(fs::read_dir(folder.path().join("copies")).expect("a folder").count(), 0);
}
