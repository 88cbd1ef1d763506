//! Private copies of libraries, under names that no library was loaded by before.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Stage};

/// The folder of this process for its copies; it goes with this value.
#[derive(Default)]
pub(super) struct Copies {
    folder: Option<tempfile::TempDir>,
    number: u64,
}

impl Copies {
    /// A path for the next copy of a library of `remote`.
    pub(super) fn next(&mut self, remote: &str) -> Result<PathBuf, Failure> {
        if self.folder.is_none() {
            remove_abandoned();
            let made = tempfile::Builder::new().prefix(&format!("pulse-{}-", std::process::id())).tempdir();
            self.folder = Some(made.map_err(|e| {
                let text = format!(
                    "there is no room for a private copy of the library ({e}); free the temporary folder"
                );
                Failure::new(Stage::Load, "copy-failed", text)
            })?);
        }
        self.number += 1;
        let folder = self.folder.as_ref().map_or(Path::new(""), tempfile::TempDir::path);
        // Whatever the remote is called.
        let stem: String = remote.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        Ok(folder.join(format!("{stem}-{}{}", self.number, std::env::consts::DLL_SUFFIX)))
    }
}

/// Removes the private copies of shells that were killed. Their folders carry their process ids.
fn remove_abandoned() {
    // Only where it can be told for sure that the process is gone.
    if !cfg!(target_os = "linux") {
        return;
    }
    let Ok(entries) = std::env::temp_dir().read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix("pulse-")?.split_once('-')?.0.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Another shell may be at it too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
