//! Reads the manifest inside a library from the tables of its file.

use std::{cell::Cell, fs::File, io, ops::Range, path::Path};

use negotiation::manifest::RemoteManifest;
use object::{FileKind, Object, ObjectSection, ObjectSegment, ObjectSymbol, ReadCache, ReadRef};
use plugin_api::{
    abi::ABI_REVISION,
    embed::{self, EmbedError},
};

use super::LibraryError;
use crate::file;

type Image<'a> = object::File<'a, Budgeted<'a>>;

/// The limit of bytes read to find a library's manifest: its tables, with the symbols of a debug build.
const MAX_TABLES: u64 = 128 << 20;

/// The largest manifest section, in bytes; some formats pad it.
const MAX_SECTION: u64 = 2 * (embed::HEADER + embed::MAX_TEXT) as u64;

/// A reader with a budget, because a library's tables state their own sizes.
#[derive(Clone, Copy)]
pub(super) struct Budgeted<'a> {
    cache: &'a ReadCache<File>,
    left: &'a Cell<u64>,
}

impl Budgeted<'_> {
    fn spend(self, bytes: u64) -> Result<(), ()> {
        self.left.set(self.left.get().checked_sub(bytes).ok_or(())?);
        Ok(())
    }
}

impl<'a> ReadRef<'a> for Budgeted<'a> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        self.spend(size)?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let found = self.cache.read_bytes_at_until(range, delimiter)?;
        self.spend(found.len() as u64 + 1)?;
        Ok(found)
    }
}

/// Reads the manifest inside the library at `path`. Runs none of its code.
///
/// # Errors
/// See [`LibraryError`].
pub fn inspect(path: &Path) -> Result<RemoteManifest, LibraryError> {
    parse(&section_text(path)?, path)
}

/// Reads the manifest inside the library at `path`, and checks that the file is complete. Runs none of its code.
///
/// Headers and the manifest are read; of everything else only the place is compared with the file's size. This
/// detects a library that is still being written or was truncated, because a linker, a copy and a download write the
/// section tables, or the sections, last. Corrupt bytes within the file are not detected.
///
/// # Errors
/// See [`LibraryError`].
pub fn complete(path: &Path) -> Result<RemoteManifest, LibraryError> {
    let text = with_library(path, |library, size| {
        expect_complete(library, size, path)?;
        manifest_text(library, path)
    })?;
    parse(&text, path)
}

fn expect_complete(library: &Image<'_>, size: u64, path: &Path) -> Result<(), LibraryError> {
    match beyond(library, size) {
        None => Ok(()),
        Some((what, end)) => {
            let text = format!("{what} ends at byte {end}, but the file at byte {size}");
            Err(LibraryError::Damaged(text, path.to_owned()))
        }
    }
}

/// Reads the text of the manifest inside the library at `path`. Runs none of its code.
pub(crate) fn section_text(path: &Path) -> Result<String, LibraryError> {
    with_library(path, |library, _| manifest_text(library, path))
}

/// Parses the text of the manifest inside the library at `path`.
pub(crate) fn parse(text: &str, path: &Path) -> Result<RemoteManifest, LibraryError> {
    RemoteManifest::from_json(text).map_err(|e| LibraryError::Manifest(e, path.to_owned()))
}

/// The content of a library that a publisher signs, for any platform.
pub(crate) struct Publishable {
    /// The manifest, as embedded.
    pub(crate) manifest_text: String,
    /// Platform, as the beginning of a target triple and its system; `None` for one without a name here.
    pub(crate) platform: Option<(&'static str, &'static str)>,
    /// `true` for a file in ELF.
    pub(crate) is_elf: bool,
}

/// Reads a complete library of any platform. Runs none of its code.
///
/// # Errors
/// See [`LibraryError`].
pub(crate) fn publishable(path: &Path) -> Result<Publishable, LibraryError> {
    with_any_library(path, |library, size| {
        expect_complete(library, size, path)?;
        let text = manifest_text(library, path)?;
        parse(&text, path)?;
        let is_elf = library.format() == object::BinaryFormat::Elf;
        Ok(Publishable { manifest_text: text, platform: platform(library), is_elf })
    })
}

/// Returns processor and system, in the words of target triples.
fn platform(library: &Image<'_>) -> Option<(&'static str, &'static str)> {
    use object::{Architecture, BinaryFormat, FileFlags, elf};
    let processor = match library.architecture() {
        Architecture::X86_64 => "x86_64",
        Architecture::Aarch64 => "aarch64",
        Architecture::I386 => "i686",
        Architecture::Riscv64 => "riscv64gc",
        _ => return None,
    };
    let system = match (library.format(), library.flags()) {
        (BinaryFormat::Pe, _) => "windows",
        (BinaryFormat::MachO, _) => "darwin",
        (_, FileFlags::Elf { os_abi: elf::ELFOSABI_NONE | elf::ELFOSABI_GNU, .. }) => "linux",
        _ => return None,
    };
    Some((processor, system))
}

/// Opens a library of this platform, and passes it to `read` with the size of its file.
pub(super) fn with_library<T>(
    path: &Path,
    read: impl FnOnce(&Image<'_>, u64) -> Result<T, LibraryError>,
) -> Result<T, LibraryError> {
    with_any_library(path, |library, size| {
        let found = words(library.format(), library.architecture());
        if found != native() {
            return Err(LibraryError::OtherPlatform { found, here: native(), path: path.to_owned() });
        }
        read(library, size)
    })
}

/// Opens a library, and passes it to `read` with the size of its file.
fn with_any_library<T>(
    path: &Path,
    read: impl FnOnce(&Image<'_>, u64) -> Result<T, LibraryError>,
) -> Result<T, LibraryError> {
    let file = file::open(path).map_err(|e| LibraryError::io(e, path))?;
    let size = file.metadata().map_err(|e| LibraryError::io(e, path))?.len();
    if size > file::MAX_LIBRARY {
        let error = io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {size} bytes"));
        return Err(LibraryError::io(error, path));
    }
    let (cache, left) = (ReadCache::new(file), Cell::new(MAX_TABLES));
    let data = Budgeted { cache: &cache, left: &left };
    let kind = FileKind::parse(data).map_err(|_| LibraryError::NotALibrary(path.to_owned()))?;
    match kind {
        FileKind::Elf32
        | FileKind::Elf64
        | FileKind::MachO32
        | FileKind::MachO64
        | FileKind::Pe32
        | FileKind::Pe64 => {}
        // Several libraries in one file: they are not searched.
        FileKind::MachOFat32 | FileKind::MachOFat64 => {
            let found = "macho universal".to_owned();
            return Err(LibraryError::OtherPlatform { found, here: native(), path: path.to_owned() });
        }
        _ => return Err(LibraryError::NotALibrary(path.to_owned())),
    }
    let library = object::File::parse(data).map_err(|e| damaged(e, path))?;
    if library.kind() != object::ObjectKind::Dynamic {
        return Err(LibraryError::NotALibrary(path.to_owned()));
    }
    read(&library, size)
}

fn manifest_text(library: &Image<'_>, path: &Path) -> Result<String, LibraryError> {
    let section = embed::SECTIONS.iter().find_map(|name| library.section_by_name(name));
    let section = section
        .ok_or_else(|| LibraryError::NotAPlugin("it has no manifest section".to_owned(), path.to_owned()))?;
    // Checked before the section is read, because it states its own size.
    if section.size() > MAX_SECTION {
        let text = format!("its manifest section has {} bytes, and the limit is {MAX_SECTION}", section.size());
        return Err(LibraryError::Damaged(text, path.to_owned()));
    }
    let content = section.data().map_err(|e| damaged(e, path))?;
    let (revision, text) = embed::parse(content).map_err(|e| match e {
        EmbedError::Magic => LibraryError::NotAPlugin(e.to_string(), path.to_owned()),
        _ => LibraryError::Damaged(e.to_string(), path.to_owned()),
    })?;
    let found = revision & !embed::ABORTS;
    if found != ABI_REVISION {
        return Err(LibraryError::Revision { found, path: path.to_owned() });
    }
    if revision != found || aborts(library) {
        return Err(LibraryError::Aborts(path.to_owned()));
    }
    Ok(text.to_owned())
}

/// Returns `true` if the library's imports show that its panics end the process.
///
/// Rust's standard library imports the unwinder's functions for backtraces, but the function that begins to unwind
/// only if panics unwind.
fn aborts<'data>(library: &impl Object<'data>) -> bool {
    let (mut traces, mut unwinds) = (false, false);
    for symbol in library.dynamic_symbols() {
        match symbol.name() {
            Ok("_Unwind_Backtrace" | "__Unwind_Backtrace") => traces = true,
            Ok("_Unwind_RaiseException" | "__Unwind_RaiseException") => unwinds = true,
            _ => {}
        }
    }
    traces && !unwinds
}

/// Returns the first section or segment beyond the end of the file, and its end.
fn beyond(library: &Image<'_>, size: u64) -> Option<(String, u64)> {
    let sections = library.sections().map(|section| {
        let name =
            || section.name().map_or_else(|_| "a section".to_owned(), |name| format!("section `{name}`"));
        (section.file_range(), name())
    });
    let segments = library.segments().map(|segment| (Some(segment.file_range()), "a segment".to_owned()));
    let mut ends = sections.chain(segments).filter_map(|(range, what)| {
        let (start, length) = range?;
        Some((what, start.saturating_add(length)))
    });
    ends.find(|(_, end)| *end > size)
}

fn damaged(error: object::Error, path: &Path) -> LibraryError {
    LibraryError::Damaged(error.to_string(), path.to_owned())
}

/// Returns the words for a platform in messages.
fn words(format: object::BinaryFormat, architecture: object::Architecture) -> String {
    format!("{format:?} {architecture:?}").to_lowercase()
}

/// Returns the words for the platform of this build.
fn native() -> String {
    words(native_format(), native_architecture())
}

const fn native_format() -> object::BinaryFormat {
    if cfg!(windows) {
        object::BinaryFormat::Pe
    } else if cfg!(target_vendor = "apple") {
        object::BinaryFormat::MachO
    } else {
        object::BinaryFormat::Elf
    }
}

const fn native_architecture() -> object::Architecture {
    if cfg!(target_arch = "x86_64") {
        object::Architecture::X86_64
    } else if cfg!(target_arch = "aarch64") {
        object::Architecture::Aarch64
    } else if cfg!(target_arch = "x86") {
        object::Architecture::I386
    } else if cfg!(target_arch = "riscv64") {
        object::Architecture::Riscv64
    } else {
        object::Architecture::Unknown
    }
}
