//! The user's folders, and who may look into them.

use std::{
    env,
    path::{Path, PathBuf},
};

use etcetera::{BaseStrategy, choose_base_strategy};

use super::{ConfigError, absolute};
use crate::{
    data::{self, private::NAME},
    file,
};

/// Returns the user's folders for data and settings; none if the system does not name a home folder by an absolute path.
pub(super) fn of_user() -> Option<[PathBuf; 2]> {
    let base = choose_base_strategy().ok()?;
    let folders = [base.data_dir(), base.config_dir()].map(|folder| folder.join(NAME));
    // A relative one would be another with each working folder.
    folders.iter().all(|folder| folder.is_absolute()).then_some(folders)
}

/// Chooses the folders for data and for settings: the user's `own`, but the data in `named` if that is given.
///
/// Without a home folder the one that is named holds the settings too.
pub(super) fn data_and_config(
    named: Option<&Path>,
    own: Option<[PathBuf; 2]>,
) -> Result<[PathBuf; 2], ConfigError> {
    match (named.map(absolute), own) {
        (Some(data), Some([_, config])) => Ok([data, config]),
        (Some(data), None) => Ok([data.clone(), data.join("config")]),
        (None, own) => own.ok_or_else(|| ConfigError::NoHome(env::home_dir())),
    }
}

/// Makes the data folder, and takes the rights of other users to the folders away.
///
/// A data folder that the user has named and made keeps the rights that it has.
pub(super) fn prepare(data_dir: &Path, is_default: bool, config_dir: &Path) {
    if is_default || !data_dir.exists() {
        // Reported where it is used.
        let _ = file::create_private(data_dir);
    }
    for part in data::FOLDERS {
        file::tighten(&data_dir.join(part));
    }
    file::tighten(config_dir);
}
