//! Atoms that outlive the process: a file for each.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use abi_stable::std_types::ROption;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Listening, Store};
use crate::{
    Atom, StoreError,
    atom::{AtomValue, decode},
    bytes::{Incoming, Wiped, encode},
    source::Sealed,
};

/// The format of the files. A reader refuses later ones.
const FORMAT: u64 = 1;

/// The age at which an unfinished file belongs to a process that was ended.
const ABANDONED: Duration = Duration::from_hours(1);

/// The longest name of a file, without the endings that are added to it.
const LONGEST: usize = 200;

/// Content of a file.
#[derive(Serialize, Deserialize)]
struct Saved {
    format: u64,
    atom: String,
    #[serde(default)]
    value: Option<Json>,
}

/// Keeps an atom persistent; dropping it ends that. The file stays.
#[must_use = "dropping this ends the persistence"]
#[derive(Debug)]
pub struct Persisting {
    _listening: Listening,
    damage: Option<StoreError>,
}

impl Persisting {
    /// Returns the reason why the saved value was not used: [`StoreError::FileDamaged`] or
    /// [`StoreError::FileNewer`].
    pub fn damage(&self) -> Option<&StoreError> {
        self.damage.as_ref()
    }
}

/// A file with the value that it gets next.
struct Saver {
    file: PathBuf,
    atom: &'static str,
    next: Mutex<Option<Wiped>>,
}

impl Store {
    /// Loads `atom` from its file in `folder`, if it is not set yet, and saves it there after each change until the
    /// result is dropped.
    ///
    /// The file is replaced as a whole, on the store's own thread; [`close`](Self::close) waits for it, and so does
    /// [`all_tasks`](Self::all_tasks). Processes that share the folder replace each other's file, and never mix two
    /// values. A file that is damaged, or that a later build wrote, is renamed to `NAME.json.damaged-N`; the atom has
    /// its initial value then, and [`Persisting::damage`] and [`on_error`](Self::on_error) have the reason.
    ///
    /// ```
    /// use shared_store::{Atom, Store};
    /// static RANGE: Atom<u32> = Atom::new("range", || 30);
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// let store = Store::new();
    /// let persisting = store.persist(&RANGE, folder)?;
    /// assert_eq!(persisting.damage(), None);
    /// store.set(&RANGE, &90)?;
    /// store.close();
    ///
    /// let store = Store::new();
    /// let _persisting = store.persist(&RANGE, folder)?;
    /// assert_eq!(*store.get(&RANGE)?, 90);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Secret`] for a secret atom, [`StoreError::FileFailed`] if the folder cannot be used. See
    /// [`StoreError`] for others.
    pub fn persist<T: AtomValue>(
        &self,
        atom: &'static Atom<T>,
        folder: &Path,
    ) -> Result<Persisting, StoreError> {
        if atom.is_secret() {
            return Err(StoreError::Secret { atom: atom.name().to_owned(), what: "saved" });
        }
        let file = folder.join(file_name(atom.name()));
        let failed = |error: &io::Error| failed(atom.name(), &file, error);
        if file.as_os_str().len() > folder.as_os_str().len() + LONGEST {
            return Err(failed(&io::Error::other("the name of the atom is too long for a file")));
        }
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        let node = Sealed::node(atom, self)?;
        let damage = match read(atom, &file) {
            Ok(None) => None,
            Ok(Some(value)) => {
                let bytes = encode(&value).map_err(|e| StoreError::encode(atom.name(), &e))?;
                match self.write(&node, ROption::RSome(0), &bytes) {
                    // Set already, by another participant: the present value counts.
                    Ok(()) | Err(StoreError::Conflict(_)) => None,
                    Err(error) => return Err(error),
                }
            }
            Err(Unusable::Io(error)) => return Err(failed(&error)),
            Err(unusable) => {
                let aside = set_aside(&file).map_err(|error| failed(&error))?;
                let atom = atom.name().to_owned();
                let error = match unusable {
                    Unusable::Newer(format) => StoreError::FileNewer { atom, format, aside },
                    other => StoreError::FileDamaged { atom, message: other.to_string(), aside },
                };
                self.report(&error);
                Some(error)
            }
        };
        remove_abandoned(&file);
        let saver = Arc::new(Saver { file, atom: atom.name(), next: Mutex::default() });
        let weak = Arc::downgrade(&self.0);
        let source = Arc::downgrade(&node);
        // Of the version that was just loaded or is set: later changes are saved.
        let (_, listening) = self.attach(&node, self.look(&node).version, move |_| {
            let (Some(inner), Some(node)) = (weak.upgrade(), source.upgrade()) else { return };
            let store = Store(inner);
            match Store::stored(&node) {
                Ok((_, Some(bytes))) => store.save(&saver, &bytes),
                Ok((_, None)) => {}
                Err(error) => store.report(&error),
            }
        })?;
        Ok(Persisting { _listening: listening, damage })
    }

    /// Hands a value to the thread that writes files; an earlier one that waits is not written.
    fn save(&self, saver: &Arc<Saver>, bytes: &Incoming) {
        let waiting = saver.next.lock().replace(Wiped::copy_of(bytes.as_slice())).is_some();
        if waiting {
            return;
        }
        self.with(|graph| graph.saving += 1);
        let (saver, weak) = (Arc::clone(saver), Arc::downgrade(&self.0));
        self.after(Duration::ZERO, move || {
            let bytes = saver.next.lock().take();
            let result = bytes.map_or(Ok(()), |bytes| write(&saver, &bytes));
            let store = weak.upgrade().map(Store);
            match (result, store) {
                (Ok(()), None) => {}
                (Err(error), None) => {
                    let error = failed(saver.atom, &saver.file, &error);
                    eprintln!("shared-store: {error} [{}]", error.code());
                }
                (result, Some(store)) => {
                    if let Err(error) = result {
                        store.report(&failed(saver.atom, &saver.file, &error));
                    }
                    store.with(|graph| graph.saving = graph.saving.saturating_sub(1));
                    store.0.quiet.notify_all();
                }
            }
        });
    }
}

fn failed(atom: &str, file: &Path, error: &io::Error) -> StoreError {
    StoreError::FileFailed { atom: atom.to_owned(), message: error.to_string(), file: file.to_owned() }
}

/// The reason why a file was not read.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(io::Error),
    #[error("format {0}")]
    Newer(u64),
    #[error("{0}")]
    Damaged(String),
}

/// Reads the value in `file`; `None` without a file.
fn read<T: AtomValue>(atom: &Atom<T>, file: &Path) -> Result<Option<Json>, Unusable> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unusable::Io(error)),
    };
    let damaged = |message: &dyn std::fmt::Display| Unusable::Damaged(message.to_string());
    let saved: Saved = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
    if saved.format > FORMAT {
        return Err(Unusable::Newer(saved.format));
    }
    if saved.atom != atom.name() {
        return Err(damaged(&format_args!("it belongs to `{}`", saved.atom)));
    }
    let value = saved.value.unwrap_or(Json::Null);
    let encoded = encode(&value).map_err(|error| damaged(&error))?;
    decode::<T>(atom.name(), &encoded).map_err(|error| damaged(&error))?;
    Ok(Some(value))
}

/// Replaces the file: a reader sees the value before or the value after, also after a power failure.
fn write(saver: &Saver, value: &[u8]) -> io::Result<()> {
    let value: Json = serde_json::from_slice(value).map_err(io::Error::other)?;
    let content = Saved { format: FORMAT, atom: saver.atom.to_owned(), value: Some(value) };
    let text = serde_json::to_vec_pretty(&content).map_err(io::Error::other)?;
    let (path, mut new) = create(&saver.file)?;
    let written = new.write_all(&text).and_then(|()| new.sync_all());
    drop(new);
    written.and_then(|()| fs::rename(&path, &saver.file)).inspect_err(|_| drop(fs::remove_file(&path)))?;
    // The rename is in the folder. Other systems have no way, and no need, to write one.
    #[cfg(unix)]
    if let Some(folder) = saver.file.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Creates a file of its own next to `file`.
fn create(file: &Path) -> io::Result<(PathBuf, File)> {
    for number in 0_u32.. {
        let path = with_ending(file, &format!("new-{}-{number}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|new| (path, new)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Renames a file that cannot be used, and returns its new name.
fn set_aside(file: &Path) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let aside = with_ending(file, &format!("damaged-{number}"));
        // A link fails where a rename would replace an earlier damaged file.
        match fs::hard_link(file, &aside) {
            Ok(()) => return fs::remove_file(file).map(|()| aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) if !aside.exists() => return fs::rename(file, &aside).map(|()| aside),
            Err(_) => {}
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes unfinished files of processes that were ended.
fn remove_abandoned(file: &Path) {
    let start = format!("{}.new-", file.file_name().unwrap_or_default().to_string_lossy());
    let entries = file.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start)) {
        let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            // Another process may do the same.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Returns the name of an atom's file. Letters that some file systems do not tell apart, or that have a meaning in
/// paths, are encoded.
fn file_name(atom: &str) -> String {
    let mut name = String::new();
    for (at, byte) in atom.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            b'.' if at > 0 => name.push('.'),
            _ => {
                let _ = write!(name, "%{byte:02x}");
            }
        }
    }
    name + ".json"
}

#[cfg(test)]
mod tests;
