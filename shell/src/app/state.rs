//! What the window remembers between two starts. Losing it costs nothing but convenience.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use egui::{Context, Vec2};
use serde::{Deserialize, Serialize};

use crate::theme::Preference;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 16;

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
    /// What was saved in `folder`; a file that cannot be read is told of, and else as good as none.
    pub(super) fn load(folder: &Path) -> Self {
        let file = folder.join("window.json");
        let read = || match crate::file::read(&file, LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            text => Ok::<_, io::Error>(serde_json::from_slice(&text?)?),
        };
        let saved = read().unwrap_or_else(|error| {
            tracing::warn!(
                code = "window-state-unreadable",
                "the window has its first size and theme again, for what it had cannot be read ({error}); let this \
                 user read and write the file, or remove it: {}",
                file.display()
            );
            Self::default()
        });
        Self { file, ..saved }
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
        let save = || -> io::Result<()> {
            let folder = self.file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.persist(&self.file)?;
            Ok(())
        };
        if let Err(error) = save() {
            tracing::warn!(
                code = "window-state-unwritable",
                "the window's size and theme are not remembered ({error}); make room and let this user write there, \
                 or name another folder with --data-dir: {}",
                self.file.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What `f` writes to the log.
    fn told(f: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("nobody panics while holding it").write(text)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, f);
        let text = lines.0.lock().expect("nobody panics while holding it").clone();
        String::from_utf8(text).expect("UTF-8")
    }

    /// The log tells `code` once, with the file, or nothing.
    fn check(told: &str, code: Option<&str>, file: &Path) {
        let Some(code) = code else { return assert_eq!(told, "") };
        assert!(told.contains(&format!("code=\"{code}\"")) && told.lines().count() == 1, "{told}");
        assert!(told.contains(&format!(": {}", file.display())), "{told}");
    }

    #[test]
    fn what_is_lost_is_told_and_what_never_was_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("window.json");
        let load = || drop(State::load(folder.path()));
        check(&told(load), None, &file);
        let state = State { selected: Some(("a".to_owned(), "./b".to_owned())), ..State::load(folder.path()) };
        check(&told(|| state.save()), None, &file);
        assert_eq!(State::load(folder.path()).selected, state.selected);
        fs::write(&file, "{").expect("a file can be written");
        check(&told(load), Some("window-state-unreadable"), &file);
        fs::remove_file(&file).expect("it is there");
        fs::create_dir(&file).expect("a folder in its place");
        check(&told(load), Some("window-state-unreadable"), &file);
        check(&told(|| state.save()), Some("window-state-unwritable"), &file);
    }
}
