//! The manifest of a host.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MANIFEST_VERSION;
use super::error::ManifestError;
use super::json::Json;
use super::names::{self, MAX_LOCATION};
use super::read::{self, Cursor, ManifestFault, Object};
use super::remote::{AtomAccess, FILE_NAME_PATTERN, decode_atoms};
use super::shared::{ShareDecl, is_false, is_true, yes};
use super::updates::{RepositoryConfig, UpdateConfig, decode_repositories};

/// The manifest of a host: the remotes with their locations, the crates that it shares, and the sign-in provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostManifest {
    /// Path or URL of this file's JSON schema, for editors.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the manifest format.
    #[schemars(extend("const" = MANIFEST_VERSION))]
    pub manifest_version: u32,
    /// The name of the host as a participant.
    #[schemars(length(min = 1, max = 64), regex(pattern = FILE_NAME_PATTERN))]
    pub name: String,
    /// The strategy that chooses the provider of a shared crate.
    #[serde(default)]
    pub share_strategy: ShareStrategy,
    /// The remotes by alias, each as "name@location".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remotes: BTreeMap<String, RemoteRef>,
    /// The shared crates that the host offers or requires, by crate name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shared: BTreeMap<String, ShareDecl>,
    /// The provider of the signed-in user; absent, the user's own settings or the local profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
    /// Tries a new library in a separate process before the host loads it.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub preflight: bool,
    /// The access to atoms that each remote is granted, by remote and atom; absent, the shell decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<BTreeMap<String, BTreeMap<String, AtomAccess>>>,
    /// The participants that may provide a crate to others, by crate name; absent, every participant, but only the
    /// host for crates that carry its own state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<String, BTreeSet<String>>,
    /// The repositories of remotes that this host trusts, by URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repositories: BTreeMap<String, RepositoryConfig>,
    /// Settings for updates of remotes that come from repositories.
    #[serde(default, skip_serializing_if = "is_default")]
    pub updates: UpdateConfig,
}

fn is_default(updates: &UpdateConfig) -> bool {
    *updates == UpdateConfig::default()
}

/// The strategy that chooses the provider of a shared crate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShareStrategy {
    /// Chooses the highest compatible version, from any participant.
    #[default]
    VersionFirst,
    /// Chooses a version of a participant that is already loaded, if that satisfies the demands.
    LoadedFirst,
}

impl ShareStrategy {
    const WORDS: [(&'static str, Self); 2] =
        [("version-first", Self::VersionFirst), ("loaded-first", Self::LoadedFirst)];

    /// Returns the word for it in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VersionFirst => "version-first",
            Self::LoadedFirst => "loaded-first",
        }
    }
}

/// The name and the location of a remote; `"name@location"` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteRef {
    /// The name in the remote's own manifest.
    pub name: String,
    /// The path of a manifest or a library, relative to the host's manifest, or a URL.
    pub location: String,
}

impl fmt::Display for RemoteRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.location)
    }
}

impl Serialize for RemoteRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for RemoteRef {
    fn schema_name() -> Cow<'static, str> {
        "RemoteRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name and the location of a remote: \"name@location\". The location is the path of a manifest or a library, relative to this file, or a URL.",
            "type": "string",
            "pattern": r#"^[^\s./\\@:<>"|?*][^/\\@:<>"|?*]*@\S.*$"#,
        })
    }
}

/// The provider of the signed-in user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "provider", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AuthConfig {
    /// Reads a profile file in the user's config folder.
    #[default]
    Local,
    /// Asks a service over HTTP.
    Http(HttpAuth),
}

/// A service that returns the signed-in user: `GET {base}/api/users/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpAuth {
    /// The service's base URL, without a trailing slash.
    #[schemars(regex(pattern = r"^https?://[^\s/]\S*$"))]
    pub base: String,
    /// The path of a file that holds the bearer token, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The name of the environment variable that holds the bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// Allows sending the bearer token unencrypted, over http, to another machine.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,
}

impl HostManifest {
    /// Reads a manifest and checks all of it.
    ///
    /// # Errors
    /// [`ManifestError`] for the first problem, with its place in `text`.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        const KEYS: [&str; 12] = [
            "$schema",
            "manifestVersion",
            "name",
            "shareStrategy",
            "remotes",
            "shared",
            "auth",
            "preflight",
            "grants",
            "providers",
            "repositories",
            "updates",
        ];
        read::document(text, &KEYS, Self::decode)
    }

    /// Returns the alias of the remote `name`; of several aliases, the first.
    pub fn alias_of(&self, name: &str) -> Option<&str> {
        self.remotes.iter().find(|(_, remote)| remote.name == name).map(|(alias, _)| alias.as_str())
    }

    /// Reads a manifest from bytes; otherwise as [`Self::from_json`].
    ///
    /// # Errors
    /// [`ManifestError`] for the first problem; bytes that are not UTF-8 are `manifest-not-json`.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, ManifestError> {
        read::utf8(bytes).and_then(Self::from_json)
    }

    fn decode(top: &Object<'_>) -> Result<Self, ManifestFault> {
        Ok(Self {
            schema: top.optional("$schema").map(|at| at.string().map(str::to_owned)).transpose()?,
            manifest_version: MANIFEST_VERSION,
            name: top.required("name")?.text(names::file_name)?,
            share_strategy: top.or_default("shareStrategy", |at| at.one_of(&ShareStrategy::WORDS))?,
            remotes: top.or_default("remotes", decode_remotes)?,
            shared: top.or_default("shared", |at| at.map(names::crate_name, ShareDecl::decode))?,
            auth: top.optional("auth").map(|at| AuthConfig::decode(&at)).transpose()?,
            preflight: top.optional("preflight").map_or(Ok(true), |at| at.bool())?,
            grants: top.optional("grants").map(|at| at.map(names::file_name, decode_atoms)).transpose()?,
            providers: top.or_default("providers", |at| at.map(names::crate_name, decode_providers))?,
            repositories: top.or_default("repositories", decode_repositories)?,
            updates: top.or_default("updates", UpdateConfig::decode)?,
        })
    }
}

impl AuthConfig {
    fn decode(at: &Cursor<'_>) -> Result<Self, ManifestFault> {
        const HTTP_KEYS: [&str; 5] = ["provider", "base", "tokenFile", "tokenEnv", "insecure"];
        let provider = at.object(&HTTP_KEYS)?.required("provider")?;
        if provider.one_of(&[("local", false), ("http", true)])? {
            Ok(Self::Http(HttpAuth::decode(&at.object(&HTTP_KEYS)?)?))
        } else {
            at.object(&["provider"])?;
            Ok(Self::Local)
        }
    }
}

impl HttpAuth {
    fn decode(entry: &Object<'_>) -> Result<Self, ManifestFault> {
        let token_file = entry
            .optional("tokenFile")
            .map(|at| at.text(|text| names::line(text, MAX_LOCATION)))
            .transpose()?;
        let token_env = entry.optional("tokenEnv").map(|at| at.text(variable)).transpose()?;
        if token_file.is_some() && token_env.is_some() {
            let fault = entry.cursor().fault("`tokenFile` and `tokenEnv` are both given");
            return Err(fault.hint("keep the one that holds the token"));
        }
        Ok(Self {
            base: entry.required("base")?.text(base_url)?.trim_end_matches('/').to_owned(),
            token_file: token_file.map(PathBuf::from),
            token_env,
            insecure: entry.optional("insecure").map_or(Ok(false), |at| at.bool())?,
        })
    }
}

impl<'de> Deserialize<'de> for HostManifest {
    /// Reads a manifest as [`HostManifest::from_json`], from any self-describing format; places in errors refer to
    /// the equivalent JSON.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Self::from_json(&value.to_string()).map_err(serde::de::Error::custom)
    }
}

fn decode_remotes(at: &Cursor<'_>) -> Result<BTreeMap<String, RemoteRef>, ManifestFault> {
    at.map(names::file_name, RemoteRef::decode)
}

fn decode_providers(at: &Cursor<'_>) -> Result<BTreeSet<String>, ManifestFault> {
    let wrong = || at.expected("an array of participants' names");
    let Json::Array(items) = at.value() else { return Err(wrong()) };
    let name = |item: &Json| {
        let Json::String(name) = item else { return Err(wrong()) };
        names::file_name(name)
            .map_err(|problem| at.fault(format!("the name \"{}\" is wrong: {problem}", names::shown(name))))?;
        Ok(name.clone())
    };
    items.iter().map(name).collect()
}

impl RemoteRef {
    fn decode(at: &Cursor<'_>) -> Result<Self, ManifestFault> {
        let text = at.string()?;
        let Some((name, location)) = text.split_once('@') else {
            let fault = at.fault(format!("\"{}\" does not name its remote", names::shown(text)));
            return Err(fault.hint(format!("write \"{}@{}\"", names::shown(at.key()), names::shown(text))));
        };
        names::file_name(name).map_err(|problem| {
            at.fault(format!("the name in \"{}\" is wrong: {problem}", names::shown(text)))
        })?;
        names::line(location, MAX_LOCATION).map_err(|problem| {
            at.fault(format!("the location in \"{}\" is wrong: {problem}", names::shown(text)))
        })?;
        Ok(Self { name: name.to_owned(), location: location.to_owned() })
    }
}

pub(super) fn base_url(text: &str) -> Result<(), String> {
    names::line(text, MAX_LOCATION)?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
        && !text.contains(char::is_whitespace)
    {
        Ok(())
    } else {
        Err("it must be a URL such as \"https://example.org\"".to_owned())
    }
}

pub(super) fn variable(text: &str) -> Result<(), String> {
    names::line(text, MAX_VARIABLE)?;
    if text.contains('=') { Err("a variable's name cannot contain `=`".to_owned()) } else { Ok(()) }
}

const MAX_VARIABLE: usize = 128;
