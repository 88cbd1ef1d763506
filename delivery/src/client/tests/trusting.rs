//! The first trust.

use super::*;
use crate::Digest;

#[test]
fn server_offers_its_first_root() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::of(server.address());
    let FetchEvent::Offered { root, keys, threshold: 2 } = user.run(Task::Offer) else {
        panic!("nothing is offered")
    };
    assert_eq!(root, site.fingerprint(1));
    assert_eq!(keys, site.root_keys.iter().map(TestKey::id).collect::<Vec<_>>());
    assert_eq!(user.tree().len(), 0);
    user.refuses_check(ErrorCode::RepoUntrusted);
    user.refuses(download("remoteHello", "1.0.0"), ErrorCode::RepoUntrusted);
}

#[test]
fn any_root_may_be_trusted() {
    let mut site = TestSite::new();
    for _ in 0..2 {
        site.next_root();
        site.write_root();
    }
    let server = TestServer::new(&site.files);
    let user = TestUser::of(server.address());
    let end = user.run(Task::Check { root: Some(site.fingerprint(2)), wanted: vec![] });
    assert!(is_changed(&end));
    assert_eq!((user.list().root, user.list().root_version), (site.fingerprint(2), 3));
    // Trusting the same root again is a check.
    assert!(!is_changed(&user.run(Task::Check { root: Some(site.fingerprint(2)), wanted: vec![] })));
    // Another root of the same repository is trusted from now on.
    assert!(is_changed(&user.run(Task::Check { root: Some(site.fingerprint(1)), wanted: vec![] })));
    assert_eq!((user.list().root, user.list().root_version), (site.fingerprint(1), 3));
    assert!(!is_changed(&user.check()));
}

#[test]
fn first_check_with_a_root_fetches_manifests() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::of(server.address());
    let root = Some(site.fingerprint(1));
    let end = user.run(Task::Check { root, wanted: vec![wanted("remoteHello")] });
    assert!(is_changed(&end), "{end:?}");
    let list = user.list();
    let chosen = list.choose(&wanted("remoteHello")).expect("a release");
    let manifest = format!("manifests/{}.json", chosen.about.manifest.sha256);
    assert!(user.folder.path().join(manifest).is_file());
    assert!(!is_changed(&user.check()), "the root is trusted from now on");
}

#[test]
fn other_fingerprint_is_refused() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::of(server.address());
    let root = Some(Digest::of_bytes("another"));
    user.refuses(Task::Check { root, wanted: vec![] }, ErrorCode::RepoRootMismatch);
    assert_eq!(user.tree().len(), 0);
    // A former trust stays.
    let user = TestUser::trusting(server.address(), &site);
    user.refuses(Task::Check { root, wanted: vec![] }, ErrorCode::RepoRootMismatch);
    assert!(!is_changed(&user.check()));
}

#[test]
fn trust_without_valid_metadata_stores_nothing() {
    let mut site = TestSite::new();
    site.online = TestKey::new();
    site.write();
    let server = TestServer::new(&site.files);
    let user = TestUser::of(server.address());
    user.refuses(Task::Check { root: Some(site.fingerprint(1)), wanted: vec![] }, ErrorCode::RepoSignature);
    assert_eq!(user.tree().len(), 0);
    let mut site = TestSite::new();
    site.put_root(signed(&site.root, &[]));
    server.serve(&site.files);
    user.refuses(Task::Offer, ErrorCode::RepoSignature);
    user.refuses(Task::Check { root: Some(site.fingerprint(1)), wanted: vec![] }, ErrorCode::RepoSignature);
}

#[test]
fn login_page_is_no_root() {
    let site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::of(server.address());
    server.script("metadata/1.root.json", [Act::Page]);
    user.refuses(Task::Offer, ErrorCode::RepoNotMetadata);
    user.refuses(Task::Check { root: Some(site.fingerprint(1)), wanted: vec![] }, ErrorCode::RepoNotMetadata);
}

#[test]
fn other_repository_is_not_continued() {
    let (site, other) = (TestSite::new(), TestSite::new());
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    // The repository was made anew, with other keys.
    server.serve(&other.files);
    assert!(matches!(user.check(), FetchEvent::Failed(_)));
    assert!(is_changed(&user.run(Task::Check { root: Some(other.fingerprint(1)), wanted: vec![] })));
    assert_eq!(user.list().root, other.fingerprint(1));
    assert!(!is_changed(&user.check()));
}
