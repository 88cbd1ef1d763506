//! The resolver and the validator of frames without the shell around them, and what is checked of them for any
//! bytes.

pub mod bodies;
#[path = "../../src/compositor"]
pub mod compositor {
    pub mod frame;
}
#[path = "../../src/federation"]
pub mod federation {
    pub mod resolver;
}
pub mod frames;
#[path = "../../src/federation/resolver/tests/oracle.rs"]
mod oracle;
