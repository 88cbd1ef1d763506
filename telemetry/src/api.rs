//! The interface between images: callsites, typed values, and the sinks that accept them.
// `#[sabi_trait]` and `StableAbi` generate unsafe shims and undocumented items; no unsafe code is written here
// by hand.
#![allow(unsafe_code, missing_docs, unreachable_pub, non_local_definitions, clippy::all, clippy::pedantic)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::mem_forget)]

use abi_stable::{
    StableAbi, sabi_trait,
    std_types::{RArc, ROption, RSlice, RStr},
};

/// A participant's access to the provider. `[thread-safe]`
#[sabi_trait]
pub trait Hub: Send + Sync + Clone {
    /// Returns the epoch, which grows when [`sink`](Self::sink) starts to return another sink.
    ///
    /// The counter stays in the provider: a participant shares no memory that it could write.
    fn epoch(&self) -> u64;

    /// Returns the sink for this participant's events.
    fn sink(&self) -> SinkArc;

    /// Sends the events of every participant to `output` from now on, in place of the previous output.
    ///
    /// Returns `false` and changes nothing for a participant without [`Consumer::all`](plugin_api::shared::Consumer).
    #[sabi(last_prefix_field)]
    fn attach(&self, output: OutputArc) -> bool;
}

/// A shared handle on [`Hub`].
pub type HubArc = Hub_TO<'static, RArc<()>>;

/// A subscriber that accepts the events of participants. `[thread-safe]`
#[sabi_trait]
pub trait Output: Send + Sync + Clone {
    /// Creates a sink for the events of the participant called `remote`.
    #[sabi(last_prefix_field)]
    fn bind(&self, remote: RStr<'_>) -> SinkArc;
}

/// A shared handle on [`Output`].
pub type OutputArc = Output_TO<'static, RArc<()>>;

/// The receiver of a participant's events. `[thread-safe]`
///
/// It keeps no argument after the call, and contains panics of the subscriber behind it.
#[sabi_trait]
pub trait Sink: Send + Sync + Clone {
    /// Returns a number for `callsite`: the same number for the same callsite.
    fn register(&self, callsite: Callsite<'_>) -> u64;

    /// Returns `true` if an event of this callsite passes the filter; called before any of its values is formatted.
    fn enabled(&self, callsite: u64) -> bool;

    /// Logs an event with its values, inside of `spans` (empty without spans).
    #[sabi(last_prefix_field)]
    fn emit(&self, callsite: u64, spans: RStr<'_>, values: RSlice<'_, Value<'_>>);
}

/// A shared handle on [`Sink`].
pub type SinkArc = Sink_TO<'static, RArc<()>>;

/// A place in a participant's code that emits events.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Callsite<'a> {
    /// Name of the event; by default `tracing` makes it of file and line.
    pub name: RStr<'a>,
    /// The key for filters: the module's path, unless the author chose another.
    pub target: RStr<'a>,
    /// 1 for error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u32,
    /// Source file.
    pub file: ROption<RStr<'a>>,
    /// Line in the file.
    pub line: ROption<u32>,
    /// Path of the module.
    pub module_path: ROption<RStr<'a>>,
    /// Names of the fields that an event of this callsite may have.
    pub fields: RSlice<'a, RStr<'a>>,
}

/// The value of a field.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Value<'a> {
    /// Place of the field in [`Callsite::fields`].
    pub field: u32,
    /// The kind, which decides how the rest is read.
    pub kind: ValueKind,
    /// A number: its low and its high 64 bits, sign-extended; a float's bits are the low 64.
    pub bits: [u64; 2],
    /// A text in UTF-8, or bytes.
    pub data: RSlice<'a, u8>,
}

/// Kind of a [`Value`]. A side that does not know a kind reads the value as text.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, StableAbi)]
pub struct ValueKind(pub u32);

impl ValueKind {
    /// The output of the author's `Debug` or `Display`.
    pub const FORMATTED: Self = Self(0);
    /// A `bool`.
    pub const BOOL: Self = Self(1);
    /// An `i64`.
    pub const I64: Self = Self(2);
    /// A `u64`.
    pub const U64: Self = Self(3);
    /// An `i128`.
    pub const I128: Self = Self(4);
    /// A `u128`.
    pub const U128: Self = Self(5);
    /// An `f64`.
    pub const F64: Self = Self(6);
    /// A string.
    pub const STR: Self = Self(7);
    /// Bytes.
    pub const BYTES: Self = Self(8);
    /// The text of an error.
    pub const ERROR: Self = Self(9);
    /// The text of a cause; it follows its error.
    pub const CAUSE: Self = Self(10);
}
