//! Tests of the shell with real libraries, real servers and a real window.

#![expect(clippy::disallowed_methods, reason = "a test may fail where the shell may not")]

mod access;
mod auth;
mod bad_input;
mod codes;
mod delivery;
mod demo;
mod driver;
mod files;
mod hello;
mod input;
mod keyboard;
mod look;
mod neutral;
mod places;
mod plan;
mod preflight;
mod provider;
mod publishing;
mod replace;
mod scale;
mod serve;
mod support;
mod telemetry;
mod window;
