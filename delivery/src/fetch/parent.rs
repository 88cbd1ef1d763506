//! The handle of a fetching process, in the process that starts it.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use zeroize::Zeroizing;

use super::{FetchEvent, Request, Task};
use crate::error::{DeliveryError, ErrorCode};

/// The longest line of the process, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// The number of events that wait for the caller; afterwards the process waits.
const MAX_EVENTS: usize = 256;
/// The number of bytes that are kept of the end of standard error.
const MAX_LAST_WORDS: usize = 400;

/// The variables that the process keeps, in both cases for proxies.
pub(super) const VARIABLES: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PULSE_SHELL_LOG",
    // Windows opens no socket without it.
    "SystemRoot",
];

/// A fetching process.
///
/// Its last event is [`FetchEvent::Failed`] or the event that ends its task. Dropping the handle ends the process.
/// No call waits for the process, except [`Self::wait_event`].
#[derive(Debug)]
pub struct Fetch {
    events: Receiver<FetchEvent>,
    process: Arc<Mutex<Process>>,
}

#[derive(Debug, Default)]
struct Process {
    child: Option<Child>,
    /// The process ends when this is closed.
    input: Option<ChildStdin>,
    is_cancelled: bool,
}

impl Fetch {
    /// Starts `program fetch` with a request; `wake` is called after each event, on another thread.
    ///
    /// A program that cannot be started is an [`FetchEvent::Failed`].
    ///
    /// # Errors
    /// Fails with `delivery-process-failed` if the system has no thread.
    pub fn start(
        program: &Path,
        request: &Request,
        wake: impl Fn() + Send + 'static,
    ) -> Result<Self, DeliveryError> {
        let mut line = Zeroizing::new(serde_json::to_vec(request).map_err(|error| failed(&error.to_string()))?);
        line.push(b'\n');
        let (send, events) = sync_channel(MAX_EVENTS);
        let process = Arc::default();
        let supervisor = Supervisor {
            program: program.to_owned(),
            line,
            follows: matches!(request.task, Task::Follow),
            process: Arc::clone(&process),
            send,
            wake: Box::new(wake),
        };
        // The thread lives as long as the process: Linux ends a child with the thread that has started it.
        let thread = thread::Builder::new().name("fetch".to_owned()).spawn(move || supervisor.run());
        thread.map_err(|error| failed(&format!("cannot spawn a thread: {error}")))?;
        Ok(Self { events, process })
    }

    /// Returns the events that have arrived.
    pub fn events(&self) -> impl Iterator<Item = FetchEvent> + '_ {
        self.events.try_iter()
    }

    /// Waits for an event; returns `None` after `timeout`, and at once when the last event was returned before.
    pub fn wait_event(&self, timeout: Duration) -> Option<FetchEvent> {
        self.events.recv_timeout(timeout).ok()
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn process_id(&self) -> Option<u32> {
        lock(&self.process).child.as_ref().map(Child::id)
    }

    /// Ends the process; a later download continues where it was.
    pub fn cancel(self) {}
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let mut process = lock(&self.process);
        process.is_cancelled = true;
        if let Some(child) = &mut process.child {
            // It fails if the process has ended. The supervisor collects its status.
            let _ = child.kill();
        }
    }
}

/// The thread that starts a process, reads its lines, and collects its status.
struct Supervisor {
    program: PathBuf,
    line: Zeroizing<Vec<u8>>,
    follows: bool,
    process: Arc<Mutex<Process>>,
    send: SyncSender<FetchEvent>,
    wake: Box<dyn Fn() + Send>,
}

impl Supervisor {
    fn run(mut self) {
        let Err(error) = self.converse() else { return };
        if !lock(&self.process).is_cancelled {
            self.deliver(FetchEvent::Failed(error));
        }
    }

    /// Returns once the last event is delivered, or cannot be any more.
    fn converse(&mut self) -> Result<(), DeliveryError> {
        let (mut input, output, errors) = self.spawn()?;
        let last_words = thread::Builder::new().name("fetch errors".to_owned()).spawn(|| last_words(errors));
        // A process that fails at its start does not read; the end of its output has the reason.
        let _ = input.write_all(&self.line);
        // The request may contain a token.
        self.line = Zeroizing::default();
        lock(&self.process).input = Some(input);
        let read = match &last_words {
            Ok(_) => self.read(output),
            Err(error) => Err(format!("cannot spawn a thread: {error}")),
        };
        self.end();
        let Err(reason) = read else { return Ok(()) };
        let last_words = last_words.ok().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let last_words = last_words.trim();
        Err(failed(&if last_words.is_empty() { reason } else { format!("{reason}: {last_words}") }))
    }

    fn spawn(&self) -> Result<(ChildStdin, ChildStdout, ChildStderr), DeliveryError> {
        let mut command = Command::new(&self.program);
        command.arg("fetch").env_clear();
        command.envs(VARIABLES.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A terminal's Ctrl-C reaches the parent alone, which then decides.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        #[cfg(windows)]
        {
            const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
            const CREATE_NO_WINDOW: u32 = 0x0800_0000;
            std::os::windows::process::CommandExt::creation_flags(
                &mut command,
                CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW,
            );
        }
        let spawned = command.spawn();
        let mut child =
            spawned.map_err(|error| failed(&format!("cannot start {}: {error}", self.program.display())))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut process = lock(&self.process);
        if process.is_cancelled {
            let _ = child.kill();
        }
        process.child = Some(child);
        match pipes {
            (Some(input), Some(output), Some(errors)) => Ok((input, output, errors)),
            _ => Err(failed("it has no pipes")),
        }
    }

    /// Reads events until the last one.
    fn read(&self, output: ChildStdout) -> Result<(), String> {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(0) => return Err("it ended without an answer".to_owned()),
                Ok(_) if line.ends_with(b"\n") => {}
                Ok(_) => return Err("its answer is too long, or was cut".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
            let event: FetchEvent = serde_json::from_slice(&line)
                .map_err(|_| "it answered with something other than an event".to_owned())?;
            let is_last = match event {
                FetchEvent::Failed(_) => true,
                // A process that follows a server reports these for each build.
                FetchEvent::Offered { .. }
                | FetchEvent::Checked { .. }
                | FetchEvent::Fetched(_)
                | FetchEvent::Mirrored { .. } => !self.follows,
                FetchEvent::Waiting
                | FetchEvent::Progress { .. }
                | FetchEvent::Retrying { .. }
                | FetchEvent::Lost { .. } => false,
            };
            if !self.deliver(event) || is_last {
                return Ok(());
            }
        }
    }

    /// Passes an event on; returns `false` if the handle is gone.
    fn deliver(&self, event: FetchEvent) -> bool {
        let sent = match event {
            // A caller that looks rarely needs the newest figures alone.
            FetchEvent::Progress { .. } => {
                !matches!(self.send.try_send(event), Err(std::sync::mpsc::TrySendError::Disconnected(_)))
            }
            event => self.send.send(event).is_ok(),
        };
        if sent {
            (self.wake)();
        }
        sent
    }

    /// Ends the process, which has answered or is faulty, and collects its status.
    fn end(&self) {
        let mut process = lock(&self.process);
        let (child, input) = (process.child.take(), process.input.take());
        drop(process);
        drop(input);
        if let Some(mut child) = child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the end of the process's standard error.
fn last_words(mut errors: ChildStderr) -> String {
    let mut words = Vec::new();
    let mut piece = [0; 1 << 10];
    loop {
        match errors.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => words.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        words.drain(..words.len().saturating_sub(MAX_LAST_WORDS));
    }
    String::from_utf8_lossy(&words).into_owned()
}

fn failed(reason: &str) -> DeliveryError {
    DeliveryError::new(
        ErrorCode::DeliveryProcessFailed,
        format!("the fetching process failed ({reason})"),
        "try again; if it happens again, report this to the maintainers of Pulse",
    )
}

fn lock(process: &Mutex<Process>) -> MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}
