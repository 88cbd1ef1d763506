//! A sign-in server on loopback.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// An identity provider on loopback that refuses requests until [`accept`](Self::accept); ended on drop.
pub(super) struct Provider {
    address: SocketAddr,
    good: Arc<AtomicBool>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (good, ending) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let [is_good, is_ending] = [&good, &ending].map(Arc::clone);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if is_ending.load(Ordering::SeqCst) {
                    return;
                }
                // A client may close the connection at any time.
                let _ = stream.and_then(|stream| answer(stream, is_good.load(Ordering::SeqCst)));
            }
        });
        Self { address, good, ending, thread: Some(thread) }
    }

    /// Accepts requests from now on, as Ada Lovelace.
    pub(super) fn accept(&self) {
        self.good.store(true, Ordering::SeqCst);
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(mut stream: TcpStream, good: bool) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    let (status, body) = match (head.starts_with("GET /api/users/me "), good) {
        (true, true) => ("200 OK", r#"{ "id": "ada", "name": "Ada Lovelace", "role": "engineer" }"#),
        (true, false) => ("401 Unauthorized", "{}"),
        (false, _) => ("404 Not Found", "{}"),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the thread. If this fails, it has ended already.
        let _ = TcpStream::connect(self.address);
        self.thread.take().map(JoinHandle::join);
    }
}
