//! Moves what earlier versions kept in folders and variables that `PulseAudio` has as well.
//!
//! Each file or folder moves on its own and never over another one, so that the next start continues where one was
//! interrupted, and shells that start together do not disturb each other. What is not Pulse's stays where it is.

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

/// Moves what is there under the former name, and names former variables that are set.
///
/// The data stays where it is if the user has named another folder for it.
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
        take_config(&config.join(FORMER), &config.join(NAME));
    }
    if data.is_absolute() && !has_data_dir {
        take_data(&data.join(FORMER), &data.join(NAME));
    }
}

/// Returns whether a former variable can be meant for this program: `PulseAudio` has some of them.
fn is_ours(name: &str, value: &str) -> bool {
    match name {
        _ if value.is_empty() => false,
        // `daemon.conf`, `client.conf`.
        "CONFIG" => library::is_json(Path::new(value)),
        // A number or the name of a level of its own.
        "LOG" => value.contains(['=', ',']) || ["trace", "debug", "off"].contains(&value),
        _ => true,
    }
}

/// Takes the settings: the profile, and the host's manifest with the files that it names in its own folder.
fn take_config(from: &Path, to: &Path) {
    let read = |name| file::read(&from.join(name), MAX_MANIFEST_BYTES as u64).unwrap_or_default();
    if serde_json::from_slice::<serde_json::Value>(&read("profile.json"))
        .is_ok_and(|profile| profile.is_object())
    {
        take(from, to, Path::new("profile.json"));
    }
    let host = read("host.json");
    if !String::from_utf8_lossy(&host).contains("\"manifestVersion\"") {
        return;
    }
    // Without them the manifest would mean something else; after it they would not be found again.
    let host = HostManifest::from_slice(&host).ok();
    for named in host.iter().flat_map(named_files) {
        if from.join(&named).extension().is_some_and(|ending| ending == "json")
            && let Ok(remote) = read_manifest(&from.join(&named))
        {
            let entry = remote.manifest.remote_entry;
            take(from, to, &named.with_file_name(library::file_name(&entry)));
        }
        take(from, to, &named);
    }
    take(from, to, Path::new("host.json"));
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

/// Takes the data, unless an earlier version is running.
fn take_data(from: &Path, to: &Path) {
    if !DATA.iter().any(|name| from.join(name).exists()) {
        return;
    }
    if is_in_use(&from.join("sessions")) {
        tracing::warn!(
            code = Code::DataInUse.as_str(),
            "an earlier version of Pulse is running and keeps its data for now; close it and start again to take the \
             data over: {}",
            from.display()
        );
        return;
    }
    for name in DATA {
        take(from, to, Path::new(name));
    }
}

/// Returns whether a shell that keeps its data there is running: each holds a file.
fn is_in_use(sessions: &Path) -> bool {
    let files = sessions.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).any(|path| {
        let file = file::open(&path);
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    })
}

/// Moves one file or folder, unless there is one of that name already.
fn take(from: &Path, to: &Path, name: &Path) {
    let (old, new) = (from.join(name), to.join(name));
    if fs::symlink_metadata(&old).is_err() || fs::symlink_metadata(&new).is_ok_and(|about| !about.is_dir()) {
        return;
    }
    let failed = |error: &io::Error| {
        tracing::warn!(
            code = Code::DataNotTaken.as_str(),
            "what an earlier version kept cannot be moved to {} ({error}); move it there by hand: {}",
            new.display(),
            old.display()
        );
    };
    if let Err(error) = new.parent().map_or(Ok(()), file::create_private) {
        return failed(&error);
    }
    match move_to(&old, &new) {
        Ok(()) => {
            tracing::info!(from = %old.display(), to = %new.display(), "moved what an earlier version kept");
        }
        // Another shell was first, or a start after which both are there.
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
        // Over an empty folder at most.
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
        // Not every file system has links.
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
