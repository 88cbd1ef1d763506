//! Errors of manifests, with their places.

use std::fmt;

use super::MANIFEST_VERSION;

/// A manifest that cannot be used. The message is one sentence; [`summary`](Self::summary) and
/// [`advice`](Self::advice) return its parts.
///
/// The caller adds the path of the file, because the text may come from a library's section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The text exceeds the largest manifest that is read.
    #[error("the manifest has {bytes} bytes and at most {limit} are read: check that this is the right file")]
    TooLarge {
        /// Size of the text, in bytes.
        bytes: usize,
        /// Size of the largest manifest that is read, in bytes.
        limit: usize,
    },
    /// The text is not JSON.
    #[error("the manifest is not JSON: {problem}; correct it there (line {line}, column {column})")]
    NotJson {
        /// The parser's message.
        problem: String,
        /// Line of the problem, from 1.
        line: usize,
        /// Column of the problem in characters, from 1.
        column: usize,
    },
    /// The manifest is written in a format that this build does not know.
    #[error(
        "manifestVersion {found} is unknown: this build reads manifestVersion {MANIFEST_VERSION}, \
         so rewrite the manifest or use a build that reads {found} ({place})"
    )]
    Version {
        /// The version that the manifest states.
        found: String,
        /// The place of that number.
        place: Place,
    },
    /// The JSON is not a manifest: an unknown, repeated or missing key, or a value that is wrong.
    #[error("{problem}{} ({place})", hint.as_ref().map_or("; correct it there".to_owned(), |hint| format!(": {hint}")))]
    Invalid {
        /// The problem.
        problem: String,
        /// The correction, if known.
        hint: Option<String>,
        /// The place of the problem.
        place: Place,
    },
}

impl ManifestError {
    /// Returns the stable, kebab-case name of this kind of problem.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "manifest-too-large",
            Self::NotJson { .. } => "manifest-not-json",
            Self::Version { .. } => "manifest-version",
            Self::Invalid { .. } => "manifest-invalid",
        }
    }

    /// Returns the problem and its place.
    pub fn summary(&self) -> String {
        match self {
            Self::TooLarge { bytes, limit } => {
                format!("the manifest has {bytes} bytes and at most {limit} are read")
            }
            Self::NotJson { problem, line, column } => {
                format!("the manifest is not JSON: {problem} (line {line}, column {column})")
            }
            Self::Version { found, place } => format!(
                "manifestVersion {found} is unknown: this build reads manifestVersion {MANIFEST_VERSION} ({place})"
            ),
            Self::Invalid { problem, place, .. } => format!("{problem} ({place})"),
        }
    }

    /// Returns the advice.
    pub fn advice(&self) -> String {
        match self {
            Self::TooLarge { .. } => "check that this is the right file".to_owned(),
            Self::NotJson { .. } => "correct it there".to_owned(),
            Self::Version { found, .. } => format!("rewrite the manifest or use a build that reads {found}"),
            Self::Invalid { hint, .. } => hint.clone().unwrap_or_else(|| "correct it there".to_owned()),
        }
    }

    /// Returns the JSON pointer (RFC 6901) to the value or key concerned; `None` if the text has no structure.
    pub fn pointer(&self) -> Option<&str> {
        self.place().map(|place| place.pointer.as_str())
    }

    /// Returns the line of the problem, from 1; `None` if the text was not parsed.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::NotJson { line, .. } => Some(*line),
            _ => self.place().map(|place| place.line),
        }
    }

    /// Returns the column of the problem in characters, from 1; `None` if the text was not parsed.
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::NotJson { column, .. } => Some(*column),
            _ => self.place().map(|place| place.column),
        }
    }

    /// Returns the correction, if known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { hint, .. } => hint.clone(),
            Self::Version { .. } => Some(format!("this build reads manifestVersion {MANIFEST_VERSION}")),
            _ => None,
        }
    }

    fn place(&self) -> Option<&Place> {
        match self {
            Self::Version { place, .. } | Self::Invalid { place, .. } => Some(place),
            Self::TooLarge { .. } | Self::NotJson { .. } => None,
        }
    }
}

/// A place in the text of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, line, column } = self;
        if !pointer.is_empty() {
            write!(f, "at {pointer}, ")?;
        }
        write!(f, "line {line}, column {column}")
    }
}
