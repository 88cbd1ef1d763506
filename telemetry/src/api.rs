//! What crosses between images: callsites, typed values, and who takes them.
// `#[sabi_trait]` and `StableAbi` generate unsafe shims and undocumented items; no unsafe code is written here
// by hand.
#![allow(unsafe_code, missing_docs, unreachable_pub, non_local_definitions, clippy::all, clippy::pedantic)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::mem_forget)]

use std::sync::atomic::AtomicU64;

use abi_stable::{
    StableAbi, sabi_trait,
    std_types::{RArc, ROption, RSlice, RStr},
};

/// One participant's access to the provider. `[thread-safe]`
#[sabi_trait]
pub trait Hub: Send + Sync + Clone {
    /// Grows when [`sink`](Self::sink) gives another one from now on.
    fn epoch(&self) -> RArc<AtomicU64>;

    /// Where this participant's events go.
    fn sink(&self) -> SinkArc;

    /// Sends the events of every participant to `output` from now on, in place of whoever had them.
    ///
    /// False, and nothing else, for a participant that may not ([`Consumer::all`](plugin_api::shared::Consumer)).
    #[sabi(last_prefix_field)]
    fn attach(&self, output: OutputArc) -> bool;
}

/// A shared handle on [`Hub`].
pub type HubArc = Hub_TO<'static, RArc<()>>;

/// A subscriber that takes the events of participants. `[thread-safe]`
#[sabi_trait]
pub trait Output: Send + Sync + Clone {
    /// A sink for the events of the participant called `remote`.
    #[sabi(last_prefix_field)]
    fn bind(&self, remote: RStr<'_>) -> SinkArc;
}

/// A shared handle on [`Output`].
pub type OutputArc = Output_TO<'static, RArc<()>>;

/// Takes the events of one participant. `[thread-safe]`
///
/// Nothing that is passed in is kept after the call; a panic of the subscriber behind it ends here.
#[sabi_trait]
pub trait Sink: Send + Sync + Clone {
    /// A number for `callsite`; the same one for the same callsite.
    fn register(&self, callsite: Callsite<'_>) -> u64;

    /// Whether an event of this callsite would be taken; asked before any of its values is formatted.
    fn enabled(&self, callsite: u64) -> bool;

    /// An event with its values, inside of `spans` (empty for none).
    #[sabi(last_prefix_field)]
    fn emit(&self, callsite: u64, spans: RStr<'_>, values: RSlice<'_, Value<'_>>);
}

/// A shared handle on [`Sink`].
pub type SinkArc = Sink_TO<'static, RArc<()>>;

/// A place in a participant's code where events come from.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Callsite<'a> {
    /// Name of the event; `tracing` makes one of file and line.
    pub name: RStr<'a>,
    /// What filters know it by; the module's path, unless the author chose another.
    pub target: RStr<'a>,
    /// 1 for error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u32,
    /// File of the source.
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
    /// How to read the rest.
    pub kind: ValueKind,
    /// A number: its low and its high 64 bits, sign-extended, or the bits of a float in the low ones.
    pub bits: [u64; 2],
    /// A text in UTF-8, or bytes.
    pub data: RSlice<'a, u8>,
}

/// Kind of a [`Value`]. A side that does not know a kind takes the value for text.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, StableAbi)]
pub struct ValueKind(pub u32);

impl ValueKind {
    /// What the author's `Debug` or `Display` wrote.
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
    /// What an error says.
    pub const ERROR: Self = Self(9);
    /// What the cause of the error says that stands before it.
    pub const CAUSE: Self = Self(10);
}
