//! The guard of a trial: a process of Pulse without foreign code between the shell and the library.
//!
//! It starts the trial, reads what comes out of it within fixed limits, decides, and ends everything that the trial
//! has started, wherever that has gone. The shell holds the guard's standard input open as long as it wants the
//! result; a shell that crashes so ends its trials too.

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
    Event, Preflight, Role, Subject,
    channel::{self, Said},
    failure::{self, At},
    processes,
};
use crate::{failure::Failure, spawn::spawn};

/// The period in which the end of the trial, the deadline and the shell's wish are looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The time for which the channel is read after the trial's end, where a process that has escaped holds it open.
const DRAIN: Duration = Duration::from_millis(500);

/// Messages of the trial that wait to be handled; then the trial waits.
const QUEUE: usize = 64;

/// Bytes kept of what the trial writes to its outputs: the last.
const LAST_WORDS: usize = 4096;

/// Tries `subject` as the guard: events go to standard output, one in a line. Returns the exit code.
pub(crate) fn main(subject: &Subject, limit: Duration) -> u8 {
    processes::adopt();
    let preflight = Preflight { limit, ..Preflight::default() };
    let guard = Guard { program: &preflight.program, subject, limit, sweep: processes::sweep };
    // A shell that is gone has closed standard input as well, which ends the trial.
    let hear = &mut |event: &Event| drop(tell(event));
    let verdict = guard.watch(io::stdin(), hear).map_or_else(Event::Refused, |()| Event::Taken);
    u8::from(tell(&verdict).is_err())
}

fn tell(event: &Event) -> io::Result<()> {
    let line = serde_json::to_string(event)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

pub(super) struct Guard<'a> {
    /// The executable of the trial.
    pub(super) program: &'a Path,
    pub(super) subject: &'a Subject,
    /// The time that the trial may take in all.
    pub(super) limit: Duration,
    /// Ends the trial's orphans.
    pub(super) sweep: fn(),
}

/// The status of a process that has ended; `None` where the system has not kept it.
type Ended = Option<ExitStatus>;

impl Guard<'_> {
    /// Runs the trial to its end. `hear` gets all events but the verdict. No process of the trial is left.
    ///
    /// # Errors
    /// Why the library is not to be loaded.
    pub(super) fn watch(
        &self,
        lifeline: impl Read + Send + 'static,
        hear: &mut dyn FnMut(&Event),
    ) -> Result<(), Failure> {
        let started = self.start(lifeline);
        let mut trial =
            started.map_err(|e| failure::unavailable("its process does not start", &e, &self.subject.name))?;
        let verdict = self.follow(&mut trial, hear);
        processes::end(&mut trial.child);
        (self.sweep)();
        let last_words = trial.last_words();
        // The trial's own refusal is complete.
        verdict.map_err(|(failure, own)| if own { failure } else { failure.with_details(last_words) })
    }

    fn start(&self, lifeline: impl Read + Send + 'static) -> io::Result<Trial> {
        let (channel, to_guard) = io::pipe()?;
        let (outputs, output) = io::pipe()?;
        let mut command = Command::new(self.program);
        command.args(self.subject.arguments(Role::Trial, self.limit));
        command.stdin(to_guard).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn()?;
        // The guard's own ends of what the trial writes to are closed with this.
        drop(command);
        let (sender, said) = mpsc::sync_channel(QUEUE);
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let called_off = Arc::new(AtomicBool::new(false));
        let (kept, closed) = (Arc::clone(&last_words), Arc::clone(&called_off));
        let mut trial = Trial { child, said, called_off, last_words, keeps: None };
        let what = "follow the trial";
        let threads = [
            spawn("preflight:channel", what, move || channel::listen(channel, &sender)),
            spawn("preflight:outputs", what, move || keep(outputs, &kept)),
            spawn("preflight:lifeline", what, move || {
                let mut lifeline = lifeline;
                // Nothing is sent: this waits for the other end to be closed.
                let _ = io::copy(&mut lifeline, &mut io::sink());
                closed.store(true, Ordering::Release);
            }),
        ];
        for (number, thread) in threads.into_iter().enumerate() {
            match thread {
                Ok(thread) if number == 1 => trial.keeps = Some(thread),
                Ok(_) => {}
                Err(error) => {
                    processes::end(&mut trial.child);
                    return Err(error.into());
                }
            }
        }
        Ok(trial)
    }

    /// Follows the trial until the verdict is clear. The flag marks a failure that is the trial's own word.
    fn follow(&self, trial: &mut Trial, hear: &mut dyn FnMut(&Event)) -> Result<(), (Failure, bool)> {
        let (name, started) = (&self.subject.name, Instant::now());
        let (mut at, mut taken): (Option<At>, bool) = (None, false);
        let mut ended: Option<(Ended, Instant)> = None;
        loop {
            let said = trial.said.recv_timeout(LOOK);
            let all_said = matches!(said, Err(RecvTimeoutError::Disconnected));
            match said {
                Ok(Said::Event(_)) if taken => return Err((failure::forged(at.as_ref(), name), false)),
                Ok(Said::Event(Event::Refused(failure))) => return Err((failure, true)),
                Ok(Said::Event(Event::Taken)) => {
                    // What is left is to exit, which runs code of the library again.
                    taken = true;
                    at = Some(At { stage: "exit".to_owned(), provider: None });
                }
                Ok(Said::Event(event)) => {
                    if let Event::Begin { stage, provider } = &event {
                        at = Some(At { stage: stage.clone(), provider: provider.clone() });
                    }
                    hear(&event);
                }
                Ok(Said::Strange) => return Err((failure::forged(at.as_ref(), name), false)),
                Err(_) if all_said && ended.is_none() => thread::sleep(LOOK),
                Err(_) => {}
            }
            if let Some((status, since)) = ended {
                if all_said || since.elapsed() > DRAIN {
                    return match status {
                        Some(status) if status.success() && taken => Ok(()),
                        _ => Err((failure::ended(status, at.as_ref(), name), false)),
                    };
                }
            } else if trial.called_off.load(Ordering::Acquire) {
                return Err((failure::cancelled(name), false));
            } else if let Some(status) = trial.poll() {
                // Processes of the library hold the channel open.
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
    said: mpsc::Receiver<Said>,
    called_off: Arc<AtomicBool>,
    last_words: Arc<Mutex<VecDeque<u8>>>,
    /// Ends when no process can write to the trial's outputs any more.
    keeps: Option<thread::JoinHandle<()>>,
}

impl Trial {
    /// Returns the status once the process has ended.
    fn poll(&mut self) -> Option<Ended> {
        match self.child.try_wait() {
            Ok(status) => status.map(Some),
            // It is no child any more, so it has ended.
            Err(_) => Some(None),
        }
    }

    /// Returns the last that the trial has written; it has ended.
    fn last_words(self) -> String {
        let give_up = Instant::now() + LOOK * 10;
        while self.keeps.as_ref().is_some_and(|keeps| !keeps.is_finished()) && Instant::now() < give_up {
            thread::sleep(LOOK / 10);
        }
        let words: Vec<u8> = self.last_words.lock().iter().copied().collect();
        negotiation::text::lines(String::from_utf8_lossy(&words).trim(), LAST_WORDS)
    }
}

fn keep(mut outputs: impl Read, last: &Mutex<VecDeque<u8>>) {
    let mut part = vec![0; 1 << 16];
    while let Ok(read @ 1..) = outputs.read(&mut part) {
        let new = &part[read.saturating_sub(LAST_WORDS)..read];
        let mut last = last.lock();
        last.extend(new);
        let surplus = last.len().saturating_sub(LAST_WORDS);
        last.drain(..surplus);
    }
}

#[cfg(all(test, unix))]
mod tests;
