use super::*;

/// Two folders, and what is written into the first.
struct Kept {
    home: tempfile::TempDir,
}

impl Kept {
    fn new(files: &[(&str, &str)]) -> Self {
        let kept = Self { home: tempfile::tempdir().expect("a temporary folder") };
        for (name, text) in files {
            kept.write(FORMER, name, text);
        }
        kept
    }

    fn path(&self, folder: &str) -> PathBuf {
        self.home.path().join(folder)
    }

    fn write(&self, folder: &str, name: &str, text: &str) {
        let path = self.path(folder).join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
        fs::write(path, text).expect("files can be written");
    }

    #[track_caller]
    fn is(&self, folder: &str, name: &str, text: Option<&str>) {
        let found = fs::read_to_string(self.path(folder).join(name)).ok();
        assert_eq!(found.as_deref(), text, "{folder}/{name}");
    }

    fn take(&self, take: fn(&Path, &Path)) {
        take(&self.path(FORMER), &self.path(NAME));
    }
}

const HOST: &str = r#"{ "manifestVersion": 1, "name": "pulse",
    "remotes": { "a": "a@libs/./a.so", "b": "b@b.json", "c": "c@../c.so", "d": "d@/d.so" },
    "auth": { "provider": "http", "base": "https://example.org", "tokenFile": "token" } }"#;

const REMOTE: &str = r#"{ "manifestVersion": 1, "name": "b", "version": "1.0.0", "remoteEntry": "b", "exposes": {}, "shared": {} }"#;

#[test]
fn settings_move_and_those_of_pulseaudio_stay() {
    let library = crate::library::file_name("b");
    let kept = Kept::new(&[
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
        kept.take(take_config);
        let taken = [("host.json", HOST), ("profile.json", r#"{ "name": "Ada" }"#), ("token", "secret")];
        for (name, text) in taken.into_iter().chain([("libs/a.so", "a"), ("b.json", REMOTE), (&*library, "b")])
        {
            kept.is(NAME, name, Some(text));
            kept.is(FORMER, name, None);
        }
        for (name, text) in [("cookie", "cookie"), ("client.conf", "autospawn = no"), ("default.pa", "")] {
            kept.is(FORMER, name, Some(text));
            kept.is(NAME, name, None);
        }
    }
}

#[test]
fn what_is_there_already_is_not_overwritten() {
    let kept = Kept::new(&[("profile.json", "{}"), ("remotes.json", "old"), ("plugins/a.so", "old")]);
    for (name, text) in [("profile.json", "new"), ("remotes.json", "new"), ("plugins/b.so", "new")] {
        kept.write(NAME, name, text);
    }
    kept.take(take_config);
    kept.take(take_data);
    for (name, text) in [("profile.json", "new"), ("remotes.json", "new"), ("plugins/b.so", "new")] {
        kept.is(NAME, name, Some(text));
    }
    for (name, text) in [("profile.json", "{}"), ("remotes.json", "old"), ("plugins/a.so", "old")] {
        kept.is(FORMER, name, Some(text));
    }
}

#[test]
fn files_of_other_programs_are_not_taken_for_settings() {
    let kept = Kept::new(&[("host.json", r#"{ "host": "db" }"#), ("profile.json", "[ 1 ]"), ("cookie", "")]);
    kept.take(take_config);
    kept.take(take_data);
    assert!(!kept.path(NAME).exists());
}

#[test]
fn data_moves_and_an_interrupted_move_continues() {
    let kept = Kept::new(&[
        ("remotes.json", "choices"),
        ("window.json", "window"),
        ("remotes/a/data.db", "flights"),
        ("generations/index.json", "index"),
        ("plugins/a.so", "code"),
        ("something/else", "else"),
    ]);
    // As one that has come as far as this, with the folders that a start makes.
    kept.write(NAME, "generations/index.json", "index");
    fs::remove_dir_all(kept.path(FORMER).join("generations")).expect("folders can be removed");
    fs::create_dir(kept.path(NAME).join("plugins")).expect("folders can be made");
    kept.take(take_data);
    for (name, text) in [
        ("remotes.json", "choices"),
        ("window.json", "window"),
        ("remotes/a/data.db", "flights"),
        ("generations/index.json", "index"),
        ("plugins/a.so", "code"),
    ] {
        kept.is(NAME, name, Some(text));
    }
    kept.is(FORMER, "something/else", Some("else"));
}

#[test]
fn shells_that_start_together_take_everything_over_once() {
    let files: Vec<(String, String)> = (0..50).map(|at| (format!("remotes/{at}/a"), at.to_string())).collect();
    let mut all: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    all.extend([("remotes.json", "choices"), ("window.json", "window")]);
    let kept = Kept::new(&all);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| kept.take(take_data));
        }
    });
    for (name, text) in all {
        kept.is(NAME, name, Some(text));
    }
}

#[test]
fn data_of_a_running_shell_stays() {
    let kept = Kept::new(&[("remotes.json", "choices"), ("sessions/1.json", "{}")]);
    let session = File::open(kept.path(FORMER).join("sessions/1.json")).expect("it is there");
    session.lock().expect("files can be locked");
    kept.take(take_data);
    kept.is(FORMER, "remotes.json", Some("choices"));
    drop(session);
    kept.take(take_data);
    kept.is(NAME, "remotes.json", Some("choices"));
}

#[test]
fn variables_of_pulseaudio_are_not_taken_for_former_ones() {
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
