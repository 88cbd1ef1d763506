//! The dashboard's code as a library that hot-lib-reloader loads.

use std::hint::black_box;

use plugin_api::egui::Ui;
use pulse_analytics::Dashboard;

/// The text that the measuring program overwrites in the file, so that each build differs.
static BUILD: &str = "hot-reload build 00000000";

/// Draws a frame, and returns the build's number. The program owns the state, which survives a replacement.
///
/// Both sides agree on name and types only by convention: nothing compares them.
#[unsafe(no_mangle)]
pub extern "Rust" fn draw(ui: &mut Ui, dashboard: &mut Dashboard) -> u32 {
    dashboard.ui(ui, None);
    let digits = black_box(BUILD).rsplit(' ').next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}
