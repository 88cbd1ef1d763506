//! Waiting until everything is quiet.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{Inner, Store};
use crate::StoreError;

/// A task in progress; dropping it ends the task.
#[must_use = "dropping this ends the task"]
#[derive(Debug)]
pub struct TaskGuard(Weak<Inner>);

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            let mut graph = inner.graph.lock();
            graph.tasks = graph.tasks.saturating_sub(1);
            drop(graph);
            inner.quiet.notify_all();
        }
    }
}

impl Store {
    /// Counts a task until the result is dropped; [`all_tasks`](Self::all_tasks) waits for it.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use shared_store::{Atom, Store};
    /// # static RANGE: Atom<u32> = Atom::new("range", || 30);
    /// let store = Store::new();
    /// let (task, setter) = (store.start_task(), store.clone());
    /// let thread = std::thread::Builder::new().spawn(move || {
    ///     let _ = setter.set(&RANGE, &7);
    ///     drop(task);
    /// })?;
    /// store.all_tasks(Duration::from_secs(60))?;
    /// assert_eq!(*store.get(&RANGE)?, 7);
    /// # thread.join().ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_task(&self) -> TaskGuard {
        self.with(|graph| graph.tasks += 1);
        TaskGuard(Arc::downgrade(&self.0))
    }

    /// Waits until this view is quiet: no task runs, no listener or effect of a change is left to run, and no
    /// persistent value waits for its file.
    ///
    /// Changes by other participants count once [`deliver`](Self::deliver) has seen them. Delays before an unmount do
    /// not count, and neither does a batch before its end. Do not call it in a task or in a listener, which it would
    /// wait for.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after `timeout`, and [`StoreError::Closed`].
    pub fn all_tasks(&self, timeout: Duration) -> Result<(), StoreError> {
        let until = Instant::now() + timeout;
        let mut graph = self.0.graph.lock();
        loop {
            if graph.closed {
                return Err(StoreError::Closed);
            }
            if graph.tasks == 0 && graph.saving == 0 && !graph.flushing {
                return Ok(());
            }
            if self.0.quiet.wait_until(&mut graph, until).timed_out() {
                let flushing = if graph.flushing { "running" } else { "idle" };
                return Err(StoreError::Busy(format!(
                    "{} tasks, {} values to save, listeners are {flushing}",
                    graph.tasks, graph.saving
                )));
            }
        }
    }
}
