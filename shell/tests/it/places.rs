//! Folders of configuration, libraries and copies, and attacks of other users on them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use pulse::{data::private::Places, federation::Status, preflight::Preflight};

use crate::support::{Headless, Installation, libraries, manifest_of};

/// Shows the first expose of a remote.
fn show(shell: &mut Headless, alias: &str) {
    let expose = shell.entry(alias).exposes().next().map(|(name, _)| name.to_owned());
    shell.show(alias, &expose.expect("the remote has an expose"));
}

fn file_name(library: &Path) -> String {
    library.file_name().expect("a library is a file").to_string_lossy().into_owned()
}

/// A temporary home folder of a user.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
        fs::write(&path, text).expect("files can be written");
        path
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if ["PULSE_", "XDG_", "WAYLAND_", "EGUI_"].iter().any(|of| name.starts_with(of)) {
                command.env_remove(&*name);
            }
        }
        command.env("HOME", self.0.path()).env_remove("DISPLAY").current_dir(self.0.path());
        command
    }

    fn pulse(&self) -> Command {
        // A copy outside of the checkout, whose `manifests` a program in cargo's folder would find.
        self.command(&self.install(".local/bin"))
    }

    /// Installs the program in this folder of the home; returns its path.
    fn install(&self, folder: &str) -> PathBuf {
        let program = self.path(folder).join(format!("pulse{}", env::consts::EXE_SUFFIX));
        fs::create_dir_all(self.path(folder)).expect("folders can be made");
        let built = env!("CARGO_BIN_EXE_pulse");
        if !program.exists() && fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).expect("programs can be copied");
        }
        program
    }
}

/// Runs a program; returns both outputs in one text, and the exit status.
fn run(command: &mut Command) -> (String, Option<i32>) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
    assert!(!text.contains("panicked at"), "{text}");
    (text, status.code())
}

fn host(name: &str, rest: &str) -> String {
    format!(r#"{{ "manifestVersion": 1, "name": "{name}", "remotes": {{ "x": "x@nowhere.so" }} {rest} }}"#)
}

#[test]
fn working_folder_is_not_searched() {
    let home = Home::new();
    home.write("manifests/host.json", &host("planted", ""));
    home.write("host.json", &host("planted", ""));
    let (text, code) = run(home.pulse().arg("plan"));
    assert!(!text.contains("planted") && !text.contains("nowhere"), "{text}");
    assert_eq!(code, Some(0), "{text}");
    // A file of another tool stops no command.
    home.write("manifests/host.json", "not for Pulse");
    assert_eq!(run(home.pulse().arg("plan")).1, Some(0));
    let (text, code) = run(home.pulse().args(["enable", "missing"]));
    assert!(text.contains("[remote-unknown]") && text.contains("the built-in manifest"), "{text}");
    assert_eq!(code, Some(6));
    // A file that is named counts, and the message names it.
    home.write("manifests/host.json", &host("named", ""));
    for named in [
        home.pulse().args(["plan", "--config", "manifests/host.json"]),
        home.pulse().arg("plan").env("PULSE_SHELL_CONFIG", "manifests/host.json"),
    ] {
        let (text, code) = run(named);
        assert!(text.contains("nowhere.so"), "{text}");
        assert_eq!(code, Some(6), "{text}");
    }
    let (text, _) = run(home.pulse().args(["enable", "missing", "--config", "manifests/host.json"]));
    assert!(text.contains("manifests/host.json"), "{text}");
}

#[test]
fn the_users_own_manifest_is_found() {
    let home = Home::new();
    let own = home.write(".config/pulse-shell/host.json", &host("own", ""));
    assert!(run(home.pulse().arg("plan")).0.contains("nowhere.so"));
    // Earlier versions used another folder; PulseAudio's own file there stays.
    fs::remove_file(own).expect("files can be removed");
    home.write(".config/pulse/host.json", &host("former", ""));
    home.write(".config/pulse/cookie", "cookie");
    let (text, _) = run(home.pulse().arg("plan"));
    assert!(text.contains("nowhere.so"), "{text}");
    assert!(home.path(".config/pulse-shell/host.json").exists() && home.path(".config/pulse/cookie").exists());
}

#[test]
fn installation_manifest_counts_if_not_writable() {
    let home = Home::new();
    let program = home.install("opt/pulse/bin");
    let secret = r#", "auth": { "provider": "http", "base": "https://localhost:1", "tokenEnv": "SECRET" }"#;
    home.write("opt/pulse/manifests/host.json", &host("installed", secret));
    let plan = || run(home.command(&program).arg("plan").env("SECRET", "secret"));
    let (text, _) = plan();
    assert!(text.contains("nowhere.so"), "{text}");
    assert!(text.contains("auth-token-withheld"), "{text}");
    // The search for an installation ends below the home folder.
    home.write("manifests/host.json", &host("planted", ""));
    fs::remove_dir_all(home.path("opt/pulse/manifests")).expect("folders can be removed");
    assert!(!plan().0.contains("nowhere"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str, mode| {
            let rights = fs::Permissions::from_mode(mode);
            fs::set_permissions(home.path(path), rights).expect("rights can be given");
        };
        home.write("opt/pulse/manifests/host.json", &host("planted", ""));
        assert!(plan().0.contains("nowhere"));
        // In a folder like `/tmp`, any user can create `manifests`.
        mode("opt/pulse", 0o1777);
        assert!(!plan().0.contains("nowhere"));
        mode("opt/pulse", 0o755);
        mode("opt/pulse/manifests/host.json", 0o666);
        let (text, code) = plan();
        assert!(text.contains("config-untrusted") && !text.contains("nowhere"), "{text}");
        assert_eq!(code, Some(0), "{text}");
    }
}

#[test]
fn environment_settings_are_applied_or_reported() {
    let home = Home::new();
    let enable = |name: &str, value: &str| {
        let (text, code) = run(home.pulse().args(["enable", "missing"]).env(name, value));
        assert_eq!(code, Some(6), "{name}={value}: {text}");
        text
    };
    for name in ["CONFIG", "DATA_DIR", "PLUGIN_DIR", "CACHE_DIR", "LOG"] {
        let text = enable(&format!("PULSE_SHELL_{name}"), "");
        // Summary and advice, one line each.
        assert_eq!(text.lines().count(), 2, "{text}");
        enable(&format!("PULSE_{name}"), "");
    }
    let text = enable("PULSE_SHELL_LOG", "pulse=bogus");
    assert!(text.contains("log-filter-invalid"), "{text}");
    let text = enable("PULSE_DATA_DIR", "/nowhere");
    assert!(text.contains("variable-former") && text.contains("PULSE_SHELL_DATA_DIR"), "{text}");
    let text = enable("PULSE_CONFIG", "/etc/pulse/daemon.conf");
    assert!(!text.contains("variable-former"), "the variable is PulseAudio's: {text}");
    // A relative home would depend on the working folder.
    let (text, code) = run(home.pulse().args(["enable", "missing"]).env("HOME", "relative"));
    assert!(text.contains("[config-no-home]") && text.contains("`relative`"), "{text}");
    assert_eq!(code, Some(1));
    assert!(!home.path("relative").exists());
}

#[test]
fn every_folder_of_the_variable_is_searched() {
    let home = Home::new();
    let library = file_name(&libraries().no_sdk);
    fs::create_dir(home.path("second")).expect("folders can be made");
    fs::copy(&libraries().no_sdk, home.path("second").join(&library)).expect("libraries can be copied");
    let mut manifest = manifest_of(&libraries().no_sdk);
    manifest["title"] = "another title than in the library".into();
    let manifest = home.write("one/bare.json", &manifest.to_string());
    let folders = env::join_paths([home.path("first"), home.path("second")]).expect("a list");
    let install = |folders: &std::ffi::OsStr| {
        run(home.pulse().arg("install").arg(&manifest).env("PULSE_SHELL_PLUGIN_DIR", folders)).0
    };
    let found = install(&folders);
    assert!(found.contains("[descriptor-mismatch]") && found.contains("second"), "{found}");
    // The program's own folder may contain the library, too.
    assert!(!install(home.path("first").as_os_str()).contains("second"));
}

#[test]
fn data_in_use_by_an_earlier_version_is_left() {
    let home = Home::new();
    home.write(".local/share/pulse/remotes.json", r#"{ "format": 1, "enabled": ["clock"] }"#);
    let session = fs::File::open(home.write(".local/share/pulse/sessions/1.json", "{}")).expect("it is there");
    session.lock().expect("files can be locked");
    let enable = || run(home.pulse().args(["enable", "clock"]));
    let (text, code) = enable();
    assert!(text.contains("data-in-use"), "{text}");
    assert_eq!(code, Some(6), "{text}");
    drop(session);
    assert_eq!(enable().1, Some(0), "the data is moved, and the remote is known");
}

#[test]
fn data_that_cannot_be_moved_is_reported() {
    let home = Home::new();
    home.write(".local/share/pulse/remotes.json", "{}");
    home.write(".local/share/pulse-shell", "a file in the way");
    let (text, _) = run(home.pulse().args(["enable", "clock"]));
    assert!(text.contains("data-not-taken"), "{text}");
    assert!(home.path(".local/share/pulse/remotes.json").exists());
}

#[test]
fn disabled_library_replaces_no_missing_one() {
    let mut installation = Installation::new();
    let library = file_name(&libraries().no_sdk);
    let name = manifest_of(&libraries().no_sdk)["name"].as_str().expect("a name").to_owned();
    let missing = installation.path("gone").join(&library);
    installation.configure(&name, &format!("{name}@{}", missing.display()));
    for folder in ["data/plugins", "plugins"] {
        fs::create_dir_all(installation.path(folder)).expect("folders can be made");
        fs::copy(&libraries().no_sdk, installation.path(folder).join(&library)).expect("it can be copied");
    }
    let mut shell = installation.start();
    shell.federation.want(&name);
    shell.drive("the library is missed", |shell| shell.failure(&name).is_some());
    let failure = shell.failure(&name).expect("there is a reason");
    assert_eq!(failure.code.as_str(), "library-missing");
    assert!(failure.line().contains(&*missing.to_string_lossy()), "{failure}");
    assert_eq!(shell.entry(&name).generation(), 0, "no code of the remote runs");
}

#[test]
fn cleaned_cache_folder_is_recreated() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().misbehaving);
    let mut shell = installation.start();
    shell.show(&alias, "./calm");
    shell.drive("it runs", |shell| shell.is_active(&alias));
    fs::remove_dir_all(installation.path("cache")).expect("folders can be removed");
    shell.federation.reload(&alias);
    shell.drive("it is replaced", |shell| shell.entry(&alias).generation() == 2);
    shell.drive("it runs again", |shell| shell.is_active(&alias));
    assert!(installation.path("cache/libraries").exists());
    drop(shell);
    let left = installation.path("cache/libraries").read_dir().expect("it is there").count();
    assert_eq!(left, 0, "the shell removes its copies");
}

#[test]
fn preflight_works_without_a_cleaned_copy() {
    let mut installation = Installation::new();
    installation.edit_host(|host| host["preflight"] = true.into());
    installation.add(&libraries().newer_crates);
    let alias = installation.add(&libraries().borrower);
    let mut config = installation.config();
    config.preflight = Some(Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), ..Preflight::default() });
    let mut shell = installation.start_with(config);
    shell.show(&alias, "./sum");
    shell.drive("it has its provider", |shell| shell.screen().shows("Sum 0"));
    fs::remove_dir_all(installation.path("cache")).expect("folders can be removed");
    let mut library = fs::read(&libraries().borrower).expect("libraries can be read");
    library.extend(b"another build");
    let built = installation.write("building", library);
    fs::rename(built, installation.path(&file_name(&libraries().borrower))).expect("files can be renamed");
    shell.drive("it was replaced", |shell| {
        let failure = shell.entry(&alias).last_failure().map(|(failure, _)| failure.to_string());
        assert_eq!(failure, None);
        shell.entry(&alias).generation() == 2
    });
}

#[test]
fn copies_go_to_next_usable_folder() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().no_sdk);
    let file = installation.write("file", "no folder");
    let mut config = installation.config();
    config.private = Places::of_folders([file.clone(), installation.path("cache")], &file);
    let mut shell = installation.start_with(config);
    show(&mut shell, &alias);
    shell.drive("it runs", |shell| shell.is_active(&alias));
    drop(shell);
    let mut config = installation.config();
    config.private = Places::of_folders([file.clone()], &file);
    let mut shell = installation.start_with(config);
    show(&mut shell, &alias);
    shell.drive("no folder can be used", |shell| shell.failure(&alias).is_some());
    let failure = shell.failure(&alias).expect("there is a reason");
    assert_eq!(failure.code.as_str(), "copy-failed");
    for part in [&*file.to_string_lossy(), "PULSE_SHELL_CACHE_DIR", "TMPDIR"] {
        assert!(failure.line().contains(part), "{part}: {failure}");
    }
}

#[cfg(unix)]
#[test]
fn a_library_that_others_can_change_does_not_run() {
    use std::os::unix::fs::PermissionsExt;
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().no_sdk);
    let library = installation.path(&file_name(&libraries().no_sdk));
    let manifest = installation.path(&format!("{alias}.json"));
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("rights can be given");
    };
    for open in [&library, &manifest, installation.folder()] {
        let closed = fs::metadata(open).expect("it is there").permissions().mode() & 0o755;
        let config = installation.config();
        mode(open, 0o777);
        let mut shell = installation.start_with(config);
        show(&mut shell, &alias);
        shell.drive("it is refused", |shell| shell.failure(&alias).is_some());
        let failure = shell.failure(&alias).expect("there is a reason");
        assert_eq!(failure.code.as_str(), "remote-untrusted", "{failure}");
        assert!(failure.line().contains("chmod go-w"), "{failure}");
        mode(open, closed);
        shell.retry(&alias);
        shell.drive("it runs", |shell| matches!(shell.entry(&alias).status(), Status::Active));
    }
}
