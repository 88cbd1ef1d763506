//! Which remotes from where, and which folders: from flags, environment, the host's manifest and the user.

use std::{
    env, io,
    path::{Component, Path, PathBuf},
};

use negotiation::manifest::{
    AuthConfig, HostManifest, ManifestError, Origin, RemoteManifest, RemoteRef, Written, utf8,
};

use crate::{
    catalogue::Code,
    data::private::Places,
    failure::{Advise, Failure, Stage},
    library::{Unread, is_json, read_manifest, read_text, search},
    preflight::Preflight,
    trust,
};

mod folders;
mod former;

pub(crate) use former::migrate;

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
    #[error("the host's manifest is missing: {0}")]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("the host's manifest cannot be read ({0}): {1}")]
    Unreadable(io::Error, PathBuf),
    /// The host's manifest is wrong.
    #[error("{manifest}: {1}", manifest = .0.summary())]
    Manifest(ManifestError, PathBuf),
    /// Other users can change the file.
    #[error("the host's manifest is not used, because other users can change it: {reason}: {}", path.display())]
    Untrusted {
        /// What they can change.
        reason: String,
        /// What to do.
        advice: String,
        /// The manifest.
        path: PathBuf,
    },
    /// The system does not say where the user's folders are.
    #[error(
        "the home folder is unknown{}",
        .0.as_ref().map(|home| format!(" (HOME is `{}`)", home.display())).unwrap_or_default()
    )]
    NoHome(Option<PathBuf>),
}

crate::failure::advise!(ConfigError);

impl ConfigError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::ConfigMissing,
            Self::Unreadable(..) => Code::ConfigUnreadable,
            Self::Manifest(error, _) => error.into(),
            Self::Untrusted { .. } => Code::ConfigUntrusted,
            Self::NoHome(_) => Code::ConfigNoHome,
        }
    }

    /// What to do.
    pub fn advice(&self) -> String {
        let advice = match self {
            Self::Missing(_) => "correct its path, or leave it out for the default one",
            Self::Unreadable(..) => "let this user read it, or correct its path",
            Self::Manifest(error, _) => return error.advice(),
            Self::Untrusted { advice, .. } => advice,
            Self::NoHome(_) => {
                "set HOME to an absolute path, or name a folder for data and settings with --data-dir"
            }
        };
        advice.to_owned()
    }

    fn untrusted(reason: &trust::Unsafe, path: &Path) -> Self {
        Self::Untrusted { reason: reason.to_string(), advice: reason.advice(), path: path.to_owned() }
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
    /// Folders in which the library of a manifest is looked for, after the manifest's own.
    ///
    /// Not the drop folder: what is in it runs when it is enabled, and under its own path.
    pub plugin_dirs: Vec<PathBuf>,
    /// Folders for the private copies of libraries, best first.
    pub private: Places,
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
    /// The host's manifest is the one that is named, else `manifests/host.json` of the installation (in the folder of
    /// the executable, or one of the two above it), else `host.json` in the user's config folder, else built in.
    /// The working folder does not count: another user may have filled it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(options: &Options) -> Result<Self, ConfigError> {
        let mut config = Self::folders(options)?;
        let file = match &options.config {
            Some(named) => Some(absolute(named)),
            None => find_manifest(&config.config_dir),
        };
        if let Some(file) = &file {
            let Written { manifest, origin } = read_host(file)?;
            (config.host, config.origin) = (manifest, origin);
        }
        config.auth = auth(&config.host, file.as_deref(), options.config.is_some(), &config.config_dir)?;
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
        let [data_dir, config_dir] = folders::data_and_config(options.data_dir.as_deref(), folders::of_user())?;
        let host = HostManifest::from_json(BUILT_IN).map_err(|e| ConfigError::Manifest(e, PathBuf::new()))?;
        let mut plugin_dirs: Vec<_> = options.plugin_dirs.iter().map(|d| absolute(d)).collect();
        plugin_dirs.extend(env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned)));
        Ok(Self {
            host,
            origin: Origin::new("", BUILT_IN, true),
            file: None,
            auth: AuthConfig::default(),
            private: Places::of_user(Some(&data_dir)),
            data_dir,
            config_dir,
            plugin_dirs,
            preflight: None,
            watch: false,
            safe_mode: false,
        })
    }

    /// Makes the folders for data, if they are not there, and keeps other users out of them.
    ///
    /// Failures are reported by the first use of the folder.
    pub fn prepare(&self, options: &Options) {
        folders::prepare(&self.data_dir, options.data_dir.is_none(), &self.config_dir);
    }

    /// Returns the file that a location in the host's manifest means: relative to that manifest, below the home folder after
    /// `~/`, or after `file:`.
    pub(crate) fn place_of(&self, location: &str) -> PathBuf {
        let base = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let location = file_of(location).unwrap_or(location);
        match (location.strip_prefix("~/"), env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => base.join(location),
        }
    }

    /// Finds manifest and library of a remote.
    ///
    /// # Errors
    /// Says what was looked for and where.
    pub fn locate(&self, alias: &str, reference: &RemoteRef) -> Result<Located, Failure> {
        let location = reference.location.as_str();
        let path = self.place_of(location);
        if location.contains("://") && file_of(location).is_none() {
            let text = format!(
                "`{alias}` is to come from {location}, and this shell loads remotes from files only: {}",
                self.origin.place(&format!("/remotes/{alias}"))
            );
            return Err(Failure::new(
                Stage::Discover,
                Code::LocationUnsupported,
                text,
                "name a manifest or a library",
            ));
        }
        let located =
            if is_json(&path) { self.locate_by_manifest(&path)? } else { self.locate_library(location, path)? };
        if located.manifest.name != reference.name {
            let text = format!(
                "the host's manifest ({}) names the remote `{}`, and this manifest is of `{}`: {}",
                self.origin.place(&format!("/remotes/{alias}")),
                reference.name,
                located.manifest.name,
                located.origin.path().display()
            );
            return Err(Failure::new(Stage::Discover, Code::ManifestName, text, "correct one of them"));
        }
        Ok(located)
    }

    /// Returns the failure of the remote `alias`, which is the one of `first` already.
    pub(crate) fn duplicate(&self, first: &str, alias: &str, reference: &RemoteRef) -> Failure {
        let text = format!(
            "`{first}` and `{alias}` both stand for the remote `{}`, and `{first}` is used: {}",
            reference.name,
            self.origin.place(&format!("/remotes/{alias}"))
        );
        Failure::new(Stage::Discover, Code::AliasDuplicate, text, "take one of them out of the host's manifest")
    }

    /// The remote of a manifest that is a JSON file.
    pub(crate) fn locate_by_manifest(&self, path: &Path) -> Result<Located, Failure> {
        let Written { manifest, origin } = read_manifest(path)?;
        let own = path.parent().unwrap_or(Path::new("."));
        let (library, looked) = search::find(&manifest.remote_entry, own, &self.plugin_dirs);
        Ok(Located { manifest, library, origin, looked })
    }

    /// Locates the remote of a library.
    ///
    /// Its path is taken as it is written. A file name alone is looked for where that of a manifest would be.
    fn locate_library(&self, location: &str, path: PathBuf) -> Result<Located, Failure> {
        let mut parts = Path::new(location).components();
        let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        let elsewhere = self.plugin_dirs.iter().filter(|_| is_name).map(|folder| folder.join(location));
        let (library, looked) = search::first([path].into_iter().chain(elsewhere).collect());
        let looked = if is_name { looked } else { Vec::new() };
        let read = read_manifest(&library);
        let Written { manifest, origin } = read.map_err(|failure| {
            if failure.code == Code::LibraryMissing { looked_for(failure, &looked) } else { failure }
        })?;
        Ok(Located { manifest, library, origin, looked })
    }
}

/// Returns the absolute path of a `file:` URL of this machine.
fn file_of(location: &str) -> Option<&str> {
    let file = location.strip_prefix("file:")?;
    let local = file.strip_prefix("//").map(|file| file.strip_prefix("localhost").unwrap_or(file));
    local.or(Some(file)).filter(|file| file.starts_with('/'))
}

/// Adds the paths at which a library was looked for to `failure`.
pub(crate) fn looked_for(failure: Failure, looked: &[PathBuf]) -> Failure {
    if looked.is_empty() {
        return failure;
    }
    let looked: Vec<_> = looked.iter().map(|path| format!("  {}", path.display())).collect();
    failure.with_details(format!("Looked for the library here, in this order:\n{}", looked.join("\n")))
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

/// Finds the host's manifest of the installation or of the user.
///
/// The installation ends below the home folder, and where other users can put files: `/tmp` is of no program.
fn find_manifest(config_dir: &Path) -> Option<PathBuf> {
    let (exe, home) = (env::current_exe().ok(), env::home_dir());
    let folders = exe.iter().flat_map(|exe| exe.ancestors().skip(1).take(3));
    let installation =
        folders.take_while(|folder| Some(*folder) != home.as_deref() && trust::is_closed(folder));
    let near = installation.map(|folder| folder.join("manifests").join("host.json"));
    let near = near.filter(|file| file.is_file()).find(|file| match trust::check(file) {
        Ok(()) => true,
        Err(reason) => {
            let error = ConfigError::untrusted(&reason, file);
            tracing::warn!(code = error.code().as_str(), "{}", error.line());
            false
        }
    });
    near.or_else(|| Some(config_dir.join("host.json")).filter(|file| file.is_file()))
}

/// Returns what signs the user in: the manifest in use states it, else the user's own.
///
/// A secret goes only where the user sends it: to the service of a manifest that was named or is the user's own.
fn auth(
    host: &HostManifest,
    file: Option<&Path>,
    is_named: bool,
    config_dir: &Path,
) -> Result<AuthConfig, ConfigError> {
    let own = config_dir.join("host.json");
    let (auth, file) = match &host.auth {
        Some(auth) => (Some(auth.clone()), file),
        None if own.is_file() => (read_host(&own)?.manifest.auth, Some(&*own)),
        None => (None, None),
    };
    let mut auth = auth.unwrap_or_default();
    let (AuthConfig::Http(http), Some(file)) = (&mut auth, file) else { return Ok(auth) };
    let is_own = is_named || file == own;
    if !is_own && (http.token_env.take().is_some() | http.token_file.take().is_some()) {
        tracing::warn!(
            code = Code::AuthTokenWithheld.as_str(),
            "no token is sent to {}, because the manifest that asks for it was neither named with --config nor is it \
             {}; name it, or move `auth` there: {}",
            http.base,
            own.display(),
            file.display()
        );
    }
    // Relative to the file that says so.
    let folder = file.parent().unwrap_or(Path::new("."));
    http.token_file = http.token_file.take().map(|file| folder.join(file));
    Ok(auth)
}

fn read_host(file: &Path) -> Result<Written<HostManifest>, ConfigError> {
    match trust::check(file) {
        // Reading reports what is missing or out of reach.
        Ok(()) | Err(trust::Unsafe::Unreadable(..)) => {}
        Err(reason) => return Err(ConfigError::untrusted(&reason, file)),
    }
    let bytes = read_text(file).map_err(|error| match error {
        Unread::TooLarge(error) => ConfigError::Manifest(error, file.to_owned()),
        Unread::Io(error) if error.kind() == io::ErrorKind::NotFound => ConfigError::Missing(file.to_owned()),
        Unread::Io(error) => ConfigError::Unreadable(error, file.to_owned()),
    })?;
    let read = |text: &str| {
        Ok(Written { manifest: HostManifest::from_json(text)?, origin: Origin::new(file, text, false) })
    };
    utf8(&bytes).and_then(read).map_err(|e| ConfigError::Manifest(e, file.to_owned()))
}

#[cfg(test)]
mod tests;
