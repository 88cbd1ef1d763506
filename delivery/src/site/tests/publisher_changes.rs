use super::*;

#[test]
fn publisher_is_limited_to_its_remotes() {
    let fixture = Fixture::with(&[("team-a", "remoteA"), ("team-b", "remoteB")]);
    let publish = |name: &str, key: &str| {
        let artifact = fixture.artifact(name, "1.0.0");
        fixture.site.publish(&artifact, "stable", "", &fixture.ring(&[key, "online"]))
    };
    publish("remoteA", "publisher-team-a").expect("it is published");
    publish("remoteB", "publisher-team-b").expect("it is published");
    let command = "pulse repo publisher add";
    refused(publish("remoteB", "publisher-team-a"), ErrorCode::KeyUnauthorized, command);
    refused(publish("remoteC", "publisher-team-a"), ErrorCode::KeyUnauthorized, "team-a --remotes remoteC");
    refused(publish("remoteC", "targets"), ErrorCode::KeyUnauthorized, command);
    assert_eq!(fixture.seen().len(), 2);
    fixture.is_fine();
}

#[test]
fn added_publisher_takes_its_releases_along() {
    let fixture = Fixture::new();
    for (name, number) in [("remoteA", "1.0.0"), ("remoteA", "1.1.0"), ("remoteB", "1.0.0")] {
        fixture.publish(name, number);
    }
    let remotes = ["remoteA".to_owned()];
    let add = |keys: &[&str]| {
        let new = fixture.ring(&["team"]);
        fixture.site.add_publisher("team", &remotes, new, fixture.ring(keys))
    };
    fixture.new_key("team");
    refused(add(&["targets", "online"]), ErrorCode::KeyUnauthorized, "");
    refused(add(&["publisher", "online"]), ErrorCode::KeyUnauthorized, "");
    assert!(!fixture.site.dir().join("metadata/2.targets.json").exists(), "nothing is written");
    let change = add(&["targets", "online", "publisher"]).expect("it is added");
    assert_eq!((change.releases, change.visible), (2, true));
    assert_eq!(fixture.seen().len(), 3);
    let report = fixture.is_fine();
    let signers: Vec<_> = report.releases.iter().map(|release| &*release.signer.role).collect();
    assert_eq!(signers, ["team", "team", "main"]);

    let publish = |key: &str, number: &str| {
        let artifact = fixture.artifact("remoteA", number);
        fixture.site.publish(&artifact, "stable", "", &fixture.ring(&[key, "online"]))
    };
    refused(publish("publisher", "1.2.0"), ErrorCode::KeyUnauthorized, "pulse repo publisher add");
    publish("team", "1.2.0").expect("it is published");
    fixture.publish("remoteB", "1.1.0");
    refused(add(&["targets"]), ErrorCode::DeliverySettingInvalid, "pulse repo rotate");
    fixture.is_fine();
}

#[test]
fn second_publisher_of_every_remote_is_refused() {
    let fixture = Fixture::new();
    let new = fixture.new_key("team");
    let added = fixture.site.add_publisher("team", &[], new, fixture.ring(&["targets", "online"]));
    refused(added, ErrorCode::ReleasePublisher, "name the remotes");
    let added =
        fixture.site.add_publisher("team", &["a".to_owned()], Fixture::none(), fixture.ring(&["targets"]));
    refused(added, ErrorCode::KeyMissing, "--new");
}

#[test]
fn public_key_is_enough_for_a_publisher() {
    let fixture = Fixture::new();
    let key = fixture.key("team.pem");
    let openssl = |args: &[&str]| {
        let made = std::process::Command::new("openssl").args(args).output().expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let public = fixture.key("team.pub");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key.to_string_lossy()]);
    openssl(&["pkey", "-in", &key.to_string_lossy(), "-pubout", "-out", &public.to_string_lossy()]);
    #[cfg(unix)]
    for (path, mode) in [(&key, 0o600), (&public, 0o644)] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .expect("it is this user's");
    }
    let new = KeyRing::read_any(&[KeySource::File(public)]).expect("a public key");
    let keys = fixture.ring(&["targets", "online"]);
    fixture.site.add_publisher("team", &["remoteT".to_owned()], new, keys).expect("it is added");
    fixture.is_fine();
    let keys = fixture.ring(&["team", "online"]);
    fixture.site.publish(&fixture.artifact("remoteT", "1.0.0"), "stable", "", &keys).expect("it is published");
    let report = fixture.is_fine();
    assert_eq!(report.releases[0].signer.keys, [report.roles[4].keys[0].clone()]);
}

#[test]
fn removed_publisher_vanishes_and_can_return() {
    let fixture = Fixture::with(&[("team-a", "remoteA"), ("team-b", "remoteB")]);
    let keys = fixture.ring(&["publisher-team-a", "online"]);
    fixture.site.publish(&fixture.artifact("remoteA", "1.0.0"), "stable", "", &keys).expect("it is published");
    assert_eq!(fixture.seen().len(), 1);
    let keys = fixture.ring(&["targets", "online"]);
    let removed = fixture.site.remove_publisher("team-a", &keys).expect("it is removed");
    assert_eq!((removed.releases, removed.visible), (1, true));
    assert_eq!(fixture.seen(), [""; 0]);
    fixture.is_fine();
    refused(fixture.site.remove_publisher("team-a", &keys), ErrorCode::ReleaseUnknown, "team-b");
    let new = fixture.new_key("again");
    fixture.site.add_publisher("team-a", &["remoteA".to_owned()], new, keys).expect("it is added");
    let keys = fixture.ring(&["again", "online"]);
    fixture.site.publish(&fixture.artifact("remoteA", "2.0.0"), "stable", "", &keys).expect("it is published");
    assert_eq!(fixture.seen(), ["remoteA 2.0.0 x86_64-unknown-linux-gnu"]);
    fixture.is_fine();
}

proptest::proptest! {
    #[test]
    fn pattern_covers_one_name(a in r"[a\[\]{}!^,\-é ~+]{1,5}", b in r"[a\[\]{}!^,\-é ~+]{1,5}") {
        let path = |name: &str| crate::release::manifest_path(name, &Version::new(1, 0, 0));
        let is_name = |name: &String| crate::release::ReleasePath::parse(&path(name)).is_ok();
        proptest::prop_assume!(is_name(&a) && is_name(&b));
        let checked = publishers::checked(&[("team".to_owned(), vec![a.clone()])]).expect("a name");
        let mut targets = empty_list(jiff::Timestamp::UNIX_EPOCH);
        delegate(&mut targets, "team", &checked[0].1, &[]);
        let delegations = heads::delegations(&targets);
        proptest::prop_assert!(rules::owner(&delegations, &path(&a)).is_some());
        proptest::prop_assert_eq!(rules::owner(&delegations, &path(&b)).is_some(), a == b);
        let remotes = publishers::remotes_of(&delegations.roles[0].paths);
        proptest::prop_assert_eq!(remotes, [a]);
    }
}
