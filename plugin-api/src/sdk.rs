//! What a plugin author writes against: [`Expose`], [`Cx`] and [`export!`](crate::export).
//!
//! The SDK owns an egui context for each surface, feeds it with the host's input and turns its output into
//! frames; it catches panics before they reach the boundary.

use std::{
    cell::RefCell,
    fmt::Display,
    path::{Path, PathBuf},
    rc::Rc,
};

use abi_stable::std_types::RStr;

use crate::{
    abi::{RemoteError, Services},
    shared::Source,
};

mod export;
mod remote;
mod surface;

#[doc(hidden)]
pub use export::{ExposeEntry, SharedEntry};
#[doc(hidden)]
pub use remote::init;
#[doc(hidden)]
pub use surface::open;

/// One panel of a remote.
///
/// Every method is called on the remote's own thread; a panic in any of them is caught, reported with its
/// place, and leaves the shell and the other remotes as they are.
pub trait Expose: Sized + 'static {
    /// Makes the panel. Long work belongs on a thread of the panel's own, which its `Drop` joins.
    ///
    /// # Errors
    /// What is returned is shown in the panel's slot.
    fn new(cx: &Cx) -> Result<Self, PluginError>;

    /// Draws the panel into `ui`, which fills the slot.
    ///
    /// Called only when something happened: input, a change of what was read through [`Cx::read`], or a
    /// repaint that egui or a [`Waker`] asked for.
    fn ui(&mut self, ui: &mut egui::Ui, cx: &Cx);

    /// The state that the panel's next generation starts from, in a self-describing format.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what an earlier generation saved; fields may have come and gone since.
    ///
    /// # Errors
    /// The error is logged and the panel stays as `new` made it.
    fn restore(&mut self, state: &[u8]) -> Result<(), PluginError> {
        let _ = state;
        Ok(())
    }
}

/// An error of a plugin: any [`std::error::Error`] by `?`, or [`PluginError::new`].
#[derive(Debug)]
pub struct PluginError(pub(crate) RemoteError);

impl PluginError {
    /// An error with the author's own stable code.
    pub fn new(code: &str, message: impl Display) -> Self {
        Self(RemoteError::new(code, message.to_string()))
    }
}

impl<E: std::error::Error> From<E> for PluginError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self(RemoteError::new(RemoteError::FAILED, message))
    }
}

/// A surface's connection to its host. `[remote's thread]`
pub struct Cx {
    services: Services,
    surface: u64,
    data_dir: PathBuf,
    watches: Watches,
}

/// What the surfaces of a remote have read, and in which state it was.
pub(crate) type Watches = Rc<RefCell<Vec<Watch>>>;

pub(crate) struct Watch {
    surface: u64,
    source: *const (),
    epoch: Box<dyn Fn() -> u64>,
    seen: u64,
    complained: bool,
}

impl Cx {
    pub(crate) fn new(services: Services, surface: u64, data_dir: PathBuf, watches: Watches) -> Self {
        Self { services, surface, data_dir, watches }
    }

    /// The current value of shared state; the surface is drawn again when it changes.
    ///
    /// State that this remote may not read gives its default and one line in the log.
    pub fn read<S: Source>(&self, source: &'static S) -> S::Value {
        let epoch = source.epoch();
        let (value, error) = match source.read() {
            Ok(value) => (value, None),
            Err((value, error)) => (value, Some(error)),
        };
        let key = std::ptr::from_ref(source).cast::<()>();
        let mut watches = self.watches.borrow_mut();
        let known = watches.iter().position(|w| w.surface == self.surface && w.source == key);
        let at = known.unwrap_or_else(|| {
            watches.push(Watch {
                surface: self.surface,
                source: key,
                epoch: Box::new(|| source.epoch()),
                seen: epoch,
                complained: false,
            });
            watches.len() - 1
        });
        let watch = &mut watches[at];
        watch.seen = epoch;
        if let Some(error) = error
            && !std::mem::replace(&mut watch.complained, true)
        {
            self.log(Level::Warn, &format!("{} [{}]", error.message, error.code));
        }
        value
    }

    /// A directory that belongs to this remote; it exists.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Asks for a frame of this surface from any thread.
    pub fn waker(&self) -> Waker {
        Waker { services: self.services.clone(), surface: self.surface }
    }

    /// Adds a line to the host's log, under the remote's name.
    pub fn log(&self, level: Level, message: &str) {
        self.services.log(level as u32, RStr::from_str(""), RStr::from_str(message));
    }
}

/// Severity of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is not as it should be.
    Warn = 2,
    /// Something worth knowing happened.
    Info = 3,
    /// For whoever debugs the remote.
    Debug = 4,
}

/// Asks for a frame of one surface. `[thread-safe]`
#[derive(Clone)]
pub struct Waker {
    services: Services,
    surface: u64,
}

impl Waker {
    /// Asks for a frame as soon as possible; returns at once.
    pub fn wake(&self) {
        self.services.request_repaint(self.surface, 0);
    }
}
