//! A door between a user and a server: connections pass, wait without an answer, or are cut.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use super::nginx::{Nginx, own_address};

/// Treatment of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// They are refused.
    Closed,
    /// They pass.
    Open,
    /// They are accepted, and never answered.
    Silent,
    /// The next one that brings more bytes than this is cut there; afterwards the door is open.
    Cut(usize),
}

struct State {
    way: Way,
    /// Connections that wait for an answer.
    waiting: Vec<TcpStream>,
}

/// A forwarding server on loopback; it ends on drop.
pub(super) struct Door {
    address: SocketAddr,
    server: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Accepts connections; `None` while the door is closed.
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens a door to a server.
    pub(super) fn to(nginx: &Nginx) -> Self {
        let listener = TcpListener::bind((&*own_address(), 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { way: Way::Open, waiting: Vec::new() }));
        let mut door = Self { address, server: nginx.place(), state, thread: None };
        door.accept(listener);
        door
    }

    fn accept(&mut self, listener: TcpListener) {
        let (shared, server) = (Arc::clone(&self.state), self.server);
        self.thread = Some(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut state = shared.lock().expect("no connection panics");
                match state.way {
                    Way::Closed => return,
                    Way::Silent => state.waiting.push(stream),
                    Way::Open | Way::Cut(_) => {
                        let shared = Arc::clone(&shared);
                        // Either side may close a connection at any time.
                        thread::spawn(move || pass(&stream, server, &shared));
                    }
                }
            }
        }));
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the treatment of new connections; those that wait are closed.
    pub(super) fn set(&mut self, way: Way) {
        if let Ok(mut state) = self.state.lock() {
            state.way = way;
            state.waiting.clear();
        }
        if way == Way::Closed {
            // Wakes the thread.
            let _ = TcpStream::connect(self.address);
            self.thread.take().map(JoinHandle::join);
        } else if self.thread.is_none() {
            self.accept(TcpListener::bind(self.address).expect("the port of before"));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.set(Way::Closed);
    }
}

/// Copies both directions of a connection until one of them ends.
fn pass(client: &TcpStream, server: SocketAddr, state: &Mutex<State>) -> Option<()> {
    let upstream = TcpStream::connect(server).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, upstream.try_clone().ok()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut piece, mut count, mut answer) = (vec![0; 4 << 10], 0, &upstream);
    while let Ok(read @ 1..) = answer.read(&mut piece) {
        let mut client = client;
        if client.write_all(&piece[..read]).is_err() {
            break;
        }
        count += read;
        let mut state = state.lock().expect("no connection panics");
        if matches!(state.way, Way::Cut(limit) if count > limit) {
            state.way = Way::Open;
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
    Some(())
}
