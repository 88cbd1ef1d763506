//! Measures messages and mirrored values between two members, and what a stalled member costs the sender.
//!
//! `cargo xtask bench`, or `cargo bench --workspace --bench peers`. The members are in one process; their sockets are
//! those of two.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::{
    env,
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use peers::{PeerEvent, Peers};
use serde_json::json;

const ROUNDS: usize = 10_000;

fn main() {
    // `cargo test --benches` only checks that this program starts.
    if env::args().any(|a| a == "--test") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("peers");
    let join = || {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let peers = Peers::join(&place, move |event| {
            let _ = sender.lock().expect("no reader panics").send((Instant::now(), event));
        });
        (peers.expect("it joins"), events)
    };
    let (first, heard) = join();
    first.write("theme", json!("dark"));
    let began = Instant::now();
    let (second, events) = join();
    let value =
        events.iter().find(|(_, event)| matches!(event, PeerEvent::Mirrored { .. })).expect("the value");
    println!("from joining to the first mirrored value          {:9.1} µs", micros(value.0 - began));
    let _ = heard.iter().find(|(_, event)| matches!(event, PeerEvent::Joined { .. })).expect("the other");
    report("message: from posting to its event", ROUNDS, |_| {
        let began = Instant::now();
        assert!(second.post("auth", &json!({ "signedOut": true })));
        heard.recv().expect("the message").0 - began
    });
    report("value: from writing to its event", ROUNDS, |number| {
        let began = Instant::now();
        assert!(second.write("range", json!(number)));
        heard.recv().expect("the value").0 - began
    });
    stalled(&place, &first);
}

/// Measures posting while one member reads nothing.
#[cfg(unix)]
fn stalled(place: &std::path::Path, first: &Peers) {
    use std::{io::Write as _, os::unix::net::UnixStream};

    let mut socket = UnixStream::connect(place.join(format!("{}.sock", first.id()))).expect("it is accepted");
    let hello = r#"{"is":"hello","revision":1,"peer":7}"#;
    socket.write_all(&u32::try_from(hello.len()).expect("short").to_le_bytes()).expect("it is written");
    socket.write_all(hello.as_bytes()).expect("it is written");
    let until = Instant::now() + Duration::from_secs(5);
    while first.connected().len() < 2 && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(first.connected().len(), 2, "the stalled member is connected");
    let message = json!({ "text": "x".repeat(100) });
    report("posting to one member that reads and one that does not", 20 * ROUNDS, |_| {
        let began = Instant::now();
        assert!(first.post("flood", &message));
        began.elapsed()
    });
}

#[cfg(not(unix))]
fn stalled(_: &std::path::Path, _: &Peers) {}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn report(name: &str, rounds: usize, mut round: impl FnMut(usize) -> Duration) {
    let mut samples: Vec<Duration> = (0..rounds).map(&mut round).collect();
    samples.sort();
    let at = |part: usize| micros(samples[(samples.len() * part / 100).min(samples.len() - 1)]);
    println!("{name:55} median {:9.2} µs   p99 {:9.2} µs   longest {:9.1} µs", at(50), at(99), at(100));
}
