//! Lists of dragged files: `file:` URIs, one on a line (RFC 2483), with other characters percent-encoded (RFC 3986,
//! 8089).

use std::path::{Path, PathBuf};

/// The MIME type of such a list.
pub const URI_LIST: &str = "text/uri-list";

/// Returns the list of these files.
pub fn files_to_uris<'a>(files: impl IntoIterator<Item = &'a Path>) -> String {
    let mut list = String::new();
    for file in files {
        list.push_str("file://");
        for byte in path_bytes(file) {
            let plain = byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
            if plain {
                list.push(byte.into());
            } else {
                list.extend([format!("%{byte:02X}")]);
            }
        }
        list.push_str("\r\n");
    }
    list
}

/// Returns the files of a list; skips entries that are not files of this computer.
pub fn files_from_uris(list: &str) -> Vec<PathBuf> {
    list.lines().filter(|line| !line.starts_with('#')).filter_map(file_from_uri).collect()
}

fn file_from_uri(uri: &str) -> Option<PathBuf> {
    let (scheme, rest) = uri.trim_end().split_once(':')?;
    if !scheme.eq_ignore_ascii_case("file") {
        return None;
    }
    // The authority is this computer, or absent.
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, _) = rest.split_once('/')?;
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return None;
            }
            &rest[host.len()..]
        }
        None => rest,
    };
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    // A path has no NUL, and code that stops at it would open another file.
    (!bytes.contains(&0)).then(|| path_from_bytes(bytes)).flatten()
}

#[cfg(unix)]
fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "on other systems not all bytes are a path")]
fn path_from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_bytes(path: &Path) -> Vec<u8> {
    format!("/{}", path.to_string_lossy().replace('\\', "/")).into_bytes()
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    let path = String::from_utf8(bytes).ok()?;
    Some(path.trim_start_matches('/').replace('/', "\\").into())
}
