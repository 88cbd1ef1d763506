//! The channel from a trial to its guard, separate from everything that the library writes.
//!
//! The trial gets it as its standard input, takes a copy that no process of the library inherits, and announces a
//! random word *before* the library is loaded. Every later line begins with that word. Text that the library writes
//! to the inherited descriptor lacks it, and ends the trial.
//!
//! Code in the same process can read all of its memory, and so find the word: until trials run in a sandbox, this
//! keeps out everything short of an attack on Pulse in particular.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    sync::mpsc::SyncSender,
};

use negotiation::text;

use super::Event;
use crate::{failure::Failure, limits};

/// The longest line that is read; [`bounded`] keeps an event far below it.
pub(super) const LONGEST_LINE: u64 = 1 << 20;

/// All that a trial may send, which is several thousand exposes.
const MOST_BYTES: u64 = 16 << 20;

/// The trial's end of the channel.
pub(crate) struct Channel {
    out: File,
    word: String,
}

impl Channel {
    /// Takes the channel from standard input and announces its word. Call it before any foreign code runs.
    ///
    /// # Errors
    /// Fails as the system does.
    pub(crate) fn open() -> io::Result<Self> {
        #[cfg(unix)]
        let own = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?;
        #[cfg(windows)]
        let own = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned()?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let word = random.iter().fold(String::new(), |mut word, byte| {
            // Writing to a string cannot fail.
            let _ = write!(word, "{byte:02x}");
            word
        });
        let mut channel = Self { out: own.into(), word };
        channel.write(&format!("{}\n", channel.word))?;
        Ok(channel)
    }

    /// Sends an event.
    ///
    /// # Errors
    /// Fails once the guard is gone.
    pub(crate) fn send(&mut self, event: Event) -> io::Result<()> {
        let line = serde_json::to_string(&bounded(event))?;
        self.write(&format!("{}{line}\n", self.word))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())
    }
}

/// Cuts and neutralises everything of an event that comes from a remote.
pub(super) fn bounded(event: Event) -> Event {
    let cut = |failure: Failure| Failure {
        stage: failure.stage,
        code: failure.code,
        summary: text::lines(&failure.summary, limits::MESSAGE),
        advice: text::lines(&failure.advice, limits::MESSAGE),
        details: text::lines(&failure.details, limits::DETAILS),
    };
    let name = |stage: String| text::line(&stage, 200);
    match event {
        Event::Begin { stage, provider } => Event::Begin { stage: name(stage), provider },
        Event::End { stage, microseconds } => Event::End { stage: name(stage), microseconds },
        Event::Unopened(failure) => Event::Unopened(cut(failure)),
        Event::Refused(failure) => Event::Refused(cut(failure)),
        Event::Taken => Event::Taken,
    }
}

/// A message on the channel.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// By the trial.
    Event(Event),
    /// By the library: without the word, too long, or too much in all.
    Strange,
}

/// Reads the channel until its end, or until something that the trial did not write.
pub(super) fn listen(channel: impl Read, said: &SyncSender<Said>) {
    let mut channel = BufReader::new(channel.take(MOST_BYTES));
    let Ok(Some(word)) = line(&mut channel) else { return };
    while let Ok(Some(line)) = line(&mut channel) {
        let event = line.strip_prefix(&*word).and_then(|event| serde_json::from_slice(event).ok());
        let end = event.is_none();
        if said.send(event.map_or(Said::Strange, Said::Event)).is_err() || end {
            return;
        }
    }
    if channel.get_ref().limit() == 0 {
        // The guard is gone, or is about to hear it.
        let _ = said.send(Said::Strange);
    }
}

/// Reads a line without its end; `None` at the end of the input. A line that is cut off by either limit is as long
/// as that.
pub(super) fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::failure::{FailureCode, Stage};

    fn heard(text: &[u8]) -> Vec<Said> {
        let (sender, said) = mpsc::sync_channel(100);
        listen(text, &sender);
        said.try_iter().collect()
    }

    #[test]
    fn lines_need_the_word() {
        let taken = Said::Event(Event::Taken);
        assert_eq!(heard(b"w\nw{\"preflight\":\"taken\"}\n"), [taken]);
        assert_eq!(heard(b"w\n{\"preflight\":\"taken\"}\nw{\"preflight\":\"taken\"}\n"), [Said::Strange]);
        assert_eq!(heard(b"w\nv{\"preflight\":\"taken\"}\n"), [Said::Strange]);
        assert_eq!(heard(b"w\nw{\"preflight\":\"shaken\"}\n"), [Said::Strange]);
        assert_eq!(heard(b"w\n\n"), [Said::Strange]);
        assert_eq!(heard(b""), []);
    }

    #[test]
    fn floods_are_cut_off() {
        let line = b"w{\"preflight\":\"end\",\"stage\":\"x\",\"microseconds\":1}\n";
        let (sender, said) = mpsc::sync_channel(10);
        let counts = std::thread::spawn(move || {
            let last = said.iter().last();
            last.expect("there is a last one")
        });
        listen(b"w\n".chain(io::repeat(0).take(0)).chain(Repeat(line, 0)), &sender);
        drop(sender);
        assert_eq!(counts.join().expect("it counts"), Said::Strange);
        assert_eq!(heard(&[b"w\nw".as_slice(), &vec![b'x'; 3 << 20]].concat()), [Said::Strange]);
    }

    /// The same bytes for ever.
    struct Repeat(&'static [u8], usize);

    impl Read for Repeat {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            for byte in &mut *buffer {
                *byte = self.0[self.1 % self.0.len()];
                self.1 += 1;
            }
            Ok(buffer.len())
        }
    }

    #[test]
    fn huge_failures_fit_into_a_line() {
        let text = "\u{1b}[31m\0".repeat(1 << 20);
        let failure = Failure::new(Stage::Frame, FailureCode::of(&text), &text, &text).with_details(text);
        let line = serde_json::to_string(&bounded(Event::Refused(failure))).expect("it is JSON");
        assert!((line.len() as u64) < LONGEST_LINE / 2, "{}", line.len());
        assert!(!line.contains("\\u001b"), "it is neutralised");
    }
}
