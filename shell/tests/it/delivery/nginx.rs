//! nginx on loopback.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use crate::support::PATIENCE;

/// A behaviour that can be switched on, by a file that nginx looks for at each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// Status 500.
    Fails,
    /// The login page of a network.
    Portal,
    /// Answers with one byte a second.
    Drips,
    /// 100 KiB a second.
    Slow,
    /// 500 KiB a second.
    Brisk,
    /// Status 401 without the token `open-sesame`.
    Private,
    /// A redirect to another name of this machine.
    Redirects,
}

impl Switch {
    const ALL: [(Self, &str, &str); 7] = [
        (Self::Fails, "fails", "return 500"),
        (Self::Portal, "portal", "rewrite ^ /portal last"),
        (Self::Drips, "drips", "set $limit_rate 1"),
        (Self::Slow, "slow", "set $limit_rate 100k"),
        (Self::Brisk, "brisk", "set $limit_rate 500k"),
        (Self::Private, "private", "set $private 1$http_authorization"),
        (Self::Redirects, "redirects", "return 302 http://localhost:$server_port$request_uri"),
    ];
}

/// A request in the access log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) status: u16,
    /// The header `Range`; `-` if it is missing.
    pub(crate) range: String,
    pub(crate) path: String,
}

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Logged>>,
    grown: Condvar,
}

/// A server of a folder; ended on drop.
pub(crate) struct Nginx {
    folder: tempfile::TempDir,
    /// An address of this server alone, so that its port stays free while it does not run.
    place: SocketAddr,
    process: Option<Child>,
    log: Arc<Log>,
}

impl Nginx {
    /// Serves `root`.
    pub(crate) fn start(root: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("pulse-nginx-").tempdir().expect("a temporary folder");
        for name in ["switches", "temporary"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in it");
        }
        let place = TcpListener::bind((&*own_address(), 0)).and_then(|free| free.local_addr());
        let place = place.expect("a free port");
        let mut nginx = Self { folder, place, process: None, log: Arc::default() };
        fs::write(nginx.configuration(), nginx.configure(root)).expect("files can be written");
        nginx.run();
        nginx
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("nginx.conf")
    }

    fn configure(&self, root: &Path) -> String {
        let (place, here, root) = (self.place, self.folder.path().display(), root.display());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {here}/temporary;\n"))
            .concat();
        let switches = Switch::ALL
            .map(|(_, name, does)| format!("        if (-f {here}/switches/{name}) {{ {does}; }}\n"))
            .concat();
        format!(
            "daemon off;
master_process off;
pid {here}/nginx.pid;
error_log stderr notice;
events {{}}
http {{
    log_format line '$status \"$http_range\" $request_uri';
    access_log /dev/stdout line;
{temporary}    default_type application/octet-stream;
    server {{
        listen {place};
        root {root};
        set $private 0;
{switches}        if ($private ~ '^1(?!Bearer open-sesame$)') {{ return 401; }}
        location = /portal {{
            internal;
            default_type text/html;
            return 200 '<!doctype html><title>Sign in</title>';
        }}
    }}
}}
"
        )
    }

    /// Starts the server again at the same address.
    pub(crate) fn run(&mut self) {
        let mut command = Command::new("nginx");
        // Not every user's PATH has the folder of Debian's nginx.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        command.env("PATH", path).arg("-p").arg(self.folder.path()).arg("-c").arg(self.configuration());
        command.args(["-e", "stderr"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|e| {
            panic!("nginx does not start ({e}); `cargo xtask test` installs it: package nginx-light")
        });
        let log = Arc::clone(&self.log);
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        thread::spawn(move || log.follow(output));
        // It listens before it chooses how to wait for events.
        let mut errors = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut said = String::new();
        while !said.contains("event method") {
            let read = errors.read_line(&mut said).expect("text");
            assert!(read > 0, "nginx ended: {said}");
        }
        thread::spawn(move || drop(errors.read_to_end(&mut Vec::new())));
        self.process = Some(process);
    }

    /// Ends the server; connections are refused afterwards.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.place)
    }

    pub(crate) fn place(&self) -> SocketAddr {
        self.place
    }

    /// Switches a behaviour on or off, from the next request on.
    pub(crate) fn set(&self, switch: Switch, on: bool) {
        let name = Switch::ALL.iter().find(|(known, ..)| *known == switch).expect("a switch").1;
        let file = self.folder.path().join("switches").join(name);
        if on {
            fs::write(file, "").expect("files can be written");
        } else if file.exists() {
            fs::remove_file(file).expect("files can be removed");
        }
    }

    /// Returns the requests so far of which the path contains `part`; nginx logs a request when it has ended.
    pub(crate) fn requests(&self, part: &str) -> Vec<Logged> {
        let requests = self.log.requests.lock().expect("no reader panics");
        requests.iter().filter(|request| request.path.contains(part)).cloned().collect()
    }

    /// Waits until there are `count` requests of which the path contains `part`; returns them.
    pub(crate) fn wait_for(&self, part: &str, count: usize) -> Vec<Logged> {
        let few = |all: &mut Vec<Logged>| all.iter().filter(|one| one.path.contains(part)).count() < count;
        let requests = self.log.requests.lock().expect("no reader panics");
        let waited = self.log.grown.wait_timeout_while(requests, PATIENCE, few).expect("no reader panics");
        assert!(!waited.1.timed_out(), "{count} requests for {part}; there are {:?}", *waited.0);
        drop(waited);
        self.requests(part)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Log {
    fn follow(&self, output: impl BufRead) {
        for line in output.lines().map_while(Result::ok) {
            let mut parts = line.split('"');
            let mut next = || parts.next().unwrap_or_default().trim().to_owned();
            let (status, range, path) = (next().parse().unwrap_or_default(), next(), next());
            self.requests.lock().expect("no reader panics").push(Logged { status, range, path });
            self.grown.notify_all();
        }
    }
}

/// Returns a loopback address that no other server of a test uses.
pub(crate) fn own_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = process::id().to_be_bytes();
    // The first of these bits are those of the common address 127.0.0.1.
    format!("127.{}.{low}.{}", high | 64, NEXT.fetch_add(1, Ordering::Relaxed))
}
