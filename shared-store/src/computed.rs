//! Computed values: functions of other sources.

use std::{panic::Location, sync::Arc};

use crate::{
    StoreError,
    source::{Erased, Kind, Node, Readable, Sealed, reading_methods},
    store::{Store, Tracking},
};

/// The bounds of a computed value's type.
pub trait ComputedValue: Send + Sync + 'static {}
impl<T: Send + Sync + 'static> ComputedValue for T {}

/// A value that is a function of other sources.
///
/// It is computed again when a source that it has read changes: at once while it is listened to, otherwise on the next
/// read. Each run may read other sources. An equal result notifies no listener. The function must be pure: the store
/// may run it more than once, and on any thread.
///
/// ```
/// use shared_store::{Atom, Computed, Store};
///
/// static A: Atom<u32> = Atom::new("a", || 1);
/// static B: Atom<u32> = Atom::new("b", || 2);
/// static TOTAL: Computed<u32> = Computed::new(|cx| Ok(*cx.get(&A)? + *cx.get(&B)?));
///
/// let store = Store::new();
/// assert_eq!(*store.get(&TOTAL)?, 3);
/// store.set(&A, &5)?;
/// assert_eq!(*store.get(&TOTAL)?, 7);
/// # Ok::<(), shared_store::StoreError>(())
/// ```
///
/// A computed value cannot be set:
///
/// ```compile_fail
/// # use shared_store::{Computed, Store};
/// static TWO: Computed<u32> = Computed::new(|_| Ok(2));
/// Store::new().set(&TWO, &3);
/// ```
///
/// Its sources live as long as the program:
///
/// ```compile_fail
/// # use shared_store::{Computed, Store};
/// let two = Computed::<u32>::new(|_| Ok(2));
/// Store::new().get(&two);
/// ```
#[derive(Debug)]
pub struct Computed<T> {
    compute: fn(&mut Tracking<'_>) -> Result<T, StoreError>,
    equal: fn(&T, &T) -> bool,
    place: &'static Location<'static>,
}

impl<T> Computed<T> {
    /// Creates a value that `compute` returns.
    #[track_caller]
    pub const fn new(compute: fn(&mut Tracking<'_>) -> Result<T, StoreError>) -> Self
    where
        T: PartialEq,
    {
        Self { compute, equal: T::eq, place: Location::caller() }
    }

    /// Creates a value that `compute` returns, with results that `equal` compares.
    #[track_caller]
    pub const fn new_with_equality(
        compute: fn(&mut Tracking<'_>) -> Result<T, StoreError>,
        equal: fn(&T, &T) -> bool,
    ) -> Self {
        Self { compute, equal, place: Location::caller() }
    }
}

reading_methods!(Computed, ComputedValue);

/// A computed value without its type.
pub(crate) trait AnyComputed: Send + Sync {
    fn compute(&self, cx: &mut Tracking<'_>) -> Result<Erased, StoreError>;
    fn equal(&self, a: &Erased, b: &Erased) -> bool;
    fn place(&self) -> String;
}

impl<T: ComputedValue> AnyComputed for Computed<T> {
    fn compute(&self, cx: &mut Tracking<'_>) -> Result<Erased, StoreError> {
        (self.compute)(cx).map(|value| Arc::new(value) as Erased)
    }

    fn equal(&self, a: &Erased, b: &Erased) -> bool {
        matches!((a.downcast_ref(), b.downcast_ref()), (Some(a), Some(b)) if (self.equal)(a, b))
    }

    fn place(&self) -> String {
        self.place.to_string()
    }
}

impl<T: ComputedValue> Sealed for Computed<T> {
    fn node(&'static self, store: &Store) -> Result<Arc<Node>, StoreError> {
        store.node(std::ptr::from_ref(self).addr(), || Ok(Kind::Computed(self)))
    }
}

impl<T: ComputedValue> Readable for Computed<T> {
    type Value = T;
}

impl<T: ComputedValue> plugin_api::shared::Source for Computed<T> {
    type Value = Option<Arc<T>>;

    fn epoch(&'static self) -> u64 {
        crate::store().and_then(|store| store.version(self)).unwrap_or(0)
    }

    fn read(&'static self) -> Result<Self::Value, (Self::Value, plugin_api::shared::SourceError)> {
        self.get().map(Some).map_err(|error| {
            (None, plugin_api::shared::SourceError { code: error.code(), message: error.to_string() })
        })
    }
}
