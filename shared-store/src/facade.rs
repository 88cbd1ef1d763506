//! The store of this image: where [`Shared`] was pointed at.

use parking_lot::RwLock;
use plugin_api::shared::{Consumer, InstallError, SharedCrate};

use crate::{Store, StoreError, api::CellsArc, bundled::Table};

/// This crate, as a shared crate.
#[derive(Debug)]
pub struct Shared;

enum Facade {
    /// Nothing happened yet.
    Fresh,
    /// Somebody asked for the store before it was installed.
    Used,
    Installed(Store),
}

static FACADE: RwLock<Facade> = RwLock::new(Facade::Fresh);

impl SharedCrate for Shared {
    const NAME: &'static str = "shared-store";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Interface = CellsArc;

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
        // The guard is gone before listeners run.
        if let Ok(store) = store() {
            store.deliver();
        }
    }

    fn uninstall() {
        let before = std::mem::replace(&mut *FACADE.write(), Facade::Fresh);
        drop(before);
    }
}

/// The store of this image.
///
/// # Errors
/// [`StoreError::NotInstalled`] before the host has installed one.
pub fn store() -> Result<Store, StoreError> {
    if let Facade::Installed(store) = &*FACADE.read() {
        return Ok(store.clone());
    }
    let mut facade = FACADE.write();
    if let Facade::Installed(store) = &*facade {
        return Ok(store.clone());
    }
    *facade = Facade::Used;
    Err(StoreError::NotInstalled)
}
