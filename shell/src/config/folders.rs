//! The user's folders, and their permissions.

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

/// Returns the user's folders for data and settings; `None` if the system has no absolute path of a home folder.
pub(super) fn of_user() -> Option<[PathBuf; 2]> {
    let base = choose_base_strategy().ok()?;
    let folders = [base.data_dir(), base.config_dir()].map(|folder| folder.join(NAME));
    // A relative path would mean another folder for each working folder.
    folders.iter().all(|folder| folder.is_absolute()).then_some(folders)
}

/// Chooses the folders for data and for settings: the user's `own`, but the data in `named` if that is given.
///
/// Without a home folder, `named` holds the settings too.
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

/// Creates the data folder, and removes the permissions of other users from the folders.
///
/// An existing data folder that the user has named keeps its permissions.
pub(super) fn prepare(data_dir: &Path, is_default: bool, config_dir: &Path) {
    if is_default || !data_dir.exists() {
        // The first use of the folder reports the error.
        let _ = file::create_private(data_dir);
    }
    for part in data::FOLDERS {
        file::make_private(&data_dir.join(part));
    }
    file::make_private(config_dir);
}
