//! `pulse serve` with real libraries.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use pulse::library::digest_of;
use serde_json::Value;

use crate::support::{PATIENCE, libraries, library_file, manifest_of};

/// A running `pulse serve`, with the lines of its output.
struct Serve {
    process: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    address: String,
}

impl Serve {
    fn start(folder: &Path) -> Self {
        let mut process = command(folder)
            .args(["--port", "0", "--end-with-input"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pulse starts");
        let stdout = lines(process.stdout.take().expect("an output"));
        let stderr = lines(process.stderr.take().expect("an output"));
        let mut serve = Self { process, stdout, stderr, address: String::new() };
        let url = serve.line();
        url.trim_start_matches("http://").trim_end_matches('/').clone_into(&mut serve.address);
        serve
    }

    /// Waits for the next line of standard output.
    fn line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).expect("a line")
    }

    /// Waits for a message on standard error that contains `part`, and asserts that none before contains `never`.
    #[track_caller]
    fn message(&self, part: &str, never: &str) {
        loop {
            let line =
                self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no message contains {part}"));
            assert!(!line.contains(never), "{line}");
            if line.contains(part) {
                return;
            }
        }
    }

    /// Requests a file.
    fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        answer.split_off(head)
    }

    /// Returns the remotes on offer.
    fn remotes(&self) -> Vec<Value> {
        let list: Value = serde_json::from_slice(&self.get("pulse-dev.json")).expect("JSON");
        list["remotes"].as_array().expect("a list").clone()
    }

    /// Closes its input, and returns its exit code.
    fn end(mut self) -> Option<i32> {
        drop(self.process.stdin.take());
        self.process.wait().expect("it ends").code()
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulse"));
    command.arg("serve").arg(folder).env_remove("PULSE_SHELL_LOG");
    command
}

fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let read = move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    };
    thread::spawn(read);
    lines
}

/// Returns the line of a build.
fn line_of(name: &str, content: &[u8], folder: &Path) -> String {
    let file = folder.join("content");
    fs::write(&file, content).expect("it can be written");
    format!("{name} 1.0.0 {}", digest_of(&file).expect("it can be read").short())
}

#[test]
fn builds_are_served_while_they_are_made() {
    let (folder, aside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name);
    // None of these is a remote.
    for (name, text) in [("a.json", "{}"), ("host.json", "// no JSON"), (&*library_file("none"), "text")] {
        fs::write(path(name), text).expect("it can be written");
    }
    let source = &libraries().no_sdk;
    let manifest = manifest_of(source);
    let (name, first) = (manifest["name"].as_str().expect("a name"), fs::read(source).expect("a library"));
    let library = path(&library_file("remote"));
    let serve = Serve::start(folder.path());
    assert!(serve.remotes().is_empty());

    // Written in two parts, as a linker does.
    let mut file = File::create(&library).expect("it can be written");
    file.write_all(&first[..first.len() / 2]).expect("it can be written");
    file.sync_all().expect("it can be written");
    file.write_all(&first[first.len() / 2..]).expect("it can be written");
    drop(file);
    assert_eq!(serve.line(), line_of(name, &first, aside.path()));
    serve.message(&format!("\"{name}\": \"{name}@http://localhost:"), "error");
    let [remote] = &serve.remotes()[..] else { panic!("one remote") };
    assert_eq!((&remote["name"], &remote["version"]), (&manifest["name"], &manifest["version"]));
    assert_eq!(serve.get(remote["library"]["path"].as_str().expect("a path")), first);
    let served: Value = serde_json::from_slice(&serve.get(&format!("{name}/manifest.json"))).expect("JSON");
    assert_eq!(served["name"], manifest["name"]);

    // Another build, which replaces the file.
    let second = [&first[..], b"\0"].concat();
    fs::write(path(".new"), &second).expect("it can be written");
    fs::rename(path(".new"), &library).expect("it can be renamed");
    assert_eq!(serve.line(), line_of(name, &second, aside.path()));

    // The same content is no new build; a damaged one withdraws the remote.
    fs::write(&library, &second).expect("it can be written");
    fs::write(&library, &second[..second.len() / 2]).expect("it can be written");
    serve.message("[library-damaged]", "served from");
    serve.message(&format!("{name} is no longer served: the library is damaged"), "served from");
    assert!(serve.remotes().is_empty());
    fs::write(&library, &first).expect("it can be written");
    assert_eq!(serve.line(), line_of(name, &first, aside.path()));
    fs::remove_file(&library).expect("it is there");
    serve.message(&format!("{name} is no longer served: its file was removed"), "error");
    assert!(serve.stdout.try_recv().is_err());
    assert_eq!(serve.end(), Some(0));
}

#[test]
fn manifest_and_library_are_served_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let source = &libraries().no_sdk;
    let mut manifest = manifest_of(source);
    let name = manifest["name"].as_str().expect("a name").to_owned();
    let entry = manifest["remoteEntry"].as_str().expect("a name").to_owned();
    manifest["sha256"] = digest_of(source).expect("it can be read").to_string().into();
    fs::write(path("remote.json"), manifest.to_string()).expect("it can be written");
    let serve = Serve::start(folder.path());
    serve.message("[library-missing]", "served from");
    fs::copy(source, path(&library_file(&entry))).expect("it can be copied");
    assert!(serve.line().starts_with(&name));
    let served: Value = serde_json::from_slice(&serve.get(&format!("{name}/manifest.json"))).expect("JSON");
    assert_eq!(served, manifest);
    // A library that its manifest does not state.
    manifest["sha256"] = "0".repeat(64).into();
    fs::write(path("remote.json"), manifest.to_string()).expect("it can be written");
    serve.message("[digest-mismatch]", "served from");
    assert_eq!(serve.end(), Some(0));
}

#[test]
fn unusable_addresses_and_folders_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(folder.path());
    let port = serve.address.rsplit(':').next().expect("a port");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("it can be written");
    let missing = folder.path().join("missing");
    for (folder, args, status, code) in [
        (folder.path(), vec!["--port", port], 1, "serve-address"),
        (folder.path(), vec!["--port", "0", "--address", "0.0.0.0"], 1, "serve-address"),
        (&file, vec!["--port", "0"], 1, "folder-unreadable"),
        (&missing, vec!["--port", "0"], 6, "folder-unreadable"),
    ] {
        let output = command(folder).args(&args).output().expect("pulse starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(stderr.contains(&format!("[{code}]")) && stderr.contains("help: "), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(serve.end(), Some(0));
}

#[cfg(unix)]
#[test]
fn interrupt_ends_the_server_cleanly() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Serve::start(folder.path());
    let sent = Command::new("kill").args(["-INT", &serve.process.id().to_string()]).status();
    assert!(sent.is_ok_and(|sent| sent.success()));
    assert_eq!(serve.process.wait().expect("it ends").code(), Some(0));
}
