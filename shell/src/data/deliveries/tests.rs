use std::collections::BTreeSet;

use delivery::{
    listing::Signer,
    release::{Description, FileContent as Bytes},
};
use semver::Version;

use super::*;
use crate::{
    config::Options,
    data::archive::Archive,
    log::tests::{capture, count},
};

const ADDRESS: &str = "https://plugins.example.org";

/// A data folder, and a repository whose list a test writes.
struct Scene {
    folder: tempfile::TempDir,
    config: Config,
    deliveries: Deliveries,
    archive: Archive,
    releases: Vec<Release>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data_dir = Some(folder.path().join("data"));
        let config = Config::folders(&Options { data_dir, ..Options::default() }).expect("folders are known");
        let deliveries = Deliveries::new(&config.data_dir);
        let trusted =
            TrustedRepository { root: root(), added: 1, token_file: None, token_env: None, certificates: None };
        let trust = |decisions: &mut DeliveryDecisions| {
            decisions.repositories.insert(ADDRESS.to_owned(), trusted);
        };
        deliveries.change(trust).expect("file is written");
        deliveries.make_cache(ADDRESS).expect("folder is made");
        let archive = Archive::new(&config.data_dir);
        Self { folder, config, deliveries, archive, releases: Vec::new() }
    }

    /// Lists a release whose library has this content, and writes its manifest.
    fn list(&mut self, version: &str, content: &str) {
        let version: Version = version.parse().expect("a version");
        let text = manifest(&version);
        let bytes = |text: &str| Bytes { sha256: Digest::of_bytes(text), length: text.len() as u64 };
        let about = Description {
            name: "remoteClock".to_owned(),
            version,
            platform: Platform::current(),
            abi: 1,
            channels: BTreeSet::from([STABLE.to_owned()]),
            manifest: bytes(&text),
            library: bytes(content),
            notes: String::new(),
            published: 1,
            withdrawn: None,
        };
        let manifests = self.deliveries.cache_of(ADDRESS).join("manifests");
        fs::create_dir_all(&manifests).expect("folder is made");
        fs::write(manifests.join(format!("{}.json", about.manifest.sha256)), text).expect("file is written");
        let signer = Signer { role: "main".to_owned(), keys: vec!["ab".to_owned()] };
        self.releases.push(Release { about, download: bytes("compressed"), signer });
        self.write_list(root());
    }

    fn write_list(&self, root: Digest) {
        let listing = Listing {
            repository: ADDRESS.to_owned(),
            root,
            root_version: 1,
            checked: 1,
            expires: u64::MAX,
            releases: self.releases.clone(),
            problems: Vec::new(),
        };
        let text = serde_json::to_string(&listing).expect("a list is JSON");
        fs::write(self.deliveries.cache_of(ADDRESS).join("list.json"), text).expect("file is written");
    }

    fn repository(&self) -> Repository {
        let decisions = self.deliveries.read().expect("file is read");
        self.deliveries.repositories(&self.config, &decisions).remove(0)
    }

    fn supplied(&self) -> Supplied {
        let decisions = self.deliveries.read().expect("file is read");
        let listing = self.archive.listing().expect("file is read");
        self.deliveries.supplied(&self.config, &decisions, &listing, "remoteClock", ADDRESS)
    }

    /// Adopts the release of a version, as after its download.
    fn adopt(&self, version: &str, content: &str) -> Result<(), Failure> {
        let release = self.releases.iter().find(|release| release.about.version.to_string() == version);
        let release = release.expect("it is listed").clone();
        let cache = self.deliveries.cache_of(ADDRESS).join("libraries").join("a");
        fs::create_dir_all(&cache).expect("folder is made");
        let (library, manifest) = (cache.join("library"), cache.join("manifest.json"));
        fs::write(&library, content).expect("file is written");
        let fetched = Fetched {
            name: "remoteClock".to_owned(),
            version: release.about.version.clone(),
            library,
            sha256: release.about.library.sha256,
            manifest,
            release: None,
        };
        self.deliveries.adopt(&self.archive, &fetched, &self.repository(), Arc::new(release))
    }

    fn edit(&mut self, version: &str, edit: impl FnOnce(&mut Description)) {
        let release = self.releases.iter_mut().find(|release| release.about.version.to_string() == version);
        edit(&mut release.expect("it is listed").about);
        self.write_list(root());
    }
}

fn root() -> Digest {
    Digest::of_bytes("root")
}

fn manifest(version: &Version) -> String {
    format!(
        r#"{{ "manifestVersion": 1, "name": "remoteClock", "version": "{version}", "remoteEntry": "clock" }}"#
    )
}

fn next(supplied: &Supplied) -> Option<String> {
    supplied.next.as_ref().map(|next| next.release.about.version.to_string())
}

fn installed(supplied: &Supplied) -> Option<String> {
    supplied.installed.as_ref().map(|(installed, _)| installed.release.about.version.to_string())
}

#[test]
fn supplier_is_trusted_repository_or_this_machine() {
    let scene = Scene::new();
    let decisions = scene.deliveries.read().expect("file is read");
    let of = |location: &str| scene.deliveries.supplier(&scene.config, &decisions, location);
    for same in [ADDRESS, "https://plugins.example.org/", "HTTPS://PLUGINS.example.org"] {
        assert!(matches!(of(same), Ok(Supplier::Repository(_))), "{same}");
    }
    for local in ["http://localhost:3001/", "http://127.0.0.1:1", "http://[::1]:1", "https://LOCALHOST"] {
        assert!(matches!(of(local), Ok(Supplier::Development(..))), "{local}");
    }
    for other in [
        "https://example.org",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "file:///srv/site",
    ] {
        assert_eq!(of(other).expect_err("it is not trusted").code, Code::RepoUntrusted, "{other}");
    }
    for wrong in ["https://", "https://user:password@example.org", "https://example.org/?a"] {
        let failure = of(wrong).expect_err("it is no address");
        assert_eq!(failure.code, Code::DeliverySettingInvalid, "{wrong}");
        assert!(!failure.line().contains("password@"), "{}", failure.line());
    }
    for file in ["file:///srv/a.json", "file:///srv/liba.so", "a.json", "/srv/site"] {
        assert!(!is_address(file), "{file}");
    }
    assert!(is_address("file:///srv/site") && is_address("https://example.org/a.json"));
}

#[test]
fn first_release_is_newest_that_fits() {
    let mut scene = Scene::new();
    assert_eq!(scene.supplied().listed, None);
    for (version, content) in [("1.0.0", "a"), ("1.2.0", "b"), ("2.0.0", "c"), ("2.1.0-rc.1", "d")] {
        scene.list(version, content);
    }
    let range = |scene: &Scene, range: &str| {
        let range = Some(range.parse().expect("a range"));
        let change = |decisions: &mut DeliveryDecisions| {
            decisions.remotes.entry("remoteClock".to_owned()).or_default().range = range;
        };
        scene.deliveries.change(change).expect("file is written");
    };
    range(&scene, "^1.0");
    assert_eq!(next(&scene.supplied()).as_deref(), Some("1.2.0"));
    range(&scene, ">=1, <3");
    assert_eq!(next(&scene.supplied()).as_deref(), Some("2.0.0"));
    range(&scene, "^3");
    let supplied = scene.supplied();
    assert_eq!(next(&supplied), None);
    assert_eq!(supplied.unlisted.expect("a reason").code, Code::ReleaseUnknown);
    let next = {
        range(&scene, "^2");
        scene.supplied().next.expect("a release")
    };
    assert_eq!((next.library, next.manifest.is_some()), (None, true));
}

#[test]
fn only_higher_version_is_an_update() {
    let mut scene = Scene::new();
    scene.list("1.0.0", "a");
    scene.adopt("1.0.0", "a").expect("it is adopted");
    let supplied = scene.supplied();
    assert_eq!((installed(&supplied).as_deref(), next(&supplied)), (Some("1.0.0"), None));
    scene.list("0.9.0", "b");
    assert_eq!(next(&scene.supplied()), None);
    scene.list("1.1.0", "c");
    assert_eq!(next(&scene.supplied()).as_deref(), Some("1.1.0"));
    // A repository that lists nothing any more withdraws nothing.
    scene.releases.clear();
    scene.write_list(root());
    let supplied = scene.supplied();
    assert_eq!((installed(&supplied).as_deref(), next(&supplied)), (Some("1.0.0"), None));
}

#[test]
fn withdrawal_returns_to_the_version_it_names() {
    let mut scene = Scene::new();
    for (version, content) in [("1.0.0", "a"), ("1.1.0", "b"), ("1.2.0", "c")] {
        scene.list(version, content);
    }
    scene.adopt("1.2.0", "c").expect("it is adopted");
    let withdrawal = |to: Option<&str>| {
        let return_to = to.map(|to| to.parse().expect("a version"));
        Some(Withdrawal { note: "wrong totals".to_owned(), return_to, at: 1 })
    };
    scene.edit("1.2.0", |about| about.withdrawn = withdrawal(Some("1.0.0")));
    let supplied = scene.supplied();
    // 1.1.0 is the newest that is left, and higher than the version to return to.
    assert_eq!(next(&supplied).as_deref(), Some("1.0.0"));
    assert!(supplied.next.expect("a release").replaces_withdrawn);
    scene.edit("1.2.0", |about| about.withdrawn = withdrawal(None));
    let supplied = scene.supplied();
    assert_eq!((installed(&supplied).as_deref(), next(&supplied)), (Some("1.2.0"), None));
    assert_eq!(supplied.withdrawn.expect("it is withdrawn").note, "wrong totals");
    // A repaired release is newer than both, and used at once only if there is none to return to.
    scene.list("1.3.0", "d");
    assert_eq!(next(&scene.supplied()).as_deref(), Some("1.3.0"));
    scene.edit("1.2.0", |about| about.withdrawn = withdrawal(Some("1.0.0")));
    assert_eq!(next(&scene.supplied()).as_deref(), Some("1.0.0"));
    scene.adopt("1.0.0", "a").expect("it is adopted");
    let supplied = scene.supplied();
    assert_eq!((next(&supplied).as_deref(), supplied.withdrawn), (Some("1.3.0"), None));
}

#[test]
fn rejected_release_is_not_tried_again() {
    let mut scene = Scene::new();
    scene.list("1.0.0", "a");
    scene.list("1.1.0", "b");
    scene.adopt("1.0.0", "a").expect("it is adopted");
    // The first release has none to return to.
    scene.deliveries.reject("remoteClock", Digest::of_bytes("a")).expect("file is written");
    assert_eq!(installed(&scene.supplied()).as_deref(), Some("1.0.0"));
    scene.adopt("1.1.0", "b").expect("it is adopted");
    scene.deliveries.reject("remoteClock", Digest::of_bytes("other")).expect("file is written");
    assert_eq!(installed(&scene.supplied()).as_deref(), Some("1.1.0"));
    scene.deliveries.reject("remoteClock", Digest::of_bytes("b")).expect("file is written");
    let supplied = scene.supplied();
    assert_eq!(installed(&supplied).as_deref(), Some("1.0.0"));
    let next = supplied.next.expect("a release");
    assert!(next.rejected && next.library.is_some());
    scene.list("1.2.0", "c");
    assert!(!scene.supplied().next.expect("a release").rejected);
}

#[test]
fn list_of_another_root_is_ignored() {
    let mut scene = Scene::new();
    scene.list("1.0.0", "a");
    assert!(scene.supplied().listed.is_some());
    scene.write_list(Digest::of_bytes("other"));
    assert_eq!(scene.supplied().listed, None);
    for damage in ["", "{", "<html>", "[]"] {
        fs::write(scene.deliveries.cache_of(ADDRESS).join("list.json"), damage).expect("file is written");
        assert_eq!(scene.supplied().listed, None, "{damage}");
    }
}

#[test]
fn changed_manifest_or_library_is_not_used() {
    let mut scene = Scene::new();
    scene.list("1.0.0", "a");
    let failure = scene.adopt("1.0.0", "A").expect_err("it is another library");
    assert_eq!(failure.code, Code::DigestMismatch);
    assert_eq!(installed(&scene.supplied()), None);
    let manifest = scene.releases[0].about.manifest.sha256;
    let path = scene.deliveries.cache_of(ADDRESS).join("manifests").join(format!("{manifest}.json"));
    fs::write(&path, fs::read_to_string(&path).expect("file is read") + " ").expect("file is written");
    assert!(scene.supplied().next.expect("a release").manifest.is_none());
    scene.adopt("1.0.0", "a").expect_err("its manifest was changed");
    assert_eq!(installed(&scene.supplied()), None);
}

#[test]
fn missing_library_in_the_archive_is_fetched_again() {
    let mut scene = Scene::new();
    scene.list("1.0.0", "a");
    scene.adopt("1.0.0", "a").expect("it is adopted");
    fs::remove_file(scene.config.data_dir.join("generations/index.json")).expect("it is there");
    let _ = fs::remove_file(scene.config.data_dir.join("generations/index.json.bak"));
    let supplied = scene.supplied();
    assert_eq!((installed(&supplied), next(&supplied).as_deref()), (None, Some("1.0.0")));
}

#[test]
fn host_manifest_decides_root_and_versions() {
    let mut scene = Scene::new();
    let other = Digest::of_bytes("other");
    let text = format!(
        r#"{{ "manifestVersion": 1, "name": "pulse", "repositories": {{ "{ADDRESS}/": {{ "root": "sha256:{other}" }} }},
            "updates": {{ "policy": "auto", "remotes": {{ "remoteClock": {{ "version": "~1.0", "preload": true }} }} }} }}"#
    );
    scene.config.host = negotiation::manifest::HostManifest::from_json(&text).expect("a manifest");
    assert_eq!(scene.repository().trusted.root, other);
    scene.list("1.0.5", "a");
    scene.list("1.1.0", "b");
    scene.write_list(other);
    let supplied = scene.supplied();
    assert_eq!((next(&supplied).as_deref(), supplied.policy), (Some("1.0.5"), UpdatePolicy::Auto));
    assert!(supplied.preload);
    // The user's policy counts over the host's.
    let pin = |decisions: &mut DeliveryDecisions| {
        decisions.remotes.entry("remoteClock".to_owned()).or_default().policy = Some(UpdatePolicy::Pin);
    };
    scene.deliveries.change(pin).expect("file is written");
    assert_eq!(scene.supplied().policy, UpdatePolicy::Pin);
}

#[test]
fn token_and_certificates_are_read_each_time() {
    let scene = Scene::new();
    let mut repository = scene.repository();
    let file = scene.folder.path().join("token");
    repository.trusted.token_file = Some(file.clone());
    let failure = repository.network(&scene.config).expect_err("there is no token");
    assert_eq!(failure.code, Code::DeliverySettingInvalid);
    fs::write(&file, "secret\n").expect("file is written");
    let network = repository.network(&scene.config).expect("there is a token");
    assert_eq!(network.token.as_ref().map(Secret::expose), Some("secret"));
    assert!(!format!("{network:?}").contains("secret"));
}

#[test]
fn damaged_list_of_decisions_is_set_aside() {
    let scene = Scene::new();
    let file = scene.deliveries.file();
    let decisions = scene.deliveries.read().expect("file is read");
    fs::write(file, "{").expect("file is written");
    let log = capture(|| assert_eq!(scene.deliveries.read(), Ok(decisions.clone())));
    assert_eq!(count(&log, Code::DeliveryListDamaged), 1, "{log}");
    fs::write(file, r#"{ "format": 99 }"#).expect("file is written");
    let failure = scene.deliveries.read().expect_err("a later version has written it");
    assert_eq!(failure.code, Code::DeliveryListUnreadable);
    let failure = scene.deliveries.change(|_| ()).expect_err("a later version has written it");
    assert_eq!(failure.code, Code::DeliveryListUnreadable);
}
