//! Reading: brings a source up to date, with the sources below it.
//!
//! A read, or one step of a flush, is a pass. It takes each source's value once, so that all computed values of a pass
//! are made of the same atoms, whatever other threads write in the meantime.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::Arc,
};

use abi_stable::std_types::ROption;
use plugin_api::{abi::RemoteError, guard::catch};

use super::{AddressHasher, Store, typed};
use crate::{
    StoreError,
    api::{CellArc, Snapshot},
    atom::AnyAtom,
    bytes::Incoming,
    computed::AnyComputed,
    error::from_provider,
    source::{Erased, Evaluated, Kind, Memo, Node, Read, Readable, Seen},
};

/// Functions that one pass calls inside of each other; deeper ones run one after the other.
const NESTED: u32 = 32;

/// Functions on a thread's stack at the start of a pass: more can only be a cycle of reads without a `Tracking`.
const DEEPEST: u32 = 96;

thread_local! {
    // No destructor: a thread with one would keep the library loaded.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// A consistent view of the sources. `[one thread]`
pub(super) struct Pass {
    seen: RefCell<HashMap<u32, Seen, BuildHasherDefault<AddressHasher>>>,
    /// The computed values that are being brought up to date, outermost first.
    path: RefCell<Vec<u32>>,
    /// The computed values that were computed, in order.
    computed: RefCell<Vec<Arc<Node>>>,
    base: u32,
}

impl Pass {
    pub(super) fn new() -> Self {
        let (seen, path, computed) = Default::default();
        Self { seen, path, computed, base: DEPTH.get() }
    }

    /// Begins a new view.
    pub(super) fn reset(&mut self) {
        // Its memory stays, for the values of the next view.
        self.seen.get_mut().clear();
    }

    pub(super) fn take_computed(&self) -> Vec<Arc<Node>> {
        self.computed.take()
    }

    fn seen(&self, node: &Node) -> Option<Seen> {
        self.seen.borrow().get(&node.id).cloned()
    }

    fn version(&self, node: &Node) -> Option<u64> {
        self.seen.borrow().get(&node.id).map(|seen| seen.version)
    }

    fn is_deep(&self) -> bool {
        DEPTH.get() >= self.base + NESTED
    }
}

/// The reads of a computed value or an effect: what it reads here, it runs again for.
///
/// ```compile_fail
/// # use shared_store::{Computed, Tracking};
/// // Reads are tracked while the function runs, not later.
/// fn keep(cx: &mut Tracking<'_>) -> Box<dyn FnOnce() + 'static> {
///     Box::new(move || { cx; })
/// }
/// ```
pub struct Tracking<'a> {
    store: &'a Store,
    pass: &'a Pass,
    reads: Vec<Read>,
    /// The source without which the function cannot finish on this stack.
    wanted: Option<Arc<Node>>,
    unstable: bool,
}

impl std::fmt::Debug for Tracking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracking").field("reads", &self.reads.len()).finish_non_exhaustive()
    }
}

impl Tracking<'_> {
    /// Returns the current value of `source`, and remembers that it was read.
    ///
    /// Pass its errors on with `?`: in a deep graph the store first computes `source`, and then runs the function
    /// again.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::Cycle`] if `source` is what is being computed.
    pub fn get<S: Readable>(&mut self, source: &'static S) -> Result<Arc<S::Value>, StoreError> {
        let node = source.node(self.store)?;
        let seen = match self.pass.seen(&node) {
            Some(seen) => seen,
            None if self.pass.path.borrow().contains(&node.id) => {
                self.unstable = true;
                return Err(StoreError::Cycle { at: node.describe() });
            }
            None if self.pass.is_deep() && matches!(node.kind, Kind::Computed(_)) => {
                let message = format!("{} is computed first", node.describe());
                self.wanted = Some(node);
                return Err(StoreError::Refused(message));
            }
            None => self.store.pull(&node, self.pass),
        };
        self.reads.push(Read { node, version: seen.version });
        typed(&seen)
    }

    /// Returns the store that runs the function.
    pub fn store(&self) -> &Store {
        self.store
    }
}

/// The result of a function that was run with its reads tracked.
pub(super) struct Tracked<R> {
    pub(super) result: R,
    pub(super) reads: Vec<Read>,
    pub(super) unstable: bool,
    wanted: Option<Arc<Node>>,
}

impl Store {
    /// Returns the current value of `node`.
    pub(super) fn look(&self, node: &Arc<Node>) -> Seen {
        match &node.kind {
            Kind::Atom { atom, cell } => self.refresh(node, *atom, cell),
            _ => self.pull(node, &Pass::new()),
        }
    }

    /// Returns the value of `node` in `pass`.
    pub(super) fn pull(&self, node: &Arc<Node>, pass: &Pass) -> Seen {
        if let Some(seen) = pass.seen(node) {
            return seen;
        }
        let Kind::Atom { atom, cell } = &node.kind else { return self.pull_computed(node, pass) };
        let seen = self.refresh(node, *atom, cell);
        pass.seen.borrow_mut().insert(node.id, seen.clone());
        seen
    }

    /// Brings a computed value up to date, with a stack on the heap where the functions do not call each other.
    fn pull_computed(&self, root: &Arc<Node>, pass: &Pass) -> Seen {
        if pass.base >= DEEPEST {
            let error = StoreError::Cycle { at: root.describe() };
            return Seen { version: u64::MAX, epoch: 0, value: Err(Arc::new(error)) };
        }
        let mut stack = vec![Arc::clone(root)];
        pass.path.borrow_mut().push(root.id);
        while let Some(node) = stack.last() {
            if let Some(first) = self.step(node, pass) {
                pass.path.borrow_mut().push(first.id);
                stack.push(first);
            } else {
                pass.path.borrow_mut().pop();
                stack.pop();
            }
        }
        pass.seen(root).unwrap_or(Seen {
            version: u64::MAX,
            epoch: 0,
            value: Err(Arc::new(StoreError::Closed)),
        })
    }

    /// Puts the value of `node` into `pass`, or returns the source that must be there before.
    fn step(&self, node: &Arc<Node>, pass: &Pass) -> Option<Arc<Node>> {
        let Kind::Computed(computed) = node.kind else { return None };
        match self.is_current(node, pass) {
            Ok(Some(seen)) => {
                pass.seen.borrow_mut().insert(node.id, seen);
                return None;
            }
            Ok(None) => {}
            Err(first) => return Some(first),
        }
        let tracked = self.track(pass, |cx| run(computed, cx));
        if let Some(first) = tracked.wanted {
            return Some(first);
        }
        let seen = self.remember(node, tracked);
        pass.seen.borrow_mut().insert(node.id, seen);
        pass.computed.borrow_mut().push(Arc::clone(node));
        None
    }

    /// Returns the last value if all that it was made of is unchanged; otherwise `None`. `Err` names a source that must
    /// be in `pass` before.
    fn is_current(&self, node: &Node, pass: &Pass) -> Result<Option<Seen>, Arc<Node>> {
        let (seen, reads) = {
            let memo = node.memo.lock();
            match &memo.seen {
                Some(seen) if !memo.unstable => (seen.clone(), Arc::clone(&memo.reads)),
                _ => return Ok(None),
            }
        };
        Ok(self.are_current(&reads, pass)?.then_some(seen))
    }

    /// Returns `true` if every source still has the version that was read.
    ///
    /// In the order of the reads: after a changed one the function may not read the next ones again.
    pub(super) fn are_current(&self, reads: &[Read], pass: &Pass) -> Result<bool, Arc<Node>> {
        for read in reads {
            let version = match pass.version(&read.node) {
                Some(version) => version,
                None if pass.path.borrow().contains(&read.node.id) => return Ok(false),
                None if pass.is_deep() && matches!(read.node.kind, Kind::Computed(_)) => {
                    return Err(Arc::clone(&read.node));
                }
                None => {
                    // Counted like a function: a chain of unchanged values is as deep.
                    DEPTH.set(DEPTH.get() + 1);
                    let seen = self.pull(&read.node, pass);
                    DEPTH.set(DEPTH.get() - 1);
                    seen.version
                }
            };
            if version != read.version {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs `f` and records its reads.
    pub(super) fn track<R>(&self, pass: &Pass, f: impl FnOnce(&mut Tracking<'_>) -> R) -> Tracked<R> {
        let mut cx = Tracking { store: self, pass, reads: Vec::new(), wanted: None, unstable: false };
        DEPTH.set(DEPTH.get() + 1);
        // `f` contains panics.
        let result = f(&mut cx);
        DEPTH.set(DEPTH.get() - 1);
        let Tracking { reads, wanted, unstable, .. } = cx;
        Tracked { result, reads, unstable, wanted }
    }

    /// Stores the value of a computed value, with a new version if it differs from the last one.
    fn remember(&self, node: &Node, tracked: Tracked<Evaluated>) -> Seen {
        let Tracked { result, reads, unstable, .. } = tracked;
        let mut new = Seen { version: 0, epoch: 0, value: result };
        let mut reads: Arc<[Read]> = reads.into();
        loop {
            let before = node.memo.lock().seen.clone();
            let equal = before.as_ref().is_some_and(|before| self.are_equal(node, before, &new));
            let mut memo = node.memo.lock();
            let current = memo.seen.as_ref().map(|seen| seen.version);
            if current != before.as_ref().map(|before| before.version) {
                // Another thread stored a value in the meantime.
                continue;
            }
            new.version = current.unwrap_or(0) + u64::from(!equal);
            if equal && let Some(before) = before {
                // The earlier value: consumers compare pointers.
                new.value = before.value;
            }
            let old = std::mem::replace(&mut *memo, Memo { seen: Some(new.clone()), reads, unstable });
            drop(memo);
            // Outside of the lock: destructors of values are the participant's code.
            reads = old.reads;
            drop((old.seen, reads));
            return new;
        }
    }

    pub(super) fn are_equal(&self, node: &Node, a: &Seen, b: &Seen) -> bool {
        self.contain("the equality of a value", || node.equal(a, b)).unwrap_or(false)
    }

    /// Returns the value of an atom, decoded once for each change.
    pub(super) fn refresh(&self, node: &Node, atom: &dyn AnyAtom, cell: &CellArc) -> Seen {
        loop {
            let epoch = cell.epoch();
            let before = node.memo.lock().seen.clone();
            if let Some(seen) = &before
                && seen.epoch == epoch
                && (epoch > 0 || seen.value.is_ok())
            {
                return seen.clone();
            }
            let (epoch, value) = load(atom, cell);
            if let Some(seen) = self.store_value(node, before, epoch, value) {
                return seen;
            }
        }
    }

    /// Stores the value that this view has written at `epoch`, which need not be read again.
    pub(super) fn learn(&self, node: &Node, atom: &dyn AnyAtom, epoch: u64, bytes: &[u8]) {
        let before = node.memo.lock().seen.clone();
        if before.as_ref().is_none_or(|seen| seen.epoch < epoch) {
            let value = catch(|| atom.decode(bytes));
            self.store_value(node, before, epoch, value.unwrap_or_else(|panic| Err(decoding(&panic))));
        }
    }

    /// Stores an atom's value over `before`, with a new version if it differs; `None` if another thread has stored one
    /// in the meantime.
    fn store_value(
        &self,
        node: &Node,
        before: Option<Seen>,
        epoch: u64,
        value: Result<Erased, StoreError>,
    ) -> Option<Seen> {
        let mut new = Seen { version: 0, epoch, value: value.map_err(Arc::new) };
        let equal = before.as_ref().is_some_and(|before| self.are_equal(node, before, &new));
        new.version = before.as_ref().map_or(0, |before| before.version) + u64::from(!equal);
        let mut memo = node.memo.lock();
        let key = |seen: &Seen| (seen.version, seen.epoch);
        if memo.seen.as_ref().map(key) != before.as_ref().map(key) {
            return None;
        }
        let old = memo.seen.replace(new.clone());
        drop(memo);
        // Outside of the lock: destructors of values are the participant's code.
        drop((old, before));
        Some(new)
    }
}

fn decoding(panic: &RemoteError) -> StoreError {
    StoreError::panicked("the type of an atom", panic)
}

fn load(atom: &dyn AnyAtom, cell: &CellArc) -> (u64, Result<Erased, StoreError>) {
    let Snapshot { epoch, value } = match from_provider(cell.read()) {
        Ok(snapshot) => snapshot,
        Err(error) => return (cell.epoch(), Err(error)),
    };
    let decoded = catch(|| match value {
        ROption::RNone => Ok(atom.init()),
        ROption::RSome(bytes) => atom.decode(Incoming::new(bytes).as_slice()),
    });
    (epoch, decoded.unwrap_or_else(|panic| Err(decoding(&panic))))
}

fn run(computed: &dyn AnyComputed, cx: &mut Tracking<'_>) -> Evaluated {
    let result = catch(|| computed.compute(cx));
    result
        .unwrap_or_else(|panic| {
            Err(StoreError::panicked(&format!("the computed value of {}", computed.place()), &panic))
        })
        .map_err(Arc::new)
}
