//! Process-wide atoms: what a shell and its remotes have in common.
//!
//! An [`Atom`] names a value; a [`Store`] is one participant's view of all values.
//! Values are kept encoded (JSON), so that participants built apart, with other fields in their types, can
//! read each other; no reference into another image is held.
//!
//! - [`api`] is what crosses between images.
//! - [`bundled`] is the implementation that every image carries and one of them provides.
//! - [`Store`] is the facade: decoding, caching, listeners.
//!
//! Names and semantics follow nanostores: [`Store::listen`] is called on change, [`Store::subscribe`] also at
//! once.
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

pub mod api;
mod atom;
mod auth;
pub mod bundled;
mod facade;
mod store;

pub use atom::Atom;
pub use auth::{AUTH, AUTH_TOKEN, Auth, Token, User};
pub use facade::{Shared, store};
pub use store::{Listening, Reader, Store, StoreError};
