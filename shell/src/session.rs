//! Whether the last run of the shell came to an end of its own.
//!
//! Each run holds a lock on a file of its own in `DATA/sessions` and removes it at the end.
//! The system releases a lock however its process ends, so a file that can be locked is of a run that did not.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 16;

/// At most so many remotes are written down.
const NAMES: usize = 100;

/// A run that did not end well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unclean {
    /// When it began, in seconds since 1970; 0 if that is not known.
    pub started: u64,
    /// The remotes that ran when it last said so; none if that is not known.
    pub running: Vec<String>,
}

/// This run. Dropped without [`Session::end`], it counts as one that did not end well.
#[derive(Debug)]
pub struct Session {
    /// None where the folder is out of reach, which was told.
    held: Option<(File, PathBuf)>,
    about: Unclean,
}

impl Session {
    /// Begins a run, and says how the last one ended if it did not end well; that is said once.
    pub fn begin(data_dir: &Path) -> (Self, Option<Unclean>) {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let about = Unclean { started, running: Vec::new() };
        let folder = data_dir.join("sessions");
        match begin(&folder, &about) {
            Ok((held, unclean)) => (Self { held: Some(held), about }, unclean),
            Err(error) => {
                tracing::warn!(
                    code = "session-unwritable",
                    "a crash of this run will not be noticed by the next ({error}); make room and let this user write \
                     there: {}",
                    folder.display()
                );
                (Self { held: None, about }, None)
            }
        }
    }

    /// Writes down which remotes run now.
    pub fn running(&mut self, names: &[&str]) {
        let names: Vec<String> = names.iter().take(NAMES).map(|name| (*name).to_owned()).collect();
        if self.about.running == names {
            return;
        }
        self.about.running = names;
        if let Some((file, _)) = &mut self.held {
            // The lock says that the run has not ended; without the names that is merely less precise.
            let _ = write(file, &self.about);
        }
    }

    /// Ends the run well.
    pub fn end(self) {
        if let Some((file, path)) = self.held {
            // Where an open file cannot be removed it is closed first; the next run may then see it for a moment.
            if fs::remove_file(&path).is_err() {
                drop(file);
                let _ = fs::remove_file(&path);
            }
        }
    }
}

type Begun = ((File, PathBuf), Option<Unclean>);

fn begin(folder: &Path, about: &Unclean) -> io::Result<Begun> {
    fs::create_dir_all(folder)?;
    // A file is made, and locked a moment later: nobody else looks at it meanwhile.
    let all = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    all.lock()?;
    let mut last: Option<Unclean> = None;
    for entry in folder.read_dir()?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "json") && entry.file_type().is_ok_and(|kind| kind.is_file()) {
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

/// A new file named after this process, whose number another run may have had elsewhere.
fn open_new(folder: &Path) -> io::Result<(File, PathBuf)> {
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

/// What a file says whose run has ended, and removes it; none for a run that goes on.
fn abandoned(path: &Path) -> Option<Unclean> {
    let mut file = File::options().read(true).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    let mut bytes = Vec::new();
    let read = Read::by_ref(&mut file).take(LIMIT).read_to_end(&mut bytes).map_err(|error| error.to_string());
    let read = read.and_then(|_| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
    let unclean = read.unwrap_or_else(|error: String| {
        tracing::warn!(
            code = "session-damaged",
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
