//! Listeners and effects.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use plugin_api::guard::catch;

use super::{
    Cleanup, Inner, Store,
    pull::{Pass, Tracking},
    typed,
};
use crate::{
    Atom, StoreError,
    atom::AtomValue,
    source::{Erased, Kind, Listener, Memo, Node, Readable, Sealed},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Keeps a listener, an effect, a hook or a mount; dropping it ends it.
#[must_use = "dropping this ends the listening"]
pub struct Listening(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Listening {
    pub(super) fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}

/// The function of an effect.
pub(super) type Run = Box<dyn FnMut(&mut Tracking<'_>) -> Result<Option<Cleanup>, StoreError> + Send>;

/// The state of an effect.
pub(crate) struct Effect {
    /// Taken out while it runs.
    run: Option<Run>,
    cleanup: Option<Cleanup>,
    alive: bool,
}

impl Effect {
    /// Ends the effect, and returns what was not taken out.
    pub(super) fn end(&mut self) -> (Option<Run>, Option<Cleanup>) {
        self.alive = false;
        (self.run.take(), self.cleanup.take())
    }
}

/// A change of an atom, for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtomChange {
    /// Name of the atom.
    pub name: &'static str,
    /// The epoch of the new value.
    pub epoch: u64,
    /// The value before as JSON; `None` for a secret.
    pub old: Option<String>,
    /// The value now as JSON; `None` for a secret.
    pub new: Option<String>,
}

impl Store {
    /// Calls `f` with the value after every change, until the result is dropped.
    ///
    /// Changes that follow each other quickly may arrive as one. A value that is an error is not delivered;
    /// [`get`](Self::get) returns the error.
    ///
    /// ```
    /// use shared_store::{Atom, Store};
    /// # static RANGE: Atom<u32> = Atom::new("range", || 30);
    /// # let store = Store::new();
    /// let listening = store.listen(&RANGE, |days| println!("now {days} days"))?;
    /// store.set(&RANGE, &90)?; // prints: now 90 days
    /// drop(listening);
    /// store.set(&RANGE, &7)?; // prints nothing
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// A listener owns what it uses, since it may outlive the caller:
    ///
    /// ```compile_fail
    /// # use shared_store::{Atom, Store};
    /// # static RANGE: Atom<u32> = Atom::new("range", || 30);
    /// let text = String::new();
    /// let borrowed = &text;
    /// Store::new().listen(&RANGE, |_| println!("{borrowed}"));
    /// ```
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn listen<S: Readable>(
        &self,
        source: &'static S,
        f: impl Fn(&S::Value) + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        let node = source.node(self)?;
        let received = self.look(&node).version;
        let (_, listening) = self.attach(&node, received, move |value| {
            if let Some(value) = value.downcast_ref() {
                f(value);
            }
        })?;
        Ok(listening)
    }

    /// Listens as [`listen`](Self::listen) does, and calls `f` immediately with the current value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn subscribe<S: Readable>(
        &self,
        source: &'static S,
        f: impl Fn(&S::Value) + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        let node = source.node(self)?;
        // Mounted first: `on_mount` may set the value.
        let (listener, listening) = self.attach(&node, u64::MAX, move |value| {
            if let Some(value) = value.downcast_ref() {
                f(value);
            }
        })?;
        let seen = self.look(&node);
        if let Ok(value) = &seen.value {
            self.contain(&format!("a listener of {}", node.describe()), || (listener.call)(value));
        }
        listener.received.store(seen.version, Ordering::Release);
        self.with(|graph| graph.queue_call(&node, &listener));
        self.settle();
        Ok(listening)
    }

    pub(super) fn attach(
        &self,
        node: &Arc<Node>,
        received: u64,
        call: impl Fn(&Erased) + Send + Sync + 'static,
    ) -> Result<(Arc<Listener>, Listening), StoreError> {
        let listener = Arc::new(Listener {
            alive: AtomicBool::new(true),
            received: AtomicU64::new(received),
            call: Box::new(call),
        });
        let seen = self.look(node);
        self.with(|graph| {
            if graph.closed {
                return Err(StoreError::Closed);
            }
            graph.change(node.id, Some(&seen), |slot| {
                Arc::make_mut(&mut slot.listeners).push(Arc::clone(&listener));
            });
            Ok(())
        })?;
        let (store, weak, id) = (Arc::downgrade(&self.0), Arc::downgrade(&listener), node.id);
        let listening = Listening::new(move || detach(&store, id, &weak));
        self.settle();
        Ok((listener, listening))
    }

    /// Runs `f` now, and again whenever a source that it has read through its [`Tracking`] changes, until the result
    /// is dropped.
    ///
    /// The clean-up that `f` returns runs before the next run, and at the end. An error of `f` is reported
    /// ([`on_error`](Self::on_error)); what it has read until then counts.
    ///
    /// ```
    /// use shared_store::{Atom, Store, cleanup};
    /// # static RANGE: Atom<u32> = Atom::new("range", || 30);
    /// # let store = Store::new();
    /// let effect = store.effect(|cx| {
    ///     let days = *cx.get(&RANGE)?;
    ///     println!("start with {days} days");
    ///     Ok(cleanup(move || println!("stop with {days} days")))
    /// })?;
    /// store.set(&RANGE, &90)?; // prints: stop with 30 days, start with 90 days
    /// drop(effect); // prints: stop with 90 days
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn effect(
        &self,
        f: impl FnMut(&mut Tracking<'_>) -> Result<Option<Cleanup>, StoreError> + Send + 'static,
    ) -> Result<Listening, StoreError> {
        let node = self.with(|graph| {
            let effect = Effect { run: Some(Box::new(f)), cleanup: None, alive: true };
            (!graph.closed).then(|| graph.insert(Kind::Effect(Mutex::new(effect))))
        });
        let node = node.ok_or(StoreError::Closed)?;
        if let Kind::Effect(effect) = &node.kind {
            // Not in the graph yet, so no other thread runs it.
            self.run_effect(&node, effect, true);
        }
        self.with(|graph| graph.change(node.id, None, |slot| slot.keeps = 1));
        self.settle();
        let store = Arc::downgrade(&self.0);
        Ok(Listening::new(move || {
            if let Some(inner) = store.upgrade() {
                Store(inner).end_effect(&node);
            }
        }))
    }

    fn end_effect(&self, node: &Arc<Node>) {
        let Kind::Effect(effect) = &node.kind else { return };
        let (run, cleanup) = effect.lock().end();
        let removed = self.with(|graph| {
            graph.change(node.id, None, |slot| slot.keeps = 0);
            graph.slot(node.id).and_then(|slot| slot.node.clone()).filter(|known| Arc::ptr_eq(known, node))?;
            graph.remove(node.id)
        });
        self.dispose(node, run, cleanup);
        self.contain("a destructor", || drop(removed));
    }

    /// Runs the clean-up of an ended effect, and drops its function and what it has read.
    pub(super) fn dispose(&self, node: &Node, run: Option<Run>, cleanup: Option<Cleanup>) {
        cleanup.and_then(|cleanup| self.contain("the clean-up of an effect", cleanup));
        self.contain("a destructor", || drop(run));
        let memo = std::mem::take(&mut *node.memo.lock());
        self.contain("a destructor", || drop(memo));
    }

    /// Runs an effect if something that it has read has changed.
    pub(super) fn run_effect(&self, node: &Arc<Node>, effect: &Mutex<Effect>, first: bool) {
        let pass = Pass::new();
        if !first {
            let reads = Arc::clone(&node.memo.lock().reads);
            if self.are_current(&reads, &pass).unwrap_or(false) && !node.memo.lock().unstable {
                return;
            }
        }
        let (run, before) = {
            let mut effect = effect.lock();
            (effect.run.take(), effect.cleanup.take())
        };
        // Ended in the meantime.
        let Some(mut run) = run else { return };
        if let Some(before) = before {
            self.contain("the clean-up of an effect", before);
        }
        let tracked = self.track(&pass, |cx| catch(|| run(cx)));
        let cleanup = match tracked.result {
            Ok(Ok(cleanup)) => cleanup,
            Ok(Err(error)) => {
                self.report(&error);
                None
            }
            Err(panic) => {
                self.report(&StoreError::panicked("an effect", &panic));
                None
            }
        };
        let memo = Memo { seen: None, reads: tracked.reads.into(), unstable: tracked.unstable };
        let old = std::mem::replace(&mut *node.memo.lock(), memo);
        self.contain("a destructor", || drop(old));
        let ended = {
            let mut effect = effect.lock();
            if effect.alive {
                (effect.run, effect.cleanup) = (Some(run), cleanup);
                None
            } else {
                Some((run, cleanup))
            }
        };
        if let Some((run, cleanup)) = ended {
            self.dispose(node, Some(run), cleanup);
            return;
        }
        let computed = pass.take_computed();
        self.with(|graph| {
            for other in computed {
                graph.connect(&other);
            }
            graph.connect(node);
        });
    }

    /// Calls `f` with each change of `atom`, with the values as JSON, until the result is dropped.
    ///
    /// The values of a [`secret`](Atom::secret) atom are withheld.
    ///
    /// ```
    /// use shared_store::{Atom, Store};
    /// # static RANGE: Atom<u32> = Atom::new("range", || 30);
    /// # let store = Store::new();
    /// let _logging = store.log(&RANGE, |change| {
    ///     assert_eq!((change.name, change.epoch), ("range", 1));
    ///     assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some("30"), Some("90")));
    /// })?;
    /// store.set(&RANGE, &90)?;
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn log<T: AtomValue>(
        &self,
        atom: &'static Atom<T>,
        f: impl Fn(&AtomChange) + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        let json = |value: &T| (!atom.is_secret()).then(|| serde_json::to_string(value).ok()).flatten();
        let node = Sealed::node(atom, self)?;
        let seen = self.look(&node);
        let before = Mutex::new(typed::<T>(&seen).ok().and_then(|value| json(&value)));
        let weak = Arc::downgrade(&self.0);
        let (_, listening) = self.attach(&node, seen.version, move |value| {
            let Some(new) = value.downcast_ref::<T>().map(json) else { return };
            let old = std::mem::replace(&mut *before.lock(), new.clone());
            let epoch = weak.upgrade().and_then(|inner| Store(inner).epoch(atom).ok()).unwrap_or(0);
            f(&AtomChange { name: atom.name(), epoch, old, new });
        })?;
        Ok(listening)
    }
}

fn detach(store: &Weak<Inner>, id: u32, listener: &Weak<Listener>) {
    let (Some(inner), Some(listener)) = (store.upgrade(), listener.upgrade()) else { return };
    listener.alive.store(false, Ordering::Release);
    let store = Store(inner);
    let mut removed = None;
    store.with(|graph| {
        graph.change(id, None, |slot| {
            if let Some(at) = slot.listeners.iter().position(|known| Arc::ptr_eq(known, &listener)) {
                removed = Some(Arc::make_mut(&mut slot.listeners).remove(at));
            }
        });
    });
    // The listener's captures run their owner's code.
    store.contain("a destructor", || drop((removed, listener)));
}
