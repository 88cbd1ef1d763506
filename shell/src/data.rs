//! Files of the shell: the data folder, and private folders of one process.
//!
//! ```text
//! DATA/remotes.json    enabled and disabled remotes: `choices`
//! DATA/generations/    the last good generations of each remote: `archive`
//! DATA/delivery.json, DATA/delivery/    repositories, and what was fetched from them: `deliveries`
//! DATA/sessions/       a marker of each run: `run_marker`
//! DATA/plugins/        the drop folder: `drop_folder`
//! DATA/panels/         saved state of panels: `panels`
//! DATA/remotes/NAME/   the data folder of a remote
//! ```
//! Several shells of a user share them, so reading and changing goes through `shared_file`.

pub mod archive;
pub mod choices;
pub mod deliveries;
pub mod drop_folder;
pub mod panels;
pub mod private;
pub mod run_marker;
pub(crate) mod shared_file;

/// Subfolders of the data folder that the shell makes.
pub(crate) const FOLDERS: [&str; 6] = ["delivery", "generations", "panels", "plugins", "remotes", "sessions"];
