//! Screenshots, and comparisons of them.

use std::{fs, path::Path};

use egui::Rect;

/// The difference of two pictures.
pub(crate) struct Difference {
    /// Number of pixels that differ.
    pub(crate) pixels: usize,
    /// Largest difference of a channel.
    pub(crate) most: u8,
    /// Map of the differences: black where both agree.
    pub(crate) picture: Picture,
}

/// A screenshot, one pixel for each point.
pub(crate) struct Picture {
    width: usize,
    rgba: Vec<u8>,
}

impl Picture {
    pub(super) fn decode(png: &[u8]) -> Self {
        let image = eframe::icon_data::from_png_bytes(png).expect("a PNG");
        Self::new(image.width as usize, image.rgba)
    }

    /// Creates a picture from its width in pixels, and red, green, blue and alpha of each pixel.
    pub(crate) fn new(width: usize, rgba: Vec<u8>) -> Self {
        assert!(rgba.len().is_multiple_of(4 * width), "whole rows");
        Self { width, rgba }
    }

    pub(crate) fn size(&self) -> [usize; 2] {
        [self.width, self.rgba.len() / (4 * self.width)]
    }

    /// Returns the part in `area`, whose sides are whole pixels.
    pub(crate) fn part(&self, area: Rect) -> Self {
        let rgba = self.pixels(area).flat_map(|[r, g, b]| [r, g, b, 255]).collect();
        Self { width: area.width() as usize, rgba }
    }

    /// Compares with another picture of the same size; `None` if both are equal.
    pub(crate) fn difference(&self, other: &Self) -> Option<Difference> {
        assert_eq!(self.size(), other.size());
        let (here, there) = (self.pixels(Rect::EVERYTHING), other.pixels(Rect::EVERYTHING));
        let apart: Vec<_> =
            here.zip(there).map(|(a, b)| std::array::from_fn(|at| a[at].abs_diff(b[at]))).collect();
        let different = |pixel: &&[u8; 3]| **pixel != [0; 3];
        let (pixels, most) = (apart.iter().filter(different).count(), *apart.as_flattened().iter().max()?);
        // Black where they agree, and bright elsewhere, so that small differences are seen.
        let shown = |[r, g, b]: [u8; 3]| {
            let bright = |c: u8| if c == 0 { 0 } else { c.saturating_mul(4).max(96) };
            [bright(r), bright(g), bright(b), 255]
        };
        let picture = Self { width: self.width, rgba: apart.into_iter().flat_map(shown).collect() };
        (pixels > 0).then_some(Difference { pixels, most, picture })
    }

    /// Writes the picture to `file` in cargo's folder for files of tests.
    pub(crate) fn save(&self, file: &str) {
        let [width, height] = self.size().map(|side| side as u32);
        let png = eframe::icon_data::IconDataExt::to_png_bytes(&egui::IconData {
            rgba: self.rgba.clone(),
            width,
            height,
        });
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        fs::write(&path, png.expect("a PNG")).unwrap_or_else(|e| panic!("{e}: {}", path.display()));
    }

    /// Returns the pixels in `area`, row by row.
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

    /// Returns the mean luminance of all pixels, 0 to 255.
    pub(crate) fn luminance(&self) -> f32 {
        let sum: f64 = self
            .pixels(Rect::EVERYTHING)
            .map(|[r, g, b]| 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b))
            .sum();
        (sum / (self.rgba.len() / 4) as f64) as f32
    }
}
