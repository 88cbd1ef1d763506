//! What a surface answers with.

use abi_stable::{
    StableAbi,
    std_types::{ROption, RString, RVec},
};

use super::Rect;

/// [`Frame::repaint_after`] of a surface that has nothing new until something happens.
pub const NEVER: u64 = u64::MAX;

/// A complete picture of a surface, and what it asks of the platform.
///
/// Meshes and texture updates belong together: the host applies the updates, in order, before it paints the
/// meshes, and never paints meshes of one frame with textures of another.
/// A host takes every frame, because a later one may keep what an earlier one has brought.
///
/// Coordinates are logical points with the origin at the slot's upper left corner.
#[repr(C)]
#[derive(Clone, Debug, Default, StableAbi)]
pub struct Frame {
    /// What is painted, back to front.
    pub meshes: RVec<ClippedMesh>,
    /// Rectangles of layers that lie above the background (popups, tooltips, windows): they may leave the
    /// slot, and take the pointer there.
    pub overlays: RVec<Rect>,
    /// Changes of textures since the frame before.
    pub textures: RVec<TextureUpdate>,
    /// What the platform is asked to do.
    pub commands: RVec<Command>,
    /// Name of the pointer's cursor as in CSS (`default`, `pointer`, `text`, …).
    pub cursor: RString,
    /// Where text is being edited, when it is.
    pub ime: ROption<Ime>,
    /// Whether a control of the surface wants the keyboard.
    pub wants_keyboard: bool,
    /// Whether the picture stands in for one that is still being made: a host that has the picture of an
    /// earlier generation goes on showing that one for a while.
    pub placeholder: bool,
    /// Nanoseconds until the surface wants to run again without anything having happened, or [`NEVER`].
    pub repaint_after: u64,
    /// Accessibility nodes: an AccessKit `TreeUpdate` as JSON, or empty when they were not asked for or are those of
    /// the frame before. A property with `null` in it (in place of a number that is none) is as if it were not set.
    pub access: RString,
}

/// Triangles under one texture and one clip rectangle.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct ClippedMesh {
    /// The surface's own name of the mesh, unlike that of every other mesh of the frame; 0 for one that will not
    /// be kept.
    pub id: u64,
    /// The mesh is the one of this name in the frame before, with the same vertices, indices and texture, which
    /// are not said again.
    pub kept: bool,
    /// What is painted outside of this is not seen.
    pub clip: Rect,
    /// The surface's own name of the texture.
    pub texture: u64,
    /// Whether this belongs to a layer above the background: it may leave the slot.
    pub overlay: bool,
    /// Three indices into `vertices` for each triangle.
    pub indices: RVec<u32>,
    /// Corners.
    pub vertices: RVec<Vertex>,
}

/// A corner of a triangle.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, StableAbi)]
pub struct Vertex {
    /// Position in points.
    pub pos: [f32; 2],
    /// Texture coordinates, 0 to 1.
    pub uv: [f32; 2],
    /// sRGBA with premultiplied alpha.
    pub color: [u8; 4],
}

// SAFETY: `repr(C)` over `f32` and `u8` arrays: 20 bytes without padding, every bit pattern valid.
#[allow(unsafe_code)]
unsafe impl bytemuck::Zeroable for Vertex {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl bytemuck::Pod for Vertex {}
const _: () = assert!(size_of::<Vertex>() == 20 && align_of::<Vertex>() == 4);

/// One change of a texture.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct TextureUpdate {
    /// The surface's own name of the texture.
    pub texture: u64,
    /// Drop the texture once this frame is no longer shown; every other field is without meaning.
    pub free: bool,
    /// Only the part at `pos` changes; otherwise the texture is made anew with `size`.
    pub partial: bool,
    /// Where the texture is shown larger than it is: the nearest texel instead of interpolating.
    pub nearest: bool,
    /// The same where it is shown smaller.
    pub nearest_small: bool,
    /// Beyond its edges: 0 the texels at the edge, 1 the texture again, 2 the texture mirrored.
    pub wrap: u8,
    /// Left and top of the part, in texels.
    pub pos: [u32; 2],
    /// Width and height, in texels.
    pub size: [u32; 2],
    /// `size[0] * size[1]` texels of sRGBA with premultiplied alpha, row by row.
    pub pixels: RVec<u8>,
}

/// What a [`Command`] asks for. A host skips kinds that it does not know.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, StableAbi)]
pub struct CommandKind(pub u32);

impl CommandKind {
    /// Put `text` on the clipboard.
    pub const COPY_TEXT: Self = Self(1);
    /// Open the URL `text`.
    pub const OPEN_URL: Self = Self(2);
    /// The user's selection is now `text` (the X11 primary selection).
    pub const SELECTION: Self = Self(3);
    /// Tab moved the focus past the last (`flag`) or first control of the surface.
    pub const FOCUS_LEFT: Self = Self(4);
    /// Put the image `data` of `size` texels (sRGBA, straight alpha) on the clipboard.
    pub const COPY_IMAGE: Self = Self(5);
    /// The user drags something out of the surface: `data` of the MIME type `text`, from now until the button
    /// is up.
    pub const DRAG: Self = Self(6);
    /// Whether what is dragged over the surface would be taken (`flag`) where it is; until this says otherwise.
    pub const DRAG_TAKEN: Self = Self(7);
    /// Paste from the clipboard, as with the keyboard.
    pub const PASTE: Self = Self(8);
}

/// One request to the platform.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct Command {
    /// What is asked for.
    pub kind: CommandKind,
    /// New window (URL) or direction (focus).
    pub flag: bool,
    /// The text, URL or MIME type.
    pub text: RString,
    /// Width and height of an image, in texels.
    pub size: [u32; 2],
    /// An image, or what is dragged.
    pub data: RVec<u8>,
}

impl Command {
    /// A command of `kind` with every other field zero or empty.
    pub fn new(kind: CommandKind) -> Self {
        Self { kind, flag: false, text: RString::new(), size: [0; 2], data: RVec::new() }
    }
}

/// Where an input method puts its window.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, StableAbi)]
pub struct Ime {
    /// The text field.
    pub field: Rect,
    /// The text cursor.
    pub cursor: Rect,
    /// What is written: 0 text, 1 a password, 2 input of a terminal.
    pub purpose: u32,
    /// What is not yet committed is to be given up.
    pub interrupt: bool,
}
