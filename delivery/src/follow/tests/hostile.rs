//! Servers that answer with anything.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
};

use super::*;

/// The behaviour of a server towards one request.
enum Step {
    /// Sends these bytes, and closes the connection.
    Send(Vec<u8>),
    /// Sends these bytes, and keeps the connection open.
    Hold(Vec<u8>),
    /// Sends these bytes one at a time.
    Drip(Vec<u8>),
    /// Sends a byte each ten milliseconds.
    Slow(Vec<u8>),
    /// Sends the head, and then the part again and again.
    Endless {
        head: String,
        part: Vec<u8>,
    },
    Close,
}

/// A server whose behaviour a test chooses; ends when it is dropped.
struct Fake {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Starts a server; `choose` gets the head of each request.
    fn start(mut choose: impl FnMut(&str) -> Step + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let mut head = String::new();
                let mut reader = BufReader::new(&stream);
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
                let (answer, stopped) = (choose(&head), Arc::clone(&stopped));
                // A client that hangs up ends the thread.
                let serve = move || drop(act(answer, stream, &stopped));
                thread::Builder::new().spawn(serve).expect("a thread");
            }
        };
        let thread = thread::Builder::new().spawn(run).expect("a thread");
        Self { address, stop, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://localhost:{}/", self.address.port())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

fn act(step: Step, mut stream: TcpStream, stopped: &AtomicBool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    match step {
        Step::Send(bytes) => stream.write_all(&bytes)?,
        Step::Hold(bytes) => {
            stream.write_all(&bytes)?;
            // Until the client hangs up.
            let _ = stream.read(&mut [0])?;
        }
        Step::Drip(bytes) => {
            for byte in bytes {
                stream.write_all(&[byte])?;
                thread::yield_now();
            }
            let _ = stream.read(&mut [0])?;
        }
        Step::Slow(bytes) => {
            for byte in bytes {
                stream.write_all(&[byte])?;
                thread::sleep(Duration::from_millis(10));
            }
        }
        Step::Endless { head, part } => {
            stream.write_all(head.as_bytes())?;
            while !stopped.load(Ordering::Acquire) {
                stream.write_all(&part)?;
            }
        }
        Step::Close => {}
    }
    Ok(())
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// Makes a snapshot with this list.
fn snapshot(list: &str) -> Vec<u8> {
    format!("{EVENTS}event: snapshot\ndata: {list}\n\n").into_bytes()
}

fn file(content: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()).as_bytes(), content].concat()
}

/// The list of a server with one remote, `remoteA` 1.0.0 with the library `content`.
fn list(content: &[u8]) -> DevList {
    let manifest = manifest();
    let file = |path: &str, content: &[u8]| crate::dev::DevFile {
        path: path.to_owned(),
        sha256: Digest::of_bytes(content),
        length: content.len() as u64,
    };
    let remote = DevRemote {
        name: "remoteA".to_owned(),
        version: "1.0.0".parse().expect("a version"),
        platform: Platform::current(),
        abi: 7,
        manifest: file("m", manifest.as_bytes()),
        library: file("l", content),
    };
    DevList { format_version: FORMAT, remotes: vec![remote] }
}

fn manifest() -> String {
    build("remoteA", "1.0.0", b"").manifest
}

fn json(list: &DevList) -> String {
    serde_json::to_string(list).expect("JSON")
}

/// Serves a list, the manifest and the library with these steps.
fn serving(list: DevList, manifest: Vec<u8>, library: impl Fn() -> Step + Send + 'static) -> Fake {
    Fake::start(move |head| match head.split(' ').nth(1) {
        Some("/events") => Step::Hold(snapshot(&json(&list))),
        Some("/m") => Step::Send(manifest.clone()),
        _ => library(),
    })
}

/// Returns the error of a server that gives this answer to the request for events, which is reported once.
fn refusal(answer: impl Fn() -> Step + Send + 'static, pace: Pace) -> DeliveryError {
    let (cache, fake) = (cache(), Fake::start(move |_| answer()));
    let following = Following::with(&fake.url(), &cache, pace);
    let (name, error) = following.lost();
    assert_eq!(name, "");
    assert!(following.0.recv_timeout(QUICK.longest_pause * 3).is_err(), "it is reported once");
    error
}

#[test]
fn other_programs_are_recognised() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>".to_owned(),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        format!("{EVENTS}event: build\ndata: {{}}\n\n"),
        format!("{EVENTS}data: 1\n\n"),
        format!("{EVENTS}event: snapshot\ndata: not JSON\n\n"),
        format!("{EVENTS}event: snapshot\ndata: []\n\n"),
        format!("{EVENTS}event: snapshot\ndata: {{\"formatVersion\":2,\"remotes\":[]}}\n\n"),
    ];
    for answer in answers {
        let shown = answer.lines().last().unwrap_or_default().to_owned();
        let error = refusal(move || Step::Hold(answer.clone().into_bytes()), QUICK);
        assert_eq!(error.code, ErrorCode::DevInvalid, "{shown}: {error}");
        assert!(error.summary.contains("localhost"), "{error}");
    }
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(refusal(|| Step::Send(busy.to_vec()), QUICK).code, ErrorCode::RepoServerError);
    assert_eq!(refusal(|| Step::Close, QUICK).code, ErrorCode::RepoUnreachable);
}

#[test]
fn endless_answers_are_refused() {
    // A head, a line and an event without an end.
    for (head, part) in [("HTTP/1.1 200 OK\r\n", "X: y\r\n"), (EVENTS, "x"), (EVENTS, "data: x\n")] {
        let endless = || Step::Endless { head: head.to_owned(), part: part.repeat(1000).into_bytes() };
        let error = refusal(endless, QUICK);
        assert_eq!(error.code, ErrorCode::DevInvalid, "{part}: {error}");
    }
}

#[test]
fn wrong_lists_are_refused() {
    let twice = DevList { remotes: [list(b"a").remotes, list(b"b").remotes].concat(), ..list(b"") };
    let one = list(b"a").remotes.remove(0);
    let many = (0..=MAX_REMOTES).map(|number| DevRemote { name: format!("r{number}"), ..one.clone() });
    let many = DevList { remotes: many.collect(), ..list(b"") };
    for wrong in [twice, many] {
        let answer = snapshot(&json(&wrong));
        assert_eq!(refusal(move || Step::Hold(answer.clone()), QUICK).code, ErrorCode::DevInvalid);
    }
}

/// Chooses the answer to a request for a library.
type Library = Box<dyn Fn() -> Step + Send>;

#[test]
fn wrong_builds_are_refused_and_leave_nothing() {
    let good = || list(b"library");
    let changed = |change: fn(&mut DevRemote)| {
        let mut list = good();
        change(&mut list.remotes[0]);
        list
    };
    let sent = |content: &[u8]| {
        let answer = file(content);
        Box::new(move || Step::Send(answer.clone())) as Library
    };
    let endless = Box::new(|| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned();
        Step::Endless { head, part: vec![7; 999] }
    });
    let other = build("remoteB", "1.0.0", b"").manifest;
    let cases: Vec<(&str, ErrorCode, DevList, &[u8], Library)> = vec![
        ("digest", ErrorCode::DevInvalid, good(), b"", sent(b"Library")),
        ("longer", ErrorCode::DevInvalid, good(), b"", sent(b"library and more")),
        ("shorter", ErrorCode::DevInvalid, good(), b"", sent(b"lib")),
        ("endless", ErrorCode::DevInvalid, good(), b"", endless),
        (
            "denied",
            ErrorCode::DevInvalid,
            good(),
            b"",
            Box::new(|| Step::Send(b"HTTP/1.1 403 No\r\n\r\n".to_vec())),
        ),
        ("manifest", ErrorCode::DevInvalid, good(), b"{}", sent(b"library")),
        (
            "name",
            ErrorCode::DevInvalid,
            changed(|remote| {
                let other = build("remoteB", "1.0.0", b"").manifest;
                remote.manifest.sha256 = Digest::of_bytes(&other);
                remote.manifest.length = other.len() as u64;
            }),
            other.as_bytes(),
            sent(b"library"),
        ),
        ("version", ErrorCode::DevInvalid, changed(|remote| remote.version.major = 2), b"", sent(b"library")),
        (
            "path",
            ErrorCode::DevInvalid,
            changed(|remote| remote.name = "../../x".to_owned()),
            b"",
            sent(b"library"),
        ),
        (
            "huge",
            ErrorCode::DevInvalid,
            changed(|remote| remote.library.length = u64::MAX),
            b"",
            sent(b"library"),
        ),
        (
            "text",
            ErrorCode::DevInvalid,
            changed(|remote| remote.manifest.length = 1 << 40),
            b"",
            sent(b"library"),
        ),
        (
            "server",
            ErrorCode::DevInvalid,
            changed(|remote| remote.library.path = "http://localhost:1/l".to_owned()),
            b"",
            sent(b"library"),
        ),
        (
            "platform",
            ErrorCode::ReleaseUnknown,
            changed(|remote| remote.platform = "m68k-apple-macos".to_owned().try_into().expect("a triple")),
            b"",
            sent(b"library"),
        ),
    ];
    for (what, code, list, text, library) in cases {
        let text = if text.is_empty() { manifest().into_bytes() } else { text.to_vec() };
        let (cache, name) = (cache(), list.remotes[0].name.clone());
        let fake = serving(list, file(&text), library);
        let following = Following::start(&fake.url(), &cache);
        let (lost, error) = following.lost();
        assert_eq!((lost, error.code), (name, code), "{what}: {error}");
        // It continues.
        following.checked();
        let left = fs::read_dir(cache.path().join("dev")).expect("a folder").count();
        assert_eq!(left, 0, "{what}");
    }
}

#[test]
fn build_that_was_replaced_is_skipped() {
    let cache = cache();
    let missing = || Step::Send(b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec());
    let fake = serving(list(b"library"), file(manifest().as_bytes()), missing);
    Following::start(&fake.url(), &cache).checked();
}

#[test]
fn hang_up_in_the_middle_is_tried_again() {
    let cache = cache();
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let begun = Arc::clone(&tries);
    let whole = file(b"library");
    let fake = serving(list(b"library"), file(manifest().as_bytes()), move || {
        match begun.fetch_add(1, Ordering::AcqRel) {
            0..=2 => Step::Send(whole[..whole.len() - 3].to_vec()),
            _ => Step::Send(whole.clone()),
        }
    });
    let following = Following::start(&fake.url(), &cache);
    let (name, error) = following.lost();
    assert_eq!((&*name, error.code), ("", ErrorCode::RepoUnreachable));
    following.fetched();
    following.checked();
    assert_eq!(tries.load(Ordering::Acquire), 4);
}

#[test]
fn silent_server_is_given_up_in_time() {
    let short = Duration::from_millis(50);
    let pace = Pace { answer: short, silence: short, ..QUICK };
    assert_eq!(refusal(|| Step::Hold(Vec::new()), pace).code, ErrorCode::RepoTimeout);
    let silent = || Step::Hold(EVENTS.as_bytes().to_vec());
    assert_eq!(refusal(silent, Pace { silence: short, ..QUICK }).code, ErrorCode::RepoTimeout);
    // Signs of life are no list.
    let signs = || Step::Endless { head: EVENTS.to_owned(), part: b":\n\n".to_vec() };
    let error = refusal(signs, Pace { list: short, ..QUICK });
    assert_eq!(error.code, ErrorCode::DevInvalid);
    // In the middle of a library.
    let cache = cache();
    let part = file(b"library");
    let fake = serving(list(b"library"), file(manifest().as_bytes()), move || {
        Step::Hold(part[..part.len() - 3].to_vec())
    });
    let following = Following::with(&fake.url(), &cache, Pace { silence: short, ..QUICK });
    assert_eq!(following.lost().1.code, ErrorCode::RepoTimeout);
}

#[test]
fn slow_library_has_a_time_limit() {
    let cache = cache();
    let slow = serving(list(&[7; 1000]), file(manifest().as_bytes()), || Step::Slow(file(&[7; 1000])));
    // Each byte comes in time, but all of them would take long.
    let pace = Pace { answer: Duration::from_millis(200), ..QUICK };
    let following = Following::with(&slow.url(), &cache, pace);
    assert_eq!(following.lost().1.code, ErrorCode::RepoTimeout);
}

#[test]
fn answers_in_single_bytes_are_understood() {
    let cache = cache();
    let fake = Fake::start(|head| match head.split(' ').nth(1) {
        Some("/events") => Step::Drip(snapshot(&json(&list(b"library")))),
        Some("/m") => Step::Drip(file(manifest().as_bytes())),
        _ => Step::Drip(file(b"library")),
    });
    let following = Following::start(&fake.url(), &cache);
    following.fetched();
    following.checked();
}

#[test]
fn events_of_later_versions_are_skipped() {
    let cache = cache();
    let gone = r#"{"name":"remoteA","reason":"a\u001b[2J"}"#;
    let events = format!(
        "event: later\ndata: {{}}\n\nretry: 1\n\nevent: gone\ndata: {gone}\n\nevent: gone\ndata: {gone}\n\n"
    );
    let answer =
        [snapshot(&json(&list(b"library"))), events.into_bytes(), b"event: build\ndata: {\n\n".to_vec()]
            .concat();
    let fake = Fake::start(move |head| match head.split(' ').nth(1) {
        Some("/events") => Step::Hold(answer.clone()),
        Some("/m") => Step::Send(file(manifest().as_bytes())),
        _ => Step::Send(file(b"library")),
    });
    let following = Following::start(&fake.url(), &cache);
    following.fetched();
    following.checked();
    let (name, error) = following.lost();
    assert_eq!((&*name, error.code), ("remoteA", ErrorCode::ReleaseUnknown));
    assert!(!error.summary.contains('\u{1b}'));
    let (name, error) = following.lost();
    assert_eq!((&*name, error.code), ("", ErrorCode::DevInvalid));
}
