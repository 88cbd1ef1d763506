//! The service against a real HTTP server and real files.

mod server;

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use negotiation::manifest::HttpAuth;
use tempfile::TempDir;

use super::*;
use crate::catalogue::Code;
use server::{Reply, Server};

/// The time that a test waits for an event before it fails; no test needs this long.
const PATIENCE: Duration = Duration::from_mins(1);

const ADA: &str = r#"{"id":7,"name":"Ada Lovelace","role":"analyst","team":["x"]}"#;

/// A call of the sink.
#[derive(Debug, PartialEq)]
enum Call {
    In { name: String, token: Option<String> },
    Out,
}

/// A service whose settings, sink and wake-ups the test controls.
struct Rig {
    service: AuthService,
    calls: Receiver<Call>,
    woken: Receiver<()>,
    dir: TempDir,
}

fn timing(limit: Duration) -> Timing {
    Timing { limit, back_off: vec![Duration::from_millis(1); 2] }
}

fn http(base: String) -> AuthConfig {
    AuthConfig::Http(HttpAuth { base, token_file: None, token_env: None, insecure: false })
}

fn http_with_token(base: String) -> AuthConfig {
    AuthConfig::Http(HttpAuth { base, token_file: Some("token".into()), token_env: None, insecure: false })
}

impl Rig {
    fn start(config: &AuthConfig) -> Self {
        Self::start_with(config, timing(PATIENCE))
    }

    fn start_with(config: &AuthConfig, timing: Timing) -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join("token"), "s3cret\n").expect("token");
        let (sender, calls) = channel();
        let (wake, woken) = channel();
        let service = AuthService::start_with(
            config,
            dir.path(),
            timing,
            sink(sender),
            Arc::new(move || {
                let _ = wake.send(());
            }),
        );
        Self { service, calls, woken, dir }
    }

    /// Waits until the service has decided.
    fn settled(&self) -> AuthStatus {
        loop {
            match self.service.status() {
                AuthStatus::SigningIn { .. } => {
                    self.woken.recv_timeout(PATIENCE).expect("a wake-up");
                }
                status => return status,
            }
        }
    }

    /// Waits for a failure, which must leave no user signed in.
    fn failure(&self) -> Arc<AuthError> {
        match self.settled() {
            AuthStatus::Failed(error) => {
                assert_eq!(self.calls.try_iter().last(), Some(Call::Out));
                error
            }
            status => panic!("expected a failure, found {status:?}"),
        }
    }

    /// Waits for a sign-in, and returns the last call of the sink.
    fn signed_in(&self) -> Call {
        let status = self.settled();
        assert!(matches!(status, AuthStatus::SignedIn), "{status:?}");
        self.calls.try_iter().last().expect("a call of the sink")
    }
}

fn sink(sender: Sender<Call>) -> impl SessionSink {
    move |session: Option<&Session>| {
        let what = session.map_or(Call::Out, |session| Call::In {
            name: session.user.name.clone(),
            token: session.token.as_ref().map(|t| t.expose().to_owned()),
        });
        let _ = sender.send(what);
    }
}

fn ada(token: Option<&str>) -> Call {
    Call::In { name: "Ada Lovelace".to_owned(), token: token.map(ToOwned::to_owned) }
}

#[test]
fn local_user_signs_in_out_and_in_again() {
    let rig = Rig::start(&AuthConfig::Local);
    let Call::In { name, token } = rig.signed_in() else {
        panic!("not signed in");
    };
    assert_eq!(name, "Grace Hopper");

    rig.woken.try_iter().for_each(drop);
    rig.service.sign_out();
    assert_eq!(rig.calls.try_recv(), Ok(Call::Out));
    assert!(matches!(rig.service.status(), AuthStatus::SignedOut));
    assert_eq!(rig.woken.try_iter().count(), 1);

    rig.service.sign_in();
    let Call::In { token: second, .. } = rig.signed_in() else {
        panic!("not signed in again");
    };
    assert!(token.is_some() && second.is_some() && token != second);
}

#[test]
fn retry_reads_corrected_profile() {
    let rig = Rig::start(&AuthConfig::Local);
    rig.signed_in();
    let profile = rig.dir.path().join(PROFILE_FILE);
    fs::write(&profile, "{").expect("profile");
    rig.service.sign_in();
    assert_eq!(rig.failure().code(), Code::AuthProfileInvalid);
    fs::write(&profile, ADA).expect("profile");
    rig.service.retry();
    assert!(matches!(rig.signed_in(), Call::In { name, .. } if name == "Ada Lovelace"));
    rig.service.retry();
    assert!(matches!(rig.service.status(), AuthStatus::SignedIn), "only after a failure");
}

#[test]
fn http_signs_in_with_the_bearer_as_token() {
    let server = Server::start(|_| Reply::json(ADA));
    let rig = Rig::start(&http_with_token(server.base()));
    assert_eq!(rig.signed_in(), ada(Some("s3cret")));
    let head = server.request().to_ascii_lowercase();
    assert!(head.starts_with("get /api/users/me http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: bearer s3cret\r\n"), "{head}");

    let server = Server::start(|_| Reply::json(ADA));
    let rig = Rig::start(&http(server.base()));
    assert_eq!(rig.signed_in(), ada(None));
    assert!(!server.request().to_ascii_lowercase().contains("authorization"));
}

#[test]
fn missing_token_fails_before_any_request() {
    let server = Server::start(|_| Reply::json(ADA));
    let rig = Rig::start(&AuthConfig::Http(HttpAuth {
        base: server.base(),
        token_file: Some("absent".into()),
        token_env: None,
        insecure: false,
    }));
    assert_eq!(rig.failure().code(), Code::AuthTokenMissing);
    assert_eq!(server.count(), 0);
}

/// Answers each request with `reply`; the sign-in must fail with `code` after `requests` of them.
fn check_failure(reply: fn() -> Reply, code: Code, requests: usize) -> String {
    let server = Server::start(move |_| reply());
    let rig = Rig::start(&http_with_token(server.base()));
    let error = rig.failure();
    let message = error.to_string();
    assert_eq!(error.code(), code, "{message}");
    assert_eq!(server.count(), requests, "{message}");
    assert!(message.ends_with(&format!("{}/api/users/me", server.base())));
    assert!(!message.contains("s3cret"));
    message
}

#[test]
fn refusals_are_final() {
    check_failure(|| Reply::status(401), Code::AuthUnauthorized, 1);
    check_failure(|| Reply::status(403), Code::AuthForbidden, 1);
    check_failure(|| Reply::status(404), Code::AuthNotFound, 1);
    check_failure(|| Reply::status(418), Code::AuthRejected, 1);
}

#[test]
fn failing_server_is_asked_three_times() {
    let message = check_failure(|| Reply::status(500), Code::AuthServerError, 3);
    assert!(message.contains("tries: 3"), "{message}");
    check_failure(|| Reply::status(503), Code::AuthServerError, 3);
    check_failure(|| Reply::status(429), Code::AuthRateLimited, 3);
}

#[test]
fn malformed_answers_are_final() {
    let malformed = |reply, reason: &str| {
        let message = check_failure(reply, Code::AuthMalformed, 1);
        assert!(message.contains(reason), "{message}");
    };
    malformed(|| Reply::json("{\"id\": 7,\n \"name\""), "line 2");
    malformed(|| Reply::json("<html>Sign in</html>"), "line 1");
    malformed(|| Reply::json(""), "EOF");
    malformed(|| Reply::json(r#"["7","Ada","dev",null]"#), "expected a map");
    malformed(|| Reply::json(r#"{"id":7,"name":1,"role":"a"}"#), "string");
    malformed(|| Reply::json(r#"{"id":{},"name":"Ada","role":"a"}"#), "string or an integer");
    malformed(|| Reply::json(r#"{"id":7,"name":" ","role":"a"}"#), "name is empty");
    malformed(|| Reply::json(r#"{"id":7,"name":"Ada"}"#), "`role`");
    malformed(|| Reply::json(r#"{"name":"Ada","role":"a"}"#), "`id`");
    malformed(
        || {
            let name = "a".repeat(200_000);
            Reply::json(format!(r#"{{"id":7,"name":"{name}","role":"a"}}"#))
        },
        "larger than 64 KiB",
    );
    malformed(|| Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), "");
}

#[test]
fn endless_body_is_cut_off_at_the_limit() {
    let message = check_failure(
        || {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for _ in 0..1000 {
                bytes.extend_from_slice(b"400\r\n");
                bytes.extend_from_slice(&[b' '; 0x400]);
                bytes.extend_from_slice(b"\r\n");
            }
            Reply::Raw(bytes)
        },
        Code::AuthMalformed,
        1,
    );
    assert!(message.contains("larger than 64 KiB"), "{message}");
}

#[test]
fn broken_connection_is_retried() {
    check_failure(|| Reply::Raw(Vec::new()), Code::AuthUnreachable, 3);
    check_failure(
        || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":".to_vec()),
        Code::AuthUnreachable,
        3,
    );
}

#[test]
fn recovering_server_signs_in() {
    let server = Server::start(|number| match number {
        0 => Reply::status(500),
        1 => Reply::Raw(Vec::new()),
        _ => Reply::json(ADA),
    });
    let rig = Rig::start(&http(server.base()));
    assert_eq!(rig.signed_in(), ada(None));
    assert_eq!(server.count(), 3);
    assert!(rig.calls.try_recv().is_err(), "one call");
}

#[test]
fn status_names_each_try() {
    let (open, gate) = channel();
    let mut gate = Some(gate);
    let server = Server::start(move |number| match gate.take_if(|_| number == 1) {
        Some(gate) => Reply::Gated(gate, Box::new(Reply::json(ADA))),
        None => Reply::status(500),
    });
    let rig = Rig::start(&http(server.base()));
    server.request();
    server.request();
    let status = rig.service.status();
    assert!(matches!(status, AuthStatus::SigningIn { attempt: 2 }), "{status:?}");
    drop(open);
    assert_eq!(rig.signed_in(), ada(None));
}

#[test]
fn silent_server_times_out() {
    let server = Server::start(|_| Reply::Silence);
    let limit = Duration::from_millis(50);
    let rig = Rig::start_with(&http(server.base()), timing(limit));
    let error = rig.failure();
    assert_eq!(error.code(), Code::AuthTimeout);
    assert!(error.to_string().contains("tries: 3"), "{error}");
    assert!(error.to_string().contains("within 0.05 s"), "{error}");
}

#[test]
fn refused_connection_is_unreachable() {
    // No server listens on port 1.
    let rig = Rig::start(&http("http://127.0.0.1:1".to_owned()));
    let error = rig.failure();
    assert_eq!(error.code(), Code::AuthUnreachable);
    assert!(error.to_string().contains("tries: 3"), "{error}");
}

#[test]
fn retry_asks_again_after_a_final_failure() {
    let server = Server::start(|number| match number {
        0 => Reply::status(401),
        _ => Reply::json(ADA),
    });
    let rig = Rig::start(&http_with_token(server.base()));
    assert_eq!(rig.failure().code(), Code::AuthUnauthorized);
    fs::write(rig.dir.path().join("token"), "renewed").expect("token");
    rig.service.retry();
    assert_eq!(rig.signed_in(), ada(Some("renewed")));
}

#[test]
fn unusable_base_is_reported() {
    let rig = Rig::start(&http("id.example.org".to_owned()));
    assert_eq!(rig.failure().code(), Code::AuthConfigInvalid);
}

#[test]
fn https_address_never_falls_back_to_http() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("https://{}", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut record = [0; 5];
        stream.read_exact(&mut record).expect("a record's head");
        let mut rest = vec![0; usize::from(record[3]) << 8 | usize::from(record[4])];
        stream.read_exact(&mut rest).expect("the record");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("an answer");
        record[0]
    });
    let rig = Rig::start(&http_with_token(base));
    assert_eq!(rig.failure().code(), Code::AuthTls);
    assert_eq!(server.join().expect("the server"), 22, "a TLS handshake record");
}

#[test]
fn redirect_to_other_origin_is_not_followed() {
    let other = Server::start(|_| Reply::json(ADA));
    let location: &'static str = format!("Location: {}/api/users/me\r\n", other.base()).leak();
    for status in [301, 302, 303, 307, 308] {
        let first = Server::start(move |_| Reply::Answer(status, location, String::new()));
        let rig = Rig::start(&http_with_token(first.base()));
        let error = rig.failure();
        assert_eq!(error.code(), Code::AuthRedirected);
        assert!(error.to_string().contains(&other.base()), "{error}");
        assert_eq!((first.count(), other.count()), (1, 0));
    }
}

#[test]
fn redirect_within_origin_keeps_bearer_and_ends() {
    let server = Server::start(|number| match number {
        0 => Reply::Answer(307, "Location: /api/v2/me\r\n", String::new()),
        _ => Reply::json(ADA),
    });
    let rig = Rig::start(&http_with_token(server.base()));
    assert_eq!(rig.signed_in(), ada(Some("s3cret")));
    server.request();
    let second = server.request().to_ascii_lowercase();
    assert!(second.starts_with("get /api/v2/me "), "{second}");
    assert!(second.contains("bearer s3cret"), "{second}");

    let server = Server::start(|_| Reply::Answer(302, "Location: me\r\n", String::new()));
    let rig = Rig::start(&http_with_token(server.base()));
    assert_eq!(rig.failure().code(), Code::AuthRedirected);
    assert_eq!(server.count(), 4);
}

#[test]
fn late_answer_to_cancelled_sign_in_is_dropped() {
    let (open, gate) = channel();
    let mut gate = Some(gate);
    let server = Server::start(move |_| match gate.take() {
        Some(gate) => Reply::Gated(gate, Box::new(Reply::json(ADA))),
        None => Reply::json(r#"{"id":8,"name":"Katherine","role":"lead"}"#),
    });
    let rig = Rig::start(&http(server.base()));
    server.request();
    rig.service.sign_out();
    // The sink was called before the call returned, though the provider still has the request.
    assert_eq!(rig.calls.try_recv(), Ok(Call::Out));
    assert!(matches!(rig.service.status(), AuthStatus::SignedOut));
    drop(open);

    // The next sign-in is not delayed, and its answer is the only one.
    rig.service.sign_in();
    assert!(matches!(rig.signed_in(), Call::In { name, .. } if name == "Katherine"));
    let Rig { service, calls, .. } = rig;
    drop(service);
    assert_eq!(calls.try_iter().count(), 0);
}

#[test]
fn outcome_of_earlier_generation_is_dropped() {
    let rig = Rig::start(&AuthConfig::Local);
    rig.signed_in();
    let shared = &rig.service.shared;
    let generation = shared.state.lock().generation;
    rig.service.sign_out();
    assert_eq!(rig.calls.try_recv(), Ok(Call::Out));
    let session = Session { user: User::default(), token: None };
    shared.finish(generation, Ok(session));
    let lost = AuthError::Random { reason: "test".to_owned() };
    shared.finish(generation, Err(lost));
    assert!(!shared.begin_try(generation, 2, &super::http::agent()));
    assert!(!shared.pause(generation, PATIENCE));
    assert!(rig.calls.try_recv().is_err());
    assert!(matches!(rig.service.status(), AuthStatus::SignedOut));
}

#[test]
fn signing_out_interrupts_the_pause_between_tries() {
    let server = Server::start(|number| match number {
        0 => Reply::status(500),
        _ => Reply::json(ADA),
    });
    let hours = Timing { limit: PATIENCE, back_off: vec![Duration::from_hours(10)] };
    let rig = Rig::start_with(&http(server.base()), hours);
    server.request();
    rig.service.sign_out();
    rig.service.sign_in();
    assert_eq!(rig.signed_in(), ada(None));
}

#[test]
fn dropped_service_ends_its_worker() {
    let hours = Timing { limit: Duration::from_hours(10), back_off: vec![Duration::from_hours(10)] };
    let during_request: fn() -> Reply = || Reply::Silence;
    let during_pause: fn() -> Reply = || Reply::status(500);
    for reply in [during_request, during_pause] {
        let server = Server::start(move |_| reply());
        let rig = Rig::start_with(&http(server.base()), hours.clone());
        server.request();
        let Rig { service, calls, .. } = rig;
        drop(service);
        // The sink is dropped with the service, without a call: a library that it holds may be unloaded now.
        assert_eq!(calls.try_recv(), Err(TryRecvError::Disconnected));
    }
}

#[test]
fn listener_may_sign_out_during_publication() {
    struct Reluctant {
        service: Arc<Mutex<Option<Arc<AuthService>>>>,
        sender: Sender<Call>,
    }

    impl SessionSink for Reluctant {
        fn signed_in(&self, session: &Session) {
            sink(self.sender.clone()).signed_in(session);
            let service = self.service.lock().clone();
            service.expect("the service").sign_out();
        }

        fn signed_out(&self) {
            sink(self.sender.clone()).signed_out();
        }
    }

    let dir = tempfile::tempdir().expect("temp dir");
    let (sender, calls) = channel();
    let slot = Arc::new(Mutex::new(None));
    let reluctant = Reluctant { service: Arc::clone(&slot), sender };
    // The sink waits for the slot until the service is in it.
    let mut filled = slot.lock();
    let service = AuthService::start(&AuthConfig::Local, dir.path(), reluctant, Arc::new(|| ()));
    let service = Arc::new(service);
    *filled = Some(Arc::clone(&service));
    drop(filled);

    assert!(matches!(calls.recv_timeout(PATIENCE), Ok(Call::In { .. })));
    assert_eq!(calls.recv_timeout(PATIENCE), Ok(Call::Out));
    // Free once the worker has handled the complete outcome.
    drop(service.shared.delivery.lock());
    assert!(matches!(service.status(), AuthStatus::SignedOut));
    slot.lock().take();
    drop(service);
}
