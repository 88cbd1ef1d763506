//! Program of a trial's process: a federation without a window loads the library, draws a frame of each expose and
//! closes everything again.

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
    compositor::{HostedSurface, Scene},
    config::{Config, Options},
    data::private::{self, Places},
    failure::{Failure, Stage},
    federation::{Federation, ManagedRemote, Status},
    fonts,
    library::{copy_name, read_manifest},
    limits,
    preflight::{Channel, Subject, TrialEvent, failure as failures, isolate},
};

/// Size of each surface: that of a slot in a typical window.
const SLOT: Vec2 = Vec2::new(960.0, 640.0);

/// Longest period between polls of the remote's state; mostly its thread wakes the trial.
const POLL: Duration = Duration::from_micros(500);

/// Time that surfaces and remotes have to end, within the trial's limit. Taking longer is no fault, because the shell
/// would not wait either.
const CLOSE: Duration = Duration::from_millis(250);

/// Tries `subject` as the process of the trial. Returns the exit code; anything but 0 refuses the library.
pub(crate) fn main(subject: &Subject) -> u8 {
    isolate();
    let mut channel = match Channel::open() {
        Ok(channel) => channel,
        Err(error) => {
            // The guard forwards this.
            crate::log::note(format_args!("the trial has no channel to its guard: {error}"));
            return 1;
        }
    };
    let verdict = run(subject, &mut |event| {
        if channel.send(event).is_err() {
            #[expect(clippy::disallowed_methods, reason = "the guard is gone; untrusted code may not return")]
            process::exit(1);
        }
    });
    let (verdict, code) =
        verdict.map_or_else(|failure| (TrialEvent::Refused(failure), 1), |()| (TrialEvent::Accepted, 0));
    u8::from(channel.send(verdict).is_err()) | code
}

/// Tries `subject` in this process, and passes each stage to `on_event`, but not the verdict.
///
/// # Errors
/// Returns the reason to refuse the library, with the stage in which it shows.
pub(crate) fn run(subject: &Subject, on_event: &mut dyn FnMut(TrialEvent)) -> Result<(), Failure> {
    let unavailable = |why: &dyn std::fmt::Display| {
        failures::unavailable("there is no folder for its data", why, &subject.name)
    };
    // The folder stays, because threads of the library may use it until the process has ended. The parent process or
    // the next run of Pulse removes it.
    let mut folder = ManuallyDrop::new(Places::of_user(None).first().map_err(|e| unavailable(&e))?);
    let (config, aliases) = configure(subject, folder.tree("data").map_err(|e| unavailable(&e))?)?;
    // The trial's own copies are in the folder that its guard names; under a debugger they keep their names.
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
    let mut on_event = |event| match event {
        TrialEvent::Unopened(failure) => on_event(TrialEvent::Unopened(rename(failure))),
        event => on_event(event),
    };
    let running = Running::start(config, &aliases, subject, &mut on_event);
    running.and_then(Running::run).map_err(rename)
}

/// Aliases of a trial's remotes, with the files that messages name.
struct Aliases<'a> {
    tried: String,
    paths: BTreeMap<String, &'a Path>,
}

/// Returns the host's configuration with the remotes of `subject` instead of its own.
fn configure(subject: &Subject, data_dir: PathBuf) -> Result<(Config, Aliases<'_>), Failure> {
    let options = Options { config: subject.host.clone(), data_dir: Some(data_dir), ..Options::default() };
    let config = if subject.host.is_some() { Config::load(&options) } else { Config::folders(&options) };
    let mut config = config.map_err(|e| Failure::from_error(Stage::Discover, &e))?;
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
    // A trial starts no further trial, and uses the files as they are now.
    config.preflight = None;
    config.watch = false;
    Ok((config, Aliases { tried, paths }))
}

/// Returns `true` for an error that the author's code returned: no user is signed in during a trial, and there is no
/// data.
fn may_open_later(failure: &Failure) -> bool {
    failure.stage == Stage::Open && failure.code != Code::NewPanicked && failure.code != Code::ExposeUnknown
}

/// A federation under trial. It is never dropped, which would unload libraries and wait.
struct Running<'a> {
    federation: ManuallyDrop<Federation>,
    alias: &'a str,
    wakes: mpsc::Receiver<()>,
    ctx: egui::Context,
    started: Instant,
    on_event: &'a mut dyn FnMut(TrialEvent),
}

impl<'a> Running<'a> {
    /// Loads the providers, then the library.
    fn start(
        config: Config,
        aliases: &'a Aliases<'_>,
        subject: &Subject,
        on_event: &'a mut dyn FnMut(TrialEvent),
    ) -> Result<Self, Failure> {
        let (sender, wakes) = mpsc::channel();
        let sender = Mutex::new(sender);
        let wake = Arc::new(move |delay: Duration| {
            // A later wake-up is not part of the trial.
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
        // Before any untrusted code: the plan's providers load at once.
        on_event(TrialEvent::Begin { stage: "load".to_owned(), provider: None });
        let started = Instant::now();
        let federation = ManuallyDrop::new(Federation::start(config, fonts::all(), wake));
        let mut running = Self { federation, alias, wakes, ctx, started, on_event };
        let alone = !running.start_providers(subject)?;
        running.federation.want(alias);
        let start = if alone { started } else { running.begin("load") };
        running.wait(|running| {
            running.federation.poll();
            running.finished("load") > 0
        })?;
        running.end("load".to_owned(), start);
        Ok(running)
    }

    /// Waits for the remotes that provide shared crates to the library. Returns `true` if there are any.
    fn start_providers(&mut self, subject: &Subject) -> Result<bool, Failure> {
        let names = self.federation.negotiator().plan().bootstrap();
        let starts =
            |entry: &ManagedRemote| names.iter().any(|name| entry.manifest().is_some_and(|m| m.name == **name));
        if self.entry().is_some_and(starts) {
            // The library is a provider itself and loads at the same time, so a crash could be caused by any of them.
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
            (self.on_event)(TrialEvent::Begin { stage: stage.clone(), provider: Some(alias.clone()) });
            let start = Instant::now();
            loop {
                self.federation.poll();
                match self.federation.remotes().get(alias).map(ManagedRemote::status) {
                    Some(Status::Failed(failure)) => {
                        return Err(failures::provider(alias, failure, &subject.name));
                    }
                    Some(Status::Active) | None => break,
                    // Polled again in either case.
                    Some(_) => drop(self.wakes.recv_timeout(POLL)),
                }
            }
            self.end(stage, start);
        }
        Ok(!providers.is_empty())
    }

    fn run(mut self) -> Result<(), Failure> {
        let start = self.begin("init");
        self.wait(|running| {
            running.federation.poll();
            running.entry().is_some_and(|entry| matches!(entry.status(), Status::Active))
        })?;
        self.end("init".to_owned(), start);
        let exposes: Vec<String> = self
            .entry()
            .into_iter()
            .flat_map(ManagedRemote::exposes)
            .map(|(name, _)| name.to_owned())
            .collect();
        let mut surfaces = ManuallyDrop::new(Vec::new());
        for (number, expose) in exposes.iter().enumerate() {
            let (new, frame) = (format!("new {expose}"), format!("frame {expose}"));
            let start = self.begin(&new);
            let surface = self.federation.open(self.alias, expose);
            let Some(mut surface) = surface.transpose().map_err(|failure| Failure::clone(&failure))? else {
                continue;
            };
            self.wait(|running| running.finished("open") > number)?;
            self.end(new, start);
            let start = self.begin(&frame);
            self.wait(|running| {
                running.show(&mut surface);
                surface.has_picture() || surface.failure().is_some()
            })?;
            let failure = surface.failure().map(|failure| Failure::clone(failure));
            // Closed at the end, as in a window.
            surfaces.push(surface);
            match failure {
                None => self.end(frame, start),
                Some(failure) if may_open_later(&failure) => (self.on_event)(TrialEvent::Unopened(failure)),
                Some(failure) => return Err(failure),
            }
        }
        let start = self.begin("close");
        drop(ManuallyDrop::into_inner(surfaces));
        self.federation.close(CLOSE);
        self.end("close".to_owned(), start);
        Ok(())
    }

    fn entry(&self) -> Option<&ManagedRemote> {
        self.federation.remotes().get(self.alias)
    }

    /// Counts the finished calls of this kind.
    fn finished(&self, kind: &str) -> usize {
        self.entry().map_or(0, |entry| entry.times().iter().filter(|(stage, _)| *stage == kind).count())
    }

    fn begin(&mut self, stage: &str) -> Instant {
        (self.on_event)(TrialEvent::Begin { stage: stage.to_owned(), provider: None });
        Instant::now()
    }

    fn end(&mut self, stage: String, start: Instant) {
        (self.on_event)(TrialEvent::End { stage, microseconds: start.elapsed().as_micros() as u64 });
    }

    /// Waits until `done` returns `true`, or the remote fails as a whole.
    fn wait(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), Failure> {
        loop {
            if let Some(Status::Failed(failure)) = self.entry().map(ManagedRemote::status) {
                return Err(Failure::clone(&failure));
            }
            if done(self) {
                return Ok(());
            }
            // Polled again in either case.
            let _ = self.wakes.recv_timeout(POLL);
        }
    }

    /// Runs one frame of an invisible window.
    fn show(&mut self, surface: &mut HostedSurface) {
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
        // Nothing is painted, so nothing frees the textures.
        output.textures_delta.clear();
    }
}
