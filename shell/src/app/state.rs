//! The window's state over restarts. Losing it costs nothing but convenience.

use std::{
    io,
    path::{Path, PathBuf},
};

use egui::{Context, Pos2};
use serde::{Deserialize, Serialize};

use super::{inspector::Inspector, theme::Preference, window::WindowPlacement};
use crate::{catalogue::Code, file};

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 16;

/// The zooms at which everything can be read and reached.
const ZOOMS: std::ops::RangeInclusive<f32> = 0.5..=3.0;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AppState {
    pub(super) theme: Preference,
    pub(super) selected: Option<(String, String)>,
    pub(super) inspector: Inspector,
    zoom: Option<f32>,
    /// The inner size in points at zoom 1, when neither maximised nor full screen.
    window: Option<[f32; 2]>,
    position: Option<Position>,
    maximized: bool,
    #[serde(skip)]
    file: PathBuf,
}

/// The place of the window's upper left corner; screens have different scales, so in pixels.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Position {
    pixels: [f32; 2],
    /// Pixels in a point at zoom 1.
    scale: f32,
}

impl AppState {
    /// Reads the state saved in `folder`; a file that cannot be read is logged, and the default is used.
    pub(super) fn load(folder: &Path) -> Self {
        let file = folder.join("window.json");
        let read = || match file::read(&file, LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            text => Ok::<_, io::Error>(serde_json::from_slice(&text?)?),
        };
        let saved = read().unwrap_or_else(|error| {
            tracing::warn!(
                code = Code::WindowStateUnreadable.as_str(),
                "the window's size and theme cannot be read, so the defaults are used ({error}); let this user read \
                 and write the file, or remove it: {}",
                file.display()
            );
            Self::default()
        });
        Self { file, ..saved }
    }

    /// Returns the zoom, within its limits.
    pub(super) fn zoom(&self) -> f32 {
        self.zoom.filter(|zoom| zoom.is_finite()).unwrap_or(1.0).clamp(*ZOOMS.start(), *ZOOMS.end())
    }

    /// Returns the place of the window; a place off all screens is corrected when it opens.
    pub(super) fn placement(&self) -> WindowPlacement {
        let sane = |side: f32, default: f32| if (200.0..10_000.0).contains(&side) { side } else { default };
        let [width, height] = self.window.unwrap_or_default();
        let position = self.position.filter(|Position { pixels, scale }| {
            (0.1..=32.0).contains(scale) && pixels.iter().all(|pixel| pixel.abs() < 100_000.0)
        });
        WindowPlacement {
            position: position.map(|Position { pixels, scale }| (Pos2::from(pixels), scale)),
            maximized: self.maximized,
            ..WindowPlacement::sized(sane(width, 1280.0), sane(height, 800.0))
        }
    }

    /// Notes the window's present zoom, size and place.
    pub(super) fn note_window(&mut self, ctx: &Context) {
        let zoom = ctx.zoom_factor();
        let finite = |sides: [f32; 2]| Some(sides).filter(|sides| sides.iter().all(|side| side.is_finite()));
        self.zoom = Some(zoom);
        ctx.input(|i| {
            let window = i.viewport();
            self.maximized = window.maximized.unwrap_or_default();
            if self.maximized || window.fullscreen.unwrap_or_default() || window.minimized.unwrap_or_default() {
                return;
            }
            self.window = finite((i.content_rect().size() * zoom).into()).or(self.window);
            let corner = window.outer_rect.map(|outer| outer.min * i.pixels_per_point());
            if let Some(pixels) = corner.and_then(|corner| finite(corner.into())) {
                self.position = Some(Position { pixels, scale: i.pixels_per_point() / zoom });
            }
        });
    }

    pub(super) fn save(&self) {
        let save = || file::replace(&self.file, &serde_json::to_vec_pretty(self)?);
        if let Err(error) = save() {
            tracing::warn!(
                code = Code::WindowStateUnwritable.as_str(),
                "the window's size and theme cannot be saved ({error}); free disk space, let this user write there, \
                 or name another folder with --data-dir: {}",
                self.file.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::log::tests::capture;

    /// Checks that the log has one line with `code` and the file, or is empty.
    fn check(log: &str, code: Option<Code>, file: &Path) {
        let Some(code) = code else { return assert_eq!(log, "") };
        assert!(log.contains(&format!("code=\"{code}\"")) && log.lines().count() == 1, "{log}");
        assert!(log.contains(&format!(": {}", file.display())), "{log}");
    }

    #[test]
    fn window_is_kept_in_points_of_zoom_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ctx = Context::default();
        let zoom = |zoom| ctx.options_mut(|options| options.zoom_factor = zoom);
        zoom(1.25);
        let viewport = egui::ViewportInfo {
            native_pixels_per_point: Some(2.0),
            outer_rect: Some(egui::Rect::from_min_size(Pos2::new(40.0, 80.0), egui::Vec2::new(810.0, 630.0))),
            ..Default::default()
        };
        let size = egui::Vec2::new(800.0, 600.0);
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(Pos2::ZERO, size)),
            viewports: std::iter::once((egui::ViewportId::ROOT, viewport)).collect(),
            ..Default::default()
        };
        let mut state = AppState::load(folder.path());
        let _ = ctx.run_ui(input, |ui| state.note_window(ui.ctx()));
        state.save();
        let saved = AppState::load(folder.path());
        let expected = WindowPlacement {
            position: Some((Pos2::new(100.0, 200.0), 2.0)),
            ..WindowPlacement::sized(1000.0, 750.0)
        };
        assert_eq!((saved.placement(), saved.zoom()), (expected, 1.25));
    }

    #[test]
    fn absurd_state_is_brought_within_reach() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = r#"{"window": [1e9, -4], "zoom": 900, "position": {"pixels": [1e9, 0], "scale": 0}}"#;
        fs::write(folder.path().join("window.json"), text).expect("a file can be written");
        let state = AppState::load(folder.path());
        assert_eq!((state.placement(), state.zoom()), (WindowPlacement::sized(1280.0, 800.0), 3.0));
    }

    #[test]
    fn lost_window_state_is_logged_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("window.json");
        let load = || drop(AppState::load(folder.path()));
        check(&capture(load), None, &file);
        let state =
            AppState { selected: Some(("a".to_owned(), "./b".to_owned())), ..AppState::load(folder.path()) };
        check(&capture(|| state.save()), None, &file);
        assert_eq!(AppState::load(folder.path()).selected, state.selected);
        fs::write(&file, "{").expect("a file can be written");
        check(&capture(load), Some(Code::WindowStateUnreadable), &file);
        fs::remove_file(&file).expect("the file exists");
        fs::create_dir(&file).expect("a folder in its place");
        check(&capture(load), Some(Code::WindowStateUnreadable), &file);
        check(&capture(|| state.save()), Some(Code::WindowStateUnwritable), &file);
    }
}
