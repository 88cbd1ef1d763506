//! A remote's side: a subscriber that forwards events to the sink that the provider names.
//!
//! It asks the other side's filter for every event, so the filter may change at any time, and formats an event only
//! after the filter has accepted it.
//! `tracing` calls some methods of a subscriber under its own locks; these methods stay in this image.
//! It leaves no thread with a value that has a destructor: a library with such threads cannot be unloaded.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use abi_stable::std_types::{RSlice, RStr};
use tracing::{Event, Level, Metadata, Subscriber, callsite::Identifier, span, subscriber::Interest};
use tracing_core::span::Current;

mod record;
mod spans;

use self::{record::Record, spans::Spans};
use crate::{
    api::{Callsite, HubArc, SinkArc},
    limits::MAX_FIELDS,
};

/// A connection to a hub that can be made and cut. `[thread-safe]`
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<RwLock<Option<Arc<Connection>>>>);

struct Connection {
    hub: HubArc,
    /// The epoch of `sink`.
    sink_epoch: u64,
    sink: SinkArc,
    numbers: RwLock<HashMap<Identifier, u64>>,
}

impl Line {
    pub(crate) fn connect(&self, hub: HubArc) {
        let connection = Arc::new(Connection::new(hub));
        self.set(Some(connection));
    }

    pub(crate) fn cut(&self) {
        self.set(None);
    }

    fn set(&self, connection: Option<Arc<Connection>>) {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *slot, connection);
        drop(slot);
        // Dropped after the lock: another image's code runs here.
        drop(before);
    }

    fn get(&self) -> Option<Arc<Connection>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the connection, renewed if the hub's sink has changed.
    fn connection(&self) -> Option<Arc<Connection>> {
        let connection = self.get()?;
        if connection.hub.epoch() == connection.sink_epoch {
            return Some(connection);
        }
        let fresh = Arc::new(Connection::new(connection.hub.clone()));
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have cut or renewed it in the meantime.
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, &connection)) {
            *slot = Some(fresh);
        }
        slot.clone()
    }
}

impl Connection {
    fn new(hub: HubArc) -> Self {
        // Read before the sink: if another output is attached in between, the next event notices.
        let sink_epoch = hub.epoch();
        let sink = hub.sink();
        Self { hub, sink_epoch, sink, numbers: RwLock::default() }
    }

    /// Returns the sink's number for a callsite.
    fn number(&self, metadata: &Metadata<'_>) -> u64 {
        let known =
            self.numbers.read().unwrap_or_else(PoisonError::into_inner).get(&metadata.callsite()).copied();
        known.unwrap_or_else(|| {
            let names: Vec<_> =
                metadata.fields().iter().take(MAX_FIELDS).map(|field| RStr::from_str(field.name())).collect();
            let number = self.sink.register(Callsite {
                name: metadata.name().into(),
                target: metadata.target().into(),
                level: number_of(*metadata.level()),
                file: metadata.file().map(RStr::from_str).into(),
                line: metadata.line().into(),
                module_path: metadata.module_path().map(RStr::from_str).into(),
                fields: RSlice::from_slice(&names),
            });
            self.numbers.write().unwrap_or_else(PoisonError::into_inner).insert(metadata.callsite(), number);
            number
        })
    }
}

/// Returns a level's number at the boundary.
fn number_of(level: Level) -> u32 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Calls another image, unless this thread is inside such a call already.
///
/// If host and remote are one program, its subscriber may be this one: an event that it logs about an event would be
/// forwarded again, without end.
fn call_out<R>(f: impl FnOnce() -> Option<R>) -> Option<R> {
    thread_local! {
        static OUT: Cell<bool> = const { Cell::new(false) };
    }
    if OUT.replace(true) {
        return None;
    }
    // `f` does not panic: the called side catches its own panics.
    let result = f();
    OUT.set(false);
    result
}

/// The forwarding subscriber of a remote's image.
pub(crate) struct Forward {
    line: Line,
    spans: Spans,
}

impl Forward {
    pub(crate) fn new(line: Line) -> Self {
        Self { line, spans: Spans::default() }
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let enabled = call_out(|| {
            let connection = self.line.connection()?;
            Some(connection.sink.enabled(connection.number(metadata)))
        });
        enabled.unwrap_or(false)
    }

    fn event(&self, event: &Event<'_>) {
        // Outside of `call_out`: this runs the author's code, which may log in turn.
        let record = Record::of(|visit| event.record(visit));
        let spans = self.spans.around(event);
        call_out(|| {
            let connection = self.line.connection()?;
            let number = connection.number(event.metadata());
            let values: Vec<_> = record.values().collect();
            connection.sink.emit(number, RStr::from_str(&spans), RSlice::from_slice(&values));
            Some(())
        });
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        self.spans.open(attributes)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.spans.record(span, values);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, span: &span::Id) {
        self.spans.enter(span);
    }

    fn exit(&self, span: &span::Id) {
        self.spans.exit(span);
    }

    fn clone_span(&self, span: &span::Id) -> span::Id {
        self.spans.clone_handle(span);
        span.clone()
    }

    fn try_close(&self, span: span::Id) -> bool {
        self.spans.drop_handle(&span)
    }

    fn current_span(&self) -> Current {
        self.spans.current()
    }
}
