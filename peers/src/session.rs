//! The connection to one process: a thread that reads, and one that writes.

use std::{
    io::Write as _,
    sync::Arc,
    thread::{self, Builder, JoinHandle},
    time::Duration,
};

use interprocess::local_socket::{Listener, Stream, prelude::*};
use parking_lot::Mutex;

use crate::{
    Hub, MAX_PEERS, PeerEvent, PeerId,
    outbox::{Next, Outbox},
    place,
    wire::{self, Packet, REVISION, ReadError},
};

/// Time for the first packet of the other side.
const GREETING: Duration = Duration::from_secs(2);

/// Wait before a lost connection is made again.
const REDIAL: Duration = Duration::from_secs(1);

/// Wait after a connection could not be accepted.
const AGAIN: Duration = Duration::from_millis(50);

/// The largest number of connections without a greeting yet.
const MAX_STRANGERS: usize = 16;

/// A connected process.
pub(crate) struct PeerSession {
    stream: Stream,
    pub(crate) outbox: Outbox,
    /// The process that has connected.
    initiator: PeerId,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl PeerSession {
    /// Ends reading and writing.
    pub(crate) fn close(&self) {
        self.outbox.end();
        place::close(&self.stream);
    }

    /// Waits for the thread that writes, where closing is known to end it.
    pub(crate) fn join(&self) {
        if let Some(writer) = self.writer.lock().take().filter(|_| cfg!(unix)) {
            let _ = writer.join();
        }
    }
}

/// The end of a connection.
enum End {
    /// It is not needed any more, or it must not be made again.
    Final,
    /// It was lost, and the process at the other end may still run.
    Lost,
}

/// Accepts connections until this process leaves.
pub(crate) fn admit(hub: &Arc<Hub>, listener: &Listener) {
    let strangers = Arc::new(());
    for stream in listener.incoming() {
        if hub.members.lock().has_left {
            return;
        }
        match stream {
            Ok(stream) if Arc::strong_count(&strangers) <= MAX_STRANGERS => {
                let (hub, stranger) = (Arc::clone(hub), Arc::clone(&strangers));
                spawn(move || _ = run(&hub, stream, None, Some(stranger)));
            }
            // The other side sees a closed connection.
            Ok(_) => {}
            Err(error) => {
                tracing::debug!("cannot accept a connection of another shell ({error})");
                // Without file descriptors, the next attempt fails at once, too.
                thread::sleep(AGAIN);
            }
        }
    }
}

/// Keeps a connection to a process, of which the first is `stream`, until that process or this one ends.
pub(crate) fn dial(hub: &Arc<Hub>, stream: Stream, other: PeerId) {
    let hub = Arc::clone(hub);
    spawn(move || {
        let mut stream = stream;
        while let End::Lost = run(&hub, stream, Some(other), None) {
            let mut members = hub.members.lock();
            if !members.has_left {
                hub.leaving.wait_for(&mut members, REDIAL);
            }
            if members.has_left {
                return;
            }
            drop(members);
            stream = match place::connect(&hub.folder, other) {
                Ok(stream) => stream,
                Err(error) => {
                    if place::is_stale(&error) {
                        place::remove(&hub.folder, other);
                    }
                    return;
                }
            };
        }
    });
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    if let Err(error) = Builder::new().name("peer-in".to_owned()).spawn(run) {
        tracing::warn!("no thread for another shell ({error})");
    }
}

/// Greets the process at the other end, and reads what it sends; `other` is the one that this process has dialled.
fn run(hub: &Arc<Hub>, stream: Stream, other: Option<PeerId>, stranger: Option<Arc<()>>) -> End {
    let begun = begin(hub, stream, other);
    drop(stranger);
    let (peer, session) = match begun {
        Ok(Begun::Session(peer, session)) => (peer, session),
        Ok(Begun::Nothing(end)) => return end,
        Err(problem) => {
            tracing::warn!("another shell is not connected: {problem}");
            return End::Final;
        }
    };
    let received = receive(hub, peer, &session);
    session.close();
    let (end, violation) = match received {
        Received::Bye => (End::Final, None),
        Received::Ended => (End::Lost, None),
        Received::Violation(violation) => (End::Final, Some(violation)),
    };
    part(hub, peer, &session, violation);
    end
}

/// The result of an exchange of greetings.
enum Begun {
    Session(PeerId, Arc<PeerSession>),
    /// There is no session, and no reason to speak of it.
    Nothing(End),
}

/// The end of what a process sends.
enum Received {
    Bye,
    Ended,
    Violation(String),
}

/// Exchanges greetings.
fn begin(hub: &Arc<Hub>, stream: Stream, other: Option<PeerId>) -> Result<Begun, String> {
    let pid = place::identify(&stream)?;
    // Not all systems have this limit; there, a silent process keeps its place among the strangers.
    let _ = stream.set_recv_timeout(Some(GREETING));
    let hello = wire::encode(&Packet::Hello { revision: REVISION, peer: hub.own }).unwrap_or_default();
    let ended = |_| "it has closed the connection".to_owned();
    (&stream).write_all(&hello).map_err(ended)?;
    let peer = match wire::read(&mut &stream) {
        Ok(Packet::Hello { revision: REVISION, peer }) if other.is_none_or(|other| other == peer) => peer,
        Ok(Packet::Hello { revision, .. }) if revision != REVISION => {
            return Err(format!("it speaks revision {revision}, and this one {REVISION}"));
        }
        Ok(_) => return Err("it does not introduce itself".to_owned()),
        Err(ReadError::Violation(violation)) => return Err(violation),
        // A shell that ends or hangs says nothing.
        Err(ReadError::Ended) => return Ok(Begun::Nothing(End::Lost)),
    };
    let _ = stream.set_recv_timeout(None);
    if peer == hub.own {
        return Ok(Begun::Nothing(End::Final));
    }
    let initiator = if other.is_some() { hub.own } else { peer };
    let session =
        Arc::new(PeerSession { stream, outbox: Outbox::default(), initiator, writer: Mutex::default() });
    {
        let mut members = hub.members.lock();
        if members.has_left {
            return Ok(Begun::Nothing(End::Final));
        }
        match members.sessions.get(&peer) {
            // Both processes keep the same one of two connections.
            Some(earlier) if earlier.initiator <= initiator => return Ok(Begun::Nothing(End::Final)),
            Some(earlier) => earlier.outbox.finish(),
            None if members.sessions.len() >= MAX_PEERS => {
                return Err(format!("{MAX_PEERS} are connected already"));
            }
            None => {}
        }
        let is_new = members.sessions.insert(peer, Arc::clone(&session)).is_none();
        drop(members);
        if is_new {
            hub.report(PeerEvent::Joined { peer, pid });
        }
    }
    // After it is listed: a later write is refreshed there.
    for name in hub.mirror.lock().names() {
        session.outbox.refresh(&name);
    }
    let writer = {
        let (hub, session) = (Arc::clone(hub), Arc::clone(&session));
        Builder::new().name("peer-out".to_owned()).spawn(move || send(&hub, &session))
    };
    match writer {
        Ok(writer) => *session.writer.lock() = Some(writer),
        Err(error) => {
            session.close();
            part(hub, peer, &session, None);
            return Err(format!("no thread for it ({error})"));
        }
    }
    Ok(Begun::Session(peer, session))
}

/// Writes until the end.
fn send(hub: &Hub, session: &PeerSession) {
    let write = |bytes: &[u8]| (&session.stream).write_all(bytes).is_ok();
    let encoded = |packet: &Packet| wire::encode(packet).unwrap_or_default();
    loop {
        let is_written = match session.outbox.next() {
            Next::Message(packet, 0) => write(&packet),
            Next::Message(packet, count) => write(&encoded(&Packet::Lost { count })) && write(&packet),
            Next::Value(name) => {
                let packet = hub.mirror.lock().packet(&name);
                packet.is_none_or(|packet| write(&encoded(&packet)))
            }
            Next::End => {
                write(&encoded(&Packet::Bye));
                break;
            }
        };
        if !is_written {
            break;
        }
    }
    session.outbox.end();
}

/// Reads until the end.
fn receive(hub: &Hub, peer: PeerId, session: &PeerSession) -> Received {
    let mut stream = std::io::BufReader::new(&session.stream);
    loop {
        match wire::read(&mut stream) {
            Ok(Packet::Message { channel, content }) => {
                hub.report(PeerEvent::Message { peer, channel, content });
            }
            Ok(Packet::Lost { count }) => hub.report(PeerEvent::Lost { peer, count }),
            Ok(Packet::Value { name, epoch, writer, value }) => {
                let adopted = hub.mirror.lock().adopt(&name, epoch, writer, &value);
                match adopted {
                    Ok(true) => hub.report(PeerEvent::Mirrored { peer, name, value }),
                    Ok(false) => {}
                    Err(violation) => return Received::Violation(violation.to_owned()),
                }
            }
            Ok(Packet::Unknown) => {}
            Ok(Packet::Bye) => return Received::Bye,
            Err(ReadError::Ended) => return Received::Ended,
            Ok(Packet::Hello { .. }) => return Received::Violation("a second greeting".to_owned()),
            Err(ReadError::Violation(violation)) => return Received::Violation(violation),
        }
    }
}

/// Ends the membership of a process.
fn part(hub: &Hub, peer: PeerId, session: &Arc<PeerSession>, violation: Option<String>) {
    if let Some(violation) = &violation {
        tracing::warn!(%peer, "another shell is disconnected: it sent {violation}");
    }
    let mut members = hub.members.lock();
    let is_current = members.sessions.get(&peer).is_some_and(|current| Arc::ptr_eq(current, session));
    if is_current {
        members.sessions.remove(&peer);
    }
    let is_reported = is_current && !members.has_left;
    drop(members);
    if is_reported {
        hub.report(PeerEvent::Left { peer, violation });
    }
}
