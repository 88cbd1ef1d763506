//! Downloads of libraries.

use std::{fs, time::Duration};

use super::*;
use crate::{
    Digest,
    testing::{library, packed},
};

fn repository() -> (TestSite, TestServer, TestUser, String) {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    let file = site.library_file("remoteHello", "1.0.0");
    server.received();
    (site, server, user, file)
}

fn task() -> Task {
    download("remoteHello", "1.0.0")
}

/// Expects that a task fetches the library.
fn fetched(user: &TestUser) -> Vec<FetchEvent> {
    let mut events = user.events(task());
    let Some(FetchEvent::Fetched(fetched)) = events.pop() else { panic!("{events:?}") };
    let content = fs::read(&fetched.library).expect("library exists");
    assert_eq!(content, library("remoteHello", "1.0.0"));
    assert_eq!(Digest::of_bytes(&content), fetched.sha256);
    let manifest = fs::read_to_string(&fetched.manifest).expect("manifest exists");
    assert!(manifest.contains("remoteHello"));
    assert_eq!(fetched.release.expect("it is of a repository").signer.role, "team");
    let parts: Vec<_> =
        user.tree().into_keys().filter(|path| path.starts_with(user.folder.path().join("part"))).collect();
    assert!(parts.is_empty(), "{parts:?}");
    events
}

#[test]
fn library_is_fetched_once() {
    let (_site, server, user, file) = repository();
    let events = fetched(&user);
    let Some(FetchEvent::Progress { bytes, total }) = events.last() else { panic!("{events:?}") };
    assert_eq!(bytes, total);
    let paths: Vec<_> = server.received().into_iter().map(|request| request.path).collect();
    // The manifest was not wanted before.
    assert_eq!(paths.len(), 2);
    assert_eq!(paths[1], file);
    fetched(&user);
    assert_eq!(server.received(), []);
    // A changed library is fetched again.
    let libraries = user.folder.path().join("libraries");
    let folder = libraries.read_dir().expect("readable").next().expect("one library").expect("readable").path();
    fs::write(folder.join("library"), "1").expect("file is written");
    fetched(&user);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn cut_download_is_continued() {
    let (_site, server, user, file) = repository();
    server.script(&file, [Act::Cut(1_000), Act::Cut(70_000), Act::Hang(70_000), Act::Serve]);
    let mut user = user;
    user.network.stall = Some(400);
    let events = fetched(&user);
    let retries = events.iter().filter(|event| matches!(event, FetchEvent::Retrying { .. })).count();
    assert_eq!(retries, 3);
    let ranges: Vec<_> =
        server.received().into_iter().filter_map(|request| request.headers.get("range").cloned()).collect();
    assert_eq!(ranges, ["bytes=1000-", "bytes=71000-", "bytes=141000-"]);
}

#[test]
fn later_process_continues() {
    let (_site, server, user, file) = repository();
    server.script(&file, [Act::Cut(50_000), Act::Cut(0)]);
    let end = user.run(task());
    assert_eq!(code(&end), ErrorCode::RepoUnreachable, "{end:?}");
    server.received();
    server.script(&file, [Act::Serve]);
    let events = fetched(&user);
    assert!(matches!(events[0], FetchEvent::Progress { bytes: 50_000, .. }), "{events:?}");
    assert_eq!(server.received()[0].headers["range"], "bytes=50000-");
}

#[test]
fn wrong_part_is_replaced() {
    let (site, server, user, file) = repository();
    let part = |content: &[u8]| {
        let digest = Digest::of_bytes(library("remoteHello", "1.0.0"));
        fs::write(user.folder.path().join(format!("part/{digest}.part")), content).expect("part is written");
    };
    let length = site.files[&file].len();
    for content in [vec![1; 1_000], vec![1; length], vec![1; length + 1], vec![1; length - 1]] {
        part(&content);
        fetched(&user);
        fs::remove_dir_all(user.folder.path().join("libraries")).expect("libraries are removed");
    }
    // A complete part needs no request.
    part(&site.files[&file]);
    server.received();
    fetched(&user);
    assert_eq!(server.received().iter().filter(|request| request.path == file).count(), 0);
}

#[test]
fn server_may_ignore_ranges() {
    let (_site, server, user, file) = repository();
    server.script(&file, [Act::Cut(50_000), Act::Whole]);
    fetched(&user);
}

#[test]
fn other_content_is_refused() {
    let (site, server, user, file) = repository();
    let honest = site.files[&file].clone();
    let refused = |code, act: Act| {
        server.script(&file, [act]);
        user.refuses(task(), code);
    };
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = honest.clone();
        change(&mut bytes);
        Act::Bytes(bytes)
    };
    // The manifest is stored with the first attempt.
    server.script(&file, [Act::Status(404, "")]);
    assert_eq!(code(&user.run(task())), ErrorCode::RepoNotFound);
    refused(ErrorCode::ReleaseDigest, changed(|bytes| bytes[1_000] ^= 1));
    refused(ErrorCode::ReleaseLength, changed(|bytes| bytes.push(0)));
    refused(ErrorCode::ReleaseLength, changed(|bytes| bytes.truncate(1_000)));
    refused(ErrorCode::ReleaseLength, changed(Vec::clear));
    refused(ErrorCode::ReleaseLength, Act::Page);
    refused(ErrorCode::ReleaseLength, Act::Endless);
    refused(ErrorCode::RepoNotFound, Act::Status(404, ""));
    refused(ErrorCode::RepoServerError, Act::Status(500, ""));
    server.script(&file, [Act::Serve]);
    fetched(&user);
}

#[test]
fn wrong_continuation_is_fetched_anew() {
    let (site, server, user, file) = repository();
    let mut changed = site.files[&file].clone();
    changed[100] ^= 1;
    server.change(&file, |bytes| *bytes = changed);
    server.script(&file, [Act::Cut(50_000), Act::Cut(0)]);
    user.run(task());
    server.change(&file, |bytes| bytes[100] ^= 1);
    server.script(&file, [Act::Serve]);
    fetched(&user);
    // One that stays wrong is refused.
    let (_site, server, user, file) = repository();
    server.script(&file, [Act::Cut(50_000), Act::Cut(0)]);
    user.run(task());
    server.change(&file, |bytes| bytes[60_000] ^= 1);
    server.script(&file, [Act::Serve]);
    assert_eq!(code(&user.run(task())), ErrorCode::ReleaseDigest);
    let part = user.tree().into_keys().any(|path| path.extension().is_some_and(|end| end == "part"));
    assert!(!part, "a wrong part stays");
}

#[test]
fn other_range_is_refused() {
    let (_site, server, user, file) = repository();
    server.script(&file, [Act::Cut(50_000), Act::OtherRange]);
    assert_eq!(code(&user.run(task())), ErrorCode::RepoServerError);
}

#[test]
fn slow_server_is_given_up_and_continued_later() {
    let (_site, server, mut user, file) = repository();
    server.script(&file, [Act::Cut(50_000), Act::Drip(Duration::from_millis(5))]);
    user.network.stall = Some(300);
    assert_eq!(code(&user.run(task())), ErrorCode::RepoTooSlow);
    server.script(&file, [Act::Serve]);
    let events = fetched(&user);
    assert!(matches!(events[0], FetchEvent::Progress { bytes, .. } if bytes >= 50_000), "{events:?}");
}

#[test]
fn other_unpacked_content_is_refused() {
    let library = library("remoteHello", "1.1.0");
    let longer = [library.clone(), vec![0; 1 << 20]].concat();
    let mut other = library.clone();
    other[7] ^= 1;
    for packed in [
        // A bomb: a hundred megabytes of zeros in a few kilobytes.
        packed(&vec![0; 100 << 20]),
        packed(&longer),
        packed(&library[1..]),
        packed(&other),
        b"not packed at all".to_vec(),
        packed(&library)[..1_000].to_vec(),
    ] {
        let mut site = TestSite::new();
        site.add_packed("remoteHello", "1.1.0", &library, &packed, |_| ());
        site.write();
        let server = TestServer::new(&site.files);
        let user = TestUser::trusting(server.address(), &site);
        user.check();
        user.refuses(download("remoteHello", "1.1.0"), ErrorCode::ReleaseUnpacked);
    }
}

#[test]
fn window_of_packed_library_is_limited() {
    let library = library("remoteHello", "1.1.0");
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("encoder is made");
    encoder.window_log(29).expect("window is set");
    std::io::Write::write_all(&mut encoder, &library).expect("library is packed");
    let packed = encoder.finish().expect("library is packed");
    let mut site = TestSite::new();
    site.add_packed("remoteHello", "1.1.0", &library, &packed, |_| ());
    site.write();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    user.check();
    user.refuses(download("remoteHello", "1.1.0"), ErrorCode::ReleaseUnpacked);
}

#[test]
fn list_of_another_program_is_not_trusted() {
    let (_site, _server, user, _) = repository();
    let mut list = user.list();
    list.releases[0].about.library.sha256 = Digest::of_bytes("forged");
    list.releases[0].about.version = "6.6.6".parse().expect("a version");
    let path = user.folder.path().join("list.json");
    fs::write(path, serde_json::to_vec(&list).expect("JSON")).expect("file is written");
    assert_eq!(code(&user.download("remoteHello", "6.6.6")), ErrorCode::ReleaseUnknown);
    fetched(&user);
}

#[test]
fn download_without_usable_metadata_checks_first() {
    let (mut site, server, user, _) = repository();
    site.add("remoteHello", "1.1.0");
    site.write();
    server.serve(&site.files);
    assert_eq!(code(&user.download("remoteHello", "1.1.0")), ErrorCode::ReleaseUnknown);
    fs::remove_file(user.folder.path().join("metadata.json")).expect("file is removed");
    assert!(matches!(user.download("remoteHello", "1.1.0"), FetchEvent::Fetched(_)));
    assert!(user.folder.path().join("metadata.json").exists());
}

#[cfg(unix)]
#[test]
fn links_in_the_way_are_refused() {
    let digest = Digest::of_bytes(library("remoteHello", "1.0.0"));
    for name in [format!("part/{digest}.part"), format!("libraries/{digest}")] {
        let (_site, _server, user, _) = repository();
        user.check();
        let elsewhere = crate::testing::folder();
        let link = user.folder.path().join(name);
        std::os::unix::fs::symlink(elsewhere.path(), &link).expect("link is created");
        user.refuses(task(), ErrorCode::DeliveryCacheUnsafe);
        fs::remove_file(&link).expect("link is removed");
        std::os::unix::fs::symlink(elsewhere.path().join("none"), link).expect("link is created");
        user.refuses(task(), ErrorCode::DeliveryCacheUnsafe);
        assert_eq!(crate::testing::tree(elsewhere.path()).len(), 0);
    }
}

#[test]
fn check_removes_what_is_not_listed() {
    let (mut site, server, user, _) = repository();
    fetched(&user);
    user.check();
    let path = |name: &str| user.folder.path().join(name);
    let digest = Digest::of_bytes("unknown");
    fs::create_dir(path(&format!("libraries/{digest}"))).expect("folder is created");
    fs::create_dir(path(&format!("libraries/.new-{digest}"))).expect("folder is created");
    for name in [".new-a", "manifests/.new-b", "manifests/0.json", &format!("part/{digest}.part")] {
        fs::write(path(name), "1").expect("file is written");
    }
    site.write();
    server.serve(&site.files);
    user.check();
    let entries = |name: &str| path(name).read_dir().expect("readable").count();
    assert_eq!((entries("libraries"), entries("manifests")), (1, 1));
    assert!(!path(".new-a").exists());
    assert!(!path(&format!("part/{digest}.part")).exists());
}
