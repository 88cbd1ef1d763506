//! What the window remembers between two starts. Losing it costs nothing but convenience.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use egui::{Context, Vec2};
use serde::{Deserialize, Serialize};

use crate::theme::Preference;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) theme: Preference,
    pub(super) selected: Option<(String, String)>,
    window: Option<[f32; 2]>,
    #[serde(skip)]
    file: PathBuf,
}

impl State {
    /// What was saved in `folder`; a file that cannot be read is as good as none.
    pub(super) fn load(folder: &Path) -> Self {
        let file = folder.join("window.json");
        let saved = fs::read(&file).ok().and_then(|text| {
            serde_json::from_slice(&text)
                .inspect_err(|e| tracing::warn!("the window starts afresh: {e}: {}", file.display()))
                .ok()
        });
        Self { file, ..saved.unwrap_or_default() }
    }

    /// The window's size in points.
    pub(super) fn window(&self) -> Vec2 {
        let sane = |side: f32, default: f32| if (200.0..10_000.0).contains(&side) { side } else { default };
        let [width, height] = self.window.unwrap_or_default();
        Vec2::new(sane(width, 1280.0), sane(height, 800.0))
    }

    pub(super) fn note_window(&mut self, ctx: &Context) {
        let (size, maximised) = ctx.input(|i| {
            (i.content_rect().size(), i.viewport().maximized.or(i.viewport().fullscreen).unwrap_or_default())
        });
        if !maximised {
            self.window = Some(size.into());
        }
    }

    pub(super) fn save(&self) {
        let save = || -> std::io::Result<()> {
            let folder = self.file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.persist(&self.file)?;
            Ok(())
        };
        if let Err(error) = save() {
            tracing::warn!("the window's size and theme are not remembered ({error}): {}", self.file.display());
        }
    }
}
