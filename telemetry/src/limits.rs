//! How much of an event is kept: what a remote sends is bounded on both sides of the boundary.

use std::{borrow::Cow, fmt};

/// Bytes of a value's text.
pub const MAX_VALUE: usize = 16 << 10;

/// Bytes of a name: of a remote, target, file, module or field.
pub const MAX_NAME: usize = 256;

/// Fields of an event.
pub const MAX_FIELDS: usize = 64;

/// Causes below an error.
pub const MAX_CAUSES: usize = 16;

/// Bytes of the names and fields of the spans around an event.
pub const MAX_SPANS: usize = 1 << 10;

/// Callsites of all remotes that are told apart. Each costs a few hundred bytes until the process ends.
pub const MAX_CALLSITES: usize = 4_096;

/// Bytes of a line of a log: four values of full length, which no event needs that is read by a person.
pub const MAX_LINE: usize = 64 << 10;

/// Events that one remote may log at once, such as while it starts.
pub const EVENTS: u32 = 1_000;

/// Events that one remote may log in a second, in the long run: more than can be read, and 200 KiB at most.
pub const EVENTS_PER_SECOND: f64 = 200.0;

/// Bytes of an event that cost as much as another event.
pub const COST: usize = 1 << 10;

/// Names of remotes that have a limit of their own.
pub const MAX_REMOTES: usize = 1_024;

/// Stands for what was cut.
const ELLIPSIS: &str = "…";

/// At most `limit` bytes of `text`, and an ellipsis when that is not all of it.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text[..text.floor_char_boundary(limit)].to_owned() + ELLIPSIS)
}

/// Appends to a text until `limit` bytes are full, and then ends whoever goes on formatting.
pub(crate) struct Bounded<'a> {
    text: &'a mut String,
    room: usize,
    full: bool,
}

impl<'a> Bounded<'a> {
    pub(crate) fn new(text: &'a mut String, limit: usize) -> Self {
        Self { text, room: limit, full: false }
    }
}

impl fmt::Write for Bounded<'_> {
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
