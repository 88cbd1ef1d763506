use super::*;

/// Returns the places of a test: a user's folder, and a folder for temporary files.
fn places(folder: &Path) -> Places {
    Places::of_folders([folder.join("cache")], &folder.join("tmp"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().expect("it is there").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn folder_is_private_and_removed_on_drop() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut folder = places(home.path()).first().expect("there is room");
    let file = folder.file("a-1.so").expect("it is listed");
    fs::write(&file, "code").expect("files can be written");
    fs::create_dir(file.with_extension("so.d")).expect("folders can be made");
    fs::write(folder.tree("trial").expect("it is made").join("left"), "").expect("files can be written");
    let path = folder.path.clone();
    assert!(path.starts_with(home.path().join("cache/libraries")), "{path:?}");
    #[cfg(unix)]
    for folder in [&*path, &*home.path().join("cache"), &*home.path().join("cache/libraries")] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder:?}");
    }
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn unlisted_files_in_a_folder_stay() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut folder = places(home.path()).first().expect("there is room");
    fs::write(folder.file("a-1.so").expect("it is listed"), "code").expect("files can be written");
    let path = folder.path.clone();
    fs::create_dir(path.join("photos")).expect("folders can be made");
    fs::write(path.join("photos/a.txt"), "precious").expect("files can be written");
    fs::write(path.join("b-2.so"), "precious").expect("files can be written");
    drop(folder);
    assert_eq!(names(&path), ["b-2.so", "photos"]);
    assert_eq!(fs::read(path.join("photos/a.txt")).expect("it is there"), b"precious");
}

#[test]
fn only_marked_and_unlocked_folders_are_swept() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let places = places(home.path());
    let living = places.first().expect("there is room");
    let place = living.path.parent().expect("a place").to_owned();
    let make = |name: &str, marker: Option<&str>| {
        let path = place.join(name);
        fs::create_dir(&path).expect("folders can be made");
        fs::write(path.join("a-1.so"), "code").expect("files can be written");
        if let Some(marker) = marker {
            fs::write(path.join(MARKER), marker).expect("files can be written");
        }
        path
    };
    let listed = format!("{MARK}a-1.so\n../outside\n/\n\n");
    let dead = make("pulse-shell-1", Some(&listed));
    let others = [
        make("pulse-2024-backup", Some(&listed)),
        make("pulse-shell-2", None),
        make("pulse-shell-3", Some("")),
        make("pulse-shell-4", Some("something else\na-1.so\n")),
    ];
    fs::write(place.join("outside"), "precious").expect("files can be written");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&others[0], place.join("pulse-shell-5")).expect("links can be made");
    let another = places.first().expect("there is room");
    assert!(!dead.exists());
    assert!(living.exists() && another.exists());
    for path in &others {
        assert!(path.join("a-1.so").exists(), "{path:?}");
    }
    assert!(place.join("outside").exists());
}

#[test]
fn removed_or_exchanged_folder_is_noticed() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = places(home.path()).first().expect("there is room");
    assert!(folder.exists());
    let path = folder.path.clone();
    fs::rename(&path, home.path().join("elsewhere")).expect("folders can be renamed");
    assert!(!folder.exists());
    fs::create_dir(&path).expect("folders can be made");
    fs::write(path.join(MARKER), MARK).expect("files can be written");
    if cfg!(unix) {
        assert!(!folder.exists(), "it is another folder");
    }
    drop(folder);
    assert!(path.join(MARKER).exists());
}

#[test]
fn next_place_is_used_if_one_fails() {
    let home = tempfile::tempdir().expect("a temporary folder");
    fs::write(home.path().join("cache"), "no folder").expect("files can be written");
    fs::create_dir(home.path().join("tmp")).expect("folders can be made");
    let folder = places(home.path()).first().expect("there is room");
    assert_eq!(folder.path.parent(), Some(&*home.path().join("tmp")));
    fs::remove_dir_all(home.path().join("tmp")).expect("folders can be removed");
    let why = places(home.path()).first().expect_err("no place is left");
    for part in ["cache/libraries: ", "TMPDIR", VARIABLE] {
        assert!(why.contains(part), "{why}");
    }
    // Relative folders would depend on the working folder.
    assert_eq!(Places::of_folders([PathBuf::from("here")], home.path()).len(), 1);
}

#[cfg(unix)]
#[test]
fn places_writable_by_others_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().expect("a temporary folder");
    let tmp = home.path().join("tmp");
    fs::create_dir(&tmp).expect("folders can be made");
    let mode = |mode| fs::set_permissions(&tmp, fs::Permissions::from_mode(mode)).expect("rights can be given");
    mode(0o777);
    let why = Places::of_folders([], &tmp).first().expect_err("others may exchange its content");
    assert!(why.contains("writable for other users"), "{why}");
    mode(0o1777);
    Places::of_folders([], &tmp).first().expect("others cannot");
}

/// Variable with the folder of a file system that runs no code, in the process that has mounted it.
#[cfg(target_os = "linux")]
const INNER: &str = "PULSE_TEST_NOEXEC";

#[cfg(target_os = "linux")]
#[test]
fn noexec_place_is_refused_with_a_reason() {
    let Some(place) = env::var_os(INNER).map(PathBuf::from) else { return mounted() };
    let why = Places::of_folders([], &place).first().expect_err("no code may run there");
    for part in [&*place.to_string_lossy(), "`noexec`", VARIABLE] {
        assert!(why.contains(part), "{why}");
    }
    assert!(names(&place).is_empty(), "the attempt leaves nothing");
    let folder = Places::of_folders([place], &env::temp_dir()).first().expect("another place is used");
    assert!(folder.path.starts_with(env::temp_dir()));
}

/// Runs the test above in a process with such a file system; systems on which users cannot mount are skipped.
#[cfg(target_os = "linux")]
fn mounted() {
    use std::process::Command;
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    let place = tempfile::tempdir().expect("a temporary folder");
    let mount = r#"mount -t tmpfs -o noexec,mode=700 none "$PULSE_TEST_NOEXEC""#;
    let run = |mut command: Command| command.env(INNER, place.path()).output();
    if !run(unshare(mount)).is_ok_and(|output| output.status.success()) {
        return;
    }
    let name = std::thread::current().name().expect("tests have names").to_owned();
    let test = env::current_exe().expect("this test has a file");
    let inner = format!(r#"{mount} && exec "{}" --exact {name}"#, test.display());
    let output = run(unshare(&inner)).expect("it has started before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
