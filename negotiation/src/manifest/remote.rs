//! The manifest of a remote.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize};

use super::MANIFEST_VERSION;
use super::error::ManifestError;
use super::names::{self, MAX_TITLE};
use super::read::{self, Cursor, ManifestFault, Object};
use super::shared::{ShareDecl, VERSION_PATTERN, decode_version};

/// The manifest of a remote: its library, its exposes, the crates that it shares and the atoms that it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteManifest {
    /// Path or URL of this file's JSON schema, for editors.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the manifest format.
    #[schemars(extend("const" = MANIFEST_VERSION))]
    pub manifest_version: u32,
    /// The name by which hosts know this remote.
    #[schemars(length(min = 1, max = 64), regex(pattern = FILE_NAME_PATTERN))]
    pub name: String,
    /// The version of the remote itself.
    #[schemars(with = "String", regex(pattern = VERSION_PATTERN))]
    pub version: Version,
    /// The name that users read; absent, `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub title: Option<String>,
    /// The base name of the library, without the platform's prefix and suffix.
    #[schemars(length(min = 1, max = 64), regex(pattern = FILE_NAME_PATTERN))]
    pub remote_entry: String,
    /// The SHA-256 digest of the library's file, for a manifest next to it; a library with another digest is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// The surfaces that this remote offers, by names that start with "./".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "pattern": r"^\./.", "maxLength": 128 }))]
    pub exposes: BTreeMap<String, ExposeDecl>,
    /// The shared crates that this remote offers or requires, by crate name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shared: BTreeMap<String, ShareDecl>,
    /// The access to atoms that this remote requests, by atom name; the host grants it or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub atoms: BTreeMap<String, AtomAccess>,
}

/// A surface that a remote offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExposeDecl {
    /// The title in the sidebar and on the tab.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// The name of the shell's icon for this surface.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub icon: Option<String>,
}

/// The access of a remote to an atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtomAccess {
    /// Reads the value and is notified of changes.
    Read,
    /// Reads and sets the value.
    Write,
}

impl AtomAccess {
    pub(super) const WORDS: [(&'static str, Self); 2] = [("read", Self::Read), ("write", Self::Write)];

    /// Returns `true` if this access includes `other`: write access includes read access.
    pub fn includes(self, other: Self) -> bool {
        self >= other
    }
}

impl RemoteManifest {
    /// Reads a manifest and checks all of it.
    ///
    /// # Errors
    /// [`ManifestError`] for the first problem, with its place in `text`.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        const KEYS: [&str; 10] = [
            "$schema",
            "manifestVersion",
            "name",
            "version",
            "title",
            "remoteEntry",
            "sha256",
            "exposes",
            "shared",
            "atoms",
        ];
        read::document(text, &KEYS, Self::decode)
    }

    /// Reads a manifest from bytes, such as a library's section; otherwise as [`Self::from_json`].
    ///
    /// # Errors
    /// [`ManifestError`] for the first problem; bytes that are not UTF-8 are `manifest-not-json`.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, ManifestError> {
        read::utf8(bytes).and_then(Self::from_json)
    }

    /// Returns the name that users read: the title, else the name.
    pub fn display_name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }

    fn decode(top: &Object<'_>) -> Result<Self, ManifestFault> {
        Ok(Self {
            schema: top.optional("$schema").map(|at| at.string().map(str::to_owned)).transpose()?,
            manifest_version: MANIFEST_VERSION,
            name: top.required("name")?.text(names::file_name)?,
            version: decode_version(&top.required("version")?)?,
            title: top.optional("title").map(|at| decode_title(&at)).transpose()?,
            remote_entry: decode_entry(&top.required("remoteEntry")?)?,
            sha256: top.optional("sha256").map(|at| decode_digest(&at)).transpose()?,
            exposes: top.or_default("exposes", |at| at.map(expose_name, ExposeDecl::decode))?,
            shared: top.or_default("shared", |at| at.map(names::crate_name, ShareDecl::decode))?,
            atoms: top.or_default("atoms", decode_atoms)?,
        })
    }
}

impl ExposeDecl {
    fn decode(at: &Cursor<'_>) -> Result<Self, ManifestFault> {
        let expose = at.object(&["title", "icon"])?;
        Ok(Self {
            title: decode_title(&expose.required("title")?)?,
            icon: expose.optional("icon").map(|at| decode_title(&at)).transpose()?,
        })
    }
}

impl<'de> Deserialize<'de> for RemoteManifest {
    /// Reads a manifest as [`RemoteManifest::from_json`], from any self-describing format; places in errors refer to
    /// the equivalent JSON.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Self::from_json(&value.to_string()).map_err(serde::de::Error::custom)
    }
}

pub(super) const FILE_NAME_PATTERN: &str = r#"^[^\s./\\@:<>"|?*][^/\\@:<>"|?*]*$"#;

pub(super) fn decode_atoms(at: &Cursor<'_>) -> Result<BTreeMap<String, AtomAccess>, ManifestFault> {
    at.map(names::name, |access| access.one_of(&AtomAccess::WORDS))
}

fn decode_title(at: &Cursor<'_>) -> Result<String, ManifestFault> {
    at.text(|text| names::line(text, MAX_TITLE))
}

fn decode_entry(at: &Cursor<'_>) -> Result<String, ManifestFault> {
    let entry = at.text(names::file_name)?;
    let file = [("lib", ".so"), ("lib", ".dylib"), ("", ".dll")]
        .iter()
        .find_map(|(prefix, suffix)| Some((entry.strip_suffix(suffix)?, *prefix)));
    match file {
        None => Ok(entry),
        Some((stem, prefix)) => {
            let base = stem.strip_prefix(prefix).unwrap_or(stem);
            let fault =
                at.fault(format!("`remoteEntry` must be a library's base name, not the file name \"{entry}\""));
            Err(fault.hint(format!("write \"{base}\"; prefix and suffix are the platform's")))
        }
    }
}

/// Reads a digest in lower case, so that equal digests are equal texts.
fn decode_digest(at: &Cursor<'_>) -> Result<String, ManifestFault> {
    const DIGITS: usize = 64;
    let text = at.string()?;
    let problem = if let Some(digits) = text.strip_prefix("sha256:") {
        let fault = at.fault("`sha256` must be the digits alone");
        return Err(fault.hint(format!("write \"{}\"", names::shown(digits))));
    } else if let Some(c) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        format!("a SHA-256 digest is {DIGITS} hexadecimal digits, and `{}` is not one", c.escape_debug())
    } else if text.len() != DIGITS {
        format!("a SHA-256 digest is {DIGITS} hexadecimal digits, and this has {}", text.len())
    } else {
        return Ok(text.to_ascii_lowercase());
    };
    Err(at.fault(problem).hint("write what `sha256sum` prints for the library's file, or leave the key out"))
}

fn expose_name(text: &str) -> Result<(), String> {
    names::line(text, MAX_TITLE)?;
    match text.strip_prefix("./") {
        Some(rest) if !rest.is_empty() => Ok(()),
        _ => Err(format!("an expose is named like \"./{}\"", text.trim_start_matches(['.', '/']))),
    }
}
