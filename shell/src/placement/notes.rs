//! Queue of a remote's faults for the window's thread.

use std::{collections::VecDeque, sync::Arc};

use super::Note;
use crate::limits;

#[derive(Default)]
pub(super) struct Notes(VecDeque<Note>);

impl Notes {
    /// Adds a note, unless the same one is waiting; at the limit it drops the oldest note that is not fatal.
    pub(super) fn push(&mut self, note: Note) {
        if self.0.iter().any(|known| is_same(known, &note)) {
            return;
        }
        if self.0.len() >= limits::NOTES {
            let at = self.0.iter().position(|note| !note.fatal).unwrap_or(0);
            self.0.remove(at);
        }
        self.0.push_back(note);
    }

    pub(super) fn take(&mut self) -> Vec<Note> {
        self.0.drain(..).collect()
    }
}

fn is_same(one: &Note, other: &Note) -> bool {
    let surface = match (&one.surface, &other.surface) {
        (Some((_, one)), Some((_, other))) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    surface && (&one.failure, one.fatal) == (&other.failure, other.fatal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, FailureCode, Stage};

    fn note(text: &str, fatal: bool) -> Note {
        Note {
            failure: Arc::new(Failure::new(Stage::Open, FailureCode::parse("no-seats"), text, "")),
            fatal,
            surface: None,
        }
    }

    #[test]
    fn notes_are_bounded_and_deduplicated() {
        let mut notes = Notes::default();
        notes.push(note("it ends", true));
        for i in 0..100_000 {
            notes.push(note(&(i / 2).to_string(), false));
        }
        let taken = notes.take();
        assert_eq!(taken.len(), limits::NOTES);
        assert!(taken[0].fatal && !taken[1].fatal, "a fatal note is not dropped");
        assert_eq!(taken[limits::NOTES - 1].failure.summary, "49999");
        assert!(notes.take().is_empty());
    }
}
