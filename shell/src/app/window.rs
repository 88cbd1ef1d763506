//! A native window, and what to do when there is none.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Once,
};

use egui::{Context, Vec2, ViewportBuilder};

use crate::compositor::Gpu;

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
    #[error(
        "the window cannot be opened: {0}; check that other programs open windows on this display, or start pulse \
         under a virtual one (xvfb-run pulse)"
    )]
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
    let created = |window: &eframe::CreationContext<'_>| {
        if let Some(state) = &window.wgpu_render_state {
            Gpu::install(&window.egui_ctx, state);
        }
        OPENING.set(false);
        Ok(app)
    };
    crate::links::install(ctx);
    let run = || eframe::run_native_ext(title, options, Some(ctx.clone()), Box::new(created));
    silence_opening();
    OPENING.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    let opening = OPENING.replace(false);
    match result {
        Ok(result) => result.map_err(|error| WindowError::of(&error.to_string(), &format!("{error:?}"))),
        // winit panics where a library that it opens at run time is missing.
        Err(payload) if opening => {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(WindowError::Library(text.unwrap_or_default()))
        }
        // The shell's own fault, which the panic hook has told of.
        Err(payload) => resume_unwind(payload),
    }
}

thread_local! {
    /// The window is being opened on this thread, and a panic is an error that is told as such.
    static OPENING: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of [`OPENING`] from the hook that is there, and leaves all others to it.
///
/// For good: another hook may be put over this one at any time, and would be lost if this one were taken back.
fn silence_opening() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !OPENING.get() {
                previous(info);
            }
        }));
    });
}

impl WindowError {
    /// What eframe says, told apart by its text: its errors are of crates that this one does not name.
    ///
    /// Which library it was stands in the form for debugging alone, as `detail: "…"`.
    fn of(text: &str, debug: &str) -> Self {
        // winit begins with the place in its own sources: `os error at /…/mod.rs:788: …`.
        let place = text.split_once("os error at ").and_then(|(before, rest)| {
            let (_, after) = rest.split_once(".rs:")?.1.split_once(": ")?;
            Some(format!("{before}{after}"))
        });
        let mut text = place.unwrap_or_else(|| text.to_owned());
        let parts = ["shared libraries", "could not be loaded", "shared object file"];
        if !parts.iter().any(|part| text.contains(part)) {
            return Self::Refused(text);
        }
        if let Some((detail, _)) = debug.split_once("detail: \"").and_then(|(_, rest)| rest.split_once('"')) {
            text.extend([": ", detail]);
        }
        Self::Library(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_told_from_a_display_that_refuses_and_no_place_is_shown() {
        let place = "os error at /sources/winit-0.30/src/platform_impl/linux/mod.rs:788: ";
        let library = r#"LibraryOpenError(OpenError { kind: Library, detail: "libXi.so.6: file too short" })"#;
        let (missing, refused) = ("Failed to load one of xlib's shared libraries", "Failed to open connection");
        for (text, debug, code, shown) in [
            (missing, library, "window-library", format!("{missing}: libXi.so.6: file too short")),
            (missing, "", "window-library", missing.to_owned()),
            (refused, "XOpenDisplayFailed", "window-refused", refused.to_owned()),
        ] {
            let of = |place: &str| WindowError::of(&format!("winit EventLoopError: {place}{text}"), debug);
            let error = of(place);
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains(&format!("EventLoopError: {shown}")), "{error}");
            assert!(!error.to_string().contains("mod.rs"), "{error}");
            assert_eq!(of("").to_string(), error.to_string());
        }
    }
}
