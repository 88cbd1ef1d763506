//! A participant's view of all atoms.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use abi_stable::std_types::{ROption, RResult, RSlice, RStr};
use parking_lot::Mutex;
use plugin_api::{
    entry,
    shared::{Consumer, notify_fn},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Atom,
    api::{CellArc, CellsArc, Fault, Snapshot},
    bundled::Table,
    bytes::{Received, encode},
};

/// The reason why an atom could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The image's store was used before the host installed it.
    #[error("the store was used before it was negotiated: use atoms only after `init`, not in statics")]
    NotInstalled,
    /// The image runs, and its remote does not share the store.
    #[error(
        "this remote uses `shared-store` without sharing it, so it does not see the other participants' atoms; add \
         `shared_store` to `shared` in its `export!`, and `shared-store` to `shared` in its manifest"
    )]
    NotShared,
    /// The host does not grant the access.
    #[error("{0}")]
    NotGranted(String),
    /// Another participant wrote between reading and writing.
    #[error("{0}")]
    Conflict(String),
    /// The provider refused.
    #[error("{0}")]
    Refused(String),
    /// The stored value is not a `T` of this build.
    #[error(
        "the value of `{atom}` does not fit the type that this build has for it: {message}; let the types agree, \
         with `#[serde(default)]` on new fields, or give one of the atoms another name"
    )]
    Decode {
        /// Name of the atom.
        atom: String,
        /// The mismatch, with its place in the JSON.
        message: String,
    },
    /// The value has no JSON form.
    #[error("the value for `{atom}` cannot be encoded: {message}; give the atom a type that JSON can hold")]
    Encode {
        /// Name of the atom.
        atom: String,
        /// The part without a form.
        message: String,
    },
}

impl StoreError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotInstalled => "used-before-negotiation",
            Self::NotShared => "store-not-shared",
            Self::NotGranted(_) => Fault::NOT_GRANTED,
            Self::Conflict(_) => Fault::CONFLICT,
            Self::Refused(_) => Fault::REFUSED,
            Self::Decode { .. } => "atom-decode",
            Self::Encode { .. } => "atom-encode",
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let message = fault.message.into_string();
        match fault.code.as_str() {
            Fault::NOT_GRANTED => Self::NotGranted(message),
            Fault::CONFLICT => Self::Conflict(message),
            _ => Self::Refused(message),
        }
    }
}

fn from_provider<T>(result: RResult<T, Fault>) -> Result<T, StoreError> {
    result.into_result().map_err(StoreError::from)
}

/// Names the true cause of a refusal: only this image knows what its manifest asks for.
fn explain(error: StoreError, atom: &str, write: bool) -> StoreError {
    let (StoreError::NotGranted(_), Some(asked)) = (&error, entry::asks_for(atom, write)) else { return error };
    let access = if write { "write" } else { "read" };
    StoreError::NotGranted(if asked {
        format!(
            "this remote may not {access} the atom `{atom}`: its manifest asks for it, but the host does not grant \
             it; grant it under `grants` in the host's manifest"
        )
    } else {
        format!(
            "this remote may not {access} the atom `{atom}`: its manifest does not ask for {access} access; set \
             `\"{atom}\": \"{access}\"` under `atoms`, and let the host grant it"
        )
    })
}

/// A participant's view of all atoms. `[thread-safe]`, cheap to clone.
///
/// Listeners run on the thread that calls [`set`](Self::set) on this view or a clone of it, and for changes by
/// other participants on the thread that calls [`deliver`](Self::deliver) (for a remote: its own); never under a
/// lock. A panic of a listener is reported, and the other listeners run.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    cells: CellsArc,
    open: Mutex<HashMap<&'static str, Arc<Local>>>,
}

/// This image's state of a cell.
struct Local {
    name: &'static str,
    cell: CellArc,
    decoded: Mutex<Option<(u64, Arc<dyn Any + Send + Sync>)>>,
    listeners: Mutex<Vec<Arc<Listener>>>,
}

struct Listener {
    /// The last epoch for which the listener was called.
    delivered: AtomicU64,
    call: Box<dyn Fn() + Send + Sync>,
}

/// Keeps a listener alive; dropping it ends the listening.
#[must_use = "dropping this ends the listening"]
pub struct Listening {
    local: Weak<Local>,
    listener: Weak<Listener>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let (Some(local), Some(listener)) = (self.local.upgrade(), self.listener.upgrade()) {
            // Dropped after the lock: the listener's captures run their owner's code.
            let mut listeners = local.listeners.lock();
            let removed =
                listeners.iter().position(|l| Arc::ptr_eq(l, &listener)).map(|at| listeners.remove(at));
            drop(listeners);
            drop(removed);
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
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
        Self(Arc::new(Inner { cells, open: Mutex::default() }))
    }

    fn local(&self, name: &'static str) -> Result<Arc<Local>, StoreError> {
        self.local_for(name, false)
    }

    /// Opens a cell; `write` only chooses the words of a refusal.
    fn local_for(&self, name: &'static str, write: bool) -> Result<Arc<Local>, StoreError> {
        let mut open = self.0.open.lock();
        if let Some(local) = open.get(name) {
            return Ok(Arc::clone(local));
        }
        let cell = from_provider(self.0.cells.open(RStr::from_str(name)))
            .map_err(|error| explain(error, name, write))?;
        let local = Arc::new(Local { name, cell, decoded: Mutex::default(), listeners: Mutex::default() });
        open.insert(name, Arc::clone(&local));
        Ok(local)
    }

    /// Returns the epoch of `atom`: 0 until it is set, then growing with every change.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn epoch<T: AtomValue>(&self, atom: &Atom<T>) -> Result<u64, StoreError> {
        Ok(self.local(atom.name())?.cell.epoch())
    }

    /// Returns the current value of `atom`, decoded once for each change.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn get<T: AtomValue>(&self, atom: &Atom<T>) -> Result<Arc<T>, StoreError> {
        self.read(&*self.local(atom.name())?, atom).map(|(_, value)| value)
    }

    fn read<T: AtomValue>(&self, local: &Local, atom: &Atom<T>) -> Result<(u64, Arc<T>), StoreError> {
        let now = local.cell.epoch();
        if let Some((epoch, value)) = &*local.decoded.lock()
            && *epoch == now
            // Two atoms of one name may have different types; each then decodes for itself.
            && let Ok(value) = Arc::clone(value).downcast::<T>()
        {
            return Ok((now, value));
        }
        let Snapshot { epoch, value } = from_provider(local.cell.read())?;
        let value = Arc::new(match value {
            ROption::RNone => atom.initial(),
            ROption::RSome(bytes) => serde_json::from_slice(Received::new(bytes).as_slice())
                .map_err(|e| StoreError::Decode { atom: local.name.to_owned(), message: e.to_string() })?,
        });
        let mut decoded = local.decoded.lock();
        if decoded.as_ref().is_none_or(|(have, _)| *have <= epoch) {
            let cached: Arc<dyn Any + Send + Sync> = Arc::clone(&value) as _;
            *decoded = Some((epoch, cached));
        }
        Ok((epoch, value))
    }

    /// Sets `atom` and runs this view's listeners.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set<T: AtomValue>(&self, atom: &Atom<T>, value: &T) -> Result<(), StoreError> {
        self.write(atom, ROption::RNone, value)
    }

    fn write<T: AtomValue>(&self, atom: &Atom<T>, expected: ROption<u64>, value: &T) -> Result<(), StoreError> {
        let local = self.local_for(atom.name(), true)?;
        let bytes = encode(value)
            .map_err(|e| StoreError::Encode { atom: local.name.to_owned(), message: e.to_string() })?;
        from_provider(local.cell.write(expected, RSlice::from_slice(&bytes)))
            .map_err(|error| explain(error, local.name, true))?;
        deliver(&local);
        Ok(())
    }

    /// Sets `atom` to `f` of its value; after a concurrent write it calls `f` again, with the new value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn update<T: AtomValue>(&self, atom: &Atom<T>, f: impl Fn(&T) -> T) -> Result<(), StoreError> {
        let local = self.local(atom.name())?;
        loop {
            let (epoch, value) = self.read(&local, atom)?;
            match self.write(atom, ROption::RSome(epoch), &f(&value)) {
                Err(StoreError::Conflict(_)) => {}
                done => return done,
            }
        }
    }

    /// Calls `f` with the value after every change, until the result is dropped.
    ///
    /// Changes that follow each other quickly may arrive as one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn listen<T: AtomValue>(
        &self,
        atom: &'static Atom<T>,
        f: impl Fn(&T) + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        let local = self.local(atom.name())?;
        let (store, weak) = (Arc::downgrade(&self.0), Arc::downgrade(&local));
        let call = move || {
            let (Some(inner), Some(local)) = (store.upgrade(), weak.upgrade()) else { return };
            // `get`, which the caller uses too, reports a value of another build that does not decode.
            if let Ok((_, value)) = Self(inner).read(&local, atom) {
                f(&value);
            }
        };
        let delivered = AtomicU64::new(local.cell.epoch());
        let listener = Arc::new(Listener { delivered, call: Box::new(call) });
        let listening = Listening { local: Arc::downgrade(&local), listener: Arc::downgrade(&listener) };
        local.listeners.lock().push(listener);
        Ok(listening)
    }

    /// Listens as [`listen`](Self::listen) does, and calls `f` immediately with the current value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn subscribe<T: AtomValue>(
        &self,
        atom: &'static Atom<T>,
        f: impl Fn(&T) + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        let listening = self.listen(atom, f)?;
        if let Some(listener) = listening.listener.upgrade() {
            call(atom.name(), &listener);
        }
        Ok(listening)
    }

    /// Creates a reader, which keeps the decoded value of `atom`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn reader<T: AtomValue>(&self, atom: &'static Atom<T>) -> Result<Reader<T>, StoreError> {
        let local = self.local(atom.name())?;
        let (epoch, value) = self.read(&local, atom)?;
        Ok(Reader { store: self.clone(), local, atom, epoch, value })
    }

    /// Runs the listeners of this view for changes by other participants.
    pub fn deliver(&self) {
        let mut open: Vec<_> = self.0.open.lock().values().cloned().collect();
        open.sort_by_key(|local| local.name);
        for local in &open {
            deliver(local);
        }
    }
}

fn deliver(local: &Local) {
    let listeners = local.listeners.lock().clone();
    let epoch = local.cell.epoch();
    for listener in listeners {
        if listener.delivered.fetch_max(epoch, Ordering::AcqRel) < epoch {
            call(local.name, &listener);
        }
    }
}

/// Runs a listener and contains its panic.
fn call(atom: &str, listener: &Listener) {
    if catch_unwind(AssertUnwindSafe(&listener.call)).is_err() {
        // The panic hook has printed message and place; this line adds the atom.
        eprintln!("shared-store: a listener of `{atom}` panicked; the other listeners keep running");
    }
}

/// The bounds of an atom's type.
pub trait AtomValue: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> AtomValue for T {}

/// The decoded value of an atom: reading it again costs an atomic load while it is unchanged.
#[derive(Debug)]
pub struct Reader<T: 'static> {
    store: Store,
    local: Arc<Local>,
    atom: &'static Atom<T>,
    epoch: u64,
    value: Arc<T>,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<T: AtomValue> Reader<T> {
    /// Returns the current value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn get(&mut self) -> Result<&T, StoreError> {
        if self.local.cell.epoch() != self.epoch {
            (self.epoch, self.value) = self.store.read(&self.local, self.atom)?;
        }
        Ok(&self.value)
    }
}

#[cfg(test)]
mod tests;
