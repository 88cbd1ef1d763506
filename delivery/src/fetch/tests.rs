//! Tests with real processes: the example `fetch` in place of the shell.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use super::*;
use crate::{
    ErrorCode,
    testing::{Act, Gate, TestServer, TestSite, TestUser, code, download, library, wanted},
};

/// A limit that no test reaches.
const LONG: Duration = Duration::from_mins(2);

/// Returns the program that the tests start.
fn program() -> PathBuf {
    let tests = env::current_exe().expect("path of the tests is known");
    let build = tests.parent().and_then(Path::parent).expect("tests are below the build folder");
    let program = build.join("examples").join(format!("fetch{}", env::consts::EXE_SUFFIX));
    assert!(program.exists(), "`cargo test` builds the example, `cargo test --lib` does not");
    program
}

/// Starts a process; the receiver is disconnected once its status is collected.
fn start(user: &TestUser, task: Task) -> (Fetch, Receiver<()>) {
    let (wake, woken) = channel();
    let wake = move || {
        let _ = wake.send(());
    };
    (Fetch::start(&program(), &user.request(task), wake).expect("thread is spawned"), woken)
}

/// Returns all events of a process.
fn finish(fetch: &Fetch) -> Vec<FetchEvent> {
    std::iter::from_fn(|| fetch.wait_event(LONG)).collect()
}

fn check() -> Task {
    Task::Check { root: None, wanted: vec![wanted("remoteHello")] }
}

fn await_end(woken: &Receiver<()>) {
    while woken.recv_timeout(LONG).is_ok() {}
    assert_eq!(woken.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected));
}

#[test]
fn process_serves_each_task() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let mut user = TestUser::of(server.address());
    // The sandbox allows to resolve a name.
    user.address = format!("http://localhost:{}", server.port());
    let (fetch, woken) = start(&user, Task::Offer);
    woken.recv_timeout(LONG).expect("wake is called");
    assert!(matches!(fetch.events().next(), Some(FetchEvent::Offered { .. })));
    let (fetch, _) = start(&user, Task::Check { root: Some(site.fingerprint(1)), wanted: vec![] });
    assert!(matches!(finish(&fetch)[..], [FetchEvent::Checked { changed: true, .. }]));
    let (fetch, _) = start(&user, check());
    assert!(matches!(finish(&fetch)[..], [FetchEvent::Checked { changed: false, .. }]));
    let (fetch, woken) = start(&user, download("remoteHello", "1.0.0"));
    let events = finish(&fetch);
    assert!(matches!(events[..], [FetchEvent::Progress { .. }, .., FetchEvent::Fetched(_)]), "{events:?}");
    await_end(&woken);
    let mirror = crate::testing::folder();
    let (fetch, _) = start(&user, Task::Mirror { to: mirror.path().to_owned() });
    assert!(matches!(finish(&fetch)[..], [.., FetchEvent::Mirrored { .. }]));
    let (fetch, _) = start(&user, download("remoteHello", "2.0.0"));
    assert_eq!(code(&finish(&fetch)[0]), ErrorCode::ReleaseUnknown);
}

#[test]
fn faulty_process_is_a_failure() {
    let user = TestUser::of("file:///none");
    let failure = |program: &str| {
        let fetch = Fetch::start(Path::new(program), &user.request(check()), || ()).expect("thread is spawned");
        let mut events = finish(&fetch);
        let Some(FetchEvent::Failed(error)) = events.pop() else { panic!("{events:?}") };
        assert_eq!((error.code, events.len()), (ErrorCode::DeliveryProcessFailed, 0));
        error.summary
    };
    assert!(failure("/none/such/program").contains("cannot start"));
    if cfg!(unix) {
        assert!(failure("/bin/false").contains("ended without an answer"));
        assert!(failure("/bin/echo").contains("something other than an event"));
        assert!(failure("/usr/bin/yes").contains("something other than an event"));
        // Its last words are part of the message.
        let summary = failure("/bin/ls");
        assert!(summary.contains("ended without an answer") && summary.contains("fetch"), "{summary}");
    }
}

#[test]
fn dropped_handle_ends_process() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    for act in [Act::Silence, Act::Hang(10)] {
        server.script("metadata/timestamp.json", [act]);
        server.received();
        let (fetch, woken) = start(&user, check());
        server.await_request("metadata/timestamp.json");
        fetch.cancel();
        await_end(&woken);
    }
    // Before the process has started, and after it has ended.
    let (fetch, woken) = start(&user, check());
    drop(fetch);
    await_end(&woken);
    server.script("metadata/timestamp.json", [Act::Serve]);
    let (fetch, woken) = start(&user, check());
    finish(&fetch);
    await_end(&woken);
    drop(fetch);
}

#[test]
fn process_ends_with_its_parent() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    server.script("metadata/timestamp.json", [Act::Silence]);
    server.received();
    let mut command = Command::new(program());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("program is started");
    let mut line = serde_json::to_vec(&user.request(check())).expect("request is JSON");
    line.push(b'\n');
    child.stdin.as_mut().expect("pipe exists").write_all(&line).expect("request is sent");
    server.await_request("metadata/timestamp.json");
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("process ends").code(), Some(1));
}

#[test]
fn invalid_request_is_a_failure() {
    for line in ["", "{}\n", "nothing\n"] {
        let mut command = Command::new(program());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("program is started");
        let mut input = child.stdin.take().expect("pipe exists");
        input.write_all(line.as_bytes()).expect("request is sent");
        drop(input);
        let output = child.wait_with_output().expect("process ends");
        let end = serde_json::from_slice(&output.stdout).expect("an event is printed");
        assert_eq!(code(&end), ErrorCode::DeliveryProcessFailed);
        assert_eq!(output.status.code(), Some(1));
    }
}

/// Runs a request with these variables, and returns the process's last event.
fn run_with(user: &TestUser, task: Task, variables: &[(&str, String)]) -> FetchEvent {
    let mut command = Command::new(program());
    command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("program is started");
    let mut input = child.stdin.take().expect("pipe exists");
    let request = serde_json::to_vec(&user.request(task)).expect("request is JSON");
    input.write_all(&[&request[..], b"\n"].concat()).expect("request is sent");
    let mut output = String::new();
    child.stdout.take().expect("pipe exists").read_to_string(&mut output).expect("events are text");
    drop(input);
    child.wait().expect("process ends");
    serde_json::from_str(output.lines().last().expect("an event is printed")).expect("an event is printed")
}

#[test]
fn proxy_of_environment_is_used() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("port is free");
    let address = proxy.local_addr().expect("address is known").to_string();
    let connect = thread::Builder::new().spawn(move || {
        let (mut stream, _) = proxy.accept().expect("proxy is used");
        let mut first = String::new();
        BufReader::new(&stream).read_line(&mut first).expect("request is sent");
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        first
    });
    let mut user = TestUser::of("https://plugins.invalid");
    user.network.attempts = Some(1);
    let variables = [("HTTPS_PROXY", format!("http://{address}"))];
    let end = run_with(&user, Task::Offer, &variables);
    assert_eq!(code(&end), ErrorCode::RepoUnreachable);
    let connect = connect.expect("thread is spawned").join().expect("proxy ends");
    assert_eq!(connect.trim_end(), "CONNECT plugins.invalid:443 HTTP/1.1");
    let end = run_with(&user, Task::Offer, &[("HTTPS_PROXY", "not an address".to_owned())]);
    assert_eq!(code(&end), ErrorCode::DeliverySettingInvalid);
    // A server on this machine is reached directly.
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let end = run_with(&TestUser::of(server.address()), Task::Offer, &variables);
    assert!(matches!(end, FetchEvent::Offered { .. }), "{end:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn process_has_little_environment() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    server.script("metadata/timestamp.json", [Act::Silence]);
    server.received();
    let (fetch, _) = start(&user, check());
    server.await_request("metadata/timestamp.json");
    let pid = fetch.process_id().expect("process runs");
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("process runs");
    for variable in environment.split_terminator('\0') {
        let name = variable.split('=').next().unwrap_or_default();
        assert!(parent::VARIABLES.contains(&name), "{name}");
    }
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("process runs");
    let targets = descriptors.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let foreign: Vec<_> = targets
        .filter(|path| path.is_absolute() && !path.starts_with(user.folder.path()) && !path.starts_with("/dev"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn process_reads_nothing_outside_of_repository() {
    let site = TestSite::new();
    let (folder, elsewhere) = (crate::testing::folder(), crate::testing::folder());
    let user = TestUser::trusting(site.save(folder.path()), &site);
    let timestamp = folder.path().join("metadata/timestamp.json");
    fs::rename(&timestamp, elsewhere.path().join("a")).expect("file is moved");
    std::os::unix::fs::symlink(elsewhere.path().join("a"), timestamp).expect("link is created");
    let is_confined = crate::sandbox::is_supported();
    let (fetch, _) = start(&user, check());
    let end = finish(&fetch).pop().expect("process answers");
    if is_confined {
        assert_eq!(code(&end), ErrorCode::RepoDenied, "{end:?}");
    }
    assert!(matches!(user.check(), FetchEvent::Checked { .. }), "the link itself is valid");
}

#[test]
fn concurrent_processes_fetch_once() {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    user.check();
    site.add("remoteHello", "1.1.0");
    site.write();
    server.serve(&site.files);
    let library = site.library_file("remoteHello", "1.1.0");
    for (file, task) in
        [("metadata/timestamp.json".to_owned(), check()), (library, download("remoteHello", "1.1.0"))]
    {
        let gate = Gate::default();
        server.script(&file, [Act::Wait(gate.clone())]);
        server.received();
        let (first, _) = start(&user, task.clone());
        server.await_request(&file);
        let (second, _) = start(&user, task);
        assert_eq!(second.wait_event(LONG), Some(FetchEvent::Waiting));
        gate.open();
        for fetch in [first, second] {
            let end = finish(&fetch).pop().expect("process answers");
            assert!(
                matches!(end, FetchEvent::Checked { changed: true, .. } | FetchEvent::Fetched(_)),
                "{end:?}"
            );
        }
        let requests = server.received().iter().filter(|request| request.path == file).count();
        assert_eq!(requests, 1, "{file}");
    }
}

#[test]
fn waiting_process_continues_after_kill() {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    site.write();
    server.serve(&site.files);
    server.script("metadata/timestamp.json", [Act::Silence, Act::Serve]);
    server.received();
    let (first, _) = start(&user, check());
    server.await_request("metadata/timestamp.json");
    let (second, _) = start(&user, check());
    assert_eq!(second.wait_event(LONG), Some(FetchEvent::Waiting));
    drop(first);
    assert!(matches!(second.wait_event(LONG), Some(FetchEvent::Checked { .. })));
}

/// Kills processes at many moments; the cache stays valid, and never forgets the newest state that it has seen.
#[test]
fn killed_processes_leave_usable_cache() {
    const ROUNDS: u64 = 12;
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        let version = format!("1.{round}.1");
        site.add("remoteHello", &version);
        site.write();
        seen.push(site.files.clone());
        server.serve(&site.files);
        for task in [check(), download("remoteHello", &version)] {
            let (fetch, woken) = start(&user, task);
            // Either an event arrives, or the time is over.
            let moment = Duration::from_millis(round * 5);
            let _ = matches!(woken.recv_timeout(moment), Err(RecvTimeoutError::Timeout));
            drop(fetch);
            await_end(&woken);
        }
        if round % 3 == 0 {
            assert!(matches!(user.check(), FetchEvent::Checked { .. }));
            let FetchEvent::Fetched(fetched) = user.download("remoteHello", &version) else {
                panic!("{version}")
            };
            assert_eq!(fs::read(fetched.library).expect("library exists"), library("remoteHello", &version));
            if let [.., before, _] = &seen[..] {
                server.serve(before);
                user.refuses_check(ErrorCode::RepoRollback);
            }
        }
    }
    server.serve(&site.files);
    assert!(matches!(user.check(), FetchEvent::Checked { .. }));
    let left: Vec<_> = user.tree().into_keys().filter(|path| path.to_string_lossy().contains("new-")).collect();
    assert!(left.is_empty(), "{left:?}");
}
