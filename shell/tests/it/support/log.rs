//! Log lines of the shell and its remotes.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// A line of the log: its thread, level and target, and its message and fields as `key=value`.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) thread: ThreadId,
    pub(crate) level: tracing::Level,
    pub(crate) target: String,
    pub(crate) text: String,
}

/// Returns all lines logged by this process so far. Tests run in parallel and in any order:
/// look for a text that only yours logs, or for lines of your thread, on which a headless window logs.
pub(crate) fn log() -> Vec<Line> {
    static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());
    static INSTALLED: OnceLock<()> = OnceLock::new();

    struct Collect;
    impl<S: tracing::Subscriber> Layer<S> for Collect {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            let metadata = event.metadata();
            if !metadata.target().starts_with("pulse") && metadata.fields().field("remote").is_none() {
                return;
            }
            let mut text = Text(String::new());
            event.record(&mut text);
            let (level, target) = (*metadata.level(), metadata.target().to_owned());
            let line = Line { thread: thread::current().id(), level, target, text: text.0 };
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    struct Text(String);
    impl Visit for Text {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.extend([format!("{field}={value} ")]);
        }

        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.extend([format!("{field}={value:?} ")]);
        }
    }

    INSTALLED.get_or_init(|| tracing_subscriber::registry().with(Collect).init());
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
