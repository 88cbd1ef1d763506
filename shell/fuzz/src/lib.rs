//! The validator of frames without the shell around it, and the checks of it for arbitrary bytes.

#[path = "../../src/compositor"]
pub mod compositor {
    pub mod frame;
}
pub mod frames;
#[expect(dead_code, reason = "other limits than those of frames are the shell's")]
#[path = "../../src/limits.rs"]
mod limits;
