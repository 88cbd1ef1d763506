use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use semver::Version;
use tough::{
    FilesystemTransport, IntoVec, Repository, RepositoryLoader, TargetName, Transport, TransportError,
    TransportStream, async_trait,
};
use url::Url;

use super::*;
use crate::{
    keys::{KeyRing, KeySource},
    release::{CUSTOM, Description, Platform},
};

mod concurrent;
mod damaged;
pub(super) mod interrupted;
mod pending;
mod publisher_changes;
mod publishing;
mod rotation;

/// A repository, and a client that trusts its first root and remembers what it has seen.
struct Fixture {
    folder: tempfile::TempDir,
    site: RepoSite,
    client: TestClient,
}

impl Fixture {
    fn new() -> Self {
        Self::with(&[])
    }

    /// Makes a repository with publishers and their remotes, separated by commas.
    fn with(publishers: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("site");
        let publishers = publishers
            .iter()
            .map(|(name, remotes)| ((*name).to_owned(), remotes.split(',').map(str::to_owned).collect()))
            .collect();
        let options = InitOptions { threshold: 2, publishers, validity: Validity::default() };
        let made = RepoSite::init(&dir, &folder.path().join("keys"), &options).expect("a repository is made");
        let site = RepoSite::open(&dir).expect("the repository exists");
        let root = fs::read(dir.join("metadata/1.root.json")).expect("the root exists");
        assert_eq!(made.root, Digest::of_bytes(&root));
        let client = TestClient::new(&dir, root, folder.path().join("client"));
        Self { folder, site, client }
    }

    fn key(&self, file: &str) -> PathBuf {
        self.folder.path().join("keys").join(file)
    }

    /// Reads the keys with these names.
    fn ring(&self, names: &[&str]) -> KeyRing {
        let source = |name: &&str| KeySource::File(self.key(&format!("{name}.pem")));
        KeyRing::read(&names.iter().map(source).collect::<Vec<_>>()).expect("keys are read")
    }

    /// Returns a ring without keys.
    fn none() -> KeyRing {
        KeyRing::default()
    }

    /// Generates a key.
    fn new_key(&self, name: &str) -> KeyRing {
        keys::generate(&self.key(&format!("{name}.pem"))).expect("a key is made");
        self.ring(&[name])
    }

    fn artifact(&self, name: &str, version: &str) -> Artifact {
        artifact(self.folder.path(), name, version, "")
    }

    /// Publishes a library in `stable` with the publisher's and the online key.
    fn publish(&self, name: &str, version: &str) -> Published {
        let keys = self.ring(&["publisher", "online"]);
        let published = self.site.publish(&self.artifact(name, version), "stable", "", &keys);
        published.unwrap_or_else(|error| panic!("{error}: {}", error.advice))
    }

    /// Returns the releases that the client sees, as `NAME VERSION TRIPLE`.
    #[track_caller]
    fn seen(&self) -> Vec<String> {
        self.client.descriptions().values().map(line).collect()
    }

    /// Asserts that the client accepts the repository and that all of it is in order.
    #[track_caller]
    fn is_fine(&self) -> SiteReport {
        self.client.load().expect("the client accepts the repository");
        let report = self.site.check().expect("metadata verifies");
        assert_eq!(report.problems, []);
        report
    }
}

fn line(about: &Description) -> String {
    format!("{} {} {}", about.name, about.version, about.platform)
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

/// Makes a library of some content, with its manifest.
fn artifact(folder: &Path, name: &str, version: &str, variant: &str) -> Artifact {
    let library = folder.join(format!("{name}-{version}{variant}.so"));
    fs::write(&library, format!("library {name} {version} {variant} ").repeat(300)).expect("file is written");
    let manifest =
        serde_json::json!({ "manifestVersion": 1, "name": name, "version": version, "remoteEntry": "x" });
    let platform = Platform::try_from("x86_64-unknown-linux-gnu".to_owned()).expect("a platform");
    Artifact { manifest_text: manifest.to_string(), abi: 3, platform, library }
}

/// Asserts that a result is an error with this code, whose advice contains `advice`.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, DeliveryError>, code: ErrorCode, advice: &str) {
    let error = result.expect_err("it is refused");
    assert_eq!(error.code, code, "{error}");
    assert!(error.advice.contains(advice), "{error}: {}", error.advice);
}

/// A client after The Update Framework.
struct TestClient {
    site: PathBuf,
    root: Vec<u8>,
    store: PathBuf,
    runtime: RefCell<tokio::runtime::Runtime>,
}

impl TestClient {
    fn new(site: &Path, root: Vec<u8>, store: PathBuf) -> Self {
        fs::create_dir_all(&store).expect("a folder is made");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { site: site.to_owned(), root, store, runtime: RefCell::new(runtime) }
    }

    fn load(&self) -> tough::error::Result<Repository> {
        let url = |part: &str| Url::from_directory_path(self.site.join(part)).expect("an absolute path");
        let loader = RepositoryLoader::new(&self.root, url("metadata"), url("targets"));
        let loader = loader.transport(LastPart).datastore(&self.store);
        self.runtime.borrow_mut().block_on(loader.load())
    }

    #[track_caller]
    fn descriptions(&self) -> BTreeMap<String, Description> {
        let repository = self.load().expect("the client accepts the repository");
        let mut found = BTreeMap::new();
        for (path, target) in repository.all_targets() {
            if let Some(about) = target.custom.get(CUSTOM) {
                let about: Description = serde_json::from_value(about.clone()).expect("a description");
                assert_eq!(rules::path_of(&about), path.raw());
                found.insert(path.raw().to_owned(), about);
            }
        }
        found
    }

    /// Reads a target, verified.
    fn read(&self, path: &str) -> Vec<u8> {
        let repository = self.load().expect("the client accepts the repository");
        let name = TargetName::new(path).expect("a path");
        self.runtime.borrow_mut().block_on(async {
            let stream = repository.read_target(&name).await.expect("it is readable").expect("it is listed");
            stream.into_vec().await.expect("it is as signed")
        })
    }
}

/// Reads files whose digest is a prefix of the last part of the path, as TUF 1.0 states; the library puts it first.
#[derive(Clone, Debug)]
struct LastPart;

#[async_trait]
impl Transport for LastPart {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let path = url.path().to_owned();
        let mut moved = url.clone();
        if let Some((base, target)) = path.split_once("/targets/")
            && let Some((digest, rest)) = target.split_once('.')
            && let Some((folder, file)) = rest.rsplit_once('/')
        {
            moved.set_path(&format!("{base}/targets/{folder}/{digest}.{file}"));
        }
        FilesystemTransport.fetch(moved).await
    }
}

#[test]
fn new_repository_is_accepted_and_empty() {
    let fixture = Fixture::new();
    let report = fixture.is_fine();
    assert_eq!(fixture.seen(), [""; 0]);
    let roles: Vec<_> =
        report.roles.iter().map(|role| (&*role.name, role.keys.len(), role.threshold)).collect();
    let expected = [("root", 3, 2), ("targets", 1, 1), ("snapshot", 1, 1), ("timestamp", 1, 1), ("main", 1, 1)];
    assert_eq!(roles, expected);
    assert_eq!(report.roles[4].remotes, ["*"]);
}

#[test]
fn keys_are_private_and_metadata_is_readable() {
    let fixture = Fixture::new();
    fixture.publish("remoteA", "1.0.0");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        for entry in fs::read_dir(fixture.key("")).expect("a folder") {
            assert_eq!(mode(&entry.expect("an entry").path()), 0o600);
        }
        // What the user's mask leaves of a new file.
        let plain = fixture.folder.path().join("plain");
        fs::write(&plain, "").expect("file is written");
        assert_eq!(mode(&fixture.site.dir().join("metadata/timestamp.json")), mode(&plain));
    }
    let text = |path: &Path| fs::read_to_string(path).expect("a text");
    assert!(text(&fixture.key("root-3.pem")).starts_with("-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn init_refuses_occupied_and_public_folders() {
    let fixture = Fixture::new();
    let options = InitOptions { threshold: 1, publishers: Vec::new(), validity: Validity::default() };
    let path = |name: &str| fixture.folder.path().join(name);
    let init = |site: &str, keys: &str| RepoSite::init(&path(site), &path(keys), &options);
    refused(init("site", "keys-2"), ErrorCode::SiteOccupied, "empty folder");
    refused(init("site-2", "keys"), ErrorCode::SiteOccupied, "another place for keys");
    refused(init("site-5", "site-5/keys"), ErrorCode::KeyExposed, "public");
    assert!(!path("site-5").exists());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path("site-2"), path("link")).expect("a link is made");
        refused(init("site-2", "link/keys"), ErrorCode::KeyExposed, "public");
    }
    refused(init("site-3", "site-3"), ErrorCode::KeyExposed, "public");
    for (threshold, publishers) in [
        (0, vec![]),
        (17, vec![]),
        (1, vec![("root".to_owned(), vec![])]),
        (1, vec![("a/b".to_owned(), vec![])]),
        (1, vec![("a".to_owned(), vec!["x/y".to_owned()])]),
        (1, vec![("a".to_owned(), vec!["x".to_owned()]), ("b".to_owned(), vec!["X".to_owned()])]),
    ] {
        let options = InitOptions { threshold, publishers, validity: Validity::default() };
        let made = RepoSite::init(&path("site-4"), &path("keys-4"), &options);
        refused(made, ErrorCode::DeliverySettingInvalid, "");
        assert!(!path("site-4").exists() && !path("keys-4").exists());
    }
}

#[test]
fn folder_without_repository_is_missing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    refused(RepoSite::open(folder.path()), ErrorCode::SiteMissing, "pulse repo init");
    refused(RepoSite::open(&folder.path().join("none")), ErrorCode::SiteMissing, "pulse repo init");
}
