//! The implementation that every image carries.
//!
//! Each participant sees the table of named cells through a binding, which knows the participant's grants.

use std::{collections::BTreeMap, sync::Arc};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption, RResult, RSlice, RStr, RVec},
};
use plugin_api::{
    abi::RemoteError,
    guard::catch,
    shared::{Consumer, NotifyArc},
};

use crate::{
    api::{Cell, Cell_TO, CellArc, Cells, Cells_TO, CellsArc, Fault, Snapshot},
    bytes::Wiped,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The longest encoded value that a cell accepts, in bytes.
pub const MAX_VALUE: usize = 16 << 20;

/// A table of cells.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Names>>);

#[derive(Default)]
struct Names {
    cells: BTreeMap<String, Arc<Stored>>,
    bindings: u64,
}

/// A cell.
struct Stored {
    name: String,
    /// Changes under the lock of `content` only.
    epoch: AtomicU64,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    /// The value. Each cell's bytes are overwritten when they are replaced or dropped: the provider does not know
    /// which values are secret.
    value: Option<Wiped>,
    /// The participants to notify of a change, by binding; shared, so that a write copies no list.
    notify: Arc<Vec<(u64, NotifyArc)>>,
}

impl Table {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds the table for `consumer`, or a fresh table if the consumer is isolated. Notifications end when the last
    /// clone of the binding and of the cells that it opened is dropped.
    pub fn bind(&self, consumer: Consumer) -> CellsArc {
        let table = if consumer.isolated { Self::new() } else { self.clone() };
        let id = {
            let mut names = table.0.lock();
            names.bindings += 1;
            names.bindings
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
        let cells: Vec<_> = self.table.0.lock().cells.values().cloned().collect();
        for cell in cells {
            let mut content = cell.content.lock();
            if let Some(at) = content.notify.iter().position(|(id, _)| *id == self.id) {
                // Dropped after the lock: the callback is another image's.
                let removed = Arc::make_mut(&mut content.notify).remove(at);
                drop(content);
                drop(removed);
            }
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

    /// Returns the cell called `name`, and adds this binding to those that are notified of its changes.
    fn open(&self, name: &str) -> Result<Arc<Stored>, Fault> {
        self.check(name, false)?;
        let cell = Arc::clone(self.table.0.lock().cells.entry(name.to_owned()).or_insert_with(|| {
            let (epoch, content) = Default::default();
            Arc::new(Stored { name: name.to_owned(), epoch, content })
        }));
        let mut content = cell.content.lock();
        if content.notify.iter().all(|(id, _)| *id != self.id) {
            Arc::make_mut(&mut content.notify).push((self.id, self.consumer.notify.clone()));
        }
        drop(content);
        Ok(cell)
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
    fn open(&self, name: RStr<'_>) -> RResult<CellArc, Fault> {
        guarded(|| {
            let cell = self.0.open(name.as_str())?;
            Ok(Cell_TO::from_ptr(RArc::new(Opened { bound: Arc::clone(&self.0), cell }), TD_Opaque))
        })
    }
}

/// A cell as one binding sees it.
#[derive(Clone)]
struct Opened {
    bound: Arc<Bound>,
    cell: Arc<Stored>,
}

impl Cell for Opened {
    fn epoch(&self) -> u64 {
        self.cell.epoch.load(Ordering::Acquire)
    }

    fn read(&self) -> RResult<Snapshot, Fault> {
        guarded(|| {
            let content = self.cell.content.lock();
            Ok(Snapshot {
                epoch: self.cell.epoch.load(Ordering::Acquire),
                value: content.value.as_ref().map(|bytes| RVec::from(bytes.to_vec())).into(),
            })
        })
    }

    fn write(&self, expected: ROption<u64>, value: RSlice<'_, u8>) -> RResult<u64, Fault> {
        guarded(|| self.set(expected.into_option(), value.as_slice()))
    }
}

impl Opened {
    fn set(&self, expected: Option<u64>, value: &[u8]) -> Result<u64, Fault> {
        let name = &self.cell.name;
        self.bound.check(name, true)?;
        let fault = |code: &str, message: String| Fault { code: code.into(), message: message.into() };
        if value.len() > MAX_VALUE {
            return Err(fault(
                Fault::REFUSED,
                format!(
                    "the value for `{name}` has {} bytes, over the limit of {MAX_VALUE}; keep it in a file and its \
                     name in the atom",
                    value.len()
                ),
            ));
        }
        let mut content = self.cell.content.lock();
        let epoch = self.cell.epoch.load(Ordering::Acquire);
        if expected.is_some_and(|expected| expected != epoch) {
            return Err(fault(
                Fault::CONFLICT,
                format!(
                    "another participant changed `{name}` between reading and writing; read it and try again, as \
                     `Store::update` does"
                ),
            ));
        }
        if content.value.as_ref().is_some_and(|present| **present == *value) {
            return Ok(epoch);
        }
        content.value.get_or_insert_default().replace(value);
        self.cell.epoch.store(epoch + 1, Ordering::Release);
        let notify = Arc::clone(&content.notify);
        drop(content);
        // Outside of the lock: a notified participant may call the store at once.
        for (_, consumer) in notify.iter() {
            consumer.notify();
        }
        Ok(epoch + 1)
    }
}
