use std::fs;

use super::*;
use crate::catalogue::Code;

#[test]
fn user_address_is_built_from_base() {
    let check = |base: &str, expect: &str| {
        let url = user_url(base).expect(base);
        assert_eq!(url.to_string(), expect);
    };
    check("https://id.example.org", "https://id.example.org/api/users/me");
    check(" http://id.example.org:8080/sso// ", "http://id.example.org:8080/sso/api/users/me");
    check("http://[::1]:9", "http://[::1]:9/api/users/me");

    for base in [
        "",
        "id.example.org",
        "ftp://id.example.org",
        "file:///etc/passwd",
        "https://",
        "https://:80",
        "https://id.example.org/?a=b",
        "https://id.example.org#x",
        "https://ada:hunter2@id.example.org",
        "https://id.example.org/\u{7f}",
        "http://a b",
    ] {
        let error = user_url(base).expect_err(base);
        assert_eq!(error.code(), Code::AuthConfigInvalid, "{base}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn location_is_resolved_against_its_request() {
    let from: Uri = "http://h:1/api/users/me?x=1".parse().expect("address");
    let check = |location: &str, expect: Option<&str>| {
        let found = resolve(&from, location.as_bytes()).map(|url| url.to_string());
        assert_eq!(found.as_deref(), expect, "{location:?}");
    };
    check("https://o/p?q", Some("https://o/p?q"));
    check("HTTP://h:1/p#f", Some("http://h:1/p"));
    check("//o:2/p", Some("http://o:2/p"));
    check("/p", Some("http://h:1/p"));
    check("/p?u=http://o", Some("http://h:1/p?u=http://o"));
    check("?y", Some("http://h:1/api/users/me?y"));
    check("you", Some("http://h:1/api/users/you"));
    check("../me", Some("http://h:1/api/me"));
    check("/a/./b/../../c?d=/../e", Some("http://h:1/c?d=/../e"));
    check("../../../../x", Some("http://h:1/x"));
    check("/%2e%2e/x", Some("http://h:1/x"));
    check("", None);
    check("http:", None);
    check("//", None);
    check("javascript:alert(1)", None);
    check("/\u{1}", None);
}

#[test]
fn origin_is_scheme_host_and_port() {
    let base: Uri = "http://h/a".parse().expect("address");
    let check = |other: &str, expect: bool| {
        let other: Uri = other.parse().expect(other);
        assert_eq!(same_origin(&base, &other), expect, "{other}");
    };
    check("http://H:80/b", true);
    check("https://h/a", false);
    check("http://h:81/a", false);
    check("http://h.example/a", false);
    check("http://u:p@h/a", false);
}

#[test]
fn token_goes_in_clear_only_to_this_machine() {
    let token = Secret::new("sec-ret".to_owned());
    for (url, insecure, sent) in [
        ("https://id.example.org/", false, true),
        ("http://id.example.org/", false, false),
        ("http://id.example.org/", true, true),
        ("http://10.0.0.1:8080/", false, false),
        ("http://localhost.example.org/", false, false),
        ("http://127.0.0.1.example.org/", false, false),
        ("http://0.0.0.0/", false, false),
        ("http://localhost:80/", false, true),
        ("http://127.0.0.1/", false, true),
        ("http://[::1]:80/", false, true),
    ] {
        let url: Uri = url.parse().expect(url);
        let allowed = may_send(&url, Some(&token), insecure);
        assert_eq!(
            allowed.as_ref().err().map(AuthError::code),
            (!sent).then_some(Code::AuthTokenInClear),
            "{url}"
        );
        if let Err(error) = allowed {
            assert!(
                !error.to_string().contains("sec-ret") && error.advice().contains("\"insecure\""),
                "{error}"
            );
        }
        assert!(may_send(&url, None, false).is_ok(), "there is nothing to keep secret");
    }
}

#[test]
fn messages_show_no_credentials_and_no_query() {
    let url: Uri = "https://ada:hunter2@h:1/p?token=hunter2".parse().expect("address");
    assert_eq!(show(&url), "https://h:1/p");
}

#[test]
fn loopback_is_recognised() {
    for (url, expect) in [
        ("http://localhost:1/", true),
        ("http://127.3.2.1/", true),
        ("http://[::1]:8/", true),
        ("http://localhost.example.org/", false),
        ("http://10.0.0.1/", false),
    ] {
        let url: Uri = url.parse().expect(url);
        assert_eq!(is_loopback(&url), expect, "{url}");
    }
}

#[test]
fn bearer_comes_from_variable_or_file() {
    let dir = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).expect("file");
    write("good", b"\n  from-file \r\n");
    write("empty", b" \n");
    write("two", b"one two");
    write("binary", b"\xff\xfe");
    write("long", "a".repeat(20_000).as_bytes());
    let env = |name: &str| match name {
        "SET" => Some(OsString::from(" from-env\n")),
        "BLANK" => Some(OsString::from(" ")),
        _ => None,
    };
    let check = |var: Option<&str>, file: Option<&str>, expect: Result<Option<&str>, Code>| {
        let config = HttpAuth {
            base: "http://h".to_owned(),
            token_file: file.map(Into::into),
            token_env: var.map(Into::into),
            insecure: false,
        };
        let found = bearer(&config, dir.path(), env);
        match (&found, expect) {
            (Ok(token), Ok(expect)) => {
                assert_eq!(token.as_ref().map(Secret::expose), expect, "{var:?} {file:?}");
            }
            (Err(error), Err(code)) => {
                assert_eq!(error.code(), code, "{var:?} {file:?}");
                let message = error.to_string();
                let place = file.or(var).expect("a source");
                assert!(message.contains(place), "{message}");
                assert!(!message.contains("one two"), "{message}");
            }
            _ => panic!("{var:?} {file:?}: {found:?}"),
        }
    };
    check(None, None, Ok(None));
    check(Some("SET"), None, Ok(Some("from-env")));
    check(None, Some("good"), Ok(Some("from-file")));
    check(Some("UNSET"), None, Err(Code::AuthTokenMissing));
    check(Some("BLANK"), None, Err(Code::AuthTokenInvalid));
    check(Some("BAD=NAME"), None, Err(Code::AuthTokenMissing));
    check(None, Some("missing"), Err(Code::AuthTokenMissing));
    check(None, Some("empty"), Err(Code::AuthTokenInvalid));
    check(None, Some("two"), Err(Code::AuthTokenInvalid));
    check(None, Some("binary"), Err(Code::AuthTokenInvalid));
    check(None, Some("long"), Err(Code::AuthTokenInvalid));
}

#[test]
fn bearer_header_is_sensitive() {
    let value = authorization(&Secret::new("abc".to_owned())).expect("header");
    assert_eq!(value.as_bytes(), b"Bearer abc");
    assert!(value.is_sensitive());
}
