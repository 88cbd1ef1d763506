//! Generations that end, each on a separate thread, and libraries that cannot be unloaded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    catalogue::Code,
    failure::{Failure, SharedFailure, Stage},
    placement::{DropHook, Placement, Retired, SHUTDOWN_LIMIT, Waiting, Wake},
    spawn::spawn,
};

/// Minimum time for each group of remotes to end when the shell ends.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// A generation that has ended, and whose library is still loaded.
#[derive(Clone, Debug)]
pub struct LeakedLibrary {
    /// Alias of the remote.
    pub remote: String,
    /// Number of the generation; 0 for one that never ran.
    pub generation: u64,
    /// The reason.
    pub failure: SharedFailure,
}

impl LeakedLibrary {
    fn is_of(&self, remote: &str, generation: u64) -> bool {
        self.remote == remote && self.generation == generation
    }
}

/// A remote's name, and the number and placement of its generation.
type Generation = (String, u64, Box<dyn Placement>);

/// Generations that end, and libraries that are still loaded after them. `[window's thread]`
pub struct Retiring {
    endings: Arc<Endings>,
    done: mpsc::Receiver<(String, u64, Retired)>,
    leaked: Vec<LeakedLibrary>,
    waiting: Vec<Waiting>,
    /// Ended generations whose copies of shared crates are in use.
    pinned: Vec<Box<dyn Placement>>,
    wake: Wake,
}

/// Ends each generation on a separate thread: one that hangs must not hang the window. `[thread-safe]`
struct Endings {
    threads: Mutex<Vec<Last>>,
    done: mpsc::Sender<(String, u64, Retired)>,
    wake: Wake,
}

/// A thread that ends a generation.
struct Last {
    alias: String,
    /// Set before the window is woken: the thread ends only after that.
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
        let (sender, done) = mpsc::channel();
        let endings = Arc::new(Endings { threads: Mutex::default(), done: sender, wake: Arc::clone(&wake) });
        Self { endings, done, leaked: Vec::new(), waiting: Vec::new(), pinned: Vec::new(), wake }
    }

    /// Returns the libraries that are still loaded although their generation has ended.
    pub fn leaked(&self) -> &[LeakedLibrary] {
        &self.leaked
    }

    /// Returns the number of generations that are ending.
    pub fn count(&self) -> usize {
        self.endings.threads.lock().iter().filter(|last| last.runs()).count()
    }

    /// Returns the drop hook that ends a generation's placement.
    pub(super) fn ending(&self, alias: &str, generation: u64) -> DropHook {
        let endings = Arc::clone(&self.endings);
        let (alias, name) = (alias.to_owned(), alias.to_owned());
        Box::new(move |placement| {
            endings.run(&alias, generation, move || {
                placement.retire(&name, generation, Instant::now() + SHUTDOWN_LIMIT)
            });
        })
    }

    /// Returns `true` while a generation of `alias` is ending.
    pub(super) fn is_ending(&self, alias: &str) -> bool {
        self.endings.threads.lock().iter().any(|last| last.alias == alias && last.runs())
    }

    /// Ends a generation whose copies of shared crates `users` use, and keeps its library loaded; returns the failure
    /// to report.
    pub(super) fn pin(
        &mut self,
        alias: &str,
        generation: u64,
        mut placement: Box<dyn Placement>,
        users: &[String],
    ) -> SharedFailure {
        placement.on_drop(None);
        placement.begin_shutdown();
        self.pinned.push(placement);
        let text = format!(
            "generation {generation} of `{alias}` has ended, and its library stays loaded until Pulse exits, because \
             its copies of shared crates are in use by {}",
            users.join(", ")
        );
        let failure = Arc::new(Failure::new(Stage::Retire, Code::LibraryPinned, text, ""));
        let remote = alias.to_owned();
        self.leaked.push(LeakedLibrary { remote, generation, failure: Arc::clone(&failure) });
        failure
    }

    /// Records libraries that stay loaded, and unloads libraries that are free now; returns the new ones to report.
    pub(super) fn poll(&mut self) -> Vec<LeakedLibrary> {
        let mut new = Vec::new();
        for (remote, generation, retired) in self.done.try_iter() {
            match retired {
                Retired::Gone => self.leaked.retain(|leaked| !leaked.is_of(&remote, generation)),
                Retired::Leaked(failure) => {
                    self.leaked.retain(|leaked| !leaked.is_of(&remote, generation));
                    new.push(LeakedLibrary { remote, generation, failure: Arc::new(failure) });
                }
                Retired::Waiting(waiting) => {
                    (self.wake)(SHUTDOWN_LIMIT);
                    self.waiting.push(waiting);
                }
            }
        }
        for mut waiting in std::mem::take(&mut self.waiting) {
            let (name, generation) = waiting.of();
            let remote = name.to_owned();
            if waiting.is_free() {
                self.endings.run(&remote, generation, move || waiting.unload());
                continue;
            }
            if let Some(failure) = waiting.report() {
                new.push(LeakedLibrary { remote, generation, failure: Arc::new(failure) });
            }
            self.waiting.push(waiting);
        }
        self.leaked.extend(new.iter().cloned());
        new
    }

    /// Ends every remote and unloads its library; consumers come before their providers. Waits for up to
    /// [`SHUTDOWN_LIMIT`], and at least [`LAST_MOMENT`] for each group.
    pub(super) fn shutdown(&mut self, groups: [Vec<Generation>; 2]) {
        let deadline = Instant::now() + SHUTDOWN_LIMIT;
        for group in groups {
            for (.., placement) in &group {
                placement.begin_shutdown();
            }
            // A slow group must not leave the next one without time.
            let deadline = deadline.max(Instant::now() + LAST_MOMENT);
            for (name, generation, placement) in group {
                match placement.retire(&name, generation, deadline) {
                    Retired::Gone => {}
                    Retired::Leaked(failure) => {
                        tracing::warn!(remote = name, code = failure.code.as_str(), "{}", failure.line());
                    }
                    Retired::Waiting(waiting) => self.waiting.push(waiting),
                }
            }
        }
    }

    /// Waits for the generations that are ending, and unloads libraries that waited for them; the rest stay loaded.
    pub(super) fn finish(&mut self) {
        for last in std::mem::take(&mut *self.endings.threads.lock()) {
            // The thread ends within its limit, and its panic must not stop the shutdown.
            let _ = last.thread.join();
        }
        while let Some(at) = self.waiting.iter().position(Waiting::is_free) {
            self.waiting.remove(at).unload();
        }
    }
}

impl Endings {
    /// Ends a generation on a separate thread.
    fn run(&self, alias: &str, generation: u64, run: impl FnOnce() -> Retired + Send + 'static) {
        let (name, done, wake) = (alias.to_owned(), self.done.clone(), Arc::clone(&self.wake));
        let ended = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&ended);
        let run = move || {
            let retired = run();
            // The shell may have ended.
            let _ = done.send((name, generation, retired));
            mark.store(true, Ordering::Release);
            wake(Duration::ZERO);
        };
        let mut threads = self.threads.lock();
        threads.retain(|last| !last.thread.is_finished());
        let what = format!("unload `{alias}`, so its library stays loaded until Pulse exits");
        match spawn(format!("retire:{alias}"), what, run) {
            Ok(thread) => threads.push(Last { alias: alias.to_owned(), ended, thread }),
            // The closure was dropped with the remote, which ends by itself; only its library stays loaded.
            Err(error) => {
                let retired = Retired::Leaked(error.failure(Stage::Retire));
                let _ = self.done.send((alias.to_owned(), generation, retired));
            }
        }
    }
}
