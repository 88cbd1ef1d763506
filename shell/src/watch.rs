//! Which files of remotes have changed, once they are complete.

use std::{collections::BTreeSet, path::PathBuf, sync::Mutex, time::Instant};

use crate::failure::Failure;

/// What happened to a file that is followed.
#[derive(Clone, Debug)]
pub enum Change {
    /// It has new content, which is complete.
    Complete {
        /// The file.
        path: PathBuf,
        /// When it was found to be complete.
        seen: Instant,
    },
    /// It is no longer there.
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// It has new content, which is not complete and has not changed for some time.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        failure: Failure,
    },
}

/// Follows files. Dropping it ends that.
pub struct Watch {
    changes: Mutex<Vec<Change>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Watch {
    /// Follows nothing yet; `wake` is called when [`changes`](Self::changes) has something new.
    pub fn start(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { changes: Mutex::default(), wake: Box::new(wake) }
    }

    /// From now on these files, and every library or manifest directly in these folders.
    pub fn follow(&self, files: BTreeSet<PathBuf>, folders: BTreeSet<PathBuf>) {
        let _ = (files, folders);
        (self.wake)();
    }

    /// What has changed since the last call; never waits.
    pub fn changes(&self) -> Vec<Change> {
        self.changes.lock().map(|mut changes| std::mem::take(&mut *changes)).unwrap_or_default()
    }
}
