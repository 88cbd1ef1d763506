#![expect(clippy::unwrap_used, reason = "tests")]
mod keys;
mod user_actions;

use std::sync::Mutex;

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption, RStr},
};

use super::*;
use crate::{
    PluginError,
    abi::{Event, EventKind, Font, HostServices, HostServices_TO, modifiers},
    sdk::Watches,
    tokens::LIGHT,
};

/// A host that only records reports.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<RemoteError>>>);

impl HostServices for Recorder {
    fn log(&self, _: u32, _: RStr<'_>, _: RStr<'_>) {}

    fn request_repaint(&self, _: u64, _: u64) {}

    fn report(&self, _: u64, error: RemoteError) {
        self.0.lock().unwrap().push(error);
    }

    fn font(&self, _: RStr<'_>, _: u32) -> ROption<Font> {
        ROption::RNone
    }
}

/// Three buttons.
struct Buttons;

impl Expose for Buttons {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &Cx) {
        for name in ["one", "two", "three"] {
            let _ = ui.button(name);
        }
    }
}

/// Opens a surface of `E`, of this version of its remote, with `state`; returns it and the reports to its host.
pub(in crate::sdk) fn open_in<E: Expose>(
    version: &str,
    state: Option<&[u8]>,
) -> (Result<SurfaceBox, RemoteError>, Vec<RemoteError>) {
    let recorder = Recorder::default();
    let services = HostServices_TO::from_ptr(RArc::new(recorder.clone()), TD_Opaque);
    let cx = Cx::new(services, 1, std::path::PathBuf::new(), version.into(), Watches::default());
    let state = state.map(|state| RVec::from(state.to_vec()));
    let context = SurfaceContext { id: 1, state: state.into() };
    let surface = guard(|| open::<E>(cx, &context, &[]));
    let reports = recorder.0.lock().unwrap().clone();
    (surface, reports)
}

/// A host of one surface.
pub(in crate::sdk) struct Driver {
    pub(in crate::sdk) surface: SurfaceBox,
    time: f64,
}

impl Driver {
    pub(in crate::sdk) fn new<E: Expose>(state: Option<&[u8]>) -> Self {
        let (surface, reports) = open_in::<E>("1.0.0", state);
        assert_eq!(reports, []);
        Self { surface: surface.unwrap(), time: 0.0 }
    }

    pub(in crate::sdk) fn frame(&mut self, focused: bool, events: Vec<Event>) -> Frame {
        self.time += 0.1;
        let input = FrameInput {
            time: self.time,
            predicted_dt: 0.1,
            size: [300.0, 200.0],
            window: [-10.0, -10.0, 400.0, 300.0],
            pixels_per_point: 1.0,
            max_texture_side: 2048,
            focused,
            accessibility: true,
            modifiers: 0,
            tokens: LIGHT,
            events: events.into(),
        };
        self.surface.frame(input).unwrap()
    }

    /// Presses Tab and runs until the surface is quiet; returns the label in focus, and the direction if Tab has left
    /// the surface.
    fn tab(&mut self, modifiers: u32) -> (Option<String>, Option<bool>) {
        let key = Event { text: "Tab".into(), modifiers, ..Event::new(EventKind::KEY) };
        let mut frame = self.frame(true, vec![Event { pressed: true, ..key.clone() }, key]);
        let mut left = None;
        for _ in 0..5 {
            let leave = frame.commands.iter().find(|c| c.kind == CommandKind::FOCUS_LEFT);
            left = left.or(leave.map(|c| c.flag));
            frame = self.frame(true, vec![]);
        }
        (focus(&frame), left)
    }
}

fn focus(frame: &Frame) -> Option<String> {
    let tree: egui::accesskit::TreeUpdate = serde_json::from_str(&frame.access).unwrap();
    let node = tree.nodes.iter().find(|(id, _)| *id == tree.focus).map(|(_, node)| node);
    node.and_then(|n| n.label()).map(str::to_owned)
}

#[test]
fn tab_visits_controls_and_leaves() {
    let mut driver = Driver::new::<Buttons>(None);
    driver.frame(true, vec![]);
    let named = |name: &str| (Some(name.to_owned()), None);
    assert_eq!(driver.tab(0), named("one"));
    assert_eq!(driver.tab(0), named("two"));
    assert_eq!(driver.tab(0), named("three"));
    assert_eq!(driver.tab(0).1, Some(true), "it leaves after the last control");
    assert_eq!(focus(&driver.frame(false, vec![])), None, "nothing keeps the focus");

    assert_eq!(driver.tab(0), named("one"), "it enters again");
    assert_eq!(driver.tab(modifiers::SHIFT).1, Some(false), "it leaves before the first control");
}

/// Buttons in windows, between buttons below them.
struct Windows;

impl Expose for Windows {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &Cx) {
        let _ = ui.button("below");
        for name in ["left", "right"] {
            let window = egui::Window::new(format!("window {name}")).collapsible(false).resizable(false);
            window.show(ui.ctx(), |ui| ui.button(name));
        }
        let _ = ui.button("behind");
    }
}

#[test]
fn tab_visits_windows_in_order_of_appearance() {
    let mut driver = Driver::new::<Windows>(None);
    (0..3).for_each(|_| drop(driver.frame(true, vec![])));
    let mut walk = |modifiers| -> Vec<String> {
        std::iter::from_fn(|| Some(driver.tab(modifiers)))
            .take(10)
            .take_while(|(_, left)| left.is_none())
            .filter_map(|(name, _)| name)
            .collect()
    };
    let forward = walk(0);
    assert_eq!(forward, ["below", "left", "right", "behind"]);
    assert_eq!(walk(modifiers::SHIFT), ["behind", "right", "left", "below"]);
}

#[test]
fn control_loses_the_focus_with_the_keyboard() {
    let mut driver = Driver::new::<Buttons>(None);
    driver.frame(true, vec![]);
    assert_eq!(driver.tab(0).0.as_deref(), Some("one"));
    let event = |pressed| vec![Event { pressed, ..Event::new(EventKind::FOCUS) }];
    assert_eq!(focus(&driver.frame(true, event(false))).as_deref(), Some("one"), "only the window has lost it");
    driver.frame(true, event(true));
    assert_eq!(focus(&driver.frame(false, event(false))), None);
}

/// A panel that is loading for two frames.
struct Slow(u32);

impl Expose for Slow {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self(0))
    }

    fn ui(&mut self, _: &mut egui::Ui, cx: &Cx) {
        self.0 += 1;
        if self.0 <= 2 {
            cx.loading();
        }
    }
}

#[test]
fn loading_frame_is_a_placeholder() {
    let mut driver = Driver::new::<Slow>(None);
    let placeholders: Vec<bool> = (0..3).map(|_| driver.frame(true, vec![]).placeholder).collect();
    assert_eq!(placeholders, [true, true, false]);
}
