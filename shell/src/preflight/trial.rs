//! A trial itself: one federation without a window, in which a library is loaded and each expose draws a frame.
//!
//! Nothing is unloaded, and no thread is waited for: the process ends when the trial does.

use std::{
    collections::BTreeMap,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use egui::{Pos2, RawInput, Rect, Vec2};
use plugin_api::{manifest::RemoteRef, tokens};

use super::Event;
use crate::{
    compositor::{Scene, Surface},
    config::{Config, Options, read_manifest},
    failure::{Failure, Stage},
    federation::{Entry, Federation, Status},
    limits,
    private::Places,
    theme,
};

/// The size of each surface: that of a slot in a usual window.
const SLOT: Vec2 = Vec2::new(960.0, 640.0);

/// What has ended is noticed after this time at the latest; mostly the remote's thread says so.
const LOOK: Duration = Duration::from_micros(500);

/// What is to be tried, and with whom.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// The library, or its manifest.
    pub library: PathBuf,
    /// Libraries or manifests of remotes whose copies of shared crates it may use.
    pub with: Vec<PathBuf>,
    /// The host's manifest, of which everything counts but the remotes; else the one that the shell would use.
    pub host: Option<PathBuf>,
}

impl Trial {
    /// Tries the library, and says so stage by stage.
    ///
    /// # Errors
    /// Why it is not to be loaded, in the stage in which it shows.
    pub fn run(&self, say: &mut dyn FnMut(Event)) -> Result<(), Failure> {
        let unavailable = |why: &dyn std::fmt::Display| {
            let text = format!("there is no folder for its data; {why}");
            Failure::new(Stage::Preflight, "preflight-unavailable", text)
        };
        // It stays: threads of the library may be at work in it until the process has ended. The process that has
        // started this one removes it, or the next Pulse.
        let mut folder = ManuallyDrop::new(Places::of_user(None).first().map_err(|e| unavailable(&e))?);
        let (config, alias) = self.config(folder.tree("data").map_err(|e| unavailable(&e))?)?;
        Running::start(config, alias, say)?.run()
    }

    /// The host's configuration with these remotes in place of its own; and the alias of the one to be tried.
    fn config(&self, data_dir: PathBuf) -> Result<(Config, String), Failure> {
        let options = Options { config: self.host.clone(), data_dir: Some(data_dir), ..Options::default() };
        let mut config =
            Config::load(&options).map_err(|e| Failure::new(Stage::Discover, e.code(), e.to_string()))?;
        let configured = std::mem::take(&mut config.host.remotes);
        // Grants go by the alias.
        let place = |path: &Path| -> Result<(String, RemoteRef), Failure> {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let name = read_manifest(&path)?.manifest.name;
            let alias = configured.iter().find(|(_, reference)| reference.name == name);
            let alias = alias.map_or_else(|| name.clone(), |(alias, _)| alias.clone());
            Ok((alias, RemoteRef { name, location: path.to_string_lossy().into_owned() }))
        };
        let mut remotes: BTreeMap<_, _> = self.with.iter().map(|path| place(path)).collect::<Result<_, _>>()?;
        let (alias, reference) = place(&self.library)?;
        remotes.insert(alias.clone(), reference);
        config.host.remotes = remotes;
        // A trial tries nobody else, and looks at what there is now.
        config.preflight = None;
        config.watch = false;
        Ok((config, alias))
    }
}

/// A federation on trial. It is never dropped: that would unload and wait.
struct Running<'a> {
    federation: ManuallyDrop<Federation>,
    alias: String,
    wakes: mpsc::Receiver<()>,
    ctx: egui::Context,
    started: Instant,
    say: &'a mut dyn FnMut(Event),
}

impl<'a> Running<'a> {
    /// Begins to load.
    fn start(config: Config, alias: String, say: &'a mut dyn FnMut(Event)) -> Result<Self, Failure> {
        let (sender, wakes) = mpsc::channel();
        let sender = Mutex::new(sender);
        let wake = Arc::new(move |delay: Duration| {
            // What is asked for later is not part of the trial.
            if delay.is_zero()
                && let Ok(sender) = sender.lock()
            {
                let _ = sender.send(());
            }
        });
        say(Event::Begin { stage: "load".to_owned() });
        let ctx = egui::Context::default();
        // Nothing is written beside the surfaces.
        ctx.set_fonts(egui::FontDefinitions::empty());
        ctx.enable_accesskit();
        let started = Instant::now();
        let mut federation = ManuallyDrop::new(Federation::start(config, theme::fonts(), wake));
        federation.want(&alias);
        let mut running = Self { federation, alias, wakes, ctx, started, say };
        running.wait(|running| {
            running.federation.poll();
            running.finished("load") > 0
        })?;
        running.end("load".to_owned(), started);
        Ok(running)
    }

    fn run(mut self) -> Result<(), Failure> {
        let began = self.begin("init");
        self.wait(|running| {
            running.federation.poll();
            running.entry().is_some_and(|entry| matches!(entry.status(), Status::Active))
        })?;
        self.end("init".to_owned(), began);
        let exposes: Vec<String> =
            self.entry().into_iter().flat_map(Entry::exposes).map(|(name, _)| name.to_owned()).collect();
        let mut surfaces = Vec::new();
        for (number, expose) in exposes.iter().enumerate() {
            let (new, frame) = (format!("new {expose}"), format!("frame {expose}"));
            let began = self.begin(&new);
            let surface = self.federation.open(&self.alias, expose);
            let Some(mut surface) = surface.transpose().map_err(|failure| Failure::clone(&failure))? else {
                continue;
            };
            self.wait(|running| running.finished("open") > number)?;
            self.end(new, began);
            let began = self.begin(&frame);
            self.wait(|running| {
                running.show(&mut surface);
                surface.has_picture() || surface.failure().is_some()
            })?;
            match surface.failure() {
                None => self.end(frame, began),
                Some(failure) if failure.stage == Stage::Open && failure.code != "new-panicked" => {
                    (self.say)(Event::Unopened(Failure::clone(failure)));
                }
                Some(failure) => return Err(Failure::clone(failure)),
            }
            // Kept: closing is not part of the trial.
            surfaces.push(ManuallyDrop::new(surface));
        }
        Ok(())
    }

    fn entry(&self) -> Option<&Entry> {
        self.federation.entries().get(&self.alias)
    }

    /// How many calls of this kind have come to an end.
    fn finished(&self, kind: &str) -> usize {
        self.entry().map_or(0, |entry| entry.times().iter().filter(|(stage, _)| *stage == kind).count())
    }

    fn begin(&mut self, stage: &str) -> Instant {
        (self.say)(Event::Begin { stage: stage.to_owned() });
        Instant::now()
    }

    fn end(&mut self, stage: String, began: Instant) {
        (self.say)(Event::End { stage, microseconds: began.elapsed().as_micros() as u64 });
    }

    /// Waits until `done`, or until the remote fails as a whole.
    fn wait(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), Failure> {
        loop {
            if let Some(Status::Failed(failure)) = self.entry().map(Entry::status) {
                return Err(Failure::clone(&failure));
            }
            if done(self) {
                return Ok(());
            }
            // Woken or not, it is looked at again.
            let _ = self.wakes.recv_timeout(LOOK);
        }
    }

    /// One frame of a window that nobody sees.
    fn show(&mut self, surface: &mut Surface) {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, SLOT)),
            time: Some(self.started.elapsed().as_secs_f64()),
            max_texture_side: Some(limits::ATLAS_SIDE as usize),
            focused: true,
            ..RawInput::default()
        };
        let scene = Scene { tokens: tokens::LIGHT, deadline: Instant::now() };
        let mut output = self.ctx.run_ui(input, |ui| {
            surface.ui(ui, &scene);
            surface.finish(ui.ctx(), &scene);
        });
        // Nobody paints, so nobody takes the textures.
        output.textures_delta.clear();
    }
}
