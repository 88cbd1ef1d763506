use std::fs;

use super::*;

/// Returns a configuration with the host's manifest in this folder, and with these `plugin_dirs`.
fn config(folder: &Path, plugin_dirs: &[PathBuf]) -> Config {
    let options = Options { data_dir: Some(folder.join("data")), ..Options::default() };
    let config = Config::folders(&options).expect("folders");
    Config { file: Some(folder.join("host.json")), plugin_dirs: plugin_dirs.to_vec(), ..config }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folder is created");
    fs::write(&path, text).expect("file is written");
    path
}

fn library(base: &str) -> String {
    crate::library::file_name(base)
}

const REMOTE: &str = r#"{ "manifestVersion": 1, "name": "b", "version": "1.0.0", "remoteEntry": "b" }"#;

#[test]
fn named_folder_replaces_home_folder() {
    let own = || Some(["/ada/data", "/ada/config"].map(PathBuf::from));
    let folders = |named: Option<&str>, own| folders::data_and_config(named.map(Path::new), own);
    let is = |found: Result<[PathBuf; 2], ConfigError>, expected: [&str; 2]| {
        assert_eq!(found.expect("folders are known"), expected.map(|folder| absolute(Path::new(folder))));
    };
    is(folders(None, own()), ["/ada/data", "/ada/config"]);
    is(folders(Some("/srv/pulse"), own()), ["/srv/pulse", "/ada/config"]);
    is(folders(Some("/srv/pulse"), None), ["/srv/pulse", "/srv/pulse/config"]);
    assert_eq!(folders(None, None).expect_err("no home folder").code(), Code::ConfigNoHome);
}

#[test]
fn location_resolves_to_one_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = config(folder.path(), &[]);
    let home = env::home_dir().expect("tests have a home");
    for (location, expected) in [
        ("a.json", folder.path().join("a.json")),
        ("../a.so", folder.path().join("../a.so")),
        ("~/a.so", home.join("a.so")),
        ("file:~/a.so", folder.path().join("file:~/a.so")),
        ("file:/lib/a.so", PathBuf::from("/lib/a.so")),
        ("file:///lib/a.so", PathBuf::from("/lib/a.so")),
        ("file://localhost/lib/a.so", PathBuf::from("/lib/a.so")),
        ("$HOME/a.so", folder.path().join("$HOME/a.so")),
    ] {
        assert_eq!(config.place_of(location), expected, "{location}");
    }
}

#[test]
fn path_is_not_replaced_by_same_file_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (name, plugins) = (library("b"), folder.path().join("elsewhere"));
    write(&plugins, &name, "");
    write(&folder.path().join("data/plugins"), &name, "");
    let config = config(folder.path(), std::slice::from_ref(&plugins));
    let locate = |location: &str| {
        let reference = RemoteRef { name: "b".to_owned(), location: location.to_owned() };
        config.locate("b", &reference).expect_err("no library exists")
    };
    for location in [
        format!("./{name}"),
        format!("build/{name}"),
        format!("~/no/such/folder/{name}"),
        format!("$HOME/{name}"),
        format!("file:///no/such/folder/{name}"),
        format!("file:/no/such/folder/{name}"),
        format!("/no/such/folder/{name}"),
    ] {
        let failure = locate(&location);
        assert_eq!(failure.code, Code::LibraryMissing, "{location}: {failure}");
        let looked = config.place_of(&location);
        assert!(failure.line().contains(&*looked.to_string_lossy()), "{location}: {failure}");
    }
    // A name alone is searched for like that of a manifest; the file it finds is not a library.
    assert_ne!(locate(&name).code, Code::LibraryMissing);
    assert_eq!(locate(&format!("ftp://localhost/{name}")).code, Code::LocationUnsupported);
    assert_eq!(locate("http://127.0.0.1:1").code, Code::ReleaseNotFetched);
    assert_eq!(locate("https://example.org").code, Code::RepoUntrusted);
}

#[test]
fn drop_folder_is_not_searched_for_libraries() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(&folder.path().join("data/plugins"), &library("b"), "");
    let manifest = write(folder.path(), "b.json", REMOTE);
    let located = config(folder.path(), &[]).locate_by_manifest(&manifest).expect("manifest is read");
    assert_eq!((located.library.exists(), located.looked.len()), (false, 1));
    let options = Options { data_dir: Some(folder.path().join("data")), ..Options::default() };
    let dirs = Config::folders(&options).expect("folders").plugin_dirs;
    assert!(dirs.iter().all(|dir| !dir.starts_with(folder.path())), "{dirs:?}");
}

#[test]
fn library_is_found_in_cargo_output() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = config(folder.path(), &[folder.path().join("elsewhere")]);
    let name = library("b");
    for (package, manifest) in [("one", "one/b.json"), ("two", "two/manifests/b.json")] {
        let built = write(folder.path(), &format!("{package}/target/debug/{name}"), "");
        let manifest = write(folder.path(), manifest, REMOTE);
        let locate = || config.locate_by_manifest(&manifest).expect("manifest is read").library;
        assert_ne!(locate(), built, "the folder is not a package");
        write(folder.path(), &format!("{package}/Cargo.toml"), "");
        assert_eq!(locate(), built);
        let release = write(folder.path(), &format!("{package}/target/release/{name}"), "");
        assert_eq!(locate(), release);
        let named = write(folder.path(), &format!("elsewhere/{name}"), "");
        assert_eq!(locate(), named);
        fs::remove_file(named).expect("file is removed");
    }
}

#[test]
fn manifest_reader_rejects_large_file_and_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let large = write(folder.path(), "large.json", "");
    fs::File::options().write(true).open(&large).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    assert_eq!(read_manifest(&large).expect_err("file is too large").code, Code::ManifestTooLarge);
    assert!(matches!(read_host(&large), Err(ConfigError::Manifest(ManifestError::TooLarge { .. }, _))));
    assert_eq!(read_host(folder.path()).expect_err("path is a folder").code(), Code::ConfigUnreadable);
}

#[cfg(unix)]
#[test]
fn host_manifest_writable_by_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let host = write(folder.path(), "host.json", BUILT_IN);
    let mode =
        |mode| fs::set_permissions(&host, fs::Permissions::from_mode(mode)).expect("permissions are set");
    mode(0o644);
    read_host(&host).expect("only the owner can write");
    mode(0o666);
    let error = read_host(&host).expect_err("others can write");
    assert_eq!(error.code(), Code::ConfigUntrusted);
    assert!(error.advice().contains("chmod go-w"), "{error}");
}

#[test]
fn token_is_sent_only_for_trusted_manifest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = |secret: &str| {
        let auth = format!(r#"{{ "provider": "http", "base": "https://example.org", {secret} }}"#);
        format!(r#"{{ "manifestVersion": 1, "name": "pulse", "auth": {auth} }}"#)
    };
    let host = |secret: &str| HostManifest::from_json(&text(secret)).expect("a manifest");
    let tokens = |secret: &str, file: &Path, named: bool| match auth(
        &host(secret),
        Some(file),
        named,
        &folder.path().join("config"),
    )
    .expect("manifest is read")
    {
        AuthConfig::Http(http) => (http.token_env, http.token_file),
        AuthConfig::Local => panic!("provider is not HTTP"),
    };
    let (found, own) = (folder.path().join("manifests/host.json"), folder.path().join("config/host.json"));
    let variable = r#""tokenEnv": "TOKEN""#;
    assert_eq!(tokens(variable, &found, true).0.as_deref(), Some("TOKEN"));
    assert_eq!(tokens(variable, &own, false).0.as_deref(), Some("TOKEN"));
    assert_eq!(tokens(variable, &found, false), (None, None));
    let file = r#""tokenFile": "token""#;
    assert_eq!(tokens(file, &found, true).1, Some(folder.path().join("manifests/token")));
    assert_eq!(tokens(file, &found, false), (None, None));
    // A manifest without `auth` uses that of the user's own.
    write(folder.path(), "config/host.json", &text(file));
    let plain = HostManifest::from_json(BUILT_IN).expect("a manifest");
    let from_own = auth(&plain, Some(&found), false, &folder.path().join("config")).expect("manifest is read");
    assert!(
        matches!(from_own, AuthConfig::Http(http) if http.token_file == Some(folder.path().join("config/token")))
    );
}

#[cfg(unix)]
#[test]
fn data_folders_are_closed_to_other_users() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = |path: &Path| fs::metadata(path).expect("path exists").permissions().mode() & 0o777;
    let (data, settings) = (folder.path().join("data"), folder.path().join("config"));
    let parts = crate::data::FOLDERS.map(|part| data.join(part));
    for path in [&settings, &data, &data.join("mine")].into_iter().chain(&parts) {
        fs::create_dir(path).expect("folder is created");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions are set");
    }
    // The user may share a folder that the user has named and created; the shell's own folders in it stay private.
    folders::prepare(&data, false, &settings);
    assert_eq!((mode(&data), mode(&data.join("plugins")), mode(&settings)), (0o755, 0o700, 0o700));
    folders::prepare(&data, true, &settings);
    for part in [&data].into_iter().chain(&parts) {
        assert_eq!(mode(part), 0o700, "{part:?}");
    }
    assert_eq!(mode(&data.join("mine")), 0o755);
    folders::prepare(&folder.path().join("new"), false, &settings);
    assert_eq!(mode(&folder.path().join("new")), 0o700);
}
