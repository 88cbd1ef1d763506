//! Faults of a connection, and the decision if another attempt may help.

use std::{io, path::Path, time::Duration};

use ureq::http::{Response, header};
use url::Url;

use super::LinkReply;
use crate::error::{DeliveryError, ErrorCode};

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct AttemptError {
    pub(crate) error: DeliveryError,
    pub(crate) again: Again,
}

/// The next attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    Soon,
    /// The server asks for this wait.
    After(Duration),
}

impl AttemptError {
    fn new(code: ErrorCode, summary: String, advice: &'static str, again: Again) -> Self {
        Self { error: DeliveryError::new(code, summary, advice), again }
    }
}

impl From<DeliveryError> for AttemptError {
    fn from(error: DeliveryError) -> Self {
        Self { error, again: Again::Never }
    }
}

const NETWORK: &str = "check the network and the address, then try again";

pub(super) fn is_tls(error: &ureq::Error) -> bool {
    use ureq::Error as E;
    match error {
        E::Tls(_) | E::Rustls(_) | E::Pem(_) | E::TlsRequired => true,
        // The TLS layer reports a handshake or record that it refuses as invalid data.
        E::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

pub(super) fn of_request(error: &ureq::Error, url: &Url) -> AttemptError {
    use ureq::Error as E;
    if is_tls(error) {
        return tls(error, url.as_str());
    }
    match error {
        E::Timeout(_) => timeout(url.as_str()),
        E::Io(error) if error.kind() == io::ErrorKind::TimedOut => timeout(url.as_str()),
        E::BadUri(_) | E::InvalidProxyUrl => AttemptError::new(
            ErrorCode::DeliverySettingInvalid,
            format!("the address or the proxy cannot be used ({error}): {url}"),
            "check the address and the variables of the proxy",
            Again::Never,
        ),
        E::LargeResponseHeader(..) => AttemptError::new(
            ErrorCode::RepoTooLarge,
            format!("the server's answer has too large a header: {url}"),
            "ask the repository's owner to check the server",
            Again::Never,
        ),
        error => unreachable(error, url.as_str()),
    }
}

pub(super) fn of_body(error: io::Error, url: &str, has_bytes: bool) -> AttemptError {
    let error = ureq::Error::from(error);
    match &error {
        ureq::Error::Timeout(_) => too_late(url, has_bytes),
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::TimedOut => too_late(url, has_bytes),
        _ if is_tls(&error) => tls(&error, url),
        ureq::Error::Io(_) => cut(url),
        _ => unreachable(&error, url),
    }
}

pub(super) fn of_file(opened: io::Result<LinkReply>, path: &Path) -> Result<LinkReply, AttemptError> {
    let error = match opened {
        Ok(reply) => return Ok(reply),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(LinkReply::Missing);
        }
        Err(error) => error,
    };
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorCode::RepoDenied,
        _ => ErrorCode::RepoUnreachable,
    };
    let summary = format!("cannot read a file of the repository ({error}): {}", path.display());
    Err(AttemptError::new(code, summary, "check the folder and the disk", Again::Never))
}

pub(super) fn of_status(response: &Response<ureq::Body>, url: &Url) -> AttemptError {
    let status = response.status();
    match status.as_u16() {
        401 | 403 | 407 => AttemptError::new(
            ErrorCode::RepoDenied,
            format!("the server denies access (status {status}): {url}"),
            "check the token of the repository",
            Again::Never,
        ),
        511 => AttemptError::from(login_page(url.as_str())),
        408 | 429 | 500..=599 => {
            let wait = response.headers().get(header::RETRY_AFTER);
            // A date instead of seconds is rare, and the usual wait serves as well.
            let wait = wait.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            AttemptError::new(
                ErrorCode::RepoServerError,
                format!("the server reports a fault of its own (status {status}): {url}"),
                "try again later",
                wait.map_or(Again::Soon, |seconds| Again::After(Duration::from_secs(seconds))),
            )
        }
        _ => AttemptError::new(
            ErrorCode::RepoServerError,
            format!("the server does not deliver the file (status {status}): {url}"),
            "check the address of the repository",
            Again::Never,
        ),
    }
}

pub(super) fn too_large(url: &str, limit: u64) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoTooLarge,
        format!("a file of metadata has more than {limit} bytes: {url}"),
        "ask the repository's owner to check the server",
        Again::Never,
    )
}

pub(super) fn redirected(url: &Url, what: &str) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoRedirected,
        format!("{what}: {url}"),
        "a network may want a login first; otherwise use the repository's present address",
        Again::Never,
    )
}

pub(super) fn login_page(url: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::RepoNotMetadata,
        format!("the answer is a web page, not metadata: {url}"),
        "the network may want a login first: open a web page in a browser; otherwise check the address",
    )
}

pub(super) fn cut(url: &str) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoUnreachable,
        format!("the transfer was cut short: {url}"),
        NETWORK,
        Again::Soon,
    )
}

pub(super) fn other_range(url: &Url) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoServerError,
        format!("the server sends another part of the file than requested: {url}"),
        "ask the repository's owner to check the server",
        Again::Never,
    )
}

/// Makes the fault of an answer that began, or did not begin, and did not end in time.
pub(super) fn too_late(url: &str, has_bytes: bool) -> AttemptError {
    if has_bytes { AttemptError { again: Again::Soon, ..too_slow(url) } } else { timeout(url) }
}

pub(super) fn too_slow(url: &str) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoTooSlow,
        format!("the server sends too slowly: {url}"),
        "try again later",
        Again::Never,
    )
}

fn timeout(url: &str) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoTimeout,
        format!("the server does not answer in time: {url}"),
        NETWORK,
        Again::Soon,
    )
}

fn tls(error: &ureq::Error, url: &str) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoTls,
        format!("the connection cannot be secured ({error}): {url}"),
        "a proxy or a private repository may need its root certificate in the settings",
        Again::Never,
    )
}

fn unreachable(error: &ureq::Error, url: &str) -> AttemptError {
    AttemptError::new(
        ErrorCode::RepoUnreachable,
        format!("the server cannot be reached ({error}): {url}"),
        NETWORK,
        Again::Soon,
    )
}
