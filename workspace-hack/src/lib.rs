//! A package without code; `Cargo.toml` explains its purpose.
