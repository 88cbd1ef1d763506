//! The implementation that every image carries.
//!
//! Each participant sees the table of named cells through a binding, which knows the participant's grants.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption, RResult, RStr, RVec},
};
use parking_lot::Mutex;
use plugin_api::{
    abi::RemoteError,
    guard::catch,
    shared::{Consumer, NotifyArc},
};

use crate::api::{Cell, Cells, Cells_TO, CellsArc, Fault, Snapshot};

/// The longest encoded value that a cell accepts, in bytes.
pub const MAX_VALUE: usize = 16 << 20;

/// A table of cells.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    names: BTreeMap<String, usize>,
    cells: Vec<CellState>,
    bindings: u64,
}

struct CellState {
    name: String,
    epoch: RArc<AtomicU64>,
    value: Option<Vec<u8>>,
    /// The participants to notify of a change, by binding.
    notify: BTreeMap<u64, NotifyArc>,
}

impl Table {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds the table for `consumer`, or a fresh table if the consumer is isolated. Notifications end when the last
    /// clone of the binding is dropped.
    pub fn bind(&self, consumer: Consumer) -> CellsArc {
        let table = if consumer.isolated { Self::new() } else { self.clone() };
        let id = {
            let mut inner = table.0.lock();
            inner.bindings += 1;
            inner.bindings
        };
        let binding = Binding(Arc::new(Bound { table, consumer, id }));
        Cells_TO::from_ptr(RArc::new(binding), TD_Opaque)
    }
}

#[derive(Clone)]
struct Binding(Arc<Bound>);

struct Bound {
    table: Table,
    consumer: Consumer,
    id: u64,
}

impl Drop for Bound {
    fn drop(&mut self) {
        for cell in &mut self.table.0.lock().cells {
            cell.notify.remove(&self.id);
        }
    }
}

impl Bound {
    fn check(&self, name: &str, write: bool) -> Result<(), Fault> {
        let granted =
            self.consumer.all || self.consumer.grants.iter().any(|g| g.name == name && (g.write || !write));
        if granted {
            return Ok(());
        }
        let access = if write { "write" } else { "read" };
        Err(Fault {
            code: Fault::NOT_GRANTED.into(),
            message: format!(
                "`{}` may not {access} the atom `{name}`, which the host does not grant; ask for it under `atoms` \
                 in the remote's manifest, and grant it under `grants` in the host's",
                self.consumer.name
            )
            .into(),
        })
    }

    fn open(&self, name: &str) -> Result<Cell, Fault> {
        self.check(name, false)?;
        let mut inner = self.table.0.lock();
        let inner = &mut *inner;
        let id = *inner.names.entry(name.to_owned()).or_insert_with(|| {
            inner.cells.push(CellState {
                name: name.to_owned(),
                epoch: RArc::new(AtomicU64::new(0)),
                value: None,
                notify: BTreeMap::new(),
            });
            inner.cells.len() - 1
        });
        let cell = &mut inner.cells[id];
        cell.notify.insert(self.id, self.consumer.notify.clone());
        Ok(Cell { id: id as u64, epoch: cell.epoch.clone() })
    }

    /// Runs `f` on a cell that this binding may use.
    fn with<R>(
        &self,
        id: u64,
        write: bool,
        f: impl FnOnce(&mut CellState) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let mut inner = self.table.0.lock();
        let cell = usize::try_from(id).ok().and_then(|i| inner.cells.get_mut(i));
        let cell = cell.ok_or_else(|| Fault {
            code: Fault::REFUSED.into(),
            message: format!(
                "`{}` asks for cell {id}, which this store does not have; use a cell with the store that opened \
                 it",
                self.consumer.name
            )
            .into(),
        })?;
        self.check(&cell.name, write)?;
        f(cell)
    }
}

/// Runs `f` and turns a panic into a fault; beyond the boundary a panic ends the process.
fn guarded<T>(f: impl FnOnce() -> Result<T, Fault>) -> RResult<T, Fault> {
    let failed = |panic: RemoteError| Fault {
        code: Fault::REFUSED.into(),
        message: format!("the store's provider panicked at {}: {}", panic.location, panic.message).into(),
    };
    catch(f).unwrap_or_else(|panic| Err(failed(panic))).into()
}

impl Cells for Binding {
    fn open(&self, name: RStr<'_>) -> RResult<Cell, Fault> {
        guarded(|| self.0.open(name.as_str()))
    }

    fn read(&self, cell: u64) -> RResult<Snapshot, Fault> {
        guarded(|| {
            self.0.with(cell, false, |cell| {
                Ok(Snapshot {
                    epoch: cell.epoch.load(Ordering::Acquire),
                    value: cell.value.clone().map(RVec::from).into(),
                })
            })
        })
    }

    fn write(&self, cell: u64, expected: ROption<u64>, value: RVec<u8>) -> RResult<u64, Fault> {
        guarded(|| self.set(cell, expected, value))
    }
}

impl Binding {
    fn set(&self, cell: u64, expected: ROption<u64>, value: RVec<u8>) -> Result<u64, Fault> {
        let written = self.0.with(cell, true, |cell| {
            let epoch = cell.epoch.load(Ordering::Acquire);
            if let ROption::RSome(expected) = expected
                && expected != epoch
            {
                return Err(Fault {
                    code: Fault::CONFLICT.into(),
                    message: format!(
                        "another participant changed `{}` between reading and writing; read it and try again, \
                         as `Store::update` does",
                        cell.name
                    )
                    .into(),
                });
            }
            if value.len() > MAX_VALUE {
                return Err(Fault {
                    code: Fault::REFUSED.into(),
                    message: format!(
                        "the value for `{}` has {} bytes, over the limit of {MAX_VALUE}; keep it in a file and \
                         its name in the atom",
                        cell.name,
                        value.len()
                    )
                    .into(),
                });
            }
            cell.value = Some(value.into());
            cell.epoch.store(epoch + 1, Ordering::Release);
            Ok((epoch + 1, cell.notify.values().cloned().collect::<Vec<_>>()))
        });
        // Outside of the lock: a notified participant may call the store at once.
        written.map(|(epoch, notify)| {
            for consumer in &notify {
                consumer.notify();
            }
            epoch
        })
    }
}
