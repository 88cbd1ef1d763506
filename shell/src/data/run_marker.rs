//! Markers of runs of the shell, by which the next one knows whether the last was shut down properly.
//!
//! Each run holds a lock on a file of its own in `DATA/sessions` and removes it at the end.
//! The system releases a lock however its process ends, so a file that can be locked is of a run that did not.

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
use crate::{catalogue::Code, file, lock::Lock, worker::Worker};

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 16;

/// The format of the files, which state none.
const FORMAT: u64 = 1;

/// At most so many remotes are written down.
const NAMES: usize = 100;

/// The time for which another process may hold the lock of the folder.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time for which the start of the shell waits for the folder, and its end too.
const LIMIT_OF_WAITING: Duration = Duration::from_secs(2);

/// A run that was not shut down properly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unclean {
    /// When it began, in seconds since 1970; 0 if that is not known.
    pub started: u64,
    /// The remotes that ran when it last said so; none if that is not known.
    pub running: Vec<String>,
}

/// The marker of this run. Dropped without [`RunMarker::end`], the run counts as one that was not shut down properly.
#[derive(Debug)]
pub struct RunMarker {
    /// Writes; `None` once the run has ended, or where the system has no thread.
    worker: Option<Worker>,
    /// `None` while the folder is out of reach.
    held: Arc<Mutex<Option<Held>>>,
    about: Unclean,
}

/// The file of this run, which is locked, and its place.
type Held = (File, PathBuf);

impl RunMarker {
    /// Begins a run, and returns how the last one ended if it was not shut down properly; that is reported once.
    ///
    /// Waits two seconds at most; a folder that is out of reach is logged.
    pub fn begin(data_dir: &Path) -> (Self, Option<Unclean>) {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let about = Unclean { started, running: Vec::new() };
        let (folder, held) = (data_dir.join("sessions"), Arc::default());
        let worker = match Worker::start("run marker", "mark this run") {
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

    /// Writes down which remotes run now.
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
                // The lock says that the run has not ended; without the names that is merely less precise.
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
            // Where an open file cannot be removed it is closed first; the next run may then see it for a moment.
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
        "a crash of this run will not be noticed by the next ones ({error}); {}: {}",
        remedy(error),
        folder.display()
    );
}

fn begin(folder: &Path, about: &Unclean) -> io::Result<(Held, Option<Unclean>)> {
    fs::create_dir_all(folder)?;
    // A file is made, and locked a moment later: no other process looks at it meanwhile.
    let _all = Lock::take(&folder.join("lock"), PATIENCE)?;
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

/// Returns `true` for the names that [`open_new`] gives.
fn is_run(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_suffix(".json"))
        .is_some_and(|stem| stem.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !stem.is_empty())
}

/// A new file named after this process, whose number another run may have had elsewhere.
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

/// Reads and removes the file of a run that has ended; `None` for one that is still running, and for a file of a later
/// version, which is left to that.
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
            "a run ended without saying so, and which remotes ran is lost ({error}); nothing is to be done: {}",
            path.display()
        );
        Unclean::default()
    });
    drop(file);
    // One that stays is said again, which is better than never.
    let _ = fs::remove_file(path);
    Some(unclean)
}

/// In place, because the lock is on this file and not on its name.
fn write(file: &mut File, about: &Unclean) -> io::Result<()> {
    let text = serde_json::to_vec(about)?;
    file.rewind()?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests;
