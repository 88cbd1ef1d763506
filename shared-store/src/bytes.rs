//! Encoded values, overwritten before their memory is freed.

use std::io;

use abi_stable::std_types::RVec;
use serde::Serialize;
use serde_json::Value as Json;
use zeroize::{Zeroize, Zeroizing};

/// A buffer that leaves no copy of its bytes in freed memory, also as it grows.
#[derive(Default)]
struct Growing(Zeroizing<Vec<u8>>);

impl io::Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            // `Vec` itself would free the smaller buffer as it is.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(self.0.capacity() * 2).max(64)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the JSON of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Growing::default();
    serde_json::to_writer(&mut buffer, value)?;
    Ok(buffer.0)
}

/// Bytes that the provider allocated.
pub(crate) struct Incoming(RVec<u8>);

impl Incoming {
    pub(crate) fn new(bytes: RVec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// JSON as a tree, whose texts are overwritten when it is dropped.
#[derive(PartialEq)]
pub(crate) struct Tree(pub(crate) Json);

impl Drop for Tree {
    fn drop(&mut self) {
        // As deep as the parser allows: 128.
        fn wipe(json: &mut Json) {
            match json {
                Json::String(text) => text.zeroize(),
                Json::Array(items) => items.iter_mut().for_each(wipe),
                Json::Object(members) => members.values_mut().for_each(wipe),
                _ => {}
            }
        }
        wipe(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_buffer_holds_what_was_encoded() {
        let text = "x".repeat(1_000);
        let encoded = encode(&[&text, &text]).expect("it has a JSON form");
        assert_eq!(encoded.as_slice(), serde_json::to_vec(&[&text, &text]).expect("as above"));
    }
}
