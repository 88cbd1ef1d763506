//! Libraries of remotes in this process: loaded from a private copy, unloaded for real.
//!
//! [`LoadedLibrary::load`] is the one place where the decision to trust a library is made, [`LoadedLibrary::unload`]
//! the one place where its code leaves the process.
// Safe Rust cannot express loading a library and reading its entry point.
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

pub use refusal::LoadRefusal;

/// Reason why a library cannot be loaded. The path is last in every summary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Its file cannot be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The private copy cannot be written.
    #[error("the library cannot be copied ({0}) to this folder: {1}")]
    Copy(io::Error, PathBuf),
    /// The system's loader refuses it.
    #[error("the system cannot load the library ({1}): {2}")]
    Refused(LoadRefusal, String, PathBuf),
    /// The layouts of the contract differ although the revision is the same.
    #[error("the library's plugin contract is laid out differently: {0}: {1}")]
    Layout(String, PathBuf),
}

crate::failure::advise!(LoadError);

impl LoadError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Library(error) => error.code(),
            Self::Copy(..) => Code::CopyFailed,
            Self::Refused(refusal, ..) => refusal.code(),
            Self::Layout(..) => Code::AbiLayout,
        }
    }

    /// Returns what to do.
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Library(error) => error.advice(),
            Self::Copy(..) => "make room there and let this user write there".into(),
            Self::Refused(refusal, ..) => refusal.advice().into(),
            Self::Layout(..) => "rebuild it with this `plugin-api`".into(),
        }
    }

    /// Makes the error of a library that could not be copied to `copy`.
    fn copying(error: CopyError, path: &Path, copy: &Path) -> Self {
        match error {
            CopyError::Read(error) => LibraryError::io(error, path).into(),
            CopyError::Write(error) => Self::Copy(error, copy.parent().unwrap_or(copy).to_owned()),
        }
    }
}

/// A remote's code in this process.
///
/// Nothing that came out of it (values, errors, trait objects) may outlive [`LoadedLibrary::unload`].
/// Dropping it leaves the code mapped permanently.
pub struct LoadedLibrary {
    entry: RemoteEntryRef,
    /// Released once the code is gone, and never when it stays.
    image: ManuallyDrop<Arc<Image>>,
    loaded: Option<Loaded>,
}

/// The code of a library, held by all that may call it; it is not unloaded while anything holds it.
#[derive(Debug, Default)]
pub struct Image {
    closing: AtomicBool,
}

impl Image {
    /// Holds the code; returns `None` once it is being unloaded.
    pub fn hold(image: &Weak<Self>) -> Option<Arc<Self>> {
        let image = image.upgrade()?;
        // Either this sees the mark, or `unload`, which sets it, sees the count.
        fence(Ordering::SeqCst);
        (!image.closing.load(Ordering::SeqCst)).then_some(image)
    }
}

struct Loaded {
    /// Closed by [`LoadedLibrary::unload`] only: dropping it may happen while a thread still runs its code.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "it is never closed there"))]
    library: ManuallyDrop<libloading::Library>,
    /// The private copy.
    copy: PathBuf,
    /// The mapped file: the copy, or the copy among the libraries that are shipped alongside.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "it is read on Linux only"))]
    mapped: PathBuf,
    /// The threads that ran before any of its code did.
    #[cfg(target_os = "linux")]
    before: threads::Tasks,
}

/// Result of unloading a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unloaded {
    /// Its mapping is gone.
    Gone,
    /// It is still mapped: something still uses it.
    StillMapped,
    /// It was not released, because these threads may still run its code.
    Threads(Vec<String>),
    /// It was not released, because the process may still call these functions of it.
    Signals(Vec<String>),
    /// It is part of this executable.
    Linked,
}

impl LoadedLibrary {
    /// Wraps a remote that is linked into this executable.
    pub fn linked(entry: RemoteEntryRef) -> Self {
        Self { entry, image: ManuallyDrop::default(), loaded: None }
    }

    /// Calls [`load`](Self::load) for a library that the host's manifest or the user has named, which is the decision
    /// to trust it.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn open(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LoadError> {
        // SAFETY: the user who configures a remote trusts it with this process, as with any native plugin.
        unsafe { Self::load(path, copy, planned) }
    }

    /// Loads the library at `path` from a private copy called `copy`, after the checks of the contract.
    ///
    /// An existing copy is used as it is.
    /// Each copy has a name of its own, because the system does not load a path again. The file that a
    /// build writes to is never mapped, because overwriting it would crash the process.
    ///
    /// # Safety
    /// This runs the library's code, from its constructors on, with all rights of this process. The caller has
    /// decided to trust it.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub unsafe fn load(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LoadError> {
        if !copy.exists() {
            crate::file::copy_library(path, copy).map_err(|e| LoadError::copying(e, path, copy))?;
            Bundle::of(path).copy_to(copy)?;
        }
        // SAFETY: the caller upholds it.
        let result = unsafe { Self::load_copy(path, copy, planned) };
        if result.is_err() {
            library::remove(copy);
        }
        result
    }

    /// Loads the private copy of the library at `path`.
    ///
    /// # Safety
    /// As for [`load`](Self::load).
    unsafe fn load_copy(path: &Path, copy: &Path, planned: &RemoteManifest) -> Result<Self, LoadError> {
        // Checked again, on the copy: the file may have changed since the plan was made.
        let text = library::section_text(copy).map_err(|e| e.of_original(path))?;
        library::same_manifest(planned, &library::parse(&text, path)?, path)?;
        let mapped = library::loadable(copy);
        sign(&mapped);
        // The path as the memory map shows it.
        let mapped = mapped.canonicalize().map_err(|e| LibraryError::io(e, path))?;
        #[cfg(target_os = "linux")]
        let before = threads::Tasks::now();
        // SAFETY: the caller trusts the library, its constructors included.
        let library = unsafe { open(&mapped) }.map_err(|e| {
            let text = describe(&e).replace(&*mapped.to_string_lossy(), &path.to_string_lossy());
            LoadError::Refused(LoadRefusal::of(&text), text, path.to_owned())
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
                // Its constructors have run, and may have left threads or handlers as a remote does.
                loaded.close();
                Err(error)
            }
        }
    }

    /// Returns the entry point of a library that was just loaded, whose manifest is `text`, after the checks of the
    /// contract.
    fn root_of(library: &libloading::Library, path: &Path, text: &str) -> Result<RemoteEntryRef, LoadError> {
        // SAFETY: under this name `abi_stable` exports a static whose first bytes are an `AbiHeader`; a symbol is a
        // pointer to it.
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
            // The library has two manifests, and the host does not guess which one is meant.
            return Err(LibraryError::Descriptor(
                "its code and its section disagree".to_owned(),
                path.to_owned(),
            )
            .into());
        }
        Ok(entry)
    }

    /// Returns the remote's entry point.
    pub fn entry(&self) -> RemoteEntryRef {
        self.entry
    }

    /// Returns the handle that others hold while they may call its code.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Returns `true` while others hold its code, or objects of it.
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.image) > 1 || self.is_lent()
    }

    /// Returns `true` while others hold objects that it lent to them; see [`plugin_api::shared::Lent`].
    pub fn is_lent(&self) -> bool {
        self.entry.lent()() > 0
    }

    /// Returns the names of threads that may still run its code. Call it after the remote's own thread has ended.
    #[cfg(target_os = "linux")]
    pub fn threads_left(&self) -> Vec<String> {
        self.loaded.as_ref().map_or_else(Vec::new, |loaded| loaded.before.left_behind(&loaded.mapped))
    }

    /// Returns no names: this system does not show which threads run its code.
    #[cfg(not(target_os = "linux"))]
    pub fn threads_left(&self) -> Vec<String> {
        Vec::new()
    }

    /// Unloads the library and checks that it is gone. A [held](Self::is_held) library stays loaded.
    ///
    /// Call it after the thread that ran its code has ended: thread-local values of a living thread keep a library
    /// mapped. Waits a moment for other threads of the library to end, and does not release its code while any is
    /// left. `[any thread but the window's]`
    ///
    /// Only Linux reports enough about threads. Elsewhere every library [stays loaded](Unloaded::StillMapped) until the
    /// process ends: Windows would unmap it while a thread runs in it, and macOS keeps libraries with thread-local
    /// values anyway.
    pub fn unload(self) -> Unloaded {
        self.image.closing.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let held = self.is_held();
        let Some(loaded) = self.loaded else { return Unloaded::Linked };
        library::remove(&loaded.copy);
        if held {
            return Unloaded::StillMapped;
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
            // After the threads, which may have restored the handlers that they replaced.
            let left = signals::left_in(&code);
            if !left.is_empty() {
                return Unloaded::Signals(left);
            }
            keys::Keys::within(&code)
        };
        // The memory map shows a failure.
        let _ = ManuallyDrop::into_inner(self.library).close();
        if threads::is_mapped(&self.mapped) {
            return Unloaded::StillMapped;
        }
        #[cfg(target_env = "gnu")]
        keys.release();
        Unloaded::Gone
    }

    #[cfg(not(target_os = "linux"))]
    fn close(self) -> Unloaded {
        Unloaded::StillMapped
    }
}

/// Loads a library with its dependencies and binds all symbols at once: a missing symbol is an error here instead of
/// a crash at its first call. The library's own symbols are visible to itself only.
///
/// # Safety
/// Runs the library's constructors.
#[cfg(unix)]
unsafe fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: the caller upholds it.
    unsafe { libloading::os::unix::Library::open(Some(path), libc::RTLD_NOW | libc::RTLD_LOCAL) }
        .map(Into::into)
}

/// Loads a library with its dependencies, from its folder and those of the system; Windows binds all symbols at once.
///
/// # Safety
/// Runs the library's entry point.
#[cfg(windows)]
unsafe fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::windows::{
        LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, Library,
    };
    let flags = LOAD_LIBRARY_SEARCH_DEFAULT_DIRS | LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR;
    // SAFETY: the caller upholds it.
    unsafe { Library::load_with_flags(path, flags) }.map(Into::into)
}

fn describe(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error).map(|s| format!(": {s}")).unwrap_or_default();
    one_line(&format!("{error}{source}"))
}

/// Joins the lines of an explanation, and cuts it to 400 characters.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Returns the address of the C library's record of a thread of this process: the head of its list of robust mutexes,
/// which the kernel knows for every thread.
#[cfg(target_os = "linux")]
fn robust_list(thread: i32) -> Option<usize> {
    let (mut head, mut length) = (0_usize, 0_usize);
    // SAFETY: the kernel writes an address and a size to two variables of that size.
    let result = unsafe { libc::syscall(libc::SYS_get_robust_list, thread, &raw mut head, &raw mut length) };
    (result == 0 && head != 0).then_some(head)
}

/// Signs a copy ad hoc on macOS, which runs only signed code: a copy is no longer at the place that was signed.
fn sign(copy: &Path) {
    if cfg!(target_os = "macos") {
        // Without the tool the system's loader refuses the copy and reports that.
        let _ = std::process::Command::new("codesign").args(["--force", "--sign", "-"]).arg(copy).output();
    }
}
