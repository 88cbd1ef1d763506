//! Publishes libraries.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Seek, Write},
    path::PathBuf,
};

use negotiation::{
    manifest::{RemoteManifest, is_reserved},
    text,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tough::{
    TargetName,
    schema::{DelegatedRole, Hashes, Target},
};

use super::{
    RepoSite,
    files::{MAX_LIBRARY, failed},
    heads::metafile,
    rules::{self, path_of},
    writer::{SiteWriter, signers},
};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    keys::KeyRing,
    release::{CUSTOM, Description, FileContent, MAX_NOTE, Platform, ReleasePath, manifest_path},
};

/// The level of compression: the highest ones take many seconds for a large library.
const LEVEL: i32 = 12;

/// A library to publish.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The manifest, as embedded in the library.
    pub manifest_text: String,
    /// Revision of the contract.
    pub abi: u32,
    /// Platform.
    pub platform: Platform,
    /// The library, stripped.
    pub library: PathBuf,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The signed description.
    pub release: Description,
    /// The compressed library.
    pub download: FileContent,
    /// Name of the publisher that signed.
    pub publisher: String,
    /// `false` if exactly this was published before.
    pub changed: bool,
    /// `false` if it waits for the online key.
    pub visible: bool,
}

impl Artifact {
    /// Describes it, with one channel.
    fn describe(&self, channel: &str, notes: &str) -> Result<Description, DeliveryError> {
        let manifest = RemoteManifest::from_json(&self.manifest_text).map_err(|error| {
            let advice = error.advice();
            invalid(
                format!("the manifest of the library is invalid ({error}): {}", self.library.display()),
                advice,
            )
        })?;
        if is_reserved(&manifest.name) {
            let text = format!("the name `{}` belongs to the host", manifest.name);
            return Err(invalid(text, "choose another name for the remote".to_owned()));
        }
        if !is_channel(channel) {
            let text = format!("`{channel}` cannot be the name of a channel");
            return Err(setting(text, "use up to 32 lower-case letters, digits and `-`"));
        }
        let about = Description {
            notes: checked_note(notes)?,
            name: manifest.name,
            version: manifest.version,
            platform: self.platform.clone(),
            abi: self.abi,
            channels: BTreeSet::from([channel.to_owned()]),
            manifest: super::heads::content(self.manifest_text.as_bytes()),
            library: transfer(self.open()?, &mut io::sink()).map_err(|error| unreadable(self, &error))?,
            published: now(),
            withdrawn: None,
        };
        ReleasePath::parse(&path_of(&about)).map(|_| about)
    }

    fn open(&self) -> Result<io::Take<File>, DeliveryError> {
        let file = super::files::open(&self.library).ok().flatten();
        let file = file.ok_or_else(|| unreadable(self, &io::Error::other("this is not a regular file")))?;
        Ok(file.take(MAX_LIBRARY + 1))
    }
}

/// The right of a publisher to publish a draft.
struct Admission {
    role: DelegatedRole,
    /// The same release, if it is published.
    known: Option<(Description, FileContent)>,
}

impl RepoSite {
    /// Publishes a library in a channel. The same library can be added to another channel.
    ///
    /// # Errors
    /// Fails with `release-invalid` for a manifest that is not allowed, and with `delivery-setting-invalid` for such a
    /// channel or note; with `release-path` for a
    /// name that differs only in case from a published one; with `release-exists` if the version is published with
    /// other content, or withdrawn; with `key-unauthorized` without a key of the publisher that has the remote.
    pub fn publish(
        &self,
        artifact: &Artifact,
        channel: &str,
        notes: &str,
        keys: &KeyRing,
    ) -> Result<Published, DeliveryError> {
        let draft = artifact.describe(channel, notes)?;
        // Asked before the long compression too, during which others may publish.
        let is_known = self.admit(&SiteWriter::open(self)?, &draft, keys)?.known.is_some();
        let mut compressed = if is_known { None } else { Some(self.compress(artifact, &draft)?) };
        let mut writer = SiteWriter::open(self)?;
        let Admission { role, known } = self.admit(&writer, &draft, keys)?;
        let (mut about, download) = match (&known, &mut compressed) {
            (Some((known, download)), _) => (known.clone(), *download),
            (None, Some((_, download))) => (draft.clone(), *download),
            // It was published and removed in between.
            (None, None) => return Err(rules::exists(&path_of(&draft))),
        };
        about.channels.extend(draft.channels.iter().cloned());
        if !draft.notes.is_empty() {
            about.notes.clone_from(&draft.notes);
        }
        let changed = known.as_ref().is_none_or(|(known, _)| *known != about);
        if changed {
            if let (None, Some((file, download))) = (&known, &mut compressed) {
                let place = self.folder.target(&path_of(&about), &download.sha256);
                file.rewind().map_err(|error| failed(&place, &error))?;
                self.folder.put(&place, file)?;
                let place =
                    self.folder.target(&manifest_path(&about.name, &about.version), &about.manifest.sha256);
                self.folder.put(&place, &mut artifact.manifest_text.as_bytes())?;
            }
            let list = writer.heads.publishers.get(&role.name).map(|list| list.targets().clone());
            let mut list = list.ok_or_else(|| super::writer::unknown_publisher(&writer.heads, &role.name))?;
            insert(&mut list, &about, &download)?;
            writer.put_publisher(&role.name, list, keys)?;
        }
        let visible = !writer.heads.has_pending() || writer.commit(keys, None)?;
        Ok(Published { release: about, download, publisher: role.name, changed, visible })
    }

    /// Decides if the keys may publish a draft, by what is published.
    fn admit(
        &self,
        writer: &SiteWriter<'_>,
        draft: &Description,
        keys: &KeyRing,
    ) -> Result<Admission, DeliveryError> {
        let path = path_of(draft);
        let role = self.authorize(writer, &draft.name, &path, keys)?;
        writer.heads.names().check(&draft.name)?;
        let Some(list) = writer.heads.publishers.get(&role.name) else {
            return Err(super::writer::unknown_publisher(&writer.heads, &role.name));
        };
        let all = rules::descriptions(list.targets())?;
        if rules::of_version(&all, &draft.name, &draft.version).any(|other| other.manifest != draft.manifest) {
            let path = manifest_path(&draft.name, &draft.version);
            return Err(rules::exists(&path));
        }
        let Some(known) = all.get(&path) else { return Ok(Admission { role, known: None }) };
        if (known.library, known.abi) != (draft.library, draft.abi) {
            return Err(rules::exists(&path));
        }
        if known.withdrawn.is_some() {
            let text = format!("this version is withdrawn: {path}");
            return Err(DeliveryError::new(ErrorCode::ReleaseExists, text, "publish a new version"));
        }
        let target = TargetName::new(path.as_str()).ok().and_then(|path| list.targets().targets.get(&path));
        let download = target.and_then(rules::content_of).ok_or_else(|| rules::exists(&path))?;
        Ok(Admission { role, known: Some((known.clone(), download)) })
    }

    /// Returns the publisher of a remote, if `keys` may sign for it.
    pub(super) fn authorize(
        &self,
        writer: &SiteWriter<'_>,
        remote: &str,
        path: &str,
        keys: &KeyRing,
    ) -> Result<DelegatedRole, DeliveryError> {
        let delegations = writer.heads.delegations();
        let own = delegations.roles.iter().find(|role| !keys.signers(&role.keyids).is_empty());
        let command = format!(
            "`pulse repo publisher add {} {} --remotes {remote} --key TARGETS_KEY --key ONLINE_KEY`",
            self.dir().display(),
            own.map_or("PUBLISHER", |role| &role.name),
        );
        let Some(role) = rules::owner(&delegations, path) else {
            let text = format!("no publisher may publish the remote `{remote}`");
            let advice = format!("let the owner of the repository run {command}");
            return Err(DeliveryError::new(ErrorCode::KeyUnauthorized, text, advice));
        };
        if let Err(error) = signers(keys, &role.name, &role.keyids, role.threshold) {
            let advice = match own {
                Some(_) => format!("{}, or let the owner of the repository run {command}", error.advice),
                None => error.advice.into_owned(),
            };
            let text = format!("the keys given may not publish `{remote}`, which belongs to `{}`", role.name);
            return Err(DeliveryError::new(ErrorCode::KeyUnauthorized, text, advice));
        }
        Ok(role.clone())
    }

    /// Compresses the library to a file without a name.
    fn compress(&self, artifact: &Artifact, draft: &Description) -> Result<(File, FileContent), DeliveryError> {
        let here = |error: io::Error| failed(self.dir(), &error);
        let mut file = Measured::new(tempfile::tempfile_in(self.dir()).map_err(here)?);
        let mut encoder = zstd::stream::write::Encoder::new(&mut file, LEVEL).map_err(here)?;
        encoder.set_pledged_src_size(Some(draft.library.length)).map_err(here)?;
        let library = transfer(artifact.open()?, &mut encoder).map_err(|error| unreadable(artifact, &error))?;
        if library != draft.library {
            return Err(unreadable(artifact, &io::Error::other("it changes while it is read")));
        }
        encoder.finish().map_err(here)?;
        Ok(file.finish())
    }
}

/// Adds a library and its manifest to a list, or replaces the description of the library.
pub(super) fn insert(
    list: &mut tough::schema::Targets,
    about: &Description,
    download: &FileContent,
) -> Result<(), DeliveryError> {
    let wrong =
        |_| invalid(format!("the release has a path that is not allowed: {}", path_of(about)), String::new());
    let custom = serde_json::to_value(about).map_err(|error| invalid(error.to_string(), String::new()))?;
    let mut target = target(download);
    target.custom.insert(CUSTOM.to_owned(), custom);
    list.targets.insert(TargetName::new(path_of(about)).map_err(wrong)?, target);
    let path = TargetName::new(manifest_path(&about.name, &about.version)).map_err(wrong)?;
    list.targets.insert(path, self::target(&about.manifest));
    Ok(())
}

fn target(content: &FileContent) -> Target {
    let hashes = metafile(content, std::num::NonZeroU64::MIN).hashes;
    let hashes = hashes.unwrap_or_else(|| Hashes { sha256: Vec::new().into(), _extra: [].into() });
    Target { length: content.length, hashes, custom: [].into(), _extra: [].into() }
}

/// Returns the time, in seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

/// Checks a note, and makes it one line.
pub(super) fn checked_note(note: &str) -> Result<String, DeliveryError> {
    if note.len() > MAX_NOTE {
        let text = format!("a note has {} bytes, and {MAX_NOTE} are allowed", note.len());
        return Err(setting(text, "shorten it, and write the rest elsewhere"));
    }
    Ok(text::line(&note.split_whitespace().collect::<Vec<_>>().join(" "), MAX_NOTE))
}

/// Returns `true` for a name that a channel may have.
fn is_channel(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(allowed)
}

fn invalid(text: String, advice: String) -> DeliveryError {
    DeliveryError::new(ErrorCode::ReleaseInvalid, text, advice)
}

fn setting(text: String, advice: &'static str) -> DeliveryError {
    DeliveryError::new(ErrorCode::DeliverySettingInvalid, text, advice)
}

fn unreadable(artifact: &Artifact, error: &io::Error) -> DeliveryError {
    let text = format!("the library cannot be read ({error}): {}", artifact.library.display());
    invalid(text, "name a library that is complete and that this user can read".to_owned())
}

/// Copies a library, and returns its digest and length.
fn transfer(mut from: impl Read, to: &mut impl Write) -> io::Result<FileContent> {
    let mut to = Measured::new(to);
    io::copy(&mut from, &mut to)?;
    let (_, content) = to.finish();
    if content.length > MAX_LIBRARY {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {MAX_LIBRARY} bytes"),
        ));
    }
    Ok(content)
}

/// A writer that computes digest and length.
pub(super) struct Measured<W> {
    to: W,
    digest: Sha256,
    length: u64,
}

impl<W> Measured<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, digest: Sha256::new(), length: 0 }
    }

    pub(super) fn finish(self) -> (W, FileContent) {
        let sha256 = Digest::from(<[u8; 32]>::from(self.digest.finalize()));
        (self.to, FileContent { sha256, length: self.length })
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
