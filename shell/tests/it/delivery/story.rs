//! The life of releases on the command line: trusted, published, installed, updated, withdrawn, pinned, mirrored, and
//! signed with other keys.

use std::fs;

use serde_json::json;

use super::{
    BARE, TRIANGLES, User, bare, blocked, drawn,
    nginx::Nginx,
    site::{Site, text},
};
use crate::support::edited;

#[test]
fn repository_is_trusted_by_fingerprint_only() {
    let site = Site::with_bare();
    let (nginx, user) = (Nginx::start(&site.path("site")), User::new());
    let address = nginx.address();
    user.run(&["install", BARE]).refused(6, "repo-untrusted");
    let offered = user.run(&["repo", "add", &address]).refused(4, "repo-untrusted");
    assert!(offered.stderr.contains(&site.root) && offered.stderr.contains("3 keys"), "{}", offered.stderr);
    let other = format!("sha256:{}", "1f".repeat(32));
    user.run(&["repo", "add", &address, "--root", &other]).refused(4, "repo-root-mismatch");
    let wrong = user.run(&["repo", "add", &address, "--root", "sha256:12"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert_eq!(user.run(&["repo", "list", "--json"]).good().json(), json!([]));
    assert!(!user.installation.path("data/delivery.json").exists(), "nothing is decided yet");

    let added = user.run(&["repo", "add", &format!("{address}/"), "--root", &site.root]).good();
    assert!(added.stderr.contains(BARE), "{}", added.stderr);
    let list = user.run(&["repo", "list", "--json"]).good().json();
    assert_eq!((&list[0]["address"], &list[0]["root"]), (&json!(address), &json!(site.root)), "{list}");
    assert_eq!(list[0]["remotes"], json!([BARE]));

    // A failed installation leaves no decision.
    user.run(&["install", &format!("{BARE}@^2")]).refused(6, "release-unknown");
    user.run(&["install", "remoteNoSdc"]).refused(6, "release-unknown");
    assert_eq!(user.run(&["list", "--json"]).good().json(), json!([]));
    assert!(nginx.requests(".zst").is_empty());

    let elsewhere = "https://plugins.example.org";
    user.run(&["remote", "add", &format!("remoteClock@{elsewhere}")]).refused(4, "repo-untrusted");
    user.run(&["repo", "remove", elsewhere]).refused(6, "repo-untrusted");
    user.run(&["repo", "remove", &address]).good();
    assert_eq!(user.run(&["repo", "list", "--json"]).good().json(), json!([]));
}

#[test]
fn host_manifest_trusts_a_repository() {
    let site = Site::with_bare();
    let nginx = Nginx::start(&site.path("site"));
    let user = |root: &str| {
        let mut user = User::new();
        user.installation.edit_host(|host| {
            host["repositories"] = json!({ nginx.address(): { "root": root } });
            host["remotes"][BARE] = format!("{BARE}@{}", nginx.address()).into();
        });
        user
    };
    let one = user(&site.root);
    one.run(&["install", BARE]).good();
    assert_eq!(one.listed()["signed"]["root"], site.root);
    let mut shell = user(&site.root).shell();
    drawn(&mut shell);
    let other = user(&format!("sha256:{}", "1f".repeat(32)));
    other.run(&["install", BARE]).refused(4, "repo-root-mismatch");
    blocked(&mut other.shell(), "repo-root-mismatch");
}

#[test]
fn releases_are_updated_withdrawn_and_pinned() {
    let site = Site::with_bare();
    let (nginx, user) = (Nginx::start(&site.path("site")), User::new());
    let address = nginx.address();
    user.run(&["repo", "add", &address, "--root", &site.root]).good();
    let installed = user.run(&["install", &format!("{BARE}@^1.0"), "--enable", "--json"]).good().json();
    assert_eq!(
        installed,
        json!({ "name": BARE, "version": "1.0.0", "enabled": true, "from": address }),
        "{installed}"
    );
    let listed = user.run(&["list"]).good().stdout;
    let origin = format!("{BARE} 1.0.0  {address}  signed by main (key ");
    assert!(listed.starts_with(&origin) && listed.contains("root sha256:"), "{listed}");
    let row = user.listed();
    assert_eq!((&row["signed"]["publisher"], &row["signed"]["root"]), (&json!("main"), &json!(site.root)));
    let current = user.run(&["update", "--check"]).good();
    assert!(current.stderr.contains("up to date"), "{}", current.stderr);

    // A release waits for the online key.
    let build = site.build(&bare("1.1.0"));
    let publisher = site.key("publisher.pem");
    let waits =
        site.run(&["publish", text(&build), "--to", &site.dir(), "--key", &publisher, "--notes", "Faster"]);
    assert!(waits.good().stderr.contains("`pulse repo refresh"));
    assert_eq!(user.run(&["update", "--check", "--json"]).good().json(), json!([]));
    site.run(&["repo", "refresh", &site.dir(), "--expires", "3d", "--key", &site.key("online.pem")]).good();
    let found = user.run(&["update", "--check", "--json"]).good().json();
    let expected = json!({
        "name": BARE, "from": "1.0.0", "to": "1.1.0", "size": found[0]["size"], "publisher": "main",
        "notes": "Faster", "replacesWithdrawn": false, "refused": null, "pinned": false, "updated": false,
    });
    assert_eq!(found, json!([expected]));
    assert_eq!(user.run(&["list", "--updates", "--json"]).good().json()[0]["update"], "1.1.0");
    assert_eq!(nginx.requests("1.1.0").len(), 1, "only its manifest was fetched");
    let updated = user.run(&["update"]).good();
    assert!(
        updated.stderr.contains("1.0.0 -> 1.1.0") && updated.stderr.contains("Faster"),
        "{}",
        updated.stderr
    );
    assert_eq!(user.listed()["version"], "1.1.0");
    assert_eq!(user.run(&["list", "--updates", "--json"]).good().json(), json!([]));

    // The same content is no error, other content is.
    let same = site.job(&["publish", text(&build), "--json"]).good().json();
    assert_eq!(same["changed"], false, "{same}");
    let other = edited(&build, &[("No SDK", "No sdk")]);
    site.job(&["publish", text(&site.build(&other))]).refused(1, "release-exists");

    withdraws_and_pins(&site, &user);
}

fn withdraws_and_pins(site: &Site, user: &User) {
    let withdrawn = format!("{BARE}@1.1.0");
    site.job(&["publish", "--withdraw", &withdrawn, "--note", "wrong totals"]).good();
    let found = user.run(&["update", "--json"]).good().json();
    assert_eq!((&found[0]["to"], &found[0]["replacesWithdrawn"]), (&json!("1.0.0"), &json!(true)), "{found}");
    assert_eq!(user.listed()["version"], "1.0.0");
    assert_eq!(user.run(&["update", "--json"]).good().json(), json!([]), "the withdrawn one is not offered");
    // A generation that has run can be pinned.
    user.run(&["rollback", BARE]).refused(6, "generation-unknown");
    let mut shell = user.shell();
    shell.drive("the generation is archived", |shell| {
        shell.federation.inventory().generations(shell.entry(BARE)).iter().any(|one| one.version.minor == 0)
    });
    drop(shell);

    site.publish(&bare("1.2.0"), "");
    user.run(&["update"]).good();
    assert_eq!(user.listed()["version"], "1.2.0");
    user.run(&["rollback", BARE, "--to", "1.0.0", "--note", "too new"]).good();
    let row = user.listed();
    assert_eq!((&row["version"], &row["rolledBack"]), (&json!("1.0.0"), &json!(true)), "{row}");
    site.publish(&bare("1.3.0"), "");
    for args in [&["update", "--json"][..], &["update", BARE, "--json"], &["update", "--all", "--json"]] {
        let found = user.run(args).good().json();
        assert_eq!((&found[0]["pinned"], &found[0]["updated"]), (&json!(true), &json!(false)), "{found}");
    }
    user.run(&["rollback", BARE, "--latest"]).good();
    user.run(&["remote", "policy", BARE, "pin"]).good();
    let held = user.run(&["update"]).good();
    assert!(held.stderr.contains("(policy pin)"), "{}", held.stderr);
    assert_eq!(user.listed()["version"], "1.2.0");
    user.run(&["update", "--all"]).good();
    assert_eq!(user.listed()["version"], "1.3.0");
    user.run(&["update", "remoteNoSdc"]).refused(6, "remote-unknown");
}

#[test]
fn refused_release_is_not_fetched() {
    let site = Site::with_bare();
    let nginx = Nginx::start(&site.path("site"));
    let user = User::of(&site, &nginx.address());
    user.run(&["install", BARE]).good();
    site.publish(&super::refused("1.1.0"), "");
    for args in [&["update", "--check", "--json"][..], &["update", "--json"]] {
        let answer = user.run(args).refused(3, "version-mismatch-strict");
        assert_eq!(answer.json()[0]["refused"], "version-mismatch-strict");
    }
    assert_eq!(user.listed()["version"], "1.0.0");
    let paths: Vec<_> = nginx.requests("1.1.0").into_iter().map(|request| request.path).collect();
    assert!(paths.len() == 1 && paths[0].ends_with("manifest.json"), "{paths:?}");
}

#[test]
fn every_key_is_rotated_and_users_follow() {
    let site = Site::with_bare();
    let nginx = Nginx::start(&site.path("site"));
    let user = User::of(&site, &nginx.address());
    user.run(&["install", BARE]).good();
    let dir = site.dir();
    let [root_1, root_2, root_3, online, publisher] =
        ["root-1.pem", "root-2.pem", "root-3.pem", "online.pem", "publisher.pem"].map(|name| site.key(name));
    let made: [String; 4] =
        ["root-4.pem", "targets-2.pem", "online-2.pem", "publisher-2.pem"].map(|name| site.key(name));
    let rotate = |role: &str, new: &str, keys: &[&str], more: &[&str]| {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
        site.run(&[&["repo", "rotate", &dir, role, "--generate", new], &keys[..], more].concat())
    };
    let check = || {
        let report = site.run(&["repo", "check", &dir, "--json"]).good().json();
        assert_eq!((&report["problems"], &report["pending"]), (&json!([]), &json!([])), "{report}");
        report
    };
    let publish = |version: &str, keys: [&str; 2]| {
        let build = site.build(&bare(version));
        site.run(&["publish", text(&build), "--to", &dir, "--key", keys[0], "--key", keys[1]])
    };
    let follows = |version: &str| {
        check();
        user.run(&["update"]).good();
        assert_eq!(user.listed()["version"], version);
    };

    // The threshold is two.
    rotate("targets", &site.key("unused.pem"), &[&root_1, &online], &[]).refused(4, "key-unauthorized");
    let report = check();
    let role = |name: &str| report["roles"].as_array().expect("a list").iter().find(|r| r["name"] == name);
    let ids = role("root").expect("the root's role")["keys"].as_array().expect("keys").clone();
    let first = ids[0].as_str().expect("an identifier").get(..12).expect("digits").to_owned();
    let of_root = [&*root_1, &root_2, &root_3];
    rotate("root", &made[0], &of_root, &["--retire", &first]).good();
    publish("1.0.1", [&publisher, &online]).good();
    follows("1.0.1");

    rotate("targets", &made[1], &[&root_2, &root_3, &made[0], &online], &[]).good();
    publish("1.0.2", [&publisher, &online]).good();
    follows("1.0.2");

    rotate("online", &made[2], &[&root_2, &root_3, &made[0]], &[]).good();
    let waits = publish("1.0.3", [&publisher, &online]);
    assert_ne!(user.run(&["update", "--check", "--json"]).good().json()[0]["to"], "1.0.3", "{}", waits.stderr);
    publish("1.0.3", [&publisher, &made[2]]).good();
    follows("1.0.3");

    rotate("main", &made[3], &[&made[1], &made[2]], &[]).good();
    publish("1.0.4", [&publisher, &made[2]]).refused(4, "key-unauthorized");
    publish("1.0.4", [&made[3], &made[2]]).good();
    follows("1.0.4");

    // A user who begins today may state any root of the repository.
    let report = check();
    let last = report["roots"].as_array().and_then(|roots| roots.last()?["sha256"].as_str());
    let last = format!("sha256:{}", last.expect("a root"));
    assert_ne!(last, site.root);
    for root in [&site.root, &last] {
        let late = User::new();
        late.run(&["repo", "add", &nginx.address(), "--root", root]).good();
        late.run(&["install", BARE]).good();
        assert_eq!(late.listed()["version"], "1.0.4");
    }
}

#[test]
fn mirror_serves_without_the_network() {
    let site = Site::with_bare();
    let mut nginx = Nginx::start(&site.path("site"));
    let (user, stick) = (User::of(&site, &nginx.address()), site.path("stick"));
    user.run(&["repo", "mirror", &nginx.address(), text(&stick)]).good();
    site.publish(&bare("1.1.0"), "");
    user.run(&["repo", "mirror", &nginx.address(), text(&stick)]).good();
    let libraries = nginx.requests(".zst");
    assert_eq!(libraries.len(), 2, "each library is copied once: {libraries:?}");
    nginx.stop();
    user.run(&["update"]).refused(5, "repo-unreachable");

    let far = User::new();
    let address = format!("file://{}", stick.display());
    far.run(&["repo", "add", &address]).refused(4, "repo-untrusted");
    far.run(&["repo", "add", &address, "--root", &site.root]).good();
    far.run(&["install", BARE, "--enable"]).good();
    assert_eq!(far.listed()["version"], "1.1.0");
    fs::remove_dir_all(&stick).expect("the stick can be pulled out");
    far.run(&["update"]).refused(6, "repo-not-found");
    let mut shell = far.shell();
    drawn(&mut shell);
    drop(shell);

    // Without trust there are no updates, and what is installed keeps running.
    far.run(&["repo", "remove", &address]).good();
    let mut shell = far.shell();
    drawn(&mut shell);
    assert!(shell.has_picture(BARE, TRIANGLES));
}
