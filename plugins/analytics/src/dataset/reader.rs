//! A cursor over untrusted bytes: every read is checked.

use super::DatasetError;

/// A reader of the format's primitives.
pub(super) struct ColumnReader<'a> {
    data: &'a [u8],
    /// Offset of `data` in the complete content.
    base: usize,
    /// Offset of the next byte in `data`.
    at: usize,
}

/// Two-byte numbers in two planes: all low bytes, then all high bytes.
pub(super) struct Planes<'a> {
    low: ColumnReader<'a>,
    high: ColumnReader<'a>,
}

impl<'a> ColumnReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, base: 0, at: 0 }
    }

    /// Returns the error `what` at the current place.
    pub(super) fn error(&self, what: &'static str) -> DatasetError {
        DatasetError::Format { what, at: self.base + self.at }
    }

    pub(super) fn remaining(&self) -> usize {
        self.data.len() - self.at
    }

    /// Returns an error unless everything was read.
    pub(super) fn end(&self) -> Result<(), DatasetError> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.error("bytes too many")) }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], DatasetError> {
        let end = self.at.checked_add(count);
        let bytes =
            end.and_then(|end| self.data.get(self.at..end)).ok_or_else(|| self.error("a sudden end"))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DatasetError> {
        let chunk = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        let array = *chunk.ok_or_else(|| self.error("a sudden end"))?;
        self.at += N;
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DatasetError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DatasetError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DatasetError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads an index below `limit`.
    pub(super) fn index(&mut self, limit: usize) -> Result<u8, DatasetError> {
        let index = self.u8()?;
        if usize::from(index) < limit { Ok(index) } else { Err(self.error("an index out of range")) }
    }

    /// Reads a string with its length before it.
    pub(super) fn text(&mut self) -> Result<String, DatasetError> {
        let length = usize::from(self.u8()?);
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.error("text that is not UTF-8"))
    }

    /// Reads a number with seven bits in each byte, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u32, DatasetError> {
        let mut value = 0_u32;
        // Four bytes hold 28 bits, more than any value of the format.
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a number too large"))
    }

    pub(super) fn zigzag(&mut self) -> Result<i32, DatasetError> {
        Ok(from_zigzag(self.varint()?))
    }

    /// Reads an optional number: zero is `None`, anything else a zigzag number plus one.
    pub(super) fn nullable(&mut self) -> Result<Option<i32>, DatasetError> {
        Ok(self.varint()?.checked_sub(1).map(from_zigzag))
    }

    /// Returns a reader of the next column.
    pub(super) fn column(&mut self) -> Result<ColumnReader<'a>, DatasetError> {
        let length = self.u32()? as usize;
        let base = self.base + self.at;
        let data = self.bytes(length)?;
        Ok(ColumnReader { data, base, at: 0 })
    }

    /// Converts this column to `count` two-byte numbers.
    pub(super) fn planes(self, count: usize) -> Result<Planes<'a>, DatasetError> {
        if count.checked_mul(2) != Some(self.data.len()) {
            return Err(self.error("a column of another length"));
        }
        let (low, high) = self.data.split_at(count);
        Ok(Planes {
            low: ColumnReader { data: low, base: self.base, at: 0 },
            high: ColumnReader { data: high, base: self.base + count, at: 0 },
        })
    }
}

impl Planes<'_> {
    pub(super) fn next(&mut self) -> Result<u16, DatasetError> {
        Ok(u16::from_le_bytes([self.low.u8()?, self.high.u8()?]))
    }
}

fn from_zigzag(value: u32) -> i32 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
