use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;

/// Writes a file that only its owner can read.
fn private(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("file is written");
    set_mode(&path, 0o600);
    path
}

fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("it is this user's");
}

#[track_caller]
fn refused(result: Result<KeyRing, DeliveryError>, code: ErrorCode) -> DeliveryError {
    let error = result.expect_err("it is refused");
    assert_eq!(error.code, code, "{error}");
    error
}

#[test]
fn source_is_file_variable_or_input() {
    for (text, source) in [
        ("env:PULSE_KEY", KeySource::Variable("PULSE_KEY".to_owned())),
        ("-", KeySource::Input),
        ("file:a/b", KeySource::File("a/b".into())),
        ("a/b.pem", KeySource::File("a/b.pem".into())),
        ("file:-", KeySource::File("-".into())),
    ] {
        assert_eq!(KeySource::parse(text), Ok(source), "{text}");
    }
}

#[test]
fn key_on_command_line_is_refused_and_not_shown() {
    for text in ["-----BEGIN PRIVATE KEY-----\nMC4CAQAw", "env:MC4CAQAwBQYDK2Vw+", "env:", "MC4CAQAw\nBQYDK2Vw"]
    {
        let error = KeySource::parse(text).expect_err("it is refused");
        assert_eq!(error.code, ErrorCode::KeyInvalid);
        assert!(!format!("{error:?}").contains("MC4C"), "{error:?}");
    }
}

#[test]
fn several_keys_are_read_from_a_source() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let (a, b) = (generate(&path("a")).expect("a key"), generate(&path("b")).expect("a key"));
    let both = ["a", "b"].map(|name| fs::read_to_string(path(name)).expect("a key")).concat();
    let both = private(folder.path(), "both", &format!("\n{both}\n"));
    let ring = KeyRing::read(&[KeySource::File(both)]).expect("two keys");
    let ids: Vec<String> = ring.keys().map(PublicKey::id).collect();
    assert_eq!(ids, [a.public.id(), b.public.id()]);
    assert!(ids.iter().all(|id| id.len() == 64));
    let shown = format!("{ring:?}");
    assert!(shown.contains(&ids[0]) && !shown.contains("PRIVATE"));
    assert_eq!(ring.signers(&[b.public.id.clone(), b.public.id.clone()]).len(), 1);
}

#[test]
fn keys_of_other_kinds_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let openssl = |args: &[&str]| {
        let made = std::process::Command::new("openssl").args(args).output().expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("PEM")
    };
    for kind in [
        &["ed25519"][..],
        &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ] {
        let text = openssl(&[&["genpkey", "-algorithm"], kind].concat());
        let path = private(folder.path(), "key", &text);
        let ring = KeyRing::read(&[KeySource::File(path.clone())]).expect("a key");
        assert!(ring.private[0].sign(b"message").is_some(), "{kind:?}");
        let public = openssl(&["pkey", "-in", &path.to_string_lossy(), "-pubout"]);
        let public = private(folder.path(), "public", &public);
        let source = [KeySource::File(public)];
        let read = KeyRing::read_any(&source).expect("a public key");
        assert_eq!(read.public[0].id(), ring.private[0].public.id(), "{kind:?}");
        refused(KeyRing::read(&source), ErrorCode::KeyInvalid);
    }
}

#[test]
fn missing_keys_are_reported_with_their_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    refused(KeyRing::read(&[]), ErrorCode::KeyMissing);
    let error = refused(KeyRing::read(&[KeySource::File(folder.path().join("none"))]), ErrorCode::KeyMissing);
    assert!(error.summary.ends_with("none"), "{error}");
    let empty = private(folder.path(), "empty", " \n");
    refused(KeyRing::read(&[KeySource::File(empty)]), ErrorCode::KeyMissing);
    let unset = KeySource::Variable("DELIVERY_TEST_UNSET".to_owned());
    let error = refused(KeyRing::read(&[unset]), ErrorCode::KeyMissing);
    assert!(error.summary.ends_with("env:DELIVERY_TEST_UNSET"), "{error}");
}

#[cfg(unix)]
#[test]
fn exposed_key_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("key");
    generate(&path).expect("a key");
    for mode in [0o644, 0o640, 0o602, 0o620] {
        set_mode(&path, mode);
        let error = refused(KeyRing::read(&[KeySource::File(path.clone())]), ErrorCode::KeyExposed);
        assert!(error.advice.contains("chmod 600"));
    }
    set_mode(&path, 0o400);
    KeyRing::read(&[KeySource::File(path)]).expect("it is private");
}

#[test]
fn unusable_key_is_refused_without_its_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = "x".repeat(100_000);
    let certificate = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    let broken = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    for text in ["secret", certificate, broken, &long] {
        let path = private(folder.path(), "key", text);
        let error = refused(KeyRing::read(&[KeySource::File(path)]), ErrorCode::KeyInvalid);
        assert!(!format!("{error:?}").contains("c2Vj") && !format!("{error:?}").contains("secret"));
    }
    refused(KeyRing::read(&[KeySource::File(folder.path().to_owned())]), ErrorCode::KeyInvalid);
}

#[cfg(unix)]
#[test]
fn pipe_as_key_does_not_block() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|made| made.success()));
    let error = refused(KeyRing::read(&[KeySource::File(pipe)]), ErrorCode::KeyInvalid);
    assert!(error.advice.contains('-'));
}

#[test]
fn key_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("key");
    let key = generate(&path).expect("a key");
    let again = generate(&path).map(|key| key.public.id()).expect_err("it exists");
    assert_eq!(again.code, ErrorCode::SiteOccupied);
    let ring = KeyRing::read(&[KeySource::File(path)]).expect("the first key");
    assert_eq!(ring.private[0].public.id(), key.public.id());
}
