//! Atoms: names of values.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{StoreError, facade::store};

/// The name of a value of type `T`, and its default.
///
/// An atom holds no value: the store does, under the atom's name.
/// Its methods use the store of this image, which a remote has from its `init` on; a host uses its own
/// [`Store`](crate::Store).
#[derive(Debug)]
pub struct Atom<T> {
    name: &'static str,
    default: fn() -> T,
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Atom<T> {
    /// Creates an atom called `name`, which has the value `default()` until it is set.
    pub const fn new(name: &'static str, default: fn() -> T) -> Self {
        Self { name, default }
    }

    /// Returns the atom's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the default: the value before the first write.
    pub fn initial(&self) -> T {
        (self.default)()
    }

    /// Returns the current value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn get(&self) -> Result<Arc<T>, StoreError> {
        store()?.get(self)
    }

    /// Sets the value.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set(&self, value: &T) -> Result<(), StoreError> {
        store()?.set(self, value)
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> plugin_api::shared::Source for Atom<T> {
    type Value = Arc<T>;

    fn epoch(&self) -> u64 {
        store().and_then(|store| store.epoch(self)).unwrap_or(0)
    }

    fn read(&self) -> Result<Self::Value, (Self::Value, plugin_api::shared::SourceError)> {
        self.get().map_err(|error| {
            let error = plugin_api::shared::SourceError { code: error.code(), message: error.to_string() };
            (Arc::new(self.initial()), error)
        })
    }
}
