//! Copies a repository to a folder, which is one itself: `file://FOLDER` and a web server offer the same.
//!
//! Everything is verified before it has its name, and the timestamp comes last, so that readers of the folder see the
//! older state or the new one. Publishers and releases that a check leaves out are left out here, too.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use tough::schema::{Root, Signed, Timestamp};

use super::{
    Client, check,
    download::has,
    load::{KnownState, Start, parse_root},
    target::{self, Target},
};
use crate::{
    cache,
    error::{DeliveryError, ErrorCode},
    fetch::FetchEvent,
    listing::Listing,
    release::FileContent,
};

/// The lock file in the folder.
const LOCK: &str = ".pulse-mirror.lock";

/// The largest timestamp and root that are read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Copies the repository to a folder that is empty or a former copy.
pub(super) fn mirror(client: &Client, to: &Path) -> Result<FetchEvent, DeliveryError> {
    let lock = cache::open_for_writing(&to.join(LOCK))?;
    if lock.try_lock().is_err() {
        return Err(DeliveryError::new(
            ErrorCode::SiteBusy,
            format!("another process copies to this folder: {}", to.display()),
            "wait until it has finished",
        ));
    }
    let former = former(to)?;
    let before = client.cache.list();
    let guard = client.cache.lock("check", || client.link.report(FetchEvent::Waiting))?;
    check::run(client, Start::of(&client.cache)?, before, &[], None)?;
    let start = Start::of(&client.cache)?;
    let mut verified = check::stored(client, &start)?;
    drop(guard);
    let list = check::listing(client, &mut verified, 0);
    if let Some(former) = former {
        may_replace(&former, &verified.known, to)?;
    }
    let mut copy = Copy { client, to, files: 0, bytes: 0, done: 0, total: 0 };
    let roots = copy.earlier_roots(&verified.known)?;
    copy.targets(&list)?;
    copy.metadata(roots.iter().chain(&verified.known.files))?;
    Ok(FetchEvent::Mirrored { files: copy.files, bytes: copy.bytes })
}

/// Returns the timestamp of a former copy.
///
/// # Errors
/// Fails with `site-occupied` if the folder holds something else.
fn former(to: &Path) -> Result<Option<Signed<Timestamp>>, DeliveryError> {
    let path = to.join("metadata").join("timestamp.json");
    if let Some(bytes) = cache::read(&path, MAX_FILE)? {
        return serde_json::from_slice(&bytes).map(Some).map_err(|_| occupied(to));
    }
    let entries = fs::read_dir(to).map_err(|error| cache::failed("read", to, &error))?;
    let own = [LOCK, "metadata", "targets"];
    for entry in entries.flatten() {
        if !own.iter().any(|name| entry.file_name() == *name) {
            return Err(occupied(to));
        }
    }
    Ok(None)
}

fn occupied(to: &Path) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::SiteOccupied,
        format!("the folder holds something other than a copy of this repository: {}", to.display()),
        "name an empty folder",
    )
}

/// Fails if a former copy is of another repository, or newer.
fn may_replace(former: &Signed<Timestamp>, known: &KnownState, to: &Path) -> Result<(), DeliveryError> {
    let mut roots: Vec<Signed<Root>> = known
        .files
        .iter()
        .filter(|(name, _)| name.ends_with(".root.json"))
        .filter_map(|(_, text)| serde_json::from_str(text).ok())
        .collect();
    roots.sort_by_key(|root| root.signed.version);
    let verifies = |root: &Signed<Root>| root.signed.verify_role(former).is_ok();
    if !roots.last().is_some_and(verifies) {
        // Versions may start again after a change of the key.
        return if roots.iter().any(verifies) { Ok(()) } else { Err(occupied(to)) };
    }
    let now = known.files.get("timestamp.json");
    let now = now.and_then(|text| serde_json::from_str::<Signed<Timestamp>>(text).ok());
    if now.is_some_and(|now| now.signed.version < former.signed.version) {
        return Err(DeliveryError::new(
            ErrorCode::RepoRollback,
            format!("the folder holds a newer state than the repository: {}", to.display()),
            "an attacker or an old mirror may be the cause",
        ));
    }
    Ok(())
}

struct Copy<'a> {
    client: &'a Client,
    to: &'a Path,
    files: u64,
    bytes: u64,
    /// Progress over all targets.
    done: u64,
    total: u64,
}

impl Copy<'_> {
    /// Fetches the roots before the trusted one, as far back as the server has them.
    ///
    /// A reader of the copy may trust any of them. Each must lead to the next.
    fn earlier_roots(&self, known: &KnownState) -> Result<BTreeMap<String, String>, DeliveryError> {
        let until = Instant::now() + self.client.time();
        let known = known.files.iter().filter(|(name, _)| name.ends_with(".root.json"));
        let known = known.filter_map(|(_, text)| serde_json::from_str::<Signed<Root>>(text).ok());
        let mut roots = BTreeMap::new();
        let Some(mut next) = known.min_by_key(|root| root.signed.version) else { return Ok(roots) };
        for version in (1..next.signed.version.get()).rev() {
            let file = format!("{version}.root.json");
            let body = match self.client.link.fetch(&["metadata", &file], MAX_FILE, until) {
                Ok(Some(body)) => body,
                // Object stores deny a missing file.
                Ok(None) => break,
                Err(error) if error.code == ErrorCode::RepoDenied => break,
                Err(error) => return Err(error),
            };
            let bytes = body.metadata()?;
            let root = parse_root(&bytes)?;
            if root.signed.version.get() != version || root.signed.verify_role(&next).is_err() {
                return Err(DeliveryError::new(
                    ErrorCode::RepoSignature,
                    format!("metadata/{file} does not lead to the next root: {}", self.client.repository),
                    "ask the repository's owner to check the server",
                ));
            }
            roots.insert(file, String::from_utf8_lossy(&bytes).into_owned());
            next = root;
        }
        Ok(roots)
    }

    /// Copies the libraries and manifests of the list.
    fn targets(&mut self, list: &Listing) -> Result<(), DeliveryError> {
        let mut targets = BTreeMap::new();
        for release in &list.releases {
            let about = &release.about;
            let folder = [about.name.clone(), about.version.to_string()];
            let library = format!("{}.{}.zst", release.download.sha256, about.platform);
            let manifest = format!("{}.manifest.json", about.manifest.sha256);
            targets.insert((folder.clone(), library), release.download);
            targets.insert((folder, manifest), about.manifest);
        }
        self.total = targets.values().map(|content| content.length).sum();
        for (([name, version], file), content) in targets {
            self.target(&["targets", &name, &version, &file], content)?;
            self.done += content.length;
        }
        Ok(())
    }

    fn target(&mut self, parts: &[&str], signed: FileContent) -> Result<(), DeliveryError> {
        let path = self.place(parts)?;
        if has(&path, signed)? {
            return Ok(());
        }
        let part = path.with_extension("part");
        let (done, total) = (self.done, self.total);
        let mut reported = Instant::now();
        let file = target::fetch(&self.client.link, Target { parts, signed }, &part, &mut |bytes| {
            if reported.elapsed() >= super::download::PAUSE {
                self.client.link.report(FetchEvent::Progress { bytes: done + bytes, total });
                reported = Instant::now();
            }
        })?;
        let put = || -> io::Result<()> {
            make_public(&file);
            file.sync_all()?;
            fs::rename(&part, &path)
        };
        put().map_err(|error| cache::failed("write", &path, &error))?;
        self.count(signed.length);
        Ok(())
    }

    /// Writes the metadata, the timestamp last.
    fn metadata<'a>(
        &mut self,
        files: impl Iterator<Item = (&'a String, &'a String)>,
    ) -> Result<(), DeliveryError> {
        let mut files: Vec<_> = files.collect();
        files.sort_by_key(|(name, _)| *name == "timestamp.json");
        for (name, text) in files {
            let path = self.place(&["metadata", name])?;
            if cache::read(&path, u64::from(u32::MAX))?.is_some_and(|bytes| bytes == text.as_bytes()) {
                continue;
            }
            let put = || -> io::Result<()> {
                let mut staged =
                    tempfile::Builder::new().prefix(".new-").tempfile_in(self.to.join("metadata"))?;
                staged.write_all(text.as_bytes())?;
                make_public(staged.as_file());
                staged.as_file().sync_all()?;
                staged.persist(&path)?;
                Ok(())
            };
            put().map_err(|error| cache::failed("write", &path, &error))?;
            self.count(text.len() as u64);
        }
        cache::sync_folder(&self.to.join("metadata"));
        Ok(())
    }

    /// Returns the path of a file, and creates its folders.
    fn place(&self, parts: &[&str]) -> Result<PathBuf, DeliveryError> {
        let mut path = self.to.to_owned();
        let Some((file, folders)) = parts.split_last() else { return Ok(path) };
        for folder in folders {
            path.push(folder);
            cache::create_folder(&path)?;
        }
        path.push(file);
        Ok(path)
    }

    fn count(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Lets the web server, which runs as another user, read a file.
#[cfg_attr(not(unix), expect(unused_variables, reason = "new files inherit the permissions of their folder"))]
fn make_public(file: &File) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // File systems of USB sticks have no permissions.
        let _ = file.set_permissions(fs::Permissions::from_mode(0o644));
    }
}
