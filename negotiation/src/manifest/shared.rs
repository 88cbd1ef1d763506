//! An entry of `shared`: the offer and the demand that a participant makes for one crate.

use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;

use super::json::Json;
use super::names;
use super::read::{Cursor, Fault};
use super::requirement::{Range, Requirement};

/// The share scope of an entry that names none.
pub const DEFAULT_SCOPE: &str = "default";

/// What a participant offers and needs of one shared crate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of a manifest's entry, each independent")]
pub struct Shared {
    /// The version of this participant's own copy, such as "1.2.3"; needed unless `import` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("type" = "string", "pattern" = VERSION_PATTERN))]
    pub version: Option<Version>,
    /// The versions that this participant works with; absent, those compatible with its own copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Requirement")]
    #[serde(default)]
    pub required_version: Option<Requirement>,
    /// One copy for everybody in the share scope; one participant that says so binds all of them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub singleton: bool,
    /// The copy is linked in and usable when this participant runs alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub eager: bool,
    /// Rather refuse this participant than let it run with a version outside `requiredVersion`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_version: bool,
    /// Whether this participant brings a copy of its own; false means that somebody must provide one.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub import: bool,
    /// The share scope of this entry; nothing is shared between scopes.
    #[serde(default = "default_scope", skip_serializing_if = "is_default_scope")]
    #[schemars(length(min = 1, max = 64))]
    pub share_scope: String,
}

impl Shared {
    /// The copy that this participant can give to others; none with `import: false`.
    pub fn offered(&self) -> Option<&Version> {
        self.version.as_ref().filter(|_| self.import)
    }

    /// What this participant needs: `requiredVersion`, else `^version`.
    pub fn requirement(&self) -> Requirement {
        match (&self.required_version, &self.version) {
            (Some(requirement), _) => requirement.clone(),
            (None, Some(version)) => Requirement::compatible_with(version),
            (None, None) => Requirement::Any,
        }
    }

    pub(super) fn decode(at: &Cursor<'_>) -> Result<Self, Fault> {
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
            return Err(fault.hint("say which versions may be provided, such as \"^1.0\", or `false` for any"));
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

/// An exact version; a range in its place is told apart from other mistakes.
pub(super) fn decode_version(at: &Cursor<'_>) -> Result<Version, Fault> {
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

fn decode_requirement(at: &Cursor<'_>) -> Result<Requirement, Fault> {
    match at.value() {
        Json::Bool(false) => Ok(Requirement::Any),
        Json::String(text) => text.parse().map(Requirement::Range).map_err(|error: super::RangeError| {
            at.fault(format!("`requiredVersion` cannot be \"{}\": {error}", names::shown(text)))
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
