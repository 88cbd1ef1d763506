//! Unpacks a library.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use sha2::{Digest as _, Sha256};
use zstd::Decoder;

use crate::{
    Digest, cache,
    error::{DeliveryError, ErrorCode},
    release::FileContent,
};

/// The logarithm of the largest window, and so of the memory, that unpacking uses: 128 MiB.
const MAX_WINDOW: u32 = 27;

/// Unpacks `packed` to a new file; fails once it has more bytes than signed.
pub(super) fn unpack(packed: File, to: &Path, signed: FileContent, name: &str) -> Result<(), DeliveryError> {
    let refused = |reason: &str| {
        DeliveryError::new(
            ErrorCode::ReleaseUnpacked,
            format!("the library of `{name}` {reason}"),
            "ask the publisher to publish again",
        )
    };
    let unreadable = |error: std::io::Error| refused(&format!("cannot be unpacked ({error})"));
    let mut decoder = Decoder::new(packed).map_err(unreadable)?;
    decoder.window_log_max(MAX_WINDOW).map_err(unreadable)?;
    let mut file = cache::create(to)?;
    let failed = |error: std::io::Error| cache::failed("write", to, &error);
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut piece = vec![0; 128 << 10];
    loop {
        let read = decoder.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        length += read as u64;
        if length > signed.length {
            return Err(refused("unpacks to more bytes than signed"));
        }
        hash.update(&piece[..read]);
        file.write_all(&piece[..read]).map_err(failed)?;
    }
    if length < signed.length {
        return Err(refused("unpacks to fewer bytes than signed"));
    }
    if Digest::from(<[u8; 32]>::from(hash.finalize())) != signed.sha256 {
        return Err(refused("unpacks to other bytes than signed"));
    }
    file.sync_all().map_err(failed)
}
