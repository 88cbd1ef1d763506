//! Surfaces of remotes on the screen: frames in, input out.
//!
//! [`frame`] turns what a remote returned into a picture that can be trusted, on the remote's thread.
//! [`Surface`] is one slot on the screen: it asks for frames when there is a reason to, keeps the last good
//! one, and paints it.
//! [`Port`] is what it asks: the generation of the remote behind it may change between two frames.
//! [`access`] puts a remote's accessibility nodes into the shell's tree.

pub mod access;
pub mod frame;
mod gpu;
mod paint;
mod port;
mod surface;

use frame::{FrameError, Rule};
pub use gpu::Gpu;
pub(crate) use gpu::texture_side;
pub(crate) use port::wait_awake;
pub use port::{Mailbox, Port, Reply, Request, Source};
pub(crate) use surface::set_reach;
pub use surface::{Health, Scene, Surface};

use crate::catalogue::Code;

// Apart from the validator, which is fuzzed without the rest of the shell.
crate::failure::advise!(FrameError);

impl FrameError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self.rule {
            Rule::Form => Code::FrameInvalid,
            Rule::Kept => Code::FrameKept,
            Rule::Quota => Code::FrameQuota,
            Rule::Texture => Code::FrameTexture,
        }
    }

    /// What to do.
    pub fn advice(&self) -> &'static str {
        "the last picture stays; press Restart to open a new surface, and report this to the plugin's author"
    }
}
