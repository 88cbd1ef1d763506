//! The binary, read and used over AT-SPI like by a screen reader, on a private session bus with the platform's
//! registry. Assertions do not use the inspection protocol.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use futures_lite::{StreamExt, future::block_on};
use serde::{Serialize, de::DeserializeOwned};
use zbus::{
    Connection, MatchRule, MessageStream,
    connection::Builder,
    message::Type,
    zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Structure, Type as Typed, Value},
};

use crate::{
    driver::Desktop,
    support::{Installation, PATIENCE, libraries},
};

const ACCESSIBLE: &str = "org.a11y.atspi.Accessible";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Numbers of roles in AT-SPI.
mod role {
    pub(super) const CHECK_BOX: u32 = 7;
    pub(super) const COMBO_BOX: u32 = 11;
    pub(super) const LABEL: u32 = 29;
    pub(super) const PANEL: u32 = 39;
    pub(super) const BUTTON: u32 = 43;
    pub(super) const SLIDER: u32 = 51;
    pub(super) const TOGGLE_BUTTON: u32 = 62;
    pub(super) const ENTRY: u32 = 79;
}

/// Numbers of state bits in AT-SPI.
mod state {
    pub(super) const CHECKED: u32 = 4;
    pub(super) const FOCUSED: u32 = 12;
    pub(super) const SENSITIVE: u32 = 24;
}

/// A session bus. Drop ends it, and with it the services that it has started.
struct Session {
    daemon: Child,
    address: String,
}

impl Session {
    fn start(desktop: &Desktop) -> Self {
        let mut command = desktop.command("dbus-daemon");
        command.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut daemon = command.spawn().unwrap_or_else(|e| {
            panic!("dbus-daemon does not start ({e}); `cargo xtask test` installs it and AT-SPI")
        });
        let mut address = String::new();
        let output = daemon.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut address).expect("the address of a bus");
        Self { daemon, address: address.trim().to_owned() }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn connect(address: &str) -> Connection {
    let connection = async { Builder::address(address)?.method_timeout(PATIENCE).build().await };
    block_on(connection).unwrap_or_else(|e| panic!("no connection to {address}: {e}"))
}

/// An object on a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    bus: String,
    path: OwnedObjectPath,
}

impl Object {
    fn new(bus: &str, path: &str) -> Self {
        Self { bus: bus.to_owned(), path: path.try_into().expect("a path") }
    }

    fn call<R: DeserializeOwned + Typed>(
        &self,
        on: &Connection,
        method: (&str, &str),
        body: &(impl Serialize + DynamicType),
    ) -> zbus::Result<R> {
        let (interface, method) = method;
        let reply = on.call_method(Some(self.bus.as_str()), &self.path, Some(interface), method, body);
        block_on(reply)?.body().deserialize()
    }

    fn get(&self, on: &Connection, interface: &str, name: &str) -> zbus::Result<OwnedValue> {
        self.call(on, (PROPERTIES, "Get"), &(interface, name))
    }

    fn set(&self, on: &Connection, interface: &str, name: &str, value: Value<'_>) {
        let set: zbus::Result<()> = self.call(on, (PROPERTIES, "Set"), &(interface, name, value));
        set.unwrap_or_else(|e| panic!("`{name}` cannot be set: {e}"));
    }

    fn children(&self, on: &Connection) -> zbus::Result<Vec<Self>> {
        let all: Vec<(String, OwnedObjectPath)> = self.call(on, (ACCESSIBLE, "GetChildren"), &())?;
        Ok(all.into_iter().map(|(bus, path)| Self { bus, path }).collect())
    }

    fn name(&self, on: &Connection) -> zbus::Result<String> {
        Ok(self.get(on, ACCESSIBLE, "Name")?.try_into().unwrap_or_default())
    }

    fn role(&self, on: &Connection) -> zbus::Result<u32> {
        self.call(on, (ACCESSIBLE, "GetRole"), &())
    }

    fn has(&self, on: &Connection, state: u32) -> bool {
        let words: Vec<u32> = self.call(on, (ACCESSIBLE, "GetState"), &()).unwrap_or_default();
        words.first().is_some_and(|word| word & (1 << state) != 0)
    }

    /// Returns this object or its first descendant with this role and name; `None` also if the tree changes.
    fn find(&self, on: &Connection, role: u32, name: &str) -> Option<Self> {
        if self.role(on).ok()? == role && self.name(on).ok()? == name {
            return Some(self.clone());
        }
        self.children(on).ok()?.iter().find_map(|child| child.find(on, role, name))
    }

    /// Describes this object and its descendants, for the message of a failing test.
    fn describe(&self, on: &Connection) -> String {
        let below = self.children(on).unwrap_or_default();
        let below: String = below.iter().map(|child| child.describe(on)).collect();
        format!("\n{:?} {:?} {:?}{below}", self.path.as_str(), self.role(on), self.name(on))
    }

    /// Does the object's default action: presses a button.
    fn act(&self, on: &Connection) {
        let done: zbus::Result<bool> = self.call(on, ("org.a11y.atspi.Action", "DoAction"), &(0,));
        assert!(done.as_ref().is_ok_and(|done| *done), "{done:?}");
    }

    fn bounds(&self, on: &Connection) -> (i32, i32, i32, i32) {
        // 1: in coordinates of the window.
        let place = self.call(on, ("org.a11y.atspi.Component", "GetExtents"), &(1_u32,));
        let (place,): ((i32, i32, i32, i32),) = place.expect("a place");
        place
    }
}

/// Repeats `ask` until it returns a value; `None` after [`PATIENCE`].
fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        // The other process answers with its present state, without an event of the change.
        thread::sleep(Duration::from_millis(20));
    }
}

/// A signal of the bus: its name, the object, and its detail.
type Signal = (String, OwnedObjectPath, String);

fn listen(on: &Connection) -> mpsc::Receiver<Signal> {
    let rule = MatchRule::builder().msg_type(Type::Signal).interface("org.a11y.atspi.Event.Object");
    let rule = rule.expect("a rule").build();
    let mut stream = block_on(MessageStream::for_match_rule(rule, on, None)).expect("signals");
    let (sender, signals) = mpsc::channel();
    thread::spawn(move || {
        while let Some(Ok(message)) = block_on(stream.next()) {
            let header = message.header();
            let body = message.body();
            let detail = body.deserialize::<Structure<'_>>().ok().map(|body| match body.fields() {
                [Value::Str(detail), Value::I32(on), _, Value::Value(any), ..] => match &**any {
                    Value::Str(text) => format!("{detail} {on} {text}"),
                    _ => format!("{detail} {on}"),
                },
                _ => String::new(),
            });
            let (Some(member), Some(path)) = (header.member(), header.path()) else { continue };
            let path = path.to_owned().into();
            if sender.send((member.to_string(), path, detail.unwrap_or_default())).is_err() {
                return;
            }
        }
    });
    signals
}

/// Waits for a signal of this object whose detail contains `detail`.
fn expect_signal(signals: &mpsc::Receiver<Signal>, member: &str, of: &Object, detail: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Ok((name, path, what)) = signals.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if name == member && of.path == path && what.contains(detail) {
            return;
        }
        seen.push((name, path, what));
    }
    panic!("no signal `{member}` of {of:?} with `{detail}`, but {seen:?}");
}

#[test]
fn screen_reader_uses_remote_widgets_over_the_bus() {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    let desktop = Desktop::new();
    let session = Session::start(&desktop);
    let bus = connect(&session.address);
    let a11y = Object::new("org.a11y.Bus", "/org/a11y/bus");
    // Programs send no signals before the bus states that a screen reader runs.
    for name in ["IsEnabled", "ScreenReaderEnabled"] {
        a11y.set(&bus, "org.a11y.Status", name, true.into());
    }
    let address: String = a11y.call(&bus, ("org.a11y.Bus", "GetAddress"), &()).expect("the bus of AT-SPI");
    let on = &connect(&address);
    let signals = listen(on);

    let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
    command.arg("--config").arg(installation.path("host.json"));
    command.env("DBUS_SESSION_BUS_ADDRESS", &session.address);
    let mut window = desktop.open(command);
    let desk = Object::new("org.a11y.atspi.Registry", "/org/a11y/atspi/accessible/root");
    let find = |role: u32, name: &str| {
        let found = until(|| desk.children(on).ok()?.iter().find_map(|program| program.find(on, role, name)));
        found.unwrap_or_else(|| panic!("no `{name}` of role {role} in {}", desk.describe(on)))
    };
    find(role::TOGGLE_BUTTON, "Widgets").act(on);
    let checkbox = find(role::CHECK_BOX, "Agree");
    // The window has been drawn, so it can have the keyboard.
    window.focus();
    let pane = find(role::PANEL, "Widgets");
    let inside = |one: &Object| {
        let ((x, y, w, h), (left, top, width, height)) = (one.bounds(on), pane.bounds(on));
        x >= left && y >= top && x + w <= left + width && y + h <= top + height
    };
    assert!(inside(&checkbox), "{:?} in {:?}", checkbox.bounds(on), pane.bounds(on));

    // A state, and its change.
    assert!(!checkbox.has(on, state::CHECKED));
    checkbox.act(on);
    expect_signal(&signals, "StateChanged", &checkbox, "checked 1");
    assert!(checkbox.has(on, state::CHECKED));

    // A live text.
    let status = find(role::LABEL, "Saved 0 times");
    find(role::BUTTON, "Save").act(on);
    expect_signal(&signals, "Announcement", &status, "Saved 1 times");
    assert_eq!(find(role::LABEL, "Saved 1 times"), status);
    assert!(!find(role::BUTTON, "Not yet").has(on, state::SENSITIVE));
    find(role::COMBO_BOX, "Colour");

    // A value, under the name that a label gives it.
    let slider = find(role::SLIDER, "Amount");
    slider.set(on, "org.a11y.atspi.Value", "CurrentValue", 30.0.into());
    find(role::LABEL, "Set to 30, called \"\"");
    let value = slider.get(on, "org.a11y.atspi.Value", "CurrentValue").expect("a value");
    assert_eq!(f64::try_from(value), Ok(30.0));

    // The focus.
    let field = find(role::ENTRY, "Name");
    let grabbed: zbus::Result<bool> = field.call(on, ("org.a11y.atspi.Component", "GrabFocus"), &());
    assert!(grabbed.is_ok_and(|grabbed| grabbed));
    expect_signal(&signals, "StateChanged", &field, "focused 1");
    assert!(field.has(on, state::FOCUSED) && !pane.has(on, state::FOCUSED));

    // A row out of view.
    let row = find(role::BUTTON, "Row 39");
    let before = row.bounds(on);
    let scrolled: zbus::Result<bool> = row.call(on, ("org.a11y.atspi.Component", "ScrollTo"), &(6_u32,));
    assert!(scrolled.is_ok_and(|scrolled| scrolled));
    until(|| (row.bounds(on).1 < before.1).then_some(())).expect("the row moves up");
    row.act(on);
    find(role::LABEL, "Pressed [39]");
}
