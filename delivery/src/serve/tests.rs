//! The server over real connections.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, TcpStream},
    time::Instant,
};

use super::*;

const LOCAL: ServeOptions =
    ServeOptions { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 0, open_to_network: false };

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a build with this content.
pub(crate) fn build(name: &str, version: &str, content: &[u8]) -> DevBuild {
    let mut library = tempfile::tempfile().expect("a temporary file");
    library.write_all(content).expect("it can be written");
    let manifest = serde_json::json!({
        "manifestVersion": 1, "name": name, "version": version, "remoteEntry": "entry",
    });
    DevBuild {
        name: name.to_owned(),
        version: version.parse().expect("a version"),
        platform: Platform::current(),
        abi: 7,
        manifest: manifest.to_string(),
        library,
        sha256: Digest::of_bytes(content),
    }
}

/// Starts a server with these builds.
pub(crate) fn server(builds: impl IntoIterator<Item = DevBuild>) -> DevServer {
    on(0, builds)
}

/// Starts a server on a port.
pub(crate) fn on(port: u16, builds: impl IntoIterator<Item = DevBuild>) -> DevServer {
    let mut server = DevServer::bind(ServeOptions { port, ..LOCAL }).expect("a free port");
    builds.into_iter().for_each(|build| _ = server.publish(build).expect("it is published"));
    server.open().expect("a thread");
    server
}

struct LinkReply {
    head: String,
    body: Vec<u8>,
}

impl LinkReply {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("UTF-8")
    }

    fn status(&self) -> &str {
        &self.head[9..12]
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request as it is, and reads until the server closes the connection.
fn ask(server: &DevServer, request: &str) -> LinkReply {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("it answers");
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let body = reply.split_off(end + 4);
    LinkReply { head: String::from_utf8(reply).expect("UTF-8"), body }
}

fn get(server: &DevServer, path: &str) -> LinkReply {
    request(server, "GET", path)
}

fn request(server: &DevServer, method: &str, path: &str) -> LinkReply {
    ask(server, &format!("{method} /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

/// A client that follows the events.
struct Listener(BufReader<TcpStream>);

impl Listener {
    /// Connects, and reads the head of the answer.
    fn start(server: &DevServer) -> Result<Self, String> {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
        let mut listener = Self(BufReader::new(stream));
        let status = listener.line();
        while !listener.line().is_empty() {}
        if status.contains("200") { Ok(listener) } else { Err(status) }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Waits for the next event, and returns its name and data.
    fn next(&mut self) -> (String, String) {
        loop {
            // Sizes of chunks and signs of life are in between.
            let line = self.line();
            if let Some(name) = line.strip_prefix("event: ") {
                let data = self.line();
                return (name.to_owned(), data.strip_prefix("data: ").expect("data").to_owned());
            }
        }
    }

    fn version(&mut self) -> String {
        let (name, data) = self.next();
        assert_eq!(name, "build");
        serde_json::from_str::<DevRemote>(&data).expect("a remote").version.to_string()
    }
}

#[test]
fn files_are_served_by_their_content() {
    let content = (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>();
    let server = server([build("remoteA", "1.0.0", &content), build("remote Ü", "2.0.0", b"two")]);
    let list = get(&server, "pulse-dev.json");
    assert_eq!((list.status(), list.header("content-type")), ("200", Some("application/json")));
    assert_eq!(list.header("cache-control"), Some("no-store"));
    let list: DevList = serde_json::from_slice(&list.body).expect("a list");
    assert_eq!(list.remotes.iter().map(|remote| &*remote.name).collect::<Vec<_>>(), ["remote Ü", "remoteA"]);
    for remote in &list.remotes {
        for file in [&remote.library, &remote.manifest] {
            let reply = get(&server, &file.path);
            assert_eq!(reply.status(), "200", "{}", file.path);
            assert_eq!(Digest::of_bytes(&reply.body), file.sha256, "{}", file.path);
            assert!(reply.header("cache-control").is_some_and(|value| value.contains("immutable")));
            // As for GET, without the content.
            let head = request(&server, "HEAD", &file.path);
            assert_eq!(head.header("content-length"), Some(&*file.length.to_string()));
            assert!(head.body.is_empty());
        }
    }
    let newest = get(&server, "remoteA/manifest.json");
    assert_eq!(newest.text(), build("remoteA", "1.0.0", b"").manifest);
    for missing in ["x", "remoteA", "remoteA/", "remoteA/../remoteA/manifest.json", "remoteB/manifest.json"] {
        assert_eq!(get(&server, missing).status(), "404", "{missing}");
    }
}

#[test]
fn page_lists_remotes_for_a_host_manifest() {
    let server = server([build("remote&A", "1.2.3", b"one")]);
    let page = get(&server, "");
    let line = format!("\"remote&amp;A\": \"remote&amp;A@{}\"", server.url());
    for part in ["1.2.3", "href=\"/remote&amp;A/manifest.json\"", &line] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(page.header("content-security-policy").is_some());
    server.withdraw("remote&A", "removed");
    assert!(get(&server, "").text().contains("No remote has been built yet"));
}

#[test]
fn only_reading_is_allowed() {
    let server = server([build("remoteA", "1.0.0", b"one")]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"] {
        let reply = request(&server, method, "pulse-dev.json");
        assert_eq!((reply.status(), reply.header("allow")), ("405", Some("GET, HEAD")), "{method}");
    }
    let head = request(&server, "HEAD", "events");
    assert_eq!((head.status(), head.header("content-type")), ("200", Some("text/event-stream")));
    assert!(head.body.is_empty());
}

#[test]
fn other_names_of_this_machine_are_refused() {
    let server = server([build("remoteA", "1.0.0", b"one")]);
    let status = |target: &str, headers: &str| {
        let request = format!("GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        ask(&server, &request).status().to_owned()
    };
    for host in ["localhost", "LOCALHOST:3001", "127.0.0.1:1", "127.3.2.1", "[::1]", "[::1]:3001"] {
        assert_eq!(status("/", &format!("Host: {host}\r\n")), "200", "{host}");
    }
    for host in [
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org:3001",
        "10.0.0.1",
        "0.0.0.0",
        "x@localhost",
        "",
    ] {
        assert_eq!(status("/", &format!("Host: {host}\r\n")), "421", "{host}");
    }
    assert_eq!(status("/", ""), "421");
    assert_eq!(status("/", "Host: localhost\r\nHost: example.org\r\n"), "421");
    assert_eq!(status("http://example.org/", "Host: localhost\r\n"), "421");
}

#[test]
fn pages_of_other_sites_read_nothing() {
    let server = server([build("remoteA", "1.0.0", b"one")]);
    let reply = ask(
        &server,
        "GET /pulse-dev.json HTTP/1.1\r\nHost: localhost\r\nOrigin: http://example.org\r\nConnection: close\r\n\r\n",
    );
    assert!(!reply.head.contains("access-control"), "{}", reply.head);
    assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn malformed_requests_end_their_connection_only() {
    let server = server([]);
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
    for request in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long] {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        // The server may close before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        assert!(!reply.starts_with(b"HTTP/1.1 200"), "{request:.20}");
    }
    assert_eq!(get(&server, "").status(), "200");
}

#[test]
fn newest_and_former_build_are_served() {
    let server = server(["1", "2", "3"].map(|content| build("remoteA", "1.0.0", content.as_bytes())));
    let of = |content: &str| get(&server, &format!("remoteA/{}.library", Digest::of_bytes(content)));
    assert_eq!((of("3").text(), of("2").text(), of("1").status()), ("3", "2", "404"));
}

#[test]
fn events_follow_each_build() {
    let server = server([build("remoteA", "1.0.0", b"1")]);
    let mut listener = Listener::start(&server).expect("a place");
    let (name, data) = listener.next();
    let list: DevList = serde_json::from_str(&data).expect("a list");
    assert_eq!((&*name, list.format_version, list.remotes.len()), ("snapshot", FORMAT, 1));
    for version in ["1.0.1", "1.0.2"] {
        server.publish(build("remoteA", version, version.as_bytes())).expect("it is published");
        assert_eq!(listener.version(), version);
    }
    // The same content is no new build.
    server.publish(build("remoteA", "1.0.2", b"1.0.2")).expect("it is published");
    server.withdraw("remoteB", "unknown");
    server.withdraw("remoteA", "its file was removed");
    let (name, data) = listener.next();
    assert_eq!((&*name, &*data), ("gone", r#"{"name":"remoteA","reason":"its file was removed"}"#));
    server.publish(build("remoteA", "1.0.2", b"1.0.2")).expect("it is published");
    assert_eq!(listener.version(), "1.0.2");
}

#[test]
fn client_that_does_not_read_delays_no_other() {
    let server = server([build("remoteA", "1.0.0", &vec![7; 8 << 20])]);
    // Neither of these ever reads.
    let mut lazy = Listener::start(&server).expect("a place");
    let list: DevList = serde_json::from_slice(&get(&server, "pulse-dev.json").body).expect("a list");
    let mut stuck = TcpStream::connect(server.address()).expect("it listens");
    write!(stuck, "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", list.remotes[0].library.path)
        .expect("it reads");
    let mut listeners: Vec<_> = (0..30).map(|_| Listener::start(&server).expect("a place")).collect();
    for listener in &mut listeners {
        assert_eq!(listener.next().0, "snapshot");
    }
    let count = 60;
    for number in 1..=count {
        let version = format!("1.0.{number}");
        server.publish(build("remoteA", &version, version.as_bytes())).expect("it is published");
        if number % 20 == 0 {
            for listener in &mut listeners {
                while listener.version() != version {}
            }
        }
    }
    assert_eq!(get(&server, "").status(), "200");
    // It continues with the newest build, at the latest after those that were under way.
    while lazy.next().0 != "snapshot" {}
    while lazy.version() != format!("1.0.{count}") {}
}

#[test]
fn number_of_followers_is_limited() {
    let server = server([]);
    let mut listeners: Vec<_> = (0..64).map(|_| Listener::start(&server).expect("a place")).collect();
    let refused = Listener::start(&server).err().expect("no place");
    assert!(refused.contains("503"), "{refused}");
    assert_eq!(get(&server, "").status(), "200");
    // A client that has gone makes room.
    listeners.pop();
    let until = Instant::now() + PATIENCE;
    while Listener::start(&server).is_err() {
        assert!(Instant::now() < until, "its place is not free");
    }
}

#[test]
fn ended_server_frees_its_port() {
    let first = server([]);
    let mut listener = Listener::start(&first).expect("a place");
    let port = first.address().port();
    let taken = DevServer::bind(ServeOptions { port, ..LOCAL }).expect_err("the port is in use");
    assert_eq!(taken.code, ErrorCode::ServeAddress);
    assert!(taken.advice.contains("--port 0") && taken.summary.contains(&port.to_string()), "{taken:?}");
    drop(first);
    let mut rest = Vec::new();
    // Its end may be cut off.
    let _ = listener.0.read_to_end(&mut rest);
    on(port, []);
}

#[test]
fn network_needs_permission() {
    for address in [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into(), IpAddr::from([192, 0, 2, 1])] {
        let error = DevServer::bind(ServeOptions { address, ..LOCAL }).expect_err("no permission");
        assert_eq!(error.code, ErrorCode::ServeAddress);
        assert!(error.advice.contains("--open-to-network"), "{error:?}");
    }
    let foreign = ServeOptions { address: IpAddr::from([192, 0, 2, 1]), port: 0, open_to_network: true };
    assert_eq!(DevServer::bind(foreign).expect_err("not of this machine").code, ErrorCode::ServeAddress);
    let open = ServeOptions { address: Ipv4Addr::UNSPECIFIED.into(), port: 0, open_to_network: true };
    let mut server = DevServer::bind(open).expect("it is permitted");
    server.open().expect("a thread");
    assert_eq!(server.url(), format!("http://localhost:{}/", server.address().port()));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.address().port())).expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: machine.local\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it answers");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[test]
fn number_of_remotes_is_limited() {
    let names = (0..MAX_REMOTES).map(|number| format!("remote{number}"));
    let server = server(names.map(|name| build(&name, "1.0.0", name.as_bytes())));
    assert!(server.publish(build("other", "1.0.0", b"x")).is_err());
    server.publish(build("remote7", "1.0.1", b"x")).expect("it is known");
    // The whole list is one event.
    let mut listener = Listener::start(&server).expect("a place");
    let (_, data) = listener.next();
    assert!(data.len() < crate::dev::MAX_EVENT, "{}", data.len());
    assert_eq!(serde_json::from_str::<DevList>(&data).expect("a list").remotes.len(), MAX_REMOTES);
}
