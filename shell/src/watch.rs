//! Detection of changed files of remotes, once they are complete.
//!
//! A thread follows files. It sleeps until the system reports an event in one of the folders that decide where a path
//! leads: the folder that contains the file, and those of links on the way. Folders are watched and not files,
//! because builds replace files. Events of other files there are dismissed by name.
//! Followed files are polled every two seconds in any case, because folders come and go, some file systems report
//! nothing, and events get lost.
//!
//! A file that differs from its last reported content is observed until its size, time and identity have been stable
//! for [`SETTLE`] and it is complete.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use notify::{
    ErrorKind, Event, EventKind, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::{
    catalogue::Code,
    data::drop_folder::{self, is_plugin},
    failure::Failure,
    spawn::{SpawnError, spawn},
};

mod file;
mod route;

use file::{Followed, Stamp};

/// Time for which a file must be unchanged before it counts as stable.
pub const SETTLE: Duration = Duration::from_millis(30);

/// An event of a followed file.
#[derive(Clone, Debug)]
pub enum FileEvent {
    /// It has new content, which is complete. It may be the same content, written again.
    Complete {
        /// The file.
        path: PathBuf,
        /// Time at which it was found complete.
        seen: Instant,
    },
    /// It was removed.
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// It has new content that is incomplete and has not changed for three seconds. Reported once for that content.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        failure: Failure,
    },
}

impl FileEvent {
    /// Returns the path that was passed to [`Watch::follow`], or the path in a folder that was.
    pub fn path(&self) -> &Path {
        match self {
            Self::Complete { path, .. } | Self::Gone { path } | Self::Unreadable { path, .. } => path,
        }
    }
}

/// Time limits and periods.
#[derive(Clone, Debug)]
struct Pace {
    /// Time without change before a file is read.
    settle: Duration,
    /// Time without a file before it counts as removed, because builds remove files before they write them.
    absence: Duration,
    /// Time without change before an incomplete file is reported.
    patience: Duration,
    /// Period in which everything is polled.
    poll: Duration,
}

impl Pace {
    const REAL: Self = Self {
        settle: SETTLE,
        absence: Duration::from_millis(300),
        patience: Duration::from_secs(3),
        poll: Duration::from_secs(2),
    };
}

/// Follower of files, on a thread that ends when this is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends.
    ended: mpsc::Receiver<()>,
}

/// Time for which a call waits for the thread, which a file system that does not answer may block.
const ANSWER: Duration = Duration::from_millis(500);

/// Shared state of the following thread, the system's thread and the callers.
struct Shared {
    inbox: Mutex<Inbox>,
    posted: Condvar,
    /// Number of the last list to follow that the thread has taken.
    taken: Mutex<u64>,
    was_taken: Condvar,
    interest: RwLock<Interest>,
    /// At most one for each file.
    changes: Mutex<Vec<FileEvent>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Work for the thread. Its size does not grow with the number of events.
#[derive(Default)]
struct Inbox {
    stop: bool,
    everything: bool,
    touched: BTreeSet<PathBuf>,
    /// Watched folders that were moved or removed.
    lost: BTreeSet<PathBuf>,
    follow: Option<Follow>,
    /// Number of lists passed to the thread.
    follows: u64,
}

impl Inbox {
    fn take(&mut self) -> Self {
        let follows = self.follows;
        mem::replace(self, Self { follows, ..Self::default() })
    }
}

#[derive(Default)]
struct Follow {
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    number: u64,
}

/// Filter for events that matter.
#[derive(Default)]
struct Interest {
    /// Effects of an entry of a folder, by folder and name.
    names: BTreeMap<PathBuf, BTreeMap<OsString, Effect>>,
    /// Folders in which every plugin is followed, by path without links.
    folders: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

#[derive(Default)]
struct Effect {
    files: BTreeSet<PathBuf>,
    redirects: bool,
}

type System = Box<dyn Watcher + Send>;

impl Watch {
    /// Starts the thread, which follows nothing yet. It calls `wake` when [`changes`](Self::changes) has new events.
    pub fn start(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self::with(wake, Pace::REAL, |shared| {
            // Links are resolved here.
            let config = notify::Config::default().with_follow_symlinks(false);
            let watcher = notify::RecommendedWatcher::new(move |event| shared.on_event(event), config)?;
            Ok(Box::new(watcher))
        })
    }

    fn with(
        wake: impl Fn() + Send + Sync + 'static,
        pace: Pace,
        system: impl FnOnce(Arc<Shared>) -> notify::Result<System> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            posted: Condvar::new(),
            taken: Mutex::default(),
            was_taken: Condvar::new(),
            interest: RwLock::default(),
            changes: Mutex::default(),
            wake: Box::new(wake),
        });
        let its = Arc::clone(&shared);
        let (alive, ended) = mpsc::channel::<()>();
        let run = move || {
            let _alive = alive;
            let mut follower = Follower::new(Arc::clone(&its), pace);
            follower.system = start_system(|| system(its)).map_err(|error| follower.log_limit(&error)).ok();
            follower.run();
        };
        let thread = spawn("watch", "follow files, so rebuilt libraries are not noticed", run);
        let thread = thread.inspect_err(SpawnError::log);
        Self { shared, thread: thread.ok(), ended }
    }

    /// Follows these files, and every library or manifest directly in these folders, instead of the former ones.
    ///
    /// Files and folders may be missing. The present content of newly followed files is not reported.
    /// Waits until the thread has read their state, for half a second at most; later changes are reported.
    pub fn follow(&self, files: BTreeSet<PathBuf>, folders: BTreeSet<PathBuf>) {
        let mut number = 0;
        self.post(|inbox| {
            inbox.follows += 1;
            number = inbox.follows;
            inbox.follow = Some(Follow { files, folders, number });
        });
        let until = Instant::now() + ANSWER;
        let mut taken = self.shared.taken.lock();
        // No wait for a thread that is blocked already, nor, from within `wake`, for itself.
        let Some(thread) = &self.thread else { return };
        if *taken + 1 < number || thread.thread().id() == thread::current().id() {
            return;
        }
        while *taken < number && !self.shared.was_taken.wait_until(&mut taken, until).timed_out() {}
    }

    /// Takes the events since the last call; never waits.
    pub fn changes(&self) -> Vec<FileEvent> {
        mem::take(&mut *self.shared.changes.lock())
    }

    fn post(&self, post: impl FnOnce(&mut Inbox)) {
        post(&mut self.shared.inbox.lock());
        self.shared.posted.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.post(|inbox| inbox.stop = true);
        let Some(thread) = self.thread.take() else { return };
        // From within `wake` it would wait for itself. A thread that a file system blocks is abandoned.
        if thread.thread().id() != thread::current().id()
            && self.ended.recv_timeout(ANSWER) == Err(RecvTimeoutError::Disconnected)
        {
            // The panic hook has reported a panic.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Handles an event on the system's thread. Most events are irrelevant and do not wake the follower.
    fn on_event(&self, event: notify::Result<Event>) {
        let Ok(event) = event else { return self.post(|inbox| inbox.everything = true) };
        if event.need_rescan() {
            return self.post(|inbox| inbox.everything = true);
        }
        let moved = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return,
            _ => {}
        }
        let interest = self.interest.read();
        for path in &event.paths {
            if moved && interest.names.contains_key(path) {
                self.post(|inbox| inbox.lost.extend([path.clone()]));
            }
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
            if let Some(effect) = interest.names.get(folder).and_then(|names| names.get(name)) {
                self.post(|inbox| {
                    inbox.everything |= effect.redirects;
                    inbox.touched.extend(effect.files.iter().cloned());
                });
            } else if let Some(folders) = interest.folders.get(folder).filter(|_| is_plugin(path)) {
                self.post(|inbox| inbox.touched.extend(folders.iter().map(|folder| folder.join(name))));
            }
        }
    }

    fn post(&self, post: impl FnOnce(&mut Inbox)) {
        post(&mut self.inbox.lock());
        self.posted.notify_one();
    }
}

/// State of the following thread.
struct Follower {
    shared: Arc<Shared>,
    pace: Pace,
    /// `None` if the system reports nothing.
    system: Option<System>,
    /// Set once the log states that the system does not report all folders.
    limit_logged: bool,
    /// Folders that the system watches, with their identity at that time.
    watched: BTreeMap<PathBuf, Option<Stamped>>,
    /// Files that were passed by path.
    named: BTreeSet<PathBuf>,
    folders: BTreeMap<PathBuf, Listing>,
    /// Files that were passed by path, and those in the folders.
    files: BTreeMap<PathBuf, Followed>,
}

/// Identity of a folder.
type Stamped = (u64, u64, Option<SystemTime>);

/// State of a folder when its entries were last read.
#[derive(Default)]
struct Listing {
    modified: Option<SystemTime>,
    /// Set if any later change has another time, despite the coarse clocks of file systems.
    reliable: bool,
}

impl Follower {
    fn new(shared: Arc<Shared>, pace: Pace) -> Self {
        Self {
            shared,
            pace,
            system: None,
            limit_logged: false,
            watched: BTreeMap::new(),
            named: BTreeSet::new(),
            folders: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        let mut poll = Instant::now() + self.pace.poll;
        loop {
            let due = self.files.values().filter_map(Followed::due).min();
            let idle = self.named.is_empty() && self.folders.is_empty();
            let until = due.into_iter().chain((!idle).then_some(poll)).min();
            let mut inbox = self.wait(until);
            if inbox.stop {
                return;
            }
            if let Some(follow) = inbox.follow.take() {
                self.follow(follow);
                inbox.everything = true;
            }
            for folder in mem::take(&mut inbox.lost) {
                self.forget(&folder);
                inbox.everything = true;
            }
            if inbox.everything || Instant::now() >= poll {
                self.poll_all();
                poll = Instant::now() + self.pace.poll;
            }
            self.observe(inbox.touched);
            self.settle();
        }
    }

    /// Sleeps until there is work, or until `until`.
    fn wait(&self, until: Option<Instant>) -> Inbox {
        let mut inbox = self.shared.inbox.lock();
        loop {
            let posted = inbox.stop || inbox.everything || inbox.follow.is_some();
            if posted || !inbox.touched.is_empty() || !inbox.lost.is_empty() {
                return inbox.take();
            }
            match until {
                None => self.shared.posted.wait(&mut inbox),
                Some(until) if self.shared.posted.wait_until(&mut inbox, until).timed_out() => {
                    return inbox.take();
                }
                Some(_) => {}
            }
        }
    }

    fn follow(&mut self, follow: Follow) {
        let Follow { files, folders, number } = follow;
        // New files in a folder that is followed already are reported, so only new folders are listed here.
        let listed = folders.iter().filter(|folder| !self.folders.contains_key(*folder));
        let listed: Vec<_> = listed.flat_map(|folder| drop_folder::files(folder)).flatten().collect();
        for path in files.iter().cloned().chain(listed) {
            self.files.entry(path).or_insert_with_key(|path| Followed::known(Stamp::of(path)));
        }
        *self.shared.taken.lock() = number;
        self.shared.was_taken.notify_all();
        self.files.retain(|path, _| {
            files.contains(path) || path.parent().is_some_and(|parent| folders.contains(parent))
        });
        let old = mem::take(&mut self.folders);
        let mut kept: BTreeMap<_, _> = old.into_iter().filter(|(path, _)| folders.contains(path)).collect();
        for folder in folders {
            kept.entry(folder).or_default();
        }
        (self.named, self.folders) = (files, kept);
        let files = &self.files;
        self.shared.changes.lock().retain(|change| files.contains_key(change.path()));
    }

    fn poll_all(&mut self) {
        // Folders are watched before they are listed, so that nothing is missed in between. Each step may bring more
        // work for the other, as folders appear and links change; what does not settle is left to the next poll.
        for _ in 0..ROUNDS {
            let more = self.watch_folders();
            if !self.list() && !more {
                break;
            }
        }
        let now = Instant::now();
        for (path, followed) in &mut self.files {
            followed.observe(Stamp::of(path), now, &self.pace);
        }
    }

    fn observe(&mut self, paths: BTreeSet<PathBuf>) {
        let (now, mut new) = (Instant::now(), false);
        for path in paths {
            // It may no longer be followed.
            let listed = path.parent().is_some_and(|parent| self.folders.contains_key(parent));
            if !listed && !self.files.contains_key(&path) {
                continue;
            }
            let stamp = Stamp::of(&path);
            let followed = self.files.entry(path).or_insert_with(|| {
                new = true;
                Followed::known(None)
            });
            followed.observe(stamp, now, &self.pace);
        }
        if new {
            // A new file may be a link.
            self.watch_folders();
        }
    }

    /// Reports the files that are stable.
    fn settle(&mut self) {
        let mut new = Vec::new();
        for (path, followed) in &mut self.files {
            new.extend(followed.settle(path, &self.pace));
        }
        let named = &self.named;
        self.files.retain(|path, followed| named.contains(path) || !followed.is_gone());
        if new.is_empty() {
            return;
        }
        let mut changes = self.shared.changes.lock();
        changes.retain(|change| new.iter().all(|new| new.path() != change.path()));
        changes.extend(new);
        drop(changes);
        (self.shared.wake)();
    }

    /// Adds new files of the folders; returns `true` if there were any.
    fn list(&mut self) -> bool {
        let before = self.files.len();
        for (folder, listing) in &mut self.folders {
            let modified = folder.metadata().and_then(|about| about.modified()).ok();
            if listing.reliable && modified == listing.modified {
                continue;
            }
            let age = modified.and_then(|modified| modified.elapsed().ok());
            *listing = Listing { modified, reliable: age.is_some_and(|age| age > COARSE) };
            for path in drop_folder::files(folder).into_iter().flatten() {
                self.files.entry(path).or_insert_with(|| Followed::known(None));
            }
        }
        self.files.len() > before
    }

    /// Watches the folders on the way to every file; returns `true` if one was added, or was removed meanwhile.
    fn watch_folders(&mut self) -> bool {
        let mut interest = Interest::default();
        let mut add = |step: route::PathStep, file: Option<&PathBuf>| {
            let effect = interest.names.entry(step.folder).or_default().entry(step.name).or_default();
            effect.redirects |= step.redirects;
            effect.files.extend(file.cloned());
        };
        for path in self.files.keys().chain(&self.named) {
            for step in route::route(path) {
                add(step, Some(path));
            }
        }
        let mut open = Vec::new();
        for folder in self.folders.keys() {
            // The route to a missing file ends in its folder, if that exists.
            let mut steps = route::route(&folder.join(".none"));
            if let Some(last) = steps.pop_if(|last| !last.redirects) {
                open.push((last.folder, folder.clone()));
            }
            for step in steps {
                add(step, None);
            }
        }
        for (real, folder) in open {
            interest.names.entry(real.clone()).or_default();
            interest.folders.entry(real).or_default().insert(folder);
        }
        let wanted: BTreeSet<PathBuf> = interest.names.keys().cloned().collect();
        // Before the watches, so that their events are understood.
        *self.shared.interest.write() = interest;
        let mut more = false;
        for old in self.watched.keys().filter(|path| !wanted.contains(*path)).cloned().collect::<Vec<_>>() {
            self.forget(&old);
        }
        for folder in wanted {
            let now = folder.metadata().ok().map(|about| route::identity(&about));
            if self.watched.get(&folder).is_some_and(|then| *then == now) {
                continue;
            }
            self.forget(&folder);
            let Some(system) = &mut self.system else { continue };
            match system.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    more = true;
                    self.watched.insert(folder, now);
                }
                // It was removed just now, and the route leads elsewhere.
                Err(error) if is_gone(&error) => more = true,
                Err(error) => self.log_limit(&error),
            }
        }
        more
    }

    /// Stops watching a folder.
    fn forget(&mut self, folder: &Path) {
        if self.watched.remove(folder).is_some()
            && let Some(system) = &mut self.system
        {
            // The system may have dropped a removed folder by itself.
            let _ = system.unwatch(folder);
        }
    }

    fn log_limit(&mut self, error: &notify::Error) {
        if !mem::replace(&mut self.limit_logged, true) {
            tracing::warn!(
                code = Code::WatchLimited.as_str(),
                "the system does not report changes to the files of remotes ({error}), so they are noticed within two \
                 seconds instead of immediately; raise its limit of watches"
            );
        }
    }
}

/// Starts the system's notifications, which need a thread and panic without one.
fn start_system(start: impl FnOnce() -> notify::Result<System>) -> notify::Result<System> {
    // A test thread comes first, because the panic would be logged as the shell's own.
    spawn("watch", "follow files", || ()).map_err(|error| notify::Error::io(error.into()))?;
    let started = catch_unwind(AssertUnwindSafe(start));
    started.unwrap_or_else(|_| Err(notify::Error::generic("the system has no thread for it")))
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Maximum number of rounds in which one poll watches and lists folders.
const ROUNDS: usize = 8;

/// Coarsest clock of a file system.
const COARSE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
