//! Version requirements: a Cargo range with an explicit operator, or any version.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use semver::{Comparator, Op, Version, VersionReq};
use serde::{Serialize, Serializer};

/// The versions of a shared crate that a participant accepts: a range, or `false` for any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// The versions that a Cargo range accepts.
    Range(Range),
    /// Any version, including prereleases; `false` in JSON.
    Any,
}

impl Requirement {
    /// Returns `^version`, the requirement of a participant without `requiredVersion`.
    pub fn compatible_with(version: &Version) -> Self {
        let comparator = Comparator {
            op: Op::Caret,
            major: version.major,
            minor: Some(version.minor),
            patch: Some(version.patch),
            pre: version.pre.clone(),
        };
        let text = comparator.to_string();
        Self::Range(Range { req: VersionReq { comparators: vec![comparator] }, text })
    }

    /// Returns the range as an author writes it for `version`: `^1.2` for 1.2.3, with more numbers where Cargo needs
    /// them.
    pub fn written_for(version: &Version) -> Self {
        let Version { major, minor, pre, .. } = version;
        let short = format!("^{major}.{minor}");
        match short.parse() {
            Ok(range) if pre.is_empty() && (*major, *minor) != (0, 0) => Self::Range(range),
            _ => Self::compatible_with(version),
        }
    }

    /// Returns the lowest version that a range names or begins at; 1.0.0 or below if the range has no lower end.
    ///
    /// Returns `None` for a range that no version fits.
    pub fn lowest(&self) -> Option<Version> {
        let floor =
            [Version::new(1, 0, 0), Version::new(0, 1, 0), Version::new(0, 0, 1), Version::new(0, 0, 0)];
        let Self::Range(range) = self else { return Some(floor[0].clone()) };
        let mut begins = Vec::new();
        for Comparator { op, major, minor, patch, pre } in &range.req.comparators {
            let named = Version::new(*major, minor.unwrap_or_default(), patch.unwrap_or_default());
            match op {
                Op::Greater => {
                    let Version { major, minor, patch, .. } = named;
                    begins.extend([
                        Version::new(major, minor, patch), // above its prereleases
                        Version::new(major, minor, patch.saturating_add(1)),
                        Version::new(major, minor.saturating_add(1), 0),
                        Version::new(major.saturating_add(1), 0, 0),
                    ]);
                }
                Op::Less | Op::LessEq => {}
                _ => begins.push(Version { pre: pre.clone(), ..named }),
            }
        }
        begins.sort();
        begins.into_iter().chain(floor).find(|version| range.req.matches(version))
    }

    /// Returns `true` if `version` fits, by Cargo's rules: a prerelease fits a range only if a comparator of the
    /// range names a prerelease of the same version.
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Range(range) => range.req.matches(version),
            Self::Any => true,
        }
    }

    /// Returns `true` for [`Self::Any`], which also accepts the prereleases that a range excludes.
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => f.write_str(&range.text),
            Self::Any => f.write_str("any version"),
        }
    }
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Range(range) => serializer.serialize_str(&range.text),
            Self::Any => serializer.serialize_bool(false),
        }
    }
}

impl JsonSchema for Requirement {
    fn schema_name() -> Cow<'static, str> {
        "Requirement".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let comparator =
            r"\s*(([\^~=<>]|<=|>=)\s*[0-9][0-9A-Za-z.*+-]*|\*|[0-9]+(\.[0-9]+)?\.[*xX](\.[*xX])?)\s*";
        json_schema!({
            "description": "The accepted versions: a Cargo range whose parts carry an operator (\"^1.2\", \">=1.1, <3\", \"1.*\"), \"*\" for any release, or false for any version, including prereleases.",
            "oneOf": [
                { "type": "string", "pattern": format!("^{comparator}(,{comparator})*$"), "maxLength": Range::MAX_LEN },
                { "const": false }
            ]
        })
    }
}

/// A Cargo range, with its text as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Range {
    req: VersionReq,
    text: String,
}

impl Range {
    /// The longest range, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Returns the range as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text.len() > Self::MAX_LEN {
            return Err(RangeError::TooLong);
        }
        if text.contains("||") {
            return Err(RangeError::Alternatives);
        }
        for part in text.split(',').map(str::trim) {
            let bare = part.starts_with(|c: char| c.is_ascii_digit());
            let wildcard = part
                .split(['-', '+'])
                .next()
                .is_some_and(|numbers| numbers.split('.').any(|number| matches!(number, "*" | "x" | "X")));
            if bare && !wildcard && part.contains(char::is_whitespace) {
                return Err(RangeError::Syntax(format!("`{part}` is not one comparator")));
            }
            if bare && !wildcard {
                return Err(RangeError::Bare(part.to_owned()));
            }
        }
        match VersionReq::parse(text) {
            Ok(req) => Ok(Self { req, text: text.to_owned() }),
            Err(error) => Err(RangeError::Syntax(error.to_string())),
        }
    }
}

/// The reason why text is not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// A number without an operator, which npm reads as "exactly" and Cargo as "compatible".
    #[error("`{0}` carries no operator, and npm and Cargo read that differently")]
    Bare(String),
    /// The operator `||`, which Cargo's ranges do not have.
    #[error("a range cannot have alternatives (`||`)")]
    Alternatives,
    /// Text longer than [`Range::MAX_LEN`].
    #[error("a range can have at most {} bytes", Range::MAX_LEN)]
    TooLong,
    /// Any other text that is not a range.
    #[error("it is not a range: {0}")]
    Syntax(String),
}

impl RangeError {
    /// Returns the stable, kebab-case name of this kind of problem.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bare(_) => "range-bare-version",
            Self::Alternatives => "range-alternatives",
            Self::TooLong => "range-too-long",
            Self::Syntax(_) => "range-syntax",
        }
    }

    /// Returns the correction.
    pub fn hint(&self) -> String {
        match self {
            Self::Bare(part) => {
                let part = super::names::shown(part);
                format!("write \"^{part}\" (compatible) or \"={part}\" (exactly)")
            }
            Self::Alternatives => "write one range that covers them, such as \">=1.1, <3\"".to_owned(),
            Self::TooLong | Self::Syntax(_) => {
                "write a Cargo range such as \"^1.2\", parts separated by commas, or \"*\" for any release"
                    .to_owned()
            }
        }
    }
}
