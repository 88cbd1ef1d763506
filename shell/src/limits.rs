//! Limits on what a remote sends, each with its reason.
//!
//! Limits on log events are those of [`telemetry::limits`] and [`telemetry::rate`]; on manifests, those of
//! `negotiation::manifest`.

use std::time::Duration;

/// Bytes of a failure's code: twice the longest of the shell's own.
pub(crate) const CODE: usize = 64;

/// Bytes of a failure's message: a screen of text.
pub(crate) const MESSAGE: usize = 4 << 10;

/// Bytes of the place where a failure happened: a path in a source tree, a line and a column.
pub(crate) const LOCATION: usize = 256;

/// Bytes of a failure's details: a deep backtrace with long generic names.
pub(crate) const DETAILS: usize = 64 << 10;

/// Failures queued for the window's thread: more than it shows.
pub(crate) const NOTES: usize = 64;

/// Errors in a burst that a remote may report: one for each of its surfaces.
pub(crate) const REPORTS: u32 = 16;

/// Errors per second that a remote may report in the long run: each is a message for the user.
pub(crate) const REPORTS_PER_SECOND: f64 = 0.5;

/// Warnings about the same surface that are logged in a burst.
pub(crate) const WARNINGS: u32 = 8;

/// Warnings per second about the same surface that are logged in the long run.
pub(crate) const WARNINGS_PER_SECOND: f64 = 0.1;

/// Bytes of a grapheme cluster in a font request: the longest emoji sequences have half of that.
pub(crate) const CLUSTER: usize = 64;

/// Bytes of an address: as many as browsers accept from each other.
pub(crate) const URL: usize = 8 << 10;

/// Links that are opened concurrently: a browser that hangs blocks a thread.
pub(crate) const LINKS: usize = 4;

/// Time in which a press or key of the user permits a link or clipboard access, as in browsers.
pub(crate) const ACTIVATION: Duration = Duration::from_secs(5);

/// Bytes of a text for the clipboard, which is copied several times on its way to other programs.
pub(crate) const CLIPBOARD_TEXT: usize = 16 << 20;

/// Bytes of an image for the clipboard: 4096 × 4096 texels.
pub(crate) const CLIPBOARD_IMAGE: usize = 64 << 20;

/// Bytes of the primary selection, which is written each time the user selects text.
pub(crate) const SELECTION: usize = 1 << 20;

/// Bytes that can be dragged from one surface to another.
pub(crate) const DRAGGED: usize = 16 << 20;

/// Bytes of a MIME type (RFC 6838).
pub(crate) const MIME: usize = 255;

/// Pending events for a surface that does not respond.
pub(crate) const EVENTS: usize = 1_024;

/// Pending events beyond which pointer and wheel moves are merged: more than a frame of a window has.
pub(crate) const EVENTS_APART: usize = 64;

/// Bytes of pending events: a large paste.
pub(crate) const EVENT_BYTES: usize = 64 << 20;

/// Layers of a frame that receive the pointer outside the slot. Each is an area of the window's own egui; deeper
/// menus do not fit on a screen.
pub(crate) const OVERLAYS: usize = 64;

/// Vertices in a frame, and in the frames of all surfaces of a remote together: 80 MB.
pub(crate) const VERTICES: usize = 4_000_000;

/// Indices in a frame, and in the frames of all surfaces of a remote together: 48 MB.
pub(crate) const INDICES: usize = 12_000_000;

/// Meshes in a frame: each is a draw call, and a table of 4,000 visible cells has as many.
pub(crate) const MESHES: usize = 4_096;

/// Textures that a surface holds.
pub(crate) const TEXTURES: usize = 256;

/// Texels of all textures of a remote, and of all changes in a frame: 256 MiB.
pub(crate) const TEXELS: u64 = 64 << 20;

/// Changes of textures in a frame.
pub(crate) const TEXTURE_CHANGES: usize = 10_000;

/// Commands in a frame.
pub(crate) const COMMANDS: usize = 64;

/// Bytes of all commands of a frame, text and data.
pub(crate) const COMMAND_BYTES: usize = 64 << 20;

/// Bytes of an accessibility tree as JSON, and of a cursor's name; read on the remote's thread.
pub(crate) const TREE: usize = 16 << 20;

/// Accessibility nodes of all surfaces of a remote. The window's egui lists every node in every frame, which takes
/// some microseconds each.
pub(crate) const NODES: usize = 4_000;

/// Depth of an accessibility tree: its readers descend by recursion.
pub(crate) const DEPTH: usize = 200;

/// Bytes of a label of an accessibility node, which a screen reader reads in one go.
pub(crate) const LABEL: usize = 4 << 10;

/// Bytes of all texts of an accessibility tree, which are copied in every frame of the window.
pub(crate) const TREE_TEXT: usize = 1 << 20;

/// Side of a remote's font atlas, in texels. egui makes its first atlas as wide as this.
pub(crate) const ATLAS_SIDE: u32 = 2048;

/// Side of a remote's texture, in texels: the default of a separate window, if the device supports it.
pub(crate) const TEXTURE_SIDE: u32 = 8192;
