//! Remotes that end: on threads of their own, and counted where something of them stays.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Entry, Federation,
    events::Event,
    loader::Unloaded,
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
    receiver: mpsc::Receiver<Kept>,
    kept: Vec<Kept>,
    /// Whose copies of shared crates are in use.
    pinned: Vec<Remote>,
}

/// Ends remotes on threads of their own: one that hangs must not hang the window. `[thread-safe]`
pub(super) struct Endings {
    /// By alias.
    threads: Mutex<Vec<(String, thread::JoinHandle<()>)>>,
    kept: mpsc::Sender<Kept>,
    wake: Wake,
}

impl Retiring {
    pub(super) fn new(wake: Wake) -> Self {
        let (sender, receiver) = mpsc::channel();
        let endings = Arc::new(Endings { threads: Mutex::default(), kept: sender, wake });
        Self { endings, receiver, kept: Vec::new(), pinned: Vec::new() }
    }

    /// Returns what ends this generation when its remote is dropped.
    pub(super) fn ending(&self, alias: &str, generation: u64) -> Ending {
        let (endings, alias) = (Arc::clone(&self.endings), alias.to_owned());
        Box::new(move |remote| endings.end(&alias, generation, remote))
    }

    /// Returns true while a generation of `alias` is on its way out.
    pub(super) fn is_ending(&self, alias: &str) -> bool {
        self.endings.threads.lock().iter().any(|(known, thread)| known == alias && !thread.is_finished())
    }
}

impl Endings {
    fn end(&self, alias: &str, generation: u64, remote: Remote) {
        let (name, kept, wake) = (alias.to_owned(), self.kept.clone(), Arc::clone(&self.wake));
        let run = move || {
            if let Some(failure) = retire(&name, generation, remote) {
                // A shell that ends listens no more.
                let _ = kept.send(Kept { remote: name, generation, failure: Arc::new(failure) });
            }
            wake(Duration::ZERO);
        };
        let mut threads = self.threads.lock();
        threads.retain(|(_, thread)| !thread.is_finished());
        match thread::Builder::new().name(format!("retire:{alias}")).spawn(run) {
            Ok(thread) => threads.push((alias.to_owned(), thread)),
            // The remote went with the closure: it ends by itself, and only its library stays.
            Err(error) => {
                let text = format!(
                    "could not spawn a thread to unload `{alias}` ({error}); its library is kept until the shell ends; \
                     close something or raise the limit"
                );
                let failure = Arc::new(Failure::new(Stage::Retire, "no-thread", text));
                let _ = self.kept.send(Kept { remote: alias.to_owned(), generation, failure });
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
        self.retiring.endings.threads.lock().iter().filter(|(_, thread)| !thread.is_finished()).count()
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

    /// Counts what has stayed since the last time.
    pub(super) fn count_kept(&mut self) {
        let new: Vec<Kept> = self.retiring.receiver.try_iter().collect();
        for kept in new {
            self.keep(kept);
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
            group.iter().for_each(|remote| remote.begin_shutdown());
            for remote in group {
                remote.await_ended(deadline);
            }
        }
    }

    /// Waits for those that are on their way out.
    pub(super) fn join_retiring(&mut self) {
        let threads = std::mem::take(&mut *self.retiring.endings.threads.lock());
        for (_, thread) in threads {
            // It ends within the limit, and its own panic is no reason not to end here.
            let _ = thread.join();
        }
    }
}

/// Ends a remote; why its code stays, if it does. Waits.
pub(super) fn retire(name: &str, generation: u64, remote: Remote) -> Option<Failure> {
    let unloaded = match remote.retire(SHUTDOWN_LIMIT) {
        Ok(unloaded) => unloaded,
        Err(failure) => return Some(failure),
    };
    let (code, why) = match unloaded {
        Unloaded::Gone | Unloaded::Linked => {
            tracing::debug!(remote = name, generation, ?unloaded, "retired");
            return None;
        }
        Unloaded::Threads(threads) => {
            let list = threads.join(", ");
            ("library-threads", format!("it left threads running, and their code must not go: {list}"))
        }
        Unloaded::Kept => {
            ("library-mapped", "the system keeps it: something in the process still uses it".to_owned())
        }
    };
    let text = format!(
        "generation {generation} of `{name}` has ended, and its library stays until the shell ends ({why}); tell its \
         author to end everything in `Drop`"
    );
    Some(Failure::new(Stage::Retire, code, text))
}
