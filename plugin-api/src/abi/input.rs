//! The input of a surface for one frame.

use abi_stable::{
    StableAbi,
    std_types::{RString, RVec},
};

use super::Rect;
use crate::tokens::Tokens;

/// The complete input of a surface for one frame.
///
/// Coordinates are logical points with the origin at the slot's upper left corner.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct FrameInput {
    /// Seconds on a clock that never goes back.
    pub time: f64,
    /// Expected seconds until the next frame.
    pub predicted_dt: f32,
    /// Width and height of the slot.
    pub size: [f32; 2],
    /// The complete window in coordinates of the slot: popups may use it.
    pub window: Rect,
    /// Physical pixels in a logical point.
    pub pixels_per_point: f32,
    /// Largest side of a texture, in texels.
    pub max_texture_side: u32,
    /// Set if this surface owns the keyboard.
    pub focused: bool,
    /// Set if the host requests accessibility nodes.
    pub accessibility: bool,
    /// Bits of [`modifiers`].
    pub modifiers: u32,
    /// The look.
    pub tokens: Tokens,
    /// Events since the last frame, in order.
    pub events: RVec<Event>,
}

/// Bits of the modifier keys.
pub mod modifiers {
    /// Alt or Option.
    pub const ALT: u32 = 1;
    /// Control.
    pub const CTRL: u32 = 2;
    /// Shift.
    pub const SHIFT: u32 = 4;
    /// Command on macOS.
    pub const MAC_CMD: u32 = 8;
    /// Command on macOS, Control elsewhere: the platform's key for shortcuts.
    pub const COMMAND: u32 = 16;
}

/// The kind of an [`Event`]. A surface skips kinds that it does not know.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, StableAbi)]
pub struct EventKind(pub u32);

impl EventKind {
    /// The pointer is at `pos`.
    pub const POINTER_MOVED: Self = Self(1);
    /// The pointer left the slot, or the shell or another surface covers or captures it.
    pub const POINTER_GONE: Self = Self(2);
    /// Button `button` went down (`pressed`) or up at `pos`.
    pub const POINTER_BUTTON: Self = Self(3);
    /// Scrolled by `delta`; `unit` is 0 for points, 1 for lines, 2 for pages; `phase` as for touch; `source` is 0 for
    /// unknown, 1 for a wheel, 2 for fingers, 3 for the momentum after them.
    pub const WHEEL: Self = Self(4);
    /// Zoom gesture; `value` is the factor.
    pub const ZOOM: Self = Self(5);
    /// Key named `text` went down (`pressed`, maybe `repeat`) or up; `physical` names its place on the keyboard.
    pub const KEY: Self = Self(6);
    /// `text` was typed.
    pub const TEXT: Self = Self(7);
    /// The user asked to copy.
    pub const COPY: Self = Self(8);
    /// The user asked to cut.
    pub const CUT: Self = Self(9);
    /// The user pasted `text`.
    pub const PASTE: Self = Self(10);
    /// The surface gained (`pressed`) or lost the keyboard.
    pub const FOCUS: Self = Self(11);
    /// The input method shows `text` as not yet committed; `span` is its active part, in characters, or empty.
    pub const IME_PREEDIT: Self = Self(12);
    /// The input method committed `text`.
    pub const IME_COMMIT: Self = Self(13);
    /// The input method was switched on (`pressed`) or off.
    pub const IME_ENABLED: Self = Self(14);
    /// Assistive technology asks for an action; `text` is an AccessKit `ActionRequest` as JSON.
    pub const ACCESS_ACTION: Self = Self(15);
    /// Finger `id` of `device` at `pos`; `phase` is 0 start, 1 move, 2 end, 3 cancel; `value` is the force or NaN.
    pub const TOUCH: Self = Self(16);
    /// The user pasted the image `data` of `span` texels (sRGBA, straight alpha).
    pub const PASTE_IMAGE: Self = Self(17);
    /// The user pasted the selection `text` with the middle button at `pos`.
    pub const PASTE_SELECTION: Self = Self(18);
    /// Rotation gesture; `value` is the angle in radians, clockwise.
    pub const ROTATE: Self = Self(19);
    /// The pointing device moved by `delta`, without bounds and acceleration.
    pub const MOTION: Self = Self(20);
    /// A drag is over the surface, at `pos`; `text` is its MIME type, and for `text/uri-list` (files) `span` begins
    /// with their number. Its content, and the names of the files, come with [`DROP`](Self::DROP).
    pub const DRAG_OVER: Self = Self(21);
    /// The drag over the surface left it or was cancelled.
    pub const DRAG_LEFT: Self = Self(22);
    /// `data` of the MIME type `text` was dropped at `pos`.
    pub const DROP: Self = Self(23);
    /// The drag out of this surface ended; a drop zone accepted it (`pressed`) or not.
    pub const DRAG_ENDED: Self = Self(24);
    /// The input method deletes text around the cursor: `span` characters before and after it.
    pub const IME_DELETE: Self = Self(25);
    /// The modifier keys changed: exactly the keys of `modifiers` are held from now on.
    pub const MODIFIERS: Self = Self(26);
}

/// An event; its [`EventKind`] defines which fields have a meaning.
#[repr(C)]
#[derive(Clone, Debug, StableAbi)]
pub struct Event {
    /// Kind of the event.
    pub kind: EventKind,
    /// Bits of [`modifiers`] at that moment.
    pub modifiers: u32,
    /// Set for pressed rather than released, on rather than off.
    pub pressed: bool,
    /// Set for a key that repeats while it is held.
    pub repeat: bool,
    /// Pointer button: 0 primary, 1 secondary, 2 middle, 3 and 4 extra.
    pub button: u8,
    /// Unit of `delta`.
    pub unit: u8,
    /// Phase of a gesture.
    pub phase: u8,
    /// Device that scrolls.
    pub source: u8,
    /// Identity of a finger.
    pub id: u64,
    /// Identity of a touch device.
    pub device: u64,
    /// Position, in points.
    pub pos: [f32; 2],
    /// Movement.
    pub delta: [f32; 2],
    /// A factor or force.
    pub value: f32,
    /// Start and end in characters, counts of characters, or width and height in texels.
    pub span: [u32; 2],
    /// Name of a key, text, or a MIME type.
    pub text: RString,
    /// Name of the key's place on the keyboard, or empty.
    pub physical: RString,
    /// An image, or the content of a drag.
    pub data: RVec<u8>,
}

impl Event {
    /// Returns an event of `kind` with every other field zero or empty.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            modifiers: 0,
            pressed: false,
            repeat: false,
            button: 0,
            unit: 0,
            phase: 0,
            source: 0,
            id: 0,
            device: 0,
            pos: [0.0; 2],
            delta: [0.0; 2],
            value: 0.0,
            span: [0; 2],
            text: RString::new(),
            physical: RString::new(),
            data: RVec::new(),
        }
    }
}
