use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use super::*;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions are set");
}

#[test]
fn path_is_safe_if_no_other_user_can_change_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inner = folder.path().join("inner");
    let file = inner.join("a.so");
    fs::create_dir(&inner).expect("a folder");
    fs::write(&file, "").expect("a file");
    let refused = |path: &Path| match check(path) {
        Err(UnsafePath::Writable(at)) => at,
        other => panic!("{other:?}"),
    };
    for (safe, at) in [(0o755, 0o644), (0o700, 0o600), (0o1777, 0o600)] {
        mode(&inner, safe);
        mode(&file, at);
        check(&file).expect("only the owner can write");
    }
    assert!(!is_closed(&inner), "other users can add files to a folder with the sticky bit");
    mode(&inner, 0o777);
    assert_eq!(refused(&file), inner);
    mode(&inner, 0o755);
    assert!(is_closed(&inner));
    mode(&file, 0o646);
    assert_eq!(refused(&file), file);
    // All folders on the path count as well, also through links.
    mode(&file, 0o644);
    mode(folder.path(), 0o777);
    assert_eq!(refused(&file), folder.path().canonicalize().expect("path exists"));
    mode(folder.path(), 0o700);
    let open = tempfile::tempdir().expect("a temporary folder");
    symlink(&inner, open.path().join("way")).expect("link is created");
    check(&open.path().join("way/a.so")).expect("the link is the user's own");
    mode(open.path(), 0o777);
    assert_eq!(refused(&open.path().join("way/a.so")), open.path().canonicalize().expect("path exists"));
}

#[test]
fn private_group_may_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.so");
    fs::write(&file, "").expect("a file");
    mode(&file, 0o664);
    let about = fs::metadata(&file).expect("path exists");
    let users = |groups: &[u32]| unix::Users {
        trusted: [0, about.uid()].into(),
        groups: groups.iter().copied().collect(),
    };
    assert!(unix::walk(&file, &users(&[about.gid()])).is_ok());
    assert!(matches!(unix::walk(&file, &users(&[])), Err(UnsafePath::Writable(at)) if at == file));
}

#[test]
fn files_of_other_users_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.so");
    fs::write(&file, "").expect("a file");
    let users = unix::Users { trusted: [4_294_000_000].into(), groups: [].into() };
    assert!(matches!(unix::walk(&file, &users), Err(UnsafePath::Foreign { .. })));
    let users = unix::Users { trusted: [0].into(), groups: [].into() };
    // Root may give files away.
    if std::os::unix::fs::chown(&file, Some(65_533), None).is_ok() {
        assert!(
            matches!(unix::walk(&file, &users), Err(UnsafePath::Foreign { owner: 65_533, path }) if path == file)
        );
    }
}

#[test]
fn circular_links_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    symlink("b", folder.path().join("a")).expect("link is created");
    symlink("a", folder.path().join("b")).expect("link is created");
    let circle = check(&folder.path().join("a"));
    assert!(
        matches!(circle, Err(UnsafePath::Unreadable(error, _)) if error.raw_os_error() == Some(libc::ELOOP))
    );
    assert!(matches!(check(&folder.path().join("none")), Err(UnsafePath::Unreadable(..))));
}
