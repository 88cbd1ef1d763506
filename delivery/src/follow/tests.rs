//! Following over real connections: the server of this crate, and hostile ones.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use tempfile::TempDir;

use super::*;
use crate::{
    fetch::{Network, Task},
    serve::{
        DevServer,
        tests::{build, on, server},
    },
};

mod hostile;

const PATIENCE: Duration = Duration::from_secs(30);

/// Short pauses; limits that no step of these tests reaches by itself.
const QUICK: Pace =
    Pace { first_pause: Duration::from_millis(5), longest_pause: Duration::from_millis(20), ..Pace::REAL };

fn request(address: &str, cache: &TempDir) -> Request {
    let (address, cache) = (address.to_owned(), cache.path().to_owned());
    Request { task: Task::Follow, address, cache, network: Network::default() }
}

/// A follower on a thread, which ends at its next event after this is dropped.
struct Following(mpsc::Receiver<FetchEvent>);

impl Following {
    fn start(address: &str, cache: &TempDir) -> Self {
        Self::with(address, cache, QUICK)
    }

    fn with(address: &str, cache: &TempDir, pace: Pace) -> Self {
        let mut follower = Follower::new(&request(address, cache), pace).expect("a good address");
        let (sender, events) = mpsc::channel();
        let run = move || {
            follower.run(&mut |event| match sender.send(event) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            });
        };
        thread::Builder::new().name("follow".to_owned()).spawn(run).expect("a thread");
        Self(events)
    }

    fn next(&self) -> FetchEvent {
        self.0.recv_timeout(PATIENCE).expect("an event")
    }

    /// Waits for a build, whose files must be complete.
    fn fetched(&self) -> Fetched {
        let event = self.next();
        let FetchEvent::Fetched(fetched) = event else { panic!("{event:?}") };
        assert_eq!(Digest::of_bytes(fs::read(&fetched.library).expect("a library")), fetched.sha256);
        let manifest = fs::read_to_string(&fetched.manifest).expect("a manifest");
        assert_eq!(RemoteManifest::from_json(&manifest).expect("valid").name, fetched.name);
        *fetched
    }

    fn lost(&self) -> (String, DeliveryError) {
        let event = self.next();
        let FetchEvent::Lost { name, error } = event else { panic!("{event:?}") };
        (name, error)
    }

    /// Waits for the end of a list; returns the number of requests.
    fn checked(&self) -> u32 {
        let event = self.next();
        let FetchEvent::Checked { requests, .. } = event else { panic!("{event:?}") };
        requests
    }
}

fn cache() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn publish(server: &DevServer, version: &str, content: &[u8]) {
    server.publish(build("remoteA", version, content)).expect("it is published");
}

#[test]
fn each_build_is_fetched_once() {
    let (cache, server) =
        (cache(), server([build("remoteA", "1.0.0", b"a"), build("remote Ü", "2.0.0", b"b")]));
    let following = Following::start(&server.url(), &cache);
    let (first, second) = (following.fetched(), following.fetched());
    assert_eq!((&*first.name, &*second.name, first.release), ("remote Ü", "remoteA", None));
    assert_eq!(following.checked(), 5);
    publish(&server, "1.0.1", b"c");
    let next = following.fetched();
    assert_eq!(next.version.to_string(), "1.0.1");
    assert!(next.library.starts_with(cache.path().join("dev")));
    // The same build, and the same library with another manifest.
    publish(&server, "1.0.1", b"c");
    publish(&server, "1.0.2", b"c");
    let next = following.fetched();
    assert_eq!((next.version.to_string(), next.sha256), ("1.0.2".to_owned(), Digest::of_bytes("c")));
    // A later process downloads only the manifests, and the library that is damaged.
    assert_eq!(Following::start(&server.url(), &cache).0.iter().take(3).count(), 3);
    fs::write(&next.library, b"x").expect("it can be damaged");
    let later = Following::start(&server.url(), &cache);
    later.fetched();
    later.fetched();
    assert_eq!(later.checked(), 1 + 2 + 1);
}

#[test]
fn removed_remote_is_lost_until_it_is_built() {
    let (cache, server) = (cache(), server([build("remoteA", "1.0.0", b"a")]));
    let following = Following::start(&server.url(), &cache);
    following.fetched();
    following.checked();
    server.withdraw("remoteA", "its file was removed");
    let (name, error) = following.lost();
    assert_eq!((&*name, error.code), ("remoteA", ErrorCode::ReleaseUnknown));
    assert!(error.summary.contains("its file was removed"), "{error}");
    publish(&server, "1.0.0", b"a");
    following.fetched();
}

#[test]
fn server_may_start_late_and_restart() {
    let cache = cache();
    let first = server([]);
    let (port, url) = (first.address().port(), first.url());
    drop(first);
    let following = Following::start(&url, &cache);
    let (name, error) = following.lost();
    assert_eq!((&*name, error.code), ("", ErrorCode::RepoUnreachable));
    for round in 0..3 {
        let changing = build("remoteB", &format!("1.0.{round}"), &[round]);
        let server = on(port, [build("remoteA", "1.0.0", b"same"), changing]);
        if round == 0 {
            assert_eq!(following.fetched().name, "remoteA");
        }
        // What has not changed is not reported again.
        assert_eq!(following.fetched().name, "remoteB");
        following.checked();
        drop(server);
        let (name, error) = following.lost();
        assert_eq!((&*name, error.code), ("", ErrorCode::RepoUnreachable));
    }
    assert!(following.0.recv_timeout(QUICK.longest_pause * 5).is_err(), "the end is reported once");
}

#[test]
fn many_shells_share_one_cache() {
    let (cache, server) = (cache(), server([build("remoteA", "1.0.0", b"a")]));
    let followings: Vec<_> = (0..30).map(|_| Following::start(&server.url(), &cache)).collect();
    for following in &followings {
        following.fetched();
        following.checked();
    }
    for version in ["1.0.1", "1.0.2"] {
        publish(&server, version, version.repeat(100_000).as_bytes());
        for following in &followings {
            assert_eq!(following.fetched().version.to_string(), version);
        }
    }
    let left = fs::read_dir(cache.path().join("dev")).expect("a folder").flatten();
    let staged = left.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count();
    assert_eq!(staged, 0, "unfinished files are left");
}

#[test]
fn library_appears_complete_or_not_at_all() {
    let (cache, server) = (cache(), server([]));
    let following = Following::start(&server.url(), &cache);
    following.checked();
    let (done, folder) = (Arc::new(AtomicBool::new(false)), cache.path().join("dev"));
    let ended = Arc::clone(&done);
    let look = move || {
        let mut seen = 0;
        while !ended.load(Ordering::Acquire) {
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                let digest = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
                let content = digest.and_then(|_| fs::read(entry.path().join("library")).ok());
                if let (Some(digest), Some(content)) = (digest, content) {
                    assert_eq!(Digest::of_bytes(content), digest);
                    seen += 1;
                }
            }
        }
        seen
    };
    let looker = thread::Builder::new().spawn(look).expect("a thread");
    for number in 0..8_u8 {
        publish(&server, &format!("1.0.{number}"), &vec![number; 1 << 20]);
        following.fetched();
    }
    done.store(true, Ordering::Release);
    assert!(looker.join().expect("every library is complete") > 0);
}

#[test]
fn rapid_builds_end_with_the_newest() {
    let (cache, server) = (cache(), server([]));
    let following = Following::start(&server.url(), &cache);
    following.checked();
    for number in 0..200 {
        publish(&server, &format!("1.0.{number}"), &vec![number as u8; 10_000 + number]);
    }
    // Builds in between may be skipped, or be replaced while they are fetched.
    let newest = |event: &FetchEvent| match event {
        FetchEvent::Fetched(fetched) => fetched.version.to_string() == "1.0.199",
        FetchEvent::Lost { name, error } => panic!("{name}: {error}"),
        _ => false,
    };
    while !newest(&following.next()) {}
}

#[test]
fn old_builds_are_removed_after_a_while() {
    let cache = cache();
    let store = DevStore::open(cache.path()).expect("a store");
    let address = DevAddress::parse("http://localhost:1/", Pace::REAL).expect("an address");
    let (now, day) = (std::time::SystemTime::now(), Duration::from_hours(24));
    let mut folders = Vec::new();
    for (name, number) in [("remoteA", 1), ("remoteA", 2), ("remoteA", 3), ("remoteB", 4), ("remoteB", 5)] {
        let content = [number];
        let stated = Stated { sha256: Digest::of_bytes(content), length: 1 };
        store.put(stated, &mut &content[..], &address).expect("it is stored");
        let manifest = build(name, "1.0.0", b"").manifest;
        let (library, manifest) = store.describe(stated.sha256, &manifest).expect("it is stored");
        let file = fs::File::options().write(true).open(manifest).expect("a manifest");
        file.set_modified(now - day + Duration::from_secs(number.into())).expect("times can be set");
        folders.push(library.parent().expect("a folder").to_owned());
    }
    let there = || folders.iter().map(|folder| folder.exists()).collect::<Vec<_>>();
    // The third is in use; the oldest of the others goes.
    store.tidy(&BTreeSet::from([Digest::of_bytes([3])]));
    assert_eq!(there(), [false, true, true, false, true]);
    // Others may be copying a recent one.
    store.put(Stated { sha256: Digest::of_bytes([1]), length: 1 }, &mut &[1][..], &address).expect("stored");
    let manifest = build("remoteA", "1.0.0", b"").manifest;
    store.describe(Digest::of_bytes([1]), &manifest).expect("it is stored");
    store.tidy(&BTreeSet::from([Digest::of_bytes([3])]));
    assert_eq!(there(), [true, false, true, false, true]);
}

#[test]
fn files_of_ended_processes_are_removed() {
    let cache = cache();
    let path = |name: &str| cache.path().join("dev").join(name);
    DevStore::open(cache.path()).expect("a store");
    for name in [".new-ended", ".new-running", "other"] {
        fs::write(path(name), "x").expect("it can be written");
    }
    let running = fs::File::open(path(".new-running")).expect("it is there");
    running.lock().expect("it can be locked");
    DevStore::open(cache.path()).expect("a store");
    assert_eq!([".new-ended", ".new-running", "other"].map(|name| path(name).exists()), [false, true, true]);
}

#[cfg(unix)]
#[test]
fn links_in_the_cache_are_refused() {
    use std::os::unix::fs::symlink;
    let (elsewhere, server) = (cache(), server([build("remoteA", "1.0.0", b"a")]));
    let linked = cache();
    symlink(elsewhere.path(), linked.path().join("dev")).expect("links can be made");
    let error = Follower::new(&request(&server.url(), &linked), QUICK).err().expect("a link");
    assert_eq!(error.code, ErrorCode::DeliveryCacheUnsafe);
    let folder = PathBuf::from("dev").join(Digest::of_bytes("a").to_string());
    for link in [folder.clone(), folder.join("library"), folder.join("manifest.json")] {
        let cache = cache();
        let link = cache.path().join(link);
        fs::create_dir_all(link.parent().expect("a folder")).expect("folders can be made");
        symlink(elsewhere.path(), link).expect("links can be made");
        let following = Following::start(&server.url(), &cache);
        let (name, error) = following.lost();
        assert_eq!((&*name, error.code), ("remoteA", ErrorCode::DeliveryCacheUnsafe));
        following.checked();
    }
    assert_eq!(fs::read_dir(elsewhere.path()).expect("a folder").count(), 0);
}

#[test]
fn missing_cache_is_an_error_at_once() {
    let cache = cache();
    let mut request = request("http://localhost:1/", &cache);
    request.cache.push("missing/folder");
    let error = run(&request, &mut |event| panic!("{event:?}")).expect_err("no cache");
    assert_eq!(error.code, ErrorCode::DeliveryCacheFailed);
    request.address = "http://example.org/".to_owned();
    let error = run(&request, &mut |event| panic!("{event:?}")).expect_err("another machine");
    assert_eq!(error.code, ErrorCode::DevNotLoopback);
}
