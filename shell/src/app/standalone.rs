//! The standalone harness: a remote alone in a window, with its own store and no host.
//!
//! ```no_run
//! # fn example(remote_entry: fn() -> plugin_api::abi::RemoteEntryRef) {
//! // `examples/standalone.rs` of a plugin:
//! pulse::app::standalone::main(remote_entry());
//! # }
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use egui::{Context, Margin, Panel, Ui};
use negotiation::manifest::{HostManifest, RemoteRef};
use plugin_api::{
    abi::RemoteEntryRef,
    theme::{caption, color},
};

use super::{
    FRAME_BUDGET, WindowError, close_at_request,
    slot::Slot,
    theme::Preference,
    waker, waker_now,
    window::{self, WindowPlacement},
};
use crate::{
    compositor::Scene,
    config::{Config, ConfigError, Options},
    ending::EndSignal,
    failure::{Advise, Failure, FailureCode},
    federation::Federation,
    fonts,
    library::read_manifest,
    log,
};

/// The reason why a remote cannot be shown alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandaloneError {
    /// No folders to work in.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The remote cannot be found or read.
    #[error("{}", .0.summary)]
    Remote(#[from] Failure),
    /// No window.
    #[error(transparent)]
    Window(#[from] WindowError),
}

impl Advise for StandaloneError {
    fn code(&self) -> FailureCode {
        match self {
            Self::Config(error) => error.code().into(),
            Self::Remote(error) => error.code.clone(),
            Self::Window(error) => error.code().into(),
        }
    }

    fn advice(&self) -> String {
        match self {
            Self::Config(error) => error.advice(),
            Self::Remote(error) => error.advice.clone(),
            Self::Window(error) => error.advice().to_owned(),
        }
    }
}

/// Runs a plugin's `standalone` example: shows the remote that is linked in.
///
/// `--data-dir DIR` names the folder for its data.
pub fn main(entry: RemoteEntryRef) -> ExitCode {
    log::init();
    let mut arguments = std::env::args_os().skip(1);
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let (true, Some(folder)) = (argument == "--data-dir", arguments.next()) else {
            crate::log::note(format_args!("usage: standalone [--data-dir DIR]"));
            return ExitCode::from(2);
        };
        options.data_dir = Some(folder.into());
    }
    let run = || -> Result<(), StandaloneError> {
        let config = alone(&options, BTreeMap::new())?;
        show(move |ctx| Federation::linked(config, entry, fonts::all(), waker(ctx)))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::log::note(format_args!("error: {error} [{}]", error.code()));
            crate::log::note(format_args!("help: {}", error.advice()));
            ExitCode::FAILURE
        }
    }
}

/// Shows the remote of a library or manifest alone in a window, and returns when that is closed.
///
/// # Errors
/// See [`StandaloneError`].
pub fn run(path: &Path, options: &Options) -> Result<(), StandaloneError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // With the file's own name, the reference always matches.
    let name = read_manifest(&path)?.manifest.name;
    let reference = RemoteRef { name: name.clone(), location: path.to_string_lossy().into_owned() };
    // A rebuilt library replaces the running one.
    let config = Config { watch: true, ..alone(options, BTreeMap::from([(name, reference)]))? };
    show(move |ctx| Ok(Federation::start(config, fonts::all(), waker(ctx))))
}

/// Returns the configuration of a host that offers nothing: the remote uses its own copies.
fn alone(options: &Options, remotes: BTreeMap<String, RemoteRef>) -> Result<Config, ConfigError> {
    let config = Config::folders(options)?;
    config.prepare(options);
    let host = HostManifest { name: "standalone".to_owned(), shared: BTreeMap::new(), remotes, ..config.host };
    Ok(Config { host, data_dir: config.data_dir.join("standalone"), ..config })
}

fn show(make: impl FnOnce(&Context) -> Result<Federation, Failure>) -> Result<(), StandaloneError> {
    let ctx = Context::default();
    let ending = EndSignal::watch(waker_now(&ctx));
    fonts::install(&ctx);
    let federation = make(&ctx)?;
    let title = federation.remotes().values().next().map_or("Pulse", |e| e.title()).to_owned();
    let alone = Alone { federation, slot: Slot::default(), ending: ending.clone() };
    window::run_with(&ctx, &title, WindowPlacement::sized(1048.0, 800.0), Box::new(alone))?;
    ending.conclude();
    Ok(())
}

struct Alone {
    federation: Federation,
    slot: Slot,
    ending: EndSignal,
}

impl eframe::App for Alone {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        close_at_request(ctx, &self.ending);
        self.federation.poll();
    }

    fn raw_input_hook(&mut self, _: &Context, input: &mut egui::RawInput) {
        if !input.events.is_empty() {
            self.slot.wake_ahead();
        }
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        let tokens = Preference::System.tokens(ui.ctx().system_theme());
        let scene = Scene { tokens: *tokens, deadline: Instant::now() + FRAME_BUDGET };
        plugin_api::theme::apply(ui.ctx(), tokens);
        let frame = egui::Frame::new().fill(color(tokens.panel)).inner_margin(Margin::symmetric(16, 5));
        Panel::bottom("standalone").frame(frame).show_separator_line(false).show(ui, |ui| {
            let edge = ui.max_rect().expand2(egui::vec2(16.0, 5.0));
            ui.painter().hline(edge.x_range(), edge.top() + 0.5, egui::Stroke::new(1.0, color(tokens.border)));
            let path = self.federation.remotes().values().next().and_then(|e| e.library().map(PathBuf::from));
            let from = path.map_or_else(
                || "linked into this program".to_owned(),
                |p| negotiation::text::Shown(&p).to_string(),
            );
            ui.label(caption(tokens, format!("Standalone, without a host: {from}")));
        });
        egui::CentralPanel::default().frame(egui::Frame::new().fill(color(tokens.background))).show(ui, |ui| {
            let first = self.federation.remotes().iter().next().map(|(alias, entry)| {
                (alias.clone(), entry.exposes().next().map(|(name, _)| name.to_owned()).unwrap_or_default())
            });
            if let Some((alias, expose)) = first {
                let action = self.slot.ui(ui, &scene, &mut self.federation, &alias, &expose);
                if let Some(Err(failure)) = action.map(|action| action.run(&mut self.federation, &alias)) {
                    tracing::warn!(remote = alias, code = failure.code.as_str(), "{}", failure.line());
                }
            }
        });
        self.slot.finish(ui.ctx(), &scene);
    }

    fn on_exit(&mut self) {
        self.federation.save_panels();
        self.slot = Slot::default();
        self.federation.shutdown();
    }
}
