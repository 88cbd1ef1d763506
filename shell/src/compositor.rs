//! Surfaces of remotes on the screen: frames in, input out.
//!
//! [`frame`] checks a remote's frames and copies them into pictures that can be trusted, on the remote's thread.
//! [`HostedSurface`] is a slot on the screen: it requests frames when there is a reason to, keeps the last good one,
//! and paints it.
//! [`Port`] is its way to the remote: the generation behind it may change between two frames.
//! [`access`] puts a remote's accessibility nodes into the shell's tree.

pub mod access;
pub mod frame;
mod gpu;
mod paint;
mod port;
mod surface;

use frame::{FrameError, FrameRule};
pub use gpu::Gpu;
pub(crate) use gpu::texture_side;
pub(crate) use port::wait_awake;
pub use port::{FrameRequest, Mailbox, Port, Reply, SurfaceHandle};
pub(crate) use surface::set_reach;
pub use surface::{Health, HostedSurface, Scene};

use crate::catalogue::Code;

// Kept out of `frame`, which is fuzzed without the rest of the shell.
crate::failure::advise!(FrameError);

impl FrameError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self.rule {
            FrameRule::Form => Code::FrameInvalid,
            FrameRule::Kept => Code::FrameKept,
            FrameRule::Quota => Code::FrameQuota,
            FrameRule::Texture => Code::FrameTexture,
        }
    }

    /// Returns what to do about it.
    pub fn advice(&self) -> &'static str {
        "the last picture stays; press Restart to open a new surface, and report this to the plugin's author"
    }
}
