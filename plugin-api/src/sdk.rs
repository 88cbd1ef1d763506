//! What a plugin author writes against: [`Expose`], [`Cx`] and [`export!`](crate::export).
//!
//! The SDK owns an egui context for each surface, feeds it with the host's input and turns its output into
//! frames; it catches panics before they reach the boundary.
//!
//! # State
//!
//! When a remote is replaced by another build of it, a surface of the new one starts from what the old one had.
//! What a person has scrolled, opened, moved, marked and is typing into is egui's, and goes over by itself: scroll
//! offsets, collapsed headers, places of windows, sizes of panels, text cursors, the focus, and what was stored
//! with egui's `insert_persisted`.
//! What the panel shows is the author's, and goes over by [`Expose::save`] and [`Expose::restore`].
//! Fields of it come and go, so the format should be self-describing; for what serde's `default` does not cover
//! there is [`Expose::migrate`]:
//!
//! ```
//! use plugin_api::{Cx, Expose, PluginError, egui};
//!
//! /// Version 2.0.0, which calls `note` what 1.x called `text`.
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
// egui 0.36 asks nobody for fonts.
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

    /// Whose style the panel has; asked before each frame.
    ///
    /// With either, the panel is dark when the host is and has the host's fonts, until it says otherwise through
    /// [`egui::Context`].
    fn look() -> Look {
        Look::Host
    }

    /// The state that the panel's next generation starts from, in a self-describing format; empty for none.
    ///
    /// Where things are scrolled to, what is open and what has the focus goes over without it: see
    /// [`crate::sdk`].
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Turns what another version of the remote saved into what this one restores.
    ///
    /// Called before [`restore`](Self::restore) when the version in the manifest of the remote that saved is
    /// another than this one's: an older, or a newer one after it was rolled back.
    /// Without it, `restore` is given the state as it is.
    ///
    /// # Errors
    /// As for [`restore`](Self::restore).
    fn migrate(from_version: &str, state: Vec<u8>) -> Result<Vec<u8>, PluginError> {
        let _ = from_version;
        Ok(state)
    }

    /// Takes over what an earlier generation saved; called after `new` and before the first frame, and not for
    /// a state that is empty.
    ///
    /// # Errors
    /// People are told, and the panel is made once more by `new`, without the state.
    /// A panic instead ends the replacement of a remote: its earlier generation goes on.
    fn restore(&mut self, state: &[u8]) -> Result<(), PluginError> {
        let _ = state;
        Ok(())
    }
}

/// Whose style a panel has: see [`Expose::look`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// The host's: colours, spacing, type scale and radii of its [`Tokens`](crate::tokens::Tokens).
    #[default]
    Host,
    /// egui's, or what the panel makes of it; the host's tokens are there to be asked
    /// ([`theme::tokens`](crate::theme::tokens)).
    Own,
}

/// An error of a plugin: any [`std::error::Error`] by `?`, or [`PluginError::new`].
///
/// As with other types that take any error by `?`, it is no [`std::error::Error`] itself; it can be logged by its
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
    /// An error with the author's own stable code.
    pub fn new(code: &str, message: impl Display) -> Self {
        Self(RemoteError::new(code, message.to_string()))
    }

    /// Returns the author's code; `None` for an error that has none.
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

    /// The remote's version, from its manifest.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Says that this frame stands in for what is still being loaded; called from [`Expose::ui`], each time.
    ///
    /// While a remote is replaced, the picture of its earlier generation stays for a while instead of such a
    /// frame, and where that one was scrolled to is kept until the content is there.
    pub fn loading(&self) {
        self.loading.set(true);
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

    /// Returns the directory of the library as it was installed, with what was shipped alongside it; `None` for a
    /// remote that is linked into its host.
    ///
    /// The library that runs is a private copy in another directory. A generation that was rolled back to comes from
    /// the shell's archive, which has libraries only.
    pub fn library_dir(&self) -> Option<PathBuf> {
        let library = self.services.library().into_string();
        Path::new(&library).parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned)
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
