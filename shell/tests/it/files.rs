//! Files of real libraries: watched while they are written, installed and rolled back by the binary.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::mpsc::{self, Receiver},
};

use pulse::{
    data::{archive::Archive, choices::Choices},
    library::digest_of,
    watch::{FileEvent, Watch},
};
use serde_json::{Value, json};

use crate::support::{Installation, PATIENCE, libraries, library_file, manifest_of};

/// Returns a command that runs the binary with the data of this installation.
pub(crate) fn pulse(installation: &Installation) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulse"));
    command.env("PULSE_SHELL_DATA_DIR", installation.path("data"));
    command.env("PULSE_SHELL_CONFIG", installation.path("host.json"));
    command.env_remove("PULSE_SHELL_PLUGIN_DIR").env_remove("PULSE_SHELL_LOG");
    command
}

/// The answer of a command.
pub(crate) struct Answer {
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", self.stdout, self.stderr))
    }

    /// Asserts that the command failed with this exit code and reports the code `reason`.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, reason: &str) {
        assert_eq!((self.code, &*self.stdout), (Some(code), ""), "{}", self.stderr);
        assert!(self.stderr.contains(&format!("[{reason}]")), "{reason}: {}", self.stderr);
    }

    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

fn run(installation: &Installation, args: &[&str]) -> Answer {
    answer(pulse(installation).args(args))
}

/// Runs a command.
pub(crate) fn answer(command: &mut Command) -> Answer {
    let Output { status, stdout, stderr } = command.output().expect("pulse starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Answer { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Returns library, name and manifest of the remote without the SDK.
pub(crate) fn no_sdk() -> (PathBuf, String, Value) {
    let library = libraries().no_sdk.clone();
    let manifest = manifest_of(&library);
    let name = manifest["name"].as_str().expect("a manifest has a name").to_owned();
    (library, name, manifest)
}

#[test]
fn a_library_is_installed_and_enabled() {
    let installation = Installation::new();
    let (library, name, manifest) = no_sdk();
    let place = installation.path("data/plugins").join(library.file_name().expect("a library is a file"));

    let answer = run(&installation, &["install", &text(&library)]).good();
    assert_eq!(answer.stdout.trim_end(), text(&place));
    assert!(answer.stderr.contains(&format!("`pulse enable {name}`")), "{}", answer.stderr);
    assert_eq!(fs::read(&place).expect("it is there"), fs::read(&library).expect("it is there"));
    assert!(!Choices::load(&installation.path("data")).is_enabled(&name));

    let answer = run(&installation, &["install", &text(&library), "--enable", "--json"]).good();
    let installed = answer.json();
    assert_eq!(installed["name"], *name);
    assert_eq!((&installed["version"], &installed["replaced"]), (&manifest["version"], &manifest["version"]));
    assert_eq!((&installed["enabled"], &installed["manifest"]), (&json!(true), &Value::Null));
    assert!(Choices::load(&installation.path("data")).is_enabled(&name));
    // From the drop folder itself.
    run(&installation, &["install", &text(&place)]).good();
    let left: Vec<_> = installation.path("data/plugins").read_dir().expect("it is there").collect();
    assert_eq!(left.len(), 1, "{left:?}");

    let answer = run(&installation, &["disable", &name, "--note", "too bare", "--json"]).good();
    assert_eq!(answer.json(), json!({ "name": name, "enabled": false }));
    let choices = Choices::load(&installation.path("data"));
    assert_eq!(choices.disabled(&name).expect("it is disabled").message, "too bare");
    let answer = run(&installation, &["enable", &name]).good();
    assert!(answer.stderr.contains("is enabled"), "{}", answer.stderr);
    assert!(Choices::load(&installation.path("data")).is_enabled(&name));

    let near = format!("{}x", &name[..name.len() - 1]);
    for command in ["enable", "disable"] {
        let answer = run(&installation, &[command, &near]);
        answer.refused(6, "remote-unknown");
        assert!(answer.stderr.contains(&format!("did you mean `{name}`?")), "{}", answer.stderr);
    }
}

#[test]
fn a_configured_remote_is_disabled_by_its_alias() {
    let mut installation = Installation::new();
    installation.configure("clock", "remoteClock@clock.json");
    run(&installation, &["disable", "clock"]).good();
    assert!(Choices::load(&installation.path("data")).disabled("remoteClock").is_some());
}

#[test]
fn a_manifest_is_installed_with_its_library() {
    let installation = Installation::new();
    let (library, name, mut manifest) = no_sdk();
    installation.copy(&library);
    let digest = digest_of(&library).expect("it can be read");
    manifest["sha256"] = digest.to_string().to_uppercase().into();
    manifest["$schema"] = "remote.schema.json".into();
    let file = installation.write("bare.json", manifest.to_string());
    let installed = run(&installation, &["install", &text(&file), "--json"]).good().json();
    let plugins = installation.path("data/plugins");
    assert_eq!(installed["manifest"], text(&plugins.join("bare.json")));
    assert_eq!(fs::read_to_string(plugins.join("bare.json")).expect("it is there"), manifest.to_string());
    let place = plugins.join(library.file_name().expect("a library is a file"));
    assert_eq!(digest_of(&place).expect("it is there"), digest);

    // With another digest or another manifest, no file is touched.
    let before = fs::metadata(&place).expect("it is there").modified().expect("it has a time");
    manifest["sha256"] = "0".repeat(64).into();
    let file = installation.write("bare.json", manifest.to_string());
    run(&installation, &["install", &text(&file)]).refused(4, "digest-mismatch");
    manifest.as_object_mut().expect("an object").remove("sha256");
    manifest["version"] = "77.0.0".into();
    let file = installation.write("bare.json", manifest.to_string());
    run(&installation, &["install", &text(&file)]).refused(1, "descriptor-mismatch");
    assert_eq!(fs::metadata(&place).expect("it is there").modified().expect("it has a time"), before);

    // The library alone replaces both files: the manifest described another build.
    let installed = run(&installation, &["install", &text(&library), "--json"]).good().json();
    assert_eq!((&installed["manifest"], &installed["others"]), (&Value::Null, &json!([])));
    assert!(!plugins.join("bare.json").exists() && place.exists());
    // A library of the same remote under another file name stays, and is named.
    let other = installation.path(&library_file("other"));
    fs::copy(&library, &other).expect("libraries can be copied");
    let answer = run(&installation, &["install", &text(&other)]).good();
    assert!(
        answer.stderr.contains(&format!("{name} is installed more than once"))
            && answer.stderr.contains(&text(&place)),
        "{}",
        answer.stderr
    );
}

#[test]
fn unusable_files_are_not_installed() {
    let installation = Installation::new();
    let (library, _, mut manifest) = no_sdk();
    let install = |file: &Path| run(&installation, &["install", &text(file)]);
    install(&installation.path("missing.so")).refused(6, "library-missing");
    install(&installation.path("missing.json")).refused(6, "manifest-missing");
    install(&installation.write("text.so", "text")).refused(1, "library-not-a-library");
    install(&installation.write("host.json", r#"{ "manifestVersion": 1 }"#)).refused(1, "manifest-invalid");
    manifest["remoteEntry"] = "nowhere".into();
    install(&installation.write("alone.json", manifest.to_string())).refused(6, "library-missing");

    let mut bytes = fs::read(&library).expect("libraries can be read");
    let (cut, complete) = (bytes.len() / 2, bytes.clone());
    let answer = install(&installation.write("cut.so", &complete[..cut]));
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    // The revision follows the magic number.
    let magic = plugin_api::embed::MAGIC;
    let at = bytes.windows(magic.len()).position(|window| window == magic).expect("a library has a section");
    bytes[at + magic.len()] ^= 0x40;
    install(&installation.write("later.so", &bytes)).refused(3, "abi-revision");
    if cfg!(target_os = "linux") {
        let mut other = complete;
        // `e_machine` of the ELF header: another processor.
        other[18] = if cfg!(target_arch = "x86_64") { 0xb7 } else { 0x3e };
        other[19] = 0;
        install(&installation.write("foreign.so", &other)).refused(3, "library-other-platform");
    }
    assert!(!installation.path("data/plugins").exists());

    // A file of another remote is not overwritten.
    let analytics = installation.path("data/plugins").join(library.file_name().expect("a library is a file"));
    fs::create_dir_all(installation.path("data/plugins")).expect("folders can be made");
    fs::copy(&libraries().analytics, &analytics).expect("libraries can be copied");
    let answer = install(&library);
    answer.refused(1, "install-occupied");
    assert!(answer.stderr.contains("remoteAnalytics"), "{}", answer.stderr);
    // The drop folder is a file.
    fs::remove_dir_all(installation.path("data/plugins")).expect("it is there");
    installation.write("data/plugins", "");
    install(&library).refused(1, "install-failed");
    assert_eq!(run(&installation, &["install"]).code, Some(2));
}

#[test]
fn file_of_any_name_is_installed_where_it_is_found() {
    let (library, name, manifest) = no_sdk();
    let entry = manifest["remoteEntry"].as_str().expect("a manifest has an entry").to_owned();
    for odd in ["plugin.bin", "plugin", ".hidden.so", "libx.so.1", "libx.so~", "a\tb.so"] {
        let installation = Installation::new();
        let file = installation.write(&format!("shipped/{odd}"), fs::read(&library).expect("it can be read"));
        let installed = run(&installation, &["install", &text(&file), "--json"]).good().json();
        assert_eq!(installed["library"], text(&installation.path("data/plugins").join(library_file(&entry))));
        run(&installation, &["enable", &name]).good();
        let mut shell = installation.start();
        shell.frame(Vec::new());
        assert!(shell.federation.remotes().contains_key(&name), "{odd}");
    }
    // A file name that the shell finds is kept, and the next install names the replaced version.
    let installation = Installation::new();
    let own = installation
        .write(&format!("shipped/{}", library_file("own")), fs::read(&library).expect("it is there"));
    let answer = run(&installation, &["install", &text(&own)]).good();
    assert!(answer.stdout.contains(&library_file("own")) && !answer.stderr.contains("in place of"));
    let answer = run(&installation, &["install", &text(&own)]).good();
    let version = manifest["version"].as_str().expect("a version");
    assert!(answer.stderr.contains(&format!("in place of {version}")), "{}", answer.stderr);
    // A hidden manifest is renamed, too.
    let hidden = installation.write("shipped/.json.json", manifest.to_string());
    fs::copy(&library, installation.path("shipped").join(library_file(&entry)))
        .expect("libraries can be copied");
    let installed = run(&installation, &["install", &text(&hidden), "--json"]).good().json();
    assert_eq!(installed["manifest"], text(&installation.path(&format!("data/plugins/{entry}.json"))));
}

#[test]
fn install_of_a_folder_names_its_files() {
    let installation = Installation::new();
    let (library, ..) = no_sdk();
    let file = installation
        .write(&format!("shipped/{}", library_file("clock")), fs::read(&library).expect("it is there"));
    let answer = run(&installation, &["install", &text(file.parent().expect("a folder"))]);
    answer.refused(1, "library-not-a-library");
    assert!(answer.stderr.contains("this is a folder") && answer.stderr.contains(&library_file("clock")));
}

#[cfg(unix)]
#[test]
fn install_is_private_and_removes_stale_files() {
    use std::os::unix::fs::PermissionsExt;
    let installation = Installation::new();
    let (library, ..) = no_sdk();
    let open = installation.copy(&library);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o6777)).expect("rights can be set");
    let left = installation.write("data/plugins/.pulse-new-killed", "half");
    let others = installation.write("data/plugins/.new-things", "of another program");
    run(&installation, &["install", &text(&open)]).good();
    let place = installation.path("data/plugins").join(library.file_name().expect("a library is a file"));
    assert_eq!(place.metadata().expect("it is there").permissions().mode() & 0o7777, 0o600);
    assert!(!left.exists() && others.exists());
}

#[cfg(unix)]
#[test]
fn hostile_files_in_drop_folder_block_no_command() {
    use std::os::unix::fs::symlink;
    let installation = Installation::new();
    let plugins = installation.path("data/plugins");
    fs::create_dir_all(plugins.join("folder.so")).expect("folders can be made");
    for name in ["pipe.json", "pipe.so"] {
        let made = Command::new("mkfifo").arg(plugins.join(name)).status().expect("mkfifo starts");
        assert!(made.success());
    }
    for (name, to) in [("zero.json", "/dev/zero"), ("loop.so", "loop.so"), ("nowhere.json", "/nowhere")] {
        symlink(to, plugins.join(name)).expect("links can be made");
    }
    File::create(plugins.join("large.json"))
        .and_then(|file| file.set_len(6 << 30))
        .expect("files can be sparse");
    let (library, name, _) = no_sdk();
    run(&installation, &["install", &text(&library)]).good();
    run(&installation, &["enable", &name]).good();
    for (file, code, reason) in [
        ("pipe.so", "library-not-a-library", "it is a named pipe"),
        ("pipe.json", "manifest-unreadable", "it is a named pipe"),
        ("zero.json", "manifest-unreadable", "it is a device"),
        ("large.json", "manifest-too-large", "6442450944 bytes"),
        ("loop.so", "library-unreadable", "symbolic links"),
    ] {
        let answer = run(&installation, &["install", &text(&plugins.join(file))]);
        answer.refused(1, code);
        assert!(answer.stderr.contains(reason), "{}", answer.stderr);
        assert!(run(&installation, &["inspect", &text(&plugins.join(file))]).stderr.contains(reason));
    }
    // As the host's manifest, too.
    for (file, code) in [("pipe.json", "config-unreadable"), ("large.json", "manifest-too-large")] {
        run(&installation, &["plan", "--config", &text(&plugins.join(file))]).refused(1, code);
    }
    let made = Command::new("mkfifo").arg(installation.path("data/remotes.json.lock")).status();
    let _ = made.expect("mkfifo starts");
}

#[test]
fn generations_are_listed_and_rolled_back_to() {
    let installation = Installation::new();
    let data = installation.path("data");
    let archive = Archive::new(&data);
    let answer = run(&installation, &["rollback", "--list"]).good();
    assert!(answer.stdout.is_empty() && answer.stderr.contains("no archived generations"), "{}", answer.stderr);
    run(&installation, &["rollback", "clock"]).refused(6, "generation-unknown");

    let keep = |version: &str| {
        let library = installation.write("clock.so", format!("library of {version}"));
        let digest = digest_of(&library).expect("it can be read");
        let manifest =
            json!({ "manifestVersion": 1, "name": "clock", "version": version, "remoteEntry": "clock" });
        archive.keep("clock", &library, &digest, &manifest.to_string()).expect("it can be kept");
        digest
    };
    let old = keep("1.0.0");
    run(&installation, &["rollback", "clock"]).refused(6, "generation-none-older");
    keep("1.1.0");
    keep("1.2.0");
    let pinned = || {
        archive.pinned("clock").expect("it can be read").map(|(pin, kept)| (kept.version.to_string(), pin.note))
    };

    let answer = run(&installation, &["rollback", "clock", "--note", "1.2 is slow"]).good();
    assert!(answer.stdout.starts_with("clock 1.1.0 "), "{}", answer.stdout);
    assert!(answer.stderr.contains("--latest"), "{}", answer.stderr);
    assert_eq!(pinned(), Some(("1.1.0".to_owned(), "1.2 is slow".to_owned())));
    let listed = run(&installation, &["rollback", "--list", "clock"]).good().stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(lines[2].contains("1.1.0") && lines[2].ends_with("pinned: 1.2 is slow"), "{listed}");
    assert!(lines[3].contains(&old.short()) && lines[3].ends_with('Z'), "{listed}");

    let short = old.to_string()[..6].to_owned();
    let answer = run(&installation, &["rollback", "clock", "--to", &short, "--json"]).good().json();
    assert_eq!((&answer["pinned"]["version"], &answer["pinned"]["digest"]), (&json!("1.0.0"), &json!(old)));
    let list = run(&installation, &["rollback", "--list", "--json"]).good().json();
    let pins: Vec<_> = list[0]["kept"].as_array().expect("a list").iter().map(|kept| &kept["pinned"]).collect();
    assert_eq!((&list[0]["name"], pins), (&json!("clock"), vec![&json!(false), &json!(false), &json!(true)]));
    run(&installation, &["rollback", "clock", "--latest"]).good();
    assert_eq!(pinned(), None);

    run(&installation, &["rollback", "clock", "--to", "3.0.0"]).refused(6, "generation-unknown");
    let answer = run(&installation, &["rollback", "clok", "--list"]);
    answer.refused(6, "generation-unknown");
    assert!(answer.stderr.contains("did you mean `clock`?"), "{}", answer.stderr);
    fs::write(data.join(format!("generations/sha256/{old}/library")), "damage").expect("it can be written");
    run(&installation, &["rollback", "clock", "--to", "1.0.0"]).refused(4, "generation-damaged");
    assert_eq!(pinned(), None);
    for args in [&["rollback"][..], &["rollback", "clock", "--to", "1.0.0", "--latest"]] {
        assert_eq!(run(&installation, args).code, Some(2), "{args:?}");
    }
    for command in ["install", "enable", "disable", "rollback"] {
        let help = run(&installation, &[command, "--help"]).good().stdout;
        assert!(help.contains("Examples:") && help.contains("Exit status:"), "{help}");
    }
}

/// A watched path in an installation.
struct Followed {
    installation: Installation,
    path: PathBuf,
    watch: Watch,
    woken: Receiver<()>,
}

impl Followed {
    fn new(name: &str) -> Self {
        let installation = Installation::new();
        let (wake, woken) = mpsc::channel();
        let watch = Watch::start(move || _ = wake.send(()));
        let path = installation.path(name);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("folders can be made");
        // `mark.json` shows how far the watch has read; see `nothing`.
        watch.follow(BTreeSet::from([path.clone(), installation.path("mark.json")]), BTreeSet::new());
        Self { installation, path, watch, woken }
    }

    /// Returns the next event.
    fn next(&self) -> FileEvent {
        loop {
            let mut changes = self.watch.changes();
            assert!(changes.len() < 2, "more than one event: {changes:?}");
            if let Some(change) = changes.pop() {
                return change;
            }
            self.woken.recv_timeout(PATIENCE).expect("an event");
        }
    }

    #[track_caller]
    fn complete(&self) {
        let change = self.next();
        assert!(matches!(&change, FileEvent::Complete { path, .. } if *path == self.path), "{change:?}");
    }

    /// Asserts that the watch has no event of the library so far.
    #[track_caller]
    fn nothing(&self) {
        let mark = self.installation.path("mark.json");
        fs::write(&mark, "1").expect("files can be written");
        let change = self.next();
        assert!(matches!(&change, FileEvent::Complete { path, .. } if *path == mark), "{change:?}");
    }
}

#[test]
fn library_written_in_pieces_is_reported_complete() {
    let library = fs::read(&libraries().no_sdk).expect("libraries can be read");
    let followed = Followed::new(&library_file("remote"));
    for _ in 0..2 {
        let mut file = File::create(&followed.path).expect("it can be written");
        // The last piece has the table of sections: a library is complete only with it.
        for piece in library.chunks(library.len().div_ceil(4)) {
            followed.nothing();
            file.write_all(piece).expect("it can be written");
        }
        drop(file);
        followed.complete();
        followed.nothing();
    }
}

#[test]
fn library_replaced_by_a_build_is_reported() {
    let no_sdk = &libraries().no_sdk;
    let followed = Followed::new(&library_file("remote"));
    let scratch = followed.installation.path(&library_file("scratch"));
    // A first build, a rename, a hard link like cargo's, and a copy over the file.
    fs::copy(no_sdk, &followed.path).expect("libraries can be copied");
    followed.complete();
    fs::copy(&libraries().analytics, &scratch).expect("libraries can be copied");
    fs::rename(&scratch, &followed.path).expect("it can be renamed");
    followed.complete();
    fs::copy(no_sdk, &scratch).expect("libraries can be copied");
    fs::remove_file(&followed.path).expect("it is there");
    fs::hard_link(&scratch, &followed.path).expect("it can be linked");
    followed.complete();
    fs::copy(&libraries().analytics, &followed.path).expect("libraries can be copied");
    followed.complete();
    fs::remove_file(&followed.path).expect("it is there");
    assert!(matches!(followed.next(), FileEvent::Gone { .. }));
}

#[test]
fn half_a_library_is_reported_as_unreadable() {
    let library = fs::read(&libraries().no_sdk).expect("libraries can be read");
    let followed = Followed::new(&library_file("remote"));
    fs::write(&followed.path, &library[..library.len() / 2]).expect("it can be written");
    let change = followed.next();
    let FileEvent::Unreadable { failure, .. } = &change else { panic!("{change:?}") };
    assert_eq!(failure.code.as_str(), "library-damaged");
    fs::write(&followed.path, &library).expect("it can be written");
    followed.complete();
}

#[test]
fn installed_library_is_seen_complete() {
    let followed = Followed::new("unused");
    let plugins = followed.installation.path("data/plugins");
    followed.watch.follow(BTreeSet::new(), BTreeSet::from([plugins.clone()]));
    let (library, ..) = no_sdk();
    run(&followed.installation, &["install", &text(&library)]).good();
    let change = followed.next();
    let place = plugins.join(library.file_name().expect("a library is a file"));
    assert!(matches!(&change, FileEvent::Complete { path, .. } if *path == place), "{change:?}");
}
