//! The flights in `SQLite`: one file in the plugin's data folder, written once and then only read.
//!
//! The file's name holds the schema version and the identity of the data set, so a newer plugin
//! never writes to the file that an older one reads.
//! The import fills a file beside it, in one transaction, and renames that file into place when
//! it is whole: what has the final name is complete, and a killed import leaves nothing that a
//! later start would take for data.
//! A lock file lets one importer through at a time, across processes and across copies of this
//! library in one process; the others wait and find the work done.
//!
//! The journal is `SQLite`'s rollback journal, not a write-ahead log: there is one write in the
//! life of the file, and a log would need a shared-memory file for every reader, even in a
//! folder that cannot be written.

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

/// Raised when the tables change.
const SCHEMA_VERSION: i32 = 1;

/// `PLSA`: tells `file(1)` and people what this database is.
const APPLICATION_ID: i32 = 0x504C_5341;

/// Why the flights are not available.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The data set inside the plugin cannot be decoded.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The data folder cannot be made or written.
    #[error("the data folder cannot be used ({source}); make it writable, then retry: {}", path.display())]
    Folder {
        /// What the system said.
        source: io::Error,
        /// The folder or the file in it.
        path: PathBuf,
    },
    /// There is no room for the database.
    #[error("the disk is full; free about 30 MB, then retry: {}", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The database's content is damaged.
    #[error("the database is damaged; retry to rebuild it: {}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
    },
    /// `SQLite` refused for another reason.
    #[error("the database cannot be read or written ({source}); retry: {}", path.display())]
    Sqlite {
        /// What `SQLite` said.
        source: rusqlite::Error,
        /// The database.
        path: PathBuf,
    },
    /// The work was stopped because its result is no longer wanted.
    #[error("stopped")]
    Cancelled,
}

impl DatabaseError {
    /// A stable code for logs and for the screen.
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

    /// Sorts an `SQLite` error by what can be done about it.
    pub(crate) fn sqlite(source: rusqlite::Error, path: &Path) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(Code::OperationInterrupted) => Self::Cancelled,
            Some(Code::DiskFull) => Self::Full { path },
            // Unknown is a table or a column that is not there: the file was changed from outside.
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

/// What an import is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process is importing; its work will be used.
    Waiting,
    /// This process is importing.
    Importing {
        /// 0 to 1.
        fraction: f32,
        /// Whether a damaged database is being replaced.
        rebuilding: bool,
    },
}

/// How much of an existing file is checked before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// That it says it is complete.
    Quick,
    /// Every page. For a file that has shown damage.
    Thorough,
}

/// The caller's hold on an import: how to stop it and where it reports.
pub struct Control<'a> {
    /// Set to stop; looked at every few milliseconds, within long statements too.
    pub stop: Arc<AtomicBool>,
    /// Called with what is being done, on the importing thread.
    pub progress: &'a dyn Fn(Progress),
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
    /// Opens the database in `folder`, importing the compressed data set `file` when it is not
    /// there yet. A damaged database is renamed to end in `.damaged` and imported again.
    pub fn open(
        folder: &Path,
        file: &[u8],
        check: Check,
        control: &Control<'_>,
    ) -> Result<Self, DatabaseError> {
        let path = folder.join(file_name(file)?);
        if check == Check::Quick
            && let Ok(Some(database)) = Self::open_existing(&path, check)
        {
            return Ok(database);
        }
        let set_aside = import::ensure(&path, file, check, control)?;
        let database = Self::open_existing(&path, Check::Quick)?;
        let missing = || DatabaseError::Damaged { path: path.clone() };
        Ok(Self { set_aside, ..database.ok_or_else(missing)? })
    }

    /// The file, or `None` when there is none.
    fn open_existing(path: &Path, check: Check) -> Result<Option<Self>, DatabaseError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DatabaseError::folder(path)(error)),
            Ok(_) => {}
        }
        let connection = open_read_only(path).map_err(|error| DatabaseError::sqlite(error, path))?;
        let whole = is_complete(&connection, check).map_err(|error| DatabaseError::sqlite(error, path))?;
        if !whole {
            return Err(DatabaseError::Damaged { path: path.to_owned() });
        }
        Ok(Some(Self { connection, path: path.to_owned(), set_aside: None }))
    }

    /// Where a damaged database went when this one replaced it.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Ends a running query from another thread; that query is [`DatabaseError::Cancelled`].
    pub fn interrupt_handle(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// The connection and the path for errors.
    pub(crate) fn parts(&self) -> (&Connection, &Path) {
        (&self.connection, &self.path)
    }
}

/// `flights-v<schema>-<data set>.sqlite3`.
fn file_name(file: &[u8]) -> Result<String, DatabaseError> {
    let identity =
        dataset::identity(file).ok_or(DatasetError::Format { what: "a file too short", at: file.len() })?;
    Ok(format!("flights-v{SCHEMA_VERSION}-{identity}.sqlite3"))
}

fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    // Opened as plain read-only, not as immutable: a reader must notice when the file is changed.
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn is_complete(connection: &Connection, check: Check) -> rusqlite::Result<bool> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let flights: Option<i64> = connection
        .query_row("SELECT value FROM meta WHERE key = 'flights'", [], |row| row.get(0))
        .optional()?;
    let counted: Option<i64> = connection.query_row("SELECT sum(flights) FROM daily", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION || flights.is_none() || flights != counted {
        return Ok(false);
    }
    if check == Check::Thorough {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        return Ok(verdict == "ok");
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
