//! The open spans of this image, and the spans that each thread has entered.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::{
    Event, Metadata,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_core::span::Current;

use crate::limits::{CappedText, MAX_SPANS};

#[derive(Default)]
pub(super) struct Spans(Mutex<State>);

#[derive(Default)]
struct State {
    last: u64,
    open: HashMap<u64, Open>,
    /// The entered spans by thread, the innermost last; only threads inside of a span have an entry.
    entered: HashMap<usize, Vec<u64>>,
}

struct Open {
    metadata: &'static Metadata<'static>,
    /// The spans around this one, as of its creation, and its name.
    path: String,
    /// The span's own fields.
    fields: String,
    handles: usize,
}

/// Identifies the current thread, without a thread-local that has a destructor: by the address of a byte on it.
fn thread() -> usize {
    thread_local! {
        static BYTE: u8 = const { 0 };
    }
    BYTE.with(|byte| std::ptr::from_ref(byte).addr())
}

impl State {
    fn innermost(&self) -> Option<u64> {
        self.entered.get(&thread())?.last().copied()
    }

    /// Formats a span and the spans around it: `outer{a=1}:inner{b=2}`.
    fn path(&self, span: Option<u64>) -> Option<String> {
        let open = self.open.get(&span?)?;
        let mut text = String::with_capacity(open.path.len() + open.fields.len() + 2);
        let mut bounded = CappedText::new(&mut text, MAX_SPANS);
        // An error means that the text is full; an ellipsis in the text marks it.
        let _ = match &*open.fields {
            "" => bounded.write_str(&open.path),
            fields => write!(bounded, "{}{{{fields}}}", open.path),
        };
        Some(text)
    }
}

impl Spans {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = String::new();
        // Outside of the lock: this runs the author's code.
        attributes.record(&mut Pairs(&mut fields));
        let metadata = attributes.metadata();
        let mut state = self.state();
        let around = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => state.innermost(),
            None => None,
        };
        let path = match state.path(around) {
            Some(around) => format!("{around}:{}", metadata.name()),
            None => metadata.name().to_owned(),
        };
        state.last += 1;
        let id = state.last;
        state.open.insert(id, Open { metadata, path, fields, handles: 1 });
        Id::from_u64(id)
    }

    pub(super) fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = String::new();
        values.record(&mut Pairs(&mut fields));
        if let Some(open) = self.state().open.get_mut(&span.into_u64())
            && open.fields.len() < MAX_SPANS
        {
            let comma = if open.fields.is_empty() { "" } else { " " };
            open.fields.extend([comma, &fields]);
        }
    }

    pub(super) fn enter(&self, span: &Id) {
        self.state().entered.entry(thread()).or_default().push(span.into_u64());
    }

    pub(super) fn exit(&self, span: &Id) {
        let mut state = self.state();
        let thread = thread();
        let Some(entered) = state.entered.get_mut(&thread) else { return };
        // The span may not be the innermost: guards may be dropped in any order.
        if let Some(at) = entered.iter().rposition(|id| *id == span.into_u64()) {
            entered.remove(at);
        }
        if entered.is_empty() {
            state.entered.remove(&thread);
        }
    }

    pub(super) fn clone_handle(&self, span: &Id) {
        if let Some(open) = self.state().open.get_mut(&span.into_u64()) {
            open.handles += 1;
        }
    }

    /// Drops a handle, and returns `true` if it was the last and the span is closed.
    pub(super) fn drop_handle(&self, span: &Id) -> bool {
        let mut state = self.state();
        let Some(open) = state.open.get_mut(&span.into_u64()) else { return false };
        open.handles -= 1;
        let closed = open.handles == 0;
        if closed {
            state.open.remove(&span.into_u64());
        }
        closed
    }

    pub(super) fn current(&self) -> Current {
        let state = self.state();
        match state.innermost().and_then(|id| Some((id, state.open.get(&id)?.metadata))) {
            Some((id, metadata)) => Current::new(Id::from_u64(id), metadata),
            None => Current::none(),
        }
    }

    /// Formats the spans around an event; empty without spans.
    pub(super) fn around(&self, event: &Event<'_>) -> String {
        let state = self.state();
        let span = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_contextual() => state.innermost(),
            None => None,
        };
        state.path(span).unwrap_or_default()
    }
}

/// Writes `name=value` pairs with spaces between them.
struct Pairs<'a>(&'a mut String);

impl Visit for Pairs<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let room = MAX_SPANS.saturating_sub(self.0.len());
        // An error means that the text is full; an ellipsis in the text marks it.
        let _ = write!(CappedText::new(self.0, room), "{space}{field}={value:?}");
    }
}
