//! What the tests stand on: libraries that cargo builds once per run, an installation in a folder of its own,
//! and a shell without a window.
//!
//! Nothing sleeps: the shell's `wake` ends every wait, and a wait that takes longer than [`PATIENCE`] fails the
//! test with what was waited for.
#![allow(dead_code, reason = "each module of the tests uses a part")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    time::{Duration, Instant},
};

use egui::{
    Context, Event, FullOutput, Pos2, RawInput, Rect, UiBuilder, Vec2,
    accesskit::{Action, ActionRequest, NodeId, Role, TreeId},
};
use plugin_api::tokens;
use pulse::{
    compositor::{Scene, Surface},
    config::{Config, Options},
    failure::Failure,
    federation::{Entry, Federation, Status, loader},
    theme,
};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// How long a test waits for an event before it gives up. Only a failing test ever waits as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The remotes' libraries, as cargo built them. Copy them; never load or change these files.
pub(crate) struct Libraries {
    /// The analytics remote.
    pub(crate) analytics: PathBuf,
    /// The remote that misbehaves on command, written with the SDK.
    pub(crate) fixtures: PathBuf,
    /// The remote that is written over the bare contract.
    pub(crate) bare: PathBuf,
}

/// Builds the libraries, once per process.
pub(crate) fn libraries() -> &'static Libraries {
    static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        let built = build();
        let find = |name: &str| {
            let library = built.get(name).cloned();
            library.unwrap_or_else(|| panic!("cargo built no library `{name}`; it built {:?}", built.keys()))
        };
        Libraries {
            analytics: find("pulse_analytics"),
            fixtures: find("pulse_fixtures"),
            bare: find("pulse_fixtures_bare"),
        }
    })
}

/// Every dynamic library of the workspace by the name of its target.
fn build() -> BTreeMap<String, PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace with development dependencies, which an example brings in: the features are then
    // those that this test was built with, and the toolkit is not compiled a second time.
    cargo.args(["build", "--workspace", "--lib", "--example", "standalone"]);
    cargo.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // What cargo told this test about its package would make build scripts that watch it run again.
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&key);
        }
    }
    cargo.current_dir(workspace()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "cargo builds the libraries; it says why above");
    let mut libraries = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let library =
            files.map(Path::new).find(|file| file.to_string_lossy().ends_with(env::consts::DLL_SUFFIX));
        if let (Some(library), Some(name)) = (library, message["target"]["name"].as_str()) {
            libraries.insert(name.replace('-', "_"), library.to_owned());
        }
    }
    libraries
}

/// The workspace's root.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// Manifest of a library, as JSON to be edited.
pub(crate) fn manifest_of(library: &Path) -> Value {
    let manifest = loader::inspect(library).expect("a library that the test run built has a manifest");
    serde_json::to_value(manifest).expect("a manifest is JSON")
}

/// File name of the library with this base name.
pub(crate) fn library_file(base: &str) -> String {
    format!("{}{base}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// A folder with `host.json`, manifests, libraries and the data of a shell; removed at the end.
///
/// ```text
/// host.json
/// NAME.json       manifests of remotes
/// libNAME.so      their libraries
/// data/  config/  plugins/
/// ```
pub(crate) struct Installation {
    folder: Arc<tempfile::TempDir>,
    host: Value,
}

impl Installation {
    /// A shell without remotes.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pulse-test-").tempdir().expect("a temporary folder");
        let host = json!({
            "manifestVersion": 1,
            "name": "pulse",
            "remotes": {},
            "shared": {
                "shared-store":
                    { "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true, "eager": true },
            },
            // Said here, so that the user's own configuration is not asked.
            "auth": { "provider": "local" },
        });
        let installation = Self { folder: Arc::new(folder), host };
        installation.write_host();
        installation
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder; returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file in the folder")).expect("folders can be made");
        fs::write(&path, content).expect("files can be written");
        path
    }

    /// Copies a library into the folder, under its own name; returns the copy's path.
    pub(crate) fn copy(&self, library: &Path) -> PathBuf {
        let copy = self.folder.path().join(library.file_name().expect("a library is a file"));
        fs::copy(library, &copy).expect("libraries can be copied");
        copy
    }

    /// Installs `library` with the manifest that is in it; returns the alias, which is the remote's name.
    pub(crate) fn add(&mut self, library: &Path) -> String {
        self.add_with(library, |_| ())
    }

    /// Installs `library` with its manifest as `edit` leaves it; returns the alias.
    pub(crate) fn add_with(&mut self, library: &Path, edit: impl FnOnce(&mut Value)) -> String {
        let mut manifest = manifest_of(library);
        let alias = manifest["name"].as_str().expect("a manifest has a name").to_owned();
        edit(&mut manifest);
        self.copy(library);
        self.write(&format!("{alias}.json"), manifest.to_string());
        self.configure(&alias, &format!("{alias}@{alias}.json"));
        alias
    }

    /// Lists a remote in `host.json`, as `NAME@LOCATION`.
    pub(crate) fn configure(&mut self, alias: &str, reference: &str) {
        self.edit_host(|host| host["remotes"][alias] = reference.into());
    }

    /// Changes `host.json`.
    pub(crate) fn edit_host(&mut self, edit: impl FnOnce(&mut Value)) {
        edit(&mut self.host);
        self.write_host();
    }

    fn write_host(&self) {
        self.write("host.json", self.host.to_string());
    }

    /// The folder for data of the remote called `name`.
    pub(crate) fn data_of(&self, name: &str) -> PathBuf {
        self.path("data").join("remotes").join(name)
    }

    /// Puts a file into the data folder of the remote called `name`: how fixtures are told what to do.
    pub(crate) fn tell(&self, name: &str, marker: &str) {
        self.write(&format!("data/remotes/{name}/{marker}"), "");
    }

    /// The configuration of a shell that is started from here, and that finds nothing elsewhere.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::load(&Options {
            config: Some(self.path("host.json")),
            plugin_dirs: vec![],
            data_dir: Some(self.path("data")),
        })
        .expect("the host's manifest is good");
        config.config_dir = self.path("config");
        config.plugin_dirs = vec![self.path("plugins")];
        config
    }

    /// Starts a shell without a window.
    pub(crate) fn start(&self) -> Headless {
        Headless::new(self.config(), Arc::clone(&self.folder))
    }
}

/// A shell without a window: a federation, and an egui context in which its surfaces are shown.
pub(crate) struct Headless {
    slots: BTreeMap<(String, String), Slot>,
    pub(crate) federation: Federation,
    wakes: mpsc::Receiver<Instant>,
    ctx: Context,
    started: Instant,
    output: Screen,
    /// Goes after everything that runs from it.
    _folder: Arc<tempfile::TempDir>,
}

/// One slot in the window: as the shell's, it opens its expose when the remote is active.
#[derive(Default)]
struct Slot {
    surface: Option<Surface>,
    refused: Option<Arc<Failure>>,
}

/// What the last frame of the window showed and asked for.
#[derive(Default)]
pub(crate) struct Screen {
    /// Labels and values of the accessibility tree, with the node that they are of.
    nodes: Vec<(NodeId, Role, String)>,
    /// Everything that any frame asked of the platform.
    pub(crate) commands: Vec<egui::OutputCommand>,
    /// Meshes of remotes that were painted in the last frame.
    pub(crate) meshes: usize,
}

const WINDOW: Vec2 = Vec2::new(1200.0, 800.0);

impl Headless {
    fn new(config: Config, folder: Arc<tempfile::TempDir>) -> Self {
        log();
        let (sender, wakes) = mpsc::channel();
        let sender = Mutex::new(sender);
        let wake = Arc::new(move |delay: Duration| {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
            // A test that has ended listens no more. A day is as good as for ever.
            let _ = sender.send(Instant::now() + delay.min(Duration::from_secs(86_400)));
        });
        let ctx = Context::default();
        ctx.enable_accesskit();
        ctx.set_request_repaint_callback({
            let wake = Arc::clone(&wake);
            move |info| wake(info.delay)
        });
        let federation = Federation::start(config, theme::fonts(), wake);
        theme::install_fonts(&ctx);
        let started = Instant::now();
        Self {
            slots: BTreeMap::new(),
            federation,
            wakes,
            ctx,
            started,
            output: Screen::default(),
            _folder: folder,
        }
    }

    /// Shows an expose from now on, beside what is shown already.
    pub(crate) fn show(&mut self, alias: &str, expose: &str) {
        self.slots.insert((alias.to_owned(), expose.to_owned()), Slot::default());
    }

    /// The surface that shows an expose, once it is open.
    pub(crate) fn surface(&self, alias: &str, expose: &str) -> Option<&Surface> {
        self.slots.get(&(alias.to_owned(), expose.to_owned()))?.surface.as_ref()
    }

    /// The entry of a remote.
    pub(crate) fn entry(&self, alias: &str) -> &Entry {
        &self.federation.entries()[alias]
    }

    /// Why the remote as a whole does not run.
    pub(crate) fn failure(&self, alias: &str) -> Option<Arc<Failure>> {
        match self.entry(alias).status() {
            Status::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// What the slot of an expose shows in place of, or over, its picture.
    pub(crate) fn slot_failure(&self, alias: &str, expose: &str) -> Option<Arc<Failure>> {
        let slot = self.slots.get(&(alias.to_owned(), expose.to_owned()))?;
        let own = || slot.refused.clone().or_else(|| slot.surface.as_ref()?.failure().cloned());
        self.failure(alias).or_else(own)
    }

    /// Whether the remote runs.
    pub(crate) fn is_active(&self, alias: &str) -> bool {
        matches!(self.entry(alias).status(), Status::Active)
    }

    /// Whether a picture of the expose is on the screen.
    pub(crate) fn has_picture(&self, alias: &str, expose: &str) -> bool {
        self.surface(alias, expose).is_some_and(Surface::has_picture)
    }

    /// How many frames the expose has given.
    pub(crate) fn frames(&self, alias: &str, expose: &str) -> u64 {
        self.surface(alias, expose).map_or(0, |surface| surface.counts().0)
    }

    /// What the last frame of the window showed.
    pub(crate) fn screen(&self) -> &Screen {
        &self.output
    }

    /// Presses Retry in the slots of a remote: starts it anew if it does not run, and opens its exposes again.
    pub(crate) fn retry(&mut self, alias: &str) {
        let whole = !self.is_active(alias) || self.entry(alias).is_outdated();
        for (_, slot) in self.slots.iter_mut().filter(|((of, _), _)| of == alias) {
            *slot = Slot::default();
        }
        if whole {
            self.federation.retry(alias);
        }
    }

    /// Runs the shell until `until` holds, from one wake-up to the next.
    ///
    /// # Panics
    /// After [`PATIENCE`], with `what` and the state of everything.
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
                assert!(now < give_up, "waited in vain until {what}; {}", self.describe());
                let wait = due.unwrap_or(give_up).min(give_up).saturating_duration_since(now);
                match self.wakes.recv_timeout(wait) {
                    Ok(at) => due = Some(due.map_or(at, |d| d.min(at))),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => panic!("nobody will wake the shell: {what}"),
                }
                if due.is_some_and(|at| at <= Instant::now()) {
                    break;
                }
            }
            // One frame answers every wake-up that has come by now.
            let later = self.wakes.try_iter().filter(|at| *at > Instant::now()).min();
            due = later;
        }
    }

    /// One frame of the window with these events; returns what was shown.
    pub(crate) fn frame(&mut self, events: Vec<Event>) -> &Screen {
        self.federation.poll();
        if let Some(store) = self.federation.store() {
            store.deliver();
        }
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, WINDOW)),
            time: Some(self.started.elapsed().as_secs_f64()),
            max_texture_side: Some(4096),
            focused: true,
            events,
            ..RawInput::default()
        };
        let ctx = self.ctx.clone();
        let mut output = ctx.run_ui(input, |ui| {
            let scene = Scene { tokens: tokens::LIGHT, deadline: Instant::now() };
            let width = WINDOW.x / self.slots.len().max(1) as f32;
            for (at, ((alias, expose), slot)) in self.slots.iter_mut().enumerate() {
                let left = Pos2::new(at as f32 * width, 0.0);
                let area = Rect::from_min_size(left, Vec2::new(width, WINDOW.y));
                let ui = &mut ui.new_child(UiBuilder::new().max_rect(area).id_salt((alias, expose)));
                slot.ui(ui, &scene, &mut self.federation, alias, expose);
            }
        });
        self.note(&mut output);
        &self.output
    }

    fn note(&mut self, output: &mut FullOutput) {
        // Nobody paints, so nobody takes the textures.
        output.textures_delta.clear();
        self.output.commands.append(&mut output.platform_output.commands);
        self.output.meshes =
            output.shapes.iter().filter(|clipped| matches!(clipped.shape, egui::Shape::Mesh(_))).count();
        if let Some(update) = output.platform_output.accesskit_update.take() {
            let text = |node: &egui::accesskit::Node| {
                [node.label(), node.value()].into_iter().flatten().collect::<Vec<_>>().join(": ")
            };
            self.output.nodes = update.nodes.iter().map(|(id, node)| (*id, node.role(), text(node))).collect();
        }
    }

    /// Presses the control that is labelled so, as a screen reader would.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn press(&mut self, label: &str) {
        let found = self.output.nodes.iter().find(|(_, role, text)| text == label && *role == Role::Button);
        let target_node = found.unwrap_or_else(|| panic!("no button `{label}`; {}", self.describe())).0;
        let request =
            ActionRequest { action: Action::Click, target_tree: TreeId::ROOT, target_node, data: None };
        self.frame(vec![Event::AccessKitActionRequest(request)]);
    }

    /// Everything that a failing test wants to know.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for (alias, entry) in self.federation.entries() {
            let status = match entry.status() {
                Status::Ready => "ready".to_owned(),
                Status::Starting => "starting".to_owned(),
                Status::Active => "active".to_owned(),
                Status::Failed(failure) => format!("failed while {}: {failure}", failure.stage),
            };
            text.push_str(&format!("\n  remote {alias}: {status}"));
        }
        for (alias, expose) in self.slots.keys() {
            let failure = self.slot_failure(alias, expose).map(|f| f.to_string());
            let picture = self.has_picture(alias, expose);
            text.push_str(&format!("\n  slot {alias} {expose}: picture: {picture}, failure: {failure:?}"));
        }
        text.push_str(&format!("\n  on the screen: {:?}", self.output.texts().collect::<Vec<_>>()));
        text
    }
}

impl Screen {
    /// Every text that assistive technology is told.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|(_, _, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// Whether a text is on the screen that contains `part`.
    pub(crate) fn says(&self, part: &str) -> bool {
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
        if self.surface.as_ref().is_some_and(Surface::is_gone) {
            self.surface = None;
            ui.ctx().request_repaint();
        }
        if let Some(surface) = &mut self.surface {
            surface.ui(ui, scene);
        }
    }
}

/// One line of the log: its level, its message and its fields, as `key=value`.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: tracing::Level,
    pub(crate) text: String,
}

/// Everything that was logged in this process so far. Tests run side by side: look for what only yours says.
pub(crate) fn log() -> Vec<Line> {
    static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());
    static INSTALLED: OnceLock<()> = OnceLock::new();

    struct Collect;
    impl<S: tracing::Subscriber> Layer<S> for Collect {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            if !event.metadata().target().starts_with("pulse") {
                return;
            }
            let mut text = Text(String::new());
            event.record(&mut text);
            let line = Line { level: *event.metadata().level(), text: text.0 };
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    struct Text(String);
    impl Visit for Text {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.push_str(&format!("{field}={value} "));
        }

        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    INSTALLED.get_or_init(|| tracing_subscriber::registry().with(Collect).init());
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
