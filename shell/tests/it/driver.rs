//! Drives a program of this workspace in a real window, the way a browser driver drives a page.
//!
//! The program runs on a virtual screen. Over egui's inspection protocol it reports its accessibility tree and its
//! pixels, and gets the user's input. Every request makes the window draw a frame: to wait is to repeat a request
//! until the awaited condition holds.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use egui::{
    Event, Key, Modifiers, MouseWheelUnit, PointerButton, Pos2, Rect, TouchPhase, Vec2,
    accesskit::{Action, ActionRequest, TreeId, TreeUpdate},
};
use egui_inspection::protocol::{Request, Response, read_handshake, read_message, write_message};
use tempfile::{NamedTempFile, TempDir};
use x11rb::{
    connection::Connection,
    protocol::xproto::{
        AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt, EventMask, InputFocus, MapState,
    },
};

mod picture;
mod tree;

pub(crate) use picture::Picture;
pub(crate) use tree::{Item, Tree};

/// Timeout of each step of a test; far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_mins(1);

/// A virtual screen and a temporary home folder.
pub(crate) struct Desktop {
    folder: TempDir,
    screen: Screen,
}

impl Desktop {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pulse-desktop-").tempdir().expect("a temporary folder");
        for name in ["config", "data", "runtime"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in it");
        }
        Self { folder, screen: Screen::start() }
    }

    /// Returns the data folder of Pulse and its remotes on this desktop.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data").join("pulse-shell")
    }

    /// Returns a command that runs `program` on this desktop.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            let of_a_session = name.starts_with("WAYLAND_") || name.starts_with("PULSE_");
            if of_a_session || name.starts_with("EGUI_") {
                command.env_remove(&*name);
            }
        }
        let home = self.folder.path();
        command
            .current_dir(home)
            .env("DISPLAY", &self.screen.display)
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_RUNTIME_DIR", home.join("runtime"))
            .stdin(Stdio::null());
        command
    }

    /// Starts `command` and waits for its window.
    pub(crate) fn open(&self, mut command: Command) -> Window {
        // Another process may bind the port between its choice and the program's start.
        for _ in 0..3 {
            let errors = NamedTempFile::new_in(self.folder.path()).expect("a file for standard error");
            let port = free_port();
            command
                .env("EGUI_INSPECTION", port.to_string())
                .stdout(Stdio::null())
                .stderr(errors.reopen().expect("a second handle of a file"));
            let mut process = command.spawn().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
            if let Some(stream) = connect(port, &mut process, &errors) {
                let name = thread::current().name().unwrap_or("window").replace("::", "-");
                return Window { name, process, stream, errors, display: self.screen.display.clone() };
            }
            end(&mut process);
        }
        panic!("no free port for {command:?} in three tries");
    }
}

/// A virtual screen, ended on drop.
struct Screen {
    server: Child,
    /// Value of `DISPLAY`.
    display: String,
}

impl Screen {
    fn start() -> Self {
        let mut command = Command::new("Xvfb");
        command
            // Without `-noreset` it restarts when the last client leaves, and refuses new clients meanwhile.
            .args(["-displayfd", "1", "-screen", "0", "1600x1200x24", "-nolisten", "tcp", "-noreset"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let server = command.spawn().unwrap_or_else(|e| {
            panic!("Xvfb does not start ({e}); `cargo xtask test` installs it and what windows need")
        });
        let mut screen = Self { server, display: String::new() };
        // The server chooses a free number and writes it once it accepts connections.
        let mut number = String::new();
        let output = screen.server.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut number).expect("the number of a display");
        assert!(!number.trim().is_empty(), "Xvfb ended before it wrote the number of its display");
        screen.display = format!(":{}", number.trim());
        screen.move_pointer_away();
        screen
    }

    /// Moves the pointer to a corner: in the middle, where it begins, it would hover over windows.
    fn move_pointer_away(&self) {
        let (x11, screen) = x11rb::connect(Some(&self.display)).expect("a connection to the screen");
        let root = x11.setup().roots[screen].root;
        let [x, y] = [i16::MAX; 2];
        x11.warp_pointer(x11rb::NONE, root, 0, 0, 0, 0, x, y).expect("a request").check().expect("a pointer");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

/// Kills a process of this test, unless it has ended.
fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of a listener")
}

/// Connects to the program's inspection port; `None` if another program answers there.
fn connect(port: SocketAddr, process: &mut Child, errors: &NamedTempFile) -> Option<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut stream) = TcpStream::connect(port) {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            stream.set_nodelay(true).expect("no delay");
            return read_handshake(&mut stream).is_ok().then_some(stream);
        }
        if let Some(status) = process.try_wait().expect("the state of a child") {
            panic!("the program ended ({status}) instead of opening a window:\n{}", stderr_of(errors));
        }
        assert!(Instant::now() < deadline, "no window after {PATIENCE:?}:\n{}", stderr_of(errors));
        // There is no notification that a port has begun to listen.
        thread::sleep(Duration::from_millis(10));
    }
}

fn stderr_of(errors: &NamedTempFile) -> String {
    let text = fs::read(errors.path()).unwrap_or_default();
    format!("--- its standard error ---\n{}--- end ---", String::from_utf8_lossy(&text))
}

/// A running program and its window; drop kills the program.
pub(crate) struct Window {
    /// Name of the test, for file names of pictures.
    name: String,
    process: Child,
    stream: TcpStream,
    errors: NamedTempFile,
    display: String,
}

impl Window {
    /// Returns the program's standard error so far.
    pub(crate) fn stderr(&self) -> String {
        stderr_of(&self.errors)
    }

    /// Draws a frame and returns its accessibility tree.
    pub(crate) fn tree(&mut self) -> Tree {
        let (step, update) = self.update();
        Tree::new(step, update)
    }

    /// Draws a frame; returns its number and its complete accessibility update.
    pub(crate) fn update(&mut self) -> (u64, TreeUpdate) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.ask(&Request::GetTree) {
                Response::Tree { step, accesskit: Some(update), .. } => return (step, update),
                Response::Tree { .. } => {}
                other => panic!("no tree: {other:?}"),
            }
        }
        panic!("no accessibility tree after {PATIENCE:?}")
    }

    /// Draws frames until `look` returns a value; `what` names it in the message of a timeout.
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Tree) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tree = self.tree();
            if let Some(found) = look(&tree) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}; the window has\n{tree}");
        }
    }

    /// Waits for an element with this name.
    pub(crate) fn wait_for(&mut self, name: &str) -> Item {
        self.until(&format!("`{name}`"), |tree| tree.find(name).cloned())
    }

    /// Waits for an element whose name has all these parts.
    pub(crate) fn wait_for_parts(&mut self, parts: &[&str]) -> Item {
        self.until(&format!("{parts:?}"), |tree| tree.find_parts(parts).cloned())
    }

    /// Waits until no element has this name.
    pub(crate) fn gone(&mut self, name: &str) {
        self.until(&format!("`{name}` to go"), |tree| tree.find(name).is_none().then_some(()));
    }

    /// Waits until the element rests inside the window; returns its centre.
    fn aim(&mut self, what: &str, find: impl Fn(&Tree) -> Option<&Item>) -> Pos2 {
        let window = Rect::from_min_size(Pos2::ZERO, self.size());
        let mut before = None;
        self.until(&format!("{what} to rest inside the window"), |tree| {
            let found = find(tree)?;
            let still = before.replace(found.bounds) == Some(found.bounds);
            let at = found.bounds.center();
            (still && window.contains(at)).then_some(at)
        })
    }

    /// Clicks the centre of the element with this name.
    ///
    /// Returns once the frame with the release is drawn.
    pub(crate) fn click(&mut self, name: &str) {
        let pos = self.aim(&format!("`{name}`"), |tree| tree.find(name));
        self.click_at(pos);
    }

    /// Clicks the centre of the element whose name has all these parts, although the rest of it may change.
    pub(crate) fn click_parts(&mut self, parts: &[&str]) {
        let pos = self.aim(&format!("{parts:?}"), |tree| tree.find_parts(parts));
        self.click_at(pos);
    }

    /// Clicks at `pos` with the primary button.
    pub(crate) fn click_at(&mut self, pos: Pos2) {
        self.event(Event::PointerMoved(pos));
        for pressed in [true, false] {
            let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
            self.event(Event::PointerButton { pos, button, pressed, modifiers });
        }
    }

    /// Moves the pointer to the centre of the element with this name; returns that position.
    pub(crate) fn hover(&mut self, name: &str) -> Pos2 {
        let pos = self.aim(&format!("`{name}`"), |tree| tree.find(name));
        self.event(Event::PointerMoved(pos));
        pos
    }

    /// Turns the wheel at the pointer: the content there moves by `delta` points.
    pub(crate) fn wheel(&mut self, delta: Vec2) {
        self.event(Event::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta,
            phase: TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
            modifiers: Modifiers::NONE,
        });
    }

    /// Types text into the focused control.
    pub(crate) fn text(&mut self, text: &str) {
        self.event(Event::Text(text.to_owned()));
    }

    /// Presses and releases a key.
    pub(crate) fn key(&mut self, key: Key) {
        self.key_with(Modifiers::NONE, key);
    }

    /// Presses and releases a key while modifiers are held.
    pub(crate) fn key_with(&mut self, modifiers: Modifiers, key: Key) {
        for pressed in [true, false] {
            self.event(Event::Key { key, physical_key: None, pressed, repeat: false, modifiers });
        }
    }

    /// Requests an accessibility action of the element with this name.
    pub(crate) fn act(&mut self, name: &str, action: Action) {
        let target_node = self.wait_for(name).id;
        let request = ActionRequest { action, target_tree: TreeId::ROOT, target_node, data: None };
        self.event(Event::AccessKitActionRequest(request));
    }

    fn event(&mut self, event: Event) {
        self.events(vec![event]);
    }

    /// Applies these events in one frame; returns once it is drawn.
    pub(crate) fn events(&mut self, events: Vec<Event>) {
        let reply = self.ask(&Request::ApplyEvents { events });
        assert!(matches!(reply, Response::Done), "{reply:?}");
    }

    /// Resizes the window, in points, and waits for a frame of that size.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let reply = self.ask(&Request::Resize { width, height });
        assert!(matches!(reply, Response::Done), "{reply:?}");
        let deadline = Instant::now() + PATIENCE;
        // A picture of that size shows a frame that was laid out for it.
        while self.picture().0.size() != [width as usize, height as usize] {
            assert!(Instant::now() < deadline, "no window of {width} by {height} points after {PATIENCE:?}");
        }
    }

    /// Returns the window's inner size in points; the virtual screen has one pixel per point.
    pub(crate) fn size(&self) -> Vec2 {
        let (x11, window) = self.x11();
        let geometry = x11.get_geometry(window).expect("a request").reply().expect("the size of a window");
        Vec2::new(geometry.width.into(), geometry.height.into())
    }

    /// Waits until the window requests no more frames.
    pub(crate) fn settle(&mut self) {
        let reply = self.ask(&Request::Settle { max_steps: 500 });
        assert!(
            matches!(reply, Response::Settled { settled: true, .. }),
            "the window keeps requesting frames: {reply:?}"
        );
    }

    /// Takes a screenshot, one pixel per point; also writes it to `file` in cargo's folder for files of tests.
    pub(crate) fn screenshot(&mut self, file: &str) -> Picture {
        let (picture, png) = self.picture();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        fs::write(&path, png).unwrap_or_else(|e| panic!("{e}: {}", path.display()));
        picture
    }

    /// Takes a screenshot in physical pixels; also writes it to `file`, as [`screenshot`](Self::screenshot) does.
    pub(crate) fn pixels(&mut self, file: &str) -> Picture {
        let (picture, png) = self.picture_at(None);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        fs::write(&path, png).unwrap_or_else(|e| panic!("{e}: {}", path.display()));
        picture
    }

    /// Takes a screenshot, one pixel per point; returns it also as a PNG.
    pub(crate) fn picture(&mut self) -> (Picture, Vec<u8>) {
        self.picture_at(Some(1.0))
    }

    fn picture_at(&mut self, pixels_per_point: Option<f32>) -> (Picture, Vec<u8>) {
        match self.ask(&Request::GetScreenshot { pixels_per_point }) {
            Response::Screenshot(png) => (Picture::decode(&png.bytes), png.bytes),
            other => panic!("no screenshot: {other:?}"),
        }
    }

    fn ask(&mut self, request: &Request) -> Response {
        let reply = write_message(&mut self.stream, request).and_then(|()| read_message(&mut self.stream));
        reply.unwrap_or_else(|e| {
            let state = self.process.try_wait();
            panic!("the program does not answer {request:?} ({e}); its state is {state:?}")
        })
    }

    /// Gives the window the keyboard focus: the screen has no window manager.
    pub(crate) fn focus(&mut self) {
        let (x11, window) = self.x11();
        // The program answers before its window is on the screen, and only a window on the screen can have the focus.
        let notify = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        x11.change_window_attributes(window, &notify).expect("a request").check().expect("a subscription");
        let state =
            || x11.get_window_attributes(window).expect("a request").reply().expect("attributes").map_state;
        while state() != MapState::VIEWABLE {
            x11.wait_for_event().expect("the window on the screen");
        }
        x11.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)
            .expect("a request")
            .check()
            .expect("focus");
    }

    /// Sends the program a signal, named as for `kill`, and waits for its end; returns status and standard error.
    pub(crate) fn signal(mut self, name: &str) -> (ExitStatus, String) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(kill.expect("kill starts").success());
        let status = self.process.wait().expect("the state of a child");
        (status, self.stderr())
    }

    /// Closes the window as its close button does, and waits for the program's end; returns status and errors.
    pub(crate) fn close(mut self) -> (ExitStatus, String) {
        let (x11, window) = self.x11();
        let [protocols, delete] = ["WM_PROTOCOLS", "WM_DELETE_WINDOW"].map(|name| atom(&x11, name));
        let message = ClientMessageEvent::new(32, window, protocols, [delete, x11rb::CURRENT_TIME, 0, 0, 0]);
        x11.send_event(false, window, EventMask::NO_EVENT, message)
            .expect("a request")
            .check()
            .expect("a message");
        // The connection ends with the process.
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the program still runs {PATIENCE:?} after its window was closed")
            }
            _ => {}
        }
        let status = self.process.wait().expect("the state of a child");
        (status, self.stderr())
    }

    /// Connects to the screen; returns the connection and the id of the program's window.
    pub(crate) fn x11(&self) -> (impl Connection + use<>, u32) {
        let (x11, screen) = x11rb::connect(Some(&self.display)).expect("a connection to the screen");
        let root = x11.setup().roots[screen].root;
        let protocols = atom(&x11, "WM_PROTOCOLS");
        let windows = x11.query_tree(root).expect("a request").reply().expect("the windows").children;
        let window = windows.into_iter().find(|window| {
            let list = x11.get_property(false, *window, protocols, AtomEnum::ATOM, 0, 8);
            list.expect("a request").reply().is_ok_and(|list| list.value_len > 0)
        });
        (x11, window.expect("a window on the screen"))
    }
}

pub(crate) fn atom(x11: &impl Connection, name: &str) -> u32 {
    x11.intern_atom(false, name.as_bytes()).expect("a request").reply().expect("an atom").atom
}

impl Drop for Window {
    fn drop(&mut self) {
        if thread::panicking() {
            // Best effort: a second panic would end the process.
            let _ = self.stream.set_read_timeout(Some(Duration::from_secs(10)));
            let shot = Request::GetScreenshot { pixels_per_point: None };
            let reply = write_message(&mut self.stream, &shot).and_then(|()| read_message(&mut self.stream));
            if let Ok(Response::Screenshot(png)) = reply {
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("failed-{}.png", self.name));
                if fs::write(&path, png.bytes).is_ok() {
                    eprintln!("the window when the test failed: {}", path.display());
                }
            }
            eprintln!("{}", self.stderr());
        }
        end(&mut self.process);
    }
}
