//! `export!`: everything that makes a crate a remote.

use abi_stable::{
    prefix_type::WithMetadata,
    std_types::{RResult, RStr, RVec},
};

use super::Cx;
use crate::{
    abi::{
        ABI_REVISION, Fonts, InitContext, RemoteBox, RemoteEntry, RemoteEntryRef, RemoteError, SharedModule,
        SurfaceBox, SurfaceContext,
    },
    shared::{Consumer, InstallError, Interface},
};

/// An expose of a remote: its name and how a surface of it is made.
#[derive(Clone, Copy)]
pub struct ExposeEntry {
    /// Name, as in the manifest.
    pub name: &'static str,
    /// Makes a surface.
    pub open: fn(Cx, SurfaceContext, Fonts) -> Result<SurfaceBox, RemoteError>,
}

/// A shared crate that a remote links.
#[derive(Clone, Copy)]
pub struct SharedEntry {
    /// The remote's own copy.
    pub module: fn() -> SharedModule,
    /// Points the remote's facade at what the host assigned.
    pub install: fn(&[Interface]) -> Result<(), InstallError>,
    /// Delivers changes.
    pub changed: fn(),
    /// Lets go of the provider.
    pub uninstall: fn(),
}

impl SharedEntry {
    /// The entry of `C`.
    pub const fn of<C>() -> Self
    where
        C: crate::shared::SharedCrate,
        C::Interface: Clone,
    {
        Self {
            module: crate::shared::module::<C>,
            install: crate::shared::install::<C>,
            changed: C::changed,
            uninstall: C::uninstall,
        }
    }

    /// Binds the remote's own copy; used where there is no host.
    pub fn bind(&self, consumer: Consumer) -> Interface {
        ((self.module)().bind)(consumer)
    }
}

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

/// Makes the crate a remote: embeds its manifest, checks it against the crates that are linked, and exports
/// the entry point.
///
/// The versions in the manifest are compared with those of the crates at compile time.
///
/// ```ignore
/// plugin_api::export! {
///     manifest: "../remote.json",
///     shared: [shared_store],
///     exposes: { "./panel" => Panel },
/// }
/// ```
#[macro_export]
macro_rules! export {
    (
        manifest: $manifest:literal,
        shared: [$($shared:ident),* $(,)?],
        exposes: { $($name:literal => $expose:ty),+ $(,)? } $(,)?
    ) => {
        /// The manifest of this remote, as embedded in the library.
        pub const MANIFEST: &str = include_str!($manifest);

        const _: () = {
            use $crate::embed::states;
            use $crate::shared::SharedCrate;
            assert!(
                states(MANIFEST, &["version"], env!("CARGO_PKG_VERSION")),
                "`version` in the manifest is not the version of this package",
            );
            $(assert!(
                states(MANIFEST, &["shared", $shared::Shared::NAME, "version"], $shared::Shared::VERSION),
                concat!(
                    "the manifest does not state the version of `", stringify!($shared), "` that is linked: ",
                    "set its `version` under `shared`",
                ),
            );)*
        };

        /// The entry point, for a host that links this crate instead of loading it.
        pub fn remote_entry() -> $crate::abi::RemoteEntryRef {
            use $crate::__abi_stable::std_types::{RResult, RStr, RVec};
            extern "C" fn descriptor() -> RStr<'static> {
                RStr::from_str(MANIFEST)
            }
            extern "C" fn shared() -> RVec<$crate::abi::SharedModule> {
                SHARED.iter().map(|entry| (entry.module)()).collect()
            }
            extern "C" fn init(
                context: $crate::abi::InitContext,
            ) -> RResult<$crate::abi::RemoteBox, $crate::abi::RemoteError> {
                $crate::sdk::init(context, SHARED, EXPOSES)
            }
            const SHARED: &[$crate::sdk::SharedEntry] =
                &[$($crate::sdk::SharedEntry::of::<$shared::Shared>()),*];
            const EXPOSES: &[$crate::sdk::ExposeEntry] = &[
                $($crate::sdk::ExposeEntry { name: $name, open: $crate::sdk::open::<$expose> }),+
            ];
            const ROOT: &$crate::sdk::Root = &$crate::sdk::root(descriptor, shared, init);
            $crate::sdk::entry(ROOT)
        }

        const _: () = {
            const SIZE: usize = $crate::embed::HEADER + MANIFEST.len();
            #[used]
            #[cfg_attr(
                not(any(target_os = "macos", target_os = "ios", windows)),
                unsafe(link_section = ".pulse.manifest")
            )]
            #[cfg_attr(any(target_os = "macos", target_os = "ios"), unsafe(link_section = "__DATA,__pulse"))]
            #[cfg_attr(windows, unsafe(link_section = ".pulse"))]
            static EMBEDDED: [u8; SIZE] = $crate::embed::frame::<SIZE>(MANIFEST);

            extern "C" fn root() -> $crate::__abi_stable::library::RootModuleResult {
                $crate::__abi_stable::library::__call_root_module_loader(remote_entry)
            }
            const NAME: &str = "_1as_0lib_1header_0root_bmodule_bloader";
            const _: () = assert!($crate::sdk::same(NAME, $crate::__abi_stable::library::ROOT_MODULE_LOADER_NAME));
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
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    a.len() == b.len() && i == a.len()
}
