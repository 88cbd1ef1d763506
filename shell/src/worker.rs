//! A thread for work that the window's thread must not wait for: locks, and writing to disks.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use crate::spawn::{SpawnError, spawn};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs jobs in order.
#[derive(Debug)]
pub(crate) struct JobThread {
    jobs: mpsc::Sender<Job>,
    ended: mpsc::Receiver<()>,
}

impl JobThread {
    /// Starts the thread for the task `what`.
    ///
    /// # Errors
    /// Fails if the system refuses the thread.
    pub(crate) fn start(name: &str, what: &str) -> Result<Self, SpawnError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (alive, ended) = mpsc::channel();
        let log = tracing::dispatcher::get_default(Clone::clone);
        spawn(name, what, move || {
            // Dropped when the thread ends, also by a panic.
            let _alive: mpsc::Sender<()> = alive;
            // Logs to the same subscriber as the thread that started it.
            tracing::dispatcher::with_default(&log, || inbox.iter().for_each(|job| job()));
        })?;
        Ok(Self { jobs, ended })
    }

    /// Queues `job` behind all others.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // If the thread has panicked, that was reported; its jobs are lost.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Waits until all jobs are done, for at most `limit`; abandons a thread that is still busy, and returns `false`.
    pub(crate) fn finish(self, limit: Duration) -> bool {
        let Self { jobs, ended } = self;
        drop(jobs);
        ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_in_order_until_finished() {
        let worker = JobThread::start("test", "test").expect("thread is spawned");
        let (sender, done) = mpsc::channel();
        for number in 0..10 {
            let sender = sender.clone();
            worker.run(move || sender.send(number).expect("the test listens"));
        }
        assert!(worker.finish(Duration::from_mins(1)));
        assert!(done.try_iter().eq(0..10));
    }

    #[test]
    fn hanging_job_is_abandoned() {
        let worker = JobThread::start("test", "test").expect("thread is spawned");
        let (release, held) = mpsc::channel::<()>();
        worker.run(move || _ = held.recv());
        assert!(!worker.finish(Duration::from_millis(10)));
        drop(release);
    }
}
