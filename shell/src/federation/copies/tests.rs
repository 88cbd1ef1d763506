use std::fs;

use super::*;

fn library(folder: &Path) -> PathBuf {
    let library = folder.join("a.so");
    fs::write(&library, "code").expect("files can be written");
    library
}

#[test]
fn copies_have_unique_names_and_are_removed() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let library = library(home.path());
    let copies = CopyFolders::new(Places::of_folders([home.path().join("cache")], home.path()));
    let shared = copies.share();
    let first = take(&shared, &library, "a/../b").expect("there is room");
    let second = take(&shared, &library, "a/../b").expect("there is room");
    assert_ne!(first, second);
    assert_eq!(fs::read(&first).expect("it is there"), b"code");
    drop(copies);
    assert!(!first.exists() && !first.parent().expect("a folder").exists());
    assert_eq!(take(&shared, &library, "a").expect_err("the shell has ended").code, Code::CopyFailed);
}

#[test]
fn cleaned_folder_is_created_again() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let library = library(home.path());
    let copies = CopyFolders::new(Places::of_folders([home.path().join("cache")], home.path()));
    let first = take(&copies.share(), &library, "a").expect("there is room");
    fs::remove_dir_all(home.path().join("cache")).expect("folders can be removed");
    let second = take(&copies.share(), &library, "a").expect("there is room again");
    assert!(second.exists() && !first.exists());
}

#[test]
fn missing_library_and_missing_folder_differ() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let file = library(home.path());
    let code = |places: Places, library: &Path| {
        let failure = take(&CopyFolders::new(places).share(), library, "a").expect_err("it fails");
        (failure.code.clone(), failure.line())
    };
    let good = || Places::of_folders([home.path().join("cache")], home.path());
    assert_eq!(code(good(), &home.path().join("none.so")).0, Code::LibraryMissing);
    assert_eq!(code(good(), home.path()).0, Code::LibraryNotALibrary);
    let missing = home.path().join("none");
    let (code, message) = code(Places::of_folders([], &missing), &file);
    assert_eq!(code, Code::CopyFailed);
    assert!(message.contains(&*missing.to_string_lossy()), "{message}");
}

#[test]
fn copy_never_overwrites_a_file() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let source = library(home.path());
    let taken = home.path().join("taken");
    fs::write(&taken, "precious").expect("files can be written");
    assert!(matches!(file::copy_library(&source, &taken), Err(CopyError::Write(_))));
    assert_eq!(fs::read(&taken).expect("it is there"), b"precious");
}
