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

use crate::{catalogue::Code, failure::FailureCode};

use super::shared_file::{Content, SharedFile, remedy};

/// So many failures within [`WINDOW`] disable a remote.
pub const FAILURES: usize = 3;

/// The time in which failures count together.
pub const WINDOW: Duration = Duration::from_mins(10);

/// The longest message that is remembered, in characters.
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
    pub codes: Vec<FailureCode>,
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
#[error("the decision about `{name}` is not saved ({error}): {}", path.display())]
pub struct ChoicesError {
    name: String,
    error: io::Error,
    path: PathBuf,
}

crate::failure::advise!(ChoicesError);

impl ChoicesError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::ChoicesUnwritable
    }

    /// What to do.
    pub fn advice(&self) -> &'static str {
        remedy(&self.error)
    }
}

/// A decision, or a failure that may lead to one.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Enable(String),
    Disable(String, Disabled),
    /// A failure of what ran, at this time in seconds since 1970.
    Failed {
        name: String,
        code: FailureCode,
        message: String,
        at: u64,
    },
}

impl Decision {
    pub(crate) fn failed(name: &str, code: &FailureCode, message: &str, now: SystemTime) -> Self {
        Self::Failed {
            name: name.to_owned(),
            code: code.clone(),
            message: cut(message, MAX_MESSAGE),
            at: seconds(now),
        }
    }

    pub(crate) fn name(&self) -> &str {
        let (Self::Enable(name) | Self::Disable(name, _) | Self::Failed { name, .. }) = self;
        name
    }
}

/// The decisions of one data folder, as they were when they were last read or changed.
#[derive(Clone, Debug)]
pub struct Choices {
    file: SharedFile,
    known: Known,
    /// Why they are not known; those made since then are.
    unread: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    enabled: BTreeSet<String>,
    disabled: BTreeMap<String, Disabled>,
    failures: BTreeMap<String, Vec<Failed>>,
    /// Earlier decisions are lost, so that any other remote may have been disabled.
    #[serde(rename = "onlyEnabled", skip_serializing_if = "std::ops::Not::not")]
    only_enabled: bool,
}

impl Content for Known {
    fn after_loss() -> Self {
        Self { only_enabled: true, ..Self::default() }
    }
}

/// One failure that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Failed {
    code: FailureCode,
    /// Seconds since 1970.
    at: u64,
}

impl Choices {
    /// Reads what is remembered in this data folder; a file that cannot be read is logged.
    pub fn load(data_dir: &Path) -> Self {
        let mut choices = Self::unread(data_dir);
        choices.reload();
        choices
    }

    /// The decisions of this data folder before they are read.
    pub(crate) fn unread(data_dir: &Path) -> Self {
        let path = data_dir.join("remotes.json");
        let file = SharedFile::new(path, "the list of enabled and disabled remotes", Code::ChoicesDamaged);
        Self { file, known: Known::default(), unread: Some("it is still being read".to_owned()) }
    }

    /// The file that changes when anything of this does, whoever changes it.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Reads the file again. When that fails it is logged, and what was known stays.
    pub fn reload(&mut self) {
        match self.file.read() {
            Ok(known) => {
                self.known = known;
                self.known.clamp(seconds(SystemTime::now()));
                self.unread = None;
            }
            Err(error) => {
                tracing::warn!(
                    code = Code::ChoicesUnreadable.as_str(),
                    "which remotes are enabled and disabled cannot be read ({error}); {}: {}",
                    remedy(&error),
                    self.file.path().display()
                );
                self.unread = self.unread.is_some().then(|| error.to_string());
            }
        }
    }

    /// Returns why it is not known which remotes were disabled. Those that are not enabled must not run then.
    pub fn doubt(&self) -> Option<String> {
        let path = self.file.path().display();
        match &self.unread {
            Some(problem) => Some(format!("{problem}: {path}")),
            None if self.known.only_enabled => Some(format!(
                "the earlier decisions were lost; removing this file lets all remotes of the host's manifest run: {path}"
            )),
            None => None,
        }
    }

    /// Returns `true` if the remote was enabled, and not disabled since: what a remote in the drop folder needs to
    /// run.
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
        self.decide(Decision::Enable(name.to_owned()))
    }

    /// Disables the remote.
    ///
    /// # Errors
    /// When it cannot be written down; it holds for this value all the same.
    pub fn disable(&mut self, name: &str, why: Disabled) -> Result<(), ChoicesError> {
        self.decide(Decision::Disable(name.to_owned(), why))
    }

    fn decide(&mut self, decision: Decision) -> Result<(), ChoicesError> {
        let decisions = [decision];
        self.write(&decisions).inspect_err(|_| decisions.iter().for_each(|decision| _ = self.note(decision)))
    }

    /// Takes a decision without writing it down; returns the reason if that disables a remote that failed too often.
    pub(crate) fn note(&mut self, decision: &Decision) -> Option<Disabled> {
        self.known.take(decision)
    }

    /// Writes decisions down, all or none.
    ///
    /// # Errors
    /// Fails if they cannot be written; none is taken then.
    pub(crate) fn write(&mut self, decisions: &[Decision]) -> Result<(), ChoicesError> {
        let written = self.file.change(|known: &mut Known| {
            known.clamp(seconds(SystemTime::now()));
            for decision in decisions {
                known.take(decision);
            }
            Ok::<_, io::Error>(known.clone())
        });
        let name = decisions.last().map(Decision::name).unwrap_or_default().to_owned();
        self.known =
            written.map_err(|error| ChoicesError { name, error, path: self.file.path().to_owned() })?;
        self.unread = None;
        Ok(())
    }

    /// Returns `true` if both say the same of every remote.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        (&self.known, &self.unread) == (&other.known, &other.unread)
    }
}

impl Known {
    /// Brings the times of a file, which may state any, within those that a clock can have had.
    fn clamp(&mut self, now: u64) {
        self.disabled.values_mut().for_each(|why| why.at = why.at.min(now));
    }

    fn take(&mut self, decision: &Decision) -> Option<Disabled> {
        match decision {
            Decision::Enable(name) => {
                self.enabled.insert(name.clone());
                self.disabled.remove(name);
                self.failures.remove(name);
                None
            }
            Decision::Disable(name, why) => {
                self.disable(name, why.clone());
                None
            }
            Decision::Failed { name, code, message, at } => self.fail(name, code, message, *at),
        }
    }

    fn disable(&mut self, name: &str, why: Disabled) {
        let codes = why.codes.into_iter().take(FAILURES).collect();
        let why = Disabled { message: cut(&why.message, MAX_MESSAGE), codes, ..why };
        self.enabled.remove(name);
        self.failures.remove(name);
        self.disabled.insert(name.to_owned(), why);
    }

    /// Counts a failure; the reason, if it was one too many.
    fn fail(&mut self, name: &str, code: &FailureCode, message: &str, now: u64) -> Option<Disabled> {
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
        failures.push(Failed { code: code.clone(), at: now });
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
