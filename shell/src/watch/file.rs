//! One followed file: what was told of it, and what is to be told once it comes to rest.

use std::{
    fs::Metadata,
    io,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use negotiation::manifest::MAX_MANIFEST_BYTES;

use super::{Change, Pace, route::identity};
use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
    file,
    library::is_json,
    library::{self, LibraryError},
};

/// What tells one content of a file from another, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Time of the last change of content or owner, which no program can set: `cp -p` and `rsync -t` set the other.
    changed: (i64, i64),
    identity: (u64, u64, Option<SystemTime>),
}

impl Stamp {
    /// None where no file is.
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
    // Windows has such a time, and the standard library does not give it.
    #[cfg(not(unix))]
    {
        let _ = about;
        (0, 0)
    }
}

#[derive(Debug)]
pub(super) struct Followed {
    /// What is known of it outside; none if it is not there.
    told: Option<Stamp>,
    unrest: Option<Unrest>,
}

/// It is not what was told.
#[derive(Debug)]
struct Unrest {
    stamp: Option<Stamp>,
    /// Since when it has this stamp.
    since: Instant,
    /// When to look at it again, and how long after that.
    due: Instant,
    pause: Duration,
}

impl Followed {
    pub(super) fn known(told: Option<Stamp>) -> Self {
        Self { told, unrest: None }
    }

    /// Whether it is not there, and that is known.
    pub(super) fn is_gone(&self) -> bool {
        self.told.is_none() && self.unrest.is_none()
    }

    /// When it is to be looked at again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.unrest.as_ref().map(|unrest| unrest.due)
    }

    /// Takes note of how the file is now.
    pub(super) fn look(&mut self, stamp: Option<Stamp>, now: Instant, pace: &Pace) {
        if self.unrest.as_ref().is_some_and(|unrest| unrest.stamp == stamp) {
            return;
        }
        let pause = if stamp.is_some() { pace.settle } else { pace.absence };
        let unrest = Unrest { stamp, since: now, due: now + pause, pause };
        self.unrest = (stamp != self.told).then_some(unrest);
    }

    /// What is to be told now.
    pub(super) fn settle(&mut self, path: &Path, pace: &Pace) -> Option<Change> {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.look(Stamp::of(path), now, pace);
        let unrest = self.unrest.as_mut().filter(|unrest| unrest.due <= now)?;
        let path = path.to_owned();
        let Some(stamp) = unrest.stamp else {
            *self = Self::known(None);
            return Some(Change::Gone { path });
        };
        let read = complete(&path);
        // What was read is what it was before and is still.
        let (seen, again) = (Instant::now(), Stamp::of(&path));
        if again != Some(stamp) {
            self.look(again, seen, pace);
            return None;
        }
        match read {
            Ok(()) => {
                *self = Self::known(Some(stamp));
                Some(Change::Complete { path, seen })
            }
            Err(failure) if seen.duration_since(unrest.since) >= pace.patience => {
                *self = Self::known(Some(stamp));
                Some(Change::Unreadable { path, failure })
            }
            Err(_) => {
                // A writer may fill a file that has its size already without a new time for each piece.
                unrest.pause *= 2;
                unrest.due = (seen + unrest.pause).min(unrest.since + pace.patience).max(seen + pace.settle);
                None
            }
        }
    }
}

/// Whether the file is whole, as far as can be told without running it. What is wrong with a whole file is for
/// whoever uses it to say.
fn complete(path: &Path) -> Result<(), Failure> {
    if !is_json(path) {
        return match library::complete(path) {
            Ok(_) | Err(LibraryError::Revision { .. } | LibraryError::OtherPlatform { .. }) => Ok(()),
            Err(LibraryError::Manifest(error, _)) if Code::from(&error) != Code::ManifestNotJson => Ok(()),
            Err(error) => Err(Failure::of(Stage::Discover, &error)),
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
