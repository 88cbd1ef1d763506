//! Messages and mirrored values between the running shells of one user on one machine.
//!
//! ```text
//! FOLDER/             0700, owned by the user
//!   join.lock         held while a process joins
//!   ID.sock           the socket of each process; a named pipe on Windows, with an empty file of this name
//! ```
//! Every process listens on a socket of its own, and connects to those that it finds; so each pair has one
//! connection, and no process depends on another one's life. A socket whose process has ended is removed by the next
//! process that finds it.
//!
//! The semantics of messages are those of the browser's `BroadcastChannel`: the sender does not hear itself, messages of
//! one sender arrive in their order, and there is no replay. Beyond that:
//! - A receiver that is too slow loses the oldest messages, and is notified of their number; the sender never waits.
//! - A process that joins late gets the mirrored values at once.
//! - A process has an identity, and its user, as the system states it, must be the same.
//!
//! A mirrored value is decided by its last writer: the highest epoch, and among equal ones the highest identity.
//!
//! A process that sends a malformed or oversized packet is disconnected, and stays so until it joins again.

mod mirror;
mod outbox;
mod place;
mod session;
mod wire;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use mirror::Mirror;
use session::PeerSession;

pub use wire::MAX_PACKET;

/// The largest number of connected processes.
pub const MAX_PEERS: usize = 64;

/// Time for which an ending process waits until its last messages are written.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The identity of a process, from joining to leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerId(u64);

impl PeerId {
    fn random() -> io::Result<Self> {
        getrandom::u64().map(Self).map_err(io::Error::other)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An event from another process.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// A process has joined.
    Joined {
        /// The process.
        peer: PeerId,
        /// Its number in the system, if the system states it.
        pid: Option<u32>,
    },
    /// A process has left, or was disconnected.
    Left {
        /// The process.
        peer: PeerId,
        /// The violation, if it was disconnected for one.
        violation: Option<String>,
    },
    /// A message.
    Message {
        /// The sender.
        peer: PeerId,
        /// The channel.
        channel: String,
        /// The content.
        content: Value,
    },
    /// This process was too slow for the messages of another one, of which the oldest are lost.
    Lost {
        /// The sender.
        peer: PeerId,
        /// The number of lost messages since the last event of this kind.
        count: u64,
    },
    /// A mirrored value was written by another process.
    Mirrored {
        /// The writer.
        peer: PeerId,
        /// The name of the value.
        name: String,
        /// The value.
        value: Value,
    },
}

/// The reason why a process could not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Others than the user could use the folder.
    #[error("the folder of the shells' sockets {problem}: {}", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// The finding.
        problem: &'static str,
    },
    /// The folder, the socket or a thread could not be made.
    #[error("cannot {what} ({error}): {}", path.display())]
    Failed {
        /// The step.
        what: &'static str,
        /// The folder or socket.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
}

impl JoinError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsafe { .. } => "peers-folder-unsafe",
            Self::Failed { .. } => "peers-unavailable",
        }
    }

    /// Returns what to do.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unsafe { .. } => "remove it, so that it is made again with the rights of this user alone",
            Self::Failed { .. } => {
                "check the folder for runtime files; windows do not follow each other until then"
            }
        }
    }
}

/// The membership of this process; dropping it leaves. `[thread-safe]`
pub struct Peers {
    hub: Arc<Hub>,
    door: Option<JoinHandle<()>>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peers").field(&self.hub.own).finish()
    }
}

/// A function that takes events; called on threads of this crate, those of one peer in their order.
type OnEvent = Box<dyn Fn(PeerEvent) + Send + Sync>;

/// The state that the threads of a membership share.
struct Hub {
    own: PeerId,
    folder: PathBuf,
    /// `None` once this process has left.
    on_event: RwLock<Option<OnEvent>>,
    members: Mutex<Members>,
    /// This process leaves.
    leaving: Condvar,
    mirror: Mutex<Mirror>,
}

#[derive(Default)]
struct Members {
    sessions: BTreeMap<PeerId, Arc<PeerSession>>,
    has_left: bool,
}

impl Peers {
    /// Joins the processes whose sockets lie in `folder`, which is created if it is missing.
    ///
    /// `on_event` is called on other threads until the result is dropped; it must not drop the result, nor wait for a
    /// thread that does.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(
        folder: &Path,
        on_event: impl Fn(PeerEvent) + Send + Sync + 'static,
    ) -> Result<Self, JoinError> {
        let failed = |what, error| JoinError::Failed { what, path: folder.to_owned(), error };
        place::prepare(folder)?;
        let own = PeerId::random().map_err(|error| failed("choose an identity", error))?;
        let hub = Arc::new(Hub {
            own,
            folder: folder.to_owned(),
            on_event: RwLock::new(Some(Box::new(on_event))),
            members: Mutex::default(),
            leaving: Condvar::new(),
            mirror: Mutex::new(Mirror::new(own)),
        });
        // One process joins after the other, so that two of them do not connect to each other twice.
        let _lock = place::lock(folder);
        let listener =
            place::listen(folder, own).map_err(|error| failed("listen on the socket of this shell", error))?;
        for other in place::others(folder, own) {
            match place::connect(folder, other) {
                Ok(stream) => session::dial(&hub, stream, other),
                Err(error) if place::is_stale(&error) => place::remove(folder, other),
                Err(error) => tracing::debug!(peer = %other, "cannot connect to another shell ({error})"),
            }
        }
        let door = {
            let hub = Arc::clone(&hub);
            let spawned = std::thread::Builder::new().name("peers".to_owned());
            spawned.spawn(move || session::admit(&hub, &listener))
        };
        let door = door.map_err(|error| failed("start a thread for the other shells", error))?;
        Ok(Self { hub, door: Some(door) })
    }

    /// Returns the identity of this process.
    pub fn id(&self) -> PeerId {
        self.hub.own
    }

    /// Returns the connected processes.
    pub fn connected(&self) -> Vec<PeerId> {
        self.hub.members.lock().sessions.keys().copied().collect()
    }

    /// Sends a message to all connected processes, and waits for none of them.
    ///
    /// Returns `false` if the message is larger than [`MAX_PACKET`], and is not sent.
    pub fn post(&self, channel: &str, content: &Value) -> bool {
        let Some(packet) =
            wire::encode(&wire::Packet::Message { channel: channel.into(), content: content.clone() })
        else {
            return false;
        };
        let packet: Arc<[u8]> = packet.into();
        for session in self.hub.sessions() {
            session.outbox.post(&packet);
        }
        true
    }

    /// Writes a mirrored value, here and in all processes.
    ///
    /// Returns `false` if the value is too large or there are too many, and nothing is written.
    pub fn write(&self, name: &str, value: Value) -> bool {
        let written = self.hub.mirror.lock().write(name, value);
        self.hub.refresh(name, written)
    }

    /// Offers a value that counts only if no process has written one, such as a default or a saved value.
    ///
    /// Returns `false` if the value is too large or there are too many.
    pub fn offer(&self, name: &str, value: Value) -> bool {
        let offered = self.hub.mirror.lock().offer(name, value);
        self.hub.refresh(name, offered)
    }

    /// Returns a mirrored value.
    pub fn read(&self, name: &str) -> Option<Value> {
        self.hub.mirror.lock().read(name)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let sessions = {
            let mut members = self.hub.members.lock();
            members.has_left = true;
            std::mem::take(&mut members.sessions)
        };
        self.hub.leaving.notify_all();
        let until = Instant::now() + LAST_WORDS;
        for session in sessions.values() {
            session.outbox.finish();
        }
        for session in sessions.values() {
            session.outbox.wait(until);
            session.close();
        }
        // The door waits for a connection; this one makes it look. It cannot be reached without its socket.
        let reached = place::connect(&self.hub.folder, self.hub.own);
        if let Some(door) = self.door.take().filter(|_| reached.is_ok()) {
            let _ = door.join();
        }
        for session in sessions.values() {
            session.join();
        }
        place::remove(&self.hub.folder, self.hub.own);
        *self.hub.on_event.write() = None;
    }
}

impl Hub {
    fn sessions(&self) -> Vec<Arc<PeerSession>> {
        self.members.lock().sessions.values().cloned().collect()
    }

    /// Sends the present value of `name` to all, if it was `stored`; returns that.
    fn refresh(&self, name: &str, stored: bool) -> bool {
        if stored {
            self.sessions().iter().for_each(|session| session.outbox.refresh(name));
        }
        stored
    }

    fn report(&self, event: PeerEvent) {
        if let Some(on_event) = &*self.on_event.read() {
            on_event(event);
        }
    }
}

#[cfg(test)]
mod tests;
