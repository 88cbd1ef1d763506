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
fn a_run_that_ends_well_leaves_nothing() {
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
fn a_run_that_does_not_is_told_once_with_what_ran() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut marker, _) = RunMarker::begin(folder.path());
    marker.running(&["clock", "remoteAnalytics"]);
    marker.running(&["clock"]);
    // What the system does when a process is killed.
    drop(marker);
    let (marker, last) = RunMarker::begin(folder.path());
    let last = last.expect("it did not end");
    assert_eq!(last.running, ["clock"]);
    assert!(last.started > 0);
    marker.end();
    assert_eq!(RunMarker::begin(folder.path()).1, None);
}

#[test]
fn a_run_that_goes_on_is_not_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, _) = RunMarker::begin(folder.path());
    let (second, last) = RunMarker::begin(folder.path());
    assert_eq!(last, None);
    assert_eq!(files(folder.path()).len(), 2);
    first.end();
    drop(second);
    // Two at once: the later one counts, and both are over.
    let (third, last) = RunMarker::begin(folder.path());
    assert!(last.is_some());
    assert_eq!(files(folder.path()).len(), 1);
    third.end();
}

#[test]
fn damaged_files_are_told_and_count() {
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
fn a_folder_that_is_out_of_reach_is_told_and_no_obstacle() {
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
fn at_most_so_many_names_are_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut marker, _) = RunMarker::begin(folder.path());
    marker.running(&vec!["x".repeat(64).as_str(); 5000]);
    drop(marker);
    assert_eq!(RunMarker::begin(folder.path()).1.expect("it did not end").running.len(), NAMES);
}

#[test]
fn held_lock_does_not_keep_a_run_from_beginning() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    RunMarker::begin(folder.path()).0.end();
    let _held = Lock::take(&folder.path().join("sessions/lock"), Duration::ZERO).expect("it is free");
    let log = capture(|| {
        let (mut marker, last) = RunMarker::begin(folder.path());
        assert_eq!(last, None);
        marker.running(&["clock"]);
        marker.end();
    });
    assert!(count(&log, Code::SessionUnwritable) == 1 && log.contains("sessions/lock"), "{log}");
}

#[test]
fn files_that_are_not_of_this_version_are_left_alone() {
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
