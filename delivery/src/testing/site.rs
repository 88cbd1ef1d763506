//! A repository in memory, signed with fresh keys; tests tamper with its parts.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    num::NonZeroU64,
    path::Path,
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jiff::{SignedDuration, Timestamp as Time};
use tough::{
    TargetName,
    schema::{
        DelegatedRole, Delegations, Hashes, Metafile, PathPattern, PathSet, Role, RoleKeys, RoleType, Root,
        Signature, Signed, Snapshot, Target, Targets, Timestamp,
        decoded::{Decoded, Hex},
        key::{Ed25519Key, Ed25519Scheme, Key as PublicKey},
    },
};

use super::platform;
use crate::{
    Digest,
    release::{CUSTOM, Description, FileContent, library_path, manifest_path, path_pattern},
};

/// Files by their path below the address.
pub(crate) type SiteFiles = BTreeMap<String, Vec<u8>>;

/// A key pair.
pub(crate) struct TestKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
    id: Decoded<Hex>,
}

impl TestKey {
    pub(crate) fn new() -> Self {
        let pair = Ed25519KeyPair::generate().expect("key is generated");
        let public = PublicKey::Ed25519 {
            keyval: Ed25519Key { public: pair.public_key().as_ref().to_vec().into(), _extra: HashMap::new() },
            scheme: Ed25519Scheme::Ed25519,
            _extra: HashMap::new(),
        };
        let id = public.key_id().expect("key has an identifier");
        Self { pair, public, id }
    }

    pub(crate) fn id(&self) -> String {
        serde_json::to_value(&self.id).expect("JSON").as_str().expect("digits").to_owned()
    }
}

/// A publisher with its remotes.
pub(crate) struct Team {
    pub(crate) name: String,
    pub(crate) key: TestKey,
    pub(crate) patterns: Vec<String>,
    pub(crate) targets: Targets,
}

/// A repository.
pub(crate) struct TestSite {
    pub(crate) files: SiteFiles,
    pub(crate) root_keys: Vec<TestKey>,
    pub(crate) online: TestKey,
    pub(crate) targets_key: TestKey,
    pub(crate) teams: Vec<Team>,
    pub(crate) root: Root,
    pub(crate) targets: Targets,
    pub(crate) snapshot: Snapshot,
    pub(crate) timestamp: Timestamp,
}

impl TestSite {
    /// Makes a repository with two root keys, a threshold of two, and a publisher of `remoteHello` 1.0.0.
    pub(crate) fn new() -> Self {
        let expires = Time::now() + SignedDuration::from_hours(24);
        let spec = || "1.0.0".to_owned();
        let root_keys = vec![TestKey::new(), TestKey::new()];
        let (online, targets_key) = (TestKey::new(), TestKey::new());
        let mut site = Self {
            files: SiteFiles::new(),
            root: Root {
                spec_version: spec(),
                consistent_snapshot: true,
                version: NonZeroU64::MIN,
                expires,
                keys: HashMap::new(),
                roles: HashMap::new(),
                _extra: HashMap::new(),
            },
            targets: Targets::new(spec(), NonZeroU64::MIN, expires),
            snapshot: Snapshot::new(spec(), NonZeroU64::MIN, expires),
            timestamp: Timestamp::new(spec(), NonZeroU64::MIN, expires),
            root_keys,
            online,
            targets_key,
            teams: Vec::new(),
        };
        site.assign_keys();
        site.write_root();
        site.add_team("team", &["remoteHello"]);
        site.add("remoteHello", "1.0.0");
        site.write();
        site
    }

    /// Names the keys in the root.
    pub(crate) fn assign_keys(&mut self) {
        self.root.keys.clear();
        let roles = [
            (RoleType::Root, self.root_keys.iter().collect(), 2),
            (RoleType::Timestamp, vec![&self.online], 1),
            (RoleType::Snapshot, vec![&self.online], 1),
            (RoleType::Targets, vec![&self.targets_key], 1),
        ];
        for (role, keys, threshold) in roles {
            let keyids = keys.iter().map(|key| key.id.clone()).collect();
            self.root.keys.extend(keys.iter().map(|key| (key.id.clone(), key.public.clone())));
            let threshold = NonZeroU64::new(threshold).expect("not zero");
            self.root.roles.insert(role, RoleKeys { keyids, threshold, _extra: HashMap::new() });
        }
    }

    /// Writes the root as it is, signed by all root keys.
    pub(crate) fn write_root(&mut self) {
        let bytes = signed(&self.root, &self.root_keys.iter().collect::<Vec<_>>());
        self.put_root(bytes);
    }

    /// Writes the bytes of the present version of the root.
    pub(crate) fn put_root(&mut self, bytes: Vec<u8>) {
        self.files.insert(format!("metadata/{}.root.json", self.root.version), bytes);
    }

    /// Begins the next version of the root, with the present keys.
    pub(crate) fn next_root(&mut self) {
        self.root.version = next(self.root.version);
        self.assign_keys();
    }

    /// Returns the fingerprint of a version of the root.
    pub(crate) fn fingerprint(&self, version: u64) -> Digest {
        Digest::of_bytes(&self.files[&format!("metadata/{version}.root.json")])
    }

    pub(crate) fn add_team(&mut self, name: &str, remotes: &[&str]) {
        let targets = Targets { version: NonZeroU64::MIN, delegations: None, ..self.targets.clone() };
        self.teams.push(Team {
            name: name.to_owned(),
            key: TestKey::new(),
            patterns: remotes.iter().map(|remote| path_pattern(remote)).collect(),
            targets,
        });
    }

    /// Adds a release to the first publisher whose name or pattern fits.
    pub(crate) fn add(&mut self, name: &str, version: &str) {
        self.add_library(name, version, &library(name, version));
    }

    pub(crate) fn add_library(&mut self, name: &str, version: &str, library: &[u8]) {
        let packed = packed(library);
        self.add_packed(name, version, library, &packed, |_| ());
    }

    /// Adds a release whose description a test changes.
    pub(crate) fn add_packed(
        &mut self,
        name: &str,
        version: &str,
        library: &[u8],
        packed: &[u8],
        change: impl FnOnce(&mut Description),
    ) {
        let manifest = serde_json::json!({
            "manifestVersion": 1, "name": name, "version": version, "remoteEntry": "hello",
        });
        let manifest = manifest.to_string().into_bytes();
        let parsed: semver::Version = version.parse().expect("version is valid");
        let mut about = Description {
            name: name.to_owned(),
            version: parsed.clone(),
            platform: platform(),
            abi: 1,
            channels: ["stable".to_owned()].into(),
            manifest: content(&manifest),
            library: content(library),
            notes: format!("Version {version}"),
            published: 1,
            withdrawn: None,
        };
        change(&mut about);
        let (library, manifest_path) = (library_path(name, &parsed, &platform()), manifest_path(name, &parsed));
        self.list(name, &library, packed, Some(&about));
        self.list(name, &manifest_path, &manifest, None);
        self.put_target(&library, packed);
        self.put_target(&manifest_path, &manifest);
    }

    /// Lists a target with a description.
    pub(crate) fn list(&mut self, remote: &str, path: &str, bytes: &[u8], about: Option<&Description>) {
        let custom = about.map(|about| (CUSTOM.to_owned(), serde_json::to_value(about).expect("JSON")));
        let target = Target { custom: custom.into_iter().collect(), ..target(bytes) };
        let pattern = path_pattern(remote);
        let team = self.teams.iter_mut().find(|team| team.patterns.contains(&pattern));
        let targets = &mut team.expect("a team publishes this remote").targets;
        targets.add_target(TargetName::new(path).expect("a name"), target);
    }

    fn put_target(&mut self, path: &str, bytes: &[u8]) {
        let (folder, file) = path.rsplit_once('/').expect("a path has folders");
        let digest = Digest::of_bytes(bytes);
        self.files.insert(format!("targets/{folder}/{digest}.{file}"), bytes.to_vec());
    }

    /// Returns the place of a release's library among the files.
    pub(crate) fn library_file(&self, name: &str, version: &str) -> String {
        self.target_file(name, version, &format!(".{}.zst", platform()))
    }

    /// Returns the place of a release's manifest among the files.
    pub(crate) fn manifest_file(&self, name: &str, version: &str) -> String {
        self.target_file(name, version, ".manifest.json")
    }

    fn target_file(&self, name: &str, version: &str, end: &str) -> String {
        let start = format!("targets/{name}/{version}/");
        let file = self.files.keys().find(|file| file.starts_with(&start) && file.ends_with(end));
        file.expect("file exists").clone()
    }

    /// Publishes the state: new versions of the publishers' roles, targets, snapshot and timestamp.
    pub(crate) fn write(&mut self) {
        for at in 0..self.teams.len() {
            let bytes = signed(&self.teams[at].targets, &[&self.teams[at].key]);
            self.put_role(at, &bytes);
        }
        self.write_top();
    }

    /// Publishes the bytes of a publisher's role.
    pub(crate) fn put_role(&mut self, at: usize, bytes: &[u8]) {
        let team = &mut self.teams[at];
        self.files.insert(format!("metadata/{}.{}.json", team.targets.version, team.name), bytes.to_vec());
        let meta = metafile(bytes, team.targets.version);
        self.snapshot.meta.insert(format!("{}.json", team.name), meta);
        team.targets.version = next(team.targets.version);
    }

    /// Publishes new versions of targets, snapshot and timestamp.
    pub(crate) fn write_top(&mut self) {
        let roles = self.teams.iter().map(|team| DelegatedRole {
            name: team.name.clone(),
            keyids: vec![team.key.id.clone()],
            threshold: NonZeroU64::MIN,
            paths: PathSet::Paths(
                team.patterns.iter().map(|pattern| PathPattern::new(pattern).expect("a pattern")).collect(),
            ),
            terminating: false,
            targets: None,
        });
        let keys = self.teams.iter().map(|team| (team.key.id.clone(), team.key.public.clone()));
        self.targets.delegations = Some(Delegations { keys: keys.collect(), roles: roles.collect() });
        let bytes = signed(&self.targets, &[&self.targets_key]);
        self.files.insert(format!("metadata/{}.targets.json", self.targets.version), bytes.clone());
        self.snapshot.meta.insert("targets.json".to_owned(), metafile(&bytes, self.targets.version));
        self.targets.version = next(self.targets.version);
        self.write_snapshot();
    }

    pub(crate) fn write_snapshot(&mut self) {
        let bytes = signed(&self.snapshot, &[&self.online]);
        self.files.insert(format!("metadata/{}.snapshot.json", self.snapshot.version), bytes.clone());
        self.timestamp.meta =
            HashMap::from([("snapshot.json".to_owned(), metafile(&bytes, self.snapshot.version))]);
        self.snapshot.version = next(self.snapshot.version);
        self.write_timestamp();
    }

    pub(crate) fn write_timestamp(&mut self) {
        let bytes = signed(&self.timestamp, &[&self.online]);
        self.files.insert("metadata/timestamp.json".to_owned(), bytes);
        self.timestamp.version = next(self.timestamp.version);
    }

    /// Writes the files to a folder, and returns its address.
    pub(crate) fn save(&self, folder: &Path) -> String {
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("file has a folder")).expect("folder is created");
            fs::write(path, bytes).expect("file is written");
        }
        url::Url::from_file_path(folder).expect("path is absolute").to_string()
    }
}

/// Returns the content of a library, which does not compress.
pub(crate) fn library(name: &str, version: &str) -> Vec<u8> {
    let seed = Digest::of_bytes(format!("{name} {version}")).to_string();
    let mut state = u64::from_str_radix(&seed[..15], 16).expect("digits") | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..25_000).flat_map(|_| next()).collect()
}

pub(crate) fn packed(library: &[u8]) -> Vec<u8> {
    zstd::encode_all(library, 1).expect("library is packed")
}

/// Serialises a role with the signatures of keys.
pub(crate) fn signed<T: Role + Clone>(role: &T, keys: &[&TestKey]) -> Vec<u8> {
    let data = role.canonical_form().expect("role is JSON");
    let signature = |key: &&TestKey| Signature {
        keyid: key.id.clone(),
        sig: key.pair.sign(&data).as_ref().to_vec().into(),
    };
    let signatures = keys.iter().map(signature).collect();
    serde_json::to_vec(&Signed { signed: role.clone(), signatures }).expect("role is JSON")
}

pub(crate) fn content(bytes: &[u8]) -> FileContent {
    FileContent { sha256: Digest::of_bytes(bytes), length: bytes.len() as u64 }
}

pub(crate) fn target(bytes: &[u8]) -> Target {
    Target { length: bytes.len() as u64, hashes: hashes(bytes), custom: HashMap::new(), _extra: HashMap::new() }
}

pub(crate) fn metafile(bytes: &[u8], version: NonZeroU64) -> Metafile {
    let length = Some(bytes.len() as u64);
    Metafile { length, hashes: Some(hashes(bytes)), version, _extra: HashMap::new() }
}

fn hashes(bytes: &[u8]) -> Hashes {
    use sha2::{Digest as _, Sha256};
    Hashes { sha256: Sha256::digest(bytes).to_vec().into(), _extra: HashMap::new() }
}

pub(crate) fn next(version: NonZeroU64) -> NonZeroU64 {
    version.saturating_add(1)
}
