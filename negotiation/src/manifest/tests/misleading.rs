//! Misleading names and texts, reserved names, and the lists of a host's manifest.

use super::*;

#[test]
fn misleading_names_are_refused() {
    let name = |name: &str| remote(&format!("\"name\": {}", serde_json::Value::from(name)));
    for (text, words) in [
        ("re\u{202e}mote", "\\u{202e}"),
        ("a\u{200b}b", "\\u{200b}"),
        ("\u{feff}a", "\\u{feff}"),
        ("a\u{7f}b", "control characters"),
        ("con", "a device on Windows"),
        ("NUL", "a device on Windows"),
        ("com1.x", "a device on Windows"),
        ("LPT9", "a device on Windows"),
        ("-rf", "start with `-`"),
    ] {
        check(&name(text), "manifest-invalid", Some("/name"), &[words]);
    }
    for text in ["console", "com", "com10", "lpt", "nullable", "a-b", "Grüße", "\u{645}\u{631}\u{62d}"] {
        RemoteManifest::from_json(&name(text)).unwrap();
    }
    let title = remote(r#""title": "gpj.\u202eexe""#);
    check(&title, "manifest-invalid", Some("/title"), &["\\u{202e}", "not shown"]);
    RemoteManifest::from_json(&remote(r#""title": "Flights 👩‍💻""#)).unwrap();
}

#[test]
fn host_names_are_reserved_in_any_case() {
    for name in ["auth", "Auth", "AUTH", "auth.token", "theme.x", "pulse", "shell", "host", "range"] {
        assert!(is_reserved(name), "{name}");
    }
    for name in ["author", "au", "myauth", "remoteAuth", "x.auth", "ranges"] {
        assert!(!is_reserved(name), "{name}");
    }
}

#[test]
fn comment_is_named_in_the_error() {
    for comment in ["// a comment\n", "/* a comment */", "# a comment\n"] {
        let text = format!("{{\n  {comment} \"manifestVersion\": 1 }}");
        check(&text, "manifest-not-json", None, &["there is a comment", "line 2, column 3"]);
    }
}

#[test]
fn providers_are_lists_of_names() {
    let manifest =
        HostManifest::from_json(&host(r#""providers": { "shared-store": ["pulse", "remoteA"] }"#)).unwrap();
    assert_eq!(manifest.providers["shared-store"].iter().collect::<Vec<_>>(), ["pulse", "remoteA"]);
    check_host(
        &host(r#""providers": { "store": "a" }"#),
        "/providers/store",
        &["an array of participants' names"],
    );
    check_host(&host(r#""providers": { "store": ["a/b"] }"#), "/providers/store", &["\"a/b\"", "`/`"]);
    check_host(&host(r#""providers": { "a/b": [] }"#), "/providers/a~1b", &["a crate's name"]);
}

#[test]
fn remote_has_a_name_and_a_location() {
    let text = host(r#""remotes": { "a": "remoteA@https://user@example.org/a.json" }"#);
    let remote = &HostManifest::from_json(&text).unwrap().remotes["a"];
    assert_eq!(
        (remote.name.as_str(), remote.location.as_str()),
        ("remoteA", "https://user@example.org/a.json")
    );

    check_host(&host(r#""remotes": { "a": "a.json" }"#), "/remotes/a", &["write \"a@a.json\""]);
    check_host(&host(r#""remotes": { "a": "a@" }"#), "/remotes/a", &["location"]);
    // The shell starts with two aliases of one remote and uses the first.
    let twice = HostManifest::from_json(&host(r#""remotes": { "b": "r@y", "a": "r@x" }"#)).unwrap();
    assert_eq!((twice.alias_of("r"), twice.alias_of("b")), (Some("a"), None));
    check_host(
        &host(r#""shareStrategy": "version_first""#),
        "/shareStrategy",
        &["did you mean `version-first`?"],
    );
}
