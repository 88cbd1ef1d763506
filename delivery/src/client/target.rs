//! Fetches a file of which digest and length are signed.
//!
//! The file is written to a part file, which a later attempt or process continues. The address of a target contains its
//! digest, so the server's file cannot change in between, and a wrong continuation is found by the digest.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use crate::{
    Digest, cache,
    error::{DeliveryError, ErrorCode},
    link::{Again, AttemptError, LinkReply, RepoLink, Transfer},
    release,
};

/// The size of a piece in bytes, and of the progress after which failed attempts are forgotten.
const PIECE: usize = 64 << 10;

/// A signed file of the repository.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// Its place below the repository's address.
    pub(super) parts: &'a [&'a str],
    pub(super) signed: release::FileContent,
}

/// Fetches a file to `part`, and returns it open at its start; its digest and length are verified.
pub(super) fn fetch(
    link: &RepoLink,
    target: Target<'_>,
    part: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<File, DeliveryError> {
    let mut is_second = false;
    loop {
        let mut download = Download::resume(target, part)?;
        progress(download.have);
        if let Err(error) = download.run(link, progress) {
            // Bytes of a file that is refused are not continued.
            if error.code == ErrorCode::ReleaseLength || download.have == 0 {
                cache::remove(part)?;
            }
            return Err(error);
        }
        if Digest::from(<[u8; 32]>::from(download.hash.clone().finalize())) == target.signed.sha256 {
            let rewound = download.file.seek(SeekFrom::Start(0));
            rewound.map_err(|error| cache::failed("read", part, &error))?;
            return Ok(download.file);
        }
        cache::remove(part)?;
        if is_second || !download.has_resumed {
            return Err(refused(link, target, ErrorCode::ReleaseDigest, "has another digest than signed"));
        }
        // The bytes of an earlier attempt may be the wrong ones.
        is_second = true;
    }
}

struct Download<'a> {
    target: Target<'a>,
    part: &'a Path,
    file: File,
    hash: Sha256,
    /// The number of bytes in the file.
    have: u64,
    /// `true` if not all of them come from one request.
    has_resumed: bool,
}

impl<'a> Download<'a> {
    /// Opens the part file, and hashes what it contains.
    fn resume(target: Target<'a>, part: &'a Path) -> Result<Self, DeliveryError> {
        let file = cache::open_for_writing(part)?;
        let mut download = Self { target, part, file, hash: Sha256::new(), have: 0, has_resumed: false };
        let length = download.file.metadata().map_err(|error| download.failed(&error))?.len();
        if length > target.signed.length {
            download.restart()?;
            return Ok(download);
        }
        let mut piece = vec![0; PIECE];
        loop {
            let read = download.file.read(&mut piece).map_err(|error| download.failed(&error))?;
            if read == 0 {
                break;
            }
            download.hash.update(&piece[..read]);
            download.have += read as u64;
        }
        download.has_resumed = download.have > 0;
        Ok(download)
    }

    fn restart(&mut self) -> Result<(), DeliveryError> {
        let restarted = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        restarted.map_err(|error| self.failed(&error))?;
        (self.hash, self.have, self.has_resumed) = (Sha256::new(), 0, false);
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> DeliveryError {
        cache::failed("write", self.part, error)
    }

    /// Fetches the missing bytes.
    fn run(&mut self, link: &RepoLink, progress: &mut dyn FnMut(u64)) -> Result<(), DeliveryError> {
        let mut attempts = link.attempts(None);
        while self.have < self.target.signed.length {
            let before = self.have;
            let Err(fault) = self.attempt(link, progress) else { continue };
            if self.have >= before + PIECE as u64 {
                attempts.progressed();
            }
            attempts.failed(fault)?;
        }
        Ok(())
    }

    fn attempt(&mut self, link: &RepoLink, progress: &mut dyn FnMut(u64)) -> Result<(), AttemptError> {
        let target = self.target;
        let refused = |code, what| AttemptError::from(refused(link, target, code, what));
        let mut content = match link.open(self.target.parts, self.have, None)? {
            LinkReply::Transfer(content) => content,
            LinkReply::Missing => return Err(refused(ErrorCode::RepoNotFound, "is missing on the server")),
            LinkReply::Beyond => return Err(refused(ErrorCode::ReleaseLength, SHORTER)),
        };
        if content.from != self.have {
            // The server ignores ranges.
            self.restart()?;
        }
        self.has_resumed |= self.have > 0;
        let stated = content.length.map(|left| self.have.saturating_add(left));
        if let Some(stated) = stated.filter(|stated| *stated != target.signed.length) {
            let what = if stated > target.signed.length { LONGER } else { SHORTER };
            return Err(refused(ErrorCode::ReleaseLength, what));
        }
        self.copy(link, &mut content, progress)
    }

    fn copy(
        &mut self,
        link: &RepoLink,
        content: &mut Transfer,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), AttemptError> {
        let length = self.target.signed.length;
        let mut piece = vec![0; PIECE];
        loop {
            let read = link.read(content, &mut piece)?;
            if read == 0 && self.have < length {
                // Without a stated length, a connection that is cut looks the same.
                let error = refused(link, self.target, ErrorCode::ReleaseLength, SHORTER);
                return Err(AttemptError { error, again: Again::Soon });
            }
            if self.have + read as u64 > length {
                return Err(AttemptError::from(refused(link, self.target, ErrorCode::ReleaseLength, LONGER)));
            }
            if read == 0 {
                return Ok(());
            }
            self.file.write_all(&piece[..read]).map_err(|error| self.failed(&error))?;
            self.hash.update(&piece[..read]);
            self.have += read as u64;
            progress(self.have);
        }
    }
}

const LONGER: &str = "is longer than signed";
const SHORTER: &str = "is shorter than signed";

fn refused(link: &RepoLink, target: Target<'_>, code: ErrorCode, what: &str) -> DeliveryError {
    DeliveryError::new(
        code,
        format!("a file of the repository {what}: {}", link.place(target.parts)),
        "ask the repository's owner to check the server",
    )
}
