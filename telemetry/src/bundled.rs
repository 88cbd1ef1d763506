//! The implementation that every image carries: the choice of the output for the events of all participants.

use std::{
    env,
    io::{self, IsTerminal},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, RStr},
};
use plugin_api::shared::Consumer;
use tracing::{Dispatch, level_filters::LevelFilter};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, registry};

use crate::{
    api::{Hub, Hub_TO, HubArc, OutputArc, SinkArc},
    line::OneLine,
    replay,
};

/// The route of participants' events: to the attached output, or without one to standard error.
#[derive(Clone, Default)]
pub struct Switch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    output: RwLock<Option<OutputArc>>,
    epoch: AtomicU64,
}

impl Switch {
    /// Creates a switch without an attached output.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds the switch for `consumer`, or a fresh switch if the consumer is isolated.
    pub fn bind(&self, consumer: Consumer) -> HubArc {
        let switch = if consumer.isolated { Self::new() } else { self.clone() };
        Hub_TO::from_ptr(RArc::new(Binding { switch, consumer }), TD_Opaque)
    }
}

#[derive(Clone)]
struct Binding {
    switch: Switch,
    consumer: Consumer,
}

impl Hub for Binding {
    fn epoch(&self) -> u64 {
        self.switch.0.epoch.load(Ordering::Acquire)
    }

    fn sink(&self) -> SinkArc {
        let attached = self.switch.0.output.read().unwrap_or_else(PoisonError::into_inner).clone();
        // The lock is released before another image's code runs.
        let output = attached.unwrap_or_else(|| standard_error().clone());
        output.bind(RStr::from_str(&self.consumer.name))
    }

    fn attach(&self, output: OutputArc) -> bool {
        if self.consumer.all {
            let inner = &self.switch.0;
            let before = inner.output.write().unwrap_or_else(PoisonError::into_inner).replace(output);
            inner.epoch.fetch_add(1, Ordering::AcqRel);
            drop(before);
        }
        self.consumer.all
    }
}

/// Returns this image's own output, filtered by `PULSE_SHELL_LOG` (`TARGET=LEVEL,…`), by default from `info` on.
fn standard_error() -> &'static OutputArc {
    static OUTPUT: OnceLock<OutputArc> = OnceLock::new();
    OUTPUT.get_or_init(|| {
        let chosen = env::var("PULSE_SHELL_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
        let filter = chosen.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
        let lines = fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .event_format(OneLine::default());
        replay::into(Dispatch::new(registry().with(lines).with(filter)))
    })
}
