//! Tests the crate as an image uses it: one global subscriber, which stays, and changing providers.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    env, fmt,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use plugin_api::shared::{Consumer, SharedCrate, notify_fn};
use telemetry::{Shared, api::HubArc, bundled::Switch, replay, tracing};
use tracing::{
    Dispatch, Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    layer::{Context, SubscriberExt},
    registry,
};

/// A layer that collects the message of every event.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<String>>>);

impl Messages {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Message(&self.0));
    }
}

struct Message<'a>(&'a Mutex<Vec<String>>);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

fn consumer(name: &str, all: bool) -> Consumer {
    let (grants, notify) = (Vec::new().into(), notify_fn(|| {}));
    Consumer { name: name.into(), grants, all, isolated: false, notify }
}

/// Creates a provider whose host collects messages from `level` on, and returns the remote's binding.
fn provider(level: LevelFilter) -> (HubArc, Messages) {
    let (switch, messages) = (Switch::new(), Messages::default());
    let host = Dispatch::new(registry().with(messages.clone()).with(level));
    assert!(switch.bind(consumer("host", true)).attach(replay::into(host)));
    (switch.bind(consumer("remoteTest", false)), messages)
}

/// A value that counts how often it is formatted, and logs while it is.
struct Logs<'a>(&'a AtomicUsize);

impl fmt::Debug for Logs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::SeqCst);
        tracing::info!("from within");
        f.write_str("value")
    }
}

/// Variable that is set if this process plays a remote that runs alone.
const ALONE: &str = "TELEMETRY_TEST_ALONE";

#[test]
fn image_can_be_installed_again_after_uninstall() {
    if env::var_os(ALONE).is_some() {
        return;
    }
    let formatted = AtomicUsize::new(0);
    let log = || tracing::info!(value = ?Logs(&formatted), "logged");
    log();
    let (hub, first) = provider(LevelFilter::INFO);
    Shared::install(hub).unwrap();
    log();
    tracing::debug!(value = ?Logs(&formatted), "filtered");
    assert_eq!(
        (first.take(), formatted.load(Ordering::SeqCst)),
        (vec!["from within".into(), "logged".into()], 1)
    );

    Shared::uninstall();
    log();
    assert_eq!((first.take().len(), formatted.load(Ordering::SeqCst)), (0, 1));

    let (hub, second) = provider(LevelFilter::DEBUG);
    Shared::install(hub).unwrap();
    tracing::debug!("again");
    assert_eq!((first.take().len(), second.take()), (0, vec!["again".to_owned()]));

    // If host and remote are one program, the only subscriber is the remote's.
    let switch = Switch::new();
    assert!(switch.bind(consumer("host", true)).attach(replay::into_default()));
    Shared::install(switch.bind(consumer("remoteTest", false))).unwrap();
    tracing::info!("an event about itself");
    Shared::uninstall();
}

#[test]
fn remote_alone_logs_to_stderr_by_pulse_shell_log() {
    if env::var_os(ALONE).is_some() {
        // The remote's own copy, without an attached host.
        Shared::install(Shared::bundled(consumer("remoteTest", false))).unwrap();
        let _span = tracing::info_span!("import", file = "a").entered();
        tracing::warn!(rows = 3, "careful");
        tracing::info!("worth knowing");
        tracing::debug!("detail");
        tracing::debug!(target: "chosen", "chosen detail");
        return Shared::uninstall();
    }
    let alone = |filter: Option<&str>| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "remote_alone_logs_to_stderr_by_pulse_shell_log", "--nocapture"]);
        command.env(ALONE, "1").env_remove("PULSE_SHELL_LOG");
        command.envs(filter.map(|filter| ("PULSE_SHELL_LOG", filter)));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !text.contains('\u{1b}'), "{text}");
        text.lines()
            .map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest.trim()).to_owned())
            .collect()
    };
    let careful = r#"WARN installed: careful rows=3 spans="import{file=\"a\"}" remote="remoteTest""#;
    let knowing = r#"INFO installed: worth knowing spans="import{file=\"a\"}" remote="remoteTest""#;
    let chosen = r#"DEBUG chosen: chosen detail remote="remoteTest""#;
    let none: Vec<String> = alone(None);
    assert_eq!(none, [careful, knowing]);
    // The filter rejects the span, and the event with the chosen target has no `spans`.
    assert_eq!(alone(Some("error,chosen=debug")), [chosen]);
    // A filter that `Targets` cannot parse leaves the default.
    assert_eq!(alone(Some("[{remote=x}]=trace")), none);
}
