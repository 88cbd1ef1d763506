//! The window of a shell whose host's manifest cannot be used: shows the reason, follows edits of the file, and
//! becomes the shell once the file is valid.

use std::{
    path::PathBuf,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use egui::{Context, RichText, Ui};
use plugin_api::{
    theme::{Tone, caption, color, copy_ui, middle, middle_card_ui, primary, secondary, strong},
    tokens::Tokens,
};

use super::{
    Shell, WindowError, close_at_request,
    parts::{code_ui, message_ui, shortened},
    state::AppState,
    waker_now, window,
};
use crate::{
    config::{Config, ConfigError, Options},
    ending::EndSignal,
    failure::Advise,
    fonts,
    spawn::spawn,
};

/// The pause between two looks at the file.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows `error` until the configuration can be loaded or the window is closed; returns `true` if the shell ran.
///
/// # Errors
/// Fails if the window cannot be opened.
pub(crate) fn run(options: &Options, error: ConfigError) -> Result<bool, WindowError> {
    let ctx = Context::default();
    let ending = EndSignal::watch(waker_now(&ctx));
    fonts::install(&ctx);
    let state = Config::folders(options).map(|config| AppState::load(&config.data_dir)).unwrap_or_default();
    let placement = state.placement();
    ctx.options_mut(|options| options.zoom_factor = state.zoom());
    let (retry, loaded) = load_again(options.clone(), waker_now(&ctx));
    let (started, starts) = mpsc::channel();
    let app = Broken { error, retry, loaded, state: Some(state), shell: None, started, ending: ending.clone() };
    window::run_with(&ctx, "Pulse", placement, Box::new(app))?;
    ending.conclude();
    Ok(starts.try_recv().is_ok())
}

/// Loads the configuration at each request and each second, on its own thread: reading a file may block.
fn load_again(
    options: Options,
    wake: impl Fn() + Send + 'static,
) -> (Sender<()>, Receiver<Result<Box<Config>, ConfigError>>) {
    let (retry, retries) = mpsc::channel();
    let (sender, loaded) = mpsc::channel();
    let run = move || {
        let mut last = String::new();
        while !matches!(retries.recv_timeout(PAUSE), Err(RecvTimeoutError::Disconnected)) {
            let result = Config::load(&options).inspect(|config| config.prepare(&options));
            let text = result.as_ref().map_or_else(ToString::to_string, |_| String::new());
            if (result.is_ok() || text != last) && sender.send(result.map(Box::new)).is_err() {
                return;
            }
            last = text;
            wake();
        }
    };
    if let Err(error) = spawn("config", "read the host's manifest again", run) {
        error.log();
    }
    (retry, loaded)
}

/// Reports each change of the host's manifest in use, from its own thread.
pub(super) fn follow(file: PathBuf, wake: impl Fn() + Send + 'static) -> Receiver<()> {
    let (sender, changes) = mpsc::channel();
    let about = move || file.metadata().ok().map(|about| (about.len(), about.modified().ok()));
    let run = move || {
        let mut known = about();
        loop {
            thread::sleep(2 * PAUSE);
            let now = about();
            if now.is_some() && now != known {
                known = now;
                if sender.send(()).is_err() {
                    return;
                }
                wake();
            }
        }
    };
    if let Err(error) = spawn("config", "follow the host's manifest", run) {
        tracing::debug!("{error}");
    }
    changes
}

struct Broken {
    error: ConfigError,
    retry: Sender<()>,
    loaded: Receiver<Result<Box<Config>, ConfigError>>,
    /// The window's saved state, until the shell owns it.
    state: Option<AppState>,
    shell: Option<Shell>,
    started: Sender<()>,
    ending: EndSignal,
}

impl eframe::App for Broken {
    fn logic(&mut self, ctx: &Context, frame: &mut eframe::Frame) {
        if let Some(shell) = &mut self.shell {
            return shell.logic(ctx, frame);
        }
        close_at_request(ctx, &self.ending);
        match self.loaded.try_recv() {
            Ok(Ok(config)) => {
                let state = self.state.take().unwrap_or_default();
                self.shell = Some(Shell::new(*config, state, self.ending.clone(), ctx));
                // Read when the window has closed.
                let _ = self.started.send(());
                ctx.request_repaint();
            }
            Ok(Err(error)) => self.error = error,
            Err(_) => {}
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        if let Some(shell) = &mut self.shell {
            return shell.ui(ui, frame);
        }
        let preference = self.state.as_ref().map(|state| state.theme).unwrap_or_default();
        let t = preference.tokens(ui.ctx().system_theme());
        plugin_api::theme::apply(ui.ctx(), t);
        ui.reset_style();
        let ground = egui::Frame::new().fill(color(t.background));
        egui::CentralPanel::default().frame(ground).show(ui, |ui| self.card_ui(ui, t));
    }

    fn raw_input_hook(&mut self, ctx: &Context, input: &mut egui::RawInput) {
        if let Some(shell) = &mut self.shell {
            shell.raw_input_hook(ctx, input);
        }
    }

    fn on_exit(&mut self) {
        if let Some(shell) = &mut self.shell {
            shell.on_exit();
        }
    }
}

impl Broken {
    fn card_ui(&self, ui: &mut Ui, t: &Tokens) {
        let place = middle(ui.available_rect_before_wrap(), 640.0);
        let text = |ui: &mut Ui| {
            ui.label(strong(t, "The host's manifest cannot be used", t.font_size[2]));
            let text = RichText::new(shortened(&self.error.to_string())).color(color(t.text));
            message_ui(ui, t, text, &self.error.advice());
            code_ui(ui, t, &self.error.code().into(), Tone::Neutral);
            ui.label(caption(t, "Pulse starts as soon as the file is corrected."));
        };
        middle_card_ui(ui, Tone::Danger, place, text, |ui| {
            ui.horizontal_wrapped(|ui| {
                if ui.add(primary("Retry")).clicked() {
                    // Without its thread there is no receiver.
                    let _ = self.retry.send(());
                }
                copy_ui(ui, secondary("Copy details"), || {
                    format!("{} [{}]", self.error.line(), self.error.code())
                });
            });
        });
    }
}
