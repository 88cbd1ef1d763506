//! The window: sidebar, surfaces, status bar. With [`standalone`](crate::standalone) the only place that knows
//! eframe.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use egui::{Context, Margin, Panel, Ui};
use plugin_api::{theme::color, tokens::Tokens};
use shared_store::{AUTH, AUTH_TOKEN, Auth, Store, Token};

use crate::{
    auth::{AuthService, Session},
    compositor::Scene,
    config::Config,
    federation::{Federation, remote::Wake},
    theme,
};

mod inspector;
mod sidebar;
pub(crate) mod slot;
mod state;
mod statusbar;
pub(crate) mod window;

pub use window::WindowError;

use inspector::Inspector;
use slot::Slot;
use state::State;

/// How long a frame of the window waits for fresh frames of its surfaces.
pub const FRAME_BUDGET: Duration = Duration::from_millis(6);

/// Opens the shell's window and returns when it is closed.
///
/// # Errors
/// When there is no window to be had.
pub fn run(config: Config) -> Result<(), WindowError> {
    let state = State::load(&config.data_dir);
    let size = state.window();
    let ctx = Context::default();
    let shell = Shell::new(config, state, &ctx);
    window::run_with(&ctx, "Pulse", size, Box::new(shell))
}

/// What the parts of the window are named by: alias of the remote and name of the expose.
type Key = (String, String);

struct Shell {
    federation: Federation,
    auth: Option<AuthService>,
    slots: BTreeMap<Key, Slot>,
    selected: Option<Key>,
    inspector: Inspector,
    state: State,
}

impl Shell {
    fn new(config: Config, state: State, ctx: &Context) -> Self {
        theme::install_fonts(ctx);
        let federation = Federation::start(config, theme::fonts(), waker(ctx));
        let mut shell = Self {
            federation,
            auth: None,
            slots: BTreeMap::new(),
            selected: None,
            inspector: Inspector::default(),
            state,
        };
        shell.selected = shell.first();
        // Loading goes on while the window is being made.
        if let Some((alias, _)) = shell.selected.clone() {
            shell.federation.want(&alias);
        }
        shell.federation.poll();
        shell
    }

    /// What to show first: what was shown last, else the first expose that there is.
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
        let sink = move |session: Option<&Session>| publish(&store, session);
        let wake = Arc::new(move || wake(Duration::ZERO));
        self.auth = Some(AuthService::start(&config.auth, &config.config_dir, sink, wake));
    }
}

/// Writes who is signed in to the store: the one place where that is kept.
fn publish(store: &Store, session: Option<&Session>) {
    let token = session.and_then(|s| s.token.as_ref()).map(|t| Token::new(t.expose()));
    let auth = Auth { user: session.map(|s| s.user.clone()), is_authenticated: session.is_some() };
    let written = store.set(&AUTH_TOKEN, &token).and_then(|()| store.set(&AUTH, &auth));
    if let Err(error) = written {
        tracing::error!(code = error.code(), "who is signed in cannot be published: {error}");
    }
}

pub(crate) fn waker(ctx: &Context) -> Wake {
    let ctx = ctx.clone();
    Arc::new(move |delay| ctx.request_repaint_after(delay))
}

impl eframe::App for Shell {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        self.federation.poll();
        self.start_auth(ctx);
        if let Some(store) = self.federation.store() {
            store.deliver();
        }
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        let deadline = Instant::now() + FRAME_BUDGET;
        let tokens = self.state.theme.tokens(ui.ctx().system_theme());
        plugin_api::theme::apply(ui.ctx(), tokens);
        let panel = |tokens: &Tokens, margin| egui::Frame::new().fill(color(tokens.panel)).inner_margin(margin);
        Panel::left("sidebar")
            .exact_size(232.0)
            .resizable(false)
            .show_separator_line(false)
            .frame(panel(tokens, Margin::same(12)))
            .show(ui, |ui| self.sidebar_ui(ui, tokens));
        Panel::bottom("status")
            .show_separator_line(false)
            .frame(panel(tokens, Margin::symmetric(16, 5)))
            .show(ui, |ui| self.statusbar_ui(ui, tokens));
        self.inspector_ui(ui, tokens);
        egui::CentralPanel::default()
            .frame(egui::Frame::new().fill(color(tokens.background)))
            .show(ui, |ui| self.main_ui(ui, &Scene { tokens: *tokens, deadline }));
        self.state.note_window(ui.ctx());
    }

    fn on_exit(&mut self) {
        self.state.selected = self.selected.take();
        self.state.save();
        // In this order: nobody publishes to a store that is gone, and surfaces go before their libraries.
        self.auth = None;
        self.slots.clear();
        self.federation.shutdown();
    }
}

impl Shell {
    /// A remote whose manifest could not be read has one nameless slot; once it can, its first expose takes over.
    fn select_what_there_is(&mut self) {
        let Some((alias, expose)) = &mut self.selected else { return };
        let Some(entry) = self.federation.entries().get(alias) else { return };
        let mut exposes = entry.exposes().map(|(name, _)| name).peekable();
        if let Some(first) = exposes.peek().copied()
            && !exposes.any(|name| name == expose)
        {
            first.clone_into(expose);
        }
    }

    fn main_ui(&mut self, ui: &mut Ui, scene: &Scene) {
        self.select_what_there_is();
        let Some(key) = self.selected.clone() else {
            slot::empty_ui(ui, &scene.tokens, self.federation.config());
            return;
        };
        self.slots.entry(key.clone()).or_default().ui(ui, scene, &mut self.federation, &key.0, &key.1);
    }
}
