//! Makes the list of releases from the verified roles of the publishers.
//!
//! A publisher that lists a path which no tool of this project makes, or a path of another publisher, is left out as a
//! whole. A release with an invalid description is left out alone: a later version of the format may describe it.

use std::collections::BTreeMap;

use negotiation::manifest::MAX_MANIFEST_BYTES;
use tough::{TargetName, schema::Target};

use super::roles::{Publisher, problem};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    listing::{Problem, Release, Signer},
    release::{CUSTOM, Description, FileContent, MAX_NOTE, ReleasePath, manifest_path},
};

/// The largest library, packed or unpacked, in bytes; the shell loads no larger one.
const MAX_LIBRARY: u64 = 2 << 30;
/// The largest number of channels of a release.
const MAX_CHANNELS: usize = 16;

/// Returns the releases of all publishers, ordered by name, version and platform, and adds to `problems`.
pub(super) fn collect(publishers: &[Publisher], problems: &mut Vec<Problem>) -> Vec<Release> {
    let mut releases = Vec::new();
    let mut taken = Taken::default();
    for (at, publisher) in publishers.iter().enumerate() {
        match Paths::of(publisher, &taken) {
            Ok(Paths { libraries, own }) => {
                for (path, name) in libraries {
                    match release(publisher, &publishers[..at], &path, name, &taken) {
                        Ok(found) => releases.extend(found),
                        Err((names, error)) => {
                            problems.push(Problem { role: publisher.role().name.clone(), names, error });
                        }
                    }
                }
                taken.add(own);
            }
            Err(error) => problems.push(problem(publisher.role(), error)),
        }
    }
    releases.sort_by(|a, b| {
        let key = |release: &Release| {
            (release.about.name.clone(), release.about.version.clone(), release.about.platform.clone())
        };
        key(a).cmp(&key(b))
    });
    releases
}

/// Paths and names of remotes as a file system that ignores case has them, each with its spelling.
#[derive(Default)]
struct Taken(BTreeMap<String, String>);

impl Taken {
    /// Returns another spelling of the same path.
    fn other_spelling(&self, path: &str) -> Option<&str> {
        self.0.get(&folded(path)).map(|taken| &**taken).filter(|taken| *taken != path)
    }

    fn insert(&mut self, path: &str) {
        self.0.entry(folded(path)).or_insert_with(|| path.to_owned());
    }

    fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Returns a path as Windows and macOS compare it.
fn folded(path: &str) -> String {
    let parts: Vec<String> =
        path.split('/').map(|part| part.trim_end_matches(['.', ' ']).to_lowercase()).collect();
    parts.join("/")
}

/// The paths of a publisher.
struct Paths<'a> {
    /// The libraries, in order.
    libraries: Vec<(ReleasePath, &'a TargetName)>,
    own: Taken,
}

impl<'a> Paths<'a> {
    /// Checks all paths of a publisher.
    fn of(publisher: &'a Publisher, taken: &Taken) -> Result<Self, DeliveryError> {
        let role = &publisher.role().name;
        let mut names: Vec<&TargetName> = publisher.targets.targets.keys().collect();
        names.sort();
        let mut paths = Self { libraries: Vec::new(), own: Taken::default() };
        for name in names {
            let path = ReleasePath::parse(name.raw())?;
            if !publisher.covers(name) {
                return Err(DeliveryError::new(
                    ErrorCode::ReleasePublisher,
                    format!("the publisher `{role}` lists a file outside of its paths: `{}`", name.raw()),
                    "ask the repository's owner to remove it, or to extend the publisher's paths",
                ));
            }
            let (ReleasePath::Library { name: remote, .. } | ReleasePath::Manifest { name: remote, .. }) =
                &path;
            for spelling in [name.raw(), remote] {
                let other = paths.own.other_spelling(spelling).or_else(|| taken.other_spelling(spelling));
                if let Some(other) = other {
                    let names = format!("`{spelling}` and `{other}`");
                    return Err(DeliveryError::new(
                        ErrorCode::ReleasePath,
                        format!(
                            "the publisher `{role}` lists files that differ in the spelling alone: {names}"
                        ),
                        "ask the repository's owner to remove one of them",
                    ));
                }
                paths.own.insert(spelling);
            }
            if matches!(path, ReleasePath::Library { .. }) {
                paths.libraries.push((path, name));
            }
        }
        Ok(paths)
    }
}

/// Makes the release of a library; the error comes with the names of the remotes that it concerns.
fn release(
    publisher: &Publisher,
    earlier: &[Publisher],
    path: &ReleasePath,
    name: &TargetName,
    taken: &Taken,
) -> Result<Option<Release>, (Vec<String>, DeliveryError)> {
    let ReleasePath::Library { name: remote, version, platform } = path else { return Ok(None) };
    let role = &publisher.role().name;
    let refused = |code, reason: &str| {
        let summary = format!("the release `{}` of the publisher `{role}` is left out: {reason}", name.raw());
        (vec![remote.clone()], DeliveryError::new(code, summary, "ask the publisher to publish again"))
    };
    let is_shadowed = earlier.iter().any(|earlier| earlier.role().terminating && earlier.covers(name));
    if is_shadowed || taken.0.contains_key(&folded(name.raw())) {
        return Err(refused(ErrorCode::ReleasePublisher, "another publisher comes first for this path"));
    }
    let invalid = |reason: &str| refused(ErrorCode::ReleaseInvalid, reason);
    let Some(target) = publisher.targets.targets.get(name) else { return Ok(None) };
    let Some(custom) = target.custom.get(CUSTOM) else { return Err(invalid("it has no description")) };
    let mut about: Description = serde_json::from_value(custom.clone())
        .map_err(|error| invalid(&format!("its description cannot be read ({error})")))?;
    if (&about.name, &about.version, &about.platform) != (remote, version, platform) {
        return Err(invalid("its description is that of another release"));
    }
    let download = content(target).ok_or_else(|| invalid("it has no SHA-256 digest"))?;
    for length in [download.length, about.library.length] {
        if !(1..=MAX_LIBRARY).contains(&length) {
            return Err(invalid("its library is empty or larger than 2 GiB"));
        }
    }
    let manifest = TargetName::new(manifest_path(remote, version)).ok();
    let manifest = manifest.and_then(|manifest| publisher.targets.targets.get(&manifest)).and_then(content);
    if manifest != Some(about.manifest) {
        return Err(invalid("its manifest is not listed with the same digest and length"));
    }
    if about.manifest.length > MAX_MANIFEST_BYTES as u64 {
        return Err(invalid("its manifest is too large"));
    }
    if !(1..=MAX_CHANNELS).contains(&about.channels.len())
        || !about.channels.iter().all(|name| is_channel(name))
    {
        return Err(invalid("it has no channel, too many, or one with a name that is not allowed"));
    }
    let withdrawn = about.withdrawn.as_mut().map(|withdrawal| &mut withdrawal.note);
    for note in [Some(&mut about.notes), withdrawn].into_iter().flatten() {
        if note.len() > MAX_NOTE {
            return Err(invalid("its note is too long"));
        }
        // A note is shown in terminals and windows.
        *note = negotiation::text::line(note, MAX_NOTE);
    }
    let signer = Signer { role: role.clone(), keys: publisher.keys.clone() };
    Ok(Some(Release { about, download, signer }))
}

fn content(target: &Target) -> Option<FileContent> {
    let digest: &[u8] = &target.hashes.sha256;
    Some(FileContent { sha256: Digest::from(<[u8; 32]>::try_from(digest).ok()?), length: target.length })
}

fn is_channel(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
