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

/// Opens the database as the dashboard does, and returns the result with the reported progress.
fn open(folder: &Path, check: CheckDepth) -> (Result<Database, DatabaseError>, Vec<ImportProgress>) {
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

/// Returns the endings of the files in a folder.
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
fn imports_once_and_reports_progress() {
    let folder = tempfile::tempdir().unwrap();
    let (database, seen) = open(&folder.path().join("missing/folder"), CheckDepth::Quick);
    let database = database.unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM flight"), 336_776);
    assert_eq!(count(&database, "SELECT count(*) FROM airport"), 107);
    let fractions: Vec<f32> = seen
        .iter()
        .map(|progress| match progress {
            ImportProgress::Importing { fraction, rebuilding: false } => *fraction,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(fractions.is_sorted() && fractions.len() > 50, "{fractions:?}");
    assert_eq!((fractions.first(), fractions.last()), (Some(&0.0), Some(&1.0)));

    let (again, seen) = open(&folder.path().join("missing/folder"), CheckDepth::Quick);
    assert_eq!(count(&again.unwrap(), "SELECT count(*) FROM flight"), 336_776);
    assert!(seen.is_empty(), "the second start imported: {seen:?}");
}

#[test]
fn daily_sums_match_the_flights() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path(), CheckDepth::Quick).0.unwrap();
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
fn stopped_import_leaves_nothing() {
    // Stops between rows, and just before the longest statement.
    for from in [0.5, 0.88] {
        let folder = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let control = Control {
            stop: Arc::clone(&stop),
            progress: &|progress| {
                if matches!(progress, ImportProgress::Importing { fraction, .. } if fraction >= from) {
                    stop.store(true, Ordering::Relaxed);
                }
            },
        };
        let result = Database::open(folder.path(), BUNDLED, CheckDepth::Quick, &control);
        assert_eq!(result.err().unwrap().code(), "cancelled");
        assert_eq!(endings(folder.path()), ["lock"]);
    }
}

#[test]
fn damaged_database_is_set_aside_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let file = database_file(folder.path());
    for damage in [&b"this is not a database, it only has its name"[..], b""] {
        fs::write(&file, damage).unwrap();
        let (database, seen) = open(folder.path(), CheckDepth::Quick);
        let database = database.unwrap();
        assert!(matches!(seen[0], ImportProgress::Importing { rebuilding: true, .. }), "{seen:?}");
        assert_eq!(fs::read(database.set_aside().unwrap()).unwrap(), damage);
        assert_eq!(count(&database, "SELECT count(*) FROM flight"), 336_776);
    }
}

#[test]
fn damage_inside_is_found_by_the_thorough_check() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), CheckDepth::Quick).0.unwrap());
    let file = database_file(folder.path());
    let size = fs::metadata(&file).unwrap().len();
    fs::File::options().write(true).open(&file).unwrap().set_len(size / 2).unwrap();
    let (database, _) = open(folder.path(), CheckDepth::Thorough);
    assert!(database.unwrap().set_aside().is_some());
    assert_eq!(fs::metadata(&file).unwrap().len(), size);
    // A sound file is not replaced.
    assert!(open(folder.path(), CheckDepth::Thorough).0.unwrap().set_aside().is_none());
}

#[test]
fn unusable_folder_is_a_typed_error_and_retry_works() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let error = open(&blocked, CheckDepth::Quick).0.err().unwrap();
    assert_eq!(error.code(), "data-folder");
    assert!(error.to_string().ends_with("blocked"), "{error}");
    fs::remove_file(&blocked).unwrap();
    assert!(open(&blocked, CheckDepth::Quick).0.is_ok());
}

#[test]
fn damaged_data_set_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control { stop: never(), progress: &|_| {} };
    for (file, code) in [(&b"tiny"[..], "dataset-format"), (&BUNDLED[1_000..], "dataset-compression")] {
        let error = Database::open(folder.path(), file, CheckDepth::Quick, &control).err().unwrap();
        assert_eq!(error.code(), code);
    }
}

#[test]
fn killed_import_leaves_nothing_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = importer(folder.path());
    assert!(endings(folder.path()).contains(&"importing".to_owned()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!database_file(folder.path()).exists());
    let (database, seen) = open(folder.path(), CheckDepth::Quick);
    assert_eq!(count(&database.unwrap(), "SELECT count(*) FROM flight"), 336_776);
    assert!(!seen.is_empty());
    assert_eq!(endings(folder.path()), ["lock", "sqlite3"]);
}

#[test]
fn second_process_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = importer(folder.path());
    let (sender, reports) = mpsc::channel();
    let path = folder.path().to_owned();
    let waiter = std::thread::spawn(move || {
        let control = Control { stop: never(), progress: &|progress| sender.send(progress).unwrap() };
        Database::open(&path, BUNDLED, CheckDepth::Quick, &control)
            .map(|database| count(&database, "SELECT count(*) FROM flight"))
    });
    assert_eq!(reports.recv().unwrap(), ImportProgress::Waiting);
    child.stdin.take().unwrap().write_all(b"continue\n").unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), 336_776);
    assert!(reports.try_recv().is_err(), "the second process imported again");
    assert!(child.wait().unwrap().success());
}

/// Starts this test binary as another process, which imports into `folder`; returns in the middle of the import,
/// where the process waits for a line on its standard input.
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
    // Drains the later output, which would block the process otherwise.
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
            let middle = matches!(progress, ImportProgress::Importing { fraction, .. } if fraction > 0.5);
            if middle && !stopped.swap(true, Ordering::Relaxed) {
                let mut out = std::io::stdout();
                out.write_all(b"in the middle\n").and_then(|()| out.flush()).unwrap();
                let _ = std::io::stdin().read(&mut [0; 16]);
            }
        },
    };
    Database::open(Path::new(&folder), BUNDLED, CheckDepth::Quick, &control).unwrap();
}
