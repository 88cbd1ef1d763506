//! Quota of shell memory, shared by all surfaces of a remote: more surfaces do not get more of it.

use std::sync::Arc;

use parking_lot::Mutex;

/// Sums over all surfaces of a remote.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<Mutex<Amounts>>);

/// Amounts that count against the quota of a remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) texels: u64,
    pub(super) vertices: usize,
    pub(super) indices: usize,
    pub(super) nodes: usize,
}

/// The part used by one surface, released when dropped.
#[derive(Debug, Default)]
pub(super) struct Share {
    all: Held,
    own: Amounts,
}

impl Share {
    pub(super) fn of(all: &Held) -> Self {
        Self { all: all.clone(), own: Amounts::default() }
    }

    pub(super) fn own(&self) -> Amounts {
        self.own
    }

    /// Returns the sums of the other surfaces.
    pub(super) fn others(&self) -> Amounts {
        let (all, own) = (*self.all.0.lock(), self.own);
        Amounts {
            texels: all.texels.saturating_sub(own.texels),
            vertices: all.vertices.saturating_sub(own.vertices),
            indices: all.indices.saturating_sub(own.indices),
            nodes: all.nodes.saturating_sub(own.nodes),
        }
    }

    /// Replaces the amounts of this surface.
    pub(super) fn set(&mut self, own: Amounts) {
        let others = self.others();
        *self.all.0.lock() = Amounts {
            texels: others.texels + own.texels,
            vertices: others.vertices + own.vertices,
            indices: others.indices + own.indices,
            nodes: others.nodes + own.nodes,
        };
        self.own = own;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(Amounts::default());
    }
}
