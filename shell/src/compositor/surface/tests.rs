#![expect(clippy::unwrap_used, reason = "tests")]
mod activation;
mod drags;
mod input;
mod overlays;

use egui::{Context, Event, Modifiers, PointerButton, RawInput, epaint::Vertex};
use parking_lot::Mutex;
use plugin_api::{
    abi::{self, EventKind},
    tokens::{DARK, LIGHT},
};

use super::*;
use crate::{
    catalogue::Code,
    compositor::{
        Mailbox,
        frame::{CheckedFrame, Mesh, TextureChange, Triangles},
    },
    failure::{Failure, Stage},
};

mod late;

/// A window of 400 × 300 points with a surface from (100, 50) on; the test plays the remote.
struct Bench {
    ctx: Context,
    surface: HostedSurface,
    port: Arc<Port>,
    mailbox: Arc<Mailbox>,
    asked: Arc<Mutex<Vec<FrameInput>>>,
    time: f64,
    tokens: Tokens,
}

impl Bench {
    fn new() -> Self {
        let mailbox = Mailbox::new(Arc::new(|_| {}));
        let asked: Arc<Mutex<Vec<FrameInput>>> = Arc::default();
        let request = {
            let asked = Arc::clone(&asked);
            move |input: Option<FrameInput>| {
                asked.lock().extend(input);
                true
            }
        };
        let source = SurfaceHandle { id: 7, mailbox: Arc::clone(&mailbox), request: Box::new(request) };
        let port = Port::new(source);
        let surface = HostedSurface::new(7, "Test".to_owned(), "remoteTest".to_owned(), Arc::clone(&port));
        Self { port, ctx: Context::default(), surface, mailbox, asked, time: 0.0, tokens: LIGHT }
    }

    /// Runs one frame of the window; returns the requests to the remote.
    fn frame(&mut self, events: Vec<Event>) -> Vec<FrameInput> {
        self.time += 0.1;
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, Vec2::new(400.0, 300.0)));
        let input = RawInput { screen_rect, time: Some(self.time), events, ..RawInput::default() };
        let scene = Scene { tokens: self.tokens, deadline: Instant::now() };
        let surface = &mut self.surface;
        let mut output = self.ctx.run_ui(input, |ui| {
            let slot = Rect::from_min_max(Pos2::new(100.0, 50.0), Pos2::new(400.0, 300.0));
            ui.scope_builder(egui::UiBuilder::new().max_rect(slot), |ui| surface.ui(ui, &scene));
            surface.finish(ui.ctx(), &scene);
        });
        output.textures_delta.clear();
        std::mem::take(&mut *self.asked.lock())
    }

    fn answer(&self, frame: CheckedFrame) {
        self.mailbox.put(Ok(frame));
    }

    /// Returns a surface that has shown a picture and is idle.
    fn settled() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.frame(vec![]).len(), 1);
        bench.answer(picture());
        bench.frame(vec![]);
        assert!(bench.surface.has_picture());
        bench
    }
}

fn picture() -> CheckedFrame {
    let vertex = |x, y| Vertex { pos: Pos2::new(x, y), uv: Pos2::ZERO, color: egui::Color32::WHITE };
    CheckedFrame {
        textures: vec![TextureChange::Set {
            texture: 0,
            pos: None,
            image: egui::ColorImage::filled([1, 1], egui::Color32::WHITE),
            options: egui::TextureOptions::LINEAR,
        }],
        meshes: vec![Mesh {
            clip: Rect::EVERYTHING,
            texture: 0,
            overlay: false,
            triangles: Arc::new(Triangles {
                indices: vec![0, 1, 2],
                vertices: vec![vertex(0.0, 0.0), vertex(10.0, 0.0), vertex(0.0, 10.0)],
            }),
        }],
        ..CheckedFrame::default()
    }
}

fn kinds(input: &FrameInput) -> Vec<EventKind> {
    input.events.iter().map(|e| e.kind).collect()
}

fn press(pos: Pos2, pressed: bool) -> Event {
    Event::PointerButton { pos, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE }
}

const INSIDE: Pos2 = Pos2::new(150.0, 80.0);
const OUTSIDE: Pos2 = Pos2::new(20.0, 20.0);

#[test]
fn idle_surface_is_not_called() {
    let mut bench = Bench::settled();
    for _ in 0..10 {
        assert!(bench.frame(vec![]).is_empty());
    }
    assert!(bench.frame(vec![Event::PointerMoved(OUTSIDE)]).is_empty(), "the pointer is elsewhere");
    assert_eq!(bench.surface.counts().0, 1);
}

#[test]
fn new_look_and_repaint_request_call_surface() {
    let mut bench = Bench::settled();
    bench.tokens = DARK;
    assert!(bench.frame(vec![])[0].tokens.dark);
    bench.answer(picture());
    assert!(bench.frame(vec![]).is_empty());
    bench.mailbox.request(Duration::ZERO);
    assert_eq!(bench.frame(vec![]).len(), 1);
}

#[test]
fn pointer_has_slot_coordinates_and_leaves_once() {
    let mut bench = Bench::settled();
    let asked = bench.frame(vec![Event::PointerMoved(INSIDE)]);
    assert_eq!(Pos2::from(asked[0].events[0].pos), Pos2::new(50.0, 30.0));
    bench.answer(picture());
    let asked = bench.frame(vec![Event::PointerMoved(OUTSIDE)]);
    assert_eq!(kinds(&asked[0]), [EventKind::POINTER_GONE]);
    bench.answer(picture());
    assert!(bench.frame(vec![]).is_empty());
}

#[test]
fn press_inside_owns_pointer_until_release() {
    let mut bench = Bench::settled();
    bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true)]);
    bench.answer(picture());
    let asked = bench.frame(vec![Event::PointerMoved(OUTSIDE)]);
    assert_eq!(asked[0].events[0].kind, EventKind::POINTER_MOVED, "dragging beyond the edge");
    bench.answer(picture());
    let asked = bench.frame(vec![press(OUTSIDE, false)]);
    assert_eq!(asked[0].events[0].kind, EventKind::POINTER_BUTTON);
    bench.answer(picture());
    assert!(
        bench
            .frame(vec![press(OUTSIDE, true), press(OUTSIDE, false)])
            .iter()
            .all(|i| { !kinds(i).contains(&EventKind::POINTER_BUTTON) })
    );
}

#[test]
fn keys_go_to_surface_after_press() {
    let key = || Event::Text("a".to_owned());
    let mut bench = Bench::settled();
    assert!(bench.frame(vec![key()]).is_empty());
    let asked = bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true), press(INSIDE, false)]);
    assert!(asked[0].focused);
    bench.answer(picture());
    assert!(bench.frame(vec![]).is_empty(), "a press is not Tab");
    let asked = bench.frame(vec![key()]);
    assert_eq!(kinds(&asked[0]), [EventKind::TEXT]);
}

#[test]
fn input_during_late_frame_is_not_lost() {
    let mut bench = Bench::settled();
    assert_eq!(bench.frame(vec![Event::PointerMoved(INSIDE)]).len(), 1);
    // Two frames of the window pass without an answer.
    assert!(bench.frame(vec![press(INSIDE, true)]).is_empty());
    assert!(bench.frame(vec![press(INSIDE, false)]).is_empty());
    bench.answer(picture());
    let asked = bench.frame(vec![]);
    let expected = [EventKind::POINTER_BUTTON, EventKind::FOCUS, EventKind::POINTER_BUTTON];
    assert_eq!(kinds(&asked[0]), expected);
}

#[test]
fn failure_keeps_last_picture_and_ends_calls() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    bench.frame(vec![]);
    bench.mailbox.put(Err(Arc::new(Failure::new(Stage::Frame, Code::FramePanicked, "raised by the test", ""))));
    bench.frame(vec![]);
    assert_eq!(bench.surface.failure().unwrap().code, Code::FramePanicked);
    assert!(bench.surface.has_picture());
    bench.mailbox.request(Duration::ZERO);
    assert!(bench.frame(vec![Event::PointerMoved(INSIDE)]).is_empty());
}

#[test]
fn surface_of_ended_remote_is_gone() {
    let mut bench = Bench::new();
    let (mailbox, request) = (Arc::clone(&bench.mailbox), Box::new(|_| false));
    bench.port.replace_source(Arc::new(SurfaceHandle { id: 8, mailbox, request }), vec![]);
    bench.frame(vec![]);
    assert!(bench.surface.is_gone());
}

#[test]
fn remote_nodes_are_in_shell_tree_at_window_position() {
    use egui::accesskit::{
        Action, ActionRequest, Node, NodeId, Rect as Bounds, Role, TreeId, TreeInfo, TreeUpdate,
    };
    let mut button = Node::new(Role::Button);
    button.set_label("Press me");
    button.set_bounds(Bounds { x0: 10.0, y0: 20.0, x1: 30.0, y1: 40.0 });
    let mut root = Node::new(Role::Window);
    root.set_children(vec![NodeId(2)]);
    let tree = TreeUpdate {
        nodes: vec![(NodeId(1), root), (NodeId(2), button)],
        tree: Some(TreeInfo::new(NodeId(1))),
        tree_id: TreeId::ROOT,
        focus: NodeId(1),
    };
    let mut bench = Bench::new();
    bench.ctx.enable_accesskit();
    assert!(bench.frame(vec![])[0].accessibility);
    bench.answer(CheckedFrame { access: Some(Ok(tree)), ..picture() });
    let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, Vec2::new(400.0, 300.0)));
    let scene = Scene { tokens: LIGHT, deadline: Instant::now() };
    let surface = &mut bench.surface;
    let mut output = bench.ctx.run_ui(RawInput { screen_rect, ..RawInput::default() }, |ui| {
        let slot = Rect::from_min_max(Pos2::new(100.0, 50.0), Pos2::new(400.0, 300.0));
        ui.scope_builder(egui::UiBuilder::new().max_rect(slot), |ui| surface.ui(ui, &scene));
        surface.finish(ui.ctx(), &scene);
    });
    output.textures_delta.clear();
    let update = output.platform_output.accesskit_update.unwrap();
    let node = |label: &str| update.nodes.iter().find(|(_, n)| n.label() == Some(label)).unwrap();
    let (id, button) = node("Press me");
    assert_eq!(button.bounds(), Some(Bounds { x0: 110.0, y0: 70.0, x1: 130.0, y1: 90.0 }));
    let (pane_id, pane) = node("Test");
    assert_eq!((pane.role(), pane.children()), (Role::Pane, &[*id][..]));
    let parents: Vec<_> =
        update.nodes.iter().filter(|(_, n)| n.children().contains(id)).map(|(p, _)| *p).collect();
    assert_eq!(parents, [*pane_id], "one parent");

    // An action on it is translated back.
    let request =
        ActionRequest { action: Action::Click, target_tree: TreeId::ROOT, target_node: *id, data: None };
    let asked = bench.frame(vec![Event::AccessKitActionRequest(request)]);
    let event = &asked[0].events[0];
    assert_eq!(event.kind, EventKind::ACCESS_ACTION);
    let back: ActionRequest = serde_json::from_str(&event.text).unwrap();
    assert_eq!(back.target_node, NodeId(2));
}
