//! A library tried in a process of its own, before the shell loads it.
//!
//! ```text
//! shell ── Preflight::check ──▶ guard (Pulse, no foreign code) ──▶ trial (Pulse, loads the library)
//!       ◀── events, verdict ──        ◀── channel with a word of its own ──
//! ```
//!
//! The trial reports each stage as it begins and ends. A library that takes its process with it is refused with the
//! stage that was at work. The guard believes nothing that the library could have written without effort: see
//! `channel`. A library is taken when the trial's last message is its verdict *and* its process then exits with status 0.
//!
//! All processes work in a temporary folder, with the environment that `environment` leaves. The guard ends whatever
//! the library has started, and the folder is removed. A trial is no sandbox: the code has the user's rights.

use std::{
    env,
    ffi::OsString,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{data::private::Places, failure::Failure, library::copy_name, spawn::spawn};

mod channel;
mod environment;
pub(crate) mod failure;
pub(crate) mod guard;
mod processes;

pub(crate) use channel::Channel;
pub(crate) use processes::isolate;

/// The time that a trial may take by default.
pub const LIMIT: Duration = Duration::from_secs(5);

/// The time that a guard has for its own work beyond its trial's limit, and for an end on request.
const GRACE: Duration = Duration::from_secs(3);

/// The period in which cancellation is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Events that wait to be handled; then the guard waits.
const QUEUE: usize = 64;

/// Bytes kept of what a guard writes that is no event.
const LAST_WORDS: usize = 4096;

/// How libraries are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The executable that is started: Pulse itself.
    pub program: PathBuf,
    /// How long a trial may take in all.
    pub limit: Duration,
}

impl Default for Preflight {
    /// This program, for up to [`LIMIT`].
    fn default() -> Self {
        // The link is good also when a build has replaced the file that this program was started from.
        let this = Path::new("/proc/self/exe");
        let program = if this.exists() { this.to_owned() } else { env::current_exe().unwrap_or_default() };
        Self { program, limit: LIMIT }
    }
}

/// A library to try, and what takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The library, or its manifest.
    pub library: PathBuf,
    /// The path that messages name: the library's own where [`library`](Self::library) is a private copy.
    pub name: PathBuf,
    /// Libraries or manifests of remotes whose copies of shared crates it may use.
    pub with: Vec<PathBuf>,
    /// The host's manifest, of which everything counts but the remotes; `None` for the one that is built in.
    pub host: Option<PathBuf>,
    /// Folders to look for libraries in.
    pub plugin_dirs: Vec<PathBuf>,
}

/// The part of a process in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    Guard,
    Trial,
}

impl Subject {
    /// A library that is tried where it is, alone.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        let library = library.into();
        Self { name: library.clone(), library, ..Self::default() }
    }

    /// The command line of a process with this `role`.
    fn arguments(&self, role: Role, limit: Duration) -> Vec<OsString> {
        // The process works in another folder.
        let whole =
            |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
        let role = if role == Role::Guard { "guard" } else { "trial" };
        let mut arguments: Vec<OsString> = ["preflight", "--role", role].map(Into::into).into();
        let millis = limit.as_millis().to_string();
        arguments.extend(["--limit".into(), millis.into(), "--name".into(), self.name.clone().into()]);
        for path in &self.with {
            arguments.extend(["--with".into(), whole(path)]);
        }
        for path in &self.plugin_dirs {
            arguments.extend(["--plugin-dir".into(), whole(path)]);
        }
        if let Some(host) = &self.host {
            arguments.extend(["--config".into(), whole(host)]);
        }
        arguments.extend(["--".into(), whole(&self.library)]);
        arguments
    }

    /// Replaces the paths of private copies in `text`: of this library, and of copies that its trial made in `folder`.
    fn relocate(&self, text: &str, folder: &Path) -> String {
        let name = self.name.to_string_lossy();
        let text = text.replace(&*self.library.to_string_lossy(), &name);
        // With others, each copy has been renamed by the trial, which knows whose it is.
        if self.with.is_empty() { copy_name::replace(&text, folder, |_| Some(name.to_string())) } else { text }
    }
}

/// A trial that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each stage and how long it took, in the order in which they happened.
    pub stages: Vec<(String, Duration)>,
    /// Exposes that returned an error in place of a surface.
    ///
    /// No user is signed in during a trial and there is no data, so that is no reason to refuse the library.
    pub unopened: Vec<Failure>,
    /// From the start of the process until it had ended.
    pub whole: Duration,
}

/// An event of a trial, as JSON in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "preflight", rename_all = "lowercase")]
pub enum Event {
    /// A stage begins.
    Begin {
        /// Its name, with the expose that it is about.
        stage: String,
        /// The other remote that is at work, and not yet the library.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
    },
    /// A stage has come to its end.
    End {
        /// Its name.
        stage: String,
        /// How long it took.
        microseconds: u64,
    },
    /// An expose returned an error in place of a surface.
    Unopened(Failure),
    /// The library is not to be loaded; nothing follows.
    Refused(Failure),
    /// All went well; nothing follows.
    Taken,
}

impl Preflight {
    /// Tries `subject` in a process of its own, and passes each event to `hear`. Waits; not for the window's thread.
    ///
    /// `cancel` ends the trial early. No process is left behind.
    ///
    /// # Errors
    /// What the library failed with, or how its process ended.
    pub fn check(
        &self,
        subject: &Subject,
        cancel: &AtomicBool,
        hear: &mut dyn FnMut(&Event),
    ) -> Result<Report, Failure> {
        let started = Instant::now();
        let unavailable = |what: &str, error: &std::io::Error| failure::unavailable(what, error, &subject.name);
        let no_folder =
            |why: &dyn std::fmt::Display| failure::unavailable("it has no folder", why, &subject.name);
        // Removed at the end, with all that is in it.
        let mut folder = Places::of_user(None).first().map_err(|e| no_folder(&e))?;
        let path = folder.tree("trial").map_err(|e| no_folder(&e))?;
        // Messages name it as the system does.
        let path = path.canonicalize().unwrap_or(path);
        let guard = self.start(subject, &path);
        let mut guard = guard.map_err(|e| unavailable("its process does not start", &e))?;
        let mut report = Report { stages: Vec::new(), unopened: Vec::new(), whole: Duration::ZERO };
        let mut deadline = started + self.limit + GRACE;
        let verdict = loop {
            match guard.lines.recv_timeout(LOOK) {
                Ok(line) => {
                    let Ok(event) = serde_json::from_slice(&line) else {
                        guard.write_down(&line);
                        continue;
                    };
                    let event = relocated(event, subject, &path);
                    hear(&event);
                    match event {
                        Event::Begin { .. } => {}
                        Event::End { stage, microseconds } => {
                            report.stages.push((stage, Duration::from_micros(microseconds)));
                        }
                        Event::Unopened(failure) => report.unopened.push(failure),
                        Event::Refused(failure) => break Err(failure),
                        Event::Taken => break Ok(()),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break Err(lost(&mut guard, subject)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if guard.lifeline_held() && cancel.load(Ordering::Relaxed) {
                guard.call_off();
                deadline = Instant::now() + GRACE;
            }
            if Instant::now() > deadline {
                break Err(failure::hung(None, started.elapsed(), self.limit, &subject.name));
            }
        };
        guard.end();
        report.whole = started.elapsed();
        verdict.map(|()| report)
    }

    fn start(&self, subject: &Subject, folder: &Path) -> std::io::Result<GuardProcess> {
        let (reader, writer) = std::io::pipe()?;
        let mut command = Command::new(&self.program);
        command.args(subject.arguments(Role::Guard, self.limit));
        command.env_clear().envs(environment::of_trial(folder)?).current_dir(folder);
        #[cfg(unix)]
        {
            // A key at the terminal ends the shell's command, and that the guard.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        #[cfg(windows)]
        {
            // No console window flashes up.
            std::os::windows::process::CommandExt::creation_flags(&mut command, 0x0800_0000);
        }
        command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        // The shell's own ends of what the guard writes to are closed with this.
        drop(command);
        let (sender, lines) = mpsc::sync_channel(QUEUE);
        let guard = GuardProcess { child, lines, words: Vec::new() };
        match spawn("preflight:guard", "follow a trial", move || read(reader, &sender)) {
            Ok(_) => Ok(guard),
            Err(error) => {
                guard.end();
                Err(error.into())
            }
        }
    }
}

/// The failure of a trial whose guard ended without a verdict.
fn lost(guard: &mut GuardProcess, subject: &Subject) -> Failure {
    let status = guard.child.wait().ok();
    let words = String::from_utf8_lossy(&guard.words);
    failure::ended(status, None, &subject.name).with_details(negotiation::text::lines(words.trim(), LAST_WORDS))
}

fn relocated(event: Event, subject: &Subject, folder: &Path) -> Event {
    let relocated = |failure: Failure| Failure {
        summary: subject.relocate(&failure.summary, folder),
        advice: subject.relocate(&failure.advice, folder),
        details: subject.relocate(&failure.details, folder),
        ..failure
    };
    match event {
        Event::Unopened(failure) => Event::Unopened(relocated(failure)),
        Event::Refused(failure) => Event::Refused(relocated(failure)),
        other => other,
    }
}

/// The shell's view of a running guard.
struct GuardProcess {
    child: Child,
    /// Ends with the guard.
    lines: mpsc::Receiver<Vec<u8>>,
    words: Vec<u8>,
}

impl GuardProcess {
    fn lifeline_held(&self) -> bool {
        self.child.stdin.is_some()
    }

    /// Asks the guard to end the trial.
    fn call_off(&mut self) {
        drop(self.child.stdin.take());
    }

    fn write_down(&mut self, line: &[u8]) {
        let room = LAST_WORDS.saturating_sub(self.words.len());
        self.words.extend(line.iter().chain(b"\n").take(room));
    }

    /// Waits for the guard's end, and brings it about where that takes too long.
    fn end(mut self) {
        self.call_off();
        let give_up = Instant::now() + GRACE;
        loop {
            match self.lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // With the guard the trial ends, where the system can link them.
                    let _ = self.child.kill();
                    break;
                }
            }
        }
        // Where this process ignores the end of its children, there is no status to take.
        let _ = self.child.wait();
    }
}

fn read(guard: impl Read, lines: &SyncSender<Vec<u8>>) {
    let mut guard = BufReader::new(guard);
    while let Ok(Some(line)) = channel::line(&mut guard)
        && lines.send(line).is_ok()
    {}
}

#[cfg(all(test, unix))]
mod tests;
