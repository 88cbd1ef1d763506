//! Answers of a development server to single requests.

use std::{
    fs::File,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{self, HeaderName, HeaderValue},
    http::uri::Authority,
};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::{DevCatalogue, HeldBuild, events::EventStream, page};
use crate::dev::{EVENTS_PATH, EVENTS_TYPE, LIST_PATH};

/// Maximum number of clients with events; each shell is one.
const MAX_FOLLOWERS: usize = 64;

/// Length of the pieces in which a library is sent, in bytes.
const PIECE: usize = 64 << 10;

const JSON: &str = "application/json";

/// Headers of every answer: a page of another site gets nothing, whatever the request was.
const COMMON: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The server's side of a request.
pub(super) struct Answerer {
    catalogue: watch::Receiver<Arc<DevCatalogue>>,
    /// Set if only this machine reaches the server.
    local: bool,
    url: String,
    followers: Arc<Semaphore>,
}

/// The body of an answer.
pub(super) enum AnswerBody {
    Text(Bytes),
    Library {
        file: Arc<File>,
        at: u64,
        left: u64,
    },
    /// Boxed, because most answers are none.
    Events(Box<EventStream>),
}

impl Answerer {
    pub(super) fn new(catalogue: watch::Receiver<Arc<DevCatalogue>>, local: bool, url: String) -> Self {
        Self { catalogue, local, url, followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)) }
    }

    /// Answers a request; never waits.
    pub(super) fn answer(&self, request: &Request<Incoming>) -> Response<AnswerBody> {
        let head_only = request.method() == Method::HEAD;
        let mut answer = self.choose(request, head_only);
        for (name, value) in COMMON {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let length = answer.body().length();
        if let Some(length) = length {
            answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        if head_only {
            *answer.body_mut() = AnswerBody::Text(Bytes::new());
        }
        answer
    }

    fn choose(&self, request: &Request<Incoming>, head_only: bool) -> Response<AnswerBody> {
        if self.local && !names_this_machine(request.uri(), request.headers()) {
            // A name that resolves to loopback belongs to a page that wants to read this server.
            let text = "This server answers only to localhost.\n";
            return plain(StatusCode::MISDIRECTED_REQUEST, text);
        }
        if request.method() != Method::GET && !head_only {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "This server answers to GET and HEAD.\n");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let catalogue = Arc::clone(&self.catalogue.borrow());
        let path = request.uri().path().trim_start_matches('/');
        if path.is_empty() {
            return fresh("text/html; charset=utf-8", page::html(&catalogue, &self.url));
        }
        if path == LIST_PATH {
            return fresh(JSON, json(&catalogue.list()));
        }
        if path == EVENTS_PATH {
            return self.events(head_only);
        }
        catalogue
            .remotes
            .values()
            .find_map(|offer| {
                let newest = super::path_of(&offer.newest.about.name, "manifest.json");
                if path == newest {
                    return Some(fresh(JSON, offer.newest.manifest.clone()));
                }
                [Some(&offer.newest), offer.before.as_ref()]
                    .into_iter()
                    .flatten()
                    .find_map(|held| file(held, path))
            })
            .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "There is no such file; / lists the remotes.\n"))
    }

    fn events(&self, head_only: bool) -> Response<AnswerBody> {
        if head_only {
            return fresh(EVENTS_TYPE, Bytes::new());
        }
        let Ok(place) = Arc::clone(&self.followers).try_acquire_owned() else {
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "Too many clients follow this server.\n");
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            return answer;
        };
        let stream = EventStream::start(self.catalogue.clone(), place);
        with_type(EVENTS_TYPE, "no-store", AnswerBody::Events(Box::new(stream)))
    }
}

/// Returns the answer for the files of a build, which never change.
fn file(held: &HeldBuild, path: &str) -> Option<Response<AnswerBody>> {
    const FOREVER: &str = "max-age=31536000, immutable";
    let about = &held.about;
    if path == about.manifest.path {
        return Some(with_type(JSON, FOREVER, AnswerBody::Text(held.manifest.clone())));
    }
    (path == about.library.path).then(|| {
        let body = AnswerBody::Library { file: Arc::clone(&held.library), at: 0, left: about.library.length };
        with_type("application/octet-stream", FOREVER, body)
    })
}

/// Returns `true` if the request names this machine and nothing else.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let stated = Authority::try_from(host.as_bytes());
    stated.is_ok_and(|stated| is_loopback(&stated)) && uri.authority().is_none_or(is_loopback)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    !authority.as_str().contains('@')
        && (host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

pub(super) fn json(value: &impl Serialize) -> Bytes {
    // These types have no maps with other keys than text, so they can be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn plain(status: StatusCode, text: &'static str) -> Response<AnswerBody> {
    let mut answer = fresh("text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()));
    *answer.status_mut() = status;
    answer
}

/// Makes an answer that is only valid now.
fn fresh(kind: &'static str, text: Bytes) -> Response<AnswerBody> {
    with_type(kind, "no-store", AnswerBody::Text(text))
}

fn with_type(kind: &'static str, cache: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

impl AnswerBody {
    /// Returns the length in bytes; `None` for one without an end.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(text.len() as u64),
            Self::Library { left, .. } => Some(*left),
            Self::Events(_) => None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = match self.get_mut() {
            Self::Text(text) if text.is_empty() => None,
            Self::Text(text) => Some(Ok(std::mem::take(text))),
            Self::Library { left: 0, .. } => None,
            Self::Library { file, at, left } => Some(read(file, at, left)),
            Self::Events(events) => std::task::ready!(events.poll_piece(cx)).map(Ok),
        };
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Reads the next piece of a library. The file is local and was written just now, so this does not wait for long.
fn read(file: &File, at: &mut u64, left: &mut u64) -> io::Result<Bytes> {
    let mut piece = vec![0; PIECE.min(usize::try_from(*left).unwrap_or(PIECE))];
    let read = read_at(file, &mut piece, *at)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(read);
    *at += read as u64;
    *left -= read as u64;
    Ok(piece.into())
}

/// Reads at a place, because several clients share the file.
#[cfg(unix)]
fn read_at(file: &File, piece: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, piece, at)
}

#[cfg(windows)]
fn read_at(file: &File, piece: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, piece, at)
}
