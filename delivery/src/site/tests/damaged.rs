use super::*;

/// A change of a file.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn damaged_metadata_is_reported_with_its_file() {
    let changes: [(&str, Damage); 9] = [
        ("timestamp.json", &|path| fs::write(path, "<html>").expect("it is written")),
        ("timestamp.json", &|path| fs::remove_file(path).expect("it is removed")),
        ("timestamp.json", &|path| fs::write(path, vec![b' '; 2 << 20]).expect("it is written")),
        ("2.snapshot.json", &flip),
        ("1.targets.json", &flip),
        ("2.main.json", &flip),
        ("2.main.json", &|path| fs::remove_file(path).expect("it is removed")),
        ("1.root.json", &flip),
        ("2.main.json", &|path| {
            fs::remove_file(path).and_then(|()| fs::create_dir(path)).expect("it is replaced");
        }),
    ];
    for (name, change) in changes {
        let fixture = Fixture::new();
        fixture.publish("remoteA", "1.0.0");
        change(&fixture.site.dir().join("metadata").join(name));
        let keys = fixture.ring(&["publisher", "online"]);
        let error = fixture.site.publish(&fixture.artifact("remoteA", "1.1.0"), "stable", "", &keys);
        let error = error.expect_err("it is refused");
        assert_eq!(error.code, ErrorCode::SiteDamaged, "{name}: {error}");
        assert!(error.summary.ends_with(name), "{error}");
        assert_eq!(fixture.site.check().expect_err("it is reported").code, ErrorCode::SiteDamaged);
    }
}

/// Changes what is signed.
fn flip(path: &Path) {
    let text = fs::read_to_string(path).expect("a text");
    fs::write(path, text.replacen("1.0.0", "1.0.1", 1)).expect("it is written");
}

#[cfg(unix)]
#[test]
fn pipe_in_place_of_a_file_does_not_block() {
    let fixture = Fixture::new();
    let path = fixture.site.dir().join("metadata/timestamp.json");
    fs::remove_file(&path).expect("it is removed");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    refused(fixture.site.check(), ErrorCode::SiteDamaged, "");
}

#[test]
fn damaged_targets_are_problems() {
    let changes: [(ErrorCode, Damage); 3] = [
        (ErrorCode::ReleaseLength, &|path| fs::remove_file(path).expect("it is removed")),
        (ErrorCode::ReleaseLength, &|path| fs::write(path, "short").expect("it is written")),
        (ErrorCode::ReleaseDigest, &|path| {
            let mut bytes = fs::read(path).expect("a file");
            bytes[9] ^= 1;
            fs::write(path, bytes).expect("it is written");
        }),
    ];
    for (code, change) in changes {
        let fixture = Fixture::new();
        let published = fixture.publish("remoteA", "1.0.0");
        let place = fixture.site.folder.target(&rules::path_of(&published.release), &published.download.sha256);
        change(&place);
        let problems = fixture.site.check().expect("metadata verifies").problems;
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code]);
        assert!(problems[0].summary.ends_with(&*place.to_string_lossy()), "{problems:?}");
    }
}

#[test]
fn copy_without_lock_is_checked() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    for name in [".lock", ".temporary"] {
        let path = fixture.site.dir().join(name);
        drop(fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)));
    }
    fixture.is_fine();
    assert!(!fixture.site.dir().join(".lock").exists());
}

#[test]
fn library_that_unpacks_differently_is_found() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    super::pending::store(&fixture, "publisher", |list| {
        let path = TargetName::new("remoteA/1.0.0/x86_64-unknown-linux-gnu.zst").expect("a path");
        let about = list.targets.get_mut(&path).and_then(|target| target.custom.get_mut(CUSTOM));
        about.expect("a description")["library"]["length"] = 7.into();
    });
    let problems = fixture.site.check().expect("metadata verifies").problems;
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [ErrorCode::ReleaseUnpacked]);
}

#[test]
fn unusable_folder_is_reported() {
    let fixture = Fixture::new();
    let lock = fixture.site.dir().join(".lock");
    fs::remove_file(&lock).and_then(|()| fs::create_dir(&lock)).expect("it is replaced");
    let refreshed = fixture.site.refresh(None, &fixture.ring(&["online"]));
    refused(refreshed, ErrorCode::SiteFailed, "local disk");
}
