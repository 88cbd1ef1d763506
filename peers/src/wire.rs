//! Packets: their length in four bytes, little-endian, then JSON.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::PeerId;

/// The largest packet, in bytes of JSON.
pub const MAX_PACKET: usize = 256 << 10;

/// The revision of the packets; processes of another one are not connected.
pub(crate) const REVISION: u32 = 1;

/// A packet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub(crate) enum Packet {
    /// The first packet of each side.
    Hello { revision: u32, peer: PeerId },
    /// A message.
    Message { channel: String, content: Value },
    /// The number of messages that are lost before this one.
    Lost { count: u64 },
    /// A mirrored value.
    Value { name: String, epoch: u64, writer: PeerId, value: Value },
    /// The last packet.
    Bye,
    /// A packet of a later version.
    #[serde(other)]
    Unknown,
}

/// Encodes a packet; `None` if it is too large.
pub(crate) fn encode(packet: &Packet) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, packet).ok()?;
    let length = bytes.len() - 4;
    if length > MAX_PACKET {
        return None;
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    Some(bytes)
}

/// The reason why no packet could be read.
pub(crate) enum ReadError {
    /// The other side has closed the connection, or it is lost.
    Ended,
    /// The other side has broken the rules.
    Violation(String),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Ended
    }
}

/// Reads a packet.
pub(crate) fn read(from: &mut impl Read) -> Result<Packet, ReadError> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_PACKET {
        return Err(ReadError::Violation(format!("a packet of {length} bytes, and the limit is {MAX_PACKET}")));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|error| ReadError::Violation(format!("a malformed packet: {error}")))
}
