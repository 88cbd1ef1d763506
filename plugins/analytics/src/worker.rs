//! The thread that owns the database: it opens or imports it, then answers the newest request.
//!
//! The UI asks with `Worker::request` and looks with `Worker::view`; neither waits for the
//! disk.
//! A request replaces the one before it: a query that is running for an older one is
//! interrupted, and its result is never shown.
//! Dropping the `Worker` stops an import or a query and joins the thread, because a library
//! with a running thread cannot be unloaded.

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
    database::{Check, Control, Database, DatabaseError, Progress},
    dataset::BUNDLED,
    report::{Range, Report},
};

/// Called on the worker's thread when there is something new to look at; must not block.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// What went wrong, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Stable, for logs and for searching.
    pub(crate) code: &'static str,
    /// What happened, where, and what to do.
    pub(crate) message: String,
}

/// What the worker is doing for the newest request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Opening the database.
    Opening,
    /// Importing the data, or waiting for who does.
    Importing(Progress),
    /// Nothing is to be done, or a query is running.
    Ready,
    /// The newest request failed.
    Failed(Failure),
}

/// The state at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) phase: Phase,
    /// The newest report; of an older request until the newest is answered.
    pub(crate) report: Option<Arc<Report>>,
    /// Where a damaged database was put, when this run replaced one.
    pub(crate) set_aside: Option<PathBuf>,
}

/// A handle on the thread. `[UI thread]`
pub(crate) struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: Arc<AtomicBool>,
    wake: Wake,
}

struct State {
    view: View,
    /// The newest request that nobody has taken.
    request: Option<Range>,
    /// Interrupts the query that is running.
    running: Option<InterruptHandle>,
}

impl Worker {
    /// Starts the thread and its first request.
    pub(crate) fn spawn(folder: PathBuf, range: Range, wake: Wake) -> io::Result<Self> {
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
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("analytics-data".to_owned()).spawn(move || theirs.run(&folder))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for the report of `range`, in place of whatever was asked before; also retries
    /// after a failure.
    pub(crate) fn request(&self, range: Range) {
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

    /// What there is to show now.
    pub(crate) fn view(&self) -> View {
        self.shared.state.lock().view.clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        {
            // Under the lock, so that the thread cannot miss it between looking and sleeping.
            let state = self.shared.state.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
            if let Some(running) = &state.running {
                running.interrupt();
            }
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already shown as a failure; here only its end matters.
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
                // Replaced by a newer request, or stopped: whoever did it knows.
                Ok(Err(DatabaseError::Cancelled)) => {
                    let mut state = self.state.lock();
                    // An interrupt meant for the query before may hit this one: ask again.
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
                    Failure { code: error.code(), message: error.to_string() }
                }
                Err(_) => {
                    database = None;
                    let message =
                        "the code that reads the flights has a fault; retry, and report it if it returns";
                    Failure { code: "worker-panicked", message: message.to_owned() }
                }
            };
            self.show(|view| view.phase = Phase::Failed(failure));
        }
    }

    /// Waits for a request; `None` when it is time to end.
    fn next_request(&self) -> Option<Range> {
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
        range: Range,
    ) -> Result<(), DatabaseError> {
        let database = match open {
            Some(database) => database,
            None => open.insert(self.open(folder, Check::Quick)?),
        };
        let report = match self.query(database, range) {
            // The start of the file is sound and the rest is not: rebuild it, once.
            Err(DatabaseError::Damaged { .. }) => {
                *open = None;
                let rebuilt = open.insert(self.open(folder, Check::Thorough)?);
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

    fn open(&self, folder: &std::path::Path, check: Check) -> Result<Database, DatabaseError> {
        let control = Control {
            stop: Arc::clone(&self.stop),
            progress: &|progress| self.show(|view| view.phase = Phase::Importing(progress)),
        };
        Database::open(folder, BUNDLED, check, &control)
    }

    /// Runs the query so that a newer request can interrupt it.
    fn query(&self, database: &Database, range: Range) -> Result<Report, DatabaseError> {
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

    /// Changes what is shown and wakes the UI, without the lock.
    fn show(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.state.lock().view);
        (self.wake)();
    }
}

#[cfg(test)]
mod tests;
