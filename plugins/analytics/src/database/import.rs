//! Fills the database from the data set: one importer, one transaction, one rename.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use jiff::civil::{Date, date};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use telemetry::tracing;

use super::{APPLICATION_ID, CheckDepth, Control, Database, DatabaseError, ImportProgress, SCHEMA_VERSION};
use crate::dataset::{self, Dataset};

/// Day 0 of the stored days; `date(day * 86400, 'unixepoch')` formats them in SQL.
pub(crate) const EPOCH: Date = date(1970, 1, 1);

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE airline (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL) STRICT;
CREATE TABLE airport (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL) STRICT;
CREATE TABLE route (
    id INTEGER PRIMARY KEY,
    origin INTEGER NOT NULL REFERENCES airport,
    destination INTEGER NOT NULL REFERENCES airport,
    distance INTEGER NOT NULL
) STRICT;
CREATE TABLE tail (id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE flight (
    id INTEGER PRIMARY KEY,
    day INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    departure_delay INTEGER,
    arrival_delay INTEGER,
    air_time INTEGER,
    airline INTEGER NOT NULL REFERENCES airline,
    number INTEGER NOT NULL,
    route INTEGER NOT NULL REFERENCES route,
    tail INTEGER REFERENCES tail
) STRICT;
CREATE TABLE daily (
    day INTEGER NOT NULL,
    airline INTEGER NOT NULL REFERENCES airline,
    flights INTEGER NOT NULL,
    departed INTEGER NOT NULL,
    on_time INTEGER NOT NULL,
    departure_delay INTEGER NOT NULL,
    PRIMARY KEY (day, airline)
) STRICT, WITHOUT ROWID;
";

/// The sums for the dashboard by day and airline: 336,776 rows become under 6,000.
///
/// A flight is on time if it arrived less than 15 minutes late, by the rule of the US Department of Transportation;
/// a flight without an arrival is not.
const DAILY: &str = "
INSERT INTO daily
SELECT day, airline, count(*), count(departure_delay),
       count(*) FILTER (WHERE arrival_delay < 15),
       coalesce(sum(departure_delay), 0)
FROM flight GROUP BY day, airline
";

const FLIGHT: &str = "INSERT INTO flight VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Progress after the data set is decoded, and after its rows are written.
const DECODED: f32 = 0.08;
const WRITTEN: f32 = 0.88;

/// Steps of `SQLite`'s machine, about a millisecond, between two checks of the stop flag.
const STEPS: i32 = 50_000;

/// Ensures that `path` is a complete database, and returns the new path of a damaged one.
pub(super) fn ensure(
    path: &Path,
    file: &[u8],
    check: CheckDepth,
    control: &Control<'_>,
) -> Result<Option<PathBuf>, DatabaseError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(DatabaseError::folder(folder))?;
    // Held until this function returns; the system releases it if the process dies.
    let _lock = lock(&path.with_extension("lock"), control)?;
    let set_aside = match Database::open_existing(path, check) {
        Ok(Some(_)) => return Ok(None),
        Ok(None) => None,
        Err(DatabaseError::Damaged { .. }) => Some(set_aside(path)?),
        Err(error) => return Err(error),
    };
    if let Some(damaged) = &set_aside {
        tracing::warn!(path = %damaged.display(), "set a damaged database aside");
    }
    let start = Instant::now();
    let temporary = path.with_extension("importing");
    remove(&temporary)?;
    let result = write(&temporary, file, set_aside.is_some(), control);
    let moved = |rows| fs::rename(&temporary, path).map(|()| rows).map_err(DatabaseError::folder(path));
    match result.and_then(moved) {
        Ok(rows) => {
            let milliseconds = start.elapsed().as_millis() as u64;
            tracing::info!(rows, milliseconds, "imported the flights");
            Ok(set_aside)
        }
        Err(error) => {
            // The reason of the failure matters more than a leftover, which the next import removes.
            let _ = remove(&temporary);
            Err(error)
        }
    }
}

fn lock(path: &Path, control: &Control<'_>) -> Result<Option<File>, DatabaseError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(DatabaseError::folder(path))?;
    let mut reported = false;
    loop {
        control.check()?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                if !reported {
                    (control.progress)(ImportProgress::Waiting);
                    reported = true;
                }
                thread::sleep(Duration::from_millis(20));
            }
            // The file system has no locks; only SQLite's locks on the temporary file remain.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

fn set_aside(path: &Path) -> Result<PathBuf, DatabaseError> {
    let damaged = path.with_extension("sqlite3.damaged");
    fs::rename(path, &damaged).map_err(DatabaseError::folder(path))?;
    Ok(damaged)
}

/// Removes the file and the journal of a killed import.
fn remove(temporary: &Path) -> Result<(), DatabaseError> {
    let mut journal = temporary.as_os_str().to_owned();
    journal.push("-journal");
    for path in [temporary, Path::new(&journal)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DatabaseError::folder(path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates the database at `path`, and returns its number of flights.
fn write(path: &Path, file: &[u8], rebuilding: bool, control: &Control<'_>) -> Result<i64, DatabaseError> {
    let report = |fraction| (control.progress)(ImportProgress::Importing { fraction, rebuilding });
    report(0.0);
    let data = dataset::decode(file)?;
    control.check()?;
    report(DECODED);

    let sqlite = |error| DatabaseError::sqlite(error, path);
    let mut connection = Connection::open(path).map_err(sqlite)?;
    // The cache holds the complete file, so nothing is written before the commit.
    connection.pragma_update(None, "cache_size", -65_536).map_err(sqlite)?;
    // A statement may take a quarter of a second, and the thread that stops the import waits for its end.
    let stop = Arc::clone(&control.stop);
    connection.progress_handler(STEPS, Some(move || stop.load(Ordering::Relaxed))).map_err(sqlite)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    transaction.execute_batch(SCHEMA).map_err(sqlite)?;
    tables(&transaction, &data).map_err(sqlite)?;
    let flights = flights(&transaction, &data, path, control, &report)?;
    transaction.execute(DAILY, []).map_err(sqlite)?;
    control.check()?;
    report(0.97);
    let meta = "INSERT INTO meta VALUES (?1, ?2)";
    transaction.execute(meta, params!["flights", flights]).map_err(sqlite)?;
    transaction.execute(meta, params!["dataset", dataset::identity(file)]).map_err(sqlite)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    connection.close().map_err(|(_, error)| sqlite(error))?;
    report(1.0);
    Ok(flights)
}

fn tables(transaction: &Transaction<'_>, data: &Dataset) -> rusqlite::Result<()> {
    let mut airline = transaction.prepare("INSERT INTO airline VALUES (?1, ?2, ?3)")?;
    for (id, named) in (0_i64..).zip(&data.airlines) {
        airline.execute(params![id, named.code, named.name])?;
    }
    let mut airport = transaction.prepare("INSERT INTO airport VALUES (?1, ?2, ?3)")?;
    for (id, named) in (0_i64..).zip(&data.airports) {
        airport.execute(params![id, named.code, named.name])?;
    }
    let mut route = transaction.prepare("INSERT INTO route VALUES (?1, ?2, ?3, ?4)")?;
    for (id, entry) in (0_i64..).zip(&data.routes) {
        route.execute(params![id, entry.origin, entry.destination, entry.distance])?;
    }
    let mut tail = transaction.prepare("INSERT INTO tail VALUES (?1, ?2)")?;
    for (id, number) in (0_i64..).zip(&data.tails).skip(1) {
        tail.execute(params![id, number])?;
    }
    Ok(())
}

/// Writes the rows, and returns their number.
fn flights(
    transaction: &Transaction<'_>,
    data: &Dataset,
    path: &Path,
    control: &Control<'_>,
    report: &dyn Fn(f32),
) -> Result<i64, DatabaseError> {
    let sqlite = |error| DatabaseError::sqlite(error, path);
    let first = days_since_epoch(data.first_day);
    let mut insert = transaction.prepare(FLIGHT).map_err(sqlite)?;
    let mut written = 0;
    for (index, flight) in (0_i64..).zip(&data.flights) {
        if index % 2048 == 0 {
            control.check()?;
            report(DECODED + (WRITTEN - DECODED) * index as f32 / data.flights.len() as f32);
        }
        insert
            .execute(params![
                index + 1,
                first + i64::from(flight.day),
                flight.scheduled,
                flight.departure_delay,
                flight.arrival_delay,
                flight.air_time,
                flight.airline,
                flight.number,
                flight.route,
                (flight.tail != 0).then_some(flight.tail),
            ])
            .map_err(sqlite)?;
        written = index + 1;
    }
    report(WRITTEN);
    Ok(written)
}

/// Returns the number of days from 1970-01-01 to `day`.
pub(crate) fn days_since_epoch(day: Date) -> i64 {
    day.duration_since(EPOCH).as_secs() / 86_400
}
