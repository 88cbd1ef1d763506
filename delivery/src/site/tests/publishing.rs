use super::*;

#[test]
fn published_library_arrives_as_it_was() {
    let fixture = Fixture::new();
    let artifact = fixture.artifact("remoteA", "1.0.0");
    let keys = fixture.ring(&["publisher", "online"]);
    let published = fixture.site.publish(&artifact, "beta", " first\none ", &keys).expect("it is published");
    assert!(published.changed && published.visible);
    assert_eq!((&*published.publisher, &*published.release.notes), ("main", "first one"));
    let seen = fixture.client.descriptions();
    let (path, about) = seen.first_key_value().expect("a release");
    assert_eq!((path.as_str(), about), ("remoteA/1.0.0/x86_64-unknown-linux-gnu.zst", &published.release));
    let library = zstd::decode_all(&*fixture.client.read(path)).expect("zstd");
    assert_eq!(library, fs::read(&artifact.library).expect("the library"));
    assert_eq!(
        (about.library.sha256, about.library.length),
        (Digest::of_bytes(&library), library.len() as u64)
    );
    let manifest = fixture.client.read("remoteA/1.0.0/manifest.json");
    assert_eq!(String::from_utf8(manifest).expect("UTF-8"), artifact.manifest_text);
    let report = fixture.is_fine();
    assert_eq!(report.releases.len(), 1);
    assert_eq!(report.releases[0].signer.role, "main");
}

#[test]
fn same_content_is_published_once() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let before = fs::read(fixture.site.dir().join("metadata/timestamp.json")).expect("the timestamp");
    let again = fixture.publish("remoteA", "1.0.0");
    assert!(!again.changed && again.visible);
    assert_eq!(fs::read(fixture.site.dir().join("metadata/timestamp.json")).expect("it exists"), before);
}

#[test]
fn same_content_is_added_to_another_channel() {
    let fixture = Fixture::new();
    let artifact = fixture.artifact("remoteA", "1.0.0");
    let keys = fixture.ring(&["publisher", "online"]);
    fixture.site.publish(&artifact, "beta", "old", &keys).expect("it is published");
    let published = fixture.site.publish(&artifact, "stable", "", &keys).expect("it is published");
    assert!(published.changed);
    let about = fixture.client.descriptions().into_values().next().expect("a release");
    assert_eq!(about.channels.into_iter().collect::<Vec<_>>(), ["beta", "stable"]);
    assert_eq!(about.notes, "old");
    fixture.is_fine();
}

#[test]
fn other_content_of_a_version_is_refused() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let keys = fixture.ring(&["publisher", "online"]);
    let publish = |artifact: &Artifact| fixture.site.publish(artifact, "stable", "", &keys);
    let other = artifact(fixture.folder.path(), "remoteA", "1.0.0", "other");
    refused(publish(&other), ErrorCode::ReleaseExists, "new version");
    let mut other = fixture.artifact("remoteA", "1.0.0");
    other.abi += 1;
    refused(publish(&other), ErrorCode::ReleaseExists, "new version");
    let platform = Platform::try_from("aarch64-apple-darwin".to_owned()).expect("a platform");
    let mut other = Artifact { platform, ..fixture.artifact("remoteA", "1.0.0") };
    publish(&other).expect("another platform is published");
    other.platform = Platform::try_from("aarch64-unknown-linux-gnu".to_owned()).expect("a platform");
    other.manifest_text.push(' ');
    refused(publish(&other), ErrorCode::ReleaseExists, "new version");
    assert_eq!(
        fixture.seen(),
        ["remoteA 1.0.0 aarch64-apple-darwin", "remoteA 1.0.0 x86_64-unknown-linux-gnu"]
    );
    fixture.is_fine();
}

#[test]
fn name_in_another_case_is_refused() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let keys = fixture.ring(&["publisher", "online"]);
    let published = fixture.site.publish(&fixture.artifact("RemoteA", "2.0.0"), "stable", "", &keys);
    refused(published, ErrorCode::ReleasePath, "another name");
}

#[test]
fn invalid_input_is_refused_before_writing() {
    let fixture = Fixture::new();
    let keys = fixture.ring(&["publisher", "online"]);
    let good = fixture.artifact("remoteA", "1.0.0");
    let manifest = Artifact { manifest_text: "{}".to_owned(), ..good.clone() };
    let reserved = fixture.artifact("pulse.x", "1.0.0");
    let missing = Artifact { library: fixture.key("none"), ..good.clone() };
    let folder = Artifact { library: fixture.key(""), ..good.clone() };
    for artifact in [manifest, reserved, missing, folder] {
        refused(fixture.site.publish(&artifact, "stable", "", &keys), ErrorCode::ReleaseInvalid, "");
    }
    for (channel, note) in [("", ""), ("Stable", ""), ("-x", ""), ("a/b", ""), ("stable", &*"n".repeat(2_001))]
    {
        let published = fixture.site.publish(&good, channel, note, &keys);
        refused(published, ErrorCode::DeliverySettingInvalid, "");
    }
    assert!(!fixture.site.dir().join("targets").exists());
    assert!(!fixture.site.dir().join("metadata/2.main.json").exists());
}

#[test]
fn names_with_syntax_of_patterns_are_published() {
    let name = "a[b]{c,d} é";
    let fixture = Fixture::with(&[("team", "plain")]);
    let keys = fixture.ring(&["targets", "online"]);
    let change = fixture.site.add_publisher("team", &[name.to_owned()], Fixture::none(), keys);
    assert_eq!(change.expect("it is added").remotes, ["plain", name]);
    let keys = fixture.ring(&["publisher-team", "online"]);
    fixture.site.publish(&fixture.artifact(name, "1.0.0"), "stable", "", &keys).expect("it is published");
    let refused_name = fixture.site.publish(&fixture.artifact("ab", "1.0.0"), "stable", "", &keys);
    refused(refused_name, ErrorCode::KeyUnauthorized, "pulse repo publisher add");
    assert_eq!(fixture.seen(), [format!("{name} 1.0.0 x86_64-unknown-linux-gnu")]);
    fixture.is_fine();
}

#[test]
fn withdrawal_names_newest_lower_version() {
    let fixture = Fixture::new();
    let keys = fixture.ring(&["publisher", "online"]);
    for number in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        fixture.publish("remoteA", number);
    }
    fixture.site.publish(&fixture.artifact("remoteA", "1.2.1"), "beta", "", &keys).expect("it is published");
    let withdraw = |number: &str, note: &str, to: Option<&str>| {
        let to = to.map(version);
        fixture.site.withdraw("remoteA", &version(number), note, to.as_ref(), &keys)
    };
    let withdrawn = withdraw("1.3.0", "wrong totals", None).expect("it is withdrawn");
    assert_eq!(withdrawn.platforms[0].1, Some(version("1.2.0")));
    let of = |number: &str| {
        let path = format!("remoteA/{number}/x86_64-unknown-linux-gnu.zst");
        fixture.client.descriptions().remove(&path).expect("a release").withdrawn
    };
    let seen = of("1.3.0").expect("it is withdrawn");
    assert_eq!((&*seen.note, seen.return_to), ("wrong totals", Some(version("1.2.0"))));
    // The withdrawal of 1.3.0 follows.
    withdraw("1.2.0", "", None).expect("it is withdrawn");
    assert_eq!(of("1.3.0").expect("it is withdrawn").return_to, Some(version("1.1.0")));
    withdraw("1.1.0", "", Some("1.0.0")).expect("it is withdrawn");
    assert_eq!(withdraw("1.0.0", "", None).expect("it is withdrawn").platforms[0].1, None);
    assert_eq!(of("1.3.0").expect("it is withdrawn").return_to, None);
    fixture.is_fine();

    refused(withdraw("9.0.0", "", None), ErrorCode::ReleaseUnknown, "1.2.1");
    refused(withdraw("1.2.1", "", Some("1.2.1")), ErrorCode::ReleaseUnknown, "");
    refused(withdraw("1.2.1", "", Some("1.0.0")), ErrorCode::ReleaseUnknown, "");
    let other = fixture.site.withdraw("remoteB", &version("1.0.0"), "", None, &keys);
    refused(other, ErrorCode::ReleaseUnknown, "remoteA");
    let again = fixture.site.publish(&fixture.artifact("remoteA", "1.3.0"), "stable", "", &keys);
    refused(again, ErrorCode::ReleaseExists, "new version");
    let wrong = fixture.ring(&["online", "targets"]);
    let withdrawn = fixture.site.withdraw("remoteA", &version("1.2.1"), "", None, &wrong);
    refused(withdrawn, ErrorCode::KeyUnauthorized, "");
}

#[test]
fn old_metadata_is_removed_and_roots_stay() {
    let fixture = Fixture::new();
    let keys = fixture.ring(&["online"]);
    for _ in 0..15 {
        fixture.site.refresh(None, &keys).expect("it is renewed");
    }
    let versions = fixture.site.folder.versions().expect("a folder");
    assert_eq!(versions["snapshot"].first().copied(), Some(6));
    assert_eq!((&versions["root"], versions["targets"].len()), (&[1].into(), 1));
    fixture.is_fine();
}
