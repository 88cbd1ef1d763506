//! Channel from a trial to its guard, separate from all output of the library.
//!
//! The trial gets the channel as its standard input, duplicates it to a descriptor that no child process inherits,
//! and sends a random word *before* the library is loaded. Every later line begins with that word. Text that the
//! library writes to the inherited descriptor lacks it, and ends the trial.
//!
//! Code in the same process can read all of its memory, and so find the word: as long as trials run without a
//! sandbox, this stops everything except an attack on Pulse in particular.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    sync::mpsc::SyncSender,
};

use negotiation::text;

use super::TrialEvent;
use crate::{failure::Failure, limits};

/// Longest line that is read, in bytes; [`bounded`] keeps an event far below it.
pub(super) const LONGEST_LINE: u64 = 1 << 20;

/// Bytes that a trial may send in all, enough for several thousand exposes.
const MOST_BYTES: u64 = 16 << 20;

/// Trial's end of the channel.
pub(crate) struct Channel {
    out: File,
    word: String,
}

impl Channel {
    /// Takes the channel from standard input and announces its word. Call it before any untrusted code runs.
    ///
    /// # Errors
    /// Returns the errors of the system.
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
    pub(crate) fn send(&mut self, event: TrialEvent) -> io::Result<()> {
        let line = serde_json::to_string(&bounded(event))?;
        self.write(&format!("{}{line}\n", self.word))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())
    }
}

/// Cuts and neutralises everything of an event that comes from a remote.
pub(super) fn bounded(event: TrialEvent) -> TrialEvent {
    let cut = |failure: Failure| Failure {
        stage: failure.stage,
        code: failure.code,
        summary: text::lines(&failure.summary, limits::MESSAGE),
        advice: text::lines(&failure.advice, limits::MESSAGE),
        details: text::lines(&failure.details, limits::DETAILS),
    };
    let name = |stage: String| text::line(&stage, 200);
    match event {
        TrialEvent::Begin { stage, provider } => TrialEvent::Begin { stage: name(stage), provider },
        TrialEvent::End { stage, microseconds } => TrialEvent::End { stage: name(stage), microseconds },
        TrialEvent::Unopened(failure) => TrialEvent::Unopened(cut(failure)),
        TrialEvent::Refused(failure) => TrialEvent::Refused(cut(failure)),
        TrialEvent::Accepted => TrialEvent::Accepted,
    }
}

/// Message on the channel.
#[derive(Debug, PartialEq)]
pub(super) enum ChannelMessage {
    /// Event of the trial.
    Event(TrialEvent),
    /// Text without the word, too long, or too much in all: the library wrote it.
    Untrusted,
}

/// Reads the channel until its end, or until a message that the trial did not write.
pub(super) fn listen(channel: impl Read, messages: &SyncSender<ChannelMessage>) {
    let mut channel = BufReader::new(channel.take(MOST_BYTES));
    let Ok(Some(word)) = line(&mut channel) else { return };
    while let Ok(Some(line)) = line(&mut channel) {
        let event = line.strip_prefix(&*word).and_then(|event| serde_json::from_slice(event).ok());
        let end = event.is_none();
        if messages.send(event.map_or(ChannelMessage::Untrusted, ChannelMessage::Event)).is_err() || end {
            return;
        }
    }
    if channel.get_ref().limit() == 0 {
        // The guard is gone, or is about to read it.
        let _ = messages.send(ChannelMessage::Untrusted);
    }
}

/// Reads a line without its line break; returns `None` at the end of the input. A line beyond either limit is cut off
/// there.
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

    fn received(text: &[u8]) -> Vec<ChannelMessage> {
        let (sender, messages) = mpsc::sync_channel(100);
        listen(text, &sender);
        messages.try_iter().collect()
    }

    #[test]
    fn lines_without_word_are_untrusted() {
        let taken = ChannelMessage::Event(TrialEvent::Accepted);
        assert_eq!(received(b"w\nw{\"preflight\":\"taken\"}\n"), [taken]);
        assert_eq!(
            received(b"w\n{\"preflight\":\"taken\"}\nw{\"preflight\":\"taken\"}\n"),
            [ChannelMessage::Untrusted]
        );
        assert_eq!(received(b"w\nv{\"preflight\":\"taken\"}\n"), [ChannelMessage::Untrusted]);
        assert_eq!(received(b"w\nw{\"preflight\":\"shaken\"}\n"), [ChannelMessage::Untrusted]);
        assert_eq!(received(b"w\n\n"), [ChannelMessage::Untrusted]);
        assert_eq!(received(b""), []);
    }

    #[test]
    fn floods_are_cut_off() {
        let line = b"w{\"preflight\":\"end\",\"stage\":\"x\",\"microseconds\":1}\n";
        let (sender, messages) = mpsc::sync_channel(10);
        let counts = std::thread::spawn(move || {
            let last = messages.iter().last();
            last.expect("it is not empty")
        });
        listen(b"w\n".chain(io::repeat(0).take(0)).chain(Repeat(line, 0)), &sender);
        drop(sender);
        assert_eq!(counts.join().expect("it counts"), ChannelMessage::Untrusted);
        assert_eq!(received(&[b"w\nw".as_slice(), &vec![b'x'; 3 << 20]].concat()), [ChannelMessage::Untrusted]);
    }

    /// Reader of the same bytes, repeated without end.
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
    fn huge_failures_fit_on_a_line() {
        let text = "\u{1b}[31m\0".repeat(1 << 20);
        let failure = Failure::new(Stage::Frame, FailureCode::parse(&text), &text, &text).with_details(text);
        let line = serde_json::to_string(&bounded(TrialEvent::Refused(failure))).expect("it is JSON");
        assert!((line.len() as u64) < LONGEST_LINE / 2, "{}", line.len());
        assert!(!line.contains("\\u001b"), "it is neutralised");
    }
}
