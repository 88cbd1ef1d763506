//! Releases of remotes: what a publisher signs about each library.

use std::{collections::BTreeSet, fmt};

use negotiation::manifest::RemoteManifest;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
};

/// The channel of releases for all users.
pub const STABLE: &str = "stable";

/// Maximum length of a note of a release or withdrawal, in bytes.
pub const MAX_NOTE: usize = 2_000;

/// The key in a target's `custom` object that holds its [`Description`].
pub const CUSTOM: &str = "pulse";

/// The platform that a library is built for, as a Rust target triple.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform(String);

impl Platform {
    /// Returns the platform of this build.
    pub fn current() -> Self {
        // The words of target triples, which publishing derives from a library's header.
        let arch = match std::env::consts::ARCH {
            "x86" => "i686",
            "riscv64" => "riscv64gc",
            arch => arch,
        };
        Self(match () {
            () if cfg!(target_os = "macos") => format!("{arch}-apple-darwin"),
            () if cfg!(all(windows, target_env = "gnu")) => format!("{arch}-pc-windows-gnu"),
            () if cfg!(windows) => format!("{arch}-pc-windows-msvc"),
            () if cfg!(target_env = "musl") => format!("{arch}-unknown-linux-musl"),
            () => format!("{arch}-unknown-{}-gnu", std::env::consts::OS),
        })
    }

    /// Returns the triple.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Platform {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let word = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
        };
        let parts = text.split('-').count();
        if text.len() <= 64 && (2..=4).contains(&parts) && text.split('-').all(word) && !text.contains("..") {
            Ok(Self(text))
        } else {
            Err("a platform is a target triple, such as x86_64-unknown-linux-gnu")
        }
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.0
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileContent {
    /// SHA-256 digest.
    pub sha256: Digest,
    /// Length in bytes.
    pub length: u64,
}

/// The statement about a library that its publisher signs, in the `custom` object of its target.
///
/// The target itself is the compressed library (zstd); its length and digest are TUF's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Name of the remote.
    pub name: String,
    /// Version of the remote.
    pub version: Version,
    /// Platform of the library.
    pub platform: Platform,
    /// Revision of the contract.
    pub abi: u32,
    /// Channels that offer it.
    pub channels: BTreeSet<String>,
    /// The remote's manifest, as embedded in the library; a target of its own.
    pub manifest: FileContent,
    /// The unpacked library.
    pub library: FileContent,
    /// The changes in one line for users; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// Time of publication, in seconds since 1970.
    pub published: u64,
    /// Set once it is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawal>,
}

/// A publisher's decision that a release must not be used any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    /// The reason; may be empty.
    #[serde(default)]
    pub note: String,
    /// Version to return to; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_to: Option<Version>,
    /// Time of the withdrawal, in seconds since 1970.
    pub at: u64,
}

/// Returns the target path of a library.
pub fn library_path(name: &str, version: &Version, platform: &Platform) -> String {
    format!("{name}/{version}/{platform}.zst")
}

/// Returns the target path of a manifest.
pub fn manifest_path(name: &str, version: &Version) -> String {
    format!("{name}/{version}/manifest.json")
}

/// Returns the pattern of the paths of a remote, for a delegation.
pub fn path_pattern(name: &str) -> String {
    let mut pattern = String::new();
    for c in name.chars() {
        // Names may contain characters that a pattern reads as syntax.
        match c {
            '[' | '{' | '}' => pattern.extend(['[', c, ']']),
            _ => pattern.push(c),
        }
    }
    pattern + "/*/*"
}

/// A target path taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleasePath {
    /// The path of a library.
    Library {
        /** The remote. */
        name: String,
        /** Its version. */
        version: Version,
        /** The platform. */
        platform: Platform,
    },
    /// The path of a manifest.
    Manifest {
        /** The remote. */
        name: String,
        /** Its version. */
        version: Version,
    },
}

impl ReleasePath {
    /// Parses a target path.
    ///
    /// # Errors
    /// Fails with `release-path` for a path that [`library_path`] and [`manifest_path`] cannot return: absolute ones,
    /// with `..`, with names that a manifest could not have or that an operating system reserves.
    pub fn parse(path: &str) -> Result<Self, DeliveryError> {
        let refused = || {
            DeliveryError::new(
                ErrorCode::ReleasePath,
                format!("the repository lists a file with a path that is not allowed: `{path}`"),
                "ask the repository's owner to remove it",
            )
        };
        let mut parts = path.split('/');
        let (Some(name), Some(version), Some(file), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refused());
        };
        let parsed = Version::parse(version).map_err(|_| refused())?;
        // One path for each release: no other spelling of the same version.
        if parsed.to_string() != version || !is_name(name) {
            return Err(refused());
        }
        if file == "manifest.json" {
            return Ok(Self::Manifest { name: name.to_owned(), version: parsed });
        }
        let platform = file.strip_suffix(".zst").and_then(|file| Platform::try_from(file.to_owned()).ok());
        let platform = platform.ok_or_else(refused)?;
        Ok(Self::Library { name: name.to_owned(), version: parsed, platform })
    }
}

/// Returns `true` for a name that a remote's manifest may have.
fn is_name(name: &str) -> bool {
    let manifest = serde_json::json!({
        "manifestVersion": negotiation::manifest::MANIFEST_VERSION, "name": name, "version": "1.0.0", "remoteEntry": "a",
    });
    RemoteManifest::from_json(&manifest.to_string()).is_ok()
}

/// A request for a release, as a user or a host's manifest states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Name of the remote.
    pub name: String,
    /// Versions that are accepted.
    pub range: VersionReq,
    /// Channel.
    pub channel: String,
    /// Platform.
    pub platform: Platform,
}

impl Wanted {
    /// Makes a request for any stable version for this build's platform.
    pub fn any(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            range: VersionReq::STAR,
            channel: STABLE.to_owned(),
            platform: Platform::current(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names as manifests accept them, in several scripts.
    fn names() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9_éß日][a-zA-Z0-9_ .+~%\\[\\]{}éß日-]{0,30}[a-zA-Z0-9_éß日]"
            .prop_filter("a device", |name| is_name(name))
    }

    fn versions() -> impl Strategy<Value = Version> {
        let text = "(0|[1-9][0-9]{0,5})\\.(0|[1-9][0-9]?)\\.(0|[1-9][0-9]?)(-[a-zA-Z][a-zA-Z0-9.]{0,5}[a-z])?(\\+[a-z0-9]{1,5})?";
        text.prop_filter_map("no version", |text| Version::parse(&text).ok())
    }

    fn platforms() -> impl Strategy<Value = Platform> {
        "[a-z0-9_]{1,10}(-[a-z0-9_]{1,8}){1,3}".prop_map(|text| Platform::try_from(text).expect("a triple"))
    }

    proptest! {
        #[test]
        fn paths_are_parsed_as_they_were_made(name in names(), version in versions(), platform in platforms()) {
            let library = ReleasePath::parse(&library_path(&name, &version, &platform)).expect("path is allowed");
            prop_assert_eq!(library, ReleasePath::Library { name: name.clone(), version: version.clone(), platform });
            let manifest = ReleasePath::parse(&manifest_path(&name, &version)).expect("path is allowed");
            prop_assert_eq!(manifest, ReleasePath::Manifest { name, version });
        }

        #[test]
        fn accepted_paths_have_one_spelling(path in "[a-zA-Z./\\\\0-9+-]{0,40}|[a-z]{1,3}/[0-9.]{5,7}/[a-z.-]{5,14}") {
            match ReleasePath::parse(&path) {
                Ok(ReleasePath::Library { name, version, platform }) => {
                    prop_assert_eq!(library_path(&name, &version, &platform), path);
                }
                Ok(ReleasePath::Manifest { name, version }) => {
                    prop_assert_eq!(manifest_path(&name, &version), path);
                }
                Err(error) => prop_assert_eq!(error.code, ErrorCode::ReleasePath),
            }
        }
    }

    #[test]
    fn unsafe_paths_are_refused() {
        for path in [
            "",
            "/",
            "/a/1.0.0/manifest.json",
            "a/1.0.0",
            "a/1.0.0/",
            "a//manifest.json",
            "a/1.0.0/b/manifest.json",
            "../1.0.0/manifest.json",
            "a/../1.0.0/manifest.json",
            "a/1.0.0/../manifest.json",
            "./1.0.0/manifest.json",
            ".a/1.0.0/manifest.json",
            "-a/1.0.0/manifest.json",
            "a\\1.0.0\\manifest.json",
            "a/1.0.0\\..\\manifest.json",
            "c:/1.0.0/manifest.json",
            "con/1.0.0/manifest.json",
            "NUL.txt/1.0.0/manifest.json",
            "a\0/1.0.0/manifest.json",
            "a\n/1.0.0/manifest.json",
            "a/v1.0.0/manifest.json",
            "a/1.0/manifest.json",
            "a/01.0.0/manifest.json",
            "a/1.0.0/MANIFEST.json",
            "a/1.0.0/x.zst",
            "a/1.0.0/x86_64-unknown-linux-gnu",
            "a/1.0.0/x86_64-..-gnu.zst",
            "a/1.0.0/x86_64-unknown-linux-gnu.so",
        ] {
            assert_eq!(ReleasePath::parse(path).expect_err(path).code, ErrorCode::ReleasePath);
        }
    }
}
