//! Private copies of libraries, under names that were never loaded before.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    catalogue::Code,
    data::private::{Folder, Places, remedy},
    failure::{Failure, Stage},
    file::{self, CopyError},
    library::{LibraryError, copy_name},
};

/// The folders of this process for its copies. Dropping this removes them.
pub(super) struct CopyFolders(SharedFolders);

/// The folders as shared with other threads; copies are made off the window's thread.
pub(super) type SharedFolders = Arc<Mutex<Folders>>;

pub(super) struct Folders {
    places: Places,
    /// A folder for each place, made on first use.
    made: Vec<Option<Folder>>,
    number: u64,
}

impl CopyFolders {
    pub(super) fn new(places: Places) -> Self {
        let made = (0..places.len()).map(|_| None).collect();
        Self(Arc::new(Mutex::new(Folders { places, made, number: 0 })))
    }

    pub(super) fn share(&self) -> SharedFolders {
        Arc::clone(&self.0)
    }
}

impl Drop for CopyFolders {
    fn drop(&mut self) {
        // A check that still runs holds on to the shared value, and makes no more copies.
        self.0.lock().made.clear();
    }
}

impl Folders {
    /// Returns a path for the next copy of a library of `remote` in the place with index `place`.
    fn next(&mut self, place: usize, remote: &str) -> Result<PathBuf, String> {
        let folder = self.made.get_mut(place).ok_or("the shell is ending")?;
        // Another program may have cleaned the place meanwhile.
        folder.take_if(|folder| !folder.exists());
        let folder = match folder {
            Some(folder) => folder,
            None => folder.insert(self.places.make(place)?),
        };
        self.number += 1;
        let name = copy_name::of(remote, self.number);
        folder.file(&name).map_err(|error| self.places.refusal(place, &error.to_string()))
    }
}

/// Copies `library`, of `remote`, to the first place that can hold it; returns the copy's path.
///
/// # Errors
/// `library-missing` or `library-unreadable` for the library, `copy-failed` for the places.
pub(super) fn take(copies: &Mutex<Folders>, library: &Path, remote: &str) -> Result<PathBuf, Failure> {
    let unreadable = |error| Failure::from_error(Stage::Check, &LibraryError::io(error, library));
    // A library that cannot be read needs no folder.
    file::open_within(library, file::MAX_LIBRARY).map_err(unreadable)?;
    let mut refused = Vec::new();
    let places = copies.lock().places.len();
    for place in 0..places {
        let copy = copies.lock().next(place, remote);
        let copy = match copy {
            Ok(copy) => copy,
            Err(reason) => {
                refused.push(reason);
                continue;
            }
        };
        match file::copy_library(library, &copy) {
            Ok(()) => return Ok(copy),
            Err(CopyError::Read(error)) => return Err(unreadable(error)),
            Err(CopyError::Write(error)) => {
                refused.push(copies.lock().places.refusal(place, &error.to_string()));
            }
        }
    }
    let text =
        format!("the library cannot be copied for loading ({}): {}", refused.join("; "), library.display());
    Err(Failure::new(Stage::Check, Code::CopyFailed, text, remedy()))
}

#[cfg(test)]
mod tests;
