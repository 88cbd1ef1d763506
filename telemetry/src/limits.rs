//! The limits of an event's size and rate, which hold on both sides of the boundary.

use std::{borrow::Cow, fmt};

/// Longest text of a value, in bytes.
pub const MAX_VALUE: usize = 16 << 10;

/// Longest name of a remote, target, file, module or field, in bytes.
pub const MAX_NAME: usize = 256;

/// Most fields of an event.
pub const MAX_FIELDS: usize = 64;

/// Most causes below an error.
pub const MAX_CAUSES: usize = 16;

/// Longest text for the spans around an event, names and fields, in bytes.
pub const MAX_SPANS: usize = 1 << 10;

/// Most callsites of all remotes that are distinguished. Each costs a few hundred bytes until the process ends.
pub const MAX_CALLSITES: usize = 4_096;

/// Longest line of a log, in bytes: four values of full length, more than a readable event needs.
pub const MAX_LINE: usize = 64 << 10;

/// Events that a remote may log at once, such as while it starts.
pub const EVENTS: u32 = 1_000;

/// Events that a remote may log in a second, in the long run: more than a user can read, and 200 KiB at most.
pub const EVENTS_PER_SECOND: f64 = 200.0;

/// Size in bytes that counts as another event.
pub const COST: usize = 1 << 10;

/// Most names of remotes with a limit of their own.
pub const MAX_REMOTES: usize = 1_024;

/// The mark of a cut text.
const ELLIPSIS: &str = "…";

/// Cuts `text` to at most `limit` bytes, and appends an ellipsis if it was longer.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text[..text.floor_char_boundary(limit)].to_owned() + ELLIPSIS)
}

/// A writer that appends to a text up to a limit, and returns an error to the formatter beyond it.
pub(crate) struct CappedText<'a> {
    text: &'a mut String,
    room: usize,
    full: bool,
}

impl<'a> CappedText<'a> {
    pub(crate) fn new(text: &'a mut String, limit: usize) -> Self {
        Self { text, room: limit, full: false }
    }
}

impl fmt::Write for CappedText<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if !self.full && part.len() <= self.room {
            self.text.push_str(part);
            self.room -= part.len();
            return Ok(());
        }
        if !std::mem::replace(&mut self.full, true) {
            self.text.push_str(&cut(part, self.room));
        }
        Err(fmt::Error)
    }
}
