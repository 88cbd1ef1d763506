//! Copies of repositories.

use std::{fs, path::Path};

use super::*;

fn mirror(user: &TestUser, to: &Path) -> FetchEvent {
    user.run(Task::Mirror { to: to.to_owned() })
}

fn files(end: &FetchEvent) -> u64 {
    match end {
        FetchEvent::Mirrored { files, .. } => *files,
        end => panic!("{end:?}"),
    }
}

fn repository() -> (TestSite, TestServer, TestUser, tempfile::TempDir) {
    let mut site = TestSite::new();
    for _ in 0..2 {
        site.next_root();
        site.write_root();
    }
    site.add("remoteHello", "1.1.0");
    site.write();
    let server = TestServer::new(&site.files);
    let user = TestUser::of(server.address());
    user.run(Task::Check { root: Some(site.fingerprint(2)), wanted: vec![] });
    (site, server, user, crate::testing::folder())
}

#[test]
fn copy_is_a_repository() {
    let (mut site, server, user, to) = repository();
    // Three roots, timestamp, snapshot, targets, a role; two libraries and their manifests.
    assert_eq!(files(&mirror(&user, to.path())), 7 + 4);
    assert_eq!(files(&mirror(&user, to.path())), 0);
    for (name, content) in crate::testing::tree(to.path()) {
        let name = name.strip_prefix(to.path()).expect("below the folder").to_str().expect("UTF-8");
        if name != ".pulse-mirror.lock" {
            assert!(content == site.files[name], "{name}");
        }
    }
    let address = url::Url::from_file_path(to.path()).expect("absolute").to_string();
    // A reader may trust any root.
    let reader = TestUser::trusting(&*address, &site);
    assert!(matches!(reader.download("remoteHello", "1.1.0"), FetchEvent::Fetched(_)));
    site.add("remoteHello", "1.2.0");
    site.write();
    server.serve(&site.files);
    assert_eq!(files(&mirror(&user, to.path())), 4 + 2);
    assert!(is_changed(&reader.check()));
    // A copy of the copy.
    let second = crate::testing::folder();
    assert_eq!(files(&mirror(&reader, second.path())), 7 + 6);
}

#[cfg(unix)]
#[test]
fn web_server_can_read_copy() {
    use std::os::unix::fs::PermissionsExt;
    let (_site, _server, user, to) = repository();
    mirror(&user, to.path());
    for path in crate::testing::tree(to.path()).into_keys().filter(|path| !path.ends_with(".pulse-mirror.lock"))
    {
        let mode = path.metadata().expect("file exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{}", path.display());
    }
}

#[test]
fn copy_is_continued() {
    let (site, server, user, to) = repository();
    let file = site.library_file("remoteHello", "1.1.0");
    server.script(&file, [Act::Cut(50_000), Act::Cut(0)]);
    assert_eq!(code(&mirror(&user, to.path())), ErrorCode::RepoUnreachable);
    // Readers see nothing before it is complete.
    assert!(!to.path().join("metadata/timestamp.json").exists());
    server.script(&file, [Act::Serve]);
    server.received();
    mirror(&user, to.path());
    let range = server.received().into_iter().find(|request| request.path == file).expect("it is requested");
    assert_eq!(range.headers["range"], "bytes=50000-");
    // A damaged file is replaced.
    fs::write(to.path().join(&file), "1").expect("file is written");
    assert_eq!(files(&mirror(&user, to.path())), 1);
}

#[test]
fn other_folders_are_not_touched() {
    let (mut site, server, user, to) = repository();
    let refused = |user: &TestUser, code| {
        let before = crate::testing::tree(to.path());
        assert_eq!(self::code(&mirror(user, to.path())), code);
        assert!(before == crate::testing::tree(to.path()));
    };
    fs::write(to.path().join("holiday.jpg"), "1").expect("file is written");
    refused(&user, ErrorCode::SiteOccupied);
    fs::remove_file(to.path().join("holiday.jpg")).expect("file is removed");
    let older = TestServer::new(&site.files);
    mirror(&user, to.path());
    // Another repository.
    let other = TestSite::new();
    let stranger = TestServer::new(&other.files);
    refused(&TestUser::trusting(stranger.address(), &other), ErrorCode::SiteOccupied);
    // An older state, for a user who has not seen the newer one.
    site.write();
    server.serve(&site.files);
    mirror(&user, to.path());
    let unaware = TestUser::of(older.address());
    unaware.run(Task::Check { root: Some(site.fingerprint(1)), wanted: vec![] });
    refused(&unaware, ErrorCode::RepoRollback);
    // A concurrent copy.
    let lock = fs::File::open(to.path().join(".pulse-mirror.lock")).expect("lock file exists");
    lock.lock().expect("lock is free");
    refused(&user, ErrorCode::SiteBusy);
}

#[test]
fn copy_leaves_out_what_a_check_leaves_out() {
    let (mut site, server, user, to) = repository();
    site.add_team("evil", &["remoteEvil"]);
    site.add("remoteEvil", "1.0.0");
    site.teams[1].targets.expires = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    site.write();
    server.serve(&site.files);
    // The role is part of the metadata, and its targets are not copied.
    assert_eq!(files(&mirror(&user, to.path())), 8 + 4);
    assert!(!to.path().join("targets/remoteEvil").exists());
}

#[test]
fn root_that_leads_nowhere_is_refused() {
    let (site, server, user, to) = repository();
    let other = TestSite::new();
    server.change("metadata/1.root.json", |bytes| bytes.clone_from(&other.files["metadata/1.root.json"]));
    assert_eq!(code(&mirror(&user, to.path())), ErrorCode::RepoSignature);
    assert!(!to.path().join("metadata/timestamp.json").exists());
    drop(site);
}
