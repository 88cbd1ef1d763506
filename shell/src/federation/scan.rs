//! Scan of the drop folder, on a separate thread: the folder may be on a file system that does not answer.

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

/// Time for which the start of the shell waits for the drop folder.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// A running scan, and those after it; dropping it ends them.
pub(super) struct Scan {
    requests: mpsc::Sender<()>,
    shared: Arc<(Mutex<Option<Scanned>>, Condvar)>,
}

impl Scan {
    /// Starts to scan `folder`.
    pub(super) fn start(folder: DropFolder, wake: &Wake) -> Self {
        let shared = Arc::new((Mutex::new(None::<Scanned>), Condvar::new()));
        let (requests, inbox) = mpsc::channel::<()>();
        let scan = {
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
        let scan = Arc::new(scan);
        let scan_again = Arc::clone(&scan);
        let run = move || {
            scan_again(true);
            while inbox.recv().is_ok() {
                // A single scan answers all requests so far.
                inbox.try_iter().for_each(drop);
                scan_again(false);
            }
        };
        let what = "scan the drop folder, so remotes that are added to it later are not noticed";
        if let Err(error) = spawn("scan", what, run) {
            error.log();
            scan(true);
        }
        Self { requests, shared }
    }

    /// Requests another scan.
    pub(super) fn again(&self) {
        // Without a thread there is only the first scan.
        let _ = self.requests.send(());
    }

    /// Waits for the first scan, for at most [`LIMIT`]; returns `true` if it is complete.
    pub(super) fn wait(&self) -> bool {
        let mut found = self.shared.0.lock();
        !self.shared.1.wait_while_for(&mut found, |found| found.is_none(), LIMIT).timed_out()
    }

    /// Takes the result of the last scan.
    pub(super) fn poll(&self) -> Option<Scanned> {
        self.shared.0.lock().take()
    }
}
