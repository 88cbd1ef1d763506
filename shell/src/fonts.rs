//! Fonts of the shell, and of the system for missing characters.

use abi_stable::std_types::RSlice;
use epaint_default_fonts::{EGUI_ICONS, EMOJI_ICON, HACK_REGULAR, NOTO_EMOJI_REGULAR, UBUNTU_LIGHT};
use plugin_api::abi::{
    self, Font,
    families::{MONOSPACE, PROPORTIONAL},
};

mod system;

pub use system::find;

const REGULAR: &[u8] = include_bytes!("../assets/fonts/Inter-Regular.ttf");
const SEMI_BOLD: &[u8] = include_bytes!("../assets/fonts/Inter-SemiBold.ttf");

/// Returns the fonts of the shell and all remotes, which share one copy of the bytes.
pub fn all() -> Vec<Font> {
    const ALL: u32 = PROPORTIONAL | MONOSPACE | abi::families::STRONG;
    [
        ("Inter", REGULAR, PROPORTIONAL, 1.0),
        ("Inter SemiBold", SEMI_BOLD, abi::families::STRONG, 1.0),
        ("Hack", HACK_REGULAR, MONOSPACE, 1.0),
        ("Ubuntu Light", UBUNTU_LIGHT, ALL, 1.0),
        ("egui icons", EGUI_ICONS, ALL, 0.9),
        ("Noto Emoji", NOTO_EMOJI_REGULAR, ALL, 0.81),
        ("emoji icons", EMOJI_ICON, ALL, 0.9),
    ]
    .map(|(name, data, families, scale)| Font {
        name: name.into(),
        data: RSlice::from_slice(data),
        index: 0,
        families,
        scale,
    })
    .into()
}

/// Installs the shell's fonts in `ctx`, and the system's for missing characters.
pub fn install(ctx: &egui::Context) {
    plugin_api::theme::set_fonts(ctx, &all());
    system::provide(ctx);
}
