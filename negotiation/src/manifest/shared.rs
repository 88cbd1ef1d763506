//! An entry of `shared`: the offer and the demand of one participant for one crate.

use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;

use super::json::Json;
use super::names;
use super::read::{Cursor, ManifestFault};
use super::requirement::{Range, Requirement};

/// The share scope of an entry without `shareScope`.
pub const DEFAULT_SCOPE: &str = "default";

/// The offer and the demand of a participant for one shared crate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of a manifest's entry, each independent")]
pub struct ShareDecl {
    /// The version of this participant's own copy, such as "1.2.3"; required unless `import` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("type" = "string", "pattern" = VERSION_PATTERN))]
    pub version: Option<Version>,
    /// The versions that this participant accepts; absent, the versions compatible with its own copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Requirement")]
    #[serde(default)]
    pub required_version: Option<Requirement>,
    /// Requires one copy for all participants in the share scope; one participant's declaration binds all of them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub singleton: bool,
    /// States that the copy is linked in and usable when this participant runs alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub eager: bool,
    /// Refuses this participant instead of running it with a version outside `requiredVersion`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_version: bool,
    /// This participant has its own copy; `false` requires another participant to provide one.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub import: bool,
    /// The share scope of this entry; nothing is shared between scopes.
    #[serde(default = "default_scope", skip_serializing_if = "is_default_scope")]
    #[schemars(length(min = 1, max = 64))]
    pub share_scope: String,
}

impl ShareDecl {
    /// Returns the version of the copy that this participant can provide; `None` with `import: false`.
    pub fn offered(&self) -> Option<&Version> {
        self.version.as_ref().filter(|_| self.import)
    }

    /// Returns the versions that this participant accepts: `requiredVersion`, else `^version`.
    pub fn requirement(&self) -> Requirement {
        match (&self.required_version, &self.version) {
            (Some(requirement), _) => requirement.clone(),
            (None, Some(version)) => Requirement::compatible_with(version),
            (None, None) => Requirement::Any,
        }
    }

    pub(super) fn decode(at: &Cursor<'_>) -> Result<Self, ManifestFault> {
        let entry = at.object(&[
            "version",
            "requiredVersion",
            "singleton",
            "eager",
            "strictVersion",
            "import",
            "shareScope",
        ])?;
        let import = entry.optional("import").map_or(Ok(true), |value| value.bool())?;
        let version = entry.optional("version").map(|value| decode_version(&value)).transpose()?;
        let required_version =
            entry.optional("requiredVersion").map(|value| decode_requirement(&value)).transpose()?;
        if import && version.is_none() {
            let fault = entry.cursor().fault("the key `version` is missing");
            return Err(fault.hint(
                "state the version of this participant's own copy, or \"import\": false if it has none",
            ));
        }
        if version.is_none() && required_version.is_none() {
            let fault = entry.cursor().fault("the key `requiredVersion` is missing");
            return Err(fault.hint("state which versions are accepted, such as \"^1.0\", or `false` for any"));
        }
        Ok(Self {
            version,
            required_version,
            singleton: entry.or_default("singleton", Cursor::bool)?,
            eager: entry.or_default("eager", Cursor::bool)?,
            strict_version: entry.or_default("strictVersion", Cursor::bool)?,
            import,
            share_scope: entry
                .optional("shareScope")
                .map_or_else(|| Ok(default_scope()), |value| value.text(names::name))?,
        })
    }
}

pub(super) const VERSION_PATTERN: &str = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$";

/// Reads an exact version; a range in its place has its own message.
pub(super) fn decode_version(at: &Cursor<'_>) -> Result<Version, ManifestFault> {
    let text = at.string()?;
    Version::parse(text).map_err(|error| {
        let key = names::shown(at.key());
        let shown = names::shown(text);
        if text.parse::<Range>().is_ok() {
            at.fault(format!("`{key}` must be a version, and \"{shown}\" is a range"))
                .hint("write the exact version, such as \"1.2.3\"; ranges belong in `requiredVersion`")
        } else {
            at.fault(format!("`{key}` must be a version, and \"{shown}\" is not one: {error}"))
                .hint("write three numbers, such as \"1.2.3\"")
        }
    })
}

pub(super) fn decode_requirement(at: &Cursor<'_>) -> Result<Requirement, ManifestFault> {
    match at.value() {
        Json::Bool(false) => Ok(Requirement::Any),
        Json::String(text) => text.parse().map(Requirement::Range).map_err(|error: super::RangeError| {
            at.fault(format!("`{}` cannot be \"{}\": {error}", names::shown(at.key()), names::shown(text)))
                .hint(error.hint())
        }),
        _ => Err(at.expected("a range such as \"^1.2\", or `false` for any version")),
    }
}

fn default_scope() -> String {
    DEFAULT_SCOPE.to_owned()
}

fn is_default_scope(scope: &str) -> bool {
    scope == DEFAULT_SCOPE
}

pub(super) fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}
