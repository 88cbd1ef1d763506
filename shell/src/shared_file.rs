//! Small JSON files that several processes read and change.
//!
//! A reader sees the old content or the new one, whole: writing is a new file and a rename.
//! Whoever changes a file holds a lock beside it from reading to writing, so that no change is lost.
//! What cannot be understood is told, set aside under another name, and replaced by nothing at all.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The form of the files. Whoever finds another one sets the file aside.
const FORMAT: u32 = 1;

/// The largest file that is read or written, in bytes.
const LIMIT: usize = 1 << 20;

/// How long another process may hold the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// One such file.
#[derive(Clone, Debug)]
pub(crate) struct SharedFile {
    path: PathBuf,
    /// What it holds, in a sentence.
    what: &'static str,
    /// What a file that cannot be understood is told with.
    damaged: &'static str,
}

#[derive(Serialize, Deserialize)]
struct Written<T> {
    format: u32,
    #[serde(flatten)]
    content: T,
}

/// What is in the file.
enum Found<T> {
    Content(T),
    Damaged(String),
}

impl SharedFile {
    pub(crate) fn new(path: PathBuf, what: &'static str, damaged: &'static str) -> Self {
        Self { path, what, damaged }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content; that of a file that is not there is the default.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self) -> io::Result<T> {
        match self.find()? {
            Found::Content(content) => Ok(content),
            Found::Damaged(_) => {
                let _lock = self.lock()?;
                self.read_locked()
            }
        }
    }

    /// Changes the content; the file stays as it is when `change` fails or changes nothing.
    pub(crate) fn change<T, R, E>(&self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E>
    where
        T: Serialize + DeserializeOwned + Default + Clone + PartialEq,
        E: From<io::Error>,
    {
        let _lock = self.lock()?;
        let old: T = self.read_locked()?;
        let mut new = old.clone();
        let result = change(&mut new)?;
        if new != old {
            self.write(new)?;
        }
        Ok(result)
    }

    /// The lock beside the file; it ends with the value.
    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(self.folder())?;
        let path = self.beside("lock");
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    thread::sleep(Duration::from_millis(2));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps it locked"));
                }
            }
        }
    }

    fn read_locked<T: DeserializeOwned + Default>(&self) -> io::Result<T> {
        match self.find()? {
            Found::Content(content) => Ok(content),
            Found::Damaged(problem) => {
                let aside = self.set_aside()?;
                tracing::warn!(
                    code = self.damaged,
                    "{} cannot be understood ({problem}) and starts empty; what was there is in {}: {}",
                    self.what,
                    aside.display(),
                    self.path.display()
                );
                Ok(T::default())
            }
        }
    }

    fn find<T: DeserializeOwned + Default>(&self) -> io::Result<Found<T>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Content(T::default())),
            file => file?,
        };
        if file.metadata()?.is_dir() {
            return Ok(Found::Damaged("it is a folder".to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(LIMIT as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > LIMIT {
            return Ok(Found::Damaged(format!("it has more than {LIMIT} bytes")));
        }
        Ok(match serde_json::from_slice::<Written<T>>(&bytes) {
            Ok(Written { format: FORMAT, content }) => Found::Content(content),
            Ok(Written { format, .. }) => {
                Found::Damaged(format!("it has format {format}, and this shell knows {FORMAT}"))
            }
            Err(error) => Found::Damaged(error.to_string()),
        })
    }

    fn write<T: Serialize>(&self, content: T) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&Written { format: FORMAT, content })?;
        if text.len() > LIMIT {
            // It could not be read again.
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {LIMIT} bytes")));
        }
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(self.folder())?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        sync_folder(self.folder());
        Ok(())
    }

    /// Gives the file a name under which nobody looks for it.
    fn set_aside(&self) -> io::Result<PathBuf> {
        let names = (1..=u32::MAX).map(|number| self.beside(&format!("damaged-{number}")));
        let free = names.into_iter().find(|path| path.symlink_metadata().is_err());
        let free = free.ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
        fs::rename(&self.path, &free)?;
        Ok(free)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

/// Makes a rename in this folder outlive a loss of power, where the system can.
pub(crate) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        // The content is safe already; a system that cannot do this for folders says so each time.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

#[cfg(test)]
pub(crate) mod tests;
