//! What runs in the process of a preflight: a federation without a window, in which a library is loaded, each expose
//! draws a frame, and everything is closed again.

use std::{
    collections::BTreeMap,
    env,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use egui::{Pos2, RawInput, Rect, Vec2};
use negotiation::manifest::RemoteRef;
use plugin_api::tokens;

use crate::{
    catalogue::Code,
    compositor::{Scene, Surface},
    config::{Config, Options},
    data::private::{self, Places},
    failure::{Failure, Stage},
    federation::{Federation, Remote, Status},
    fonts,
    library::{copy_name, read_manifest},
    limits,
    preflight::{Channel, Event, Subject, failure as failures, isolate},
};

/// The size of each surface: that of a slot in a usual window.
const SLOT: Vec2 = Vec2::new(960.0, 640.0);

/// The remote's state is polled at least this often; mostly its thread wakes the trial.
const LOOK: Duration = Duration::from_micros(500);

/// The time that surfaces and remotes have to end, within the trial's limit. What takes longer is no fault: the shell
/// would not wait for it either.
const CLOSE: Duration = Duration::from_millis(250);

/// Tries `subject` as the process of the trial. Returns the exit code; anything but 0 refuses the library.
pub(crate) fn main(subject: &Subject) -> u8 {
    isolate();
    let mut channel = match Channel::open() {
        Ok(channel) => channel,
        Err(error) => {
            // The guard passes this on.
            eprintln!("the trial has no channel to its guard: {error}");
            return 1;
        }
    };
    let verdict = run(subject, &mut |event| {
        if channel.send(event).is_err() {
            #[expect(clippy::disallowed_methods, reason = "the guard is gone; foreign code may not return")]
            process::exit(1);
        }
    });
    let (verdict, code) = verdict.map_or_else(|failure| (Event::Refused(failure), 1), |()| (Event::Taken, 0));
    u8::from(channel.send(verdict).is_err()) | code
}

/// Tries `subject` in this process, and reports each stage to `say`, without the verdict.
///
/// # Errors
/// Why it is not to be loaded, in the stage in which it shows.
pub(crate) fn run(subject: &Subject, say: &mut dyn FnMut(Event)) -> Result<(), Failure> {
    let unavailable = |why: &dyn std::fmt::Display| {
        failures::unavailable("there is no folder for its data", why, &subject.name)
    };
    // It stays: threads of the library may be at work in it until the process has ended. The process that has started
    // this one removes it, or the next Pulse.
    let mut folder = ManuallyDrop::new(Places::of_user(None).first().map_err(|e| unavailable(&e))?);
    let (config, aliases) = configure(subject, folder.tree("data").map_err(|e| unavailable(&e))?)?;
    // A trial's own copies are made in the folder that its guard names; a debugger sees them as they are.
    let copies = env::var_os(private::VARIABLE).and_then(|folder| PathBuf::from(folder).canonicalize().ok());
    let rename = |text: &str| {
        let Some(copies) = &copies else { return text.to_owned() };
        copy_name::replace(text, copies, |stem| {
            let path = aliases.paths.iter().find(|(alias, _)| copy_name::stem(alias) == stem)?.1;
            Some(path.to_string_lossy().into_owned())
        })
    };
    let rename = |failure: Failure| Failure {
        summary: rename(&failure.summary),
        advice: rename(&failure.advice),
        details: rename(&failure.details),
        ..failure
    };
    let mut say = |event| match event {
        Event::Unopened(failure) => say(Event::Unopened(rename(failure))),
        event => say(event),
    };
    let running = Running::start(config, &aliases, subject, &mut say);
    running.and_then(Running::run).map_err(rename)
}

/// The remotes of a trial, with the files that messages name.
struct Aliases<'a> {
    tried: String,
    paths: BTreeMap<String, &'a Path>,
}

/// Returns the host's configuration with the remotes of `subject` in place of its own.
fn configure(subject: &Subject, data_dir: PathBuf) -> Result<(Config, Aliases<'_>), Failure> {
    let options = Options { config: subject.host.clone(), data_dir: Some(data_dir), ..Options::default() };
    let config = if subject.host.is_some() { Config::load(&options) } else { Config::folders(&options) };
    let mut config = config.map_err(|e| Failure::of(Stage::Discover, &e))?;
    let configured = std::mem::take(&mut config.host.remotes);
    // Grants go by the alias.
    let place = |path: &Path| -> Result<(String, RemoteRef), Failure> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = read_manifest(&path)?.manifest.name;
        let alias = configured.iter().find(|(_, reference)| reference.name == name);
        let alias = alias.map_or_else(|| name.clone(), |(alias, _)| alias.clone());
        Ok((alias, RemoteRef { name, location: path.to_string_lossy().into_owned() }))
    };
    let mut paths = BTreeMap::new();
    for path in &subject.with {
        let (alias, reference) = place(path)?;
        config.host.remotes.insert(alias.clone(), reference);
        paths.insert(alias, &**path);
    }
    let (tried, reference) = place(&subject.library)?;
    config.host.remotes.insert(tried.clone(), reference);
    paths.insert(tried.clone(), &*subject.name);
    config.plugin_dirs.clone_from(&subject.plugin_dirs);
    // A trial tries no other library, and looks at what there is now.
    config.preflight = None;
    config.watch = false;
    Ok((config, Aliases { tried, paths }))
}

/// Returns true for an error of the author's own: no user is signed in during a trial, and there is no data.
fn may_open_later(failure: &Failure) -> bool {
    failure.stage == Stage::Open && failure.code != Code::NewPanicked && failure.code != Code::ExposeUnknown
}

/// A federation on trial. It is never dropped: that would unload libraries and wait.
struct Running<'a> {
    federation: ManuallyDrop<Federation>,
    alias: &'a str,
    wakes: mpsc::Receiver<()>,
    ctx: egui::Context,
    started: Instant,
    say: &'a mut dyn FnMut(Event),
}

impl<'a> Running<'a> {
    /// Loads the providers, and then the library.
    fn start(
        config: Config,
        aliases: &'a Aliases<'_>,
        subject: &Subject,
        say: &'a mut dyn FnMut(Event),
    ) -> Result<Self, Failure> {
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
        let ctx = egui::Context::default();
        // The trial draws no text of its own.
        ctx.set_fonts(egui::FontDefinitions::empty());
        ctx.enable_accesskit();
        let alias = &*aliases.tried;
        // Before any foreign code: the plan's providers load at once.
        say(Event::Begin { stage: "load".to_owned(), provider: None });
        let started = Instant::now();
        let federation = ManuallyDrop::new(Federation::start(config, fonts::all(), wake));
        let mut running = Self { federation, alias, wakes, ctx, started, say };
        let alone = !running.start_providers(subject)?;
        running.federation.want(alias);
        let began = if alone { started } else { running.begin("load") };
        running.wait(|running| {
            running.federation.poll();
            running.finished("load") > 0
        })?;
        running.end("load".to_owned(), began);
        Ok(running)
    }

    /// Waits for the remotes whose shared crates the library is to get. Returns true if there are any.
    fn start_providers(&mut self, subject: &Subject) -> Result<bool, Failure> {
        let names = self.federation.negotiator().plan().bootstrap();
        let starts =
            |entry: &Remote| names.iter().any(|name| entry.manifest().is_some_and(|m| m.name == **name));
        if self.entry().is_some_and(starts) {
            // It is a provider itself and loads at the same time, so a failure of the process could be anyone's.
            return Ok(false);
        }
        let providers: Vec<String> = self
            .federation
            .remotes()
            .iter()
            .filter(|(_, e)| starts(e))
            .map(|(alias, _)| alias.clone())
            .collect();
        for alias in &providers {
            let stage = format!("provider {alias}");
            (self.say)(Event::Begin { stage: stage.clone(), provider: Some(alias.clone()) });
            let began = Instant::now();
            loop {
                self.federation.poll();
                match self.federation.remotes().get(alias).map(Remote::status) {
                    Some(Status::Failed(failure)) => {
                        return Err(failures::provider(alias, failure, &subject.name));
                    }
                    Some(Status::Active) | None => break,
                    // Woken or not, it is looked at again.
                    Some(_) => drop(self.wakes.recv_timeout(LOOK)),
                }
            }
            self.end(stage, began);
        }
        Ok(!providers.is_empty())
    }

    fn run(mut self) -> Result<(), Failure> {
        let began = self.begin("init");
        self.wait(|running| {
            running.federation.poll();
            running.entry().is_some_and(|entry| matches!(entry.status(), Status::Active))
        })?;
        self.end("init".to_owned(), began);
        let exposes: Vec<String> =
            self.entry().into_iter().flat_map(Remote::exposes).map(|(name, _)| name.to_owned()).collect();
        let mut surfaces = ManuallyDrop::new(Vec::new());
        for (number, expose) in exposes.iter().enumerate() {
            let (new, frame) = (format!("new {expose}"), format!("frame {expose}"));
            let began = self.begin(&new);
            let surface = self.federation.open(self.alias, expose);
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
            let failure = surface.failure().map(|failure| Failure::clone(failure));
            // Closed at the end, as in a window.
            surfaces.push(surface);
            match failure {
                None => self.end(frame, began),
                Some(failure) if may_open_later(&failure) => (self.say)(Event::Unopened(failure)),
                Some(failure) => return Err(failure),
            }
        }
        let began = self.begin("close");
        drop(ManuallyDrop::into_inner(surfaces));
        self.federation.close(CLOSE);
        self.end("close".to_owned(), began);
        Ok(())
    }

    fn entry(&self) -> Option<&Remote> {
        self.federation.remotes().get(self.alias)
    }

    /// How many calls of this kind have come to an end.
    fn finished(&self, kind: &str) -> usize {
        self.entry().map_or(0, |entry| entry.times().iter().filter(|(stage, _)| *stage == kind).count())
    }

    fn begin(&mut self, stage: &str) -> Instant {
        (self.say)(Event::Begin { stage: stage.to_owned(), provider: None });
        Instant::now()
    }

    fn end(&mut self, stage: String, began: Instant) {
        (self.say)(Event::End { stage, microseconds: began.elapsed().as_micros() as u64 });
    }

    /// Waits until `done`, or until the remote fails as a whole.
    fn wait(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), Failure> {
        loop {
            if let Some(Status::Failed(failure)) = self.entry().map(Remote::status) {
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
