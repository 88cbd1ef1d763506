//! The types that cross the boundary between a host and a remote.
//!
//! # Calls in the life of a remote
//!
//! 1. `[any thread]` The host reads the manifest that is embedded in the library ([`crate::embed`]) and
//!    plans; no code of the remote has run.
//! 2. `[remote's thread]` The host loads the library and checks the structure of its [`RemoteEntry`].
//! 3. `[remote's thread]` [`RemoteEntry::init`] receives the share scope and the host's services, and
//!    returns the [`Remote`].
//! 4. `[remote's thread]` [`Remote::get`] returns a [`Surface`] for an expose.
//! 5. `[remote's thread]` [`Surface::frame`] turns a [`FrameInput`] into a [`Frame`] at each request of the host.
//!    [`Remote::changed`] is called when shared state that the remote listens to has changed.
//! 6. `[remote's thread]` [`Surface::close`] for each surface, then [`Remote::shutdown`]. The thread ends, and
//!    the library is unloaded.
//!
//! Every call into a remote happens on one thread that belongs to that remote.
//! Calls out of a remote ([`HostServices`]) may come from any thread.
//!
//! # Rules
//!
//! No toolkit type, `TypeId`, lock, or panic crosses.
//! [`FrameInput`] and [`Frame`] hold numbers, strings and slices only, and mean the same in another address
//! space.
//! Kinds of events and commands, the parts that grow most, are named by number or text; a side skips a kind that it
//! does not know. A change of any layout is a new [`ABI_REVISION`].
// `#[sabi_trait]` and `StableAbi` generate unsafe shims and undocumented items; the items written here are
// documented, and no unsafe code is written here by hand.
#![allow(unsafe_code, missing_docs, unreachable_pub, non_local_definitions, clippy::all, clippy::pedantic)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::mem_forget)]

use abi_stable::{
    StableAbi, declare_root_module_statics,
    library::RootModule,
    package_version_strings, sabi_trait,
    sabi_types::VersionStrings,
    std_types::{ROption, RResult, RSlice, RStr, RString, RVec},
};

pub(crate) mod error;
mod frame;
mod input;
mod object;

pub use error::RemoteError;
pub use frame::{ClippedMesh, Command, CommandKind, Frame, Ime, NEVER, TextureUpdate, Vertex};
pub use input::{Event, EventKind, FrameInput, modifiers};
pub use object::{Remote_TO, RemoteBox, Surface_TO, SurfaceBox};

use crate::shared::Interface;
pub use crate::shared::SharedModule;

/// The revision of this contract.
///
/// A host loads remotes of exactly this revision; it reads the number from the library's manifest section
/// before running any of its code.
pub const ABI_REVISION: u32 = 5;

/// An axis-aligned rectangle in logical points: left, top, right, bottom.
pub type Rect = [f32; 4];

/// The root module of a remote's library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RemoteEntryRef)))]
pub struct RemoteEntry {
    /// [`ABI_REVISION`] that the library was built with.
    pub abi_revision: u32,
    /// Returns the manifest's text, byte for byte as embedded in the library.
    pub descriptor: extern "C" fn() -> RStr<'static>,
    /// Lists the shared crates that are linked into this library.
    pub shared: extern "C" fn() -> RVec<SharedModule>,
    /// Starts the remote. Called once for each load, on the remote's thread.
    pub init: extern "C" fn(InitContext) -> RResult<RemoteBox, RemoteError>,
    /// Counts the objects of this library that other images hold; see [`crate::shared::Lent`]. `[any thread]`
    #[sabi(last_prefix_field)]
    pub lent: extern "C" fn() -> u64,
}

impl RootModule for RemoteEntryRef {
    declare_root_module_statics! {RemoteEntryRef}
    const BASE_NAME: &'static str = "pulse_remote";
    const NAME: &'static str = "Pulse remote";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// The arguments of [`RemoteEntry::init`].
#[repr(C)]
#[derive(StableAbi)]
pub struct InitContext {
    /// The host's services; usable from any thread until the remote is shut down.
    pub services: Services,
    /// Interfaces: one for each shared crate that the plan assigned to this remote.
    pub scope: RVec<Interface>,
    /// A directory that belongs to this remote, created by the host.
    pub data_dir: RString,
    /// The host's fonts in the order of preference; [`HostServices::font`] finds a font for other characters.
    pub fonts: RVec<Font>,
}

/// A font of the host; all remotes share one copy of its file.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct Font {
    /// A unique name.
    pub name: RString,
    /// Content of the file (TrueType, OpenType, or a collection); it outlives every remote.
    pub data: RSlice<'static, u8>,
    /// Index of the face in a collection.
    pub index: u32,
    /// Bits of [`families`].
    pub families: u32,
    /// Factor on the size, to match the other fonts.
    pub scale: f32,
}

/// Bits of the families that a [`Font`] belongs to.
pub mod families {
    /// Text.
    pub const PROPORTIONAL: u32 = 1;
    /// Text in columns.
    pub const MONOSPACE: u32 = 2;
    /// Headings and figures.
    pub const STRONG: u32 = 4;
}

/// An initialised remote; [`entry::remote`](crate::entry::remote) makes the object that crosses.
///
/// The host receives a panic in any of these as an error.
pub trait Remote {
    /// Makes a surface for an expose. `[remote's thread]`
    fn get(&mut self, expose: RStr<'_>, context: SurfaceContext) -> RResult<SurfaceBox, RemoteError>;

    /// Handles a change of shared state that this remote listens to. `[remote's thread]`
    fn changed(&mut self) -> RResult<(), RemoteError>;

    /// Drops everything and ends every thread that was started; the last call. `[remote's thread]`
    fn shutdown(&mut self) -> RResult<(), RemoteError>;
}

/// The arguments for making a surface.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct SurfaceContext {
    /// The host's name for this surface in [`HostServices::request_repaint`].
    pub id: u64,
    /// Bytes that an earlier surface of the same expose returned from [`Surface::save`].
    pub state: ROption<RVec<u8>>,
}

/// A rectangle on the screen, drawn by a remote; [`entry::surface`](crate::entry::surface) makes the object that
/// crosses.
///
/// The host receives a panic in any of these as an error.
pub trait Surface {
    /// Runs the surface once and returns its picture. `[remote's thread]`
    fn frame(&mut self, input: FrameInput) -> RResult<Frame, RemoteError>;

    /// Returns the state for a later surface of the same expose, self-describing. `[remote's thread]`
    fn save(&mut self) -> RResult<RVec<u8>, RemoteError>;

    /// Drops everything that belongs to the surface; the last call. `[remote's thread]`
    fn close(&mut self) -> RResult<(), RemoteError>;
}

/// The services of the host for a remote. `[thread-safe]`
#[sabi_trait]
pub trait HostServices: Send + Sync + Clone {
    /// Adds a line to the host's log, under the remote's name.
    ///
    /// `level` is 1 for error, 2 warn, 3 info, 4 debug, 5 trace.
    fn log(&self, level: u32, target: RStr<'_>, message: RStr<'_>);

    /// Requests a frame of surface `surface` (see [`SurfaceContext::id`]) after `nanoseconds`.
    fn request_repaint(&self, surface: u64, nanoseconds: u64);

    /// Reports an error that the surface has recovered from; the host only shows it to the user.
    fn report(&self, surface: u64, error: RemoteError);

    /// Returns a font of the system with the first character of `cluster`, which the fonts of `families` lack.
    ///
    /// `families` are bits of [`families`]. The first call may take a while.
    fn font(&self, cluster: RStr<'_>, families: u32) -> ROption<Font>;

    /// Returns the path of the library that the remote was loaded from; empty for a remote without a library.
    ///
    /// The code that runs is a private copy, so the system's functions return another path.
    #[sabi(last_prefix_field)]
    fn library(&self) -> RString {
        RString::new()
    }
}

/// A shared handle on [`HostServices`].
pub type Services = HostServices_TO<'static, abi_stable::std_types::RArc<()>>;
