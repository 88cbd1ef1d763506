//! What the federation has to tell people, beside what an entry says of itself.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use semver::Version;

use super::Federation;
use crate::failure::SharedFailure;

/// How many are kept for somebody who does not listen.
const KEPT: usize = 64;

/// What happened to a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another generation runs in its place.
    Replaced {
        /// Of the new generation.
        version: Version,
        /// Counted from 1.
        generation: u64,
        /// From the first look at its library to its first picture.
        took: Duration,
    },
    /// Another generation was not taken; the one that ran still runs.
    NotReplaced,
    /// A surface could not give its state, or not take it.
    StateLost,
    /// It, or one of its surfaces, has failed.
    Failed,
    /// It failed too often and was disabled.
    Disabled,
    /// It has ended, and its code stays in the process.
    Kept,
    /// A library or manifest was put into the drop folder.
    Installed,
    /// A file of it cannot be used as it is.
    Unreadable,
    /// A decision about it could not be carried out, or is not saved.
    Undecided,
}

/// Subject of messages about a remote; messages of a topic are withdrawn together once they no longer hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// It waits for being enabled.
    Enabling,
    /// A file of it, or a new generation, cannot be used.
    Update,
    /// It does not run.
    Running,
}

impl Topic {
    pub(super) const ALL: [Self; 3] = [Self::Enabling, Self::Update, Self::Running];
}

impl Event {
    /// Returns the subject of the message; `None` for one that is never withdrawn.
    pub fn topic(&self) -> Option<Topic> {
        match self {
            Self::Installed => Some(Topic::Enabling),
            Self::NotReplaced | Self::Unreadable => Some(Topic::Update),
            Self::Failed | Self::Disabled => Some(Topic::Running),
            Self::Replaced { .. } | Self::StateLost | Self::Kept | Self::Undecided => None,
        }
    }
}

/// Something to tell.
#[derive(Clone, Debug)]
pub struct Told {
    /// The remote's alias.
    pub alias: String,
    /// Its name for people.
    pub title: String,
    /// What happened.
    pub event: Event,
    /// Why, where something went wrong.
    pub failure: Option<SharedFailure>,
    /// When.
    pub at: SystemTime,
}

#[derive(Default)]
pub(super) struct Events {
    queue: VecDeque<Told>,
    withdrawn: BTreeSet<(String, Topic)>,
}

impl Federation {
    /// What has happened since this was asked the last time, oldest first.
    pub fn take_events(&mut self) -> Vec<Told> {
        self.events.queue.drain(..).collect()
    }

    /// Takes the remotes and topics whose earlier messages no longer hold.
    ///
    /// To be asked before [`take_events`](Self::take_events): what that returns came later.
    pub fn take_withdrawn(&mut self) -> BTreeSet<(String, Topic)> {
        std::mem::take(&mut self.events.withdrawn)
    }

    /// Withdraws the messages of a remote about `topic`.
    pub(super) fn withdraw(&mut self, alias: &str, topic: Topic) {
        self.events.queue.retain(|told| told.alias != alias || told.event.topic() != Some(topic));
        if let Some(entry) = self.entries.get_mut(alias)
            && entry.last.as_ref().is_some_and(|(.., of)| *of == Some(topic))
        {
            entry.last = None;
        }
        if self.events.withdrawn.insert((alias.to_owned(), topic)) {
            (self.wake)(Duration::ZERO);
        }
    }

    pub(super) fn tell(&mut self, alias: &str, event: Event) {
        if let Event::Replaced { version, generation, took } = &event {
            let took = took.as_millis() as u64;
            tracing::info!(remote = alias, %version, generation, took, "another generation has taken over");
        }
        self.push(alias, event, None);
    }

    /// Notes what went wrong with a remote: in the log, with the remote, and for people.
    pub(super) fn note_failure(&mut self, alias: &str, failure: SharedFailure, event: Event) {
        let (stage, code, message) = (failure.stage, &*failure.code, &*failure.message);
        match event {
            // Said where it happened.
            Event::Failed => {}
            Event::NotReplaced => {
                tracing::error!(remote = alias, %stage, code, "not replaced, and the old one goes on: {message}");
            }
            _ => tracing::warn!(remote = alias, %stage, code, "{message}"),
        }
        if let Some(entry) = self.entries.get_mut(alias) {
            entry.last = Some((Arc::clone(&failure), SystemTime::now(), event.topic()));
        }
        self.push(alias, event, Some(failure));
    }

    fn push(&mut self, alias: &str, event: Event, failure: Option<SharedFailure>) {
        let title = self.entries.get(alias).map_or(alias, super::Entry::title).to_owned();
        if self.events.queue.len() == KEPT {
            self.events.queue.pop_front();
        }
        let told = Told { alias: alias.to_owned(), title, event, failure, at: SystemTime::now() };
        self.events.queue.push_back(told);
        (self.wake)(Duration::ZERO);
    }
}
