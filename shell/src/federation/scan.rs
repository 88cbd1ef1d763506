//! A look into the drop folder, on a thread of its own: its files may be on a file system that does not answer.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    data::drop_folder::{DropFolder, Scanned},
    placement::Wake,
    spawn::spawn,
};

/// The time for which the start of the shell waits for the drop folder.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// A look that is being taken, and the later ones; dropping it ends them.
pub(super) struct Scan {
    requests: mpsc::Sender<()>,
    shared: Arc<(Mutex<Option<Scanned>>, Condvar)>,
}

impl Scan {
    /// Begins to look into `folder`.
    pub(super) fn start(folder: DropFolder, wake: &Wake) -> Self {
        let shared = Arc::new((Mutex::new(None::<Scanned>), Condvar::new()));
        let (requests, inbox) = mpsc::channel::<()>();
        let look = {
            let (shared, wake) = (Arc::clone(&shared), Arc::clone(wake));
            move |first: bool| {
                let mut found = folder.scan();
                if !first {
                    found.failures.clear();
                }
                let mut place = shared.0.lock();
                if let Some(unseen) = place.take() {
                    found.failures = unseen.failures;
                }
                *place = Some(found);
                drop(place);
                shared.1.notify_all();
                wake(Duration::ZERO);
            }
        };
        let look = Arc::new(look);
        let its = Arc::clone(&look);
        let run = move || {
            its(true);
            while inbox.recv().is_ok() {
                // Those that came meanwhile are answered by one look.
                inbox.try_iter().for_each(drop);
                its(false);
            }
        };
        let what = "look into the drop folder, so remotes that are put there later are not noticed";
        if let Err(error) = spawn("scan", what, run) {
            error.log();
            look(true);
        }
        Self { requests, shared }
    }

    /// Looks again.
    pub(super) fn again(&self) {
        // Without a thread the first look is all there is.
        let _ = self.requests.send(());
    }

    /// Waits for the first look, for at most [`LIMIT`]; `true` if it is over.
    pub(super) fn wait(&self) -> bool {
        let mut found = self.shared.0.lock();
        !self.shared.1.wait_while_for(&mut found, |found| found.is_none(), LIMIT).timed_out()
    }

    /// The result of the last look, once.
    pub(super) fn poll(&self) -> Option<Scanned> {
        self.shared.0.lock().take()
    }
}
