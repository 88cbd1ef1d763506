//! Calls to a remote's thread.

use std::sync::mpsc;

use super::Call;
use crate::compositor::wait_awake;

/// Calls in the order in which they were made.
pub(super) struct Inbox(mpsc::Receiver<Call>);

impl Inbox {
    pub(super) fn new() -> (mpsc::Sender<Call>, Self) {
        let (calls, inbox) = mpsc::channel();
        (calls, Self(inbox))
    }

    /// Waits for the next call; returns `None` once no sender is left.
    pub(super) fn next(&self) -> Option<Call> {
        loop {
            match self.0.recv().ok()? {
                Call::Ready => {
                    if let Some(call) = self.next_soon() {
                        return Some(call);
                    }
                }
                call => return Some(call),
            }
        }
    }

    /// Returns the next call if it comes while the thread stays awake.
    fn next_soon(&self) -> Option<Call> {
        let mut next = None;
        wait_awake(|| {
            next = self.0.try_recv().ok().filter(|call| !matches!(call, Call::Ready));
            next.is_some()
        });
        next
    }
}
