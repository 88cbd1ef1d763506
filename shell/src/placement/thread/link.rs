//! Handles whose drop ends a remote, or closes a surface of it.

use std::sync::{Arc, mpsc};

use super::{Call, OnThread, Shared};

impl Drop for OnThread {
    fn drop(&mut self) {
        // A retired remote has no thread.
        if let Some(thread) = self.thread.take()
            && let Some(ending) = self.ending.take()
        {
            let (calls, shared) = (self.calls.clone(), Arc::clone(&self.shared));
            ending(Box::new(Self { calls, shared, thread: Some(thread), ending: None }));
        }
    }
}

/// Connection of a surface to its remote; dropping it closes the surface.
pub(super) struct SurfaceLink {
    pub(super) calls: mpsc::Sender<Call>,
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
}

impl Drop for SurfaceLink {
    fn drop(&mut self) {
        self.shared.mailboxes.lock().remove(&self.id);
        // A remote that has ended has closed its surfaces.
        let _ = self.calls.send(Call::Close { surface: self.id });
    }
}
