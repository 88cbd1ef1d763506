//! Tests of secured connections; the client's tests cover everything else.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::*;

/// Starts a server with a certificate of an authority that is not public, which answers `requests` requests.
fn server(requests: usize) -> u16 {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tests/server.pem")).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tests/server-key.pem")).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions are known")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key fits the certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("port is free");
    let port = listener.local_addr().expect("address is known").port();
    let serve = move || {
        for stream in listener.incoming().take(requests).flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("configuration is valid");
            let mut stream = StreamOwned::new(connection, stream);
            // A client that refuses the certificate ends the connection here.
            let mut lines = BufReader::new(&mut stream).lines().map_while(Result::ok);
            let Some(first) = lines.next() else { continue };
            let _ = lines.find(String::is_empty);
            let answer = if first.contains("/plain") {
                format!(
                    "HTTP/1.1 302 Found\r\nLocation: http://localhost:{port}/a\r\nContent-Length: 0\r\n\r\n"
                )
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_owned()
            };
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    };
    thread::Builder::new().spawn(serve).expect("thread is spawned");
    port
}

fn link(port: u16, certificates: Vec<String>, token: Option<&str>) -> RepoLink {
    let network = Network {
        timeout: Some(20_000),
        attempts: Some(1),
        certificates,
        token: token.map(|token| Secret::new(token.to_owned())),
        ..Network::default()
    };
    RepoLink::new(&format!("https://localhost:{port}"), &network, Arc::new(|_| ())).expect("settings are valid")
}

fn fetch(link: &RepoLink, file: &str) -> Result<Option<Vec<u8>>, DeliveryError> {
    let body = link.fetch(&[file], 10, Instant::now() + Duration::from_mins(1))?;
    body.map(Body::metadata).transpose()
}

fn authority() -> String {
    include_str!("tests/authority.pem").to_owned()
}

#[test]
fn unknown_authority_is_refused() {
    let error = fetch(&link(server(1), vec![], None), "a").expect_err("certificate is not known");
    assert_eq!(error.code, ErrorCode::RepoTls);
}

#[test]
fn additional_authority_is_accepted() {
    // A connection with the public certificates fails first.
    let link = link(server(3), vec![authority()], Some("token"));
    assert_eq!(fetch(&link, "a").expect("file is fetched"), Some(b"{}".to_vec()));
    assert_eq!(fetch(&link, "b").expect("file is fetched"), Some(b"{}".to_vec()));
}

#[test]
fn unreadable_authority_is_reported() {
    let link = link(server(1), vec!["no certificate".to_owned()], None);
    assert_eq!(fetch(&link, "a").expect_err("it is no PEM").code, ErrorCode::DeliverySettingInvalid);
}

#[test]
fn certificate_of_another_host_is_refused() {
    let port = server(2);
    let network = Network { certificates: vec![authority()], ..Network::default() };
    let report: Report = Arc::new(|_| ());
    let link =
        RepoLink::new(&format!("https://127.0.0.1:{port}"), &network, report).expect("settings are valid");
    assert_eq!(fetch(&link, "a").expect_err("certificate names another host").code, ErrorCode::RepoTls);
}

#[test]
fn redirect_to_plain_address_is_refused() {
    let error = fetch(&link(server(2), vec![authority()], None), "plain").expect_err("it is not secure");
    assert_eq!(error.code, ErrorCode::RepoRedirected);
}

#[test]
fn redirects_keep_host_and_security() {
    let target = |from: &str, to: &str| {
        let from = Url::parse(from).expect("an address");
        follow(&from, to.as_bytes()).map(|target| target.to_string()).map_err(|fault| fault.error.code)
    };
    let accepted = |from, to, expected: &str| assert_eq!(target(from, to), Ok(expected.to_owned()));
    accepted("https://a.example/x/y", "../z", "https://a.example/z");
    accepted("https://a.example/x", "https://a.example/z", "https://a.example/z");
    accepted("http://a.example/x", "https://a.example/x", "https://a.example/x");
    accepted("http://a.example:80/x", "https://A.example:443/x", "https://a.example/x");
    for (from, to) in [
        ("https://a.example/x", "http://a.example/x"),
        ("https://a.example/x", "https://b.example/x"),
        ("https://a.example/x", "https://a.example:444/x"),
        ("https://a.example/x", "https://a.example.b.example/x"),
        ("https://a.example/x", "//b.example/x"),
        ("https://a.example/x", "https://user:password@a.example/x"),
        ("https://a.example/x", "/login?from=x"),
        ("https://a.example/x", "file:///x"),
        ("https://a.example/x", "javascript:1"),
    ] {
        assert_eq!(target(from, to), Err(ErrorCode::RepoRedirected), "{to}");
    }
}
