//! What people and the shell have decided about remotes, remembered over restarts: `DATA/remotes.json`.
//!
//! Remotes go by the name in their manifest.
//! Every change is made to the file as it is then, so several shells and commands do not undo each other's.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::shared_file::SharedFile;

/// So many failures within [`WINDOW`] disable a remote.
pub const FAILURES: usize = 3;

/// The time in which failures count together.
pub const WINDOW: Duration = Duration::from_mins(10);

/// The longest message that is remembered, in characters; codes are cut at a tenth of it.
const MAX_MESSAGE: usize = 1000;

/// Who has disabled a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Somebody.
    Person,
    /// The shell, after [`FAILURES`] failures within [`WINDOW`].
    Failures,
}

/// Why a remote does not run although it could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Who has decided that.
    pub by: By,
    /// The codes of the failures, oldest first; none if a person did.
    #[serde(default)]
    pub codes: Vec<String>,
    /// The last failure's message, or what the person said; may be empty.
    #[serde(default)]
    pub message: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

impl Disabled {
    /// A person's decision, made now.
    pub fn by_person(message: impl Into<String>) -> Self {
        Self { by: By::Person, codes: Vec::new(), message: message.into(), at: seconds(SystemTime::now()) }
    }
}

/// A decision that could not be written down; it holds until the shell ends.
#[derive(Debug, thiserror::Error)]
#[error(
    "the decision about `{name}` will be forgotten ({error}); make room and let this user write there: {}",
    path.display()
)]
pub struct ChoicesError {
    name: String,
    error: io::Error,
    path: PathBuf,
}

impl ChoicesError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        CODE
    }
}

const CODE: &str = "choices-unwritable";

/// The decisions of one data folder, as they were when they were last read or changed.
#[derive(Clone, Debug)]
pub struct Choices {
    file: SharedFile,
    known: Known,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    enabled: BTreeSet<String>,
    disabled: BTreeMap<String, Disabled>,
    failures: BTreeMap<String, Vec<Failed>>,
}

/// One failure that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Failed {
    code: String,
    /// Seconds since 1970.
    at: u64,
}

impl Choices {
    /// What is remembered in this data folder; what cannot be read is told, and else as good as nothing.
    pub fn load(data_dir: &Path) -> Self {
        let path = data_dir.join("remotes.json");
        let file = SharedFile::new(path, "the list of enabled and disabled remotes", "choices-damaged");
        let mut choices = Self { file, known: Known::default() };
        choices.reload();
        choices
    }

    /// The file that changes when anything of this does, whoever changes it.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Reads the file again; what cannot be read is told, and what was known stays.
    pub fn reload(&mut self) {
        match self.file.read() {
            Ok(known) => self.known = known,
            Err(error) => tracing::warn!(
                code = "choices-unreadable",
                "which remotes are enabled and disabled cannot be read ({error}); let this user read and write the \
                 file: {}",
                self.file.path().display()
            ),
        }
    }

    /// Whether somebody has enabled the remote, and nobody has disabled it since: what a remote in the drop folder
    /// needs to run.
    pub fn is_enabled(&self, name: &str) -> bool {
        self.known.enabled.contains(name) && !self.known.disabled.contains_key(name)
    }

    /// Why the remote is disabled.
    pub fn disabled(&self, name: &str) -> Option<&Disabled> {
        self.known.disabled.get(name)
    }

    /// Enables the remote, and forgets why it was disabled and how it failed.
    ///
    /// # Errors
    /// When it cannot be written down; it holds for this value all the same.
    pub fn enable(&mut self, name: &str) -> Result<(), ChoicesError> {
        self.change(name, |known| {
            known.enabled.insert(name.to_owned());
            known.disabled.remove(name);
            known.failures.remove(name);
        })
    }

    /// Disables the remote.
    ///
    /// # Errors
    /// When it cannot be written down; it holds for this value all the same.
    pub fn disable(&mut self, name: &str, why: Disabled) -> Result<(), ChoicesError> {
        self.change(name, |known| known.disable(name, why))
    }

    /// Counts a failure of the remote; the third within ten minutes, over restarts, disables it and says so.
    pub fn failed(&mut self, name: &str, code: &str, message: &str, now: SystemTime) -> Option<Disabled> {
        let mut disabled = None;
        let written = self.change(name, |known| disabled = known.fail(name, code, message, seconds(now)));
        if let Err(error) = written {
            tracing::warn!(code = error.code(), "{error}");
        }
        disabled
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Known)) -> Result<(), ChoicesError> {
        let (mut change, mut changed) = (Some(change), None);
        let written = self.file.change(|known: &mut Known| {
            if let Some(change) = change.take() {
                change(known);
            }
            changed = Some(known.clone());
            Ok::<_, io::Error>(())
        });
        if let Some(known) = changed {
            self.known = known;
        }
        // It could not even be read.
        if let Some(change) = change {
            change(&mut self.known);
        }
        written.map_err(|error| ChoicesError {
            name: name.to_owned(),
            error,
            path: self.file.path().to_owned(),
        })
    }
}

impl Known {
    fn disable(&mut self, name: &str, why: Disabled) {
        let codes = why.codes.into_iter().map(|code| cut(&code, MAX_MESSAGE / 10)).take(FAILURES).collect();
        let why = Disabled { message: cut(&why.message, MAX_MESSAGE), codes, ..why };
        self.enabled.remove(name);
        self.failures.remove(name);
        self.disabled.insert(name.to_owned(), why);
    }

    /// Counts a failure; the reason, if it was one too many.
    fn fail(&mut self, name: &str, code: &str, message: &str, now: u64) -> Option<Disabled> {
        // Those of the future are of a clock that was wrong.
        let counts = |failed: &Failed| failed.at <= now && now - failed.at <= WINDOW.as_secs();
        self.failures.retain(|_, failures| {
            failures.retain(counts);
            !failures.is_empty()
        });
        if self.disabled.contains_key(name) {
            return None;
        }
        let failures = self.failures.entry(name.to_owned()).or_default();
        failures.push(Failed { code: cut(code, MAX_MESSAGE / 10), at: now });
        if failures.len() < FAILURES {
            return None;
        }
        let codes = failures.iter().map(|failed| failed.code.clone()).collect();
        let why = Disabled { by: By::Failures, codes, message: cut(message, MAX_MESSAGE), at: now };
        self.disable(name, why.clone());
        Some(why)
    }
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
