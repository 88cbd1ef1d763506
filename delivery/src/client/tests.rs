//! Tests against a server on loopback and repositories signed with fresh keys.

use crate::{
    ErrorCode,
    fetch::{FetchEvent, Task},
    testing::{Act, TestKey, TestServer, TestSite, TestUser, code, download, signed, wanted},
};

mod attacks;
mod downloads;
mod mirrors;
mod publishers;
mod servers;
mod trusting;

/// Returns the number of requests and bytes of a successful check.
fn cost(end: &FetchEvent) -> (u32, u64) {
    match end {
        FetchEvent::Checked { requests, bytes, .. } => (*requests, *bytes),
        end => panic!("{end:?}"),
    }
}

fn is_changed(end: &FetchEvent) -> bool {
    match end {
        FetchEvent::Checked { changed, problems, .. } => {
            assert_eq!(*problems, []);
            *changed
        }
        end => panic!("{end:?}"),
    }
}

#[test]
fn check_stores_list_and_manifest() {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    assert!(!is_changed(&user.check()), "the first list is of the trust");
    site.add("remoteHello", "1.1.0");
    site.write();
    server.serve(&site.files);
    assert!(is_changed(&user.check()));
    let list = user.list();
    assert_eq!((list.root, list.root_version), (site.fingerprint(1), 1));
    assert_eq!(list.repository, server.address());
    let versions: Vec<_> = list.releases.iter().map(|release| release.about.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0"]);
    let newest = list.choose(&wanted("remoteHello")).expect("a release is chosen");
    assert_eq!(newest.signer.role, "team");
    assert_eq!(newest.signer.keys, [site.teams[0].key.id()]);
    let manifest = user.folder.path().join("manifests").join(format!("{}.json", newest.about.manifest.sha256));
    let manifest = std::fs::read_to_string(manifest).expect("manifest is stored");
    assert!(manifest.contains("1.1.0"), "{manifest}");
}

#[test]
fn check_without_news_is_cheap() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    user.check();
    server.received();
    let before = user.tree();
    let end = user.check();
    assert!(!is_changed(&end));
    let (requests, bytes) = cost(&end);
    assert!(requests <= 2 && bytes <= 4_096, "{requests} requests, {bytes} bytes");
    let paths: Vec<_> = server.received().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["metadata/2.root.json", "metadata/timestamp.json"]);
    let changed: Vec<_> =
        user.tree().into_iter().filter(|(path, content)| before.get(path) != Some(content)).collect();
    let list = user.folder.path().join("list.json");
    assert!(changed.iter().all(|(path, _)| *path == list), "{changed:?}");
}

#[test]
fn refreshed_timestamp_costs_no_other_file() {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    site.write_timestamp();
    server.serve(&site.files);
    server.received();
    user.check();
    user.check();
    // The manifest was not wanted before.
    assert_eq!(server.received().len(), 2 + 1 + 2);
}

#[test]
fn folder_is_a_repository() {
    let mut site = TestSite::new();
    let folder = crate::testing::folder();
    let user = TestUser::trusting(site.save(folder.path()), &site);
    site.add("remoteHello", "1.1.0+build.2");
    site.write();
    site.save(folder.path());
    assert!(is_changed(&user.check()));
    assert!(matches!(user.download("remoteHello", "1.1.0+build.2"), FetchEvent::Fetched(_)));
    std::fs::remove_file(folder.path().join("metadata/timestamp.json")).expect("file is removed");
    user.refuses_check(ErrorCode::RepoNotFound);
}

#[test]
fn rotated_keys_are_followed() {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    // The online key and one of the root keys, in two steps.
    site.online = TestKey::new();
    site.next_root();
    site.write_root();
    site.root_keys.push(TestKey::new());
    let old = site.root_keys.remove(0);
    site.next_root();
    site.put_root(signed(&site.root, &[&old, &site.root_keys[0], &site.root_keys[1]]));
    // The versions start again, as after a fast-forward attack.
    site.timestamp.version = std::num::NonZeroU64::MIN;
    site.write();
    server.serve(&site.files);
    assert!(is_changed(&user.check()));
    assert_eq!(user.list().root_version, 3);
    assert_eq!(user.list().root, site.fingerprint(1));
    // From now on, older metadata is refused as before.
    let older = site.files.clone();
    site.write();
    server.serve(&site.files);
    user.check();
    server.serve(&older);
    user.refuses_check(ErrorCode::RepoRollback);
}

#[test]
fn withdrawn_release_is_not_chosen() {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    let library = crate::testing::library("remoteHello", "1.1.0");
    let packed = crate::testing::packed(&library);
    site.add_packed("remoteHello", "1.1.0", &library, &packed, |about| {
        about.withdrawn = Some(crate::release::Withdrawal {
            note: "wrong totals".to_owned(),
            return_to: Some("0.9.0".parse().expect("a version")),
            at: 2,
        });
    });
    site.add("remoteHello", "0.9.0");
    site.write();
    server.serve(&site.files);
    assert!(is_changed(&user.check()));
    let list = user.list();
    let chosen = list.choose(&wanted("remoteHello")).expect("a release is chosen");
    assert_eq!(chosen.about.version.to_string(), "1.0.0");
    // The manifests of the chosen release, and of the one to return to.
    let manifests = user.folder.path().join("manifests").read_dir().expect("folder is readable");
    assert_eq!(manifests.count(), 2);
}
