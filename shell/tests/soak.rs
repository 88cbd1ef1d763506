//! The analytics remote replaced over and over in one process: nothing of what was may stay.
//!
//! `PULSE_SOAK` says how often, 100 times if it does not; `cargo xtask soak` does it 1,000 times. What is counted is
//! the whole process, so these tests have one of their own and wait for each other. The kernel is asked, and it
//! answers on Linux only.
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
    federation::Event,
    preflight::Preflight,
};

const ANALYTICS: &str = "remoteAnalytics";
const DASHBOARD: &str = "./analytics-dashboard";
const SCRIPTED: &str = "remoteScripted";

/// What somebody has chosen before the first replacement, and what only that shows.
const CHOSEN: (&str, &str) = ("Last 30 days", "Flights 27,148");

/// The figures are compared with those after so many replacements: by then every thread has had its first memory.
const WARM_UP: usize = 30;

/// What a thousand replacements may add to the resident memory, in MiB.
const GROWTH: f64 = 20.0;

/// What any number may add: what is resident moves by that much by itself.
const NOISE: f64 = 8.0;

/// Every so many replacements the library is one that has never run, and is tried before it is loaded.
const NEW_BUILD: usize = 10;

/// The tests share the process that they measure.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn nothing_stays_of_what_was_replaced() {
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
    shell.drive("the dashboard has its figures", |shell| shell.screen().says("Flights 336,776"));
    shell.press(CHOSEN.0);
    shell.drive("the choice is shown", |shell| shell.screen().says(CHOSEN.1));

    let began = Instant::now();
    let builds = Builds::new(&installation);
    let mut base = None;
    for done in 1..=WARM_UP + count {
        replace(&mut shell, &builds, done);
        if done == WARM_UP {
            base = Some(settled(&mut shell, None));
            say(done, began, base.as_ref().expect("it is here"));
        } else if done % 100 == 0 {
            say(done, began, &Figures::now(&shell));
        }
    }
    let base = base.expect("it was taken");
    let end = settled(&mut shell, Some(&base));
    say(WARM_UP + count, began, &end);

    let allowed = (GROWTH * count as f64 / 1000.0).max(NOISE);
    assert!(end.resident - base.resident < allowed, "at most {allowed} MiB more: {base}, then {end}");
    assert_eq!(end.libraries.len(), 1, "only the library that runs is mapped: {:?}", end.libraries);
    assert_eq!(end.copies.len(), 1, "only the copy that runs is there: {:?}", end.copies);
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
    assert_eq!(objects, kept.len(), "and no others are stored");
}

#[test]
fn a_thread_that_was_left_behind_is_seen() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut installation = Installation::new();
    let scripted = &libraries().scripted;
    let none = format!("fault: {:<24}", "none");
    installation.add_edited(scripted, &none, &format!("fault: {:<23}!", "thread@new"));
    let mut shell = installation.start();
    shell.show(SCRIPTED, "./calm");
    shell.drive("it is there", |shell| shell.screen().says("Counted 0"));
    let before = Figures::of(&shell, SCRIPTED);
    let version = |patch: u8| format!("\"name\": \"{SCRIPTED}\",\n  \"version\": \"1.0.{patch}\"");
    installation.rebuild(scripted, &[(&version(0), &version(1))]);
    shell.drive("a good one takes over", |shell| shell.entry(SCRIPTED).generation() == 2);
    shell.drive("what stays is counted", |shell| shell.federation.retiring().leaked().len() == 1);
    assert_eq!(shell.federation.retiring().leaked()[0].failure.code, pulse::catalogue::Code::LibraryThreads);
    let after = Figures::of(&shell, SCRIPTED);
    assert_eq!((before.libraries.len(), after.libraries.len()), (1, 2), "and so it is for the kernel");
    installation.write(&format!("data/remotes/{SCRIPTED}/end-thread"), "");
    until("the thread has ended", &mut shell, |shell| Figures::of(shell, SCRIPTED).threads < after.threads);
}

/// One more replacement, from a file that is renamed into place until everything of the old generation has gone.
fn replace(shell: &mut Headless, builds: &Builds, number: usize) {
    let title = match number {
        new if new.is_multiple_of(NEW_BUILD) => format!("New {new:05}"),
        other => format!("Build no{}", other % 2),
    };
    builds.put(&title);
    let generation = shell.entry(ANALYTICS).generation();
    shell.drive("another generation takes over", |shell| {
        assert!(shell.has_picture(ANALYTICS, DASHBOARD), "no. {number}: a blank frame; {}", shell.describe());
        assert!(shell.screen().says(CHOSEN.1), "no. {number}: the choice is lost; {}", shell.describe());
        shell.entry(ANALYTICS).generation() > generation
    });
    assert_eq!(shell.entry(ANALYTICS).title(), title);
    let tried = shell.entry(ANALYTICS).times().iter().any(|(stage, _)| *stage == "preflight");
    assert_eq!(
        tried,
        number.is_multiple_of(NEW_BUILD) || number <= 2,
        "no. {number}: what has run is not tried"
    );
    for told in std::mem::take(&mut shell.told) {
        assert!(matches!(told.event, Event::Replaced { .. }), "no. {number}: {told:?}");
    }
}

/// Builds of the analytics remote that differ in its title.
struct Builds {
    place: PathBuf,
    /// Where the title stands in the file.
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

    /// Puts the build with this title, which is as long as the true one, where the remote is found. Without ever
    /// having the library in memory: that would be measured too.
    fn put(&self, title: &str) {
        assert_eq!(title.len(), "Analytics".len(), "the library's layout stays");
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

/// The figures when nothing is under way any more, which nobody but the kernel can tell; given those of `before`,
/// it is waited for a while until they are the same.
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
        assert!(Instant::now() < give_up, "waited in vain until {what}");
        shell.frame(Vec::new());
        thread::park_timeout(Duration::from_millis(10));
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this is run for")]
fn say(done: usize, began: Instant, figures: &Figures) {
    println!("{done:5} replacements in {:6.1} s: {figures}", began.elapsed().as_secs_f64());
}

/// What the kernel says of this process, and egui of its textures.
struct Figures {
    /// Resident memory in MiB.
    resident: f64,
    /// Of the heap, of files and of everything else that is resident.
    parts: Vec<(String, f64)>,
    /// Private copies of the remote's library that are mapped.
    libraries: BTreeSet<String>,
    /// Private copies on the disk.
    copies: Vec<PathBuf>,
    threads: usize,
    descriptors: usize,
    textures: usize,
    /// Somebody still ends a generation, or keeps one.
    busy: bool,
}

impl Figures {
    fn now(shell: &Headless) -> Self {
        Self::of(shell, ANALYTICS)
    }

    fn of(shell: &Headless, remote: &str) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).expect("the kernel tells");
        let status = read("status");
        let mib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel tells");
            line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
        };
        let copy = format!("/{remote}-");
        let maps = read("maps");
        let libraries = maps.lines().filter_map(|line| Some(line[line.find(&copy)?..].to_owned())).collect();
        let names: Vec<String> = fs::read_dir("/proc/self/task")
            .expect("the kernel tells")
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .collect();
        let busy = |name: &String| ["retire:", "keep:", "check:"].iter().any(|task| name.starts_with(task));
        Self {
            resident: mib("VmRSS:"),
            parts: ["RssAnon:", "RssFile:", "RssShmem:"].map(|key| (key.to_owned(), mib(key))).into(),
            libraries,
            copies: copies(shell),
            threads: names.len(),
            descriptors: fs::read_dir("/proc/self/fd").expect("the kernel tells").count(),
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

/// Private copies of libraries in the folders of this shell.
fn copies(shell: &Headless) -> Vec<PathBuf> {
    let installation = shell.federation.config().data_dir.parent().expect("a folder in the installation");
    let folders = fs::read_dir(installation.join("cache/libraries")).into_iter().flatten();
    let files = folders.filter_map(|folder| fs::read_dir(folder.ok()?.path()).ok()).flatten();
    let libraries = files.filter_map(|file| Some(file.ok()?.path()));
    libraries.filter(|path| path.to_string_lossy().ends_with(env::consts::DLL_SUFFIX)).collect()
}
