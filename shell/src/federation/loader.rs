//! Libraries of remotes: read without running them, loaded from a private copy, unloaded for real.
//!
//! [`inspect`] reads a library's manifest section and never runs code; [`complete`] also looks whether all of the
//! file is there.
//! [`Library::load`] is the one place where the decision to trust a library is made, [`Library::unload`] the one
//! place where its code leaves the process.
// Loading foreign code and reading its entry point cannot be expressed in safe Rust.
#![allow(unsafe_code)]

use std::{
    io,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering, fence},
    },
};

use abi_stable::{
    StableAbi,
    library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME_WITH_NUL},
};
use negotiation::manifest::{ManifestError, RemoteManifest};
use plugin_api::{
    abi::{ABI_REVISION, RemoteEntryRef},
    layout,
};

use crate::{archive::Digest, difference, file::CopyError};

mod file;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod keys;
mod mapping;
mod needs;
mod refusal;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod signals;
#[cfg(target_os = "linux")]
mod threads;

pub(crate) use file::section_text;
pub use file::{complete, inspect};
pub(crate) use mapping::may_execute;
pub use needs::{bring, bundled, remove};
pub use refusal::Refusal;

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
    /// Its panics would end the process.
    #[error(
        "the library was built with `panic = \"abort\"`, so its first panic would end the shell; build it with \
         `panic = \"unwind\"`: {0}"
    )]
    Aborts(PathBuf),
    /// The system's loader refuses it.
    #[error("the system cannot load the library ({1}); {advice}: {2}", advice = .0.advice())]
    Refused(Refusal, String, PathBuf),
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
            Self::Aborts(_) => "panic-abort",
            Self::Refused(refusal, ..) => refusal.code(),
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
    /// Released once the code is gone, and never when it stays.
    image: ManuallyDrop<Arc<Image>>,
    loaded: Option<Loaded>,
}

/// The code of a library, held by those that may call it; it is not unloaded while anything holds it.
#[derive(Debug, Default)]
pub struct Image {
    closing: AtomicBool,
}

impl Image {
    /// Holds the code; `None` once it is being unloaded.
    pub fn hold(image: &Weak<Self>) -> Option<Arc<Self>> {
        let image = image.upgrade()?;
        // Either this sees the mark, or `unload`, which sets it, sees the count.
        fence(Ordering::SeqCst);
        (!image.closing.load(Ordering::SeqCst)).then_some(image)
    }
}

struct Loaded {
    /// Closed by [`Library::unload`] only: dropping it may happen while a thread still runs its code.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "it is never closed there"))]
    library: ManuallyDrop<libloading::Library>,
    /// The private copy.
    copy: PathBuf,
    /// The file that is mapped: the copy, or one of it with what was brought along.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is asked about it there"))]
    mapped: PathBuf,
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
    /// It was not let go, because the process may still call these functions of it.
    Signals(Vec<String>),
    /// It is part of this executable.
    Linked,
}

impl Library {
    /// A remote that is linked into this executable.
    pub fn linked(entry: RemoteEntryRef) -> Self {
        Self { entry, image: ManuallyDrop::default(), loaded: None }
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
            remove(copy);
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
        let mapped = bring(path, copy)?.canonicalize().map_err(|e| LibraryError::io(e, path))?;
        #[cfg(target_os = "linux")]
        let before = threads::Tasks::now();
        // SAFETY: the caller trusts the library, its constructors included.
        let library = unsafe { open(&mapped) }.map_err(|e| {
            let text = describe(&e).replace(&*mapped.to_string_lossy(), &path.to_string_lossy());
            LibraryError::Refused(Refusal::of(&text), text, path.to_owned())
        })?;
        let loaded = Loaded {
            library: ManuallyDrop::new(library),
            copy: copy.to_owned(),
            mapped,
            #[cfg(target_os = "linux")]
            before,
        };
        match Self::root_of(&loaded.library, path, &text) {
            Ok(entry) => Ok(Self { entry, image: ManuallyDrop::default(), loaded: Some(loaded) }),
            Err(error) => {
                // Its constructors have run, and may have left as much as a remote.
                loaded.close();
                Err(error)
            }
        }
    }

    /// Returns the entry point of a library that was just loaded, whose manifest is `text`, after the checks of the
    /// contract.
    fn root_of(library: &libloading::Library, path: &Path, text: &str) -> Result<RemoteEntryRef, LibraryError> {
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
        if entry.descriptor()().as_str() != text {
            // Two manifests in one library: which one is meant is not for the host to guess.
            return Err(LibraryError::Descriptor(
                "its code and its section disagree".to_owned(),
                path.to_owned(),
            ));
        }
        Ok(entry)
    }

    /// The remote's entry point.
    pub fn entry(&self) -> RemoteEntryRef {
        self.entry
    }

    /// Returns what others hold while they may call its code.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Returns true while others hold its code, or objects of it.
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.image) > 1 || self.is_lent()
    }

    /// Returns true while others hold objects of it that were lent to them; see [`plugin_api::shared::Lent`].
    pub fn is_lent(&self) -> bool {
        self.entry.lent()() > 0
    }

    /// Returns the names of threads that may still run its code, once the one that the host ran it on has ended.
    #[cfg(target_os = "linux")]
    pub fn threads_left(&self) -> Vec<String> {
        self.loaded.as_ref().map_or_else(Vec::new, |loaded| loaded.before.left_behind(&loaded.mapped))
    }

    /// Returns the names of threads that may still run its code: not known here.
    #[cfg(not(target_os = "linux"))]
    pub fn threads_left(&self) -> Vec<String> {
        Vec::new()
    }

    /// Unloads the library and looks whether it is gone. One that is [held](Self::is_held) stays.
    ///
    ///
    /// To be called after the thread that ran its code has ended: thread-local values of a living thread keep a
    /// library mapped. Waits a moment for other threads of the library to end, and does not let go of its code
    /// while any is left. Not for the window's thread.
    ///
    /// Only Linux tells enough about threads. Elsewhere every library is [kept](Unloaded::Kept) until the process
    /// ends: Windows would unmap it under a thread's feet, and macOS keeps libraries with thread-local values
    /// anyway.
    pub fn unload(self) -> Unloaded {
        self.image.closing.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let held = self.is_held();
        let Some(loaded) = self.loaded else { return Unloaded::Linked };
        remove(&loaded.copy);
        if held {
            return Unloaded::Kept;
        }
        let unloaded = loaded.close();
        if unloaded == Unloaded::Gone {
            drop(ManuallyDrop::into_inner(self.image));
        }
        unloaded
    }
}

impl Loaded {
    #[cfg(target_os = "linux")]
    fn close(self) -> Unloaded {
        let left = self.before.left_behind(&self.mapped);
        if !left.is_empty() {
            return Unloaded::Threads(left);
        }
        #[cfg(target_env = "gnu")]
        let keys = {
            let code = threads::code(&self.mapped);
            // After the threads: they may have put back what they had installed.
            let left = signals::left_in(&code);
            if !left.is_empty() {
                return Unloaded::Signals(left);
            }
            keys::Keys::within(&code)
        };
        // A failure shows in what is mapped.
        let _ = ManuallyDrop::into_inner(self.library).close();
        if threads::is_mapped(&self.mapped) {
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
        LibraryError::Aborts(_) => LibraryError::Aborts(path),
        LibraryError::Manifest(e, _) => LibraryError::Manifest(e, path),
        other => other,
    }
}

/// Loads a library with all that it needs, and binds all of its symbols at once: one that is missing is an error here
/// instead of the end of the process at its first call. Its own symbols are for itself.
///
/// # Safety
/// Runs the library's constructors.
#[cfg(unix)]
unsafe fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: passed on to the caller.
    unsafe { libloading::os::unix::Library::open(Some(path), libc::RTLD_NOW | libc::RTLD_LOCAL) }
        .map(Into::into)
}

/// Loads a library with all that it needs, from its folder and those of the system; Windows binds all symbols at once.
///
/// # Safety
/// Runs the library's entry point.
#[cfg(windows)]
unsafe fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::windows::{
        LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, Library,
    };
    let flags = LOAD_LIBRARY_SEARCH_DEFAULT_DIRS | LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR;
    // SAFETY: passed on to the caller.
    unsafe { Library::load_with_flags(path, flags) }.map(Into::into)
}

/// Returns the size of a remote's stack in bytes: that of a main thread, as in a window of the panel's own.
///
/// Only addresses are reserved; memory is used as far as the stack grows. `RUST_MIN_STACK` may ask for more.
pub fn stack_size() -> usize {
    const LEAST: usize = 8 << 20;
    const MOST: usize = 64 << 20;
    let asked = std::env::var("RUST_MIN_STACK").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    main_stack().map_or(LEAST, |limit| limit.clamp(LEAST, MOST)).max(asked)
}

/// Returns the limit of the main thread's stack, in bytes.
#[cfg(unix)]
fn main_stack() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the system writes two numbers to a variable that holds two.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) };
    (result == 0).then(|| usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn main_stack() -> Option<usize> {
    None
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
