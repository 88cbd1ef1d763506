//! Private copies of libraries, under names that no library was loaded by before.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::loader::LibraryError;
use crate::{
    failure::{Failure, Stage},
    file,
    private::{Folder, Places, none},
};

/// So much of a library is copied at a time, in bytes.
const PART: usize = 1 << 18;

/// The folders of this process for its copies. They go with this value, which clones share.
pub(super) struct Copies(Shared);

/// Makes copies, on any thread but the window's.
pub(super) type Shared = Arc<Mutex<Folders>>;

pub(super) struct Folders {
    places: Places,
    /// One for each place; none as long as nothing was put there.
    made: Vec<Option<Folder>>,
    number: u64,
}

impl Copies {
    pub(super) fn new(places: Places) -> Self {
        let made = (0..places.len()).map(|_| None).collect();
        Self(Arc::new(Mutex::new(Folders { places, made, number: 0 })))
    }

    pub(super) fn share(&self) -> Shared {
        Arc::clone(&self.0)
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // A check that has not come to its end yet holds on to the value, and makes no more copies.
        self.0.lock().made.clear();
    }
}

impl Folders {
    /// Returns a path for the next copy of a library of `remote` in the place of this number.
    fn next(&mut self, place: usize, remote: &str) -> Result<PathBuf, String> {
        let folder = self.made.get_mut(place).ok_or("the shell is ending")?;
        // Others may have cleaned the place meanwhile.
        folder.take_if(|folder| !folder.exists());
        let folder = match folder {
            Some(folder) => folder,
            None => folder.insert(self.places.make(place)?),
        };
        self.number += 1;
        // Whatever the remote is called.
        let stem: String = remote.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        let name = format!("{stem}-{}{}", self.number, std::env::consts::DLL_SUFFIX);
        folder.file(&name).map_err(|error| self.places.refusal(place, &error.to_string()))
    }
}

/// Copies `library`, of `remote`, to the first place that can hold it; returns the copy's path.
///
/// # Errors
/// `library-missing` or `library-unreadable` for the library, `copy-failed` for the places.
pub(super) fn take(copies: &Mutex<Folders>, library: &Path, remote: &str) -> Result<PathBuf, Failure> {
    let unreadable = |error| {
        let error = LibraryError::io(error, library);
        Failure::new(Stage::Check, error.code(), error)
    };
    let mut source = file::open(library).map_err(unreadable)?;
    let mut refused = Vec::new();
    let places = copies.lock().places.len();
    for place in 0..places {
        let copy = copies.lock().next(place, remote);
        let copy = match copy {
            Ok(copy) => copy,
            Err(why) => {
                refused.push(why);
                continue;
            }
        };
        let result = source.rewind().map_err(Fault::Source).and_then(|()| write(&mut source, &copy));
        match result {
            Ok(()) => return Ok(copy),
            Err(fault) => {
                // One that cannot be removed goes with its folder.
                let _ = fs::remove_file(&copy);
                match fault {
                    Fault::Source(error) => return Err(unreadable(error)),
                    Fault::Copy(error) => {
                        refused.push(copies.lock().places.refusal(place, &error.to_string()));
                    }
                }
            }
        }
    }
    let text = format!(
        "no private copy of the library can be made; {}; the library: {}",
        none(&refused),
        library.display()
    );
    Err(Failure::new(Stage::Check, "copy-failed", text))
}

/// The file that a copy fails with.
enum Fault {
    Source(io::Error),
    Copy(io::Error),
}

/// Writes a new file, for this user alone whatever the rights of the library are.
fn write(source: &mut File, copy: &Path) -> Result<(), Fault> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(copy).map_err(Fault::Copy)?;
    let mut part = vec![0; PART];
    loop {
        match source.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(read) => copy.write_all(&part[..read]).map_err(Fault::Copy)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Source(error)),
        }
    }
}

#[cfg(test)]
mod tests;
