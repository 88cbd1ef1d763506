//! Libraries of remotes: read without running them, loaded from a private copy, unloaded for real.
//!
//! [`inspect`] reads a library's manifest section and never runs code; [`complete`] also looks whether all of the
//! file is there.
//! [`Library::load`] is the one place where the decision to trust a library is made, [`Library::unload`] the one
//! place where its code leaves the process.
// Loading foreign code and reading its entry point cannot be expressed in safe Rust.
#![allow(unsafe_code)]

use std::{
    fs, io,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
};

use abi_stable::{
    StableAbi,
    library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL},
};
use plugin_api::{
    abi::{ABI_REVISION, RemoteEntryRef},
    layout,
    manifest::{ManifestError, RemoteManifest},
};

use crate::{archive::Digest, difference, file::CopyError};

mod file;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod keys;
mod mapping;
#[cfg(target_os = "linux")]
mod threads;

pub(crate) use file::section_text;
pub use file::{complete, inspect};
pub(crate) use mapping::may_execute;

/// Why a library cannot be used. The path stands last in every message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// There is no file.
    #[error("the library is missing; build the remote or correct its location: {0}")]
    Missing(PathBuf),
    /// The file system refuses.
    #[error("the library cannot be read ({0}); let this user read it: {1}")]
    Unreadable(io::Error, PathBuf),
    /// A folder, a pipe, a device or another thing that is no file.
    #[error("this is not a library ({0}); put the remote's library there, or correct its location: {1}")]
    NotAFile(io::Error, PathBuf),
    /// Larger than any library.
    #[error("the library is too large ({0}, and at most {max} are loaded); strip its symbols, or correct its location: {1}", max = crate::file::MAX_LIBRARY)]
    TooLarge(io::Error, PathBuf),
    /// There is no room for the private copy.
    #[error("the library cannot be copied ({0}); make room in this folder and let this user write there: {1}")]
    Copy(io::Error, PathBuf),
    /// Not a library of any platform.
    #[error("this file is not a library; put the remote's library there, or correct its location: {0}")]
    NotALibrary(PathBuf),
    /// A library that ends too early or contradicts itself.
    #[error("the library is damaged or was copied only in part ({0}); copy it again: {1}")]
    Damaged(String, PathBuf),
    /// For another operating system or processor.
    #[error("the library is for {found}, and this shell runs on {here}; build the remote for it: {path}")]
    OtherPlatform {
        /// What the library is for.
        found: String,
        /// What this shell is.
        here: String,
        /// The library.
        path: PathBuf,
    },
    /// A library without a remote's manifest or entry point.
    #[error("the library is no Pulse plugin ({0}); does it call `plugin_api::export!`? {1}")]
    NotAPlugin(String, PathBuf),
    /// Built with another revision of the contract.
    #[error(
        "the library was built for revision {found} of the plugin contract, and this shell speaks revision {}; \
         rebuild it with a matching `plugin-api`: {path}",
        ABI_REVISION
    )]
    Revision {
        /// The library's revision.
        found: u32,
        /// The library.
        path: PathBuf,
    },
    /// The system's loader refuses it.
    #[error("the system cannot load the library ({0}); install what it needs, or build it on this system: {1}")]
    Refused(String, PathBuf),
    /// The layouts of the contract differ although the revision is the same.
    #[error(
        "the library's plugin contract is laid out differently: {0}; rebuild it with this `plugin-api`: {1}"
    )]
    Layout(String, PathBuf),
    /// The embedded manifest is wrong.
    #[error("the manifest inside of the library is wrong: {0}; then build the library again: {1}")]
    Manifest(ManifestError, PathBuf),
    /// Its content is not what the manifest beside it states.
    #[error(
        "the library is not the one that its manifest states: its SHA-256 is {found}, and `sha256` says {stated}; \
         copy the library again, or correct the manifest: {path}"
    )]
    Digest {
        /// What the manifest states.
        stated: Digest,
        /// What the file has.
        found: Digest,
        /// The library.
        path: PathBuf,
    },
    /// The running library says something else than the manifest that was planned with.
    #[error(
        "the library's own manifest differs from the one that was planned with ({0}); rebuild the library or \
         correct the manifest: {1}"
    )]
    Descriptor(String, PathBuf),
}

impl LibraryError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "library-missing",
            Self::Unreadable(..) => "library-unreadable",
            Self::TooLarge(..) => "library-too-large",
            Self::Copy(..) => "copy-failed",
            Self::NotAFile(..) | Self::NotALibrary(_) => "library-not-a-library",
            Self::Damaged(..) => "library-damaged",
            Self::OtherPlatform { .. } => "library-other-platform",
            Self::NotAPlugin(..) => "library-not-a-plugin",
            Self::Revision { .. } => "abi-revision",
            Self::Refused(..) => "library-refused",
            Self::Layout(..) => "abi-layout",
            Self::Manifest(error, _) => error.code(),
            Self::Digest { .. } => "digest-mismatch",
            Self::Descriptor(..) => "descriptor-mismatch",
        }
    }

    pub(super) fn io(error: io::Error, path: &Path) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.to_owned()),
            io::ErrorKind::InvalidInput => Self::NotAFile(error, path.to_owned()),
            io::ErrorKind::FileTooLarge => Self::TooLarge(error, path.to_owned()),
            _ => Self::Unreadable(error, path.to_owned()),
        }
    }

    /// A library that could not be copied to `copy`.
    pub(super) fn copying(error: CopyError, path: &Path, copy: &Path) -> Self {
        match error {
            CopyError::Read(error) => Self::io(error, path),
            CopyError::Write(error) => Self::Copy(error, copy.parent().unwrap_or(copy).to_owned()),
        }
    }
}

/// A remote's code in this process.
///
/// Nothing that came out of it (values, errors, trait objects) may outlive [`Library::unload`].
/// Dropping it keeps the code mapped for ever.
pub struct Library {
    entry: RemoteEntryRef,
    loaded: Option<Loaded>,
}

struct Loaded {
    /// Closed by [`Library::unload`] only: dropping it may happen while a thread still runs its code.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "it is never closed there"))]
    library: ManuallyDrop<libloading::Library>,
    copy: PathBuf,
    /// Who ran before any of its code did.
    #[cfg(target_os = "linux")]
    before: threads::Tasks,
}

/// What became of a library that was let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unloaded {
    /// Its mapping is gone.
    Gone,
    /// The system keeps it mapped: something still uses it.
    Kept,
    /// It was not let go, because these threads may still run its code.
    Threads(Vec<String>),
    /// It is part of this executable.
    Linked,
}

impl Library {
    /// A remote that is linked into this executable.
    pub fn linked(entry: RemoteEntryRef) -> Self {
        Self { entry, loaded: None }
    }

    /// [`load`](Self::load) for a library that the host's manifest or the user has named: that is the decision
    /// to trust it.
    ///
    /// # Errors
    /// See [`LibraryError`].
    pub fn open(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LibraryError> {
        // SAFETY: whoever configures a remote trusts it with this process, as with any native plugin.
        unsafe { Self::load(path, copy, planned) }
    }

    /// Loads the library at `path` from a private copy called `copy`, after the checks of the contract.
    ///
    /// A copy that is there already is taken as it is.
    /// The copy has its own name, because the system takes a path that it has seen for the library that it
    /// has; and the file that a build writes to is never mapped, because overwriting it would end the process.
    ///
    /// # Safety
    /// This runs the code of whoever built the library, from its constructors on, with all rights of this
    /// process. The caller has decided to trust it.
    ///
    /// # Errors
    /// See [`LibraryError`].
    pub unsafe fn load(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LibraryError> {
        if !copy.exists() {
            crate::file::copy_library(path, copy).map_err(|e| LibraryError::copying(e, path, copy))?;
        }
        // SAFETY: passed on to the caller.
        let result = unsafe { Self::load_copy(path, copy, planned) };
        if result.is_err() {
            // Nothing more can be done about a private copy that cannot be removed; its folder goes at exit.
            let _ = fs::remove_file(copy);
        }
        result
    }

    /// # Safety
    /// As for [`load`](Self::load).
    unsafe fn load_copy(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LibraryError> {
        // Again, on the copy: the file may have changed since it was planned with.
        let text = section_text(copy).map_err(|e| relocate(e, path))?;
        same_manifest(planned, &file::parse(&text, path)?, path)?;
        sign(copy);
        // As the system calls it, for whoever looks for it in the memory map.
        let copy = &copy.canonicalize().map_err(|e| LibraryError::io(e, path))?;
        #[cfg(target_os = "linux")]
        let before = threads::Tasks::now();
        // SAFETY: the caller trusts the library, its constructors included.
        let library = unsafe { libloading::Library::new(copy) }
            .map_err(|e| LibraryError::Refused(describe(&e), path.to_owned()))?;
        // SAFETY: under this name `abi_stable` exports a static whose first bytes are an `AbiHeader`; a handle
        // on it is a pointer to it.
        let header = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
        let header = *header.map_err(|e| LibraryError::NotAPlugin(describe(&e), path.to_owned()))?;
        let header =
            header.upgrade().map_err(|e| LibraryError::Layout(one_line(&e.to_string()), path.to_owned()))?;
        let found = header.layout().ok_or_else(|| {
            LibraryError::Layout("it was built without layout information".to_owned(), path.to_owned())
        })?;
        layout::check(RemoteEntryRef::LAYOUT, found)
            .map_err(|difference| LibraryError::Layout(difference, path.to_owned()))?;
        // SAFETY: the layout was just checked.
        let entry = unsafe { header.init_root_module_with_unchecked_layout::<RemoteEntryRef>() }
            .map_err(|e| LibraryError::Layout(one_line(&e.to_string()), path.to_owned()))?;
        if entry.abi_revision() != ABI_REVISION {
            return Err(LibraryError::Revision { found: entry.abi_revision(), path: path.to_owned() });
        }
        let descriptor = entry.descriptor()();
        if descriptor.as_str() != text {
            // Two manifests in one library: which one is meant is not for the host to guess.
            return Err(LibraryError::Descriptor(
                "its code and its section disagree".to_owned(),
                path.to_owned(),
            ));
        }
        let loaded = Loaded {
            library: ManuallyDrop::new(library),
            copy: copy.to_owned(),
            #[cfg(target_os = "linux")]
            before,
        };
        Ok(Self { entry, loaded: Some(loaded) })
    }

    /// The remote's entry point.
    pub fn entry(&self) -> RemoteEntryRef {
        self.entry
    }

    /// Unloads the library and looks whether it is gone.
    ///
    /// To be called after the thread that ran its code has ended: thread-local values of a living thread keep a
    /// library mapped. Waits a moment for other threads of the library to end, and does not let go of its code
    /// while any is left. Not for the window's thread.
    ///
    /// Only Linux tells enough about threads. Elsewhere every library is [kept](Unloaded::Kept) until the process
    /// ends: Windows would unmap it under a thread's feet, and macOS keeps libraries with thread-local values
    /// anyway.
    pub fn unload(self) -> Unloaded {
        let Some(loaded) = self.loaded else { return Unloaded::Linked };
        // Fails where the system holds on to what is mapped; there the folder of copies goes later.
        let _ = fs::remove_file(&loaded.copy);
        loaded.close()
    }
}

impl Loaded {
    #[cfg(target_os = "linux")]
    fn close(self) -> Unloaded {
        let left = self.before.left_behind(&self.copy);
        if !left.is_empty() {
            return Unloaded::Threads(left);
        }
        #[cfg(target_env = "gnu")]
        let keys = keys::Keys::within(&threads::code(&self.copy));
        // A failure shows in what is mapped.
        let _ = ManuallyDrop::into_inner(self.library).close();
        if threads::is_mapped(&self.copy) {
            return Unloaded::Kept;
        }
        #[cfg(target_env = "gnu")]
        keys.give_back();
        Unloaded::Gone
    }

    #[cfg(not(target_os = "linux"))]
    fn close(self) -> Unloaded {
        Unloaded::Kept
    }
}

pub(super) fn relocate(error: LibraryError, path: &Path) -> LibraryError {
    let path = path.to_owned();
    match error {
        LibraryError::Missing(_) => LibraryError::Missing(path),
        LibraryError::Unreadable(e, _) => LibraryError::Unreadable(e, path),
        LibraryError::NotALibrary(_) => LibraryError::NotALibrary(path),
        LibraryError::Damaged(e, _) => LibraryError::Damaged(e, path),
        LibraryError::OtherPlatform { found, here, .. } => LibraryError::OtherPlatform { found, here, path },
        LibraryError::NotAPlugin(e, _) => LibraryError::NotAPlugin(e, path),
        LibraryError::Revision { found, .. } => LibraryError::Revision { found, path },
        LibraryError::Manifest(e, _) => LibraryError::Manifest(e, path),
        other => other,
    }
}

fn describe(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error).map(|s| format!(": {s}")).unwrap_or_default();
    one_line(&format!("{error}{source}"))
}

/// The part of a multi-line explanation that fits a sentence.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// What is said beside the schema's place and the library's own digest must be the same; layout and order of the text are not part of it.
pub(crate) fn same_manifest(
    planned: &RemoteManifest,
    found: &RemoteManifest,
    path: &Path,
) -> Result<(), LibraryError> {
    let plain = |m: &RemoteManifest| RemoteManifest { schema: None, sha256: None, ..m.clone() };
    let (planned, found) = (plain(planned), plain(found));
    if planned == found {
        return Ok(());
    }
    // Both were read from JSON and can be written as JSON again; without it the sentence is merely less precise.
    let json = |m| serde_json::to_value(m).unwrap_or_default();
    let (a, b) = (json(&planned), json(&found));
    let difference = difference::first(&a, &b).map_or_else(String::new, |found| {
        format!(
            "at {}: {} was planned with, and the library has {}",
            found.pointer,
            found.value(0),
            found.value(1)
        )
    });
    Err(LibraryError::Descriptor(difference, path.to_owned()))
}

/// Where the C library keeps its notes on a thread of this process: at the head of the list of robust mutexes,
/// which the kernel knows of every thread.
#[cfg(target_os = "linux")]
fn robust_list(thread: i32) -> Option<usize> {
    let (mut head, mut length) = (0_usize, 0_usize);
    // SAFETY: the kernel writes an address and a size to two variables that are as large.
    let result = unsafe { libc::syscall(libc::SYS_get_robust_list, thread, &raw mut head, &raw mut length) };
    (result == 0 && head != 0).then_some(head)
}

/// macOS runs only signed code, and a copy has lost its signature's place: sign it ad hoc.
fn sign(copy: &Path) {
    if cfg!(target_os = "macos") {
        // Without the tool the system's loader refuses the copy and says so.
        let _ = std::process::Command::new("codesign").args(["--force", "--sign", "-"]).arg(copy).output();
    }
}
