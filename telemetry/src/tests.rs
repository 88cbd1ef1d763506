//! Sends events from the forwarding subscriber through the ABI's types to a collecting subscriber, in one image.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use plugin_api::shared::{Consumer, notify_fn};
use tracing::{
    Dispatch, Event, Level, Subscriber,
    dispatcher::with_default,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, layer::Context, layer::SubscriberExt, registry, reload,
};

use crate::{
    api::HubArc,
    bundled::Switch,
    forward::{Forward, Line},
    limits::{MAX_FIELDS, MAX_NAME, MAX_SPANS, MAX_VALUE},
    replay,
};

mod properties;

/// A value as a subscriber sees it.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    /// The bits of the float, because NaN is not equal to itself.
    F64(u64),
    Str(String),
    Bytes(Vec<u8>),
    /// The error and its causes.
    Error(Vec<String>),
    Debug(String),
}

/// An event as a subscriber sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    name: String,
    target: String,
    level: Level,
    file: Option<String>,
    line: Option<u32>,
    module_path: Option<String>,
    fields: Vec<(String, Seen)>,
}

impl Taken {
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        match self.fields.iter().find(|(known, _)| known == name) {
            Some((_, Seen::Str(text) | Seen::Debug(text))) => text,
            other => panic!("`{name}` is {other:?} in {self:?}"),
        }
    }
}

impl Visit for Taken {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name().to_owned(), Seen::Bool(value)));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name().to_owned(), Seen::I64(value)));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name().to_owned(), Seen::U64(value)));
    }
    fn record_i128(&mut self, field: &Field, value: i128) {
        self.fields.push((field.name().to_owned(), Seen::I128(value)));
    }
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.fields.push((field.name().to_owned(), Seen::U128(value)));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name().to_owned(), Seen::F64(value.to_bits())));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name().to_owned(), Seen::Str(value.to_owned())));
    }
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.fields.push((field.name().to_owned(), Seen::Bytes(value.to_owned())));
    }
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let chain = std::iter::successors(Some(value), |&error| error.source());
        self.fields.push((field.name().to_owned(), Seen::Error(chain.map(ToString::to_string).collect())));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.push((field.name().to_owned(), Seen::Debug(format!("{value:?}"))));
    }
}

/// A layer that collects every event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collect(Arc<Mutex<Vec<Taken>>>);

impl Collect {
    pub(crate) fn take(&self) -> Vec<Taken> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn messages(&self) -> Vec<String> {
        self.take().iter().map(|taken| taken.text("message").to_owned()).collect()
    }
}

impl<S: Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut taken = Taken {
            name: metadata.name().to_owned(),
            target: metadata.target().to_owned(),
            level: *metadata.level(),
            file: metadata.file().map(str::to_owned),
            line: metadata.line(),
            module_path: metadata.module_path().map(str::to_owned),
            fields: Vec::new(),
        };
        event.record(&mut taken);
        self.0.lock().unwrap().push(taken);
    }
}

pub(crate) fn bound(switch: &Switch, name: &str, all: bool, isolated: bool) -> HubArc {
    let (grants, notify) = (Vec::new().into(), notify_fn(|| {}));
    switch.bind(Consumer { name: name.into(), grants, all, isolated, notify })
}

/// Creates the line and the subscriber of a remote that uses `hub`.
pub(crate) fn remote(hub: HubArc) -> (Line, Dispatch) {
    let line = Line::default();
    line.connect(hub);
    (line.clone(), Dispatch::new(Forward::new(line)))
}

/// Runs `code` as a remote's, for a host whose subscriber has this filter, and returns the events that arrived there.
fn through(filter: impl Layer<registry::Registry> + Send + Sync, code: impl FnOnce()) -> Vec<Taken> {
    let (switch, collect) = (Switch::new(), Collect::default());
    let host = Dispatch::new(registry().with(filter).with(collect.clone()));
    assert!(bound(&switch, "host", true, false).attach(replay::into(host)));
    let (_, forward) = remote(bound(&switch, "remoteTest", false, false));
    with_default(&forward, code);
    collect.take()
}

fn all() -> Targets {
    Targets::new().with_default(Level::TRACE)
}

/// A value that counts how often it is formatted, and formats as this number.
struct Counted<'a>(&'a AtomicUsize);

impl fmt::Debug for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[test]
fn event_arrives_with_its_fields_and_remote_name() {
    let line = line!() + 1;
    let taken = through(all(), || tracing::warn!(rows = 3_u64, ok = true, user = %"Ada", "imported {}", "all"));
    let [taken] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!((taken.level, &*taken.target, taken.line), (Level::WARN, module_path!(), Some(line)));
    assert_eq!((taken.file.as_deref(), taken.module_path.as_deref()), (Some(file!()), Some(module_path!())));
    let fields: Vec<_> = taken.fields.iter().map(|(name, seen)| (name.as_str(), seen.clone())).collect();
    let text = |text: &str| Seen::Debug(text.to_owned());
    assert_eq!(
        fields,
        [
            ("message", text("imported all")),
            ("rows", Seen::U64(3)),
            ("ok", Seen::Bool(true)),
            ("user", text("Ada")),
            ("remote", Seen::Str("remoteTest".to_owned())),
        ]
    );
}

#[test]
fn unwanted_events_are_never_formatted() {
    let count = AtomicUsize::new(0);
    let filter = Targets::new().with_target("telemetry", Level::INFO);
    let taken = through(filter, || {
        tracing::debug!(counted = ?Counted(&count), "not wanted");
        let _span = tracing::debug_span!("not wanted", counted = ?Counted(&count)).entered();
        tracing::info!(target: "elsewhere", counted = ?Counted(&count), "not wanted");
        assert_eq!(count.load(Ordering::SeqCst), 0);
        tracing::info!(counted = ?Counted(&count), "wanted");
    });
    assert_eq!((taken.len(), taken[0].text("message"), count.into_inner()), (1, "wanted", 1));
    assert!(!taken[0].has("spans"), "{taken:?}");
}

#[test]
fn host_filters_see_target_level_and_remote_field() {
    let log = || {
        tracing::info!(target: "hello", "info");
        tracing::debug!(target: "hello::deep", "debug");
        tracing::trace!(target: "hello", "trace");
        tracing::info!(target: "other", "other");
        tracing::error!(target: "other", "error");
    };
    for (filter, expected) in [
        ("warn,hello=debug", &["info", "debug", "error"][..]),
        ("off,hello::deep=trace", &["debug"]),
        ("hello", &["info", "debug", "trace"]),
        // A filter by the name of a field; by a field's value `EnvFilter` filters only spans.
        ("warn,[{remote}]=info", &["info", "other", "error"]),
        ("warn,[{remote=remoteTest}]=info", &["error"]),
    ] {
        let taken = through(EnvFilter::new(filter), log);
        let messages: Vec<_> = taken.iter().map(|t| t.text("message")).collect();
        assert_eq!(messages, expected, "{filter}");
    }
}

#[test]
fn changed_filter_applies_from_the_next_event() {
    let (filter, handle) = reload::Layer::new(EnvFilter::new("info"));
    let count = AtomicUsize::new(0);
    let taken = through(filter, || {
        for filter in ["debug", "error", "debug"] {
            tracing::debug!(counted = ?Counted(&count), "before {filter}");
            handle.reload(EnvFilter::new(filter)).unwrap();
            tracing::debug!("after {filter}");
        }
    });
    let messages: Vec<_> = taken.iter().map(|t| t.text("message")).collect();
    assert_eq!(messages, ["after debug", "before error", "after debug"]);
    assert_eq!(count.into_inner(), 1);
}

#[test]
fn spans_around_an_event_arrive_as_a_field() {
    let taken = through(all(), || {
        let outer = tracing::info_span!("outer", a = 1, late = tracing::field::Empty);
        let entered = outer.clone().entered();
        outer.record("late", "b");
        tracing::info!("one");
        let inner = tracing::info_span!("inner").entered();
        tracing::info!("both");
        tracing::info!(parent: None, "root");
        tracing::info!(parent: &outer, "explicit");
        // Out of order.
        drop(entered);
        tracing::info!("inner alone is entered");
        let current = tracing::Span::current();
        thread::scope(|scope| {
            let forward = tracing::dispatcher::get_default(Clone::clone);
            let elsewhere = move || {
                with_default(&forward, || {
                    tracing::info!("thread");
                    current.in_scope(|| tracing::info!("thread in the span"));
                });
            };
            scope.spawn(elsewhere).join().unwrap();
        });
        drop(inner);
        tracing::info!("none");
    });
    let spans: Vec<_> = taken
        .iter()
        .map(|taken| (taken.text("message"), if taken.has("spans") { taken.text("spans") } else { "" }))
        .collect();
    let outer = "outer{a=1 late=\"b\"}";
    let both = format!("{outer}:inner");
    assert_eq!(
        spans,
        [
            ("one", outer),
            ("both", &both),
            ("root", ""),
            ("explicit", outer),
            ("inner alone is entered", &both),
            ("thread", ""),
            ("thread in the span", &both),
            ("none", ""),
        ]
    );
}

#[test]
fn remote_cannot_forge_the_hosts_fields() {
    let taken = through(all(), || tracing::info!(remote = "pulse", spans = 1, "I am the host"));
    assert_eq!((taken[0].text("remote"), taken[0].text("remote.remote")), ("remoteTest", "pulse"));
    assert!(taken[0].has("remote.spans") && !taken[0].has("spans"), "{taken:?}");
}

#[test]
fn long_texts_are_cut_on_both_sides() {
    let long = "ä".repeat(MAX_VALUE);
    let taken = through(all(), || {
        let _span = tracing::info_span!("span", long).entered();
        tracing::info!(text = long, formatted = ?long, "{long}");
    });
    for name in ["text", "formatted", "message"] {
        let text = taken[0].text(name);
        assert!(text.ends_with('…') && text.len() <= MAX_VALUE + '…'.len_utf8(), "{name}: {}", text.len());
    }
    assert!(taken[0].text("spans").len() <= MAX_SPANS + '…'.len_utf8());
}

#[test]
fn panicking_subscriber_loses_only_that_event() {
    struct Panics;
    impl<S: Subscriber> Layer<S> for Panics {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            assert_ne!(event.metadata().target(), "boom", "the subscriber panics on purpose");
        }
        fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
            assert_ne!(metadata.target(), "boom in the filter", "the filter panics on purpose");
            true
        }
        fn register_callsite(&self, _: &'static tracing::Metadata<'static>) -> tracing::subscriber::Interest {
            tracing::subscriber::Interest::sometimes()
        }
    }
    let taken = through(Panics, || {
        tracing::info!(target: "boom", "lost");
        tracing::info!(target: "boom in the filter", "lost too");
        tracing::info!("kept");
    });
    let messages: Vec<_> = taken.iter().map(|t| t.text("message")).collect();
    assert_eq!(messages, ["kept"]);
}

#[test]
fn subscriber_that_logs_does_not_recurse_forever() {
    struct Chatty(AtomicUsize);
    impl<S: Subscriber> Layer<S> for Chatty {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            assert!(self.0.fetch_add(1, Ordering::SeqCst) < 2, "an event about an event about an event");
            tracing::info!("there was an event");
        }
    }
    assert_eq!(through(Chatty(AtomicUsize::new(0)).with_filter(all()), || tracing::info!("first")).len(), 1);
}

#[test]
fn only_hosts_attach_and_the_last_output_is_used() {
    let switch = Switch::new();
    let (_, forward) = remote(bound(&switch, "remoteTest", false, false));
    let outputs = [(); 3].map(|()| Collect::default());
    let [refused, first, second] =
        outputs.clone().map(|collect| replay::into(Dispatch::new(registry().with(collect))));
    let host = bound(&switch, "host", true, false);
    assert!(!bound(&switch, "remoteTest", false, false).attach(refused));
    let log = |number: u32| tracing::info!("{number}");
    assert!(host.attach(first));
    with_default(&forward, || log(1));
    assert!(host.attach(second));
    drop(host);
    with_default(&forward, || log(2));
    assert_eq!(outputs.map(|collect| collect.messages()), [vec![], vec!["1".to_owned()], vec!["2".to_owned()]]);
}

#[test]
fn cut_line_drops_events_and_can_reconnect() {
    let (switch, collect) = (Switch::new(), Collect::default());
    bound(&switch, "host", true, false).attach(replay::into(Dispatch::new(registry().with(collect.clone()))));
    let (line, forward) = remote(bound(&switch, "remoteTest", false, false));
    let log = |number: u32| with_default(&forward, || tracing::info!("{number}"));
    log(1);
    line.cut();
    log(2);
    line.connect(bound(&switch, "remoteTest", false, false));
    log(3);
    // An isolated participant has a switch of its own, without the host's output.
    line.connect(bound(&switch, "remoteTest", false, true));
    log(4);
    assert_eq!(collect.messages(), ["1", "3"]);
}

#[test]
fn output_change_neither_loses_nor_doubles_events() {
    let switch = Switch::new();
    let collects = [(); 2].map(|()| Collect::default());
    let outputs = collects.clone().map(|collect| replay::into(Dispatch::new(registry().with(collect))));
    let host = bound(&switch, "host", true, false);
    assert!(host.attach(outputs[0].clone()));
    let (_, forward) = remote(bound(&switch, "remoteBusy", false, false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| with_default(&forward, || (0..200).for_each(|i| tracing::info!("{i}"))));
        }
        for output in outputs.iter().cycle().take(200) {
            assert!(host.attach(output.clone()));
        }
    });
    let mut messages: Vec<_> = collects.iter().flat_map(Collect::messages).collect();
    messages.sort_unstable();
    let mut expected: Vec<_> = (0..4 * 200).map(|i| (i / 4).to_string()).collect();
    expected.sort_unstable();
    assert_eq!(messages, expected);
}

#[test]
fn event_with_too_many_fields_keeps_the_first() {
    let names: Vec<&str> = (0..MAX_FIELDS + 8).map(|i| &*format!("f{i}").leak()).collect();
    let names: &'static [&'static str] = names.leak();
    let metadata = properties::metadata(&"n".repeat(2 * MAX_NAME), "many", Level::INFO, names);
    let taken = through(all(), || {
        let values: Vec<Option<&dyn tracing::Value>> = names.iter().map(|_| Some(&1_u64 as _)).collect();
        tracing::dispatcher::get_default(|forward| {
            assert!(forward.enabled(metadata));
            forward.event(&Event::new(metadata, &metadata.fields().value_set_all(&values)));
        });
    });
    assert_eq!(taken[0].fields.len(), MAX_FIELDS + 1);
    assert_eq!(taken[0].text("remote"), "remoteTest");
    assert_eq!(taken[0].name.len(), MAX_NAME + '…'.len_utf8());
}

#[test]
fn flood_of_a_remote_is_cut_and_does_not_touch_others() {
    let (switch, collect) = (Switch::new(), Collect::default());
    let host = Dispatch::new(registry().with(all()).with(collect.clone()));
    assert!(bound(&switch, "host", true, false).attach(replay::into(host)));
    // A new connection does not raise the limit.
    for _ in 0..3 {
        let (_, forward) = remote(bound(&switch, "remoteFlood", false, false));
        with_default(&forward, || (0..5_000).for_each(|i| tracing::error!("{i}")));
    }
    let (_, forward) = remote(bound(&switch, "remoteCalm", false, false));
    with_default(&forward, || tracing::info!("calm"));
    let taken = collect.take();
    assert!((1_000..4_000).contains(&taken.len()), "{}", taken.len());
    let suppressed: Vec<_> = taken.iter().filter(|taken| taken.has("code")).collect();
    assert_eq!((suppressed[0].text("code"), suppressed[0].text("remote")), ("log-suppressed", "remoteFlood"));
    assert_eq!(taken.last().map(|taken| taken.text("message")), Some("calm"));
}
