//! The configuration: remotes, their locations and the folders, from flags, environment, the host's manifest and the
//! user.

use std::{
    env, io,
    path::{Component, Path, PathBuf},
};

use negotiation::{
    manifest::{AuthConfig, HostManifest, ManifestError, Origin, RemoteManifest, RemoteRef, Written, utf8},
    text,
};

use crate::{
    catalogue::Code,
    data::{
        archive::Archive,
        deliveries::{Deliveries, is_address},
        private::Places,
    },
    failure::{Advise, Failure, Stage},
    library::{ManifestReadError, is_json, read_manifest, read_text, search},
    preflight::{Preflight, this_program},
    trust,
};

mod folders;
mod former;

pub(crate) use former::migrate;

/// The settings of the command line and the environment.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Path of the host's manifest.
    pub config: Option<PathBuf>,
    /// Folders to search for libraries, before the default ones.
    pub plugin_dirs: Vec<PathBuf>,
    /// Folder for the data of remotes and the shell.
    pub data_dir: Option<PathBuf>,
    /// Start without remotes.
    pub safe_mode: bool,
}

/// Reason why the configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The named file does not exist.
    #[error("the host's manifest is missing: {0}")]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("the host's manifest cannot be read ({0}): {1}")]
    Unreadable(io::Error, PathBuf),
    /// The host's manifest is invalid.
    #[error("{manifest}: {1}", manifest = .0.summary())]
    Manifest(ManifestError, PathBuf),
    /// Other users can change the file.
    #[error("the host's manifest is refused, because other users can change it: {reason}: {}", path.display())]
    Untrusted {
        /// The file or folder that they can change.
        reason: String,
        /// The remedy.
        advice: String,
        /// The manifest.
        path: PathBuf,
    },
    /// The system does not report the user's folders.
    #[error(
        "the home folder is unknown{}",
        .0.as_ref().map(|home| format!(" (HOME is `{}`)", home.display())).unwrap_or_default()
    )]
    NoHome(Option<PathBuf>),
}

crate::failure::advise!(ConfigError);

impl ConfigError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::ConfigMissing,
            Self::Unreadable(..) => Code::ConfigUnreadable,
            Self::Manifest(error, _) => error.into(),
            Self::Untrusted { .. } => Code::ConfigUntrusted,
            Self::NoHome(_) => Code::ConfigNoHome,
        }
    }

    /// Returns the remedy.
    pub fn advice(&self) -> String {
        let advice = match self {
            Self::Missing(_) => "correct its path, or omit it to use the default manifest",
            Self::Unreadable(..) => "let this user read it, or correct its path",
            Self::Manifest(error, _) => return error.advice(),
            Self::Untrusted { advice, .. } => advice,
            Self::NoHome(_) => {
                "set HOME to an absolute path, or name a folder for data and settings with --data-dir"
            }
        };
        advice.to_owned()
    }

    fn untrusted(reason: &trust::UnsafePath, path: &Path) -> Self {
        Self::Untrusted { reason: reason.to_string(), advice: reason.advice(), path: path.to_owned() }
    }
}

/// The configuration that the shell starts with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host's manifest.
    pub host: HostManifest,
    /// Its text and source.
    pub origin: Origin,
    /// Its file; `None` for the built-in manifest.
    pub file: Option<PathBuf>,
    /// The provider that signs users in.
    pub auth: AuthConfig,
    /// Folder for the data of remotes and the shell.
    pub data_dir: PathBuf,
    /// Folder with the user's settings and profile.
    pub config_dir: PathBuf,
    /// Folders searched for the library of a manifest, after the manifest's own.
    ///
    /// The drop folder is not among them: its libraries run once they are enabled, and under their own paths.
    pub plugin_dirs: Vec<PathBuf>,
    /// Folders for the private copies of libraries, best first.
    pub private: Places,
    /// The trial of libraries in a separate process; `None` if the host's manifest disables it.
    pub preflight: Option<Preflight>,
    /// Watch files while the shell runs, read the drop folder, and store the generations that ran well.
    pub watch: bool,
    /// Start without remotes.
    pub safe_mode: bool,
    /// The program that fetches from the network, Pulse itself; `None` fetches nothing.
    pub fetcher: Option<PathBuf>,
}

/// The host's manifest for a shell that is started without a manifest: no remotes.
const BUILT_IN: &str = r#"{ "manifestVersion": 1, "name": "pulse", "shared": { "shared-store": { "version": "1.0.0", "singleton": true, "eager": true }, "telemetry": { "version": "1.0.0", "singleton": true, "eager": true } } }"#;

impl Config {
    /// Reads the configuration.
    ///
    /// The host's manifest is the named file, else `manifests/host.json` of the installation (in the folder of the
    /// executable, or one of the two above it), else `host.json` in the user's config folder, else built in.
    /// The working folder is ignored, because another user may have written its files.
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
        if let Some(file) = &file {
            let is_own = options.config.is_some() || *file == config.config_dir.join("host.json");
            withhold_tokens(&mut config.host, is_own, file);
        }
        config.auth = auth(&config.host, file.as_deref(), options.config.is_some(), &config.config_dir)?;
        config.file = file;
        config.preflight = config.host.preflight.then(Preflight::default);
        config.watch = true;
        config.safe_mode = options.safe_mode;
        config.fetcher = Some(this_program());
        Ok(config)
    }

    /// Returns a configuration with the folders and the built-in host's manifest.
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
            fetcher: None,
        })
    }

    /// Creates the folders for data if they are missing, and denies other users access to them.
    ///
    /// Failures are reported by the first use of the folder.
    pub fn prepare(&self, options: &Options) {
        folders::prepare(&self.data_dir, options.data_dir.is_none(), &self.config_dir);
    }

    /// Resolves a location in the host's manifest to a file: relative to that manifest, below the home folder after
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
    /// Names the missing or invalid file and its place.
    pub fn locate(&self, alias: &str, reference: &RemoteRef) -> Result<Located, Failure> {
        let location = reference.location.as_str();
        let path = self.place_of(location);
        let located = if is_address(location) {
            self.locate_supplied(&reference.name, location)?
        } else if location.contains("://") && file_of(location).is_none() {
            let text = format!(
                "`{alias}` points to {location}, which is neither a file nor an http(s) address: {}",
                self.origin.place(&format!("/remotes/{alias}"))
            );
            let advice = "name a manifest, a library, or the address of a repository";
            return Err(Failure::new(Stage::Discover, Code::LocationUnsupported, text, advice));
        } else if is_json(&path) {
            self.locate_by_manifest(&path)?
        } else {
            self.locate_library(location, path)?
        };
        if located.manifest.name != reference.name {
            let text = format!(
                "the host's manifest ({}) expects the remote `{}`, but this manifest describes `{}`: {}",
                self.origin.place(&format!("/remotes/{alias}")),
                reference.name,
                located.manifest.name,
                located.origin.path().display()
            );
            return Err(Failure::new(Stage::Discover, Code::ManifestName, text, "correct one of the names"));
        }
        Ok(located)
    }

    /// Locates a remote at an address: its release in use, else the manifest of the one to fetch.
    fn locate_supplied(&self, name: &str, location: &str) -> Result<Located, Failure> {
        let deliveries = Deliveries::new(&self.data_dir);
        let decisions = deliveries.read()?;
        let generations = Archive::new(&self.data_dir).listing();
        let generations = generations.map_err(|error| Failure::from_error(Stage::Discover, &error))?;
        let supplied = deliveries.supplied(self, &decisions, &generations, name, location);
        if let Some((_, library)) = supplied.installed {
            return self.locate_library(&library.to_string_lossy(), library.clone());
        }
        supplied.supplier.as_ref().map_err(|failure| Failure::clone(failure))?;
        if let Some(written) = supplied.next.and_then(|next| next.manifest) {
            let Written { manifest, origin } = Written::clone(&written);
            return Ok(Located { manifest, library: PathBuf::new(), origin, looked: Vec::new() });
        }
        let text = format!("nothing is known about `{name}` yet: {}", text::line(location, 300));
        let advice = "run `pulse update --check`, or start the shell";
        Err(supplied.unlisted.map_or_else(
            || Failure::new(Stage::Discover, Code::ReleaseNotFetched, text, advice),
            |failure| Failure::clone(&failure),
        ))
    }

    /// Returns the failure of `alias`, which names the same remote as `first`.
    pub(crate) fn duplicate(&self, first: &str, alias: &str, reference: &RemoteRef) -> Failure {
        let text = format!(
            "`{first}` and `{alias}` both name the remote `{}`, and only `{first}` is used: {}",
            reference.name,
            self.origin.place(&format!("/remotes/{alias}"))
        );
        Failure::new(Stage::Discover, Code::AliasDuplicate, text, "remove one of them from the host's manifest")
    }

    /// Locates the remote of a JSON manifest.
    pub(crate) fn locate_by_manifest(&self, path: &Path) -> Result<Located, Failure> {
        let Written { manifest, origin } = read_manifest(path)?;
        let own = path.parent().unwrap_or(Path::new("."));
        let (library, looked) = search::find(&manifest.remote_entry, own, &self.plugin_dirs);
        Ok(Located { manifest, library, origin, looked })
    }

    /// Locates the remote of a library.
    ///
    /// A path is used as it is written. A file name alone is searched for in the same folders as that of a manifest.
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

/// Adds the paths searched for a library to `failure`.
pub(crate) fn looked_for(failure: Failure, looked: &[PathBuf]) -> Failure {
    if looked.is_empty() {
        return failure;
    }
    let looked: Vec<_> = looked.iter().map(|path| format!("  {}", path.display())).collect();
    failure.with_details(format!("Searched for the library here, in this order:\n{}", looked.join("\n")))
}

/// A remote's manifest, and the actual or expected path of its library.
#[derive(Clone, Debug)]
pub struct Located {
    /// The manifest, which planning reads.
    pub manifest: RemoteManifest,
    /// Path of the library.
    pub library: PathBuf,
    /// The source of the manifest.
    pub origin: Origin,
    /// Paths searched for the library; empty if its path was given.
    pub looked: Vec<PathBuf>,
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Finds the host's manifest of the installation or of the user.
///
/// The search ends at the home folder, and at a folder that other users can write to: no program is installed in
/// `/tmp`.
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

/// Returns the settings for sign-in: those of the manifest in use, else those of the user's own.
///
/// A secret is sent only for a manifest that the user has named, or for the user's own in the config folder.
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
            "no token is sent to {}, because its manifest was neither named with --config nor is it {}; name the \
             manifest, or move `auth` there: {}",
            http.base,
            own.display(),
            file.display()
        );
    }
    // Relative to the manifest.
    let folder = file.parent().unwrap_or(Path::new("."));
    http.token_file = http.token_file.take().map(|file| folder.join(file));
    Ok(auth)
}

/// Removes the tokens of repositories from a manifest that the user has neither named nor written.
fn withhold_tokens(host: &mut HostManifest, is_own: bool, file: &Path) {
    for (address, about) in host.repositories.iter_mut().filter(|_| !is_own) {
        if about.token_env.take().is_some() | about.token_file.take().is_some() {
            tracing::warn!(
                code = Code::AuthTokenWithheld.as_str(),
                "no token is sent to {address}, because its manifest was neither named with --config nor is it your \
                 own; name the manifest, or trust the repository with `pulse repo add`: {}",
                file.display()
            );
        }
    }
}

fn read_host(file: &Path) -> Result<Written<HostManifest>, ConfigError> {
    match trust::check(file) {
        // Reading reports a missing or unreadable file.
        Ok(()) | Err(trust::UnsafePath::Unreadable(..)) => {}
        Err(reason) => return Err(ConfigError::untrusted(&reason, file)),
    }
    let bytes = read_text(file).map_err(|error| match error {
        ManifestReadError::TooLarge(error) => ConfigError::Manifest(error, file.to_owned()),
        ManifestReadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            ConfigError::Missing(file.to_owned())
        }
        ManifestReadError::Io(error) => ConfigError::Unreadable(error, file.to_owned()),
    })?;
    let read = |text: &str| {
        Ok(Written { manifest: HostManifest::from_json(text)?, origin: Origin::new(file, text, false) })
    };
    utf8(&bytes).and_then(read).map_err(|e| ConfigError::Manifest(e, file.to_owned()))
}

#[cfg(test)]
mod tests;
