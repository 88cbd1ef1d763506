//! The store of this image, to which the host points [`Shared`].

use parking_lot::RwLock;
use plugin_api::{
    entry,
    shared::{Consumer, InstallError, SharedCrate},
};

use crate::{Cleanup, Listening, Store, StoreError, Tracking, api::CellsArc, bundled::Table};

/// This crate as a shared crate.
#[derive(Debug)]
pub struct Shared;

enum Facade {
    /// Not used yet.
    Fresh,
    /// Used before a store was installed.
    Used,
    Installed(Store),
}

static FACADE: RwLock<Facade> = RwLock::new(Facade::Fresh);

impl SharedCrate for Shared {
    const NAME: &'static str = "shared-store";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Interface = CellsArc;
    // A table copies names and values; a consumer's `notify` is the host's.
    const COUNTED: bool = true;

    fn bundled(consumer: Consumer) -> CellsArc {
        static TABLE: RwLock<Option<Table>> = RwLock::new(None);
        TABLE.write().get_or_insert_default().bind(consumer)
    }

    fn install(interface: CellsArc) -> Result<(), InstallError> {
        let mut facade = FACADE.write();
        if let Facade::Used = *facade {
            return Err(InstallError::Used { key: Self::NAME });
        }
        *facade = Facade::Installed(Store::from_cells(interface));
        Ok(())
    }

    fn changed() {
        // `store` releases the lock before listeners run.
        if let Ok(store) = store() {
            store.deliver();
        }
    }

    fn uninstall() {
        let before = std::mem::replace(&mut *FACADE.write(), Facade::Fresh);
        // Clones and guards may outlive the remote; the store's threads and callbacks must not.
        if let Facade::Installed(store) = &before {
            store.close();
        }
    }
}

/// Returns the store of this image.
///
/// # Errors
/// [`StoreError::NotInstalled`] before the host has installed a store, and [`StoreError::NotShared`] in a remote that
/// does not share this crate.
pub fn store() -> Result<Store, StoreError> {
    if let Facade::Installed(store) = &*FACADE.read() {
        return Ok(store.clone());
    }
    let mut facade = FACADE.write();
    if let Facade::Installed(store) = &*facade {
        return Ok(store.clone());
    }
    *facade = Facade::Used;
    Err(if entry::is_started() { StoreError::NotShared } else { StoreError::NotInstalled })
}

/// Runs `f` as [`Store::batch`] does, in the store of this image. Without one it only runs `f`.
pub fn batch<R>(f: impl FnOnce() -> R) -> R {
    match store() {
        Ok(store) => store.batch(f),
        Err(_) => f(),
    }
}

/// Runs `f` as [`Store::effect`] does, in the store of this image.
///
/// # Errors
/// See [`StoreError`].
pub fn effect(
    f: impl FnMut(&mut Tracking<'_>) -> Result<Option<Cleanup>, StoreError> + Send + 'static,
) -> Result<Listening, StoreError> {
    store()?.effect(f)
}
