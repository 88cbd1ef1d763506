use std::{
    fs::{self, File},
    io::Write,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver},
    },
};

use notify::{NullWatcher, WatcherKind, event::Flag};

use super::*;
use crate::{
    catalogue::Code,
    log::tests::{capture, count},
};

/// Limit that only a failing test reaches.
const PATIENCE: Duration = Duration::from_mins(1);

const NEVER: Duration = Duration::from_hours(1);

/// Pace of the product, but without polls: only events of the system count.
const EVENTS: Pace = Pace { poll: NEVER, ..Pace::REAL };

/// A folder with files that the test writes and a watch follows.
struct Scene {
    folder: tempfile::TempDir,
    watch: Watch,
    woken: Receiver<()>,
    /// Events that were reported but not expected yet.
    reported: Vec<FileEvent>,
}

impl Scene {
    fn new(pace: Pace) -> Self {
        Self::with(pace, |shared| {
            Ok(Box::new(notify::RecommendedWatcher::new(
                move |event| shared.on_event(event),
                notify::Config::default(),
            )?))
        })
    }

    /// Makes a scene whose system reports no events.
    fn without_events(pace: Pace) -> Self {
        Self::with(pace, |_| Ok(Box::new(NullWatcher)))
    }

    fn with(pace: Pace, system: impl FnOnce(Arc<Shared>) -> notify::Result<System> + Send + 'static) -> Self {
        let (wake, woken) = mpsc::channel();
        let watch = Watch::with(
            // The receiver is gone when the test ends.
            move || _ = wake.send(()),
            pace,
            system,
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, watch, woken, reported: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file in the folder")).expect("folders can be made");
        fs::write(path, content).expect("files can be written");
    }

    /// Follows these files, and a file that marks the thread's progress.
    fn follow(&self, files: &[&str], folders: &[&str]) {
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect::<BTreeSet<_>>();
        self.watch.follow(paths(&[files, &["mark.json"]].concat()), paths(folders));
        // The thread has taken the list once its inbox is empty.
        self.mark_followed();
    }

    fn mark_followed(&self) {
        while self.watch.shared.inbox.lock().follow.is_some() {
            thread::yield_now();
        }
    }

    fn collect(&mut self) {
        self.woken.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no further event: {:?}", self.reported));
        self.reported.extend(self.watch.changes());
    }

    /// Waits for the event `expected` of `name`, which must be its next one.
    #[track_caller]
    fn expect(&mut self, name: &str, expected: &str) -> FileEvent {
        let path = self.path(name);
        loop {
            if let Some(at) = self.reported.iter().position(|change| change.path() == path) {
                let change = self.reported.remove(at);
                assert_eq!(kind(&change), expected, "{change:?}");
                return change;
            }
            self.collect();
        }
    }

    /// Checks that no other event was reported, after the thread has handled a later change.
    #[track_caller]
    fn expect_nothing_else(&mut self) {
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        self.write("mark.json", &MARKS.fetch_add(1, Ordering::Relaxed).to_string());
        self.expect("mark.json", "complete");
        assert!(self.reported.is_empty(), "{:?}", self.reported);
    }
}

fn kind(change: &FileEvent) -> &'static str {
    match change {
        FileEvent::Complete { .. } => "complete",
        FileEvent::Gone { .. } => "gone",
        FileEvent::Unreadable { .. } => "unreadable",
    }
}

#[test]
fn existing_files_are_known_and_changes_reported() {
    let mut scene = Scene::new(EVENTS);
    scene.write("a.json", "1");
    scene.follow(&["a.json", "b.json"], &[]);
    scene.expect_nothing_else();
    let before = Instant::now();
    scene.write("b.json", "[2, 3]");
    let FileEvent::Complete { seen, .. } = scene.expect("b.json", "complete") else {
        unreachable!("it is complete")
    };
    assert!(seen >= before + SETTLE, "it was stable");
    // The same content, at another time.
    scene.write("a.json", "1");
    scene.expect("a.json", "complete");
    scene.expect_nothing_else();
}

#[test]
fn file_written_in_pieces_is_reported_when_complete() {
    let mut scene = Scene::new(EVENTS);
    scene.write("a.json", "[1, 2, 3]");
    scene.follow(&["a.json"], &[]);
    // This truncates the file.
    let mut file = File::create(scene.path("a.json")).expect("it can be written");
    for piece in ["", "[1,", " 2,", " {", "}"] {
        file.write_all(piece.as_bytes()).expect("it can be written");
        scene.expect_nothing_else();
    }
    file.write_all(b"]").expect("it can be written");
    scene.expect("a.json", "complete");
    drop(file);
    scene.expect_nothing_else();
}

#[test]
fn replaced_file_is_reported() {
    let mut scene = Scene::new(Pace { absence: NEVER, ..EVENTS });
    for name in ["renamed.json", "removed.json", "linked.json"] {
        scene.write(name, "1");
    }
    scene.follow(&["renamed.json", "removed.json", "linked.json"], &[]);
    scene.write("build/new.json", "2");
    fs::rename(scene.path("build/new.json"), scene.path("renamed.json")).expect("it can be renamed");
    scene.expect("renamed.json", "complete");

    fs::remove_file(scene.path("removed.json")).expect("it is there");
    scene.expect_nothing_else();
    scene.write("removed.json", "2");
    scene.expect("removed.json", "complete");

    // Cargo hard-links the file from a folder of its own.
    for content in ["2", "3"] {
        let inner = scene.path("build/inner.json");
        let _ = fs::remove_file(&inner);
        scene.write("build/inner.json", content);
        fs::remove_file(scene.path("linked.json")).expect("it is there");
        fs::hard_link(inner, scene.path("linked.json")).expect("it can be linked");
        scene.expect("linked.json", "complete");
    }
    // Renamed away and back, unchanged.
    fs::rename(scene.path("linked.json"), scene.path("away.json")).expect("it can be renamed");
    fs::rename(scene.path("away.json"), scene.path("linked.json")).expect("it can be renamed");
    if cfg!(target_os = "linux") {
        // It may be another content with the old time. A rename changes the time that no program can set.
        scene.expect("linked.json", "complete");
    }
    scene.expect_nothing_else();
}

#[test]
fn removed_and_restored_file_is_reported() {
    let mut scene = Scene::new(EVENTS);
    scene.write("a.json", "1");
    scene.follow(&["a.json"], &[]);
    for content in ["1", "2"] {
        fs::remove_file(scene.path("a.json")).expect("it is there");
        scene.expect("a.json", "gone");
        scene.write("a.json", content);
        scene.expect("a.json", "complete");
    }
    scene.expect_nothing_else();
}

#[cfg(unix)]
#[test]
fn switched_link_is_reported() {
    use std::os::unix::fs::symlink;

    let mut scene = Scene::new(EVENTS);
    for folder in ["one", "two"] {
        scene.write(&format!("{folder}/a.json"), "1");
    }
    // The folder is a link to a link, and the file is one.
    let switch = |link: &str, to: &str| {
        symlink(to, scene.path("new")).expect("links can be made");
        fs::rename(scene.path("new"), scene.path(link)).expect("it can be renamed");
    };
    switch("now", "one");
    switch("current", "now");
    switch("file.json", "one/a.json");
    scene.follow(&["current/a.json", "file.json"], &[]);
    switch("now", "two");
    switch("file.json", &scene.path("two/a.json").to_string_lossy());
    scene.expect("current/a.json", "complete");
    scene.expect("file.json", "complete");
    // Now only the new targets are followed.
    scene.write("one/a.json", "2");
    scene.expect_nothing_else();
    scene.write("two/a.json", "2");
    scene.expect("current/a.json", "complete");
    scene.expect("file.json", "complete");
    // A circular link leads nowhere.
    let switch = |link: &str, to: &str| {
        symlink(to, scene.path("new")).expect("links can be made");
        fs::rename(scene.path("new"), scene.path(link)).expect("it can be renamed");
    };
    switch("now", "current");
    scene.expect("current/a.json", "gone");
    scene.expect_nothing_else();
}

#[test]
fn appearing_and_removed_folders_are_followed() {
    let mut scene = Scene::new(EVENTS);
    scene.follow(&["far/away/a.json"], &[]);
    for content in ["1", "2"] {
        scene.write("far/away/a.json", content);
        scene.expect("far/away/a.json", "complete");
        fs::remove_dir_all(scene.path("far")).expect("it is there");
        scene.expect("far/away/a.json", "gone");
    }
    scene.expect_nothing_else();
    // Another folder in its place, with a file of other content.
    scene.write("far/away/a.json", "1");
    scene.expect("far/away/a.json", "complete");
    scene.write("next/a.json", "2");
    fs::rename(scene.path("far/away"), scene.path("far/old")).expect("it can be renamed");
    fs::rename(scene.path("next"), scene.path("far/away")).expect("it can be renamed");
    scene.expect("far/away/a.json", "complete");
    scene.write("far/away/a.json", "3");
    scene.expect("far/away/a.json", "complete");
    scene.expect_nothing_else();
}

#[test]
fn file_that_stays_incomplete_is_reported_once() {
    let mut scene = Scene::new(Pace { patience: SETTLE * 4, ..EVENTS });
    scene.follow(&["a.json"], &[]);
    for (content, code) in [("[1, 2", Code::ManifestNotJson), ("", Code::ManifestNotJson)] {
        scene.write("a.json", content);
        let FileEvent::Unreadable { failure, .. } = scene.expect("a.json", "unreadable") else {
            unreachable!()
        };
        assert_eq!(failure.code, code);
        assert!(failure.line().contains("a.json"), "{}", failure.line());
        scene.expect_nothing_else();
    }
    scene.write("a.json", "[1, 2]");
    scene.expect("a.json", "complete");
    scene.expect_nothing_else();
}

#[cfg(unix)]
#[test]
fn change_of_same_size_and_time_is_noticed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.so");
    fs::write(&path, "1").expect("files can be written");
    let (before, time) = (Stamp::of(&path), path.metadata().and_then(|about| about.modified()));
    let until = Instant::now() + PATIENCE;
    // Repeated, because the clocks of file systems are coarse.
    while Stamp::of(&path) == before {
        assert!(Instant::now() < until, "the change is not noticed");
        let mut file = File::options().write(true).open(&path).expect("it can be written");
        file.write_all(b"2").expect("it can be written");
        file.set_modified(*time.as_ref().expect("it has a time")).expect("times can be set");
    }
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_folders_do_not_block() {
    use std::os::unix::fs::symlink;
    let mut scene = Scene::new(Pace { patience: SETTLE * 4, ..EVENTS });
    let library = format!("drop/pipe{}", std::env::consts::DLL_SUFFIX);
    fs::create_dir(scene.path("drop")).expect("folders can be made");
    scene.follow(&[], &["drop"]);
    for name in ["drop/pipe.json", &library] {
        let made = std::process::Command::new("mkfifo").arg(scene.path(name)).status();
        assert!(made.is_ok_and(|made| made.success()));
    }
    symlink("/dev/zero", scene.path("drop/zero.json")).expect("links can be made");
    symlink("loop.json", scene.path("drop/loop.json")).expect("links can be made");
    fs::create_dir(scene.path("drop/folder.json")).expect("folders can be made");
    for (name, code, what) in [
        ("drop/pipe.json", Code::ManifestUnreadable, "it is a named pipe, not a file"),
        (&*library, Code::LibraryNotALibrary, "it is a named pipe, not a file"),
        ("drop/zero.json", Code::ManifestUnreadable, "it is a device, not a file"),
    ] {
        let FileEvent::Unreadable { failure, .. } = scene.expect(name, "unreadable") else { unreachable!() };
        assert_eq!(failure.code, code, "{failure}");
        assert!(failure.line().contains(what), "{failure}");
    }
    scene.write("drop/a.json", "1");
    scene.expect("drop/a.json", "complete");
    scene.expect_nothing_else();
}

#[test]
fn blocked_thread_is_waited_for_within_limit() {
    let (release, held) = mpsc::channel::<()>();
    let watch = Watch::with(
        || (),
        EVENTS,
        move |_| {
            // Like a file system that does not answer.
            let _ = held.recv();
            Ok(Box::new(NullWatcher))
        },
    );
    for _ in 0..3 {
        watch.follow(BTreeSet::from([PathBuf::from("a.json")]), BTreeSet::new());
    }
    drop(watch);
    drop(release);
}

#[test]
fn missing_system_thread_becomes_an_error() {
    let started = start_system(|| panic!("no thread"));
    assert!(started.is_err_and(|error| error.to_string().contains("no thread")));
}

#[test]
fn file_that_is_not_a_library_is_not_complete() {
    let mut scene = Scene::new(Pace { patience: SETTLE * 4, ..EVENTS });
    let name = format!("a{}", std::env::consts::DLL_SUFFIX);
    scene.follow(&[&name], &[]);
    scene.write(&name, "not a library");
    let FileEvent::Unreadable { failure, .. } = scene.expect(&name, "unreadable") else { unreachable!() };
    assert_eq!(failure.code, Code::LibraryNotALibrary);
}

#[test]
fn other_files_are_dismissed_by_name() {
    let mut scene = Scene::new(EVENTS);
    scene.follow(&["a.json"], &[]);
    for number in 0..3000 {
        scene.write(&format!("unit-{number}.json"), "1");
    }
    scene.expect_nothing_else();
    let shared = &scene.watch.shared;
    let path = |name: &str| scene.path(name).canonicalize().unwrap_or_else(|_| real(&scene).join(name));
    for kind in [EventKind::Any, EventKind::Create(notify::event::CreateKind::File)] {
        shared.on_event(Ok(Event::new(kind).add_path(path("unit-7.json"))));
        let inbox = shared.inbox.lock();
        assert!(inbox.touched.is_empty() && !inbox.everything && inbox.lost.is_empty());
    }
    // Read access is no change.
    shared.on_event(Ok(
        Event::new(EventKind::Access(AccessKind::Open(AccessMode::Any))).add_path(path("a.json"))
    ));
    assert!(shared.inbox.lock().touched.is_empty());
}

fn real(scene: &Scene) -> PathBuf {
    scene.folder.path().canonicalize().expect("the folder is there")
}

#[test]
fn followed_files_may_change_at_any_time() {
    let mut scene = Scene::new(EVENTS);
    scene.follow(&["a.json", "b.json"], &[]);
    scene.write("a.json", "[");
    scene.write("b.json", "[");
    scene.expect_nothing_else();
    // Following of `a.json` stops while it is being written.
    scene.follow(&["b.json", "c.json"], &[]);
    scene.write("a.json", "[]");
    scene.write("b.json", "[]");
    scene.write("c.json", "[]");
    scene.expect("b.json", "complete");
    scene.expect("c.json", "complete");
    scene.expect_nothing_else();
    // Its present content counts as known when it is followed again.
    scene.follow(&["a.json"], &[]);
    scene.expect_nothing_else();
    scene.write("a.json", "[1]");
    scene.expect("a.json", "complete");
    // Events that were not taken are dropped when following stops.
    scene.write("a.json", "[2]");
    scene.woken.recv_timeout(PATIENCE).expect("it is reported");
    scene.follow(&[], &[]);
    scene.expect_nothing_else();
}

#[test]
fn plugins_in_a_folder_are_reported() {
    let mut scene = Scene::new(EVENTS);
    scene.write("drop/old.json", "1");
    scene.follow(&[], &["drop", "later/drop"]);
    scene.expect_nothing_else();
    scene.write("drop/notes.txt", "none");
    scene.write("drop/.hidden.json", "1");
    scene.write("drop/new.json", "1");
    scene.expect("drop/new.json", "complete");
    scene.write("drop/old.json", "2");
    scene.expect("drop/old.json", "complete");
    fs::remove_file(scene.path("drop/old.json")).expect("it is there");
    scene.expect("drop/old.json", "gone");
    scene.write("drop/old.json", "3");
    scene.expect("drop/old.json", "complete");
    // `pulse install` renames a complete file.
    scene.write("drop/.new-1", "4");
    fs::rename(scene.path("drop/.new-1"), scene.path("drop/new.json")).expect("it can be renamed");
    scene.expect("drop/new.json", "complete");
    scene.write("later/drop/a.json", "1");
    scene.expect("later/drop/a.json", "complete");
    fs::remove_dir_all(scene.path("later")).expect("it is there");
    scene.expect("later/drop/a.json", "gone");
    scene.write("later/drop/b.json", "1");
    scene.expect("later/drop/b.json", "complete");
    scene.expect_nothing_else();
}

#[test]
fn plugin_added_while_following_is_reported() {
    let mut scene = Scene::without_events(Pace { poll: SETTLE, ..Pace::REAL });
    fs::create_dir(scene.path("drop")).expect("folders can be made");
    scene.follow(&[], &["drop"]);
    for number in 0..10 {
        // Before the next poll.
        scene.write(&format!("drop/{number}.json"), "1");
        scene.follow(&[&format!("{number}.json")], &["drop"]);
        scene.expect(&format!("drop/{number}.json"), "complete");
    }
}

#[test]
fn files_are_polled_without_events() {
    let mut scene = Scene::without_events(Pace { poll: SETTLE, ..Pace::REAL });
    scene.write("a/b/a.json", "1");
    scene.follow(&["a/b/a.json"], &["drop"]);
    scene.write("a/b/a.json", "[2]");
    scene.expect("a/b/a.json", "complete");
    fs::rename(scene.path("a"), scene.path("c")).expect("it can be renamed");
    scene.expect("a/b/a.json", "gone");
    scene.write("drop/b.json", "1");
    scene.expect("drop/b.json", "complete");
    fs::remove_file(scene.path("drop/b.json")).expect("it is there");
    scene.expect("drop/b.json", "gone");
    scene.expect_nothing_else();
}

#[test]
fn moved_parent_folder_is_found_by_polling() {
    let mut scene = Scene::new(Pace { poll: SETTLE, ..Pace::REAL });
    scene.write("a/b/a.json", "1");
    scene.follow(&["a/b/a.json"], &[]);
    fs::rename(scene.path("a"), scene.path("old")).expect("it can be renamed");
    scene.expect("a/b/a.json", "gone");
    scene.write("a/b/a.json", "2");
    scene.expect("a/b/a.json", "complete");
    scene.write("old/b/a.json", "3");
    scene.expect_nothing_else();
}

#[test]
fn lost_events_trigger_a_full_scan() {
    let mut scene = Scene::without_events(EVENTS);
    scene.follow(&["a.json"], &["drop"]);
    let lost =
        |scene: &Scene| scene.watch.shared.on_event(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
    scene.write("a.json", "1");
    lost(&scene);
    scene.expect("a.json", "complete");
    scene.write("drop/b.json", "1");
    scene.watch.shared.on_event(Err(notify::Error::generic("events were lost")));
    scene.expect("drop/b.json", "complete");
}

#[test]
fn dropping_the_watch_ends_its_thread() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let watch = Watch::start(move || {
        let _ = &held;
    });
    watch.follow(BTreeSet::from([PathBuf::from("a.json")]), BTreeSet::new());
    assert!(watch.changes().is_empty());
    drop(watch);
    assert_eq!(wait_for_one(&alive), 1, "the thread's closure is gone");
}

/// Waits until `alive` has one owner, because the system's own thread may end a moment later.
fn wait_for_one(alive: &Arc<()>) -> usize {
    let until = Instant::now() + PATIENCE;
    while Arc::strong_count(alive) > 1 && Instant::now() < until {
        thread::yield_now();
    }
    Arc::strong_count(alive)
}

#[test]
fn refused_watch_is_logged_once() {
    #[derive(Debug)]
    struct Full;

    impl Watcher for Full {
        fn new<F: notify::EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
            Ok(Self)
        }

        fn watch(&mut self, _: &Path, _: RecursiveMode) -> notify::Result<()> {
            Err(notify::Error::new(ErrorKind::MaxFilesWatch))
        }

        fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
            Ok(())
        }

        fn kind() -> WatcherKind {
            WatcherKind::NullWatcher
        }
    }

    let scene = Scene::without_events(EVENTS);
    let mut follower = Follower::new(Arc::clone(&scene.watch.shared), EVENTS);
    follower.system = Some(Box::new(Full));
    let files = BTreeSet::from([scene.path("a.json"), scene.path("b/c.json")]);
    follower.follow(Follow { files, folders: BTreeSet::new(), number: 1 });
    let log = capture(|| (0..3).for_each(|_| follower.poll_all()));
    assert_eq!(count(&log, Code::WatchLimited), 1, "{log}");
    assert!(log.contains("within two seconds"), "{log}");
    // The file is followed anyway.
    scene.write("a.json", "1");
    follower.poll_all();
    assert!(follower.files[&scene.path("a.json")].due().is_some());
}

#[test]
fn route_lists_every_folder_that_decides_a_path() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let real = folder.path().canonicalize().expect("it is there");
    let steps = |path: &str| {
        let steps = route::route(&real.join(path));
        let place = |step: &route::PathStep| {
            let path = step.folder.join(&step.name);
            let place = path.strip_prefix(&real).expect("in the folder").to_string_lossy().replace('\\', "/");
            (place, step.redirects)
        };
        steps.iter().map(place).collect::<Vec<_>>()
    };
    let step = |place: &str, redirects| (place.to_owned(), redirects);
    assert_eq!(steps("a/b.json"), [step("a", true)]);
    assert_eq!(steps("b.json"), [step("b.json", false)]);
    fs::create_dir_all(real.join("a/x")).expect("folders can be made");
    fs::write(real.join("a/b.json"), "1").expect("files can be written");
    assert_eq!(steps("a/./x/../b.json"), [step("a/b.json", false)]);
    assert_eq!(steps("a/b.json/c.json"), [step("a/b.json", true)]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("a", real.join("link")).expect("links can be made");
        symlink(real.join("link/b.json"), real.join("b.json")).expect("links can be made");
        symlink("../circle/x", real.join("a/circle")).expect("links can be made");
        symlink("a/circle", real.join("circle")).expect("links can be made");
        assert_eq!(steps("link/b.json"), [step("link", true), step("a/b.json", false)]);
        assert_eq!(steps("b.json"), [step("b.json", true), step("link", true), step("a/b.json", false)]);
        let circle = steps("circle/c.json");
        assert!(circle.len() <= 100 && circle.iter().all(|(_, redirects)| *redirects), "{circle:?}");
    }
}
