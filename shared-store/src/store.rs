//! A participant's view of all atoms.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use abi_stable::std_types::{ROption, RSlice, RStr};
use plugin_api::{
    guard::catch,
    shared::{Consumer, notify_fn},
};

use crate::{
    Atom, StoreError,
    api::{CellArc, CellsArc},
    atom::AtomValue,
    bundled::Table,
    bytes::encode,
    error::{explain, from_provider},
    source::{Kind, Node, Readable, Sealed, Seen},
    sync::{Condvar, Mutex, RwLock, atomic::Ordering},
};

mod flush;
mod graph;
mod hooks;
mod listen;
mod paths;
mod persist;
mod pull;
mod tasks;
mod worker;

pub(crate) use self::hooks::Hooks;
pub(crate) use self::listen::Effect;
use self::{graph::Graph, worker::Worker};
pub use self::{
    hooks::{Cleanup, Intercept, cleanup},
    listen::{AtomChange, Listening},
    persist::Persisting,
    pull::Tracking,
    tasks::TaskGuard,
};

/// A participant's view of all atoms. `[thread-safe]`, cheap to clone.
///
/// Listeners and effects run on the thread that calls [`set`](Self::set) on this view or a clone of it, and for changes
/// by other participants on the thread that calls [`deliver`](Self::deliver) (for a remote: its own). While one thread
/// runs listeners, a change by another thread, or by a listener, is queued: the first thread delivers it.
/// The store holds no lock while it runs code of the participant, so a listener may do anything with the store,
/// including the end of its own listening. A panic of a listener is reported, and the other listeners run.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    cells: CellsArc,
    /// The nodes, by the addresses of the statics that they belong to.
    nodes: RwLock<HashMap<usize, Arc<Node>, BuildHasherDefault<AddressHasher>>>,
    graph: Mutex<Graph>,
    /// Notified at the end of each flush, task and save.
    quiet: Condvar,
    worker: Mutex<Worker>,
    report: RwLock<Option<Arc<Report>>>,
}

type Report = dyn Fn(&StoreError) + Send + Sync;

/// A hash of numbers that are spread already.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        // Fibonacci hashing: the table uses the highest and the lowest bits.
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn write_u32(&mut self, number: u32) {
        self.write_usize(number as usize);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Its own thread may have been the last owner, which `stop` respects.
        self.worker.get_mut().stop();
    }
}

impl Store {
    /// Creates a store with a table of its own, shared with no other participant.
    pub fn new() -> Self {
        let consumer = Consumer {
            name: "local".into(),
            grants: Vec::new().into(),
            all: true,
            isolated: false,
            notify: notify_fn(|| {}),
        };
        Self::from_cells(Table::new().bind(consumer))
    }

    /// Creates the view of the participant that `cells` is bound for.
    pub fn from_cells(cells: CellsArc) -> Self {
        Self(Arc::new(Inner {
            cells,
            nodes: RwLock::default(),
            graph: Mutex::default(),
            quiet: Condvar::new(),
            worker: Mutex::default(),
            report: RwLock::default(),
        }))
    }

    /// Ends every listener, effect, hook, timer, task and thread of this view, also for its clones.
    ///
    /// Clean-ups run, and persistent atoms are saved, before it returns. Afterwards each use is
    /// [`StoreError::Closed`].
    pub fn close(&self) {
        let (nodes, left) = {
            let mut graph = self.0.graph.lock();
            graph.closed = true;
            (std::mem::take(&mut *self.0.nodes.write()), graph.clear())
        };
        // Outside of the locks: what is dropped and cleaned up here is the participant's.
        left.end(self);
        let mut worker = std::mem::take(&mut *self.0.worker.lock());
        worker.stop();
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        nodes.sort_by_key(|(_, node)| node.id);
        for (_, node) in nodes {
            // A memo holds the nodes that were read, which may hold this one.
            let memo = std::mem::take(&mut *node.memo.lock());
            let hooks = std::mem::take(&mut *node.hooks.lock());
            self.contain("a destructor", || drop((memo, hooks)));
        }
        let report = self.0.report.write().take();
        drop(report);
        self.0.quiet.notify_all();
    }

    /// Returns the node of the source at `address`.
    pub(crate) fn node(
        &self,
        address: usize,
        make: impl FnOnce() -> Result<Kind, StoreError>,
    ) -> Result<Arc<Node>, StoreError> {
        if let Some(node) = self.0.nodes.read().get(&address) {
            return Ok(Arc::clone(node));
        }
        // Another image opens the cell; no lock is held.
        let kind = make()?;
        let mut graph = self.0.graph.lock();
        if graph.closed {
            return Err(StoreError::Closed);
        }
        let mut nodes = self.0.nodes.write();
        Ok(Arc::clone(nodes.entry(address).or_insert_with(|| graph.insert(kind))))
    }

    /// Opens the cell called `name`.
    pub(crate) fn open(&self, name: &'static str) -> Result<CellArc, StoreError> {
        from_provider(self.0.cells.open(RStr::from_str(name))).map_err(|error| explain(error, name, false))
    }

    /// Returns the epoch of `atom`: 0 until it is set, then growing with every change.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn epoch<T: AtomValue>(&self, atom: &'static Atom<T>) -> Result<u64, StoreError> {
        Ok(self.cell(atom)?.epoch())
    }

    fn cell<T: AtomValue>(&self, atom: &'static Atom<T>) -> Result<CellArc, StoreError> {
        match &Sealed::node(atom, self)?.kind {
            Kind::Atom { cell, .. } => Ok(cell.clone()),
            _ => Err(StoreError::Closed),
        }
    }

    /// Returns the current value of `source`. An atom is decoded once for each change.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn get<S: Readable>(&self, source: &'static S) -> Result<Arc<S::Value>, StoreError> {
        typed(&self.look(&source.node(self)?))
    }

    /// Returns a number that grows with every change of the value.
    pub(crate) fn version<S: Readable>(&self, source: &'static S) -> Result<u64, StoreError> {
        Ok(self.look(&source.node(self)?).version)
    }

    /// Sets `atom`, and runs this view's listeners if the value differs from the present one.
    ///
    /// The value replaces the stored one, including members that this build does not know;
    /// [`update`](Self::update) keeps them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set<T: AtomValue>(&self, atom: &'static Atom<T>, value: &T) -> Result<(), StoreError> {
        let node = Sealed::node(atom, self).map_err(|error| explain(error, atom.name(), true))?;
        let intercepted = Self::intercept(&node, value)?;
        let value = match &intercepted {
            Intercept::Keep => value,
            Intercept::Change(changed) => changed,
            Intercept::Veto => return Ok(()),
        };
        if let Some(equal) = atom.equality()
            && let Ok(present) = typed::<T>(&self.look(&node))
            && self.contain("the equality of an atom", || equal(&present, value)).unwrap_or(false)
        {
            return Ok(());
        }
        let bytes = encode(value).map_err(|e| StoreError::encode(atom.name(), &e))?;
        self.write(&node, ROption::RNone, &bytes)
    }

    /// Sets `atom` to its initial value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn reset<T: AtomValue>(&self, atom: &'static Atom<T>) -> Result<(), StoreError> {
        self.set(atom, &atom.init())
    }

    fn write(&self, node: &Node, expected: ROption<u64>, bytes: &[u8]) -> Result<(), StoreError> {
        let Kind::Atom { atom, cell } = &node.kind else { return Err(StoreError::Closed) };
        let epoch = from_provider(cell.write(expected, RSlice::from_slice(bytes)))
            .map_err(|error| explain(error, atom.name(), true))?;
        if node.active.load(Ordering::Relaxed) {
            self.learn(node, *atom, epoch, bytes);
        }
        self.mark(node.id);
        Ok(())
    }

    /// Creates a reader, which keeps the decoded value of `atom`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn reader<T: AtomValue>(&self, atom: &'static Atom<T>) -> Result<Reader<T>, StoreError> {
        let node = Sealed::node(atom, self)?;
        let cell = self.cell(atom)?;
        let seen = self.look(&node);
        Ok(Reader { store: self.clone(), node, cell, epoch: seen.epoch, value: typed(&seen)? })
    }

    /// Sets the function that receives errors without a caller: panics of listeners, failing effects, and values that
    /// cannot be saved. Without one they are written to standard error.
    ///
    /// It runs on the thread of the failure.
    pub fn on_error(&self, f: impl Fn(&StoreError) + Send + Sync + 'static) {
        let before = self.0.report.write().replace(Arc::new(f));
        drop(before);
    }

    fn report(&self, error: &StoreError) {
        let report = self.0.report.read().clone();
        match report {
            Some(report) => drop(catch(|| report(error))),
            None => eprintln!("shared-store: {error} [{}]", error.code()),
        }
    }

    /// Runs the participant's code; reports its panic.
    fn contain<R>(&self, what: &str, f: impl FnOnce() -> R) -> Option<R> {
        catch(f).inspect_err(|panic| self.report(&StoreError::panicked(what, panic))).ok()
    }
}

/// Returns the value with its type.
fn typed<T: Send + Sync + 'static>(seen: &Seen) -> Result<Arc<T>, StoreError> {
    match &seen.value {
        // A node belongs to one static, whose type does not change.
        Ok(value) => Arc::clone(value).downcast().map_err(|_| StoreError::Closed),
        Err(error) => Err(StoreError::clone(error)),
    }
}

/// The decoded value of an atom: reading it again costs one call while it is unchanged.
pub struct Reader<T: 'static> {
    store: Store,
    node: Arc<Node>,
    cell: CellArc,
    epoch: u64,
    value: Arc<T>,
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("node", &self.node).finish_non_exhaustive()
    }
}

impl<T: AtomValue> Reader<T> {
    /// Returns the current value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn get(&mut self) -> Result<&T, StoreError> {
        if self.cell.epoch() != self.epoch {
            let seen = self.store.look(&self.node);
            self.value = typed(&seen)?;
            self.epoch = seen.epoch;
        }
        Ok(&self.value)
    }
}

#[cfg(test)]
mod tests;
