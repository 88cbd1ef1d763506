//! The interface for authors of remotes: [`Expose`], [`Cx`] and [`export!`](crate::export).
//!
//! The SDK owns an egui context for each surface, feeds it with the host's input and turns its output into
//! frames. It catches panics before they reach the boundary.
//!
//! # State
//!
//! Each surface starts from the state of the old one when another build replaces the remote.
//! The SDK carries over the state that egui keeps: scroll offsets, collapsed headers, places of windows, sizes of
//! panels, text cursors, the focus, and values stored with egui's `insert_persisted`.
//! The author carries over the content of the panel, by [`Expose::save`] and [`Expose::restore`].
//! Its fields change between versions, so the format should be self-describing; [`Expose::migrate`] is for changes
//! that serde's `default` does not cover:
//!
//! ```
//! use plugin_api::{Cx, Expose, PluginError, egui};
//!
//! /// Version 2.0.0, in which `note` is the field that 1.x called `text`.
//! #[derive(Default, serde::Serialize, serde::Deserialize)]
//! #[serde(default)]
//! struct Notes {
//!     note: String,
//!     pinned: bool,
//! }
//!
//! impl Expose for Notes {
//!     fn new(_: &Cx) -> Result<Self, PluginError> {
//!         Ok(Self::default())
//!     }
//!
//!     fn ui(&mut self, ui: &mut egui::Ui, _: &Cx) {
//!         ui.checkbox(&mut self.pinned, "Pinned");
//!         ui.text_edit_multiline(&mut self.note);
//!     }
//!
//!     fn save(&self) -> Vec<u8> {
//!         serde_json::to_vec(self).unwrap_or_default()
//!     }
//!
//!     fn migrate(from_version: &str, state: Vec<u8>) -> Result<Vec<u8>, PluginError> {
//!         if !from_version.starts_with("1.") {
//!             return Ok(state);
//!         }
//!         let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&state)?;
//!         if let Some(text) = fields.remove("text") {
//!             fields.insert("note".to_owned(), text);
//!         }
//!         Ok(serde_json::to_vec(&fields)?)
//!     }
//!
//!     fn restore(&mut self, state: &[u8]) -> Result<(), PluginError> {
//!         *self = serde_json::from_slice(state)?;
//!         Ok(())
//!     }
//! }
//!
//! let old = br#"{ "text": "milk", "colour": "red" }"#.to_vec();
//! let new: Notes = serde_json::from_slice(&Notes::migrate("1.4.0", old)?)?;
//! assert_eq!((&*new.note, new.pinned), ("milk", false));
//! # Ok::<(), PluginError>(())
//! ```

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Display},
    path::{Path, PathBuf},
    rc::Rc,
};

use abi_stable::std_types::RStr;

use crate::{
    abi::{RemoteError, Services},
    shared::Source,
};

mod drag;
mod export;
// egui 0.36 cannot ask for fonts.
#[cfg(not(feature = "egui-0-36"))]
mod fonts;
mod memory;
mod remote;
mod state;
mod surface;

pub use drag::Dropped;
#[doc(hidden)]
pub use export::{ExposeEntry, SharedEntry};
#[doc(hidden)]
pub use remote::init;
#[doc(hidden)]
pub use surface::open;

/// A panel of a remote.
///
/// The host calls every method on the remote's own thread. A panic in any of them is caught and reported with its
/// place; the shell and the other remotes keep running.
pub trait Expose: Sized + 'static {
    /// Makes the panel. Long work belongs on a thread of the panel, which its `Drop` joins.
    ///
    /// # Errors
    /// The panel's slot shows the error.
    fn new(cx: &Cx) -> Result<Self, PluginError>;

    /// Draws the panel into `ui`, which fills the slot.
    ///
    /// Called only when there is a reason: input, a change of state that was read through [`Cx::read`], or a
    /// repaint that egui or a [`Waker`] requested.
    fn ui(&mut self, ui: &mut egui::Ui, cx: &Cx);

    /// Returns the panel's style; called before each frame.
    ///
    /// With either style the panel is dark when the host is, and has the host's fonts, unless it sets its own through
    /// [`egui::Context`].
    fn look() -> Look {
        Look::Host
    }

    /// Returns the state for the panel's next generation, in a self-describing format; empty for no state.
    ///
    /// Scroll offsets, open headers and the focus are carried over without it: see [`crate::sdk`].
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Converts state that another version of the remote saved into the form that this version restores.
    ///
    /// Called before [`restore`](Self::restore) when the remote that saved has another version in its manifest: an
    /// older version, or a newer one after a rollback.
    /// By default, `restore` receives the state unchanged.
    ///
    /// # Errors
    /// As for [`restore`](Self::restore).
    fn migrate(from_version: &str, state: Vec<u8>) -> Result<Vec<u8>, PluginError> {
        let _ = from_version;
        Ok(state)
    }

    /// Restores the state that an earlier generation saved; called after `new` and before the first frame, unless
    /// the state is empty.
    ///
    /// # Errors
    /// The host shows the error to the user, and `new` makes the panel again, without the state.
    /// A panic ends the replacement of the remote: its earlier generation keeps running.
    fn restore(&mut self, state: &[u8]) -> Result<(), PluginError> {
        let _ = state;
        Ok(())
    }
}

/// The style of a panel: see [`Expose::look`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// The host's: colours, spacing, type scale and radii of its [`Tokens`](crate::tokens::Tokens).
    #[default]
    Host,
    /// egui's, or a style that the panel sets; [`theme::tokens`](crate::theme::tokens) returns the host's tokens.
    Own,
}

/// An error of a plugin, made from any [`std::error::Error`] by `?`, or by [`PluginError::new`].
///
/// Like other types that convert any error by `?`, it does not implement [`std::error::Error`]; log it by its
/// [`Display`].
///
/// ```
/// # use plugin_api::PluginError;
/// let error = PluginError::new("no-seats", "all seats are taken");
/// assert_eq!((error.code(), error.message()), (Some("no-seats"), "all seats are taken"));
/// assert_eq!(error.to_string(), "all seats are taken [no-seats]");
/// let error = PluginError::from(std::fmt::Error);
/// assert_eq!(error.code(), None);
/// ```
#[derive(Debug)]
pub struct PluginError(pub(crate) RemoteError);

impl PluginError {
    /// Returns an error with a stable code that the author chooses.
    pub fn new(code: &str, message: impl Display) -> Self {
        Self(RemoteError::new(code, message.to_string()))
    }

    /// Returns the author's code; `None` for an error without one.
    pub fn code(&self) -> Option<&str> {
        Some(self.0.code.as_str()).filter(|code| *code != RemoteError::FAILED)
    }

    /// Returns the message, with the causes of the error.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code() {
            Some(code) => write!(f, "{} [{code}]", self.message()),
            None => f.write_str(self.message()),
        }
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
    version: Rc<str>,
    watches: Watches,
    loading: Cell<bool>,
    drags: RefCell<drag::Drags>,
}

/// The shared state that the surfaces of a remote have read, with its epochs.
pub(crate) type Watches = Rc<RefCell<Vec<AtomWatch>>>;

pub(crate) struct AtomWatch {
    surface: u64,
    source: *const (),
    epoch: Box<dyn Fn() -> u64>,
    seen: u64,
    complained: bool,
}

impl Cx {
    pub(crate) fn new(
        services: Services,
        surface: u64,
        data_dir: PathBuf,
        version: Rc<str>,
        watches: Watches,
    ) -> Self {
        Self {
            services,
            surface,
            data_dir,
            version,
            watches,
            loading: Cell::new(false),
            drags: RefCell::default(),
        }
    }

    /// Returns the remote's version, from its manifest.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Marks this frame as a placeholder for content that is still loading; call it in each such frame, from
    /// [`Expose::ui`].
    ///
    /// While a remote is replaced, the host shows the picture of its earlier generation for a while instead of
    /// placeholders, and the scroll offsets are kept until the content is there.
    pub fn loading(&self) {
        self.loading.set(true);
    }

    /// Returns the current value of shared state; the surface is drawn again when it changes.
    ///
    /// For state that this remote may not read, returns the default and adds one line to the log.
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
            watches.push(AtomWatch {
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

    /// Returns the directory that belongs to this remote; it exists.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Returns the directory of the installed library, with the files shipped alongside it; `None` for a remote that
    /// is linked into its host.
    ///
    /// The library that runs is a private copy in another directory. After a rollback the directory is in the shell's
    /// archive, which holds libraries only.
    pub fn library_dir(&self) -> Option<PathBuf> {
        let library = self.services.library().into_string();
        Path::new(&library).parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned)
    }

    /// Returns a handle that requests frames of this surface from any thread.
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
    /// A failure.
    Error = 1,
    /// A condition that needs attention.
    Warn = 2,
    /// An event worth knowing.
    Info = 3,
    /// A detail for debugging the remote.
    Debug = 4,
}

/// A handle that requests frames of one surface. `[thread-safe]`
#[derive(Clone)]
pub struct Waker {
    services: Services,
    surface: u64,
}

impl Waker {
    /// Requests a frame as soon as possible; returns at once.
    pub fn wake(&self) {
        self.services.request_repaint(self.surface, 0);
    }
}
