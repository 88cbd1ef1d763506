//! Repositories, servers and folders for tests.

mod server;
mod site;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::{
    ErrorCode,
    fetch::{FetchEvent, Network, Request, Task},
    listing::Listing,
    release::{Platform, Wanted},
};

pub(crate) use server::{Act, Gate, TestServer};
pub(crate) use site::{SiteFiles, TestKey, TestSite, content, library, metafile, packed, signed, target};

/// Makes a temporary folder, in memory if possible: most of the time of a test is the disk's.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

/// The cache of a user, and the settings of the connection.
pub(crate) struct TestUser {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: String,
    pub(crate) network: Network,
}

impl TestUser {
    /// Makes a user of a repository who trusts nothing yet.
    pub(crate) fn of(address: impl Into<String>) -> Self {
        // No test waits for these limits, except those that set lower ones.
        let network =
            Network { timeout: Some(20_000), attempts: Some(3), pause: Some(1), ..Network::default() };
        Self { folder: folder(), address: address.into(), network }
    }

    /// Makes a user who trusts the first root of a site.
    pub(crate) fn trusting(address: impl Into<String>, site: &TestSite) -> Self {
        let user = Self::of(address);
        let end = user.run(Task::Check { root: Some(site.fingerprint(1)), wanted: vec![] });
        assert!(matches!(end, FetchEvent::Checked { .. }), "{end:?}");
        user
    }

    pub(crate) fn request(&self, task: Task) -> Request {
        let cache = self.folder.path().to_owned();
        Request { task, address: self.address.clone(), cache, network: self.network.clone() }
    }

    /// Serves a task in this process, and returns its last event.
    pub(crate) fn run(&self, task: Task) -> FetchEvent {
        self.events(task).pop().expect("a task has a last event")
    }

    /// Serves a task in this process, and returns all events.
    pub(crate) fn events(&self, task: Task) -> Vec<FetchEvent> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let end = crate::fetch::serve(
            &self.request(task),
            &(Arc::new(move |event| seen.lock().expect("no test panics here").push(event)) as _),
        );
        let mut events = events.lock().expect("no test panics here").clone();
        events.push(end);
        events
    }

    pub(crate) fn check(&self) -> FetchEvent {
        self.run(Task::Check { root: None, wanted: vec![wanted("remoteHello")] })
    }

    pub(crate) fn download(&self, name: &str, version: &str) -> FetchEvent {
        self.run(download(name, version))
    }

    pub(crate) fn list(&self) -> Listing {
        let bytes = fs::read(self.folder.path().join("list.json")).expect("list exists");
        serde_json::from_slice(&bytes).expect("list is JSON")
    }

    /// Returns the content of all files but lock files, by path; a link is its target.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(self.folder.path())
    }

    /// Fails unless a task is refused with a code and changes nothing on the disk.
    pub(crate) fn refuses(&self, task: Task, code: ErrorCode) {
        let before = self.tree();
        let end = self.run(task);
        assert_eq!(self::code(&end), code, "{end:?}");
        assert!(before == self.tree(), "files have changed: {:?}", self.tree().keys());
    }

    /// Fails unless a check is refused with a code and changes nothing on the disk.
    pub(crate) fn refuses_check(&self, code: ErrorCode) {
        self.refuses(Task::Check { root: None, wanted: vec![wanted("remoteHello")] }, code);
    }
}

pub(crate) fn download(name: &str, version: &str) -> Task {
    Task::Download { wanted: wanted(name), version: version.parse().expect("version is valid") }
}

pub(crate) fn wanted(name: &str) -> Wanted {
    Wanted { platform: platform(), ..Wanted::any(name) }
}

pub(crate) fn platform() -> Platform {
    Platform::try_from("x86_64-unknown-linux-gnu".to_owned()).expect("a triple")
}

/// Returns the code of a failure.
pub(crate) fn code(end: &FetchEvent) -> ErrorCode {
    match end {
        FetchEvent::Failed(error) => error.code,
        end => panic!("it succeeded: {end:?}"),
    }
}

pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("folder is readable").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("kind is known");
        if kind.is_dir() {
            files.append(&mut tree(&path));
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).expect("link is readable");
            files.insert(path, target.into_os_string().into_encoded_bytes());
        } else if path.extension().is_none_or(|end| end != "lock") {
            let content = fs::read(&path).expect("file is readable");
            files.insert(path, content);
        }
    }
    files
}
