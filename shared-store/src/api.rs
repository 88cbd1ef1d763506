//! The interface between images: encoded values, epochs and nothing else.
// `#[sabi_trait]` and `StableAbi` generate unsafe shims and undocumented items; no unsafe code is written here
// by hand.
#![allow(unsafe_code, missing_docs, unreachable_pub, non_local_definitions, clippy::all, clippy::pedantic)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::mem_forget)]

use abi_stable::{
    StableAbi, sabi_trait,
    std_types::{RArc, ROption, RResult, RSlice, RStr, RString, RVec},
};

/// A participant's access to the provider's cells. `[thread-safe]`
#[sabi_trait]
pub trait Cells: Send + Sync + Clone {
    /// Opens the cell called `name` for reading, and notifies the participant of its changes from now on.
    #[sabi(last_prefix_field)]
    fn open(&self, name: RStr<'_>) -> RResult<CellArc, Fault>;
}

/// A shared handle on [`Cells`].
pub type CellsArc = Cells_TO<'static, RArc<()>>;

/// A participant's access to a named value of the provider. `[thread-safe]`
///
/// The counter stays in the provider, and is read by a call: a participant shares no memory that it could write.
#[sabi_trait]
pub trait Cell: Send + Sync + Clone {
    /// Returns the epoch; it grows with every change, after the value was changed.
    fn epoch(&self) -> u64;

    /// Returns epoch and value as a consistent pair.
    fn read(&self) -> RResult<Snapshot, Fault>;

    /// Sets the value if the epoch still is `expected` (`RNone`: unconditionally), and returns the epoch.
    ///
    /// The epoch grows only if the value differs from the present one. The provider copies `value`.
    #[sabi(last_prefix_field)]
    fn write(&self, expected: ROption<u64>, value: RSlice<'_, u8>) -> RResult<u64, Fault>;
}

/// A shared handle on [`Cell`].
pub type CellArc = Cell_TO<'static, RArc<()>>;

/// A value and the epoch that it belongs to. It can hold a secret, so it has no `Debug`.
#[repr(C)]
#[derive(Clone, StableAbi)]
pub struct Snapshot {
    /// The epoch; 0 if the value was never set.
    pub epoch: u64,
    /// The value as JSON; `RNone` if it was never set.
    pub value: ROption<RVec<u8>>,
}

/// The reason why a cell is not available.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, StableAbi)]
pub struct Fault {
    /// A constant of [`Fault`].
    pub code: RString,
    /// The message: the cause, and what to do.
    pub message: RString,
}

impl Fault {
    /// The participant may not do this.
    pub const NOT_GRANTED: &'static str = "atom-not-granted";
    /// The epoch is not the expected one: a concurrent write.
    pub const CONFLICT: &'static str = "atom-conflict";
    /// The provider refuses the value.
    pub const REFUSED: &'static str = "atom-refused";
}
