//! A library tried in a process of its own, before it enters this one.

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use crate::failure::{Failure, Stage};

/// How libraries are tried.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// The executable that is started: Pulse itself.
    pub program: PathBuf,
    /// How long a trial may take in all.
    pub limit: Duration,
}

/// A trial that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each stage and how long it took, in the order in which they happened.
    pub stages: Vec<(String, Duration)>,
    /// From the start of the process to its end.
    pub whole: Duration,
}

impl Preflight {
    /// Tries `library` in a process of its own. Waits; not for the window's thread.
    ///
    /// The remotes of the libraries `with` take part as they would in the shell of the manifest `host`. `cancel`
    /// ends the trial early.
    ///
    /// # Errors
    /// What the library failed with, or how its process ended.
    pub fn check(
        &self,
        library: &Path,
        with: &[PathBuf],
        host: Option<&Path>,
        cancel: &AtomicBool,
    ) -> Result<Report, Failure> {
        let _ = (library, with, host, cancel);
        let text = format!("the trial cannot be started: {}", self.program.display());
        Err(Failure::new(Stage::Preflight, "preflight-unavailable", text))
    }
}
