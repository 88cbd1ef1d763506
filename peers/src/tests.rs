//! Members in one process, and strangers with raw sockets.

use std::{
    io::{Read, Write},
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use interprocess::local_socket::{Stream, prelude::*};
use serde_json::json;

use super::*;
use crate::wire::{Packet, REVISION, encode};

const PATIENCE: Duration = Duration::from_secs(20);

struct Member {
    peers: Peers,
    events: mpsc::Receiver<PeerEvent>,
}

fn join(folder: &Path) -> Member {
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let peers = Peers::join(folder, move |event| _ = sender.lock().send(event)).expect("it joins");
    Member { peers, events }
}

impl Member {
    /// Waits for an event; skips others.
    fn wait<R>(&self, what: &str, find: impl Fn(&PeerEvent) -> Option<R>) -> R {
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no {what}: {e}"));
            if let Some(found) = find(&event) {
                return found;
            }
        }
    }

    fn meets(&self, other: &Self) {
        let id = other.peers.id();
        if !self.peers.connected().contains(&id) {
            let joined = |event: &PeerEvent| matches!(event, PeerEvent::Joined { peer, .. } if *peer == id);
            self.wait("peer", |event| joined(event).then_some(()));
        }
    }

    fn hears(&self) -> (PeerId, String, Value) {
        self.wait("message", |event| match event {
            PeerEvent::Message { peer, channel, content } => Some((*peer, channel.clone(), content.clone())),
            _ => None,
        })
    }

    fn sees(&self, name: &str) -> Value {
        self.wait("value", |event| match event {
            PeerEvent::Mirrored { name: of, value, .. } if of == name => Some(value.clone()),
            _ => None,
        })
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("unused")).expect("a folder");
    folder
}

/// Three members that know each other.
fn three(folder: &Path) -> [Member; 3] {
    let members = [join(folder), join(folder), join(folder)];
    for one in &members {
        for other in &members {
            if one.peers.id() != other.peers.id() {
                one.meets(other);
            }
        }
    }
    members
}

#[test]
fn messages_reach_the_others_in_order() {
    let folder = folder();
    let [first, second, third] = three(&folder.path().join("peers"));
    for number in 0..200 {
        assert!(first.peers.post("auth", &json!(number)));
    }
    for member in [&second, &third] {
        for number in 0..200 {
            assert_eq!(member.hears(), (first.peers.id(), "auth".to_owned(), json!(number)));
        }
    }
    assert!(second.peers.post("auth", &json!("last")));
    assert_eq!(first.hears().2, json!("last"), "a sender does not hear itself");
}

#[test]
fn latecomer_gets_values_and_no_messages() {
    let folder = folder();
    let first = join(&folder.path().join("peers"));
    first.peers.post("auth", &json!("before"));
    assert!(first.peers.write("theme", json!("dark")));
    let second = join(&folder.path().join("peers"));
    assert_eq!(second.sees("theme"), json!("dark"));
    first.peers.post("auth", &json!("after"));
    assert_eq!(second.hears().2, json!("after"), "there is no replay");
    // The one who wrote it may be gone.
    drop(first);
    let third = join(&folder.path().join("peers"));
    assert_eq!(third.sees("theme"), json!("dark"));
}

#[test]
fn last_writer_decides_everywhere() {
    let folder = folder();
    let [first, second, third] = three(&folder.path().join("peers"));
    assert!(first.peers.offer("range", json!("offered")) && second.peers.offer("range", json!("other")));
    for number in 0..50 {
        assert!(first.peers.write("range", json!(number)) && second.peers.write("range", json!(number + 100)));
    }
    assert!(third.peers.write("end", json!(true)));
    // Each sends a value behind its writes.
    assert!(first.peers.write("end-1", json!(true)) && second.peers.write("end-2", json!(true)));
    for (member, names) in [(&first, ["end-2", "end"]), (&second, ["end-1", "end"])] {
        let mut missing: Vec<&str> = names.to_vec();
        while !missing.is_empty() {
            let name = member.wait("value", |event| match event {
                PeerEvent::Mirrored { name, .. } => Some(name.clone()),
                _ => None,
            });
            missing.retain(|known| *known != name);
        }
    }
    assert_eq!(first.peers.read("range"), second.peers.read("range"));
    assert_ne!(first.peers.read("range"), Some(json!("offered")), "an offer yields to a write");
}

#[test]
fn slow_receiver_loses_the_oldest_and_hears_it() {
    let folder = folder();
    let place = folder.path().join("peers");
    let first = join(&place);
    let mut slow = greeted(&place, first.peers.id());
    first.wait("peer", |event| matches!(event, PeerEvent::Joined { .. }).then_some(()));
    let text = "x".repeat(1_000);
    for number in 0..5_000 {
        assert!(first.peers.post("flood", &json!([number, text])), "the sender is not held up");
    }
    let (mut lost, mut seen) = (0, Vec::new());
    while seen.last() != Some(&4_999) {
        match wire::read(&mut slow) {
            Ok(Packet::Lost { count }) => lost += count,
            Ok(Packet::Message { content, .. }) => seen.push(content[0].as_u64().expect("a number")),
            Ok(_) => {}
            Err(wire::ReadError::Ended | wire::ReadError::Violation(_)) => panic!("the connection has ended"),
        }
    }
    assert!(lost > 0 && seen.len() as u64 + lost == 5_000, "{lost} lost, {} seen", seen.len());
    assert!(seen.is_sorted(), "the newest are kept, in their order");
}

/// Connects as a process of the same user would.
fn stranger(place: &Path, to: PeerId) -> Stream {
    let stream = place::connect(place, to).expect("it is accepted");
    stream.set_recv_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

fn greeted(place: &Path, to: PeerId) -> Stream {
    let mut stream = stranger(place, to);
    let hello = Packet::Hello { revision: REVISION, peer: PeerId(7) };
    stream.write_all(&encode(&hello).expect("a packet")).expect("it is written");
    assert!(matches!(wire::read(&mut stream), Ok(Packet::Hello { .. })));
    stream
}

#[test]
fn violation_ends_that_connection_alone() {
    let folder = folder();
    let place = folder.path().join("peers");
    let (first, second) = (join(&place), join(&place));
    first.meets(&second);
    let too_long = u32::MAX.to_le_bytes().to_vec();
    let framed = |text: &[u8]| [&u32::try_from(text.len()).expect("short").to_le_bytes()[..], text].concat();
    let deep = framed("[".repeat(100_000).as_bytes());
    let epoch = framed(br#"{"is":"value","name":"a","epoch":18446744073709551615,"writer":1,"value":1}"#);
    for bytes in [too_long, framed(b"{"), framed(b"\xff\xfe"), framed(b"{}"), deep, epoch] {
        let mut stream = greeted(&place, first.peers.id());
        stream.write_all(&bytes).expect("it is written");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let violation = first.wait("end", |event| match event {
            PeerEvent::Left { violation, .. } => Some(violation.clone()),
            _ => None,
        });
        assert!(violation.is_some(), "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
    }
    assert_eq!(first.peers.read("a"), None);
    second.peers.post("auth", &json!(1));
    assert_eq!(first.hears().2, json!(1), "the others are still connected");
}

#[test]
fn unknown_packets_and_revisions_do_no_harm() {
    let folder = folder();
    let place = folder.path().join("peers");
    let first = join(&place);
    let mut later = stranger(&place, first.peers.id());
    let hello = Packet::Hello { revision: REVISION + 1, peer: PeerId(9) };
    later.write_all(&encode(&hello).expect("a packet")).expect("it is written");
    let _ = later.read_to_end(&mut Vec::new());
    assert!(first.peers.connected().is_empty());
    let mut newer = greeted(&place, first.peers.id());
    for text in
        [r#"{"is":"from-the-future","with":[1]}"#, r#"{"is":"message","channel":"c","content":2,"more":1}"#]
    {
        newer.write_all(&u32::try_from(text.len()).expect("short").to_le_bytes()).expect("it is written");
        newer.write_all(text.as_bytes()).expect("it is written");
    }
    assert_eq!(first.hears(), (PeerId(7), "c".to_owned(), json!(2)));
}

#[test]
fn stale_sockets_are_removed() {
    let folder = folder();
    let place = folder.path().join("peers");
    let first = join(&place);
    // A socket without a process, and files that are no sockets.
    let stale = place.join("00000000000000aa.sock");
    #[cfg(unix)]
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
    #[cfg(not(unix))]
    std::fs::write(&stale, "").expect("a file");
    std::fs::write(place.join("note.txt"), "").expect("a file");
    std::fs::write(place.join("00000000000000ab.sock"), "").expect("a file");
    let second = join(&place);
    second.meets(&first);
    assert!(!stale.exists());
    assert!(place.join("note.txt").exists());
    drop((first, second));
    let left: Vec<_> = place::others(&place, PeerId(0));
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(unix)]
#[test]
fn folder_of_others_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = folder();
    let open = folder.path().join("open");
    std::fs::create_dir(&open).expect("a folder");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).expect("its rights");
    let link = folder.path().join("link");
    symlink(&open, &link).expect("a link");
    for place in [&open, &link] {
        let refused = Peers::join(place, |_| ()).expect_err("others could use it");
        assert_eq!(refused.code(), "peers-folder-unsafe", "{refused}");
    }
    std::fs::write(folder.path().join("file"), "").expect("a file");
    let refused = Peers::join(&folder.path().join("file"), |_| ()).expect_err("it is no folder");
    assert_eq!(refused.code(), "peers-unavailable", "{refused}");
    let long = folder.path().join("x".repeat(120));
    let refused = Peers::join(&long, |_| ()).expect_err("no socket has so long a path");
    assert_eq!(refused.code(), "peers-unavailable", "{refused}");
}

#[test]
fn members_come_and_go_at_the_same_time() {
    let folder = folder();
    let place = Arc::new(folder.path().join("peers"));
    let watcher = join(&place);
    let threads = (0..8).map(|_| {
        let place = Arc::clone(&place);
        std::thread::Builder::new().spawn(move || {
            for _ in 0..5 {
                let member = join(&place);
                member.peers.post("auth", &json!("hello"));
                member.peers.write("count", json!(1));
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.expect("a thread").join().expect("no panic");
    }
    let last = join(&place);
    last.meets(&watcher);
    watcher.meets(&last);
    last.peers.post("auth", &json!("last"));
    watcher.wait("message", |event| match event {
        PeerEvent::Message { content, .. } => (*content == json!("last")).then_some(()),
        _ => None,
    });
    assert_eq!(last.peers.connected().len(), 1, "those that left are gone");
    assert_eq!(place::others(&place, watcher.peers.id()).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn other_users_cannot_connect() {
    use std::{
        fs::{self, Permissions},
        os::unix::{fs::PermissionsExt, process::CommandExt},
        process::Command,
    };

    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can start a process of another user");
        return;
    }
    let folder = folder();
    let rights =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("its rights");
    rights(folder.path(), 0o755);
    let place = folder.path().join("peers");
    let first = join(&place);
    let program = folder.path().join("program");
    fs::copy("/proc/self/exe", &program).expect("a copy");
    let as_other_user = || {
        let mut command = Command::new(&program);
        command
            .args(["--exact", "tests::stranger_process", "--ignored", "--nocapture"])
            .uid(65_534)
            .gid(65_534);
        command.env("PLACE", &place).env("PEER", first.peers.id().to_string());
        let output = command.output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = as_other_user();
    assert!(said.contains("PermissionDenied"), "{said}");
    // The folder's rights are not the only barrier.
    rights(&place, 0o755);
    rights(&place::path(&place, first.peers.id()), 0o777);
    let said = as_other_user();
    assert!(said.contains("no greeting"), "{said}");
    assert!(first.peers.connected().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by the test above, as another user"]
fn stranger_process() {
    let place = std::path::PathBuf::from(std::env::var_os("PLACE").expect("a folder"));
    let peer = std::env::var("PEER").ok().and_then(|text| u64::from_str_radix(&text, 16).ok());
    match place::connect(&place, PeerId(peer.expect("an identity"))) {
        Ok(mut stream) => {
            let hello = encode(&Packet::Hello { revision: REVISION, peer: PeerId(8) });
            let _ = stream.write_all(&hello.expect("a packet"));
            let greeting = wire::read(&mut stream).is_ok();
            println!("{}", if greeting { "a greeting" } else { "no greeting" });
        }
        Err(error) => println!("{:?}", error.kind()),
    }
}
