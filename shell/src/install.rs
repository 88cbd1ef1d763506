//! Putting a remote into the drop folder, `DATA/plugins`: what the command, the button and a dropped file do.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use plugin_api::manifest::RemoteManifest;
use semver::Version;
use tempfile::NamedTempFile;

use crate::{
    archive::Digest,
    config::{Config, is_json, read_manifest},
    failure::{Failure, Stage},
    federation::loader,
    file,
    shared_file::sync_folder,
};

/// What was installed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// The name of the remote.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its library, where it is now.
    pub library: PathBuf,
    /// Its manifest, where it is now; none if the one inside of the library is used.
    pub manifest: Option<PathBuf>,
    /// The version that was there before under the same file name.
    pub replaced: Option<Version>,
    /// Other files of the folder that are of the same remote; only one of them can be used.
    pub others: Vec<PathBuf>,
}

/// The drop folder of this configuration.
pub fn drop_folder(config: &Config) -> PathBuf {
    config.data_dir.join("plugins")
}

/// The names of the remotes in the drop folder; what cannot be read there has none.
pub fn dropped(config: &Config) -> BTreeSet<String> {
    plugins(&drop_folder(config)).into_iter().map(|(_, manifest)| manifest.name).collect()
}

/// Copies a library, or a manifest with its library, into the drop folder, where a running shell finds it.
///
/// It is checked first as far as that goes without running it: manifest, platform, revision of the contract, and
/// the digest if the manifest states one. The library of a manifest is looked for as that of any other manifest.
/// Each file appears there complete or not at all, under its own name.
///
/// # Errors
/// Says what is wrong with the file, or why it cannot be copied. What was there before stays then.
pub fn install(file: &Path, config: &Config) -> Result<Installed, Failure> {
    let (library, written) = if is_json(file) {
        let located = config.locate_by_manifest(file)?;
        (located.library, Some((located.manifest, located.origin.text().to_owned())))
    } else {
        (file.to_owned(), None)
    };
    let embedded = read_manifest(&library)?;
    if let Some((manifest, _)) = &written {
        loader::same_manifest(manifest, &embedded.manifest, &library)
            .map_err(|error| Failure::new(Stage::Discover, error.code(), error))?;
    }
    let folder = drop_folder(config);
    let RemoteManifest { name, version, .. } = &embedded.manifest;
    let target = place(&library, &folder, name)?;
    let beside = match &written {
        Some(_) => Some(place(file, &folder, name)?),
        None => None,
    };
    let stated = written.as_ref().and_then(|(manifest, _)| manifest.sha256.as_deref());
    let mut replaced = None;
    file::create_private(&folder).map_err(|error| failed(&error, &folder))?;
    if !is_same(&library, &target) {
        replaced = read_manifest(&target).ok().map(|old| old.manifest.version);
        put(copy_library(&library, &folder, embedded.origin.text(), stated)?, &target)?;
    } else if let Some(stated) = stated {
        let found = Digest::of(&library).map_err(|error| failed(&error, &library))?;
        check(stated, found, &library)?;
    }
    // After the library: whoever sees the manifest finds what it is about.
    match (&beside, &written) {
        (Some(place), Some((_, text))) if !is_same(file, place) => {
            let mut copy = new_file(&folder)?;
            copy.write_all(text.as_bytes()).map_err(|error| failed(&error, place))?;
            put(copy, place)?;
        }
        _ => {}
    }
    let mut others = plugins(&folder);
    others.retain(|(path, other)| {
        other.name == *name && !is_same(path, &target) && !beside.as_ref().is_some_and(|own| is_same(path, own))
    });
    if beside.is_none() {
        // It was about the library that this one has replaced, and would have this one refused.
        let entry = |manifest: &RemoteManifest| folder.join(library_name(&manifest.remote_entry)) == target;
        others.retain(|(path, manifest)| {
            let stale = is_json(path) && entry(manifest);
            !(stale && fs::remove_file(path).is_ok())
        });
    }
    sync_folder(&folder);
    Ok(Installed {
        name: name.clone(),
        version: version.clone(),
        library: target,
        manifest: beside,
        replaced,
        others: others.into_iter().map(|(path, _)| path).collect(),
    })
}

fn library_name(entry: &str) -> String {
    format!("{}{entry}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// Where a file of the remote called `name` goes: under its own name, if that is not another remote's.
fn place(file: &Path, folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let own = file.file_name().ok_or_else(|| failed(&io::Error::from(io::ErrorKind::InvalidFilename), file))?;
    let place = folder.join(own);
    match read_manifest(&place) {
        Ok(other) if other.manifest.name != name => {
            let text = format!(
                "`{name}` is not installed, because a file of `{}` has this name in the drop folder; rename one of \
                 the files, or remove the other: {}",
                other.manifest.name,
                place.display()
            );
            Err(Failure::new(Stage::Discover, "install-occupied", text))
        }
        _ => Ok(place),
    }
}

/// A copy of the library that is still the one that was checked.
fn copy_library(
    library: &Path,
    folder: &Path,
    text: &str,
    stated: Option<&str>,
) -> Result<NamedTempFile, Failure> {
    let mut copy = new_file(folder)?;
    let mut from = File::open(library).map_err(|error| failed(&error, library))?;
    let found = Digest::copying(&mut from, &mut copy).map_err(|error| failed(&error, library))?;
    if let Some(stated) = stated {
        check(stated, found, library)?;
    }
    if loader::section_text(copy.path()).is_ok_and(|copied| copied == text) {
        return Ok(copy);
    }
    let error = io::Error::other("it is being written at the moment");
    Err(failed(&error, library))
}

fn check(stated: &str, found: Digest, library: &Path) -> Result<(), Failure> {
    if stated.parse() == Ok(found) {
        return Ok(());
    }
    let text = format!(
        "the library has the SHA-256 digest {found}, and its manifest says {stated}; it is damaged or another one, so \
         get both again: {}",
        library.display()
    );
    Err(Failure::new(Stage::Discover, "digest-mismatch", text))
}

/// A file that nobody takes for a plugin.
fn new_file(folder: &Path) -> Result<NamedTempFile, Failure> {
    tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(|error| failed(&error, folder))
}

fn put(copy: NamedTempFile, place: &Path) -> Result<(), Failure> {
    copy.as_file().sync_all().map_err(|error| failed(&error, place))?;
    copy.persist(place).map(drop).map_err(|error| failed(&error.error, place))
}

fn failed(error: &io::Error, path: &Path) -> Failure {
    let text = format!(
        "the remote is not installed ({error}); make room, let this user write there, and try again: {}",
        path.display()
    );
    Failure::new(Stage::Discover, "install-failed", text)
}

/// Every remote whose manifest can be read in `folder`, by file.
fn plugins(folder: &Path) -> Vec<(PathBuf, RemoteManifest)> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_plugin(path)).collect();
    paths.sort();
    let read = |path: PathBuf| read_manifest(&path).ok().map(|read| (path, read.manifest));
    paths.into_iter().filter_map(read).collect()
}

fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// Whether a file of this name may be a library or a manifest.
pub(crate) fn is_plugin(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What is being written is hidden until it is complete.
    !name.starts_with('.') && (name.ends_with(env::consts::DLL_SUFFIX) || is_json(path))
}
