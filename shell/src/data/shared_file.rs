//! Small JSON files that several processes read and change.
//!
//! A reader sees the old content or the new one, complete: writing is a new file and a rename.
//! A writer holds a lock in a file of its own from reading to writing, so that no change is lost, and leaves a copy
//! of what it wrote in a second file, `.bak`.
//! A damaged file is set aside, and its copy is used. A file that a later version wrote is neither used nor touched.
//! All of this may wait: `[any thread but the window's]`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    catalogue::Code,
    file::{self, Staged},
    lock::Lock,
};

/// The format of the files.
const FORMAT: u32 = 1;

/// The largest file that is read or written, in bytes.
const LIMIT: usize = 1 << 20;

/// The time for which another process may hold the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// The content of such a file.
pub(crate) trait Content: Serialize + DeserializeOwned + Default + Clone + PartialEq {
    /// Returns the content to continue with when file and copy are damaged.
    fn after_loss() -> Self {
        Self::default()
    }
}

/// One such file.
#[derive(Clone, Debug)]
pub(crate) struct SharedFile {
    path: PathBuf,
    /// Names the content in messages.
    what: &'static str,
    /// The code of a damaged file.
    damaged: Code,
}

#[derive(Serialize, Deserialize)]
struct Written<T> {
    format: u32,
    #[serde(flatten)]
    content: T,
}

/// A file as it was found.
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
    /// Returns the system's errors; [`io::ErrorKind::Unsupported`] for the file of a later version.
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

    /// Changes the content; the file stays as it is when `change` fails or changes nothing.
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

    /// Takes the lock; it ends with the value.
    fn lock(&self) -> io::Result<Lock> {
        fs::create_dir_all(self.folder())?;
        Lock::take(&self.beside("lock"), PATIENCE)
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
        // Before the rest, which a later version may have given another meaning.
        if let Some(format) = json.get("format").and_then(serde_json::Value::as_u64)
            && format > u64::from(FORMAT)
        {
            let text = format!("it has format {format} of a later version, and this one reads format {FORMAT}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(match serde_json::from_value::<Written<T>>(json) {
            Ok(Written { format: FORMAT, content }) => Found::Content(content),
            Ok(Written { format, .. }) => Found::Damaged(format!("there is no format {format}")),
            Err(error) => Found::Damaged(error.to_string()),
        })
    }

    /// Returns the content to use in place of a damaged one, and writes it unless there is no `lock`.
    fn recover<T: Content>(&self, problem: &str, lock: Option<io::Error>) -> T {
        let (content, instead) = match Self::find(&self.beside("bak")) {
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
                "{what} cannot be understood ({problem}), and {instead}; what was there is in {}: {path}",
                aside.display()
            ),
            Err(error) => tracing::warn!(
                code = self.damaged.as_str(),
                "{what} cannot be understood ({problem}) nor replaced ({error}), and {instead}; correct or remove it: \
                 {path}"
            ),
        }
        content
    }

    fn write<T: Content>(&self, content: &T) -> io::Result<()> {
        let text = text(content)?;
        file::replace(&self.path, &text)?;
        // The file itself is safe; without its copy it is as good.
        let _ = file::replace(&self.beside("bak"), &text);
        Ok(())
    }

    /// Gives the damaged file another name, and its own to a file with `content`, unless that is the default.
    fn replace_damaged<T: Content>(&self, content: &T) -> io::Result<PathBuf> {
        let new =
            if *content == T::default() { None } else { Some(Staged::with(self.folder(), &text(content)?)?) };
        let names = (1..=u32::MAX).map(|number| self.beside(&format!("damaged-{number}")));
        let free = names.into_iter().find(|path| path.symlink_metadata().is_err());
        let aside = free.ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
        // A second name first: without a file under the first one nothing would be known at all. Folders have one only.
        if new.is_none() || fs::hard_link(&self.path, &aside).is_err() {
            fs::rename(&self.path, &aside)?;
        }
        new.map_or(Ok(()), |new| new.put(&self.path))?;
        Ok(aside)
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
        // It could not be read again.
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {LIMIT} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
pub(crate) mod tests;
