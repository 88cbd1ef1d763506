//! Installing a remote from the window: a dialog for a path or an address, and files that are dropped on it; the same
//! dialog chooses a local file to use in place of a remote's own.
//!
//! On Wayland winit reports no dropped files; use the dialog there.

use std::{
    path::PathBuf,
    sync::mpsc::{self, Receiver, TryRecvError},
};

use egui::{Align2, Area, Context, Id, Key, Modal, Order, Sense, Stroke, StrokeKind, TextEdit, Ui};
use plugin_api::{
    theme::{Tone, caption, card, color, primary, secondary, strong},
    tokens::Tokens,
};

use super::{
    action::Action,
    messages::{Message, Press},
    parts::failure_ui,
};
use crate::{
    config::Config,
    data::{
        deliveries::{Deliveries, is_address},
        drop_folder::{DropFolder, Installed},
    },
    failure::{Failure, SharedFailure, Stage},
    federation::{Federation, RemoteOrigin},
    placement::Wake,
    spawn::spawn,
};

/// The hint after the desktop's dialog returned no file: its answer has no reason.
const NO_DIALOG: &str =
    "No file chosen. If no dialog opened, enter the path here or drop the file on the window.";

/// The dialog, and installations in the background.
#[derive(Default)]
pub(super) struct Install {
    dialog: Option<Dialog>,
    /// Files that are being copied.
    running: Vec<Receiver<Result<Option<Installed>, Failure>>>,
}

#[derive(Default)]
struct Dialog {
    /// Name of the remote that the file overrides; `None` to install it.
    overrides: Option<String>,
    path: String,
    failure: Option<SharedFailure>,
    /// The answer of the desktop's dialog, while it is open.
    choosing: Option<Receiver<Option<PathBuf>>>,
    /// A text about the desktop's dialog.
    hint: &'static str,
    /// The field has requested the keyboard.
    focused: bool,
    installing: bool,
}

impl Install {
    /// Opens the dialog.
    pub(super) fn open(&mut self) {
        self.dialog.get_or_insert_default();
    }

    /// Opens the dialog for a local file to use in place of a remote's own.
    pub(super) fn open_override(&mut self, name: &str) {
        self.dialog = Some(Dialog { overrides: Some(name.to_owned()), ..Dialog::default() });
    }

    /// Begins to install `file`, on its own thread.
    fn start(&mut self, file: PathBuf, config: &Config, wake: &Wake) {
        let (data_dir, plugin_dirs) = (config.data_dir.clone(), config.plugin_dirs.clone());
        self.run(wake, move || DropFolder::new(&data_dir).install(&file, &plugin_dirs).map(Some));
    }

    /// Runs `job` on its own thread.
    fn run(&mut self, wake: &Wake, job: impl FnOnce() -> Result<Option<Installed>, Failure> + Send + 'static) {
        let (sender, result) = mpsc::channel();
        let (wake, failed) = (wake.clone(), sender.clone());
        let run = move || {
            // A closed window has dropped the receiver.
            let _ = sender.send(job());
            wake(std::time::Duration::ZERO);
        };
        if let Err(error) = spawn("install", "install the file", run) {
            // The receiver is in this function, so sending cannot fail.
            let _ = failed.send(Err(error.failure(Stage::Discover)));
        }
        self.running.push(result);
    }

    /// Polls for finished installations, and returns messages about them.
    pub(super) fn poll(&mut self, federation: &Federation) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut results = Vec::new();
        self.running.retain(|result| match result.try_recv() {
            Ok(result) => {
                results.push(result);
                false
            }
            Err(error) => error == TryRecvError::Empty,
        });
        for result in results {
            let dialog = self.dialog.take_if(|dialog| dialog.installing);
            match (result, dialog) {
                (Ok(installed), _) => {
                    let message = installed.and_then(|installed| alternative_message(&installed, federation));
                    messages.extend(message);
                }
                (Err(failure), Some(dialog)) => {
                    let failure = Some(failure.into());
                    self.dialog = Some(Dialog { failure, installing: false, ..dialog });
                }
                (Err(failure), None) => {
                    messages.push(Message::failure("Couldn't install the file", &failure.into()));
                }
            }
        }
        messages
    }

    /// Shows the dialog while it is open, and installs files that are dropped on the window.
    pub(super) fn ui(&mut self, ctx: &Context, t: &Tokens, config: &Config, wake: &Wake) {
        for file in ctx.input(|input| input.raw.dropped_files.clone()) {
            self.start(file.path().to_owned(), config, wake);
        }
        if ctx.input(|input| !input.raw.hovered_files.is_empty()) {
            drop_hint_ui(ctx, t);
        }
        let Some(dialog) = &mut self.dialog else { return };
        if let Some(choosing) = &dialog.choosing {
            match choosing.try_recv() {
                Err(TryRecvError::Empty) => {}
                Ok(Some(path)) => {
                    dialog.path = path.to_string_lossy().into_owned();
                    (dialog.choosing, dialog.hint) = (None, "");
                }
                Ok(None) | Err(TryRecvError::Disconnected) => {
                    dialog.choosing = None;
                    dialog.hint = NO_DIALOG;
                }
            }
        }
        let mut outcome = Outcome::Open;
        let frame = card(t).inner_margin(t.space[4]);
        let modal = Modal::new(Id::unique("pulse.install")).frame(frame).show(ctx, |ui| {
            ui.set_width(440.0_f32.min(ctx.content_rect().width() - 96.0));
            outcome = dialog.ui(ui, t, wake);
        });
        match outcome {
            Outcome::Open if modal.should_close() => self.dialog = None,
            Outcome::Open => {}
            Outcome::Close => self.dialog = None,
            Outcome::Install => {
                let text = dialog.path.trim().to_owned();
                let file = std::path::absolute(&text).unwrap_or_else(|_| text.clone().into());
                (dialog.installing, dialog.failure) = (true, None);
                let overrides = dialog.overrides.clone();
                let address = text.split_once('@').filter(|(_, address)| is_address(address));
                match (overrides, address) {
                    (Some(name), _) => {
                        let deliveries = Deliveries::new(&config.data_dir);
                        self.run(wake, move || deliveries.override_with(&name, Some(file)).map(|()| None));
                    }
                    (None, Some((name, address))) => {
                        let (name, address) = (name.to_owned(), address.to_owned());
                        let config = config.clone();
                        self.run(wake, move || {
                            Deliveries::new(&config.data_dir).add(&config, &name, address, None).map(|()| None)
                        });
                    }
                    (None, None) => self.start(file, config, wake),
                }
            }
        }
    }
}

enum Outcome {
    Open,
    Close,
    Install,
}

impl Dialog {
    fn ui(&mut self, ui: &mut Ui, t: &Tokens, wake: &Wake) -> Outcome {
        let mut outcome = Outcome::Open;
        ui.spacing_mut().item_spacing.y = t.space[2];
        let (title, about, does) = match &self.overrides {
            Some(name) => (
                format!("Override {name}"),
                "Choose a local build of it. It is used in place of the remote's own library until you end the \
                 override.",
                "Override",
            ),
            None => (
                "Install a remote".to_owned(),
                "Choose a library, or a manifest next to its library, which is copied into the drop folder; or enter \
                 a remote's name, @ and the address of a repository. It runs once it is enabled.",
                "Install",
            ),
        };
        ui.label(strong(t, title, t.font_size[2]));
        ui.label(caption(t, about));
        let ready = !self.installing && !self.path.trim().is_empty();
        ui.horizontal(|ui| {
            let label = ui.label("File");
            let browse = 96.0;
            let field = TextEdit::singleline(&mut self.path)
                .hint_text("/path/to/libplugin.so")
                .desired_width(ui.available_width() - browse);
            let field = ui.add(field).labelled_by(label.id);
            if !std::mem::replace(&mut self.focused, true) {
                field.request_focus();
            }
            if field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) && ready {
                outcome = Outcome::Install;
            }
            if ui.add_enabled(self.choosing.is_none(), secondary("Browse…")).clicked() {
                self.choosing = browse_off_thread(wake);
                let waits = "Waiting for the desktop's file dialog…";
                self.hint = if self.choosing.is_some() { waits } else { NO_DIALOG };
            }
        });
        if !self.hint.is_empty() {
            ui.label(caption(t, self.hint));
        }
        if let Some(failure) = &self.failure {
            failure_ui(ui, t, Tone::Danger, failure);
        }
        ui.horizontal(|ui| {
            let text = if self.installing { "Working…" } else { does };
            if ui.add_enabled(ready, primary(text)).clicked() {
                outcome = Outcome::Install;
            }
            if ui.add(secondary("Cancel")).clicked() {
                outcome = Outcome::Close;
            }
        });
        outcome
    }
}

/// Opens the desktop's file dialog, on its own thread: it returns when the user answers.
fn browse_off_thread(wake: &Wake) -> Option<Receiver<Option<PathBuf>>> {
    let (sender, chosen) = mpsc::channel();
    let wake = wake.clone();
    let run = move || {
        let dialog = rfd::FileDialog::new()
            .set_title("Install a remote")
            .add_filter("Libraries and manifests", &[std::env::consts::DLL_EXTENSION, "json"]);
        // The dialog of the window may be closed by now.
        let _ = sender.send(dialog.pick_file());
        wake(std::time::Duration::ZERO);
    };
    // Without a thread the user can still enter a path.
    spawn("browse", "show the file dialog", run).ok().map(|_| chosen)
}

/// Returns a message about an installed file of a configured remote; the federation reports any other file itself.
fn alternative_message(
    Installed { name, version, .. }: &Installed,
    federation: &Federation,
) -> Option<Message> {
    let (alias, entry) = federation.remotes().iter().find(|(_, entry)| {
        entry.manifest().is_some_and(|manifest| manifest.name == *name)
            && *entry.place() == RemoteOrigin::Configured
    })?;
    let title = entry.title();
    let text = format!("{title} still runs from the host's manifest.");
    let press = Press::Act(alias.clone(), Action::Enable);
    let message = Message::info(format!("{title} {version} is in the drop folder"), text);
    Some(message.noticed().with("Use it", format!("Use {title} {version}"), press))
}

/// Covers the window with a hint while files are dragged over it.
fn drop_hint_ui(ctx: &Context, t: &Tokens) {
    let whole = ctx.content_rect();
    Area::new(Id::unique("pulse.drop"))
        .order(Order::Foreground)
        .anchor(Align2::LEFT_TOP, egui::Vec2::ZERO)
        .interactable(false)
        .show(ctx, |ui| {
            let (rect, _) = ui.allocate_exact_size(whole.size(), Sense::hover());
            let ground = color(t.background).gamma_multiply(0.8);
            ui.painter().rect_filled(rect, 0.0, ground);
            let edge = Stroke::new(2.0, color(t.accent));
            ui.painter().rect_stroke(rect.shrink(12.0), t.radius[1], edge, StrokeKind::Inside);
            let middle = egui::Rect::from_center_size(rect.center(), egui::vec2(320.0, 40.0));
            ui.put(middle, egui::Label::new(strong(t, "Drop to install", t.font_size[3])));
        });
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use egui::{DroppedFile, HoveredFile, RawInput};
    use plugin_api::tokens::LIGHT;

    use super::*;
    use crate::catalogue::Code;
    use crate::config::Options;

    #[derive(Debug)]
    struct Dropped(PathBuf);

    impl DroppedFile for Dropped {
        fn path(&self) -> &Path {
            &self.0
        }

        fn bytes(&self) -> Result<Vec<u8>, String> {
            fs::read(&self.0).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn dropped_file_is_installed_and_hint_disappears() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("clock.json");
        fs::write(&file, "no JSON").expect("a file");
        let options = Options { data_dir: Some(folder.path().to_owned()), ..Options::default() };
        let config = Config::folders(&options).expect("folders");
        let (ctx, wake): (_, Wake) = (Context::default(), Arc::new(|_| ()));
        ctx.enable_accesskit();
        let mut install = Install::default();
        let mut names = |input: RawInput| -> Vec<String> {
            let output = ctx.run_ui(input, |ui| {
                plugin_api::theme::apply(ui.ctx(), &LIGHT);
                install.ui(&ui.ctx().clone(), &LIGHT, &config, &wake);
            });
            let update = output.platform_output.accesskit_update.expect("it is enabled");
            let text = |node: &egui::accesskit::Node| node.label().or(node.value()).map(str::to_owned);
            update.nodes.iter().filter_map(|(_, node)| text(node)).collect()
        };
        // The first pass has no fonts yet.
        names(RawInput::default());
        let hovered_files = vec![HoveredFile { path: Some(file.clone()), ..HoveredFile::default() }];
        let held = || RawInput { hovered_files: hovered_files.clone(), ..RawInput::default() };
        // An area is measured before it is shown.
        names(held());
        let held = names(held());
        assert!(held.iter().any(|name| name == "Drop to install"), "{held:?}");
        let dropped_files: Vec<egui::DroppedFileHandle> = vec![Arc::new(Dropped(file))];
        let dropped = names(RawInput { dropped_files, ..RawInput::default() });
        assert!(dropped.iter().all(|name| name != "Drop to install"), "{dropped:?}");
        let [result] = &*install.running else { panic!("it is being installed") };
        let failure = result.recv().expect("an answer").expect_err("it is no manifest");
        assert_eq!(failure.code, Code::ManifestNotJson);
    }
}
