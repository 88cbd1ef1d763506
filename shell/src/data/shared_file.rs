//! Small JSON files that several processes read and change.
//!
//! A reader sees the old or the new content, always complete: a writer writes a new file and renames it.
//! A writer holds the lock of a separate file from reading to writing, so that no change is lost, and writes a copy
//! of the content to a second file, `.bak`.
//! A damaged file is set aside, and its copy is used. A file of a later version is neither used nor touched.
//! All functions may wait: `[any thread but the window's]`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    catalogue::Code,
    file::{self, StagedFile},
    lock::Lock,
};

/// Format of the files.
const FORMAT: u32 = 1;

/// Maximum size of a file that is read or written, in bytes.
const LIMIT: usize = 1 << 20;

/// Time for which another process may hold the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Content of a shared file.
pub(crate) trait Content: Serialize + DeserializeOwned + Default + Clone + PartialEq {
    /// Returns the content to use when file and copy are damaged.
    fn after_loss() -> Self {
        Self::default()
    }
}

/// A shared file.
#[derive(Clone, Debug)]
pub(crate) struct SharedFile {
    path: PathBuf,
    /// Description of the content, for messages.
    what: &'static str,
    /// Code for a damaged file.
    damaged: Code,
}

#[derive(Serialize, Deserialize)]
struct Written<T> {
    format: u32,
    #[serde(flatten)]
    content: T,
}

/// Result of reading a file.
enum Found<T> {
    Missing,
    Content(T),
    Damaged(String),
}

impl SharedFile {
    pub(crate) fn new(path: PathBuf, what: &'static str, damaged: Code) -> Self {
        Self { path, what, damaged }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the content; that of a missing file is the default.
    ///
    /// # Errors
    /// Returns the system's errors, and [`io::ErrorKind::Unsupported`] for a file of a later version.
    pub(crate) fn read<T: Content>(&self) -> io::Result<T> {
        match Self::find(&self.path)? {
            Found::Missing => Ok(T::default()),
            Found::Content(content) => Ok(content),
            Found::Damaged(problem) => match self.lock() {
                Ok(_lock) => self.read_locked(),
                Err(error) => Ok(self.recover(&problem, Some(error))),
            },
        }
    }

    /// Changes the content. The file is not written if `change` fails or changes nothing.
    pub(crate) fn change<T, R, E>(&self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E>
    where
        T: Content,
        E: From<io::Error>,
    {
        let _lock = self.lock()?;
        file::sweep(self.folder());
        let old: T = self.read_locked()?;
        let mut new = old.clone();
        let result = change(&mut new)?;
        if new != old {
            self.write(&new)?;
        }
        Ok(result)
    }

    /// Takes the lock, which is released when the value is dropped.
    fn lock(&self) -> io::Result<Lock> {
        fs::create_dir_all(self.folder())?;
        Lock::acquire(&self.sibling("lock"), PATIENCE)
    }

    fn read_locked<T: Content>(&self) -> io::Result<T> {
        match Self::find(&self.path)? {
            Found::Missing => Ok(T::default()),
            Found::Content(content) => Ok(content),
            Found::Damaged(problem) => Ok(self.recover(&problem, None)),
        }
    }

    fn find<T: Content>(path: &Path) -> io::Result<Found<T>> {
        let bytes = match file::read(path, LIMIT as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Ok(Found::Damaged(error.to_string()));
            }
            bytes => bytes?,
        };
        let json: serde_json::Value = match serde_json::from_slice(&bytes) {
            Ok(json) => json,
            Err(error) => return Ok(Found::Damaged(error.to_string())),
        };
        // Checked first, because the rest may have another meaning in a later version.
        if let Some(format) = json.get("format").and_then(serde_json::Value::as_u64)
            && format > u64::from(FORMAT)
        {
            let text =
                format!("it has format {format} of a later version, and this version reads format {FORMAT}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(match serde_json::from_value::<Written<T>>(json) {
            Ok(Written { format: FORMAT, content }) => Found::Content(content),
            Ok(Written { format, .. }) => Found::Damaged(format!("format {format} is unknown")),
            Err(error) => Found::Damaged(error.to_string()),
        })
    }

    /// Returns the content that replaces a damaged one, and writes it unless the lock failed with the error `lock`.
    fn recover<T: Content>(&self, problem: &str, lock: Option<io::Error>) -> T {
        let (content, instead) = match Self::find(&self.sibling("bak")) {
            Ok(Found::Content(content)) => (content, "its last good copy is used"),
            _ => (T::after_loss(), "there is no good copy"),
        };
        let set_aside = match lock {
            None => self.replace_damaged(&content),
            Some(error) => Err(error),
        };
        let (what, path) = (self.what, self.path.display());
        match set_aside {
            Ok(aside) => tracing::warn!(
                code = self.damaged.as_str(),
                "{what} is damaged ({problem}), and {instead}; the damaged file was renamed to {}: {path}",
                aside.display()
            ),
            Err(error) => tracing::warn!(
                code = self.damaged.as_str(),
                "{what} is damaged ({problem}) and cannot be replaced ({error}), and {instead}; correct or remove it: \
                 {path}"
            ),
        }
        content
    }

    fn write<T: Content>(&self, content: &T) -> io::Result<()> {
        let text = text(content)?;
        file::replace(&self.path, &text)?;
        // A failure is ignored, because the file itself is written.
        let _ = file::replace(&self.sibling("bak"), &text);
        Ok(())
    }

    /// Renames the damaged file, and replaces it by a file with `content`, unless that is the default.
    fn replace_damaged<T: Content>(&self, content: &T) -> io::Result<PathBuf> {
        let new = if *content == T::default() {
            None
        } else {
            Some(StagedFile::with(self.folder(), &text(content)?)?)
        };
        let names = (1..=u32::MAX).map(|number| self.sibling(&format!("damaged-{number}")));
        let free = names.into_iter().find(|path| path.symlink_metadata().is_err());
        let aside = free.ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
        // A hard link first, so that the first name is never missing. A folder cannot have one, and is renamed.
        if new.is_none() || fs::hard_link(&self.path, &aside).is_err() {
            fs::rename(&self.path, &aside)?;
        }
        new.map_or(Ok(()), |new| new.put(&self.path))?;
        Ok(aside)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn sibling(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

/// Returns what to do about an error of a file that shells share.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::Unsupported => "use the version of Pulse that wrote it, or move it away",
        io::ErrorKind::TimedOut => "end the process that holds the lock, or try again",
        _ => "make room and let this user read and write there",
    }
}

fn text<T: Content>(content: &T) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec_pretty(&Written { format: FORMAT, content })?;
    if text.len() > LIMIT {
        // A larger file could not be read again.
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {LIMIT} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
pub(crate) mod tests;
