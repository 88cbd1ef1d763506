use super::*;

/// The former and the current folder in a temporary home, with files in the former one.
struct Folders {
    home: tempfile::TempDir,
}

impl Folders {
    fn new(files: &[(&str, &str)]) -> Self {
        let folders = Self { home: tempfile::tempdir().expect("a temporary folder") };
        for (name, text) in files {
            folders.write(FORMER, name, text);
        }
        folders
    }

    fn path(&self, folder: &str) -> PathBuf {
        self.home.path().join(folder)
    }

    fn write(&self, folder: &str, name: &str, text: &str) {
        let path = self.path(folder).join(name);
        fs::create_dir_all(path.parent().expect("parent folder")).expect("folder is created");
        fs::write(path, text).expect("file is written");
    }

    #[track_caller]
    fn is(&self, folder: &str, name: &str, text: Option<&str>) {
        let found = fs::read_to_string(self.path(folder).join(name)).ok();
        assert_eq!(found.as_deref(), text, "{folder}/{name}");
    }

    fn run(&self, migration: fn(&Path, &Path)) {
        migration(&self.path(FORMER), &self.path(NAME));
    }
}

const HOST: &str = r#"{ "manifestVersion": 1, "name": "pulse",
    "remotes": { "a": "a@libs/./a.so", "b": "b@b.json", "c": "c@../c.so", "d": "d@/d.so" },
    "auth": { "provider": "http", "base": "https://example.org", "tokenFile": "token" } }"#;

const REMOTE: &str = r#"{ "manifestVersion": 1, "name": "b", "version": "1.0.0", "remoteEntry": "b", "exposes": {}, "shared": {} }"#;

#[test]
fn migration_leaves_pulseaudio_settings() {
    let library = crate::library::file_name("b");
    let folders = Folders::new(&[
        ("host.json", HOST),
        ("profile.json", r#"{ "name": "Ada" }"#),
        ("libs/a.so", "a"),
        ("b.json", REMOTE),
        (&library, "b"),
        ("token", "secret"),
        ("cookie", "cookie"),
        ("client.conf", "autospawn = no"),
        ("default.pa", ""),
    ]);
    for _ in 0..2 {
        folders.run(migrate_config);
        let migrated = [("host.json", HOST), ("profile.json", r#"{ "name": "Ada" }"#), ("token", "secret")];
        for (name, text) in
            migrated.into_iter().chain([("libs/a.so", "a"), ("b.json", REMOTE), (&*library, "b")])
        {
            folders.is(NAME, name, Some(text));
            folders.is(FORMER, name, None);
        }
        for (name, text) in [("cookie", "cookie"), ("client.conf", "autospawn = no"), ("default.pa", "")] {
            folders.is(FORMER, name, Some(text));
            folders.is(NAME, name, None);
        }
    }
}

#[test]
fn migration_overwrites_nothing() {
    let folders = Folders::new(&[("profile.json", "{}"), ("remotes.json", "old"), ("plugins/a.so", "old")]);
    for (name, text) in [("profile.json", "new"), ("remotes.json", "new"), ("plugins/b.so", "new")] {
        folders.write(NAME, name, text);
    }
    folders.run(migrate_config);
    folders.run(migrate_data);
    for (name, text) in [("profile.json", "new"), ("remotes.json", "new"), ("plugins/b.so", "new")] {
        folders.is(NAME, name, Some(text));
    }
    for (name, text) in [("profile.json", "{}"), ("remotes.json", "old"), ("plugins/a.so", "old")] {
        folders.is(FORMER, name, Some(text));
    }
}

#[test]
fn files_of_other_programs_are_not_migrated() {
    let folders =
        Folders::new(&[("host.json", r#"{ "host": "db" }"#), ("profile.json", "[ 1 ]"), ("cookie", "")]);
    folders.run(migrate_config);
    folders.run(migrate_data);
    assert!(!folders.path(NAME).exists());
}

#[test]
fn interrupted_migration_continues() {
    let folders = Folders::new(&[
        ("remotes.json", "choices"),
        ("window.json", "window"),
        ("remotes/a/data.db", "flights"),
        ("generations/index.json", "index"),
        ("plugins/a.so", "code"),
        ("something/else", "else"),
    ]);
    // The state of an interrupted migration, with the folders that a start creates.
    folders.write(NAME, "generations/index.json", "index");
    fs::remove_dir_all(folders.path(FORMER).join("generations")).expect("folder is removed");
    fs::create_dir(folders.path(NAME).join("plugins")).expect("folder is created");
    folders.run(migrate_data);
    for (name, text) in [
        ("remotes.json", "choices"),
        ("window.json", "window"),
        ("remotes/a/data.db", "flights"),
        ("generations/index.json", "index"),
        ("plugins/a.so", "code"),
    ] {
        folders.is(NAME, name, Some(text));
    }
    folders.is(FORMER, "something/else", Some("else"));
}

#[test]
fn concurrent_migrations_move_each_file_once() {
    let files: Vec<(String, String)> = (0..50).map(|at| (format!("remotes/{at}/a"), at.to_string())).collect();
    let mut all: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    all.extend([("remotes.json", "choices"), ("window.json", "window")]);
    let folders = Folders::new(&all);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| folders.run(migrate_data));
        }
    });
    for (name, text) in all {
        folders.is(NAME, name, Some(text));
    }
}

#[test]
fn data_of_running_shell_stays() {
    let folders = Folders::new(&[("remotes.json", "choices"), ("sessions/1.json", "{}")]);
    let session = File::open(folders.path(FORMER).join("sessions/1.json")).expect("file exists");
    session.lock().expect("file is locked");
    folders.run(migrate_data);
    folders.is(FORMER, "remotes.json", Some("choices"));
    drop(session);
    folders.run(migrate_data);
    folders.is(NAME, "remotes.json", Some("choices"));
}

#[test]
fn variables_of_pulseaudio_are_ignored() {
    for (name, value, ours) in [
        ("CONFIG", "/etc/pulse/daemon.conf", false),
        ("CONFIG", "my/host.json", true),
        ("LOG", "4", false),
        ("LOG", "warn,my_remote=debug", true),
        ("DATA_DIR", "", false),
        ("DATA_DIR", "/srv/pulse", true),
    ] {
        assert_eq!(is_ours(name, value), ours, "{name}={value}");
    }
}
