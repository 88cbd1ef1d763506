//! The exports of a remote's library: its root module, and its manifest in a separate section.
//!
//! The SDK's `export!` writes both.
//! A remote over the bare contract, without the SDK and egui, uses [`export_entry!`](crate::export_entry).

use std::{
    panic::catch_unwind,
    sync::{PoisonError, RwLock},
};

use abi_stable::{
    prefix_type::WithMetadata,
    sabi_trait::TD_Opaque,
    std_types::{RResult, RStr, RVec},
};

use crate::{
    abi::{
        ABI_REVISION, InitContext, Remote, Remote_TO, RemoteBox, RemoteEntry, RemoteEntryRef, RemoteError,
        SharedModule, Surface, Surface_TO, SurfaceBox,
    },
    guard::guard,
    shared,
};

/// The root module of a remote, with the metadata that `abi_stable` adds.
pub type Root = WithMetadata<RemoteEntry>;

/// A remote's library over the bare contract. The host receives a panic in its functions as an error.
pub trait Library: 'static {
    /// The manifest's text, as embedded.
    const MANIFEST: &'static str;

    /// Lists the shared crates that are linked into the library, each made by
    /// [`shared::module`].
    fn shared() -> Vec<SharedModule> {
        Vec::new()
    }

    /// Starts the remote; [`remote`] makes the result. `[remote's thread]`
    ///
    /// # Errors
    /// Returns the reason why it does not start.
    fn init(context: InitContext) -> Result<RemoteBox, RemoteError>;
}

/// Returns the root module of `L`.
pub const fn root_of<L: Library>() -> Root {
    extern "C" fn descriptor<L: Library>() -> RStr<'static> {
        RStr::from_str(L::MANIFEST)
    }
    extern "C" fn shared<L: Library>() -> RVec<SharedModule> {
        // This function cannot return an error: the panic is printed, and the crates are missing.
        catch_unwind(L::shared).unwrap_or_default().into()
    }
    extern "C" fn init<L: Library>(context: InitContext) -> RResult<RemoteBox, RemoteError> {
        guard(|| {
            started(L::MANIFEST);
            L::init(context)
        })
        .into()
    }
    root(descriptor::<L>, shared::<L>, init::<L>)
}

/// Makes the object that crosses from a remote. The host receives a panic in it as an error.
pub fn remote(remote: impl Remote + 'static) -> RemoteBox {
    Remote_TO::from_value(remote, TD_Opaque)
}

/// Makes the object that crosses from a surface. The host receives a panic in it as an error.
pub fn surface(surface: impl Surface + 'static) -> SurfaceBox {
    Surface_TO::from_value(surface, TD_Opaque)
}

/// Returns the root module with the three functions of a remote, which must not panic; [`root_of`] has a guard.
pub const fn root(
    descriptor: extern "C" fn() -> RStr<'static>,
    shared: extern "C" fn() -> RVec<SharedModule>,
    init: extern "C" fn(InitContext) -> RResult<RemoteBox, RemoteError>,
) -> Root {
    WithMetadata::new(RemoteEntry { abi_revision: ABI_REVISION, descriptor, shared, init, lent: shared::lent })
}

/// Returns the host's view of a root module.
pub fn entry(root: &'static Root) -> RemoteEntryRef {
    RemoteEntryRef(root.static_as_prefix())
}

/// Embeds a manifest into the library and exports its entry point.
///
/// The entry is a `fn() -> RemoteEntryRef`, called once for each load.
///
/// ```standalone_crate
/// use plugin_api::{
///     abi::{InitContext, RemoteBox, RemoteEntryRef, RemoteError},
///     entry::{Library, Root, entry, root_of},
/// };
///
/// const MANIFEST: &str = include_str!("../hello.json");
///
/// struct Triangles;
///
/// impl Library for Triangles {
///     const MANIFEST: &'static str = MANIFEST;
///
///     fn init(_: InitContext) -> Result<RemoteBox, RemoteError> {
///         // A finished remote returns `entry::remote` of a value that implements `abi::Remote`.
///         Err(RemoteError::new("triangles-unfinished", "there is nothing to draw yet"))
///     }
/// }
///
/// pub fn remote_entry() -> RemoteEntryRef {
///     const ROOT: &Root = &root_of::<Triangles>();
///     entry(ROOT)
/// }
///
/// plugin_api::export_entry! { manifest: MANIFEST, entry: remote_entry }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_entry {
    (manifest: $manifest:expr, entry: $entry:path $(,)?) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a Pulse plugin must be built with `panic = \"unwind\"`: with \"abort\" its first panic would end the shell; \
             remove `panic = \"abort\"` from the profile or from the compiler's flags"
        );
        const _: () = {
            const SIZE: usize = $crate::embed::HEADER + $manifest.len();
            #[used]
            #[cfg_attr(
                not(any(target_os = "macos", target_os = "ios", windows)),
                unsafe(link_section = ".pulse.manifest")
            )]
            #[cfg_attr(any(target_os = "macos", target_os = "ios"), unsafe(link_section = "__DATA,__pulse"))]
            #[cfg_attr(windows, unsafe(link_section = ".pulse"))]
            static EMBEDDED: [u8; SIZE] = $crate::embed::frame::<SIZE>($manifest);

            extern "C" fn root() -> $crate::__abi_stable::library::RootModuleResult {
                $crate::__abi_stable::library::__call_root_module_loader($entry)
            }
            const NAME: &str = "_1as_0lib_1header_0root_bmodule_bloader";
            const _: () =
                assert!($crate::entry::same(NAME, $crate::__abi_stable::library::ROOT_MODULE_LOADER_NAME));
            // SAFETY (name): the symbol is the one that `abi_stable` looks up, and a library has one remote.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::__abi_stable::library::LibHeader =
                // SAFETY: `root` returns the prefix of a `RemoteEntryRef`, the module named here.
                unsafe {
                    $crate::__abi_stable::library::LibHeader::from_constructor::<$crate::abi::RemoteEntryRef>(
                        root,
                        $crate::__abi_stable::library::CheckTypeLayout::Yes,
                    )
                };
        };
    };
}

/// The manifests of the started remotes of this image; a library has one.
static STARTED: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

fn started(manifest: &'static str) {
    STARTED.write().unwrap_or_else(PoisonError::into_inner).push(manifest);
}

/// Returns `true` once the `init` of a remote of this image has begun; `false` for a host.
#[doc(hidden)]
pub fn is_started() -> bool {
    !STARTED.read().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Returns `true` if the manifest of this image asks to read or to write `atom`; `None` unless it has exactly one.
#[doc(hidden)]
pub fn asks_for(atom: &str, write: bool) -> Option<bool> {
    let started = STARTED.read().unwrap_or_else(PoisonError::into_inner);
    let [manifest] = **started else { return None };
    let manifest: serde_json::Value = serde_json::from_str(manifest).ok()?;
    let access = manifest["atoms"][atom].as_str();
    Some(access == Some("write") || access == Some("read") && !write)
}

/// Compares two strings at compile time.
#[doc(hidden)]
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    a.len() == b.len() && i == a.len()
}
