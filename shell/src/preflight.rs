//! A library tried in a process of its own, before it enters this one.
//!
//! The process is Pulse itself, as `pulse preflight --json FILE`: [`trial`] runs there. It says which stage begins and
//! how long it took, line by line; what it was at when it ended is what is told of a library that takes its
//! process with it. Whatever the library writes between the lines is passed over.
//!
//! The process works in a temporary folder that is removed when it has ended, however it has.

use std::{
    collections::VecDeque,
    env, fmt,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Stage},
    private::{self, Places},
};

pub mod trial;

/// How long a trial may take, if nothing else is said.
pub const LIMIT: Duration = Duration::from_secs(5);

/// What the process itself may take longer before it ends by itself, because nobody has ended it.
const GRACE: Duration = Duration::from_secs(1);

/// How often somebody looks whether the process has ended or is to end.
const LOOK: Duration = Duration::from_millis(2);

/// So much of what a failing process wrote is kept.
const LAST_WORDS: usize = 4096;

/// Longer lines are nobody's who knows this protocol.
const LONGEST_LINE: u64 = 1 << 20;

const KEPT: &str = "it was not loaded, and what ran before goes on";

/// What a process has written is read within this time after its end, unless a child of its own can still write.
const DRAIN: Duration = Duration::from_millis(500);

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

/// A trial that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each stage and how long it took, in the order in which they happened.
    pub stages: Vec<(String, Duration)>,
    /// Exposes that returned an error in place of a surface.
    ///
    /// Nobody is signed in during a trial and there is no data, so that is no reason to refuse the library.
    pub unopened: Vec<Failure>,
    /// From the start of the process until it had ended.
    pub whole: Duration,
}

/// What the process says, one in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "preflight", rename_all = "lowercase")]
pub enum Event {
    /// A stage begins.
    Begin {
        /// Its name, with the expose that it is about.
        stage: String,
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
    /// Tries `library` in a process of its own. Waits; not for the window's thread.
    ///
    /// The remotes of the libraries `with` take part as they would in the shell of the manifest `host`. `cancel`
    /// ends the trial early. No process is left behind.
    ///
    /// # Errors
    /// What the library failed with, or how its process ended.
    pub fn check(
        &self,
        library: &Path,
        with: &[PathBuf],
        host: Option<&Path>,
        cancel: &AtomicBool,
    ) -> Result<Report, Failure> {
        let started = Instant::now();
        let unavailable = |what: &str, error: &dyn fmt::Display| {
            let text = format!(
                "the library cannot be tried, because {what} ({error}); make room for a process of Pulse, or set \
                 `preflight` to false in the host's manifest: {}",
                library.display()
            );
            Failure::new(Stage::Preflight, "preflight-unavailable", text)
        };
        let mut folder = Places::of_user(None).first().map_err(|why| {
            let text = format!("the library cannot be tried without a folder; {why}: {}", library.display());
            Failure::new(Stage::Preflight, "preflight-unavailable", text)
        })?;
        let folder = folder.tree("trial").map_err(|e| unavailable("it has no folder", &e))?;
        let child = self.command(library, with, host, &folder).spawn();
        let child = child.map_err(|e| unavailable("its process does not start", &e))?;
        let mut process = Process::new(child).map_err(|e| unavailable("there is no thread to listen", &e))?;
        let mut report = Report { stages: Vec::new(), unopened: Vec::new(), whole: Duration::ZERO };
        let mut at: Option<String> = None;
        let end = loop {
            match process.next(started + self.limit, cancel) {
                Next::Event(Event::Begin { stage }) => at = Some(stage),
                Next::Event(Event::End { stage, microseconds }) => {
                    report.stages.push((stage, Duration::from_micros(microseconds)));
                }
                Next::Event(Event::Unopened(failure)) => report.unopened.push(failure),
                Next::Event(Event::Taken) => break None,
                Next::Event(Event::Refused(failure)) => break Some(failure),
                Next::Ended(end) => break Some(self.failure(&end, at.as_deref(), library, started)),
            }
        };
        let last_words = process.finish();
        let Some(failure) = end else {
            report.whole = started.elapsed();
            return Ok(report);
        };
        Err(if failure.details.is_empty() { failure.with_details(last_words) } else { failure })
    }

    fn command(&self, library: &Path, with: &[PathBuf], host: Option<&Path>, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        let limit = (self.limit + GRACE).as_millis();
        command.args(["preflight", "--json", "--limit"]).arg(limit.to_string());
        for library in with {
            command.arg("--with").arg(library);
        }
        if let Some(host) = host {
            command.arg("--config").arg(host);
        }
        command.arg("--").arg(library);
        // Nobody drives a process without a window.
        command.env_remove("EGUI_INSPECTION");
        // Everything that it leaves behind, even killed, is in there.
        for variable in ["TMPDIR", "TMP", "TEMP", private::VARIABLE] {
            command.env(variable, folder);
        }
        #[cfg(windows)]
        {
            // No console window flashes up.
            std::os::windows::process::CommandExt::creation_flags(&mut command, 0x0800_0000);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// How it ended, as a failure: in the stage `at`, or before anything of the library ran.
    fn failure(&self, end: &End, at: Option<&str>, library: &Path, started: Instant) -> Failure {
        let file = library.display();
        let (code, text) = match (end, at) {
            (End::Cancelled, _) => ("preflight-cancelled", format!("the trial was called off: {file}")),
            (End::Late, at) => return hung(at, started.elapsed(), self.limit, library),
            (End::Exited(status), None) => {
                let text = format!(
                    "the library cannot be tried, because the trial ended before it began ({status}); the details \
                     may say why; install Pulse anew, or set `preflight` to false in the host's manifest: {file}"
                );
                ("preflight-unavailable", text)
            }
            (End::Exited(status), Some(stage)) => {
                let crash = crash(*status);
                let code = if crash.is_some() { "preflight-crashed" } else { "preflight-exited" };
                let how = crash.unwrap_or_else(|| format!("it exited by itself with {status}"));
                let text = format!(
                    "the library took its process with it in `{stage}`: {how}; {KEPT}; tell its author, with the \
                     details: {file}"
                );
                (code, text)
            }
        };
        Failure::new(Stage::Preflight, code, text)
    }
}

/// A library that does not come to an end of the stage `at`, or of what comes before all stages.
pub(crate) fn hung(at: Option<&str>, took: Duration, limit: Duration, library: &Path) -> Failure {
    let stage = at.map_or_else(|| "its start".to_owned(), |at| format!("`{at}`"));
    let text = format!(
        "the library did not come to an end of {stage} and was stopped after {:.1} s, where {:.1} s are allowed for \
         all; {KEPT}; tell its author: {}",
        took.as_secs_f32(),
        limit.as_secs_f32(),
        library.display()
    );
    Failure::new(Stage::Preflight, "preflight-hung", text)
}

/// How a trial ended that did not say so itself.
enum End {
    Exited(ExitStatus),
    Late,
    Cancelled,
}

enum Next {
    Event(Event),
    Ended(End),
}

/// A running trial, which [`finish`](Self::finish) ends.
struct Process {
    child: Child,
    ended: Option<(ExitStatus, Instant)>,
    events: mpsc::Receiver<Event>,
    last_words: Arc<Mutex<VecDeque<u8>>>,
    /// Ends when nobody can write to standard error any more.
    listens: thread::JoinHandle<()>,
}

impl Process {
    fn new(mut child: Child) -> std::io::Result<Self> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (sender, events) = mpsc::channel();
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let listen = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(format!("preflight:{name}")).spawn(work)
        };
        let kept = Arc::clone(&last_words);
        let listens =
            listen("events", Box::new(move || stdout.into_iter().for_each(|o| read_events(o, &sender))))
                .and_then(|_| {
                    listen("words", Box::new(move || stderr.into_iter().for_each(|e| keep(e, &kept))))
                });
        match listens {
            Ok(listens) => Ok(Self { child, ended: None, events, last_words, listens }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    /// What is said or happens next.
    fn next(&mut self, deadline: Instant, cancel: &AtomicBool) -> Next {
        loop {
            if let Some((status, ended)) = self.ended {
                // What it has said by then is heard first.
                let rest = DRAIN.saturating_sub(ended.elapsed());
                let said = self.events.recv_timeout(rest).map(Next::Event);
                return said.unwrap_or(Next::Ended(End::Exited(status)));
            }
            match self.events.recv_timeout(LOOK) {
                Ok(event) => return Next::Event(event),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
            }
            if cancel.load(Ordering::Relaxed) {
                return Next::Ended(End::Cancelled);
            }
            self.ended = self.child.try_wait().ok().flatten().map(|status| (status, Instant::now()));
            if self.ended.is_none() && Instant::now() > deadline {
                return Next::Ended(End::Late);
            }
        }
    }

    /// Ends the process, if it has not ended, and returns the end of what it wrote for people.
    fn finish(mut self) -> String {
        end(&mut self.child);
        // What it wrote is there; but a child of its own may hold the pipe open, and is not waited for.
        let give_up = Instant::now() + LOOK * 10;
        while !self.listens.is_finished() && Instant::now() < give_up {
            thread::sleep(LOOK / 10);
        }
        let words: Vec<u8> = self.last_words.lock().iter().copied().collect();
        String::from_utf8_lossy(&words).trim().to_owned()
    }
}

/// Ends a process and takes its status, so that nothing of it is left.
fn end(child: &mut Child) {
    // One that has ended already cannot be killed.
    let _ = child.kill();
    let _ = child.wait();
}

fn read_events(stdout: impl Read, events: &mpsc::Sender<Event>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match stdout.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if let Ok(event) = serde_json::from_slice(&line)
            && events.send(event).is_err()
        {
            return;
        }
    }
}

fn keep(mut stderr: impl Read, last: &Mutex<VecDeque<u8>>) {
    let mut part = [0; LAST_WORDS];
    while let Ok(read @ 1..) = stderr.read(&mut part) {
        let mut last = last.lock();
        last.extend(&part[..read]);
        let surplus = last.len().saturating_sub(LAST_WORDS);
        last.drain(..surplus);
    }
}

/// What ended a process that did not end by itself.
#[cfg(unix)]
fn crash(status: ExitStatus) -> Option<String> {
    let signal = std::os::unix::process::ExitStatusExt::signal(&status)?;
    let bus = if cfg!(target_os = "linux") { 7 } else { 10 };
    let known = match signal {
        4 => "an illegal instruction (SIGILL)",
        5 => "a trap (SIGTRAP)",
        6 => "it was aborted (SIGABRT)",
        8 => "an arithmetic error (SIGFPE)",
        9 => "it was killed (SIGKILL), perhaps for want of memory",
        11 => "segmentation fault (SIGSEGV)",
        13 => "a closed pipe (SIGPIPE)",
        15 => "it was told to end (SIGTERM)",
        31 => "a forbidden system call (SIGSYS)",
        _ if signal == bus => "bus error (SIGBUS)",
        _ => return Some(format!("signal {signal}")),
    };
    Some(known.to_owned())
}

/// What ended a process that did not end by itself: Windows says so with a status that is an error's number.
#[cfg(not(unix))]
fn crash(status: ExitStatus) -> Option<String> {
    let code = status.code()? as u32;
    let known = match code {
        0xC000_0005 => "access violation",
        0xC000_001D => "an illegal instruction",
        0xC000_00FD => "stack overflow",
        0xC000_0374 => "a damaged heap",
        0xC000_0409 => "it was aborted",
        0x8000_0000.. => "an error of the system",
        _ => return None,
    };
    Some(format!("{known} ({code:#010x})"))
}

#[cfg(all(test, unix))]
mod tests;
