//! The drop folder, `DATA/plugins`. Remotes in it run once they are enabled.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use negotiation::manifest::RemoteManifest;

use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
    library::{is_json, read_manifest},
};

mod install;

pub use install::Installed;

/// The drop folder of one data folder. Cheap to make; its files are read on demand.
#[derive(Clone, Debug)]
pub struct DropFolder(PathBuf);

/// The content of the drop folder.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// The remotes by name. Of several with one name it is the highest version, and a manifest rather than a library.
    pub(crate) installed: BTreeMap<String, PathBuf>,
    /// Files and folders that cannot be used.
    pub(crate) failures: Vec<(PathBuf, Failure)>,
}

impl DropFolder {
    /// Returns the drop folder of this data folder.
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("plugins"))
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the names of the remotes in it, and skips files that cannot be read.
    pub fn names(&self) -> BTreeSet<String> {
        self.remotes().into_iter().map(|(_, manifest)| manifest.name).collect()
    }

    /// Reads the remotes in it by file, and skips files that cannot be read.
    fn remotes(&self) -> Vec<(PathBuf, RemoteManifest)> {
        let read = |path: PathBuf| read_manifest(&path).ok().map(|read| (path, read.manifest));
        files(&self.0).into_iter().flatten().filter_map(read).collect()
    }

    /// Reads the remotes in it, and reports files that cannot be used.
    pub(crate) fn scan(&self) -> Scanned {
        let (mut found, mut failures) = (BTreeMap::new(), Vec::new());
        for path in entries(&self.0).unwrap_or_default() {
            if !is_plugin(&path) {
                if is_hidden(&path) || !path.is_dir() {
                    continue;
                }
                let text = format!("folders in the drop folder are ignored: {}", path.display());
                let advice = "put the library or the manifest itself there, or install it";
                failures.push((path, Failure::new(Stage::Discover, Code::LibraryNotALibrary, text, advice)));
                continue;
            }
            let written = match read_manifest(&path) {
                Ok(written) => written,
                Err(failure) => {
                    failures.push((path, failure));
                    continue;
                }
            };
            let rank = (written.manifest.version, is_json(&path));
            let known = found.entry(written.manifest.name).or_insert_with(|| (rank.clone(), path.clone()));
            if known.0 < rank {
                *known = (rank, path);
            }
        }
        Scanned { installed: found.into_iter().map(|(name, (_, path))| (name, path)).collect(), failures }
    }
}

/// Lists the files directly in `folder` that may be libraries or manifests, by name.
///
/// # Errors
/// Fails if the folder cannot be read.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = entries(folder)?;
    paths.retain(|path| is_plugin(path));
    Ok(paths)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = folder.read_dir()?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Returns `true` if a file of this name may be a library or a manifest. Installing, listing and following share this
/// rule.
pub(crate) fn is_plugin(path: &Path) -> bool {
    // A path that is not text cannot be the location of a remote.
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return false };
    let suffix = env::consts::DLL_SUFFIX;
    let end = name.len().checked_sub(suffix.len()).and_then(|at| name.get(at..)).unwrap_or_default();
    let library = if cfg!(windows) { end.eq_ignore_ascii_case(suffix) } else { end == suffix };
    // Hidden files belong to the system, to editors and to copies that are not complete yet.
    !name.starts_with('.') && !name.contains(char::is_control) && (library || is_json(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_recognised_by_one_rule() {
        let library = |stem: &str| PathBuf::from(format!("{stem}{}", env::consts::DLL_SUFFIX));
        for path in [library("libx"), library("x y é"), "a.json".into(), "folder/A.JSON".into()] {
            assert!(is_plugin(&path), "{}", path.display());
        }
        let hidden = library(".hidden");
        for path in
            [hidden, library("."), library("a\n"), library("a\u{1b}[2J"), "x.so.1".into(), "plugin".into()]
        {
            assert!(!is_plugin(&path), "{}", path.display());
        }
        for name in ["", "/", "..", ".json", "x.bin", "x.so~", ".new-1", "json"] {
            assert!(!is_plugin(Path::new(name)), "{name}");
        }
        assert_eq!(is_plugin(Path::new("X.DLL")), cfg!(windows));
        #[cfg(unix)]
        assert!(!is_plugin(Path::new(std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.json") as &OsStr)));
    }
}
