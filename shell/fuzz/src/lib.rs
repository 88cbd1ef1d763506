//! The resolver without the shell around it, and what is checked of it for any bytes.

pub mod bodies;
#[path = "../../src/federation"]
pub mod federation {
    pub mod resolver;
}
#[path = "../../src/federation/resolver/tests/oracle.rs"]
mod oracle;
