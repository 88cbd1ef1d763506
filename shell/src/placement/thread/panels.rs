//! Opening of panels, with saved state or without, and saving.

use std::{sync::Arc, time::Duration};

use plugin_api::abi::FrameInput;

use super::{
    Begin, Call, Mailbox, Note, OnThread, SavedPanel, SavedState, Stage, SurfaceHandle, SurfaceLink, Thread,
    copied,
};

impl OnThread {
    /// Implements [`Placement::opening`](super::Placement::opening).
    pub(super) fn open_later(
        &self,
        id: u64,
        expose: &str,
        saved: Option<SavedPanel>,
    ) -> (SurfaceHandle, Begin) {
        let mailbox = Mailbox::new(Arc::clone(&self.shared.wake));
        self.shared.mailboxes.lock().insert(id, Arc::downgrade(&mailbox));
        let (calls, expose, target) = (self.calls.clone(), expose.to_owned(), Arc::downgrade(&mailbox));
        let open = move |state, input: Option<FrameInput>| {
            // The surface is no longer wanted.
            let Some(mailbox) = target.upgrade() else { return };
            // The state holds the reason of a remote that has ended.
            let _ = calls.send(Call::Open { expose, surface: id, state, saved, mailbox });
            if let Some(input) = input {
                let _ = calls.send(Call::Frame { surface: id, input });
            }
        };
        let link = SurfaceLink { calls: self.calls.clone(), shared: Arc::clone(&self.shared), id };
        let request = move |input: Option<FrameInput>| {
            let call = input.map_or(Call::Ready, |input| Call::Frame { surface: link.id, input });
            link.calls.send(call).is_ok()
        };
        (SurfaceHandle { id, mailbox, request: Box::new(request) }, Box::new(open))
    }
}

impl Thread {
    /// Takes the saved state of a panel, and reports an unusable one.
    pub(super) fn take_saved(&self, saved: SavedPanel) -> Option<(SavedPanel, Vec<u8>)> {
        match saved.take() {
            Ok(state) => state.map(|state| (saved, state)),
            Err(failure) => {
                tracing::warn!(remote = self.shared.name, code = failure.code.as_str(), "{}", failure.line());
                self.shared.notes.lock().push(Note { failure: Arc::new(failure), fatal: false, surface: None });
                (self.shared.wake)(Duration::ZERO);
                None
            }
        }
    }

    pub(super) fn save(&mut self, surface: u64, then: Box<dyn FnOnce(SavedState) + Send>) {
        // A panel that has failed or never opened has nothing to save.
        let Some(open) = self.surfaces.get_mut(&surface) else { return then(Ok(None)) };
        let saved = self.shared.during(Stage::Save, || open.surface.save().into_result());
        // Copied, because the bytes are the remote's memory.
        then(saved.map(|bytes| Some(bytes.to_vec())).map_err(|error| copied(Stage::Save, error)));
    }
}
