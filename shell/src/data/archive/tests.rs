use proptest::prelude::*;

use super::*;
use crate::{
    catalogue::Code,
    log::tests::{capture, count},
};

/// A data folder with an archive, and libraries to archive, which may have any content.
struct Scene {
    folder: tempfile::TempDir,
    archive: Archive,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { archive: Archive::new(&folder.path().join("data")), folder }
    }

    /// Archives a generation whose library has this content.
    fn keep(&self, name: &str, version: &str, content: &str) -> Digest {
        let library = self.folder.path().join("library.so");
        fs::write(&library, content).expect("it can be written");
        let digest = digest_of(&library).expect("it can be read");
        self.archive.keep(name, &library, &digest, &manifest(name, version)).expect("it can be kept");
        digest
    }

    fn versions(&self, name: &str) -> Vec<String> {
        let kept = self.archive.kept(name).expect("it can be read");
        kept.iter().map(|kept| kept.version.to_string()).collect()
    }

    fn roll_back(&self, name: &str, to: Option<&str>) -> Result<String, Code> {
        let kept = self.archive.roll_back(name, to, "");
        kept.map(|kept| kept.version.to_string()).map_err(|error| error.code())
    }

    fn objects(&self) -> usize {
        self.folder.path().join("data/generations/sha256").read_dir().map_or(0, Iterator::count)
    }
}

fn manifest(name: &str, version: &str) -> String {
    format!(r#"{{ "manifestVersion": 1, "name": "{name}", "version": "{version}", "remoteEntry": "a" }}"#)
}

#[test]
fn generations_are_kept_newest_first() {
    let scene = Scene::new();
    assert_eq!(scene.versions("clock"), [""; 0]);
    let digests: Vec<_> = (0..7).map(|n| scene.keep("clock", &format!("1.{n}.0"), &format!("{n}"))).collect();
    assert_eq!(scene.versions("clock"), ["1.6.0", "1.5.0", "1.4.0", "1.3.0", "1.2.0"]);
    assert_eq!(scene.objects(), GENERATIONS);
    assert!(scene.archive.knows(&digests[6]) && !scene.archive.knows(&digests[0]));
    let newest = &scene.archive.kept("clock").expect("it can be read")[0];
    assert_eq!(fs::read_to_string(&newest.library).expect("it is there"), "6");
    assert_eq!(fs::read_to_string(&newest.manifest).expect("it is there"), manifest("clock", "1.6.0"));
    assert!(newest.taken > 0);
    // Archiving a generation again makes it the newest.
    scene.keep("clock", "1.3.0", "3");
    assert_eq!(scene.versions("clock"), ["1.3.0", "1.6.0", "1.5.0", "1.4.0", "1.2.0"]);
    // A library under two names is one object, which stays while either name has it.
    scene.keep("other", "9.0.0", "2");
    assert_eq!(scene.objects(), GENERATIONS);
    scene.keep("clock", "2.0.0", "7");
    assert!(scene.archive.knows(&digests[2]));
    assert_eq!(scene.objects(), GENERATIONS + 1);
}

#[test]
fn library_that_changes_meanwhile_is_not_kept() {
    let scene = Scene::new();
    let digest = scene.keep("clock", "1.0.0", "one");
    let library = scene.folder.path().join("library.so");
    fs::write(&library, "two").expect("it can be written");
    // It is archived already, so it is not copied again.
    scene.archive.keep("clock", &library, &digest, &manifest("clock", "1.0.0")).expect("it is there");
    let other = scene.folder.path().join("other");
    fs::write(&other, "three").expect("it can be written");
    let other = digest_of(&other).expect("it can be read");
    let refused = scene.archive.keep("clock", &library, &other, &manifest("clock", "1.1.0"));
    let error = refused.expect_err("it is another library");
    assert_eq!(error.code(), Code::DigestMismatch);
    assert!(error.to_string().contains("library.so"), "{error}");
    assert_eq!((scene.versions("clock").len(), scene.objects()), (1, 1));
    let missing =
        scene.archive.keep("clock", &scene.folder.path().join("none"), &other, &manifest("clock", "1.1.0"));
    assert_eq!(missing.expect_err("it is missing").code(), Code::ArchiveUnavailable);
    let wrong = scene.archive.keep("clock", &library, &other, "{}").expect_err("no manifest");
    assert_eq!(wrong.code(), Code::ManifestInvalid);
}

#[test]
fn rollback_pins_and_pinned_generation_stays() {
    let scene = Scene::new();
    let digests: Vec<_> = (0..4).map(|n| scene.keep("clock", &format!("1.{n}.0"), &format!("{n}"))).collect();
    assert_eq!(scene.archive.pinned("clock").expect("it can be read"), None);
    assert_eq!(scene.roll_back("clock", None), Ok("1.2.0".to_owned()));
    assert_eq!(scene.roll_back("clock", None), Ok("1.1.0".to_owned()));
    scene.archive.roll_back("clock", Some("1.0.0"), "  1.1\n is  slow ").expect("it is kept");
    let (pin, kept) = scene.archive.pinned("clock").expect("it can be read").expect("it is pinned");
    assert_eq!((pin.digest, &*pin.note, kept.digest), (digests[0], "1.1 is slow", digests[0]));
    assert_eq!(scene.roll_back("clock", None), Err(Code::GenerationNoneOlder));
    for n in 4..10 {
        scene.keep("clock", &format!("1.{n}.0"), &format!("{n}"));
    }
    assert_eq!(scene.versions("clock"), ["1.9.0", "1.8.0", "1.7.0", "1.6.0", "1.5.0", "1.0.0"]);
    assert_eq!(scene.objects(), GENERATIONS + 1);
    let prefix = &scene.archive.kept("clock").expect("it can be read")[1].digest.to_string()[..8];
    assert_eq!(scene.roll_back("clock", Some(prefix)), Ok("1.8.0".to_owned()));
    assert_eq!(scene.roll_back("clock", Some(&format!("sha256:{prefix}"))), Ok("1.8.0".to_owned()));
    let long = "x".repeat(10_000);
    scene.archive.roll_back("clock", None, &long).expect("it is kept");
    let note = scene.archive.pin("clock").expect("it can be read").expect("it is pinned").note;
    assert_eq!(note.len(), MAX_NOTE);
    scene.archive.unpin("clock").expect("it can be written");
    assert_eq!(scene.archive.pinned("clock").expect("it can be read"), None);
    assert_eq!((scene.versions("clock").len(), scene.objects()), (GENERATIONS, GENERATIONS));
    for to in ["1.0.0", "2.0.0", "abc", "", "fffffffffff", "../../etc"] {
        assert_eq!(scene.roll_back("clock", Some(to)), Err(Code::GenerationUnknown), "{to}");
    }
}

#[test]
fn unknown_name_gets_a_suggestion() {
    let scene = Scene::new();
    let advice =
        |name: &str| scene.archive.roll_back(name, None, "").expect_err("it is unknown").advice().into_owned();
    assert!(advice("clok").contains("once it has run well"), "{}", advice("clok"));
    scene.keep("clock", "1.0.0", "1");
    assert!(advice("clok").contains("did you mean `clock`?"), "{}", advice("clok"));
    assert!(advice("something").contains("the archive has generations of: clock"), "{}", advice("something"));
    assert_eq!(scene.archive.unpin("clok").expect_err("it is unknown").code(), Code::GenerationUnknown);
}

#[test]
fn damaged_object_is_refused_and_repaired() {
    let scene = Scene::new();
    let old = scene.keep("clock", "1.0.0", "one");
    scene.keep("clock", "1.1.0", "two");
    let object = scene.folder.path().join(format!("data/generations/sha256/{old}"));
    let damage: [&dyn Fn(); 5] = [
        &|| fs::write(object.join("library"), "onE").expect("it can be written"),
        &|| fs::write(object.join("library"), "").expect("it can be written"),
        &|| fs::remove_file(object.join("library")).expect("it is there"),
        &|| fs::write(object.join("manifest.json"), "{").expect("it can be written"),
        &|| fs::remove_dir_all(&object).expect("it is there"),
    ];
    for damage in damage {
        scene.archive.roll_back("clock", Some("1.0.0"), "").expect("it is complete");
        damage();
        let error = scene.archive.pinned("clock").expect_err("it is damaged");
        assert_eq!(error.code(), Code::GenerationDamaged);
        assert!(error.to_string().contains(&old.to_string()), "{error}");
        scene.archive.unpin("clock").expect("it can be written");
        assert_eq!(scene.roll_back("clock", Some("1.0.0")), Err(Code::GenerationDamaged));
        assert_eq!(
            scene.archive.pin("clock").expect("it can be read"),
            None,
            "it is not pinned to a damaged generation"
        );
        scene.keep("clock", "1.0.0", "one");
        scene.keep("clock", "1.1.0", "two");
    }
}

#[test]
fn damaged_index_is_logged_and_objects_stay() {
    let scene = Scene::new();
    let digest = scene.keep("clock", "1.0.0", "one");
    let damage = || {
        fs::write(scene.archive.index_file(), "{ \"format\": 1, \"remotes\": 3 }").expect("it can be written");
    };
    damage();
    let log = capture(|| assert_eq!(scene.versions("clock"), ["1.0.0"]));
    assert!(count(&log, Code::ArchiveIndexDamaged) == 1 && log.contains("its last good copy is used"), "{log}");
    let copy = scene.archive.index_file().with_extension("json.bak");
    fs::write(copy, "{").expect("it can be written");
    damage();
    let log = capture(|| assert_eq!(scene.versions("clock"), [""; 0]));
    assert!(count(&log, Code::ArchiveIndexDamaged) == 1 && log.contains("index.json.damaged-2"), "{log}");
    assert_eq!(scene.objects(), 1);
    assert_eq!(scene.keep("clock", "1.0.0", "one"), digest);
    assert_eq!((scene.versions("clock"), scene.objects()), (vec!["1.0.0".to_owned()], 1));
}

#[test]
fn unfinished_objects_are_swept() {
    let scene = Scene::new();
    scene.keep("clock", "1.0.0", "one");
    let left = scene.folder.path().join("data/generations/sha256/.new-abcdef");
    fs::create_dir(&left).expect("it can be made");
    fs::write(left.join("library"), "half").expect("it can be written");
    scene.keep("clock", "1.1.0", "two");
    assert!(!left.exists() && scene.objects() == 2);
}

#[test]
fn names_are_never_part_of_a_path() {
    let scene = Scene::new();
    let library = scene.folder.path().join("library.so");
    fs::write(&library, "one").expect("it can be written");
    let digest = digest_of(&library).expect("it can be read");
    for name in ["../../../escape", "/absolute", "nul\u{0}", "con", "a b é"] {
        scene.archive.keep(name, &library, &digest, &manifest("clock", "1.0.0")).expect("it can be kept");
        assert_eq!(scene.versions(name), ["1.0.0"]);
    }
    assert!(!scene.folder.path().join("escape").exists() && scene.objects() == 1);
}

#[test]
fn several_processes_can_archive_at_once() {
    let scene = Scene::new();
    // A lock belongs to an open file, so threads can represent processes.
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let scene = &scene;
            scope.spawn(move || {
                let archive = Archive::new(&scene.folder.path().join("data"));
                for n in 0..6 {
                    let library = scene.folder.path().join(format!("{writer}.so"));
                    fs::write(&library, format!("{writer} {n}")).expect("it can be written");
                    let digest = digest_of(&library).expect("it can be read");
                    let name = format!("remote-{writer}");
                    let text = manifest(&name, &format!("1.{n}.0"));
                    archive.keep(&name, &library, &digest, &text).expect("it can be kept");
                }
            });
        }
    });
    for writer in 0..4 {
        assert_eq!(scene.versions(&format!("remote-{writer}")), ["1.5.0", "1.4.0", "1.3.0", "1.2.0", "1.1.0"]);
    }
    assert_eq!(scene.objects(), 4 * GENERATIONS);
}

/// Returns a digest for each number.
fn digest(number: usize) -> Digest {
    format!("{number:064x}").parse().expect("64 digits")
}

proptest! {
    /// Pruning keeps the newest, in order, and the pinned one at any position; it drops exactly the others.
    #[test]
    fn pruning_keeps_the_newest_and_the_pinned(count in 0_usize..20, pin in prop::option::of(0_usize..25)) {
        let record = |n: usize| {
            let digest = digest(n);
            Record { digest, version: Version::new(n as u64, 0, 0), taken: 0, size: 0 }
        };
        let all: Vec<_> = (0..count).map(record).collect();
        let pin = pin.map(|n| Pin { digest: record(n).digest, note: String::new() });
        let mut line = Line { kept: all.clone(), fetched: Vec::new(), pin: pin.clone() };
        let dropped = line.prune();
        let pinned = |kept: &Record| pin.as_ref().is_some_and(|pin| pin.digest == kept.digest);
        let expected: Vec<_> =
            all.iter().enumerate().filter(|(at, kept)| *at < GENERATIONS || pinned(kept)).map(|(_, kept)| kept.clone()).collect();
        prop_assert_eq!(&line.kept, &expected);
        prop_assert_eq!(dropped.len() + expected.len(), count);
        prop_assert!(line.prune().is_empty());
        prop_assert_eq!(line.pin, pin);
    }

    /// Large generations are dropped sooner, except the newest two and the pinned one; no size overflows.
    #[test]
    fn pruning_keeps_within_the_size(
        sizes in prop::collection::vec(prop_oneof![0..GENERATION_BYTES, Just(u64::MAX)], 0..10),
        pin in prop::option::of(0_usize..10),
    ) {
        let record = |(n, size): (usize, &u64)| {
            Record { digest: digest(n), version: Version::new(n as u64, 0, 0), taken: 0, size: *size }
        };
        let pin = pin.map(|n| Pin { digest: digest(n), note: String::new() });
        let mut line = Line { kept: sizes.iter().enumerate().map(record).collect(), fetched: Vec::new(), pin: pin.clone() };
        line.prune();
        for (at, _) in sizes.iter().enumerate() {
            let stays = line.kept.iter().any(|kept| kept.digest == digest(at));
            let total = sizes[..=at].iter().fold(0_u64, |sum, size| sum.saturating_add(*size));
            let pinned = pin.as_ref().is_some_and(|pin| pin.digest == digest(at));
            let expected = pinned || (at < GENERATIONS && (at < ALWAYS || total <= GENERATION_BYTES));
            prop_assert_eq!(stays, expected, "{} of {:?}", at, sizes);
        }
    }
}

#[test]
fn index_of_a_later_version_is_left_alone() {
    let scene = Scene::new();
    scene.keep("clock", "1.0.0", "one");
    let later = r#"{ "format": 2, "remotes": {} }"#;
    fs::write(scene.archive.index_file(), later).expect("it can be written");
    let error = scene.archive.listing().expect_err("it is of a later version");
    assert!(error.is_later_format() && error.code() == Code::ArchiveUnavailable, "{error}");
    assert!(scene.archive.unpin("clock").expect_err("it is of a later version").is_later_format());
    assert_eq!(fs::read_to_string(scene.archive.index_file()).expect("it is there"), later);
}
