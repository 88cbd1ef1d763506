//! Delivering changes: values in the order of their heights, then listeners.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, atomic::Ordering},
};

use plugin_api::guard::catch;

use super::{
    Store,
    graph::{Call, Graph, Work},
    pull::Pass,
};
use crate::{
    StoreError,
    source::{Kind, Node},
    sync::thread,
};

impl Store {
    /// Runs `f` on the graph; afterwards, without the lock, drops what it threw away and runs hooks of sources that it
    /// started or stopped.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Graph) -> R) -> R {
        let mut graph = self.0.graph.lock();
        let result = f(&mut graph);
        let trash = std::mem::take(&mut graph.trash);
        let changed = !graph.transitions.is_empty();
        drop(graph);
        if !trash.is_empty() {
            self.contain("a destructor", || drop(trash));
        }
        if changed {
            self.run_hooks();
        }
        result
    }

    /// Queues an atom that may have changed, and delivers unless a batch or another call does it later.
    pub(super) fn mark(&self, id: u32) {
        self.mark_all(&[id]);
    }

    fn mark_all(&self, ids: &[u32]) {
        let work = self.with(|graph| {
            if let Some(held) = graph.held(thread()) {
                held.extend(ids);
                return None;
            }
            for id in ids {
                graph.queue_changed(*id);
            }
            graph.begin_flush()
        });
        self.flush(work);
    }

    /// Delivers what is queued, unless a batch of this thread or another call does it later.
    pub(super) fn settle(&self) {
        let work = self.with(|graph| match graph.held(thread()) {
            Some(_) => None,
            None => graph.begin_flush(),
        });
        self.flush(work);
    }

    /// Runs the listeners and effects of this view for changes by other participants.
    pub fn deliver(&self) {
        let atoms = self.with(|graph| graph.active_atoms());
        let changed = atoms.into_iter().filter(|(node, announced)| match &node.kind {
            Kind::Atom { cell, .. } => *announced != Some(cell.epoch()),
            _ => false,
        });
        let changed: Vec<_> = changed.map(|(node, _)| node.id).collect();
        self.mark_all(&changed);
    }

    /// Runs `f`, and then each listener at most once for everything that it changed.
    ///
    /// Values change at once, and computed values with them; only notifications wait. Batches nest, and the outermost
    /// one delivers, also if `f` panics. A batch concerns the changes of its thread.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    /// use shared_store::{Atom, Computed, Store};
    ///
    /// static A: Atom<u32> = Atom::new("a", || 1);
    /// static B: Atom<u32> = Atom::new("b", || 2);
    /// static TOTAL: Computed<u32> = Computed::new(|cx| Ok(*cx.get(&A)? + *cx.get(&B)?));
    /// static CALLS: AtomicU32 = AtomicU32::new(0);
    ///
    /// let store = Store::new();
    /// let _listening = store.listen(&TOTAL, |_| { CALLS.fetch_add(1, SeqCst); })?;
    /// store.batch(|| {
    ///     store.set(&A, &10)?;
    ///     store.set(&B, &20)
    /// })?;
    /// assert_eq!(CALLS.load(SeqCst), 1);
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    pub fn batch<R>(&self, f: impl FnOnce() -> R) -> R {
        let thread = thread();
        self.with(|graph| graph.begin_batch(thread));
        let result = catch_unwind(AssertUnwindSafe(f));
        let work = self.with(|graph| if graph.end_batch(thread) { graph.begin_flush() } else { None });
        self.flush(work);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs the work that began a flush, and what follows from it.
    fn flush(&self, first: Option<Work>) {
        let Some(mut work) = first else { return };
        let mut pass = Pass::new();
        loop {
            let next = match work {
                Work::Update(node) => self.bring_up_to_date(&node, &mut pass),
                Work::Call(call) => {
                    self.call(&call);
                    // Dropped before the lock: it may be the last owner of a listener.
                    self.contain("a destructor", || drop(call));
                    self.with(Graph::next)
                }
            };
            let Some(next) = next else { break };
            work = next;
        }
        self.0.quiet.notify_all();
    }

    /// Brings a node up to date and queues what depends on it, if its value has changed; returns the next work.
    fn bring_up_to_date(&self, node: &Arc<Node>, pass: &mut Pass) -> Option<Work> {
        let seen = match &node.kind {
            Kind::Atom { atom, cell } => {
                // The values of this pass were made of the atom's earlier value.
                pass.reset();
                self.refresh(node, *atom, cell)
            }
            Kind::Computed(_) => self.pull(node, pass),
            Kind::Effect(effect) => {
                self.run_effect(node, effect, false);
                return self.with(Graph::next);
            }
        };
        let computed = pass.take_computed();
        let has_hooks = node.has_notify_hooks();
        let (before, next) = self.with(|graph| {
            for other in &computed {
                graph.connect(other);
            }
            // Another thread's read may have computed it.
            if computed.last().is_none_or(|last| last.id != node.id) {
                graph.connect(node);
            }
            let announced = graph.slot(node.id).and_then(|slot| slot.announced.as_ref());
            match announced.map(|before| before.version) {
                None => graph.announce_equal(node, &seen),
                Some(version) if version == seen.version => graph.announce_equal(node, &seen),
                // The next version: it was compared with the announced one.
                Some(version) if version + 1 == seen.version && !has_hooks => {
                    graph.announce(node, &seen, true);
                }
                Some(_) => return (announced.cloned(), None),
            }
            (None, graph.next())
        });
        let Some(before) = before else { return next };
        if before.version + 1 != seen.version && self.are_equal(node, &before, &seen) {
            return self.with(|graph| {
                graph.announce_equal(node, &seen);
                graph.next()
            });
        }
        let notify = !self.is_vetoed(node, &seen);
        self.with(|graph| {
            graph.announce(node, &seen, notify);
            graph.next()
        })
    }

    fn call(&self, call: &Call) {
        for listener in call.listeners.iter() {
            let received = &listener.received;
            if listener.alive.load(Ordering::Acquire)
                && received.fetch_max(call.version, Ordering::AcqRel) < call.version
                && let Err(panic) = catch(|| (listener.call)(&call.value))
            {
                let what = format!("a listener of {}", call.node.describe());
                self.report(&StoreError::panicked(&what, &panic));
            }
        }
    }
}
