//! Route to a file: the folders whose events decide where its path leads.

use std::{
    ffi::OsString,
    fs::Metadata,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

/// Maximum number of links that are followed, as in most systems.
const LINKS: usize = 40;

/// An entry of a folder that decides where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathStep {
    /// The folder, by path without links.
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
    /// Set if a change may lead the path elsewhere: for a link, or a missing folder on the way.
    pub(super) redirects: bool,
}

/// Returns the steps to `path`: every link on the way, then the file itself or the first missing folder.
pub(super) fn route(path: &Path) -> Vec<PathStep> {
    let mut steps = Vec::new();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (mut real, mut rest) = split(&path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            real.pop();
            continue;
        }
        let here = real.join(&name);
        let step = |redirects| PathStep { folder: real.clone(), name: name.clone(), redirects };
        match here.symlink_metadata() {
            Ok(about) if about.is_symlink() => {
                steps.push(step(true));
                links += 1;
                let Ok(target) = here.read_link() else { break };
                if links > LINKS {
                    break;
                }
                let (root, names) = split(&target);
                rest.extend(names);
                if target.has_root() {
                    real = root;
                }
            }
            Ok(about) if about.is_dir() && !rest.is_empty() => real = here,
            _ => {
                steps.push(step(!rest.is_empty()));
                break;
            }
        }
    }
    steps
}

/// Splits a path into its root and its names, the last one first.
fn split(path: &Path) -> (PathBuf, Vec<OsString>) {
    let is_root = |part: &Component<'_>| matches!(part, Component::Prefix(_) | Component::RootDir);
    let root = path.components().take_while(is_root).collect();
    let names = path.components().skip_while(is_root).filter(|part| *part != Component::CurDir);
    let mut names: Vec<_> = names.map(|part| part.as_os_str().to_owned()).collect();
    names.reverse();
    (root, names)
}

/// Returns the identity of a folder or file, which does not depend on its name.
pub(super) fn identity(about: &Metadata) -> (u64, u64, Option<SystemTime>) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (about.dev(), about.ino(), None)
    }
    #[cfg(not(unix))]
    (0, 0, about.created().ok())
}
