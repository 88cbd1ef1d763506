//! Installation of a remote, for the command, the button and a dropped file.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use negotiation::manifest::{RemoteManifest, Written};
use semver::Version;

use super::{DropFolder, files, is_plugin};
use crate::library::{is_json, read_manifest};
use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
    file::{MAX_LIBRARY, StagedFile, create_private, open_within, sweep},
    library::{self, Digest, copy_digested, digest_of, search},
};

/// Result of an installation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// Name of the remote.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Path of its library in the drop folder.
    pub library: PathBuf,
    /// Path of its manifest in the drop folder; `None` if the embedded manifest is used.
    pub manifest: Option<PathBuf>,
    /// Former version under the same file name.
    pub replaced: Option<Version>,
    /// Other files of the same remote in the folder. Only one of these files can be used.
    pub others: Vec<PathBuf>,
}

impl DropFolder {
    /// Copies a library, or a manifest with its library, into the drop folder, where a running shell finds it.
    ///
    /// First the library is checked as far as possible without running it: manifest, platform, revision of the
    /// contract, and the digest if the manifest states one. The library of a manifest is searched next to it and in
    /// `plugin_dirs`.
    /// Each file appears completely or not at all. It has its own name, or a name from its manifest if a shell would
    /// not recognise its own as a plugin's (`is_plugin`).
    /// If the process is killed meanwhile, either the former or the new remote is installed.
    ///
    /// # Errors
    /// Fails if the file cannot be used or copied. The former remote stays then.
    pub fn install(&self, file: &Path, plugin_dirs: &[PathBuf]) -> Result<Installed, Failure> {
        if file.is_dir() {
            return Err(is_folder(file));
        }
        let (library, written) = if is_json(file) {
            let Written { manifest, origin } = read_manifest(file)?;
            let own = file.parent().unwrap_or(Path::new("."));
            let (library, _) = search::find(&manifest.remote_entry, own, plugin_dirs);
            (library, Some((manifest, origin.text().to_owned())))
        } else {
            (file.to_owned(), None)
        };
        let embedded = read_manifest(&library)?;
        if let Some((manifest, _)) = &written {
            library::same_manifest(manifest, &embedded.manifest, &library)
                .map_err(|error| Failure::from_error(Stage::Discover, &error))?;
        }
        let folder = self.path();
        let RemoteManifest { name, version, remote_entry, .. } = &embedded.manifest;
        let target = place(&library, folder, name, library::file_name(remote_entry))?;
        let own_manifest = match &written {
            Some(_) => Some(place(file, folder, name, format!("{remote_entry}.json"))?),
            None => None,
        };
        let stated = written.as_ref().and_then(|(manifest, _)| manifest.sha256.as_deref());
        create_private(folder).map_err(|error| failed(&error, folder))?;
        sweep(folder);
        let (mut replaced, mut new_library, mut new_manifest) = (None, None, None);
        if !is_same(&library, &target) {
            replaced = read_manifest(&target).ok().map(|old| old.manifest.version);
            new_library = Some(copy_library(&library, folder, embedded.origin.text(), stated)?);
        } else if let Some(stated) = stated {
            let found = digest_of(&library).map_err(|error| failed(&error, &library))?;
            check(stated, found, &library)?;
        }
        match (&own_manifest, &written) {
            (Some(place), Some((_, text))) if !is_same(file, place) => {
                let mut copy = StagedFile::new(folder).map_err(|error| failed(&error, folder))?;
                copy.write_all(text.as_bytes()).map_err(|error| failed(&error, place))?;
                new_manifest = Some((copy, place));
            }
            _ => {}
        }
        let mut others = self.remotes();
        others.retain(|(path, other)| {
            other.name == *name
                && !is_same(path, &target)
                && !own_manifest.as_ref().is_some_and(|own| is_same(path, own))
        });
        if let Some(copy) = new_library {
            // Manifests of the replaced library would cause the new one to be refused. They are removed first:
            // without them the old library runs by its embedded manifest.
            let stale = |(path, manifest): &(PathBuf, RemoteManifest)| {
                is_json(path) && folder.join(library::file_name(&manifest.remote_entry)) == target
            };
            others
                .retain(|other| !(own_manifest.is_none() && stale(other) && fs::remove_file(&other.0).is_ok()));
            if let Some((_, place)) = &new_manifest {
                let removed = fs::remove_file(place);
                removed.or_else(|error| if place.exists() { Err(failed(&error, place)) } else { Ok(()) })?;
            }
            copy.put(&target).map_err(|error| failed(&error, &target))?;
        }
        if let Some((copy, place)) = new_manifest {
            copy.put(place).map_err(|error| failed(&error, place))?;
        }
        Ok(Installed {
            name: name.clone(),
            version: version.clone(),
            library: target,
            manifest: own_manifest,
            replaced,
            others: others.into_iter().map(|(path, _)| path).collect(),
        })
    }
}

fn is_folder(folder: &Path) -> Failure {
    let names: Vec<String> = files(folder)
        .into_iter()
        .flatten()
        .filter(|path| path.is_file())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .take(8)
        .collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let text = format!("this is a folder, and a remote is installed from a file: {}", folder.display());
    let advice = format!("name the library or the manifest in it{names}");
    Failure::new(Stage::Discover, Code::LibraryNotALibrary, text, advice)
}

/// Returns the target of a file of the remote called `name`: its own file name, or `made` for a name that is no
/// plugin's.
///
/// # Errors
/// Fails if the target is a file of another remote.
fn place(file: &Path, folder: &Path, name: &str, made: String) -> Result<PathBuf, Failure> {
    let own = file.file_name().filter(|_| is_plugin(file));
    let place = own.map_or_else(|| folder.join(made), |own| folder.join(own));
    match read_manifest(&place) {
        Ok(other) if other.manifest.name != name => {
            let text = format!(
                "`{name}` is not installed, because a file of `{}` has this name in the drop folder: {}",
                other.manifest.name,
                place.display()
            );
            let advice = "rename one of the files, or remove the other";
            Err(Failure::new(Stage::Discover, Code::InstallOccupied, text, advice))
        }
        _ => Ok(place),
    }
}

/// Copies the library, and checks that it is still the one that was examined. Only this user can read the copy, which
/// is enough to load it, for any mode of the original.
fn copy_library(
    library: &Path,
    folder: &Path,
    text: &str,
    stated: Option<&str>,
) -> Result<StagedFile, Failure> {
    let mut copy = StagedFile::new(folder).map_err(|error| failed(&error, folder))?;
    let mut from = open_within(library, MAX_LIBRARY).map_err(|error| failed(&error, library))?;
    let found = copy_digested(&mut from, &mut copy).map_err(|error| failed(&error, library))?;
    if let Some(stated) = stated {
        check(stated, found, library)?;
    }
    if library::section_text(copy.path()).is_ok_and(|copied| copied == text) {
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
        "the library has the SHA-256 digest {found}, and its manifest states {stated}: {}",
        library.display()
    );
    let advice = "it is damaged or another library: get both files again";
    Err(Failure::new(Stage::Discover, Code::DigestMismatch, text, advice))
}

fn failed(error: &io::Error, path: &Path) -> Failure {
    let text = format!("the remote is not installed ({error}): {}", path.display());
    let advice = "make room, let this user write there, and try again";
    Failure::new(Stage::Discover, Code::InstallFailed, text, advice)
}

fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}
