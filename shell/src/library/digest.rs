//! Digests of files.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use delivery::Digest;
use sha2::{Digest as _, Sha256};

use crate::file::{self, CopyError};

/// Computes the digest of the file at `path`, which is read in pieces.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    copy_digested(&mut file::open_within(path, file::MAX_LIBRARY)?, &mut io::sink())
}

/// Copies `from` to `to`, and returns the digest of the content.
pub(crate) fn copy_digested(from: &mut impl Read, to: &mut impl Write) -> io::Result<Digest> {
    let mut digest = Sha256::new();
    match file::transfer(from, to, |piece| digest.update(piece)) {
        Ok(()) => Ok(<[u8; 32]>::from(digest.finalize()).into()),
        Err(CopyError::Read(error) | CopyError::Write(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn digest_of_file_reads_all_pieces() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("a");
        fs::write(&file, "a".repeat(1_000_000)).expect("file is written");
        let digest = digest_of(&file).expect("file is read");
        // Test vector of FIPS 180-4.
        let digits = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(digest.to_string(), digits);
    }
}
