//! A development server: offers the builds of remotes to shells on the same machine, and reports each new one.
//!
//! A single thread serves all clients. It never waits for any of them: a slow client gets the newest build when it is
//! ready for it, and skips those in between. The caller watches the files and passes complete builds; see `crate::dev`
//! for the protocol.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use hyper::{body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use semver::Version;
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    sync::{Semaphore, oneshot, watch},
};
use tokio_io_timeout::TimeoutStream;
use url::Url;

use crate::{
    Digest,
    dev::{DevFile, DevList, DevRemote, FORMAT, MAX_REMOTES},
    error::{DeliveryError, ErrorCode},
    release::Platform,
};

mod answer;
mod events;
mod page;

use answer::Answerer;

/// Maximum number of connections; more are closed at once.
const MAX_CONNECTIONS: usize = 256;

/// Maximum length of a request's head in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Time for a client to send a request's head, and to take at least some bytes of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The address to serve on.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// The interface.
    pub address: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// Permits an address that other machines reach.
    pub open_to_network: bool,
}

/// A complete build of a remote.
#[derive(Debug)]
pub struct DevBuild {
    /// Name of the remote.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Platform of the library.
    pub platform: Platform,
    /// Revision of the contract.
    pub abi: u32,
    /// Text of the manifest.
    pub manifest: String,
    /// A copy of the library that no process changes any more. It may have no name in the file system.
    pub library: File,
    /// Digest of the library.
    pub sha256: Digest,
}

/// A development server; it ends when this is dropped.
#[derive(Debug)]
pub struct DevServer {
    address: SocketAddr,
    catalogue: watch::Sender<Arc<DevCatalogue>>,
    /// Taken by [`open`](Self::open).
    listener: Option<TcpListener>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The builds on offer.
#[derive(Clone, Debug, Default)]
pub(crate) struct DevCatalogue {
    remotes: BTreeMap<String, Offer>,
    /// Reasons why remotes that were on offer are not any more.
    gone: BTreeMap<String, String>,
}

/// The builds of a remote: the newest, and the one before for clients that are fetching it.
#[derive(Clone, Debug)]
struct Offer {
    newest: Arc<HeldBuild>,
    before: Option<Arc<HeldBuild>>,
}

/// A build with its open file.
#[derive(Debug)]
struct HeldBuild {
    about: DevRemote,
    manifest: Bytes,
    library: Arc<File>,
}

impl DevCatalogue {
    fn list(&self) -> DevList {
        let remotes = self.remotes.values().map(|offer| offer.newest.about.clone()).collect();
        DevList { format_version: FORMAT, remotes }
    }
}

impl DevServer {
    /// Reserves the address; clients wait until the server is [open](Self::open).
    ///
    /// # Errors
    /// Fails with `serve-address` if the address is in use, does not belong to this machine, or is not a loopback
    /// address and `open_to_network` is not set.
    pub fn bind(options: ServeOptions) -> Result<Self, DeliveryError> {
        let ServeOptions { address, port, open_to_network } = options;
        let place = SocketAddr::new(address, port);
        if !address.is_loopback() && !open_to_network {
            return Err(DeliveryError::new(
                ErrorCode::ServeAddress,
                format!("other machines can reach this address, and would get every build: {place}"),
                "serve on 127.0.0.1, or permit it with --open-to-network",
            ));
        }
        let failed = |error: io::Error| refused(&error, place);
        let listener = TcpListener::bind(place).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let (catalogue, _) = watch::channel(Arc::default());
        Ok(Self { address: bound, catalogue, listener: Some(listener), stop: None, thread: None })
    }

    /// Answers clients from now on, first with the builds that were published before: a client that was connected to
    /// the server before this one must not get an empty list.
    ///
    /// # Errors
    /// Fails with `serve-address` if the system has no thread or no more open files.
    pub fn open(&mut self) -> Result<(), DeliveryError> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let failed = |error: io::Error| refused(&error, self.address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let local = self.address.ip().is_loopback();
        let answerer = Arc::new(Answerer::new(self.catalogue.subscribe(), local, self.url()));
        let run = move || serve(&runtime, listener, answerer, stopped);
        let thread = std::thread::Builder::new().name("serve".to_owned()).spawn(run).map_err(failed)?;
        (self.stop, self.thread) = (Some(stop), Some(thread));
        Ok(())
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address for clients on this machine.
    pub fn url(&self) -> String {
        url_of(self.address)
    }

    /// Offers a build as the newest one of its remote; returns `false` if it is on offer already.
    ///
    /// # Errors
    /// Fails if the length of the library cannot be read, or the server has too many remotes.
    pub fn publish(&self, build: DevBuild) -> io::Result<bool> {
        let held = Arc::new(HeldBuild::of(build)?);
        let name = held.about.name.clone();
        let mut full = false;
        let changed = self.catalogue.send_if_modified(|catalogue| {
            let known = catalogue.remotes.get(&name);
            full = known.is_none() && catalogue.remotes.len() == MAX_REMOTES;
            if full || known.is_some_and(|offer| offer.newest.about == held.about) {
                return false;
            }
            let before = known.map(|offer| Arc::clone(&offer.newest));
            let catalogue = Arc::make_mut(catalogue);
            catalogue.gone.remove(&name);
            catalogue.remotes.insert(name, Offer { newest: held, before });
            true
        });
        if full {
            return Err(io::Error::other(format!("more than {MAX_REMOTES} remotes cannot be served")));
        }
        Ok(changed)
    }

    /// Takes a remote off the offer, and reports the reason to clients that have it.
    pub fn withdraw(&self, name: &str, reason: &str) {
        self.catalogue.send_if_modified(|catalogue| {
            let catalogue = Arc::make_mut(catalogue);
            let was_offered = catalogue.remotes.remove(name).is_some();
            if was_offered {
                catalogue.gone.insert(name.to_owned(), reason.to_owned());
            }
            was_offered
        });
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported a panic.
            let _ = thread.join();
        }
    }
}

impl HeldBuild {
    fn of(build: DevBuild) -> io::Result<Self> {
        let DevBuild { name, version, platform, abi, manifest, library, sha256 } = build;
        let file = |digest: Digest, kind: &str, length| DevFile {
            path: path_of(&name, &format!("{digest}.{kind}")),
            sha256: digest,
            length,
        };
        let about = DevRemote {
            manifest: file(Digest::of_bytes(&manifest), "manifest.json", manifest.len() as u64),
            library: file(sha256, "library", library.metadata()?.len()),
            name,
            version,
            platform,
            abi,
        };
        Ok(Self { about, manifest: manifest.into(), library: Arc::new(library) })
    }
}

/// Returns the path of a file of a remote, as in addresses.
fn path_of(name: &str, file: &str) -> String {
    // Names may contain spaces and other letters than ASCII ones.
    let mut url = Url::parse("http://localhost").ok();
    if let Some(Ok(mut parts)) = url.as_mut().map(Url::path_segments_mut) {
        parts.push(name).push(file);
    }
    url.map(|url| url.path().trim_start_matches('/').to_owned()).unwrap_or_default()
}

/// Returns the address for clients on this machine.
fn url_of(bound: SocketAddr) -> String {
    let port = bound.port();
    match bound.ip() {
        IpAddr::V4(ip) if ip == Ipv4Addr::LOCALHOST || ip.is_unspecified() => {
            format!("http://localhost:{port}/")
        }
        IpAddr::V6(ip) if ip.is_unspecified() => format!("http://localhost:{port}/"),
        _ => format!("http://{bound}/"),
    }
}

fn refused(error: &io::Error, place: SocketAddr) -> DeliveryError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "end the program that uses it, choose another port with --port, or any free one with --port 0"
        }
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        io::ErrorKind::PermissionDenied => "choose a port above 1023",
        _ => "choose another address or port",
    };
    DeliveryError::new(ErrorCode::ServeAddress, format!("cannot serve ({error}): {place}"), advice)
}

/// Serves until `stopped`; then every connection is closed.
fn serve(runtime: &Runtime, listener: TcpListener, answerer: Arc<Answerer>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
            tokio::spawn(accept(listener, answerer));
            let _ = stopped.await;
        }
    });
}

async fn accept(listener: tokio::net::TcpListener, answerer: Arc<Answerer>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The process has too many open files, and waits until some are closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
        let answerer = Arc::clone(&answerer);
        tokio::spawn(async move {
            connection(stream, answerer).await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, answerer: Arc<Answerer>) {
    // Without it, an event may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(PATIENCE));
    let answer = service_fn(move |request| {
        let answer = answerer.answer(&request);
        async move { Ok::<_, io::Error>(answer) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_header_size(MAX_HEAD);
    // A client that has gone is not an error.
    let _ = http.serve_connection(TokioIo::new(Box::pin(stream)), answer).await;
}

#[cfg(test)]
pub(crate) mod tests;
