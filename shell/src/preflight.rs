//! Trial of a library in a process of its own, before the shell loads it.
//!
//! ```text
//! shell ── Preflight::check ──▶ guard (Pulse, no untrusted code) ──▶ trial (Pulse, loads the library)
//!       ◀── events, verdict ──        ◀── channel with a word of its own ──
//! ```
//!
//! The trial reports the begin and end of each stage. If it crashes or exits, the failure names the last stage that
//! it has begun. The guard ignores everything that the library could have written without effort: see `channel`. A
//! library is accepted if the trial's last message is its verdict *and* its process then exits with status 0.
//!
//! All processes run in a temporary folder, with the environment that `environment` leaves. The guard ends every
//! process that the library has started, and the folder is removed. A trial is no sandbox: the code has the user's
//! rights.

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

/// Default time limit of a trial.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Time that a guard has for its own work beyond its trial's limit, and for ending on request.
const GRACE: Duration = Duration::from_secs(3);

/// Period of the polls for a cancellation.
const POLL: Duration = Duration::from_millis(2);

/// Events that may wait to be handled; beyond that the guard waits.
const QUEUE: usize = 64;

/// Bytes of a guard's first output other than events that are kept.
const OUTPUT: usize = 4096;

/// Settings of trials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// Executable that is started: Pulse itself.
    pub program: PathBuf,
    /// Time limit of a whole trial.
    pub limit: Duration,
}

impl Default for Preflight {
    /// Uses this program and [`LIMIT`].
    fn default() -> Self {
        Self { program: this_program(), limit: LIMIT }
    }
}

/// Returns the path of this program, to start it again.
pub(crate) fn this_program() -> PathBuf {
    // The link is valid even if a build has replaced the file that this program was started from.
    let this = Path::new("/proc/self/exe");
    if this.exists() { this.to_owned() } else { env::current_exe().unwrap_or_default() }
}

/// A library to try, with the other participants of the trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The library, or its manifest.
    pub library: PathBuf,
    /// Path for messages: the library's own if [`library`](Self::library) is a private copy.
    pub name: PathBuf,
    /// Libraries or manifests of the remotes whose copies of shared crates it may use.
    pub with: Vec<PathBuf>,
    /// The host's manifest, used without its remotes; `None` for the built-in manifest.
    pub host: Option<PathBuf>,
    /// Folders to search for libraries.
    pub plugin_dirs: Vec<PathBuf>,
}

/// Role of a process in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    Guard,
    Trial,
}

impl Subject {
    /// Makes the subject of a library that is tried in its place, alone.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        let library = library.into();
        Self { name: library.clone(), library, ..Self::default() }
    }

    /// Returns the command line of a process with this `role`.
    fn arguments(&self, role: Role, limit: Duration) -> Vec<OsString> {
        // The process runs in another folder.
        let absolute =
            |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
        let role = if role == Role::Guard { "guard" } else { "trial" };
        let mut arguments: Vec<OsString> = ["preflight", "--role", role].map(Into::into).into();
        let millis = limit.as_millis().to_string();
        arguments.extend(["--limit".into(), millis.into(), "--name".into(), self.name.clone().into()]);
        for path in &self.with {
            arguments.extend(["--with".into(), absolute(path)]);
        }
        for path in &self.plugin_dirs {
            arguments.extend(["--plugin-dir".into(), absolute(path)]);
        }
        if let Some(host) = &self.host {
            arguments.extend(["--config".into(), absolute(host)]);
        }
        arguments.extend(["--".into(), absolute(&self.library)]);
        arguments
    }

    /// Replaces the paths of private copies in `text`: of this library, and of copies that its trial made in
    /// `folder`.
    fn relocate(&self, text: &str, folder: &Path) -> String {
        let name = self.name.to_string_lossy();
        let text = text.replace(&*self.library.to_string_lossy(), &name);
        // With other remotes, the trial has renamed each copy already, because it knows their owners.
        if self.with.is_empty() { copy_name::replace(&text, folder, |_| Some(name.to_string())) } else { text }
    }
}

/// Report of a successful trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialReport {
    /// Each stage with its duration, in order.
    pub stages: Vec<(String, Duration)>,
    /// Failures of exposes that returned an error instead of a surface.
    ///
    /// They are no reason to refuse the library, because no user is signed in during a trial and there is no data.
    pub unopened: Vec<Failure>,
    /// Time from the start of the process until its end.
    pub whole: Duration,
}

/// An event of a trial, sent as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "preflight", rename_all = "lowercase")]
pub enum TrialEvent {
    /// A stage begins.
    Begin {
        /// Its name, with the expose's.
        stage: String,
        /// Alias of the provider that is starting, before the library.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
    },
    /// A stage has finished.
    End {
        /// Its name.
        stage: String,
        /// Its duration in microseconds.
        microseconds: u64,
    },
    /// An expose returned an error instead of a surface.
    Unopened(Failure),
    /// The library is refused; nothing follows.
    Refused(Failure),
    /// The library is accepted; nothing follows.
    #[serde(rename = "taken")]
    Accepted,
}

impl Preflight {
    /// Tries `subject` in a process of its own, and passes each event to `on_event`. `[any thread but the window's]`
    ///
    /// `cancel` ends the trial early. No process is left behind.
    ///
    /// # Errors
    /// Returns the failure of the library, or of its process.
    pub fn check(
        &self,
        subject: &Subject,
        cancel: &AtomicBool,
        on_event: &mut dyn FnMut(&TrialEvent),
    ) -> Result<TrialReport, Failure> {
        let started = Instant::now();
        let unavailable = |what: &str, error: &std::io::Error| failure::unavailable(what, error, &subject.name);
        let no_folder =
            |why: &dyn std::fmt::Display| failure::unavailable("it has no folder", why, &subject.name);
        // Removed at the end, with its content.
        let mut folder = Places::of_user(None).first().map_err(|e| no_folder(&e))?;
        let path = folder.tree("trial").map_err(|e| no_folder(&e))?;
        // Messages contain the canonical path.
        let path = path.canonicalize().unwrap_or(path);
        let guard = self.start(subject, &path);
        let mut guard = guard.map_err(|e| unavailable("its process does not start", &e))?;
        let mut report = TrialReport { stages: Vec::new(), unopened: Vec::new(), whole: Duration::ZERO };
        let mut deadline = started + self.limit + GRACE;
        let verdict = loop {
            match guard.lines.recv_timeout(POLL) {
                Ok(line) => {
                    let Ok(event) = serde_json::from_slice(&line) else {
                        guard.record(&line);
                        continue;
                    };
                    let event = relocated(event, subject, &path);
                    on_event(&event);
                    match event {
                        TrialEvent::Begin { .. } => {}
                        TrialEvent::End { stage, microseconds } => {
                            report.stages.push((stage, Duration::from_micros(microseconds)));
                        }
                        TrialEvent::Unopened(failure) => report.unopened.push(failure),
                        TrialEvent::Refused(failure) => break Err(failure),
                        TrialEvent::Accepted => break Ok(()),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break Err(lost(&mut guard, subject)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if guard.lifeline_held() && cancel.load(Ordering::Relaxed) {
                guard.cancel();
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
            // Ctrl+C at the terminal ends the shell's command, and that ends the guard.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        #[cfg(windows)]
        {
            // `CREATE_NO_WINDOW`: no console window flashes up.
            std::os::windows::process::CommandExt::creation_flags(&mut command, 0x0800_0000);
        }
        command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        // This closes the shell's own copies of the guard's ends of the pipe.
        drop(command);
        let (sender, lines) = mpsc::sync_channel(QUEUE);
        let guard = GuardProcess { child, lines, output: Vec::new() };
        match spawn("preflight:guard", "follow a trial", move || read(reader, &sender)) {
            Ok(_) => Ok(guard),
            Err(error) => {
                guard.end();
                Err(error.into())
            }
        }
    }
}

/// Returns the failure of a trial whose guard ended without a verdict.
fn lost(guard: &mut GuardProcess, subject: &Subject) -> Failure {
    let status = guard.child.wait().ok();
    let output = String::from_utf8_lossy(&guard.output);
    failure::ended(status, None, &subject.name).with_details(negotiation::text::lines(output.trim(), OUTPUT))
}

fn relocated(event: TrialEvent, subject: &Subject, folder: &Path) -> TrialEvent {
    let relocated = |failure: Failure| Failure {
        summary: subject.relocate(&failure.summary, folder),
        advice: subject.relocate(&failure.advice, folder),
        details: subject.relocate(&failure.details, folder),
        ..failure
    };
    match event {
        TrialEvent::Unopened(failure) => TrialEvent::Unopened(relocated(failure)),
        TrialEvent::Refused(failure) => TrialEvent::Refused(relocated(failure)),
        other => other,
    }
}

/// A running guard.
struct GuardProcess {
    child: Child,
    /// Lines of its output, until it ends.
    lines: mpsc::Receiver<Vec<u8>>,
    output: Vec<u8>,
}

impl GuardProcess {
    fn lifeline_held(&self) -> bool {
        self.child.stdin.is_some()
    }

    /// Asks the guard to end the trial.
    fn cancel(&mut self) {
        drop(self.child.stdin.take());
    }

    fn record(&mut self, line: &[u8]) {
        let room = OUTPUT.saturating_sub(self.output.len());
        self.output.extend(line.iter().chain(b"\n").take(room));
    }

    /// Waits for the guard to end, and kills it if that takes too long.
    fn end(mut self) {
        self.cancel();
        let give_up = Instant::now() + GRACE;
        loop {
            match self.lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // The trial ends with the guard, if the system can link them.
                    let _ = self.child.kill();
                    break;
                }
            }
        }
        // If this process ignores the end of its children, there is no status to reap.
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
