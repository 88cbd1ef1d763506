//! Replaces the analytics remote repeatedly in one process: no earlier generation may leave anything behind.
//!
//! `PULSE_SOAK` is the number of replacements, by default 100; `cargo xtask soak` makes 1,000. The figures are of the
//! complete process, so these tests have their own process and wait for each other. They come from the kernel's
//! `/proc`, so the tests run on Linux only.
#![cfg(target_os = "linux")]

#[path = "it"]
mod it {
    #[expect(dead_code, unused_imports, reason = "the other tests use more of it")]
    pub(crate) mod support;
}

use std::{
    collections::BTreeSet,
    env, fmt, fs,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use it::support::{Headless, Installation, PATIENCE, libraries, places_of};
use pulse::{
    data::archive::{Archive, GENERATIONS},
    federation::RemoteEvent,
    preflight::Preflight,
};

const ANALYTICS: &str = "remoteAnalytics";
const DASHBOARD: &str = "./analytics-dashboard";
const SCRIPTED: &str = "remoteScripted";

/// The user's choice before the first replacement, and a text that only this choice shows.
const CHOSEN: (&str, &str) = ("Last 30 days", "Flights 27,148");

/// Number of replacements before the base figures are taken: by then every thread has allocated its first memory.
const WARM_UP: usize = 30;

/// Largest growth of the resident memory in a thousand replacements, in MiB.
const GROWTH: f64 = 20.0;

/// Growth that any number of replacements may have, in MiB: resident memory fluctuates by that much.
const NOISE: f64 = 8.0;

/// Interval, in replacements, of a library that has never run and goes through preflight.
const NEW_BUILD: usize = 10;

/// The tests share the process that they measure.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn replaced_generations_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = match env::var("PULSE_SOAK") {
        Ok(text) => text.parse().expect("PULSE_SOAK is a number of replacements"),
        Err(_) => 100,
    };
    let mut installation = Installation::new();
    installation.add_library(&libraries().analytics);
    installation.edit_host(|host| host["preflight"] = true.into());
    let mut config = installation.config();
    config.preflight = Some(Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), ..Preflight::default() });
    let mut shell = installation.start_with(config);
    shell.show(ANALYTICS, DASHBOARD);
    shell.drive("the dashboard has its figures", |shell| shell.screen().shows("Flights 336,776"));
    shell.press(CHOSEN.0);
    shell.drive("the choice is shown", |shell| shell.screen().shows(CHOSEN.1));

    let began = Instant::now();
    let builds = Builds::new(&installation);
    let mut base = None;
    for done in 1..=WARM_UP + count {
        replace(&mut shell, &builds, done);
        if done == WARM_UP {
            base = Some(settled(&mut shell, None));
            report(done, began, base.as_ref().expect("the base was just taken"));
        } else if done % 100 == 0 {
            report(done, began, &Figures::now(&shell));
        }
    }
    let base = base.expect("the base was taken");
    let end = settled(&mut shell, Some(&base));
    report(WARM_UP + count, began, &end);

    let allowed = (GROWTH * count as f64 / 1000.0).max(NOISE);
    assert!(end.resident - base.resident < allowed, "more than {allowed} MiB of growth: {base}, then {end}");
    assert_eq!(end.libraries.len(), 1, "more than the running library is mapped: {:?}", end.libraries);
    assert_eq!(end.copies.len(), 1, "more than the running copy exists: {:?}", end.copies);
    assert_eq!(end.threads, base.threads);
    assert_eq!(end.descriptors, base.descriptors);
    assert_eq!(end.textures, base.textures);
    assert!(
        shell.federation.retiring().leaked().is_empty(),
        "{}",
        shell.federation.retiring().leaked()[0].failure
    );
    let kept = Archive::new(&installation.path("data")).kept(ANALYTICS).expect("the archive can be read");
    assert!((1..=GENERATIONS).contains(&kept.len()), "{} generations are kept", kept.len());
    let objects = fs::read_dir(installation.path("data/generations/sha256")).expect("a folder").count();
    assert_eq!(objects, kept.len(), "the archive stores other objects, too");
}

#[test]
fn leftover_thread_is_detected() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut installation = Installation::new();
    let scripted = &libraries().scripted;
    let none = format!("fault: {:<24}", "none");
    installation.add_edited(scripted, &none, &format!("fault: {:<23}!", "thread@new"));
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("the panel is shown", |shell| shell.screen().shows("Counted 0"));
    let before = Figures::of(&shell, SCRIPTED);
    let version = |patch: u8| format!("\"name\": \"{SCRIPTED}\",\n  \"version\": \"1.0.{patch}\"");
    installation.rebuild(scripted, &[(&version(0), &version(1))]);
    shell.drive("a good generation is promoted", |shell| shell.entry(SCRIPTED).generation() == 2);
    shell.drive("the leaked library is counted", |shell| shell.federation.retiring().leaked().len() == 1);
    assert_eq!(shell.federation.retiring().leaked()[0].failure.code, pulse::catalogue::Code::LibraryThreads);
    let after = Figures::of(&shell, SCRIPTED);
    assert_eq!(
        (before.libraries.len(), after.libraries.len()),
        (1, 2),
        "the kernel still maps the old library"
    );
    installation.write(&format!("data/remotes/{SCRIPTED}/end-thread"), "");
    until("the thread has ended", &mut shell, |shell| Figures::of(shell, SCRIPTED).threads < after.threads);
}

/// Replaces the remote: from the rename of a file into place until the new generation runs.
fn replace(shell: &mut Headless, builds: &Builds, number: usize) {
    let title = match number {
        new if new.is_multiple_of(NEW_BUILD) => format!("New {new:05}"),
        other => format!("Build no{}", other % 2),
    };
    builds.put(&title);
    let generation = shell.entry(ANALYTICS).generation();
    shell.drive("the new generation is promoted", |shell| {
        assert!(shell.has_picture(ANALYTICS, DASHBOARD), "no. {number}: a blank frame; {}", shell.describe());
        assert!(shell.screen().shows(CHOSEN.1), "no. {number}: the choice is lost; {}", shell.describe());
        shell.entry(ANALYTICS).generation() > generation
    });
    assert_eq!(shell.entry(ANALYTICS).title(), title);
    let tried = shell.entry(ANALYTICS).times().iter().any(|(stage, _)| *stage == "preflight");
    assert_eq!(
        tried,
        number.is_multiple_of(NEW_BUILD) || number <= 2,
        "no. {number}: preflight tries new libraries, and only these"
    );
    for notice in std::mem::take(&mut shell.notifications) {
        assert!(matches!(notice.event, RemoteEvent::Replaced { .. }), "no. {number}: {notice:?}");
    }
}

/// Builds of the analytics remote that differ in its title.
struct Builds {
    place: PathBuf,
    /// Offsets of the title in the file.
    titles: Vec<usize>,
}

impl Builds {
    fn new(installation: &Installation) -> Self {
        let library = &libraries().analytics;
        let name = library.file_name().expect("a library is a file").to_string_lossy();
        let text = b"\"title\": \"Analytics\",\n  \"remoteEntry\"";
        let places = places_of(&fs::read(library).expect("libraries can be read"), text);
        assert!(!places.is_empty(), "the library has a title");
        let before = b"\"title\": \"".len();
        Self {
            place: installation.path(&name),
            titles: places.into_iter().map(|place| place + before).collect(),
        }
    }

    /// Puts the build with this title, which is as long as the original, in the remote's place. It never reads the
    /// library into memory, which would be measured too.
    fn put(&self, title: &str) {
        assert_eq!(title.len(), "Analytics".len(), "the title must keep its length");
        let new = self.place.with_extension("new");
        fs::copy(&libraries().analytics, &new).expect("libraries can be copied");
        let file = fs::OpenOptions::new().write(true).open(&new).expect("copies can be opened");
        for at in &self.titles {
            file.write_all_at(title.as_bytes(), *at as u64).expect("copies can be written");
        }
        drop(file);
        fs::rename(new, &self.place).expect("files can be renamed");
    }
}

/// Returns the figures once no generation is retiring, by the kernel's list of threads. With `before` it also waits a
/// while until the figures are equal.
fn settled(shell: &mut Headless, before: Option<&Figures>) -> Figures {
    let give_up = Instant::now() + PATIENCE / 4;
    loop {
        shell.frame(Vec::new());
        let now = Figures::now(shell);
        let quiet = shell.federation.retiring().count() == 0 && !now.busy;
        let same = before.is_none_or(|before| {
            (now.threads, now.descriptors, now.textures)
                == (before.threads, before.descriptors, before.textures)
        });
        if quiet && same || Instant::now() > give_up {
            return now;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}

fn until(what: &str, shell: &mut Headless, is_so: impl Fn(&Headless) -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so(shell) {
        assert!(Instant::now() < give_up, "timed out before {what}");
        shell.frame(Vec::new());
        thread::park_timeout(Duration::from_millis(10));
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this is run for")]
fn report(done: usize, began: Instant, figures: &Figures) {
    println!("{done:5} replacements in {:6.1} s: {figures}", began.elapsed().as_secs_f64());
}

/// The figures of this process from the kernel, and of textures from egui.
struct Figures {
    /// Resident memory in MiB.
    resident: f64,
    /// Parts of the resident memory in MiB: heap, files, and shared memory.
    parts: Vec<(String, f64)>,
    /// Mapped private copies of the remote's library.
    libraries: BTreeSet<String>,
    /// Private copies on the disk.
    copies: Vec<PathBuf>,
    threads: usize,
    descriptors: usize,
    textures: usize,
    /// `true` while a thread retires, archives or checks a generation.
    busy: bool,
}

impl Figures {
    fn now(shell: &Headless) -> Self {
        Self::of(shell, ANALYTICS)
    }

    fn of(shell: &Headless, remote: &str) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).expect("/proc can be read");
        let status = read("status");
        let mib = |key: &str| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(key)).expect("the status has this line");
            line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
        };
        let copy = format!("/{remote}-");
        let maps = read("maps");
        let libraries = maps.lines().filter_map(|line| Some(line[line.find(&copy)?..].to_owned())).collect();
        let names: Vec<String> = fs::read_dir("/proc/self/task")
            .expect("/proc can be read")
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .collect();
        let busy = |name: &String| ["retire:", "keep:", "check:"].iter().any(|task| name.starts_with(task));
        Self {
            resident: mib("VmRSS:"),
            parts: ["RssAnon:", "RssFile:", "RssShmem:"].map(|key| (key.to_owned(), mib(key))).into(),
            libraries,
            copies: copies(shell),
            threads: names.len(),
            descriptors: fs::read_dir("/proc/self/fd").expect("/proc can be read").count(),
            textures: shell.textures(),
            busy: names.iter().any(busy),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB resident (", self.resident)?;
        for (name, size) in &self.parts {
            write!(f, "{name} {size:.1} ")?;
        }
        write!(
            f,
            "), {} libraries mapped, {} copies, {} threads, {} descriptors, {} textures",
            self.libraries.len(),
            self.copies.len(),
            self.threads,
            self.descriptors,
            self.textures
        )
    }
}

/// Returns the private copies of libraries in the folders of this shell.
fn copies(shell: &Headless) -> Vec<PathBuf> {
    let installation = shell.federation.config().data_dir.parent().expect("a folder in the installation");
    let folders = fs::read_dir(installation.join("cache/libraries")).into_iter().flatten();
    let files = folders.filter_map(|folder| fs::read_dir(folder.ok()?.path()).ok()).flatten();
    let libraries = files.filter_map(|file| Some(file.ok()?.path()));
    libraries.filter(|path| path.to_string_lossy().ends_with(env::consts::DLL_SUFFIX)).collect()
}
