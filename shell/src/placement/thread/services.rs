//! Services of the host for a remote.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use abi_stable::std_types::{ROption, RStr, RString};
use negotiation::text;
use plugin_api::abi::{Font, HostServices, RemoteError};
use telemetry::{
    limits::{MAX_NAME, MAX_VALUE},
    rate::{Bucket, RateDecision},
    replay::SUPPRESSED,
};

use super::{Note, Shared, copied};
use crate::{catalogue::Code, failure::Stage, fonts, limits};

/// Rate limits of a remote's log and reports.
pub(super) struct Rates {
    log: Arc<Bucket>,
    reports: Bucket,
}

impl Rates {
    pub(super) fn of(remote: &str) -> Self {
        Self { log: Bucket::of(remote), reports: Bucket::new(limits::REPORTS, limits::REPORTS_PER_SECOND) }
    }
}

/// Services of the host for one remote. Holds nothing that keeps a surface or the remote alive.
#[derive(Clone)]
pub(super) struct ServicesOf(pub(super) Weak<Shared>);

impl HostServices for ServicesOf {
    fn log(&self, level: u32, target: RStr<'_>, message: RStr<'_>) {
        let Some(shared) = self.0.upgrade() else { return };
        let remote = shared.name.as_str();
        match shared.rates.log.take(message.len().min(MAX_VALUE)) {
            RateDecision::Pass => {}
            RateDecision::PassAfter(suppressed) => {
                tracing::warn!(
                    remote,
                    code = Code::LogSuppressed.as_str(),
                    "{suppressed} events were suppressed"
                );
            }
            RateDecision::Overflow => {
                return tracing::warn!(remote, code = Code::LogSuppressed.as_str(), "{SUPPRESSED}");
            }
            RateDecision::Suppress => return,
        }
        let (target, message) = (text::line(&target, MAX_NAME), text::line(&message, MAX_VALUE));
        let target = target.as_str();
        match level {
            1 => tracing::error!(remote, target, "{message}"),
            2 => tracing::warn!(remote, target, "{message}"),
            3 => tracing::info!(remote, target, "{message}"),
            4 => tracing::debug!(remote, target, "{message}"),
            _ => tracing::trace!(remote, target, "{message}"),
        }
    }

    fn request_repaint(&self, surface: u64, nanoseconds: u64) {
        let Some(shared) = self.0.upgrade() else { return };
        let mailbox = shared.mailboxes.lock().get(&surface).and_then(Weak::upgrade);
        if let Some(mailbox) = mailbox {
            // A day is practically never, and no sum of times overflows.
            mailbox.request(Duration::from_nanos(nanoseconds).min(Duration::from_hours(24)));
        }
    }

    fn report(&self, _: u64, error: RemoteError) {
        let Some(shared) = self.0.upgrade() else { return };
        shared.recovered.store(true, Ordering::Release);
        match shared.rates.reports.take(0) {
            RateDecision::Pass => {}
            RateDecision::PassAfter(suppressed) => {
                tracing::warn!(
                    remote = shared.name,
                    code = Code::LogSuppressed.as_str(),
                    "{suppressed} reports were suppressed"
                );
            }
            RateDecision::Overflow => {
                return tracing::warn!(
                    remote = shared.name,
                    code = Code::LogSuppressed.as_str(),
                    "the remote reports more errors than a user can read, so reports are suppressed until it reports \
                     fewer; report this to the plugin's author"
                );
            }
            RateDecision::Suppress => return,
        }
        let failure = copied(Stage::Open, error);
        shared.notes.lock().push(Note { failure: Arc::new(failure), fatal: false, surface: None });
        (shared.wake)(Duration::ZERO);
    }

    fn font(&self, cluster: RStr<'_>, families: u32) -> ROption<Font> {
        let cluster = cluster.as_str();
        fonts::find(&cluster[..cluster.floor_char_boundary(limits::CLUSTER)], families).into()
    }
    fn library(&self) -> RString {
        self.0.upgrade().map_or_else(RString::new, |shared| shared.library.as_str().into())
    }
}
