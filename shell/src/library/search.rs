//! Where the library of a manifest is looked for.

use std::path::{Path, PathBuf};

use super::file_name;

/// Looks for the library called `base` of a manifest in the folder `own`: there, in `folders`, and where cargo builds
/// the package that the manifest lies in.
///
/// Returns the first path at which there is a file, else the first one; and all of them.
pub(crate) fn find(base: &str, own: &Path, folders: &[PathBuf]) -> (PathBuf, Vec<PathBuf>) {
    let name = file_name(base);
    let all = [own.to_owned()].into_iter().chain(folders.iter().cloned()).chain(cargo_output(own));
    first(all.map(|folder| folder.join(&name)).collect())
}

/// Returns the first path at which there is a file, else the first one; and all of them.
pub(crate) fn first(looked: Vec<PathBuf>) -> (PathBuf, Vec<PathBuf>) {
    let found = looked.iter().find(|path| path.is_file()).unwrap_or(&looked[0]).clone();
    (found, looked)
}

/// Returns the folders into which cargo builds, for a manifest that lies in a package or in a folder of one.
fn cargo_output(own: &Path) -> Vec<PathBuf> {
    let packages = own.ancestors().take(2).filter(|folder| folder.join("Cargo.toml").is_file());
    packages
        .flat_map(|folder| ["release", "debug"].map(|profile| folder.join("target").join(profile)))
        .collect()
}
