//! The choice between Wayland and X11, before winit makes it: winit trusts the variables and waits without a limit.

use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use super::WindowError;
use crate::{catalogue::Code, spawn::spawn};

/// The time within which a working compositor answers, even on a loaded machine.
const LIMIT: Duration = Duration::from_secs(3);

/// The scales at which X11 windows are usable.
const SCALES: std::ops::RangeInclusive<f64> = 0.1..=32.0;

/// The display that the window opens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Display {
    Wayland,
    X11,
}

/// Chooses the display: Wayland if its compositor answers, X11 otherwise.
///
/// # Errors
/// Fails if neither is named, or if no named one can be used.
pub(super) fn choose() -> Result<Display, WindowError> {
    choose_from(|name| env::var_os(name).filter(|value| !value.is_empty()), LIMIT)
}

/// Returns `true` if the chosen display no longer answers.
pub(super) fn is_gone() -> bool {
    match choose() {
        Ok(Display::Wayland) => false,
        Ok(Display::X11) => within(LIMIT, || x11rb::connect(None).map(drop).map_err(io::Error::other)).is_err(),
        Err(_) => true,
    }
}

fn choose_from(variable: impl Fn(&str) -> Option<OsString>, limit: Duration) -> Result<Display, WindowError> {
    let x11 = variable("DISPLAY").is_some();
    // Trying a connection that the parent has opened would use it up.
    if variable("WAYLAND_SOCKET").is_some() {
        return Ok(Display::Wayland);
    }
    if let Some(name) = variable("WAYLAND_DISPLAY") {
        let folder = variable("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default();
        let socket = folder.join(&name);
        match try_compositor(&socket, limit) {
            Ok(()) => return Ok(Display::Wayland),
            Err(error) if x11 => tracing::warn!(
                code = Code::WindowWaylandStale.as_str(),
                "no Wayland compositor answers at WAYLAND_DISPLAY ({error}), so the window opens on X11; unset \
                 WAYLAND_DISPLAY or correct it: {}",
                negotiation::text::Shown(&socket)
            ),
            Err(error) => {
                let socket = negotiation::text::line(&socket.to_string_lossy(), 1000);
                return Err(WindowError::Wayland { error, socket });
            }
        }
    }
    if !x11 {
        return Err(WindowError::NoDisplay);
    }
    match variable("WINIT_X11_SCALE_FACTOR") {
        Some(scale) if !is_scale(&scale.to_string_lossy()) => {
            Err(WindowError::Scale(negotiation::text::line(&scale.to_string_lossy(), 100)))
        }
        _ => Ok(Display::X11),
    }
}

fn is_scale(text: &str) -> bool {
    text.eq_ignore_ascii_case("randr") || text.parse().is_ok_and(|scale: f64| SCALES.contains(&scale))
}

fn try_compositor(socket: &Path, limit: Duration) -> io::Result<()> {
    let socket = socket.to_owned();
    within(limit, move || round_trip(&socket, limit))
}

/// Runs `ask` on its own thread and waits up to `limit`: connecting blocks if no server accepts.
fn within(limit: Duration, ask: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (sender, answer) = mpsc::channel();
    let run = move || {
        // The choice may have been made already.
        let _ = sender.send(ask());
    };
    spawn("display", "look for the display", run)?;
    answer.recv_timeout(limit).unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))
}

/// Sends `wl_display.sync` and waits for the beginning of its answer.
fn round_trip(socket: &Path, limit: Duration) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    // Object 1 is the display, its request 0 `sync`, with the number of a new object; 12 bytes in all.
    for word in [1_u32, 12 << 16, 2] {
        stream.write_all(&word.to_ne_bytes())?;
    }
    stream.read_exact(&mut [0; 8])
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    fn check(variables: &[(&str, &str)]) -> Result<Display, Code> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value)).filter(|value| !value.is_empty())
        };
        choose_from(variable, Duration::from_millis(300)).map_err(|error| error.code())
    }

    #[test]
    fn stale_wayland_display_falls_back_to_x11() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = ("XDG_RUNTIME_DIR", folder.path().to_str().expect("UTF-8"));
        let (good, stale) = (("DISPLAY", ":1"), ("WAYLAND_DISPLAY", "wayland-99"));
        assert_eq!(check(&[runtime, good, stale]), Ok(Display::X11));
        assert_eq!(check(&[runtime, stale]), Err(Code::WindowWayland));
        assert_eq!(check(&[runtime, ("WAYLAND_DISPLAY", ""), good]), Ok(Display::X11));
        assert_eq!(check(&[stale, good]), Ok(Display::X11), "without XDG_RUNTIME_DIR");
        assert_eq!(check(&[runtime, ("DISPLAY", "")]), Err(Code::WindowNoDisplay));
    }

    #[test]
    fn silent_compositor_falls_back_to_x11() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("wayland-0");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        let wayland = ("WAYLAND_DISPLAY", socket.to_str().expect("UTF-8"));
        assert_eq!(check(&[wayland, ("DISPLAY", ":1")]), Ok(Display::X11));
        assert_eq!(check(&[wayland]), Err(Code::WindowWayland));
    }

    #[test]
    fn answering_compositor_is_chosen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("wayland-0");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let compositor = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 12];
            stream.read_exact(&mut request).expect("a request");
            stream.write_all(&[0; 12]).expect("an answer");
        });
        let wayland = ("WAYLAND_DISPLAY", socket.to_str().expect("UTF-8"));
        assert_eq!(check(&[wayland, ("DISPLAY", ":1")]), Ok(Display::Wayland));
        compositor.join().expect("it has answered");
        assert_eq!(check(&[("WAYLAND_SOCKET", "7")]), Ok(Display::Wayland));
    }

    #[test]
    fn absurd_scale_is_refused() {
        let display = ("DISPLAY", ":1");
        for scale in ["0", "-1", "NaN", "inf", "1e300", "two", "1e-9"] {
            assert_eq!(check(&[display, ("WINIT_X11_SCALE_FACTOR", scale)]), Err(Code::WindowScale), "{scale}");
        }
        for scale in ["", "1", "1.5", "20", "randr"] {
            assert_eq!(check(&[display, ("WINIT_X11_SCALE_FACTOR", scale)]), Ok(Display::X11), "{scale}");
        }
    }
}
