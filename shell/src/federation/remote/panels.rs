//! Panels that are opened from what was kept of them, and kept when the remote ends.

use std::{sync::Arc, time::Duration};

use super::{Kept, Note, Remote, Source, Thread};

impl Remote {
    /// [`open`](Self::open), from what was kept of it.
    pub(in crate::federation) fn open_with(&self, id: u64, expose: &str, kept: Option<Kept>) -> Source {
        let (source, open) = self.opening_with(id, expose, kept);
        open(None, None);
        source
    }

    /// Writes down the state of a surface as it is after all that was sent to it, on the remote's thread.
    pub(in crate::federation) fn keep(&self, surface: u64, kept: Kept) {
        let name = self.shared.name.clone();
        self.save(surface, move |saved| {
            let written = match saved {
                Ok(Some(state)) => kept.write(&state),
                Ok(None) => Ok(()),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = written {
                tracing::warn!(remote = name, stage = %failure.stage, code = failure.code, "{}", failure.message);
            }
        });
    }
}

impl Thread {
    /// Takes what was kept of a panel, and reports what is of no use.
    pub(super) fn take_kept(&self, kept: Kept) -> Option<(Kept, Vec<u8>)> {
        match kept.take() {
            Ok(state) => state.map(|state| (kept, state)),
            Err(failure) => {
                tracing::warn!(remote = self.shared.name, code = failure.code, "{}", failure.message);
                self.shared.notes.lock().push(Note { failure: Arc::new(failure), fatal: false, surface: None });
                (self.shared.wake)(Duration::ZERO);
                None
            }
        }
    }
}
