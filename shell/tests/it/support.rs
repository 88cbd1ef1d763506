//! Support code of the tests: [`libraries`], which cargo builds once per run, an [`Installation`] in a temporary
//! folder, and a [`Headless`] shell.
//!
//! Nothing sleeps: the shell's `wake` ends every wait. A wait longer than [`PATIENCE`] fails the test and names the
//! awaited condition.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use pulse::{
    config::{Config, Options},
    data::private::Places,
    library,
};
use serde_json::{Value, json};

pub(crate) mod elsewhere;
mod headless;
mod log;

pub(crate) use headless::Headless;
pub(crate) use log::{Line, log};
pub(crate) use pulse::library::file_name as library_file;

/// Timeout for each event that a test waits for. Only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Paths of the remotes' libraries, as cargo built them. Copy them; never load or change these files.
pub(crate) struct Libraries {
    /// The analytics remote.
    pub(crate) analytics: PathBuf,
    /// The remote with one expose for each fault, written with the SDK.
    pub(crate) misbehaving: PathBuf,
    /// The remote that uses the contract without the SDK.
    pub(crate) no_sdk: PathBuf,
    /// A remote that offers a later `shared-store` than the host's, and a `ledger`.
    pub(crate) newer_crates: PathBuf,
    /// A remote that demands a `ledger` and offers none.
    pub(crate) borrower: PathBuf,
    /// A remote whose shared crates contradict their versions.
    pub(crate) bad_layout: PathBuf,
    /// A good remote that fails on command.
    pub(crate) scripted: PathBuf,
    /// The plugin of the README.
    pub(crate) hello: PathBuf,
}

/// Builds the libraries, once per process.
pub(crate) fn libraries() -> &'static Libraries {
    static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        // `--examples` brings in development dependencies. So the features are those that this test was built with,
        // and the toolkit is not compiled a second time.
        let built = cargo_build(&workspace(), &["--workspace", "--lib", "--examples"]);
        let find = |name: &str| {
            let library = built.get(name).cloned();
            library.unwrap_or_else(|| panic!("cargo built no library `{name}`; it built {:?}", built.keys()))
        };
        Libraries {
            analytics: find("pulse_analytics"),
            misbehaving: find("fixture_misbehaving"),
            no_sdk: find("fixture_no_sdk"),
            newer_crates: find("fixture_newer_crates"),
            borrower: find("fixture_borrower"),
            bad_layout: find("fixture_bad_layout"),
            scripted: find("fixture_scripted"),
            hello: find("hello"),
        }
    })
}

/// Builds the selected targets of the workspace in `folder`; returns its dynamic libraries and programs by the name
/// of their target.
pub(crate) fn cargo_build(folder: &Path, selection: &[&str]) -> BTreeMap<String, PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build").args(selection).current_dir(folder);
    // This test's own target folder, for other workspaces too; the test lies in `TARGET/PROFILE/deps`.
    let test = env::current_exe().expect("this test is a file");
    cargo.arg("--target-dir").arg(test.ancestors().nth(3).expect("a file in a target folder"));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    built_by(cargo)
}

/// Runs `cargo` and returns the dynamic libraries and programs that it has built, by the name of their target.
fn built_by(mut cargo: Command) -> BTreeMap<String, PathBuf> {
    cargo.arg("--message-format=json-render-diagnostics");
    // Cargo sets these variables for this test's package; build scripts that watch them would run again.
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&key);
        }
    }
    cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "cargo could not build the libraries; its errors are above");
    let mut built = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let library =
            files.map(Path::new).find(|file| file.to_string_lossy().ends_with(env::consts::DLL_SUFFIX));
        let file = library.or_else(|| message["executable"].as_str().map(Path::new));
        if let (Some(file), Some(name)) = (file, message["target"]["name"].as_str()) {
            built.insert(name.replace('-', "_"), file.to_owned());
        }
    }
    built
}

/// Returns the workspace's root.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// Returns the manifest of a library, as JSON for tests to edit.
pub(crate) fn manifest_of(library: &Path) -> Value {
    let manifest = library::inspect(library).expect("a library that the test run built has a manifest");
    serde_json::to_value(manifest).expect("a manifest is JSON")
}

/// A temporary folder with `host.json`, manifests, libraries and the data of a shell.
///
/// ```text
/// host.json
/// NAME.json       manifests of remotes
/// libNAME.so      their libraries
/// data/  config/  plugins/
/// ```
pub(crate) struct Installation {
    folder: Arc<tempfile::TempDir>,
    host: Value,
}

impl Installation {
    /// Creates an installation without remotes.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pulse-test-").tempdir().expect("a temporary folder");
        let host = json!({
            "manifestVersion": 1,
            "name": "pulse",
            "remotes": {},
            "shared": {
                "shared-store":
                    { "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true, "eager": true },
                "telemetry":
                    { "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true, "eager": true },
            },
            // A preflight runs the shell's executable, and this test is another; tests of preflight name it.
            "preflight": false,
            // Stated, so that the user's own configuration is not read.
            "auth": { "provider": "local" },
        });
        let installation = Self { folder: Arc::new(folder), host };
        installation.write_host();
        installation
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder; returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file in the folder")).expect("folders can be made");
        fs::write(&path, content).expect("files can be written");
        path
    }

    /// Copies a library into the folder, under its own name; returns the copy's path.
    pub(crate) fn copy(&self, library: &Path) -> PathBuf {
        let copy = self.folder.path().join(library.file_name().expect("a library is a file"));
        fs::copy(library, &copy).expect("libraries can be copied");
        copy
    }

    /// Installs `library` with a copy of its embedded manifest; returns the alias, which is the remote's name.
    pub(crate) fn add(&mut self, library: &Path) -> String {
        self.add_with(library, |_| ())
    }

    /// Installs `library` with a manifest that `edit` has changed; returns the alias.
    pub(crate) fn add_with(&mut self, library: &Path, edit: impl FnOnce(&mut Value)) -> String {
        let mut manifest = manifest_of(library);
        let alias = manifest["name"].as_str().expect("a manifest has a name").to_owned();
        edit(&mut manifest);
        self.copy(library);
        self.write(&format!("{alias}.json"), manifest.to_string());
        self.configure(&alias, &format!("{alias}@{alias}.json"));
        alias
    }

    /// Installs `library` alone, without a manifest file; returns the alias.
    pub(crate) fn add_library(&mut self, library: &Path) -> String {
        let copy = self.copy(library);
        let alias = manifest_of(&copy)["name"].as_str().expect("a manifest has a name").to_owned();
        let file = copy.file_name().expect("a library is a file").to_string_lossy().into_owned();
        self.configure(&alias, &format!("{alias}@{file}"));
        alias
    }

    /// Installs a build of `library` with `from` replaced by `to`, of the same length, in its embedded manifest;
    /// returns the alias.
    pub(crate) fn add_edited(&mut self, library: &Path, from: &str, to: &str) -> String {
        let alias = self.add_library(library);
        self.rebuild(library, &[(from, to)]);
        alias
    }

    /// Replaces `library` with another build, as a linker does: writes a new file and renames it over the old one.
    /// `edits` replace texts of the embedded manifest by others of the same length.
    pub(crate) fn rebuild(&self, library: &Path, edits: &[(&str, &str)]) {
        let name = library.file_name().expect("a library is a file").to_string_lossy().into_owned();
        let new = self.write(&format!("building/{name}"), edited(library, edits));
        fs::rename(new, self.path(&name)).expect("files can be renamed");
    }

    /// Lists a remote in `host.json`, as `NAME@LOCATION`.
    pub(crate) fn configure(&mut self, alias: &str, reference: &str) {
        self.edit_host(|host| host["remotes"][alias] = reference.into());
    }

    /// Grants these participants to provide `key` for others.
    pub(crate) fn grant_provider(&mut self, key: &str, names: &[&str]) {
        self.edit_host(|host| host["providers"][key] = json!(names));
    }

    /// Changes `host.json`.
    pub(crate) fn edit_host(&mut self, edit: impl FnOnce(&mut Value)) {
        edit(&mut self.host);
        self.write_host();
    }

    fn write_host(&self) {
        self.write("host.json", self.host.to_string());
    }

    /// Returns the data folder of the remote called `name`.
    pub(crate) fn data_of(&self, name: &str) -> PathBuf {
        self.path("data").join("remotes").join(name)
    }

    /// Creates an empty file `marker` in the data folder of the remote called `name`: a signal to a fixture.
    pub(crate) fn place_marker(&self, name: &str, marker: &str) {
        self.write(&format!("data/remotes/{name}/{marker}"), "");
    }

    /// Returns the configuration of a shell that uses this folder alone.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::load(&Options {
            config: Some(self.path("host.json")),
            plugin_dirs: vec![],
            data_dir: Some(self.path("data")),
            safe_mode: false,
        })
        .expect("the host's manifest is good");
        config.config_dir = self.path("config");
        config.plugin_dirs = vec![self.path("plugins")];
        #[expect(clippy::disallowed_methods, reason = "the last resort, as in the shell")]
        let temporary = env::temp_dir();
        config.private = Places::of_folders([self.path("cache")], &temporary);
        config
    }

    /// Starts a shell without a window.
    pub(crate) fn start(&self) -> Headless {
        self.start_with(self.config())
    }

    /// Starts a shell without a window, with another configuration.
    pub(crate) fn start_with(&self, config: Config) -> Headless {
        Headless::new(config, Arc::clone(&self.folder))
    }
}

/// Returns the bytes of `library` with texts replaced by others of the same length.
///
/// # Panics
/// If a text is missing.
pub(crate) fn edited(library: &Path, edits: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = fs::read(library).expect("libraries can be read");
    for (from, to) in edits {
        assert_eq!(from.len(), to.len(), "edits must not change lengths");
        let places: Vec<usize> = places_of(&bytes, from.as_bytes());
        assert!(!places.is_empty(), "`{from}` is not in the library");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

/// Returns the offsets of `part` in `bytes`.
pub(crate) fn places_of(bytes: &[u8], part: &[u8]) -> Vec<usize> {
    let (first, rest) = part.split_first().expect("a part that is not empty");
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.filter(|(at, _)| bytes[at + 1..].starts_with(rest)).map(|(at, _)| at).collect()
}
