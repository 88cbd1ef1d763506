//! Remotes that end: on threads of their own, and counted where something of them stays.

use std::{
    mem::ManuallyDrop,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use plugin_api::shared::Interface;

use super::{
    Entry, Federation,
    events::Event,
    loader::{Image, Library, Unloaded},
    remote::{Ending, Remote, SHUTDOWN_LIMIT, Wake},
};
use crate::failure::{Failure, SharedFailure, Stage};

/// A generation that has ended, and whose code stays in the process until the shell ends.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The remote's alias.
    pub remote: String,
    /// Which generation; 0 for one that never ran.
    pub generation: u64,
    /// Why.
    pub failure: SharedFailure,
}

/// Remotes on their way out, and those of which something stays.
pub(super) struct Retiring {
    endings: Arc<Endings>,
    receiver: mpsc::Receiver<(String, u64, Retired)>,
    kept: Vec<Kept>,
    waiting: Vec<Waiting>,
    /// Whose copies of shared crates are in use.
    pinned: Vec<Remote>,
}

/// Ends remotes on threads of their own: one that hangs must not hang the window. `[thread-safe]`
pub(super) struct Endings {
    threads: Mutex<Vec<Last>>,
    done: mpsc::Sender<(String, u64, Retired)>,
    wake: Wake,
}

/// A thread that does the last of a remote.
struct Last {
    alias: String,
    /// Set before the window is woken, which the thread's own end follows.
    ended: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Last {
    fn runs(&self) -> bool {
        !self.ended.load(Ordering::Acquire) && !self.thread.is_finished()
    }
}

impl Retiring {
    pub(super) fn new(wake: Wake) -> Self {
        let (sender, receiver) = mpsc::channel();
        let endings = Arc::new(Endings { threads: Mutex::default(), done: sender, wake });
        Self { endings, receiver, kept: Vec::new(), waiting: Vec::new(), pinned: Vec::new() }
    }

    /// Returns what ends this generation when its remote is dropped.
    pub(super) fn ending(&self, alias: &str, generation: u64) -> Ending {
        let endings = Arc::clone(&self.endings);
        let (alias, name) = (alias.to_owned(), alias.to_owned());
        Box::new(move |remote| {
            endings.run(&alias, generation, move || retire(&name, generation, remote, deadline()));
        })
    }

    /// Returns true while a generation of `alias` is on its way out.
    pub(super) fn is_ending(&self, alias: &str) -> bool {
        self.endings.threads.lock().iter().any(|last| last.alias == alias && last.runs())
    }
}

impl Endings {
    /// Does the last of a remote on a thread of its own.
    fn run(&self, alias: &str, generation: u64, run: impl FnOnce() -> Retired + Send + 'static) {
        let (name, done, wake) = (alias.to_owned(), self.done.clone(), Arc::clone(&self.wake));
        let ended = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&ended);
        let run = move || {
            let retired = run();
            // A shell that ends listens no more.
            let _ = done.send((name, generation, retired));
            mark.store(true, Ordering::Release);
            wake(Duration::ZERO);
        };
        let mut threads = self.threads.lock();
        threads.retain(|last| !last.thread.is_finished());
        match thread::Builder::new().name(format!("retire:{alias}")).spawn(run) {
            Ok(thread) => threads.push(Last { alias: alias.to_owned(), ended, thread }),
            // The remote went with the closure: it ends by itself, and only its library stays.
            Err(error) => {
                let text = format!(
                    "could not spawn a thread to unload `{alias}` ({error}); its library is kept until the shell ends; \
                     close something or raise the limit"
                );
                let failure = Failure::new(Stage::Retire, "no-thread", text);
                let _ = self.done.send((alias.to_owned(), generation, Retired::Kept(failure)));
            }
        }
    }
}

impl Federation {
    /// What has ended and stays in the process all the same.
    pub fn kept(&self) -> &[Kept] {
        &self.retiring.kept
    }

    /// How many remotes are on their way out.
    pub fn retiring(&self) -> usize {
        self.retiring.endings.threads.lock().iter().filter(|last| last.runs()).count()
    }

    /// Lets go of a generation that no longer runs in its remote's name.
    pub(super) fn release(&mut self, alias: &str, name: &str, generation: u64, mut running: Remote) {
        let users: Vec<String> =
            self.live.users_of(name).map(|user| format!("{} ({})", user.participant, user.key)).collect();
        if users.is_empty() {
            // Before its library goes.
            self.in_use.retain(|slot, _| *slot.participant != *name);
            // Dropped, it ends.
            return;
        }
        running.on_drop(None);
        running.begin_shutdown();
        self.retiring.pinned.push(running);
        let text = format!(
            "generation {generation} of `{alias}` has ended, and its library stays until the shell ends, because its \
             copies of shared crates are in use: by {}",
            users.join(", ")
        );
        self.keep(Kept {
            remote: alias.to_owned(),
            generation,
            failure: Arc::new(Failure::new(Stage::Retire, "library-pinned", text)),
        });
    }

    /// Counts what has stayed since the last time, and unloads what nothing holds any more.
    pub(super) fn count_kept(&mut self) {
        let done: Vec<_> = self.retiring.receiver.try_iter().collect();
        for (remote, generation, retired) in done {
            match retired {
                Retired::Gone => {
                    self.retiring.kept.retain(|kept| (&kept.remote, kept.generation) != (&remote, generation));
                }
                Retired::Kept(failure) => {
                    self.retiring.kept.retain(|kept| (&kept.remote, kept.generation) != (&remote, generation));
                    self.keep(Kept { remote, generation, failure: Arc::new(failure) });
                }
                Retired::Waiting(waiting) => {
                    (self.wake)(SHUTDOWN_LIMIT);
                    self.retiring.waiting.push(waiting);
                }
            }
        }
        for mut waiting in std::mem::take(&mut self.retiring.waiting) {
            if waiting.is_free() {
                let (alias, generation) = (waiting.name.clone(), waiting.generation);
                self.retiring.endings.run(&alias, generation, move || waiting.unload());
                continue;
            }
            if let Some(failure) = waiting.report() {
                let (remote, generation) = (waiting.name.clone(), waiting.generation);
                self.keep(Kept { remote, generation, failure: Arc::new(failure) });
            }
            self.retiring.waiting.push(waiting);
        }
    }

    /// Unloads what waited for others that have ended, as the shell ends. What is held all the same stays.
    pub(super) fn unload_waiting(&mut self, mut waiting: Vec<Waiting>) {
        waiting.append(&mut self.retiring.waiting);
        while let Some(at) = waiting.iter().position(Waiting::is_free) {
            waiting.remove(at).unload();
        }
    }

    fn keep(&mut self, kept: Kept) {
        let (alias, failure) = (kept.remote.clone(), Arc::clone(&kept.failure));
        self.retiring.kept.push(kept);
        self.note_failure(&alias, failure, Event::Kept);
    }

    /// Ends every remote, those that use copies of others first, and waits for up to `limit`. Libraries stay loaded:
    /// for a process that is about to exit.
    pub(crate) fn close(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        self.host.uninstall();
        for providing in [false, true] {
            let provides =
                |entry: &&Entry| self.live.users_of(&entry.reference.name).next().is_some() == providing;
            let group: Vec<&Remote> =
                self.entries.values().filter(provides).filter_map(|entry| entry.running.as_ref()).collect();
            for remote in &group {
                remote.begin_shutdown();
            }
            for remote in group {
                remote.await_ended(deadline);
            }
        }
    }

    /// Waits for those that are on their way out.
    pub(super) fn join_retiring(&mut self) {
        let threads = std::mem::take(&mut *self.retiring.endings.threads.lock());
        for last in threads {
            // It ends within the limit, and its own panic is no reason not to end here.
            let _ = last.thread.join();
        }
    }
}

/// Returns when a remote that begins to end now is given up.
pub(super) fn deadline() -> Instant {
    Instant::now() + SHUTDOWN_LIMIT
}

/// A remote whose thread has ended.
pub struct Ended {
    pub(super) library: Library,
    pub(super) providers: Vec<Provider>,
}

/// A library whose copy of a shared crate a remote uses: held, because the remote's code may call it.
pub(super) struct Provider {
    /// Its name, and that of the crate.
    name: String,
    image: Arc<Image>,
    /// The copy keeps nothing of the remote but what the remote counts.
    counted: bool,
}

impl Provider {
    /// Names the provider of an interface.
    pub(super) fn new(interface: &Interface, image: Arc<Image>) -> Self {
        let name = format!("`{}` ({})", interface.provider(), interface.key());
        Self { name, image, counted: interface.is_counted() }
    }
}

/// Result of ending a remote.
pub(super) enum Retired {
    /// Nothing of it is left.
    Gone,
    /// Its code stays until the shell ends, and why.
    Kept(Failure),
    /// Its code stays while others may call it.
    Waiting(Waiting),
}

/// A library that runs no code by itself any more, and whose code and objects others may still call.
pub(super) struct Waiting {
    name: String,
    generation: u64,
    library: Library,
    /// Libraries that may keep objects of it.
    keepers: Vec<(String, Weak<Image>)>,
    since: Instant,
    reported: bool,
}

impl Waiting {
    fn keepers(&self) -> impl Iterator<Item = &str> {
        let alive = self.keepers.iter().filter(|(_, image)| image.strong_count() > 0);
        alive.map(|(name, _)| &**name)
    }

    /// Returns true once nothing holds it any more.
    fn is_free(&self) -> bool {
        self.keepers().next().is_none() && !self.library.is_held()
    }

    /// Reports the cause for which it stays, once: at once when that will not change by itself, and after a while
    /// otherwise.
    fn report(&mut self) -> Option<Failure> {
        let keepers: Vec<_> = self.keepers().collect();
        let (code, why) = if !keepers.is_empty() {
            let list = keepers.join(", ");
            (
                "library-lent",
                format!(
                    "until {list} is unloaded, which may keep objects of it; a crate that keeps none, or keeps them in \
                     `Lent`, states so with `SharedCrate::COUNTED`"
                ),
            )
        } else if self.library.is_lent() {
            (
                "library-lent",
                "while others keep objects that it lent to them; its author can take them back in `Drop`"
                    .to_owned(),
            )
        } else if self.since.elapsed() >= SHUTDOWN_LIMIT {
            ("library-pinned", "while remotes that have not ended use its copies of shared crates".to_owned())
        } else {
            return None;
        };
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        let (generation, name) = (self.generation, &self.name);
        let text = format!("generation {generation} of `{name}` has ended, and its library stays {why}");
        Some(Failure::new(Stage::Retire, code, text))
    }

    /// Unloads it.
    fn unload(self) -> Retired {
        unload(&self.name, self.generation, self.library)
    }
}

/// Ends a remote. Waits until `deadline`.
pub(super) fn retire(name: &str, generation: u64, remote: Remote, deadline: Instant) -> Retired {
    let Ended { library, providers } = match remote.end(deadline) {
        Ok(Some(ended)) => ended,
        Ok(None) => return Retired::Gone,
        Err(failure) => return Retired::Kept(failure),
    };
    let threads = library.threads_left();
    if !threads.is_empty() {
        // They may call the providers at any time.
        let _held = ManuallyDrop::new(providers);
        return Retired::Kept(left_threads(name, generation, &threads));
    }
    let keepers = providers.iter().filter(|provider| !provider.counted);
    let keepers = keepers.map(|provider| (provider.name.clone(), Arc::downgrade(&provider.image))).collect();
    // Its code calls nothing by itself any more.
    drop(providers);
    let name = name.to_owned();
    let waiting = Waiting { name, generation, library, keepers, since: Instant::now(), reported: false };
    if waiting.is_free() { waiting.unload() } else { Retired::Waiting(waiting) }
}

/// Unloads a library that nothing holds.
fn unload(name: &str, generation: u64, library: Library) -> Retired {
    let (code, why) = match library.unload() {
        unloaded @ (Unloaded::Gone | Unloaded::Linked) => {
            tracing::debug!(remote = name, generation, ?unloaded, "retired");
            return Retired::Gone;
        }
        Unloaded::Threads(threads) => return Retired::Kept(left_threads(name, generation, &threads)),
        Unloaded::Signals(left) => {
            let list = left.join(", ");
            ("library-signals", format!("the process may still call what it has installed: {list}"))
        }
        Unloaded::Kept => {
            ("library-mapped", "the system keeps it: something in the process still uses it".to_owned())
        }
    };
    Retired::Kept(stays(name, generation, code, &why))
}

fn left_threads(name: &str, generation: u64, threads: &[String]) -> Failure {
    let list = threads.join(", ");
    let why = format!("it left threads running, and their code must not go: {list}");
    stays(name, generation, "library-threads", &why)
}

fn stays(name: &str, generation: u64, code: &str, why: &str) -> Failure {
    let text = format!(
        "generation {generation} of `{name}` has ended, and its library stays until the shell ends ({why}); report this \
         to its author, who can end everything in `Drop`"
    );
    Failure::new(Stage::Retire, code, text)
}

#[cfg(test)]
mod tests {
    use plugin_api::{
        abi::{InitContext, RemoteBox, RemoteError},
        entry::{self, Root, entry, root_of},
    };

    use super::*;

    struct Idle;

    impl entry::Library for Idle {
        const MANIFEST: &'static str = "{}";

        fn init(_: InitContext) -> Result<RemoteBox, RemoteError> {
            Err(RemoteError::new("unused", "it is never started"))
        }
    }

    #[test]
    fn library_waits_for_images_that_may_call_it() {
        const ROOT: &Root = &root_of::<Idle>();
        let keeper = Arc::new(Image::default());
        let mut waiting = Waiting {
            name: "consumer".to_owned(),
            generation: 1,
            library: Library::linked(entry(ROOT)),
            keepers: vec![("`provider` (rates)".to_owned(), Arc::downgrade(&keeper))],
            since: Instant::now(),
            reported: false,
        };
        assert!(!waiting.is_free(), "the provider may keep objects of it");
        let failure = waiting.report().expect("it stays");
        assert_eq!(failure.code, "library-lent");
        assert!(failure.message.contains("`provider` (rates)"), "{failure}");
        assert!(waiting.report().is_none(), "it is reported once");
        drop(keeper);
        assert!(waiting.is_free());
        let user = Arc::clone(waiting.library.image());
        assert!(!waiting.is_free(), "another may call its copies");
        drop(user);
        assert!(waiting.is_free());
    }
}
