#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, sync::mpsc, time::Duration};

use super::*;

struct Bench {
    worker: QueryWorker,
    woken: mpsc::Receiver<()>,
}

impl Bench {
    fn new(folder: &Path, range: QuickRange) -> Self {
        let (wake, woken) = mpsc::channel();
        let wake = Arc::new(move || {
            let _ = wake.send(());
        });
        Self { worker: QueryWorker::spawn(folder.to_owned(), range, wake).unwrap(), woken }
    }

    /// Waits until the view satisfies `condition`.
    fn until(&self, condition: impl Fn(&View) -> bool) -> View {
        loop {
            let view = self.worker.view();
            if condition(&view) {
                return view;
            }
            self.woken.recv_timeout(Duration::from_mins(1)).expect("the worker sent no wake-up for a minute");
        }
    }

    fn report(&self, range: QuickRange) -> Arc<RangeReport> {
        let shown = |view: &View| view.report.as_ref().is_some_and(|report| report.range == range);
        self.until(shown).report.unwrap()
    }
}

#[test]
fn imports_then_answers_requests() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path(), QuickRange::Year);
    bench.until(|view| matches!(view.phase, Phase::Importing(_)));
    assert_eq!(bench.report(QuickRange::Year).current.totals.flights, 336_776);
    bench.worker.request(QuickRange::Week);
    assert_eq!(bench.report(QuickRange::Week).current.totals.flights, 6_064);
    assert_eq!(bench.worker.view().phase, Phase::Ready);
}

#[test]
fn newest_request_wins() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path(), QuickRange::Year);
    bench.report(QuickRange::Year);
    for _ in 0..200 {
        for range in QuickRange::ALL {
            bench.worker.request(range);
        }
        bench.worker.request(QuickRange::Month);
    }
    assert_eq!(bench.report(QuickRange::Month).current.totals.flights, 27_148);
    bench.worker.request(QuickRange::Week);
    bench.report(QuickRange::Week);
    assert_eq!(bench.worker.view().phase, Phase::Ready);
}

#[test]
fn drop_stops_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path(), QuickRange::Year);
    bench.until(|view| matches!(view.phase, Phase::Importing(_)));
    let Bench { worker, woken } = bench;
    drop(worker);
    // The thread has ended: it held the sender, and of the import only the lock file remains.
    while woken.try_recv().is_ok() {}
    assert_eq!(woken.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    let mut left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(left.all(|path| path.extension().is_some_and(|end| end == "lock")));
}

#[test]
fn failure_is_shown_and_retry_works() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("data");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let bench = Bench::new(&blocked, QuickRange::Year);
    let view = bench.until(|view| matches!(view.phase, Phase::Failed(_)));
    let Phase::Failed(failure) = view.phase else { unreachable!() };
    assert_eq!(failure.code, "data-folder");
    fs::remove_file(&blocked).unwrap();
    bench.worker.request(QuickRange::Year);
    assert_eq!(bench.report(QuickRange::Year).current.totals.flights, 336_776);
}

#[test]
fn damage_found_by_a_query_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    drop({
        let bench = Bench::new(folder.path(), QuickRange::Year);
        bench.report(QuickRange::Year);
        bench
    });
    // A report reads the airlines' names last, so the start succeeds and a query fails.
    let file = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "sqlite3"))
        .unwrap();
    let connection = rusqlite::Connection::open(&file).unwrap();
    let root: i64 = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'airline'", [], |row| row.get(0))
        .unwrap();
    let size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    drop(connection);
    let mut bytes = fs::read(&file).unwrap();
    let start = ((root - 1) * size) as usize;
    bytes[start..start + size as usize].fill(0xA5);
    fs::write(&file, bytes).unwrap();

    let bench = Bench::new(folder.path(), QuickRange::Year);
    let report = bench.report(QuickRange::Year);
    assert_eq!(report.carriers.len(), 16);
    assert!(bench.worker.view().set_aside.is_some_and(|path| path.exists()));
}
