//! The environment of a trial.
//!
//! A library is tried under the conditions in which it will run, so variables that its author documents reach it.
//! Variables that may be secrets, lead to programs of the session, or steer Pulse do not. Every folder that a
//! variable names lies within the trial's own.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::Path,
};

use crate::data::private;

/// Parts of names of variables that may contain secrets.
const SECRET: &[&str] = &[
    "ACCESS",
    "ACCOUNT",
    "AUTH",
    "BEARER",
    "CERT",
    "CONNECTION",
    "COOKIE",
    "CRED",
    "DATABASE",
    "DSN",
    "JWT",
    "KEY",
    "LOGIN",
    "PASS",
    "PRIVATE",
    "PWD",
    "SALT",
    "SECRET",
    "SESSION",
    "SIGN",
    "TOKEN",
    "WEBHOOK",
];

/// Beginnings of names of variables that steer Pulse, or belong to the session or to services with secrets.
const WITHHELD: &[&str] = &[
    "PULSE_", "EGUI_", "WGPU_", "WINIT_", "DISPLAY", "WAYLAND_", "XAUTH", "ICEAUTH", "DBUS_", "SSH_", "GPG_",
    "SUDO_", "NOTIFY_", "LISTEN_", "AWS_", "AZURE_", "GOOGLE_", "GITHUB_", "GITLAB_", "VAULT_", "XDG_",
];

/// Variables that name a folder of the user, with the folder in the trial's own that replaces it.
const FOLDERS: &[(&str, &str)] = &[
    ("HOME", "home"),
    ("USERPROFILE", "home"),
    ("APPDATA", "config"),
    ("LOCALAPPDATA", "data"),
    ("XDG_CONFIG_HOME", "config"),
    ("XDG_DATA_HOME", "data"),
    ("XDG_STATE_HOME", "state"),
    ("XDG_CACHE_HOME", "cache"),
    ("XDG_RUNTIME_DIR", "run"),
    (private::VARIABLE, "cache"),
    ("TMPDIR", "tmp"),
    ("TMP", "tmp"),
    ("TEMP", "tmp"),
];

/// Returns the variables of a trial whose folder is `folder`, and makes the folders that they name.
pub(super) fn of_trial(folder: &Path) -> io::Result<Vec<(OsString, OsString)>> {
    let mut variables: Vec<_> = env::vars_os().filter(|(name, value)| passes(name, value)).collect();
    for (variable, name) in FOLDERS {
        let path = folder.join(name);
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => variables.push(((*variable).into(), path.into())),
        }
    }
    Ok(variables)
}

fn passes(name: &OsStr, value: &OsStr) -> bool {
    // Anything but text is left out, because it cannot be examined.
    let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { return false };
    let name = name.to_ascii_uppercase();
    let withheld = WITHHELD.iter().any(|start| name.starts_with(start))
        || FOLDERS.iter().any(|(folder, _)| *folder == name)
        || SECRET.iter().any(|part| name.contains(part));
    !withheld && !is_secret(value)
}

/// Returns `true` for a key in text form, a URL with a password, and any long word of letters and digits.
fn is_secret(value: &str) -> bool {
    let url = |(_, rest): (&str, &str)| rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@');
    if value.contains("-----BEGIN") || value.split_once("://").is_some_and(url) {
        return true;
    }
    let words = value.split(|c: char| !(c.is_ascii_alphanumeric() || "-_+=".contains(c)));
    // A component of a path is never a secret.
    let path = value.contains(['/', '\\']);
    !path
        && words.into_iter().any(|word| {
            let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
            word.len() >= 20 && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(name: &str, value: &str) -> bool {
        super::passes(name.as_ref(), value.as_ref())
    }

    #[test]
    fn secrets_do_not_reach_trial() {
        for (name, value) in [
            ("PULSE_TOKEN", "x"),
            ("pulse_config", "/x"),
            ("EGUI_INSPECTION", "127.0.0.1:1"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_PROFILE", "x"),
            ("GITHUB_TOKEN", "x"),
            ("MYSQL_PWD", "x"),
            ("db_password", "x"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1/bus"),
            ("DISPLAY", ":0"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("HOME", "/home"),
            ("BACKEND", "postgres://ada:pass@example.org/db"),
            ("SERVICE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
            ("BLOB", "-----BEGIN RSA-----"),
        ] {
            assert!(!passes(name, value), "{name}");
        }
    }

    #[test]
    fn settings_reach_trial() {
        for (name, value) in [
            ("PATH", "/usr/local/bin:/usr/bin"),
            ("LD_LIBRARY_PATH", "/opt/x86_64-unknown-linux-gnu-0123456789/lib"),
            ("LANG", "de_DE.UTF-8"),
            ("LC_ALL", "C"),
            ("TZ", "Europe/Berlin"),
            ("RUST_BACKTRACE", "1"),
            ("http_proxy", "http://proxy.example.org:3128"),
            ("CHARTS_MODE", "quick:safe"),
            ("SystemRoot", "C:\\Windows"),
        ] {
            assert!(passes(name, value), "{name}");
        }
    }

    #[test]
    fn trial_gets_folders_of_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let variables = of_trial(folder.path()).expect("folders can be made");
        for (name, _) in FOLDERS {
            let mut named =
                variables.iter().filter(|(known, _)| known == name).map(|(_, value)| Path::new(value));
            let path = named.next().expect(name);
            assert!(named.next().is_none() && path.starts_with(folder.path()) && path.is_dir(), "{name}");
        }
    }
}
