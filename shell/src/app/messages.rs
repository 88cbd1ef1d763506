//! Messages: one for each event, in a list in the inspector. A message that needs attention is also a notice at the
//! bottom of the main area, until it is dismissed, answered or no longer true.
//!
//! Notices have their own panel and cover nothing. They are ordinary widgets and never take the keyboard.

use std::{
    collections::{BTreeSet, VecDeque},
    time::SystemTime,
};

use negotiation::text;

use crate::{
    failure::{Failure, FailureCode, SharedFailure, sentence},
    federation::{Notification, RemoteEvent, Topic},
};

use super::{action::Action, supply};

mod ui;

/// The most messages in the list; another one replaces the oldest.
const LISTED: usize = 200;

/// The most bytes of a text in a message; the rest is in the log.
const LONGEST: usize = 2_000;

/// The importance of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Info,
    Warning,
    Error,
}

/// The effect of a message's button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Press {
    /// Runs an action on the remote of the message.
    Act(String, Action),
    /// Opens the inspector's list of remotes.
    Show,
    /// Opens the list of messages.
    List,
}

/// A message in the window's list.
#[derive(Clone, Debug)]
pub(super) struct Message {
    weight: Weight,
    /// The alias of its remote.
    alias: Option<String>,
    /// The subject; a later message about the same remote and topic resolves it.
    topic: Option<Topic>,
    title: String,
    text: String,
    /// The advice; may be empty.
    advice: String,
    code: Option<FailureCode>,
    /// The button's text, its accessible name, and its effect.
    button: Option<(&'static str, String, Press)>,
    /// The number of equal messages.
    count: u32,
    at: SystemTime,
    id: u64,
    /// It is shown as a notice.
    notice: bool,
    /// It is no longer true.
    over: bool,
}

impl Message {
    /// Returns a message for the list alone.
    pub(super) fn info(title: impl Into<String>, text: impl AsRef<str>) -> Self {
        Self {
            weight: Weight::Info,
            alias: None,
            topic: None,
            title: title.into(),
            text: text::lines(text.as_ref(), LONGEST),
            advice: String::new(),
            code: None,
            button: None,
            count: 1,
            at: SystemTime::now(),
            id: 0,
            notice: false,
            over: false,
        }
    }

    /// Returns a notice of a failure.
    pub(super) fn failure(title: impl Into<String>, failure: &SharedFailure) -> Self {
        Self { weight: Weight::Error, notice: true, ..Self::info(title, "").because(failure, "") }
    }

    /// Adds the texts of a failure; `lead` goes before its summary.
    fn because(self, failure: &Failure, lead: &str) -> Self {
        let text = text::lines(&format!("{lead}{}", sentence(&failure.summary)), LONGEST);
        let advice = text::lines(&failure.advice, LONGEST);
        Self { text, advice, code: Some(failure.code.clone()), ..self }
    }

    /// Adds a button.
    pub(super) fn with(self, text: &'static str, name: impl Into<String>, press: Press) -> Self {
        Self { button: Some((text, name.into(), press)), ..self }
    }

    /// Makes it a notice: the user can decide something.
    pub(super) fn noticed(self) -> Self {
        Self { notice: true, ..self }
    }

    /// Keeps it from being a notice: its slot shows the same.
    pub(super) fn in_list_alone(self) -> Self {
        Self { notice: false, ..self }
    }

    /// Returns the message of an event.
    pub(super) fn of(notification: &Notification) -> Self {
        let Notification { alias, title, event, failure, at } = notification;
        let (weight, notice, head, lead) = match event {
            RemoteEvent::Replaced { version, generation, took } => {
                let text = format!("Generation {generation}, after {} ms", took.as_millis());
                (Weight::Info, false, format!("{title} {version} is running"), text)
            }
            RemoteEvent::Installed => {
                let text = "Enable it to use it.".to_owned();
                (Weight::Info, true, format!("{title} is installed but not enabled"), text)
            }
            RemoteEvent::NotReplaced => {
                let text = "Still running the previous build. ".to_owned();
                (Weight::Error, true, format!("Couldn't update {title}"), text)
            }
            RemoteEvent::StateLost => (Weight::Warning, true, format!("{title} lost its state"), String::new()),
            RemoteEvent::Failed => (Weight::Error, true, format!("{title} failed"), String::new()),
            RemoteEvent::Disabled => (Weight::Error, true, format!("{title} was disabled"), String::new()),
            RemoteEvent::StillLoaded => {
                (Weight::Info, false, format!("Part of {title} is still loaded"), String::new())
            }
            RemoteEvent::FileUnusable => {
                let text = "The build that was running is unchanged. ".to_owned();
                (Weight::Error, true, format!("{title} was not updated"), text)
            }
            RemoteEvent::DecisionUnsaved => {
                (Weight::Error, true, format!("Couldn't save the decision about {title}"), String::new())
            }
            RemoteEvent::UpdateOffered { release } => {
                let refused = if failure.is_some() { ". It would be refused: " } else { "" };
                let text = format!("{}{refused}", supply::about(release));
                let version = &release.about.version;
                (Weight::Info, failure.is_none(), format!("{title} {version} is available"), text)
            }
            RemoteEvent::Withdrawn => (Weight::Warning, true, format!("{title} was withdrawn"), String::new()),
            RemoteEvent::UpdatesStopped => (
                Weight::Warning,
                false,
                format!("No updates from {title}"),
                "What is installed runs. ".to_owned(),
            ),
        };
        let (alias, topic) = (Some(alias.clone()), event.topic());
        let message = Self { weight, notice, alias, topic, at: *at, ..Self::info(head, &lead) };
        let message = match failure {
            Some(failure) => message.because(failure, &lead),
            None => message,
        };
        let alias = notification.alias.clone();
        match event {
            RemoteEvent::Replaced { .. } | RemoteEvent::StillLoaded => message,
            RemoteEvent::UpdateOffered { .. } if failure.is_none() => {
                message.with("Update", format!("Update {title}"), Press::Act(alias, Action::Update))
            }
            RemoteEvent::Installed => {
                message.with("Enable", format!("Enable {title}"), Press::Act(alias, Action::Enable))
            }
            _ => message.with("Show details", format!("Show details of {title}"), Press::Show),
        }
    }

    /// Returns its texts and code in one line.
    pub(super) fn line(&self) -> String {
        let code = self.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        let parts = [&self.text, &self.advice].map(|part| text::line(part, LONGEST));
        let text = parts.join("; ").trim_matches([';', ' ']).to_owned();
        if text.is_empty() { format!("{}{code}", self.title) } else { format!("{}: {text}{code}", self.title) }
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.weight, &self.alias, &self.title, &self.text, &self.code)
            == (other.weight, &other.alias, &other.title, &other.text, &other.code)
    }
}

/// All messages of this run, oldest first.
#[derive(Default)]
pub(super) struct Messages {
    list: VecDeque<Message>,
    next: u64,
    unread: usize,
}

impl Messages {
    /// Adds `message`; an equal earlier one is counted and moves to the end.
    pub(super) fn push(&mut self, mut message: Message) {
        if let (Some(alias), Some(topic)) = (message.alias.clone(), message.topic) {
            self.withdraw(&alias, topic);
        }
        if let Some(at) = self.list.iter().position(|known| known.is_same(&message))
            && let Some(known) = self.list.remove(at)
        {
            message.count = known.count + 1;
        } else {
            if self.list.len() == LISTED {
                self.list.pop_front();
            }
            self.unread += usize::from(message.weight != Weight::Info || message.notice);
        }
        self.next += 1;
        self.list.push_back(Message { id: self.next, ..message });
    }

    /// Withdraws the notices of a remote about `topic`: they are no longer true. The list keeps them.
    pub(super) fn withdraw(&mut self, alias: &str, topic: Topic) {
        let of =
            |message: &&mut Message| message.alias.as_deref() == Some(alias) && message.topic == Some(topic);
        for message in self.list.iter_mut().filter(of) {
            (message.notice, message.over) = (false, true);
        }
    }

    /// Calls [`withdraw`](Self::withdraw) for each.
    pub(super) fn withdraw_all(&mut self, withdrawn: &BTreeSet<(String, Topic)>) {
        for (alias, topic) in withdrawn {
            self.withdraw(alias, *topic);
        }
    }

    /// Returns the number of unread messages: notices, warnings and errors since the list was last shown.
    pub(super) fn unread(&self) -> usize {
        self.unread.min(self.list.len())
    }

    /// Returns `true` if there are notices.
    pub(super) fn has_notices(&self) -> bool {
        self.list.iter().any(|message| message.notice)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        catalogue::Code,
        failure::{Failure, Stage},
    };

    fn failure(text: &str) -> SharedFailure {
        Arc::new(Failure::new(Stage::Check, Code::LibraryNotALibrary, text, ""))
    }

    fn notification(event: RemoteEvent, text: &str) -> Notification {
        let failure = (!text.is_empty()).then(|| failure(text));
        Notification {
            alias: "a".to_owned(),
            title: "Analytics".to_owned(),
            event,
            failure,
            at: SystemTime::now(),
        }
    }

    fn notices(messages: &Messages) -> Vec<(&str, u32)> {
        let shown = messages.list.iter().filter(|message| message.notice);
        shown.map(|message| (&*message.title, message.count)).collect()
    }

    #[test]
    fn same_message_is_counted_and_marked_unread_once() {
        let mut messages = Messages::default();
        messages.push(Message::info("a", ""));
        for _ in 0..3 {
            messages.push(Message::failure("first", &failure("it is broken")));
        }
        messages.push(Message::failure("second", &failure("it is broken")));
        assert_eq!(notices(&messages), [("first", 3), ("second", 1)]);
        assert_eq!((messages.list.len(), messages.unread()), (3, 2));
        for number in 0..2 * LISTED {
            messages.push(Message::failure(number.to_string(), &failure("")));
        }
        assert_eq!((messages.list.len(), messages.unread()), (LISTED, LISTED));
    }

    #[test]
    fn resolved_message_is_no_notice() {
        let mut messages = Messages::default();
        messages.push(Message::of(&notification(RemoteEvent::FileUnusable, "this is a text")));
        messages.push(Message::of(&notification(RemoteEvent::NotReplaced, "it is older")));
        assert_eq!(
            notices(&messages),
            [("Couldn't update Analytics", 1)],
            "the later message resolves the earlier one"
        );
        messages.withdraw("a", Topic::Update);
        assert!(!messages.has_notices());
        assert_eq!(messages.list.len(), 2, "the list keeps them");
        messages.push(Message::of(&notification(RemoteEvent::StateLost, "it does not fit")));
        messages
            .withdraw_all(&BTreeSet::from([("a".to_owned(), Topic::Update), ("a".to_owned(), Topic::Running)]));
        assert!(messages.has_notices(), "lost state stays true");
    }

    #[test]
    fn refused_update_is_reported_with_reason_and_code() {
        let message = Message::of(&notification(RemoteEvent::NotReplaced, "this is a text: /a.so"));
        assert_eq!(
            message.line(),
            "Couldn't update Analytics: Still running the previous build. This is a text: /a.so \
             [library-not-a-library]"
        );
    }

    #[test]
    fn text_of_any_length_becomes_one_short_message() {
        let message = Message::of(&notification(RemoteEvent::Failed, &"long\u{1b}[2J\n".repeat(100_000)));
        assert!(message.text.len() <= LONGEST && message.line().len() <= 2 * LONGEST);
        assert!(!message.line().contains(['\u{1b}', '\n']));
    }
}
