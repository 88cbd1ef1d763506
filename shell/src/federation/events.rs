//! Notifications about remotes, for the window and for tests.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use delivery::listing::Release;
use semver::Version;

use crate::{failure::SharedFailure, placement::Wake};

/// Largest number of notifications in the queue; older ones are dropped.
const LIMIT: usize = 64;

/// An event in the life of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteEvent {
    /// Another generation has replaced the running one.
    Replaced {
        /// Version of the new generation.
        version: Version,
        /// Number of the new generation, from 1.
        generation: u64,
        /// Time from the detection of its complete library to its promotion.
        took: Duration,
    },
    /// Another generation was refused; the running one keeps running.
    NotReplaced,
    /// A surface could not save or restore its state.
    StateLost,
    /// The remote, or one of its surfaces, has failed.
    Failed,
    /// The remote failed too often and was disabled.
    Disabled,
    /// The remote has ended, and its code is still loaded.
    StillLoaded,
    /// A library or manifest was put into the drop folder.
    Installed,
    /// A file of the remote cannot be used as it is.
    FileUnusable,
    /// A decision about the remote could not be carried out, or is not saved.
    DecisionUnsaved,
    /// A newer release is available; the failure is the reason why it would be refused.
    UpdateOffered {
        /// The release.
        release: Arc<Release>,
    },
    /// The publisher has withdrawn the release in use.
    Withdrawn,
    /// A repository cannot be used, so there are no updates from it; the alias is its address.
    UpdatesStopped,
}

/// Subject of messages about a remote; messages of a topic are withdrawn together once they no longer hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The remote waits for being enabled.
    Enabling,
    /// A file of the remote, or a new generation, cannot be used.
    Update,
    /// The remote does not run.
    Running,
}

impl Topic {
    pub(super) const ALL: [Self; 3] = [Self::Enabling, Self::Update, Self::Running];
}

impl RemoteEvent {
    /// Returns the subject of the message; `None` for one that is never withdrawn.
    pub fn topic(&self) -> Option<Topic> {
        match self {
            Self::Installed => Some(Topic::Enabling),
            Self::NotReplaced | Self::FileUnusable | Self::UpdateOffered { .. } | Self::UpdatesStopped => {
                Some(Topic::Update)
            }
            Self::Failed | Self::Disabled => Some(Topic::Running),
            Self::Replaced { .. }
            | Self::StateLost
            | Self::StillLoaded
            | Self::DecisionUnsaved
            | Self::Withdrawn => None,
        }
    }
}

/// A message for the user.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Alias of the remote.
    pub alias: String,
    /// Title of the remote.
    pub title: String,
    /// The event.
    pub event: RemoteEvent,
    /// The reason, if something went wrong.
    pub failure: Option<SharedFailure>,
    /// Time of the event.
    pub at: SystemTime,
}

/// Notifications that the window has not taken yet. `[window's thread]`
pub struct Events {
    queue: VecDeque<Notification>,
    withdrawn: BTreeSet<(String, Topic)>,
    wake: Wake,
}

impl Events {
    pub(super) fn new(wake: Wake) -> Self {
        Self { queue: VecDeque::new(), withdrawn: BTreeSet::new(), wake }
    }

    /// Takes the notifications since the last call, oldest first.
    pub fn take(&mut self) -> Vec<Notification> {
        self.queue.drain(..).collect()
    }

    /// Takes the remotes and topics whose earlier messages no longer hold.
    ///
    /// Must be called before [`take`](Self::take), whose notifications came later.
    pub fn take_withdrawn(&mut self) -> BTreeSet<(String, Topic)> {
        std::mem::take(&mut self.withdrawn)
    }

    /// Withdraws the messages about `topic` of a remote.
    pub(super) fn withdraw(&mut self, alias: &str, topic: Topic) {
        self.queue.retain(|known| known.alias != alias || known.event.topic() != Some(topic));
        if self.withdrawn.insert((alias.to_owned(), topic)) {
            (self.wake)(Duration::ZERO);
        }
    }

    /// Adds a notification, and logs it.
    pub(super) fn notify(
        &mut self,
        alias: &str,
        title: &str,
        event: RemoteEvent,
        failure: Option<SharedFailure>,
    ) {
        log(alias, &event, failure.as_ref());
        if self.queue.len() == LIMIT {
            self.queue.pop_front();
        }
        let (alias, title) = (alias.to_owned(), title.to_owned());
        self.queue.push_back(Notification { alias, title, event, failure, at: SystemTime::now() });
        (self.wake)(Duration::ZERO);
    }
}

fn log(remote: &str, event: &RemoteEvent, failure: Option<&SharedFailure>) {
    if let RemoteEvent::Replaced { version, generation, took } = event {
        let took = took.as_millis() as u64;
        // Programs that read the log know these words.
        tracing::info!(remote, %version, generation, took, "another generation has taken over");
    }
    if let RemoteEvent::UpdateOffered { release } = event {
        tracing::info!(remote, version = %release.about.version, "a newer release is available");
    }
    let Some(failure) = failure.map(Arc::as_ref) else { return };
    let (stage, code, message) = (failure.stage, failure.code.as_str(), failure.line());
    match event {
        // Logged by the code that detected it.
        RemoteEvent::Failed => {}
        RemoteEvent::NotReplaced => {
            tracing::error!(remote, %stage, code, "not replaced, and the running generation keeps running: {message}");
        }
        _ => tracing::warn!(remote, %stage, code, "{message}"),
    }
}
