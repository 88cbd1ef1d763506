//! Routing of the window's input to one surface, and to two side by side.

use egui::{
    Key, MouseWheelSource, MouseWheelUnit, TouchDeviceId, TouchId, TouchPhase, ViewportCommand,
    accesskit::{NodeId, TreeUpdate},
};
use plugin_api::abi::{Command, CommandKind};

use super::*;

/// Two surfaces side by side in a window of 400 × 300 points, with a button of the shell before each and after both.
pub(super) struct Pair {
    pub(super) left: Bench,
    pub(super) right: Bench,
    pub(super) ctx: Context,
    time: f64,
    pub(super) input: RawInput,
    pub(super) output: egui::PlatformOutput,
    pub(super) commands: Vec<ViewportCommand>,
    /// Number of dropped files, and of files held over the window, that the surfaces leave to the shell.
    pub(super) files: [usize; 2],
}

pub(super) const LEFT: Pos2 = Pos2::new(50.0, 150.0);
pub(super) const RIGHT: Pos2 = Pos2::new(250.0, 150.0);
pub(super) const NEITHER: Pos2 = Pos2::new(390.0, 290.0);

impl Pair {
    pub(super) fn new() -> Self {
        let [left, mut right] = [Bench::new(), Bench::new()];
        let (name, remote) = ("Other".to_owned(), "remoteOther".to_owned());
        right.surface = HostedSurface::new(8, name, remote, Arc::clone(&right.port));
        let ctx = Context::default();
        ctx.enable_accesskit();
        let (input, output) = (RawInput::default(), egui::PlatformOutput::default());
        let mut pair = Self { left, right, ctx, time: 0.0, input, output, commands: Vec::new(), files: [0; 2] };
        pair.answer();
        pair
    }

    /// Runs one frame of the window; returns the events that each surface was asked with.
    pub(super) fn frame(&mut self, events: Vec<Event>) -> [Vec<abi::Event>; 2] {
        self.time += 0.1;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, Vec2::new(400.0, 300.0))),
            time: Some(self.time),
            events,
            ..std::mem::take(&mut self.input)
        };
        let scene = Scene { tokens: LIGHT, deadline: Instant::now() };
        let (left, right) = (&mut self.left.surface, &mut self.right.surface);
        let mut output = self.ctx.run_ui(input, |ui| {
            for (name, surface, x) in [("before", &mut *left, 0.0), ("between", &mut *right, 200.0)] {
                let button = Rect::from_min_size(Pos2::new(x, 0.0), Vec2::new(100.0, 30.0));
                ui.put(button, egui::Button::new(name));
                let slot = Rect::from_min_size(Pos2::new(x, 50.0), Vec2::new(180.0, 200.0));
                ui.scope_builder(egui::UiBuilder::new().max_rect(slot), |ui| surface.ui(ui, &scene));
                surface.finish(ui.ctx(), &scene);
            }
            let button = Rect::from_min_size(Pos2::new(0.0, 260.0), Vec2::new(100.0, 30.0));
            ui.put(button, egui::Button::new("after"));
        });
        output.textures_delta.clear();
        self.files = self.ctx.input(|i| [i.raw.dropped_files.len(), i.raw.hovered_files.len()]);
        self.commands = output.viewport_output.values().flat_map(|v| v.commands.clone()).collect();
        self.output = output.platform_output;
        [&self.left, &self.right].map(|bench| {
            let asked = std::mem::take(&mut *bench.asked.lock());
            asked.into_iter().flat_map(|input| input.events).collect()
        })
    }

    /// Makes both remotes answer all requests, without commands.
    pub(super) fn answer(&mut self) {
        for _ in 0..3 {
            self.frame(vec![]);
            for bench in [&self.left, &self.right] {
                bench.mailbox.put(Ok(picture()));
            }
        }
        self.frame(vec![]);
    }

    /// Runs a frame with `events`, which both remotes then answer.
    pub(super) fn step(&mut self, events: Vec<Event>) -> [Vec<EventKind>; 2] {
        let asked = self.frame(events);
        for bench in [&self.left, &self.right] {
            if bench.surface.waiting().is_some() {
                bench.mailbox.put(Ok(picture()));
            }
        }
        asked.map(|events| events.iter().map(|event| event.kind).collect())
    }

    /// Makes the remote of `bench` answer with `commands`.
    pub(super) fn answer_with(bench: &Bench, commands: Vec<Command>) {
        bench.mailbox.put(Ok(CheckedFrame { commands, ..picture() }));
    }

    fn focus(&self) -> Option<String> {
        let update: &TreeUpdate = self.output.accesskit_update.as_ref()?;
        let focus: NodeId = update.focus;
        let node = update.nodes.iter().find(|(id, _)| *id == focus)?;
        node.1.label().map(str::to_owned)
    }

    /// Presses Tab; a surface that gets it has no further control and moves the focus out. Returns the focused label.
    fn tab(&mut self, shift: bool) -> String {
        let modifiers = Modifiers { shift, ..Modifiers::NONE };
        let key = |pressed| Event::Key { key: Key::Tab, physical_key: None, pressed, repeat: false, modifiers };
        let asked = self.frame(vec![key(true), key(false)]);
        let leave = Command { flag: !shift, ..Command::new(CommandKind::FOCUS_LEFT) };
        for (bench, events) in [&self.left, &self.right].into_iter().zip(&asked) {
            // A surface with the keyboard gets the key; one that has just got it is entered.
            let tabs = events.iter().filter(|event| event.kind == EventKind::KEY && event.pressed).count();
            let led_in = events.iter().any(|event| event.kind == EventKind::FOCUS && event.pressed);
            if bench.surface.waiting().is_some() {
                Self::answer_with(bench, if tabs == 1 && !led_in { vec![leave.clone()] } else { vec![] });
            }
        }
        for _ in 0..5 {
            self.step(vec![Event::ModifiersChanged(modifiers)]);
        }
        self.focus().unwrap_or_default()
    }
}

pub(super) fn touch(finger: u64, phase: TouchPhase, pos: Pos2) -> Event {
    Event::Touch { device_id: TouchDeviceId(1), id: TouchId(finger), phase, pos, force: None }
}

fn wheel(phase: TouchPhase) -> Event {
    Event::MouseWheel {
        unit: MouseWheelUnit::Point,
        delta: Vec2::new(0.0, 5.0),
        phase,
        source: MouseWheelSource::Trackpad,
        modifiers: Modifiers::NONE,
    }
}

pub(super) fn other(pos: Pos2, button: PointerButton, pressed: bool) -> Event {
    Event::PointerButton { pos, button, pressed, modifiers: Modifiers::NONE }
}

fn has(kinds: &[EventKind], kind: EventKind) -> bool {
    kinds.contains(&kind)
}

#[test]
fn press_owns_pointer_until_all_buttons_are_up() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true)]);
    let [left, right] = pair.step(vec![Event::PointerMoved(RIGHT)]);
    assert_eq!((left, right), (vec![EventKind::POINTER_MOVED], vec![]));
    let [left, right] = pair.step(vec![other(RIGHT, PointerButton::Secondary, true), press(RIGHT, false)]);
    assert_eq!((left, right), (vec![EventKind::POINTER_BUTTON; 2], vec![]), "one button is still down");
    let [mut left, right] = pair.step(vec![other(RIGHT, PointerButton::Secondary, false)]);
    // A press elsewhere takes the keyboard away, as from a widget of the shell.
    left.retain(|kind| *kind != EventKind::FOCUS);
    assert_eq!(left, [EventKind::POINTER_BUTTON, EventKind::POINTER_GONE]);
    assert_eq!(right, [EventKind::POINTER_MOVED], "now the other surface has the pointer");
}

#[test]
fn pointer_held_by_shell_is_over_no_surface() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(NEITHER), press(NEITHER, true)]);
    assert_eq!(pair.step(vec![Event::PointerMoved(LEFT)]), [vec![], vec![]]);
    assert_eq!(pair.step(vec![other(LEFT, PointerButton::Secondary, true)]), [vec![], vec![]]);
    let [left, _] = pair.step(vec![other(LEFT, PointerButton::Secondary, false), press(LEFT, false)]);
    assert_eq!(left, [EventKind::POINTER_MOVED]);
}

#[test]
fn double_click_arrives_as_two_clicks() {
    let mut pair = Pair::new();
    let events = vec![Event::PointerMoved(LEFT), press(LEFT, true), press(LEFT, false)];
    let [left, _] = pair.frame([events.clone(), events].concat());
    let buttons: Vec<_> = left.iter().filter(|e| e.kind == EventKind::POINTER_BUTTON).collect();
    assert_eq!(buttons.len(), 4);
    assert!(buttons.iter().all(|e| Pos2::from(e.pos) == Pos2::new(50.0, 100.0)), "{buttons:?}");
}

#[test]
fn button_released_while_hidden_is_reported() {
    let mut bench = Bench::settled();
    bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true)]);
    bench.answer(picture());
    bench.frame(vec![]);
    let away = RawInput { events: vec![press(OUTSIDE, false)], ..RawInput::default() };
    for input in [away, RawInput::default()] {
        bench.ctx.run_ui(input, |_| ()).textures_delta.clear();
    }
    let asked = bench.frame(vec![]);
    let up = asked[0].events.iter().find(|e| e.kind == EventKind::POINTER_BUTTON).unwrap();
    assert!(!up.pressed && up.button == 0);
}

#[test]
fn scrolling_stays_in_its_surface_until_it_ends() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), wheel(TouchPhase::Start)]);
    let [left, right] = pair.step(vec![Event::PointerMoved(RIGHT), wheel(TouchPhase::Move)]);
    assert!(has(&left, EventKind::WHEEL) && !has(&right, EventKind::WHEEL), "{left:?} {right:?}");
    let [left, right] = pair.step(vec![wheel(TouchPhase::End)]);
    assert!(has(&left, EventKind::WHEEL) && !has(&right, EventKind::WHEEL), "{left:?} {right:?}");
    let [left, right] = pair.step(vec![wheel(TouchPhase::Move)]);
    assert!(!has(&left, EventKind::WHEEL) && has(&right, EventKind::WHEEL), "a wheel has no phases");
}

#[test]
fn gestures_go_to_surface_below_pointer() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(RIGHT)]);
    let [left, right] =
        pair.step(vec![Event::Zoom(1.5), Event::Rotate(0.1), Event::MouseMoved(Vec2::new(1.0, 0.0))]);
    assert_eq!(left, []);
    assert_eq!(right, [EventKind::ZOOM, EventKind::ROTATE, EventKind::MOTION]);
}

#[test]
fn finger_belongs_to_surface_where_it_came_down() {
    let mut pair = Pair::new();
    pair.step(vec![touch(1, TouchPhase::Start, LEFT)]);
    assert_eq!(
        pair.step(vec![touch(2, TouchPhase::Start, RIGHT)]),
        [vec![], vec![EventKind::TOUCH]],
        "while the other one is down"
    );
    let moves = vec![touch(1, TouchPhase::Move, RIGHT), touch(2, TouchPhase::Move, LEFT)];
    assert_eq!(pair.step(moves), [vec![EventKind::TOUCH], vec![EventKind::TOUCH]]);
    let ends = vec![touch(1, TouchPhase::End, RIGHT), touch(1, TouchPhase::Move, RIGHT)];
    assert_eq!(pair.step(ends), [vec![EventKind::TOUCH], vec![]], "no moves after the release");
    assert_eq!(pair.step(vec![touch(3, TouchPhase::Start, NEITHER)]), [vec![], vec![]]);
}

#[test]
fn tab_passes_through_both_surfaces_and_back() {
    let mut pair = Pair::new();
    let forward: Vec<_> = (0..6).map(|_| pair.tab(false)).collect();
    assert_eq!(forward, ["before", "Test", "between", "Other", "after", "before"]);
    let backward: Vec<_> = (0..5).map(|_| pair.tab(true)).collect();
    assert_eq!(backward, ["after", "Other", "between", "Test", "before"]);
}

fn tab_key(shift: bool, pressed: bool) -> Event {
    let modifiers = Modifiers { shift, ..Modifiers::NONE };
    Event::Key { key: Key::Tab, physical_key: None, pressed, repeat: false, modifiers }
}

/// Returns the presses of Tab among `events`: `true` with Shift.
fn tabs(events: &[abi::Event]) -> Vec<bool> {
    let tabs =
        events.iter().filter(|event| event.kind == EventKind::KEY && event.text == "Tab" && event.pressed);
    tabs.map(|tab| tab.modifiers == abi::modifiers::SHIFT).collect()
}

#[test]
fn shift_tab_enters_backward_despite_early_release() {
    let mut pair = Pair::new();
    // From the button after both surfaces to the second of them.
    for _ in 0..5 {
        pair.tab(false);
    }
    assert_eq!(pair.focus().as_deref(), Some("after"));
    let shift = Modifiers { shift: true, ..Modifiers::NONE };
    let mut seen = Vec::new();
    let press = vec![Event::ModifiersChanged(shift), tab_key(true, true), tab_key(true, false)];
    let events = [press, vec![Event::ModifiersChanged(Modifiers::NONE)], vec![], vec![]];
    for events in events {
        let [left, right] = pair.frame(events);
        assert!(tabs(&left).is_empty(), "the other surface is not involved");
        seen.extend(tabs(&right));
        for bench in [&pair.left, &pair.right] {
            if bench.surface.waiting().is_some() {
                bench.mailbox.put(Ok(picture()));
            }
        }
    }
    assert_eq!(pair.focus().as_deref(), Some("Other"));
    assert_eq!(seen, [true], "its last control gets the focus");
}

#[test]
fn keys_right_after_tab_belong_to_the_surface() {
    for shift in [false, true] {
        let mut pair = Pair::new();
        for _ in 0..if shift { 5 } else { 3 } {
            pair.tab(false);
        }
        assert_eq!(pair.focus().as_deref(), Some(if shift { "after" } else { "between" }));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let [_, right] = pair.frame(vec![tab_key(shift, true), tab_key(shift, false)]);
            seen.extend(tabs(&right));
            if pair.right.surface.waiting().is_some() {
                pair.right.mailbox.put(Ok(picture()));
            }
        }
        seen.extend(tabs(&pair.frame(vec![])[1]));
        assert_eq!(seen, [shift; 3], "the first enters, the others move on");
        assert_eq!(pair.focus().as_deref(), Some("Other"));
    }
}

#[test]
fn tab_works_after_a_click_in_the_surface() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true), press(LEFT, false)]);
    pair.answer();
    assert_eq!(pair.tab(false), "between");
    let shift_tab = vec![tab_key(true, true), tab_key(true, false)];
    let mut seen = tabs(&pair.frame(shift_tab)[0]);
    for _ in 0..3 {
        seen.extend(tabs(&pair.frame(vec![])[0]));
    }
    assert_eq!((pair.focus().as_deref(), &seen[..]), (Some("Test"), &[true][..]));
}

#[test]
fn scroll_keys_without_focus_go_below_pointer() {
    let key =
        |key| Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers: Modifiers::NONE };
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(RIGHT)]);
    pair.answer();
    let [left, right] = pair.step(vec![key(Key::PageDown), key(Key::A)]);
    assert_eq!((left, right), (vec![], vec![EventKind::KEY]));
    pair.step(vec![Event::PointerMoved(NEITHER)]);
    pair.answer();
    pair.answer();
    let [left, right] = pair.step(vec![key(Key::End)]);
    assert_eq!(
        (left, right),
        (vec![EventKind::KEY], vec![]),
        "the first surface, while the pointer is over none"
    );
    pair.tab(false);
    assert_eq!(pair.focus().as_deref(), Some("before"));
    assert_eq!(pair.step(vec![key(Key::PageDown)]), [vec![], vec![]]);
}

#[test]
fn surface_is_notified_of_keyboard_loss() {
    let mut pair = Pair::new();
    let [left, _] = pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true), press(LEFT, false)]);
    assert!(has(&left, EventKind::FOCUS));
    let mut focus = [Vec::new(), Vec::new()];
    let mut events = vec![Event::PointerMoved(RIGHT), press(RIGHT, true)];
    for _ in 0..3 {
        for (focus, events) in focus.iter_mut().zip(pair.frame(std::mem::take(&mut events))) {
            focus.extend(events.iter().filter(|e| e.kind == EventKind::FOCUS).map(|e| e.pressed));
        }
        for bench in [&pair.left, &pair.right] {
            if bench.surface.waiting().is_some() {
                bench.mailbox.put(Ok(picture()));
            }
        }
    }
    assert_eq!(focus, [vec![false], vec![true]]);
}

#[test]
fn escape_stays_with_remote_while_it_has_a_use() {
    let escape = || Event::Key {
        key: Key::Escape,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::NONE,
    };
    let mut bench = Bench::settled();
    bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true), press(INSIDE, false)]);
    bench.answer(CheckedFrame { wants_keyboard: true, ..picture() });
    bench.frame(vec![]);
    assert_eq!(kinds(&bench.frame(vec![escape()])[0]), [EventKind::KEY]);
    bench.answer(CheckedFrame { wants_keyboard: true, ..picture() });
    bench.frame(vec![]);
    bench.frame(vec![]);
    assert_eq!(kinds(&bench.frame(vec![escape()])[0]), [EventKind::KEY], "it still has the keyboard");
    bench.answer(picture());
    bench.frame(vec![]);
    bench.frame(vec![]);
    bench.answer(picture());
    bench.frame(vec![]);
    assert!(
        bench.frame(vec![escape()]).is_empty(),
        "nothing was left to close: the shell has the keyboard again"
    );
}

#[test]
fn images_are_copied_and_pasted() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true), press(LEFT, false)]);
    pair.step(vec![]);
    let image = Arc::new(egui::ColorImage::filled([2, 1], egui::Color32::RED));
    let [left, right] = pair.frame(vec![Event::PasteImage(Arc::clone(&image))]);
    assert_eq!((left[0].kind, left[0].span, right.len()), (EventKind::PASTE_IMAGE, [2, 1], 0));
    assert_eq!(left[0].data[..], [255, 0, 0, 255, 255, 0, 0, 255]);
    let copy = Command { size: [2, 1], data: left[0].data.clone(), ..Command::new(CommandKind::COPY_IMAGE) };
    Pair::answer_with(&pair.left, vec![copy]);
    pair.frame(vec![]);
    let [egui::OutputCommand::CopyImage(copied)] = &pair.output.commands[..] else {
        panic!("no image: {:?}", pair.output.commands)
    };
    assert_eq!(copied, &*image);
}

#[test]
fn clipboard_is_read_only_with_keyboard() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true), press(LEFT, false)]);
    for (asks, granted) in [(true, true), (false, false)] {
        pair.answer();
        let bench = if asks { &pair.left } else { &pair.right };
        bench.mailbox.request(Duration::ZERO);
        pair.frame(vec![]);
        Pair::answer_with(if asks { &pair.left } else { &pair.right }, vec![Command::new(CommandKind::PASTE)]);
        pair.frame(vec![]);
        assert_eq!(pair.commands.contains(&ViewportCommand::RequestPaste), granted, "{asks}");
    }
}

#[test]
fn middle_click_pastes_selection_below_pointer() {
    let mut pair = Pair::new();
    let paste = Event::MiddleClickPaste { pos: RIGHT, text: "selected".to_owned() };
    let [left, right] = pair.frame(vec![
        Event::PointerMoved(RIGHT),
        other(RIGHT, PointerButton::Middle, true),
        paste,
        other(RIGHT, PointerButton::Middle, false),
    ]);
    assert_eq!(left.len(), 0);
    let pasted = right.iter().find(|event| event.kind == EventKind::PASTE_SELECTION).unwrap();
    assert_eq!((&*pasted.text, Pos2::from(pasted.pos)), ("selected", Pos2::new(50.0, 100.0)));
}

#[test]
fn input_method_window_is_at_text_cursor() {
    let mut bench = Bench::settled();
    bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true), press(INSIDE, false)]);
    let ime = egui::output::IMEOutput {
        purpose: egui::IMEPurpose::Password,
        rect: Rect::from_min_max(Pos2::new(1.0, 2.0), Pos2::new(31.0, 12.0)),
        cursor_rect: Rect::from_min_max(Pos2::new(5.0, 2.0), Pos2::new(6.0, 12.0)),
        should_interrupt_composition: true,
    };
    bench.answer(CheckedFrame { ime: Some(ime), ..picture() });
    let mut shown = || {
        let scene = Scene { tokens: LIGHT, deadline: Instant::now() };
        let surface = &mut bench.surface;
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, Vec2::new(400.0, 300.0)));
        let mut output = bench.ctx.run_ui(RawInput { screen_rect, ..RawInput::default() }, |ui| {
            let slot = Rect::from_min_max(Pos2::new(100.0, 50.0), Pos2::new(400.0, 300.0));
            ui.scope_builder(egui::UiBuilder::new().max_rect(slot), |ui| surface.ui(ui, &scene));
            surface.finish(ui.ctx(), &scene);
        });
        output.textures_delta.clear();
        output.platform_output.ime.unwrap()
    };
    let (first, second) = (shown(), shown());
    let moved = Vec2::new(100.0, 50.0);
    for shown in [first, second] {
        assert_eq!(
            (shown.rect, shown.cursor_rect),
            (ime.rect.translate(moved), ime.cursor_rect.translate(moved))
        );
        assert_eq!(shown.purpose, egui::IMEPurpose::Password);
    }
    // A repeated picture does not interrupt a newer composition.
    assert_eq!([first, second].map(|shown| shown.should_interrupt_composition), [true, false]);
}
