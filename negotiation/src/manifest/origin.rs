//! Manifests with the text and the file that they were read from, so that a plan can name lines.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Place;

/// A manifest with the text that it was read from.
#[derive(Clone, Debug)]
pub struct Written<M> {
    /// What it says.
    pub manifest: M,
    /// How and where it says so.
    pub origin: Origin,
}

/// The text of a manifest, and the file that it is in.
#[derive(Clone, Debug)]
pub struct Origin {
    path: PathBuf,
    text: Arc<str>,
    embedded: bool,
}

impl Origin {
    /// The text of a manifest, read from this file as it is or, if it is `embedded`, out of this library.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>, embedded: bool) -> Self {
        Self { path: path.into(), text: text.into(), embedded }
    }

    /// The file: JSON, or a library; empty for the host's manifest that is built in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the value of a JSON pointer stands, or belongs, as people and editors read it:
    /// `manifests/analytics.json:14:21`.
    pub fn place(&self, pointer: &str) -> String {
        let (line, column) = self.line_column(pointer);
        let file = self.file();
        match (self.embedded, file.is_empty()) {
            (false, _) => format!("{file}:{line}:{column}"),
            (true, false) => format!("{file} (embedded manifest, line {line})"),
            (true, true) => "the host's manifest that is built in".to_owned(),
        }
    }

    /// The file's name, seen from the working folder.
    pub fn file(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "only shortens what is shown")]
        let here = env::current_dir().ok();
        let near = here.and_then(|here| self.path.strip_prefix(here).ok());
        let file = near.unwrap_or(&self.path);
        file.strip_prefix(".").unwrap_or(file).display().to_string()
    }

    /// Returns the file's name for a sentence, also where there is none.
    pub fn name(&self) -> String {
        if self.path.as_os_str().is_empty() { "the one that is built in".to_owned() } else { self.file() }
    }

    /// Line and column, both from 1, of the value of a JSON pointer, or of where it belongs.
    pub fn line_column(&self, pointer: &str) -> (usize, usize) {
        Place::of(&self.text, pointer).map_or((1, 1), |place| (place.line, place.column))
    }
}
