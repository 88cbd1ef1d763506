//! An HTTP server on loopback that answers as a test tells it to, well or badly.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::PATIENCE;

/// What to do with one request.
pub(super) enum Reply {
    /// A complete answer: status, further header lines, body.
    Answer(u16, &'static str, String),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, and the connection stays open until the server goes.
    Silence,
    /// The answer, once the test has sent to or dropped the gate.
    Gated(Receiver<()>, Box<Reply>),
}

impl Reply {
    pub(super) fn json(body: impl Into<String>) -> Self {
        Self::Answer(200, "Content-Type: application/json\r\n", body.into())
    }

    pub(super) fn status(status: u16) -> Self {
        Self::Answer(status, "", String::from("no user here"))
    }
}

/// Serves one connection at a time, one request each; stops when dropped.
pub(super) struct Server {
    address: SocketAddr,
    requests: Receiver<String>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `reply` is asked for each request, with its number from 0.
    pub(super) fn start(reply: impl FnMut(usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (heads, requests) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || serve(&listener, &stop, &heads, reply));
        Self { address, requests, stopping, thread: Some(thread) }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The head of the next request; waits for it.
    pub(super) fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    /// How many requests have come since they were last taken.
    pub(super) fn count(&self) -> usize {
        self.requests.try_iter().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the accept; if that fails, the server has ended already.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

fn serve(
    listener: &TcpListener,
    stop: &AtomicBool,
    heads: &Sender<String>,
    mut reply: impl FnMut(usize) -> Reply,
) {
    let mut silent = Vec::new();
    let mut number = 0;
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut stream) = stream else { return };
        let Some(head) = read_head(&stream) else {
            // A client that gave up before it asked.
            continue;
        };
        // Decided before the test learns of the request.
        let mut what = reply(number);
        number += 1;
        let _ = heads.send(head);
        if let Reply::Gated(gate, then) = what {
            let _ = gate.recv_timeout(PATIENCE);
            what = *then;
        }
        // A client may hang up at any time; that is what some tests are about.
        let _ = match what {
            Reply::Answer(status, headers, body) => write!(
                stream,
                "HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                body.len(),
            ),
            Reply::Raw(bytes) => stream.write_all(&bytes),
            Reply::Silence | Reply::Gated(..) => {
                silent.push(stream);
                Ok(())
            }
        };
    }
}

fn read_head(stream: &TcpStream) -> Option<String> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}
