//! The window: sidebar, surfaces and status bar; [`standalone`] shows one remote alone. Only this module uses eframe.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use egui::{Context, KeyboardShortcut, Margin, Modifiers, Panel, Rect, Ui};
use plugin_api::{theme::color, tokens::Tokens};

use crate::{
    auth::GroupSignIn,
    compositor::{Scene, set_reach},
    config::Config,
    data::run_marker::RunMarker,
    ending::EndSignal,
    federation::{Federation, RemoteEvent, Status},
    fonts,
    placement::Wake,
};

pub(crate) mod action;
pub(crate) mod broken;
mod inspector;
mod install;
mod messages;
mod parts;
mod remotes;
mod sidebar;
pub(crate) mod slot;
pub mod standalone;
mod state;
mod statusbar;
mod strips;
mod supply;
mod theme;
pub(crate) mod window;

pub use window::WindowError;

use action::Action;
use inspector::Inspector;
use install::Install;
use messages::{Message, Messages, Press};
use remotes::Card;
use slot::Slot;
use state::AppState;
use strips::Runs;

/// The time that a frame of the window waits for fresh frames of its surfaces.
pub const FRAME_BUDGET: Duration = Duration::from_millis(6);

/// The width below which a window has a narrow sidebar, in points.
const NARROW: f32 = 640.0;

const RELOAD: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, egui::Key::R);
const RELOAD_ALL: KeyboardShortcut =
    KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), egui::Key::R);

/// Opens the shell's window and returns when it is closed.
///
/// # Errors
/// Fails if the window cannot be opened, or its display ends.
pub fn run(config: Config) -> Result<(), WindowError> {
    let ctx = Context::default();
    let ending = EndSignal::watch(waker_now(&ctx));
    let state = AppState::load(&config.data_dir);
    let placement = state.placement();
    ctx.options_mut(|options| options.zoom_factor = state.zoom());
    let shell = Shell::new(config, state, ending.clone(), &ctx);
    window::run_with(&ctx, "Pulse", placement, Box::new(shell))?;
    ending.conclude();
    Ok(())
}

/// The identity of a slot: alias of the remote and name of the expose.
type Key = (String, String);

struct Shell {
    federation: Federation,
    auth: Option<GroupSignIn>,
    slots: BTreeMap<Key, Slot>,
    selected: Option<Key>,
    inspector: Inspector,
    /// The inspector's cards of remotes, by alias.
    cards: BTreeMap<String, Card>,
    messages: Messages,
    /// The last message, as one line.
    last: Option<String>,
    install: Install,
    runs: Runs,
    state: AppState,
    /// Changes of the host's manifest.
    manifest: Option<Receiver<()>>,
    ending: EndSignal,
    ended: bool,
    wake: Wake,
}

impl Shell {
    fn new(config: Config, state: AppState, ending: EndSignal, ctx: &Context) -> Self {
        fonts::install(ctx);
        // Before code of a remote can end this run.
        let (marker, unclean) = RunMarker::begin(&config.data_dir);
        let manifest = config.file.clone().map(|file| broken::follow(file, waker_now(ctx)));
        let federation = Federation::start(config, fonts::all(), waker(ctx));
        let mut shell = Self {
            federation,
            auth: None,
            slots: BTreeMap::new(),
            selected: None,
            inspector: state.inspector,
            cards: BTreeMap::new(),
            messages: Messages::default(),
            last: None,
            install: Install::default(),
            runs: Runs::new(marker, unclean),
            state,
            manifest,
            ending,
            ended: false,
            wake: waker(ctx),
        };
        shell.selected = shell.first();
        // Starts loading while the window is being opened.
        if let Some((alias, _)) = shell.selected.clone() {
            shell.federation.want(&alias);
        }
        shell.federation.poll();
        shell
    }

    /// Returns the expose to show first: the one shown last, else the first of all.
    fn first(&self) -> Option<Key> {
        let keys: Vec<Key> = self.items().into_iter().map(|(key, ..)| key).collect();
        keys.iter().find(|k| Some(*k) == self.state.selected.as_ref()).or(keys.first()).cloned()
    }

    fn start_auth(&mut self, ctx: &Context) {
        if self.auth.is_some() {
            return;
        }
        let Some(store) = self.federation.store().cloned() else { return };
        let config = self.federation.config();
        let wake = waker(ctx);
        let wake = Arc::new(move || wake(Duration::ZERO));
        self.auth = Some(GroupSignIn::start(store, &config.auth, &config.config_dir, wake));
    }
}

pub(crate) fn waker(ctx: &Context) -> Wake {
    let ctx = ctx.clone();
    Arc::new(move |delay| ctx.request_repaint_after(delay))
}

/// Returns a function that draws the window immediately, from any thread.
pub(crate) fn waker_now(ctx: &Context) -> impl Fn() + Send + 'static + use<> {
    let ctx = ctx.clone();
    move || ctx.request_repaint()
}

/// Closes the window once the system has requested it.
pub(crate) fn close_at_request(ctx: &Context, ending: &EndSignal) {
    if ending.is_requested() {
        ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        ctx.request_repaint();
    }
}

impl eframe::App for Shell {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        close_at_request(ctx, &self.ending);
        self.federation.poll();
        self.start_auth(ctx);
        if let Some(store) = self.federation.store() {
            store.deliver();
        }
        self.listen();
    }

    fn raw_input_hook(&mut self, _: &Context, input: &mut egui::RawInput) {
        if let Some(slot) = self.selected.as_ref().and_then(|key| self.slots.get(key))
            && !input.events.is_empty()
        {
            slot.wake_ahead();
        }
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        let tokens = self.state.theme.tokens(ui.ctx().system_theme());
        let scene = Scene { tokens: *tokens, deadline: Instant::now() + FRAME_BUDGET };
        plugin_api::theme::apply(ui.ctx(), tokens);
        // This `Ui` has the former style, and surfaces get the new one in the same frame.
        ui.reset_style();
        self.keys(ui);
        let panel = |tokens: &Tokens, margin| egui::Frame::new().fill(color(tokens.panel)).inner_margin(margin);
        Panel::left("sidebar")
            .exact_size(if ui.available_width() < NARROW { 156.0 } else { 232.0 })
            .resizable(false)
            .show_separator_line(false)
            .frame(panel(tokens, Margin::same(12)))
            .show(ui, |ui| self.sidebar_ui(ui, tokens));
        Panel::bottom("status")
            .show_separator_line(false)
            .frame(panel(tokens, Margin::symmetric(16, 5)))
            .show(ui, |ui| self.statusbar_ui(ui, tokens));
        if self.has_strips() {
            let top = Panel::top("strips").show_separator_line(false).frame(egui::Frame::NONE);
            top.show(ui, |ui| self.strips_ui(ui));
        }
        self.inspector_ui(ui, tokens);
        // Remotes cannot cover the status bar and the inspector.
        let corner = ui.available_rect_before_wrap().max;
        set_reach(ui.ctx(), Rect::from_min_max(ui.ctx().content_rect().min, corner));
        self.notices_ui(ui, tokens);
        egui::CentralPanel::default()
            .frame(egui::Frame::new().fill(color(tokens.background)))
            .show(ui, |ui| self.main_ui(ui, &scene));
        let ctx = ui.ctx().clone();
        self.install.ui(&ctx, tokens, self.federation.config(), &self.wake);
        self.state.note_window(&ctx);
        self.slots.values_mut().for_each(|slot| slot.finish(&ctx, &scene));
    }

    fn on_exit(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.state.selected = self.selected.take();
        self.state.inspector = self.inspector;
        self.state.save();
        // In this order: sign-in ends before the store, and surfaces are dropped before their libraries.
        self.auth = None;
        self.federation.save_panels();
        self.slots.clear();
        self.federation.shutdown();
        self.runs.end();
    }
}

impl Shell {
    /// Selects the first expose of a remote in place of its nameless slot, once its manifest was read, and the first of
    /// all in place of one that was removed.
    fn resolve_selection(&mut self) {
        let remotes = self.federation.remotes();
        self.slots.retain(|(alias, _), _| remotes.contains_key(alias));
        let Some((alias, expose)) = &mut self.selected else { return };
        let Some(entry) = remotes.get(alias) else {
            self.selected = self.first();
            return;
        };
        let mut exposes = entry.exposes().map(|(name, _)| name).peekable();
        if let Some(first) = exposes.peek().copied()
            && !exposes.any(|name| name == expose)
        {
            first.clone_into(expose);
        }
    }

    /// Shows messages that need attention, above the status bar.
    fn notices_ui(&mut self, ui: &mut Ui, tokens: &Tokens) {
        if !self.messages.has_notices() {
            return;
        }
        let frame = egui::Frame::new().fill(color(tokens.panel));
        let panel = Panel::bottom("notices").show_separator_line(false).frame(frame);
        let pressed = panel.show(ui, |ui| self.messages.notices_ui(ui, tokens)).inner;
        self.answer(pressed);
    }

    /// Performs the action of a message's button.
    fn answer(&mut self, pressed: Option<Press>) {
        match pressed {
            Some(Press::Act(alias, action)) => self.act(&alias, &action),
            Some(Press::Show) => self.inspector = Inspector::Remotes,
            Some(Press::List) => self.inspector = Inspector::Messages,
            None => {}
        }
    }

    fn main_ui(&mut self, ui: &mut Ui, scene: &Scene) {
        self.resolve_selection();
        let Some(key) = self.selected.clone() else {
            if slot::empty_ui(ui, &scene.tokens, self.federation.config()) {
                self.install.open();
            }
            // A remote may be installed while the shell runs.
            self.selected = self.first();
            return;
        };
        let slot = self.slots.entry(key.clone()).or_default();
        if let Some(action) = slot.ui(ui, scene, &mut self.federation, &key.0, &key.1) {
            self.act(&key.0, &action);
        }
    }

    /// Runs an action on a remote, and notes its failure as a message.
    fn act(&mut self, alias: &str, action: &Action) {
        if matches!(action, Action::Restart | Action::Enable) {
            self.slots.retain(|(of, _), _| of != alias);
        }
        if let Err(failure) = action.run(&mut self.federation, alias) {
            self.note(Message::failure("Action failed", &failure));
        }
        self.listen();
        (self.wake)(Duration::ZERO);
    }

    fn reload_all(&mut self) {
        // Does not load remotes that were never shown.
        let loaded = |status| !matches!(status, Status::NotFetched | Status::Ready | Status::Disabled(_));
        let entries = self.federation.remotes().iter().filter(|(_, entry)| loaded(entry.status()));
        let aliases: Vec<String> = entries.map(|(alias, _)| alias.clone()).collect();
        for alias in aliases {
            self.act(&alias, &Action::Reload);
        }
    }

    /// Handles the shortcuts that work with any keyboard focus.
    fn keys(&mut self, ui: &Ui) {
        // The shortcut with more keys first: the other would match it too.
        if ui.input_mut(|input| input.consume_shortcut(&RELOAD_ALL)) {
            self.reload_all();
        } else if ui.input_mut(|input| input.consume_shortcut(&RELOAD))
            && let Some((alias, _)) = self.selected.clone()
        {
            self.act(&alias, &Action::Reload);
        }
    }

    /// Turns events of the federation, the host's manifest and installations into messages.
    fn listen(&mut self) {
        self.messages.withdraw_all(&self.federation.events().take_withdrawn());
        for notification in self.federation.events().take() {
            let message = Message::of(&notification);
            // The slot on the screen shows its own failure.
            let shown = self.selected.as_ref().is_some_and(|(alias, _)| *alias == notification.alias);
            let elsewhere = shown && matches!(notification.event, RemoteEvent::Failed | RemoteEvent::Disabled);
            self.note(if elsewhere { message.in_list_alone() } else { message });
        }
        if self.manifest.as_ref().is_some_and(|changes| changes.try_iter().count() > 0) {
            let text = "Restart Pulse to apply the change.";
            self.note(Message::info("The host's manifest changed", text).noticed());
        }
        for message in self.install.poll(&self.federation) {
            self.note(message);
        }
        let runs = |status| matches!(status, Status::Active | Status::Hung | Status::Starting);
        let running = self.federation.remotes().iter().filter(|(_, entry)| runs(entry.status()));
        let running: Vec<&str> = running.map(|(alias, _)| alias.as_str()).collect();
        self.runs.note(&running);
    }

    fn note(&mut self, message: Message) {
        self.last = Some(message.line());
        self.messages.push(message);
    }
}
