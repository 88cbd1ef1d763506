//! Guard of a trial: a process of Pulse without untrusted code, between the shell and the library.
//!
//! It starts the trial, reads its output within fixed limits, decides, and ends every process that the trial has
//! started. The shell keeps the guard's standard input open as long as it wants the result, so the trials of a shell
//! that crashes end too.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Preflight, Role, Subject, TrialEvent,
    channel::{self, ChannelMessage},
    failure::{self, At},
    processes,
};
use crate::{failure::Failure, spawn::spawn};

/// Period of the polls for the trial's end, the deadline and a cancellation.
const POLL: Duration = Duration::from_millis(2);

/// Time for which the channel is read after the trial's end, if an escaped process holds it open.
const DRAIN: Duration = Duration::from_millis(500);

/// Messages of the trial that may wait to be handled; beyond that the trial waits.
const QUEUE: usize = 64;

/// Bytes of the trial's last output that are kept.
const LAST_OUTPUT: usize = 4096;

/// Tries `subject` as the guard, and writes one event per line to standard output. Returns the exit code.
pub(crate) fn main(subject: &Subject, limit: Duration) -> u8 {
    processes::adopt();
    let preflight = Preflight { limit, ..Preflight::default() };
    let guard = Guard { program: &preflight.program, subject, limit, sweep: processes::sweep };
    // A failure is ignored: a shell that is gone has closed standard input as well, which ends the trial.
    let on_event = &mut |event: &TrialEvent| drop(emit(event));
    let verdict =
        guard.watch(io::stdin(), on_event).map_or_else(TrialEvent::Refused, |()| TrialEvent::Accepted);
    u8::from(emit(&verdict).is_err())
}

fn emit(event: &TrialEvent) -> io::Result<()> {
    let line = serde_json::to_string(event)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

pub(super) struct Guard<'a> {
    /// Executable of the trial.
    pub(super) program: &'a Path,
    pub(super) subject: &'a Subject,
    /// Time limit of the whole trial.
    pub(super) limit: Duration,
    /// Ends the trial's orphans.
    pub(super) sweep: fn(),
}

/// Status of a process that has ended; `None` if the system has not kept it.
type Ended = Option<ExitStatus>;

impl Guard<'_> {
    /// Runs the trial to its end. `on_event` gets all events but the verdict. No process of the trial is left.
    ///
    /// # Errors
    /// Returns the reason to refuse the library.
    pub(super) fn watch(
        &self,
        lifeline: impl Read + Send + 'static,
        on_event: &mut dyn FnMut(&TrialEvent),
    ) -> Result<(), Failure> {
        let started = self.start(lifeline);
        let mut trial =
            started.map_err(|e| failure::unavailable("its process does not start", &e, &self.subject.name))?;
        let verdict = self.follow(&mut trial, on_event);
        processes::end(&mut trial.child);
        (self.sweep)();
        let last_output = trial.last_output();
        // The trial's own refusal is complete.
        verdict.map_err(|(failure, own)| if own { failure } else { failure.with_details(last_output) })
    }

    fn start(&self, lifeline: impl Read + Send + 'static) -> io::Result<Trial> {
        let (channel, to_guard) = io::pipe()?;
        let (outputs, output) = io::pipe()?;
        let mut command = Command::new(self.program);
        command.args(self.subject.arguments(Role::Trial, self.limit));
        command.stdin(to_guard).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn()?;
        // This closes the guard's own copies of the trial's ends of the pipes.
        drop(command);
        let (sender, messages) = mpsc::sync_channel(QUEUE);
        let last_output = Arc::new(Mutex::new(VecDeque::new()));
        let cancelled = Arc::new(AtomicBool::new(false));
        let (kept, closed) = (Arc::clone(&last_output), Arc::clone(&cancelled));
        let mut trial = Trial { child, messages, cancelled, last_output, reader: None };
        let what = "follow the trial";
        let threads = [
            spawn("preflight:channel", what, move || channel::listen(channel, &sender)),
            spawn("preflight:outputs", what, move || keep_last(outputs, &kept)),
            spawn("preflight:lifeline", what, move || {
                let mut lifeline = lifeline;
                // Nothing is sent; this waits until the shell closes its end.
                let _ = io::copy(&mut lifeline, &mut io::sink());
                closed.store(true, Ordering::Release);
            }),
        ];
        for (number, thread) in threads.into_iter().enumerate() {
            match thread {
                Ok(thread) if number == 1 => trial.reader = Some(thread),
                Ok(_) => {}
                Err(error) => {
                    processes::end(&mut trial.child);
                    return Err(error.into());
                }
            }
        }
        Ok(trial)
    }

    /// Follows the trial until the verdict is clear. The flag marks a refusal by the trial itself.
    fn follow(&self, trial: &mut Trial, on_event: &mut dyn FnMut(&TrialEvent)) -> Result<(), (Failure, bool)> {
        let (name, started) = (&self.subject.name, Instant::now());
        let (mut at, mut taken): (Option<At>, bool) = (None, false);
        let mut ended: Option<(Ended, Instant)> = None;
        loop {
            let message = trial.messages.recv_timeout(POLL);
            let drained = matches!(message, Err(RecvTimeoutError::Disconnected));
            match message {
                Ok(ChannelMessage::Event(_)) if taken => {
                    return Err((failure::forged(at.as_ref(), name), false));
                }
                Ok(ChannelMessage::Event(TrialEvent::Refused(failure))) => return Err((failure, true)),
                Ok(ChannelMessage::Event(TrialEvent::Accepted)) => {
                    // Only the exit is left, which runs code of the library again.
                    taken = true;
                    at = Some(At { stage: "exit".to_owned(), provider: None });
                }
                Ok(ChannelMessage::Event(event)) => {
                    if let TrialEvent::Begin { stage, provider } = &event {
                        at = Some(At { stage: stage.clone(), provider: provider.clone() });
                    }
                    on_event(&event);
                }
                Ok(ChannelMessage::Untrusted) => return Err((failure::forged(at.as_ref(), name), false)),
                Err(_) if drained && ended.is_none() => thread::sleep(POLL),
                Err(_) => {}
            }
            if let Some((status, since)) = ended {
                if drained || since.elapsed() > DRAIN {
                    return match status {
                        Some(status) if status.success() && taken => Ok(()),
                        _ => Err((failure::ended(status, at.as_ref(), name), false)),
                    };
                }
            } else if trial.cancelled.load(Ordering::Acquire) {
                return Err((failure::cancelled(name), false));
            } else if let Some(status) = trial.poll() {
                // Processes of the library may hold the channel open.
                (self.sweep)();
                ended = Some((status, Instant::now()));
            } else if started.elapsed() > self.limit {
                return Err((failure::hung(at.as_ref(), started.elapsed(), self.limit, name), false));
            }
        }
    }
}

/// A running trial.
struct Trial {
    child: Child,
    messages: mpsc::Receiver<ChannelMessage>,
    cancelled: Arc<AtomicBool>,
    last_output: Arc<Mutex<VecDeque<u8>>>,
    /// Thread that ends when no process can write to the trial's outputs any more.
    reader: Option<thread::JoinHandle<()>>,
}

impl Trial {
    /// Returns the status once the process has ended.
    fn poll(&mut self) -> Option<Ended> {
        match self.child.try_wait() {
            Ok(status) => status.map(Some),
            // It is no longer a child, so it has ended.
            Err(_) => Some(None),
        }
    }

    /// Returns the trial's last output, after its end.
    fn last_output(self) -> String {
        let give_up = Instant::now() + POLL * 10;
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < give_up {
            thread::sleep(POLL / 10);
        }
        let bytes: Vec<u8> = self.last_output.lock().iter().copied().collect();
        negotiation::text::lines(String::from_utf8_lossy(&bytes).trim(), LAST_OUTPUT)
    }
}

fn keep_last(mut outputs: impl Read, last: &Mutex<VecDeque<u8>>) {
    let mut part = vec![0; 1 << 16];
    while let Ok(read @ 1..) = outputs.read(&mut part) {
        let new = &part[read.saturating_sub(LAST_OUTPUT)..read];
        let mut last = last.lock();
        last.extend(new);
        let surplus = last.len().saturating_sub(LAST_OUTPUT);
        last.drain(..surplus);
    }
}

#[cfg(all(test, unix))]
mod tests;
