//! A thread that does what the window's thread must not wait for: locks, and writing to disks.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use crate::spawn::{SpawnError, spawn};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs jobs in order.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: mpsc::Sender<Job>,
    ended: mpsc::Receiver<()>,
}

impl Worker {
    /// Starts the thread, which is there to do `what`.
    ///
    /// # Errors
    /// Fails if the system refuses it.
    pub(crate) fn start(name: &str, what: &str) -> Result<Self, SpawnError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (alive, ended) = mpsc::channel();
        let log = tracing::dispatcher::get_default(Clone::clone);
        spawn(name, what, move || {
            // It goes when the thread ends, however that happens.
            let _alive: mpsc::Sender<()> = alive;
            // Where the log of the thread that started it goes.
            tracing::dispatcher::with_default(&log, || inbox.iter().for_each(|job| job()));
        })?;
        Ok(Self { jobs, ended })
    }

    /// Has the thread run `job` after all others.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // A thread that has ended by a panic was reported; its jobs are lost.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Waits until all jobs are done, for at most `limit`; `false` if the thread is still at work then, and left alone.
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
    fn jobs_run_in_order_and_are_finished_within_the_limit() {
        let worker = Worker::start("test", "test").expect("there are threads");
        let (sender, done) = mpsc::channel();
        for number in 0..10 {
            let sender = sender.clone();
            worker.run(move || sender.send(number).expect("the test listens"));
        }
        assert!(worker.finish(Duration::from_mins(1)));
        assert!(done.try_iter().eq(0..10));
    }

    #[test]
    fn job_that_hangs_is_left_alone() {
        let worker = Worker::start("test", "test").expect("there are threads");
        let (release, held) = mpsc::channel::<()>();
        worker.run(move || _ = held.recv());
        assert!(!worker.finish(Duration::from_millis(10)));
        drop(release);
    }
}
