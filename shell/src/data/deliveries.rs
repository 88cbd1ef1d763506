//! Remotes that come over the network: trusted repositories, remotes that the user added, releases in use, and what
//! was fetched.
//!
//! ```text
//! DATA/delivery.json            decisions, which commands and shells share
//! DATA/delivery/ID/             cache of a repository or development server, which its fetching process writes
//! ```
//! A fetched library enters the [`archive`] before it is used.
//! All functions read files: `[any thread but the window's]`, apart from the plain values.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use delivery::{
    Address, Digest, Secret,
    fetch::{Fetched, Network},
    listing::{Listing, MAX_LISTING, Release},
    release::{Platform, STABLE, Wanted, Withdrawal},
};
use negotiation::manifest::{MAX_MANIFEST_BYTES, Origin, RemoteManifest, UpdatePolicy, Written, utf8};
use semver::VersionReq;
use serde::{Deserialize, Serialize};

use super::{
    archive,
    shared_file::{Content, SharedFile, remedy},
};
use crate::{
    catalogue::Code,
    config::Config,
    failure::{Failure, Stage},
    file,
    library::read_manifest,
};

/// Maximum size of a file of certificates or with a token, in bytes.
const MAX_SETTING: u64 = 1 << 20;

/// The decisions about repositories and remotes, in `DATA/delivery.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeliveryDecisions {
    /// Repositories that the user trusts, by address.
    pub repositories: BTreeMap<String, TrustedRepository>,
    /// Decisions about remotes, by name.
    pub remotes: BTreeMap<String, Subscription>,
}

impl Content for DeliveryDecisions {}

/// A repository that the user trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedRepository {
    /// Fingerprint of its root.
    pub root: Digest,
    /// Time of the decision, in seconds since 1970.
    pub added: u64,
    /// File with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Environment variable with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// File with additional root certificates, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<PathBuf>,
}

/// The user's decisions about a remote, and its release in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subscription {
    /// Location of a remote that the host's manifest does not list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Versions that are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<VersionReq>,
    /// Channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Policy for updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<UpdatePolicy>,
    /// The library is fetched when the shell starts, not when the remote is first shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub preload: bool,
    /// Local library or manifest that is used in place of any other.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    pub local: Option<PathBuf>,
    /// The release in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<InstalledRelease>,
    /// The release that was in use before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<InstalledRelease>,
    /// Digest of a library that could not replace the one in use, and is not tried again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Digest>,
}

/// The release of a repository that a remote uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledRelease {
    /// The release as it was signed.
    pub release: Arc<Release>,
    /// Address of its repository.
    pub repository: String,
    /// Fingerprint of the root that the user trusted.
    pub root: Digest,
    /// Time of the decision, in seconds since 1970.
    pub at: u64,
}

/// A repository with the settings to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its address, without a final slash.
    pub address: String,
    /// The decision to trust it.
    pub trusted: TrustedRepository,
    /// Its folder in the cache.
    pub cache: PathBuf,
}

/// The place that a remote's releases come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supplier {
    /// A signed repository.
    Repository(Repository),
    /// A development server on this machine, by address, and its folder in the cache.
    Development(String, PathBuf),
}

impl Supplier {
    /// Returns its address.
    pub fn address(&self) -> &str {
        match self {
            Self::Repository(Repository { address, .. }) | Self::Development(address, _) => address,
        }
    }
}

/// A remote whose location is an address, with the files that are known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Supplied {
    /// The place that it comes from.
    pub supplier: Result<Supplier, Arc<Failure>>,
    /// The release in use, and its library in the archive.
    pub installed: Option<(InstalledRelease, PathBuf)>,
    /// The release to use in place of it, or as the first.
    pub next: Option<NextRelease>,
    /// The withdrawal of the release in use.
    pub withdrawn: Option<Withdrawal>,
    /// Policy for updates.
    pub policy: UpdatePolicy,
    /// The library is fetched when the shell starts.
    pub preload: bool,
    /// Requested versions, channel and platform.
    pub wanted: Wanted,
    /// The reason why the list has no release for it.
    pub unlisted: Option<Arc<Failure>>,
    /// The state of the list.
    pub listed: Option<Listed>,
}

/// The state of a repository's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Time of the last check, in seconds since 1970.
    pub checked: u64,
    /// Time at which it expires, in seconds since 1970.
    pub expires: u64,
}

/// A release that a remote could use.
#[derive(Clone, Debug)]
pub struct NextRelease {
    /// The release.
    pub release: Arc<Release>,
    /// Its manifest; `None` if it must be fetched.
    pub manifest: Option<Arc<Written<RemoteManifest>>>,
    /// Its library in the archive; `None` if it must be fetched.
    pub library: Option<PathBuf>,
    /// The release in use was withdrawn in its favour.
    pub replaces_withdrawn: bool,
    /// It could not replace the release in use before.
    pub rejected: bool,
}

impl PartialEq for NextRelease {
    fn eq(&self, other: &Self) -> bool {
        // The release states the manifest's digest.
        let key = |next: &Self| {
            (next.manifest.is_some(), next.library.clone(), next.replaces_withdrawn, next.rejected)
        };
        self.release == other.release && key(self) == key(other)
    }
}

/// The files of one data folder. Cheap to make; files are read on demand.
#[derive(Clone, Debug)]
pub struct Deliveries {
    folder: PathBuf,
    file: SharedFile,
}

impl Deliveries {
    /// Returns the deliveries of this data folder.
    pub fn new(data_dir: &Path) -> Self {
        let path = data_dir.join("delivery.json");
        let what = "the list of trusted repositories and their remotes";
        Self { file: SharedFile::new(path, what, Code::DeliveryListDamaged), folder: data_dir.join("delivery") }
    }

    /// Returns the file that every change of the decisions writes, by any process.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// Reads the decisions.
    ///
    /// # Errors
    /// Fails with `delivery-list-unreadable`.
    pub fn read(&self) -> Result<DeliveryDecisions, Failure> {
        self.file.read().map_err(|error| self.failure(&error))
    }

    /// Changes the decisions.
    ///
    /// # Errors
    /// Fails with `delivery-list-unreadable` if the file cannot be read or written; nothing changes then.
    pub fn change<R>(&self, change: impl FnOnce(&mut DeliveryDecisions) -> R) -> Result<R, Failure> {
        let changed = self.file.change(|decisions| Ok::<_, io::Error>(change(decisions)));
        changed.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let text = format!(
            "the list of trusted repositories and their remotes cannot be used ({error}): {}",
            self.file.path().display()
        );
        Failure::new(Stage::Discover, Code::DeliveryListUnreadable, text, remedy(error))
    }

    /// Returns the folder in the cache of the repository or server at `address`, and creates it.
    ///
    /// # Errors
    /// Fails with `delivery-cache-failed`.
    pub fn make_cache(&self, address: &str) -> Result<PathBuf, Failure> {
        let folder = self.cache_of(address);
        let made = file::create_private(&self.folder).and_then(|()| file::create_private(&folder));
        made.map_err(|error| {
            let text = format!("the folder for downloads cannot be created ({error}): {}", folder.display());
            Failure::new(Stage::Discover, Code::DeliveryCacheFailed, text, remedy(&error))
        })?;
        Ok(folder)
    }

    /// Returns the folder in the cache of the repository or server at `address`, which may not exist.
    pub fn cache_of(&self, address: &str) -> PathBuf {
        self.folder.join(Digest::of_bytes(address).short())
    }

    /// Adds a remote that the host's manifest does not list.
    ///
    /// # Errors
    /// Fails if the manifest lists it, its repository is not trusted, or the decisions cannot be written.
    pub(crate) fn add(
        &self,
        config: &Config,
        name: &str,
        location: String,
        channel: Option<String>,
    ) -> Result<(), Failure> {
        if config.host.remotes.values().any(|listed| listed.name == name) {
            let text = format!("the host's manifest lists `{name}` already: {}", config.origin.name());
            let advice = "change it there, or override it";
            return Err(Failure::new(Stage::Discover, Code::DuplicateName, text, advice));
        }
        self.supplier(config, &self.read()?, &location)?;
        self.change(|decisions| {
            let own = decisions.remotes.entry(name.to_owned()).or_default();
            own.location = Some(location);
            own.channel = channel.filter(|channel| channel != STABLE);
        })
    }

    /// Uses a local library or manifest in place of the remote called `name`; `None` ends that.
    ///
    /// # Errors
    /// Fails if the file is not a build of this remote, or the decisions cannot be written.
    pub(crate) fn override_with(&self, name: &str, file: Option<PathBuf>) -> Result<(), Failure> {
        if let Some(file) = &file {
            let manifest = read_manifest(file)?.manifest;
            if manifest.name != name {
                let text = format!("this is `{}`, not `{name}`: {}", manifest.name, file.display());
                let advice = "name a build of the same remote";
                return Err(Failure::new(Stage::Discover, Code::ManifestName, text, advice));
            }
        }
        self.change(|decisions| decisions.remotes.entry(name.to_owned()).or_default().local = file)
    }

    /// Puts a fetched library into the archive, which verifies it again, and uses its release.
    ///
    /// # Errors
    /// Fails if the archive or the decisions cannot be written, or the library was changed.
    pub(crate) fn adopt(
        &self,
        archive: &archive::Archive,
        fetched: &Fetched,
        repository: &Repository,
        release: Arc<Release>,
    ) -> Result<(), Failure> {
        let text = repository.manifest(&release).map(|written| written.origin.text().to_owned());
        let text = text.unwrap_or_else(|| fs::read_to_string(&fetched.manifest).unwrap_or_default());
        let digest = release.about.library.sha256;
        let admitted = archive.admit(&fetched.name, &fetched.library, &digest, &text);
        admitted.map_err(|error| Failure::from_error(Stage::Discover, &error))?;
        self.install(&fetched.name, repository, release)?;
        // The archive has a copy.
        if let Some(folder) = fetched.library.parent().filter(|folder| folder.starts_with(&repository.cache)) {
            let _ = fs::remove_dir_all(folder);
        }
        Ok(())
    }

    /// Uses a release whose library is in the archive.
    ///
    /// # Errors
    /// Fails if the decisions cannot be written.
    pub(crate) fn install(
        &self,
        name: &str,
        repository: &Repository,
        release: Arc<Release>,
    ) -> Result<(), Failure> {
        self.change(|decisions| {
            let own = decisions.remotes.entry(name.to_owned()).or_default();
            let root = repository.trusted.root;
            let installed =
                InstalledRelease { release, repository: repository.address.clone(), root, at: now() };
            let before = own.installed.replace(installed);
            own.previous = before.or(own.previous.take());
            own.rejected = None;
        })
    }

    /// Returns to the release before, if the one with this digest is in use, and does not offer that one again.
    ///
    /// # Errors
    /// Fails if the decisions cannot be written.
    pub(crate) fn reject(&self, name: &str, digest: Digest) -> Result<(), Failure> {
        self.change(|decisions| {
            let Some(own) = decisions.remotes.get_mut(name) else { return };
            let is_used = |installed: &InstalledRelease| installed.release.about.library.sha256 == digest;
            if own.previous.is_some() && own.installed.as_ref().is_some_and(is_used) {
                own.installed = own.previous.take();
                own.rejected = Some(digest);
            }
        })
    }

    /// Removes what was fetched from `address`. A failure is ignored, because a leftover does no harm.
    pub fn forget(&self, address: &str) {
        let _ = fs::remove_dir_all(self.cache_of(address));
    }

    /// Returns the repositories that the host's manifest and the user trust; the host's decision counts.
    pub fn repositories(&self, config: &Config, decisions: &DeliveryDecisions) -> Vec<Repository> {
        let mut trusted: BTreeMap<String, TrustedRepository> = decisions.repositories.clone();
        let folder = config.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        for (address, about) in &config.host.repositories {
            let digits = about.root.strip_prefix("sha256:").unwrap_or_default();
            // The manifest's reader has checked it.
            let Ok(root) = digits.parse() else { continue };
            let in_folder = |path: &PathBuf| folder.join(path);
            let about = TrustedRepository {
                root,
                added: 0,
                token_file: about.token_file.as_ref().map(in_folder),
                token_env: about.token_env.clone(),
                certificates: about.certificates.as_ref().map(in_folder),
            };
            trusted.insert(normal(address), about);
        }
        let repositories = trusted.into_iter();
        repositories
            .map(|(address, trusted)| Repository { cache: self.cache_of(&address), address, trusted })
            .collect()
    }

    /// Returns the place that a remote at this address comes from.
    ///
    /// # Errors
    /// Fails with `repo-untrusted` for an address on another machine that is not trusted.
    pub fn supplier(
        &self,
        config: &Config,
        decisions: &DeliveryDecisions,
        location: &str,
    ) -> Result<Supplier, Failure> {
        let address = normal(location);
        let known = self.repositories(config, decisions).into_iter().find(|known| known.address == address);
        if let Some(repository) = known {
            return Ok(Supplier::Repository(repository));
        }
        let parsed = Address::parse(&address);
        if parsed.as_ref().is_ok_and(Address::is_loopback) {
            let cache = self.cache_of(&address);
            return Ok(Supplier::Development(address, cache));
        }
        let text = format!("the repository is not trusted yet: {}", negotiation::text::line(&address, 300));
        parsed?;
        let advice = "run `pulse repo add` with its address and the fingerprint that its owner publishes";
        Err(Failure::new(Stage::Discover, Code::RepoUntrusted, text, advice))
    }

    /// Returns everything that is known about the remote called `name` at `location`.
    pub(crate) fn supplied(
        &self,
        config: &Config,
        decisions: &DeliveryDecisions,
        generations: &archive::ArchiveListing,
        name: &str,
        location: &str,
    ) -> Supplied {
        let own = decisions.remotes.get(name);
        let host = config.host.updates.remotes.get(name);
        let range =
            host.and_then(|host| host.version.as_ref()).and_then(|version| version.to_string().parse().ok());
        let range = range.or_else(|| own.and_then(|own| own.range.clone())).unwrap_or(VersionReq::STAR);
        let channel =
            host.and_then(|host| host.channel.clone()).or_else(|| own.and_then(|own| own.channel.clone()));
        let wanted = Wanted {
            name: name.to_owned(),
            range,
            channel: channel.unwrap_or_else(|| STABLE.to_owned()),
            platform: Platform::current(),
        };
        let policy = own.and_then(|own| own.policy).or_else(|| host.and_then(|host| host.policy));
        let supplier = self.supplier(config, decisions, location).map_err(Arc::new);
        let mut known = Supplied {
            installed: None,
            next: None,
            withdrawn: None,
            policy: policy.unwrap_or(config.host.updates.policy),
            preload: host.is_some_and(|host| host.preload) || own.is_some_and(|own| own.preload),
            wanted,
            unlisted: None,
            listed: None,
            supplier,
        };
        let library = |digest: &Digest| generations.object(name, digest).map(|object| object.library);
        // Without trust there are no updates, and what is installed runs.
        let installed = own.and_then(|own| own.installed.clone());
        let installed = installed.filter(|installed| installed.repository == normal(location));
        known.installed = installed.and_then(|installed| {
            let library = library(&installed.release.about.library.sha256)?;
            Some((installed, library))
        });
        let Ok(Supplier::Repository(repository)) = &known.supplier else { return known };
        let Some(listing) = repository.listing() else { return known };
        known.listed = Some(Listed { checked: listing.checked, expires: listing.expires });
        let current = known.installed.as_ref().map(|(installed, _)| &installed.release.about);
        let listed = current.and_then(|current| listing.find(&known.wanted, &current.version));
        known.withdrawn = listed.and_then(|listed| listed.about.withdrawn.clone());
        let back = known.withdrawn.as_ref().and_then(|withdrawn| withdrawn.return_to.as_ref());
        let back = back.and_then(|version| listing.find(&known.wanted, version));
        let back = back.filter(|release| release.about.withdrawn.is_none());
        let newest = listing.choose(&known.wanted).map_err(|error| {
            known.unlisted = Some(Arc::new(error.into()));
        });
        // A lower version is used only in place of a withdrawn one.
        let newest =
            newest.ok().filter(|newest| current.is_none_or(|current| newest.about.version > current.version));
        let replaces_withdrawn = known.withdrawn.is_some();
        // The version to return to comes before a newer one, because a withdrawal acts without the user's consent and
        // an update does not; the newer one is offered from there.
        known.next = back.or(newest).map(|release| NextRelease {
            manifest: repository.manifest(release).map(Arc::new),
            library: library(&release.about.library.sha256),
            rejected: own.is_some_and(|own| own.rejected == Some(release.about.library.sha256)),
            release: Arc::new(release.clone()),
            replaces_withdrawn,
        });
        known
    }
}

impl Repository {
    /// Reads the verified list; `None` before the first check, or if it cannot be read.
    pub fn listing(&self) -> Option<Listing> {
        let bytes = file::read(&self.cache.join("list.json"), MAX_LISTING).ok()?;
        let listing: Listing = serde_json::from_slice(&bytes).ok()?;
        (listing.root == self.trusted.root).then_some(listing)
    }

    /// Reads the manifest of a release; `None` if it was not fetched yet.
    pub fn manifest(&self, release: &Release) -> Option<Written<RemoteManifest>> {
        let digest = release.about.manifest.sha256;
        let path = self.cache.join("manifests").join(format!("{digest}.json"));
        let bytes = file::read(&path, MAX_MANIFEST_BYTES as u64).ok()?;
        let text = utf8(&bytes).ok().filter(|_| Digest::of_bytes(&bytes) == digest)?;
        let manifest = RemoteManifest::from_json(text).ok()?;
        Some(Written { manifest, origin: Origin::new(path, text, true) })
    }

    /// Returns the settings to reach it.
    ///
    /// # Errors
    /// Fails with `delivery-setting-invalid` if the token or the certificates cannot be read.
    pub fn network(&self, config: &Config) -> Result<Network, Failure> {
        let unusable = |what: &str, problem: String| {
            let text = format!("{what} for {} cannot be used: {problem}", self.address);
            Failure::new(Stage::Discover, Code::DeliverySettingInvalid, text, "correct the setting")
        };
        let read = |what: &str, path: &Path| {
            let bytes = file::read(path, MAX_SETTING).map_err(|error| error.to_string());
            let text =
                bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not text".to_owned()));
            text.map_err(|problem| unusable(what, format!("{problem}: {}", path.display())))
        };
        let token = match (&self.trusted.token_env, &self.trusted.token_file) {
            (Some(name), _) => {
                let value =
                    env::var(name).map_err(|error| unusable("the token", format!("{error}: {name}")))?;
                Some(value)
            }
            (None, Some(path)) => Some(read("the token", path)?),
            (None, None) => None,
        };
        let certificates = self.trusted.certificates.as_deref();
        let certificates = certificates.map(|path| read("the certificates", path)).transpose()?;
        Ok(Network {
            token: token.map(|token| Secret::new(token.trim().to_owned())),
            certificates: certificates.into_iter().collect(),
            ..network(config)
        })
    }
}

/// Returns the settings to reach any address.
pub fn network(config: &Config) -> Network {
    let updates = &config.host.updates;
    Network {
        timeout: updates.timeout_seconds.map(|seconds| u64::from(seconds) * 1_000),
        attempts: updates.attempts,
        ..Network::default()
    }
}

/// Returns `true` for a location that is the address of a repository or server, not a manifest or library.
pub fn is_address(location: &str) -> bool {
    let is_web = ["http://", "https://"].iter().any(|scheme| location.starts_with(scheme));
    // A repository on a disk is a folder.
    let is_file = ["json", "so", "dylib", "dll"].iter().any(|end| location.ends_with(&format!(".{end}")));
    is_web || location.starts_with("file:///") && !is_file
}

/// Returns an address in the one form by which it is known.
pub fn normal(address: &str) -> String {
    Address::parse(address).map_or_else(|_| address.to_owned(), |address| address.to_string())
}

/// Returns the present time in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
