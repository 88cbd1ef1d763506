//! Panels that are opened, from what was kept of them too, and saved.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use plugin_api::abi::FrameInput;

use super::{Begin, Call, Kept, Link, Mailbox, Note, Remote, Saved, Source, Stage, Thread, copied};

impl Remote {
    /// Opens `expose` as surface `id`. Its first reply arrives like a frame, when it fails.
    pub fn open(&self, id: u64, expose: &str) -> Source {
        self.open_with(id, expose, None)
    }

    /// A surface `id` of `expose` that is opened when the second value is called, with the state that it starts
    /// from and what its first frame is asked for with. That may happen on any thread.
    pub fn opening(&self, id: u64, expose: &str) -> (Source, Begin) {
        self.opening_with(id, expose, None)
    }

    fn opening_with(&self, id: u64, expose: &str, kept: Option<Kept>) -> (Source, Begin) {
        let mailbox = Mailbox::new(Arc::clone(&self.shared.wake));
        self.shared.mailboxes.lock().insert(id, Arc::downgrade(&mailbox));
        let (calls, expose, target) = (self.calls.clone(), expose.to_owned(), Arc::downgrade(&mailbox));
        let open = move |state, input: Option<FrameInput>| {
            // It is no longer wanted.
            let Some(mailbox) = target.upgrade() else { return };
            // A remote that has ended has left its reason in its state.
            let _ = calls.send(Call::Open { expose, surface: id, state, kept, mailbox });
            if let Some(input) = input {
                let _ = calls.send(Call::Frame { surface: id, input });
            }
        };
        let link = Link { calls: self.calls.clone(), shared: Arc::clone(&self.shared), id };
        let request = move |input: Option<FrameInput>| {
            let call = input.map_or(Call::Ready, |input| Call::Frame { surface: link.id, input });
            link.calls.send(call).is_ok()
        };
        (Source { id, mailbox, request: Box::new(request) }, Box::new(open))
    }

    /// Calls `then`, on the remote's thread, with the state of a surface as it is after all that was sent to it.
    pub fn save(&self, surface: u64, then: impl FnOnce(Saved) + Send + 'static) {
        let sent = self.calls.send(Call::Save { surface, then: Box::new(then) });
        if let Err(mpsc::SendError(Call::Save { then, .. })) = sent {
            then(Ok(None));
        }
    }

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

    pub(super) fn save(&mut self, surface: u64, then: Box<dyn FnOnce(Saved) + Send>) {
        // One that has failed or never opened has nothing to save.
        let Some(open) = self.surfaces.get_mut(&surface) else { return then(Ok(None)) };
        let saved = self.shared.during(Stage::Save, || open.surface.save().into_result());
        // Copied: the bytes are the remote's.
        then(saved.map(|bytes| Some(bytes.to_vec())).map_err(|error| copied(Stage::Save, error)));
    }
}
