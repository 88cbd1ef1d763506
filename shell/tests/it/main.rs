//! The shell against real libraries, real servers and a real window.

mod bad_input;
mod codes;
mod driver;
mod files;
mod input;
mod plan;
mod preflight;
mod provider;
mod replace;
mod support;
mod telemetry;
mod window;
