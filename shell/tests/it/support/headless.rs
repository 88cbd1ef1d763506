//! A shell without a window.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use egui::{
    Context, Event, FullOutput, Pos2, RawInput, Rect, UiBuilder, Vec2, ViewportId,
    accesskit::{Action, ActionRequest, NodeId, Role, TreeId, TreeUpdate},
};
use egui_kittest::{
    TestRenderer as _,
    wgpu::{WgpuTestRenderer, create_render_state, default_wgpu_setup},
};
use plugin_api::tokens::{self, Tokens};
use pulse::{
    compositor::{Gpu, HostedSurface, Scene},
    config::Config,
    failure::Failure,
    federation::{Federation, ManagedRemote, Notification, Status},
    fonts,
};

use super::{PATIENCE, log};

/// A shell without a window: a federation, and an egui context in which its surfaces are shown.
pub(crate) struct Headless {
    slots: BTreeMap<(String, String), Slot>,
    pub(crate) federation: Federation,
    wakes: mpsc::Receiver<Instant>,
    ctx: Context,
    started: Instant,
    output: Screen,
    painter: Option<WgpuTestRenderer>,
    longest: Duration,
    /// Physical pixels per point of the window's screen.
    pub(crate) screen_scale: f32,
    /// Look of the shell and its remotes, from the next frame on.
    pub(crate) tokens: Tokens,
    /// Time that a frame of the window waits for new frames of its surfaces.
    pub(crate) budget: Duration,
    /// All notifications of the federation.
    pub(crate) notifications: Vec<Notification>,
    /// Dropped last: remotes run from this folder.
    _folder: Arc<tempfile::TempDir>,
}

/// A slot in the window. Like the shell's, it opens its expose when the remote is active.
#[derive(Default)]
struct Slot {
    surface: Option<HostedSurface>,
    refused: Option<Arc<Failure>>,
}

/// Contents of the last frame of the window, and its requests.
#[derive(Default)]
pub(crate) struct Screen {
    /// Nodes of the accessibility tree, with role and text (label and value).
    nodes: Vec<(NodeId, Role, String)>,
    /// The accessibility tree as egui returned it.
    pub(crate) tree: Option<TreeUpdate>,
    /// The same texts, with their bounds in the window.
    places: Vec<(String, Rect)>,
    /// Requests to the platform, of all frames.
    pub(crate) commands: Vec<egui::OutputCommand>,
    /// Requests to the window, of all frames.
    pub(crate) viewport_commands: Vec<egui::ViewportCommand>,
    /// The pointer's cursor.
    pub(crate) cursor: egui::CursorIcon,
    /// Numbers of hovered and of dropped files that no remote claimed.
    pub(crate) files: [usize; 2],
}

const WINDOW: Vec2 = Vec2::new(1200.0, 800.0);

impl Headless {
    pub(super) fn new(config: Config, folder: Arc<tempfile::TempDir>) -> Self {
        log();
        let (sender, wakes) = mpsc::channel();
        let sender = Mutex::new(sender);
        let wake = Arc::new(move |delay: Duration| {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
            // The test may have ended. A day counts as never.
            let _ = sender.send(Instant::now() + delay.min(Duration::from_hours(24)));
        });
        let ctx = Context::default();
        ctx.enable_accesskit();
        ctx.set_request_repaint_callback({
            let wake = Arc::clone(&wake);
            move |info| wake(info.delay)
        });
        let federation = Federation::start(config, fonts::all(), wake);
        fonts::install(&ctx);
        let started = Instant::now();
        Self {
            slots: BTreeMap::new(),
            federation,
            wakes,
            ctx,
            started,
            output: Screen::default(),
            painter: None,
            longest: Duration::ZERO,
            screen_scale: 1.0,
            tokens: tokens::LIGHT,
            budget: Duration::ZERO,
            notifications: Vec::new(),
            _folder: folder,
        }
    }

    /// Adds a slot with an expose, from the next frame on.
    pub(crate) fn show(&mut self, alias: &str, expose: &str) {
        self.slots.insert((alias.to_owned(), expose.to_owned()), Slot::default());
    }

    /// Returns the surface of an expose, once it is open.
    pub(crate) fn surface(&self, alias: &str, expose: &str) -> Option<&HostedSurface> {
        self.slots.get(&(alias.to_owned(), expose.to_owned()))?.surface.as_ref()
    }

    /// Returns a remote by its alias.
    pub(crate) fn entry(&self, alias: &str) -> &ManagedRemote {
        &self.federation.remotes()[alias]
    }

    /// Returns why the remote, not just one of its surfaces, does not run.
    pub(crate) fn failure(&self, alias: &str) -> Option<Arc<Failure>> {
        match self.entry(alias).status() {
            Status::Failed(failure) | Status::Disabled(failure) => Some(failure),
            _ => None,
        }
    }

    /// Returns the failure that the slot of an expose shows in place of, or over, its picture.
    pub(crate) fn slot_failure(&self, alias: &str, expose: &str) -> Option<Arc<Failure>> {
        let slot = self.slots.get(&(alias.to_owned(), expose.to_owned()))?;
        let own = || slot.refused.clone().or_else(|| slot.surface.as_ref()?.failure().cloned());
        self.failure(alias).or_else(own)
    }

    /// Returns `true` if the remote runs.
    pub(crate) fn is_active(&self, alias: &str) -> bool {
        matches!(self.entry(alias).status(), Status::Active)
    }

    /// Returns `true` if a picture of the expose is on the screen.
    pub(crate) fn has_picture(&self, alias: &str, expose: &str) -> bool {
        self.surface(alias, expose).is_some_and(HostedSurface::has_picture)
    }

    /// Returns the number of frames of the expose.
    pub(crate) fn frames(&self, alias: &str, expose: &str) -> u64 {
        self.surface(alias, expose).map_or(0, |surface| surface.counts().0)
    }

    /// Turns painting on, for [`picture`](Self::picture).
    #[allow(dead_code, reason = "for tests of pictures")]
    pub(crate) fn paint(&mut self) {
        let state = create_render_state(default_wgpu_setup(), egui_wgpu::RendererOptions::PREDICTABLE);
        Gpu::install(&self.ctx, &state);
        self.painter = Some(WgpuTestRenderer::from_render_state(state));
    }

    /// Draws a frame of the window; returns its width in pixels, and red, green, blue and alpha of each pixel.
    #[allow(dead_code, reason = "for tests of pictures")]
    pub(crate) fn picture(&mut self) -> (usize, Vec<u8>) {
        let output = self.run(RawInput::default());
        let painter = self.painter.as_mut().expect("painting is on");
        let picture = painter.render(&self.ctx, &output).expect("a picture");
        (picture.width() as usize, picture.into_raw())
    }

    /// Returns the contents of the last frame of the window.
    pub(crate) fn screen(&self) -> &Screen {
        &self.output
    }

    /// Returns the time of the longest frame of the window since the last call.
    #[allow(dead_code, reason = "for benchmarks")]
    pub(crate) fn take_longest(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }

    /// Returns the number of textures of the window.
    #[allow(dead_code, reason = "for benchmarks")]
    pub(crate) fn textures(&self) -> usize {
        self.ctx.tex_manager().read().num_allocated()
    }

    /// Presses Retry in the slots of a remote: restarts it if it does not run, and opens its exposes again.
    pub(crate) fn retry(&mut self, alias: &str) {
        let stopped = !self.is_active(alias);
        for (_, slot) in self.slots.iter_mut().filter(|((of, _), _)| of == alias) {
            *slot = Slot::default();
        }
        if stopped {
            self.federation.retry(alias);
        }
    }

    /// Runs the shell until `until` returns `true`, from one wake-up to the next.
    ///
    /// # Panics
    /// After [`PATIENCE`], with `what` and the state of the shell.
    pub(crate) fn drive(&mut self, what: &str, until: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        let mut due: Option<Instant> = None;
        loop {
            self.frame(Vec::new());
            if until(self) {
                return;
            }
            due = due.filter(|at| *at > Instant::now());
            loop {
                let now = Instant::now();
                assert!(now < give_up, "timed out waiting until {what}; {}", self.describe());
                let wait = due.unwrap_or(give_up).min(give_up).saturating_duration_since(now);
                match self.wakes.recv_timeout(wait) {
                    Ok(at) => due = Some(due.map_or(at, |d| d.min(at))),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the shell dropped its waker: {what}"),
                }
                if due.is_some_and(|at| at <= Instant::now()) {
                    break;
                }
            }
            // The next frame answers every wake-up so far.
            let later = self.wakes.try_iter().filter(|at| *at > Instant::now()).min();
            due = later;
        }
    }

    /// Draws a frame of the window with these events; returns its contents.
    pub(crate) fn frame(&mut self, events: Vec<Event>) -> &Screen {
        self.frame_of(RawInput { events, ..RawInput::default() })
    }

    /// Draws a frame of the window with the events and files of `input`; returns its contents.
    pub(crate) fn frame_of(&mut self, input: RawInput) -> &Screen {
        self.run(input);
        &self.output
    }

    fn run(&mut self, input: RawInput) -> FullOutput {
        let began = Instant::now();
        self.federation.poll();
        self.notifications.extend(self.federation.events().take());
        if let Some(store) = self.federation.store() {
            store.deliver();
        }
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, WINDOW)),
            time: Some(self.started.elapsed().as_secs_f64()),
            max_texture_side: Some(4096),
            focused: true,
            ..input
        };
        if let Some(viewport) = input.viewports.get_mut(&ViewportId::ROOT) {
            viewport.native_pixels_per_point = Some(self.screen_scale);
        }
        let ctx = self.ctx.clone();
        let mut output = ctx.run_ui(input, |ui| {
            let scene = Scene { tokens: self.tokens, deadline: Instant::now() + self.budget };
            let width = WINDOW.x / self.slots.len().max(1) as f32;
            for (at, ((alias, expose), slot)) in self.slots.iter_mut().enumerate() {
                let left = Pos2::new(at as f32 * width, 0.0);
                let area = Rect::from_min_size(left, Vec2::new(width, WINDOW.y));
                let ui = &mut ui.new_child(UiBuilder::new().max_rect(area).id_salt((alias, expose)));
                slot.ui(ui, &scene, &mut self.federation, alias, expose);
            }
            for surface in self.slots.values_mut().filter_map(|slot| slot.surface.as_mut()) {
                surface.finish(ui.ctx(), &scene);
            }
        });
        self.longest = self.longest.max(began.elapsed());
        self.note(&mut output);
        output
    }

    fn note(&mut self, output: &mut FullOutput) {
        match &mut self.painter {
            Some(painter) => painter.handle_delta(&mut output.textures_delta),
            None => output.textures_delta.clear(),
        }
        self.output.commands.append(&mut output.platform_output.commands);
        self.output.cursor = output.platform_output.cursor_icon;
        self.output.files = self.ctx.input(|i| [i.raw.hovered_files.len(), i.raw.dropped_files.len()]);
        let viewports = output.viewport_output.values().flat_map(|viewport| viewport.commands.clone());
        self.output.viewport_commands.extend(viewports);
        if let Some(update) = output.platform_output.accesskit_update.take() {
            let text = |node: &egui::accesskit::Node| {
                [node.label(), node.value()].into_iter().flatten().collect::<Vec<_>>().join(": ")
            };
            let place = |node: &egui::accesskit::Node| {
                let b = node.bounds().unwrap_or_default();
                Rect::from_min_max(Pos2::new(b.x0 as f32, b.y0 as f32), Pos2::new(b.x1 as f32, b.y1 as f32))
            };
            self.output.places = update.nodes.iter().map(|(_, node)| (text(node), place(node))).collect();
            self.output.nodes = update.nodes.iter().map(|(id, node)| (*id, node.role(), text(node))).collect();
            self.output.tree = Some(update);
        }
    }

    /// Presses the control with this label, as a screen reader does.
    ///
    /// # Panics
    /// If no control has this label.
    pub(crate) fn press(&mut self, label: &str) {
        self.press_nth(label, 0);
    }

    /// Presses the control number `at`, from 0, of those with this label.
    pub(crate) fn press_nth(&mut self, label: &str, at: usize) {
        let is_control = |role| [Role::Button, Role::RadioButton].contains(role);
        let mut controls = self.output.nodes.iter().filter(|(_, role, text)| text == label && is_control(role));
        let found = controls.nth(at);
        let target_node = found.unwrap_or_else(|| panic!("no button `{label}`; {}", self.describe())).0;
        let request =
            ActionRequest { action: Action::Click, target_tree: TreeId::ROOT, target_node, data: None };
        self.frame(vec![Event::AccessKitActionRequest(request)]);
    }

    /// Describes the state of the shell, for the message of a failing test.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for (alias, entry) in self.federation.remotes() {
            let status = match entry.status() {
                Status::NotFetched => "not fetched".to_owned(),
                Status::Ready => "ready".to_owned(),
                Status::Starting => "starting".to_owned(),
                Status::Active => "active".to_owned(),
                Status::Hung => "not responding".to_owned(),
                Status::Disabled(failure) => format!("disabled: {failure}"),
                Status::Failed(failure) => format!("failed while {}: {failure}", failure.stage),
            };
            text.extend([format!("\n  remote {alias}: {status}")]);
        }
        for (alias, expose) in self.slots.keys() {
            let failure = self.slot_failure(alias, expose).map(|f| f.to_string());
            let picture = self.has_picture(alias, expose);
            text.extend([format!("\n  slot {alias} {expose}: picture: {picture}, failure: {failure:?}")]);
        }
        for notice in &self.notifications {
            let why = notice.failure.as_ref().map(ToString::to_string).unwrap_or_default();
            text.extend([format!("\n  notified of {}: {:?} {why}", notice.alias, notice.event)]);
        }
        text + &format!("\n  on the screen: {:?}", self.output.texts().collect::<Vec<_>>())
    }
}

impl Screen {
    /// Returns the texts of the accessibility tree.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|(_, _, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// Returns the bounds of each occurrence of this text, from left to right.
    pub(crate) fn places(&self, text: &str) -> Vec<Rect> {
        let mut places: Vec<_> = self.places.iter().filter(|(t, _)| t == text).map(|(_, rect)| *rect).collect();
        places.sort_by(|a, b| a.left().total_cmp(&b.left()));
        places
    }

    /// Returns `true` if a text on the screen contains `part`.
    pub(crate) fn shows(&self, part: &str) -> bool {
        self.texts().any(|text| text.contains(part))
    }
}

impl Slot {
    fn ui(&mut self, ui: &mut egui::Ui, scene: &Scene, federation: &mut Federation, alias: &str, expose: &str) {
        federation.want(alias);
        if self.surface.is_none() && self.refused.is_none() {
            match federation.open(alias, expose) {
                Some(Ok(surface)) => self.surface = Some(surface),
                Some(Err(failure)) => self.refused = Some(failure),
                None => {}
            }
        }
        if self.surface.as_ref().is_some_and(HostedSurface::is_gone) {
            self.surface = None;
            ui.ctx().request_repaint();
        }
        if let Some(surface) = &mut self.surface {
            surface.ui(ui, scene);
        }
    }
}
