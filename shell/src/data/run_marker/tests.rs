use super::*;
use crate::{
    catalogue::Code,
    log::tests::{capture, count},
};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.join("sessions").read_dir().expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|e| e == "json")).collect()
}

#[test]
fn proper_end_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..2 {
        let (mut marker, last) = RunMarker::begin(folder.path());
        assert_eq!(last, None);
        marker.running(&["clock"]);
        marker.end();
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn unclean_run_is_reported_once_with_its_remotes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut marker, _) = RunMarker::begin(folder.path());
    marker.running(&["clock", "remoteAnalytics"]);
    marker.running(&["clock"]);
    // A killed process releases its lock without removing the file.
    drop(marker);
    let (marker, last) = RunMarker::begin(folder.path());
    let last = last.expect("it was not shut down properly");
    assert_eq!(last.running, ["clock"]);
    assert!(last.started > 0);
    marker.end();
    assert_eq!(RunMarker::begin(folder.path()).1, None);
}

#[test]
fn active_run_is_not_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, _) = RunMarker::begin(folder.path());
    let (second, last) = RunMarker::begin(folder.path());
    assert_eq!(last, None);
    assert_eq!(files(folder.path()).len(), 2);
    first.end();
    drop(second);
    // Of two runs at once the later one counts, and both have ended.
    let (third, last) = RunMarker::begin(folder.path());
    assert!(last.is_some());
    assert_eq!(files(folder.path()).len(), 1);
    third.end();
}

#[test]
fn damaged_markers_are_logged_and_count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |content: &str| {
        fs::create_dir_all(folder.path().join("sessions")).expect("it can be made");
        fs::write(folder.path().join("sessions/77.json"), content).expect("it can be written");
    };
    let large = format!("{{ \"running\": [\"{}\"] }}", "x".repeat(1 << 20));
    for content in ["", "{", "3", &large] {
        write(content);
        let log = capture(|| {
            let (marker, last) = RunMarker::begin(folder.path());
            assert_eq!(last, Some(Unclean::default()), "{content:.20}");
            marker.end();
        });
        assert_eq!(count(&log, Code::SessionDamaged), 1, "{log}");
    }
    fs::create_dir(folder.path().join("sessions/folder.json")).expect("it can be made");
    assert_eq!(RunMarker::begin(folder.path()).1, None);
}

#[test]
fn unusable_folder_is_logged_and_does_not_block() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("sessions"), "a file in its place").expect("it can be written");
    let log = capture(|| {
        let (mut marker, last) = RunMarker::begin(folder.path());
        assert_eq!(last, None);
        marker.running(&["clock"]);
        marker.end();
    });
    assert!(count(&log, Code::SessionUnwritable) == 1, "{log}");
}

#[test]
fn number_of_written_names_is_limited() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut marker, _) = RunMarker::begin(folder.path());
    marker.running(&vec!["x".repeat(64).as_str(); 5000]);
    drop(marker);
    assert_eq!(RunMarker::begin(folder.path()).1.expect("it was not shut down properly").running.len(), NAMES);
}

#[test]
fn held_lock_does_not_block_a_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    RunMarker::begin(folder.path()).0.end();
    let _held = Lock::acquire(&folder.path().join("sessions/lock"), Duration::ZERO).expect("it is free");
    let log = capture(|| {
        let (mut marker, last) = RunMarker::begin(folder.path());
        assert_eq!(last, None);
        marker.running(&["clock"]);
        marker.end();
    });
    assert!(count(&log, Code::SessionUnwritable) == 1 && log.contains("sessions/lock"), "{log}");
}

#[test]
fn files_of_other_versions_are_untouched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join("sessions").join(name);
    fs::create_dir_all(folder.path().join("sessions")).expect("it can be made");
    let later = r#"{ "format": 2, "running": { "clock": 1 } }"#;
    for (name, content) in [("77.json", later), ("notes.json", "{}"), ("-.txt", "")] {
        fs::write(file(name), content).expect("it can be written");
    }
    let (marker, last) = RunMarker::begin(folder.path());
    marker.end();
    assert_eq!(last, None);
    assert_eq!(fs::read_to_string(file("77.json")).expect("it is there"), later);
    assert!(file("notes.json").exists() && file("-.txt").exists());
}
