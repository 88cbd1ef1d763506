//! A screenshot as numbers.

use egui::Rect;

/// A screenshot, one pixel for each point.
pub(crate) struct Picture {
    width: usize,
    rgba: Vec<u8>,
}

impl Picture {
    pub(super) fn decode(png: &[u8]) -> Self {
        let image = eframe::icon_data::from_png_bytes(png).expect("a PNG");
        assert_eq!(image.rgba.len(), 4 * image.width as usize * image.height as usize);
        Self { width: image.width as usize, rgba: image.rgba }
    }

    pub(crate) fn size(&self) -> [usize; 2] {
        [self.width, self.rgba.len() / (4 * self.width)]
    }

    /// Every pixel within `area`.
    pub(crate) fn pixels(&self, area: Rect) -> impl Iterator<Item = [u8; 3]> {
        let [width, height] = self.size();
        let span =
            |from: f32, to: f32, end: usize| (from.ceil().max(0.0) as usize)..(to.max(0.0) as usize).min(end);
        span(area.top(), area.bottom(), height)
            .flat_map(move |y| span(area.left(), area.right(), width).map(move |x| (x, y)))
            .map(|(x, y)| {
                let at = 4 * (y * self.width + x);
                [self.rgba[at], self.rgba[at + 1], self.rgba[at + 2]]
            })
    }

    /// The mean luminance of all pixels, 0 to 255.
    pub(crate) fn luminance(&self) -> f32 {
        let sum: f64 = self
            .pixels(Rect::EVERYTHING)
            .map(|[r, g, b]| 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b))
            .sum();
        (sum / (self.rgba.len() / 4) as f64) as f32
    }
}
