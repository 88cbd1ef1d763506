//! Shared crates: one copy for all images, from any participant.
//!
//! A crate is shareable when it implements [`SharedCrate`].
//! Every image links its own copy, so that a remote runs alone. When the plan names another participant as provider,
//! the host binds the provider's copy for this image ([`Consumer`]) and passes the resulting [`Interface`], to which
//! the crate's facade is pointed before its first use.
//!
//! # Values of a consumer in the provider
//!
//! Images are unloaded one by one. The host keeps a provider's library loaded while one of its consumers may call it.
//! The reverse needs the crate's help, because only the crate knows which values of a consumer it keeps: a callback,
//! a service, and also a string or vector, whose memory belongs to the consumer's image until it is copied.
//!
//! - By default the host assumes that a provider keeps something of each consumer. A consumer's library then stays
//!   mapped, after the remote has ended or was replaced, until the provider's library is unloaded.
//! - A crate that sets [`SharedCrate::COUNTED`] promises to keep nothing of a consumer but values in [`Lent`]. A
//!   consumer's library is then unloaded as soon as the last of them is dropped.
//!
//! ```
//! # use abi_stable::{sabi_trait, std_types::{RArc, RStr, RVec}};
//! # use plugin_api::shared::Lent;
//! #[sabi_trait]
//! pub trait Board: Send + Sync + Clone {
//!     #[sabi(last_prefix_field)]
//!     fn publish(&self, name: RStr<'_>, rates: Lent<RArc<RVec<f64>>>);
//! }
//!
//! /// Runs in the consumer's image.
//! fn publish(board: &Board_TO<'_, RArc<()>>, rates: RArc<RVec<f64>>) {
//!     board.publish("feed".into(), Lent::new(rates));
//! }
//! # fn main() {}
//! ```
//!
//! # Panics
//!
//! A panic that leaves a method of a `#[sabi_trait]` object ends the process. The implementation of an interface
//! calls [`guard`] or [`catch`] where a method can panic.
// `unsafe` code in this module: the type erasure of `Interface`, and the counter of `Lent`.
#![allow(unsafe_code)]
#![allow(missing_docs, non_local_definitions, clippy::all, clippy::pedantic, clippy::mem_forget)]

use std::{
    mem::ManuallyDrop,
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use abi_stable::{
    StableAbi, sabi_trait,
    std_types::{RArc, RResult, RString, RVec},
    type_layout::TypeLayout,
};

use crate::{
    abi::error::RemoteError,
    guard::{catch, guard},
    layout,
};

/// A crate that participants can share.
pub trait SharedCrate: 'static {
    /// Key in the share scope.
    const NAME: &'static str;
    /// Version of this copy.
    const VERSION: &'static str;
    /// The type that crosses between images.
    type Interface: StableAbi + Send + Sync + 'static;
    /// Set if this copy keeps nothing of its consumers but values in [`Lent`]; see [the module](self).
    ///
    /// If this is wrong, the shell crashes when the copy calls code of a consumer's unloaded library.
    const COUNTED: bool = false;

    /// Binds this image's own copy for `consumer`; an [`isolated`](Consumer::isolated) consumer gets a new instance.
    /// `[any thread]`
    fn bundled(consumer: Consumer) -> Self::Interface;

    /// Points this image's facade at `interface`. `[remote's thread]`
    ///
    /// # Errors
    /// Returns [`InstallError::Used`] if the facade was used before: its reads and writes would be lost.
    fn install(interface: Self::Interface) -> Result<(), InstallError>;

    /// Delivers changes of the shared copy to this image. `[remote's thread]`
    fn changed();

    /// Releases the interface; the facade is as before [`install`](Self::install). `[remote's thread]`
    fn uninstall();
}

/// Shared state that a surface can read and be woken by, such as an atom.
pub trait Source: 'static {
    /// The type of the value.
    type Value;

    /// Returns a number that grows with every change.
    fn epoch(&'static self) -> u64;

    /// Returns the current value.
    ///
    /// # Errors
    /// If it is not available to this remote; the error comes with a value to continue with.
    fn read(&'static self) -> Result<Self::Value, (Self::Value, SourceError)>;
}

/// The reason why a [`Source`] is not available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// Stable code.
    pub code: &'static str,
    /// Cause and remedy.
    pub message: String,
}

/// The reason why a crate could not be pointed at its provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The crate was used before it was negotiated.
    #[error(
        "`{key}` was used before it was negotiated; use it only after `init`, not in statics or constructors"
    )]
    Used { key: &'static str },
    /// The host passed no interface for a crate that this image links.
    #[error("the host assigned no provider for `{key}`; add it to `shared` in the remote's manifest")]
    Missing { key: &'static str },
    /// The provider's interface has another layout than the one that this image was built for.
    #[error(
        "`{key}` {version} of `{provider}` has another layout than this build expects: {difference}; build both \
         again with the same `{key}`"
    )]
    Layout { key: String, version: String, provider: String, difference: String },
}

impl InstallError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Used { .. } => "shared-used",
            Self::Missing { .. } => "shared-missing",
            Self::Layout { .. } => "shared-layout",
        }
    }
}

/// The participant for which a shared copy is bound.
#[repr(C)]
#[derive(Clone, StableAbi)]
pub struct Consumer {
    /// Name of the participant.
    pub name: RString,
    /// Its permissions; the provider defines the meaning of their names.
    pub grants: Grants,
    /// Set for the host, which may use everything.
    pub all: bool,
    /// Set for a consumer that gets a separate instance: the crate is not a singleton in its scope, so participants
    /// share its code and not its state.
    pub isolated: bool,
    /// Notifies the consumer of a change in the state that it uses.
    pub notify: NotifyArc,
}

/// The permissions of a consumer.
pub type Grants = RVec<Grant>;

/// A permission by name.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, StableAbi)]
pub struct Grant {
    /// Name of the item that may be used.
    pub name: RString,
    /// Set if it may also be changed.
    pub write: bool,
}

/// A callback that wakes a consumer. `[thread-safe]`
#[sabi_trait]
pub trait Notify: Send + Sync + Clone {
    /// Signals a change; returns at once.
    #[sabi(last_prefix_field)]
    fn notify(&self);
}

/// A shared handle on [`Notify`].
pub type NotifyArc = Notify_TO<'static, RArc<()>>;

/// Wraps `f` as a [`NotifyArc`].
pub fn notify_fn(f: impl Fn() + Send + Sync + Clone + 'static) -> NotifyArc {
    #[derive(Clone)]
    struct Call<F>(F);
    impl<F: Fn() + Send + Sync + Clone> Notify for Call<F> {
        fn notify(&self) {
            // `notify` cannot return an error: the consumer misses a change.
            let _ = catch(|| (self.0)());
        }
    }
    Notify_TO::from_ptr(RArc::new(Call(f)), abi_stable::sabi_trait::TD_Opaque)
}

/// A shared copy, bound for one consumer, with its type erased.
///
/// Invariant: `value` points to a live, boxed value of a type with the layout `layout` that is `Send + Sync`; `drop`
/// drops it.
#[repr(C)]
#[derive(StableAbi)]
pub struct Interface {
    key: RString,
    version: RString,
    provider: RString,
    layout: &'static TypeLayout,
    counted: bool,
    value: *mut (),
    drop: unsafe extern "C" fn(*mut ()),
}

// SAFETY: `new` takes `Send + Sync` values only (the invariant), and the other fields are plain data.
unsafe impl Send for Interface {}
// SAFETY: as above.
unsafe impl Sync for Interface {}

impl Interface {
    /// Erases `value`, the interface of `key` at `version`.
    pub fn new<T: StableAbi + Send + Sync + 'static>(key: &str, version: &str, value: T) -> Self {
        unsafe extern "C" fn drop_boxed<T>(value: *mut ()) {
            // SAFETY: the caller passes the pointer that `new` made from a `Box<T>`, once.
            drop(unsafe { Box::from_raw(value.cast::<T>()) });
        }
        Self {
            key: key.into(),
            version: version.into(),
            provider: RString::new(),
            layout: <T as StableAbi>::LAYOUT,
            counted: false,
            value: Box::into_raw(Box::new(value)).cast(),
            drop: drop_boxed::<T>,
        }
    }

    /// Returns the key in the share scope.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the version of the provider's copy.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the name of the provider, once it was [set](Self::provided_by).
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Sets the copy's [`SharedCrate::COUNTED`].
    #[must_use]
    pub fn counted(mut self, counted: bool) -> Self {
        self.counted = counted;
        self
    }

    /// Returns `true` if the provider keeps nothing of its consumer but values in [`Lent`].
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Returns the layout of the type that crosses between images.
    pub fn layout(&self) -> &'static TypeLayout {
        self.layout
    }

    /// Sets the name of the provider, for messages.
    #[must_use]
    pub fn provided_by(mut self, provider: &str) -> Self {
        self.provider = provider.into();
        self
    }

    /// Returns the value as the type that this image was built for.
    ///
    /// `T: Clone`, because the box belongs to the provider's allocator and stays there until `self` is dropped.
    ///
    /// # Errors
    /// Returns [`InstallError::Layout`] if the structure of the provider's type differs from `T`.
    pub fn get<T: StableAbi + Clone + Send + Sync + 'static>(&self) -> Result<T, InstallError> {
        layout::check(<T as StableAbi>::LAYOUT, self.layout).map_err(|difference| InstallError::Layout {
            key: self.key.to_string(),
            version: self.version.to_string(),
            provider: self.provider.to_string(),
            difference,
        })?;
        // SAFETY: by the invariant `value` is live and of a type with the layout `self.layout`, which was just
        // found compatible with `T`'s.
        Ok(unsafe { &*self.value.cast::<T>() }.clone())
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        // SAFETY: `value` came from `new` together with this `drop` and is not used afterwards.
        unsafe { (self.drop)(self.value) }
    }
}

/// A value of one image that another image keeps; the library of the first image stays loaded until the value is
/// dropped.
///
/// The image that calls [`Lent::new`] is the lender: clones count there, too.
///
/// Invariant: `count` points to the counter of the image of `value`. The image, and with it the counter, is mapped
/// while the counter is not zero.
#[repr(C)]
#[derive(StableAbi)]
pub struct Lent<T> {
    value: ManuallyDrop<T>,
    count: *const AtomicU64,
}

/// Number of values of this image that are lent.
static LENT: AtomicU64 = AtomicU64::new(0);

/// Implements [`crate::abi::RemoteEntry::lent`].
pub(crate) extern "C" fn lent() -> u64 {
    LENT.load(Ordering::Acquire)
}

// SAFETY: the counter is atomic; the value is sent with the pointer.
unsafe impl<T: Send> Send for Lent<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Lent<T> {}

impl<T> Lent<T> {
    /// Lends a value of this image.
    pub fn new(value: T) -> Self {
        LENT.fetch_add(1, Ordering::AcqRel);
        Self { value: ManuallyDrop::new(value), count: &raw const LENT }
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> Clone for Lent<T> {
    fn clone(&self) -> Self {
        // SAFETY: by the invariant, because `self` is counted.
        unsafe { &*self.count }.fetch_add(1, Ordering::AcqRel);
        Self { value: ManuallyDrop::new(T::clone(&self.value)), count: self.count }
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: it is dropped once, here, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.value) };
        // Last, and by the code of this image: nothing of the lender is needed after this.
        // SAFETY: by the invariant, because `self` is still counted.
        unsafe { &*self.count }.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lent").field(&**self).finish()
    }
}

/// A shared crate that is linked into an image: its offer to other images, and its expectation of their copies.
#[repr(C)]
#[derive(Clone, StableAbi)]
pub struct SharedModule {
    /// Name of the crate, the key of the share scope.
    pub key: RString,
    /// Version of the copy.
    pub version: RString,
    /// Layout of the crate's interface in this build.
    pub layout: &'static TypeLayout,
    /// Makes the interface through which one consumer uses this copy. `[any thread]`
    pub bind: extern "C" fn(Consumer) -> RResult<Interface, RemoteError>,
}

/// Describes `C` as it is linked into this image.
pub fn module<C: SharedCrate>() -> SharedModule {
    extern "C" fn bind<C: SharedCrate>(consumer: Consumer) -> RResult<Interface, RemoteError> {
        guard(|| Ok(Interface::new(C::NAME, C::VERSION, C::bundled(consumer)).counted(C::COUNTED))).into()
    }
    SharedModule {
        key: C::NAME.into(),
        version: C::VERSION.into(),
        layout: <C::Interface as StableAbi>::LAYOUT,
        bind: bind::<C>,
    }
}

/// Points this image's `C` at the interface that `scope` holds for it.
///
/// # Errors
/// See [`InstallError`].
pub fn install<C>(scope: &[Interface]) -> Result<(), InstallError>
where
    C: SharedCrate,
    C::Interface: Clone,
{
    let interface = scope.iter().find(|i| i.key() == C::NAME).ok_or(InstallError::Missing { key: C::NAME })?;
    C::install(interface.get::<C::Interface>()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn lent_values_are_counted_until_dropped() {
        let before = lent();
        let value = Arc::new(7);
        let one = Lent::new(Arc::clone(&value));
        let two = one.clone();
        assert_eq!((lent() - before, **two, Arc::strong_count(&value)), (2, 7, 3));
        drop((one, two));
        assert_eq!((lent() - before, Arc::strong_count(&value)), (0, 1));
    }

    #[test]
    fn panicking_notification_is_contained() {
        notify_fn(|| panic!("on notice")).notify();
    }
}
