//! Mirrored values: the last writer decides.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{PeerId, wire::Packet};

/// The largest number of mirrored values.
const MAX_VALUES: usize = 256;

/// The largest name of a value, in bytes.
const MAX_NAME: usize = 256;

/// The largest value as JSON, in bytes; less than a packet.
const MAX_VALUE: usize = crate::wire::MAX_PACKET - 2 * MAX_NAME - 256;

/// The highest epoch; each write adds one, so none is ever near it.
const MAX_EPOCH: u64 = 1 << 53;

/// The values that this process knows.
pub(crate) struct Mirror {
    own: PeerId,
    values: BTreeMap<String, Copied>,
}

struct Copied {
    /// Number of the write and its writer, by which writes are compared; number 0 is an offer.
    stamp: (u64, PeerId),
    value: Value,
}

impl Mirror {
    pub(crate) fn new(own: PeerId) -> Self {
        Self { own, values: BTreeMap::new() }
    }

    /// Writes a value; `false` if it is too large or there are too many.
    pub(crate) fn write(&mut self, name: &str, value: Value) -> bool {
        let epoch = self.values.get(name).map_or(0, |known| known.stamp.0) + 1;
        self.put(name, (epoch, self.own), value)
    }

    /// Offers a value that any write replaces; `false` if it is too large, or there are too many.
    pub(crate) fn offer(&mut self, name: &str, value: Value) -> bool {
        if self.values.contains_key(name) {
            return true;
        }
        self.put(name, (0, self.own), value)
    }

    /// Adopts the write of another process. Returns `true` if it is the last one, and the reason if it is refused.
    pub(crate) fn adopt(
        &mut self,
        name: &str,
        epoch: u64,
        writer: PeerId,
        value: &Value,
    ) -> Result<bool, &'static str> {
        if epoch > MAX_EPOCH {
            return Err("a value with an impossible epoch");
        }
        let stamp = (epoch, writer);
        if self.values.get(name).is_some_and(|known| known.stamp >= stamp) {
            return Ok(false);
        }
        if self.put(name, stamp, value.clone()) {
            Ok(true)
        } else {
            Err("a value too large, or too many values")
        }
    }

    fn put(&mut self, name: &str, stamp: (u64, PeerId), value: Value) -> bool {
        let is_new = !self.values.contains_key(name);
        let fits = name.len() <= MAX_NAME
            && (!is_new || self.values.len() < MAX_VALUES)
            && serde_json::to_vec(&value).is_ok_and(|text| text.len() <= MAX_VALUE);
        if fits {
            self.values.insert(name.to_owned(), Copied { stamp, value });
        }
        fits
    }

    pub(crate) fn read(&self, name: &str) -> Option<Value> {
        self.values.get(name).map(|known| known.value.clone())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// Returns the packet with a value.
    pub(crate) fn packet(&self, name: &str) -> Option<Packet> {
        let Copied { stamp: (epoch, writer), value } = self.values.get(name)?;
        Some(Packet::Value { name: name.to_owned(), epoch: *epoch, writer: *writer, value: value.clone() })
    }
}
