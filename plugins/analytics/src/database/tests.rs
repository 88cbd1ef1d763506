#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
};

use super::*;
use crate::dataset::BUNDLED;

fn never() -> Arc<AtomicBool> {
    Arc::default()
}

/// Opens as the dashboard does and returns what was reported with the result.
fn open(folder: &Path, check: Check) -> (Result<Database, DatabaseError>, Vec<Progress>) {
    let seen = Mutex::new(Vec::new());
    let result = Database::open(
        folder,
        BUNDLED,
        check,
        &Control { stop: never(), progress: &|progress| seen.lock().unwrap().push(progress) },
    );
    (result, seen.into_inner().unwrap())
}

fn database_file(folder: &Path) -> PathBuf {
    folder.join(file_name(BUNDLED).unwrap())
}

/// The endings of the files in a folder.
fn endings(folder: &Path) -> Vec<String> {
    let path = |entry: io::Result<fs::DirEntry>| entry.unwrap().path();
    let ending = |path: PathBuf| path.extension().unwrap().to_str().unwrap().to_owned();
    let mut endings: Vec<_> = fs::read_dir(folder).unwrap().map(path).map(ending).collect();
    endings.sort();
    endings
}

fn count(database: &Database, sql: &str) -> i64 {
    database.connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn imports_once_and_reports_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (database, seen) = open(&folder.path().join("made/on the way"), Check::Quick);
    let database = database.unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM flight"), 336_776);
    assert_eq!(count(&database, "SELECT count(*) FROM airport"), 107);
    let fractions: Vec<f32> = seen
        .iter()
        .map(|progress| match progress {
            Progress::Importing { fraction, rebuilding: false } => *fraction,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(fractions.is_sorted() && fractions.len() > 50, "{fractions:?}");
    assert_eq!((fractions.first(), fractions.last()), (Some(&0.0), Some(&1.0)));

    let (again, seen) = open(&folder.path().join("made/on the way"), Check::Quick);
    assert_eq!(count(&again.unwrap(), "SELECT count(*) FROM flight"), 336_776);
    assert!(seen.is_empty(), "the second start imported: {seen:?}");
}

#[test]
fn the_daily_sums_are_those_of_the_flights() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path(), Check::Quick).0.unwrap();
    let differing = "SELECT count(*) FROM (
        SELECT day, airline, flights, departed, on_time, departure_delay FROM daily
        EXCEPT
        SELECT day, airline, count(*), sum(departure_delay IS NOT NULL),
               sum(arrival_delay IS NOT NULL AND arrival_delay < 15), ifnull(sum(departure_delay), 0)
        FROM flight GROUP BY day, airline)";
    assert_eq!(count(&database, differing), 0);
    assert_eq!(count(&database, "SELECT count(DISTINCT day) FROM daily"), 365);
    assert_eq!(count(&database, "SELECT unixepoch('2013-12-31') / 86400 - max(day) FROM flight"), 0);
}

#[test]
fn a_stopped_import_leaves_nothing() {
    // Between rows, and just before the statement that takes longest.
    for from in [0.5, 0.88] {
        let folder = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let control = Control {
            stop: Arc::clone(&stop),
            progress: &|progress| {
                if matches!(progress, Progress::Importing { fraction, .. } if fraction >= from) {
                    stop.store(true, Ordering::Relaxed);
                }
            },
        };
        let result = Database::open(folder.path(), BUNDLED, Check::Quick, &control);
        assert_eq!(result.err().unwrap().code(), "cancelled");
        assert_eq!(endings(folder.path()), ["lock"]);
    }
}

#[test]
fn a_damaged_database_is_set_aside_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let file = database_file(folder.path());
    for damage in [&b"this is not a database, it only has its name"[..], b""] {
        fs::write(&file, damage).unwrap();
        let (database, seen) = open(folder.path(), Check::Quick);
        let database = database.unwrap();
        assert!(matches!(seen[0], Progress::Importing { rebuilding: true, .. }), "{seen:?}");
        assert_eq!(fs::read(database.set_aside().unwrap()).unwrap(), damage);
        assert_eq!(count(&database, "SELECT count(*) FROM flight"), 336_776);
    }
}

#[test]
fn damage_inside_is_found_by_the_thorough_check() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), Check::Quick).0.unwrap());
    let file = database_file(folder.path());
    let whole = fs::metadata(&file).unwrap().len();
    fs::File::options().write(true).open(&file).unwrap().set_len(whole / 2).unwrap();
    let (database, _) = open(folder.path(), Check::Thorough);
    assert!(database.unwrap().set_aside().is_some());
    assert_eq!(fs::metadata(&file).unwrap().len(), whole);
    // What is sound stays.
    assert!(open(folder.path(), Check::Thorough).0.unwrap().set_aside().is_none());
}

#[test]
fn a_folder_that_cannot_be_made_is_a_typed_error_and_retry_works() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let error = open(&blocked, Check::Quick).0.err().unwrap();
    assert_eq!(error.code(), "data-folder");
    assert!(error.to_string().ends_with("blocked"), "{error}");
    fs::remove_file(&blocked).unwrap();
    assert!(open(&blocked, Check::Quick).0.is_ok());
}

#[test]
fn a_damaged_data_set_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control { stop: never(), progress: &|_| {} };
    for (file, code) in [(&b"tiny"[..], "dataset-format"), (&BUNDLED[1_000..], "dataset-compression")] {
        let error = Database::open(folder.path(), file, Check::Quick, &control).err().unwrap();
        assert_eq!(error.code(), code);
    }
}

#[test]
fn a_killed_import_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = importer(folder.path());
    assert!(endings(folder.path()).contains(&"importing".to_owned()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!database_file(folder.path()).exists());
    let (database, seen) = open(folder.path(), Check::Quick);
    assert_eq!(count(&database.unwrap(), "SELECT count(*) FROM flight"), 336_776);
    assert!(!seen.is_empty());
    assert_eq!(endings(folder.path()), ["lock", "sqlite3"]);
}

#[test]
fn a_second_process_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = importer(folder.path());
    let (told, telling) = mpsc::channel();
    let path = folder.path().to_owned();
    let waiter = std::thread::spawn(move || {
        let control = Control { stop: never(), progress: &|progress| told.send(progress).unwrap() };
        Database::open(&path, BUNDLED, Check::Quick, &control)
            .map(|database| count(&database, "SELECT count(*) FROM flight"))
    });
    assert_eq!(telling.recv().unwrap(), Progress::Waiting);
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), 336_776);
    assert!(telling.try_recv().is_err(), "it imported a second time");
    assert!(child.wait().unwrap().success());
}

/// Starts this test binary again as another process, which imports into `folder`; returns when
/// it is in the middle, where it stays until it is told to go on.
fn importer(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "database::tests::import_in_another_process", "--ignored", "--nocapture"])
        .env("PULSE_TEST_IMPORT", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("in the middle") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the importer ended early");
    }
    // Its later output must have somewhere to go.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    child
}

#[test]
#[ignore = "run by the tests above as a process of its own"]
fn import_in_another_process() {
    let Some(folder) = std::env::var_os("PULSE_TEST_IMPORT") else { return };
    let stopped = AtomicBool::new(false);
    let control = Control {
        stop: never(),
        progress: &|progress| {
            let middle = matches!(progress, Progress::Importing { fraction, .. } if fraction > 0.5);
            if middle && !stopped.swap(true, Ordering::Relaxed) {
                let mut out = std::io::stdout();
                out.write_all(b"in the middle\n").and_then(|()| out.flush()).unwrap();
                let _ = std::io::stdin().read(&mut [0; 16]);
            }
        },
    };
    Database::open(Path::new(&folder), BUNDLED, Check::Quick, &control).unwrap();
}
