//! Repositories, and settings for updates.

use std::collections::BTreeMap;

use super::*;

#[test]
fn repositories_and_updates_are_read() {
    let root = format!("sha256:{}", "0a".repeat(32));
    let text = host(&format!(
        r#""repositories": {{ "https://a.example/p": {{ "root": "{root}", "tokenEnv": "TOKEN", "certificates": "ca.pem" }},
            "file:///srv/site": {{ "root": "{root}" }} }},
        "updates": {{ "onStart": false, "everyMinutes": 60, "policy": "auto", "timeoutSeconds": 5, "attempts": 2,
            "remotes": {{ "remoteA": {{ "version": "^1.2", "channel": "beta", "policy": "pin", "preload": true }} }} }}"#
    ));
    let manifest = HostManifest::from_json(&text).unwrap();
    assert_eq!(manifest.repositories["https://a.example/p"].root, root);
    assert_eq!(manifest.repositories["https://a.example/p"].token_env.as_deref(), Some("TOKEN"));
    let updates = &manifest.updates;
    assert_eq!(
        (updates.on_start, updates.every_minutes, updates.policy),
        (false, Some(60), UpdatePolicy::Auto)
    );
    assert_eq!((updates.timeout_seconds, updates.attempts), (Some(5), Some(2)));
    let own = &updates.remotes["remoteA"];
    assert!(own.version.as_ref().unwrap().matches(&Version::new(1, 3, 0)) && own.preload);
    assert_eq!((own.channel.as_deref(), own.policy), (Some("beta"), Some(UpdatePolicy::Pin)));
    let again = serde_json::to_string(&manifest).unwrap();
    assert_eq!(HostManifest::from_json(&again).unwrap(), manifest);
    assert_eq!(
        HostManifest::from_json(&host(r#""preflight": true"#)).unwrap().updates,
        UpdateConfig::default()
    );
}

#[test]
fn wrong_repositories_and_updates_are_refused() {
    let of = |entry: &str| host(&format!(r#""repositories": {{ "https://a.example": {entry} }}"#));
    let place = "/repositories/https:~1~1a.example";
    check_host(&of("{}"), place, &["`root` is missing"]);
    for root in ["", "sha256:", "0a0a", "sha256:0A"] {
        let text = of(&format!(r#"{{ "root": "{root}" }}"#));
        check_host(&text, &format!("{place}/root"), &["64 hexadecimal digits"]);
    }
    let both = format!(r#"{{ "root": "sha256:{}", "tokenEnv": "A", "tokenFile": "b" }}"#, "0a".repeat(32));
    check_host(&of(&both), place, &["both given"]);
    check_host(&host(r#""repositories": { "ftp://a": {} }"#), "/repositories/ftp:~1~1a", &["must be a URL"]);
    for (member, key, words) in [
        (r#""everyMinutes": 0"#, "everyMinutes", "a whole number from 1 to 10080"),
        (r#""attempts": 1.5"#, "attempts", "a whole number from 1 to 10"),
        (r#""timeoutSeconds": "1""#, "timeoutSeconds", "a whole number from 1 to 300"),
        (r#""policy": "never""#, "policy", "known here: `auto`, `ask`, `pin`"),
        (r#""onStart": 1"#, "onStart", "`true` or `false`"),
    ] {
        let text = host(&format!(r#""updates": {{ {member} }}"#));
        check_host(&text, &format!("/updates/{key}"), &[words]);
    }
    let range = host(r#""updates": { "remotes": { "remoteA": { "version": "1.2" } } }"#);
    check_host(&range, "/updates/remotes/remoteA/version", &["`version` cannot be \"1.2\""]);
}

pub(super) fn any_repositories() -> impl Strategy<Value = BTreeMap<String, RepositoryConfig>> {
    let token = prop_oneof![
        Just((None, None)),
        "[a-z]{1,8}".prop_map(|file| (Some(PathBuf::from(file)), None)),
        "[A-Z]{1,8}".prop_map(|variable| (None, Some(variable))),
    ];
    let about = ("sha256:[0-9a-f]{64}", token, option::of("[a-z]{1,8}\\.pem".prop_map(PathBuf::from)));
    let about = about.prop_map(|(root, (token_file, token_env), certificates)| RepositoryConfig {
        root,
        token_file,
        token_env,
        certificates,
    });
    btree_map("(https?://[a-z]{1,8}(/[a-z]{1,4})?|file:///[a-z]{1,8})", about, 0..3)
}

pub(super) fn any_updates() -> impl Strategy<Value = UpdateConfig> {
    let policy = || prop_oneof![Just(UpdatePolicy::Auto), Just(UpdatePolicy::Ask), Just(UpdatePolicy::Pin)];
    let range = prop_oneof![Just(Requirement::Any), Just(Requirement::Range("^1.2".parse().unwrap()))];
    let own = (option::of(range), option::of(name("[a-z]{1,8}")), option::of(policy()), any::<bool>());
    let own =
        own.prop_map(|(version, channel, policy, preload)| RemoteUpdates { version, channel, policy, preload });
    (
        any::<bool>(),
        option::of(1..=10_080_u32),
        policy(),
        option::of(1..=300_u32),
        option::of(1..=10_u32),
        btree_map(name("[a-z]{1,8}"), own, 0..3),
    )
        .prop_map(|(on_start, every_minutes, policy, timeout_seconds, attempts, remotes)| UpdateConfig {
            on_start,
            every_minutes,
            policy,
            timeout_seconds,
            attempts,
            remotes,
        })
}
