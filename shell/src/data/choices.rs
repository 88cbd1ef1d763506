//! Decisions of users and the shell about remotes, across restarts: `DATA/remotes.json`.
//!
//! Remotes are identified by the name in their manifest.
//! Every change reads the file first, so several shells and commands do not undo each other's changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{catalogue::Code, failure::FailureCode};

use super::shared_file::{Content, SharedFile, remedy};

/// Number of failures within [`WINDOW`] that disable a remote.
pub const FAILURES: usize = 3;

/// Period in which failures count together.
pub const WINDOW: Duration = Duration::from_mins(10);

/// Maximum length of a stored message, in characters.
const MAX_MESSAGE: usize = 1000;

/// Origin of the decision to disable a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A user.
    #[serde(rename = "person")]
    User,
    /// The shell, after [`FAILURES`] failures within [`WINDOW`].
    Failures,
}

/// Reason why a remote is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Origin of the decision.
    pub by: By,
    /// Codes of the failures, oldest first; empty for a decision of a user.
    #[serde(default)]
    pub codes: Vec<FailureCode>,
    /// Message of the last failure, or the user's reason; may be empty.
    #[serde(default)]
    pub message: String,
    /// Time of the decision, in seconds since 1970.
    pub at: u64,
}

impl Disabled {
    /// Makes a decision of a user, with the present time.
    pub fn by_user(message: impl Into<String>) -> Self {
        Self { by: By::User, codes: Vec::new(), message: message.into(), at: seconds(SystemTime::now()) }
    }
}

/// A decision that could not be saved; it applies until the shell ends.
#[derive(Debug, thiserror::Error)]
#[error("the decision about `{name}` is not saved ({error}): {}", path.display())]
pub struct ChoicesError {
    name: String,
    error: io::Error,
    path: PathBuf,
}

crate::failure::advise!(ChoicesError);

impl ChoicesError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        Code::ChoicesUnwritable
    }

    /// Returns what to do.
    pub fn advice(&self) -> &'static str {
        remedy(&self.error)
    }
}

/// A decision, or a failure that may lead to one.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Enable(String),
    Disable(String, Disabled),
    /// The remote was removed: another one of its name is a new one.
    Forget(String),
    /// A failure of a running remote; `at` is its time in seconds since 1970.
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
        let (Self::Enable(name) | Self::Disable(name, _) | Self::Forget(name) | Self::Failed { name, .. }) =
            self;
        name
    }
}

/// The decisions of one data folder, from the last time that they were read or changed.
#[derive(Clone, Debug)]
pub struct Choices {
    file: SharedFile,
    known: Known,
    /// Reason why earlier decisions are not known.
    unread: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    enabled: BTreeSet<String>,
    disabled: BTreeMap<String, Disabled>,
    failures: BTreeMap<String, Vec<Failed>>,
    /// Set if earlier decisions are lost, so any other remote may have been disabled.
    #[serde(rename = "onlyEnabled", skip_serializing_if = "std::ops::Not::not")]
    only_enabled: bool,
}

impl Content for Known {
    fn after_loss() -> Self {
        Self { only_enabled: true, ..Self::default() }
    }
}

/// A failure that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Failed {
    code: FailureCode,
    /// Time in seconds since 1970.
    at: u64,
}

impl Choices {
    /// Reads the decisions of this data folder; logs a file that cannot be read.
    pub fn load(data_dir: &Path) -> Self {
        let mut choices = Self::unread(data_dir);
        choices.reload();
        choices
    }

    /// Returns the decisions of this data folder before they are read.
    pub(crate) fn unread(data_dir: &Path) -> Self {
        let path = data_dir.join("remotes.json");
        let file = SharedFile::new(path, "the list of enabled and disabled remotes", Code::ChoicesDamaged);
        Self { file, known: Known::default(), unread: Some("it is still being read".to_owned()) }
    }

    /// Returns the file that every change of the decisions writes, by any process.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Reads the file again. A failure is logged, and the known decisions stay.
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
                    "the list of enabled and disabled remotes cannot be read ({error}); {}: {}",
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

    /// Returns `true` if the remote was enabled, and not disabled since. A remote in the drop folder runs only then.
    pub fn is_enabled(&self, name: &str) -> bool {
        self.known.enabled.contains(name) && !self.known.disabled.contains_key(name)
    }

    /// Returns the reason why the remote is disabled.
    pub fn disabled(&self, name: &str) -> Option<&Disabled> {
        self.known.disabled.get(name)
    }

    /// Enables the remote, and removes the reason why it was disabled and its failures.
    ///
    /// # Errors
    /// Fails if it cannot be saved; it applies to this value anyway.
    pub fn enable(&mut self, name: &str) -> Result<(), ChoicesError> {
        self.decide(Decision::Enable(name.to_owned()))
    }

    /// Disables the remote.
    ///
    /// # Errors
    /// Fails if it cannot be saved; it applies to this value anyway.
    pub fn disable(&mut self, name: &str, why: Disabled) -> Result<(), ChoicesError> {
        self.decide(Decision::Disable(name.to_owned(), why))
    }

    /// Forgets all decisions about the remote, which was removed.
    ///
    /// # Errors
    /// Fails if it cannot be saved; it applies to this value anyway.
    pub fn forget(&mut self, name: &str) -> Result<(), ChoicesError> {
        self.decide(Decision::Forget(name.to_owned()))
    }

    fn decide(&mut self, decision: Decision) -> Result<(), ChoicesError> {
        let decisions = [decision];
        self.write(&decisions).inspect_err(|_| decisions.iter().for_each(|decision| _ = self.note(decision)))
    }

    /// Applies a decision without saving it; returns the reason if that disables a remote that failed too often.
    pub(crate) fn note(&mut self, decision: &Decision) -> Option<Disabled> {
        self.known.apply(decision)
    }

    /// Saves decisions, all or none.
    ///
    /// # Errors
    /// Fails if they cannot be saved; none is applied then.
    pub(crate) fn write(&mut self, decisions: &[Decision]) -> Result<(), ChoicesError> {
        let written = self.file.change(|known: &mut Known| {
            known.clamp(seconds(SystemTime::now()));
            for decision in decisions {
                known.apply(decision);
            }
            Ok::<_, io::Error>(known.clone())
        });
        let name = decisions.last().map(Decision::name).unwrap_or_default().to_owned();
        self.known =
            written.map_err(|error| ChoicesError { name, error, path: self.file.path().to_owned() })?;
        self.unread = None;
        Ok(())
    }

    /// Returns `true` if both hold the same decisions about every remote.
    pub(crate) fn has_same_decisions(&self, other: &Self) -> bool {
        (&self.known, &self.unread) == (&other.known, &other.unread)
    }
}

impl Known {
    /// Limits times from a file, which may contain any value, to the past.
    fn clamp(&mut self, now: u64) {
        self.disabled.values_mut().for_each(|why| why.at = why.at.min(now));
    }

    fn apply(&mut self, decision: &Decision) -> Option<Disabled> {
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
            Decision::Forget(name) => {
                self.enabled.remove(name);
                self.disabled.remove(name);
                self.failures.remove(name);
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

    /// Counts a failure; returns the reason if it disables the remote.
    fn fail(&mut self, name: &str, code: &FailureCode, message: &str, now: u64) -> Option<Disabled> {
        // Failures in the future come from a clock that was wrong.
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
