//! Faults of one publisher, which do not affect the others.

use jiff::{SignedDuration, Timestamp};
use tough::{TargetName, schema::Target};

use super::*;
use crate::{
    release::{Description, Withdrawal},
    testing::{content, library, packed},
};

/// Publishes `remoteHello` by `team` and `remoteEvil` by `evil`, lets `fault` change the latter, and expects that it is
/// left out with a code, and that the other publisher is not.
fn left_out(code: ErrorCode, fault: impl FnOnce(&mut TestSite)) {
    let mut site = TestSite::new();
    site.add_team("evil", &["remoteEvil"]);
    site.add("remoteEvil", "1.0.0");
    site.write();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    site.add("remoteHello", "1.1.0");
    fault(&mut site);
    server.serve(&site.files);
    let end = user.run(Task::Check { root: None, wanted: vec![wanted("remoteHello"), wanted("remoteEvil")] });
    let FetchEvent::Checked { changed: true, problems, .. } = end else { panic!("{end:?}") };
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code], "{problems:?}");
    let list = user.list();
    assert_eq!(list.choose(&wanted("remoteHello")).expect("chosen").about.version.to_string(), "1.1.0");
    assert_eq!(list.choose(&wanted("remoteEvil")).expect_err("left out").code, code);
    assert!(matches!(user.download("remoteHello", "1.1.0"), FetchEvent::Fetched(_)));
    user.refuses(download("remoteEvil", "1.0.0"), code);
}

/// Lists a target in the file of `evil`, and publishes.
fn lists(site: &mut TestSite, path: &str) {
    let target = Target { custom: std::collections::HashMap::new(), ..crate::testing::target(b"1") };
    site.teams[1].targets.targets.insert(TargetName::new(path).expect("tough accepts the name"), target);
    site.write();
}

#[test]
fn path_of_another_publisher_is_refused() {
    left_out(ErrorCode::ReleasePublisher, |site| lists(site, "remoteHello/9.0.0/manifest.json"));
}

#[test]
fn unsafe_paths_are_refused() {
    // The tests of `ReleasePath` know more of them.
    for path in
        ["remoteEvil/../../remoteHello/1.0.0/manifest.json", "/remoteEvil/1.0.0/manifest.json", "con/1.0.0/x"]
    {
        left_out(ErrorCode::ReleasePath, |site| lists(site, path));
    }
}

#[test]
fn unreadable_path_is_refused() {
    // tough does not make a target with such a name, and does not read one.
    left_out(ErrorCode::ReleasePath, |site| {
        site.write();
        let team = &site.teams[1];
        let text = String::from_utf8(signed(&team.targets, &[&team.key])).expect("UTF-8");
        let bytes = text.replacen(
            "\"targets\":{",
            "\"targets\":{\"..\":{\"length\":1,\"hashes\":{\"sha256\":\"00\"}},",
            1,
        );
        site.put_role(1, bytes.as_bytes());
        site.write_top();
    });
}

#[test]
fn paths_that_differ_in_case_are_refused() {
    left_out(ErrorCode::ReleasePath, |site| {
        site.teams[1].patterns.push("REMOTEHELLO/*/*".to_owned());
        lists(site, "REMOTEHELLO/9.0.0/manifest.json");
    });
    left_out(ErrorCode::ReleasePath, |site| {
        lists(site, "remoteEvil/1.0.0-rc/manifest.json");
        lists(site, "remoteEvil/1.0.0-RC/manifest.json");
    });
}

#[test]
fn first_publisher_of_a_path_counts() {
    let mut site = TestSite::new();
    site.add_team("evil", &["remoteHello"]);
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    let forged = packed(b"forged");
    site.teams.swap(0, 1);
    site.add_packed("remoteHello", "1.0.0", b"forged", &forged, |_| ());
    site.add_packed("remoteHello", "1.1.0", b"forged", &forged, |_| ());
    site.teams.swap(0, 1);
    site.write();
    server.serve(&site.files);
    let FetchEvent::Checked { problems, .. } = user.check() else { panic!("it is refused") };
    assert_eq!(problems[0].code, ErrorCode::ReleasePublisher);
    let signers = |version: &str| {
        let list = user.list();
        let of = list.releases.iter().filter(|release| release.about.version.to_string() == version);
        of.map(|release| release.signer.role.clone()).collect::<Vec<_>>()
    };
    assert_eq!(signers("1.0.0"), ["team"]);
    assert_eq!(signers("1.1.0"), ["evil"]);
}

#[test]
fn faulty_signatures_are_refused() {
    left_out(ErrorCode::RepoSignature, |site| {
        site.write();
        let bytes = signed(&site.teams[1].targets, &[&TestKey::new()]);
        site.put_role(1, &bytes);
        site.write_top();
    });
    left_out(ErrorCode::RepoKeyRevoked, |site| {
        let revoked = std::mem::replace(&mut site.teams[1].key, TestKey::new());
        site.write();
        let bytes = signed(&site.teams[1].targets, &[&revoked]);
        site.put_role(1, &bytes);
        site.write_top();
    });
}

#[test]
fn expired_publisher_is_left_out() {
    left_out(ErrorCode::RepoExpired, |site| {
        site.teams[1].targets.expires = Timestamp::now() - SignedDuration::from_hours(1);
        site.write();
    });
}

#[test]
fn other_version_than_stated_is_left_out() {
    left_out(ErrorCode::RepoMixed, |site| {
        site.write();
        let targets =
            tough::schema::Targets { version: std::num::NonZeroU64::MIN, ..site.teams[1].targets.clone() };
        let bytes = signed(&targets, &[&site.teams[1].key]);
        site.put_role(1, &bytes);
        site.write_top();
    });
}

#[test]
fn too_large_role_is_left_out() {
    for states_length in [true, false] {
        left_out(ErrorCode::RepoTooLarge, |site| {
            site.write();
            let mut bytes = signed(&site.teams[1].targets, &[&site.teams[1].key]);
            bytes.resize(11 << 20, b' ');
            site.put_role(1, &bytes);
            if !states_length {
                site.snapshot.meta.get_mut("evil.json").expect("role is listed").length = None;
            }
            site.write_top();
        });
    }
}

#[test]
fn unreadable_role_is_left_out() {
    for content in ["{}", "[]", "<html>", "", "\u{fffd}"] {
        left_out(ErrorCode::ReleaseInvalid, |site| {
            site.write();
            site.put_role(1, content.as_bytes());
            site.write_top();
        });
    }
}

#[test]
fn invalid_descriptions_are_left_out() {
    let changes: [fn(&mut Description); 10] = [
        |about| about.name = "remoteOther".to_owned(),
        |about| about.version = "2.0.0".parse().expect("a version"),
        |about| about.platform = "a-b-c".to_owned().try_into().expect("a triple"),
        |about| about.manifest = content(b"other"),
        |about| about.library.length = 3 << 30,
        |about| about.library.length = 0,
        |about| about.notes = "a".repeat(2_001),
        |about| about.withdrawn = Some(Withdrawal { note: "a".repeat(2_001), return_to: None, at: 1 }),
        |about| about.channels.clear(),
        |about| about.channels = ["../x".to_owned()].into(),
    ];
    let mut site = TestSite::new();
    for (at, change) in changes.into_iter().enumerate() {
        site.add_packed("remoteHello", &format!("1.1.{at}"), b"library", &packed(b"library"), change);
    }
    site.add("remoteHello", "1.2.0");
    site.write();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    let FetchEvent::Checked { problems, .. } = user.check() else { panic!("it is refused") };
    assert_eq!(problems.len(), changes.len(), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.code == ErrorCode::ReleaseInvalid));
    let versions: Vec<_> =
        user.list().releases.iter().map(|release| release.about.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.2.0"]);
    assert_eq!(code(&user.download("remoteHello", "1.1.0")), ErrorCode::ReleaseInvalid);
}

#[test]
fn manifest_of_another_remote_is_left_out() {
    left_out(ErrorCode::ReleaseInvalid, |site| {
        let manifest = site.files[&site.manifest_file("remoteHello", "1.0.0")].clone();
        let digest = crate::Digest::of_bytes(&manifest);
        let (library, packed) = (library("remoteEvil", "1.0.0"), packed(&library("remoteEvil", "1.0.0")));
        let about = std::cell::RefCell::new(None);
        site.add_packed("remoteEvil", "1.0.0", &library, &packed, |description| {
            description.manifest = content(&manifest);
            *about.borrow_mut() = Some(description.clone());
        });
        site.list("remoteEvil", "remoteEvil/1.0.0/manifest.json", &manifest, None);
        site.files.insert(format!("targets/remoteEvil/1.0.0/{digest}.manifest.json"), manifest);
        site.write();
    });
}

#[test]
fn faulty_manifest_is_left_out() {
    let changed = |change: fn(&mut Vec<u8>)| {
        move |site: &mut TestSite| {
            site.write();
            let file = site.manifest_file("remoteEvil", "1.0.0");
            change(site.files.get_mut(&file).expect("manifest exists"));
        }
    };
    let check = |code, change: fn(&mut Vec<u8>)| {
        let mut site = TestSite::new();
        site.add_team("evil", &["remoteEvil"]);
        site.add("remoteEvil", "1.0.0");
        changed(change)(&mut site);
        let server = TestServer::new(&site.files);
        let user = TestUser::trusting(server.address(), &site);
        let end =
            user.run(Task::Check { root: None, wanted: vec![wanted("remoteEvil"), wanted("remoteHello")] });
        let FetchEvent::Checked { problems, .. } = end else { panic!("{end:?}") };
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code]);
        let list = user.list();
        assert!(list.choose(&wanted("remoteHello")).is_ok());
        assert_eq!(list.choose(&wanted("remoteEvil")).expect_err("left out").code, code);
        assert_eq!(user.folder.path().join("manifests").read_dir().expect("readable").count(), 1);
    };
    check(ErrorCode::ReleaseDigest, |bytes| bytes[3] ^= 1);
    check(ErrorCode::ReleaseLength, |bytes| bytes.push(b' '));
    check(ErrorCode::ReleaseLength, |bytes| bytes.truncate(3));
}

#[test]
fn notes_contain_no_controls() {
    let mut site = TestSite::new();
    let library = library("remoteHello", "1.1.0");
    site.add_packed("remoteHello", "1.1.0", &library, &packed(&library), |about| {
        about.notes = "\u{1b}[31mred\nINFO forged".to_owned();
    });
    site.write();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    assert_eq!(user.list().releases[1].about.notes, "\\u{1b}[31mred\\nINFO forged");
}
