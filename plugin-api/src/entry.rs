//! What a remote's library exports: its root module, and its manifest in a section of its own.
//!
//! The SDK's `export!` does all of it.
//! A remote that is written over the contract alone, without the SDK and without egui, says
//! [`export_entry!`](crate::export_entry).

use abi_stable::{
    prefix_type::WithMetadata,
    std_types::{RResult, RStr, RVec},
};

use crate::abi::{
    ABI_REVISION, InitContext, RemoteBox, RemoteEntry, RemoteEntryRef, RemoteError, SharedModule,
};

/// The root module of a remote, with what `abi_stable` adds to it.
pub type Root = WithMetadata<RemoteEntry>;

/// The root module with the three functions of a remote.
pub const fn root(
    descriptor: extern "C" fn() -> RStr<'static>,
    shared: extern "C" fn() -> RVec<SharedModule>,
    init: extern "C" fn(InitContext) -> RResult<RemoteBox, RemoteError>,
) -> Root {
    WithMetadata::new(RemoteEntry { abi_revision: ABI_REVISION, descriptor, shared, init })
}

/// What the host sees of a root module.
pub fn entry(root: &'static Root) -> RemoteEntryRef {
    RemoteEntryRef(root.static_as_prefix())
}

/// Embeds a manifest into the library and exports its entry point.
///
/// The entry is a `fn() -> RemoteEntryRef`, called once for each load.
///
/// ```ignore
/// const MANIFEST: &str = include_str!("../remote.json");
///
/// pub fn remote_entry() -> RemoteEntryRef {
///     const ROOT: &Root = &root(descriptor, shared, init);
///     entry(ROOT)
/// }
///
/// plugin_api::export_entry! { manifest: MANIFEST, entry: remote_entry }
/// ```
#[macro_export]
macro_rules! export_entry {
    (manifest: $manifest:expr, entry: $entry:path $(,)?) => {
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

/// Whether two strings are equal, at compile time.
#[doc(hidden)]
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    a.len() == b.len() && i == a.len()
}
