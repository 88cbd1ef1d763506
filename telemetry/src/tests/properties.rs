//! Compares arbitrary events as a subscriber sees them directly and through the boundary.

use proptest::prelude::*;
use tracing::{
    Metadata,
    callsite::{DefaultCallsite, Identifier},
    field::{self, FieldSet, Value},
    metadata::Kind,
};

use super::*;

/// Creates metadata with the static lifetime that `tracing` requires.
pub(super) fn metadata(
    name: &str,
    target: &str,
    level: Level,
    fields: &'static [&'static str],
) -> &'static Metadata<'static> {
    static IDENTITY: DefaultCallsite = DefaultCallsite::new(&OF_IDENTITY);
    static OF_IDENTITY: Metadata<'static> = Metadata::new(
        "identity",
        "test",
        Level::TRACE,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&IDENTITY)),
        Kind::EVENT,
    );
    let leak = |text: &str| &*text.to_owned().leak();
    let fields = FieldSet::new(fields, Identifier(&IDENTITY));
    let (file, module) = (Some(leak("file.rs")), Some(leak(target)));
    let line = u32::try_from(name.len()).ok();
    Box::leak(Box::new(Metadata::new(leak(name), leak(target), level, file, line, module, fields, Kind::EVENT)))
}

/// An error with causes.
#[derive(Clone, Debug)]
struct Failed(Vec<String>, Option<Box<Failed>>);

impl Failed {
    fn new(mut texts: Vec<String>) -> Self {
        let rest = texts.split_off(1);
        Self(texts, (!rest.is_empty()).then(|| Box::new(Self::new(rest))))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[0])
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

/// Generates values of each kind.
fn value() -> impl Strategy<Value = Seen> {
    prop_oneof![
        any::<bool>().prop_map(Seen::Bool),
        any::<i64>().prop_map(Seen::I64),
        any::<u64>().prop_map(Seen::U64),
        any::<i128>().prop_map(Seen::I128),
        any::<u128>().prop_map(Seen::U128),
        any::<u64>().prop_map(Seen::F64),
        any::<String>().prop_map(Seen::Str),
        any::<Vec<u8>>().prop_map(Seen::Bytes),
        prop::collection::vec(any::<String>(), 1..5).prop_map(Seen::Error),
        any::<String>().prop_map(Seen::Debug),
    ]
}

fn as_value(seen: &Seen) -> Box<dyn Value + '_> {
    match seen {
        Seen::Bool(value) => Box::new(*value),
        Seen::I64(value) => Box::new(*value),
        Seen::U64(value) => Box::new(*value),
        Seen::I128(value) => Box::new(*value),
        Seen::U128(value) => Box::new(*value),
        Seen::F64(bits) => Box::new(f64::from_bits(*bits)),
        Seen::Str(text) => Box::new(text.as_str()),
        Seen::Bytes(bytes) => Box::new(bytes.as_slice()),
        Seen::Error(texts) => Box::new(Box::new(Failed::new(texts.clone())) as Box<dyn Error>),
        Seen::Debug(text) => Box::new(field::debug(text)),
    }
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(vec![Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE])
}

proptest! {
    #[test]
    fn event_is_the_same_through_the_boundary(
        name in ".{0,20}",
        target in "[a-z]{1,8}(::[a-z]{1,8})?",
        level in level(),
        names in prop::collection::vec("[a-z_.]{1,9}|message|remote|spans", 0..12),
        values in prop::collection::vec(prop::option::weighted(0.9, value()), 12),
    ) {
        let leaked: Vec<&'static str> = names.iter().map(|name| &*name.clone().leak()).collect();
        let metadata = metadata(&name, &target, level, leaked.leak());
        let values: Vec<_> = values.iter().take(names.len()).map(|v| v.as_ref().map(as_value)).collect();
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        let log = || tracing::dispatcher::get_default(|subscriber| {
            assert!(subscriber.enabled(metadata), "the filter accepts every event");
            subscriber.event(&Event::new(metadata, &metadata.fields().value_set_all(&values)));
        });

        let direct = Collect::default();
        with_default(&Dispatch::new(registry().with(direct.clone())), log);
        let mut expected = direct.take();
        for (name, _) in &mut expected[0].fields {
            if ["remote", "spans"].contains(&&**name) {
                *name = format!("remote.{name}");
            }
        }
        expected[0].fields.push(("remote".to_owned(), Seen::Str("remoteTest".to_owned())));
        prop_assert_eq!(through(all(), log), expected);
    }
}
