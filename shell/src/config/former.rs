//! Migrates the data of earlier versions, whose folders and variables have the same names as those of `PulseAudio`.
//!
//! Each file or folder moves separately and never replaces another one. The next start therefore continues an
//! interrupted migration, and shells that start together do not disturb each other. Files of other programs stay.

use std::{
    env,
    fs::{self, File, TryLockError},
    io,
    path::{Component, Path, PathBuf},
};

use etcetera::{BaseStrategy, choose_base_strategy};
use negotiation::manifest::{AuthConfig, HostManifest, MAX_MANIFEST_BYTES};

use crate::library::{self, read_manifest};
use crate::{catalogue::Code, data::private::NAME, file};

/// The former name of the folders.
const FORMER: &str = "pulse";

/// Contents of the data folder, least needed first.
const DATA: [&str; 6] = ["generations", "plugins", "remotes", "standalone", "window.json", "remotes.json"];

/// Variables that have another name now.
const VARIABLES: [&str; 4] = ["CONFIG", "PLUGIN_DIR", "DATA_DIR", "LOG"];

/// Migrates settings and data from the former folders, and warns of former variables that are set.
///
/// The data is not migrated if the user has named a folder for it.
pub(crate) fn migrate(has_data_dir: bool) {
    for name in VARIABLES {
        let (former, now) = (format!("PULSE_{name}"), format!("PULSE_SHELL_{name}"));
        if env::var_os(&now).is_none() && env::var(&former).is_ok_and(|value| is_ours(name, &value)) {
            tracing::warn!(code = Code::VariableFormer.as_str(), "{former} has no effect; set {now} instead");
        }
    }
    let Ok(base) = choose_base_strategy() else { return };
    let (config, data) = (base.config_dir(), base.data_dir());
    if config.is_absolute() {
        migrate_config(&config.join(FORMER), &config.join(NAME));
    }
    if data.is_absolute() && !has_data_dir {
        migrate_data(&data.join(FORMER), &data.join(NAME));
    }
}

/// Returns `true` if a former variable is probably meant for this program: `PulseAudio` uses some of the names.
fn is_ours(name: &str, value: &str) -> bool {
    match name {
        _ if value.is_empty() => false,
        // `daemon.conf`, `client.conf`.
        "CONFIG" => library::is_json(Path::new(value)),
        // `PulseAudio` accepts numbers and its own level names.
        "LOG" => value.contains(['=', ',']) || ["trace", "debug", "off"].contains(&value),
        _ => true,
    }
}

/// Migrates the settings: the profile, and the host's manifest with the files that it names in its own folder.
fn migrate_config(from: &Path, to: &Path) {
    let read = |name| file::read(&from.join(name), MAX_MANIFEST_BYTES as u64).unwrap_or_default();
    if serde_json::from_slice::<serde_json::Value>(&read("profile.json"))
        .is_ok_and(|profile| profile.is_object())
    {
        move_entry(from, to, Path::new("profile.json"));
    }
    let host = read("host.json");
    if !String::from_utf8_lossy(&host).contains("\"manifestVersion\"") {
        return;
    }
    // The manifest moves last: without these files it would mean something else, and an interrupted migration finds
    // them only through it.
    let host = HostManifest::from_slice(&host).ok();
    for named in host.iter().flat_map(named_files) {
        if from.join(&named).extension().is_some_and(|ending| ending == "json")
            && let Ok(remote) = read_manifest(&from.join(&named))
        {
            let entry = remote.manifest.remote_entry;
            move_entry(from, to, &named.with_file_name(library::file_name(&entry)));
        }
        move_entry(from, to, &named);
    }
    move_entry(from, to, Path::new("host.json"));
}

/// Lists the relative paths in a host's manifest that stay in its folder.
fn named_files(host: &HostManifest) -> Vec<PathBuf> {
    let token = match &host.auth {
        Some(AuthConfig::Http(http)) => http.token_file.clone(),
        _ => None,
    };
    let locations = host.remotes.values().map(|remote| PathBuf::from(&remote.location));
    let stays =
        |path: &PathBuf| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    locations.chain(token).filter(stays).collect()
}

/// Migrates the data, unless an earlier version is running.
fn migrate_data(from: &Path, to: &Path) {
    if !DATA.iter().any(|name| from.join(name).exists()) {
        return;
    }
    if is_in_use(&from.join("sessions")) {
        tracing::warn!(
            code = Code::DataInUse.as_str(),
            "an earlier version of Pulse is running, so its data is not migrated; close both and start Pulse \
             again: {}",
            from.display()
        );
        return;
    }
    for name in DATA {
        move_entry(from, to, Path::new(name));
    }
}

/// Returns `true` if a shell with its data there is running: each shell locks a file.
fn is_in_use(sessions: &Path) -> bool {
    let files = sessions.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).any(|path| {
        let file = file::open(&path);
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    })
}

/// Moves one file or folder, unless the target exists already.
fn move_entry(from: &Path, to: &Path, name: &Path) {
    let (old, new) = (from.join(name), to.join(name));
    if fs::symlink_metadata(&old).is_err() || fs::symlink_metadata(&new).is_ok_and(|about| !about.is_dir()) {
        return;
    }
    let failed = |error: &io::Error| {
        tracing::warn!(
            code = Code::DataNotTaken.as_str(),
            "data of an earlier version cannot be moved to {} ({error}); move it there manually: {}",
            new.display(),
            old.display()
        );
    };
    if let Err(error) = new.parent().map_or(Ok(()), file::create_private) {
        return failed(&error);
    }
    match move_to(&old, &new) {
        Ok(()) => {
            tracing::info!(from = %old.display(), to = %new.display(), "migrated data of an earlier version");
        }
        // Another shell was first, or a previous start left both.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
            ) => {}
        Err(error) => failed(&error),
    }
}

fn move_to(old: &Path, new: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(old)?;
    if about.is_dir() {
        // Replaces an empty folder at most.
        return fs::rename(old, new);
    }
    #[cfg(unix)]
    if about.is_symlink() {
        std::os::unix::fs::symlink(old.canonicalize()?, new)?;
        return fs::remove_file(old);
    }
    if !about.is_file() {
        return Ok(());
    }
    match fs::hard_link(old, new) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Not every file system supports hard links.
        Err(_) => {
            let folder = new.parent().unwrap_or(Path::new("."));
            let mut copy = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
            io::copy(&mut File::open(old)?, &mut copy)?;
            copy.as_file().sync_all()?;
            copy.persist_noclobber(new).map_err(|error| error.error)?;
        }
    }
    fs::remove_file(old)
}

#[cfg(test)]
mod tests;
