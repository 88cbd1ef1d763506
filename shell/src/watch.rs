//! Which files of remotes have changed, once they are complete.
//!
//! One thread follows files. It sleeps until the system tells that something happened in one of the folders that
//! decide what a file is: the folder that holds it, and those of links on the way. Folders are watched and not
//! files, because builds replace files. What happens to other files there is dismissed by its name.
//! Every two seconds followed files are looked at in any case: for folders that come and go, for file systems that
//! tell nothing, and for events that were lost.
//!
//! A file that is not what was told is looked at until it has kept its size, time and identity for [`SETTLE`] and
//! can be read as a whole.

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

/// For so long a file has not changed when it is taken.
pub const SETTLE: Duration = Duration::from_millis(30);

/// What happened to a file that is followed.
#[derive(Clone, Debug)]
pub enum Change {
    /// It has new content, which is complete. It may be the same content, written again.
    Complete {
        /// The file.
        path: PathBuf,
        /// When it was found to be complete.
        seen: Instant,
    },
    /// It is no longer there.
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// It has new content, which is not complete, and has not changed for three seconds. Told once for that content.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        failure: Failure,
    },
}

impl Change {
    /// The file, as it was named to [`Watch::follow`] or as it lies in a folder that was.
    pub fn path(&self) -> &Path {
        match self {
            Self::Complete { path, .. } | Self::Gone { path } | Self::Unreadable { path, .. } => path,
        }
    }
}

/// How long things take.
#[derive(Clone, Debug)]
struct Pace {
    /// Without change, before a file is read.
    settle: Duration,
    /// Without a file, before it counts as gone: builds remove what they write.
    absence: Duration,
    /// Without change, before a file that is not complete is told.
    patience: Duration,
    /// Between two looks at everything.
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

/// Follows files, on a thread that ends when this is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends.
    ended: mpsc::Receiver<()>,
}

/// The time for which a call waits for the thread, which a file system that does not answer may hold up.
const ANSWER: Duration = Duration::from_millis(500);

/// What the threads have in common: the one that follows, the system's, and whoever asks.
struct Shared {
    inbox: Mutex<Inbox>,
    news: Condvar,
    /// The number of times the thread has taken the list to follow.
    taken: Mutex<u64>,
    was_taken: Condvar,
    interest: RwLock<Interest>,
    /// At most one for each file.
    changes: Mutex<Vec<Change>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// What the thread is to look at. It does not grow with the number of events.
#[derive(Default)]
struct Inbox {
    stop: bool,
    everything: bool,
    touched: BTreeSet<PathBuf>,
    /// Folders that are no longer where they were.
    lost: BTreeSet<PathBuf>,
    follow: Option<Follow>,
    /// The number of lists given to the thread.
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

/// Which events matter.
#[derive(Default)]
struct Interest {
    /// By folder and name.
    names: BTreeMap<PathBuf, BTreeMap<OsString, Meaning>>,
    /// Folders in which every plugin is followed, by their path without links.
    folders: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

#[derive(Default)]
struct Meaning {
    files: BTreeSet<PathBuf>,
    turns: bool,
}

type System = Box<dyn Watcher + Send>;

impl Watch {
    /// Follows nothing yet; `wake` is called, on the thread, when [`changes`](Self::changes) has something new.
    pub fn start(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self::with(wake, Pace::REAL, |shared| {
            // Links are resolved here.
            let config = notify::Config::default().with_follow_symlinks(false);
            let watcher = notify::RecommendedWatcher::new(move |event| shared.hear(event), config)?;
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
            news: Condvar::new(),
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
            follower.system = start_system(|| system(its)).map_err(|error| follower.tell_limit(&error)).ok();
            follower.run();
        };
        let thread = spawn("watch", "follow files, so rebuilt libraries are not noticed", run);
        let thread = thread.inspect_err(SpawnError::log);
        Self { shared, thread: thread.ok(), ended }
    }

    /// From now on follows these files, and every library or manifest directly in these folders; no others.
    ///
    /// What is there now, and was not followed before, is taken as known. None of it needs to exist.
    /// Waits until the thread has looked at it, for half a second at most: what changes afterwards is reported.
    pub fn follow(&self, files: BTreeSet<PathBuf>, folders: BTreeSet<PathBuf>) {
        let mut number = 0;
        self.tell(|inbox| {
            inbox.follows += 1;
            number = inbox.follows;
            inbox.follow = Some(Follow { files, folders, number });
        });
        let until = Instant::now() + ANSWER;
        let mut taken = self.shared.taken.lock();
        // Not for one that is held up already, nor, from within `wake`, for itself.
        let Some(thread) = &self.thread else { return };
        if *taken + 1 < number || thread.thread().id() == thread::current().id() {
            return;
        }
        while *taken < number && !self.shared.was_taken.wait_until(&mut taken, until).timed_out() {}
    }

    /// What has changed since the last call; never waits.
    pub fn changes(&self) -> Vec<Change> {
        mem::take(&mut *self.shared.changes.lock())
    }

    fn tell(&self, tell: impl FnOnce(&mut Inbox)) {
        tell(&mut self.shared.inbox.lock());
        self.shared.news.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tell(|inbox| inbox.stop = true);
        let Some(thread) = self.thread.take() else { return };
        // From within `wake` it would wait for itself. One that a file system holds up is left alone.
        if thread.thread().id() != thread::current().id()
            && self.ended.recv_timeout(ANSWER) == Err(RecvTimeoutError::Disconnected)
        {
            // A panic has been told.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Takes an event of the system, on the system's thread. Most are of no interest and wake nobody.
    fn hear(&self, event: notify::Result<Event>) {
        let Ok(event) = event else { return self.tell(|inbox| inbox.everything = true) };
        if event.need_rescan() {
            return self.tell(|inbox| inbox.everything = true);
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
                self.tell(|inbox| inbox.lost.extend([path.clone()]));
            }
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
            if let Some(meaning) = interest.names.get(folder).and_then(|names| names.get(name)) {
                self.tell(|inbox| {
                    inbox.everything |= meaning.turns;
                    inbox.touched.extend(meaning.files.iter().cloned());
                });
            } else if let Some(folders) = interest.folders.get(folder).filter(|_| is_plugin(path)) {
                self.tell(|inbox| inbox.touched.extend(folders.iter().map(|folder| folder.join(name))));
            }
        }
    }

    fn tell(&self, tell: impl FnOnce(&mut Inbox)) {
        tell(&mut self.inbox.lock());
        self.news.notify_one();
    }
}

/// The thread.
struct Follower {
    shared: Arc<Shared>,
    pace: Pace,
    /// None where the system tells nothing.
    system: Option<System>,
    /// That it tells nothing, or not of all folders, was said.
    told_limit: bool,
    /// The folders that the system tells about, as what they were then.
    watched: BTreeMap<PathBuf, Option<Stamped>>,
    /// Those that were named.
    named: BTreeSet<PathBuf>,
    folders: BTreeMap<PathBuf, Listing>,
    /// Those that were named, and those in the folders.
    files: BTreeMap<PathBuf, Followed>,
}

/// Which folder it was.
type Stamped = (u64, u64, Option<SystemTime>);

/// When the content of a folder was last read.
#[derive(Default)]
struct Listing {
    modified: Option<SystemTime>,
    /// A later change has another time: clocks of file systems are coarse.
    sure: bool,
}

impl Follower {
    fn new(shared: Arc<Shared>, pace: Pace) -> Self {
        Self {
            shared,
            pace,
            system: None,
            told_limit: false,
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
                self.look_at_everything();
                poll = Instant::now() + self.pace.poll;
            }
            self.look(inbox.touched);
            self.settle();
        }
    }

    /// Sleeps until there is something to do, or until then.
    fn wait(&self, until: Option<Instant>) -> Inbox {
        let mut inbox = self.shared.inbox.lock();
        loop {
            let news = inbox.stop || inbox.everything || inbox.follow.is_some();
            if news || !inbox.touched.is_empty() || !inbox.lost.is_empty() {
                return inbox.take();
            }
            match until {
                None => self.shared.news.wait(&mut inbox),
                Some(until) if self.shared.news.wait_until(&mut inbox, until).timed_out() => {
                    return inbox.take();
                }
                Some(_) => {}
            }
        }
    }

    fn follow(&mut self, follow: Follow) {
        let Follow { files, folders, number } = follow;
        // In a folder that is followed already, what has come meanwhile is news.
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

    fn look_at_everything(&mut self) {
        // First the system tells, then all is looked at: between the two nothing is missed. Each may bring more of
        // the other, as folders appear and links turn; what does not come to rest is for the next look.
        for _ in 0..ROUNDS {
            let more = self.watch_folders();
            if !self.list() && !more {
                break;
            }
        }
        let now = Instant::now();
        for (path, followed) in &mut self.files {
            followed.look(Stamp::of(path), now, &self.pace);
        }
    }

    fn look(&mut self, paths: BTreeSet<PathBuf>) {
        let (now, mut new) = (Instant::now(), false);
        for path in paths {
            // It may be one that is not followed any more.
            let listed = path.parent().is_some_and(|parent| self.folders.contains_key(parent));
            if !listed && !self.files.contains_key(&path) {
                continue;
            }
            let stamp = Stamp::of(&path);
            let followed = self.files.entry(path).or_insert_with(|| {
                new = true;
                Followed::known(None)
            });
            followed.look(stamp, now, &self.pace);
        }
        if new {
            // It may be a link.
            self.watch_folders();
        }
    }

    /// Tells what has come to rest.
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

    /// Finds what is new in the folders; whether there is anything.
    fn list(&mut self) -> bool {
        let before = self.files.len();
        for (folder, listing) in &mut self.folders {
            let modified = folder.metadata().and_then(|about| about.modified()).ok();
            if listing.sure && modified == listing.modified {
                continue;
            }
            let age = modified.and_then(|modified| modified.elapsed().ok());
            *listing = Listing { modified, sure: age.is_some_and(|age| age > COARSE) };
            for path in drop_folder::files(folder).into_iter().flatten() {
                self.files.entry(path).or_insert_with(|| Followed::known(None));
            }
        }
        self.files.len() > before
    }

    /// Has the system tell about the folders on the way to every file; whether there is one more, or one has
    /// gone meanwhile.
    fn watch_folders(&mut self) -> bool {
        let mut interest = Interest::default();
        let mut add = |step: route::Step, file: Option<&PathBuf>| {
            let meaning = interest.names.entry(step.folder).or_default().entry(step.name).or_default();
            meaning.turns |= step.turns;
            meaning.files.extend(file.cloned());
        };
        for path in self.files.keys().chain(&self.named) {
            for step in route::route(path) {
                add(step, Some(path));
            }
        }
        let mut open = Vec::new();
        for folder in self.folders.keys() {
            // The way to a file that is not there ends in the folder, if that is.
            let mut steps = route::route(&folder.join(".none"));
            if let Some(last) = steps.pop_if(|last| !last.turns) {
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
        // First: what the system tells from now on is understood.
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
                // It has gone this moment, and the way leads elsewhere now.
                Err(error) if is_gone(&error) => more = true,
                Err(error) => self.tell_limit(&error),
            }
        }
        more
    }

    /// The system tells about this folder no longer.
    fn forget(&mut self, folder: &Path) {
        if self.watched.remove(folder).is_some()
            && let Some(system) = &mut self.system
        {
            // It may have forgotten a folder that is gone by itself.
            let _ = system.unwatch(folder);
        }
    }

    fn tell_limit(&mut self, error: &notify::Error) {
        if !mem::replace(&mut self.told_limit, true) {
            tracing::warn!(
                code = Code::WatchLimited.as_str(),
                "the system does not tell of changes to the files of remotes ({error}), so they are noticed within two \
                 seconds instead of at once; raise its limit of watches"
            );
        }
    }
}

/// Starts the system's notifications. They need a thread, and panic without one.
fn start_system(start: impl FnOnce() -> notify::Result<System>) -> notify::Result<System> {
    // First one that is given back: the panic would be logged as the shell's own.
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

/// How often folders and files are looked at in one go.
const ROUNDS: usize = 8;

/// No file system's clock is coarser.
const COARSE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
