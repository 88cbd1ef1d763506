//! Fetches a library.
//!
//! The stored list is a file that other programs may change, so its words are not trusted: the metadata of the last
//! check is verified again, without the network. If that fails, because it has expired for example, a check precedes
//! the download.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use semver::Version;
use sha2::{Digest as _, Sha256};

use super::{
    Client, check,
    load::Start,
    manifests,
    target::{self, Target},
    unpack,
};
use crate::{
    Digest, cache,
    error::{DeliveryError, ErrorCode},
    fetch::{FetchEvent, Fetched},
    listing::Release,
    release::{FileContent, Wanted},
};

/// The time between two reports of progress.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Fetches, verifies and unpacks a library.
pub(super) fn download(
    client: &Client,
    wanted: &Wanted,
    version: &Version,
) -> Result<FetchEvent, DeliveryError> {
    let release = find(client, wanted, version)?;
    let library = release.about.library.sha256;
    let _lock = client.cache.lock_content(library, || client.link.report(FetchEvent::Waiting))?;
    let folder = client.cache.path("libraries").join(library.to_string());
    if !is_complete(&folder, &release)? {
        fetch(client, &release, &folder)?;
    }
    Ok(FetchEvent::Fetched(Box::new(Fetched {
        name: release.about.name.clone(),
        version: release.about.version.clone(),
        library: folder.join("library"),
        sha256: library,
        manifest: folder.join("manifest.json"),
        release: Some(Box::new(release)),
    })))
}

/// Returns a release of the verified metadata.
fn find(client: &Client, wanted: &Wanted, version: &Version) -> Result<Release, DeliveryError> {
    let before = client.cache.list();
    let (_lock, _) = client.cache.lock("check", || client.link.report(FetchEvent::Waiting))?;
    let start = Start::of(&client.cache)?;
    let mut verified = check::stored(client, &start);
    if verified.is_err() {
        check::run(client, start, before, &[], None)?;
        verified = check::stored(client, &Start::of(&client.cache)?);
    }
    let list = check::listing(client, &mut verified?, 0);
    if let Some(release) = list.find(wanted, version) {
        return Ok(release.clone());
    }
    if let Some(problem) = list.problem(&wanted.name) {
        return Err(problem.clone());
    }
    let (name, platform) = (&wanted.name, &wanted.platform);
    Err(DeliveryError::new(
        ErrorCode::ReleaseUnknown,
        format!("the repository has no `{name}` {version} for {platform}: {}", client.repository),
        "check for updates, then choose another version",
    ))
}

/// Returns `true` if a library and its manifest are in the cache; removes what is there otherwise.
fn is_complete(folder: &Path, release: &Release) -> Result<bool, DeliveryError> {
    match fs::symlink_metadata(folder) {
        Ok(about) if about.is_dir() => {}
        Ok(_) => {
            // Reports a link instead of removing it.
            cache::create_folder(folder)?;
        }
        Err(_) => return Ok(false),
    }
    if has(&folder.join("library"), release.about.library)?
        && has(&folder.join("manifest.json"), release.about.manifest)?
    {
        return Ok(true);
    }
    cache::remove(folder)?;
    Ok(false)
}

/// Returns `true` if a file has a content.
pub(super) fn has(path: &Path, content: FileContent) -> Result<bool, DeliveryError> {
    let Some(mut file) = cache::open(path)? else { return Ok(false) };
    let failed = |error: std::io::Error| cache::failed("read", path, &error);
    if file.metadata().map_err(failed)?.len() != content.length {
        return Ok(false);
    }
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(Digest::from(<[u8; 32]>::from(hash.finalize())) == content.sha256),
            read => hash.update(&piece[..read]),
        }
    }
}

fn fetch(client: &Client, release: &Release, folder: &Path) -> Result<(), DeliveryError> {
    let about = &release.about;
    let file = format!("{}.{}.zst", release.download.sha256, about.platform);
    let target = Target {
        parts: &["targets", &about.name, &about.version.to_string(), &file],
        signed: release.download,
    };
    let part = client.cache.part(about.library.sha256);
    let manifest = manifests::read(client, release, Instant::now() + client.time())?;
    let mut reported = None::<Instant>;
    let total = release.download.length;
    let packed = target::fetch(&client.link, target, &part, &mut |bytes| {
        if bytes == total || reported.is_none_or(|last| last.elapsed() >= PAUSE) {
            client.link.report(FetchEvent::Progress { bytes, total });
            reported = Some(Instant::now());
        }
    })?;
    let staged = Staged::new(folder)?;
    if let Err(error) = unpack::unpack(packed, &staged.path("library"), about.library, &about.name) {
        if error.code == ErrorCode::ReleaseUnpacked {
            cache::remove(&part)?;
        }
        return Err(error);
    }
    cache::replace(&staged.path("manifest.json"), &manifest, true)?;
    staged.put(folder)?;
    cache::remove(&part)
}

/// A folder that is renamed once it is complete, and removed otherwise.
struct Staged(PathBuf);

impl Staged {
    /// Creates the folder, and removes one that a killed process has left.
    fn new(folder: &Path) -> Result<Self, DeliveryError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.with_file_name(cache::staged(name));
        cache::remove(&path)?;
        cache::create_folder(&path)?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn put(self, folder: &Path) -> Result<(), DeliveryError> {
        cache::sync_folder(&self.0);
        fs::rename(&self.0, folder).map_err(|error| cache::failed("write", folder, &error))?;
        cache::sync_folder(folder.parent().unwrap_or(folder));
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After the rename there is nothing to remove; otherwise the next download removes what remains.
        let _ = fs::remove_dir_all(&self.0);
    }
}
