//! `pulse repo` and `pulse publish`, with a real library.

use std::{
    fs,
    path::{Path, PathBuf},
};

use delivery::release::Platform;
use serde_json::{Value, json};

use crate::{
    files::{Answer, answer, no_sdk, pulse},
    support::Installation,
};

/// A repository that the binary has made.
struct Repository {
    installation: Installation,
    library: PathBuf,
    name: String,
}

impl Repository {
    fn new() -> Self {
        let (library, name, _) = no_sdk();
        let repository = Self { installation: Installation::new(), library, name };
        let made = repository.run(&["repo", "init", "site", "--keys", "KEYS", "--threshold", "2"]).good();
        assert!(made.stdout.starts_with("sha256:"), "{}", made.stdout);
        repository
    }

    /// Runs a command in the folder of the installation, with the keys of a CI job.
    fn run_with(&self, keys: &[&str], args: &[&str]) -> Answer {
        let mut command = pulse(&self.installation);
        command.current_dir(self.installation.folder()).env("PULSE_PUBLISH_TO", "site");
        let keys: String = keys.iter().map(|name| self.key(name)).collect();
        answer(command.env("PULSE_KEY", keys).args(args))
    }

    fn run(&self, args: &[&str]) -> Answer {
        self.run_with(&[], args)
    }

    fn key(&self, name: &str) -> String {
        fs::read_to_string(self.installation.path(&format!("KEYS/{name}.pem"))).expect("the key exists")
    }

    fn library(&self) -> &str {
        self.library.to_str().expect("UTF-8")
    }

    fn check(&self) -> Value {
        self.run(&["repo", "check", "site", "--json"]).good().json()
    }
}

#[test]
fn library_is_published_and_withdrawn() {
    let repository = Repository::new();
    let Repository { name, .. } = &repository;
    let keys = ["publisher", "online"];
    let published = repository.run_with(&keys, &["publish", repository.library(), "--json"]).good().json();
    let release = &published["release"];
    assert_eq!((&release["name"], &release["version"]), (&json!(name), &json!("1.0.0")));
    assert_eq!(release["platform"], Platform::current().as_str());
    let unpacked = release["library"]["length"].as_u64().expect("a length");
    let original = fs::metadata(&repository.library).expect("the library").len();
    assert!(unpacked <= original && published["download"]["length"].as_u64() < Some(unpacked));
    let again = repository.run_with(&keys, &["publish", repository.library(), "--channel", "beta", "--json"]);
    assert_eq!(again.good().json()["release"]["channels"], json!(["beta", "stable"]));

    let version = format!("{name}@1.0.0");
    let withdraw = ["publish", "--withdraw", &version, "--note", "wrong totals"];
    let withdrawn = repository.run_with(&["publisher"], &withdraw).good();
    assert!(withdrawn.stderr.contains("pulse repo refresh site"), "{}", withdrawn.stderr);
    assert_eq!(repository.check()["pending"], json!([{ "role": "main", "version": 4 }]));
    repository.run_with(&["online"], &["repo", "refresh", "site", "--expires", "14d"]).good();
    let report = repository.check();
    assert_eq!((&report["pending"], &report["problems"]), (&json!([]), &json!([])));
    assert_eq!(report["releases"][0]["withdrawn"]["note"], "wrong totals");
}

#[test]
fn keys_are_replaced_by_command() {
    let repository = Repository::new();
    let rotate = |role: &str, keys: &[&str]| {
        repository.run_with(keys, &["repo", "rotate", "site", role, "--generate", &format!("{role}.pem")])
    };
    rotate("targets", &["root-1"]).refused(4, "key-unauthorized");
    fs::remove_file(repository.installation.path("targets.pem")).expect("it was made for nothing");
    rotate("targets", &["root-1", "root-2", "online"]).good();
    rotate("online", &["root-1", "root-3"]).good();
    let retire = repository.check()["roles"][0]["keys"][0].as_str().expect("an identifier")[..12].to_owned();
    let keys = ["root-1", "root-2", "root-3"];
    let root = ["repo", "rotate", "site", "root", "--retire", &retire, "--generate", "root.pem"];
    repository.run_with(&keys, &root).good();
    let report = repository.check();
    assert_eq!((&report["problems"], report["roots"].as_array().map(Vec::len)), (&json!([]), Some(6)));
    let add =
        ["repo", "publisher", "add", "site", "team", "--remotes", "remoteT,remoteU", "--generate", "t.pem"];
    let keys = ["--key", "targets.pem", "--key", "file:online.pem"];
    repository.run(&[&add[..], &keys].concat()).good();
    assert_eq!(repository.check()["roles"][4]["remotes"], json!(["remoteT", "remoteU"]));
    repository.run(&[&["repo", "publisher", "remove", "site", "team"][..], &keys].concat()).good();
    assert_eq!(repository.check()["roles"][4]["name"], "main");
}

#[test]
fn unusable_publications_are_refused() {
    let repository = Repository::new();
    let library = repository.library();
    let publish = |args: &[&str]| repository.run_with(&["publisher"], &[&["publish"], args].concat());
    repository.run(&["publish", library]).refused(4, "key-missing");
    repository.run(&["publish", library, "--key", "none.pem"]).refused(4, "key-missing");
    let secret = repository.key("publisher");
    let shown = repository.run(&["publish", library, "--key", &secret]);
    shown.refused(4, "key-invalid");
    let middle = secret.lines().nth(1).expect("the key in base64");
    assert!(!shown.stderr.contains(middle), "{}", shown.stderr);
    repository.run_with(&["targets"], &["publish", library]).refused(4, "key-unauthorized");
    publish(&[library, "--to", "none"]).refused(6, "site-missing");
    publish(&["none.so"]).refused(6, "library-missing");
    publish(&["host.json"]).refused(1, "library-not-a-library");
    publish(&[library, "--target", "sparc-unknown-linux-gnu"]).refused(1, "library-other-platform");
    publish(&[library, "--channel", "A B"]).refused(1, "delivery-setting-invalid");
    publish(&["--withdraw", "remoteX@1.0.0"]).refused(6, "release-unknown");
    assert_eq!(repository.check()["releases"], json!([]));

    publish(&[library]).good();
    // In a text of the library, which `strip` keeps.
    let other = repository.installation.copy(Path::new(library));
    let mut bytes = fs::read(&other).expect("the copy");
    let text = b"the fixture refuses to start";
    let at = bytes.windows(text.len()).position(|part| part == text).expect("a text of the fixture");
    bytes[at] ^= 1;
    fs::write(&other, bytes).expect("it is changed");
    publish(&[other.to_str().expect("UTF-8")]).refused(1, "release-exists");
    repository.run(&["repo", "init", "site", "--keys", "K2"]).refused(1, "site-occupied");
    repository.run(&["repo", "init", "site-2", "--keys", "site-2/K"]).refused(4, "key-exposed");
}
