//! The thread that owns the database: it opens or imports it, then answers the newest request.
//!
//! The UI calls `QueryWorker::request` and reads `QueryWorker::view`; neither waits for the disk.
//! A request replaces the previous one: it interrupts a running query, whose result is never shown.
//! Dropping the `QueryWorker` stops an import or a query and joins the thread, because a library with a running
//! thread cannot be unloaded.

use std::{
    error::Error,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex};
use rusqlite::InterruptHandle;
use telemetry::tracing;

use crate::{
    database::{CheckDepth, Control, Database, DatabaseError, ImportProgress},
    dataset::BUNDLED,
    report::{QuickRange, RangeReport},
};

/// The callback for a new [`View`], on the worker's thread; must not block.
pub(crate) type OnUpdate = Arc<dyn Fn() + Send + Sync>;

/// A failure in the form that the dashboard shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerFailure {
    /// Stable code, for logs and for searching.
    pub(crate) code: &'static str,
    /// The message: cause, place, and what to do.
    pub(crate) message: String,
}

/// The worker's activity for the newest request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Opening the database.
    Opening,
    /// Importing the data, or waiting for another importer.
    Importing(ImportProgress),
    /// Idle, or running a query.
    Ready,
    /// The newest request failed.
    Failed(WorkerFailure),
}

/// A snapshot of the worker's state.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) phase: Phase,
    /// The newest report; it belongs to an older request until the newest is answered.
    pub(crate) report: Option<Arc<RangeReport>>,
    /// Path of the damaged database that this run replaced.
    pub(crate) set_aside: Option<PathBuf>,
}

/// A handle on the thread. `[UI thread]`
pub(crate) struct QueryWorker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: Arc<AtomicBool>,
    wake: OnUpdate,
}

struct State {
    view: View,
    /// The newest request that the thread has not accepted yet.
    request: Option<QuickRange>,
    /// The handle that interrupts the running query.
    running: Option<InterruptHandle>,
}

impl QueryWorker {
    /// Starts the thread and its first request.
    pub(crate) fn spawn(folder: PathBuf, range: QuickRange, wake: OnUpdate) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                view: View { phase: Phase::Opening, report: None, set_aside: None },
                request: Some(range),
                running: None,
            }),
            changed: Condvar::new(),
            stop: Arc::default(),
            wake,
        });
        let of_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("analytics-data".to_owned()).spawn(move || of_thread.run(&folder))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Requests the report of `range`, in place of any earlier request; retries after a failure.
    pub(crate) fn request(&self, range: QuickRange) {
        let mut state = self.shared.state.lock();
        state.request = Some(range);
        if matches!(state.view.phase, Phase::Failed(_)) {
            state.view.phase = Phase::Opening;
        }
        if let Some(running) = &state.running {
            running.interrupt();
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Returns a snapshot of the state.
    pub(crate) fn view(&self) -> View {
        self.shared.state.lock().view.clone()
    }
}

impl Drop for QueryWorker {
    fn drop(&mut self) {
        {
            // Under the lock, so that the thread cannot miss the flag between its check and its wait.
            let state = self.shared.state.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
            if let Some(running) = &state.running {
                running.interrupt();
            }
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already shown as a failure.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, folder: &std::path::Path) {
        let mut database = None;
        while let Some(range) = self.next_request() {
            let result = catch_unwind(AssertUnwindSafe(|| self.answer(folder, &mut database, range)));
            let failure = match result {
                Ok(Ok(())) => continue,
                // Replaced by a newer request, or stopped: not a failure to show.
                Ok(Err(DatabaseError::Cancelled)) => {
                    let mut state = self.state.lock();
                    // An interrupt of the previous query may hit this one, so its request is repeated.
                    state.request.get_or_insert(range);
                    continue;
                }
                Ok(Err(error)) => {
                    if !matches!(error, DatabaseError::Sqlite { .. }) {
                        database = None;
                    }
                    tracing::error!(
                        code = error.code(),
                        error = &error as &dyn Error,
                        ?range,
                        "the flights cannot be shown"
                    );
                    WorkerFailure { code: error.code(), message: error.to_string() }
                }
                Err(_) => {
                    database = None;
                    let message = "reading the flights panicked; retry, and report this to the plugin's author";
                    WorkerFailure { code: "worker-panicked", message: message.to_owned() }
                }
            };
            self.show(|view| view.phase = Phase::Failed(failure));
        }
    }

    /// Waits for a request; returns `None` to end the thread.
    fn next_request(&self) -> Option<QuickRange> {
        let mut state = self.state.lock();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(range) = state.request.take() {
                return Some(range);
            }
            self.changed.wait(&mut state);
        }
    }

    fn answer(
        &self,
        folder: &std::path::Path,
        open: &mut Option<Database>,
        range: QuickRange,
    ) -> Result<(), DatabaseError> {
        let database = match open {
            Some(database) => database,
            None => open.insert(self.open(folder, CheckDepth::Quick)?),
        };
        let report = match self.query(database, range) {
            // The quick check passed and a query found damage: rebuild the file, once.
            Err(DatabaseError::Damaged { .. }) => {
                *open = None;
                let rebuilt = open.insert(self.open(folder, CheckDepth::Thorough)?);
                self.query(rebuilt, range)?
            }
            other => other?,
        };
        let set_aside = open.as_ref().and_then(|database| database.set_aside().map(ToOwned::to_owned));
        self.show(|view| {
            view.phase = Phase::Ready;
            view.report = Some(Arc::new(report));
            view.set_aside = set_aside;
        });
        Ok(())
    }

    fn open(&self, folder: &std::path::Path, check: CheckDepth) -> Result<Database, DatabaseError> {
        let control = Control {
            stop: Arc::clone(&self.stop),
            progress: &|progress| self.show(|view| view.phase = Phase::Importing(progress)),
        };
        Database::open(folder, BUNDLED, check, &control)
    }

    /// Runs the query so that a newer request can interrupt it.
    fn query(&self, database: &Database, range: QuickRange) -> Result<RangeReport, DatabaseError> {
        {
            let mut state = self.state.lock();
            if state.request.is_some() || self.stop.load(Ordering::Relaxed) {
                return Err(DatabaseError::Cancelled);
            }
            state.running = Some(database.interrupt_handle());
        }
        let result = database.report(range);
        let mut state = self.state.lock();
        state.running = None;
        if state.request.is_some() { Err(DatabaseError::Cancelled) } else { result }
    }

    /// Changes the view, and wakes the UI outside of the lock.
    fn show(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.state.lock().view);
        (self.wake)();
    }
}

#[cfg(test)]
mod tests;
