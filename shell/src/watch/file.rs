//! State of one followed file: its reported content, and a change that is not stable yet.

use std::{
    fs::Metadata,
    io,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use negotiation::manifest::MAX_MANIFEST_BYTES;

use super::{FileEvent, Pace, route::identity};
use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
    file,
    library::is_json,
    library::{self, LibraryError},
};

/// Metadata that differ between two contents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Time of the last change of content or owner. Programs cannot set it; `cp -p` and `rsync -t` set `modified`.
    changed: (i64, i64),
    identity: (u64, u64, Option<SystemTime>),
}

impl Stamp {
    /// Reads the stamp; `None` if there is no file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let about = path.metadata().ok().filter(|about| !about.is_dir())?;
        Some(Self {
            length: about.len(),
            modified: about.modified().ok(),
            changed: changed(&about),
            identity: identity(&about),
        })
    }
}

fn changed(about: &Metadata) -> (i64, i64) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (about.ctime(), about.ctime_nsec())
    }
    // Windows has such a time, but the standard library does not return it.
    #[cfg(not(unix))]
    {
        let _ = about;
        (0, 0)
    }
}

/// A followed file.
#[derive(Debug)]
pub(super) struct Followed {
    /// Stamp of the reported content; `None` for a missing file.
    reported: Option<Stamp>,
    pending: Option<Pending>,
}

/// A change that is not reported yet.
#[derive(Debug)]
struct Pending {
    stamp: Option<Stamp>,
    /// Time since which it has this stamp.
    since: Instant,
    /// Time of the next check, and the pause before the one after that.
    due: Instant,
    pause: Duration,
}

impl Followed {
    pub(super) fn known(reported: Option<Stamp>) -> Self {
        Self { reported, pending: None }
    }

    /// Returns `true` if the file is missing and that was reported.
    pub(super) fn is_gone(&self) -> bool {
        self.reported.is_none() && self.pending.is_none()
    }

    /// Returns the time of the next check.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.due)
    }

    /// Records the present stamp of the file.
    pub(super) fn observe(&mut self, stamp: Option<Stamp>, now: Instant, pace: &Pace) {
        if self.pending.as_ref().is_some_and(|pending| pending.stamp == stamp) {
            return;
        }
        let pause = if stamp.is_some() { pace.settle } else { pace.absence };
        let pending = Pending { stamp, since: now, due: now + pause, pause };
        self.pending = (stamp != self.reported).then_some(pending);
    }

    /// Returns the event to report now.
    pub(super) fn settle(&mut self, path: &Path, pace: &Pace) -> Option<FileEvent> {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.observe(Stamp::of(path), now, pace);
        let pending = self.pending.as_mut().filter(|pending| pending.due <= now)?;
        let path = path.to_owned();
        let Some(stamp) = pending.stamp else {
            *self = Self::known(None);
            return Some(FileEvent::Gone { path });
        };
        let read = complete(&path);
        // The content counts only if the stamp is the same before and after reading.
        let (seen, again) = (Instant::now(), Stamp::of(&path));
        if again != Some(stamp) {
            self.observe(again, seen, pace);
            return None;
        }
        match read {
            Ok(()) => {
                *self = Self::known(Some(stamp));
                Some(FileEvent::Complete { path, seen })
            }
            Err(failure) if seen.duration_since(pending.since) >= pace.patience => {
                *self = Self::known(Some(stamp));
                Some(FileEvent::Unreadable { path, failure })
            }
            Err(_) => {
                // A writer may fill a preallocated file without a new time for each piece.
                pending.pause *= 2;
                pending.due = (seen + pending.pause).min(pending.since + pace.patience).max(seen + pace.settle);
                None
            }
        }
    }
}

/// Checks that the file is complete, as far as possible without running it. Faults of a complete file are left to its
/// reader.
fn complete(path: &Path) -> Result<(), Failure> {
    if !is_json(path) {
        return match library::complete(path) {
            Ok(_) | Err(LibraryError::Revision { .. } | LibraryError::OtherPlatform { .. }) => Ok(()),
            Err(LibraryError::Manifest(error, _)) if Code::from(&error) != Code::ManifestNotJson => Ok(()),
            Err(error) => Err(Failure::from_error(Stage::Discover, &error)),
        };
    }
    let shown = path.display();
    let text = match file::read(path, MAX_MANIFEST_BYTES as u64) {
        // Its reader reports that it is too large.
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(()),
        Err(error) => {
            let text = format!("the manifest cannot be read ({error}): {shown}");
            return Err(Failure::new(Stage::Discover, Code::ManifestUnreadable, text, "let this user read it"));
        }
        Ok(text) => text,
    };
    serde_json::from_slice::<serde::de::IgnoredAny>(&text).map(drop).map_err(|error| {
        let text = format!("the manifest is not JSON: {error}: {shown}");
        Failure::new(Stage::Discover, Code::ManifestNotJson, text, "correct it there")
    })
}
