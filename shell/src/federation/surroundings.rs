//! Resources of the shell that every remote uses.

use std::{path::PathBuf, sync::Arc};

use plugin_api::abi::Font;

use super::copies::CopyFolders;
use crate::{config::Config, placement::Wake};

/// Resources of the shell that every remote uses.
pub(super) struct Surroundings {
    pub(super) config: Arc<Config>,
    pub(super) fonts: Vec<Font>,
    pub(super) wake: Wake,
    pub(super) copies: CopyFolders,
    surfaces: u64,
}

impl Surroundings {
    pub(super) fn new(config: Arc<Config>, fonts: Vec<Font>, wake: Wake) -> Self {
        let copies = CopyFolders::new(config.private.clone());
        Self { config, fonts, wake, copies, surfaces: 0 }
    }

    /// Returns the data folder of the remote called `name`.
    pub(super) fn data_dir(&self, name: &str) -> PathBuf {
        self.config.data_dir.join("remotes").join(name)
    }

    /// Returns the number of a new surface.
    pub(super) fn next_surface(&mut self) -> u64 {
        self.surfaces += 1;
        self.surfaces
    }
}
