//! The HTTP provider: the user is the answer of `GET {base}/api/users/me`.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use negotiation::manifest::HttpAuth;
use ureq::http::header::{AUTHORIZATION, LOCATION};
use ureq::http::uri::{Authority, Scheme};
use ureq::http::{HeaderValue, Response, Uri};
use ureq::{Agent, Body};
use url::Url;

use super::identity::{Secret, UserRecord, clean};
use super::{AuthError, Session};

const USER_PATH: &str = "/api/users/me";
const MAX_BODY_BYTES: u64 = 64 * 1024;
const MAX_TOKEN_BYTES: u64 = 16 * 1024;
const MAX_REDIRECTS: usize = 3;

/// Returns the client for one sign-in; `Agent::shutdown` on a clone cancels its request.
pub(super) fn agent() -> Agent {
    let config = Agent::config_builder()
        // This module handles statuses and redirects, because it knows the origin.
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("pulse/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .build();
    Agent::new_with_config(config)
}

/// Asks once who the user is, within `limit`, redirects included.
///
/// The bearer token is read again on each try, so a renewed one is used immediately.
/// `tries` counts this try and the ones before; errors carry it.
pub(super) fn sign_in(
    config: &HttpAuth,
    config_dir: &Path,
    agent: &Agent,
    limit: Duration,
    tries: u32,
) -> Result<Session, AuthError> {
    let start = user_url(&config.base)?;
    let token = bearer(config, config_dir, |name| std::env::var_os(name))?;
    may_send(&start, token.as_ref(), config.insecure)?;
    let request = Request { agent, token: token.as_ref(), deadline: Instant::now() + limit, limit, tries };
    let mut url = start.clone();
    for _ in 0..=MAX_REDIRECTS {
        let response = request.send(&url)?;
        let Some(location) = redirect_target(&response) else {
            let user = request.user(&url, response)?;
            return Ok(Session { user, token });
        };
        let target = resolve(&url, location).ok_or_else(|| AuthError::Malformed {
            reason: "it redirects to an invalid address".to_owned(),
            url: show(&url),
        })?;
        if !same_origin(&start, &target) {
            return Err(redirected(&url, &target));
        }
        url = target;
    }
    Err(redirected(&start, &url))
}

struct Request<'a> {
    agent: &'a Agent,
    token: Option<&'a Secret>,
    deadline: Instant,
    limit: Duration,
    tries: u32,
}

impl Request<'_> {
    fn send(&self, url: &Uri) -> Result<Response<Body>, AuthError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut builder = self.agent.get(url);
        if let Some(token) = self.token {
            builder = builder.header(AUTHORIZATION, authorization(token)?);
        }
        let mut config = builder.config().timeout_global(Some(left));
        // A proxy would look for the server on its own machine, or read the token.
        if is_loopback(url) || self.token.is_some() && url.scheme() != Some(&Scheme::HTTPS) {
            config = config.proxy(None);
        }
        config.build().call().map_err(|error| self.transport_error(url, error))
    }

    fn user(&self, url: &Uri, mut response: Response<Body>) -> Result<shared_store::User, AuthError> {
        let tries = self.tries;
        let malformed = |reason: String| AuthError::Malformed { reason, url: show(url) };
        let url = || show(url);
        match response.status().as_u16() {
            200..=299 => {}
            401 => return Err(AuthError::Unauthorized { url: url() }),
            403 => return Err(AuthError::Forbidden { url: url() }),
            404 => return Err(AuthError::NotFound { url: url() }),
            429 => return Err(AuthError::RateLimited { tries, url: url() }),
            status @ 500..=599 => {
                let url = url();
                return Err(AuthError::ServerError { status, tries, url });
            }
            status => return Err(AuthError::Rejected { status, url: url() }),
        }
        let body = response.body_mut().with_config().limit(MAX_BODY_BYTES);
        let json = match body.read_to_vec() {
            Ok(json) => json,
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                return Err(malformed("it is larger than 64 KiB".to_owned()));
            }
            Err(error) => return Err(self.transport_error_at(url(), error)),
        };
        let record = UserRecord::parse(&json).map_err(|error| {
            let (line, column) = (error.line, error.column);
            malformed(format!("{} (line {line}, column {column})", error.reason))
        })?;
        if record.id.is_none() || record.role.is_none() {
            return Err(malformed("it lacks an `id` or a `role`".to_owned()));
        }
        Ok(record.into_user(""))
    }

    fn transport_error(&self, url: &Uri, error: ureq::Error) -> AuthError {
        self.transport_error_at(show(url), error)
    }

    fn transport_error_at(&self, url: String, error: ureq::Error) -> AuthError {
        use ureq::Error as E;

        let tries = self.tries;
        let reason = clean(&error.to_string(), 200);
        match error {
            E::Timeout(_) => AuthError::Timeout { limit: self.limit, tries, url },
            E::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                AuthError::Timeout { limit: self.limit, tries, url }
            }
            // The TLS layer reports a handshake or record that it refuses as invalid data.
            E::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                let reason = clean(&error.to_string(), 200);
                AuthError::Tls { reason, url }
            }
            E::Io(error) => AuthError::Unreachable { reason: clean(&error.to_string(), 200), tries, url },
            E::Tls(_) | E::Rustls(_) | E::Pem(_) | E::TlsRequired => AuthError::Tls { reason, url },
            E::Protocol(_) | E::LargeResponseHeader(..) | E::Http(_) => AuthError::Malformed { reason, url },
            E::BadUri(_) | E::InvalidProxyUrl => AuthError::ConfigInvalid { reason },
            _ => AuthError::Unreachable { reason, tries, url },
        }
    }
}

/// Refuses to send a token where others can read it; redirects stay within the origin of `url`.
fn may_send(url: &Uri, token: Option<&Secret>, insecure: bool) -> Result<(), AuthError> {
    let safe = token.is_none() || insecure || url.scheme() == Some(&Scheme::HTTPS) || is_loopback(url);
    if safe { Ok(()) } else { Err(AuthError::TokenInClear { url: show(url) }) }
}

fn redirected(from: &Uri, target: &Uri) -> AuthError {
    AuthError::Redirected { target: show(target), url: show(from) }
}

/// Formats an address for messages: no credentials, no query, one line.
fn show(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    let host = url.host().unwrap_or_default();
    clean(&format!("{scheme}://{host}{port}{}", url.path()), 300)
}

fn user_url(base: &str) -> Result<Uri, AuthError> {
    // Messages do not repeat the text: it may hold a password, and the settings show it.
    let invalid = |reason: &str| AuthError::ConfigInvalid { reason: format!("`auth.base` {reason}") };
    let base = base.trim();
    if base.contains(['?', '#']) {
        return Err(invalid("must have neither a query nor a fragment"));
    }
    let url: Uri = format!("{}{USER_PATH}", base.trim_end_matches('/'))
        .parse()
        .map_err(|_| invalid("is not an address"))?;
    if url.scheme() != Some(&Scheme::HTTP) && url.scheme() != Some(&Scheme::HTTPS) {
        return Err(invalid("must begin with http:// or https://"));
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err(invalid("must not contain a user or password; use `auth.tokenFile` or `auth.tokenEnv`"))
        }
        Some(authority) if !authority.host().is_empty() => Ok(url),
        _ => Err(invalid("names no host")),
    }
}

/// Reads the bearer token from the variable or file that the settings name; `None` if they name neither.
///
/// A relative file is looked for in the config directory.
fn bearer(
    config: &HttpAuth,
    config_dir: &Path,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Secret>, AuthError> {
    if let Some(name) = config.token_env.as_deref() {
        let place = format!("environment variable {}", clean(name, 100));
        // Asking for an invalid name may panic.
        let sound = !name.is_empty() && !name.contains(['=', '\0']);
        let Some(value) = sound.then(|| env(name)).flatten() else {
            return Err(AuthError::TokenMissing { reason: "the variable is not set".to_owned(), place });
        };
        let value = value
            .into_string()
            .map_err(|_| AuthError::TokenInvalid { reason: "it is not text", place: place.clone() })?;
        return usable_token(&Secret::new(value), place).map(Some);
    }
    let Some(file) = &config.token_file else {
        return Ok(None);
    };
    let path = config_dir.join(file);
    let place = path.display().to_string();
    match crate::file::read(&path, 2 * MAX_TOKEN_BYTES).map(String::from_utf8) {
        Ok(Ok(text)) => usable_token(&Secret::new(text), place).map(Some),
        Ok(Err(_)) => Err(AuthError::TokenInvalid { reason: "it is not text", place }),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(AuthError::TokenInvalid { reason: "it is longer than 16 KiB", place })
        }
        Err(error) => Err(AuthError::TokenMissing { reason: error.to_string(), place }),
    }
}

fn usable_token(text: &Secret, place: String) -> Result<Secret, AuthError> {
    let token = text.expose().trim();
    let reason = if token.is_empty() {
        "it is empty"
    } else if token.len() as u64 > MAX_TOKEN_BYTES {
        "it is longer than 16 KiB"
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        "it contains blanks, line breaks or characters that a header cannot carry"
    } else {
        return Ok(Secret::new(token.to_owned()));
    };
    Err(AuthError::TokenInvalid { reason, place })
}

fn authorization(token: &Secret) -> Result<HeaderValue, AuthError> {
    let text = Secret::new(format!("Bearer {}", token.expose()));
    let mut value = HeaderValue::from_str(text.expose()).map_err(|_| AuthError::ConfigInvalid {
        reason: "the bearer token cannot be sent in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn redirect_target(response: &Response<Body>) -> Option<&[u8]> {
    match response.status().as_u16() {
        301 | 302 | 303 | 307 | 308 => response.headers().get(LOCATION).map(HeaderValue::as_bytes),
        _ => None,
    }
}

/// Returns the address that a `Location` means when it comes from `from`.
fn resolve(from: &Uri, location: &[u8]) -> Option<Uri> {
    let location = std::str::from_utf8(location).ok()?.trim();
    // A scheme needs an authority, or the rest would be parsed as a path.
    let start = location.split(['/', '?', '#']).next().unwrap_or_default();
    let bare_scheme = start.contains(':') && !location[start.len()..].starts_with("//");
    if location.is_empty() || bare_scheme || location.contains(char::is_control) {
        return None;
    }
    let mut target = Url::parse(&from.to_string()).ok()?.join(location).ok()?;
    target.set_fragment(None);
    target.has_host().then(|| target.as_str().parse().ok())?
}

fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |url: &Uri| {
        let default = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        url.port_u16().unwrap_or(default)
    };
    let host = |url: &Uri| url.host().map(str::to_ascii_lowercase);
    // A user in the target would become the request's credentials.
    let plain = |url: &Uri| !url.authority().map_or("", Authority::as_str).contains('@');
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b) && plain(b)
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
