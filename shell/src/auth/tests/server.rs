//! An HTTP server on loopback whose answers, good or bad, a test chooses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::PATIENCE;

/// The answer to one request.
pub(super) enum Reply {
    /// A complete answer: status, further header lines, body.
    Answer(u16, &'static str, String),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// No answer; the connection stays open until the server is dropped.
    Silence,
    /// The answer, once the test has sent to or dropped the gate's sender.
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
    /// Starts a server that calls `reply` for each request, with its number from 0.
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

    /// Waits for the next request, and returns its head.
    pub(super) fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    /// Returns the number of requests since the last look at them.
    pub(super) fn count(&self) -> usize {
        self.requests.try_iter().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`; if that fails, the server has ended already.
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
            // The client gave up before it sent a request.
            continue;
        };
        // Chosen before the test sees the request.
        let mut what = reply(number);
        number += 1;
        let _ = heads.send(head);
        if let Reply::Gated(gate, then) = what {
            let _ = gate.recv_timeout(PATIENCE);
            what = *then;
        }
        // Some tests have clients that hang up at any time.
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
