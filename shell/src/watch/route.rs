//! The way to a file: in which folders something must be seen to happen.

use std::{
    ffi::OsString,
    fs::Metadata,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

/// So many links are followed, as systems do.
const LINKS: usize = 40;

/// An entry of a folder that decides where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The folder; there is no link in its path.
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
    /// The path may lead elsewhere when this changes: a link, or something on the way that is missing.
    pub(super) turns: bool,
}

/// The steps to `path`: every link on the way, and the file itself or what is missing first.
pub(super) fn route(path: &Path) -> Vec<Step> {
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
        let step = |turns| Step { folder: real.clone(), name: name.clone(), turns };
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

/// What a path starts at, and its names, the last one first.
fn split(path: &Path) -> (PathBuf, Vec<OsString>) {
    let is_root = |part: &Component<'_>| matches!(part, Component::Prefix(_) | Component::RootDir);
    let root = path.components().take_while(is_root).collect();
    let names = path.components().skip_while(is_root).filter(|part| *part != Component::CurDir);
    let mut names: Vec<_> = names.map(|part| part.as_os_str().to_owned()).collect();
    names.reverse();
    (root, names)
}

/// Which folder or file it is, whatever its name.
pub(super) fn identity(about: &Metadata) -> (u64, u64, Option<SystemTime>) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (about.dev(), about.ino(), None)
    }
    #[cfg(not(unix))]
    (0, 0, about.created().ok())
}
