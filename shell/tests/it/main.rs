//! The shell against real libraries, real servers and a real window.

mod bad_input;
mod codes;
mod demo;
mod driver;
mod files;
mod plan;
mod preflight;
mod provider;
mod replace;
mod support;
mod telemetry;
mod window;
