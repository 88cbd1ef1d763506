use std::thread;

use proptest::prelude::*;

use super::*;
use crate::{
    catalogue::Code,
    log::tests::{capture, count},
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Numbers {
    numbers: Vec<u32>,
}

impl Content for Numbers {}

/// Content that records its loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Careful {
    lost: bool,
}

impl Content for Careful {
    fn after_loss() -> Self {
        Self { lost: true }
    }
}

fn file(folder: &Path) -> SharedFile {
    SharedFile::new(folder.join("deep/numbers.json"), "the list of numbers", Code::ChoicesDamaged)
}

fn add(file: &SharedFile, number: u32) -> io::Result<usize> {
    file.change(|content: &mut Numbers| {
        content.numbers.push(number);
        Ok(content.numbers.len())
    })
}

fn read(file: &SharedFile) -> Vec<u32> {
    file.read::<Numbers>().expect("it can be read").numbers
}

#[test]
fn content_is_read_back_and_failed_change_dropped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    assert_eq!(read(&file), [0; 0]);
    assert!(!file.path().exists(), "reading writes nothing");
    assert_eq!(add(&file, 7).expect("it can be written"), 1);
    assert_eq!(read(&file), [7]);
    let failed = file.change(|content: &mut Numbers| {
        content.numbers.clear();
        Err::<(), _>(io::Error::other("no"))
    });
    assert!(failed.is_err() && read(&file) == [7]);
    let before = file.path().metadata().expect("it is there").modified().expect("it has a time");
    file.change(|_: &mut Numbers| Ok::<_, io::Error>(())).expect("nothing changes");
    assert_eq!(file.path().metadata().expect("it is there").modified().expect("it has a time"), before);
}

#[test]
fn concurrent_changes_are_not_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    // A lock belongs to an open file, so threads can represent processes.
    thread::scope(|scope| {
        for writer in 0..4 {
            let file = &file;
            scope
                .spawn(move || (0..25).for_each(|at| _ = add(file, writer * 100 + at).expect("it is written")));
        }
        // A reader never sees incomplete content.
        (0..200).for_each(|_| drop(read(&file)));
    });
    let mut numbers = read(&file);
    numbers.sort_unstable();
    let expected: Vec<u32> = (0..4).flat_map(|writer| (0..25).map(move |at| writer * 100 + at)).collect();
    assert_eq!(numbers, expected);
    let left = folder.path().join("deep").read_dir().expect("it is there").count();
    assert_eq!(left, 3, "the file, its copy and its lock");
}

#[test]
fn unreadable_content_is_logged_and_set_aside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    fs::create_dir(folder.path().join("deep")).expect("it can be made");
    let contents = ["", "{", "[]", r#"{ "format": 0, "numbers": [] }"#, r#"{ "numbers": [] }"#, "\u{0}"];
    for (number, content) in (1..).zip(contents) {
        fs::write(file.path(), content).expect("it can be written");
        let log = capture(|| assert_eq!(read(&file), [0; 0]));
        assert_eq!(count(&log, Code::ChoicesDamaged), 1, "{log}");
        assert!(log.contains(&format!("numbers.json.damaged-{number}")), "{log}");
        let aside = file.sibling(&format!("damaged-{number}"));
        assert_eq!(fs::read_to_string(aside).expect("it was set aside"), content);
        assert_eq!(capture(|| drop(read(&file))), "", "it is logged once");
    }
    fs::create_dir(file.path()).expect("a folder in its place");
    let log = capture(|| _ = add(&file, 1).expect("it is set aside too"));
    assert!(log.contains("it is a folder") && read(&file) == [1], "{log}");
}

#[test]
fn damaged_file_is_replaced_by_its_copy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    for number in [7, 8] {
        add(&file, number).expect("it can be written");
    }
    let good = fs::read(file.path()).expect("it is there");
    for (at, content) in (1..).zip([&good[..good.len() / 2], b"", &[0; 4096]]) {
        fs::write(file.path(), content).expect("it can be written");
        let log = capture(|| assert_eq!(read(&file), [7, 8], "also the last change"));
        assert!(count(&log, Code::ChoicesDamaged) == 1 && log.contains("its last good copy is used"), "{log}");
        assert_eq!(fs::read(file.path()).expect("it is there"), good);
        assert_eq!(fs::read(file.sibling(&format!("damaged-{at}"))).expect("it was set aside"), content);
    }
    // A folder in its place cannot be hard-linked.
    fs::remove_file(file.path()).expect("it is there");
    fs::create_dir(file.path()).expect("it can be made");
    assert_eq!(read(&file), [7, 8]);
    // The copy is used even while the lock is held.
    fs::write(file.path(), "{").expect("it can be written");
    let _held = Lock::acquire(&file.sibling("lock"), Duration::ZERO).expect("it is free");
    let log = capture(|| assert_eq!(read(&file), [7, 8]));
    assert!(log.contains("cannot be replaced") && log.contains("numbers.json.lock"), "{log}");
    assert_eq!(fs::read(file.path()).expect("it is there"), b"{");
}

#[test]
fn loss_of_file_and_copy_is_remembered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    assert_eq!(file.read::<Careful>().expect("it is missing"), Careful { lost: false });
    fs::create_dir(folder.path().join("deep")).expect("it can be made");
    for ending in ["", ".bak"] {
        fs::write(folder.path().join(format!("deep/numbers.json{ending}")), "{").expect("it can be written");
    }
    for _ in 0..2 {
        assert_eq!(file.read::<Careful>().expect("it can be read"), Careful { lost: true });
    }
    assert_eq!(fs::read_to_string(file.sibling("damaged-1")).expect("it was set aside"), "{");
}

#[test]
fn file_of_a_later_version_is_never_touched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    add(&file, 7).expect("it can be written");
    let large = format!(r#"{{ "format": 1, "numbers": [], "x": "{}" }}"#, "x".repeat(LIMIT));
    let later = io::ErrorKind::Unsupported;
    for (content, kind) in [
        (r#"{ "format": 2, "numbers": [] }"#, later),
        (r#"{ "format": 2, "numbers": "of another kind", "more": {} }"#, later),
        (r#"{ "format": 18446744073709551615 }"#, later),
        // It may be of a version with another limit.
        (&large, io::ErrorKind::FileTooLarge),
    ] {
        fs::write(file.path(), content).expect("it can be written");
        assert_eq!(file.read::<Numbers>().expect_err("it is of a later version").kind(), kind, "{content:.40}");
        assert_eq!(add(&file, 1).expect_err("it is of a later version").kind(), kind, "{content:.40}");
        assert_eq!(fs::read_to_string(file.path()).expect("it is there"), content);
    }
    let names = folder.path().join("deep").read_dir().expect("it is there");
    assert_eq!(names.count(), 3, "the file, its copy and its lock");
}

#[test]
fn leftovers_of_killed_writer_are_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    fs::create_dir(folder.path().join("deep")).expect("it can be made");
    let left = folder.path().join("deep/.pulse-new-abcdef");
    fs::write(&left, "half").expect("it can be written");
    add(&file, 7).expect("it can be written");
    assert!(!left.exists());
}

proptest! {
    /// No content is lost silently: it is read, kept under another name, or refused and left alone.
    #[test]
    fn any_content_is_read_set_aside_or_left(content in prop::collection::vec(any::<u8>(), 0..64), json in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = SharedFile::new(folder.path().join("n.json"), "the list", Code::ChoicesDamaged);
        let content = if json { serde_json::to_vec(&content).expect("JSON") } else { content };
        fs::write(file.path(), &content).expect("it can be written");
        let aside = |file: &SharedFile| fs::read(file.sibling("damaged-1")).ok();
        if let Ok(Careful { lost }) = file.read() {
            prop_assert_eq!(aside(&file), lost.then_some(content));
        } else {
            prop_assert_eq!(fs::read(file.path()).expect("it is there"), content);
        }
    }
}

#[test]
fn file_never_outgrows_the_read_limit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = file(folder.path());
    add(&file, 7).expect("it is small");
    let grown = file.change(|content: &mut Numbers| {
        content.numbers = vec![u32::MAX; LIMIT / 4];
        Ok::<_, io::Error>(())
    });
    assert_eq!(grown.expect_err("it is too large").kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(read(&file), [7]);
}
