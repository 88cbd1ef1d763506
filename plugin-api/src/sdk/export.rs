//! `export!`, which makes a crate a remote.

use super::Cx;
use crate::{
    abi::{Font, RemoteError, SharedModule, SurfaceBox, SurfaceContext},
    shared::{InstallError, Interface},
};

/// An expose of a remote: its name and the function that opens a surface.
#[derive(Clone, Copy)]
pub struct ExposeEntry {
    /// Name, as in the manifest.
    pub name: &'static str,
    /// Makes a surface.
    pub open: fn(Cx, &SurfaceContext, &[Font]) -> Result<SurfaceBox, RemoteError>,
}

/// A shared crate that a remote links.
#[derive(Clone, Copy)]
pub struct SharedEntry {
    /// Returns the remote's own copy.
    pub module: fn() -> SharedModule,
    /// Points the remote's facade at the interface that the host assigned.
    pub install: fn(&[Interface]) -> Result<(), InstallError>,
    /// Delivers changes.
    pub changed: fn(),
    /// Releases the provider.
    pub uninstall: fn(),
}

impl SharedEntry {
    /// Returns the entry of `C`.
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
}

/// Makes the crate a remote: embeds its manifest, checks it against the linked crates, and exports the entry point.
///
/// The versions in the manifest are compared with those of the crates at compile time.
/// The manifest's path starts at the folder of the source file, as in `include_str!`.
///
/// ```standalone_crate
/// # use plugin_api::{Cx, Expose, PluginError, egui};
/// # struct Panel;
/// # impl Expose for Panel {
/// #     fn new(_: &Cx) -> Result<Self, PluginError> {
/// #         Ok(Self)
/// #     }
/// #     fn ui(&mut self, _: &mut egui::Ui, _: &Cx) {}
/// # }
/// plugin_api::export! {
///     manifest: "../../hello.json",
///     shared: [shared_store],
///     exposes: { "./hello" => Panel },
/// }
/// # fn main() {}
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
            use $crate::embed::{denies, states};
            use $crate::shared::SharedCrate;
            assert!(
                states(MANIFEST, &["version"], env!("CARGO_PKG_VERSION")),
                "`version` in the manifest is not the version of this package",
            );
            $(assert!(
                states(MANIFEST, &["shared", $shared::Shared::NAME, "version"], $shared::Shared::VERSION)
                    || denies(MANIFEST, &["shared", $shared::Shared::NAME, "import"]),
                concat!(
                    "the manifest does not state the version of `", stringify!($shared), "` that is linked: ",
                    "set its `version` under `shared`, or `import` to false",
                ),
            );)*
        };

        /// Returns the entry point, for a host that links this crate instead of loading it.
        pub fn remote_entry() -> $crate::abi::RemoteEntryRef {
            struct This;
            impl $crate::entry::Library for This {
                const MANIFEST: &'static str = MANIFEST;
                fn shared() -> Vec<$crate::abi::SharedModule> {
                    SHARED.iter().map(|entry| (entry.module)()).collect()
                }
                fn init(
                    context: $crate::abi::InitContext,
                ) -> Result<$crate::abi::RemoteBox, $crate::abi::RemoteError> {
                    $crate::sdk::init(context, MANIFEST, SHARED, EXPOSES)
                }
            }
            const SHARED: &[$crate::sdk::SharedEntry] =
                &[$($crate::sdk::SharedEntry::of::<$shared::Shared>()),*];
            const EXPOSES: &[$crate::sdk::ExposeEntry] = &[
                $($crate::sdk::ExposeEntry { name: $name, open: $crate::sdk::open::<$expose> }),+
            ];
            const ROOT: &$crate::entry::Root = &$crate::entry::root_of::<This>();
            $crate::entry::entry(ROOT)
        }

        $crate::export_entry! { manifest: MANIFEST, entry: remote_entry }
    };
}
