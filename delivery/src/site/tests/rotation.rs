use super::*;

/// Returns the identifier of the only key of a ring.
fn id(ring: &KeyRing) -> String {
    ring.keys().next().expect("a key").id()
}

#[test]
fn root_key_is_replaced_without_itself() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let lost = id(&fixture.ring(&["root-2"]));
    let keys = fixture.ring(&["root-1", "root-3"]);
    let rotated =
        fixture.site.rotate(&SiteRole::Root, std::slice::from_ref(&lost), fixture.new_key("root-4"), keys);
    let rotated = rotated.expect("it is replaced");
    assert_eq!((rotated.keys.len(), rotated.retired), (3, vec![lost.clone()]));
    assert!(!fixture.is_fine().roles[0].keys.contains(&lost));
    // Two of the former three, one of which is retired.
    let next = |keys: &[&str]| {
        let retire = id(&fixture.ring(&["root-1"]));
        fixture.site.rotate(&SiteRole::Root, &[retire], fixture.ring(&["root-5"]), fixture.ring(keys))
    };
    fixture.new_key("root-5");
    refused(next(&["root-1", "root-2"]), ErrorCode::KeyUnauthorized, "2 of the private keys");
    next(&["root-3", "root-4"]).expect("it is replaced");
    fixture.is_fine();
    assert_eq!(fixture.seen().len(), 1);
}

#[test]
fn all_root_keys_are_replaced_at_once() {
    let fixture = Fixture::new();
    let retired = fixture.ring(&["root-1", "root-2", "root-3"]);
    let retired: Vec<String> = retired.keys().map(|key| key.id()[..12].to_owned()).collect();
    let old = || fixture.ring(&["root-1", "root-2"]);
    for name in ["new-1", "new-2", "new-3"] {
        fixture.new_key(name);
    }
    let rotate = |new: &[&str]| fixture.site.rotate(&SiteRole::Root, &retired, fixture.ring(new), old());
    refused(rotate(&["new-1"]), ErrorCode::DeliverySettingInvalid, "more new keys");
    rotate(&["new-1", "new-2", "new-3"]).expect("they are replaced");
    fixture.is_fine();
    let error = fixture.site.rotate(&SiteRole::Root, &[], fixture.ring(&["new-1"]), old());
    refused(error, ErrorCode::DeliverySettingInvalid, "--retire");
    let error = fixture.site.rotate(&SiteRole::Root, &["abc".to_owned()], fixture.ring(&["new-1"]), old());
    refused(error, ErrorCode::DeliverySettingInvalid, "six or more digits");
}

#[test]
fn targets_key_is_replaced_without_itself() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let old = id(&fixture.ring(&["targets"]));
    fixture.new_key("targets-2");
    let rotate = |keys: &[&str]| {
        fixture.site.rotate(&SiteRole::Targets, &[], fixture.ring(&["targets-2"]), fixture.ring(keys))
    };
    refused(rotate(&["root-1", "root-2"]), ErrorCode::KeyUnauthorized, "");
    refused(rotate(&["root-1", "online"]), ErrorCode::KeyUnauthorized, "");
    assert!(!fixture.site.dir().join("metadata/2.root.json").exists(), "nothing is written");
    let rotated = rotate(&["root-1", "root-2", "online"]).expect("it is replaced");
    assert_eq!(rotated.retired, [old]);
    fixture.is_fine();
    let add = |key: &str| {
        let keys = fixture.ring(&[key, "online"]);
        fixture.site.add_publisher("team", &["remoteT".to_owned()], fixture.ring(&["team"]), keys)
    };
    fixture.new_key("team");
    refused(add("targets"), ErrorCode::KeyUnauthorized, "");
    add("targets-2").expect("it is added");
    fixture.is_fine();
}

#[test]
fn online_key_is_replaced_without_itself() {
    let fixture = Fixture::new();
    let keys = fixture.ring(&["root-1", "root-2"]);
    let rotated = fixture.site.rotate(&SiteRole::Online, &[], fixture.new_key("online-2"), keys);
    assert!(rotated.expect("it is replaced").visible);
    fixture.is_fine();
    refused(fixture.site.refresh(None, &fixture.ring(&["online"])), ErrorCode::KeyUnauthorized, "");
    fixture.site.refresh(None, &fixture.ring(&["online-2"])).expect("it is renewed");
    fixture.is_fine();
}

#[test]
fn publisher_key_is_replaced_without_itself() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    let role = SiteRole::named("main");
    let keys = fixture.ring(&["targets", "online"]);
    let rotated = fixture.site.rotate(&role, &[], fixture.new_key("publisher-2"), keys);
    assert!(rotated.expect("it is replaced").visible);
    assert_eq!(fixture.seen().len(), 1);
    fixture.is_fine();
    let publish = |key: &str| {
        let keys = fixture.ring(&[key, "online"]);
        fixture.site.publish(&fixture.artifact("remoteA", "1.1.0"), "stable", "", &keys)
    };
    refused(publish("publisher"), ErrorCode::KeyUnauthorized, "");
    publish("publisher-2").expect("it is published");
    fixture.is_fine();
    let keys = fixture.ring(&["targets", "online"]);
    let rotated = fixture.site.rotate(&SiteRole::named("none"), &[], fixture.ring(&["online"]), keys);
    refused(rotated, ErrorCode::ReleaseUnknown, "main");
}

#[test]
fn second_key_is_added_and_the_first_removed() {
    let fixture = Fixture::new();
    for (role, keys) in [("online", &["root-1", "root-2"]), ("main", &["targets", "online"])] {
        let file = if role == "main" { "publisher" } else { role };
        let first = id(&fixture.ring(&[file]));
        let site = &fixture.site;
        let new = fixture.new_key(&format!("{role}-2"));
        // Retiring a key that is given as new keeps all.
        let both =
            site.rotate(&SiteRole::named(role), &[], new.with(fixture.ring(&[file])), fixture.ring(keys));
        assert_eq!(both.expect("it is added").keys.len(), 2, "{role}");
        fixture.is_fine();
        let one = site.rotate(
            &SiteRole::named(role),
            &[first],
            Fixture::none(),
            fixture.ring(keys).with(fixture.ring(&[&format!("{role}-2")])),
        );
        assert_eq!(one.expect("it is removed").keys.len(), 1, "{role}");
        fixture.is_fine();
        fs::copy(fixture.key(&format!("{role}-2.pem")), fixture.key(&format!("{file}.pem")))
            .expect("it is copied");
    }
    fixture.publish("remoteA", "1.0.0");
}
