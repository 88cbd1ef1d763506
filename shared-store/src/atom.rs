//! Atoms: names of values.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    StoreError,
    bytes::{Wiped, encode},
    source::{Erased, Kind, Node, Readable, Sealed, reading_methods},
    store::Store,
};

/// The bounds of an atom's type.
pub trait AtomValue: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> AtomValue for T {}

/// The name of a value of type `T`, and its initial value.
///
/// An atom holds no value: the store does, under the atom's name.
/// Its methods use the store of this image, which a remote has from its `init` on; a host uses its own
/// [`Store`], whose methods have the same names.
///
/// Listeners run when the value changes. Values are equal if their JSON is, or as
/// [`with_equality`](Self::with_equality) decides.
#[derive(Debug)]
pub struct Atom<T> {
    name: &'static str,
    init: fn() -> T,
    equality: Option<fn(&T, &T) -> bool>,
    secret: bool,
}

impl<T> Atom<T> {
    /// Returns this atom, whose listeners run only for values that differ by `equal`.
    ///
    /// A participant does not write a value that equals the present one.
    ///
    /// ```
    /// use shared_store::{Atom, Store};
    ///
    /// static ZOOM: Atom<f64> = Atom::new("zoom", || 1.0).with_equality(|a, b| (a - b).abs() < 0.01);
    ///
    /// let store = Store::new();
    /// store.set(&ZOOM, &1.001)?;
    /// assert_eq!(*store.get(&ZOOM)?, 1.0);
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    #[must_use]
    pub const fn with_equality(mut self, equal: fn(&T, &T) -> bool) -> Self {
        self.equality = Some(equal);
        self
    }

    /// Returns this atom as a secret: it is read and set as a whole, is never persisted, and no log shows its value.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Returns the atom's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns `true` for a [`secret`](Self::secret) atom.
    pub const fn is_secret(&self) -> bool {
        self.secret
    }

    /// Returns the initial value: the value before the first write.
    pub fn init(&self) -> T {
        (self.init)()
    }

    pub(crate) fn equality(&self) -> Option<fn(&T, &T) -> bool> {
        self.equality
    }
}

impl<T: AtomValue> Atom<T> {
    /// Creates an atom called `name`, which has the value `init()` until it is set.
    pub const fn new(name: &'static str, init: fn() -> T) -> Self {
        Self { name, init, equality: None, secret: false }
    }

    /// Sets the value, as [`Store::set`] does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set(&'static self, value: &T) -> Result<(), StoreError> {
        crate::store()?.set(self, value)
    }

    /// Sets the value to `f` of it, as [`Store::update`] does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn update(&'static self, f: impl Fn(&T) -> T) -> Result<(), StoreError> {
        crate::store()?.update(self, f)
    }

    /// Sets the initial value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn reset(&'static self) -> Result<(), StoreError> {
        crate::store()?.reset(self)
    }

    /// Sets one member of the value, as [`Store::set_key`] does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set_key<V: Serialize + ?Sized>(&'static self, key: &str, value: &V) -> Result<(), StoreError> {
        crate::store()?.set_key(self, key, value)
    }
}

reading_methods!(Atom, AtomValue);

/// A view of an atom that cannot set it.
///
/// ```
/// use shared_store::{Atom, Readonly, Store};
///
/// mod clock {
///     use shared_store::{Atom, Readonly};
///     static TICKS: Atom<u64> = Atom::new("ticks", || 0);
///     pub static TIME: Readonly<u64> = Readonly::new(&TICKS);
/// }
///
/// let store = Store::new();
/// assert_eq!(*store.get(&clock::TIME)?, 0);
/// # Ok::<(), shared_store::StoreError>(())
/// ```
///
/// ```compile_fail
/// # use shared_store::{Atom, Readonly, Store};
/// # static TICKS: Atom<u64> = Atom::new("ticks", || 0);
/// static TIME: Readonly<u64> = Readonly::new(&TICKS);
/// Store::new().set(&TIME, &1); // a `Readonly` is no `Atom`
/// ```
#[derive(Debug)]
pub struct Readonly<T: 'static>(&'static Atom<T>);

impl<T: AtomValue> Readonly<T> {
    /// Creates a view of `atom`.
    pub const fn new(atom: &'static Atom<T>) -> Self {
        Self(atom)
    }
}

reading_methods!(Readonly, AtomValue);

/// An atom without its type.
pub(crate) trait AnyAtom: Send + Sync {
    fn name(&self) -> &'static str;
    fn init(&self) -> Erased;
    fn decode(&self, bytes: &[u8]) -> Result<Erased, StoreError>;
    fn encode(&self, value: &Erased) -> Result<Wiped, StoreError>;
    /// Compares two values; `adjacent` if the second was stored directly over the first, so that their JSON differs.
    fn equal(&self, a: &Erased, b: &Erased, adjacent: bool) -> bool;
}

impl<T: AtomValue> AnyAtom for Atom<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn init(&self) -> Erased {
        Arc::new((self.init)())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Erased, StoreError> {
        decode::<T>(self.name, bytes).map(|value| Arc::new(value) as Erased)
    }

    fn encode(&self, value: &Erased) -> Result<Wiped, StoreError> {
        let value = value.downcast_ref::<T>();
        encode(&value).map_err(|e| StoreError::encode(self.name, &e))
    }

    fn equal(&self, a: &Erased, b: &Erased, adjacent: bool) -> bool {
        match self.equality {
            Some(equal) => match (a.downcast_ref::<T>(), b.downcast_ref::<T>()) {
                (Some(a), Some(b)) => equal(a, b),
                _ => false,
            },
            None if adjacent => false,
            None => matches!((self.encode(a), self.encode(b)), (Ok(a), Ok(b)) if *a == *b),
        }
    }
}

pub(crate) fn decode<T: DeserializeOwned>(atom: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::decode(atom, &e))
}

impl<T: AtomValue> Sealed for Atom<T> {
    fn node(&'static self, store: &Store) -> Result<Arc<Node>, StoreError> {
        store.node(std::ptr::from_ref(self).addr(), || {
            Ok(Kind::Atom { atom: self, cell: store.open(self.name)? })
        })
    }
}

impl<T: AtomValue> Readable for Atom<T> {
    type Value = T;
}

impl<T: AtomValue> Sealed for Readonly<T> {
    fn node(&'static self, store: &Store) -> Result<Arc<Node>, StoreError> {
        self.0.node(store)
    }
}

impl<T: AtomValue> Readable for Readonly<T> {
    type Value = T;
}

fn read_or_init<T: AtomValue>(
    atom: &'static Atom<T>,
) -> Result<Arc<T>, (Arc<T>, plugin_api::shared::SourceError)> {
    atom.get().map_err(|error| {
        let error = plugin_api::shared::SourceError { code: error.code(), message: error.to_string() };
        (Arc::new(atom.init()), error)
    })
}

fn epoch_of<T: AtomValue>(atom: &'static Atom<T>) -> u64 {
    crate::store().and_then(|store| store.epoch(atom)).unwrap_or(0)
}

impl<T: AtomValue> plugin_api::shared::Source for Atom<T> {
    type Value = Arc<T>;

    fn epoch(&'static self) -> u64 {
        epoch_of(self)
    }

    fn read(&'static self) -> Result<Self::Value, (Self::Value, plugin_api::shared::SourceError)> {
        read_or_init(self)
    }
}

impl<T: AtomValue> plugin_api::shared::Source for Readonly<T> {
    type Value = Arc<T>;

    fn epoch(&'static self) -> u64 {
        epoch_of(self.0)
    }

    fn read(&'static self) -> Result<Self::Value, (Self::Value, plugin_api::shared::SourceError)> {
        read_or_init(self.0)
    }
}
