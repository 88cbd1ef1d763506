//! The flights in `SQLite`: one file in the plugin's data folder, written once and then only read.
//!
//! The file's name holds the schema version and the identity of the data set, so a newer plugin
//! never writes to the file that an older one reads.
//! The import fills a temporary file in the same folder, in one transaction, and renames it when it is complete: a
//! file with the final name is complete, and a killed import leaves nothing that a later start would use as data.
//! A lock file admits one importer at a time, across processes and across copies of this library in one process;
//! the others wait and then use its result.
//!
//! The journal is `SQLite`'s rollback journal, not a write-ahead log: the file is written once, and a log would need
//! a shared-memory file for every reader, even in a read-only folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, InterruptHandle, OpenFlags, OptionalExtension};
use thiserror::Error;

use crate::dataset::{self, DatasetError};

mod import;

pub(crate) use import::EPOCH;

/// Version of the tables; raise it when they change.
const SCHEMA_VERSION: i32 = 1;

/// `PLSA`, which identifies this kind of database to `file(1)` and in a hex dump.
const APPLICATION_ID: i32 = 0x504C_5341;

/// The reason why the flights are not available.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The data set inside the plugin cannot be decoded.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The data folder cannot be made or written.
    #[error("the data folder cannot be used ({source}); make it writable, then retry: {}", path.display())]
    Folder {
        /// The system's error.
        source: io::Error,
        /// The folder or the file in it.
        path: PathBuf,
    },
    /// There is no room for the database.
    #[error("the disk is full; free about 30 MB, then retry: {}", path.display())]
    Full {
        /// Path of the database.
        path: PathBuf,
    },
    /// The database's content is damaged.
    #[error("the database is damaged; retry to rebuild it: {}", path.display())]
    Damaged {
        /// Path of the database.
        path: PathBuf,
    },
    /// `SQLite` refused for another reason.
    #[error("the database cannot be read or written ({source}); retry: {}", path.display())]
    Sqlite {
        /// `SQLite`'s error.
        source: rusqlite::Error,
        /// Path of the database.
        path: PathBuf,
    },
    /// The work was stopped because its result is not needed any more.
    #[error("stopped")]
    Cancelled,
}

impl DatabaseError {
    /// Returns a stable code for logs and for the screen.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dataset(error) => error.code(),
            Self::Folder { .. } => "data-folder",
            Self::Full { .. } => "data-disk-full",
            Self::Damaged { .. } => "database-damaged",
            Self::Sqlite { .. } => "database",
            Self::Cancelled => "cancelled",
        }
    }

    /// Converts an `SQLite` error, classified by its remedy.
    pub(crate) fn sqlite(source: rusqlite::Error, path: &Path) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(Code::OperationInterrupted) => Self::Cancelled,
            Some(Code::DiskFull) => Self::Full { path },
            // `Unknown` means a missing table or column: another program changed the file.
            Some(Code::DatabaseCorrupt | Code::NotADatabase | Code::Unknown) => Self::Damaged { path },
            Some(Code::CannotOpen | Code::ReadOnly | Code::PermissionDenied) => {
                Self::Folder { source: io::Error::other(source), path }
            }
            _ => Self::Sqlite { source, path },
        }
    }

    fn folder(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Folder { source, path: path.to_owned() }
    }
}

/// The progress of an import.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ImportProgress {
    /// Another process is importing; this one will use its result.
    Waiting,
    /// This process is importing.
    Importing {
        /// Completed share, 0 to 1.
        fraction: f32,
        /// `true` if the import replaces a damaged database.
        rebuilding: bool,
    },
}

/// The depth of the check of an existing file before its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckDepth {
    /// Checks the version and the number of flights.
    Quick,
    /// Checks every page, too: for a file that has shown damage.
    Thorough,
}

/// The caller's control of an import: a flag to stop it, and a callback for progress.
pub struct Control<'a> {
    /// Set to stop; polled every few milliseconds, within long statements too.
    pub stop: Arc<AtomicBool>,
    /// Called on the importing thread, at each progress.
    pub progress: &'a dyn Fn(ImportProgress),
}

impl Control<'_> {
    fn check(&self) -> Result<(), DatabaseError> {
        if self.stop.load(Ordering::Relaxed) { Err(DatabaseError::Cancelled) } else { Ok(()) }
    }
}

/// A complete database, open for reading. `[one thread]`
pub struct Database {
    connection: Connection,
    path: PathBuf,
    set_aside: Option<PathBuf>,
}

impl Database {
    /// Opens the database in `folder`, and imports the compressed data set `file` first if the database is missing.
    /// A damaged database is renamed to end in `.damaged`, and imported again.
    pub fn open(
        folder: &Path,
        file: &[u8],
        check: CheckDepth,
        control: &Control<'_>,
    ) -> Result<Self, DatabaseError> {
        let path = folder.join(file_name(file)?);
        if check == CheckDepth::Quick
            && let Ok(Some(database)) = Self::open_existing(&path, check)
        {
            return Ok(database);
        }
        let set_aside = import::ensure(&path, file, check, control)?;
        let database = Self::open_existing(&path, CheckDepth::Quick)?;
        let missing = || DatabaseError::Damaged { path: path.clone() };
        Ok(Self { set_aside, ..database.ok_or_else(missing)? })
    }

    /// Opens the file at `path`, or returns `None` if it does not exist.
    fn open_existing(path: &Path, check: CheckDepth) -> Result<Option<Self>, DatabaseError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DatabaseError::folder(path)(error)),
            Ok(_) => {}
        }
        let connection = open_read_only(path).map_err(|error| DatabaseError::sqlite(error, path))?;
        let complete = is_complete(&connection, check).map_err(|error| DatabaseError::sqlite(error, path))?;
        if !complete {
            return Err(DatabaseError::Damaged { path: path.to_owned() });
        }
        Ok(Some(Self { connection, path: path.to_owned(), set_aside: None }))
    }

    /// Returns the path of the damaged database that this one replaced.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Returns a handle to interrupt a query from another thread; the query fails with [`DatabaseError::Cancelled`].
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// Returns the connection, and the path for errors.
    pub(crate) fn parts(&self) -> (&Connection, &Path) {
        (&self.connection, &self.path)
    }
}

/// Returns the file's name: `flights-v<schema>-<data set>.sqlite3`.
fn file_name(file: &[u8]) -> Result<String, DatabaseError> {
    let identity =
        dataset::identity(file).ok_or(DatasetError::Format { what: "a file too short", at: file.len() })?;
    Ok(format!("flights-v{SCHEMA_VERSION}-{identity}.sqlite3"))
}

fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    // Plain read-only, not immutable: a reader must notice a change of the file.
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn is_complete(connection: &Connection, check: CheckDepth) -> rusqlite::Result<bool> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let flights: Option<i64> = connection
        .query_row("SELECT value FROM meta WHERE key = 'flights'", [], |row| row.get(0))
        .optional()?;
    let counted: Option<i64> = connection.query_row("SELECT sum(flights) FROM daily", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION || flights.is_none() || flights != counted {
        return Ok(false);
    }
    if check == CheckDepth::Thorough {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        return Ok(verdict == "ok");
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
