use std::fs;

use super::*;

/// A configuration whose host's manifest lies in this folder, and that looks for libraries in `plugin_dirs`.
fn config(folder: &Path, plugin_dirs: &[PathBuf]) -> Config {
    let options = Options { data_dir: Some(folder.join("data")), ..Options::default() };
    let config = Config::folders(&options).expect("folders");
    Config { file: Some(folder.join("host.json")), plugin_dirs: plugin_dirs.to_vec(), ..config }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
    fs::write(&path, text).expect("files can be written");
    path
}

fn library(base: &str) -> String {
    crate::library::file_name(base)
}

const REMOTE: &str = r#"{ "manifestVersion": 1, "name": "b", "version": "1.0.0", "remoteEntry": "b" }"#;

#[test]
fn without_a_home_folder_the_named_one_holds_everything() {
    let own = || Some(["/ada/data", "/ada/config"].map(PathBuf::from));
    let folders = |named: Option<&str>, own| folders::data_and_config(named.map(Path::new), own);
    let is = |found: Result<[PathBuf; 2], ConfigError>, expected: [&str; 2]| {
        assert_eq!(found.expect("there are folders"), expected.map(|folder| absolute(Path::new(folder))));
    };
    is(folders(None, own()), ["/ada/data", "/ada/config"]);
    is(folders(Some("/srv/pulse"), own()), ["/srv/pulse", "/ada/config"]);
    is(folders(Some("/srv/pulse"), None), ["/srv/pulse", "/srv/pulse/config"]);
    assert_eq!(folders(None, None).expect_err("there is no home").code(), Code::ConfigNoHome);
}

#[test]
fn a_location_means_one_file_however_it_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = config(folder.path(), &[]);
    let home = env::home_dir().expect("tests have a home");
    for (location, means) in [
        ("a.json", folder.path().join("a.json")),
        ("../a.so", folder.path().join("../a.so")),
        ("~/a.so", home.join("a.so")),
        ("file:~/a.so", folder.path().join("file:~/a.so")),
        ("file:/lib/a.so", PathBuf::from("/lib/a.so")),
        ("file:///lib/a.so", PathBuf::from("/lib/a.so")),
        ("file://localhost/lib/a.so", PathBuf::from("/lib/a.so")),
        ("$HOME/a.so", folder.path().join("$HOME/a.so")),
    ] {
        assert_eq!(config.place_of(location), means, "{location}");
    }
}

#[test]
fn a_path_is_never_replaced_by_another_file_of_that_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (name, plugins) = (library("b"), folder.path().join("elsewhere"));
    write(&plugins, &name, "");
    write(&folder.path().join("data/plugins"), &name, "");
    let config = config(folder.path(), std::slice::from_ref(&plugins));
    let locate = |location: &str| {
        let reference = RemoteRef { name: "b".to_owned(), location: location.to_owned() };
        config.locate("b", &reference).expect_err("nothing there is a library")
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
    // A name alone is looked for as that of a manifest is: there it is, and no library.
    assert_ne!(locate(&name).code, Code::LibraryMissing);
    assert_eq!(locate(&format!("http://localhost/{name}")).code, Code::LocationUnsupported);
}

#[test]
fn the_drop_folder_is_no_place_to_look_for_libraries() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(&folder.path().join("data/plugins"), &library("b"), "");
    let manifest = write(folder.path(), "b.json", REMOTE);
    let located = config(folder.path(), &[]).locate_by_manifest(&manifest).expect("it can be read");
    assert_eq!((located.library.exists(), located.looked.len()), (false, 1));
    let options = Options { data_dir: Some(folder.path().join("data")), ..Options::default() };
    let dirs = Config::folders(&options).expect("folders").plugin_dirs;
    assert!(dirs.iter().all(|dir| !dir.starts_with(folder.path())), "{dirs:?}");
}

#[test]
fn a_library_is_found_where_cargo_has_built_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = config(folder.path(), &[folder.path().join("elsewhere")]);
    let name = library("b");
    for (package, manifest) in [("one", "one/b.json"), ("two", "two/manifests/b.json")] {
        let built = write(folder.path(), &format!("{package}/target/debug/{name}"), "");
        let manifest = write(folder.path(), manifest, REMOTE);
        let locate = || config.locate_by_manifest(&manifest).expect("it can be read").library;
        assert_ne!(locate(), built, "it is no package");
        write(folder.path(), &format!("{package}/Cargo.toml"), "");
        assert_eq!(locate(), built);
        let release = write(folder.path(), &format!("{package}/target/release/{name}"), "");
        assert_eq!(locate(), release);
        let named = write(folder.path(), &format!("elsewhere/{name}"), "");
        assert_eq!(locate(), named);
        fs::remove_file(named).expect("files can be removed");
    }
}

#[test]
fn only_what_may_be_a_manifest_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let large = write(folder.path(), "large.json", "");
    fs::File::options().write(true).open(&large).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    assert_eq!(read_manifest(&large).expect_err("it is too large").code, Code::ManifestTooLarge);
    assert!(matches!(read_host(&large), Err(ConfigError::Manifest(ManifestError::TooLarge { .. }, _))));
    assert_eq!(read_host(folder.path()).expect_err("it is a folder").code(), Code::ConfigUnreadable);
}

#[cfg(unix)]
#[test]
fn a_hosts_manifest_that_others_can_change_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let host = write(folder.path(), "host.json", BUILT_IN);
    let mode =
        |mode| fs::set_permissions(&host, fs::Permissions::from_mode(mode)).expect("rights can be given");
    mode(0o644);
    read_host(&host).expect("only the owner can write");
    mode(0o666);
    let error = read_host(&host).expect_err("others can write");
    assert_eq!(error.code(), Code::ConfigUntrusted);
    assert!(error.advice().contains("chmod go-w"), "{error}");
}

#[test]
fn a_token_goes_only_where_the_user_sends_it() {
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
    .expect("it can be read")
    {
        AuthConfig::Http(http) => (http.token_env, http.token_file),
        AuthConfig::Local => panic!("it is asked over HTTP"),
    };
    let (found, own) = (folder.path().join("manifests/host.json"), folder.path().join("config/host.json"));
    let variable = r#""tokenEnv": "TOKEN""#;
    assert_eq!(tokens(variable, &found, true).0.as_deref(), Some("TOKEN"));
    assert_eq!(tokens(variable, &own, false).0.as_deref(), Some("TOKEN"));
    assert_eq!(tokens(variable, &found, false), (None, None));
    let file = r#""tokenFile": "token""#;
    assert_eq!(tokens(file, &found, true).1, Some(folder.path().join("manifests/token")));
    assert_eq!(tokens(file, &found, false), (None, None));
    // Without a manifest that states it, the user's own does.
    write(folder.path(), "config/host.json", &text(file));
    let plain = HostManifest::from_json(BUILT_IN).expect("a manifest");
    let from_own = auth(&plain, Some(&found), false, &folder.path().join("config")).expect("it can be read");
    assert!(
        matches!(from_own, AuthConfig::Http(http) if http.token_file == Some(folder.path().join("config/token")))
    );
}

#[cfg(unix)]
#[test]
fn folders_for_data_are_closed_to_other_users() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let (data, settings) = (folder.path().join("data"), folder.path().join("config"));
    let parts = crate::data::FOLDERS.map(|part| data.join(part));
    for path in [&settings, &data, &data.join("mine")].into_iter().chain(&parts) {
        fs::create_dir(path).expect("folders can be made");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("rights can be given");
    }
    // A folder that the user has named and made is the user's to share; what the shell keeps in it is not.
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
