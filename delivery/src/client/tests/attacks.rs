//! Attacks on metadata: each is refused with a code of its own, and nothing changes on the disk.

use jiff::{SignedDuration, Timestamp};

use super::*;

/// A user who has seen two states of a repository.
fn repository() -> (TestSite, TestServer, TestUser) {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    site.add("remoteHello", "1.1.0");
    site.write();
    server.serve(&site.files);
    assert!(is_changed(&user.check()));
    (site, server, user)
}

/// Publishes 1.2.0, lets `attack` change it, and expects a refusal; afterwards the true state is accepted.
fn attack(code: ErrorCode, attack: impl FnOnce(&mut TestSite)) {
    let (mut site, server, user) = repository();
    site.add("remoteHello", "1.2.0");
    site.write();
    let honest = site.files.clone();
    attack(&mut site);
    server.serve(&site.files);
    user.refuses_check(code);
    server.serve(&honest);
    assert!(is_changed(&user.check()), "the attack has left a trace");
}

#[test]
fn older_metadata_is_refused() {
    let (mut site, server, user) = repository();
    let older = site.files.clone();
    site.write();
    server.serve(&site.files);
    user.check();
    server.serve(&older);
    user.refuses_check(ErrorCode::RepoRollback);
}

#[test]
fn older_version_of_remote_is_refused() {
    attack(ErrorCode::RepoRollback, |site| {
        // A new snapshot that names the older role of the publisher.
        let bytes = &site.files["metadata/1.team.json"];
        let meta = crate::testing::metafile(bytes, std::num::NonZeroU64::MIN);
        site.snapshot.meta.insert("team.json".to_owned(), meta);
        site.write_snapshot();
    });
}

#[test]
fn snapshot_without_publisher_is_refused() {
    attack(ErrorCode::RepoRollback, |site| {
        site.snapshot.meta.remove("team.json");
        site.write_snapshot();
    });
}

#[test]
fn expired_metadata_is_refused() {
    let (mut site, server, user) = repository();
    let expired = Timestamp::now() - SignedDuration::from_hours(1);
    let honest = site.timestamp.clone();
    site.timestamp.expires = expired;
    site.write_timestamp();
    server.serve(&site.files);
    user.refuses_check(ErrorCode::RepoExpired);
    let FetchEvent::Failed(error) = user.check() else { panic!("it is accepted") };
    assert!(error.summary.contains(&format!("since {expired}")), "{error}");
    // Also the other files, one after another.
    site.timestamp = honest;
    site.snapshot.expires = expired;
    site.write();
    server.serve(&site.files);
    user.refuses_check(ErrorCode::RepoExpired);
    site.snapshot.expires = site.timestamp.expires;
    site.targets.expires = expired;
    site.write();
    server.serve(&site.files);
    user.refuses_check(ErrorCode::RepoExpired);
    site.targets.expires = site.timestamp.expires;
    site.root.expires = expired;
    site.next_root();
    site.write_root();
    site.write();
    server.serve(&site.files);
    user.refuses_check(ErrorCode::RepoExpired);
}

#[test]
fn mixed_metadata_is_refused() {
    for name in ["snapshot", "targets", "team"] {
        let file = |version: u64| format!("metadata/{version}.{name}.json");
        attack(ErrorCode::RepoMixed, |site| {
            let older = site.files[&file(2)].clone();
            site.files.insert(file(3), older);
        });
    }
}

#[test]
fn changed_bit_is_refused() {
    let (mut site, server, user) = repository();
    site.add("remoteHello", "1.2.0");
    site.next_root();
    site.write_root();
    site.write();
    for name in ["2.root", "timestamp", "3.snapshot", "3.targets", "3.team"] {
        let file = format!("metadata/{name}.json");
        let length = site.files[&file].len();
        // Positions in keys, texts, numbers and signatures; not the first, which decides if it is JSON.
        for at in (1..length).step_by(length / 11) {
            server.serve(&site.files);
            server.change(&file, |bytes| bytes[at] ^= 1);
            let before = user.tree();
            let refused = code(&user.check());
            let expected = [
                ErrorCode::RepoSignature,
                ErrorCode::RepoThreshold,
                ErrorCode::RepoMixed,
                ErrorCode::RepoNotMetadata,
            ];
            assert!(expected.contains(&refused), "{file} at {at}: {refused}");
            assert!(before == user.tree(), "{file} at {at}");
        }
    }
    server.serve(&site.files);
    assert!(is_changed(&user.check()));
}

#[test]
fn unsigned_change_is_refused() {
    attack(ErrorCode::RepoSignature, |site| {
        site.online = TestKey::new();
        site.write_timestamp();
    });
    attack(ErrorCode::RepoSignature, |site| {
        let timestamp = signed(&site.timestamp, &[]);
        site.files.insert("metadata/timestamp.json".to_owned(), timestamp);
    });
}

#[test]
fn root_below_threshold_is_refused() {
    attack(ErrorCode::RepoThreshold, |site| {
        site.next_root();
        let root = signed(&site.root, &[&site.root_keys[0]]);
        site.put_root(root);
    });
    // The same key twice is one signature.
    attack(ErrorCode::RepoSignature, |site| {
        site.next_root();
        let root = signed(&site.root, &[&site.root_keys[0], &site.root_keys[0]]);
        site.put_root(root);
    });
}

#[test]
fn revoked_key_is_refused() {
    let (mut site, server, user) = repository();
    let revoked = std::mem::replace(&mut site.online, TestKey::new());
    site.next_root();
    site.write_root();
    let mut honest = site.files.clone();
    let timestamp = signed(&site.timestamp, &[&revoked]);
    site.files.insert("metadata/timestamp.json".to_owned(), timestamp.clone());
    server.serve(&site.files);
    user.refuses_check(ErrorCode::RepoKeyRevoked);
    // Also after the new root was accepted.
    site.write();
    honest.extend(site.files.clone());
    server.serve(&honest);
    assert!(!matches!(user.check(), FetchEvent::Failed(_)));
    server.change("metadata/timestamp.json", |bytes| *bytes = timestamp);
    user.refuses_check(ErrorCode::RepoKeyRevoked);
}

#[test]
fn revoked_root_key_is_refused() {
    let (mut site, server, user) = repository();
    let old = site.root_keys.remove(0);
    site.root_keys.push(TestKey::new());
    site.next_root();
    let root = signed(&site.root, &[&old, &site.root_keys[0], &site.root_keys[1]]);
    site.put_root(root);
    server.serve(&site.files);
    user.check();
    site.next_root();
    let root = signed(&site.root, &[&old, &site.root_keys[0]]);
    site.put_root(root);
    server.serve(&site.files);
    user.refuses_check(ErrorCode::RepoKeyRevoked);
}

#[test]
fn older_root_under_new_name_is_refused() {
    attack(ErrorCode::RepoRollback, |site| {
        let root = site.files["metadata/1.root.json"].clone();
        site.next_root();
        site.put_root(root);
    });
}

#[test]
fn endless_metadata_is_refused() {
    for name in ["2.root.json", "timestamp.json", "3.snapshot.json", "3.targets.json", "3.team.json"] {
        let (mut site, server, user) = repository();
        site.write();
        server.serve(&site.files);
        server.script(&format!("metadata/{name}"), [Act::Endless]);
        user.refuses_check(ErrorCode::RepoTooLarge);
    }
}

#[test]
fn longer_metadata_than_stated_is_refused() {
    for name in ["3.snapshot.json", "3.targets.json", "3.team.json"] {
        attack(ErrorCode::RepoMixed, |site| {
            let file = site.files.get_mut(&format!("metadata/{name}")).expect("file exists");
            file.push(b' ');
        });
    }
}

#[test]
fn clock_set_back_is_refused() {
    let (site, _server, user) = repository();
    let path = user.folder.path().join("list.json");
    let mut list = user.list();
    list.checked += 3_600;
    std::fs::write(path, serde_json::to_vec(&list).expect("JSON")).expect("file is written");
    user.refuses_check(ErrorCode::RepoClock);
    drop(site);
}

#[test]
fn repository_without_consistent_snapshots_is_refused() {
    attack(ErrorCode::RepoNotMetadata, |site| {
        site.next_root();
        site.root.consistent_snapshot = false;
        site.write_root();
        for name in ["snapshot", "targets", "team"] {
            let file = site.files[&format!("metadata/3.{name}.json")].clone();
            site.files.insert(format!("metadata/{name}.json"), file);
        }
    });
}

#[test]
fn link_in_cache_is_refused() {
    #[cfg(unix)]
    for name in ["list.json", "metadata.json", "root.json", "part", "manifests", "libraries"] {
        let (_site, _server, user) = repository();
        let path = user.folder.path().join(name);
        let elsewhere = crate::testing::folder();
        let target = elsewhere.path().join("target");
        std::fs::rename(&path, &target).expect("entry is moved");
        std::os::unix::fs::symlink(&target, &path).expect("link is created");
        let before = crate::testing::tree(elsewhere.path());
        user.refuses_check(ErrorCode::DeliveryCacheUnsafe);
        assert!(before == crate::testing::tree(elsewhere.path()), "{name}");
    }
}

#[test]
fn damaged_cache_is_not_replaced_silently() {
    let (_site, _server, user) = repository();
    let path = user.folder.path().join("metadata.json");
    std::fs::write(path, "{").expect("file is written");
    user.refuses_check(ErrorCode::DeliveryCacheFailed);
}
