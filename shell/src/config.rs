//! Which remotes from where, and which folders: from flags, environment, the host's manifest and the user.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use etcetera::{BaseStrategy, choose_base_strategy};
use plugin_api::manifest::{AuthConfig, HostManifest, ManifestError, Place, RemoteManifest, RemoteRef, utf8};

use crate::{
    failure::{Failure, Stage},
    federation::loader::{self, LibraryError},
    preflight::Preflight,
};

/// What the command line and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The host's manifest.
    pub config: Option<PathBuf>,
    /// Folders to look for libraries in, before the default ones.
    pub plugin_dirs: Vec<PathBuf>,
    /// Where remotes and the shell keep their data.
    pub data_dir: Option<PathBuf>,
    /// Start without remotes.
    pub safe_mode: bool,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file that was named is not there.
    #[error("the host's manifest is missing; correct its path, or leave it out for the default one: {0}")]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("the host's manifest cannot be read ({0}); let this user read it, or correct its path: {1}")]
    Unreadable(io::Error, PathBuf),
    /// The host's manifest is wrong.
    #[error("{0}: {1}")]
    Manifest(ManifestError, PathBuf),
    /// The system does not say where the user's folders are.
    #[error("the home folder is unknown; set HOME, or name a folder for data and settings with --data-dir")]
    NoHome,
}

impl ConfigError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "config-missing",
            Self::Unreadable(..) => "config-unreadable",
            Self::Manifest(error, _) => error.code(),
            Self::NoHome => "config-no-home",
        }
    }
}

/// Everything that the shell starts from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host's manifest.
    pub host: HostManifest,
    /// Its text, and where that was read.
    pub origin: Origin,
    /// The file it came from; `None` for the one that is built in.
    pub file: Option<PathBuf>,
    /// Who signs people in.
    pub auth: AuthConfig,
    /// Where remotes and the shell keep their data.
    pub data_dir: PathBuf,
    /// Where the user's settings and profile are.
    pub config_dir: PathBuf,
    /// Where libraries are looked for, after the folder of their manifest.
    pub plugin_dirs: Vec<PathBuf>,
    /// How libraries are tried in a process of their own; none where the host's manifest says so.
    pub preflight: Option<Preflight>,
    /// Whether files are followed while the shell runs, the drop folder is looked into, and what runs well is kept.
    pub watch: bool,
    /// Start without remotes.
    pub safe_mode: bool,
}

/// The host's manifest for a shell that is started without one: no remotes.
const BUILT_IN: &str = r#"{ "manifestVersion": 1, "name": "pulse", "shared": { "shared-store": { "version": "1.0.0", "singleton": true, "eager": true }, "telemetry": { "version": "1.0.0", "singleton": true, "eager": true } } }"#;

impl Config {
    /// Reads the configuration.
    ///
    /// The host's manifest is the one that is named, else `manifests/host.json` in the working folder or beside
    /// one of the executable's three nearest folders, else `host.json` in the user's config folder, else built in.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(options: &Options) -> Result<Self, ConfigError> {
        let mut config = Self::folders(options)?;
        let file = options.config.clone().or_else(|| find_manifest(&config.config_dir)).map(|f| absolute(&f));
        if let Some(file) = &file {
            let Written { manifest, origin } = read_host(file)?;
            (config.host, config.origin) = (manifest, origin);
        }
        config.auth = auth(&config.host, file.as_deref(), &config.config_dir)?;
        config.file = file;
        config.preflight = config.host.preflight.then(Preflight::default);
        config.watch = true;
        config.safe_mode = options.safe_mode;
        Ok(config)
    }

    /// The folders alone, with the host's manifest that is built in.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn folders(options: &Options) -> Result<Self, ConfigError> {
        let base = choose_base_strategy().ok();
        let base =
            base.map(|base| [base.data_dir(), base.config_dir()].map(|folder| folder.join("pulse-shell")));
        let [data_dir, config_dir] = data_and_config(options.data_dir.as_deref(), base)?;
        let host = HostManifest::from_json(BUILT_IN).map_err(|e| ConfigError::Manifest(e, PathBuf::new()))?;
        let mut plugin_dirs: Vec<_> = options.plugin_dirs.iter().map(|d| absolute(d)).collect();
        plugin_dirs.extend(env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned)));
        plugin_dirs.push(data_dir.join("plugins"));
        let auth = AuthConfig::default();
        let origin = Origin::new("", BUILT_IN, true);
        Ok(Self {
            host,
            origin,
            file: None,
            auth,
            data_dir,
            config_dir,
            plugin_dirs,
            preflight: None,
            watch: false,
            safe_mode: false,
        })
    }

    /// Finds manifest and library of a remote.
    ///
    /// # Errors
    /// Says what was looked for and where.
    pub fn locate(&self, alias: &str, reference: &RemoteRef) -> Result<Located, Failure> {
        let location = reference.location.as_str();
        if location.contains("://") {
            let text = format!(
                "`{alias}` is to come from {location}, and this shell loads remotes from files only; \
                 name a manifest or a library: {}",
                self.origin.place(&format!("/remotes/{alias}"))
            );
            return Err(Failure::new(Stage::Discover, "location-unsupported", text));
        }
        let base = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let path = base.join(location);
        let located = if is_json(&path) {
            self.locate_by_manifest(&path)?
        } else {
            let library = self.find_library(&path);
            let Written { manifest, origin } = read_manifest(&library)?;
            Located { manifest, library, origin, looked: Vec::new() }
        };
        if located.manifest.name != reference.name {
            let text = format!(
                "the host's manifest ({}) expects `{}` for `{alias}`, and this manifest is of `{}`; correct one of \
                 them: {}",
                self.origin.place(&format!("/remotes/{alias}")),
                reference.name,
                located.manifest.name,
                located.origin.path().display()
            );
            return Err(Failure::new(Stage::Discover, "manifest-name", text));
        }
        Ok(located)
    }

    /// The remote of a manifest that is a JSON file.
    pub(crate) fn locate_by_manifest(&self, path: &Path) -> Result<Located, Failure> {
        let Written { manifest, origin } = read_manifest(path)?;
        let beside = path.parent().unwrap_or(Path::new("."));
        let (library, looked) = self.find_entry(&manifest.remote_entry, beside);
        Ok(Located { manifest, library, origin, looked })
    }

    /// The first place where the library called `base` is, else the first place where it could be.
    fn find_entry(&self, base: &str, beside: &Path) -> (PathBuf, Vec<PathBuf>) {
        let name = format!("{}{base}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        let looked: Vec<_> = [beside]
            .into_iter()
            .chain(self.plugin_dirs.iter().map(PathBuf::as_path))
            .map(|d| d.join(&name))
            .collect();
        let found = looked.iter().find(|p| p.is_file()).unwrap_or(&looked[0]).clone();
        (found, looked)
    }

    /// A library's path as it is written, or its file name in one of the plugin folders.
    fn find_library(&self, path: &Path) -> PathBuf {
        let elsewhere = || {
            let name = path.file_name()?;
            self.plugin_dirs.iter().map(|d| d.join(name)).find(|p| p.is_file())
        };
        if path.exists() { path.to_owned() } else { elsewhere().unwrap_or_else(|| path.to_owned()) }
    }
}

/// The manifest of a JSON file or, by any other ending, the one inside of a library; runs no code.
///
/// # Errors
/// Names the file, and the place in it.
pub fn read_manifest(path: &Path) -> Result<Written<RemoteManifest>, Failure> {
    let embedded = !is_json(path);
    let fail = |code: &str, text: String| Failure::new(Stage::Discover, code, text);
    if embedded {
        let text = loader::section_text(path).map_err(|e| fail(e.code(), e.to_string()))?;
        return remote(&text, path, embedded)
            .map_err(|e| LibraryError::Manifest(e, path.to_owned()))
            .map_err(|e| fail(e.code(), e.to_string()));
    }
    let bytes = fs::read(path).map_err(|error| {
        let (code, what) = if error.kind() == io::ErrorKind::NotFound {
            ("manifest-missing", "is missing; put it back or correct what names it".to_owned())
        } else {
            ("manifest-unreadable", format!("cannot be read ({error}); let this user read it"))
        };
        fail(code, format!("the manifest {what}: {}", path.display()))
    })?;
    utf8(&bytes)
        .and_then(|text| remote(text, path, embedded))
        .map_err(|e| fail(e.code(), format!("{e}: {}", path.display())))
}

/// Whether a manifest is to be read from this file as it is, and not out of a library.
pub(crate) fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

/// A manifest with the text that it was read from.
#[derive(Clone, Debug)]
pub struct Written<M> {
    /// What it says.
    pub manifest: M,
    /// How and where it says so.
    pub origin: Origin,
}

fn remote(text: &str, path: &Path, embedded: bool) -> Result<Written<RemoteManifest>, ManifestError> {
    Ok(Written { manifest: RemoteManifest::from_json(text)?, origin: Origin::new(path, text, embedded) })
}

/// The text of a manifest, and the file that it is in.
#[derive(Clone, Debug)]
pub struct Origin {
    path: PathBuf,
    text: Arc<str>,
    embedded: bool,
}

impl Origin {
    /// The text of a manifest, read from this file as it is or, if it is `embedded`, out of this library.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>, embedded: bool) -> Self {
        Self { path: path.into(), text: text.into(), embedded }
    }

    /// The file: JSON, or a library; empty for the host's manifest that is built in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest as it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the value of a JSON pointer stands, or belongs, as people and editors read it:
    /// `manifests/analytics.json:14:21`.
    pub fn place(&self, pointer: &str) -> String {
        let (line, column) = self.line_column(pointer);
        let file = self.file();
        match (self.embedded, file.is_empty()) {
            (false, _) => format!("{file}:{line}:{column}"),
            (true, false) => format!("{file} (embedded manifest, line {line})"),
            (true, true) => "the host's manifest that is built in".to_owned(),
        }
    }

    /// The file's name, seen from the working folder.
    pub fn file(&self) -> String {
        let here = env::current_dir().ok();
        let near = here.and_then(|here| self.path.strip_prefix(here).ok());
        let file = near.unwrap_or(&self.path);
        file.strip_prefix(".").unwrap_or(file).display().to_string()
    }

    /// Line and column, both from 1, of the value of a JSON pointer, or of where it belongs.
    pub fn line_column(&self, pointer: &str) -> (usize, usize) {
        Place::of(&self.text, pointer).map_or((1, 1), |place| (place.line, place.column))
    }
}

/// A remote's manifest, and where its library is or should be.
#[derive(Clone, Debug)]
pub struct Located {
    /// What planning reads.
    pub manifest: RemoteManifest,
    /// The library.
    pub library: PathBuf,
    /// Where the manifest was read.
    pub origin: Origin,
    /// Where the library was looked for; empty when its path was given.
    pub looked: Vec<PathBuf>,
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The folders for data and for settings: the user's own, with the data where `named` says.
///
/// Without a home folder the one that is named holds the settings too.
fn data_and_config(named: Option<&Path>, own: Option<[PathBuf; 2]>) -> Result<[PathBuf; 2], ConfigError> {
    let named = named.map(absolute);
    match (named, own) {
        (Some(data), Some([_, config])) => Ok([data, config]),
        (Some(data), None) => Ok([data.clone(), data.join("config")]),
        (None, own) => own.map(|folders| folders.map(|folder| absolute(&folder))).ok_or(ConfigError::NoHome),
    }
}

fn find_manifest(config_dir: &Path) -> Option<PathBuf> {
    let relative = Path::new("manifests").join("host.json");
    let exe = env::current_exe().ok();
    let near = exe.iter().flat_map(|exe| exe.ancestors().skip(1).take(3)).map(|dir| dir.join(&relative));
    [relative.clone()].into_iter().chain(near).chain([config_dir.join("host.json")]).find(|p| p.is_file())
}

/// The manifest that is in use goes before the user's own.
fn auth(host: &HostManifest, file: Option<&Path>, config_dir: &Path) -> Result<AuthConfig, ConfigError> {
    let own = config_dir.join("host.json");
    let (auth, beside) = match &host.auth {
        Some(auth) => (Some(auth.clone()), file.and_then(Path::parent)),
        None if own.is_file() => (read_host(&own)?.manifest.auth, Some(config_dir)),
        None => (None, None),
    };
    let mut auth = auth.unwrap_or_default();
    if let (AuthConfig::Http(http), Some(dir)) = (&mut auth, beside) {
        // Relative to the file that says so.
        http.token_file = http.token_file.take().map(|f| dir.join(f));
    }
    Ok(auth)
}

fn read_host(file: &Path) -> Result<Written<HostManifest>, ConfigError> {
    let bytes = fs::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ConfigError::Missing(file.to_owned()),
        _ => ConfigError::Unreadable(error, file.to_owned()),
    })?;
    let read = |text: &str| {
        Ok(Written { manifest: HostManifest::from_json(text)?, origin: Origin::new(file, text, false) })
    };
    utf8(&bytes).and_then(read).map_err(|e| ConfigError::Manifest(e, file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_home_folder_the_named_one_holds_everything() {
        let own = || Some(["/ada/data", "/ada/config"].map(PathBuf::from));
        let folders = |named: Option<&str>, own| data_and_config(named.map(Path::new), own);
        let is = |found: Result<[PathBuf; 2], ConfigError>, expected: [&str; 2]| {
            assert_eq!(found.expect("there are folders"), expected.map(|folder| absolute(Path::new(folder))));
        };
        is(folders(None, own()), ["/ada/data", "/ada/config"]);
        is(folders(Some("/srv/pulse"), own()), ["/srv/pulse", "/ada/config"]);
        is(folders(Some("/srv/pulse"), None), ["/srv/pulse", "/srv/pulse/config"]);
        assert_eq!(folders(None, None).expect_err("there is no home").code(), "config-no-home");
    }
}
