//! A look into the drop folder, on a thread of its own: its files may be on a file system that does not answer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    config::{is_json, read_manifest},
    failure::{Failure, Stage},
    install::is_plugin,
    placement::Wake,
};

/// The time for which the start of the shell waits for the drop folder.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// A look that is being taken, and the later ones; dropping it ends them.
pub(super) struct Scan {
    requests: mpsc::Sender<()>,
    shared: Arc<(Mutex<Option<Scanned>>, Condvar)>,
}

/// The content of the drop folder.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// The remotes by name; of several with one name the highest version, a manifest before a library.
    pub(super) installed: BTreeMap<String, PathBuf>,
    /// Files of the first scan that cannot be used. The watch reports later ones.
    pub(super) failures: Vec<(PathBuf, Failure)>,
}

impl Scan {
    /// Begins to look into `folder`.
    pub(super) fn start(folder: PathBuf, wake: &Wake) -> Self {
        let shared = Arc::new((Mutex::new(None::<Scanned>), Condvar::new()));
        let (requests, inbox) = mpsc::channel::<()>();
        let look = {
            let (shared, wake) = (Arc::clone(&shared), Arc::clone(wake));
            move |first: bool| {
                let mut found = scan(&folder);
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
        if let Err(error) = thread::Builder::new().name("scan".to_owned()).spawn(run) {
            tracing::error!(
                code = "no-thread",
                "cannot spawn a thread for the drop folder ({error}), so remotes that are put there later are not \
                 noticed; end other programs and start the shell again"
            );
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

fn scan(folder: &Path) -> Scanned {
    let (mut found, mut failures) = (BTreeMap::new(), Vec::new());
    let mut paths: Vec<_> = folder.read_dir().into_iter().flatten().flatten().map(|file| file.path()).collect();
    paths.sort();
    for path in paths {
        if !is_plugin(&path) {
            if is_hidden(&path) || !path.is_dir() {
                continue;
            }
            let text = format!(
                "a folder in the drop folder is not looked into; put the library or the manifest itself there, or \
                 install it: {}",
                path.display()
            );
            failures.push((path, Failure::new(Stage::Discover, "library-not-a-library", text)));
            continue;
        }
        let written = match read_manifest(&path) {
            Ok(written) => written,
            Err(failure) => {
                failures.push((path, failure));
                continue;
            }
        };
        let rank = (written.manifest.version, is_json(&path));
        let known = found.entry(written.manifest.name).or_insert_with(|| (rank.clone(), path.clone()));
        if known.0 < rank {
            *known = (rank, path);
        }
    }
    Scanned { installed: found.into_iter().map(|(name, (_, path))| (name, path)).collect(), failures }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
