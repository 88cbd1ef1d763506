//! The signed list of a repository, after its verification.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    release::{Description, Wanted},
};

/// The largest list, in bytes of JSON: some 100,000 releases.
pub const MAX_LISTING: u64 = 64 << 20;

/// The verified list of a repository, as the fetching process stores it in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// Address of the repository.
    pub repository: String,
    /// Fingerprint of the root file that the user trusts.
    pub root: Digest,
    /// Version of the newest root.
    pub root_version: u64,
    /// Time of the last successful check, in seconds since 1970.
    pub checked: u64,
    /// Time at which the first of its metadata expires, in seconds since 1970.
    pub expires: u64,
    /// The releases of all remotes, versions and platforms.
    pub releases: Vec<Release>,
    /// Errors of publishers and releases that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// The error of a publisher or of a release of it, which the list leaves out so that other publishers' remotes remain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Name of the role: the publisher.
    pub role: String,
    /// Names of the remotes that it concerns; `*` for a publisher of all remotes that no other publisher has.
    pub names: Vec<String>,
    /// The error.
    pub error: DeliveryError,
}

/// A release in a verified list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The signed description.
    #[serde(flatten)]
    pub about: Description,
    /// The compressed library, as it is fetched.
    pub download: crate::release::FileContent,
    /// The origin of the signature.
    pub signer: Signer,
}

/// The name in a [`Problem`] of a publisher of all remotes.
const EVERY_REMOTE: &str = "*";

/// The role that signed a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signer {
    /// Name of the role: the publisher.
    pub role: String,
    /// Identifiers of the keys whose signatures were valid.
    pub keys: Vec<String>,
}

impl Listing {
    /// Returns the newest release that `wanted` accepts and that is not withdrawn.
    ///
    /// # Errors
    /// Fails with the error of the remote's publisher, if it is left out; else with `release-unknown`, and says which
    /// of name, platform, channel and range has no release.
    pub fn choose(&self, wanted: &Wanted) -> Result<&Release, DeliveryError> {
        let unknown = |what: String, advice: String| {
            if let Some(problem) = self.problem(&wanted.name) {
                return Err(problem.clone());
            }
            Err(DeliveryError::new(ErrorCode::ReleaseUnknown, format!("{what}: {}", self.repository), advice))
        };
        let Wanted { name, range, channel, platform } = wanted;
        let of_name: Vec<_> = self.releases.iter().filter(|release| release.about.name == *name).collect();
        if of_name.is_empty() {
            let names: BTreeSet<&str> = self.releases.iter().map(|release| &*release.about.name).collect();
            let names: Vec<&str> = names.into_iter().collect();
            let advice = match negotiation::manifest::near_miss(name, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "nothing is published there yet".to_owned(),
                None => format!("it has: {}", some(&names)),
            };
            return unknown(format!("the repository has no remote `{name}`"), advice);
        }
        let on_platform: Vec<_> =
            of_name.iter().filter(|release| release.about.platform == *platform).copied().collect();
        if on_platform.is_empty() {
            let platforms: BTreeSet<&str> =
                of_name.iter().map(|release| release.about.platform.as_str()).collect();
            let platforms: Vec<&str> = platforms.into_iter().collect();
            return unknown(
                format!("the repository has no `{name}` for {platform}"),
                format!("it is published for: {}", some(&platforms)),
            );
        }
        let in_channel: Vec<_> =
            on_platform.iter().filter(|release| release.about.channels.contains(channel)).copied().collect();
        let usable = in_channel.iter().filter(|release| release.about.withdrawn.is_none());
        let fitting = usable.filter(|release| accepts(range, &release.about.version));
        if let Some(best) = fitting.max_by(|a, b| a.about.version.cmp(&b.about.version)) {
            return Ok(best);
        }
        let versions: Vec<String> = in_channel
            .iter()
            .map(|release| {
                let withdrawn = if release.about.withdrawn.is_some() { " (withdrawn)" } else { "" };
                format!("{}{withdrawn}", release.about.version)
            })
            .collect();
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        unknown(
            format!("the channel `{channel}` of the repository has no `{name}` {range} for {platform}"),
            if versions.is_empty() {
                "choose another channel".to_owned()
            } else {
                format!("it has: {}", some(&versions))
            },
        )
    }

    /// Returns the release of exactly this version.
    pub fn find(&self, wanted: &Wanted, version: &Version) -> Option<&Release> {
        let is_meant = |release: &&Release| {
            (&release.about.name, &release.about.platform, &release.about.version)
                == (&wanted.name, &wanted.platform, version)
        };
        self.releases.iter().find(is_meant)
    }

    /// Returns the error of a remote whose publisher or release is left out.
    pub fn problem(&self, name: &str) -> Option<&DeliveryError> {
        let of = |name: &str| self.problems.iter().find(|problem| problem.names.iter().any(|of| of == name));
        of(name).or_else(|| of(EVERY_REMOTE)).map(|problem| &problem.error)
    }

    /// Returns `true` if the metadata has expired at `now`, in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        now > self.expires
    }
}

/// Returns `true` if a range accepts a version; a range of any version accepts prereleases too.
fn accepts(range: &semver::VersionReq, version: &Version) -> bool {
    range.comparators.is_empty() || range.matches(version)
}

/// Lists some words, the last first, because the newest versions come last.
fn some(words: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = words.iter().rev().take(SHOWN).copied().collect();
    let more = words.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
