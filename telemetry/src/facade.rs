//! This crate as a shared crate.

use std::sync::{Once, OnceLock};

use plugin_api::shared::{Consumer, InstallError, SharedCrate};
use tracing::{Dispatch, dispatcher, subscriber::NoSubscriber};

use crate::{
    api::HubArc,
    bundled::Switch,
    forward::{Forward, Line},
};

/// This crate as a shared crate.
#[derive(Debug)]
pub struct Shared;

/// Returns the line of this image. `tracing` never releases a global subscriber, so the subscriber stays and its
/// line is connected and cut.
fn line() -> &'static Line {
    static LINE: OnceLock<Line> = OnceLock::new();
    LINE.get_or_init(Line::default)
}

impl SharedCrate for Shared {
    const NAME: &'static str = "telemetry";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Interface = HubArc;
    // A switch copies names; the one output that it keeps is the host's.
    const COUNTED: bool = true;

    fn bundled(consumer: Consumer) -> HubArc {
        static SWITCH: OnceLock<Switch> = OnceLock::new();
        SWITCH.get_or_init(Switch::new).bind(consumer)
    }

    /// Connects this image to `hub`. It never fails: `tracing` itself drops events before it, as in any program
    /// without a subscriber.
    fn install(hub: HubArc) -> Result<(), InstallError> {
        static SUBSCRIBER: Once = Once::new();
        line().connect(hub);
        SUBSCRIBER.call_once(|| {
            // A remote that is linked into a program has that program's subscriber, which sees its events directly.
            if dispatcher::get_default(Dispatch::is::<NoSubscriber>) {
                let _ = dispatcher::set_global_default(Dispatch::new(Forward::new(line().clone())));
            }
        });
        Ok(())
    }

    /// Does nothing: each event asks the filter again.
    fn changed() {}

    fn uninstall() {
        line().cut();
    }
}
