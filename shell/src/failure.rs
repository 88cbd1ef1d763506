//! Failures of a remote as values, shown in the remote's slot and in the log.

use std::{fmt, sync::Arc};

use negotiation::text;
use plugin_api::abi::RemoteError;

use crate::{catalogue::Code, limits};

/// The stage of a remote's life in which a failure happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Finding and reading manifest and library.
    Discover,
    /// Checking a library's content against its manifest, and the decisions about the remote.
    Check,
    /// Trying a library in a separate process.
    Preflight,
    /// Negotiating shared crates.
    Plan,
    /// Loading the library.
    Load,
    /// Starting the remote.
    Init,
    /// Creating a surface.
    Open,
    /// Restoring the state of a surface's previous generation.
    Restore,
    /// Drawing a frame.
    Frame,
    /// Saving a surface's state for its next generation.
    Save,
    /// Closing and unloading.
    Retire,
}

impl Stage {
    /// Returns its word in codes, times and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Check => "check",
            Self::Preflight => "preflight",
            Self::Plan => "plan",
            Self::Load => "load",
            Self::Init => "init",
            Self::Open => "new",
            Self::Restore => "restore",
            Self::Frame => "frame",
            Self::Save => "save",
            Self::Retire => "retire",
        }
    }

    /// Returns the code of a panic; no code of a remote runs before `init`.
    const fn panicked(self) -> Code {
        match self {
            Self::Discover | Self::Check | Self::Preflight | Self::Plan | Self::Load | Self::Init => {
                Code::InitPanicked
            }
            Self::Open => Code::NewPanicked,
            Self::Restore => Code::RestorePanicked,
            Self::Frame => Code::FramePanicked,
            Self::Save => Code::SavePanicked,
            Self::Retire => Code::RetirePanicked,
        }
    }

    /// Returns the code of an error without a code of its own.
    const fn failed(self) -> Code {
        match self {
            Self::Discover | Self::Check | Self::Preflight | Self::Plan | Self::Load | Self::Init => {
                Code::InitFailed
            }
            Self::Open => Code::NewFailed,
            Self::Restore => Code::RestoreFailed,
            Self::Frame => Code::FrameFailed,
            Self::Save => Code::SaveFailed,
            Self::Retire => Code::RetireFailed,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The code of a failure: one of Pulse, or a word that the remote's author chose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FailureCode {
    /// A code of the catalogue.
    Pulse(Code),
    /// An author's own word, of at most 64 bytes.
    Author(Box<str>),
}

impl FailureCode {
    /// Reads a word from a remote or a file; cuts and neutralises an author's own.
    pub fn parse(word: &str) -> Self {
        let own = || Self::Author(text::line(word, limits::CODE).into());
        Code::find(word).map_or_else(own, Self::Pulse)
    }

    /// Returns the word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pulse(code) => code.as_str(),
            Self::Author(word) => word,
        }
    }

    /// Returns the words of several codes, with commas between.
    pub(crate) fn list(codes: &[Self]) -> String {
        codes.iter().map(Self::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl From<Code> for FailureCode {
    fn from(code: Code) -> Self {
        Self::Pulse(code)
    }
}

impl From<String> for FailureCode {
    fn from(word: String) -> Self {
        Self::parse(&word)
    }
}

impl From<FailureCode> for String {
    fn from(code: FailureCode) -> Self {
        code.as_str().to_owned()
    }
}

impl PartialEq<Code> for FailureCode {
    fn eq(&self, other: &Code) -> bool {
        matches!(self, Self::Pulse(code) if code == other)
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<delivery::DeliveryError> for Failure {
    fn from(error: delivery::DeliveryError) -> Self {
        let delivery::DeliveryError { code, summary, advice } = error;
        Self::new(Stage::Discover, Code::from(code), summary, advice)
    }
}

/// A failure of a remote.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// The stage in which it happened.
    pub stage: Stage,
    /// Its stable code.
    pub code: FailureCode,
    /// The event and its place.
    pub summary: String,
    /// The remedy; may be empty.
    pub advice: String,
    /// Data for the repair: place, backtrace, searched folders. May be empty.
    pub details: String,
}

impl Failure {
    /// Creates a failure without details.
    pub fn new(
        stage: Stage,
        code: impl Into<FailureCode>,
        summary: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            stage,
            code: code.into(),
            summary: summary.into(),
            advice: advice.into(),
            details: String::new(),
        }
    }

    /// Creates the failure that `error` describes.
    pub fn from_error(stage: Stage, error: &impl Advise) -> Self {
        Self::new(stage, error.code(), error.to_string(), error.advice())
    }

    /// Returns summary and advice in one line, as in logs.
    pub fn line(&self) -> String {
        line(&self.summary, &self.advice)
    }

    /// Returns the same failure with details.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// Appends advice.
    pub(crate) fn advise(&mut self, advice: &str) {
        if !self.advice.is_empty() {
            self.advice.push_str("; ");
        }
        self.advice.push_str(advice);
    }

    /// Copies a remote's error out of its memory, cut and neutralised. Each stage has its own code for panics; an
    /// author's word that is not a valid code is replaced by the stage's code.
    pub fn from_remote(stage: Stage, error: &RemoteError) -> Self {
        let code = match error.code.as_str() {
            RemoteError::PANICKED => stage.panicked().into(),
            code if code != RemoteError::FAILED && is_code(code) => FailureCode::parse(code),
            _ => stage.failed().into(),
        };
        // Creating a surface and restoring its state is a single call; the code shows which of them failed.
        let stage = if code.as_str().starts_with("restore-") { Stage::Restore } else { stage };
        let advice = match stage {
            _ if error.code != RemoteError::PANICKED => "",
            Stage::Retire => "report this to the plugin's author",
            _ => "press Restart to start it again, and report this to the plugin's author, with the details",
        };
        let message = text::lines(&error.message, limits::MESSAGE);
        let place = text::line(&error.location, limits::LOCATION);
        let summary = match (error.code.as_str(), place.as_str()) {
            (RemoteError::PANICKED, "") => format!("the remote panicked: {message}"),
            (RemoteError::PANICKED, place) => format!("the remote panicked at {place}: {message}"),
            _ => message,
        };
        Self::new(stage, code, summary, advice).with_details(text::lines(&error.backtrace, limits::DETAILS))
    }

    /// Formats the whole failure as text for the clipboard.
    pub fn report(&self, remote: &str) -> String {
        let mut text =
            format!("remote: {remote}\nstage: {}\ncode: {}\n{}\n", self.stage, self.code, self.line());
        if !self.details.is_empty() {
            text.push('\n');
            text.push_str(&self.details);
            text.push('\n');
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.line(), self.code)
    }
}

impl std::error::Error for Failure {}

/// An error that reaches the user: its [`Display`](fmt::Display) states what happened and where.
pub trait Advise: fmt::Display {
    /// Returns the stable code.
    fn code(&self) -> FailureCode;

    /// Returns the remedy; may be empty.
    fn advice(&self) -> String;

    /// Returns summary and advice in one line, as in logs.
    fn line(&self) -> String {
        line(&self.to_string(), &self.advice())
    }
}

/// Implements [`Advise`] for an error by its methods of the same names.
macro_rules! advise {
    ($error:ty) => {
        impl $crate::failure::Advise for $error {
            fn code(&self) -> $crate::failure::FailureCode {
                self.code().into()
            }

            fn advice(&self) -> String {
                self.advice().into()
            }
        }
    };
}

pub(crate) use advise;

impl Advise for delivery::DeliveryError {
    fn code(&self) -> FailureCode {
        Code::from(self.code).into()
    }

    fn advice(&self) -> String {
        self.advice.clone().into_owned()
    }
}

fn line(summary: &str, advice: &str) -> String {
    if advice.is_empty() { summary.to_owned() } else { format!("{summary}; {advice}") }
}

/// Returns `true` for kebab-case within the limit.
fn is_code(code: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    code.len() <= limits::CODE && code.split('-').all(word)
}

/// Capitalises a message, which in a log follows a colon, for use as a separate sentence.
pub fn sentence(message: impl fmt::Display) -> String {
    let text = message.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

/// A failure shown in several places.
pub type SharedFailure = Arc<Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> RemoteError {
        let (location, backtrace) = (message.into(), message.into());
        RemoteError { location, backtrace, ..RemoteError::new(code, message) }
    }

    #[test]
    fn texts_of_remotes_have_limits() {
        let huge = "m".repeat(64 << 20);
        for code in [RemoteError::PANICKED, "author-s-own", &huge] {
            let failure = Failure::from_remote(Stage::Frame, &error(code, &huge));
            assert!(failure.code.as_str().len() <= limits::CODE, "{}", failure.code);
            assert!(failure.summary.len() <= limits::MESSAGE + limits::LOCATION + 200);
            assert!(failure.details.len() <= limits::DETAILS);
        }
    }

    #[test]
    fn texts_of_remotes_have_no_controls() {
        let text = "a\u{1b}[2J\r\u{7}\u{9b}31m\u{202e}b\nc\0";
        for code in [RemoteError::PANICKED, RemoteError::FAILED, text] {
            let failure = Failure::from_remote(Stage::Open, &error(code, text));
            let all = format!("{}{}{}", failure.code, failure.line(), failure.details);
            assert!(!all.replace('\n', "").contains(text::is_deceptive), "{all:?}");
        }
    }

    #[test]
    fn code_is_kebab_case_or_the_stages() {
        for (given, expected) in [
            ("no-seats-2", "no-seats-2"),
            ("No-Seats", "new-failed"),
            ("no seats", "new-failed"),
            ("-", "new-failed"),
            ("", "new-failed"),
            ("x\u{1b}[31m", "new-failed"),
            (RemoteError::PANICKED, "new-panicked"),
        ] {
            assert_eq!(
                Failure::from_remote(Stage::Open, &error(given, "")).code.as_str(),
                expected,
                "{given:?}"
            );
        }
    }
}
