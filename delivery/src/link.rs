//! The connection to a repository: files over HTTP, or from a folder.
//!
//! Nothing here is trusted: bodies are bounded and read in pieces, time is limited, and the callers verify content.
//! Redirects stay on the same host, and the token is sent to the origin of the address only.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ureq::http::{Response, header};
use url::Url;

use crate::{
    address::Address,
    error::{DeliveryError, ErrorCode},
    fetch::{FetchEvent, Network},
    secret::Secret,
};

mod agent;
mod attempts;
mod fault;
mod rate;

use agent::Agents;
pub(crate) use attempts::Attempts;
pub(crate) use fault::{Again, AttemptError};
use rate::TransferRate;

/// Receives the events of a task.
pub(crate) type Report = Arc<dyn Fn(FetchEvent) + Send + Sync>;

/// The largest number of redirects of one request.
const MAX_REDIRECTS: usize = 5;

/// The longest token, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// The longest page about a missing file that is read to its end, in bytes.
const MAX_REST: u64 = 16 << 10;

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For connecting, and for the first byte of an answer.
    pub(crate) timeout: Duration,
    /// The number of attempts.
    pub(crate) attempts: u32,
    /// The wait before the second attempt.
    pub(crate) pause: Duration,
    /// The time for which a transfer may be too slow.
    pub(crate) stall: Duration,
}

impl Limits {
    /// Takes the settings, and the defaults for the others.
    fn new(network: &Network) -> Self {
        let time = |value: Option<u64>, default: u64| {
            Duration::from_millis(value.unwrap_or(default)).clamp(SHORTEST, LONGEST)
        };
        Self {
            timeout: time(network.timeout, 10_000),
            attempts: network.attempts.unwrap_or(3).clamp(1, 100),
            pause: time(network.pause, 500),
            stall: time(network.stall, 20_000),
        }
    }
}

/// The bounds of settings.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_hours(1);

/// The connection to a repository.
pub(crate) struct RepoLink {
    address: Address,
    agents: Agents,
    token: Option<header::HeaderValue>,
    pub(crate) limits: Limits,
    requests: AtomicU32,
    received: AtomicU64,
    report: Report,
}

/// The answer to a request for a file.
pub(crate) enum LinkReply {
    Transfer(Transfer),
    /// There is no such file.
    Missing,
    /// The file has no bytes at the requested place.
    Beyond,
}

/// The content of a file, or of its end.
pub(crate) struct Transfer {
    /// The place of the first byte.
    pub(crate) from: u64,
    /// The number of bytes, as the server states it.
    pub(crate) length: Option<u64>,
    /// `true` for a web page.
    pub(crate) is_page: bool,
    read: u64,
    rate: TransferRate,
    body: Box<dyn Read + Send>,
    url: String,
}

impl RepoLink {
    /// Makes the connection; nothing is sent yet.
    ///
    /// # Errors
    /// Fails with `delivery-setting-invalid`.
    pub(crate) fn new(address: &str, network: &Network, report: Report) -> Result<Self, DeliveryError> {
        let address = Address::parse(address)?;
        let limits = Limits::new(network);
        let token = network.token.as_ref().map(|token| authorization(token, &address)).transpose()?;
        Ok(Self {
            agents: Agents::new(network, limits, address.is_loopback())?,
            address,
            token,
            limits,
            requests: AtomicU32::new(0),
            received: AtomicU64::new(0),
            report,
        })
    }

    /// Returns the address of the repository.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the address or path of a file, for messages.
    pub(crate) fn place(&self, parts: &[&str]) -> String {
        match self.address.path(parts) {
            Some(path) => path.display().to_string(),
            None => self.address.file(parts).to_string(),
        }
    }

    /// Reports an event of the task.
    pub(crate) fn report(&self, event: FetchEvent) {
        (self.report)(event);
    }

    /// Returns the number of requests, and the bytes received in bodies.
    pub(crate) fn counts(&self) -> (u32, u64) {
        (self.requests.load(Relaxed), self.received.load(Relaxed))
    }

    /// Counts attempts, which end at a deadline.
    pub(crate) fn attempts(&self, until: Option<Instant>) -> Attempts<'_> {
        Attempts::new(self, until)
    }

    /// Fetches a file of at most `limit` bytes until a deadline; `None` if the server has no such file.
    pub(crate) fn fetch(
        &self,
        parts: &[&str],
        limit: u64,
        until: Instant,
    ) -> Result<Option<Body>, DeliveryError> {
        let mut attempts = self.attempts(Some(until));
        loop {
            match self.fetch_once(parts, limit, until) {
                Ok(body) => return Ok(body),
                Err(fault) => attempts.failed(fault)?,
            }
        }
    }

    fn fetch_once(&self, parts: &[&str], limit: u64, until: Instant) -> Result<Option<Body>, AttemptError> {
        let mut content = match self.open(parts, 0, Some(until))? {
            LinkReply::Transfer(content) => content,
            LinkReply::Missing | LinkReply::Beyond => return Ok(None),
        };
        let mut bytes = Vec::new();
        let mut piece = vec![0; 16 << 10];
        loop {
            if Instant::now() >= until {
                return Err(fault::too_late(&content.url, !bytes.is_empty()));
            }
            match self.read(&mut content, &mut piece)? {
                0 => break,
                read => bytes.extend_from_slice(&piece[..read]),
            }
            if bytes.len() as u64 > limit {
                return Err(fault::too_large(&content.url, limit));
            }
        }
        Ok(Some(Body { bytes, is_page: content.is_page, url: content.url }))
    }

    /// Requests a file from a place on; the caller reads its content.
    pub(crate) fn open(
        &self,
        parts: &[&str],
        from: u64,
        until: Option<Instant>,
    ) -> Result<LinkReply, AttemptError> {
        self.requests.fetch_add(1, Relaxed);
        if let Some(path) = self.address.path(parts) {
            return fault::of_file(open_file(&path, from, self.limits.stall), &path);
        }
        let mut url = self.address.file(parts);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.agents.send(&url, |request| {
                let request = match until {
                    Some(until) => {
                        let left = until.saturating_duration_since(Instant::now()).max(SHORTEST);
                        request.config().timeout_global(Some(left)).build()
                    }
                    None => request,
                };
                let request = match &self.token {
                    // A redirect to the secure address of the same host is another origin.
                    Some(token) if url.origin() == self.address.file(&[]).origin() => {
                        request.header(header::AUTHORIZATION, token)
                    }
                    _ => request,
                };
                if from == 0 { request } else { request.header(header::RANGE, format!("bytes={from}-")) }
            })?;
            let Some(target) = redirect(&response) else { return self.reply(response, &url, from, until) };
            self.requests.fetch_add(1, Relaxed);
            url = follow(&url, target)?;
        }
        Err(fault::redirected(&url, "the server redirects too often"))
    }

    fn reply(
        &self,
        response: Response<ureq::Body>,
        url: &Url,
        from: u64,
        until: Option<Instant>,
    ) -> Result<LinkReply, AttemptError> {
        let from = match response.status().as_u16() {
            200 => 0,
            206 if start(&response) == Some(from) => from,
            206 => return Err(fault::other_range(url)),
            404 | 410 => {
                if until.is_some() {
                    self.finish(response);
                }
                return Ok(LinkReply::Missing);
            }
            416 if from > 0 => return Ok(LinkReply::Beyond),
            _ => return Err(fault::of_status(&response, url)),
        };
        let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], header::HeaderValue::as_bytes);
        let is_page = kind.starts_with(b"text/html");
        let body = response.into_body();
        Ok(LinkReply::Transfer(Transfer {
            from,
            length: body.content_length(),
            is_page,
            read: 0,
            rate: TransferRate::new(self.limits.stall),
            body: Box::new(body.into_reader()),
            url: url.to_string(),
        }))
    }

    /// Reads the rest of a short answer, so that the next request uses the same connection.
    fn finish(&self, response: Response<ureq::Body>) {
        let body = response.into_body();
        if body.content_length().is_some_and(|length| length <= MAX_REST) {
            // If it fails, the next request opens another connection.
            let read = io::copy(&mut body.into_reader(), &mut io::sink());
            self.received.fetch_add(read.unwrap_or(0), Relaxed);
        }
    }

    /// Reads a piece of a content; 0 at its end.
    pub(crate) fn read(&self, content: &mut Transfer, piece: &mut [u8]) -> Result<usize, AttemptError> {
        loop {
            let read = match content.body.read(piece) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(fault::of_body(error, &content.url, content.read > 0)),
            };
            content.read += read as u64;
            self.received.fetch_add(read as u64, Relaxed);
            let is_complete = content.length.map(|length| content.read >= length);
            if read == 0 && is_complete == Some(false) {
                return Err(fault::cut(&content.url));
            }
            if content.rate.is_too_slow(read) && read > 0 && is_complete != Some(true) {
                return Err(fault::too_slow(&content.url));
            }
            return Ok(read);
        }
    }
}

/// The body of a small file.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    is_page: bool,
    url: String,
}

impl Body {
    /// Returns the content if it may be metadata.
    ///
    /// # Errors
    /// Fails with `repo-not-metadata` for anything but a JSON object, such as the login page of a network.
    pub(crate) fn metadata(self) -> Result<Vec<u8>, DeliveryError> {
        let first = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            Some(b'{') => Ok(self.bytes),
            Some(b'<') => Err(fault::login_page(&self.url)),
            _ if self.is_page => Err(fault::login_page(&self.url)),
            _ => Err(DeliveryError::new(
                ErrorCode::RepoNotMetadata,
                format!("the server answers with something other than metadata: {}", self.url),
                "check the address of the repository",
            )),
        }
    }
}

fn authorization(token: &Secret, address: &Address) -> Result<header::HeaderValue, DeliveryError> {
    let invalid = |reason: &str, advice: &'static str| {
        DeliveryError::new(ErrorCode::DeliverySettingInvalid, format!("{reason}: {address}"), advice)
    };
    let text = token.expose();
    if text.is_empty() || text.len() > MAX_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("the token of the repository cannot be sent", "check its file or variable"));
    }
    if !address.to_string().starts_with("https:") && !address.is_loopback() && address.folder().is_none() {
        return Err(invalid("the token would be sent in clear", "use an https:// address"));
    }
    let text = zeroize::Zeroizing::new(format!("Bearer {text}"));
    let value = header::HeaderValue::from_str(&text);
    let mut value = value.map_err(|_| invalid("the token of the repository cannot be sent", ""))?;
    value.set_sensitive(true);
    Ok(value)
}

fn redirect(response: &Response<ureq::Body>) -> Option<&[u8]> {
    match response.status().as_u16() {
        301 | 302 | 303 | 307 | 308 => {
            Some(response.headers().get(header::LOCATION).map_or(&[], header::HeaderValue::as_bytes))
        }
        _ => None,
    }
}

/// Returns the target of a redirect: the same host, with the same scheme or `https`.
fn follow(from: &Url, target: &[u8]) -> Result<Url, AttemptError> {
    let refused = |reason| Err(fault::redirected(from, reason));
    let Some(target) = std::str::from_utf8(target).ok().and_then(|target| from.join(target).ok()) else {
        return refused("the server redirects to something other than an address");
    };
    let upgraded = (from.scheme(), target.scheme()) == ("http", "https");
    if target.host_str() != from.host_str() {
        return refused("the server redirects to another host");
    }
    if target.scheme() != from.scheme() && !upgraded {
        return refused("the server redirects to an address that is not secure");
    }
    if !upgraded && target.port() != from.port() {
        return refused("the server redirects to another port");
    }
    if !target.username().is_empty() || target.password().is_some() || target.query().is_some() {
        return refused("the server redirects to an address with a user or a query");
    }
    Ok(target)
}

/// Returns the place of the first byte of a partial answer.
fn start(response: &Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn open_file(path: &std::path::Path, from: u64, stall: Duration) -> io::Result<LinkReply> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut file = open_regular(path)?;
    let length = file.metadata()?.len();
    if from > 0 && from >= length {
        return Ok(LinkReply::Beyond);
    }
    file.seek(SeekFrom::Start(from))?;
    Ok(LinkReply::Transfer(Transfer {
        from,
        length: Some(length - from),
        is_page: false,
        read: 0,
        rate: TransferRate::new(stall),
        body: Box::new(file),
        url: path.display().to_string(),
    }))
}

/// Opens a file; a pipe that has just replaced it does not block.
fn open_regular(path: &std::path::Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
    }
}

#[cfg(test)]
mod tests;
