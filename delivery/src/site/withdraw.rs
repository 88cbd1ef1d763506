//! Withdraws releases.

use semver::Version;
use serde::Serialize;
use tough::TargetName;

use super::{
    RepoSite,
    publish::{checked_note, insert, now},
    rules::{self, path_of},
    writer::SiteWriter,
};
use crate::{
    error::{DeliveryError, ErrorCode},
    keys::KeyRing,
    release::{Description, Platform, Withdrawal, manifest_path},
};

/// A withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawn {
    /// Name of the remote.
    pub name: String,
    /// The version that is withdrawn.
    pub version: Version,
    /// Its platforms, each with the version to return to.
    pub platforms: Vec<(Platform, Option<Version>)>,
    /// `false` if it waits for the online key.
    pub visible: bool,
}

impl RepoSite {
    /// Withdraws a version of a remote for all of its platforms.
    ///
    /// Shells return to `return_to`; by default to the newest lower version in a common channel. Earlier withdrawals
    /// that name this version name its replacement from now on.
    ///
    /// # Errors
    /// Fails with `release-unknown` if either version is not published or `return_to` is withdrawn, and with
    /// `key-unauthorized` without a key of the publisher.
    pub fn withdraw(
        &self,
        name: &str,
        version: &Version,
        note: &str,
        return_to: Option<&Version>,
        keys: &KeyRing,
    ) -> Result<Withdrawn, DeliveryError> {
        let note = checked_note(note)?;
        let mut writer = SiteWriter::open(self)?;
        let unknown =
            |text: String, advice: String| DeliveryError::new(ErrorCode::ReleaseUnknown, text, advice);
        let published: Vec<String> = writer.heads.names().iter().map(str::to_owned).collect();
        if !published.iter().any(|known| known == name) {
            let advice = match published.as_slice() {
                [] => "nothing is published there yet".to_owned(),
                names => format!("it has: {}", names.join(", ")),
            };
            return Err(unknown(format!("the repository has no remote `{name}`"), advice));
        }
        let role = self.authorize(&writer, name, &manifest_path(name, version), keys)?;
        let Some(list) = writer.heads.publishers.get(&role.name) else {
            return Err(super::writer::unknown_publisher(&writer.heads, &role.name));
        };
        let mut list = list.targets().clone();
        let all: Vec<Description> =
            rules::descriptions(&list)?.into_values().filter(|about| about.name == name).collect();
        let versions = || {
            let mut versions: Vec<&Version> =
                all.iter().filter(|about| about.withdrawn.is_none()).map(|about| &about.version).collect();
            versions.sort_unstable();
            versions.dedup();
            let newest: Vec<String> = versions.iter().rev().take(8).map(ToString::to_string).collect();
            format!("it has: {}", newest.join(", "))
        };
        if all.iter().all(|about| about.version != *version) {
            return Err(unknown(format!("the repository has no `{name}` {version}"), versions()));
        }
        let usable = |about: &&Description| about.withdrawn.is_none() && about.version != *version;
        if let Some(to) = return_to
            && !all.iter().filter(usable).any(|about| about.version == *to)
        {
            return Err(unknown(
                format!("the repository has no usable `{name}` {to} to return to"),
                versions(),
            ));
        }
        let replacement = |of: &Description| -> Option<Version> {
            let on_platform = all.iter().filter(usable).filter(|about| about.platform == of.platform);
            let fits = |about: &&Description| match return_to {
                Some(to) => about.version == *to,
                None => about.version < of.version && !about.channels.is_disjoint(&of.channels),
            };
            on_platform.filter(fits).map(|about| about.version.clone()).max()
        };
        let at = now();
        let mut platforms = Vec::new();
        for about in &all {
            let mut about = about.clone();
            if about.version == *version {
                let return_to = replacement(&about);
                platforms.push((about.platform.clone(), return_to.clone()));
                about.withdrawn = Some(Withdrawal { note: note.clone(), return_to, at });
            } else if about
                .withdrawn
                .as_ref()
                .is_some_and(|earlier| earlier.return_to.as_ref() == Some(version))
            {
                let return_to = replacement(&about);
                about.withdrawn = about.withdrawn.map(|earlier| Withdrawal { return_to, ..earlier });
            } else {
                continue;
            }
            let target = TargetName::new(path_of(&about)).ok().and_then(|path| list.targets.get(&path));
            if let Some(download) = target.and_then(rules::content_of) {
                insert(&mut list, &about, &download)?;
            }
        }
        writer.put_publisher(&role.name, list, keys)?;
        let visible = writer.commit(keys, None)?;
        Ok(Withdrawn { name: name.to_owned(), version: version.clone(), platforms, visible })
    }
}
