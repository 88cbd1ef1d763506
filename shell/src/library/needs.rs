//! Libraries shipped alongside a remote's library: found from its file, and copied with its private copy.
//!
//! A library names its dependencies. With `$ORIGIN` (`@loader_path` on macOS, and always on Windows) the system
//! searches for them in the library's folder. The private copy is in another folder, so these dependencies are copied
//! too, to the same places relative to it.

use std::{
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

use object::{
    Endianness, Object, ReadRef, elf,
    read::{
        elf::{ElfFile, FileHeader},
        macho::{LoadCommandVariant, MachHeader, MachOFile},
    },
};

use super::{LibraryError, inspect::with_library};
use crate::file;

/// Limit of libraries that are copied along.
const MOST: usize = 64;

/// Limit of steps up from the library's folder.
const HIGHEST: usize = 8;

/// Name of the folder in a tree of copies that represents a step down to the library.
const STEP: &str = ".pulse-origin";

/// The dependencies of a library, and its search folders.
#[derive(Default)]
struct Dependencies {
    names: Vec<String>,
    /// Folders to search for the dependencies.
    folders: Vec<String>,
    /// Folders that also apply to the dependencies' own dependencies.
    inherited: Vec<String>,
}

/// A library, and the libraries shipped alongside it.
pub struct Bundle {
    library: PathBuf,
    /// Path relative to the library's folder, and the source file.
    parts: Vec<(PathBuf, PathBuf)>,
}

impl Bundle {
    /// Finds the libraries shipped alongside the library at `path`, also indirect dependencies. Runs no code.
    pub fn of(path: &Path) -> Self {
        let home = home(path);
        let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut open = vec![(PathBuf::new(), needs(path), Vec::new())];
        while let Some((folder, needs, inherited)) = open.pop() {
            let folders: Vec<&String> = needs.folders.iter().chain(&inherited).collect();
            for name in &needs.names {
                let Some(place) = places(name, &folders).find_map(|place| {
                    let place = normal(&folder.join(place))?;
                    home.join(&place).is_file().then_some(place)
                }) else {
                    continue;
                };
                if found.len() == MOST || found.iter().any(|(known, _)| *known == place) {
                    continue;
                }
                let file = home.join(&place);
                let parent = place.parent().map(Path::to_owned).unwrap_or_default();
                let below = self::needs(&file);
                let inherited = inherited.iter().chain(&needs.inherited).cloned().collect();
                found.push((place, file));
                open.push((parent, below, inherited));
            }
        }
        Self { library: path.to_owned(), parts: found }
    }

    /// Returns the files shipped alongside the library.
    pub fn parts(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|(_, file)| &**file)
    }

    /// Copies the parts to the library's private copy, which is then loaded from [`loadable`].
    ///
    /// # Errors
    /// Fails if they cannot be read or written.
    pub fn copy_to(&self, copy: &Path) -> Result<(), LibraryError> {
        let tree = tree(copy);
        if self.parts.is_empty() || tree.exists() {
            return Ok(());
        }
        let up = |place: &Path| place.components().filter(|part| *part == Component::ParentDir).count();
        let steps = self.parts.iter().map(|(place, _)| up(place)).max().unwrap_or_default();
        let home = (0..steps).fold(tree, |folder, _| folder.join(STEP));
        let made = self.parts.iter().try_for_each(|(place, file)| copy_part(file, &home, place));
        made.and_then(|()| fs::create_dir_all(&home)).map_err(|error| {
            let text = format!("the libraries shipped alongside it cannot be copied: {error}");
            LibraryError::Unreadable(io::Error::new(error.kind(), text), self.library.clone())
        })?;
        let inside = loadable(copy);
        let made = fs::hard_link(copy, &inside).or_else(|_| fs::copy(copy, &inside).map(drop));
        made.map_err(|error| LibraryError::Unreadable(error, self.library.clone()))
    }
}

/// Returns the path to load a private copy from: in the tree of its parts, if it has any.
pub fn loadable(copy: &Path) -> PathBuf {
    home(copy).join(copy.file_name().unwrap_or_default())
}

/// Removes a private copy and its parts.
pub fn remove(copy: &Path) {
    // Fails on systems that lock mapped files; there the folder of copies is removed later.
    let _ = fs::remove_file(copy);
    let tree = tree(copy);
    if tree.exists() {
        let _ = fs::remove_dir_all(tree);
    }
}

/// Returns the folder with a private copy and its parts; `None` if it has no parts.
pub(crate) fn root(copy: &Path) -> Option<&Path> {
    let mut name = copy.file_name()?.to_owned();
    name.push(".d");
    copy.ancestors().find(|folder| folder.file_name() == Some(&name))
}

/// Copies a library to `place` below `home`.
fn copy_part(file: &Path, home: &Path, place: &Path) -> io::Result<()> {
    let to = normal_in(home, place);
    fs::create_dir_all(to.parent().unwrap_or(home))?;
    let mut to = fs::File::create(to)?;
    io::copy(&mut file::open(file)?, &mut to).map(drop)
}

/// Returns the folder for the parts of `copy`.
fn tree(copy: &Path) -> PathBuf {
    let mut name = copy.file_name().map(OsString::from).unwrap_or_default();
    name.push(".d");
    copy.with_file_name(name)
}

/// Returns the folder that a library's relative places start from: the file's own, or one in a private copy's tree.
fn home(path: &Path) -> PathBuf {
    let mut folder = tree(path);
    if !folder.is_dir() {
        return path.parent().map(Path::to_owned).unwrap_or_default();
    }
    while folder.join(STEP).is_dir() {
        folder.push(STEP);
    }
    folder
}

/// Lists the possible places of a dependency, relative to the library's folder.
fn places<'a>(name: &'a str, folders: &'a [&String]) -> impl Iterator<Item = PathBuf> + 'a {
    let origin = |path: &'a str| {
        let rest =
            ["$ORIGIN", "${ORIGIN}", "@loader_path"].iter().find_map(|start| path.strip_prefix(start))?;
        Some(PathBuf::from(rest.trim_start_matches('/')))
    };
    let bare = name.strip_prefix("@rpath/").unwrap_or(name);
    let looked_for = !bare.contains('/');
    let direct = origin(name).into_iter();
    let searched = folders.iter().filter(move |_| looked_for).filter_map(move |folder| origin(folder));
    direct.chain(searched.map(move |folder| folder.join(bare)))
}

/// Moves a relative path's steps up to its front; returns `None` for too many steps up.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.last(), Some(Component::Normal(_))) => drop(parts.pop()),
            Component::ParentDir | Component::Normal(_) => parts.push(part),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    let up = parts.iter().filter(|part| **part == Component::ParentDir).count();
    (up <= HIGHEST).then(|| parts.into_iter().collect())
}

/// Joins `home` and a [`normal`] path, without steps up in the result.
fn normal_in(home: &Path, place: &Path) -> PathBuf {
    place.components().fold(home.to_owned(), |mut folder, part| {
        match part {
            Component::ParentDir => drop(folder.pop()),
            part => folder.push(part),
        }
        folder
    })
}

/// Reads the dependencies of the library at `path`; none for a file that is not a library of this platform.
fn needs(path: &Path) -> Dependencies {
    let read = with_library(path, |library, _| {
        Ok(match library {
            object::File::Elf32(elf) => of_elf(elf),
            object::File::Elf64(elf) => of_elf(elf),
            object::File::MachO32(macho) => of_macho(macho),
            object::File::MachO64(macho) => of_macho(macho),
            // Windows searches the library's folder first.
            other => other.imports().ok().map(|imports| {
                let names =
                    imports.flatten().map(|import| String::from_utf8_lossy(import.library()).into_owned());
                Dependencies {
                    names: names.collect(),
                    folders: vec!["$ORIGIN".to_owned()],
                    ..Dependencies::default()
                }
            }),
        })
    });
    read.ok().flatten().unwrap_or_default()
}

fn of_elf<'data, E: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    elf: &ElfFile<'data, E, R>,
) -> Option<Dependencies> {
    let table = elf.elf_dynamic_table().ok()?;
    let mut needs = Dependencies::default();
    let (mut run, mut old) = (Vec::new(), Vec::new());
    for entry in &table {
        let text = || table.string(entry).ok().map(|text| String::from_utf8_lossy(text).into_owned());
        let list = || text().unwrap_or_default().split(':').map(str::to_owned).collect::<Vec<_>>();
        match entry.tag {
            elf::DT_NEEDED => needs.names.extend(text()),
            elf::DT_RUNPATH => run = list(),
            elf::DT_RPATH => old = list(),
            _ => {}
        }
    }
    // `DT_RPATH` counts only without `DT_RUNPATH`, and then also for indirect dependencies.
    if run.is_empty() {
        needs.folders.clone_from(&old);
        needs.inherited = old;
    } else {
        needs.folders = run;
    }
    Some(needs)
}

fn of_macho<'data, M: MachHeader<Endian = Endianness>, R: ReadRef<'data>>(
    macho: &MachOFile<'data, M, R>,
) -> Option<Dependencies> {
    let endian = macho.endian();
    let mut needs = Dependencies::default();
    let mut commands = macho.macho_load_commands().ok()?;
    while let Ok(Some(command)) = commands.next() {
        let text =
            |place| command.string(endian, place).ok().map(|text| String::from_utf8_lossy(text).into_owned());
        match command.variant() {
            Ok(LoadCommandVariant::Dylib(dylib)) => needs.names.extend(text(dylib.dylib.name)),
            Ok(LoadCommandVariant::Rpath(path)) => needs.folders.extend(text(path.path)),
            _ => {}
        }
    }
    needs.inherited.clone_from(&needs.folders);
    Some(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_needed_libraries_follow_origin() {
        let folders = ["$ORIGIN".to_owned(), "${ORIGIN}/../lib".to_owned(), "/usr/lib".to_owned()];
        let folders: Vec<&String> = folders.iter().collect();
        let of = |name: &str| places(name, &folders).filter_map(|place| normal(&place)).collect::<Vec<_>>();
        assert_eq!(of("liba.so"), [Path::new("liba.so"), Path::new("../lib/liba.so")]);
        assert_eq!(of("@rpath/liba.so"), of("liba.so"));
        assert_eq!(of("$ORIGIN/x/../liba.so"), [Path::new("liba.so")]);
        assert!(of("/usr/lib/liba.so").is_empty());
        assert_eq!(normal(Path::new(&"../".repeat(HIGHEST + 1))), None);
    }

    #[test]
    fn steps_up_stay_inside_the_tree() {
        let home = Path::new("copy.d").join(STEP).join(STEP);
        assert_eq!(
            normal_in(&home, Path::new("../lib/liba.so")),
            Path::new("copy.d").join(STEP).join("lib/liba.so")
        );
        assert_eq!(normal_in(&home, Path::new("../../liba.so")), Path::new("copy.d/liba.so"));
    }
}
