//! Markers of runs of the shell, which show the next run if the last one was not shut down properly.
//!
//! Each run keeps a file of its own in `DATA/sessions` locked, and removes it at its end.
//! The system releases the lock at every end of a process. So a file that can be locked belongs to a run that was not
//! shut down properly.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
    sync::{Arc, mpsc},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::shared_file::remedy;
use crate::{catalogue::Code, file, lock::Lock, worker::JobThread};

/// Maximum size of a file that is read, in bytes.
const LIMIT: u64 = 1 << 16;

/// Format of the files, which do not state it.
const FORMAT: u64 = 1;

/// Maximum number of remotes in a file.
const NAMES: usize = 100;

/// Time for which another process may hold the lock of the folder.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time for which the shell waits for the folder, at its start and at its end.
const LIMIT_OF_WAITING: Duration = Duration::from_secs(2);

/// A run that was not shut down properly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unclean {
    /// Time of its start, in seconds since 1970; 0 if unknown.
    pub started: u64,
    /// Remotes that ran according to its last record; empty if unknown.
    pub running: Vec<String>,
}

/// The marker of this run. Dropped without [`RunMarker::end`], the run counts as one that was not shut down properly.
#[derive(Debug)]
pub struct RunMarker {
    /// Thread that writes; `None` once the run has ended, or if the system refuses a thread.
    worker: Option<JobThread>,
    /// `None` while the folder cannot be accessed.
    held: Arc<Mutex<Option<Held>>>,
    about: Unclean,
}

/// The locked file of this run, and its path.
type Held = (File, PathBuf);

impl RunMarker {
    /// Begins a run, and returns the last one if it was not shut down properly. Each such run is returned once.
    ///
    /// Waits two seconds at most, and logs a folder that cannot be accessed.
    pub fn begin(data_dir: &Path) -> (Self, Option<Unclean>) {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let about = Unclean { started, running: Vec::new() };
        let (folder, held) = (data_dir.join("sessions"), Arc::default());
        let worker = match JobThread::start("run marker", "mark this run") {
            Ok(worker) => worker,
            Err(error) => {
                report(&error.into(), &folder);
                return (Self { worker: None, held, about }, None);
            }
        };
        let (sender, begun) = mpsc::channel();
        worker.run({
            let (folder, held, about) = (folder.clone(), Arc::clone(&held), about.clone());
            move || {
                let unclean = begin(&folder, &about).map(|(new, unclean)| {
                    *held.lock() = Some(new);
                    unclean
                });
                // The start may have stopped waiting.
                let _ = sender.send(unclean);
            }
        });
        let unclean = begun.recv_timeout(LIMIT_OF_WAITING).unwrap_or_else(|_| {
            let text = format!("it has not answered for {} s", LIMIT_OF_WAITING.as_secs());
            Err(io::Error::other(text))
        });
        let unclean = unclean.unwrap_or_else(|error| {
            report(&error, &folder);
            None
        });
        (Self { worker: Some(worker), held, about }, unclean)
    }

    /// Records the running remotes.
    pub fn running(&mut self, names: &[&str]) {
        let names: Vec<String> = names.iter().take(NAMES).map(|name| (*name).to_owned()).collect();
        if self.about.running == names {
            return;
        }
        self.about.running = names;
        let Some(worker) = &self.worker else { return };
        let (held, about) = (Arc::clone(&self.held), self.about.clone());
        worker.run(move || {
            if let Some((file, _)) = &mut *held.lock() {
                // A failure is ignored: the lock marks the run, and only the names are missing.
                let _ = write(file, &about);
            }
        });
    }

    /// Ends the run properly; waits two seconds at most.
    pub fn end(mut self) {
        let Some(worker) = self.worker.take() else { return };
        let held = Arc::clone(&self.held);
        worker.run(move || {
            let Some((file, path)) = held.lock().take() else { return };
            // If an open file cannot be removed, it is closed first; the next run may see it for a moment.
            if fs::remove_file(&path).is_err() {
                drop(file);
                let _ = fs::remove_file(&path);
            }
        });
        worker.finish(LIMIT_OF_WAITING);
    }
}

impl Drop for RunMarker {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.finish(LIMIT_OF_WAITING);
        }
    }
}

fn report(error: &io::Error, folder: &Path) {
    tracing::warn!(
        code = Code::SessionUnwritable.as_str(),
        "the next run cannot notice a crash of this one ({error}); {}: {}",
        remedy(error),
        folder.display()
    );
}

fn begin(folder: &Path, about: &Unclean) -> io::Result<(Held, Option<Unclean>)> {
    fs::create_dir_all(folder)?;
    // No other process may look at the new file before it is locked.
    let _all = Lock::acquire(&folder.join("lock"), PATIENCE)?;
    let mut last: Option<Unclean> = None;
    for entry in folder.read_dir()?.flatten() {
        let path = entry.path();
        if is_run(&path) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let Some(unclean) = abandoned(&path) else { continue };
            if last.as_ref().is_none_or(|last| last.started <= unclean.started) {
                last = Some(unclean);
            }
        }
    }
    let mut file = open_new(folder)?;
    file.0.try_lock().map_err(|error| match error {
        TryLockError::Error(error) => error,
        TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
    })?;
    write(&mut file.0, about)?;
    Ok((file, last))
}

/// Returns `true` for names of [`open_new`].
fn is_run(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_suffix(".json"))
        .is_some_and(|stem| stem.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !stem.is_empty())
}

/// Makes a new file with the id of this process as its name, which a run in another container may have as well.
fn open_new(folder: &Path) -> io::Result<Held> {
    let pid = process::id();
    for number in 0..100 {
        let again = if number == 0 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("{pid}{again}.json"));
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((file?, path)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Reads and removes the file of a run that has ended. Returns `None` for an active run, and for a file of a later
/// version, which is not removed.
fn abandoned(path: &Path) -> Option<Unclean> {
    let mut file = file::open(path).ok()?;
    file.try_lock().ok()?;
    let mut bytes = Vec::new();
    let read = Read::by_ref(&mut file).take(LIMIT).read_to_end(&mut bytes).map_err(|error| error.to_string());
    let read = read
        .and_then(|_| serde_json::from_slice::<serde_json::Value>(&bytes).map_err(|error| error.to_string()));
    let format = read.as_ref().ok().and_then(|json| json.get("format")?.as_u64());
    if format.is_some_and(|format| format > FORMAT) {
        return None;
    }
    let read = read.and_then(|json| serde_json::from_value(json).map_err(|error| error.to_string()));
    let unclean = read.unwrap_or_else(|error: String| {
        tracing::warn!(
            code = Code::SessionDamaged.as_str(),
            "a run was not shut down properly, and the list of its remotes is lost ({error}); no action is needed: {}",
            path.display()
        );
        Unclean::default()
    });
    drop(file);
    // A file that stays is reported again, which is better than never.
    let _ = fs::remove_file(path);
    Some(unclean)
}

/// Writes in place, because the lock belongs to the file and not to its name.
fn write(file: &mut File, about: &Unclean) -> io::Result<()> {
    let text = serde_json::to_vec(about)?;
    file.rewind()?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests;
