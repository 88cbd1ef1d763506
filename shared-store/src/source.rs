//! Sources: atoms, views of atoms, and computed values, as the store sees them.

use std::{any::Any, sync::Arc};

use crate::{
    Store, StoreError,
    api::CellArc,
    atom::AnyAtom,
    computed::AnyComputed,
    store::Effect,
    store::Hooks,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
};

/// A value that can be read and listened to: an [`Atom`](crate::Atom), a [`Readonly`](crate::Readonly), or a
/// [`Computed`](crate::Computed). It is implemented in this crate only.
pub trait Readable: Sealed + Send + Sync + 'static {
    /// The type of the value.
    type Value: Send + Sync + 'static;
}

/// The part of [`Readable`] that is not public.
pub trait Sealed {
    /// Returns the source's node in `store`.
    #[doc(hidden)]
    fn node(&'static self, store: &Store) -> Result<Arc<Node>, StoreError>;
}

/// A value of any source.
pub(crate) type Erased = Arc<dyn Any + Send + Sync>;

/// A value, or the reason why there is none.
pub(crate) type Evaluated = Result<Erased, Arc<StoreError>>;

/// The state of a source in one store.
pub struct Node {
    pub(crate) id: u32,
    /// A hint that the node is active; the graph knows.
    pub(crate) active: AtomicBool,
    pub(crate) kind: Kind,
    pub(crate) memo: Mutex<Memo>,
    pub(crate) hooks: Mutex<Hooks>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

pub(crate) enum Kind {
    Atom { atom: &'static dyn AnyAtom, cell: CellArc },
    Computed(&'static dyn AnyComputed),
    Effect(Mutex<Effect>),
}

/// The last value, and what it was made of.
#[derive(Default)]
pub(crate) struct Memo {
    pub(crate) seen: Option<Seen>,
    /// The sources that were read, in order.
    pub(crate) reads: Arc<[Read]>,
    /// Set if a read failed because of a cycle: the next read computes again.
    pub(crate) unstable: bool,
}

/// A value at one moment.
#[derive(Clone)]
pub(crate) struct Seen {
    /// Grows with each value that differs from the one before.
    pub(crate) version: u64,
    /// The cell's epoch; 0 for a computed value.
    pub(crate) epoch: u64,
    pub(crate) value: Evaluated,
}

/// A source that was read, and the version that it had.
pub(crate) struct Read {
    pub(crate) node: Arc<Node>,
    pub(crate) version: u64,
}

impl Node {
    pub(crate) fn new(id: u32, kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            id,
            active: AtomicBool::new(false),
            kind,
            memo: Mutex::default(),
            hooks: Mutex::default(),
        })
    }

    /// Returns the name for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Atom { atom, .. } => format!("`{}`", atom.name()),
            Kind::Computed(computed) => computed.place(),
            Kind::Effect(_) => "an effect".to_owned(),
        }
    }

    /// Compares two values; runs the author's code.
    pub(crate) fn equal(&self, a: &Seen, b: &Seen) -> bool {
        match (&a.value, &b.value) {
            (Ok(x), Ok(y)) if Arc::ptr_eq(x, y) => true,
            (Ok(x), Ok(y)) => match &self.kind {
                Kind::Atom { atom, .. } => atom.equal(x, y, a.epoch > 0 && b.epoch == a.epoch + 1),
                Kind::Computed(computed) => computed.equal(x, y),
                Kind::Effect(_) => false,
            },
            (Err(a), Err(b)) => a == b,
            _ => false,
        }
    }
}

/// A callback of a participant.
pub(crate) struct Listener {
    pub(crate) alive: AtomicBool,
    /// The version that the callback has received; [`u64::MAX`] until it may be called.
    pub(crate) received: AtomicU64,
    pub(crate) call: Box<dyn Fn(&Erased) + Send + Sync>,
}

/// Gives a source the methods that read it in the image's store.
macro_rules! reading_methods {
    ($source:ident, $bound:ident) => {
        impl<T: $bound> $source<T> {
            /// Returns the current value.
            ///
            /// # Errors
            /// See [`StoreError`].
            pub fn get(&'static self) -> Result<Arc<T>, StoreError> {
                crate::store()?.get(self)
            }

            /// Calls `f` with the value after every change, as [`Store::listen`] does.
            ///
            /// # Errors
            /// See [`StoreError`].
            pub fn listen(
                &'static self,
                f: impl Fn(&T) + Send + Sync + 'static,
            ) -> Result<crate::Listening, StoreError> {
                crate::store()?.listen(self, f)
            }

            /// Calls `f` with the value now and after every change, as [`Store::subscribe`] does.
            ///
            /// # Errors
            /// See [`StoreError`].
            pub fn subscribe(
                &'static self,
                f: impl Fn(&T) + Send + Sync + 'static,
            ) -> Result<crate::Listening, StoreError> {
                crate::store()?.subscribe(self, f)
            }
        }
    };
}
pub(crate) use reading_methods;
