//! Process-wide atoms: the state that a shell and its remotes share.
//!
//! An [`Atom`] names a value; a [`Store`] is one participant's view of all values.
//! Names and semantics follow nanostores: [`Store::listen`] calls on change, [`Store::subscribe`] also at once.
//!
//! ```
//! use shared_store::{Atom, Store};
//!
//! static RANGE: Atom<u32> = Atom::new("range", || 30);
//!
//! let store = Store::new();
//! assert_eq!(*store.get(&RANGE)?, 30);
//! let _listening = store.listen(&RANGE, |days| println!("now {days} days"))?;
//! store.set(&RANGE, &90)?;
//! assert_eq!(*store.get(&RANGE)?, 90);
//! # Ok::<(), shared_store::StoreError>(())
//! ```
//!
//! A remote uses [`Atom::get`], [`Atom::set`] and [`store()`]; a panel reads an atom with `cx.read(&AUTH)`, which
//! also wakes it on change.
//!
//! # The life of a store
//!
//! 1. Every image links a copy of this crate. Before `init` its facade has no store ([`StoreError::NotInstalled`]).
//! 2. The host plans one provider. Its table ([`bundled::Table`]) holds the values.
//! 3. The host binds the table for each participant, with the participant's grants ([`SharedCrate::bundled`]).
//! 4. In `init` the SDK points the facade of the remote's image at its binding ([`SharedCrate::install`] of
//!    [`Shared`]), as the host does in its own; [`store()`] works from then on.
//! 5. A write raises the atom's epoch. It runs the writer's listeners at once, and notifies each participant that has
//!    opened the atom.
//! 6. A notified participant runs its own listeners on its own thread ([`Store::deliver`]).
//! 7. At the remote's end [`SharedCrate::uninstall`] releases the binding, and with it the notifications.
//!
//! [`SharedCrate::bundled`]: plugin_api::shared::SharedCrate::bundled
//! [`SharedCrate::install`]: plugin_api::shared::SharedCrate::install
//! [`SharedCrate::uninstall`]: plugin_api::shared::SharedCrate::uninstall
//!
//! ```
//! use plugin_api::shared::{Consumer, Grant, notify_fn};
//! use shared_store::{Atom, Store, bundled::Table};
//!
//! static RANGE: Atom<u32> = Atom::new("range", || 30);
//!
//! let consumer = |name: &str, grants: Vec<Grant>, all| Consumer {
//!     name: name.into(),
//!     grants: grants.into(),
//!     all,
//!     isolated: false,
//!     notify: notify_fn(|| {}), // a real host wakes the remote's thread, which calls `deliver`
//! };
//! let table = Table::new();
//! let host = Store::from_cells(table.bind(consumer("host", Vec::new(), true)));
//! let may_read = vec![Grant { name: "range".into(), write: false }];
//! let remote = Store::from_cells(table.bind(consumer("remoteHello", may_read, false)));
//!
//! let _listening = remote.listen(&RANGE, |days| println!("now {days} days"))?;
//! host.set(&RANGE, &90)?;
//! remote.deliver(); // prints: now 90 days
//! assert_eq!(*remote.get(&RANGE)?, 90);
//! assert_eq!(remote.set(&RANGE, &7).map_err(|error| error.code()), Err("atom-not-granted"));
//! # Ok::<(), shared_store::StoreError>(())
//! ```
//!
//! # Modules and types
//!
//! - [`api`] crosses between images. Values cross encoded, as JSON: participants that were built apart, with other
//!   fields in their types, can read each other, and no image holds a reference into another.
//! - [`bundled`] is the implementation. Every image carries it, and the provider's is used.
//! - [`Store`] is the facade: decoding, caching, listeners.
//! - [`AUTH`] and [`AUTH_TOKEN`] are the first atoms.

pub mod api;
mod atom;
mod auth;
pub mod bundled;
mod bytes;
mod computed;
mod error;
mod facade;
mod loadable;
mod source;
mod store;

pub use atom::{Atom, AtomValue, Readonly};
pub use auth::{AUTH, AUTH_TOKEN, Auth, Token, User};
pub use computed::{Computed, ComputedValue};
pub use error::StoreError;
pub use facade::{Shared, batch, effect, store};
pub use loadable::Loadable;
pub use source::Readable;
pub use store::{
    AtomChange, Cleanup, Intercept, Listening, Persisting, Reader, Store, TaskGuard, Tracking, cleanup,
};
