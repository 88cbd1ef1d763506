//! Process-wide atoms: the state that a shell and its remotes share.
//!
//! An [`Atom`] names a value; a [`Store`] is one participant's view of all values.
//! Names and semantics follow nanostores: [`Store::listen`] calls on change, [`Store::subscribe`] also at once.
//!
//! ```
//! use shared_store::{Atom, Computed, Store};
//!
//! static RANGE: Atom<u32> = Atom::new("range", || 30);
//! static WEEKS: Computed<u32> = Computed::new(|cx| Ok(*cx.get(&RANGE)? / 7));
//!
//! let store = Store::new();
//! assert_eq!((*store.get(&RANGE)?, *store.get(&WEEKS)?), (30, 4));
//! let _listening = store.listen(&WEEKS, |weeks| println!("now {weeks} weeks"))?;
//! store.set(&RANGE, &90)?; // prints: now 12 weeks
//! store.set(&RANGE, &89)?; // prints nothing: the result is equal
//! # Ok::<(), shared_store::StoreError>(())
//! ```
//!
//! A remote uses [`Atom::get`], [`Atom::set`] and [`store()`]; a panel reads an atom with `cx.read(&AUTH)`, which
//! also wakes it on change.
//!
//! | nanostores | here |
//! |---|---|
//! | `atom`, `.init` | [`Atom::new`], [`Atom::init`], [`Atom::with_equality`] |
//! | `map`, `setKey`, `listenKeys` | [`Store::set_key`], [`Store::listen_keys`] |
//! | `deepMap`, `getPath`, `setPath`, `listenPaths` | [`Store::get_path`], [`Store::set_path`], [`Store::listen_paths`], with JSON pointers |
//! | `computed` | [`Computed`] |
//! | `batch`, `effect` | [`batch`], [`effect`](fn@effect); for a store of one's own, [`Store::batch`] and [`Store::effect`] |
//! | `onMount`, `onStart`, `onStop` | [`Store::on_mount`], [`Store::on_start`], [`Store::on_stop`] |
//! | `onSet`, `onNotify` | [`Store::on_set`], [`Store::on_notify`] |
//! | `readonlyType`, `keepMount` | [`Readonly`], [`Store::keep_mount`] |
//! | `startTask`, `allTasks` | [`Store::start_task`], [`Store::all_tasks`] |
//! | `@nanostores/persistent`, `@nanostores/logger` | [`Store::persist`], [`Store::log`] |
//! | async `computed` | [`Loadable`], a state of its own |
//!
//! # Guarantees and limits
//!
//! - A listener runs once for a change, after every computed value is up to date, and sees no mixture of two moments,
//!   whatever other threads write.
//! - Listeners, effects, hooks, equality and the functions of computed values run under no lock. They may set, batch,
//!   listen, end listeners, panic, and close the store. Two listeners that set each other's atoms to new values without
//!   end never return.
//! - A change made while another call delivers is delivered by that call, on its thread.
//! - A computed value that reads itself is [`StoreError::Cycle`]. Graphs may be deep and wide: no stack grows with them.
//! - [`Store::update`], [`Store::set_key`] and [`Store::set_path`] keep what a later build has stored and this one does
//!   not know; numbers that neither `u64`, `i64` nor `f64` holds are refused, not rounded. [`Store::set`] replaces.
//! - Encoded values are overwritten in memory when they are replaced or dropped, and so is a [`Token`]. A text with
//!   escapes is unescaped in memory of the JSON parser, which is not: the characters of bearer tokens need none.
//! - [`SharedCrate::uninstall`] ends listeners, timers and threads of the image ([`Store::close`]). A thread of the
//!   remote that runs a listener at that moment finishes it.
//!
//! # The life of a store
//!
//! 1. Every image links a copy of this crate. Before `init` its facade has no store ([`StoreError::NotInstalled`]).
//! 2. The host plans one provider. Its table ([`bundled::Table`]) holds the values.
//! 3. The host binds the table for each participant, with the participant's grants ([`SharedCrate::bundled`]).
//! 4. In `init` the SDK points the facade of the remote's image at its binding ([`SharedCrate::install`] of
//!    [`Shared`]), as the host does in its own; [`store()`] works from then on.
//! 5. A write with other bytes raises the atom's epoch, a counter in the provider. It runs the writer's listeners at
//!    once, and notifies each participant that has opened the atom.
//! 6. A notified participant runs its own listeners on its own thread ([`Store::deliver`]).
//! 7. At the remote's end [`SharedCrate::uninstall`] closes the store and releases the binding, and with it the
//!    notifications.
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
//! - [`Store`] is the facade: decoding, caching, the graph of computed values, listeners.
//! - [`Readable`] is what listeners, effects and computed values read: atoms, views and computed values.
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
mod sync;

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
