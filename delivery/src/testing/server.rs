//! A web server on loopback that does what a test tells it for each path.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use super::SiteFiles;

/// The server's answer to one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The file, or status 404.
    Serve,
    /// A status with these header lines.
    Status(u16, &'static str),
    /// A redirect.
    Redirect(String),
    /// A login page.
    Page,
    /// These bytes instead of the file.
    Bytes(Vec<u8>),
    /// The header, this many bytes of the body, and the end of the connection.
    Cut(usize),
    /// The end of the connection before any answer.
    Close,
    /// The header, this many bytes of the body, and nothing more.
    Hang(usize),
    /// No answer.
    Silence,
    /// The body, one byte in this time.
    Drip(Duration),
    /// A body without end and without a stated length.
    Endless,
    /// The file, from its start and without a stated length; the connection ends with it.
    Whole,
    /// Another part of the file than requested.
    OtherRange,
    /// The file, once the gate is open.
    Wait(Gate),
}

/// Holds answers back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("no connection panics") = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let is_open = self.0.0.lock().expect("no connection panics");
        drop(self.0.1.wait_while(is_open, |is_open| !*is_open));
    }
}

/// A request that the server has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) path: String,
    /// Header lines in lower case, with the values as they are.
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    files: SiteFiles,
    script: BTreeMap<String, VecDeque<Act>>,
    received: Vec<Received>,
}

/// A web server.
pub(crate) struct TestServer {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
    has_ended: Arc<AtomicBool>,
}

impl TestServer {
    pub(crate) fn new(files: &SiteFiles) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port is free");
        let address = listener.local_addr().expect("address is known");
        let state = Arc::new((Mutex::new(State { files: files.clone(), ..State::default() }), Condvar::new()));
        let has_ended = Arc::new(AtomicBool::new(false));
        let server = Self { address, state: Arc::clone(&state), has_ended: Arc::clone(&has_ended) };
        spawn(move || {
            for stream in listener.incoming().flatten() {
                if has_ended.load(SeqCst) {
                    break;
                }
                let (state, has_ended) = (Arc::clone(&state), Arc::clone(&has_ended));
                // The client may end the connection at any time.
                spawn(move || drop(converse(&stream, &state, &has_ended)));
            }
        });
        server
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Replaces the files.
    pub(crate) fn serve(&self, files: &SiteFiles) {
        self.state().files = files.clone();
    }

    /// Changes one file.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.state().files.get_mut(path).expect("file exists"));
    }

    /// Answers the next requests for a path with these acts, and all later ones with the last of them.
    pub(crate) fn script(&self, path: &str, acts: impl IntoIterator<Item = Act>) {
        self.state().script.insert(path.to_owned(), acts.into_iter().collect());
    }

    /// Returns the requests since the last call.
    pub(crate) fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state().received)
    }

    /// Waits until a path is requested, since the last call of [`Self::received`].
    pub(crate) fn await_request(&self, path: &str) {
        let is_missing = |state: &mut State| !state.received.iter().any(|request| request.path == path);
        drop(self.state.1.wait_while(self.state(), is_missing));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("no connection panics")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.has_ended.store(true, SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().spawn(run).expect("thread is spawned");
}

fn converse(
    mut stream: &TcpStream,
    state: &(Mutex<State>, Condvar),
    has_ended: &AtomicBool,
) -> std::io::Result<()> {
    // Otherwise a body waits for the confirmation of its header.
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let (act, file) = {
            let (state, arrived) = state;
            let mut state = state.lock().expect("no connection panics");
            arrived.notify_all();
            state.received.push(Received { path: path.clone(), headers: headers.clone() });
            let acts = state.script.get_mut(&path);
            let act =
                acts.and_then(|acts| if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() });
            (act.unwrap_or(Act::Serve), state.files.get(&path).cloned())
        };
        let from = headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        if !answer(&mut stream, act, file, from, has_ended)? {
            return stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Answers a request, and returns `true` if the connection continues.
fn answer(
    stream: &mut &TcpStream,
    act: Act,
    file: Option<Vec<u8>>,
    from: Option<usize>,
    has_ended: &AtomicBool,
) -> std::io::Result<bool> {
    let wait = || {
        while !has_ended.load(SeqCst) {
            thread::park_timeout(Duration::from_millis(20));
        }
    };
    let file = match (act, file) {
        (Act::Status(status, headers), _) => {
            write!(stream, "HTTP/1.1 {status} Status\r\n{headers}Content-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        (Act::Redirect(to), _) => {
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        (Act::Page, _) => {
            let page = "<!doctype html><title>Login</title>";
            let length = page.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}"
            )?;
            return Ok(true);
        }
        (Act::Close, _) => return Ok(false),
        (Act::Silence, _) => {
            wait();
            return Ok(false);
        }
        (Act::Endless, _) => {
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{{")?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
        (Act::Bytes(bytes), _) => (Act::Serve, bytes),
        (Act::Wait(gate), Some(file)) => {
            gate.wait();
            (Act::Serve, file)
        }
        (act, Some(file)) => (act, file),
        (_, None) => {
            write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found")?;
            return Ok(true);
        }
    };
    let (act, file) = file;
    let from = if matches!(act, Act::Whole) { None } else { from };
    if from.is_some_and(|from| from >= file.len()) {
        write!(stream, "HTTP/1.1 416 Range\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    let (length, body) = (file.len(), &file[from.unwrap_or(0)..]);
    match (from, &act) {
        (Some(from), Act::OtherRange) => {
            write!(
                stream,
                "HTTP/1.1 206 Partial\r\nContent-Range: bytes {}-{}/{length}\r\n",
                from + 1,
                length - 1
            )?;
        }
        (Some(from), _) => {
            write!(stream, "HTTP/1.1 206 Partial\r\nContent-Range: bytes {from}-{}/{length}\r\n", length - 1)?;
        }
        (None, _) => write!(stream, "HTTP/1.1 200 OK\r\n")?,
    }
    if matches!(act, Act::Whole) {
        write!(stream, "\r\n")?;
        stream.write_all(body)?;
        return Ok(false);
    }
    write!(stream, "Content-Length: {}\r\n\r\n", body.len())?;
    match act {
        Act::Cut(bytes) => stream.write_all(&body[..bytes.min(body.len())])?,
        Act::Hang(bytes) => {
            stream.write_all(&body[..bytes.min(body.len())])?;
            wait();
        }
        Act::Drip(pause) => {
            for byte in body {
                stream.write_all(&[*byte])?;
                thread::park_timeout(pause);
            }
        }
        _ => {
            stream.write_all(body)?;
            return Ok(true);
        }
    }
    Ok(false)
}
