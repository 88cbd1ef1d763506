//! Encoded values, overwritten before their memory is freed.

use std::{io, ops::Deref};

use abi_stable::std_types::RVec;
use serde::Serialize;
use serde_json::Value as Json;
use zeroize::Zeroize;

/// Room for a small value, so that its encoding allocates once.
const SMALL: usize = 128;

/// Bytes that are overwritten before their memory is freed, also as they grow.
// `Zeroizing<Vec<u8>>` writes byte by byte, where a slice is filled at once.
#[derive(Default)]
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Stores `bytes`, in the same memory if they fit.
    pub(crate) fn replace(&mut self, bytes: &[u8]) {
        if bytes.len() > self.0.capacity() {
            *self = Self::copy_of(bytes);
            return;
        }
        // The rest of the memory is not overwritten later.
        self.0.as_mut_slice().zeroize();
        self.0.clear();
        self.0.extend_from_slice(bytes);
    }

    fn grow(&mut self, needed: usize) {
        // `Vec` itself would free the smaller buffer as it is.
        let mut larger = Self(Vec::with_capacity(needed.max(self.0.capacity() * 2).max(SMALL)));
        larger.0.extend_from_slice(&self.0);
        *self = larger;
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl io::Write for Wiped {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            self.grow(needed);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the JSON of `value`.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Wiped> {
    let mut buffer = Wiped::default();
    serde_json::to_writer(&mut buffer, value)?;
    Ok(buffer)
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
        assert_eq!(*encoded, *serde_json::to_vec(&[&text, &text]).expect("as above"));
    }
}
