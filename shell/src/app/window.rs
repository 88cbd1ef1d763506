//! A native window, and the errors if it cannot be opened.

use std::{
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind},
    rc::Rc,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use egui::{Context, Pos2, Rect, Vec2, ViewportBuilder, ViewportCommand};

use crate::{catalogue::Code, compositor::Gpu, spawn::spawn};

#[cfg(target_os = "linux")]
mod display;
mod graphics;

/// The window's smallest size in points at zoom 1.
const SMALLEST: Vec2 = Vec2::new(480.0, 360.0);

/// The reason why there is no window.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// Neither X11 nor Wayland is named.
    #[error("there is no display: neither WAYLAND_DISPLAY nor DISPLAY is set")]
    NoDisplay,
    /// Only Wayland is named, and its compositor does not answer.
    #[cfg(target_os = "linux")]
    #[error("no Wayland compositor answers at WAYLAND_DISPLAY ({error}), and DISPLAY is not set: {socket}")]
    Wayland {
        /// The system's answer.
        error: std::io::Error,
        /// The socket that was tried.
        socket: String,
    },
    /// The display has ended while the window was open.
    #[error("the display has ended, so the window is closed; its state is saved")]
    Gone,
    /// The scale factor is not usable.
    #[error("WINIT_X11_SCALE_FACTOR is `{0}`, which is not a usable scale")]
    Scale(String),
    /// The system refuses the window.
    #[error("the window cannot be opened: {0}")]
    Refused(String),
    /// A system library is missing.
    #[error("the window cannot be opened, probably because a system library is missing ({0})")]
    Library(String),
}

crate::failure::advise!(WindowError);

impl WindowError {
    /// Returns the stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::NoDisplay => Code::WindowNoDisplay,
            #[cfg(target_os = "linux")]
            Self::Wayland { .. } => Code::WindowWayland,
            Self::Gone => Code::WindowGone,
            Self::Scale(_) => Code::WindowScale,
            Self::Refused(_) => Code::WindowRefused,
            Self::Library(_) => Code::WindowLibrary,
        }
    }

    /// Returns the advice.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::NoDisplay => {
                "start pulse in a desktop session, or on a virtual display (`cargo xtask run` uses Xvfb)"
            }
            #[cfg(target_os = "linux")]
            Self::Wayland { .. } => {
                "correct WAYLAND_DISPLAY and XDG_RUNTIME_DIR, or start pulse in a desktop session"
            }
            Self::Gone => "start pulse again on a display",
            Self::Scale(_) => "unset it, or set it to a number between 0.1 and 32 or to `randr`",
            Self::Refused(_) => {
                "check that other programs open windows on this display, or start pulse on a virtual one \
                 (xvfb-run pulse)"
            }
            Self::Library(_) => {
                "on Debian and Ubuntu: apt-get install libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2 libx11-xcb1 \
                 libegl1 libgl1 libvulkan1 mesa-vulkan-drivers"
            }
        }
    }
}

/// The saved place and size of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WindowPlacement {
    /// The inner size, in points at zoom 1.
    pub(crate) size: Vec2,
    /// The upper left corner in pixels, and the pixels in a point at zoom 1.
    pub(crate) position: Option<(Pos2, f32)>,
    pub(crate) maximized: bool,
}

impl WindowPlacement {
    /// Returns a window of this size; the system chooses its place.
    pub(crate) const fn sized(width: f32, height: f32) -> Self {
        Self { size: Vec2::new(width, height), position: None, maximized: false }
    }

    /// Returns the builder of this window at a zoom.
    fn builder(&self, zoom: f32) -> ViewportBuilder {
        let builder = ViewportBuilder::default()
            .with_inner_size(self.size / zoom)
            .with_min_inner_size(SMALLEST / zoom)
            .with_maximized(self.maximized);
        match self.position {
            Some((pixels, scale)) => builder.with_position(pixels / (zoom * scale)),
            None => builder,
        }
    }
}

/// Shows `app` in a window until it is closed; `ctx` may be in use already, so that work that repaints the window can
/// begin before the window is open.
pub(crate) fn run_with(
    ctx: &Context,
    title: &str,
    placement: WindowPlacement,
    app: Box<dyn eframe::App>,
) -> Result<(), WindowError> {
    let viewport = placement.builder(ctx.zoom_factor()).with_title(title).with_app_id("pulse");
    let wgpu_options = graphics::configuration();
    let event_loop_builder = event_loop_builder()?;
    let options = eframe::NativeOptions { viewport, wgpu_options, event_loop_builder, ..Default::default() };
    let app = Rc::new(RefCell::new(app));
    let shown = Rc::clone(&app);
    let opening = Arc::new(AtomicBool::new(true));
    let created = |window: &eframe::CreationContext<'_>| {
        let mut longest = f32::INFINITY;
        if let Some(state) = &window.wgpu_render_state {
            Gpu::install(&window.egui_ctx, state);
            graphics::survive_errors(state);
            longest = graphics::longest_side(state);
        }
        bring_within_reach(window, placement);
        opening.store(false, Ordering::Release);
        STAGE.set(Stage::Open);
        Ok(Box::new(Shown { app: shown, longest }) as Box<dyn eframe::App>)
    };
    crate::links::install(ctx);
    let run = || eframe::run_native_ext(title, options, Some(ctx.clone()), Box::new(created));
    silence_display_panics();
    report_slow_display(&opening);
    STAGE.set(Stage::Opening);
    AT_EXIT.with(|at_exit| at_exit.0.replace(Some(Rc::clone(&app))));
    let result = catch_unwind(AssertUnwindSafe(run));
    opening.store(false, Ordering::Release);
    AT_EXIT.with(|at_exit| at_exit.0.take());
    match (result, STAGE.replace(Stage::Closed)) {
        (_, Stage::Gone) => {
            end(&app);
            Err(WindowError::Gone)
        }
        // The event loop has ended by itself, and the app was shut down properly.
        (Ok(Err(eframe::Error::WinitEventLoop(_))), Stage::Open) => Err(WindowError::Gone),
        (Ok(result), _) => result.map_err(|error| WindowError::of(&error.to_string(), &format!("{error:?}"))),
        // winit panics if a library that it loads at run time is missing, and for settings that it cannot use.
        (Err(payload), Stage::Opening) => {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(WindowError::of(&text.unwrap_or_default(), ""))
        }
        // A fault of the shell, which the panic hook has reported.
        (Err(payload), _) => resume_unwind(payload),
    }
}

/// Logs a display that blocks the shell: the user sees nothing else of it.
fn report_slow_display(opening: &Arc<AtomicBool>) {
    const LONG: Duration = Duration::from_secs(10);
    let opening = Arc::clone(opening);
    let run = move || {
        thread::sleep(LONG);
        if opening.load(Ordering::Acquire) {
            tracing::warn!(
                code = Code::WindowSlow.as_str(),
                "the display has not opened the window within {LONG:?}, so the shell is waiting; check DISPLAY and \
                 WAYLAND_DISPLAY, and that other programs open windows there"
            );
        }
    };
    // The shell works without this report.
    let _ = spawn("opening", "wait for the window", run);
}

type App = Rc<RefCell<Box<dyn eframe::App>>>;

/// The app for eframe, which can also be ended without eframe.
struct Shown {
    app: App,
    /// The longest side that the device can show, in pixels.
    longest: f32,
}

impl eframe::App for Shown {
    fn logic(&mut self, ctx: &Context, frame: &mut eframe::Frame) {
        graphics::limit_window(ctx, self.longest);
        self.app.borrow_mut().logic(ctx, frame);
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        self.app.borrow_mut().ui(ui, frame);
    }

    fn raw_input_hook(&mut self, ctx: &Context, input: &mut egui::RawInput) {
        graphics::limit_textures(input);
        self.app.borrow_mut().raw_input_hook(ctx, input);
    }

    fn on_exit(&mut self) {
        self.app.borrow_mut().on_exit();
    }
}

/// Shuts an app down properly, even if its window was lost.
fn end(app: &App) {
    // A borrowed app was being drawn, and panicked itself.
    if let Ok(mut app) = app.try_borrow_mut() {
        app.on_exit();
    }
}

/// Guard that ends a thread's app with the process: Xlib calls `exit` when its server ends, and the C library then
/// drops the thread's locals.
struct AtExit(RefCell<Option<App>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(app) = self.0.take() {
            // Other thread-locals may be dropped already; a panic here would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| end(&app)));
        }
    }
}

/// The stage of the window, which decides the consequence of a panic on its thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Closed,
    /// The window is being opened: a panic becomes an error.
    Opening,
    Open,
    /// The display has ended.
    Gone,
}

thread_local! {
    static STAGE: Cell<Stage> = const { Cell::new(Stage::Closed) };
    static AT_EXIT: AtExit = const { AtExit(RefCell::new(None)) };
}

/// Keeps panics that mean an error of the display from the installed hook, and passes all others to it.
///
/// Never removed: another hook may be installed over this one at any time, and would be lost with it.
fn silence_display_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| match STAGE.get() {
            Stage::Opening | Stage::Gone => {}
            Stage::Open if is_of_lost_display(info) => STAGE.set(Stage::Gone),
            _ => previous(info),
        }));
    });
}

/// Returns `true` for a panic of the window system's crates after its server has ended.
fn is_of_lost_display(info: &PanicHookInfo<'_>) -> bool {
    const CRATES: [&str; 7] = ["winit", "wgpu", "eframe", "egui", "x11rb", "calloop", "wayland"];
    let file = info.location().map(|at| at.file().replace('\\', "/")).unwrap_or_default();
    let of_display = file.split('/').any(|part| CRATES.iter().any(|name| part.starts_with(name)));
    of_display && display_is_gone()
}

/// Returns the hook that makes winit use the display that answers.
#[cfg(target_os = "linux")]
fn event_loop_builder() -> Result<Option<eframe::EventLoopBuilderHook>, WindowError> {
    use winit::platform::x11::EventLoopBuilderExtX11 as _;
    let x11: eframe::EventLoopBuilderHook = Box::new(|builder| {
        builder.with_x11();
    });
    Ok((display::choose()? == display::Display::X11).then_some(x11))
}

#[cfg(target_os = "linux")]
fn display_is_gone() -> bool {
    display::is_gone()
}

/// Returns `false`: on these systems the window system ends with the system.
#[cfg(not(target_os = "linux"))]
fn display_is_gone() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "on Linux there may be no display")]
fn event_loop_builder() -> Result<Option<eframe::EventLoopBuilderHook>, WindowError> {
    Ok(None)
}

/// Moves a window onto a screen if its saved place is off all screens.
fn bring_within_reach(window: &eframe::CreationContext<'_>, placement: WindowPlacement) {
    let (Some((corner, _)), Some(native)) = (placement.position, window.winit_window()) else { return };
    let size = native.inner_size();
    let place = Rect::from_min_size(corner, Vec2::new(size.width as f32, size.height as f32));
    let screens = native.available_monitors().map(|screen| {
        let (at, size) = (screen.position(), screen.size());
        let at = Pos2::new(at.x as f32, at.y as f32);
        Rect::from_min_size(at, Vec2::new(size.width as f32, size.height as f32))
    });
    if let Some(corner) = reachable(place, &screens.collect::<Vec<_>>()) {
        let corner = corner / window.egui_ctx.pixels_per_point();
        window.egui_ctx.send_viewport_cmd(ViewportCommand::OuterPosition(corner));
    }
}

/// Returns a better corner for a window whose title is out of reach on all `screens`; all in pixels.
fn reachable(place: Rect, screens: &[Rect]) -> Option<Pos2> {
    const GRIP: Vec2 = Vec2::new(64.0, 16.0);
    let title = Rect::from_min_size(place.min, Vec2::new(place.width(), 32.0));
    let seen = |screen: &Rect| {
        let part = screen.intersect(title);
        part.width() >= GRIP.x && part.height() >= GRIP.y
    };
    // Without known screens the place stays.
    let first = screens.first()?;
    (!screens.iter().any(seen)).then(|| first.min + Vec2::splat(32.0))
}

impl WindowError {
    /// Converts an error of eframe by its text: its types are of crates that this one does not depend on.
    ///
    /// Only the debug form names the missing library, as `detail: "…"`.
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
    fn place_off_all_screens_is_corrected() {
        let screen = |x: f32| Rect::from_min_size(Pos2::new(x, 0.0), Vec2::new(1920.0, 1080.0));
        let window = |x, y| Rect::from_min_size(Pos2::new(x, y), Vec2::new(800.0, 600.0));
        let check = |window, screens: &[Rect]| reachable(window, screens).map(<[f32; 2]>::from);
        assert_eq!(check(window(100.0, 100.0), &[screen(0.0)]), None);
        assert_eq!(check(window(2500.0, 100.0), &[screen(0.0), screen(1920.0)]), None);
        assert_eq!(check(window(2500.0, 100.0), &[screen(0.0)]), Some([32.0, 32.0]));
        assert_eq!(check(window(-790.0, 100.0), &[screen(0.0)]), Some([32.0, 32.0]), "ten pixels are too few");
        assert_eq!(
            check(window(100.0, -500.0), &[screen(0.0)]),
            Some([32.0, 32.0]),
            "the title is out of reach"
        );
        assert_eq!(check(window(5000.0, 0.0), &[]), None);
    }

    #[test]
    fn sizes_are_of_zoom_one() {
        let placement = WindowPlacement {
            position: Some((Pos2::new(300.0, 600.0), 1.5)),
            ..WindowPlacement::sized(1200.0, 800.0)
        };
        let builder = placement.builder(2.0);
        assert_eq!(builder.inner_size, Some(Vec2::new(600.0, 400.0)));
        assert_eq!(builder.position, Some(Pos2::new(100.0, 200.0)));
        assert_eq!(builder.min_inner_size, Some(SMALLEST / 2.0));
    }

    #[test]
    fn missing_library_and_refused_display_differ() {
        let place = "os error at /sources/winit-0.30/src/platform_impl/linux/mod.rs:788: ";
        let library = r#"LibraryOpenError(OpenError { kind: Library, detail: "libXi.so.6: file too short" })"#;
        let (missing, refused) = ("Failed to load one of xlib's shared libraries", "Failed to open connection");
        for (text, debug, code, shown) in [
            (missing, library, Code::WindowLibrary, format!("{missing}: libXi.so.6: file too short")),
            (missing, "", Code::WindowLibrary, missing.to_owned()),
            (refused, "XOpenDisplayFailed", Code::WindowRefused, refused.to_owned()),
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
