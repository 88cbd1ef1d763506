//! Hooks around the life of a source and around writes.

use std::{
    any::Any,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Listening, Store,
    graph::{Mount, Remains},
};
use crate::{
    Atom, StoreError,
    atom::AtomValue,
    source::{Kind, Node, Readable, Sealed, Seen},
};

/// A function that undoes an effect or a mount.
pub type Cleanup = Box<dyn FnOnce() + Send>;

/// Returns `f` as the result of an effect or of [`Store::on_mount`].
pub fn cleanup(f: impl FnOnce() + Send + 'static) -> Option<Cleanup> {
    Some(Box::new(f))
}

/// The decision of [`Store::on_set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intercept<T> {
    /// The value is set.
    Keep,
    /// Another value is set.
    Change(T),
    /// No value is set, and the setter is not notified of it.
    Veto,
}

/// The time that a source stays mounted without listeners, unless it is set.
const UNMOUNT: Duration = Duration::from_secs(1);

type Plain = dyn Fn() + Send + Sync;
type Mounting = dyn Fn() -> Option<Cleanup> + Send + Sync;
type Untyped = dyn Any + Send + Sync;
type Notifying = dyn Fn(&Seen) -> bool + Send + Sync;
type Setting<T> = dyn Fn(&T) -> Intercept<T> + Send + Sync;
type Hook<F> = Vec<(u64, Arc<F>)>;

/// The hooks of a source.
#[derive(Default)]
pub(crate) struct Hooks {
    start: Hook<Plain>,
    stop: Hook<Plain>,
    mount: Hook<Mounting>,
    /// Each is a `SetHook` of the atom's type.
    set: Hook<Untyped>,
    notify: Hook<Notifying>,
    /// Clean-ups of the mount that is in progress.
    mounted: Vec<Cleanup>,
}

/// A function that [`Store::on_set`] was given.
struct SetHook<T>(Box<Setting<T>>);

impl Store {
    /// Calls `f` at once when `source` gets its first listener, until the result is dropped.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn on_start<S: Readable>(
        &self,
        source: &'static S,
        f: impl Fn() + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        Ok(Self::hook::<Plain>(&source.node(self)?, |hooks| &mut hooks.start, Arc::new(f)))
    }

    /// Calls `f` at once when the last listener of `source` is gone, until the result is dropped.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn on_stop<S: Readable>(
        &self,
        source: &'static S,
        f: impl Fn() + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        Ok(Self::hook::<Plain>(&source.node(self)?, |hooks| &mut hooks.stop, Arc::new(f)))
    }

    /// Calls `f` when `source` gets its first listener, until the result is dropped.
    ///
    /// The clean-up that `f` returns runs when `source` has had no listener for a second
    /// ([`set_unmount_delay`](Self::set_unmount_delay)), on a thread of the store; a panel that is closed and opened
    /// again does not cause it. A listening computed value or effect counts as a listener.
    ///
    /// ```
    /// use shared_store::{Atom, Store, cleanup};
    /// static FEED: Atom<u32> = Atom::new("feed", || 0);
    ///
    /// let store = Store::new();
    /// store.set_unmount_delay(std::time::Duration::ZERO);
    /// let setter = store.clone();
    /// let _hook = store.on_mount(&FEED, move || {
    ///     let _ = setter.set(&FEED, &1); // connect
    ///     cleanup(|| println!("disconnect"))
    /// })?;
    /// let listening = store.subscribe(&FEED, |value| assert_eq!(*value, 1))?;
    /// drop(listening); // prints: disconnect
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn on_mount<S: Readable>(
        &self,
        source: &'static S,
        f: impl Fn() -> Option<Cleanup> + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        Ok(Self::hook::<Mounting>(&source.node(self)?, |hooks| &mut hooks.mount, Arc::new(f)))
    }

    /// Calls `f` with each value that this participant is about to set in `atom`, until the result is dropped.
    ///
    /// It may veto or change the value, before the next hook sees it. Writes by other participants do not pass here.
    ///
    /// ```
    /// use shared_store::{Atom, Intercept, Store};
    /// static PERCENT: Atom<u32> = Atom::new("percent", || 0);
    ///
    /// let store = Store::new();
    /// let _hook = store.on_set(&PERCENT, |new| match *new {
    ///     0..=100 => Intercept::Keep,
    ///     101..=1_000 => Intercept::Change(100),
    ///     _ => Intercept::Veto,
    /// })?;
    /// store.set(&PERCENT, &150)?;
    /// assert_eq!(*store.get(&PERCENT)?, 100);
    /// store.set(&PERCENT, &9_999)?;
    /// assert_eq!(*store.get(&PERCENT)?, 100);
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn on_set<T: AtomValue>(
        &self,
        atom: &'static Atom<T>,
        f: impl Fn(&T) -> Intercept<T> + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        Ok(Self::hook::<Untyped>(
            &Sealed::node(atom, self)?,
            |hooks| &mut hooks.set,
            Arc::new(SetHook(Box::new(f))),
        ))
    }

    /// Calls `f` with each changed value before the listeners of `source`, until the result is dropped.
    ///
    /// [`ControlFlow::Break`] keeps the change from the listeners; computed values and effects follow it.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// # use shared_store::{Atom, Store};
    /// # static RANGE: Atom<u32> = Atom::new("range", || 30);
    /// # let store = Store::new();
    /// let _hook = store.on_notify(&RANGE, |days| match *days {
    ///     0 => ControlFlow::Break(()),
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// let _listening = store.listen(&RANGE, |days| assert_ne!(*days, 0))?;
    /// store.set(&RANGE, &0)?;
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn on_notify<S: Readable>(
        &self,
        source: &'static S,
        f: impl Fn(&S::Value) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        let call = move |seen: &Seen| match &seen.value {
            Ok(value) => value.downcast_ref().is_some_and(|value| f(value).is_break()),
            Err(_) => false,
        };
        Ok(Self::hook::<Notifying>(&source.node(self)?, |hooks| &mut hooks.notify, Arc::new(call)))
    }

    /// Keeps `source` mounted without listeners, until the result is dropped.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_mount<S: Readable>(&self, source: &'static S) -> Result<Listening, StoreError> {
        let node = source.node(self)?;
        let seen = self.look(&node);
        self.with(|graph| graph.change(node.id, Some(&seen), |slot| slot.keeps += 1));
        self.settle();
        let (store, id) = (Arc::downgrade(&self.0), node.id);
        Ok(Listening::new(move || {
            if let Some(inner) = store.upgrade() {
                Self(inner).with(|graph| {
                    graph.change(id, None, |slot| slot.keeps = slot.keeps.saturating_sub(1));
                });
            }
        }))
    }

    /// Sets the time that sources stay mounted after their last listener; a second unless it is set.
    pub fn set_unmount_delay(&self, delay: Duration) {
        self.with(|graph| graph.delay = Some(delay));
    }

    fn hook<F: ?Sized + Send + Sync + 'static>(
        node: &Arc<Node>,
        list: fn(&mut Hooks) -> &mut Hook<F>,
        f: Arc<F>,
    ) -> Listening {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        list(&mut node.hooks.lock()).push((number, f));
        let node = Arc::downgrade(node);
        Listening::new(move || {
            let Some(node) = node.upgrade() else { return };
            let mut hooks = node.hooks.lock();
            let list = list(&mut hooks);
            let removed = list.iter().position(|(known, _)| *known == number).map(|at| list.remove(at));
            drop(hooks);
            // The hook's captures run their owner's code.
            drop(removed);
        })
    }

    /// Passes a value through the hooks of [`on_set`](Self::on_set).
    pub(super) fn intercept<T: AtomValue>(node: &Node, value: &T) -> Result<Intercept<T>, StoreError> {
        let hooks = {
            let hooks = node.hooks.lock();
            if hooks.set.is_empty() {
                return Ok(Intercept::Keep);
            }
            hooks.set.clone()
        };
        let mut result = Intercept::Keep;
        for (_, hook) in hooks {
            let Some(SetHook(f)) = hook.downcast_ref::<SetHook<T>>() else { continue };
            let present = if let Intercept::Change(changed) = &result { changed } else { value };
            let decision = plugin_api::guard::catch(|| f(present));
            match decision.map_err(|panic| StoreError::panicked("a hook of `on_set`", &panic))? {
                Intercept::Keep => {}
                Intercept::Veto => return Ok(Intercept::Veto),
                changed @ Intercept::Change(_) => result = changed,
            }
        }
        Ok(result)
    }

    /// Returns `true` if a hook keeps the change from the listeners.
    pub(super) fn is_vetoed(&self, node: &Node, seen: &Seen) -> bool {
        let hooks = {
            let hooks = node.hooks.lock();
            if hooks.notify.is_empty() {
                return false;
            }
            hooks.notify.clone()
        };
        hooks.iter().any(|(_, hook)| self.contain("a hook of `on_notify`", || hook(seen)).unwrap_or(false))
    }

    /// Runs the hooks of the sources that have started or stopped, in their order for each source.
    pub(super) fn run_hooks(&self) {
        loop {
            let next = {
                let mut graph = self.0.graph.lock();
                let Some(id) = graph.transitions.pop_front() else { return };
                // Another thread that runs hooks of this source looks again.
                let Some(slot) = graph.slot(id).filter(|slot| !slot.mount.running) else { continue };
                let active = slot.is_active();
                let mount = slot.mount;
                if active == mount.started && !(mount.due && mount.mounted && !active) {
                    continue;
                }
                slot.mount.running = true;
                if active != mount.started {
                    slot.mount.turn += 1;
                }
                slot.mount.due = false;
                slot.node.clone().map(|node| (node, active, mount))
            };
            let Some((node, active, mount)) = next else { continue };
            self.run_hooks_of(&node, active, mount);
        }
    }

    fn run_hooks_of(&self, node: &Arc<Node>, active: bool, before: Mount) {
        let mut mounted = before.mounted;
        match (active, before.started) {
            (true, false) => {
                let start = node.hooks.lock().start.clone();
                for (_, hook) in start {
                    self.contain("a hook of `on_start`", || hook());
                }
                let mount = if mounted { Vec::new() } else { node.hooks.lock().mount.clone() };
                mounted |= !mount.is_empty();
                for (_, hook) in mount {
                    if let Some(Some(cleanup)) = self.contain("a hook of `on_mount`", || hook()) {
                        node.hooks.lock().mounted.push(cleanup);
                    }
                }
            }
            (false, true) => {
                let stop = node.hooks.lock().stop.clone();
                for (_, hook) in stop {
                    self.contain("a hook of `on_stop`", || hook());
                }
            }
            _ => {
                self.unmount(node);
                mounted = false;
            }
        }
        let timer = {
            let mut graph = self.0.graph.lock();
            let delay = graph.delay.unwrap_or(UNMOUNT);
            let Some(slot) = graph.slot(node.id) else {
                drop(graph);
                // The store was closed in the meantime.
                return self.unmount(node);
            };
            slot.mount.running = false;
            slot.mount.started = active;
            slot.mount.mounted = mounted;
            let ended = !active && before.started && mounted;
            slot.mount.due = ended && delay.is_zero();
            let turn = slot.mount.turn;
            graph.transitions.push_back(node.id);
            (ended && !delay.is_zero()).then_some((delay, turn))
        };
        if let Some((delay, turn)) = timer {
            let (store, id) = (Arc::downgrade(&self.0), node.id);
            self.after(delay, move || {
                if let Some(inner) = store.upgrade() {
                    Self(inner).with(|graph| {
                        if let Some(slot) = graph.slot(id).filter(|slot| slot.mount.turn == turn) {
                            slot.mount.due = true;
                            graph.transitions.push_back(id);
                        }
                    });
                }
            });
        }
    }

    fn unmount(&self, node: &Node) {
        let cleanups = std::mem::take(&mut node.hooks.lock().mounted);
        for cleanup in cleanups {
            self.contain("the clean-up of a mount", cleanup);
        }
    }
}

impl Node {
    /// Returns `true` if the source has hooks of [`Store::on_notify`].
    pub(super) fn has_notify_hooks(&self) -> bool {
        !self.hooks.lock().notify.is_empty()
    }
}

impl Remains {
    /// Ends effects and mounts of a closed store.
    pub(super) fn end(self, store: &Store) {
        for (node, mount) in &self.nodes {
            if let Kind::Effect(effect) = &node.kind {
                let (run, cleanup) = effect.lock().end();
                store.dispose(node, run, cleanup);
            }
            if mount.started && !mount.running {
                let stop = node.hooks.lock().stop.clone();
                for (_, hook) in stop {
                    store.contain("a hook of `on_stop`", || hook());
                }
            }
            store.unmount(node);
        }
        store.contain("a destructor", || drop(self));
    }
}
