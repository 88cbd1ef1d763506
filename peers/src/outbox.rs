//! Messages and values that wait to be written to one process.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use parking_lot::{Condvar, Mutex};

/// The largest number of waiting messages.
const MAX_MESSAGES: usize = 1_024;

/// The largest sum of waiting messages, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// A queue that never makes its sender wait: the oldest message goes when it is full.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// Messages that went because the queue was full, since the last that was taken.
    lost: u64,
    /// Names of mirrored values to send, each once: the newest value counts.
    values: VecDeque<String>,
    /// Nothing more is accepted.
    finished: bool,
    /// Everything is written, or nothing more can be.
    ended: bool,
}

/// The next thing to write.
pub(crate) enum Next {
    /// A message, and the number of those lost before it.
    Message(Arc<[u8]>, u64),
    /// The present value of this name.
    Value(String),
    /// Nothing more.
    End,
}

impl Outbox {
    /// Adds an encoded message.
    pub(crate) fn post(&self, packet: &Arc<[u8]>) {
        let mut queue = self.queue.lock();
        if queue.finished {
            return;
        }
        queue.bytes += packet.len();
        queue.messages.push_back(Arc::clone(packet));
        while queue.messages.len() > MAX_MESSAGES || queue.bytes > MAX_BYTES {
            let Some(oldest) = queue.messages.pop_front() else { break };
            queue.bytes -= oldest.len();
            queue.lost += 1;
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// Requests that the present value of `name` is sent.
    pub(crate) fn refresh(&self, name: &str) {
        let mut queue = self.queue.lock();
        if queue.finished || queue.values.iter().any(|known| known == name) {
            return;
        }
        queue.values.push_back(name.to_owned());
        drop(queue);
        self.changed.notify_all();
    }

    /// Takes the next thing to write; waits for it.
    pub(crate) fn next(&self) -> Next {
        let mut queue = self.queue.lock();
        loop {
            if queue.ended {
                return Next::End;
            }
            if let Some(name) = queue.values.pop_front() {
                return Next::Value(name);
            }
            if let Some(packet) = queue.messages.pop_front() {
                queue.bytes -= packet.len();
                return Next::Message(packet, std::mem::take(&mut queue.lost));
            }
            if queue.finished {
                return Next::End;
            }
            self.changed.wait(&mut queue);
        }
    }

    /// Accepts nothing more; what waits is still written.
    pub(crate) fn finish(&self) {
        self.queue.lock().finished = true;
        self.changed.notify_all();
    }

    /// Notes that nothing more is written.
    pub(crate) fn end(&self) {
        let mut queue = self.queue.lock();
        (queue.finished, queue.ended) = (true, true);
        (queue.messages, queue.values, queue.bytes) = Default::default();
        drop(queue);
        self.changed.notify_all();
    }

    /// Waits until nothing more is written.
    pub(crate) fn wait(&self, until: Instant) {
        let mut queue = self.queue.lock();
        while !queue.ended && !self.changed.wait_until(&mut queue, until).timed_out() {}
    }
}
