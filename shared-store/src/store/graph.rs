//! The edges between sources that are listened to, and the work that a change leaves behind.
//!
//! A node has edges only while it is active: while it has listeners, active dependents, or a guard that keeps it
//! mounted. Nothing here runs code of the participant; what has a destructor of the participant is moved to `trash`.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use crate::source::{Erased, Kind, Listener, Node, Seen};

#[derive(Default)]
pub(super) struct Graph {
    slots: Vec<NodeState>,
    /// Numbers of ended effects.
    free: Vec<u32>,
    /// The last atom of each name.
    names: HashMap<&'static str, u32>,
    /// Nodes to bring up to date, by height.
    dirty: Vec<VecDeque<u32>>,
    lowest: usize,
    calls: VecDeque<Call>,
    /// Nodes that became active or inactive.
    pub(super) transitions: VecDeque<u32>,
    /// Set while a thread runs what is queued.
    pub(super) flushing: bool,
    batches: Vec<Batch>,
    /// Active nodes that ran into a cycle; only another try shows whether it is gone.
    unstable: BTreeSet<u32>,
    /// Values that are dropped after the lock.
    pub(super) trash: Vec<Seen>,
    pub(super) tasks: usize,
    /// Number of values that wait for their files.
    pub(super) saving: usize,
    pub(super) delay: Option<std::time::Duration>,
    pub(super) closed: bool,
}

/// A node's place in the graph.
pub(super) struct NodeState {
    pub(super) node: Option<Arc<Node>>,
    pub(super) listeners: Arc<Vec<Arc<Listener>>>,
    dependents: Vec<u32>,
    /// The sources with an edge to this node, as they were read.
    reads: Vec<u32>,
    pub(super) keeps: u32,
    /// Above every source that it reads.
    height: u32,
    queued: bool,
    /// The value that dependents and listeners were notified of.
    pub(super) announced: Option<Seen>,
    /// The next atom of the same name, in a ring.
    sibling: u32,
    pub(super) mount: Mount,
}

/// The progress of a node's hooks.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Mount {
    /// Set if `on_start` ran, and `on_stop` did not.
    pub(super) started: bool,
    /// Set if `on_mount` ran, and its clean-up did not.
    pub(super) mounted: bool,
    /// Set while a thread runs hooks of this node.
    pub(super) running: bool,
    /// Set once the delay after the last listener is over.
    pub(super) due: bool,
    /// Grows with each start and stop, so that an older timer has no effect.
    pub(super) turn: u64,
}

struct Batch {
    thread: u64,
    depth: u32,
    held: Vec<u32>,
}

/// Listeners to call with one value.
pub(super) struct Call {
    pub(super) node: Arc<Node>,
    pub(super) listeners: Arc<Vec<Arc<Listener>>>,
    pub(super) version: u64,
    pub(super) value: Erased,
}

pub(super) enum Work {
    Update(Arc<Node>),
    Call(Call),
}

/// The participant's values of a closed store.
pub(super) struct Remains {
    pub(super) nodes: Vec<(Arc<Node>, Mount)>,
    _rest: (Vec<NodeState>, VecDeque<Call>, Vec<Seen>),
}

impl NodeState {
    fn new(id: u32) -> Self {
        Self {
            node: None,
            listeners: Arc::default(),
            dependents: Vec::new(),
            reads: Vec::new(),
            keeps: 0,
            height: 0,
            queued: false,
            announced: None,
            sibling: id,
            mount: Mount::default(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.keeps > 0 || !self.listeners.is_empty() || !self.dependents.is_empty()
    }
}

impl Graph {
    /// Adds a node.
    pub(super) fn insert(&mut self, kind: Kind) -> Arc<Node> {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(NodeState::new(self.slots.len() as u32));
            self.slots.len() as u32 - 1
        });
        if let Kind::Atom { atom, .. } = &kind
            && let Some(other) = self.names.insert(atom.name(), id)
        {
            let next = std::mem::replace(&mut self.slots[other as usize].sibling, id);
            self.slots[id as usize].sibling = next;
        }
        let node = Node::new(id, kind);
        self.slots[id as usize].node = Some(Arc::clone(&node));
        node
    }

    /// Removes an ended effect.
    pub(super) fn remove(&mut self, id: u32) -> Option<Arc<Node>> {
        let slot = self.slots.get_mut(id as usize)?;
        let node = slot.node.take();
        slot.queued = false;
        if node.is_some() {
            self.free.push(id);
        }
        node
    }

    pub(super) fn slot(&mut self, id: u32) -> Option<&mut NodeState> {
        self.slots.get_mut(id as usize).filter(|slot| slot.node.is_some())
    }

    /// Returns the atoms that are listened to, with the epochs that were announced.
    pub(super) fn active_atoms(&self) -> Vec<(Arc<Node>, Option<u64>)> {
        let active = self.slots.iter().filter(|slot| slot.is_active());
        active
            .filter_map(|slot| {
                let node = slot.node.as_ref().filter(|node| matches!(node.kind, Kind::Atom { .. }))?;
                Some((Arc::clone(node), slot.announced.as_ref().map(|seen| seen.epoch)))
            })
            .collect()
    }

    /// Queues `id`, and the atoms of the same name, if they are active.
    pub(super) fn queue_changed(&mut self, id: u32) {
        let mut at = id;
        loop {
            self.queue(at);
            at = self.slots.get(at as usize).map_or(id, |slot| slot.sibling);
            if at == id {
                break;
            }
        }
        if !self.unstable.is_empty() {
            for node in self.unstable.clone() {
                self.queue(node);
            }
        }
    }

    fn queue(&mut self, id: u32) {
        let Some(slot) = self.slots.get_mut(id as usize) else { return };
        if slot.queued || !slot.is_active() || slot.node.is_none() {
            return;
        }
        slot.queued = true;
        let height = slot.height as usize;
        if self.dirty.len() <= height {
            self.dirty.resize_with(height + 1, VecDeque::new);
        }
        self.dirty[height].push_back(id);
        self.lowest = self.lowest.min(height);
    }

    /// Takes the next piece of work: effects after all values, and listeners after that, so that both see all values
    /// of one moment. The end of the work ends the flush.
    pub(super) fn next(&mut self) -> Option<Work> {
        while let Some(queue) = self.dirty.get_mut(self.lowest) {
            let Some(id) = queue.pop_front() else {
                self.lowest += 1;
                continue;
            };
            let slot = &mut self.slots[id as usize];
            slot.queued = false;
            if let Some(node) = slot.node.as_ref().filter(|_| slot.is_active()) {
                self.flushing = true;
                return Some(Work::Update(Arc::clone(node)));
            }
        }
        let next = self.calls.pop_front().map(Work::Call);
        self.flushing = next.is_some();
        next
    }

    /// Stores a value that equals the announced one.
    pub(super) fn announce_equal(&mut self, node: &Node, seen: &Seen) {
        if let Some(slot) = self.slot(node.id).filter(|slot| slot.is_active()) {
            let old = slot.announced.replace(seen.clone());
            self.trash.extend(old);
        }
    }

    /// Stores what was announced, and queues what depends on it.
    pub(super) fn announce(&mut self, node: &Arc<Node>, seen: &Seen, notify: bool) {
        let Some(slot) = self.slot(node.id) else { return };
        let old = slot.announced.replace(seen.clone());
        let dependents = std::mem::take(&mut slot.dependents);
        let listeners = Arc::clone(&slot.listeners);
        self.trash.extend(old);
        for dependent in &dependents {
            self.queue(*dependent);
        }
        if let Some(slot) = self.slot(node.id) {
            slot.dependents = dependents;
        }
        if notify && !listeners.is_empty() {
            self.push_call(node, listeners, seen);
        }
    }

    /// Queues a call of listeners, unless the value is an error.
    fn push_call(&mut self, node: &Arc<Node>, listeners: Arc<Vec<Arc<Listener>>>, seen: &Seen) {
        if let Ok(value) = &seen.value {
            let (node, value) = (Arc::clone(node), Arc::clone(value));
            self.calls.push_back(Call { node, listeners, version: seen.version, value });
        }
    }

    /// Queues a call of one listener, for a change that it missed while it was called for the first time.
    pub(super) fn queue_call(&mut self, node: &Arc<Node>, listener: &Arc<Listener>) {
        let Some(seen) = self.slot(node.id).and_then(|slot| slot.announced.clone()) else { return };
        if seen.version > listener.received.load(Ordering::Acquire) {
            self.push_call(node, Arc::new(vec![Arc::clone(listener)]), &seen);
        }
    }

    /// Begins the flush of what is queued, and takes its first work; `None` if there is none, or if another call runs it
    /// already.
    pub(super) fn begin_flush(&mut self) -> Option<Work> {
        if self.closed || self.flushing { None } else { self.next() }
    }

    /// Returns the changes held by the batch of `thread`.
    pub(super) fn held(&mut self, thread: u64) -> Option<&mut Vec<u32>> {
        self.batches.iter_mut().find(|batch| batch.thread == thread).map(|batch| &mut batch.held)
    }

    pub(super) fn begin_batch(&mut self, thread: u64) {
        match self.batches.iter_mut().find(|batch| batch.thread == thread) {
            Some(batch) => batch.depth += 1,
            None => self.batches.push(Batch { thread, depth: 1, held: Vec::new() }),
        }
    }

    /// Ends a batch; the outermost queues what it held, and returns `true`.
    pub(super) fn end_batch(&mut self, thread: u64) -> bool {
        let Some(at) = self.batches.iter().position(|batch| batch.thread == thread) else { return false };
        self.batches[at].depth -= 1;
        if self.batches[at].depth > 0 {
            return false;
        }
        for id in self.batches.swap_remove(at).held {
            self.queue_changed(id);
        }
        true
    }

    /// Runs `change` on a slot, and activates or deactivates the node if that makes it so.
    ///
    /// `seen` is the value that a newly active node counts as announced with.
    pub(super) fn change(&mut self, id: u32, seen: Option<&Seen>, change: impl FnOnce(&mut NodeState)) {
        let Some(slot) = self.slot(id) else { return };
        let before = slot.is_active();
        change(slot);
        match (before, slot.is_active()) {
            (false, true) => {
                slot.announced = seen.cloned();
                self.activate(id);
            }
            (true, false) => self.deactivate(id),
            _ => {}
        }
    }

    /// Adds the edges of a newly active node, and of those that it activates.
    fn activate(&mut self, root: u32) {
        let mut order = vec![root];
        let mut at = 0;
        while let Some(id) = order.get(at).copied() {
            at += 1;
            self.transitions.push_back(id);
            self.hint(id, true);
            let reads = self.reads(id);
            for read in distinct(&reads) {
                let Some(slot) = self.slot(read) else { continue };
                let before = slot.is_active();
                slot.dependents.push(id);
                if !before {
                    order.push(read);
                }
            }
            self.slots[id as usize].reads = reads;
        }
        for id in order.into_iter().rev() {
            self.raise(id);
            // A change may have come before the edge.
            self.queue(id);
        }
    }

    fn hint(&self, id: u32, active: bool) {
        if let Some(node) = self.slots.get(id as usize).and_then(|slot| slot.node.as_ref()) {
            node.active.store(active, Ordering::Relaxed);
        }
    }

    fn deactivate(&mut self, root: u32) {
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            self.transitions.push_back(id);
            self.unstable.remove(&id);
            self.hint(id, false);
            let Some(slot) = self.slots.get_mut(id as usize) else { continue };
            let announced = slot.announced.take();
            let reads = std::mem::take(&mut slot.reads);
            self.trash.extend(announced);
            stack.extend(distinct(&reads).into_iter().filter(|read| self.detach(*read, id)));
        }
    }

    /// Removes an edge; returns `true` if the source is inactive now.
    fn detach(&mut self, source: u32, dependent: u32) -> bool {
        let Some(slot) = self.slots.get_mut(source as usize) else { return false };
        let at = slot.dependents.iter().rposition(|id| *id == dependent);
        at.map(|at| slot.dependents.swap_remove(at)).is_some() && !slot.is_active()
    }

    /// Makes the edges of an active node those of its last run.
    pub(super) fn connect(&mut self, node: &Node) {
        if let Kind::Atom { .. } = node.kind {
            return;
        }
        let id = node.id;
        let Some(slot) = self.slots.get(id as usize).filter(|slot| slot.is_active()) else { return };
        let unstable = {
            let memo = node.memo.lock();
            let same = slot.reads.iter().copied().eq(memo.reads.iter().map(|read| read.node.id));
            if same && !memo.unstable && self.unstable.is_empty() {
                return;
            }
            memo.unstable
        };
        if unstable {
            self.unstable.insert(id);
        } else {
            self.unstable.remove(&id);
        }
        let reads = self.reads(id);
        let old = std::mem::replace(&mut self.slots[id as usize].reads, reads.clone());
        let (old, new) = (distinct(&old), distinct(&reads));
        let mut woken = false;
        for read in new.difference(&old) {
            let Some(slot) = self.slot(*read) else { continue };
            let before = slot.is_active();
            slot.dependents.push(id);
            if !before {
                woken = true;
                self.activate(*read);
            }
        }
        for read in old.difference(&new) {
            if self.detach(*read, id) {
                self.deactivate(*read);
            }
        }
        self.raise(id);
        if woken {
            // The source may have changed between the read and the edge.
            self.queue(id);
        }
    }

    fn reads(&self, id: u32) -> Vec<u32> {
        let node = self.slots.get(id as usize).and_then(|slot| slot.node.as_ref());
        node.map_or_else(Vec::new, |node| node.memo.lock().reads.iter().map(|read| read.node.id).collect())
    }

    /// Puts a node above the sources that it reads, and its dependents above it.
    fn raise(&mut self, root: u32) {
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            let slot = &self.slots[id as usize];
            let above = slot.reads.iter().map(|read| self.slots[*read as usize].height + 1).max().unwrap_or(0);
            // Threads with different views can connect a cycle for a moment; heights end there.
            if above > slot.height && (above as usize) <= self.slots.len() {
                self.slots[id as usize].height = above;
                stack.extend_from_slice(&self.slots[id as usize].dependents);
            }
        }
    }

    /// Takes out everything; no queued work remains.
    pub(super) fn clear(&mut self) -> Remains {
        let slots = std::mem::take(&mut self.slots);
        for listener in slots.iter().flat_map(|slot| slot.listeners.iter()) {
            listener.alive.store(false, Ordering::Release);
        }
        let nodes =
            slots.iter().filter_map(|slot| Some((Arc::clone(slot.node.as_ref()?), slot.mount))).collect();
        let (calls, trash) = (std::mem::take(&mut self.calls), std::mem::take(&mut self.trash));
        (self.free, self.names, self.dirty) = Default::default();
        (self.transitions, self.batches, self.unstable) = Default::default();
        (self.lowest, self.tasks, self.saving) = Default::default();
        Remains { nodes, _rest: (slots, calls, trash) }
    }
}

fn distinct(ids: &[u32]) -> BTreeSet<u32> {
    ids.iter().copied().collect()
}
