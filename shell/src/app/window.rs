//! A native window, and what to do when there is none.

use std::panic::{AssertUnwindSafe, catch_unwind};

use egui::{Context, Vec2, ViewportBuilder};

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// Neither X11 nor Wayland.
    #[error(
        "there is no display: neither WAYLAND_DISPLAY nor DISPLAY is set; start pulse in a desktop session, or \
         under a virtual one (`cargo xtask run` does that with Xvfb)"
    )]
    NoDisplay,
    /// The system refuses.
    #[error("the window cannot be opened: {0}")]
    Refused(String),
    /// A system library is missing.
    #[error(
        "the window cannot be opened, probably because a system library is missing ({0}); on Debian and Ubuntu: \
         apt-get install libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2 libx11-xcb1 libegl1 libgl1 libvulkan1 \
         mesa-vulkan-drivers"
    )]
    Library(String),
}

impl WindowError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoDisplay => "window-no-display",
            Self::Refused(_) => "window-refused",
            Self::Library(_) => "window-library",
        }
    }
}

/// Shows `app` in a window until it is closed; `ctx` may be in use already, so that work that repaints the
/// window can begin before there is one.
pub(crate) fn run_with(
    ctx: &Context,
    title: &str,
    size: Vec2,
    app: Box<dyn eframe::App>,
) -> Result<(), WindowError> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(target_os = "linux") && !set("DISPLAY") && !set("WAYLAND_DISPLAY") {
        return Err(WindowError::NoDisplay);
    }
    let viewport = ViewportBuilder::default()
        .with_title(title)
        .with_app_id("pulse")
        .with_inner_size(size)
        .with_min_inner_size([480.0, 360.0]);
    let options = eframe::NativeOptions { viewport, ..Default::default() };
    let run = || eframe::run_native_ext(title, options, Some(ctx.clone()), Box::new(|_| Ok(app)));
    // winit panics where a library that it opens at run time is missing.
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|e| WindowError::Refused(e.to_string())),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(WindowError::Library(text.unwrap_or_default()))
        }
    }
}
