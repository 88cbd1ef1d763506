//! The thread of a store, for what waits or may be slow: delays of mounts, and files.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::Store;

type Job = Box<dyn FnOnce() + Send>;

/// The thread, which starts with the first job.
#[derive(Default)]
pub(super) struct Worker {
    started: Option<(Arc<Desk>, JoinHandle<()>)>,
    stopped: bool,
}

#[derive(Default)]
struct Desk {
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    now: VecDeque<Job>,
    later: Vec<(Instant, Job)>,
    stop: bool,
}

impl Worker {
    /// Queues `job`; returns it if there is no thread for it.
    fn queue(&mut self, delay: Duration, job: Job) -> Result<(), Job> {
        if self.stopped {
            return Err(job);
        }
        if self.started.is_none() {
            let desk = Arc::new(Desk::default());
            let own = Arc::clone(&desk);
            let Ok(thread) = thread::Builder::new().name("store".into()).spawn(move || work(&own)) else {
                return Err(job);
            };
            self.started = Some((desk, thread));
        }
        if let Some((desk, _)) = &self.started {
            let mut jobs = desk.jobs.lock();
            if delay.is_zero() {
                jobs.now.push_back(job);
            } else {
                jobs.later.push((Instant::now() + delay, job));
            }
            drop(jobs);
            desk.wake.notify_one();
        }
        Ok(())
    }

    /// Ends the thread after the jobs that are due; drops the others.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        if let Some((desk, thread)) = self.started.take() {
            desk.jobs.lock().stop = true;
            desk.wake.notify_one();
            // The last job may own the store; a thread cannot wait for itself, and this one ends on its own.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn work(desk: &Desk) {
    let mut jobs = desk.jobs.lock();
    loop {
        if let Some(job) = jobs.now.pop_front() {
            drop(jobs);
            job();
            jobs = desk.jobs.lock();
            continue;
        }
        if jobs.stop {
            let later = std::mem::take(&mut jobs.later);
            drop(jobs);
            drop(later);
            return;
        }
        let now = Instant::now();
        if let Some(at) = jobs.later.iter().position(|(due, _)| *due <= now) {
            let (_, job) = jobs.later.remove(at);
            jobs.now.push_back(job);
        } else if let Some(due) = jobs.later.iter().map(|(due, _)| *due).min() {
            desk.wake.wait_until(&mut jobs, due);
        } else {
            desk.wake.wait(&mut jobs);
        }
    }
}

impl Store {
    /// Runs `job` on the store's thread after `delay`; at once and on this thread if there is none.
    pub(super) fn after(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        let result = self.0.worker.lock().queue(delay, Box::new(job));
        if let Err(job) = result {
            job();
        }
    }
}
