//! Repositories of remotes that a host trusts, and its settings for updates from them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::{base_url, variable};
use super::json::Json;
use super::names::{self, MAX_LOCATION};
use super::read::{Cursor, ManifestFault};
use super::requirement::Requirement;
use super::shared::{decode_requirement, is_false, is_true, yes};

/// A repository of remotes that the host trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryConfig {
    /// The fingerprint of a root file of the repository: "sha256:" and 64 hexadecimal digits.
    #[schemars(regex(pattern = ROOT_PATTERN))]
    pub root: String,
    /// The path of a file that holds a bearer token, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The name of the environment variable that holds a bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The path of a file with additional root certificates in PEM, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<PathBuf>,
}

const ROOT_PATTERN: &str = "^sha256:[0-9a-f]{64}$";

/// The decision about a newer release of a remote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpdatePolicy {
    /// Fetches and applies it.
    Auto,
    /// Offers it to the user.
    #[default]
    Ask,
    /// Ignores it.
    Pin,
}

impl UpdatePolicy {
    /// The policies and their words in manifests and on the command line.
    pub const WORDS: [(&'static str, Self); 3] = [("auto", Self::Auto), ("ask", Self::Ask), ("pin", Self::Pin)];

    /// Returns its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ask => "ask",
            Self::Pin => "pin",
        }
    }
}

/// Settings for updates of remotes that come from repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateConfig {
    /// Checks all repositories when the shell starts.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub on_start: bool,
    /// Checks again after this many minutes; absent, only when the shell starts or the user requests it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_080))]
    pub every_minutes: Option<u32>,
    /// The policy for remotes without one of their own.
    #[serde(default)]
    pub policy: UpdatePolicy,
    /// The time limit for connecting to a repository and for the start of its answer, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: Option<u32>,
    /// The number of attempts before an unreachable repository is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<u32>,
    /// Settings of single remotes, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remotes: BTreeMap<String, RemoteUpdates>,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            on_start: true,
            every_minutes: None,
            policy: UpdatePolicy::default(),
            timeout_seconds: None,
            attempts: None,
            remotes: BTreeMap::new(),
        }
    }
}

/// Settings for updates of one remote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteUpdates {
    /// The versions of the remote that this host accepts; absent, any release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Requirement")]
    pub version: Option<Requirement>,
    /// The channel; absent, "stable".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub channel: Option<String>,
    /// The policy of this remote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<UpdatePolicy>,
    /// Fetches the library when the shell starts, not when the remote is first shown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preload: bool,
}

/// Decodes `repositories`.
pub(super) fn decode_repositories(
    at: &Cursor<'_>,
) -> Result<BTreeMap<String, RepositoryConfig>, ManifestFault> {
    at.map(repository_url, RepositoryConfig::decode)
}

impl RepositoryConfig {
    fn decode(at: &Cursor<'_>) -> Result<Self, ManifestFault> {
        let entry = at.object(&["root", "tokenFile", "tokenEnv", "certificates"])?;
        let path = |key: &str| {
            let text = entry.optional(key).map(|at| at.text(|text| names::line(text, MAX_LOCATION)));
            text.transpose().map(|text| text.map(PathBuf::from))
        };
        let token_file = path("tokenFile")?;
        let token_env = entry.optional("tokenEnv").map(|at| at.text(variable)).transpose()?;
        if token_file.is_some() && token_env.is_some() {
            let fault = entry.cursor().fault("`tokenFile` and `tokenEnv` are both given");
            return Err(fault.hint("keep the one that holds the token"));
        }
        Ok(Self {
            root: entry.required("root")?.text(fingerprint)?,
            token_file,
            token_env,
            certificates: path("certificates")?,
        })
    }
}

impl UpdateConfig {
    pub(super) fn decode(at: &Cursor<'_>) -> Result<Self, ManifestFault> {
        let entry =
            at.object(&["onStart", "everyMinutes", "policy", "timeoutSeconds", "attempts", "remotes"])?;
        let number =
            |key: &str, most: u32| entry.optional(key).map(|at| between_one_and(&at, most)).transpose();
        Ok(Self {
            on_start: entry.optional("onStart").map_or(Ok(true), |at| at.bool())?,
            every_minutes: number("everyMinutes", 10_080)?,
            policy: entry.or_default("policy", |at| at.one_of(&UpdatePolicy::WORDS))?,
            timeout_seconds: number("timeoutSeconds", 300)?,
            attempts: number("attempts", 10)?,
            remotes: entry.or_default("remotes", |at| at.map(names::file_name, RemoteUpdates::decode))?,
        })
    }
}

impl RemoteUpdates {
    fn decode(at: &Cursor<'_>) -> Result<Self, ManifestFault> {
        let entry = at.object(&["version", "channel", "policy", "preload"])?;
        Ok(Self {
            version: entry.optional("version").map(|at| decode_requirement(&at)).transpose()?,
            channel: entry.optional("channel").map(|at| at.text(names::name)).transpose()?,
            policy: entry.optional("policy").map(|at| at.one_of(&UpdatePolicy::WORDS)).transpose()?,
            preload: entry.or_default("preload", Cursor::bool)?,
        })
    }
}

fn between_one_and(at: &Cursor<'_>, most: u32) -> Result<u32, ManifestFault> {
    let number = match at.value() {
        Json::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    let wanted = || at.expected(&format!("a whole number from 1 to {most}"));
    number.filter(|number| (1..=most).contains(number)).ok_or_else(wanted)
}

fn repository_url(text: &str) -> Result<(), String> {
    if text.starts_with("file:///") { names::line(text, MAX_LOCATION) } else { base_url(text) }
}

fn fingerprint(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    if digits.len() == 64 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(())
    } else {
        Err("it must be \"sha256:\" and 64 hexadecimal digits; `pulse repo check` prints it".to_owned())
    }
}
