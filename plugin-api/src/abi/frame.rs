//! The result of a surface for one frame.

use abi_stable::{
    StableAbi,
    std_types::{ROption, RString, RVec},
};

use super::Rect;

/// [`Frame::repaint_after`] of a surface that waits for the next event.
pub const NEVER: u64 = u64::MAX;

/// A complete picture of a surface, with its requests to the platform.
///
/// Meshes and texture updates belong together: the host applies the updates, in order, before it paints the
/// meshes, and never paints meshes of one frame with textures of another.
/// A host accepts every frame, because a later one may use meshes and textures of an earlier one.
///
/// Coordinates are logical points with the origin at the slot's upper left corner.
#[repr(C)]
#[derive(Clone, Debug, Default, StableAbi)]
pub struct Frame {
    /// Meshes of the picture, back to front.
    pub meshes: RVec<ClippedMesh>,
    /// Rectangles of layers above the background (popups, tooltips, windows): they may leave the slot, and capture
    /// the pointer there.
    pub overlays: RVec<Rect>,
    /// Changes of textures since the previous frame.
    pub textures: RVec<TextureUpdate>,
    /// Requests to the platform.
    pub commands: RVec<Command>,
    /// Name of the pointer's cursor as in CSS (`default`, `pointer`, `text`, …).
    pub cursor: RString,
    /// Place of the text that is being edited, if there is any.
    pub ime: ROption<Ime>,
    /// Set if a control of the surface wants the keyboard.
    pub wants_keyboard: bool,
    /// Set if the picture is a placeholder for content that is still loading: a host that has the picture of an
    /// earlier generation shows that for a while.
    pub placeholder: bool,
    /// Nanoseconds until the surface wants to run again without an event, or [`NEVER`].
    pub repaint_after: u64,
    /// Accessibility nodes: an AccessKit `TreeUpdate` as JSON, or empty if they were not requested or are those of
    /// the previous frame. A property that contains `null` (in place of NaN or infinity) counts as not set.
    pub access: RString,
}

/// Triangles under one texture and one clip rectangle.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct ClippedMesh {
    /// The surface's id of the mesh, unique in the frame; 0 for a mesh that will not be kept.
    pub id: u64,
    /// Set if the mesh has the vertices, indices and texture of the mesh with this id in the previous frame; they are
    /// not repeated.
    pub kept: bool,
    /// The clip rectangle: only the part inside is painted.
    pub clip: Rect,
    /// The surface's id of the texture.
    pub texture: u64,
    /// Set if the mesh belongs to a layer above the background: it may leave the slot.
    pub overlay: bool,
    /// Indices into `vertices`, three for each triangle.
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

/// A change of a texture.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct TextureUpdate {
    /// The surface's id of the texture.
    pub texture: u64,
    /// Set to drop the texture once this frame is no longer shown; every other field is without meaning.
    pub free: bool,
    /// Set to change only the part at `pos`; otherwise the texture is created again with `size`.
    pub partial: bool,
    /// Set to paint the nearest texel instead of interpolating when the texture is magnified.
    pub nearest: bool,
    /// The same when it is minified.
    pub nearest_small: bool,
    /// Content beyond its edges: 0 the texels at the edge, 1 the texture repeated, 2 the texture mirrored.
    pub wrap: u8,
    /// Left and top of the part, in texels.
    pub pos: [u32; 2],
    /// Width and height, in texels.
    pub size: [u32; 2],
    /// `size[0] * size[1]` texels of sRGBA with premultiplied alpha, row by row.
    pub pixels: RVec<u8>,
}

/// The kind of a [`Command`]. A host skips kinds that it does not know.
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
    /// The surface would accept the drag at its current position (`flag`) or not; valid until the next of these.
    pub const DRAG_TAKEN: Self = Self(7);
    /// Paste from the clipboard, as with the keyboard.
    pub const PASTE: Self = Self(8);
}

/// A request to the platform.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct Command {
    /// Kind of the request.
    pub kind: CommandKind,
    /// New window (URL) or direction (focus).
    pub flag: bool,
    /// The text, URL or MIME type.
    pub text: RString,
    /// Width and height of an image, in texels.
    pub size: [u32; 2],
    /// An image, or the content of a drag.
    pub data: RVec<u8>,
}

impl Command {
    /// Returns a command of `kind` with every other field zero or empty.
    pub fn new(kind: CommandKind) -> Self {
        Self { kind, flag: false, text: RString::new(), size: [0; 2], data: RVec::new() }
    }
}

/// Place and purpose of the text field, for the window of an input method.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, StableAbi)]
pub struct Ime {
    /// The text field.
    pub field: Rect,
    /// The text cursor.
    pub cursor: Rect,
    /// Kind of input: 0 text, 1 a password, 2 input of a terminal.
    pub purpose: u32,
    /// Set to discard text that is not yet committed.
    pub interrupt: bool,
}
