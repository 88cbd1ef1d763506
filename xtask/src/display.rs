//! A display for the window, on machines without one.

use std::env;
use std::fs::DirBuilder;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::tools::in_path;

/// The size of the virtual screen, in pixels, and its depth, in bits.
const SCREEN: &str = "1440x900x24";

/// Returns `true` if there is a display. Other systems than Linux always have one.
pub(crate) fn is_there() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"].into_iter().any(set)
}

/// Provides `program` with a display, and starts an X server if there is none.
///
/// Keep the result until the program has ended. A failure is not an error: the program itself reports a missing
/// display, and parts of it need none.
pub(crate) fn provide(program: &mut Command) -> Option<Xvfb> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    program.envs(runtime_dir().map(|dir| ("XDG_RUNTIME_DIR", dir)));
    if is_there() {
        return None;
    }
    if !in_path("Xvfb") {
        eprintln!(
            "xtask: no display (DISPLAY and WAYLAND_DISPLAY are not set), and Xvfb is not installed.\n\
             xtask: run this in a desktop session, connect with `ssh -X`, or install Xvfb."
        );
        return None;
    }
    let server = Xvfb::start();
    if let Some(Xvfb { display, .. }) = &server {
        eprintln!(
            "xtask: no display; starting the shell under Xvfb on {display} ({SCREEN}).\n\
             xtask: to see it, from another terminal: `x11vnc -localhost -display {display}` and a VNC viewer,\n\
             xtask: or for one picture `DISPLAY={display} import -window root pulse.png` (ImageMagick)."
        );
        program.env("DISPLAY", display);
    } else {
        eprintln!("xtask: Xvfb did not start; `Xvfb -displayfd 1 -screen 0 {SCREEN}` shows why");
    }
    server
}

/// Returns a value for `XDG_RUNTIME_DIR` if the session has set none, because Mesa then warns on every start: a
/// folder that only this user can enter.
pub(crate) fn runtime_dir() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") || env::var_os("XDG_RUNTIME_DIR").is_some() {
        return None;
    }
    let dir = crate::cache_dir().ok()?.join("runtime");
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(&dir).ok()?;
    Some(dir)
}

/// A running virtual X server. It ends when this value is dropped, and also when this process dies.
pub(crate) struct Xvfb {
    watcher: Child,
    /// The value for `DISPLAY`.
    display: String,
}

impl Xvfb {
    /// Starts the server.
    ///
    /// It is the child of a small shell script that waits for the end of its input, a pipe whose other end only this
    /// process holds: even `SIGKILL` leaves no server behind.
    fn start() -> Option<Self> {
        let script = format!(
            "Xvfb -displayfd 3 -screen 0 {SCREEN} -nolisten tcp 3>&1 >/dev/null 2>&1 & \
             server=$!; exec >&-; read -r _; kill $server; wait $server"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C must end only the program; the server ends after it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let mut server = Self { watcher: shell.spawn().ok()?, display: String::new() };
        // The server picks a free number and writes it when it accepts connections.
        let mut number = String::new();
        BufReader::new(server.watcher.stdout.take()?).read_line(&mut number).ok()?;
        let number: u32 = number.trim().parse().ok()?;
        server.display = format!(":{number}");
        Some(server)
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        // A failure of the script leaves nothing to clean up.
        let _ = self.watcher.wait();
    }
}
