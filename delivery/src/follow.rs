//! Follows a development server from the fetching process: fetches each build, and reports it.
//!
//! A server that is missing, ends, or answers with something else is reported once and tried again; the shell continues
//! with what it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io::Read,
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use negotiation::manifest::{MAX_MANIFEST_BYTES, RemoteManifest};
use serde::Deserialize;

use crate::{
    Digest,
    dev::{DevGone, DevList, DevRemote, EVENTS_PATH, EVENTS_TYPE, FORMAT, HEARTBEAT, MAX_REMOTES},
    error::{DeliveryError, ErrorCode},
    fetch::{FetchEvent, Fetched, Request},
    release::Platform,
};

mod address;
mod store;
mod stream;

use address::DevAddress;
use store::{DevStore, Stated};
use stream::{EventReader, ServerEvent};

/// Maximum length of a library in bytes.
const MAX_LIBRARY: u64 = 2 << 30;

/// Time limits and pauses.
#[derive(Clone, Copy)]
struct Pace {
    /// Time for the head of an answer, and for a file in addition to the time that its length needs.
    answer: Duration,
    /// Time without a byte; a server gives a sign of life in each [`HEARTBEAT`].
    silence: Duration,
    /// Time for the list, which a server sends at once.
    list: Duration,
    /// Pauses before the server is tried again: each is twice as long as the one before.
    first_pause: Duration,
    longest_pause: Duration,
}

impl Pace {
    const REAL: Self = Self {
        answer: Duration::from_secs(10),
        silence: HEARTBEAT.saturating_mul(3),
        list: Duration::from_secs(10),
        first_pause: Duration::from_millis(250),
        longest_pause: Duration::from_secs(5),
    };
}

/// Follows the development server of `request`, which ends with the process.
///
/// Emits [`FetchEvent::Fetched`] for each build, [`FetchEvent::Lost`] for a remote without a usable build, or with an empty name
/// if the server is lost, and [`FetchEvent::Checked`] once everything that a server offers is fetched, also after it was
/// lost.
///
/// # Errors
/// Fails at once with `dev-not-loopback`, with `delivery-setting-invalid` for an address that cannot be used, and with
/// the codes of the cache. Everything later is an event.
pub(crate) fn run(request: &Request, emit: &mut dyn FnMut(FetchEvent)) -> Result<(), DeliveryError> {
    let mut follower = Follower::new(request, Pace::REAL)?;
    follower.run(&mut |event| {
        emit(event);
        ControlFlow::Continue(())
    });
    Ok(())
}

/// Receives events, and decides if following continues.
type Emit<'a> = dyn FnMut(FetchEvent) -> ControlFlow<()> + 'a;

struct Follower {
    pace: Pace,
    server: DevAddress,
    store: DevStore,
    /// The builds that were reported.
    reported: BTreeMap<String, (Digest, Digest)>,
    /// The failure that was reported last, until the server answers again.
    lost: Option<ErrorCode>,
    tally: Tally,
}

/// The traffic since the last [`FetchEvent::Checked`].
#[derive(Default)]
struct Tally {
    changed: bool,
    requests: u32,
    bytes: u64,
}

/// Reason for the end of a connection.
enum End {
    /// The receiver of the events wants no more.
    Stopped,
    Failed(DeliveryError),
}

impl From<DeliveryError> for End {
    fn from(error: DeliveryError) -> Self {
        Self::Failed(error)
    }
}

impl Follower {
    fn new(request: &Request, pace: Pace) -> Result<Self, DeliveryError> {
        let server = DevAddress::parse(&request.address, pace)?;
        let store = DevStore::open(&request.cache)?;
        Ok(Self { pace, server, store, reported: BTreeMap::new(), lost: None, tally: Tally::default() })
    }

    /// Follows until `emit` ends it.
    fn run(&mut self, emit: &mut Emit<'_>) {
        let mut pause = self.pace.first_pause;
        loop {
            let began = Instant::now();
            let error = match self.follow(emit) {
                Err(End::Failed(error)) => error,
                Err(End::Stopped) => return,
                Ok(never) => match never {},
            };
            if self.lost != Some(error.code) {
                self.lost = Some(error.code);
                if emit(FetchEvent::Lost { name: String::new(), error }).is_break() {
                    return;
                }
            }
            // A server that fails each time at once is not asked all the time.
            if began.elapsed() > self.pace.longest_pause {
                pause = self.pace.first_pause;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(self.pace.longest_pause);
        }
    }

    /// Connects, and handles events until the connection ends.
    fn follow(&mut self, emit: &mut Emit<'_>) -> Result<Infallible, End> {
        let began = Instant::now();
        self.tally = Tally { requests: 1, ..Tally::default() };
        let mut reader = self.server.get(EVENTS_PATH, EVENTS_TYPE, None)?;
        let (mut events, mut complete) = (EventReader::default(), Vec::new());
        let (mut piece, mut listed) = (vec![0; 16 << 10], false);
        loop {
            let read = reader.read(&mut piece).map_err(|error| self.server.interrupted(error))?;
            if read == 0 {
                return Err(self.server.ended().into());
            }
            self.tally.bytes += read as u64;
            if events.push(&piece[..read], &mut complete).is_err() {
                return Err(self.server.invalid("an event is too long").into());
            }
            for event in complete.drain(..) {
                listed |= self.handle(&event, listed, emit)?;
            }
            if !listed && began.elapsed() > self.pace.list {
                return Err(self.server.invalid("it does not list its remotes").into());
            }
        }
    }

    /// Handles an event; returns `true` for a list.
    fn handle(&mut self, event: &ServerEvent, listed: bool, emit: &mut Emit<'_>) -> Result<bool, End> {
        match &*event.name {
            "snapshot" => {
                let list = self.parse::<DevList>(event)?;
                self.take_list(&list, emit)?;
                return Ok(true);
            }
            _ if !listed => return Err(self.server.invalid("its first event is not a list").into()),
            "build" => {
                let remote = self.parse::<DevRemote>(event)?;
                self.take(&remote, emit)?;
                self.store.tidy(&self.in_use());
            }
            "gone" => {
                let DevGone { name, reason } = self.parse(event)?;
                self.lose(&name, &reason, emit)?;
            }
            // Of a later version.
            _ => {}
        }
        Ok(false)
    }

    fn parse<'a, T: Deserialize<'a>>(&self, event: &'a ServerEvent) -> Result<T, DeliveryError> {
        serde_json::from_str(&event.data)
            .map_err(|error| self.server.invalid(&format!("an event `{}` is invalid: {error}", event.name)))
    }

    fn take_list(&mut self, list: &DevList, emit: &mut Emit<'_>) -> Result<(), End> {
        if list.format_version != FORMAT {
            let text =
                format!("its list has the format {}, and this shell reads {FORMAT}", list.format_version);
            return Err(self.server.invalid(&text).into());
        }
        let names: BTreeSet<&str> = list.remotes.iter().map(|remote| &*remote.name).collect();
        if names.len() < list.remotes.len() || names.len() > MAX_REMOTES {
            return Err(self.server.invalid("it lists a remote twice, or too many remotes").into());
        }
        let gone: Vec<_> = self.reported.keys().filter(|name| !names.contains(&***name)).cloned().collect();
        for name in gone {
            self.lose(&name, "", emit)?;
        }
        for remote in &list.remotes {
            self.take(remote, emit)?;
        }
        self.lost = None;
        let Tally { changed, requests, bytes } = std::mem::take(&mut self.tally);
        send(emit, FetchEvent::Checked { changed, requests, bytes, problems: Vec::new() })?;
        self.store.tidy(&self.in_use());
        Ok(())
    }

    /// Fetches and reports a build that was not reported yet.
    fn take(&mut self, remote: &DevRemote, emit: &mut Emit<'_>) -> Result<(), End> {
        let name = &remote.name;
        if self.reported.get(name) == Some(&remote.identity()) {
            return Ok(());
        }
        self.tally.changed = true;
        let event = match self.fetch(remote) {
            Ok(fetched) => {
                self.reported.insert(name.clone(), remote.identity());
                FetchEvent::Fetched(Box::new(fetched))
            }
            // A newer one has replaced it, and its event follows.
            Err(error) if error.code == ErrorCode::RepoNotFound => return Ok(()),
            // The server itself is lost.
            Err(error) if is_of_server(error.code) => return Err(error.into()),
            Err(error) => {
                self.reported.remove(name);
                FetchEvent::Lost { name: negotiation::text::line(name, 100), error }
            }
        };
        send(emit, event)
    }

    /// Reports that a remote is gone, if it was reported.
    fn lose(&mut self, name: &str, reason: &str, emit: &mut Emit<'_>) -> Result<(), End> {
        if self.reported.remove(name).is_none() {
            return Ok(());
        }
        let colon = if reason.is_empty() { "" } else { ": " };
        let text = format!("the development server no longer offers `{name}`{colon}{reason}: {}", self.server);
        let error = DeliveryError::new(ErrorCode::ReleaseUnknown, text, "build the remote again");
        send(emit, FetchEvent::Lost { name: name.to_owned(), error })
    }

    fn fetch(&mut self, remote: &DevRemote) -> Result<Fetched, DeliveryError> {
        let DevRemote { name, version, platform, manifest, library, .. } = remote;
        if *platform != Platform::current() {
            return Err(DeliveryError::new(
                ErrorCode::ReleaseUnknown,
                format!("the development server has `{name}` for {platform} only: {}", self.server),
                format!("build it for {}", Platform::current()),
            ));
        }
        if manifest.length > MAX_MANIFEST_BYTES as u64 || library.length > MAX_LIBRARY {
            return Err(self.server.invalid(&format!("it states an impossible length for `{name}`")));
        }
        let text = {
            let mut reader = self.server.get(&manifest.path, "", Some(manifest.length))?;
            let mut text = Vec::new();
            let read = reader.by_ref().take(manifest.length + 1).read_to_end(&mut text);
            read.map_err(|error| self.server.interrupted(error))?;
            self.count(text.len() as u64);
            text
        };
        let agrees = Digest::of_bytes(&text) == manifest.sha256;
        let parsed = String::from_utf8(text).ok().filter(|_| agrees).and_then(|text| {
            let parsed = RemoteManifest::from_json(&text).ok()?;
            (parsed.name == *name && parsed.version == *version).then_some(text)
        });
        let Some(text) = parsed else {
            return Err(self.server.invalid(&format!("the manifest of `{name}` is not the one that it lists")));
        };
        let stated = Stated { sha256: library.sha256, length: library.length };
        if !self.store.has(stated)? {
            let mut reader = self.server.get(&library.path, "", Some(library.length))?;
            self.store.put(stated, &mut reader, &self.server)?;
            self.count(library.length);
        }
        let (library_file, manifest_file) = self.store.describe(stated.sha256, &text)?;
        Ok(Fetched {
            name: name.clone(),
            version: version.clone(),
            library: library_file,
            sha256: stated.sha256,
            manifest: manifest_file,
            release: None,
        })
    }

    fn count(&mut self, bytes: u64) {
        self.tally.requests += 1;
        self.tally.bytes += bytes;
    }

    fn in_use(&self) -> BTreeSet<Digest> {
        self.reported.values().map(|(library, _)| *library).collect()
    }
}

fn send(emit: &mut Emit<'_>, event: FetchEvent) -> Result<(), End> {
    match emit(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(End::Stopped),
    }
}

/// Returns `true` for a failure of the connection, which concerns every remote.
fn is_of_server(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::RepoUnreachable | ErrorCode::RepoTimeout)
}

#[cfg(test)]
mod tests;
