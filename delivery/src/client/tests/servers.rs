//! Faults of servers and networks.

use std::time::Duration;

use super::*;

fn repository() -> (TestSite, TestServer, TestUser) {
    let mut site = TestSite::new();
    let server = TestServer::new(&site.files);
    let user = TestUser::trusting(server.address(), &site);
    site.add("remoteHello", "1.1.0");
    site.write();
    server.serve(&site.files);
    (site, server, user)
}

fn retries(events: &[FetchEvent]) -> Vec<ErrorCode> {
    let errors = events.iter().filter_map(|event| match event {
        FetchEvent::Retrying { error, .. } => Some(error.code),
        _ => None,
    });
    errors.collect()
}

#[test]
fn faulty_servers_are_reported() {
    let (mut site, server, mut user) = repository();
    site.next_root();
    site.write_root();
    server.serve(&site.files);
    user.network.attempts = Some(1);
    for (code, act) in [
        (ErrorCode::RepoServerError, Act::Status(500, "")),
        (ErrorCode::RepoServerError, Act::Status(429, "Retry-After: 0\r\n")),
        (ErrorCode::RepoServerError, Act::Status(418, "")),
        (ErrorCode::RepoNotMetadata, Act::Page),
        (ErrorCode::RepoNotMetadata, Act::Status(511, "")),
        (ErrorCode::RepoNotMetadata, Act::Bytes(b"not JSON".to_vec())),
        (ErrorCode::RepoUnreachable, Act::Close),
        (ErrorCode::RepoUnreachable, Act::Cut(10)),
        (ErrorCode::RepoTimeout, Act::Silence),
        (ErrorCode::RepoTooSlow, Act::Hang(10)),
        (ErrorCode::RepoTooSlow, Act::Drip(Duration::from_millis(10))),
    ] {
        // Limits that honest answers cannot reach would take too long for the others.
        let is_slow = matches!(code, ErrorCode::RepoTimeout | ErrorCode::RepoTooSlow);
        user.network.timeout = Some(if is_slow { 600 } else { 20_000 });
        user.network.stall = Some(if is_slow { 300 } else { 20_000 });
        for file in ["metadata/2.root.json", "metadata/timestamp.json", "metadata/2.team.json"] {
            server.script(file, [act.clone()]);
            user.refuses_check(code);
            server.script(file, [Act::Serve]);
        }
    }
    assert!(is_changed(&user.check()));
}

#[test]
fn server_that_recovers_is_retried() {
    let (_site, server, user) = repository();
    for act in [Act::Status(503, ""), Act::Close, Act::Cut(20)] {
        server.script("metadata/timestamp.json", [act.clone(), act, Act::Serve]);
        let events = user.events(Task::Check { root: None, wanted: vec![] });
        assert_eq!(retries(&events).len(), 2, "{events:?}");
        assert!(matches!(events.last(), Some(FetchEvent::Checked { .. })), "{events:?}");
    }
}

#[test]
fn refusals_are_not_retried() {
    let (_site, server, user) = repository();
    for (act, code) in [
        (Act::Status(401, ""), ErrorCode::RepoDenied),
        (Act::Status(403, ""), ErrorCode::RepoDenied),
        (Act::Status(404, ""), ErrorCode::RepoNotFound),
    ] {
        server.script("metadata/timestamp.json", [act]);
        let events = user.events(Task::Check { root: None, wanted: vec![] });
        assert_eq!(retries(&events), []);
        assert_eq!(self::code(&events[0]), code);
    }
}

#[test]
fn object_store_may_deny_missing_roots() {
    let (_site, server, user) = repository();
    server.script("metadata/2.root.json", [Act::Status(403, "")]);
    assert!(is_changed(&user.check()));
}

#[test]
fn redirects_stay_on_the_host() {
    let (_site, server, user) = repository();
    let port = server.port();
    let other = TestServer::new(&crate::testing::SiteFiles::new());
    for target in [
        format!("http://localhost:{port}/metadata/timestamp.json"),
        format!("http://127.0.0.1:{}/metadata/timestamp.json", other.port()),
        "http://login.example.org/".to_owned(),
        "//login.example.org/".to_owned(),
        "ftp://127.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("http://user@127.0.0.1:{port}/metadata/timestamp.json"),
        "/metadata/timestamp.json?login".to_owned(),
        "http://[".to_owned(),
        "/metadata/timestamp.json".to_owned(),
    ] {
        server.script("metadata/timestamp.json", [Act::Redirect(target)]);
        user.refuses_check(ErrorCode::RepoRedirected);
    }
    assert_eq!(other.received(), []);
    // Five redirects on the same host.
    server.script("metadata/timestamp.json", [Act::Redirect("/a".to_owned())]);
    for (from, to) in [("a", "/b"), ("b", "/c"), ("c", "d"), ("d", "/metadata/e")] {
        server.script(from, [Act::Redirect(to.to_owned())]);
    }
    let timestamp = repository_file(&server, "metadata/timestamp.json");
    server.script("metadata/e", [Act::Bytes(timestamp)]);
    // Only a file that exists is served with other bytes.
    assert!(is_changed(&user.check()));
}

fn repository_file(server: &TestServer, path: &str) -> Vec<u8> {
    let mut file = Vec::new();
    server.change(path, |bytes| file.clone_from(bytes));
    file
}

#[test]
fn token_is_sent_to_its_origin_alone() {
    let (_site, server, mut user) = repository();
    user.network.token = Some(crate::Secret::new("token".to_owned()));
    server.received();
    assert!(is_changed(&user.check()));
    for request in server.received() {
        assert_eq!(request.headers.get("authorization").map(String::as_str), Some("Bearer token"));
        assert!(request.headers["user-agent"].starts_with("pulse/"));
        assert_eq!(request.headers["accept-encoding"], "identity");
    }
    for (address, token) in [
        ("http://plugins.example.org", "token"),
        ("https://plugins.example.org", ""),
        ("https://plugins.example.org", "a b"),
        ("https://plugins.example.org", "a\r\nX: y"),
    ] {
        user.address = address.to_owned();
        user.network.token = Some(crate::Secret::new(token.to_owned()));
        user.refuses_check(ErrorCode::DeliverySettingInvalid);
    }
}

#[test]
fn invalid_settings_are_refused() {
    let (_site, _server, mut user) = repository();
    user.address = "https://user:password@example.org".to_owned();
    user.refuses_check(ErrorCode::DeliverySettingInvalid);
}

#[test]
fn unreachable_server_is_reported() {
    let (_site, server, mut user) = repository();
    user.address = format!("http://127.0.0.1:{}", server.port());
    drop(server);
    // The listener ends soon, and its port is closed.
    user.network.timeout = Some(500);
    let end = user.check();
    assert!(matches!(code(&end), ErrorCode::RepoUnreachable | ErrorCode::RepoTimeout), "{end:?}");
    user.address = "http://name.invalid".to_owned();
    user.refuses_check(ErrorCode::RepoUnreachable);
}
