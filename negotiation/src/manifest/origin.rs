//! Manifests with their text and file, so that a plan can name lines.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Place;

/// A manifest with the text that it was read from.
#[derive(Clone, Debug)]
pub struct Written<M> {
    /// The manifest.
    pub manifest: M,
    /// Its text and its file.
    pub origin: Origin,
}

/// The text of a manifest, and the file that contains it.
#[derive(Clone, Debug)]
pub struct Origin {
    path: PathBuf,
    text: Arc<str>,
    embedded: bool,
}

impl Origin {
    /// Creates an origin: `text` is the content of the file `path` or, if `embedded`, of that library's section.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>, embedded: bool) -> Self {
        Self { path: path.into(), text: text.into(), embedded }
    }

    /// Returns the JSON file or the library; empty for the built-in host manifest.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the text of the manifest as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the place of the value of a JSON pointer, or the place where it belongs, in the form that editors
    /// open: `manifests/analytics.json:14:21`.
    pub fn place(&self, pointer: &str) -> String {
        let (line, column) = self.line_column(pointer);
        let file = self.file();
        match (self.embedded, file.is_empty()) {
            (false, _) => format!("{file}:{line}:{column}"),
            (true, false) => format!("{file} (embedded manifest, line {line})"),
            (true, true) => "the built-in host manifest".to_owned(),
        }
    }

    /// Returns the file's path, relative to the working folder if the file lies in it.
    pub fn file(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "only shortens what is shown")]
        let here = env::current_dir().ok();
        let near = here.and_then(|here| self.path.strip_prefix(here).ok());
        let file = near.unwrap_or(&self.path);
        file.strip_prefix(".").unwrap_or(file).display().to_string()
    }

    /// Returns the file's path for use in a sentence, with words for the built-in manifest.
    pub fn name(&self) -> String {
        if self.path.as_os_str().is_empty() { "the built-in manifest".to_owned() } else { self.file() }
    }

    /// Returns line and column, both from 1, of the value of a JSON pointer or of the place where it belongs.
    pub fn line_column(&self, pointer: &str) -> (usize, usize) {
        Place::of(&self.text, pointer).map_or((1, 1), |place| (place.line, place.column))
    }
}
