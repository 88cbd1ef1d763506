//! The host's side: replays events of remotes as events of this image's `tracing`.
//!
//! An event has the remote's own level, target, file, line, module and fields, and two more fields:
//!
//! - `remote`, the remote's name;
//! - `spans`, the spans around it, outermost first: `import{file="a"}:decode`. Spans themselves stay in the remote.
//!
//! A remote's own field of these names is renamed: `remote.remote`, `remote.spans`.

use std::{
    borrow::Cow,
    error::Error,
    fmt::{self, Display},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption::RNone, RSlice, RStr},
};
use tracing::{
    Dispatch, Event, dispatcher,
    field::{self, DisplayValue},
};

mod sites;

use self::sites::{Site, Sites};
use crate::{
    api::{Callsite, Output, Output_TO, OutputArc, Sink, Sink_TO, SinkArc, Value, ValueKind},
    limits::{MAX_CAUSES, MAX_NAME, MAX_SPANS, MAX_VALUE, cut},
    rate::{Bucket, RateDecision},
};

/// Message for the first suppressed event.
pub const SUPPRESSED: &str = "the remote logs more than 200 events or 200 KiB a second; events beyond that are suppressed until it logs less";

/// Creates an output to this image's subscriber: at each event the default of the thread, or else of the process.
pub fn into_default() -> OutputArc {
    output(Target::Default, Sites::of_process())
}

/// Creates an output to `dispatch`.
pub fn into(dispatch: Dispatch) -> OutputArc {
    output(Target::Given(dispatch), Sites::of_process())
}

fn output(target: Target, sites: &'static Sites) -> OutputArc {
    Output_TO::from_ptr(RArc::new(Replay { target, sites }), TD_Opaque)
}

#[derive(Clone)]
struct Replay {
    target: Target,
    sites: &'static Sites,
}

#[derive(Clone)]
enum Target {
    Default,
    Given(Dispatch),
}

impl Target {
    fn with<R>(&self, f: impl Fn(&Dispatch) -> R) -> R {
        match self {
            Self::Default => dispatcher::get_default(f),
            Self::Given(dispatch) => f(dispatch),
        }
    }
}

impl Output for Replay {
    fn bind(&self, remote: RStr<'_>) -> SinkArc {
        let remote = cut(remote.as_str(), MAX_NAME).into_owned();
        let bucket = Bucket::of(&remote);
        Sink_TO::from_ptr(RArc::new(OfRemote { replay: self.clone(), remote, bucket }), TD_Opaque)
    }
}

/// The sink of one remote.
#[derive(Clone)]
struct OfRemote {
    replay: Replay,
    remote: String,
    bucket: Arc<Bucket>,
}

impl Sink for OfRemote {
    fn register(&self, callsite: Callsite<'_>) -> u64 {
        // Registration shows new callsites to the subscriber, which may panic.
        contained(|| self.replay.sites.number(&self.remote, &callsite)).unwrap_or(u64::MAX)
    }

    fn enabled(&self, callsite: u64) -> bool {
        let enabled = || {
            let site = self.replay.sites.get(callsite, &self.remote)?;
            Some(self.replay.target.with(|dispatch| site.is_enabled(dispatch)))
        };
        contained(enabled).flatten().unwrap_or(false)
    }

    fn emit(&self, callsite: u64, spans: RStr<'_>, values: RSlice<'_, Value<'_>>) {
        contained(|| {
            let Some(site) = self.replay.sites.get(callsite, &self.remote) else { return };
            self.replay.target.with(|dispatch| {
                // Asks again, on this side: the filter may have changed, and some subscribers remember the answer for
                // the next event.
                if site.is_enabled(dispatch) && self.passes(dispatch, &values) {
                    self.dispatch(dispatch, site, spans.as_str(), values.as_slice());
                }
            });
        });
    }
}

impl OfRemote {
    /// Returns `true` for an event within the remote's limit. Logs the start of a suppression, and afterwards the
    /// number of suppressed events.
    fn passes(&self, dispatch: &Dispatch, values: &[Value<'_>]) -> bool {
        let bytes = values.iter().map(|value| value.data.len().min(MAX_VALUE)).sum();
        let decision = self.bucket.take(bytes);
        let text = match decision {
            RateDecision::Pass => return true,
            RateDecision::Suppress => return false,
            RateDecision::PassAfter(suppressed) => format!("{suppressed} events were suppressed"),
            RateDecision::Overflow => SUPPRESSED.to_owned(),
        };
        let fields = ["message", "code"].map(RStr::from_str);
        let site = Callsite {
            name: "suppressed".into(),
            target: module_path!().into(),
            level: 2,
            file: RNone,
            line: RNone,
            module_path: RNone,
            fields: RSlice::from_slice(&fields),
        };
        let number = self.replay.sites.number(&self.remote, &site);
        if let Some(site) = self.replay.sites.get(number, &self.remote).filter(|site| site.is_enabled(dispatch))
        {
            let value = |field, kind, text: &'static str| Value {
                field,
                kind,
                bits: [0; 2],
                data: RSlice::from_slice(text.as_bytes()),
            };
            let code = value(1, ValueKind::STR, "log-suppressed");
            let message =
                Value { data: RSlice::from_slice(text.as_bytes()), ..value(0, ValueKind::FORMATTED, "") };
            self.dispatch(dispatch, site, "", &[message, code]);
        }
        decision != RateDecision::Overflow
    }

    fn dispatch(&self, dispatch: &Dispatch, site: &'static Site, spans: &str, values: &[Value<'_>]) {
        let mut own: Vec<Option<Replayed<'_>>> = Vec::new();
        if site.is_coarse() {
            let texts = values.iter().map(|value| Replayed::of(value).to_string());
            own.push(Some(Replayed::formatted(Cow::Owned(texts.collect::<Vec<_>>().join(" ")))));
        } else {
            own.resize_with(site.own_fields(), || None);
            for (at, value) in values.iter().enumerate() {
                if let Some(slot) = own.get_mut(value.field as usize)
                    && value.kind != ValueKind::CAUSE
                {
                    *slot = Some(Replayed::with_causes(value, &values[at + 1..]));
                }
            }
        }
        let spans = cut(spans, MAX_SPANS);
        let (spans, remote) = (&*spans, self.remote.as_str());
        let mut all: Vec<Option<&dyn field::Value>> =
            own.iter().map(|value| value.as_ref().map(Replayed::as_value)).collect();
        all.push((!spans.is_empty()).then_some(&spans));
        all.push(Some(&remote));
        let metadata = site.metadata();
        dispatch.event(&Event::new(metadata, &metadata.fields().value_set_all(&all)));
    }
}

/// Runs `f`, and returns `None` if it panics: the panic hook has reported it, and the event is lost.
fn contained<R>(f: impl FnOnce() -> R) -> Option<R> {
    // A subscriber that panicked sees the next event as it would without a boundary.
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // The payload's destructor may panic in turn.
            #[expect(clippy::mem_forget, reason = "see above")]
            std::mem::forget(payload);
            None
        }
    }
}

/// A value in the form that `tracing` accepts.
enum Replayed<'a> {
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Str(&'a str),
    LongStr(String),
    Bytes(&'a [u8]),
    Error(Box<dyn Error + 'static>),
    Formatted(DisplayValue<Cow<'a, str>>),
}

impl<'a> Replayed<'a> {
    fn of(value: &Value<'a>) -> Self {
        Self::with_causes(value, &[])
    }

    fn formatted(text: Cow<'a, str>) -> Self {
        Self::Formatted(field::display(text))
    }

    /// Converts `value`; `after` are the values behind it, which begin with the causes of an error.
    fn with_causes(value: &Value<'a>, after: &[Value<'a>]) -> Self {
        let [low, high] = value.bits;
        let wide = u128::from(high) << 64 | u128::from(low);
        match value.kind {
            ValueKind::BOOL => Self::Bool(low != 0),
            ValueKind::I64 => Self::I64(low.cast_signed()),
            ValueKind::U64 => Self::U64(low),
            ValueKind::I128 => Self::I128(wide.cast_signed()),
            ValueKind::U128 => Self::U128(wide),
            ValueKind::F64 => Self::F64(f64::from_bits(low)),
            ValueKind::STR => match text(value) {
                Cow::Borrowed(text) => Self::Str(text),
                Cow::Owned(text) => Self::LongStr(text),
            },
            ValueKind::BYTES => {
                let bytes = value.data.as_slice();
                Self::Bytes(&bytes[..bytes.len().min(MAX_VALUE)])
            }
            ValueKind::ERROR => {
                let causes = after.iter().take_while(|next| next.kind == ValueKind::CAUSE).take(MAX_CAUSES);
                let texts: Vec<_> =
                    std::iter::once(value).chain(causes).map(|v| text(v).into_owned()).collect();
                let chain = texts.into_iter().rev().fold(None, |cause: Option<Box<ErrorText>>, text| {
                    Some(Box::new(ErrorText { text, cause }))
                });
                match chain {
                    Some(error) => Self::Error(error),
                    None => Self::formatted(Cow::Borrowed("")),
                }
            }
            // Text, and kinds of later versions.
            _ => Self::formatted(text(value)),
        }
    }

    fn as_value(&self) -> &dyn field::Value {
        match self {
            Self::Bool(value) => value,
            Self::I64(value) => value,
            Self::U64(value) => value,
            Self::I128(value) => value,
            Self::U128(value) => value,
            Self::F64(value) => value,
            Self::Str(value) => value,
            Self::LongStr(value) => value,
            Self::Bytes(value) => value,
            Self::Error(value) => value,
            Self::Formatted(value) => value,
        }
    }
}

impl Display for Replayed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::I128(value) => value.fmt(f),
            Self::U128(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Str(value) => f.write_str(value),
            Self::LongStr(value) => f.write_str(value),
            Self::Bytes(value) => write!(f, "{value:?}"),
            Self::Error(value) => value.fmt(f),
            Self::Formatted(value) => value.fmt(f),
        }
    }
}

/// Returns a value's text, cut if it is too long, and with replacement characters if it is not UTF-8.
fn text<'a>(value: &Value<'a>) -> Cow<'a, str> {
    match String::from_utf8_lossy(value.data.as_slice()) {
        Cow::Borrowed(text) => cut(text, MAX_VALUE),
        Cow::Owned(text) => Cow::Owned(cut(&text, MAX_VALUE).into_owned()),
    }
}

/// An error of a remote, as the texts of the error and its causes.
struct ErrorText {
    text: String,
    cause: Option<Box<ErrorText>>,
}

impl Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for ErrorText {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use tracing::dispatcher::with_default;
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;
    use crate::{
        bundled::Switch,
        tests::{Collect, bound, remote},
    };

    #[test]
    fn event_without_callsite_room_becomes_a_message() {
        let (switch, collect) = (Switch::new(), Collect::default());
        let host = Target::Given(Dispatch::new(registry().with(collect.clone())));
        let no_room = Box::leak(Box::new(Sites::new(0)));
        assert!(bound(&switch, "host", true, false).attach(output(host, no_room)));
        let (_, forward) = remote(bound(&switch, "remoteTest", false, false));
        let error: &(dyn Error + 'static) = &fmt::Error;
        with_default(&forward, || tracing::warn!(rows = 3, name = "a", ?collect, error, "imported"));
        let [taken] = &collect.take()[..] else { panic!("expected one event") };
        assert_eq!(taken.text("message"), format!("imported 3 a {collect:?} {error}"));
        assert_eq!(taken.text("remote"), "remoteTest");
    }
}
