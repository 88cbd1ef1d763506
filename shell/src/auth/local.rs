//! The embedded provider: the user is read from a profile file.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use super::identity::{Secret, UserId, UserRecord};
use super::{AuthError, Session};
use crate::file;

/// The profile's name in the config directory.
pub const PROFILE_FILE: &str = "profile.json";

const MAX_PROFILE_BYTES: u64 = 64 * 1024;
const TOKEN_BYTES: usize = 32;

/// The user's id if the profile has none.
const DEFAULT_ID: &str = "local";

/// Reads the profile, which the first run creates, and opens a session with a fresh token.
pub(super) fn sign_in(config_dir: &Path) -> Result<Session, AuthError> {
    let record = read_or_create(config_dir)?;
    Ok(Session { user: record.into_user(DEFAULT_ID), token: Some(fresh_token()?) })
}

fn read_or_create(config_dir: &Path) -> Result<UserRecord, AuthError> {
    let path = config_dir.join(PROFILE_FILE);
    match read(&path) {
        Err(AuthError::ProfileIo { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            create(config_dir, &path)?;
            // Read back even if this shell wrote it: another one may have been first.
            read(&path)
        }
        result => result,
    }
}

fn read(path: &Path) -> Result<UserRecord, AuthError> {
    let io_error = |source| AuthError::ProfileIo { action: "read", source, path: path.to_owned() };
    let text = file::read(path, MAX_PROFILE_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => io_error(io::Error::new(error.kind(), "larger than 64 KiB")),
        _ => io_error(error),
    })?;
    // Some editors begin a file with a byte-order mark.
    let json = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    UserRecord::parse(json).map_err(|error| AuthError::ProfileInvalid {
        line: error.line,
        column: error.column,
        reason: error.reason,
        path: path.to_owned(),
    })
}

/// Creates the first profile, complete or not at all, and never over an existing file.
fn create(config_dir: &Path, path: &Path) -> Result<(), AuthError> {
    create_private_dir(config_dir).map_err(|source| AuthError::ProfileIo {
        action: "create the folder of",
        source,
        path: config_dir.to_owned(),
    })?;
    write_new(config_dir, path).map_err(|source| AuthError::ProfileIo {
        action: "create",
        source,
        path: path.to_owned(),
    })
}

fn write_new(config_dir: &Path, path: &Path) -> io::Result<()> {
    let record = UserRecord {
        id: Some(UserId("grace.hopper".to_owned())),
        name: "Grace Hopper".to_owned(),
        role: Some("admin".to_owned()),
        email: None,
    };
    let mut json = serde_json::to_string_pretty(&record)?;
    json.push('\n');

    // Only the owner can read temporary files, and the rename keeps that.
    let mut file = tempfile::Builder::new().prefix(".profile-").tempfile_in(config_dir)?;
    file.write_all(json.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {
            tracing::info!(path = %path.display(), "created the first profile");
            Ok(())
        }
        // A shell that started at the same moment was faster; its profile stays.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Returns 256 random bits as 64 hexadecimal digits.
fn fresh_token() -> Result<Secret, AuthError> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| AuthError::Random { reason: error.to_string() })?;
    // Full capacity from the start, because growing would leave copies in memory.
    let mut hex = String::with_capacity(2 * TOKEN_BYTES);
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    bytes.fill(0);
    std::hint::black_box(&bytes);
    Ok(Secret::new(hex))
}

#[cfg(test)]
mod tests;
