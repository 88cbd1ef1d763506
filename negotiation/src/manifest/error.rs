//! What can be wrong with a manifest, and where.

use std::fmt;

use super::MANIFEST_VERSION;

/// A manifest that cannot be used; the message is one sentence, [`summary`](Self::summary) and
/// [`advice`](Self::advice) are its parts.
///
/// The path of the file is the caller's to add: the text may come from a library's section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The text is larger than any manifest.
    #[error("the manifest has {bytes} bytes and at most {limit} are read: check that this is the right file")]
    TooLarge {
        /// Size of the text.
        bytes: usize,
        /// Size of the largest manifest that is read.
        limit: usize,
    },
    /// The text is not JSON at all.
    #[error("the manifest is not JSON: {problem}; correct it there (line {line}, column {column})")]
    NotJson {
        /// What the parser expected.
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
        /// Where it states it.
        place: Place,
    },
    /// The JSON is not a manifest: an unknown, repeated or missing key, or a value that is wrong.
    #[error("{problem}{} ({place})", hint.as_ref().map_or("; correct it there".to_owned(), |hint| format!(": {hint}")))]
    Invalid {
        /// What is wrong.
        problem: String,
        /// What to write instead, where that is known.
        hint: Option<String>,
        /// Where it is wrong.
        place: Place,
    },
}

impl ManifestError {
    /// The stable, kebab-case name of this kind of problem.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "manifest-too-large",
            Self::NotJson { .. } => "manifest-not-json",
            Self::Version { .. } => "manifest-version",
            Self::Invalid { .. } => "manifest-invalid",
        }
    }

    /// Returns what is wrong, and where.
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

    /// Returns what to do.
    pub fn advice(&self) -> String {
        match self {
            Self::TooLarge { .. } => "check that this is the right file".to_owned(),
            Self::NotJson { .. } => "correct it there".to_owned(),
            Self::Version { found, .. } => format!("rewrite the manifest or use a build that reads {found}"),
            Self::Invalid { hint, .. } => hint.clone().unwrap_or_else(|| "correct it there".to_owned()),
        }
    }

    /// JSON pointer (RFC 6901) to the value or key concerned; none when the text has no structure.
    pub fn pointer(&self) -> Option<&str> {
        self.place().map(|place| place.pointer.as_str())
    }

    /// Line of the problem, from 1; none when the text was not looked at.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::NotJson { line, .. } => Some(*line),
            _ => self.place().map(|place| place.line),
        }
    }

    /// Column of the problem in characters, from 1; none when the text was not looked at.
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::NotJson { column, .. } => Some(*column),
            _ => self.place().map(|place| place.column),
        }
    }

    /// What to write instead, where that is known.
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
