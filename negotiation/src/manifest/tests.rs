#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;

use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;
use semver::Version;

use super::names::is_device;
use super::*;

mod misleading;
mod schemas;
mod updates;

/// Returns a remote's manifest with `member` added or in place of the member with its key.
fn remote(member: &str) -> String {
    let key = member.split(':').next().unwrap();
    let own = [
        r#""manifestVersion": 1"#,
        r#""name": "remoteA""#,
        r#""version": "1.0.0""#,
        r#""remoteEntry": "remote_a""#,
    ];
    let kept: Vec<&str> = own.into_iter().filter(|line| !line.starts_with(key)).chain([member]).collect();
    format!("{{\n  {}\n}}", kept.join(",\n  "))
}

fn shared(entry: &str) -> String {
    remote(&format!(r#""shared": {{ "shared-store": {entry} }}"#))
}

fn host(member: &str) -> String {
    format!("{{ \"manifestVersion\": 1, \"name\": \"pulse\",\n {member} }}")
}

/// Asserts that the error of a remote's manifest has this code and pointer and contains all of `words`.
#[track_caller]
fn check(text: &str, code: &str, pointer: Option<&str>, words: &[&str]) {
    check_error(&RemoteManifest::from_json(text).unwrap_err(), code, pointer, words);
}

#[track_caller]
fn check_host(text: &str, pointer: &str, words: &[&str]) {
    check_error(&HostManifest::from_json(text).unwrap_err(), "manifest-invalid", Some(pointer), words);
}

#[track_caller]
fn check_error(error: &ManifestError, code: &str, pointer: Option<&str>, words: &[&str]) {
    assert_eq!((error.code(), error.pointer()), (code, pointer), "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{error}` does not contain `{word}`");
    }
}

#[test]
fn every_message_has_advice() {
    check("{ \"name\" }", "manifest-not-json", None, &["; correct it there (line 1, column"]);
    check(
        r#"{ "manifestVersion": 1, "name": 3 }"#,
        "manifest-invalid",
        Some("/name"),
        &["; correct it there (at"],
    );
    check(r#"{ "manifestVersion": 1 }"#, "manifest-invalid", Some(""), &["is missing: add it (line 1"]);
}

#[test]
fn shipped_manifests_are_read() {
    let remote = RemoteManifest::from_json(include_str!("../../../manifests/analytics.json")).unwrap();
    assert_eq!((remote.name.as_str(), remote.remote_entry.as_str()), ("remoteAnalytics", "pulse_analytics"));
    assert_eq!(remote.exposes["./analytics-dashboard"].icon.as_deref(), Some("chart"));
    assert_eq!(remote.atoms["auth"], AtomAccess::Read);
    assert!(remote.shared["shared-store"].singleton && remote.shared["shared-store"].eager);

    let host = HostManifest::from_json(include_str!("../../../manifests/host.json")).unwrap();
    assert_eq!(host.remotes["remoteAnalytics"].location, "analytics.json");
    assert_eq!((host.share_strategy, &host.auth), (ShareStrategy::VersionFirst, &None));
}

#[test]
fn preflight_is_on_by_default() {
    let preflight = |member: &str| HostManifest::from_json(&host(member)).map(|read| read.preflight);
    assert_eq!(preflight(r#""remotes": {}"#), Ok(true));
    assert_eq!(preflight(r#""preflight": false"#), Ok(false));
    check_host(&host(r#""preflight": "no""#), "/preflight", &["must be `true` or `false`"]);
    check_host(&host(r#""preFlight": false"#), "/preFlight", &["did you mean `preflight`?"]);
}

#[test]
fn digest_has_64_hexadecimal_digits() {
    let digest = "0123456789abcdef".repeat(4);
    let stated = |text: &str| remote(&format!(r#""sha256": "{text}""#));
    let read = RemoteManifest::from_json(&stated(&digest.to_uppercase())).unwrap();
    assert_eq!(read.sha256.as_deref(), Some(&*digest));
    let wrong = |text: &str, words: &[&str]| check(&stated(text), "manifest-invalid", Some("/sha256"), words);
    wrong(&digest[1..], &["64 hexadecimal digits", "this has 63", "sha256sum"]);
    wrong(&digest.replace('a', "g"), &["`g` is not one"]);
    wrong(&format!("sha256:{digest}"), &[&format!("write \"{digest}\"")]);
    check(&remote(r#""sha265": "00""#), "manifest-invalid", Some("/sha265"), &["did you mean `sha256`?"]);
}

#[test]
fn defaults_match_the_specification() {
    let remote = RemoteManifest::from_json(&shared(r#"{ "version": "1.2.3" }"#)).unwrap();
    let entry = &remote.shared["shared-store"];
    assert!(entry.import && !entry.singleton && !entry.eager && !entry.strict_version);
    assert_eq!((entry.share_scope.as_str(), entry.requirement().to_string().as_str()), ("default", "^1.2.3"));
    assert_eq!(entry.offered(), Some(&Version::new(1, 2, 3)));
    assert_eq!(remote.display_name(), "remoteA");

    let host = HostManifest::from_json(r#"{ "manifestVersion": 1, "name": "pulse" }"#).unwrap();
    assert_eq!((host.share_strategy, host.auth, host.grants), (ShareStrategy::VersionFirst, None, None));
}

#[test]
fn entry_without_import_offers_no_copy() {
    let text = shared(r#"{ "version": "1.2.3", "import": false }"#);
    let entry = &RemoteManifest::from_json(&text).unwrap().shared["shared-store"];
    assert_eq!(entry.offered(), None);
    assert_eq!(entry.requirement().to_string(), "^1.2.3");
}

#[test]
fn unknown_manifest_version_has_its_own_code() {
    let text = r#"{ "name": 7, "new": [], "manifestVersion": 2 }"#;
    check(
        text,
        "manifest-version",
        Some("/manifestVersion"),
        &["manifestVersion 2", "reads manifestVersion 1"],
    );
    check(&remote(r#""manifestVersion": 1.5"#), "manifest-version", Some("/manifestVersion"), &["1.5"]);
    check(
        &remote(r#""manifestVersion": "1""#),
        "manifest-invalid",
        Some("/manifestVersion"),
        &["number", "\"1\""],
    );
    check("{}", "manifest-invalid", Some(""), &["manifestVersion", "add \"manifestVersion\": 1"]);
}

#[test]
fn error_in_json_syntax_has_a_place() {
    check("", "manifest-not-json", None, &["line 1, column 1"]);
    check("{ \"é\": 1,, }", "manifest-not-json", None, &["line 1, column 10"]);
    check("{\n  \"name\": 'x'\n}", "manifest-not-json", None, &["line 2, column 11"]);
    check("\u{feff}{}", "manifest-not-json", None, &["byte order mark"]);
    check(&"[".repeat(5000), "manifest-not-json", None, &["recursion"]);
    let error = RemoteManifest::from_slice(b"{ \"name\": \"\xff\" }").unwrap_err();
    check_error(&error, "manifest-not-json", None, &["UTF-8", "line 1, column 12"]);
}

#[test]
fn oversized_text_is_refused_before_parsing() {
    let text = format!("{{}}{}", " ".repeat(MAX_MANIFEST_BYTES));
    check(&text, "manifest-too-large", None, &["1048578 bytes"]);
    check("[]", "manifest-invalid", Some(""), &["must be an object, not an array"]);
}

#[test]
fn unknown_key_is_refused_with_near_miss() {
    let text = shared(r#"{ "version": "1.0.0", "requiredversion": "^1" }"#);
    let error = RemoteManifest::from_json(&text).unwrap_err();
    let pointer = "/shared/shared-store/requiredversion";
    check_error(&error, "manifest-invalid", Some(pointer), &["did you mean `requiredVersion`?"]);
    assert_eq!((error.line(), error.column()), (Some(6), Some(53)));

    check(&remote(r#""expose": {}"#), "manifest-invalid", Some("/expose"), &["`exposes`"]);
    check(&remote(r#""remote_entry": "x""#), "manifest-invalid", Some("/remote_entry"), &["`remoteEntry`"]);
    check(
        &remote(r#""colour": 1"#),
        "manifest-invalid",
        Some("/colour"),
        &["unknown", "known here", "`atoms`"],
    );
    check(
        &shared(r#"{ "singelton": true }"#),
        "manifest-invalid",
        Some("/shared/shared-store/singelton"),
        &["`singleton`"],
    );
}

#[test]
fn repeated_key_is_refused_at_second_place() {
    let text = "{ \"manifestVersion\": 1, \"name\": \"a\",\n  \"name\": \"b\" }";
    let error = RemoteManifest::from_json(text).unwrap_err();
    check_error(&error, "manifest-invalid", Some("/name"), &["twice"]);
    assert_eq!((error.line(), error.column()), (Some(2), Some(3)));

    let twice = r#""shared": { "x": { "version": "1.0.0" }, "\u0078": { "version": "1.0.0" } }"#;
    check(&remote(twice), "manifest-invalid", Some("/shared/x"), &["twice"]);
}

#[test]
fn missing_key_and_wrong_type_name_the_right_one() {
    check(
        r#"{ "manifestVersion": 1, "version": "1.0.0" }"#,
        "manifest-invalid",
        Some(""),
        &["`name` is missing"],
    );
    check(
        &remote(r#""version": 1.0"#),
        "manifest-invalid",
        Some("/version"),
        &["a string, not the number 1.0"],
    );
    check(&remote(r#""shared": []"#), "manifest-invalid", Some("/shared"), &["an object, not an array"]);
    check(
        &remote(r#""atoms": { "auth": "reed" }"#),
        "manifest-invalid",
        Some("/atoms/auth"),
        &["did you mean `read`?"],
    );
    let pointer = Some("/shared/shared-store/singleton");
    check(
        &shared(r#"{ "version": "1.0.0", "singleton": "yes" }"#),
        "manifest-invalid",
        pointer,
        &["`true` or `false`"],
    );
    check(
        &shared(r#"{ "requiredVersion": "^1" }"#),
        "manifest-invalid",
        Some("/shared/shared-store"),
        &["`version` is missing", "\"import\": false"],
    );
    check(
        &shared(r#"{ "import": false }"#),
        "manifest-invalid",
        Some("/shared/shared-store"),
        &["`requiredVersion` is missing"],
    );
}

#[test]
fn version_and_range_are_not_interchangeable() {
    let pointer = Some("/shared/shared-store/version");
    for range in ["^1.0.0", "1.*", "*", ">=1, <2"] {
        check(
            &shared(&format!(r#"{{ "version": "{range}" }}"#)),
            "manifest-invalid",
            pointer,
            &["is a range", "requiredVersion"],
        );
    }
    check(&remote(r#""version": "1.2""#), "manifest-invalid", Some("/version"), &["three numbers"]);

    let pointer = Some("/shared/shared-store/requiredVersion");
    for bare in ["1.2.3", "1", "1.2", "^1.0, 1.2.3", "1.2.3-beta.x"] {
        let text = shared(&format!(r#"{{ "version": "1.2.3", "requiredVersion": "{bare}" }}"#));
        let number = bare.rsplit(' ').next().unwrap();
        let hint = format!("write \"^{number}\" (compatible) or \"={number}\" (exactly)");
        check(&text, "manifest-invalid", pointer, &["operator", &hint]);
    }
    for (wrong, word) in [
        ("^1 || ^2", "alternatives"),
        (">=1 <2", "commas"),
        ("", "range"),
        ("latest", "range"),
        ("1.2.3 2.0", "range"),
    ] {
        let text = shared(&format!(r#"{{ "version": "1.2.3", "requiredVersion": "{wrong}" }}"#));
        check(&text, "manifest-invalid", pointer, &[word]);
    }
    let text = shared(r#"{ "version": "1.2.3", "requiredVersion": true }"#);
    check(&text, "manifest-invalid", pointer, &["or `false` for any version, not `true`"]);
}

#[test]
fn ranges_with_operators_and_wildcards_are_read() {
    for range in
        ["^1", "~1.2", "=1.2.3", "*", "1.*", "1.2.*", "1.x", ">=1.1, <3", "^3.0.0-beta.1", ">= 1.2", "<=2"]
    {
        let parsed: Range = range.parse().unwrap();
        assert_eq!(parsed.as_str(), range);
    }
}

#[test]
fn only_any_version_accepts_prereleases() {
    let beta = Version::parse("2.0.0-beta.1").unwrap();
    assert!(Requirement::Any.matches(&beta));
    assert!(!Requirement::Range("*".parse().unwrap()).matches(&beta));
    assert!(Requirement::compatible_with(&beta).matches(&beta));
    assert!(
        !Requirement::compatible_with(&Version::new(1, 2, 0)).matches(&Version::parse("1.3.0-beta.1").unwrap())
    );
}

#[test]
fn name_is_fit_for_file_names_and_log_lines() {
    for name in ["", " ", "a/b", "..", ".hidden", "a\\\\b", "a@b", "a\\nb", "C:", " a", &"n".repeat(65)] {
        check(&remote(&format!(r#""name": "{name}""#)), "manifest-invalid", Some("/name"), &["cannot be"]);
    }
    RemoteManifest::from_json(&remote(r#""name": "Émissions de Zoë""#)).unwrap();
    check(
        &remote(r#""remoteEntry": "libclock.so""#),
        "manifest-invalid",
        Some("/remoteEntry"),
        &["write \"clock\""],
    );
    check(
        &remote(r#""exposes": { "panel": { "title": "P" } }"#),
        "manifest-invalid",
        Some("/exposes/panel"),
        &["\"./panel\""],
    );
    check(&remote(r#""exposes": { "./a/b": {} }"#), "manifest-invalid", Some("/exposes/.~1a~1b"), &["`title`"]);
    check(&remote(r#""shared": { "a b": {} }"#), "manifest-invalid", Some("/shared/a b"), &["a crate's name"]);
    check(&remote(r#""atoms": { "a/b": "read" }"#), "manifest-invalid", Some("/atoms/a~1b"), &["`/`"]);
}

#[test]
fn auth_is_local_or_a_service() {
    let text = host(r#""auth": { "provider": "http", "base": "http://127.0.0.1:80/", "tokenEnv": "TOKEN" }"#);
    let auth = HttpAuth {
        base: "http://127.0.0.1:80".to_owned(),
        token_file: None,
        token_env: Some("TOKEN".to_owned()),
        insecure: false,
    };
    assert_eq!(HostManifest::from_json(&text).unwrap().auth, Some(AuthConfig::Http(auth.clone())));
    let text = text.replace(r#""TOKEN""#, r#""TOKEN", "insecure": true"#);
    let auth = HttpAuth { insecure: true, ..auth };
    assert_eq!(HostManifest::from_json(&text).unwrap().auth, Some(AuthConfig::Http(auth)));

    check_host(&host(r#""auth": {}"#), "/auth", &["`provider` is missing"]);
    check_host(&host(r#""auth": { "provider": "htpp" }"#), "/auth/provider", &["`http`"]);
    check_host(&host(r#""auth": { "provider": "http" }"#), "/auth", &["`base` is missing"]);
    check_host(&host(r#""auth": { "provider": "http", "base": "ftp://x" }"#), "/auth/base", &["URL"]);
    check_host(&host(r#""auth": { "provider": "local", "base": "http://x" }"#), "/auth/base", &["unknown"]);
    let both = r#""auth": { "provider": "http", "base": "http://x", "tokenFile": "t", "tokenEnv": "T" }"#;
    check_host(&host(both), "/auth", &["both"]);
}

#[test]
fn write_access_includes_read_access() {
    assert!(AtomAccess::Write.includes(AtomAccess::Read));
    assert!(!AtomAccess::Read.includes(AtomAccess::Write));
}

fn version() -> impl Strategy<Value = Version> {
    "(0|[1-9][0-9]{0,2})\\.(0|[1-9])\\.(0|[1-9])(-(alpha|rc)\\.[1-9])?(\\+b[0-9])?"
        .prop_map(|text| Version::parse(&text).unwrap())
}

#[test]
fn range_for_version_and_lowest_version_of_range() {
    let written = |version: &str| Requirement::written_for(&version.parse().unwrap()).to_string();
    for (version, range) in [
        ("1.0.0", "^1.0"),
        ("1.2.3+b", "^1.2"),
        ("0.3.1", "^0.3"),
        ("0.0.3", "^0.0.3"),
        ("2.0.0-rc.1", "^2.0.0-rc.1"),
    ] {
        assert_eq!(written(version), range);
    }
    for (range, version) in [
        ("^99.0", "99.0.0"),
        (">1.2.3", "1.2.4"),
        (">1.2", "1.3.0"),
        (">1", "2.0.0"),
        (">1.0.0-rc.1", "1.0.0"),
        (">=1.1, <3", "1.1.0"),
        ("<3, >=1, >1.5.0", "1.5.1"),
        ("=1.0.0-rc.1", "1.0.0-rc.1"),
        ("1.*", "1.0.0"),
        ("*", "1.0.0"),
        ("<1", "0.1.0"),
    ] {
        let lowest = Requirement::Range(range.parse().unwrap()).lowest();
        assert_eq!(lowest, Some(version.parse().unwrap()), "{range}");
    }
    assert_eq!(Requirement::Range(">2, <1".parse().unwrap()).lowest(), None);
}

/// Asserts that the place of `pointer` in `text` is that of `found`.
#[track_caller]
fn check_place(text: &str, pointer: &str, found: &str, line_column: (usize, usize)) {
    let place = Place::of(text, pointer).unwrap();
    assert_eq!((place.pointer.as_str(), (place.line, place.column)), (found, line_column));
}

#[test]
fn pointer_has_a_place_in_the_text() {
    let text = "{\n  \"é\": 1, \"a/b~\": { \"c\": [1,\n    { \"d\": true }] }\n}";
    check_place(text, "", "", (1, 1));
    check_place(text, "/é", "/é", (2, 8));
    check_place(text, "/a~1b~0/c/1/d", "/a~1b~0/c/1/d", (3, 12));
    // An absent value has the place of the value around it.
    check_place(text, "/a~1b~0/x/y", "/a~1b~0", (2, 19));
    check_place(text, "/a~1b~0/c/7", "/a~1b~0/c", (2, 26));
    check_place(text, "/é/x", "/é", (2, 8));
    assert_eq!(Place::of("{", "/a"), None);
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let range = "(\\^|~|=|<|>=|> )[0-9](\\.[0-9]){0,2}(, <[0-9])?|\\*|[1-9]\\.\\*";
    prop_oneof![Just(Requirement::Any), range.prop_map(|text| Requirement::Range(text.parse().unwrap())),]
}

fn shared_entry() -> impl Strategy<Value = ShareDecl> {
    let words = ("default|legacy", any::<[bool; 4]>());
    (option::of(version()), option::of(requirement()), words).prop_map(
        |(version, required_version, (share_scope, switches))| {
            let [singleton, eager, strict_version, import] = switches;
            let import = import && version.is_some();
            let required_version = required_version.or_else(|| version.is_none().then_some(Requirement::Any));
            ShareDecl { version, required_version, singleton, eager, strict_version, import, share_scope }
        },
    )
}

/// Returns names by `pattern` that are not those of devices, which manifests cannot contain.
fn name(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern.prop_filter("a device of Windows", |name: &String| !is_device(name))
}

fn any_remote() -> impl Strategy<Value = RemoteManifest> {
    let title = "[A-Za-zé\"\\\\/]{1,20}";
    let expose = (title, option::of("[a-z]{1,8}")).prop_map(|(title, icon)| ExposeDecl { title, icon });
    let access = prop_oneof![Just(AtomAccess::Read), Just(AtomAccess::Write)];
    let maps = (
        btree_map("\\./[a-z/~]{1,8}", expose, 0..3),
        btree_map("[a-z][a-z0-9_-]{0,8}", shared_entry(), 0..4),
        btree_map("[a-z.:]{3,8}", access, 0..3),
    );
    (
        option::of("[a-z/.]{1,20}"),
        name("[a-zA-Zé][a-z. -]{0,8}[a-z]"),
        version(),
        option::of(title),
        (name("[a-z_]{1,10}"), option::of("[0-9a-f]{64}")),
        maps,
    )
        .prop_map(|(schema, name, version, title, (remote_entry, sha256), (exposes, shared, atoms))| {
            RemoteManifest {
                schema,
                manifest_version: MANIFEST_VERSION,
                name,
                version,
                title,
                remote_entry,
                sha256,
                exposes,
                shared,
                atoms,
            }
        })
}

fn any_host() -> impl Strategy<Value = HostManifest> {
    let reference =
        (name("[a-z]{1,8}"), "[a-z./@:]{1,20}").prop_map(|(name, location)| RemoteRef { name, location });
    let token = prop_oneof![
        Just((None, None)),
        Just((Some(PathBuf::from("token.txt")), None)),
        Just((None, Some("TOKEN".to_owned()))),
    ];
    let http = ("https?://[a-z]{1,8}(:[1-9]{1,4})?(/[a-z]{1,4})?", token, any::<bool>()).prop_map(
        |(base, (token_file, token_env), insecure)| {
            AuthConfig::Http(HttpAuth { base, token_file, token_env, insecure })
        },
    );
    let strategy = prop_oneof![Just(ShareStrategy::VersionFirst), Just(ShareStrategy::LoadedFirst)];
    let access = prop_oneof![Just(AtomAccess::Read), Just(AtomAccess::Write)];
    let grants = option::of(btree_map(name("[a-z]{1,8}"), btree_map("[a-z]{1,8}", access, 0..3), 0..3));
    let remotes = btree_map(name("[a-z]{1,8}"), reference, 0..3);
    let providers = btree_map(name("[a-z]{1,8}"), btree_set(name("[a-z]{1,8}"), 0..3), 0..3);
    let shared = btree_map("[a-z][a-z0-9_-]{0,8}", shared_entry(), 0..4);
    (
        name("[a-z]{1,8}"),
        strategy,
        remotes,
        shared,
        option::of(prop_oneof![Just(AuthConfig::Local), http]),
        any::<bool>(),
        grants,
        providers,
        updates::any_repositories(),
        updates::any_updates(),
    )
        .prop_map(
            |(
                name,
                share_strategy,
                remotes,
                shared,
                auth,
                preflight,
                grants,
                providers,
                repositories,
                updates,
            )| {
                HostManifest {
                    schema: None,
                    manifest_version: MANIFEST_VERSION,
                    name,
                    share_strategy,
                    remotes,
                    shared,
                    auth,
                    preflight,
                    grants,
                    providers,
                    repositories,
                    updates,
                }
            },
        )
}

proptest! {
    #[test]
    fn written_manifest_is_read_back(remote in any_remote(), host in any_host(), indented: bool) {
        let write = |value: &dyn erased::Write| if indented { value.pretty() } else { value.compact() };
        prop_assert_eq!(&RemoteManifest::from_json(&write(&remote)).unwrap(), &remote);
        prop_assert_eq!(&HostManifest::from_json(&write(&host)).unwrap(), &host);
        let value = serde_json::to_value(&remote).unwrap();
        prop_assert_eq!(serde_json::from_value::<RemoteManifest>(value).unwrap(), remote);
    }

    /// A place exists: the pointer resolves, and line and column are inside the text.
    #[test]
    fn broken_manifest_has_an_error_with_a_place(remote in any_remote(), at in any::<prop::sample::Index>(), junk in "[\\PC\\n\"{}:,]{0,3}") {
        let mut text = serde_json::to_string_pretty(&remote).unwrap();
        let mut cut = at.index(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.insert_str(cut, &junk);
        if let Err(error) = RemoteManifest::from_json(&text) {
            let line = error.line().unwrap();
            let column = error.column().unwrap();
            let chars = text.split('\n').nth(line - 1).map(|line| line.chars().count());
            prop_assert!(chars.is_some_and(|chars| column <= chars + 1), "{} in {}", error, text);
            if let Some(pointer) = error.pointer().filter(|pointer| !pointer.contains('…')) {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert!(value.pointer(pointer).is_some() || pointer.contains('\\'), "{} in {}", error, text);
            }
        }
    }

    #[test]
    fn reader_never_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(RemoteManifest::from_json(&text).is_err());
        prop_assert!(HostManifest::from_slice(&bytes).is_err());
        let _ = text.parse::<Range>();
    }
}

mod erased {
    /// The part of `serde::Serialize`, which is not dyn-compatible, that the test needs.
    pub(super) trait Write {
        fn pretty(&self) -> String;
        fn compact(&self) -> String;
    }

    impl<T: serde::Serialize> Write for T {
        fn pretty(&self) -> String {
            serde_json::to_string_pretty(self).unwrap()
        }

        fn compact(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}
