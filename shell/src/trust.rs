//! Checks that only trusted users can change the files that bring code or settings into this process.
//!
//! This user, root, and the owners of this executable's folders are trusted: they control the running code in any
//! case. A file is safe if no other user can write to it, or replace it or a folder or link on its path, as in
//! OpenSSH's `StrictModes`.
//! Windows keeps permissions in access control lists, which are not read: there every path is safe.
//! `[any thread but the window's]`

use std::{fmt, io, path::PathBuf};

/// The reason why a path is not safe.
#[derive(Debug)]
pub(crate) enum UnsafePath {
    /// The file system returned an error.
    Unreadable(io::Error, PathBuf),
    /// Other users have write permission for this path.
    Writable(PathBuf),
    /// The owner is not trusted.
    Foreign {
        /// The owner's user id.
        owner: u32,
        /// The file or folder.
        path: PathBuf,
    },
}

impl fmt::Display for UnsafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error, path) => {
                write!(f, "its permissions cannot be read ({error}): {}", path.display())
            }
            Self::Writable(path) => {
                let path = path.display();
                write!(f, "it is writable for other users: {path}")
            }
            Self::Foreign { owner, path } => {
                write!(f, "its owner is another user (uid {owner}): {}", path.display())
            }
        }
    }
}

impl UnsafePath {
    /// Returns the remedy.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Unreadable(..) => "let this user read it".to_owned(),
            Self::Writable(path) => format!("remove that permission with `chmod go-w {}`", path.display()),
            Self::Foreign { .. } => "make your own copy, or ask an administrator to `chown` it".to_owned(),
        }
    }
}

#[cfg(unix)]
pub(crate) use unix::{check, is_closed};

/// Accepts every path; see the module.
///
/// # Errors
/// Never, on this system.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
pub(crate) fn check(_: &std::path::Path) -> Result<(), UnsafePath> {
    Ok(())
}

/// Returns `true`: on this system every folder counts as closed, see the module.
#[cfg(not(unix))]
pub(crate) fn is_closed(_: &std::path::Path) -> bool {
    true
}

#[cfg(unix)]
mod unix {
    use std::{
        collections::BTreeSet,
        env,
        ffi::OsString,
        fs::{self, Metadata},
        os::unix::fs::MetadataExt,
        path::{Component, Path, PathBuf},
        sync::OnceLock,
    };

    use super::UnsafePath;

    /// Linux's own limit of links in a path.
    const LINKS: usize = 40;

    const STICKY: u32 = 0o1000;

    /// Checks the file or folder, and all folders and links on its path.
    ///
    /// In a folder with the sticky bit, such as `/tmp`, users cannot replace each other's files.
    ///
    /// # Errors
    /// Returns the first unsafe place from the root down, see [`UnsafePath`].
    pub(crate) fn check(path: &Path) -> Result<(), UnsafePath> {
        walk(path, Users::of_process())
    }

    /// Returns `true` if only trusted users can add files to this folder or replace it.
    pub(crate) fn is_closed(folder: &Path) -> bool {
        let users = Users::of_process();
        let open = |about: Metadata| users.others_write(&about);
        walk(folder, users).is_ok() && fs::metadata(folder).is_ok_and(|about| !open(about))
    }

    pub(super) fn walk(path: &Path, users: &Users) -> Result<(), UnsafePath> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |error| UnsafePath::Unreadable(error, path)
        };
        let path = std::path::absolute(path).map_err(unreadable(path))?;
        let mut rest: Vec<OsString> = parts(&path);
        let (mut here, mut links) = (PathBuf::from("/"), 0);
        users.check(&here, &fs::symlink_metadata(&here).map_err(unreadable(&here))?)?;
        while let Some(part) = rest.pop() {
            if part == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&part);
            let about = fs::symlink_metadata(&next).map_err(unreadable(&next))?;
            users.check(&next, &about)?;
            if !about.is_symlink() {
                here = next;
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(UnsafePath::Unreadable(std::io::Error::from_raw_os_error(libc::ELOOP), path));
            }
            let target = fs::read_link(&next).map_err(unreadable(&next))?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            rest.extend(parts(&target));
        }
        Ok(())
    }

    /// Lists the names in a path, last first.
    fn parts(path: &Path) -> Vec<OsString> {
        let name = |part: Component<'_>| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        };
        path.components().rev().filter_map(name).collect()
    }

    /// The trusted users, and the groups with no other member.
    pub(super) struct Users {
        pub(super) trusted: BTreeSet<u32>,
        pub(super) groups: BTreeSet<u32>,
    }

    impl Users {
        fn of_process() -> &'static Self {
            static USERS: OnceLock<Users> = OnceLock::new();
            USERS.get_or_init(|| {
                let own = rustix::process::geteuid().as_raw();
                let exe = env::current_exe().ok();
                let folders = exe.iter().flat_map(|exe| exe.ancestors());
                let owners = folders.filter_map(|folder| Some(fs::metadata(folder).ok()?.uid()));
                let mut trusted: BTreeSet<u32> = owners.chain([own, 0]).collect();
                let mut groups: BTreeSet<u32> = trusted.clone();
                groups.extend(private_group(own));
                // The administrators' group, which may write to `/Applications`.
                groups.extend(cfg!(target_os = "macos").then_some(80));
                trusted.extend(unmapped());
                Self { trusted, groups }
            })
        }

        fn check(&self, path: &Path, about: &Metadata) -> Result<(), UnsafePath> {
            if !self.trusted.contains(&about.uid()) {
                return Err(UnsafePath::Foreign { owner: about.uid(), path: path.to_owned() });
            }
            // The permissions of a link are those of its target. A pipe or a device is refused by its reader,
            // and a message must not advise to `chmod` it.
            let relevant = about.is_file() || about.is_dir();
            let sticky = about.is_dir() && about.mode() & STICKY != 0;
            if relevant && !sticky && self.others_write(about) {
                return Err(UnsafePath::Writable(path.to_owned()));
            }
            Ok(())
        }

        fn others_write(&self, about: &Metadata) -> bool {
            let mode = about.mode();
            mode & 0o002 != 0 || (mode & 0o020 != 0 && !self.groups.contains(&about.gid()))
        }
    }

    /// Returns the user id that a container shows for owners outside its id map, such as root.
    fn unmapped() -> Option<u32> {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u32>().ok();
        let map = fs::read_to_string("/proc/self/uid_map").ok()?;
        let complete = map.split_whitespace().eq(["0", "0", "4294967295"]);
        if complete { None } else { number("/proc/sys/kernel/overflowuid") }
    }

    /// Returns this user's private group, whose id may differ from the user's: it has the user's name and no other
    /// member.
    ///
    /// Many systems create such a group for each user, and give it write permission for the user's files.
    fn private_group(user: u32) -> Option<u32> {
        let find = |file: &str, of: &dyn Fn(&[&str]) -> bool| -> Option<Vec<String>> {
            let text = String::from_utf8(crate::file::read(Path::new(file), 1 << 20).ok()?).ok()?;
            let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
            lines.find(|line| of(line)).map(|line| line.into_iter().map(str::to_owned).collect())
        };
        let number = |text: Option<&&str>| text.and_then(|text| text.parse::<u32>().ok());
        let account = find("/etc/passwd", &|line| number(line.get(2)) == Some(user))?;
        let name = account.first()?;
        let group = find("/etc/group", &|line| line.first() == Some(&&**name))?;
        let gid: u32 = group.get(2)?.parse().ok()?;
        let own = account.get(3)?.parse() == Ok(gid);
        let alone = group.get(3).is_none_or(|members| members.is_empty() || members == name);
        let other = |line: &[&str]| number(line.get(3)) == Some(gid) && number(line.get(2)) != Some(user);
        (own && alone && find("/etc/passwd", &other).is_none()).then_some(gid)
    }
}

#[cfg(all(test, unix))]
mod tests;
