//! Remotes and surfaces as objects that cross, always behind a guard.
//!
//! An object that `abi_stable` makes ends the process when its value panics. Therefore its traits are private, and
//! only [`Guarded`], which catches the author's panics, implements them.

// `#[sabi_trait]` generates unsafe shims; no unsafe code is written here by hand.
#![allow(unsafe_code, non_camel_case_types)]

use abi_stable::{
    sabi_trait,
    sabi_trait::TD_Opaque,
    std_types::{RBox, RResult, RStr, RVec},
};

use super::{Frame, FrameInput, Remote, RemoteError, Surface, SurfaceContext};
use crate::guard::{catch, guard};

/// [`Remote`] as it crosses.
#[sabi_trait]
pub trait RemoteObject {
    fn get(&mut self, expose: RStr<'_>, context: SurfaceContext) -> RResult<SurfaceBox, RemoteError>;
    fn changed(&mut self) -> RResult<(), RemoteError>;
    #[sabi(last_prefix_field)]
    fn shutdown(&mut self) -> RResult<(), RemoteError>;
}

/// An owned [`Remote`], made by [`entry::remote`](crate::entry::remote).
pub type RemoteBox = RemoteObject_TO<'static, RBox<()>>;

/// [`Surface`] as it crosses.
#[sabi_trait]
pub trait SurfaceObject {
    fn frame(&mut self, input: FrameInput) -> RResult<Frame, RemoteError>;
    fn save(&mut self) -> RResult<RVec<u8>, RemoteError>;
    #[sabi(last_prefix_field)]
    fn close(&mut self) -> RResult<(), RemoteError>;
}

/// An owned [`Surface`], made by [`entry::surface`](crate::entry::surface).
pub type SurfaceBox = SurfaceObject_TO<'static, RBox<()>>;

/// The former name of [`entry::remote`](crate::entry::remote).
#[doc(hidden)]
#[derive(Debug)]
pub struct Remote_TO(());

impl Remote_TO {
    /// Makes the object.
    pub fn from_value<T: Remote + 'static>(value: T, _: TD_Opaque) -> RemoteBox {
        RemoteObject_TO::from_value(Guarded(Some(value)), TD_Opaque)
    }
}

/// The former name of [`entry::surface`](crate::entry::surface).
#[doc(hidden)]
#[derive(Debug)]
pub struct Surface_TO(());

impl Surface_TO {
    /// Makes the object.
    pub fn from_value<T: Surface + 'static>(value: T, _: TD_Opaque) -> SurfaceBox {
        SurfaceObject_TO::from_value(Guarded(Some(value)), TD_Opaque)
    }
}

/// An author's value, whose panics become errors; `None` once it has panicked in a call or has ended.
struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    /// Calls the value, and drops it if it panics, because its state is unknown then.
    fn call<R>(&mut self, f: impl FnOnce(&mut T) -> RResult<R, RemoteError>) -> RResult<R, RemoteError> {
        let Some(value) = &mut self.0 else {
            return RResult::RErr(gone());
        };
        match catch(|| f(value)) {
            Ok(result) => result,
            Err(panic) => {
                // A second panic adds nothing to the first.
                let _ = self.end(|_| Ok(()));
                RResult::RErr(panic)
            }
        }
    }

    /// Calls the value for the last time and drops it; returns the first error.
    fn end(&mut self, last: impl FnOnce(&mut T) -> Result<(), RemoteError>) -> Result<(), RemoteError> {
        let Some(mut value) = self.0.take() else { return Ok(()) };
        let ended = guard(|| last(&mut value));
        ended.and(guard(|| {
            drop(value);
            Ok(())
        }))
    }
}

fn gone() -> RemoteError {
    RemoteError::new(RemoteError::FAILED, "it has panicked before or has ended; press Retry to start it again")
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // A drop without `close` or `shutdown` cannot return an error.
        let _ = self.end(|_| Ok(()));
    }
}

impl<T: Remote> RemoteObject for Guarded<T> {
    fn get(&mut self, expose: RStr<'_>, context: SurfaceContext) -> RResult<SurfaceBox, RemoteError> {
        // A surface that fails to open does not affect the remote.
        guard(|| match &mut self.0 {
            Some(remote) => remote.get(expose, context).into_result(),
            None => Err(gone()),
        })
        .into()
    }

    fn changed(&mut self) -> RResult<(), RemoteError> {
        self.call(T::changed)
    }

    fn shutdown(&mut self) -> RResult<(), RemoteError> {
        self.end(|remote| remote.shutdown().into_result()).into()
    }
}

impl<T: Surface> SurfaceObject for Guarded<T> {
    fn frame(&mut self, input: FrameInput) -> RResult<Frame, RemoteError> {
        self.call(|surface| surface.frame(input))
    }

    fn save(&mut self) -> RResult<RVec<u8>, RemoteError> {
        self.call(T::save)
    }

    fn close(&mut self) -> RResult<(), RemoteError> {
        self.end(|surface| surface.close().into_result()).into()
    }
}
