//! The values of an event, copied in one pass into shared buffers instead of an allocation for each field.

use std::{
    error::Error,
    fmt::{self, Write},
    ops::Range,
};

use abi_stable::std_types::RSlice;
use tracing::field::{Field, Visit};

use crate::{
    api::{Value, ValueKind},
    limits::{CappedText, MAX_CAUSES, MAX_FIELDS, MAX_VALUE},
};

/// Values whose texts are stored contiguously.
#[derive(Default)]
pub(super) struct Record {
    values: Vec<Recorded>,
    text: String,
    /// The data of [`ValueKind::BYTES`], which need not be UTF-8.
    bytes: Vec<u8>,
}

struct Recorded {
    field: u32,
    kind: ValueKind,
    bits: [u64; 2],
    place: Range<usize>,
}

impl Record {
    /// Collects the values that `record` passes to its visitor.
    pub(super) fn of(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut this = Self::default();
        record(&mut this);
        this
    }

    pub(super) fn values(&self) -> impl Iterator<Item = Value<'_>> {
        self.values.iter().map(|recorded| {
            let Recorded { field, kind, bits, ref place } = *recorded;
            let from = if kind == ValueKind::BYTES { &*self.bytes } else { self.text.as_bytes() };
            Value { field, kind, bits, data: RSlice::from_slice(&from[place.clone()]) }
        })
    }

    fn push(&mut self, field: &Field, kind: ValueKind, bits: [u64; 2], place: Range<usize>) {
        if field.index() < MAX_FIELDS {
            self.values.push(Recorded { field: field.index() as u32, kind, bits, place });
        }
    }

    fn number(&mut self, field: &Field, kind: ValueKind, low: u64, high: u64) {
        self.push(field, kind, [low, high], 0..0);
    }

    fn text(&mut self, field: &Field, kind: ValueKind, text: fmt::Arguments<'_>) {
        let start = self.text.len();
        // An error means that the text is full; an ellipsis in the text marks it.
        let _ = CappedText::new(&mut self.text, MAX_VALUE).write_fmt(text);
        self.push(field, kind, [0; 2], start..self.text.len());
    }
}

impl Visit for Record {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, ValueKind::BOOL, value.into(), 0);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, ValueKind::I64, value.cast_unsigned(), 0);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, ValueKind::U64, value, 0);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.number(field, ValueKind::I128, value as u64, (value >> 64) as u64);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.number(field, ValueKind::U128, value as u64, (value >> 64) as u64);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, ValueKind::F64, value.to_bits(), 0);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, ValueKind::STR, format_args!("{value}"));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&value[..value.len().min(MAX_VALUE)]);
        self.push(field, ValueKind::BYTES, [0; 2], start..self.bytes.len());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, ValueKind::ERROR, format_args!("{value}"));
        let causes = std::iter::successors(value.source(), |&cause| cause.source());
        for cause in causes.take(MAX_CAUSES) {
            self.text(field, ValueKind::CAUSE, format_args!("{cause}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, ValueKind::FORMATTED, format_args!("{value:?}"));
    }
}
