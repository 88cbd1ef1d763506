//! Searches for the library of a manifest.

use std::path::{Path, PathBuf};

use super::file_name;

/// Searches for the library called `base` of a manifest in the folder `own`: there, in `folders`, and in cargo's
/// output of the package that contains the manifest.
///
/// Returns the first path with an existing file, else the first path; and all paths.
pub(crate) fn find(base: &str, own: &Path, folders: &[PathBuf]) -> (PathBuf, Vec<PathBuf>) {
    let name = file_name(base);
    let all = [own.to_owned()].into_iter().chain(folders.iter().cloned()).chain(cargo_output(own));
    first(all.map(|folder| folder.join(&name)).collect())
}

/// Returns the first path with an existing file, else the first path; and all paths.
pub(crate) fn first(paths: Vec<PathBuf>) -> (PathBuf, Vec<PathBuf>) {
    let found = paths.iter().find(|path| path.is_file()).unwrap_or(&paths[0]).clone();
    (found, paths)
}

/// Returns cargo's output folders for a manifest in a package, or in a folder directly below it.
fn cargo_output(own: &Path) -> Vec<PathBuf> {
    let packages = own.ancestors().take(2).filter(|folder| folder.join("Cargo.toml").is_file());
    packages
        .flat_map(|folder| ["release", "debug"].map(|profile| folder.join("target").join(profile)))
        .collect()
}
