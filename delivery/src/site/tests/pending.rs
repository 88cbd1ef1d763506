use super::*;

#[test]
fn publication_without_online_key_waits() {
    let fixture = Fixture::new();
    let publish = |number: &str| {
        let keys = fixture.ring(&["publisher"]);
        fixture.site.publish(&fixture.artifact("remoteA", number), "stable", "", &keys).expect("it is signed")
    };
    assert!(!publish("1.0.0").visible && !publish("1.1.0").visible);
    assert!(!publish("1.0.0").visible, "the same again waits too");
    assert_eq!(fixture.seen(), [""; 0]);
    let report = fixture.is_fine();
    assert_eq!(report.pending, [PendingFile { role: "main".to_owned(), version: 3 }]);
    let other = artifact(fixture.folder.path(), "remoteA", "1.0.0", "other");
    let refusal = fixture.site.publish(&other, "stable", "", &fixture.ring(&["publisher"]));
    refused(refusal, ErrorCode::ReleaseExists, "");
    let refreshed = fixture.site.refresh(None, &fixture.ring(&["online"])).expect("it is renewed");
    assert_eq!(refreshed.published, [("main".to_owned(), 3)]);
    assert_eq!(fixture.seen().len(), 2);
    assert_eq!(fixture.is_fine().pending, []);
}

#[test]
fn publishers_without_online_key_wait_together() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let keys = fixture.ring(&["targets", "publisher"]);
    let new = fixture.new_key("team");
    let added = fixture.site.add_publisher("team", &["remoteA".to_owned()], new, keys).expect("it is signed");
    assert_eq!((added.visible, added.releases), (false, 1));
    let keys = fixture.ring(&["team"]);
    fixture.site.publish(&fixture.artifact("remoteA", "1.1.0"), "stable", "", &keys).expect("it is signed");
    assert_eq!(fixture.seen().len(), 1);
    fixture.is_fine();
    fixture.site.refresh(None, &fixture.ring(&["online"])).expect("it is renewed");
    assert_eq!(fixture.seen().len(), 2);
    let signer = |report: &SiteReport| report.releases[0].signer.role.clone();
    assert_eq!(signer(&fixture.is_fine()), "team");
    let keys = fixture.ring(&["targets"]);
    assert!(
        !fixture
            .site
            .rotate(&SiteRole::named("team"), &[], fixture.new_key("t2"), keys)
            .expect("it is signed")
            .visible
    );
    let keys = fixture.ring(&["targets"]);
    assert!(!fixture.site.remove_publisher("main", &keys).expect("it is signed").visible);
    fixture.is_fine();
    fixture.site.refresh(None, &fixture.ring(&["online"])).expect("it is renewed");
    assert_eq!(fixture.is_fine().roles.len(), 5);
}

/// Signs a list with a publisher's key and stores it as its next version, as a publisher with other tools may.
pub(super) fn store(fixture: &Fixture, key: &str, change: impl FnOnce(&mut Targets)) {
    let heads = heads::Heads::load(&fixture.site.folder).expect("metadata verifies");
    let mut list = heads.publishers["main"].targets().clone();
    list.version = NonZeroU64::new(list.version.get() + 1).expect("not zero");
    change(&mut list);
    let ring = fixture.ring(&[key]);
    let signed = sign(list, &[&ring.private[0]]).expect("it is signed");
    let bytes = encode(&signed, MAX_LIST).expect("it is encoded");
    fixture.site.folder.write(&format!("{}.main.json", signed.signed.version), &bytes).expect("it is written");
}

#[test]
fn list_that_breaks_a_rule_is_not_made_visible() {
    let check = |code: ErrorCode, key: &str, change: &dyn Fn(&mut Targets)| {
        let fixture = Fixture::new();
        fixture.publish("remoteA", "1.0.0");
        store(&fixture, key, change);
        let problems = fixture.site.check().expect("metadata verifies").problems;
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code], "{problems:?}");
        let refreshed = fixture.site.refresh(None, &fixture.ring(&["online"])).expect("it is renewed");
        assert_eq!((refreshed.published, refreshed.unusable.len()), (vec![], 1));
        fixture.client.load().expect("the client accepts the repository");
        fixture.publish("remoteA", "1.1.0");
        assert_eq!(fixture.seen().len(), 2);
        fixture.is_fine();
    };
    let library = || TargetName::new("remoteA/1.0.0/x86_64-unknown-linux-gnu.zst").expect("a path");
    let rename = |path: &'static str| {
        move |list: &mut Targets| {
            let target = list.targets[&library()].clone();
            list.targets.insert(TargetName::new(path).expect("a path"), target);
        }
    };
    check(ErrorCode::SiteDamaged, "targets", &|_| {});
    check(ErrorCode::ReleasePublisher, "publisher", &rename("../../etc/passwd"));
    check(ErrorCode::ReleasePath, "publisher", &rename("remoteA/1.0.0/a/b.zst"));
    check(ErrorCode::ReleasePath, "publisher", &rename("nul/1.0.0/x86_64-unknown-linux-gnu.zst"));
    check(ErrorCode::ReleaseInvalid, "publisher", &rename("remoteB/1.0.0/x86_64-unknown-linux-gnu.zst"));
    check(ErrorCode::ReleaseInvalid, "publisher", &|list| {
        list.targets.get_mut(&library()).expect("it is listed").custom.clear();
    });
    check(ErrorCode::ReleaseInvalid, "publisher", &|list| {
        list.targets.remove(&TargetName::new("remoteA/1.0.0/manifest.json").expect("a path"));
    });
    check(ErrorCode::ReleaseExists, "publisher", &|list| {
        list.targets.get_mut(&library()).expect("it is listed").length += 1;
    });
    check(ErrorCode::ReleasePath, "publisher", &|list| {
        let path = TargetName::new("REMOTEA/1.0.0/manifest.json").expect("a path");
        let target = list.targets[&TargetName::new("remoteA/1.0.0/manifest.json").expect("a path")].clone();
        list.targets.insert(path, target);
    });
    check(ErrorCode::SiteFailed, "publisher", &|list| {
        let path = TargetName::new("remoteA/2.0.0/manifest.json").expect("a path");
        let target = list.targets[&TargetName::new("remoteA/1.0.0/manifest.json").expect("a path")].clone();
        list.targets.insert(path, target);
    });
}

#[test]
fn list_under_another_version_is_not_used() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let path = |version: u64| fixture.site.dir().join(format!("metadata/{version}.main.json"));
    for version in [3, 7, u64::MAX] {
        fs::copy(path(2), path(version)).expect("it is copied");
    }
    let problems = fixture.site.check().expect("metadata verifies").problems;
    assert!(problems.len() == 3 && problems.iter().all(|problem| problem.code == ErrorCode::SiteDamaged));
    fixture.publish("remoteA", "1.1.0");
    assert_eq!(fixture.seen().len(), 2);
    assert!(path(4).exists(), "no file is replaced");
}

#[test]
fn refresh_renews_what_the_keys_may_sign() {
    let fixture = Fixture::new();
    let refresh = |keys: &[&str], days: i64| {
        fixture.site.refresh(Some(SignedDuration::from_hours(24 * days)), &fixture.ring(keys))
    };
    let before = fixture.is_fine();
    let refreshed = refresh(&["online"], 30).expect("it is renewed");
    assert_eq!(refreshed.renewed, ["online"]);
    let after = fixture.is_fine();
    assert!(after.roles[3].expires > before.roles[3].expires + 10 * 24 * 3_600);
    assert_eq!(after.roles[0], before.roles[0]);
    // A publication does not shorten it.
    fixture.publish("remoteA", "1.0.0");
    assert_eq!(fixture.is_fine().roles[3].expires, after.roles[3].expires);
    let refreshed = refresh(&["root-1", "root-2", "targets", "publisher", "online"], 7).expect("it is renewed");
    assert_eq!(refreshed.renewed, ["root", "targets", "main", "online"]);
    assert!(fixture.is_fine().roles[3].expires < after.roles[3].expires);
    assert_eq!(refresh(&["root-1", "root-2"], 7).expect("it is renewed").renewed, ["root"]);
    let refreshed = refresh(&["publisher"], 7).expect("it is renewed");
    assert_eq!((refreshed.renewed, refreshed.visible), (vec!["main".to_owned()], false));
    let refreshed = refresh(&["root-1", "root-2"], 7).expect("it is renewed");
    assert_eq!((refreshed.published, refreshed.visible), (vec![], true), "the list still waits");
    fixture.is_fine();
    refused(refresh(&["root-1"], 7), ErrorCode::KeyUnauthorized, "");
    refused(refresh(&["online"], 0), ErrorCode::DeliverySettingInvalid, "14d");
}

#[test]
fn expired_metadata_is_a_problem_until_renewed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let validity = Validity { online: SignedDuration::from_secs(-5), ..Validity::default() };
    let options = InitOptions { threshold: 1, publishers: Vec::new(), validity };
    RepoSite::init(&path("site"), &path("keys"), &options).expect("a repository is made");
    let site = RepoSite::open(&path("site")).expect("it exists");
    let problems = site.check().expect("metadata verifies").problems;
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [ErrorCode::RepoExpired; 2]);
    let online = KeyRing::read(&[KeySource::File(path("keys/online.pem"))]).expect("a key");
    site.refresh(None, &online).expect("it is renewed");
    assert_eq!(site.check().expect("metadata verifies").problems, []);
}
