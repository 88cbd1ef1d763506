//! Libraries of remotes in this process: loaded from a private copy, unloaded for real.
//!
//! [`Library::load`] is the one place where the decision to trust a library is made, [`Library::unload`] the one
//! place where its code leaves the process.
// Loading foreign code and reading its entry point cannot be expressed in safe Rust.
#![allow(unsafe_code)]

use std::{
    borrow::Cow,
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
use negotiation::manifest::RemoteManifest;
use plugin_api::{
    abi::{ABI_REVISION, RemoteEntryRef},
    layout,
};

use crate::{
    catalogue::Code,
    file::CopyError,
    library::{self, Bundle, LibraryError},
};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod keys;
mod refusal;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod signals;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) mod static_tls;
#[cfg(target_os = "linux")]
mod threads;

pub use refusal::Refusal;

/// Reason why a library cannot be loaded. The path stands last in every summary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Its file cannot be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// There is no room for the private copy.
    #[error("the library cannot be copied ({0}) to this folder: {1}")]
    Copy(io::Error, PathBuf),
    /// The system's loader refuses it.
    #[error("the system cannot load the library ({1}): {2}")]
    Refused(Refusal, String, PathBuf),
    /// The layouts of the contract differ although the revision is the same.
    #[error("the library's plugin contract is laid out differently: {0}: {1}")]
    Layout(String, PathBuf),
}

crate::failure::advise!(LoadError);

impl LoadError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Library(error) => error.code(),
            Self::Copy(..) => Code::CopyFailed,
            Self::Refused(refusal, ..) => refusal.code(),
            Self::Layout(..) => Code::AbiLayout,
        }
    }

    /// What to do.
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Library(error) => error.advice(),
            Self::Copy(..) => "make room there and let this user write there".into(),
            Self::Refused(refusal, ..) => refusal.advice().into(),
            Self::Layout(..) => "rebuild it with this `plugin-api`".into(),
        }
    }

    /// A library that could not be copied to `copy`.
    fn copying(error: CopyError, path: &Path, copy: &Path) -> Self {
        match error {
            CopyError::Read(error) => LibraryError::io(error, path).into(),
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
    /// See [`LoadError`].
    pub fn open(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LoadError> {
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
    /// See [`LoadError`].
    pub unsafe fn load(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LoadError> {
        if !copy.exists() {
            crate::file::copy_library(path, copy).map_err(|e| LoadError::copying(e, path, copy))?;
            Bundle::of(path).bring_to(copy)?;
        }
        // SAFETY: passed on to the caller.
        let result = unsafe { Self::load_copy(path, copy, planned) };
        if result.is_err() {
            library::remove(copy);
        }
        result
    }

    /// # Safety
    /// As for [`load`](Self::load).
    unsafe fn load_copy(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LoadError> {
        // Again, on the copy: the file may have changed since it was planned with.
        let text = library::section_text(copy).map_err(|e| e.of_original(path))?;
        library::same_manifest(planned, &library::parse(&text, path)?, path)?;
        let mapped = library::loadable(copy);
        sign(&mapped);
        // By the path that the memory map has.
        let mapped = mapped.canonicalize().map_err(|e| LibraryError::io(e, path))?;
        #[cfg(target_os = "linux")]
        let before = threads::Tasks::now();
        // SAFETY: the caller trusts the library, its constructors included.
        let library = unsafe { open(&mapped) }.map_err(|e| {
            let text = describe(&e).replace(&*mapped.to_string_lossy(), &path.to_string_lossy());
            LoadError::Refused(Refusal::of(&text), text, path.to_owned())
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
    fn root_of(library: &libloading::Library, path: &Path, text: &str) -> Result<RemoteEntryRef, LoadError> {
        // SAFETY: under this name `abi_stable` exports a static whose first bytes are an `AbiHeader`; a handle
        // on it is a pointer to it.
        let header = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
        let header = *header.map_err(|e| LibraryError::NotAPlugin(describe(&e), path.to_owned()))?;
        let header =
            header.upgrade().map_err(|e| LoadError::Layout(one_line(&e.to_string()), path.to_owned()))?;
        let found = header.layout().ok_or_else(|| {
            LoadError::Layout("it was built without layout information".to_owned(), path.to_owned())
        })?;
        layout::check(RemoteEntryRef::LAYOUT, found)
            .map_err(|difference| LoadError::Layout(difference, path.to_owned()))?;
        // SAFETY: the layout was just checked.
        let entry = unsafe { header.init_root_module_with_unchecked_layout::<RemoteEntryRef>() }
            .map_err(|e| LoadError::Layout(one_line(&e.to_string()), path.to_owned()))?;
        if entry.abi_revision() != ABI_REVISION {
            return Err(LibraryError::Revision { found: entry.abi_revision(), path: path.to_owned() }.into());
        }
        if entry.descriptor()().as_str() != text {
            // Two manifests in one library: which one is meant is not for the host to guess.
            return Err(LibraryError::Descriptor(
                "its code and its section disagree".to_owned(),
                path.to_owned(),
            )
            .into());
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
        library::remove(&loaded.copy);
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
