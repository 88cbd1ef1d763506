//! Addresses of repositories: a folder on a web server or on a disk.

use std::{
    fmt,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use url::{Host, Url};

use crate::error::{DeliveryError, ErrorCode};

/// The address of a repository.
///
/// It has the scheme `http`, `https` or `file`, and neither a user, a query nor a fragment: those would end up in logs,
/// or would be lost when a file's name is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: Url,
    /// The folder of a `file:` address.
    folder: Option<PathBuf>,
}

impl Address {
    /// Parses an address.
    ///
    /// # Errors
    /// Fails with `delivery-setting-invalid`; the message does not repeat a password.
    pub fn parse(text: &str) -> Result<Self, DeliveryError> {
        let invalid = |reason: &str| {
            // The part before the `@` may be a password.
            let shown =
                if text.contains('@') { "it is not shown, because it may contain a password" } else { text };
            DeliveryError::new(
                ErrorCode::DeliverySettingInvalid,
                format!("the address of a repository {reason}: {shown}"),
                "write it as https://plugins.example.org or file:///folder",
            )
        };
        let text = text.trim();
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(invalid("contains blanks or control characters"));
        }
        let mut url = Url::parse(text).map_err(|_| invalid("cannot be read"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("must not contain a user or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("must have neither a query nor a fragment"));
        }
        let folder = match url.scheme() {
            "http" | "https" if url.has_host() => None,
            "file" => Some(url.to_file_path().map_err(|()| invalid("names no folder of this machine"))?),
            _ => return Err(invalid("must begin with https://, http:// or file:///")),
        };
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self { url, folder })
    }

    /// Returns the folder of a `file:` address.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Returns `true` if the server runs on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Returns the address of a file below this one.
    pub(crate) fn file(&self, parts: &[&str]) -> Url {
        let mut path = self.url.path().trim_end_matches('/').to_owned();
        for part in parts {
            path.push('/');
            path.push_str(&encoded(part));
        }
        let mut url = self.url.clone();
        url.set_path(&path);
        url
    }

    /// Returns the path of a file below the folder of a `file:` address.
    pub(crate) fn path(&self, parts: &[&str]) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(parts.iter().collect::<PathBuf>()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

/// Returns `true` if the host of an address is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // Not every resolver keeps names below `localhost` on this machine.
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
        None => false,
    }
}

/// Encodes one part of a path.
///
/// All but the characters that are never special are encoded: object stores read a `+` as a blank.
fn encoded(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_below_the_address() {
        for (address, file) in [
            ("https://plugins.example.org", "https://plugins.example.org/targets/a%20b/1.0.0%2B1"),
            ("https://plugins.example.org/x/", "https://plugins.example.org/x/targets/a%20b/1.0.0%2B1"),
            ("http://localhost:3000//", "http://localhost:3000/targets/a%20b/1.0.0%2B1"),
        ] {
            let address = Address::parse(address).expect("address is valid");
            assert_eq!(address.file(&["targets", "a b", "1.0.0+1"]).as_str(), file);
        }
        if cfg!(unix) {
            let address = Address::parse("file:///media/usb%20stick/").expect("address is valid");
            assert_eq!(address.to_string(), "file:///media/usb%20stick");
            let file = address.path(&["targets", "a", "1.0.0+1"]);
            assert_eq!(file.as_deref(), Some(Path::new("/media/usb stick/targets/a/1.0.0+1")));
        }
    }

    #[test]
    fn unsafe_addresses_are_refused() {
        for address in [
            "",
            "plugins.example.org",
            "ftp://plugins.example.org",
            "data:text/plain,a",
            "https://",
            "https://user@plugins.example.org",
            "https://user:secret@plugins.example.org",
            "https://plugins.example.org/?token=1",
            "https://plugins.example.org/#a",
            "https://plugins.example.org/a b",
            "https://plugins.example.org/\nX: y",
        ] {
            let error = Address::parse(address).expect_err(address);
            assert_eq!(error.code, ErrorCode::DeliverySettingInvalid);
            assert!(!error.summary.contains("secret"), "{error}");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        for (address, expected) in [
            ("http://localhost", true),
            ("http://a.localhost", false),
            ("http://127.8.8.8:1", true),
            ("http://[::1]", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Address::parse(address).expect("valid").is_loopback(), expected, "{address}");
        }
    }
}
