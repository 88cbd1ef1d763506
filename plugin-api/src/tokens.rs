//! Design tokens: the only definition of colours, spacing, radii and type sizes.
//!
//! They are plain data without a toolkit.
//! The host draws itself with them and passes them to every surface with each input, so that a switch of the theme
//! reaches shell and remotes in one frame.

use abi_stable::StableAbi;

/// An sRGB colour with straight alpha: red, green, blue, alpha.
pub type Rgba = [u8; 4];

/// The values that define the look of a surface.
///
/// Lengths are logical points.
/// Each text colour has a contrast of at least 4.5:1 to its ground.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, StableAbi)]
pub struct Tokens {
    /// Set for a dark palette.
    pub dark: bool,
    /// Ground of the main area.
    pub background: Rgba,
    /// Ground of the sidebar and of bars.
    pub panel: Rgba,
    /// Ground of cards and controls.
    pub card: Rgba,
    /// Ground of a hovered row or control.
    pub hover: Rgba,
    /// Quiet border of cards and between panels.
    pub border: Rgba,
    /// Border of controls.
    pub border_strong: Rgba,
    /// Primary text.
    pub text: Rgba,
    /// Secondary text.
    pub text_weak: Rgba,
    /// The only accent: selection, links, the main series of a chart.
    pub accent: Rgba,
    /// Text on `accent`.
    pub on_accent: Rgba,
    /// Ground of a selected entry.
    pub accent_weak: Rgba,
    /// Text of a success.
    pub success: Rgba,
    /// Ground under `success`.
    pub success_weak: Rgba,
    /// Text of a warning.
    pub warning: Rgba,
    /// Ground under `warning`.
    pub warning_weak: Rgba,
    /// Text of a failure.
    pub danger: Rgba,
    /// Ground under `danger`.
    pub danger_weak: Rgba,
    /// A comparison series of a chart: visible next to `accent`, and less prominent.
    pub ghost: Rgba,
    /// Spacing steps: 4, 8, 12, 16, 24, 32.
    pub space: [f32; 6],
    /// Corner radii: control, card, pill.
    pub radius: [f32; 3],
    /// Type sizes: caption, body, heading, title, figure.
    pub font_size: [f32; 5],
}

const fn rgb(hex: u32) -> Rgba {
    [(hex >> 16) as u8, (hex >> 8) as u8, hex as u8, 255]
}

/// The light palette.
pub const LIGHT: Tokens = Tokens {
    dark: false,
    background: rgb(0xF6_F7_F9),
    panel: rgb(0xFF_FF_FF),
    card: rgb(0xFF_FF_FF),
    hover: rgb(0xF0_F2_F5),
    border: rgb(0xE2_E6_EC),
    border_strong: rgb(0xC9_D0_DA),
    text: rgb(0x11_18_27),
    text_weak: rgb(0x5A_64_73),
    accent: rgb(0x2B_59_D9),
    on_accent: rgb(0xFF_FF_FF),
    accent_weak: rgb(0xE7_ED_FC),
    success: rgb(0x0E_66_38),
    success_weak: rgb(0xDB_F4_E4),
    warning: rgb(0x85_47_00),
    warning_weak: rgb(0xFD_EF_CF),
    danger: rgb(0xB0_23_1B),
    danger_weak: rgb(0xFC_E5_E3),
    ghost: rgb(0xA9_B4_C4),
    space: [4.0, 8.0, 12.0, 16.0, 24.0, 32.0],
    radius: [6.0, 10.0, 999.0],
    font_size: [12.0, 14.0, 16.0, 21.0, 26.0],
};

/// The dark palette.
pub const DARK: Tokens = Tokens {
    dark: true,
    background: rgb(0x0F_12_18),
    panel: rgb(0x15_19_21),
    card: rgb(0x19_1E_27),
    hover: rgb(0x22_28_33),
    border: rgb(0x29_30_3C),
    border_strong: rgb(0x3D_46_55),
    text: rgb(0xE8_EC_F2),
    text_weak: rgb(0x9E_A9_B8),
    accent: rgb(0x7D_9D_FF),
    on_accent: rgb(0x0B_10_20),
    accent_weak: rgb(0x1F_2B_4A),
    success: rgb(0x74_DD_9F),
    success_weak: rgb(0x13_35_22),
    warning: rgb(0xF3_BC_55),
    warning_weak: rgb(0x3B_2B_0C),
    danger: rgb(0xFF_93_89),
    danger_weak: rgb(0x40_1C_1A),
    ghost: rgb(0x6E_7B_8F),
    ..LIGHT
};

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(c: Rgba) -> f64 {
        let channel = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2])
    }

    fn contrast(a: Rgba, b: Rgba) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_is_readable_on_its_ground() {
        for t in [LIGHT, DARK] {
            for (text, ground) in [
                (t.text, t.background),
                (t.text, t.panel),
                (t.text, t.card),
                (t.text, t.hover),
                (t.text, t.accent_weak),
                (t.text_weak, t.background),
                (t.text_weak, t.panel),
                (t.text_weak, t.card),
                (t.text_weak, t.hover),
                (t.accent, t.card),
                (t.on_accent, t.accent),
                (t.success, t.success_weak),
                (t.success, t.card),
                (t.warning, t.warning_weak),
                (t.warning, t.card),
                (t.danger, t.danger_weak),
                (t.danger, t.card),
            ] {
                let ratio = contrast(text, ground);
                assert!(ratio >= 4.5, "{text:?} on {ground:?} (dark: {}) is {ratio:.2}:1", t.dark);
            }
        }
    }
}
