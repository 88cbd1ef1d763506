use std::fs;
use std::sync::Barrier;
use std::thread;

use super::*;
use crate::catalogue::Code;

#[test]
fn first_run_creates_private_profile() {
    let dir = tempfile::tempdir().expect("temp dir");
    let config = dir.path().join("new/pulse");
    let session = sign_in(&config).expect("sign-in");
    assert_eq!((session.user.name.as_str(), session.user.role.as_str()), ("Grace Hopper", "admin"));
    assert!(!session.user.id.is_empty());

    let names: Vec<_> =
        fs::read_dir(&config).expect("config dir").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(names, [PROFILE_FILE], "no temporary file is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&config.join(PROFILE_FILE)), 0o600);
        assert_eq!(mode(&config), 0o700);
    }
}

#[test]
fn each_sign_in_has_its_own_256_bit_token() {
    let dir = tempfile::tempdir().expect("temp dir");
    let token = || {
        let session = sign_in(dir.path()).expect("sign-in");
        let token = session.token.clone().expect("a token").expose().to_owned();
        assert!(!format!("{session:?}").contains(&token));
        token
    };
    let (first, second) = (token(), token());
    assert_ne!(first, second);
    for token in [first, second] {
        assert_eq!(token.len(), 64);
        assert!(token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn shells_that_start_together_agree_on_one_profile() {
    let dir = tempfile::tempdir().expect("temp dir");
    let config = dir.path().join("pulse");
    let start = Barrier::new(8);
    let users: Vec<_> = thread::scope(|scope| {
        let shells: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    sign_in(&config).expect("sign-in").user
                })
            })
            .collect();
        shells.into_iter().map(|s| s.join().expect("shell")).collect()
    });
    assert!(users.iter().all(|user| *user == users[0]));
    assert_eq!(fs::read_dir(&config).expect("config dir").count(), 1);
}

#[test]
fn existing_profile_is_never_replaced() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join(PROFILE_FILE);
    fs::write(&path, r#"{"name":"Ada"}"#).expect("profile");
    // The second step of a slower shell that found no profile.
    write_new(dir.path(), &path).expect("not an error");
    assert_eq!(sign_in(dir.path()).expect("sign-in").user.name, "Ada");
    assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1);
}

#[test]
fn profile_may_be_edited_by_hand() {
    let check = |text: &str, id: &str, name: &str, role: &str, email: Option<&str>| {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join(PROFILE_FILE), text).expect("profile");
        let user = sign_in(dir.path()).expect(text).user;
        let found = (user.id.as_str(), user.name.as_str(), user.role.as_str(), user.email.as_deref());
        assert_eq!(found, (id, name, role, email), "{text}");
    };
    check(
        "{ \"name\" : \" Ada\\tLovelace \",\r\n\r\n \"role\":\"analyst\", \"id\": 7, \"email\": \"ada@example.org\" }\r\n",
        "7",
        "Ada Lovelace",
        "analyst",
        Some("ada@example.org"),
    );
    check("\u{feff}{\"name\":\"Ada\",\"theme\":\"dark\"}", "local", "Ada", "", None);
    check("{\"name\":\"Ada\",\"email\":null,\"role\":null}", "local", "Ada", "", None);
}

#[test]
fn malformed_profile_is_reported_and_kept() {
    let check = |text: &str, line: usize, column: usize| {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(PROFILE_FILE);
        fs::write(&path, text).expect("profile");
        let error = sign_in(dir.path()).expect_err(text);
        assert_eq!(error.code(), Code::AuthProfileInvalid, "{text}");
        let message = error.to_string();
        let place = format!("line {line}, column {column}:");
        assert!(message.contains(&place), "{text}: {message}");
        assert!(message.ends_with(&path.display().to_string()), "{text}: {message}");
        assert_eq!(fs::read_to_string(&path).expect("profile"), text);
        assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1);
    };
    check("", 1, 0);
    check("{\n  \"name\": \"Ada\",\n  role: \"admin\"\n}", 3, 3);
    check("{\n  \"name\": 12\n}", 2, 12);
    check("{\"role\":\"admin\"}", 1, 16);
    check("[]", 1, 0);
}

#[test]
fn unusable_profile_path_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("file");
    let blocked = sign_in(&file.join("pulse")).expect_err("a file is no folder");
    assert_eq!(blocked.code(), Code::AuthProfileIo);
    assert!(blocked.to_string().contains("file"));

    fs::create_dir(dir.path().join(PROFILE_FILE)).expect("folder");
    let folder = sign_in(dir.path()).expect_err("a folder is no profile");
    assert_eq!(folder.code(), Code::AuthProfileIo);

    let large = tempfile::tempdir().expect("temp dir");
    let text = format!("{{\"name\":\"{}\"}}", "a".repeat(70_000));
    fs::write(large.path().join(PROFILE_FILE), text).expect("profile");
    let error = sign_in(large.path()).expect_err("too large");
    assert_eq!(error.code(), Code::AuthProfileIo);
}
